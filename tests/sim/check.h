/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SIM_CHECK_H
#define CMT_SIM_CHECK_H

/* The checkers of the simulation.  Each checks one promise against what the
   nodes were seen to do; none calls or reads the code that it checks.  A
   failure ends the program with one line. */

#include "sim.h"

const char *check_name(check_kind k);
const char *check_promise(check_kind k);
/* Counts a check that passed. */
void check_held(sim *s, check_kind k);
_Noreturn void check_fail(sim *s, check_kind k, const char *fmt, ...)
  __attribute__((format(printf, 3, 4)));
/* Both in one. */
#define CHECK(s, kind, holds, ...)                                             \
  ((holds) ? check_held((s), (kind)) : check_fail((s), (kind), __VA_ARGS__))

/* check_flow.c: what was sent, in its order, against what arrives. */

/* The message |key| of |len| bytes was offered to |p| on the channel with this
   index; returns its number. */
void check_flow_add(sim_peer *p, size_t channel, const sim_entry *e);
/* The outcome of a send that waited. */
void check_flow_answer(sim_peer *p, size_t channel, uint64_t key, bool queued);
void check_flow_receive(sim_peer *p, size_t channel, cmt_bytes msg);
/* All that was accepted for |p| has arrived. */
void check_flow_arrived(sim_peer *p, check_kind k);
void check_flow_free(sim_peer *p);
/* Fills in the bytes of the message |key|. */
void check_flow_fill(uint64_t key, uint8_t *out, size_t len);

/* check_send.c: answers of sends. */
void check_answer(sim_peer *p, int channel, size_t len, cmt_err err);
void check_request(sim_request *r, cmt_err status, const cmt_buf *msg);
void check_broadcasts(sim *s);

/* check_life.c: calls of reactors, one peer per id, the list of peers. */
void check_init(sim_peer *p, size_t reactor, bool accepted);
void check_add(sim_peer *p, size_t reactor);
void check_receive(sim_peer *p, size_t reactor, size_t channel);
void check_remove(sim_peer *p, size_t reactor);
void check_peers(sim_node *n);
/* Peers, handshakes and dials against their limits in number and time. */
void check_limits(sim_node *n);
/* The switch of |n| has finished. */
void check_finished(sim_node *n);

/* check_outcome.c: one outcome for each dial and accept, with a reason that
   the facts allow. */
void check_rejected(sim_node *n, const cmt_rejection *r);
void check_outcomes(sim_node *n);

/* check_reason.c: why a peer ended. */
void check_reason(sim_peer *p, cmt_err reason);
/* |p| is stopped with a flush: what it has accepted must arrive, if nothing
   comes between. */
void check_grace_begin(sim_peer *p, uint64_t flush_ns);
/* |p| ends with |reason|; looks at what the other side had accepted. */
void check_grace(sim_peer *p, cmt_err reason);

/* check_admission.c: bans, filters and evictions. */
bool check_ban_covers(const sim_ban *b, unsigned remote);
/* A ban may be why it ended; why it was rejected. */
bool check_ban_explains(const sim_peer *p);
bool check_ban_explains_rejection(const sim_node *n, const cmt_rejection *r);
void check_bans(sim_node *n);
/* A filter is asked |q|, */
void check_question(sim_node *n, const sim_question *q,
                    const cmt_newcomer *who);
/* and its answer is |err|. */
void check_filter_answer(sim_node *n, const sim_question *q, cmt_err err);
/* A filter may be why one more was rejected. */
bool check_filter_explains(sim_node *n);
/* Who becomes a peer may. */
void check_admitted(const sim_peer *p);
/* |p| is about to be added; and while it is a peer. */
void check_exempt_begin(sim_peer *p);
void check_exempt(const sim_peer *p);
/* The friend of |n| has come onto its list. */
void check_exempt_listed(sim_node *n);
/* A limit of peers may be why one was rejected. */
bool check_limit_explains(const sim_node *n, const cmt_why *why);
/* It is never evicted. */
bool check_is_kept(const sim_peer *p);
/* The first reactor hears that it was. */
void check_evicted(sim_peer *p);

/* check_calls.c: outcomes of dials, timers and posts. */
void check_dial_outcome(const sim_dialed *d, const cmt_dial_outcome *o);
/* The application of |n| has cancelled |count| dials of a node id without a
   handle, of the |listed| that there were; |left| are listed. */
void check_forgotten(sim_node *n, size_t target, size_t listed, size_t count,
                     size_t left);
/* The switch of |d| has finished. */
void check_dial_over(const sim_dialed *d);
void check_timer(sim_timer *t, cmt_err status);
void check_post(sim_post *p, cmt_err status);
/* No post waits for the loop of |p|, which is about to be removed. */
void check_peer_posts(const sim_peer *p);
/* The switch has finished: nothing is set or waits. */
void check_calls_over(sim_node *n);

/* sim_hostile.c: the hostile node is removed. */
void check_hostile_end(sim *s, cmt_err reason);

/* check_bound.c: bytes allocated, and bytes in a time. */

/* |p| received a message of |len| bytes. */
void check_rates(sim_peer *p, size_t channel, size_t len);
/* |side| of |c| writes |len| bytes. */
void check_write(sim_conn *c, int side, size_t len);
void check_memory(sim_node *n);

#endif
