/* SPDX-License-Identifier: Apache-2.0 */

/* A crowd of silent connections over sockets, from thousands of addresses and
   then from one, that goes on all the time: a friend who comes meanwhile
   becomes a peer each time. */

#include "child_process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum {
  CROWD = 10000, /* Connections that are open at one time, */
  OF_ONE = 1000, /* and those of a single address. */
  OWN_DESCRIPTORS = 100,
  VISITS = 10,
};

/* ---- the node, a process of its own ---- */

static uint64_t resident_kib(void) {
  unsigned long pages = 0, resident = 0;
  FILE *f = fopen("/proc/self/statm", "r");

  if (f != NULL && fscanf(f, "%lu %lu", &pages, &resident) != 2) {
    resident = 0;
  }
  if (f != NULL) {
    fclose(f);
  }
  return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void child_run(int in, int out) {
  const cmt_reactor r = {.name = "test"};
  cmt_switch_options o;
  cmt_switch_status status;
  uint64_t report[3];
  cmt_switch *s;
  char byte;

  test_switch_options(&o, &r);
  o.handshake_timeout_ns = 0;
  test_child_check(cmt_switch_new(&o, &s, NULL) == CMT_OK, 11);
  test_child_check(cmt_switch_start(s, NULL) == CMT_OK, 12);
  test_child_ready(s, out, 13);
  while (read(in, &byte, 1) == 1) {
    cmt_switch_get_status(s, &status);
    report[0] = status.accepted;
    report[1] = status.handshakes;
    report[2] = resident_kib();
    test_child_check(write(out, report, sizeof report) == sizeof report, 15);
  }
  test_child_check(cmt_switch_delete(s) == CMT_OK, 16);
  _exit(0);
}

typedef struct report {
  uint64_t accepted, handshakes, kib;
} report;

static report child_ask(const test_child *c) {
  report r;

  assert_int_equal(1, write(c->to, "?", 1));
  assert_int_equal(sizeof r, read(c->from, &r, sizeof r));
  return r;
}

/* ---- the crowd ---- */

typedef struct crowd {
  size_t size, of_one; /* How many are open; from one address. */
  uint16_t port;
  int *fds; /* A ring: the oldest gives way to the next. */
  atomic_ulong opened;
  atomic_bool over;
  pthread_t thread;
} crowd;

/* The |i|th: from an address of its own, or from the one of the last. */
static int stranger(const crowd *c, size_t i) {
  unsigned n = (unsigned)(i % c->size);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(c->port)},
                     from = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  n = n + c->of_one < c->size ? n : (unsigned)c->size;
  from.sin_addr.s_addr = htonl(0x7f010001 + n);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd >= 0 && (bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
                  (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 &&
                   errno != EINPROGRESS))) {
    close(fd);
    fd = -1;
  }
  return fd;
}

static void *storm(void *arg) {
  crowd *c = arg;

  for (size_t i = 0; !atomic_load(&c->over); i++) {
    int *fd = &c->fds[i % c->size];

    if (*fd >= 0) {
      close(*fd);
    }
    *fd = stranger(c, i);
    if (*fd >= 0) {
      atomic_fetch_add(&c->opened, 1);
    }
  }
  return NULL;
}

static void crowd_start(crowd *c) {
  c->fds = malloc(c->size * sizeof *c->fds);
  assert_non_null(c->fds);
  for (size_t i = 0; i < c->size; i++) {
    c->fds[i] = -1;
  }
  assert_int_equal(0, pthread_create(&c->thread, NULL, storm, c));
}

static void crowd_end(crowd *c) {
  atomic_store(&c->over, true);
  pthread_join(c->thread, NULL);
  for (size_t i = 0; i < c->size; i++) {
    if (c->fds[i] >= 0) {
      close(c->fds[i]);
    }
  }
  free(c->fds);
}

/* ---- the friend ---- */

typedef struct visitor {
  test_watch watch;
  unsigned added, removed;
  unsigned attempts;
} visitor;

static void add_peer(void *self, cmt_peer *p) {
  visitor *v = self;

  (void)p;
  test_bump(&v->watch, &v->added);
}

static void remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  visitor *v = self;

  (void)p;
  (void)reason;
  test_bump(&v->watch, &v->removed);
}

static void on_outcome(void *arg, cmt_dial *d, const cmt_dial_outcome *o) {
  visitor *v = arg;

  (void)d;
  (void)o;
  test_bump(&v->watch, &v->attempts);
}

static double now_ms(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;

  return (x > y) - (x < y);
}

/* Dials until it is a peer, and goes again. */
static double visit(visitor *v, cmt_switch *sw, const char *to, unsigned i) {
  double begin = now_ms(), took;
  cmt_dial_options o;
  cmt_node_id id;
  cmt_dial *d;
  cmt_peer *p;

  cmt_dial_options_init(&o);
  o.persistent = true;
  o.retry_delay_ns = CMT_MILLISECONDS(1);
  o.retry_jitter_ns = CMT_NO_JITTER;
  o.on_outcome = on_outcome;
  o.arg = v;
  assert_cmt(CMT_OK, cmt_switch_dial_new(sw, to, &o, &d, NULL));
  test_await(&v->watch, &v->added, i + 1);
  took = now_ms() - begin;
  cmt_dial_cancel(d);
  snprintf(id.text, sizeof id.text, "%.40s", to);
  p = cmt_switch_peer(sw, &id);
  if (p != NULL) {
    cmt_peer_stop(p, CMT_ECANCELED, 0);
    cmt_peer_unref(p);
  }
  test_await(&v->watch, &v->removed, i + 1);
  return took;
}

static void friend_is_served(crowd *c) {
  visitor v = {.watch = TEST_WATCH_INITIALIZER};
  const cmt_reactor r = {.name = "test",
                         .self = &v,
                         .add_peer = add_peer,
                         .remove_peer = remove_peer};
  char own[CMT_NET_ADDR_TEXT_SIZE];
  double took[VISITS];
  report before, after;
  cmt_switch_options o;
  cmt_net_addr at;
  cmt_switch *sw;
  test_child n;

  test_child_start(&n, child_run);
  before = child_ask(&n);
  assert_cmt(CMT_OK, cmt_net_addr_parse(n.addr, 0, &at, NULL));
  c->port = at.port;
  crowd_start(c);
  test_switch_options(&o, &r);
  /* The kernel of the node may find no room for our SYN beside theirs, and ours
     repeats it less and less often: the next attempt comes sooner.  But
     thousands may wait to be accepted before us, which takes a slow node long.
   */
  o.dial_timeout_ns = 0;
  test_switch_start(&o, &sw, own);
  while (atomic_load(&c->opened) < c->size) {
    sched_yield();
  }
  for (unsigned i = 0; i < VISITS; i++) {
    took[i] = visit(&v, sw, n.addr, i);
  }
  after = child_ask(&n);
  assert_in_range(after.handshakes, 0, 64);
  assert_true(after.accepted > before.accepted + VISITS);
  assert_int_equal(VISITS, v.added);
  qsort(took, VISITS, sizeof took[0], ascending);
  print_message("# %lu strangers, %zu at one time; a friend is a peer after "
                "%.1f ms (median), %.1f ms at most, %u attempts for %d visits; "
                "%lld KiB more\n",
                atomic_load(&c->opened), c->size, took[VISITS / 2],
                took[VISITS - 1], v.attempts, VISITS,
                (long long)after.kib - (long long)before.kib);
  crowd_end(c);
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
  test_child_end(&n);
}

/* As many as this process may have. */
static size_t crowd_size(void) {
  struct rlimit limit;

  assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  assert_true(limit.rlim_cur > 2 * OWN_DESCRIPTORS);
  return cmt__min(CROWD, (size_t)limit.rlim_cur - OWN_DESCRIPTORS);
}

static void a_friend_is_served_beside_a_silent_crowd(void **state) {
  crowd c = {.size = crowd_size()};

  (void)state;
  c.of_one = cmt__min(OF_ONE, c.size / 2);
  friend_is_served(&c);
}

static void beside_one_of_a_single_address_too(void **state) {
  crowd c = {.size = cmt__min(OF_ONE, crowd_size())};

  (void)state;
  c.of_one = c.size;
  friend_is_served(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_friend_is_served_beside_a_silent_crowd),
    cmocka_unit_test(beside_one_of_a_single_address_too),
  };

  signal(SIGPIPE, SIG_IGN);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
