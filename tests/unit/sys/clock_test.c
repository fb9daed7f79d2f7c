/* SPDX-License-Identifier: Apache-2.0 */
/* A system whose clocks step back: this program has a clock_gettime() of its
   own, which the library and libuv call. */
#include "net/uv/loop_uv.h"
#include "reactor/callback_timer.h"
#include "test.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t back_ns; /* How far the clocks were set back. */

int clock_gettime(clockid_t clock, struct timespec *out) {
  long result = syscall(SYS_clock_gettime, clock, out);
  uint64_t now_ns = CMT_SECONDS(out->tv_sec) + (uint64_t)out->tv_nsec;

  now_ns = cmt__since(now_ns, back_ns);
  out->tv_sec = (time_t)(now_ns / CMT_SECONDS(1));
  out->tv_nsec = (long)(now_ns % CMT_SECONDS(1));
  return (int)result;
}

static void count_log(void *arg, cmt_log_level level, const char *module,
                      const char *text) {
  (void)level;
  (void)module;
  (void)text;
  (*(int *)arg)++;
}

static void count_slow(void *arg) { (*(int *)arg)++; }

static void a_call_across_a_step_back_took_no_time(void **state) {
  int lines = 0, slow = 0;
  const cmt_env env = {.log = count_log, .log_arg = &lines};
  cmt__callback_timer t = {.env = &env, .on_slow = count_slow, .arg = &slow};

  (void)state;
  for (uint64_t step_ns = 1; step_ns < CMT_SECONDS(10000); step_ns *= 10) {
    back_ns = 0;
    cmt__callback_begin(&t, "test", 7);
    back_ns = step_ns;
    cmt__callback_end(&t);
  }
  back_ns = CMT_SECONDS(1);
  cmt__callback_begin(&t, "test", 7);
  assert_string_equal("test", cmt__callback_running(&t));
  back_ns = 0; /* A clock that is set forward shows a slow call. */
  cmt__callback_end(&t);
  assert_null(cmt__callback_running(&t));
  assert_int_equal(1, lines);
  assert_int_equal(1, slow);
}

typedef struct ticks {
  cmt__timer timer;
  cmt__loop *loop;
  uint64_t last_ns;
  int left;
} ticks;

static void on_tick(cmt__timer *t) {
  ticks *x = (ticks *)t;
  uint64_t now_ns = cmt__loop_now(x->loop);

  assert_true(now_ns >= x->last_ns && now_ns >= t->at_ns);
  x->last_ns = now_ns;
  back_ns = CMT_MILLISECONDS(x->left % 2);
  if (--x->left == 0) {
    cmt__loop_stop(x->loop);
  } else {
    cmt__loop_timer(x->loop, t, now_ns + CMT_MILLISECONDS(1));
  }
}

static void a_loop_goes_on_from_the_latest(void **state) {
  ticks x = {.timer = {.cb = on_tick}, .left = 20};

  (void)state;
  back_ns = 0;
  assert_cmt(CMT_OK, cmt__loop_uv_new(NULL, &x.loop));
  assert_cmt(CMT_OK, cmt__loop_reserve_timers(x.loop, 1));
  x.last_ns = cmt__loop_now(x.loop);
  cmt__loop_timer(x.loop, &x.timer, x.last_ns + 1);
  back_ns = CMT_MILLISECONDS(2);
  cmt__loop_run(x.loop);
  assert_int_equal(0, x.left);
  cmt__loop_delete(x.loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_call_across_a_step_back_took_no_time),
    cmocka_unit_test(a_loop_goes_on_from_the_latest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
