/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_PACKETS_H
#define CMT_TEST_PACKETS_H

/* Packets as the wire profile of CometBFT writes them. */

#include "core/wire/wire.h"

static inline const cmt__wire *test_wire(void) {
  return cmt__wire_of(CMT_WIRE_COMETBFT);
}

static inline void test_write_ping(cmt__batch *r) {
  cmt_bytes ping = test_wire()->pings->ping;

  cmt__batch_write(r, ping.base, ping.len);
}

static inline void test_write_pong(cmt__batch *r) {
  cmt_bytes pong = test_wire()->pings->pong;

  cmt__batch_write(r, pong.base, pong.len);
}

#endif
