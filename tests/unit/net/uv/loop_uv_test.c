/* SPDX-License-Identifier: Apache-2.0 */
#include "net/uv/loop_uv.h"

#include "loop_user.h"
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The calls by which libuv wakes a loop. */
static atomic_uint writes;

__attribute__((visibility("default"))) ssize_t write(int fd, const void *data,
                                                     size_t len) {
  atomic_fetch_add(&writes, 1);
  return syscall(SYS_write, fd, data, len);
}

static int init(void **state) {
  cmt__loop *l = NULL;

  assert_cmt(CMT_OK, cmt__loop_uv_new(NULL, &l));
  assert_cmt(CMT_OK, cmt__loop_reserve_timers(l, 16));
  *state = l;
  return 0;
}

static int fini(void **state) {
  cmt__loop_delete(*state);
  return 0;
}

static uint64_t clock_ns(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * CMT_SECONDS(1) + (uint64_t)now.tv_nsec;
}

/* Timers. */

typedef struct ticker {
  cmt__timer timer;
  cmt__loop *loop;
  uint64_t period_ns;
  char letter;
  int left; /* It stops the loop at 0. */
} ticker;

static void on_tick(cmt__timer *t) {
  ticker *k = (ticker *)t;

  test_note(k->letter);
  assert_true(cmt__loop_now(k->loop) >= t->at_ns);
  assert_true(clock_ns() >= t->at_ns);
  if (--k->left > 0) {
    cmt__loop_timer(k->loop, t, t->at_ns + k->period_ns);
  } else {
    cmt__loop_stop(k->loop);
  }
}

static void start_ticker(ticker *k, cmt__loop *l, uint64_t delay_ns) {
  k->loop = l;
  k->timer.cb = on_tick;
  cmt__loop_timer(l, &k->timer, cmt__loop_now(l) + delay_ns);
}

static void timers_run_in_order_and_never_early(void **state) {
  cmt__loop *l = *state;
  ticker a = {.letter = 'a', .left = -1}, b = {.letter = 'b', .left = -1};
  ticker c = {.letter = 'c', .left = 1}, d = {.letter = 'd', .left = -1};

  a.period_ns = b.period_ns = CMT_SECONDS(1000);
  start_ticker(&c, l, CMT_MILLISECONDS(5));
  start_ticker(&a, l, 1);
  start_ticker(&b, l, CMT_MILLISECONDS(1) + 1);
  start_ticker(&d, l, CMT_MILLISECONDS(3));
  cmt__loop_timer(l, &d.timer, CMT_NEVER);
  a.left = b.left = 2;
  cmt__loop_run(l);
  test_assert_trace("abc");
  cmt__loop_timer(l, &a.timer, CMT_NEVER);
  cmt__loop_timer(l, &b.timer, CMT_NEVER);
}

static void a_timer_set_by_its_callback_runs_again(void **state) {
  cmt__loop *l = *state;
  ticker a = {.letter = 'a', .left = 20, .period_ns = CMT_MILLISECONDS(1) / 3};

  start_ticker(&a, l, 0);
  cmt__loop_run(l);
  test_assert_trace("aaaaaaaaaaaaaaaaaaaa");
}

static void the_instant_is_latched_in_a_callback(cmt__timer *t) {
  ticker *k = (ticker *)t;
  uint64_t now_ns = cmt__loop_now(k->loop), start_ns = clock_ns();

  while (clock_ns() < start_ns + CMT_MILLISECONDS(2)) {
  }
  assert_int_equal(now_ns, cmt__loop_now(k->loop));
  on_tick(t);
}

/* The second is due before the loop comes to poll. */
static void a_timer_that_fell_due_meanwhile_runs_at_once(void **state) {
  cmt__loop *l = *state;
  ticker a = {.letter = 'a', .left = 3, .period_ns = CMT_MILLISECONDS(1)};

  start_ticker(&a, l, 0);
  a.timer.cb = the_instant_is_latched_in_a_callback;
  cmt__loop_run(l);
  test_assert_trace("aaa");
}

static void a_far_timer_does_not_overflow(void **state) {
  cmt__loop *l = *state;
  ticker far = {.letter = 'f', .left = -1}, a = {.letter = 'a', .left = 1};

  far.loop = l;
  far.timer.cb = on_tick;
  cmt__loop_timer(l, &far.timer, CMT_NEVER - 1);
  start_ticker(&a, l, CMT_MILLISECONDS(1));
  cmt__loop_run(l);
  test_assert_trace("a");
  cmt__loop_timer(l, &far.timer, CMT_NEVER);
}

/* Iterations. */

typedef struct chore {
  cmt__task task;
  cmt__loop *loop;
  char letter;
  int again; /* It stops the loop at 0. */
} chore;

static void on_chore(cmt__task *t) {
  chore *c = (chore *)t;

  test_note(c->letter);
  if (c->again-- > 0) {
    cmt__loop_defer(c->loop, t);
  } else {
    cmt__loop_stop(c->loop);
  }
}

static chore chore_of(cmt__loop *l, char letter, int again) {
  return (chore){
    .task = {.cb = on_chore}, .loop = l, .letter = letter, .again = again};
}

/* With nothing else to wake it: blocking once would be for ever. */
static void the_loop_does_not_block_while_tasks_are_due(void **state) {
  cmt__loop *l = *state;
  chore c = chore_of(l, 'c', 4);

  cmt__loop_defer(l, &c.task);
  cmt__loop_run(l);
  test_assert_trace("ccccc");
}

typedef struct call {
  cmt__post post;
  cmt__loop *loop;
  chore *marks;
  ticker *sets;
  struct call *posts;
  char letter;
  bool stops;
} call;

static void on_call(cmt__post *p) {
  call *c = (call *)p;

  test_note(c->letter);
  if (c->marks != NULL) {
    cmt__loop_defer(c->loop, &c->marks->task);
  }
  if (c->sets != NULL) {
    start_ticker(c->sets, c->loop, 0);
  }
  if (c->posts != NULL) {
    cmt__loop_post(c->loop, &c->posts->post);
  }
  if (c->stops) {
    cmt__loop_stop(c->loop);
  }
}

static call call_of(cmt__loop *l, char letter) {
  return (call){.post = {.cb = on_call}, .loop = l, .letter = letter};
}

static void tasks_come_after_all_else_of_the_iteration(void **state) {
  cmt__loop *l = *state;
  chore task = chore_of(l, 't', 0);
  ticker timer = {.letter = 'k', .left = 2, .period_ns = CMT_SECONDS(1000)};
  call a = call_of(l, 'a'), b = call_of(l, 'b');

  a.marks = &task;
  a.sets = &timer;
  cmt__loop_post(l, &a.post);
  cmt__loop_post(l, &b.post);
  cmt__loop_run(l);
  test_assert_trace("abkt");
  cmt__loop_timer(l, &timer.timer, CMT_NEVER);
}

/* Posts. */

static void a_post_of_a_post_runs_in_a_later_iteration(void **state) {
  cmt__loop *l = *state;
  chore task = chore_of(l, 't', 1);
  call a = call_of(l, 'a'), b = call_of(l, 'b');

  a.marks = &task;
  a.posts = &b;
  b.stops = true;
  cmt__loop_post(l, &a.post);
  cmt__loop_run(l);
  test_assert_trace("atbt");
}

static void a_post_that_waits_is_posted_once(void **state) {
  cmt__loop *l = *state;
  call a = call_of(l, 'a'), b = call_of(l, 'b');

  b.stops = true;
  cmt__loop_post(l, &a.post);
  cmt__loop_post(l, &b.post);
  cmt__loop_post(l, &a.post);
  cmt__loop_run(l);
  test_assert_trace("ab");
  cmt__loop_post(l, &b.post);
  cmt__loop_run(l);
  test_assert_trace("b");
}

enum { POSTERS = 4, POSTS = 20000 };

typedef struct poster {
  cmt__post post;
  cmt__loop *loop;
  atomic_int posted;
  int seen, runs;
  pthread_t thread;
  struct poster *all;
} poster;

static void on_poster(cmt__post *p) {
  poster *own = (poster *)p;
  bool done = true;

  own->seen = atomic_load(&own->posted);
  own->runs++;
  for (int i = 0; i < POSTERS; i++) {
    done &= own->all[i].seen == POSTS;
  }
  if (done) {
    cmt__loop_stop(own->loop);
  }
}

static void *post_often(void *arg) {
  poster *own = arg;

  for (int i = 0; i < POSTS; i++) {
    atomic_fetch_add(&own->posted, 1);
    cmt__loop_post(own->loop, &own->post);
  }
  return NULL;
}

/* What came before a post is seen by a batch after it, or the loop would not
   stop. */
static void no_post_of_any_thread_is_lost(void **state) {
  static poster posters[POSTERS];

  memset(posters, 0, sizeof posters);
  for (int i = 0; i < POSTERS; i++) {
    posters[i].post.cb = on_poster;
    posters[i].loop = *state;
    posters[i].all = posters;
  }
  for (int i = 0; i < POSTERS; i++) {
    assert_int_equal(
      0, pthread_create(&posters[i].thread, NULL, post_often, &posters[i]));
  }
  cmt__loop_run(*state);
  for (int i = 0; i < POSTERS; i++) {
    assert_int_equal(0, pthread_join(posters[i].thread, NULL));
    assert_int_equal(POSTS, posters[i].seen);
    assert_in_range(posters[i].runs, 1, POSTS);
  }
}

/* It looks for them by itself; the one call is that of the stop. */
static void
a_post_to_a_loop_that_does_not_poll_makes_no_system_call(void **state) {
  cmt__loop *l = *state;
  call a = call_of(l, 'a'), b = call_of(l, 'b'), c = call_of(l, 'c');
  unsigned before = atomic_load(&writes);

  a.posts = &b;
  b.posts = &c;
  c.stops = true;
  cmt__loop_post(l, &a.post);
  cmt__loop_run(l);
  test_assert_trace("abc");
  assert_int_equal(before + 1, atomic_load(&writes));
}

enum { CALLS = 300 };

/* A thread and a loop take turns. */
typedef struct turns {
  cmt__post post;
  cmt__loop *loop;
  cmt__listener *listener;
  sem_t done;
  int left; /* It stops the loop at 0. */
} turns;

static void on_accepted(void *arg, cmt__tcp *tcp) {
  (void)arg;
  cmt__tcp_close(tcp);
}

/* Leaves a new descriptor to the next poll. */
static void on_turn(cmt__post *p) {
  turns *t = (turns *)p;
  cmt_net_addr at = {.host = "127.0.0.1"};
  cmt_why why;

  if (t->listener != NULL) {
    cmt__listener_close(t->listener);
  }
  assert_cmt(CMT_OK, cmt__loop_listen(t->loop, &at, on_accepted, NULL,
                                      &t->listener, &why));
  if (--t->left == 0) {
    cmt__loop_stop(t->loop);
  }
  sem_post(&t->done);
}

static void *take_turns(void *arg) {
  turns *t = arg;

  for (int i = 0; i < CALLS; i++) {
    cmt__loop_post(t->loop, &t->post);
    sem_wait(&t->done);
  }
  return NULL;
}

static void a_post_ends_a_poll_that_began_with_new_descriptors(void **state) {
  turns t = {.post = {.cb = on_turn}, .loop = *state, .left = CALLS};
  pthread_t thread;

  assert_int_equal(0, sem_init(&t.done, 0, 0));
  assert_int_equal(0, pthread_create(&thread, NULL, take_turns, &t));
  cmt__loop_run(t.loop);
  assert_int_equal(0, pthread_join(thread, NULL));
  assert_int_equal(0, t.left);
  cmt__listener_close(t.listener);
  sem_destroy(&t.done);
}

static void *stop_it(void *arg) {
  cmt__loop_stop(arg);
  return NULL;
}

static void another_thread_can_stop_a_blocked_loop(void **state) {
  pthread_t thread;

  assert_int_equal(0, pthread_create(&thread, NULL, stop_it, *state));
  cmt__loop_run(*state);
  assert_int_equal(0, pthread_join(thread, NULL));
}

static void a_stop_before_the_run_ends_it_after_one_iteration(void **state) {
  cmt__loop *l = *state;
  call a = call_of(l, 'a');

  cmt__loop_stop(l);
  cmt__loop_post(l, &a.post);
  cmt__loop_run(l);
  test_assert_trace("a");
}

static void a_stop_lets_the_iteration_finish(void **state) {
  cmt__loop *l = *state;
  chore task = chore_of(l, 't', 0);
  call a = call_of(l, 'a'), b = call_of(l, 'b');

  a.stops = true;
  a.marks = &task;
  cmt__loop_post(l, &a.post);
  cmt__loop_post(l, &b.post);
  cmt__loop_run(l);
  test_assert_trace("abt");
}

/* Resolving. */

typedef struct answer {
  cmt__resolve *resolve;
  bool inside;
  size_t calls, count;
  cmt_err err;
  cmt_net_addr addrs[CMT__RESOLVE_MAX];
} answer;

static void on_answer(void *arg, cmt_err err, const cmt_net_addr *addrs,
                      size_t count) {
  answer *a = arg;

  assert_false(a->inside);
  assert_true(count <= CMT__RESOLVE_MAX);
  a->calls++;
  a->err = err;
  a->count = count;
  memcpy(a->addrs, addrs, count * sizeof *addrs);
  test_user_ask();
}

static void ask(cmt__loop *l, answer *a, const char *host) {
  a->inside = true;
  assert_cmt(CMT_OK,
             cmt__loop_resolve(l, host, 26656, on_answer, a, &a->resolve));
  a->inside = false;
}

static bool is_answered(void *arg) { return ((answer *)arg)->calls > 0; }

static void resolve(cmt__loop *l, answer *a, const char *host) {
  *a = (answer){.calls = 0};
  ask(l, a, host);
  test_user_run(l, is_answered, a);
  assert_int_equal(1, a->calls);
}

static void an_ip_literal_resolves_to_itself(void **state) {
  answer a;

  resolve(*state, &a, "192.0.2.7");
  assert_cmt(CMT_OK, a.err);
  assert_int_equal(1, a.count);
  assert_string_equal("192.0.2.7", a.addrs[0].host);
  assert_int_equal(26656, a.addrs[0].port);
  resolve(*state, &a, "2001:DB8:0::7");
  assert_string_equal("2001:db8::7", a.addrs[0].host);
  resolve(*state, &a, "::ffff:192.0.2.7");
  assert_string_equal("192.0.2.7", a.addrs[0].host);
}

static void localhost_resolves_to_distinct_loopback_addresses(void **state) {
  answer a;

  resolve(*state, &a, "localhost");
  assert_cmt(CMT_OK, a.err);
  assert_in_range(a.count, 1, 2);
  for (size_t i = 0; i < a.count; i++) {
    assert_true(strcmp(a.addrs[i].host, "127.0.0.1") == 0 ||
                strcmp(a.addrs[i].host, "::1") == 0);
    assert_int_equal(26656, a.addrs[i].port);
    assert_true(i == 0 || strcmp(a.addrs[0].host, a.addrs[1].host) != 0);
  }
}

/* Neither is a name that could be asked for: no question leaves the machine. */
static void an_impossible_name_has_no_address(void **state) {
  char label[80], long_name[400];
  answer a;

  memset(label, 'a', sizeof label);
  label[70] = '\0';
  resolve(*state, &a, label);
  assert_cmt(CMT_ERESOLVE, a.err);
  assert_int_equal(0, a.count);
  memset(long_name, 'b', sizeof long_name);
  long_name[sizeof long_name - 1] = '\0';
  resolve(*state, &a, long_name);
  assert_cmt(CMT_ERESOLVE, a.err);
}

static void a_cancelled_resolve_does_not_answer(void **state) {
  answer literal = {.calls = 0}, name = {.calls = 0}, last;

  ask(*state, &literal, "192.0.2.7");
  ask(*state, &name, "localhost");
  cmt__resolve_cancel(literal.resolve);
  cmt__resolve_cancel(name.resolve);
  resolve(*state, &last, "localhost");
  assert_int_equal(0, literal.calls);
  assert_int_equal(0, name.calls);
}

/* Life. */

static void a_resolve_may_be_cancelled_before_a_delete(void **state) {
  answer name = {.calls = 0};
  test_env env;
  cmt__loop *l;

  (void)state;
  test_env_init(&env);
  assert_cmt(CMT_OK, cmt__loop_uv_new(&env.env, &l));
  ask(l, &name, "localhost");
  cmt__resolve_cancel(name.resolve);
  cmt__loop_delete(l);
  assert_int_equal(0, name.calls);
  test_env_fini(&env);
}

static void running_out_of_memory_is_reported_and_leaves_nothing(void **state) {
  test_env env;
  cmt__loop *l;
  size_t fail_at = 0;
  cmt_err err;

  (void)state;
  do {
    test_env_init(&env);
    env.fail_at = fail_at++;
    err = cmt__loop_uv_new(&env.env, &l);
    assert_true(err == CMT_ENOMEM || err == CMT_OK);
    if (err == CMT_OK) {
      cmt__loop_delete(l);
    }
    test_env_fini(&env);
  } while (err != CMT_OK);
  assert_in_range(fail_at, 3, 10);
}

static void a_resolve_without_memory_is_refused(void **state) {
  answer name = {.calls = 0};
  test_env env;
  cmt__loop *l;

  (void)state;
  test_env_init(&env);
  assert_cmt(CMT_OK, cmt__loop_uv_new(&env.env, &l));
  env.fail_at = env.allocs;
  assert_cmt(CMT_ENOMEM, cmt__loop_resolve(l, "localhost", 1, on_answer, &name,
                                           &name.resolve));
  cmt__loop_delete(l);
  test_env_fini(&env);
}

static void a_loop_reports_which_congestion_controls_it_has(void **state) {
  cmt__loop *l = *state;

  assert_int_equal(0, cmt__loop_congestion_check(l, "reno"));
  assert_int_equal(ENOENT, cmt__loop_congestion_check(l, "no such"));
  assert_int_equal(0, cmt__loop_uv_congestion_check("reno"));
  assert_int_equal(ENOENT, cmt__loop_uv_congestion_check("no such"));
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, init, fini)

int main(void) {
  const struct CMUnitTest tests[] = {
    LOOP_TEST(timers_run_in_order_and_never_early),
    LOOP_TEST(a_timer_set_by_its_callback_runs_again),
    LOOP_TEST(a_timer_that_fell_due_meanwhile_runs_at_once),
    LOOP_TEST(a_far_timer_does_not_overflow),
    LOOP_TEST(the_loop_does_not_block_while_tasks_are_due),
    LOOP_TEST(tasks_come_after_all_else_of_the_iteration),
    LOOP_TEST(a_post_of_a_post_runs_in_a_later_iteration),
    LOOP_TEST(a_post_that_waits_is_posted_once),
    LOOP_TEST(no_post_of_any_thread_is_lost),
    LOOP_TEST(a_post_to_a_loop_that_does_not_poll_makes_no_system_call),
    LOOP_TEST(a_post_ends_a_poll_that_began_with_new_descriptors),
    LOOP_TEST(another_thread_can_stop_a_blocked_loop),
    LOOP_TEST(a_stop_before_the_run_ends_it_after_one_iteration),
    LOOP_TEST(a_stop_lets_the_iteration_finish),
    LOOP_TEST(a_loop_reports_which_congestion_controls_it_has),
    LOOP_TEST(an_ip_literal_resolves_to_itself),
    LOOP_TEST(localhost_resolves_to_distinct_loopback_addresses),
    LOOP_TEST(an_impossible_name_has_no_address),
    LOOP_TEST(a_cancelled_resolve_does_not_answer),
    cmocka_unit_test(a_resolve_may_be_cancelled_before_a_delete),
    cmocka_unit_test(running_out_of_memory_is_reported_and_leaves_nothing),
    cmocka_unit_test(a_resolve_without_memory_is_refused),
  };

  return cmocka_run_group_tests_name("loop_uv", tests, NULL, NULL);
}
