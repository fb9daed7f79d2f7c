/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TIMER_H
#define CMT_TIMER_H

/* Timers and posts: calls of the application on a loop of the switch.  They lie
   in the caller's memory, so none can fail for lack of memory.  Any thread and
   any callback may use them.  docs/guide/timers.md.

   A callback must not block.  Its timer or post may be used again, or freed, as
   soon as the callback has begun.  Each set and each post leads to one
   callback, unless it was changed or cancelled; at the end of the switch the
   status is CMT_ECANCELED. */

#include <cometp2p/reactor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A timer.  Zero it before its first use, as an initialiser of |cb| does, and
    keep it where it is while it is set.  The struct never grows. */
typedef struct cmt_timer {
  /** Runs on the first loop, never together with another timer or post of the
      switch.  CMT_OK: the time has come; CMT_ECANCELED: the switch ends.  NULL:
      with |event_reactor| of the switch CMT_EVENT_TIMER comes in its place, and
      |t| belongs to the switch until the application receives that. */
  void (*cb)(void *arg, cmt_err status);
  void *arg;
  struct {
    void *owner;
    struct cmt_timer *links[3];
    uint64_t numbers[4];
  } internal; /**< The library's. */
} cmt_timer;

/** Calls |t|->cb when |after_ns| has passed since the next iteration of the
    first loop, in place of an earlier time; CMT_NEVER: only when the switch
    ends.  |t| belongs to the switch until |cb| has begun or was cancelled.

    Returns CMT_OK; CMT_ECLOSED: the switch has ended, and |cb| will not run;
    CMT_EINVAL: |t| has no |cb| and the switch no |event_reactor|, or |t| is set
    on another switch. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_timer(cmt_switch *s, cmt_timer *t,
                                               uint64_t after_ns);

/** Cancels |t|, set or not.  On return its callback does not run and will not,
    so |t| may be freed.  The call waits for a callback that runs on the loop,
    so hold no lock that the callback acquires.  Inside of that callback it
    returns at once.

    Returns true: it was set, and its callback will not run. */
CMT_API bool cmt_switch_timer_cancel(cmt_switch *s, cmt_timer *t);

/** A post.  Zero it before its first use, as an initialiser of |cb| does, and
    keep it where it is from the post to its callback.  The struct never
    grows. */
typedef struct cmt_post {
  /** CMT_OK; CMT_ECANCELED: the switch ends; CMT_ECLOSED: the peer has ended.
      NULL: with |event_reactor| of the switch CMT_EVENT_POST comes in its
      place, with the peer of a cmt_peer_post(), and the post belongs to the
      switch until the application receives that. */
  void (*cb)(void *arg, cmt_err status);
  void *arg;
  struct {
    void *owner;
    struct cmt_post *next;
    uint64_t numbers[2];
  } internal; /**< The library's. */
} cmt_post;

/** Calls |p|->cb once on the first loop, never from inside this call, in the
    order of the posts of a thread.  A post that waits already is called once
    for both.  |p| belongs to the switch until |cb| has begun.

    Returns CMT_OK; CMT_ECLOSED: the switch has ended, and |cb| will not run;
    CMT_EINVAL: the post has no |cb| and the switch no |event_reactor|, or it
    waits elsewhere. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_post(cmt_switch *s, cmt_post *p);

/** As cmt_switch_post(), on the loop of the peer, where no callback of an
    inline reactor for that peer runs at the same time.  When the peer ends
    first, it is called with CMT_ECLOSED on the first loop, before remove_peer.

    Returns CMT_OK; CMT_ECLOSED: the peer is gone, and |cb| will not run;
    CMT_EINVAL: the post has no |cb| and the switch no |event_reactor|, or it
    waits elsewhere. */
CMT_API CMT_NODISCARD cmt_err cmt_peer_post(cmt_peer *p, cmt_post *post);

#ifdef __cplusplus
}
#endif
#endif
