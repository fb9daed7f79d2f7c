/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LIMITS_H
#define CMT__LIMITS_H

/* The limits of a switch: each refusal has a reason, CMT_ELIMIT with a text
   that names the limit, and a counter of the status.  Of the loop alone but for
   cmt_switch_memory_max(). */

#include "switch.h"

/* Checks those of |o| that no connection would check. */
CMT_NODISCARD cmt_err cmt__limits_check(const cmt_switch_options *o,
                                        cmt_why *why);

/* Starts what the connections share; the loop exists. */
void cmt__limits_start(cmt_switch *s);

/* For a connection from |host| that was just accepted. */
CMT_NODISCARD cmt_err cmt__limits_accept(cmt_switch *s, const char *host,
                                         cmt_why *why);
/* For one more attempt to dial. */
CMT_NODISCARD cmt_err cmt__limits_dial(cmt_switch *s, cmt_why *why);
/* For one more peer, whose handshake is done. */
CMT_NODISCARD cmt_err cmt__limits_admit(cmt_switch *s, bool outbound,
                                        const char *host, cmt_why *why);

/* Most connections at one time: the peers, the handshakes, and as many that
   have ended and wait for the other side to read. */
size_t cmt__limits_connections(const cmt_switch *s);

/* Fills in what the limits count now. */
void cmt__limits_status(cmt_switch *s, cmt_switch_status *out);

#endif
