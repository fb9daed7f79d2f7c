/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CONN_H
#define CMT__CONN_H

/* What a link uses of a connection besides the public calls: sealing into
   memory of the loop, and the credits of what was cut. */

#include "base.h"

#include <cometp2p/conn.h>

/* Messages cut to their end since the last call, per channel in the order of
   the options, and their bytes in all. */
typedef struct cmt__credits {
  uint32_t messages[CMT_CHANNELS_MAX];
  size_t bytes;
} cmt__credits;

/* Seals what is to be sent into |slots|, of |cap| bytes, at least
   cmt__conn_seal_min() of them.  Returns the bytes to write, 0 for none.
   Every byte returned is to be written, in order; cmt_conn_consume() tells as
   they are.  Not to be mixed with cmt_conn_output(). */
size_t cmt__conn_seal(cmt_conn *c, uint8_t *slots, size_t cap, uint64_t now_ns);

/* The least room that cmt__conn_seal() can work with: the frames of one packet
   of the largest size, or of the handshake. */
size_t cmt__conn_seal_min(const cmt_conn *c);

/* True when cmt__conn_seal() would have something; |*urgent| when it is more
   than messages: handshake, ping, pong. */
bool cmt__conn_wants_write(const cmt_conn *c, bool *urgent);

/* Tells that the stream is not read by choice, or is read again.  That time
   does not count towards the pong timeout. */
void cmt__conn_pause(cmt_conn *c, bool on, uint64_t now_ns);

/* False: none. */
bool cmt__conn_take_credits(cmt_conn *c, cmt__credits *out);

/* Bytes of payload that the packet parser copied anywhere but into a message,
   since the start. */
uint64_t cmt__conn_copied(const cmt_conn *c);

/* Pings written since the connection was up. */
uint64_t cmt__conn_pings_sent(const cmt_conn *c);

#endif
