/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__MCONN_H
#define CMT__MCONN_H

/* What a connection uses of a multiplexer besides the public calls. */

#include "channel.h"
#include "conn.h"

bool cmt__mconn_has_channel(const cmt_mconn *m, uint8_t channel);

/* True while bytes given to it are not used up. */
bool cmt__mconn_has_input(const cmt_mconn *m);

/* Starts the clocks: the first ping is one interval away. */
void cmt__mconn_start(cmt_mconn *m, uint64_t now_ns);

/* Tells that the caller does not read, or reads again.  That time does not
   count towards the pong timeout. */
void cmt__mconn_pause(cmt_mconn *m, bool on, uint64_t now_ns);

/* Writes what is due into |r|. */
void cmt__mconn_fill(cmt_mconn *m, cmt__run *r, uint64_t now_ns);

/* Tells that |total| bytes of all that was filled since the start were taken
   at |now_ns|. */
void cmt__mconn_taken(cmt_mconn *m, uint64_t total, uint64_t now_ns);

/* Bytes filled since the start. */
uint64_t cmt__mconn_filled(const cmt_mconn *m);

/* True when there is something to fill; |*urgent|: a ping or a pong. */
bool cmt__mconn_wants_write(const cmt_mconn *m, bool *urgent);

/* The longest packet that it sends, with its prefix. */
size_t cmt__mconn_packet_max(const cmt_mconn *m);

bool cmt__mconn_take_credits(cmt_mconn *m, cmt__credits *out);
uint64_t cmt__mconn_copied(const cmt_mconn *m);
uint64_t cmt__mconn_pings_sent(const cmt_mconn *m);

#endif
