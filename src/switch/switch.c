/* SPDX-License-Identifier: Apache-2.0 */

/* The switch.

   Design notes.  A switch has a loop and a thread that runs it.  Sessions,
   dials, the listener and all calls of reactors belong to that thread; other
   threads reach it in two ways, each a post under a mutex: through the send
   queue of a peer, and through |lock| here, for dials and the stop.  Nothing of
   the loop is ever read or changed by another thread, so what a reactor does in
   a callback and what an application does from outside take the same way, and a
   callback never finds the lists that it was called from changed.

   With several loops all that stays with the first.  Only the link of a peer
   goes to another loop when the peer was added, and comes back when it has
   ended (link_move.c), so that receive and the answers of sends are all that
   the application hears there.  What the first loop wants of such a peer goes
   through its send queue, too.

   Locks are taken in the order set, send queue, queue of posts, and the locks
   of what peers share, |quota_lock| and that of |send_pool|, before those of
   send queues; |lock| stands alone over the queue of posts, and |secrets_lock|
   stands alone.  No lock is held during a callback.

   The end has four steps.  cmt_switch_stop() sets a flag and wakes the loop. It
   then closes the listener, ends every dial, rejects every handshake and stops
   every peer.  Whatever ends asks for a look; the look finds nothing left: no
   session, not even one that only waits for the other side to read; no dial; no
   wake-up of a peer that is gone, whose post would otherwise come to a deleted
   loop.  Then the timers and posts of the application are answered, the
   reactors are stopped, and the loop, and cmt_switch_delete() has only to join.

   The loop can be the caller's instead (cmt__switch_new_on(), switch_uv.c).
   Everything is the same then but the thread, which is whichever runs that
   loop. */

#include "sys/kernels.h"
#include "switch.h"

#include "dialer.h"
#include "limits.h"
#include "loops.h"
#include "session_filter.h"

#include "base/sized.h"
#include "sys/standard_fds.h"

#include <stdio.h>

static void switch_on_post(cmt__post *post);
static void switch_on_task(cmt__task *task);

static void switch_lock(cmt_switch *s) { cmt__lock(&s->lock); }

static void switch_unlock(cmt_switch *s) { cmt__unlock(&s->lock); }

/* ---- making ---- */

enum { LOCK_COUNT = 4 };
#define LOCKS(s)                                                               \
  ((pthread_mutex_t *[LOCK_COUNT]){&(s)->lock, &(s)->quota_lock,               \
                                   &(s)->secrets_lock, &(s)->send_pool.lock})

static void locks_destroy(pthread_mutex_t *const *locks, size_t count) {
  while (count > 0) {
    pthread_mutex_destroy(locks[--count]);
  }
}

static cmt_err locks_init(cmt_switch *s) {
  for (size_t i = 0; i < LOCK_COUNT; i++) {
    if (pthread_mutex_init(LOCKS(s)[i], NULL) != 0) {
      locks_destroy(LOCKS(s), i);
      return CMT_ENOMEM;
    }
  }
  return CMT_OK;
}

static void locks_fini(cmt_switch *s) { locks_destroy(LOCKS(s), LOCK_COUNT); }

static cmt_err ended_init(cmt_switch *s) {
  return cmt__cond_init(&s->ended_cond) ? CMT_OK : CMT_ENOMEM;
}

static void ended_fini(cmt_switch *s) { pthread_cond_destroy(&s->ended_cond); }

static cmt_err called_init(cmt_switch *s) {
  return cmt__cond_init(&s->called_cond) ? CMT_OK : CMT_ENOMEM;
}

static void called_fini(cmt_switch *s) {
  pthread_cond_destroy(&s->called_cond);
}

static cmt_err peers_init(cmt_switch *s) {
  return cmt__peer_set_init(&s->peers, &s->env);
}

static void peers_fini(cmt_switch *s) { cmt__peer_set_fini(&s->peers); }

static cmt_err bans_init(cmt_switch *s) {
  return cmt__bans_init(&s->bans, &s->env);
}

static void bans_fini(cmt_switch *s) { cmt__bans_fini(&s->bans); }

static cmt_err networks_init(cmt_switch *s) {
  return cmt__networks_init(&s->networks, &s->env);
}

static void networks_fini(cmt_switch *s) { cmt__networks_fini(&s->networks); }

static cmt_err questions_init(cmt_switch *s) {
  return cmt__questions_init(&s->questions);
}

static void questions_fini(cmt_switch *s) {
  cmt__questions_fini(&s->questions);
}

static void calls_on_drained(void *arg) { cmt__switch_look(arg); }

static cmt_err calls_init(cmt_switch *s) {
  cmt_err err = cmt__calls_init(&s->calls, &s->env);

  s->calls.on_drained = calls_on_drained;
  s->calls.arg = s;
  return err;
}

static void calls_fini(cmt_switch *s) { cmt__calls_fini(&s->calls); }

/* The parts that fail when the system has no memory, in the order in which they
   are made. */
static const struct {
  cmt_err (*init)(cmt_switch *s);
  void (*fini)(cmt_switch *s);
} parts[] = {
  {locks_init, locks_fini},         {ended_init, ended_fini},
  {called_init, called_fini},       {peers_init, peers_fini},
  {bans_init, bans_fini},           {networks_init, networks_fini},
  {questions_init, questions_fini}, {calls_init, calls_fini},
};

static void parts_fini(cmt_switch *s, size_t count) {
  while (count > 0) {
    parts[--count].fini(s);
  }
}

static cmt_err parts_init(cmt_switch *s) {
  for (size_t i = 0; i < CMT__COUNT(parts); i++) {
    cmt_err err = parts[i].init(s);

    if (err != CMT_OK) {
      parts_fini(s, i);
      return err;
    }
  }
  return CMT_OK;
}

static void switch_free(cmt_switch *s) {
  cmt_env env = s->env;

  cmt__dials_free(s);
  cmt__loops_fini(s);
  parts_fini(s, CMT__COUNT(parts));
  cmt__setup_fini(&s->setup, &env);
  cmt__free(&env, s);
}

/* The setup is done. */
static cmt_err switch_init(cmt_switch *s, cmt__loop *const *loops) {
  const cmt__guard secrets = cmt__lock_guard(&s->secrets_lock);
  cmt_err err;

  s->borrowed = loops != NULL;
  s->post.cb = switch_on_post;
  s->task.cb = switch_on_task;
  s->places.options = &s->setup.options;
  s->places.on_displaced = cmt__session_displaced;
  s->places.on_cut = cmt__session_cut;
  s->report_ns = CMT__REPORT_NS;
  cmt__send_pool_init(&s->send_pool, s->setup.floors.send.floor,
                      s->setup.floors.send.pool);
  err = parts_init(s);
  if (err == CMT_OK) {
    cmt__secret_pool_share(&s->setup.group->pool, &secrets);
  }
  return err;
}

static void switch_on_departed(void *arg, cmt_peer *p) {
  cmt__session_departed(arg, p, true);
}

static void switch_on_events_done(void *arg) { cmt__switch_look(arg); }

static cmt_err delivery_init(cmt_switch *s, cmt_why *why) {
  const cmt__delivery_options o = {
    .env = &s->env,
    .reactors = &s->setup.reactors,
    .peers_max = cmt__floors_peers(&s->setup.options) + cmt__limits_extra(s),
    .first = &s->threads[0].delivery,
    .on_departed = switch_on_departed,
    .on_events_done = switch_on_events_done,
    .arg = s,
  };

  return cmt__delivery_init(&s->delivery, &o, why);
}

/* Where events go in place of callbacks. */
static cmt_err events_init(cmt_switch *s, cmt_why *why) {
  const char *name = s->setup.options.event_reactor;
  cmt_mailbox *m = cmt__delivery_mailbox(&s->delivery, name);

  s->setup.options.event_reactor = NULL; /* It is not kept. */
  if (name != NULL && m == NULL) {
    cmt__delivery_fini(&s->delivery);
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "event_reactor is %.96s, allowed is the name of a reactor "
                    "with CMT_DELIVER_MAILBOX",
                    name);
  }
  cmt__events_init(&s->events, &s->env, m);
  cmt__calls_set_mailbox(&s->calls, m);
  return CMT_OK;
}

/* The rest, after which only switch_free() can free it. */
static cmt_err switch_fill(cmt_switch *s, cmt__loop *const *loops,
                           cmt_why *why) {
  cmt_err err = cmt__loops_init(s, loops);

  if (err == CMT_OK) {
    s->calls.callbacks = &s->threads[0].delivery.callbacks;
    err = delivery_init(s, why);
  }
  if (err == CMT_OK) {
    err = events_init(s, why);
  }
  if (err != CMT_OK) {
    switch_free(s);
  }
  return err;
}

static cmt_err switch_new(const cmt_switch_options *o, cmt__loop *const *loops,
                          cmt_switch **out, cmt_why *why) {
  cmt_env env;
  cmt_switch *s = NULL;
  cmt_err err = cmt__env_copy(o->env, &env);

  if (err != CMT_OK) {
    return cmt__why(why, err, CMT_STAGE_TRANSPORT, "env: %s",
                    cmt_err_text(err));
  }
  s = cmt__alloc_zero(&env, sizeof *s);
  err = s != NULL ? CMT_OK : CMT_ENOMEM;
  if (err == CMT_OK) {
    s->env = env;
    err = cmt__setup_init(&s->setup, &s->env, o,
                          loops != NULL ? loops[0] : NULL, why);
  }
  if (err != CMT_OK) {
    cmt__free(&env, s);
    return err;
  }
  err = switch_init(s, loops);
  if (err != CMT_OK) {
    cmt__setup_fini(&s->setup, &env);
    cmt__free(&env, s);
    return err;
  }
  err = switch_fill(s, loops, why);
  if (err == CMT_OK) {
    *out = s;
  }
  return err;
}

cmt_err cmt__switch_new_on_each(const cmt_switch_options *o,
                                cmt__loop *const *loops, cmt_switch **out,
                                cmt_why *why) {
  cmt_switch_options full;
  cmt_err err = cmt__out_clear(out, why);

  cmt_switch_options_init(&full);
  if (err == CMT_OK) {
    err = cmt__sized_read(&full, sizeof full, o, "options", why);
  }
  if (err != CMT_OK) {
    return err;
  }
  cmt__why_plain(why, CMT_OK, CMT_STAGE_TRANSPORT);
  err = switch_new(&full, loops, out, why);
  if (err != CMT_OK && why != NULL && why->err == CMT_OK) {
    cmt__why_plain(why, err, CMT_STAGE_TRANSPORT);
  }
  return err;
}

cmt_err cmt__switch_new_on(const cmt_switch_options *o, cmt__loop *loop,
                           cmt_switch **out, cmt_why *why) {
  cmt_err err = cmt__setup_one_loop(o, why);

  return err == CMT_OK ? cmt__switch_new_on_each(o, &loop, out, why) : err;
}

cmt_err cmt_switch_new(const cmt_switch_options *o, cmt_switch **out,
                       cmt_why *why) {
  cmt__standard_fds_hold(); /* Before a mailbox has one of them. */
  return cmt__switch_new_on_each(o, NULL, out, why);
}

/* ---- starting ---- */

static cmt__short give_descriptor(void *arg) {
  return cmt__places_give_descriptor(&((cmt_switch *)arg)->places);
}

static cmt_err listener_start(cmt_switch *s, cmt_why *why) {
  cmt__listener *ls;
  cmt_net_addr at;
  cmt_err err;

  if (!s->setup.listens) {
    return CMT_OK;
  }
  at = s->setup.laddr;
  at.id.text[0] = '\0';
  err = cmt__loop_listen(s->loop, &at, cmt__session_accept, s, &ls, why);
  if (err != CMT_OK) {
    return err;
  }
  cmt__listener_addr(ls, &at);
  cmt__listener_accepts_max(ls, cmt__places_accepts(&s->setup.options));
  cmt__listener_on_short(ls, give_descriptor);
  switch_lock(s);
  s->listener = ls;
  cmt__setup_set_laddr(&s->setup, &at);
  s->setup.bound = true;
  switch_unlock(s);
  return CMT_OK;
}

static cmt_err reactors_start(cmt_switch *s, cmt_why *why) {
  cmt_err err;

  s->inside = true;
  err = cmt__reactor_list_start(&s->setup.reactors, s, why);
  s->inside = false;
  return err;
}

static void reactors_stop(cmt_switch *s) {
  cmt__reactor_list_stop(&s->setup.reactors, &s->threads[0].delivery.callbacks);
}

cmt_err cmt__switch_may_start(cmt_switch *s, cmt_why *why) {
  bool stopping, started;

  if (s == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "the switch is NULL");
  }
  switch_lock(s);
  stopping = s->stopping;
  started = s->start_called;
  switch_unlock(s);
  if (started) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "the switch was started before");
  }
  return stopping ? cmt__why(why, CMT_ECLOSED, CMT_STAGE_TRANSPORT,
                             "the switch was stopped before its start")
                  : CMT_OK;
}

void cmt__switch_never_starts(cmt_switch *s) {
  switch_lock(s);
  s->start_called = true;
  switch_unlock(s);
  cmt__delivery_give_up(&s->delivery);
}

/* From here on a stop leaves the end to the loop. */
static cmt_err start_claim(cmt_switch *s, cmt_why *why) {
  cmt_err err = cmt__switch_may_start(s, why);
  bool claimed;

  if (err != CMT_OK) {
    return err;
  }
  switch_lock(s);
  claimed = !s->stopping;
  s->start_called = claimed;
  switch_unlock(s);
  return claimed ? CMT_OK : cmt__switch_may_start(s, why);
}

/* A kernel with a wrong answer is not used, but the machine wants a look. */
static void warn_of_kernel(const cmt_switch *s) {
  const char *failed = cmt__kernels_failed(&cmt__kernels_built_in);

  if (failed != NULL) {
    cmt__log(&s->env, CMT_LOG_WARN, "switch",
             "the frame kernel %s fails its self-test on this machine; %s is "
             "used in its place",
             failed, s->env.aead->name);
  }
}

cmt_err cmt_switch_start(cmt_switch *s, cmt_why *why) {
  cmt_err err = start_claim(s, why);

  if (err != CMT_OK) {
    return err;
  }
  warn_of_kernel(s);
  err = cmt__loops_open(s, why);
  if (err == CMT_OK) {
    err = cmt__calls_reserve(&s->calls, s->loop, why);
  }
  if (err == CMT_OK) {
    err = cmt__switch_bans_start(s, why);
  }
  if (err == CMT_OK) {
    cmt__limits_start(s);
    cmt__places_start(&s->places, s->loop);
    err = listener_start(s, why);
  }
  if (err == CMT_OK) {
    err = reactors_start(s, why);
  }
  if (err == CMT_OK) {
    err = cmt__delivery_start(&s->delivery, why);
  }
  if (err == CMT_OK) {
    err = cmt__loops_start(s, why);
  }
  if (err != CMT_OK) {
    cmt__switch_never_starts(s);
    return err;
  }
  cmt__calls_start(&s->calls);
  switch_lock(s);
  s->started = true;
  cmt__switch_wake(s);
  switch_unlock(s);
  return CMT_OK;
}

/* ---- stopping ---- */

/* Others may be asking it from their threads. */
static void listener_stop(cmt_switch *s) {
  cmt__listener *ls = s->listener;

  if (ls != NULL) {
    switch_lock(s);
    s->status.no_descriptors = cmt__listener_dropped(ls);
    s->listener = NULL;
    switch_unlock(s);
    cmt__listener_close(ls);
  }
}

static void sessions_cancel(cmt_switch *s, uint64_t flush_ns) {
  cmt__session *next;

  for (cmt__session *x = s->sessions; x != NULL; x = next) {
    next = x->next;
    cmt__link_shorten_linger(&x->link, flush_ns);
  }
  for (cmt__session *x = s->pending; x != NULL; x = next) {
    next = x->next;
    if (x->pending) {
      cmt__session_cancel(x);
    }
  }
}

static void switch_close(cmt_switch *s, uint64_t flush_ns) {
  s->closing = true;
  cmt__switch_bans_stop(s);
  listener_stop(s);
  cmt__places_stop(&s->places);
  cmt__dialer_stop(s);
  sessions_cancel(s, flush_ns);
  cmt__peer_set_stop(&s->peers, CMT_ECANCELED, flush_ns);
  cmt__delivery_stop(&s->delivery, flush_ns);
  cmt__switch_look(s);
}

static void switch_on_post(cmt__post *post) {
  cmt_switch *s = (cmt_switch *)((char *)post - offsetof(cmt_switch, post));
  cmt_dial *requests, *cancels;
  uint64_t flush_ns;
  bool stopping, banned;

  switch_lock(s);
  s->posted = false;
  banned = s->bans_changed;
  s->bans_changed = false;
  requests = cmt__dials_take(s);
  cancels = s->cancels;
  s->cancels = NULL;
  stopping = s->stopping;
  flush_ns = s->flush_ns;
  switch_unlock(s);
  cmt__dialer_cancel(cancels);
  cmt__dialer_begin(requests);
  if (banned) {
    cmt__switch_bans_apply(s);
  }
  cmt__filter_answers(s);
  if (stopping && !s->closing) {
    switch_close(s, flush_ns);
  }
  cmt__switch_look(s);
}

static bool is_over(cmt_switch *s) {
  bool over;

  if (s->finished || s->session_count > 0 || s->dial_count > 0 ||
      s->undrained > 0 || s->delivery.departing > 0 ||
      !cmt__calls_close(&s->calls) ||
      cmt__delivery_holds_events(&s->delivery)) {
    return false;
  }
  switch_lock(s);
  over = !s->posted; /* Else a look follows. */
  s->over = over;
  switch_unlock(s);
  return over;
}

static void switch_on_task(cmt__task *task) {
  cmt_switch *s = (cmt_switch *)((char *)task - offsetof(cmt_switch, task));

  if (!is_over(s)) {
    return;
  }
  cmt__delivery_close(&s->delivery);
  reactors_stop(s);
  s->finished = true;
  if (s->has_thread) {
    cmt__loops_stop(s);
  } else if (s->on_caller) {
    cmt__switch_let_go(s);
  }
}

bool cmt__switch_is_finished(const cmt_switch *s) { return s->finished; }

void cmt_switch_stop(cmt_switch *s, uint64_t flush_ns) {
  bool never;

  switch_lock(s);
  if (!s->stopping) {
    s->stopping = true;
    s->flush_ns = flush_ns;
    cmt__switch_wake(s);
  }
  never = !s->start_called;
  switch_unlock(s);
  if (never) {
    cmt__delivery_give_up(&s->delivery);
  }
}

cmt_err cmt_switch_delete(cmt_switch *s) {
  if (cmt__thread_is_loop() || cmt__thread_is_worker()) {
    return CMT_EDEADLK;
  }
  if (s == NULL) {
    return CMT_OK;
  }
  if (s->inside || cmt__switch_has_uv_handles(s)) {
    return CMT_EDEADLK;
  }
  if (s->has_thread) {
    cmt_switch_stop(s, 0);
    cmt__loops_join(s);
  }
  CMT_ASSERT(&s->env, s->finished || !s->started);
  listener_stop(s);
  s->inside = true;
  cmt__switch_bans_stop(s);
  cmt__calls_close(&s->calls);
  cmt__loops_await_events(s);
  cmt__delivery_fini(&s->delivery); /* Before the loop, which workers use. */
  cmt__calls_set_mailbox(&s->calls, NULL);
  reactors_stop(s);
  switch_free(s);
  return CMT_OK;
}

cmt_mailbox *cmt_switch_mailbox(cmt_switch *s, const char *reactor) {
  return cmt__delivery_mailbox(&s->delivery, reactor);
}
