/* SPDX-License-Identifier: Apache-2.0 */

/* The loops of a switch, each with its thread: their start, their end, and what
   the application is doing on them.

   The time of inline calls is measured by the coarse clock, which is read from
   memory; a tick of it is a few milliseconds.  A call during which that clock
   steps back took no time. */

#include "switch.h"

#include "net/thread.h"

#include "net/loop_uv.h"

#include <errno.h>
#include <stdio.h>

#define SLOW_NS CMT_MILLISECONDS(100)

/* ---- calls ---- */

static uint64_t coarse_ns(void) {
  struct timespec ts;

  clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
  return CMT_SECONDS(ts.tv_sec) + (uint64_t)ts.tv_nsec;
}

static void call_was_slow(const cmt__lane *lane, const char *who,
                          uint64_t took_ns) {
  unsigned long long ms = took_ns / CMT_MILLISECONDS(1);
  cmt_switch *s = lane->sw;

  cmt__switch_count(s, &s->status.slow_callbacks);
  if (lane->call_channel >= 0) {
    cmt__log(&s->env, CMT_LOG_WARN, "switch",
             "%s held the loop for %llu ms with a message on channel 0x%02x",
             who, ms, (unsigned)lane->call_channel);
  } else {
    cmt__log(&s->env, CMT_LOG_WARN, "switch", "%s held the loop for %llu ms",
             who, ms);
  }
}

void cmt__lane_call_begin(cmt__lane *lane, const char *who, int channel) {
  cmt__assert_unlocked(&lane->sw->env);
  atomic_store_explicit(&lane->calling, who, memory_order_relaxed);
  lane->call_channel = channel;
  lane->call_ns = coarse_ns();
}

void cmt__lane_call_end(cmt__lane *lane) {
  const char *who = atomic_load_explicit(&lane->calling, memory_order_relaxed);
  uint64_t took_ns = cmt__since(coarse_ns(), lane->call_ns);

  if (took_ns > SLOW_NS) {
    call_was_slow(lane, who, took_ns);
  }
  atomic_store_explicit(&lane->calling, NULL, memory_order_relaxed);
}

/* ---- peers ---- */

/* That with the fewest peers; of equals the last, so that the first one, which
   has more to do, comes last. */
unsigned cmt__lane_pick(const cmt_switch *s) {
  unsigned best = 0;

  for (unsigned i = 1; i < s->setup.options.loops; i++) {
    if (s->lanes[i].peers <= s->lanes[best].peers) {
      best = i;
    }
  }
  return best;
}

/* ---- making and starting ---- */

cmt_err cmt__lanes_init(cmt_switch *s, cmt__loop *const *loops) {
  unsigned count = s->setup.options.loops;

  s->lanes = cmt__alloc_zero(&s->env, count * sizeof *s->lanes);
  if (s->lanes == NULL) {
    return CMT_ENOMEM;
  }
  for (unsigned i = 0; i < count; i++) {
    s->lanes[i].sw = s;
    s->lanes[i].loop = loops != NULL ? loops[i] : NULL;
  }
  s->loop = s->lanes[0].loop;
  return CMT_OK;
}

cmt_err cmt__lanes_open(cmt_switch *s, cmt_why *why) {
  for (unsigned i = 0; i < s->setup.options.loops; i++) {
    cmt__lane *lane = &s->lanes[i];
    cmt_err err = CMT_OK;
    char text[160];

    if (lane->loop == NULL) {
      err = cmt__loop_uv_new(&s->env, &lane->loop);
    }
    if (err != CMT_OK) {
      lane->loop = NULL;
      return cmt__why(why, err, CMT_STAGE_TRANSPORT, "cannot make a loop: %s",
                      cmt__loop_fault(err, errno, text, sizeof text));
    }
  }
  s->loop = s->lanes[0].loop;
  return CMT_OK;
}

static void *lane_run(void *arg) {
  cmt__lane *lane = arg;
  cmt_switch *s = lane->sw;

  cmt__thread_set_loop(true);
  cmt__loop_run(lane->loop);
  cmt__thread_set_loop(false);
  cmt__lock(&s->lock);
  s->ended++;
  pthread_cond_signal(&s->ended_cond);
  cmt__unlock(&s->lock);
  return NULL;
}

/* Ends what lies behind the first |from| lanes: nothing happens there yet. */
static void lanes_undo(cmt_switch *s, unsigned from) {
  for (unsigned i = from; i < s->setup.options.loops; i++) {
    cmt__loop_stop(s->lanes[i].loop);
    pthread_join(s->lanes[i].thread, NULL);
  }
}

/* The thread of the first loop is the last to start, since it is what makes the
   others work. */
cmt_err cmt__lanes_start(cmt_switch *s, cmt_why *why) {
  unsigned left = s->setup.options.loops;
  cmt_err err = CMT_OK;

  if (s->borrowed || s->on_caller) {
    return CMT_OK;
  }
  while (err == CMT_OK && left > 0) {
    cmt__lane *lane = &s->lanes[left - 1];

    err = cmt__thread_start(&lane->thread, lane_run, lane,
                            "the thread of the loop", why);
    left -= err == CMT_OK;
  }
  if (err != CMT_OK) {
    lanes_undo(s, left);
    return err;
  }
  s->has_thread = true;
  return CMT_OK;
}

/* ---- the end ---- */

void cmt__lanes_stop(cmt_switch *s) {
  for (unsigned i = 0; i < s->setup.options.loops; i++) {
    cmt__loop_stop(s->lanes[i].loop);
  }
}

static const char *lanes_calling(const cmt_switch *s) {
  const char *who = NULL;

  for (unsigned i = 0; i < s->setup.options.loops && who == NULL; i++) {
    who = atomic_load_explicit(&s->lanes[i].calling, memory_order_relaxed);
  }
  return who;
}

static void lanes_report(cmt_switch *s) {
  const char *who = lanes_calling(s);
  const char *queued = cmt__delivery_waits_for(s);

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

void cmt__lanes_join(cmt_switch *s) {
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
      lanes_report(s);
      cmt__lock(&s->lock);
    }
  }
  cmt__unlock(&s->lock);
  for (unsigned i = 0; i < count; i++) {
    pthread_join(s->lanes[i].thread, NULL);
  }
}

void cmt__lanes_fini(cmt_switch *s) {
  for (unsigned i = 0; s->lanes != NULL && i < s->setup.options.loops; i++) {
    if (s->lanes[i].loop != NULL && !s->borrowed) {
      cmt__loop_delete(s->lanes[i].loop);
    }
  }
  cmt__free(&s->env, s->lanes);
}
