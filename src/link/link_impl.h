/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LINK_IMPL_H
#define CMT__LINK_IMPL_H

/* A link from the inside, for the files that make it up: link.c has its states,
   events and iterations, link_queue.c what it does for its send queue,
   link_write.c what it writes, link_late.c when the other side is late,
   link_move.c its way from one loop to another. */

#include "link.h"

enum { CMT__BATCH_MAX = 256 }; /* Frames of the longest batch. */

/* How long reading may go on when nothing more can be written. */
#define CMT__GIVE_UP_NS CMT_SECONDS(1)

/* Ends the connection with |err| at once; the event of it is to be drained. */
void cmt__link_stop_conn(cmt__link *l, cmt_err err);
/* Reads unless the owner or a limit is against it, and no more at once than the
   limits allow. */
void cmt__link_reading(cmt__link *l);

/* Keeps the first reason for the end; without memory for it the text of the
   error itself has to do. */
void cmt__link_say(cmt__link *l, const cmt_why *why);

/* True while what had come by |late_ns| is still to be read. */
bool cmt__link_reads_first(cmt__link *l, uint64_t late_ns);
/* True while nobody may be called late. */
bool cmt__link_excuses(cmt__link *l);
/* Has the kernel give up when the other side takes nothing. */
void cmt__link_guard(cmt__link *l);
/* When the calls above have something to do; CMT_NEVER: nothing of their own.
 */
uint64_t cmt__link_look_ns(const cmt__link *l);
/* The reason for an end of the socket with |err|. */
cmt_err cmt__link_reason(cmt__link *l, cmt_err err);

/* Around all that the loop calls. */
void cmt__link_enter(cmt__link *l);
void cmt__link_leave(cmt__link *l);
/* Tells the end, at home. */
void cmt__link_end(cmt__link *l, const cmt_conn_event *ev);
/* Reports what is there to the owner. */
void cmt__link_drain(cmt__link *l);

/* On the loop of its owner. */
static inline bool cmt__link_is_home(const cmt__link *l) {
  return l->migration == NULL || l->loop == l->migration->home;
}
/* It has ended, and that is still to be reported at home. */
static inline bool cmt__link_end_is_due(const cmt__link *l) {
  return l->migration != NULL && l->migration->end_due;
}
/* The move that is due.  True: nothing else is to be done, and the link may
   already be another loop's. */
bool cmt__link_departs(cmt__link *l);
void cmt__link_on_detached(void *arg);
/* It has ended away from home. */
void cmt__link_go_home(cmt__link *l);

void cmt__link_take_intake(cmt__link *l);
/* Does what other threads, and callbacks, asked for. */
void cmt__link_control(cmt__link *l);
void cmt__link_credit(cmt__link *l);

/* Asks the socket now and then how it does, and follows its rate. */
void cmt__link_sample(cmt__link *l);
/* NULL: it did not write much yet. */
static inline cmt__link_path *cmt__link_path_of(const cmt__link *l) {
  return atomic_load_explicit(&l->path, memory_order_relaxed);
}
/* Seals a batch and writes it, if it is time. */
void cmt__link_write(cmt__link *l);
/* Writes what the socket still takes of all that may be sent. */
void cmt__link_flush(cmt__link *l);
/* Goes on with what a short write left, if it left something. */
void cmt__link_write_rest(cmt__link *l);
void cmt__link_free_rest(cmt__link *l);
/* Our part of a handshake that we refuse goes out if the socket takes it.
   False: it does not. */
bool cmt__link_final_flush(cmt__link *l);

#endif
