/* SPDX-License-Identifier: Apache-2.0 */
#include "callback_timer.h"

#include "sys/clock.h"

#define SLOW_NS CMT_MILLISECONDS(100)

static void log_slow(const cmt__callback_timer *t, const char *who,
                     uint64_t took_ns) {
  unsigned long long ms = took_ns / CMT_MILLISECONDS(1);

  if (t->channel >= 0) {
    cmt__log(t->env, CMT_LOG_WARN, "switch",
             "%s blocked the loop for %llu ms with a message on channel 0x%02x",
             who, ms, (unsigned)t->channel);
  } else {
    cmt__log(t->env, CMT_LOG_WARN, "switch", "%s blocked the loop for %llu ms",
             who, ms);
  }
}

void cmt__callback_begin(cmt__callback_timer *t, const char *who, int channel) {
  cmt__assert_unlocked(t->env);
  atomic_store_explicit(&t->running, who, memory_order_relaxed);
  t->channel = channel;
  t->began_ns = cmt__clock_coarse_ns();
}

void cmt__callback_end(cmt__callback_timer *t) {
  const char *who = cmt__callback_running(t);
  uint64_t took_ns = cmt__since(cmt__clock_coarse_ns(), t->began_ns);

  if (took_ns > SLOW_NS) {
    t->on_slow(t->arg);
    log_slow(t, who, took_ns);
  }
  atomic_store_explicit(&t->running, NULL, memory_order_relaxed);
}

const char *cmt__callback_running(const cmt__callback_timer *t) {
  return atomic_load_explicit(&t->running, memory_order_relaxed);
}
