/* SPDX-License-Identifier: Apache-2.0 */

/* The production loop on libuv: its iterations, timers, posts and life.

   One iteration is one round of uv_run(): libuv polls and calls back (sockets,
   resolved names), then the check handle runs posts, the timers that are due
   and, last of all, the tasks.  No callback comes from anywhere else, so the
   end of the check is the one place that decides whether and how long the next
   poll may block, and a stop takes effect there with nothing left half done.

   A timer is run only when the poll before it began after it was due.  So after
   a delay, by a slow callback or a stopped process, the loop reads what has
   arrived meanwhile before a deadline counts; a timer costs one more poll,
   which does not block.

   Before a poll that would block, the loop spins for some microseconds if posts
   have come just before and that paid lately: a thread of the application that
   sends one message after the other would otherwise wake it for each burst.  A
   loop without posts never spins.

   A post wakes the loop only out of a poll.  Before each one the loop sets
   |wakes| and looks whether posts have come since it took the last ones; the
   first post that finds |wakes| set ends the poll, and all others are taken at
   the end of the iteration.  So a thread that posts while the loop works, or
   spins, makes no system call.  Either the loop sees the post or the post sees
   |wakes|, since both are written before the other is read.  An application's
   loop may be polled by other means than uv_run(), so there the first post of
   an iteration always wakes.

   All this is true on an application's loop, too.  Only the end differs: we
   cannot run that loop until libuv has closed everything, so its handles and
   requests are counted, and the last one to go frees. */

#include "loop_uv.h"

#include "loop_uv_impl.h"
#include "net/costly_threads.h"
#include "net/resolver.h"
#include "sys/standard_fds.h"

#include <errno.h>
#include <poll.h>

/* A loop spins for posts when one has come since then. */
#define SPIN_AFTER_POST_NS UINT64_C(200000)
/* How long it spins before it looks at its descriptors again. */
#define LOOK_NS UINT64_C(4000)

static cmt__loop_uv *loop_uv_of(cmt__loop *l) { return (cmt__loop_uv *)l; }

static void latch(cmt__loop *l) {
  uint64_t now_ns = uv_hrtime();

  if (now_ns > l->now_ns) {
    l->now_ns = now_ns;
  }
}

void cmt__uv_enter(cmt__loop *base) {
  cmt__loop_uv *l = loop_uv_of(base);

  latch(base);
  if (l->inside != NULL) {
    l->inside(true);
  }
}

void cmt__uv_leave(cmt__loop *base) {
  cmt__loop_uv *l = loop_uv_of(base);

  if (l->inside != NULL) {
    l->inside(false);
  }
}

static void on_idle(uv_idle_t *idle) { (void)idle; }

/* libuv may find its timer due before it polls.  The timers of ours run in the
   check, so the poll before that must not block. */
static void on_wake(uv_timer_t *timer) {
  cmt__loop_uv *l = timer->data;

  uv_idle_start(&l->idle, on_idle);
}

/* libuv counts in milliseconds of the same clock; rounding up makes the poll
   end when the timer is due, not before. */
static void arm_timer(cmt__loop_uv *l) {
  uint64_t at_ns = cmt__loop_next_timer(&l->base);
  uint64_t at_ms = at_ns / 1000000 + (at_ns % 1000000 != 0);
  uint64_t now_ms = uv_now(l->uv);

  if (at_ns == CMT_NEVER) {
    uv_timer_stop(&l->timer);
  } else if (at_ns != l->timer_ns ||
             !uv_is_active((const uv_handle_t *)&l->timer)) {
    uv_timer_start(&l->timer, on_wake, at_ms > now_ms ? at_ms - now_ms : 0, 0);
    l->timer_ns = at_ns;
  }
}

static void arm(cmt__loop_uv *l) {
  arm_timer(l);
  if (l->base.tasks.next != &l->base.tasks) {
    uv_idle_start(&l->idle, on_idle);
  } else {
    uv_idle_stop(&l->idle);
  }
}

/* The descriptor of the loop is readable when one of its own is.  On the loop
   of an application it is not ours to delay the poll. */
static bool loop_is_ready(cmt__loop_uv *l) {
  struct pollfd p = {.fd = uv_backend_fd(l->uv), .events = POLLIN};

  return poll(&p, 1, 0) != 0;
}

/* Whether posts have come since the last ones were taken. */
static bool has_posts(cmt__loop_uv *l) {
  return atomic_load(&l->posted) != l->taken;
}

/* True: there are posts, or a descriptor is ready. */
static bool spin(cmt__loop_uv *l, uint64_t now_ns, uint64_t end_ns) {
  if (has_posts(l)) {
    return true;
  }
  for (; now_ns < end_ns; now_ns = uv_hrtime()) {
    if (loop_is_ready(l) ||
        cmt__spin_while(&l->posted, l->taken,
                        cmt__min64(end_ns, now_ns + LOOK_NS))) {
      return true;
    }
  }
  return false;
}

/* Spins before a poll that would block while threads post, at most until the
   earliest timer is due. */
static void spin_before_poll(cmt__loop_uv *l) {
  uint64_t now_ns, end_ns;

  if (l->posted_ns == 0 || l->uv != &l->own || uv_backend_timeout(l->uv) == 0) {
    return;
  }
  now_ns = uv_hrtime();
  if (now_ns - l->posted_ns > SPIN_AFTER_POST_NS) {
    l->posted_ns = 0;
    return;
  }
  if (!cmt__spin_is_due(&l->spin)) {
    return;
  }
  end_ns = cmt__min64(now_ns + CMT__SPIN_NS, cmt__loop_next_timer(&l->base));
  cmt__spin_note(&l->spin, spin(l, now_ns, end_ns));
}

/* Before a poll: posts that have come end it at once, and later ones wake the
   loop. */
static void look_for_posts(cmt__loop_uv *l) {
  atomic_store(&l->wakes, true);
  if (has_posts(l)) {
    uv_idle_start(&l->idle, on_idle);
  }
}

static void on_prepare(uv_prepare_t *prepare) {
  cmt__loop_uv *l = prepare->data;

  spin_before_poll(l);
  look_for_posts(l);
  latch(&l->base);
  l->base.polled_ns = l->base.now_ns;
}

/* A post belongs to its poster again from the moment its callback is entered,
   so it is not read after that. */
static cmt__post *pop_post(cmt__post **list) {
  cmt__post *p = *list;

  if (p != NULL) {
    *list = p->next;
    atomic_store_explicit(&p->queued, false, memory_order_release);
  }
  return p;
}

/* Posts that are made meanwhile wait for the next iteration. */
static void run_posts(cmt__loop_uv *l) {
  cmt__post *list, *p;

  atomic_store_explicit(&l->wakes, false, memory_order_relaxed);
  if (!has_posts(l)) {
    return;
  }
  l->posted_ns = l->base.now_ns;
  uv_mutex_lock(&l->mutex);
  list = l->posts;
  l->posts = NULL;
  l->taken = atomic_load_explicit(&l->posted, memory_order_relaxed);
  uv_mutex_unlock(&l->mutex);
  while ((p = pop_post(&list)) != NULL) {
    p->cb(p);
  }
}

/* The check follows, and runs the posts. */
static void on_async(uv_async_t *async) { (void)async; }

static void on_check(uv_check_t *check) {
  cmt__loop_uv *l = check->data;

  cmt__uv_enter(&l->base);
  run_posts(l);
  cmt__loop_run_timers(&l->base);
  (void)cmt__loop_run_tasks(&l->base);
  if (!l->closing) {
    arm(l);
  }
  if (atomic_exchange(&l->stop, false)) {
    uv_stop(l->uv);
  }
  cmt__uv_leave(&l->base);
}

static void loop_post(cmt__loop *base, cmt__post *p) {
  cmt__loop_uv *l = loop_uv_of(base);
  bool wake = false;

  uv_mutex_lock(&l->mutex);
  if (!atomic_load_explicit(&p->queued, memory_order_acquire)) {
    bool first = l->posts == NULL;

    atomic_store_explicit(&p->queued, true, memory_order_relaxed);
    p->next = NULL;
    if (first) {
      l->posts = p;
    } else {
      l->posts_last->next = p;
    }
    l->posts_last = p;
    atomic_fetch_add(&l->posted, 1);
    wake = atomic_exchange(&l->wakes, false) || (first && l->uv != &l->own);
  }
  uv_mutex_unlock(&l->mutex);
  if (wake) {
    uv_async_send(&l->async);
  }
}

static void loop_run(cmt__loop *base) {
  cmt__loop_uv *l = loop_uv_of(base);

  CMT_ASSERT(&base->env, !l->running && l->uv == &l->own);
  l->running = true;
  latch(base);
  uv_update_time(l->uv);
  arm(l);
  uv_run(l->uv, UV_RUN_DEFAULT);
  latch(base);
  l->running = false;
}

static void loop_stop(cmt__loop *base) {
  cmt__loop_uv *l = loop_uv_of(base);

  atomic_store(&l->stop, true);
  uv_async_send(&l->async);
}

static bool loop_costly(cmt__loop *base, cmt__costly *c, unsigned threads) {
  cmt__loop_uv *l = loop_uv_of(base);

  if (l->costly_threads == NULL) {
    l->costly_threads = cmt__costly_threads_new(&base->env, threads);
  }
  return l->costly_threads != NULL &&
         cmt__costly_threads_add(l->costly_threads, c);
}

/* Every call comes either from a callback, and the check handle that follows
   reads timers and tasks, or from outside, and the start of the run reads
   them. */
static void loop_rearm(cmt__loop *base) { (void)base; }

static void free_loop(cmt__loop_uv *l) {
  cmt_env env = l->base.env;

  cmt__free(&env, l->read_buffer);
  cmt__loop_fini(&l->base);
  cmt__free(&env, l);
}

static void end_loop(cmt__loop_uv *l) {
  uv_mutex_destroy(&l->mutex);
  free_loop(l);
}

void cmt__uv_hold(cmt__loop *base, size_t count) {
  loop_uv_of(base)->handles += count;
}

void cmt__uv_let_go(cmt__loop *base) {
  cmt__loop_uv *l = loop_uv_of(base);

  CMT_ASSERT(&base->env, l->handles > 0);
  if (--l->handles > 0 || !l->closing) {
    return;
  }
  if (l->deleted) {
    end_loop(l);
  } else if (l->on_closed != NULL) {
    l->on_closed(l->on_closed_arg);
  }
}

static void on_handle_closed(uv_handle_t *handle) {
  cmt__loop_uv *l = handle->data;

  cmt__uv_let_go(&l->base);
}

static void close_handles(cmt__loop_uv *l) {
  l->closing = true;
  cmt__resolver_close(l->resolver);
  l->resolver = NULL;
  cmt__costly_threads_delete(l->costly_threads);
  l->costly_threads = NULL;
  uv_close((uv_handle_t *)&l->prepare, on_handle_closed);
  uv_close((uv_handle_t *)&l->check, on_handle_closed);
  uv_close((uv_handle_t *)&l->idle, on_handle_closed);
  uv_close((uv_handle_t *)&l->timer, on_handle_closed);
  uv_close((uv_handle_t *)&l->async, on_handle_closed);
}

void cmt__loop_uv_close(cmt__loop *base, void (*cb)(void *arg), void *arg) {
  cmt__loop_uv *l = loop_uv_of(base);

  CMT_ASSERT(&base->env, l->uv != &l->own && !l->closing);
  l->on_closed = cb;
  l->on_closed_arg = arg;
  close_handles(l);
}

/* Closed tcps may still wait for libuv to close their handles; the run ends
   then. */
static void drain(cmt__loop_uv *l) {
  int error;

  uv_run(l->uv, UV_RUN_DEFAULT);
  error = uv_loop_close(l->uv);
  CMT_ASSERT(&l->base.env, error == 0 && l->handles == 0);
}

static void loop_delete(cmt__loop *base) {
  cmt__loop_uv *l = loop_uv_of(base);

  CMT_ASSERT(&base->env, !l->running && !l->deleted);
  if (!l->closing) {
    close_handles(l);
  }
  if (l->uv == &l->own) {
    drain(l);
  }
  l->deleted = true;
  if (l->handles == 0) {
    end_loop(l);
  }
}

int cmt__loop_uv_congestion_check(const char *name) {
  return cmt__tcp_kernel_congestion_check(name);
}

static int congestion_check(cmt__loop *l, const char *name) {
  (void)l;
  return cmt__loop_uv_congestion_check(name);
}

static const cmt__loop_ops loop_ops = {
  .run = loop_run,
  .stop = loop_stop,
  .post = loop_post,
  .rearm = loop_rearm,
  .costly = loop_costly,
  .listen = cmt__uv_listen,
  .listener_addr = cmt__uv_listener_addr,
  .listener_dropped = cmt__uv_listener_dropped,
  .listener_close = cmt__uv_listener_close,
  .connect = cmt__uv_connect,
  .tcp_start = cmt__uv_tcp_start,
  .tcp_read = cmt__uv_tcp_read,
  .tcp_write = cmt__uv_tcp_write,
  .tcp_shutdown = cmt__uv_tcp_shutdown,
  .tcp_remote = cmt__uv_tcp_remote,
  .tcp_close = cmt__uv_tcp_close,
  .tcp_info = cmt__uv_tcp_info,
  .tcp_unsent_max = cmt__uv_tcp_unsent_max,
  .tcp_unread = cmt__uv_tcp_unread,
  .tcp_give_up = cmt__uv_tcp_give_up,
  .tcp_congestion = cmt__uv_tcp_congestion,
  .congestion_check = congestion_check,
  .tcp_detach = cmt__uv_tcp_detach,
  .tcp_attach = cmt__uv_tcp_attach,
  .resolve = cmt__uv_resolve,
  .resolve_cancel = cmt__uv_resolve_cancel,
  .delete = loop_delete,
};

/* libuv's errors are those of the system, with a sign. */
static cmt_err err_of_uv(int error) {
  errno = -error;
  return error == UV_ENOMEM ? CMT_ENOMEM : CMT_EIO;
}

/* Only the loop and the async handle need descriptors and so can fail. */
static cmt_err start_uv(cmt__loop_uv *l, uv_loop_t *given) {
  int error;

  cmt__standard_fds_hold();
  if (given == NULL && cmt__fds_left(CMT__LOOP_FDS) < CMT__LOOP_FDS) {
    return CMT_EIO;
  }
  if (uv_mutex_init(&l->mutex) != 0) {
    return CMT_ENOMEM;
  }
  error = given == NULL ? uv_loop_init(&l->own) : 0;
  if (error != 0) {
    uv_mutex_destroy(&l->mutex);
    return err_of_uv(error);
  }
  l->uv = given != NULL ? given : &l->own;
  error = uv_async_init(l->uv, &l->async, on_async);
  if (error != 0) {
    if (given == NULL) {
      (void)uv_loop_close(l->uv);
    }
    uv_mutex_destroy(&l->mutex);
    return err_of_uv(error);
  }
  uv_prepare_init(l->uv, &l->prepare);
  uv_check_init(l->uv, &l->check);
  uv_idle_init(l->uv, &l->idle);
  uv_timer_init(l->uv, &l->timer);
  uv_prepare_start(&l->prepare, on_prepare);
  uv_check_start(&l->check, on_check);
  l->async.data = l;
  l->prepare.data = l;
  l->check.data = l;
  l->idle.data = l;
  l->timer.data = l;
  l->handles = 5;
  return CMT_OK;
}

static cmt_err make_loop(const cmt_env *env, uv_loop_t *given,
                         cmt__loop_uv **out) {
  cmt_env own;
  cmt__loop_uv *l;
  cmt_err err = cmt__env_copy(env, &own);

  if (err != CMT_OK) {
    return err;
  }
  l = cmt__alloc_zero(&own, sizeof *l);
  if (l == NULL) {
    return CMT_ENOMEM;
  }
  err = cmt__loop_init(&l->base, &loop_ops, &own);
  if (err == CMT_OK) {
    l->read_buffer = cmt__alloc(&own, CMT__READ_MAX);
    err = l->read_buffer == NULL ? CMT_ENOMEM : start_uv(l, given);
  }
  if (err != CMT_OK) {
    int error = errno;

    l->base.env = own;
    free_loop(l);
    errno = error;
    return err;
  }
  latch(&l->base);
  l->base.polled_ns = l->base.now_ns;
  *out = l;
  return CMT_OK;
}

cmt_err cmt__loop_uv_new(const cmt_env *env, cmt__loop **out) {
  cmt__loop_uv *l;
  cmt_err err = make_loop(env, NULL, &l);

  if (err == CMT_OK) {
    *out = &l->base;
  }
  return err;
}

cmt_err cmt__loop_uv_new_on(const cmt_env *env, struct uv_loop_s *uv,
                            void (*inside)(bool is_inside), cmt__loop **out) {
  cmt__loop_uv *l;
  cmt_err err = make_loop(env, uv, &l);

  if (err == CMT_OK) {
    l->inside = inside;
    *out = &l->base;
  }
  return err;
}
