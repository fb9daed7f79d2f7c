/* SPDX-License-Identifier: Apache-2.0 */

/* Two switches on the production loop, once for each system call that they make
   and each failure that it may have.  What is no failure of a connection
   changes nothing: the same peers stay.  What is one ends that connection with
   a reason that fits, on a side that saw it, and the persistent dial brings the
   peers back.  Either way all messages arrive, and no memory and no descriptor
   is left.

   Both switches on one loop and one thread make the same calls each time, and
   each of them fails.  With a loop and a thread for each they do not, and a
   call is drawn; CMT_PRELOAD states how many for each failure, CMT_PRELOAD_SEED
   which. */

#include "calls.h"
#include "pair.h"

#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  DRAWN = 3,
  WATCH_S = 300, /* Seconds of true time; a batch takes a hundredth of one. */
  MORE = 1000000,
};

/* What a failure does to the connection that it meets. */
typedef enum harm {
  HARMLESS,
  LOST,    /* It ends, and its reason is reported. */
  REFUSED, /* It is accepted and closed at once, and counted. */
} harm;

typedef struct failure {
  pre_call call;
  pre_effect effect;
  int error;
  size_t times;
  size_t from, to; /* Which calls; |to| 0: all. */
  harm harm;
  cmt_err reason; /* When it is lost. */
} failure;

/* The first socket and the first descriptor to be polled are the listener's. */
static const failure failures[] = {
  {PRE_RECV, PRE_INSTEAD, EINTR, 3, 0, 0, HARMLESS, CMT_OK},
  {PRE_RECV, PRE_INSTEAD, EAGAIN, 1, 0, 0, HARMLESS, CMT_OK},
  {PRE_RECV, PRE_SHORT, 0, 20, 0, 0, HARMLESS, CMT_OK},
  {PRE_RECV, PRE_END, 0, 1, 0, 0, LOST, CMT_EEOF},
  {PRE_RECV, PRE_INSTEAD, ECONNRESET, 1, 0, 0, LOST, CMT_ERESET},
  {PRE_RECV, PRE_INSTEAD, EHOSTUNREACH, 1, 0, 0, LOST, CMT_EUNREACH},
  {PRE_RECV, PRE_INSTEAD, ENOMEM, 1, 0, 0, LOST, CMT_EIO},
  {PRE_SEND, PRE_INSTEAD, EINTR, 3, 0, 0, HARMLESS, CMT_OK},
  {PRE_SEND, PRE_INSTEAD, EAGAIN, 3, 0, 0, HARMLESS, CMT_OK},
  {PRE_SEND, PRE_SHORT, 0, 20, 0, 0, HARMLESS, CMT_OK},
  {PRE_SEND, PRE_INSTEAD, ECONNRESET, 1, 0, 0, LOST, CMT_ERESET},
  {PRE_SEND, PRE_INSTEAD, EPIPE, 1, 0, 0, LOST, CMT_ERESET},
  {PRE_SEND, PRE_INSTEAD, EHOSTUNREACH, 1, 0, 0, LOST, CMT_EUNREACH},
  {PRE_SEND, PRE_INSTEAD, ENOBUFS, 1, 0, 0, LOST, CMT_EIO},
  {PRE_ACCEPT, PRE_INSTEAD, EINTR, 3, 0, 0, HARMLESS, CMT_OK},
  {PRE_ACCEPT, PRE_INSTEAD, EAGAIN, 1, 0, 0, HARMLESS, CMT_OK},
  {PRE_ACCEPT, PRE_INSTEAD, ECONNABORTED, 1, 0, 0, HARMLESS, CMT_OK},
  {PRE_ACCEPT, PRE_INSTEAD, ENOMEM, 3, 0, 0, HARMLESS, CMT_OK},
  {PRE_ACCEPT, PRE_INSTEAD, ENOBUFS, 3, 0, 0, HARMLESS, CMT_OK},
  {PRE_ACCEPT, PRE_INSTEAD, EPERM, 1000, 0, 0, HARMLESS, CMT_OK},
  {PRE_ACCEPT, PRE_AFTER, ECONNABORTED, 1, 0, 1, LOST, CMT_EEOF},
  {PRE_ACCEPT, PRE_AFTER, EPROTO, 1, 0, 1, LOST, CMT_EEOF},
  {PRE_ACCEPT, PRE_INSTEAD, EMFILE, 1, 0, 1, REFUSED, CMT_EEOF},
  {PRE_ACCEPT, PRE_INSTEAD, ENFILE, 1, 0, 1, REFUSED, CMT_EEOF},
  {PRE_CONNECT, PRE_AFTER, EINTR, 1, 0, 0, HARMLESS, CMT_OK},
  {PRE_CONNECT, PRE_INSTEAD, ECONNREFUSED, 2, 0, 0, LOST, CMT_EREFUSED},
  {PRE_CONNECT, PRE_INSTEAD, ENETUNREACH, 2, 0, 0, LOST, CMT_EUNREACH},
  {PRE_CONNECT, PRE_INSTEAD, EHOSTUNREACH, 2, 0, 0, LOST, CMT_EUNREACH},
  {PRE_CONNECT, PRE_INSTEAD, EADDRNOTAVAIL, 2, 0, 0, LOST, CMT_EUNREACH},
  {PRE_CONNECT, PRE_INSTEAD, ETIMEDOUT, 2, 0, 0, LOST, CMT_EUNREACH},
  {PRE_CONNECT, PRE_INSTEAD, EPERM, 2, 0, 0, LOST, CMT_EIO},
  {PRE_CONNECT, PRE_INSTEAD, EAGAIN, 2, 0, 0, LOST, CMT_EIO},
  {PRE_SO_ERROR, PRE_AFTER, ECONNREFUSED, 1, 0, 0, LOST, CMT_EREFUSED},
  {PRE_SO_ERROR, PRE_AFTER, ETIMEDOUT, 1, 0, 0, LOST, CMT_EUNREACH},
  {PRE_SO_ERROR, PRE_AFTER, ECONNRESET, 1, 0, 0, LOST, CMT_ERESET},
  {PRE_SOCKET, PRE_INSTEAD, EMFILE, 2, 1, 0, LOST, CMT_EIO},
  {PRE_SOCKET, PRE_INSTEAD, ENFILE, 2, 1, 0, LOST, CMT_EIO},
  {PRE_SOCKET, PRE_INSTEAD, ENOBUFS, 2, 1, 0, LOST, CMT_EIO},
  {PRE_OPTION, PRE_INSTEAD, ENOBUFS, MORE, 0, 0, HARMLESS, CMT_OK},
  {PRE_SHUTDOWN, PRE_INSTEAD, ENOTCONN, 1, 0, 0, HARMLESS, CMT_OK},
  {PRE_EPOLL_WAIT, PRE_INSTEAD, EINTR, 3, 0, 0, HARMLESS, CMT_OK},
  {PRE_EPOLL_WAIT, PRE_SPURIOUS, 0, 3, 0, 0, HARMLESS, CMT_OK},
  {PRE_EPOLL_ADD, PRE_INSTEAD, ENOSPC, 1, 1, 2, LOST, CMT_ENOMEM},
  {PRE_EPOLL_ADD, PRE_INSTEAD, ENOSPC, 1, 2, 3, REFUSED, CMT_EEOF},
  {PRE_EVENT_READ, PRE_INSTEAD, EINTR, 3, 0, 0, HARMLESS, CMT_OK},
  {PRE_EVENT_READ, PRE_INSTEAD, EAGAIN, 1, 0, 0, HARMLESS, CMT_OK},
  {PRE_EVENT_WRITE, PRE_INSTEAD, EINTR, 3, 0, 0, HARMLESS, CMT_OK},
  {PRE_EVENT_WRITE, PRE_AFTER, EAGAIN, 1, 0, 0, HARMLESS, CMT_OK},
};

static size_t usual[PRE_CALL_COUNT]; /* Calls without a failure. */
static atomic_bool met;              /* A call failed before the stop. */
static size_t missed;                /* Runs in which none did. */

static void on_fault(void *arg) {
  (void)arg;
  if (!pair_is_stopping()) {
    met = true;
  }
}

static void run(const pair_options *o, const pre_plan *plan, pair_report *r) {
  met = false;
  pre_on_fault(on_fault, NULL);
  pre_watch(WATCH_S);
  pre_begin(plan);
  pre_warp(o->threads ? 2 : 1);
  pair_run(o, r);
  pre_end();
  pre_watch(0);
}

/* ---- what has to come of it ---- */

static void describe(const pair_report *r) {
  for (int i = 0; i < 2; i++) {
    const pair_side *s = &r->sides[i];

    for (size_t k = 0; k < s->end_count; k++) {
      print_error("side %d: %s %s %s: %s\n", i,
                  s->ends[k].rejected ? "rejected" : "removed",
                  cmt_stage_name(s->ends[k].why.stage),
                  cmt_err_name(s->ends[k].why.err), s->ends[k].why.text);
    }
  }
}

static size_t ends_by(const pair_report *r, cmt_err err) {
  size_t count = 0;

  for (int i = 0; i < 2; i++) {
    for (size_t k = 0; k < r->sides[i].end_count; k++) {
      count += r->sides[i].ends[k].why.err == err;
    }
  }
  return count;
}

/* What the other side sees of it, or this one later. */
static bool is_consequence(cmt_err err) {
  return err == CMT_EEOF || err == CMT_ERESET;
}

static size_t ends_of_others(const pair_report *r, const failure *f) {
  size_t count = 0;

  for (int i = 0; i < 2; i++) {
    for (size_t k = 0; k < r->sides[i].end_count; k++) {
      cmt_err err = r->sides[i].ends[k].why.err;

      count += err != f->reason && !is_consequence(err);
    }
  }
  return count;
}

/* Unread bytes make the end of a connection a reset. */
static size_t ends_that_fit(const pair_report *r, const failure *f) {
  size_t count = ends_by(r, f->reason);

  return count + (f->reason == CMT_EEOF ? ends_by(r, CMT_ERESET) : 0);
}

static bool is_as_wanted(const pair_report *r, const failure *f) {
  size_t all = r->sides[0].end_count + r->sides[1].end_count;
  size_t lost = f->harm == HARMLESS || !met ? 0 : f->times;
  uint64_t dropped = f->harm == REFUSED && met ? 1 : 0;

  for (int i = 0; i < 2; i++) {
    const cmt_switch_status *st = &r->sides[i].status;

    if (r->sides[i].end_count > lost || st->added != r->sides[i].added ||
        st->accepted + st->dialed != st->added + st->rejected) {
      return false;
    }
  }
  return r->done && r->fds_left == 0 &&
         (lost == 0 ? all == 0 : ends_that_fit(r, f) > 0) &&
         ends_of_others(r, f) == 0 &&
         r->sides[1].status.no_descriptors == dropped;
}

static void check(const pair_report *r, const failure *f,
                  const pre_plan *plan) {
  char text[200];

  pre_plan_text(plan, text, sizeof text);
  if (r->start.err != CMT_OK) {
    fail_msg("%s: no start: %s", text, r->start.text);
  }
  if (!is_as_wanted(r, f)) {
    describe(r);
    fail_msg("%s: done %d, added %u and %u, refused %llu, %zu descriptors left",
             text, r->done, r->sides[0].added, r->sides[1].added,
             (unsigned long long)r->sides[1].status.no_descriptors,
             r->fds_left);
  }
}

/* The last call that fails, plus 1. */
static size_t end_of(const failure *f) {
  return f->to > 0 ? f->to : usual[f->call];
}

static void run_failure(const pair_options *o, const failure *f, size_t at) {
  pre_plan plan = {.call = f->call,
                   .at = at,
                   .times = f->times,
                   .effect = f->effect,
                   .error = f->error};
  pair_report r;

  run(o, &plan, &r);
  missed += pre_faults() == 0;
  check(&r, f, &plan);
}

/* ---- the runs ---- */

static const pair_options on_one_loop = {.threads = false};
static const pair_options on_two_loops = {.threads = true};

static void count_calls(const pair_options *o) {
  pair_report r;

  run(o, NULL, &r);
  assert_true(r.done);
  for (int i = 0; i < PRE_CALL_COUNT; i++) {
    usual[i] = pre_calls((pre_call)i);
    printf("# %s: %zu\n", pre_call_names[i], usual[i]);
  }
  for (size_t i = 0; i < CMT__COUNT(failures); i++) {
    assert_true(usual[failures[i].call] > 0); /* libuv's count, too. */
  }
}

static void any_call_may_fail_on_one_loop(void **state) {
  size_t runs = 0;

  (void)state;
  count_calls(&on_one_loop);
  missed = 0;
  for (size_t i = 0; i < CMT__COUNT(failures); i++) {
    const failure *f = &failures[i];

    for (size_t at = f->from; at < end_of(f); at++) {
      run_failure(&on_one_loop, f, at);
      runs++;
    }
  }
  printf("# %zu runs\n", runs);
  assert_int_equal(0, missed);
}

static uint64_t number_of(const char *variable, uint64_t otherwise) {
  const char *text = getenv(variable);

  return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static size_t draw(uint64_t *seed, size_t below) {
  *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (size_t)(*seed >> 33) % below;
}

static void any_call_may_fail_on_two_loops(void **state) {
  uint64_t seed = number_of("CMT_PRELOAD_SEED", 1);
  size_t draws = (size_t)number_of("CMT_PRELOAD", DRAWN), runs = 0;

  (void)state;
  count_calls(&on_two_loops);
  printf("# seed %llu\n", (unsigned long long)seed);
  missed = 0;
  for (size_t i = 0; i < CMT__COUNT(failures); i++) {
    const failure *f = &failures[i];
    for (size_t k = 0; k < draws; k++) {
      run_failure(&on_two_loops, f, f->from + draw(&seed, end_of(f) - f->from));
      runs++;
    }
  }
  printf("# %zu runs, %zu without the call\n", runs, missed);
  assert_true(missed < runs / 4);
}

static void a_name_without_an_answer_is_resolved_again(void **state) {
  static const failure names[] = {
    {PRE_RESOLVE, PRE_INSTEAD, EAI_AGAIN, 1, 0, 0, LOST, CMT_ERESOLVE},
    {PRE_RESOLVE, PRE_INSTEAD, EAI_NONAME, 1, 0, 0, LOST, CMT_ERESOLVE},
    {PRE_RESOLVE, PRE_INSTEAD, EAI_FAIL, 1, 0, 0, LOST, CMT_ERESOLVE},
    {PRE_RESOLVE, PRE_INSTEAD, EAI_SYSTEM, 1, 0, 0, LOST, CMT_ERESOLVE},
    {PRE_RESOLVE, PRE_INSTEAD, EAI_MEMORY, 1, 0, 0, LOST, CMT_ENOMEM},
  };
  const pair_options by_name = {.threads = true, .host = "localhost"};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(names); i++) {
    run_failure(&by_name, &names[i], 0);
  }
}

/* What has to be there before anything else. */
static const struct {
  bool threads;
  pre_plan plan;
  cmt_err err;
  const char *text;
  size_t fds_left; /* uv_loop_init() that fails leaves its epoll open. */
} starts[] = {
  {false,
   {PRE_SOCKET, 0, 1, PRE_INSTEAD, EMFILE},
   CMT_EIO,
   "cannot listen on 127.0.0.1:0: Too many open files",
   0},
  {false,
   {PRE_BIND, 0, 1, PRE_INSTEAD, EACCES},
   CMT_EIO,
   "cannot listen on 127.0.0.1:0: Permission denied",
   0},
  {false,
   {PRE_LISTEN, 0, 1, PRE_INSTEAD, EADDRINUSE},
   CMT_EIO,
   "cannot listen on 127.0.0.1:0: Address already in use",
   0},
  {false,
   {PRE_EPOLL_ADD, 0, 1, PRE_INSTEAD, ENOSPC},
   CMT_ENOMEM,
   "cannot listen on 127.0.0.1:0: allocation failed",
   0},
  {true,
   {PRE_EPOLL_NEW, 0, 1, PRE_INSTEAD, EMFILE},
   CMT_EIO,
   "cannot make a loop: Too many open files",
   0},
  {true,
   {PRE_EPOLL_NEW, 1, 1, PRE_INSTEAD, ENOMEM},
   CMT_ENOMEM,
   "cannot make a loop: allocation failed",
   0},
  /* Before each loop, eight of them show that there are descriptors. */
  {true,
   {PRE_EVENT_NEW, 0, 1, PRE_INSTEAD, EMFILE},
   CMT_EIO,
   "cannot make a loop: Too many open files",
   0},
  {true,
   {PRE_EVENT_NEW, 8, 1, PRE_INSTEAD, ENFILE},
   CMT_EIO,
   "cannot make a loop: Too many open files in system",
   1},
  {true,
   {PRE_EVENT_NEW, 17, 1, PRE_INSTEAD, ENOMEM},
   CMT_ENOMEM,
   "cannot make a loop: allocation failed",
   1},
  {true,
   {PRE_THREAD, 0, 1, PRE_INSTEAD, EAGAIN},
   CMT_EIO,
   "cannot start the thread of the loop: Resource temporarily unavailable",
   0},
};

static void a_start_that_fails_reports_why(void **state) {
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(starts); i++) {
    pair_report r;

    run(starts[i].threads ? &on_two_loops : &on_one_loop, &starts[i].plan, &r);
    assert_cmt(starts[i].err, r.start.err);
    assert_string_equal(starts[i].text, r.start.text);
    assert_int_equal(starts[i].fds_left, r.fds_left);
  }
}

static bool is_reported(const pair_report *r, const char *words) {
  for (int i = 0; i < 2; i++) {
    for (size_t k = 0; k < r->sides[i].end_count; k++) {
      if (strstr(r->sides[i].ends[k].why.text, words) != NULL) {
        return true;
      }
    }
  }
  return false;
}

static void a_failure_is_reported_in_the_words_of_the_system(void **state) {
  static const pre_plan plans[] = {
    {PRE_SOCKET, 1, 1, PRE_INSTEAD, EMFILE},
    {PRE_SOCKET, 1, 1, PRE_INSTEAD, ENOBUFS},
    {PRE_CONNECT, 0, 1, PRE_INSTEAD, EINVAL},
    {PRE_CONNECT, 0, 1, PRE_INSTEAD, EPERM},
    {PRE_CONNECT, 0, 1, PRE_INSTEAD, ENETUNREACH},
    {PRE_CONNECT, 0, 1, PRE_INSTEAD, EADDRNOTAVAIL},
    {PRE_SO_ERROR, 0, 1, PRE_AFTER, ETIMEDOUT},
    {PRE_RECV, 2, 1, PRE_INSTEAD, EHOSTUNREACH},
    {PRE_RECV, 2, 1, PRE_INSTEAD, ENOMEM},
    {PRE_SEND, 2, 1, PRE_INSTEAD, EHOSTUNREACH},
    {PRE_SEND, 2, 1, PRE_INSTEAD, ENOBUFS},
  };
  char text[200];
  pair_report r;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(plans); i++) {
    run(&on_one_loop, &plans[i], &r);
    if (!is_reported(&r, strerror(plans[i].error))) {
      fail_msg("%s: not reported: %s",
               pre_plan_text(&plans[i], text, sizeof text),
               strerror(plans[i].error));
    }
  }
}

/* The connection stays where it is, so the listener is called for it for
   ever. */
static void
an_accept_that_never_works_does_not_keep_the_loop_busy(void **state) {
  const pre_plan plan = {PRE_ACCEPT, 0, 1000, PRE_INSTEAD, EPERM};
  pair_report r;

  (void)state;
  run(&on_one_loop, &plan, &r);
  assert_true(r.done);
  assert_true(r.took_ns > CMT_SECONDS(1));
}

static int init(void **state) {
  (void)state;
  pair_init();
  return 0;
}

static int fini(void **state) {
  (void)state;
  pair_fini();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(any_call_may_fail_on_one_loop),
    cmocka_unit_test(any_call_may_fail_on_two_loops),
    cmocka_unit_test(a_name_without_an_answer_is_resolved_again),
    cmocka_unit_test(a_start_that_fails_reports_why),
    cmocka_unit_test(a_failure_is_reported_in_the_words_of_the_system),
    cmocka_unit_test(an_accept_that_never_works_does_not_keep_the_loop_busy),
  };

  return cmocka_run_group_tests_name("preload", tests, init, fini);
}
