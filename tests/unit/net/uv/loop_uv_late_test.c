/* SPDX-License-Identifier: Apache-2.0 */
/* A production loop that is delayed over real sockets: what has come meanwhile
   goes before the timers that fell due. */
#include "loop_uv_pair.h"

#include <time.h>

typedef struct held_up {
  cmt__timer timer;
  cmt__post post;
  pair *p;
  size_t reads_before, connects_before; /* When the timer ran. */
  bool fired;
} held_up;

static uint64_t clock_ns(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return CMT_SECONDS(t.tv_sec) + (uint64_t)t.tv_nsec;
}

static void on_due(cmt__timer *t) {
  held_up *h = (held_up *)t;

  h->fired = true;
  h->reads_before = h->p->server->reads;
  h->connects_before = h->p->client.connects;
  test_user_ask();
}

static bool has_fired(void *arg) { return ((held_up *)arg)->fired; }

/* A callback that lasts until the timer is due.  What is to come meanwhile the
   kernel of a busy machine may bring late, so that is waited for as well. */
static void hold_up(held_up *h) {
  uint64_t due_ns = cmt__loop_now(h->p->loop) + CMT_MILLISECONDS(2);

  cmt__loop_timer(h->p->loop, &h->timer, due_ns);
  while (clock_ns() <= due_ns + CMT_MILLISECONDS(1)) {
  }
}

static void write_and_hold_up(cmt__post *post) {
  held_up *h = (held_up *)((char *)post - offsetof(held_up, post));

  test_user_write(&h->p->client, 1000);
  hold_up(h);
  while (cmt__tcp_unread(h->p->server->tcp) < 1000) {
  }
}

static void connect_and_hold_up(cmt__post *post) {
  held_up *h = (held_up *)((char *)post - offsetof(held_up, post));
  struct pollfd wait = {.events = POLLOUT};

  test_user_connect(&h->p->client, h->p->loop, &h->p->at);
  hold_up(h);
  wait.fd = calls.connect_fd;
  assert_int_equal(1, poll(&wait, 1, -1));
}

static void bytes_go_before_a_timer_that_fell_due(void **state) {
  pair *p = *state;
  held_up h = {.timer = {.cb = on_due}, .p = p};

  open_pair(p, true);
  h.post.cb = write_and_hold_up;
  for (size_t i = 1; i <= 20; i++) {
    h.fired = false;
    cmt__loop_post(p->loop, &h.post);
    test_user_run(p->loop, has_fired, &h);
    assert_int_equal(i, h.reads_before);
  }
}

static void a_connect_goes_before_a_timer_that_fell_due(void **state) {
  pair *p = *state;
  held_up h = {.timer = {.cb = on_due}, .p = p};

  h.post.cb = connect_and_hold_up;
  cmt__loop_post(p->loop, &h.post);
  test_user_run(p->loop, has_fired, &h);
  assert_int_equal(1, h.connects_before);
}

/* In whole milliseconds, rounded up; what is too long is the system's time. */
static void the_kernel_gets_the_timeout(void **state) {
  static const struct {
    uint64_t ns;
    unsigned ms;
  } rows[] = {
    {CMT_MILLISECONDS(1500), 1500},
    {1, 1},
    {CMT_SECONDS(105), 105000},
    {0, 0},
    {CMT_NEVER, 0},
  };
  pair *p = *state;

  open_pair(p, true);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    unsigned ms = 7;
    socklen_t len = sizeof ms;

    cmt__tcp_give_up(p->client.tcp, rows[i].ns);
    assert_int_equal(0, getsockopt(calls.connect_fd, IPPROTO_TCP,
                                   TCP_USER_TIMEOUT, &ms, &len));
    assert_int_equal(rows[i].ms, ms);
  }
}

static bool server_has_some(void *arg) {
  return cmt__tcp_unread(((pair *)arg)->server->tcp) == 1000;
}

static void look_again(cmt__timer *t) {
  held_up *h = (held_up *)t;

  test_user_ask();
  cmt__loop_timer(h->p->loop, t, cmt__loop_now(h->p->loop) + 100000);
}

static void what_is_unread_is_known(void **state) {
  pair *p = *state;
  held_up h = {.timer = {.cb = look_again}, .p = p};

  open_pair(p, false);
  assert_int_equal(0, cmt__tcp_unread(p->server->tcp));
  assert_int_equal(1000, test_user_write(&p->client, 1000));
  cmt__loop_timer(p->loop, &h.timer, cmt__loop_now(p->loop));
  test_user_run(p->loop, server_has_some, p);
  cmt__loop_timer(p->loop, &h.timer, CMT_NEVER);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(bytes_go_before_a_timer_that_fell_due, init,
                                    fini),
    cmocka_unit_test_setup_teardown(a_connect_goes_before_a_timer_that_fell_due,
                                    init, fini),
    cmocka_unit_test_setup_teardown(the_kernel_gets_the_timeout, init, fini),
    cmocka_unit_test_setup_teardown(what_is_unread_is_known, init, fini),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
