/* SPDX-License-Identifier: Apache-2.0 */

/* The loops of a switch, each with its thread: their start and their end. */

#include "loops.h"

#include "sys/processors.h"
#include "sys/thread.h"

#include "core/secret/secret_conn.h"
#include "net/uv/loop_uv.h"

#include <errno.h>
#include <stdio.h>

enum { THREADS_DEFAULT_MAX = 4 }; /* For handshakes. */

/* ---- peers ---- */

/* The loop with the fewest peers; ties go to the highest index, because loop 0
   also listens, dials and does handshakes. */
unsigned cmt__loops_pick(const cmt_switch *s) {
  unsigned best = 0;

  for (unsigned i = 1; i < s->setup.options.loops; i++) {
    if (s->threads[i].peers <= s->threads[best].peers) {
      best = i;
    }
  }
  return best;
}

/* ---- making ---- */

static void count_slow(void *arg) {
  cmt_switch *s = arg;

  cmt__switch_count(s, &s->status.slow_callbacks);
}

cmt_err cmt__loops_init(cmt_switch *s, cmt__loop *const *loops) {
  unsigned count = s->setup.options.loops;

  s->threads = cmt__alloc_zero(&s->env, count * sizeof *s->threads);
  if (s->threads == NULL) {
    return CMT_ENOMEM;
  }
  for (unsigned i = 0; i < count; i++) {
    cmt__loop_thread *t = &s->threads[i];

    t->sw = s;
    t->delivery.delivery = &s->delivery;
    t->delivery.loop = loops != NULL ? loops[i] : NULL;
    t->delivery.callbacks =
      (cmt__callback_timer){.env = &s->env, .on_slow = count_slow, .arg = s};
  }
  s->loop = s->threads[0].delivery.loop;
  return CMT_OK;
}

/* ---- who helps the first loop ---- */

/* Other work has half of the other processors. */
static unsigned threads_default(const cmt_switch *s) {
  unsigned count = cmt__processors();

  return s->borrowed || count < 2
           ? 0
           : (unsigned)cmt__min((count - 1) / 2, THREADS_DEFAULT_MAX);
}

/* The threads; 0 when it is the other loops, if there are any. */
static unsigned help_threads(const cmt_switch *s) {
  uint32_t asked = s->setup.options.handshake_threads;

  if (asked == CMT_NO_HANDSHAKE_THREADS) {
    return 0;
  }
  return asked > 0 || s->setup.options.loops > 1 ? asked : threads_default(s);
}

static size_t help_loops(const cmt_switch *s) {
  return s->setup.options.handshake_threads == 0 ? s->setup.options.loops - 1
                                                 : 0;
}

size_t cmt__loops_help_max(const cmt_switch *s) {
  return (help_threads(s) + help_loops(s)) * CMT__HELPER_CALLS;
}

/* Lets others run the public-key operations of handshakes. */
static cmt_err help_set(cmt_switch *s, cmt_why *why) {
  cmt__loop *loops[CMT_LOOPS_MAX];
  const cmt__help_options o = {
    .loops = loops,
    .loop_count = help_loops(s),
    .threads = help_threads(s),
    .rate = (uint64_t)s->setup.options.handshake_offload_rate *
            CMT__SECRET_OPERATIONS,
  };

  for (size_t i = 0; i < o.loop_count; i++) {
    loops[i] = s->threads[i + 1].delivery.loop;
  }
  return cmt__loop_set_help(s->loop, &o) == CMT_OK
           ? CMT_OK
           : cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
}

/* ---- starting ---- */

cmt_err cmt__loops_open(cmt_switch *s, cmt_why *why) {
  for (unsigned i = 0; i < s->setup.options.loops; i++) {
    cmt__loop_thread *t = &s->threads[i];
    cmt_err err = CMT_OK;
    char text[160];

    if (t->delivery.loop == NULL) {
      err = cmt__loop_uv_new(&s->env, &t->delivery.loop);
    }
    if (err != CMT_OK) {
      t->delivery.loop = NULL;
      return cmt__why(why, err, CMT_STAGE_TRANSPORT, "cannot make a loop: %s",
                      cmt__loop_fault(err, errno, text, sizeof text));
    }
  }
  s->loop = s->threads[0].delivery.loop;
  return help_set(s, why);
}

static void *thread_run(void *arg) {
  cmt__loop_thread *t = arg;
  cmt_switch *s = t->sw;

  cmt__thread_set_loop(true);
  cmt__loop_run(t->delivery.loop);
  cmt__lock(&s->lock);
  s->ended++;
  pthread_cond_signal(&s->ended_cond);
  cmt__unlock(&s->lock);
  return NULL;
}

/* Ends what lies behind the first |from| threads: nothing happens there yet. */
static void threads_undo(cmt_switch *s, unsigned from) {
  for (unsigned i = from; i < s->setup.options.loops; i++) {
    cmt__loop_stop(s->threads[i].delivery.loop);
    pthread_join(s->threads[i].thread, NULL);
  }
}

/* The thread of the first loop is the last to start, since it is what makes the
   others work. */
cmt_err cmt__loops_start(cmt_switch *s, cmt_why *why) {
  unsigned left = s->setup.options.loops;
  cmt_err err = CMT_OK;

  if (s->borrowed || s->on_caller) {
    return CMT_OK;
  }
  while (err == CMT_OK && left > 0) {
    cmt__loop_thread *t = &s->threads[left - 1];

    err = cmt__thread_start(&t->thread, thread_run, t, "the thread of the loop",
                            why);
    left -= err == CMT_OK;
  }
  if (err != CMT_OK) {
    threads_undo(s, left);
    return err;
  }
  s->has_thread = true;
  return CMT_OK;
}

/* ---- the end ---- */

void cmt__loops_stop(cmt_switch *s) {
  for (unsigned i = 0; i < s->setup.options.loops; i++) {
    cmt__loop_stop(s->threads[i].delivery.loop);
  }
}

static const char *callback_running(const cmt_switch *s) {
  const char *who = NULL;

  for (unsigned i = 0; i < s->setup.options.loops && who == NULL; i++) {
    who = cmt__callback_running(&s->threads[i].delivery.callbacks);
  }
  return who;
}

static void report(cmt_switch *s) {
  const char *who = callback_running(s);
  const char *queued = cmt__delivery_waits_for(&s->delivery);

  if (who == NULL && queued != NULL) {
    cmt__log(&s->env, CMT_LOG_WARN, "switch",
             "the deletion waits for reactor %s to take its events", queued);
  } else if (who != NULL) {
    cmt__log(&s->env, CMT_LOG_WARN, "switch",
             "the deletion waits for %s to return", who);
  } else {
    cmt__log(&s->env, CMT_LOG_WARN, "switch",
             "the deletion waits for %zu peers to end",
             cmt__peer_set_snapshot(&s->peers, NULL, 0));
  }
}

void cmt__loops_await_events(cmt_switch *s) {
  while (!cmt__delivery_drain(&s->delivery, s->report_ns)) {
    report(s);
  }
}

void cmt__loops_join(cmt_switch *s) {
  unsigned count = s->setup.options.loops;

  cmt__lock(&s->lock);
  while (s->ended < count) {
    struct timespec at = cmt__cond_deadline(s->report_ns);
    int error = 0;

    while (s->ended < count && error != ETIMEDOUT) {
      error = pthread_cond_timedwait(&s->ended_cond, &s->lock, &at);
    }
    if (s->ended < count) {
      cmt__unlock(&s->lock);
      report(s);
      cmt__lock(&s->lock);
    }
  }
  cmt__unlock(&s->lock);
  for (unsigned i = 0; i < count; i++) {
    pthread_join(s->threads[i].thread, NULL);
  }
}

void cmt__loops_fini(cmt_switch *s) {
  for (unsigned i = 0; s->threads != NULL && i < s->setup.options.loops; i++) {
    if (s->threads[i].delivery.loop != NULL && !s->borrowed) {
      cmt__loop_delete(s->threads[i].delivery.loop);
    }
  }
  cmt__free(&s->env, s->threads);
}
