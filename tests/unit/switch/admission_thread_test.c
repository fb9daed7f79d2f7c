/* SPDX-License-Identifier: Apache-2.0 */

/* Friends over real sockets, beside a thread that connects as fast as it can
   and sends nothing, half a key, or something of the length of a key. */

#include "sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

/* As many as keep their places: a quarter of all, however late their keys
   come. */
enum { FRIENDS = 16, HANDSHAKES = 4 * FRIENDS, OPEN_MAX_FDS = 150 };

typedef struct crowd {
  uint16_t port;
  const char *from;
  size_t len; /* Bytes that each of them sends. */
  atomic_bool stop;
  atomic_uint count;
  pthread_t thread;
} crowd;

typedef struct place {
  test_watch watch;
  unsigned added, rejected;
  cmt_why why; /* Why the last dial was rejected. */
  cmt_reactor reactor;
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *friends[FRIENDS];
  crowd crowd;
} place;

static int connect_one(const crowd *c) {
  static const uint8_t key[35] = {0x22, 0x0a, 0x20, 9};
  struct sockaddr_in at = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  assert_true(fd >= 0);
  assert_int_equal(1, inet_pton(AF_INET, c->from, &at.sin_addr));
  assert_int_equal(0, bind(fd, (struct sockaddr *)&at, sizeof at));
  assert_int_equal(1, inet_pton(AF_INET, "127.0.0.1", &at.sin_addr));
  at.sin_port = htons(c->port);
  if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0 && c->len > 0) {
    (void)!send(fd, key, c->len, MSG_NOSIGNAL);
  }
  return fd;
}

/* A reset leaves no port behind that waits. */
static void close_now(int fd) {
  struct linger now = {.l_onoff = 1};

  (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}

static void *crowd_main(void *arg) {
  crowd *c = arg;
  int fds[OPEN_MAX_FDS];
  size_t n = 0;

  for (size_t i = 0; i < OPEN_MAX_FDS; i++) {
    fds[i] = -1;
  }
  while (!atomic_load(&c->stop)) {
    if (fds[n] >= 0) {
      close_now(fds[n]);
    }
    fds[n] = connect_one(c);
    n = (n + 1) % OPEN_MAX_FDS;
    atomic_fetch_add(&c->count, 1);
  }
  for (size_t i = 0; i < OPEN_MAX_FDS; i++) {
    if (fds[i] >= 0) {
      close_now(fds[i]);
    }
  }
  return NULL;
}

static void on_add(void *self, cmt_peer *p) {
  place *x = self;

  if (!cmt_peer_is_outbound(p)) {
    test_bump(&x->watch, &x->added);
  }
}

static void on_rejected(void *arg, const cmt_rejection *r) {
  place *x = arg;

  if (r->outbound && !r->redials) {
    test_watch_lock(&x->watch);
    x->rejected++;
    x->why = r->why;
    test_watch_unlock(&x->watch);
  }
}

static cmt_switch *start(place *x, char *addr) {
  cmt_switch_options o;
  cmt_switch *sw;

  test_switch_options(&o, &x->reactor);
  o.handshakes_max = HANDSHAKES;
  o.handshakes_per_ip_max = CMT_NO_LIMIT;
  o.on_rejected = on_rejected;
  o.arg = x;
  test_switch_start(&o, &sw, addr);
  return sw;
}

static bool all_are_in_or_one_is_out(void *arg) {
  const place *x = arg;

  return x->added == FRIENDS || x->rejected > 0;
}

static void check(const char *from, size_t len, unsigned dial_flags) {
  place x = {.reactor = {.name = "all", .add_peer = on_add}};
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_net_addr at;

  test_watch_init(&x.watch);
  x.reactor.self = &x;
  x.sw = start(&x, x.addr);
  assert_cmt(CMT_OK, cmt_net_addr_parse(x.addr, 0, &at, NULL));
  x.crowd.port = at.port;
  x.crowd.from = from;
  x.crowd.len = len;
  assert_int_equal(0,
                   pthread_create(&x.crowd.thread, NULL, crowd_main, &x.crowd));
  while (atomic_load(&x.crowd.count) < OPEN_MAX_FDS) {
    sched_yield();
  }
  for (int i = 0; i < FRIENDS; i++) {
    x.friends[i] = start(&x, addr);
    assert_cmt(CMT_OK, cmt_switch_dial(x.friends[i], x.addr, dial_flags, NULL));
  }
  assert_true(test_await_that(&x.watch, all_are_in_or_one_is_out, &x));
  if (test_counter(&x.watch, &x.rejected) > 0) {
    fail_msg(
      "a friend was rejected beside a crowd of %s that sends %zu bytes: %s",
      from, len, x.why.text);
  }
  assert_int_equal(FRIENDS, test_counter(&x.watch, &x.added));
  atomic_store(&x.crowd.stop, true);
  pthread_join(x.crowd.thread, NULL);
  for (int i = 0; i < FRIENDS; i++) {
    assert_cmt(CMT_OK, cmt_switch_delete(x.friends[i]));
  }
  assert_cmt(CMT_OK, cmt_switch_delete(x.sw));
  test_watch_fini(&x.watch);
}

static void friends_come_in_beside_a_crowd(void **state) {
  (void)state;
  check("127.66.0.1", 0, 0);
  check("127.66.0.1", 17, 0);
  check("127.66.0.1", 35, 0);
}

/* One whose key is late there is as any of the crowd, and dials again. */
static void friends_come_in_from_the_address_of_a_crowd(void **state) {
  (void)state;
  check("127.0.0.1", 0, CMT_DIAL_PERSISTENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(friends_come_in_beside_a_crowd),
    cmocka_unit_test(friends_come_in_from_the_address_of_a_crowd),
  };

  return cmocka_run_group_tests_name("admission_thread", tests, NULL, NULL);
}
