/* SPDX-License-Identifier: Apache-2.0 */

/* Who runs costly calls: the loop those within its rate, threads and other
   loops those over it, each a few at one time. */

#include "net/loop.h"

#include "loop_double.h"
#include "test.h"

#include <stdlib.h>

enum { THREADS = 2, ROOM = THREADS * CMT__HELPER_CALLS, LETTERS = 26 };

/* Notes a small letter when it runs, and the capital when it is done. */
typedef struct call {
  cmt__costly costly;
  char letter;
} call;

typedef struct fixture {
  test_env env;
  test_loop *loop, *other;
  call calls[LETTERS];
} fixture;

static void on_run(cmt__costly *c) { test_note(((call *)c)->letter); }

static void on_done(cmt__costly *c) {
  test_note((char)(((call *)c)->letter + 'A' - 'a'));
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_env_init(&f->env);
  f->loop = test_loop_new(&f->env.env);
  f->other = test_loop_new_beside(f->loop);
  for (size_t i = 0; i < LETTERS; i++) {
    f->calls[i] = (call){.costly = {.run = on_run, .done = on_done},
                         .letter = (char)('a' + i)};
  }
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  cmt__loop_delete(test_loop_base(f->other));
  cmt__loop_delete(test_loop_base(f->loop));
  test_env_fini(&f->env);
  free(f);
  return 0;
}

/* |within| calls at once are within the rate. */
static void help(fixture *f, size_t loops, unsigned threads, uint64_t within) {
  cmt__loop *other = test_loop_base(f->other);

  assert_cmt(CMT_OK,
             cmt__loop_set_help(test_loop_base(f->loop),
                                &(cmt__help_options){
                                  .loops = &other,
                                  .loop_count = loops,
                                  .threads = threads,
                                  .rate = within > 1 ? 10 * (within - 1) : 1}));
  test_loop_set_threads(f->loop, threads);
}

static void defer(fixture *f, size_t first, size_t count) {
  for (size_t i = first; i < first + count; i++) {
    cmt__loop_defer_costly(test_loop_base(f->loop), &f->calls[i].costly);
    cmt__loop_defer_costly(test_loop_base(f->loop), &f->calls[i].costly);
  }
}

static void without_helpers_the_loop_runs_all(void **state) {
  fixture *f = *state;

  help(f, 0, 0, 1);
  defer(f, 0, 3);
  test_loop_run_until_idle(f->loop);
  test_assert_trace("aAbBcC");
}

static void the_loop_keeps_what_is_within_the_rate(void **state) {
  fixture *f = *state;

  help(f, 0, THREADS, 3);
  test_loop_hold_calls(f->loop, true);
  defer(f, 0, 5);
  assert_int_equal(2, test_loop_calls_held(f->loop));
  test_loop_run_until_idle(f->loop);
  test_assert_trace("aAbBcC");
  test_loop_hold_calls(f->loop, false);
  test_loop_run_until_idle(f->loop);
  test_assert_trace("dDeE");
  test_loop_advance(f->loop, CMT_SECONDS(1));
  test_loop_hold_calls(f->loop, true);
  defer(f, 0, 4);
  assert_int_equal(1, test_loop_calls_held(f->loop));
  test_loop_hold_calls(f->loop, false);
  test_loop_run_until_idle(f->loop);
  test_assert_trace("dDaAbBcC");
}

/* What they have no room for waits at home in its order, and the thread that
   has room gets the first behind the one that the loop runs. */
static void threads_have_a_few_and_then_what_waits(void **state) {
  fixture *f = *state;

  help(f, 0, THREADS, 1);
  test_loop_hold_calls(f->loop, true);
  defer(f, 0, 1 + ROOM + 4);
  assert_int_equal(ROOM, test_loop_calls_held(f->loop));
  test_loop_step(f->loop);
  test_loop_step(f->loop);
  test_assert_trace("aAjJ"); /* One in each iteration. */
  test_loop_hold_calls(f->loop, false);
  test_loop_step(f->loop);
  test_assert_trace("bBkK"); /* The threads have l now. */
  test_loop_run_until_idle(f->loop);
  test_assert_trace("cCmMdDeEfFgGhHiIlL");
}

static void another_loop_runs_one_in_an_iteration(void **state) {
  fixture *f = *state;

  help(f, 1, 0, 1);
  defer(f, 0, 3);
  test_loop_step_one(f->other);
  test_assert_trace("b");
  test_loop_step_one(f->other);
  test_assert_trace("c");
  test_loop_step_one(f->other);
  test_assert_trace("");
  test_loop_step_one(f->loop);
  test_assert_trace("BCaA");
}

static void whoever_has_the_fewest_gets_the_next(void **state) {
  fixture *f = *state;

  help(f, 1, 1, 1);
  test_loop_hold_calls(f->loop, true);
  defer(f, 0, 1 + 2 * CMT__HELPER_CALLS);
  assert_int_equal(CMT__HELPER_CALLS, test_loop_calls_held(f->loop));
  for (size_t i = 0; i < CMT__HELPER_CALLS; i++) {
    test_loop_step_one(f->other);
  }
  test_assert_trace("bdfh");
  test_loop_hold_calls(f->loop, false);
  test_loop_run_until_idle(f->loop);
  test_assert_trace("cBDFHCaAeEgGiI");
}

/* To wake a thread would take longer. */
static void the_loop_keeps_what_need_not_wait(void **state) {
  fixture *f = *state;

  help(f, 0, THREADS, 1);
  test_loop_hold_calls(f->loop, true);
  for (size_t i = 0; i < 4; i++) {
    defer(f, i, 1);
    test_loop_step(f->loop);
  }
  test_assert_trace("aAbBcCdD");
  assert_int_equal(0, test_loop_calls_held(f->loop));
}

static void only_what_nobody_has_can_be_cancelled(void **state) {
  fixture *f = *state;
  cmt__loop *l = test_loop_base(f->loop);

  help(f, 0, THREADS, 1);
  test_loop_hold_calls(f->loop, true);
  defer(f, 0, 2);
  assert_true(cmt__loop_cancel_costly(l, &f->calls[0].costly));
  assert_false(cmt__loop_cancel_costly(l, &f->calls[1].costly));
  test_loop_run_until_idle(f->loop);
  test_assert_trace("");
  test_loop_hold_calls(f->loop, false);
  test_loop_run_until_idle(f->loop);
  test_assert_trace("bB");
  assert_true(cmt__loop_cancel_costly(l, &f->calls[1].costly));
}

static void a_thread_that_cannot_start_is_not_asked_again(void **state) {
  fixture *f = *state;

  help(f, 0, THREADS, 1);
  test_loop_set_threads(f->loop, 0);
  defer(f, 0, 3);
  test_loop_set_threads(f->loop, THREADS);
  test_loop_hold_calls(f->loop, true);
  defer(f, 3, 1);
  assert_int_equal(0, test_loop_calls_held(f->loop));
  test_loop_run_until_idle(f->loop);
  test_assert_trace("aAbBcCdD");
}

static void without_memory_there_are_no_helpers(void **state) {
  fixture *f = *state;

  f->env.fail_at = f->env.allocs;
  assert_cmt(CMT_ENOMEM,
             cmt__loop_set_help(test_loop_base(f->loop),
                                &(cmt__help_options){.threads = 1, .rate = 1}));
  defer(f, 0, 2);
  test_loop_run_until_idle(f->loop);
  test_assert_trace("aAbB");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(without_helpers_the_loop_runs_all),
    TEST(the_loop_keeps_what_is_within_the_rate),
    TEST(threads_have_a_few_and_then_what_waits),
    TEST(another_loop_runs_one_in_an_iteration),
    TEST(whoever_has_the_fewest_gets_the_next),
    TEST(the_loop_keeps_what_need_not_wait),
    TEST(only_what_nobody_has_can_be_cancelled),
    TEST(a_thread_that_cannot_start_is_not_asked_again),
    TEST(without_memory_there_are_no_helpers),
  };
#undef TEST

  return cmocka_run_group_tests_name("costly", tests, NULL, NULL);
}
