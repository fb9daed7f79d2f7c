/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TIMER_H
#define CMT_TIMER_H

/* Timers and posts: calls of the application on a loop of the switch.  Both lie
   in the caller's memory, so no call here needs any and none can be refused for
   want of it.  Everything here may be called from any thread and from any
   callback.

   A callback must not block, as no callback on a loop; one over 100 ms is
   counted and logged.  It runs with no lock held, and the timer or post may be
   used again, or freed, from its beginning on.

   The end of a switch calls what is still set or posted, with CMT_ECANCELED, on
   the first loop: after the last remove_peer and before the reactors' stop.  A
   switch that did not start does so in cmt_switch_delete(), on its thread.  So
   each set and each post is answered by one callback, unless it was changed or
   cancelled. */

#include <cometp2p/reactor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A timer.  Zero it before its first use, as an initialiser of |cb| does, and
    keep it where it is while it is set.  The struct never grows. */
typedef struct cmt_timer {
  /** On the first loop.  CMT_OK: it is time; CMT_ECANCELED: the switch ends.
      Never two timers or posts of a switch at one time.  NULL: with
      |event_reactor| of the switch CMT_EVENT_TIMER comes in its place, and |t|
      is the switch's until that is taken. */
  void (*cb)(void *arg, cmt_err status);
  void *arg;
  struct {
    void *owner;
    struct cmt_timer *links[3];
    uint64_t numbers[4];
  } internal; /**< The library's. */
} cmt_timer;

/**
 * Calls |t|->cb when |after_ns| has passed, in place of an earlier time when
 * |t| is set already.
 *
 * The time counts from the next iteration of the first loop; of a switch that
 * has not started, from its first.  Timers that are due at the same instant are
 * called in the order of the calls.  CMT_NEVER: only the end of the switch
 * calls it.
 *
 * Returns    CMT_OK; CMT_ECLOSED: the switch has ended, and |cb| will not run;
 *            CMT_EINVAL: NULL, without a |cb| or |event_reactor|, or set on
 *            another switch.
 * Ownership  |t| belongs to the switch until |cb| was entered or
 *            cmt_switch_timer_cancel() returned.
 */
CMT_API CMT_NODISCARD cmt_err cmt_switch_timer(cmt_switch *s, cmt_timer *t,
                                               uint64_t after_ns);

/**
 * Cancels |t|; one that is not set is fine.
 *
 * On return its callback does not run and will not until it is set again, so
 * |t| and what |arg| points to may be freed.  A callback of |t| that is running
 * on the loop meanwhile has returned, and what it set anew is cancelled too;
 * hold no lock that it takes.  The one exception is a call from inside of that
 * callback, which returns at once.
 *
 * Returns    true: it was set, and that callback will not come; false: it was
 *            not set, or its callback has run.
 */
CMT_API bool cmt_switch_timer_cancel(cmt_switch *s, cmt_timer *t);

/** A post.  Zero it before its first use, as an initialiser of |cb| does, and
    keep it where it is from the post to its callback.  The struct never
    grows. */
typedef struct cmt_post {
  /** CMT_OK; CMT_ECANCELED: the switch ends; CMT_ECLOSED: the peer has ended.
      NULL: with |event_reactor| of the switch CMT_EVENT_POST comes in place of
      the callback of cmt_switch_post(). */
  void (*cb)(void *arg, cmt_err status);
  void *arg;
  struct {
    void *owner;
    struct cmt_post *next;
    uint64_t numbers[2];
  } internal; /**< The library's. */
} cmt_post;

/**
 * Calls |p|->cb once on the first loop, never from inside this call.  Posts of
 * one thread are called in their order.  One that waits already is called once
 * for both; posted again by its callback it runs in the next iteration.
 *
 * Returns    CMT_OK; CMT_ECLOSED: the switch has ended, and |cb| will not run;
 *            CMT_EINVAL: NULL, without a |cb| or |event_reactor|, or it waits
 *            elsewhere.
 * Ownership  |p| belongs to the switch until |cb| was entered.
 */
CMT_API CMT_NODISCARD cmt_err cmt_switch_post(cmt_switch *s, cmt_post *p);

/**
 * Calls |post|->cb once on the loop of the peer (reactor.h), where no callback
 * of an inline reactor for that peer runs at the same time; otherwise as
 * cmt_switch_post().
 *
 * A peer that moves takes its posts along.  When it ends before, they are
 * called with CMT_ECLOSED on the first loop, before its remove_peer.
 *
 * Returns    CMT_OK; CMT_ECLOSED: the peer is gone, and |cb| will not run;
 *            CMT_EINVAL: NULL, without a |cb|, or it waits elsewhere.
 * Ownership  |post| belongs to the peer until |cb| was entered.
 */
CMT_API CMT_NODISCARD cmt_err cmt_peer_post(cmt_peer *p, cmt_post *post);

#ifdef __cplusplus
}
#endif
#endif
