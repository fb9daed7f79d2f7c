/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_MCONN_OUTPUT_H
#define CMT_TEST_MCONN_OUTPUT_H

/* What multiplexers wrote, for tests that consume it in pieces. */

#include "core/mux/mconn.h"

/* At most |max| bytes of |m|, which come again until they are consumed.  New
   ones are written when there are none, about |max| of them.  Lent until the
   next call. */
cmt_bytes mconn_output(cmt_mconn *m, size_t max, uint64_t now_ns);
void mconn_output_consume(cmt_mconn *m, size_t len, uint64_t now_ns);

#endif
