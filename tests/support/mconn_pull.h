/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_MCONN_PULL_H
#define CMT_TEST_MCONN_PULL_H

/* The time and the end of multiplexers, for tests that pull their events. */

#include "core/mux/mconn.h"

/* |err| is what |m| has ended with; CMT_OK: it has not. */
void assert_mconn_err(const cmt_mconn *m, cmt_err err);

/* Ticks |m| at |now_ns|; |err| is what it has ended with after that. */
void assert_mconn_tick(cmt_mconn *m, uint64_t now_ns, cmt_err err);

/* The next event of |m| is its end, with |err|, and the last. */
void assert_mconn_end(cmt_mconn *m, cmt_err err);

#endif
