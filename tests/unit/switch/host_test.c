/* SPDX-License-Identifier: Apache-2.0 */

/* What a switch leaves alone of the process that it lives in. */

#include "sockets.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TASKS_MAX = 64, WORKERS = 3 };

/* A name, whose dial starts a thread that looks it up. */
#define SOMEWHERE "00112233445566778899aabbccddeeff00112233@localhost:1"

typedef struct node {
  cmt_switch *sw;
  test_watch watch;
  unsigned rejected;
} node;

static void on_rejected(void *arg, const cmt_rejection *r) {
  node *n = arg;

  (void)r;
  test_bump(&n->watch, &n->rejected);
}

/* Starts a switch with workers and lets it dial a name. */
static void node_start(node *n) {
  static const cmt_channel channel = {.id = 0x51, .priority = 1};
  cmt_reactor reactor = {.name = "chat",
                         .channels = &channel,
                         .channel_count = 1,
                         .delivery = CMT_DELIVER_WORKERS,
                         .threads = WORKERS};
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch_options o;

  test_watch_init(&n->watch);
  n->rejected = 0;
  test_switch_options(&o, &reactor);
  o.on_rejected = on_rejected;
  o.arg = n;
  test_switch_start(&o, &n->sw, addr);
  assert_cmt(CMT_OK, cmt_switch_dial(n->sw, SOMEWHERE, 0, NULL));
  test_await(&n->watch, &n->rejected, 1);
}

static void node_end(node *n) {
  assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
  test_watch_fini(&n->watch);
}

/* ---- signals of threads ---- */

/* The ids of the threads of this process; returns how many there are. */
static size_t tasks(long *ids) {
  DIR *dir = opendir("/proc/self/task");
  const struct dirent *entry;
  size_t count = 0;

  assert_non_null(dir);
  while ((entry = readdir(dir)) != NULL) {
    long id = strtol(entry->d_name, NULL, 10);

    if (id > 0) {
      assert_true(count < TASKS_MAX);
      ids[count++] = id;
    }
  }
  closedir(dir);
  return count;
}

static bool is_among(long id, const long *ids, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (ids[i] == id) {
      return true;
    }
  }
  return false;
}

/* The signals that the thread |id| blocks: bit N - 1 for the signal N; all when
   it has ended, as that of a lookup may have. */
static uint64_t blocked(long id) {
  char path[64], line[256];
  unsigned long long mask = UINT64_MAX;
  FILE *file;

  snprintf(path, sizeof path, "/proc/self/task/%ld/status", id);
  file = fopen(path, "r");
  if (file == NULL) {
    return UINT64_MAX;
  }
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, "SigBlk:", 7) == 0) {
      mask = strtoull(line + 7, NULL, 16);
    }
  }
  fclose(file);
  return mask;
}

/* All that can be blocked; the C library keeps two for itself. */
static uint64_t all_signals(void) {
  uint64_t mask = 0;
  sigset_t set;

  sigfillset(&set);
  for (int number = 1; number <= 64; number++) {
    if (number != SIGKILL && number != SIGSTOP &&
        sigismember(&set, number) == 1) {
      mask |= UINT64_C(1) << (number - 1);
    }
  }
  return mask;
}

static void threads_block_all_signals(void **state) {
  long before[TASKS_MAX], now[TASKS_MAX];
  uint64_t all = all_signals();
  size_t before_count = tasks(before), count, ours = 0;
  node n;

  (void)state;
  node_start(&n);
  count = tasks(now);
  for (size_t i = 0; i < count; i++) {
    if (!is_among(now[i], before, before_count)) {
      assert_int_equal(all, blocked(now[i]) & all);
      ours++;
    }
  }
  printf("# %zu threads\n", ours);
  assert_true(ours >= 1 + WORKERS); /* The loop and the workers. */
  node_end(&n);
}

/* ---- signals of the process ---- */

static void no_handler_of_a_signal_changes(void **state) {
  struct sigaction before[65], now;
  sigset_t mask_before, mask;
  node n;

  (void)state;
  for (int number = 1; number <= 64; number++) {
    memset(&before[number], 0, sizeof before[number]);
    (void)sigaction(number, NULL, &before[number]);
  }
  pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
  node_start(&n);
  pthread_sigmask(SIG_SETMASK, NULL, &mask);
  for (int number = 1; number <= 64; number++) {
    memset(&now, 0, sizeof now);
    (void)sigaction(number, NULL, &now);
    assert_ptr_equal(before[number].sa_handler, now.sa_handler);
    assert_int_equal(sigismember(&mask_before, number),
                     sigismember(&mask, number));
  }
  node_end(&n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(threads_block_all_signals),
    cmocka_unit_test(no_handler_of_a_signal_changes),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
