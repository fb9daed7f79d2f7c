/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__MCONN_H
#define CMT__MCONN_H

/* What a connection uses of a multiplexer besides the public calls. */

#include "channel.h"

/* All that can be wrong with options whose channels are those of |group|;
   CMT_EINVAL, and |why| names the option. */
CMT_NODISCARD cmt_err cmt__mconn_options_check(const cmt_mconn_options *o,
                                               const cmt_conn_group *group,
                                               cmt_why *why);

/* As cmt__channels_retire(). */
cmt__channel_last *cmt__mconn_retire(cmt_mconn *m, cmt__channels_rest *rest);

/* As cmt_mconn_tick().  |excused|: the other side is not late, since what it
   sent may not have been read.  True: this is the instant of a ping, in which
   memory that nothing needs now is given back, since the connection may have
   fallen idle. */
bool cmt__mconn_tick(cmt_mconn *m, uint64_t now_ns, bool excused);
/* When the other side is late with a pong or the rest of a message. */
uint64_t cmt__mconn_late_ns(const cmt_mconn *m);

/* As cmt_mconn_try_send() of what was checked: see cmt__channel_queue(). */
CMT_NODISCARD cmt_err cmt__mconn_queue(cmt_mconn *m, size_t at, cmt_buf *msg);

/* How many messages more the channel at |at| takes. */
uint32_t cmt__mconn_room(const cmt_mconn *m, size_t at);

/* True while bytes given to the multiplexer are not used up. */
bool cmt__mconn_has_input(const cmt_mconn *m);
/* The input that is left, which the caller may move elsewhere. */
cmt_bytes *cmt__mconn_input(cmt_mconn *m);

/* Starts the clocks: the first ping is one interval away. */
void cmt__mconn_start(cmt_mconn *m, uint64_t now_ns);

/* Makes the connection draw on |b|, the quota of the switch, which must outlive
   it; see cmt__channels_attach_quota(). */
void cmt__mconn_attach_quota(cmt_mconn *m, cmt__quota *b,
                             void (*on_gave_way)(void *arg), void *arg);
void cmt__mconn_detach_quota(cmt_mconn *m);
/* True when the unfinished messages were freed for those of others: the next
   event is the end. */
bool cmt__mconn_was_dropped(const cmt_mconn *m);

/* Latches the caller's instant. */
void cmt__mconn_enter(cmt_mconn *m, uint64_t now_ns);

/* Bytes that the caller should read at most, at least 1, when it reads. */
size_t cmt__mconn_read_max(cmt_mconn *m);

/* Charges |count| packets that cost only us, of which a peer may send 500 and
   50 a second; more end the multiplexer with CMT_EFLOOD. */
void cmt__mconn_charge_flood(cmt_mconn *m, uint64_t count);

/* True when nothing is left to be sent, now or later. */
bool cmt__mconn_is_drained(const cmt_mconn *m);

/* Notes that the caller stops reading, or reads again.  While reading is
   stopped no timeout of what should come runs, and an unsolicited pong goes out
   every third of the pong timeout, so that the peer does not give up on pings
   that we have not read. */
void cmt__mconn_pause(cmt_mconn *m, bool on, uint64_t now_ns);

/* Stops pings of our own, or lets them go out again. */
void cmt__mconn_standby(cmt_mconn *m, bool on);

/* Writes what is due into |r|, which has room for cmt_mconn_write_min() bytes.
 */
void cmt__mconn_fill(cmt_mconn *m, cmt__batch *r, uint64_t now_ns);

/* Notes that |total| bytes of all that was filled since the start were taken
   at |now_ns|. */
void cmt__mconn_taken(cmt_mconn *m, uint64_t total, uint64_t now_ns);

/* Notes that the other side has taken bytes besides those of the output. */
void cmt__mconn_moved(cmt_mconn *m, uint64_t now_ns);
/* Notes that other bytes come before the output, and wait; or no more. */
void cmt__mconn_behind(cmt_mconn *m, bool on, uint64_t now_ns);
/* True when the other side has announced, since it last took something, that it
   does not read by choice. */
bool cmt__mconn_is_excused(const cmt_mconn *m);
/* When the other side is late with taking what we send. */
uint64_t cmt__mconn_stuck_ns(const cmt_mconn *m);
/* The bytes that wait to be taken, packetized or not. */
uint64_t cmt__mconn_unsent(const cmt_mconn *m);

/* Bytes filled since the start. */
uint64_t cmt__mconn_filled(const cmt_mconn *m);

/* True when there is something to fill now; |*urgent|: a ping, a pong, or a
   message of an urgent channel is among it, so that it should not wait for
   more. */
bool cmt__mconn_wants_write(const cmt_mconn *m, bool *urgent);

/* Most bytes that a multiplexer made with |o| takes, without messages and
   output. */
size_t cmt__mconn_memory(const cmt_mconn_options *o);

/* Fetches into the cache what sending needs, and once that is there the
   channels that were used lately. */
void cmt__mconn_fetch(const cmt_mconn *m);
void cmt__mconn_fetch_channels(const cmt_mconn *m);
bool cmt__mconn_take_credits(cmt_mconn *m, cmt_credits *out);
uint64_t cmt__mconn_copied(const cmt_mconn *m);
uint64_t cmt__mconn_pings_sent(const cmt_mconn *m);

/* True when the multiplexer ended with CMT_EPROTO since the other side seems to
   speak another wire profile. */
bool cmt__mconn_is_foreign(const cmt_mconn *m);

/* Writes what shows our profile to such a peer, after the end. */
void cmt__mconn_write_parting(const cmt_mconn *m, cmt__batch *r);

#endif
