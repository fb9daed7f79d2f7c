/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LINK_IMPL_H
#define CMT__LINK_IMPL_H

/* A link from the inside, for the files that make it up: link.c has its states
   and events, link_iteration.c its task, link_compute.c its public-key
   operations, link_queue.c what it does for its send queue, link_write.c what
   it writes, link_late.c when the other side is late, link_move.c its way from
   one loop to another, link_fetch.c what is fetched into the cache for it. */

#include "link.h"

enum {
  CMT__BATCH_MAX = 256,              /* Frames of the longest batch. */
  CMT__TOGETHER_MAX = CMT__LAST_MAX, /* Links whose batches are sealed together.
                                      */
};

/* How long reading may go on when nothing more can be written. */
#define CMT__GIVE_UP_NS CMT_SECONDS(1)

/* Ends the connection with |err| at once; the caller drains the event of the
   end. */
void cmt__link_stop_conn(cmt__link *l, cmt_err err);
/* Reads unless the owner or a limit prevents it, and no more at once than the
   limits allow. */
void cmt__link_reading(cmt__link *l);

/* Records the first reason for the end; without memory for it the text of the
   error is used. */
void cmt__link_say(cmt__link *l, const cmt_why *why);

/* True while bytes that had arrived by |late_ns| are still to be read. */
bool cmt__link_reads_first(cmt__link *l, uint64_t late_ns);
/* True while no deadline of the other side counts. */
bool cmt__link_excuses(cmt__link *l);
/* Makes the kernel end the connection when the other side acknowledges
   nothing. */
void cmt__link_guard(cmt__link *l);
/* The next instant at which one of the calls above is due; CMT_NEVER: none. */
uint64_t cmt__link_look_ns(const cmt__link *l);
/* The reason for an end of the socket with |err|. */
cmt_err cmt__link_reason(cmt__link *l, cmt_err err);

/* Called by the task of |l|: fetches what those of the next links need. */
void cmt__link_fetch_ahead(const cmt__link *l);
/* Enclose all callbacks of the loop. */
void cmt__link_enter(cmt__link *l);
void cmt__link_leave(cmt__link *l);
/* The task of a link. */
void cmt__link_on_iteration(cmt__task *t);
/* Reports the end, on the home loop. */
void cmt__link_end(cmt__link *l, const cmt_conn_event *ev);
/* Reports waiting events to the owner. */
void cmt__link_drain(cmt__link *l);

/* Memory for the public-key operations of the handshake. */
CMT_NODISCARD cmt_err cmt__link_op_new(cmt__link *l, cmt_why *why);
/* No operation follows. */
void cmt__link_op_free(cmt__link *l);
/* Defers the next operation, if there is one. */
void cmt__link_compute(cmt__link *l);
void cmt__link_conn_delete(cmt__link *l);

/* True on the loop of its owner. */
static inline bool cmt__link_is_home(const cmt__link *l) {
  return l->migration == NULL || l->loop == l->migration->home;
}
/* True when it has ended, and must still report that on its home loop. */
static inline bool cmt__link_end_is_due(const cmt__link *l) {
  return l->migration != NULL && l->migration->end_due;
}
/* Makes the move that is due.  True: the caller must stop, and the link may
   already belong to another loop. */
bool cmt__link_departs(cmt__link *l);
void cmt__link_on_detached(void *arg);
/* Handles an end away from the home loop. */
void cmt__link_go_home(cmt__link *l);

void cmt__link_take_intake(cmt__link *l);
/* Carries out the requests of other threads and of callbacks. */
void cmt__link_control(cmt__link *l);
/* Returns the credits of what was cut. */
void cmt__link_credit(cmt__link *l);
/* Returns credits, and answers the sends that are done. */
void cmt__link_answer(cmt__link *l);

/* Samples the socket now and then, and updates the delivery rate. */
void cmt__link_sample(cmt__link *l);
/* NULL: it did not write much yet. */
static inline cmt__link_path *cmt__link_path_of(const cmt__link *l) {
  return atomic_load_explicit(&l->path, memory_order_relaxed);
}
/* Seals a batch and writes it, unless it should wait. */
void cmt__link_write(cmt__link *l);
/* True when it has a batch so short that it should be sealed with those of
   others: cmt__link_write_all() writes it.  False: it has none, or has written
   it. */
bool cmt__link_write_or_wait(cmt__link *l);
/* Seals and writes the batches of |count| links, at most CMT__TOGETHER_MAX, for
   each of which cmt__link_write_or_wait() was true in this iteration.  Calls no
   owner. */
void cmt__link_write_all(cmt__link *const *list, size_t count);
/* Writes as much of all that may be sent as the socket accepts. */
void cmt__link_flush(cmt__link *l);
/* Continues after a short write, if one left something. */
void cmt__link_write_rest(cmt__link *l);
void cmt__link_free_rest(cmt__link *l);
/* Sends our part of a handshake that we refuse, if the socket accepts it.
   False: it does not. */
bool cmt__link_final_flush(cmt__link *l);

#endif
