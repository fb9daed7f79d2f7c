/* SPDX-License-Identifier: Apache-2.0 */

/* What all loops have in common, under an implementation that does nothing. */

#include "net/loop.h"

#include "test.h"

static size_t rearms;

static void count_rearm(cmt__loop *l) {
  (void)l;
  rearms++;
}

static const cmt__loop_ops ops = {.rearm = count_rearm};

static int init(void **state) {
  static cmt__loop loop;

  assert_cmt(CMT_OK, cmt__loop_init(&loop, &ops, NULL));
  rearms = 0;
  *state = &loop;
  return 0;
}

static int fini(void **state) {
  cmt__loop_fini(*state);
  return 0;
}

/* Timers and tasks write their letter, and may do one thing more. */
typedef struct alert {
  cmt__timer timer;
  cmt__loop *loop;
  char letter;
  struct alert *sets; /* At |sets_ns|. */
  uint64_t sets_ns;
} alert;

static void on_alert(cmt__timer *t) {
  alert *a = (alert *)t;

  test_note(a->letter);
  assert_int_equal(0, t->slot);
  if (a->sets != NULL) {
    cmt__loop_timer(a->loop, &a->sets->timer, a->sets_ns);
  }
}

static alert alert_of(cmt__loop *l, char letter) {
  return (alert){.timer = {.cb = on_alert}, .loop = l, .letter = letter};
}

static void run_at(cmt__loop *l, uint64_t now_ns) {
  l->now_ns = now_ns;
  cmt__loop_run_timers(l);
}

static void timers_run_when_due_the_earliest_first(void **state) {
  cmt__loop *l = *state;
  alert a = alert_of(l, 'a'), b = alert_of(l, 'b'), c = alert_of(l, 'c');

  assert_cmt(CMT_OK, cmt__loop_reserve_timers(l, 3));
  assert_true(cmt__loop_next_timer(l) == CMT_NEVER);
  cmt__loop_timer(l, &c.timer, 30);
  cmt__loop_timer(l, &a.timer, 10);
  cmt__loop_timer(l, &b.timer, 20);
  assert_int_equal(10, cmt__loop_next_timer(l));
  run_at(l, 9);
  test_assert_trace("");
  run_at(l, 10);
  test_assert_trace("a");
  run_at(l, 30);
  test_assert_trace("bc");
  assert_true(cmt__loop_next_timer(l) == CMT_NEVER);
}

static void a_timer_can_be_moved_and_stopped(void **state) {
  cmt__loop *l = *state;
  alert a = alert_of(l, 'a'), b = alert_of(l, 'b');

  assert_cmt(CMT_OK, cmt__loop_reserve_timers(l, 2));
  cmt__loop_timer(l, &a.timer, 10);
  cmt__loop_timer(l, &b.timer, 20);
  cmt__loop_timer(l, &a.timer, 30);
  run_at(l, 30);
  test_assert_trace("ba");
  cmt__loop_timer(l, &a.timer, 40);
  cmt__loop_timer(l, &a.timer, CMT_NEVER);
  cmt__loop_timer(l, &a.timer, CMT_NEVER);
  assert_int_equal(0, a.timer.slot);
  run_at(l, 100);
  test_assert_trace("");
}

/* To the instant that it has it may be set at any time, and once it has run
   that is one time more, wherever it stood. */
static void a_timer_can_be_set_to_its_instant_again(void **state) {
  cmt__loop *l = *state;
  alert a = alert_of(l, 'a'), b = alert_of(l, 'b');

  assert_cmt(CMT_OK, cmt__loop_reserve_timers(l, 2));
  for (int i = 0; i < 2; i++) {
    cmt__loop_timer(l, &a.timer, 10);
    cmt__loop_timer(l, &b.timer, 10);
  }
  run_at(l, 10);
  test_assert_trace("ab");
  cmt__loop_timer(l, &b.timer, 10);
  cmt__loop_timer(l, &a.timer, 10);
  assert_int_equal(10, cmt__loop_next_timer(l));
  run_at(l, 10);
  test_assert_trace("ba");
  run_at(l, 10);
  test_assert_trace("");
}

static void a_callback_can_stop_and_set_timers(void **state) {
  cmt__loop *l = *state;
  alert a = alert_of(l, 'a'), b = alert_of(l, 'b'), c = alert_of(l, 'c');

  assert_cmt(CMT_OK, cmt__loop_reserve_timers(l, 3));
  a.sets = &b;
  a.sets_ns = CMT_NEVER;
  c.sets = &c;
  c.sets_ns = 30;
  cmt__loop_timer(l, &a.timer, 10);
  cmt__loop_timer(l, &b.timer, 11);
  cmt__loop_timer(l, &c.timer, 12);
  run_at(l, 20);
  test_assert_trace("ac");
  assert_int_equal(30, cmt__loop_next_timer(l));
}

static void a_timer_that_is_always_due_does_not_hold_the_loop(void **state) {
  cmt__loop *l = *state;
  alert a = alert_of(l, 'a'), b = alert_of(l, 'b');

  assert_cmt(CMT_OK, cmt__loop_reserve_timers(l, 2));
  a.sets = &a;
  a.sets_ns = 10;
  cmt__loop_timer(l, &a.timer, 9);
  cmt__loop_timer(l, &b.timer, 9);
  run_at(l, 10);
  test_assert_trace("ab");
  run_at(l, 10);
  test_assert_trace("a");
  assert_int_equal(10, cmt__loop_next_timer(l));
}

static void the_loop_is_reported_when_the_earliest_timer_changes(void **state) {
  cmt__loop *l = *state;
  alert a = alert_of(l, 'a'), b = alert_of(l, 'b');

  assert_cmt(CMT_OK, cmt__loop_reserve_timers(l, 2));
  cmt__loop_timer(l, &a.timer, 20);
  assert_int_equal(1, rearms);
  cmt__loop_timer(l, &b.timer, 30);
  assert_int_equal(1, rearms);
  cmt__loop_timer(l, &b.timer, 10);
  assert_int_equal(2, rearms);
  cmt__loop_timer(l, &a.timer, CMT_NEVER);
  assert_int_equal(2, rearms);
  cmt__loop_timer(l, &b.timer, CMT_NEVER);
  assert_int_equal(3, rearms);
}

enum { MODEL = 61 };

static uint64_t model_earliest(const alert *alerts) {
  uint64_t at_ns = CMT_NEVER;

  for (size_t i = 0; i < MODEL; i++) {
    if (alerts[i].timer.slot != 0) {
      at_ns = cmt__min64(at_ns, alerts[i].timer.at_ns);
    }
  }
  return at_ns;
}

static void the_heap_agrees_with_a_plain_search(void **state) {
  cmt__loop *l = *state;
  alert alerts[MODEL];
  uint64_t seed = 7;

  assert_cmt(CMT_OK, cmt__loop_reserve_timers(l, MODEL));
  for (size_t i = 0; i < MODEL; i++) {
    alerts[i] = alert_of(l, 'x');
  }
  for (int step = 0; step < 20000; step++) {
    uint64_t at_ns;
    size_t which;

    seed = seed * UINT64_C(6364136223846793005) + 1;
    which = (size_t)(seed >> 33) % MODEL;
    at_ns = (seed >> 20) % 8 == 0 ? CMT_NEVER : (seed >> 40) % 100;
    cmt__loop_timer(l, &alerts[which].timer, at_ns);
    assert_int_equal(model_earliest(alerts), cmt__loop_next_timer(l));
  }
}

static void a_failed_reserve_changes_nothing(void **state) {
  cmt__loop loop;
  test_env env;
  alert a = alert_of(&loop, 'a');

  (void)state;
  test_env_init(&env);
  assert_cmt(CMT_OK, cmt__loop_init(&loop, &ops, &env.env));
  memset(loop.scratch, 1, CMT__SCRATCH);
  assert_cmt(CMT_OK, cmt__loop_reserve_timers(&loop, 1));
  cmt__loop_timer(&loop, &a.timer, 10);
  env.fail_at = env.allocs;
  assert_cmt(CMT_ENOMEM, cmt__loop_reserve_timers(&loop, 1000));
  run_at(&loop, 10);
  test_assert_trace("a");
  assert_cmt(CMT_OK, cmt__loop_reserve_timers(&loop, 1000));
  cmt__loop_fini(&loop);
  env.fail_at = env.allocs;
  assert_cmt(CMT_ENOMEM, cmt__loop_init(&loop, &ops, &env.env));
  cmt__loop_fini(&loop);
  test_env_fini(&env);
}

static void room_for_timers_adds_up_and_can_be_given_back(void **state) {
  cmt__loop loop;
  test_env env;
  alert alerts[9];
  size_t allocs;

  (void)state;
  test_env_init(&env);
  assert_cmt(CMT_OK, cmt__loop_init(&loop, &ops, &env.env));
  for (uint64_t i = 0; i < 9; i++) {
    assert_cmt(CMT_OK, cmt__loop_reserve_timers(&loop, 1));
    alerts[i] = alert_of(&loop, 'x');
    cmt__loop_timer(&loop, &alerts[i].timer, 10 + i);
  }
  run_at(&loop, 20);
  test_assert_trace("xxxxxxxxx");
  cmt__loop_release_timers(&loop, 9);
  allocs = env.allocs;
  assert_cmt(CMT_OK, cmt__loop_reserve_timers(&loop, 9));
  assert_int_equal(allocs, env.allocs);
  cmt__loop_fini(&loop);
  test_env_fini(&env);
}

typedef struct chore {
  cmt__task task;
  cmt__loop *loop;
  char letter;
  struct chore *marks, *cancels;
} chore;

static void on_chore(cmt__task *t) {
  chore *c = (chore *)t;

  test_note(c->letter);
  assert_null(t->next);
  if (c->marks != NULL) {
    cmt__loop_defer(c->loop, &c->marks->task);
  }
  if (c->cancels != NULL) {
    cmt__loop_defer_cancel(c->loop, &c->cancels->task);
  }
}

static chore chore_of(cmt__loop *l, char letter) {
  return (chore){.task = {.cb = on_chore}, .loop = l, .letter = letter};
}

static void tasks_run_once_in_the_order_of_their_defers(void **state) {
  cmt__loop *l = *state;
  chore a = chore_of(l, 'a'), b = chore_of(l, 'b');

  assert_false(cmt__loop_run_tasks(l));
  cmt__loop_defer(l, &b.task);
  assert_int_equal(1, rearms);
  cmt__loop_defer(l, &a.task);
  cmt__loop_defer(l, &b.task);
  assert_int_equal(1, rearms);
  assert_false(cmt__loop_run_tasks(l));
  test_assert_trace("ba");
  assert_false(cmt__loop_run_tasks(l));
  test_assert_trace("");
}

static void a_task_deferred_by_a_task_comes_in_the_next(void **state) {
  cmt__loop *l = *state;
  chore a = chore_of(l, 'a'), b = chore_of(l, 'b');

  a.marks = &a;
  cmt__loop_defer(l, &a.task);
  cmt__loop_defer(l, &b.task);
  assert_true(cmt__loop_run_tasks(l));
  test_assert_trace("ab");
  a.marks = NULL;
  assert_false(cmt__loop_run_tasks(l));
  test_assert_trace("a");
}

static void a_cancelled_task_does_not_run(void **state) {
  cmt__loop *l = *state;
  chore a = chore_of(l, 'a'), b = chore_of(l, 'b'), c = chore_of(l, 'c');

  cmt__loop_defer_cancel(l, &a.task);
  cmt__loop_defer(l, &c.task);
  cmt__loop_defer_cancel(l, &c.task);
  a.cancels = &b;
  cmt__loop_defer(l, &a.task);
  cmt__loop_defer(l, &b.task);
  assert_false(cmt__loop_run_tasks(l));
  test_assert_trace("a");
}

/* ---- costly calls ---- */

typedef struct job {
  cmt__costly costly;
  char letter;
  bool again;
} job;

static void on_run(cmt__costly *c) { test_note(((job *)c)->letter); }

static void on_done(cmt__costly *c) {
  job *j = (job *)c;

  test_note('.');
  if (j->again) {
    j->again = false;
    cmt__loop_defer_costly(c->home, c);
  }
}

static job job_of(char letter, bool again) {
  return (job){.costly = {.run = on_run, .done = on_done},
               .letter = letter,
               .again = again};
}

static void costly_calls_run_one_in_an_iteration(void **state) {
  static const char *const traces[] = {"a.", "b.", "c.", "a.", ""};
  cmt__loop *l = *state;
  job jobs[] = {job_of('a', true), job_of('b', false), job_of('c', false)};

  for (size_t i = 0; i < CMT__COUNT(jobs); i++) {
    cmt__loop_defer_costly(l, &jobs[i].costly);
    cmt__loop_defer_costly(l, &jobs[i].costly); /* It is due already. */
  }
  for (size_t i = 0; i < CMT__COUNT(traces); i++) {
    assert_int_equal(i < 3, cmt__loop_run_tasks(l));
    test_assert_trace(traces[i]);
  }
}

static void a_costly_call_can_be_cancelled(void **state) {
  cmt__loop *l = *state;
  job a = job_of('a', false), b = job_of('b', false);

  cmt__loop_defer_costly(l, &a.costly);
  cmt__loop_defer_costly(l, &b.costly);
  assert_true(cmt__loop_cancel_costly(l, &a.costly));
  (void)cmt__loop_run_tasks(l);
  test_assert_trace("b.");
  cmt__loop_defer_costly(l, &a.costly);
  assert_true(cmt__loop_cancel_costly(l, &a.costly));
  assert_true(cmt__loop_cancel_costly(l, &a.costly)); /* It is not due. */
  assert_false(cmt__loop_run_tasks(l));
  test_assert_trace("");
}

/* ---- behind the tasks ---- */

/* Makes |last| due, and cancels |cancels| again. */
typedef struct lasting {
  cmt__task task;
  cmt__loop *loop;
  cmt__last last, *cancels;
  char letter;
} lasting;

static void on_last(cmt__loop *l) {
  cmt__last *t;

  test_note('(');
  for (int i = 0; i < 2 && (t = cmt__loop_take_last(l)) != NULL; i++) {
    assert_null(t->next);
    test_note(((lasting *)((char *)t - offsetof(lasting, last)))->letter);
  }
  test_note(')');
}

static void on_lasting(cmt__task *t) {
  lasting *x = (lasting *)t;

  test_note(cmt__loop_has_others(x->loop) ? '.' : '!');
  cmt__loop_defer_last(x->loop, &x->last, on_last);
  if (x->cancels != NULL) {
    cmt__loop_cancel_last(x->loop, x->cancels);
  }
}

/* Up to two at a time, as their callback takes them. */
static void what_is_last_comes_together_behind_the_tasks(void **state) {
  cmt__loop *l = *state;
  lasting x[3];

  assert_null(cmt__loop_take_last(l));
  for (size_t i = 0; i < CMT__COUNT(x); i++) {
    x[i] = (lasting){
      .task = {.cb = on_lasting}, .loop = l, .letter = (char)('a' + i)};
  }
  for (int again = 0; again < 2; again++) {
    for (size_t i = 0; i < CMT__COUNT(x); i++) {
      cmt__loop_defer(l, &x[i].task);
    }
    assert_false(cmt__loop_run_tasks(l));
    test_assert_trace("...(ab)(c)");
  }
  assert_false(cmt__loop_run_tasks(l));
  test_assert_trace("");
}

/* Takes all. */
static void on_many(cmt__loop *l) {
  size_t count = 0;

  while (cmt__loop_take_last(l) != NULL) {
    count++;
  }
  test_note(count == CMT__LAST_MAX ? 'M' : count == 3 ? '3' : '?');
}

static void on_one_of_many(cmt__task *t) {
  lasting *x = (lasting *)t;

  test_note(x->letter);
  cmt__loop_defer_last(x->loop, &x->last, on_many);
}

/* While the others are still to run. */
static void many_that_are_last_come_before_the_other_tasks(void **state) {
  cmt__loop *l = *state;
  lasting x[CMT__LAST_MAX + 3];

  for (size_t i = 0; i < CMT__COUNT(x); i++) {
    x[i] = (lasting){.task = {.cb = on_one_of_many}, .loop = l, .letter = '.'};
    cmt__loop_defer(l, &x[i].task);
  }
  assert_false(cmt__loop_run_tasks(l));
  test_assert_trace("................................M...3");
}

/* Whether they come or have been. */
static void a_task_sees_whether_there_are_others(void **state) {
  cmt__loop *l = *state;
  lasting x = {.task = {.cb = on_lasting}, .loop = l, .letter = 'x'};
  chore a = chore_of(l, 'a');

  cmt__loop_defer(l, &x.task);
  assert_false(cmt__loop_run_tasks(l));
  test_assert_trace("!(x)");
  cmt__loop_defer(l, &x.task);
  cmt__loop_defer(l, &a.task);
  assert_false(cmt__loop_run_tasks(l));
  test_assert_trace(".a(x)");
  cmt__loop_defer(l, &a.task);
  cmt__loop_defer(l, &x.task);
  assert_false(cmt__loop_run_tasks(l));
  test_assert_trace("a!(x)");
}

static void what_is_last_can_be_cancelled(void **state) {
  static const struct {
    size_t by, cancelled; /* Who cancels whom, while all before it are due. */
    const char *trace;
  } rows[] = {
    {0, 0, "...(bc)"}, {0, 2, "...(ab)(c)"}, {1, 0, "...(bc)"},
    {2, 0, "...(bc)"}, {2, 1, "...(ac)"},    {2, 2, "...(ab)"},
  };
  cmt__loop *l = *state;

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    lasting x[3];

    for (size_t k = 0; k < CMT__COUNT(x); k++) {
      x[k] = (lasting){
        .task = {.cb = on_lasting}, .loop = l, .letter = (char)('a' + k)};
      cmt__loop_defer(l, &x[k].task);
    }
    x[rows[i].by].cancels = &x[rows[i].cancelled].last;
    assert_false(cmt__loop_run_tasks(l));
    test_assert_trace(rows[i].trace);
  }
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, init, fini)

int main(void) {
  const struct CMUnitTest tests[] = {
    LOOP_TEST(timers_run_when_due_the_earliest_first),
    LOOP_TEST(a_timer_can_be_moved_and_stopped),
    LOOP_TEST(a_timer_can_be_set_to_its_instant_again),
    LOOP_TEST(a_callback_can_stop_and_set_timers),
    LOOP_TEST(a_timer_that_is_always_due_does_not_hold_the_loop),
    LOOP_TEST(the_loop_is_reported_when_the_earliest_timer_changes),
    LOOP_TEST(the_heap_agrees_with_a_plain_search),
    LOOP_TEST(a_failed_reserve_changes_nothing),
    LOOP_TEST(room_for_timers_adds_up_and_can_be_given_back),
    LOOP_TEST(tasks_run_once_in_the_order_of_their_defers),
    LOOP_TEST(a_task_deferred_by_a_task_comes_in_the_next),
    LOOP_TEST(a_cancelled_task_does_not_run),
    LOOP_TEST(costly_calls_run_one_in_an_iteration),
    LOOP_TEST(a_costly_call_can_be_cancelled),
    LOOP_TEST(what_is_last_comes_together_behind_the_tasks),
    LOOP_TEST(many_that_are_last_come_before_the_other_tasks),
    LOOP_TEST(a_task_sees_whether_there_are_others),
    LOOP_TEST(what_is_last_can_be_cancelled),
  };

  return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
