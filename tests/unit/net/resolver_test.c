/* SPDX-License-Identifier: Apache-2.0 */

/* Names on the production loop.  getaddrinfo() of the library ends up in the
   one below: a name that begins with "dead" has no answer before its send queue
   opens. */

#include "net/uv/loop_uv.h"
#include "net/resolver.h"

#include "loop_user.h"
#include "sockets.h"
#include "test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <net/if.h>
#include <netdb.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

/* What the threads and the test use at once. */
static test_watch watch = TEST_WATCH_INITIALIZER;
static unsigned lookups, under_way, most_under_way;
static bool released;
static char asked[8192]; /* The names, each with a space. */
static sigset_t blocked_there;

static void wait_for_release(void) {
  pthread_mutex_lock(&watch.lock);
  lookups++;
  under_way++;
  most_under_way = under_way > most_under_way ? under_way : most_under_way;
  pthread_cond_broadcast(&watch.cond);
  while (!released) {
    pthread_cond_wait(&watch.cond, &watch.lock);
  }
  under_way--;
  pthread_mutex_unlock(&watch.lock);
}

/* malloc() of the library ends up here too: one of this thread fails. */
static _Thread_local size_t fails_after; /* 0: none. */

void *__real_malloc(size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_malloc(size_t len) {
  return fails_after > 0 && --fails_after == 0 ? NULL : __real_malloc(len);
}

static struct addrinfo *one_address(int last) {
  struct {
    struct addrinfo info;
    struct sockaddr_in in;
  } *both = calloc(1, sizeof *both);

  assert_non_null(both);
  both->in.sin_family = AF_INET;
  both->in.sin_addr.s_addr = htonl(0x0a000000u + (unsigned)last);
  both->info.ai_family = AF_INET;
  both->info.ai_addr = (struct sockaddr *)&both->in;
  both->info.ai_addrlen = sizeof both->in;
  return &both->info;
}

int getaddrinfo(const char *host, const char *service,
                const struct addrinfo *hints, struct addrinfo **out) {
  int count = strcmp(host, "many") == 0 ? 100 : 1;

  (void)service;
  assert_int_equal(SOCK_STREAM, hints->ai_socktype);
  test_watch_lock(&watch);
  pthread_sigmask(SIG_SETMASK, NULL, &blocked_there);
  snprintf(asked + strlen(asked), sizeof asked - strlen(asked), "%s ", host);
  test_watch_unlock(&watch);
  if (strncasecmp(host, "dead", 4) == 0) {
    wait_for_release();
    return EAI_AGAIN;
  }
  if (strcmp(host, "nothing") == 0) {
    return EAI_NONAME;
  }
  for (int i = count; i > 0; i--) {
    struct addrinfo *a = one_address(i);

    a->ai_next = *out;
    *out = a;
  }
  return 0;
}

void freeaddrinfo(struct addrinfo *list) {
  while (list != NULL) {
    struct addrinfo *next = list->ai_next;

    free(list);
    list = next;
  }
}

static size_t thread_count(void) {
  DIR *dir = opendir("/proc/self/task");
  size_t count = 0;

  assert_non_null(dir);
  while (readdir(dir) != NULL) {
    count++;
  }
  closedir(dir);
  return count;
}

static void *note_id(void *arg) {
  *(long *)arg = syscall(SYS_gettid);
  return NULL;
}

static size_t usual_threads;

/* A sanitizer starts a thread of its own with the first one, which the kernel
   may still list when it was joined. */
static void count_usual_threads(void) {
  pthread_t first;
  char path[64];
  long id = 0;

  assert_int_equal(0, pthread_create(&first, NULL, note_id, &id));
  assert_int_equal(0, pthread_join(first, NULL));
  snprintf(path, sizeof path, "/proc/self/task/%ld", id);
  while (access(path, F_OK) == 0) {
    sched_yield();
  }
  usual_threads = thread_count();
}

static void await_the_end_of_threads(void) {
  while (thread_count() > usual_threads) {
    sched_yield();
  }
}

static void release_all(void) {
  test_watch_lock(&watch);
  released = true;
  test_watch_unlock(&watch);
}

/* ---- a loop ---- */

enum { ANSWERS = 128 };

typedef struct answer {
  cmt__resolve *resolve;
  size_t calls, count;
  cmt_err err;
  cmt_net_addr first;
} answer;

typedef struct place {
  test_env env;
  cmt__loop *loop;
  answer answers[ANSWERS];
} place;

static int setup(void **state) {
  place *p = calloc(1, sizeof *p);

  assert_non_null(p);
  test_watch_lock(&watch);
  lookups = under_way = most_under_way = 0;
  released = false;
  asked[0] = '\0';
  test_watch_unlock(&watch);
  count_usual_threads();
  test_env_init(&p->env);
  assert_cmt(CMT_OK, cmt__loop_uv_new(&p->env.env, &p->loop));
  assert_cmt(CMT_OK, cmt__loop_reserve_timers(p->loop, 16));
  *state = p;
  return 0;
}

/* A thread that is still there at the end of the process would use what the
   test has freed. */
static int teardown(void **state) {
  place *p = *state;

  release_all();
  cmt__loop_delete(p->loop);
  await_the_end_of_threads();
  test_env_fini(&p->env);
  free(p);
  return 0;
}

static void on_answer(void *arg, cmt_err err, const cmt_net_addr *addrs,
                      size_t count) {
  answer *a = arg;

  a->resolve = NULL;
  a->calls++;
  a->err = err;
  a->count = count;
  if (count > 0) {
    a->first = addrs[0];
  }
  test_user_ask();
}

static answer *ask(place *p, size_t i, const char *host) {
  answer *a = &p->answers[i];

  assert_true(i < ANSWERS);
  *a = (answer){.calls = 0};
  assert_cmt(
    CMT_OK, cmt__loop_resolve(p->loop, host, 26656, on_answer, a, &a->resolve));
  return a;
}

static void cancel(answer *a) {
  cmt__resolve_cancel(a->resolve);
  a->resolve = NULL;
}

static bool is_answered(void *arg) { return ((answer *)arg)->calls > 0; }

static void await(place *p, answer *a, cmt_err err) {
  test_user_run(p->loop, is_answered, a);
  assert_int_equal(1, a->calls);
  assert_cmt(err, a->err);
}

static void ask_dead(place *p, size_t from, size_t count) {
  char host[32];

  for (size_t i = from; i < from + count; i++) {
    snprintf(host, sizeof host, "dead%zu", i);
    (void)ask(p, i, host);
  }
}

static void cancel_all(place *p) {
  for (size_t i = 0; i < ANSWERS; i++) {
    if (p->answers[i].resolve != NULL) {
      cancel(&p->answers[i]);
    }
  }
}

/* ---- dead names ---- */

static void dead_names_hold_up_no_live_one(void **state) {
  place *p = *state;

  ask_dead(p, 0, 8);
  test_await(&watch, &lookups, 8);
  await(p, ask(p, 100, "live"), CMT_OK);
  assert_string_equal("10.0.0.1", p->answers[100].first.host);
  assert_int_equal(26656, p->answers[100].first.port);
  cancel_all(p);
}

/* A dial gives up and asks again, over and over. */
static void
a_dead_name_holds_one_thread_however_often_it_is_asked(void **state) {
  place *p = *state;

  for (int i = 0; i < 50; i++) {
    cancel(ask(p, 0, i % 2 == 0 ? "dead.example" : "DEAD.Example"));
  }
  (void)ask(p, 1, "dead.example");
  (void)ask(p, 2, "dead.example");
  await(p, ask(p, 100, "live"), CMT_OK);
  test_await(&watch, &lookups, 1);
  release_all();
  await(p, &p->answers[1], CMT_ERESOLVE);
  await(p, &p->answers[2], CMT_ERESOLVE);
  assert_int_equal(1, test_counter(&watch, &lookups));
}

static void turn(place *p) { await(p, ask(p, 127, "192.0.2.1"), CMT_OK); }

/* Dials give up together: those under way are slow then, and make way for the
   one that still waits. */
static void a_crowd_of_dead_names_makes_way_when_it_is_given_up(void **state) {
  place *p = *state;

  ask_dead(p, 0, 90);
  (void)ask(p, 100, "live");
  test_await(&watch, &lookups, CMT__LOOKUPS_FAST);
  for (size_t i = 0; i < 90; i++) {
    cancel(&p->answers[i]);
  }
  await(p, &p->answers[100], CMT_OK);
  assert_int_equal(CMT__LOOKUPS_FAST, test_counter(&watch, &most_under_way));
}

static void lookups_under_way_are_bounded(void **state) {
  place *p = *state;

  ask_dead(p, 0, 90);
  for (size_t i = 0; i < 90; i++) {
    cancel(&p->answers[i]);
    turn(p);
  }
  test_await(&watch, &lookups, CMT__LOOKUPS_MAX);
  ask_dead(p, 0, 120);
  turn(p);
  assert_int_equal(CMT__LOOKUPS_MAX, test_counter(&watch, &most_under_way));
  cancel_all(p);
}

/* In later rounds the slow names have places of their own. */
static void names_that_are_known_to_be_slow_leave_room(void **state) {
  place *p = *state;

  for (size_t i = 0; i < 60; i++) {
    ask_dead(p, i, 1);
    cancel(&p->answers[i]);
    test_await(&watch, &lookups, (unsigned)i + 1);
  }
  release_all();
  await_the_end_of_threads();
  turn(p);
  test_watch_lock(&watch);
  released = false;
  lookups = most_under_way = 0;
  test_watch_unlock(&watch);
  ask_dead(p, 0, 60);
  await(p, ask(p, 100, "live"), CMT_OK);
  test_await(&watch, &lookups, CMT__LOOKUPS_SLOW);
  await(p, ask(p, 101, "alive"), CMT_OK);
  assert_true(test_counter(&watch, &most_under_way) <= CMT__LOOKUPS_SLOW);
  cancel_all(p);
}

static void a_slow_name_that_answers_is_slow_no_more(void **state) {
  place *p = *state;

  cancel(ask(p, 0, "dead"));
  test_await(&watch, &lookups, 1);
  release_all();
  await(p, ask(p, 1, "dead"), CMT_ERESOLVE);
  await(p, ask(p, 2, "live"), CMT_OK);
}

static void numbers_need_no_thread(void **state) {
  char name[IF_NAMESIZE], zoned[64];
  place *p = *state;

  ask_dead(p, 0, 100);
  await(p, ask(p, 100, "192.0.2.7"), CMT_OK);
  await(p, ask(p, 101, "fe80::1%nosuch0"), CMT_OK);
  assert_string_equal("fe80::1%nosuch0", p->answers[101].first.host);
  assert_non_null(if_indextoname(1, name));
  snprintf(zoned, sizeof zoned, "fe80::1%%%s", name);
  await(p, ask(p, 102, "fe80::1%1"), CMT_OK); /* A number becomes a name. */
  assert_string_equal(zoned, p->answers[102].first.host);
  assert_int_equal(26656, p->answers[102].first.port);
  cancel_all(p);
}

/* ---- answers ---- */

static void of_many_addresses_some_are_reported(void **state) {
  place *p = *state;

  await(p, ask(p, 0, "many"), CMT_OK);
  assert_int_equal(CMT__RESOLVE_MAX, p->answers[0].count);
}

/* Where they begin is drawn, so that none is left out for ever. */
static void each_of_many_addresses_is_reported_some_day(void **state) {
  place *p = *state;
  bool first[101] = {false};
  size_t firsts = 0;

  for (int i = 0; i < 50; i++) {
    int last;

    await(p, ask(p, 0, "many"), CMT_OK);
    last = (int)strtol(p->answers[0].first.host + strlen("10.0.0."), NULL, 10);
    firsts += !first[last];
    first[last] = true;
  }
  assert_true(firsts > 10);
}

static void a_name_without_an_address_reports_so(void **state) {
  place *p = *state;
  char text[100];

  await(p, ask(p, 0, "nothing"), CMT_ERESOLVE);
  assert_string_equal(
    "the host name has no address",
    cmt__loop_fault(CMT_ERESOLVE, p->loop->error, text, sizeof text));
  release_all();
  await(p, ask(p, 0, "dead"), CMT_ERESOLVE);
  assert_string_equal(
    gai_strerror(EAI_AGAIN),
    cmt__loop_fault(CMT_ERESOLVE, p->loop->error, text, sizeof text));
}

/* The request, the resolver with the first one, and the lookup. */
static void without_memory_a_name_is_refused(void **state) {
  place *p = *state;
  answer *a = &p->answers[0];

  for (size_t at = 1; at <= 3; at++) {
    fails_after = at;
    assert_cmt(CMT_ENOMEM, cmt__loop_resolve(p->loop, "live", 26656, on_answer,
                                             a, &a->resolve));
    assert_int_equal(0, fails_after);
  }
  assert_string_equal("", asked);
  await(p, ask(p, 0, "live"), CMT_OK);
}

static void a_lookup_blocks_all_signals(void **state) {
  await(*state, ask(*state, 0, "live"), CMT_OK);
  test_watch_lock(&watch);
  assert_true(sigismember(&blocked_there, SIGINT) == 1 &&
              sigismember(&blocked_there, SIGTERM) == 1 &&
              sigismember(&blocked_there, SIGALRM) == 1);
  test_watch_unlock(&watch);
}

/* ---- the end ---- */

static void a_deletion_waits_for_no_lookup(void **state) {
  place *p = *state;

  ask_dead(p, 0, 4);
  test_await(&watch, &lookups, 4);
  cancel_all(p);
  cmt__loop_delete(p->loop); /* The send queue is closed. */
  assert_int_equal(4, test_counter(&watch, &under_way));
  assert_int_equal(0, p->env.live);
  assert_cmt(CMT_OK, cmt__loop_uv_new(&p->env.env, &p->loop));
}

/* Dials over four dead names beside one that is alive, and the end of it. */
static void a_switch_with_dead_names_ends_at_once(void **state) {
  cmt_reactor r = {.name = "none"};
  cmt_switch_options o;
  cmt_switch *sw;
  char dial[100];

  (void)state;
  test_switch_options(&o, &r);
  assert_cmt(CMT_OK, cmt_switch_new(&o, &sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(sw, NULL));
  for (int i = 0; i < 4; i++) {
    snprintf(dial, sizeof dial, "%040d@dead%d:1", i, i);
    assert_cmt(CMT_OK, cmt_switch_dial(sw, dial, CMT_DIAL_PERSISTENT, NULL));
  }
  test_await(&watch, &lookups, 4);
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
  assert_int_equal(4, test_counter(&watch, &under_way));
}

static void on_finished(void *arg) { *(bool *)arg = true; }

/* On the caller's loop, where nothing of ours may be left. */
static void a_switch_on_the_callers_loop_leaves_no_lookup_there(void **state) {
  cmt_reactor r = {.name = "none"};
  bool is_finished = false;
  cmt_switch_options o;
  cmt_switch *sw;
  uv_loop_t loop;

  (void)state;
  assert_int_equal(0, uv_loop_init(&loop));
  test_switch_options(&o, &r);
  o.loops = 1;
  o.on_finished = on_finished;
  o.arg = &is_finished;
  assert_cmt(CMT_OK, cmt_switch_new(&o, &sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_run_on(sw, &loop, NULL));
  assert_cmt(CMT_OK, cmt_switch_dial(
                       sw, "00112233445566778899aabbccddeeff00112233@dead:1",
                       CMT_DIAL_PERSISTENT, NULL));
  while (test_counter(&watch, &lookups) == 0) {
    uv_run(&loop, UV_RUN_NOWAIT);
  }
  cmt_switch_stop(sw, 0);
  assert_int_equal(0, uv_run(&loop, UV_RUN_DEFAULT));
  assert_true(is_finished);
  assert_int_equal(1, test_counter(&watch, &under_way));
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
  assert_int_equal(0, uv_loop_close(&loop));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(dead_names_hold_up_no_live_one),
    TEST(a_dead_name_holds_one_thread_however_often_it_is_asked),
    TEST(a_crowd_of_dead_names_makes_way_when_it_is_given_up),
    TEST(lookups_under_way_are_bounded),
    TEST(names_that_are_known_to_be_slow_leave_room),
    TEST(a_slow_name_that_answers_is_slow_no_more),
    TEST(numbers_need_no_thread),
    TEST(of_many_addresses_some_are_reported),
    TEST(each_of_many_addresses_is_reported_some_day),
    TEST(a_name_without_an_address_reports_so),
    TEST(without_memory_a_name_is_refused),
    TEST(a_lookup_blocks_all_signals),
    TEST(a_deletion_waits_for_no_lookup),
    TEST(a_switch_with_dead_names_ends_at_once),
    TEST(a_switch_on_the_callers_loop_leaves_no_lookup_there),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
