/* SPDX-License-Identifier: Apache-2.0 */

/* Allocations inside libuv fail, each once.  All memory of it comes through the
   functions that it can be given for it.

   It has one place where no caller can help it: it aborts when the table by
   which it finds the watcher of a descriptor cannot grow, which is its only
   realloc().  So each batch is a process of its own, and that is the one end
   that it may have by a signal. */

#include "calls.h"
#include "pair.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

enum {
  RUNS_MAX = 200,
  WATCH_S = 300,
  MESSAGES = 10,
};

/* In memory of both processes. */
typedef struct starved {
  atomic_size_t allocs;               /* So far, */
  atomic_size_t fail_at;              /* which one fails, from 0, */
  atomic_bool for_ever;               /* with all after it. */
  atomic_bool failed, failed_to_grow; /* It did, */
  atomic_size_t failed_len;           /* and was to have so many bytes. */
  atomic_long live;
} starved;

static starved *starving;

static bool fails(bool grows, size_t len) {
  size_t n = starving->allocs++;

  if (n < starving->fail_at || (n > starving->fail_at && !starving->for_ever)) {
    return false;
  }
  starving->failed = true;
  starving->failed_to_grow = grows;
  if (n == starving->fail_at) {
    starving->failed_len = len;
  }
  return true;
}

static void *starved_malloc(size_t len) {
  if (fails(false, len)) {
    return NULL;
  }
  starving->live++;
  return malloc(len);
}

static void *starved_calloc(size_t count, size_t len) {
  if (fails(false, len)) {
    return NULL;
  }
  starving->live++;
  return calloc(count, len);
}

static void *starved_realloc(void *p, size_t len) {
  if (fails(true, len)) {
    return NULL;
  }
  starving->live += p == NULL;
  return realloc(p, len);
}

static void starved_free(void *p) {
  starving->live -= p != NULL;
  free(p);
}

static void starve(size_t fail_at) {
  starving->allocs = 0;
  starving->fail_at = fail_at;
  starving->for_ever = false;
  starving->failed = false;
  starving->failed_to_grow = false;
}

/* A process for one batch; 0 in it.  Signals end it. */
static pid_t start_child(void) {
  pid_t child = fork();

  assert_true(child >= 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
    pre_watch(WATCH_S);
  }
  return child;
}

/* ---- libuv ---- */

/* The reason that memory lacked, and what the other side sees of that. */
static bool is_fitting(const cmt_why *why) {
  return why->err == CMT_ENOMEM || why->err == CMT_EEOF ||
         why->err == CMT_ERESET;
}

static void check(const pair_report *r) {
  if (r->start.err != CMT_OK) {
    PRE_CHECK(r->start.err == CMT_ENOMEM);
    PRE_CHECK(strcmp(r->start.text, "cannot make a loop: allocation failed") ==
              0);
    return;
  }
  PRE_CHECK(r->done);
  for (int i = 0; i < 2; i++) {
    PRE_CHECK(r->sides[i].end_count <= 1);
    for (size_t k = 0; k < r->sides[i].end_count; k++) {
      PRE_CHECK(starving->failed && is_fitting(&r->sides[i].ends[k].why));
    }
  }
}

/* In a process of its own. */
static _Noreturn void run_child(void) {
  pair_report r;
  long live = starving->live;

  pre_begin(NULL);
  pre_warp(2);
  pair_run(
    &(pair_options){.threads = true, .host = "localhost", .messages = MESSAGES},
    &r);
  pre_end();
  check(&r);
  uv_library_shutdown();
  PRE_CHECK(starving->live == live);
  _exit(0);
}

/* True when libuv has aborted. */
static bool run(size_t fail_at) {
  int status = 0;
  pid_t child;

  starve(fail_at);
  child = start_child();
  if (child == 0) {
    run_child();
  }
  assert_int_equal(child, waitpid(child, &status, 0));
  if (WIFSIGNALED(status)) {
    assert_int_equal(SIGABRT, WTERMSIG(status));
    assert_true(starving->failed_to_grow);
    return true;
  }
  if (WEXITSTATUS(status) != 0) {
    fail_msg("allocation %zu of libuv", fail_at);
  }
  return false;
}

static void any_allocation_of_libuv_may_fail(void **state) {
  size_t count, aborts = 0;

  (void)state;
  run(SIZE_MAX);
  count = starving->allocs;
  assert_in_range(count, 5, RUNS_MAX);
  for (size_t i = 0; i < count; i++) {
    aborts += run(i);
    assert_true(starving->failed);
  }
  printf(
    "# %zu allocations of libuv; with %zu of them it aborts, for its table "
    "of watchers cannot grow\n",
    count, aborts);
  assert_true(aborts < count);
}

static int init(void **state) {
  (void)state;
  starving = mmap(NULL, sizeof *starving, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (starving == MAP_FAILED) {
    return -1;
  }
  starve(SIZE_MAX);
  if (uv_replace_allocator(starved_malloc, starved_realloc, starved_calloc,
                           starved_free) != 0) {
    return -1;
  }
  pair_init();
  return 0;
}

/* libuv frees its last memory when the process ends. */
static int fini(void **state) {
  (void)state;
  pair_fini();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(any_allocation_of_libuv_may_fail),
  };

  return cmocka_run_group_tests_name("preload_memory", tests, init, fini);
}
