/* SPDX-License-Identifier: Apache-2.0 */

/* Listeners on real loopback.  accept4() of the library ends up in the one
   below, which can fail. */

#include "net/uv/loop_uv.h"

#include "loop_user.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

static int accept_errors[8]; /* The errors of the next calls, up to a 0. */
static size_t accepts;       /* Calls. */

int accept4(int fd, struct sockaddr *from, socklen_t *len, int flags) {
  int error = accept_errors[0];

  accepts++;
  assert_int_equal(SOCK_CLOEXEC | SOCK_NONBLOCK, flags);
  if (error != 0) {
    memmove(accept_errors, accept_errors + 1,
            sizeof accept_errors - sizeof accept_errors[0]);
    errno = error;
    return -1;
  }
  return (int)syscall(SYS_accept4, fd, from, len, flags);
}

/* What the tests of this file have in common: one loop, one listener, its
   users, and clients to connect with. */
typedef struct place {
  test_env env;
  cmt__loop *loop;
  cmt__listener *listener; /* NULL: closed by the test. */
  cmt_net_addr at;
  test_users users;
  test_user clients[TEST_USERS];
} place;

static place the_place;

static int init(void **state) {
  place *p = &the_place;

  accepts = 0;
  memset(accept_errors, 0, sizeof accept_errors);
  memset(p, 0, sizeof *p);
  test_env_init(&p->env);
  assert_cmt(CMT_OK, cmt__loop_uv_new(&p->env.env, &p->loop));
  assert_cmt(CMT_OK, cmt__loop_reserve_timers(p->loop, 16));
  p->listener = test_listen(p->loop, &p->users, &p->at);
  *state = p;
  return 0;
}

static int fini(void **state) {
  place *p = *state;

  for (size_t i = 0; i < TEST_USERS; i++) {
    test_user_close(&p->clients[i]);
    test_user_close(&p->users.user[i]);
  }
  if (p->listener != NULL) {
    cmt__listener_close(p->listener);
  }
  cmt__loop_delete(p->loop);
  test_env_fini(&p->env);
  return 0;
}

static bool all_have_outcomes(void *arg) {
  const place *p = arg;

  for (size_t i = 0; i < TEST_USERS; i++) {
    if (p->clients[i].tcp != NULL && p->clients[i].connects == 0) {
      return false;
    }
  }
  return true;
}

static void connect_clients(place *p, size_t first, size_t count) {
  for (size_t i = first; i < first + count; i++) {
    test_user_connect(&p->clients[i], p->loop, &p->at);
  }
}

static size_t wanted_count;

static bool enough_are_accepted(void *arg) {
  return all_have_outcomes(arg) && ((place *)arg)->users.count == wanted_count;
}

static void run_until_accepted(place *p, size_t count) {
  wanted_count = count;
  test_user_run(p->loop, enough_are_accepted, p);
}

static void port_0_picks_a_free_port(void **state) {
  place *p = *state;

  assert_string_equal("127.0.0.1", p->at.host);
  assert_true(p->at.port != 0);
  assert_string_equal("", p->at.id.text);
}

static void every_waiting_connection_is_accepted(void **state) {
  place *p = *state;

  connect_clients(p, 0, TEST_USERS);
  run_until_accepted(p, TEST_USERS);
  assert_int_equal(0, cmt__listener_dropped(p->listener));
}

/* Looks at the end of each iteration how many were accepted in it. */
typedef struct turns {
  cmt__task task;
  place *p;
  size_t before, most;
} turns;

static void on_iteration(cmt__task *task) {
  turns *t = (turns *)task;

  t->most = cmt__max(t->most, t->p->users.count - t->before);
  t->before = t->p->users.count;
  if (t->before < wanted_count) {
    cmt__loop_defer(t->p->loop, task);
  }
}

static void an_iteration_delivers_as_many_as_it_may(void **state) {
  place *p = *state;
  turns t = {.task = {.cb = on_iteration}, .p = p};

  cmt__listener_accepts_max(p->listener, 3);
  connect_clients(p, 0, 8);
  cmt__loop_defer(p->loop, &t.task);
  run_until_accepted(p, 8);
  cmt__loop_defer_cancel(p->loop, &t.task);
  assert_in_range(t.most, 1, 3);
}

static void a_port_in_use_is_named(void **state) {
  place *p = *state;
  cmt__listener *second;
  char expected[256];
  cmt_why why;

  snprintf(expected, sizeof expected,
           "cannot listen on 127.0.0.1:%u: Address already in use",
           (unsigned)p->at.port);
  assert_cmt(CMT_EIO, cmt__loop_listen(p->loop, &p->at, test_user_accept,
                                       &p->users, &second, &why));
  assert_string_equal(expected, why.text);
  assert_cmt(CMT_EIO, why.err);
  assert_int_equal(CMT_STAGE_TRANSPORT, why.stage);
}

static void a_host_name_cannot_be_listened_on(void **state) {
  place *p = *state;
  cmt_net_addr at = {.host = "localhost", .port = 0};
  cmt__listener *second;
  cmt_why why;

  assert_cmt(CMT_EINVAL, cmt__loop_listen(p->loop, &at, test_user_accept,
                                          &p->users, &second, &why));
  assert_string_equal(
    "cannot listen on localhost:0: the host is not an IP address", why.text);
  assert_cmt(CMT_EINVAL, cmt__loop_listen(p->loop, &at, test_user_accept,
                                          &p->users, &second, NULL));
}

/* A closed port whose connection still lingers can be listened on again. */
static void a_port_can_be_listened_on_again(void **state) {
  place *p = *state;

  connect_clients(p, 0, 1);
  run_until_accepted(p, 1);
  test_user_close(&p->users.user[0]);
  cmt__listener_close(p->listener);
  assert_cmt(CMT_OK, cmt__loop_listen(p->loop, &p->at, test_user_accept,
                                      &p->users, &p->listener, NULL));
  connect_clients(p, 1, 1);
  run_until_accepted(p, 2);
}

static void ipv4_reaches_the_ipv6_wildcard_under_its_own_name(void **state) {
  place *p = *state;
  cmt_net_addr at = {.host = "::"}, remote;

  cmt__listener_close(p->listener);
  p->listener = NULL;
  if (cmt__loop_listen(p->loop, &at, test_user_accept, &p->users, &p->listener,
                       NULL) != CMT_OK) {
    skip(); /* This machine has no IPv6. */
  }
  cmt__listener_addr(p->listener, &at);
  assert_string_equal("::", at.host);
  p->at.port = at.port;
  connect_clients(p, 0, 1);
  run_until_accepted(p, 1);
  cmt__tcp_remote(p->users.user[0].tcp, &remote);
  assert_string_equal("127.0.0.1", remote.host);
}

static void failed_accepts_do_not_end_accepting(void **state) {
  static const int errors[] = {ECONNABORTED, EINTR, EPROTO, EPERM, ENETDOWN};
  place *p = *state;

  memcpy(accept_errors, errors, sizeof errors);
  connect_clients(p, 0, 2);
  run_until_accepted(p, 2);
  assert_int_equal(0, accept_errors[0]);
  assert_int_equal(0, cmt__listener_dropped(p->listener));
}

static void a_lack_of_kernel_memory_only_delays_accepting(void **state) {
  place *p = *state;

  accept_errors[0] = ENOBUFS;
  accept_errors[1] = ENOMEM;
  connect_clients(p, 0, 2);
  run_until_accepted(p, 2);
  assert_int_equal(0, accept_errors[0]);
}

static bool clients_have_ended(void *arg) {
  const place *p = arg;

  for (size_t i = 0; i < TEST_USERS; i++) {
    if (p->clients[i].tcp != NULL && p->clients[i].ends == 0) {
      return false;
    }
  }
  return true;
}

static void read_when_connected(test_user *u, test_event event) {
  if (event == TEST_CONNECTED) {
    assert_cmt(CMT_OK, u->connect_err);
    cmt__tcp_read(u->tcp, true);
  }
}

static void connect_readers(place *p, size_t count) {
  for (size_t i = 0; i < count; i++) {
    p->clients[i].hook = read_when_connected;
  }
  connect_clients(p, 0, count);
}

static void without_memory_a_connection_is_closed_and_counted(void **state) {
  place *p = *state;

  connect_readers(p, 1);
  p->env.fail_at = p->env.allocs;
  test_user_run(p->loop, clients_have_ended, p);
  assert_int_equal(1, cmt__listener_dropped(p->listener));
  assert_int_equal(0, p->users.count);
  connect_clients(p, 1, 1);
  run_until_accepted(p, 1);
}

/* Lets this process open no descriptor from |limit| on. */
static rlim_t limit_descriptors(rlim_t limit) {
  struct rlimit old, now;

  assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &old));
  now = (struct rlimit){.rlim_cur = limit, .rlim_max = old.rlim_max};
  assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &now));
  return old.rlim_cur;
}

/* Puts the limit just above the lowest free descriptor and opens all below. */
static int fill_descriptors(int *fds, int count, rlim_t *old) {
  int taken = 0, next = open("/dev/null", O_RDONLY);

  assert_true(next >= 0);
  close(next);
  *old = limit_descriptors((rlim_t)next + 1);
  for (int i = 0; i < count; i++) {
    fds[taken] = open("/dev/null", O_RDONLY);
    if (fds[taken] < 0) {
      assert_int_equal(EMFILE, errno);
      return taken;
    }
    taken++;
  }
  fail_msg("the limit does not hold");
  return 0;
}

static void free_descriptors(const int *fds, int count, rlim_t old) {
  limit_descriptors(old);
  for (int i = 0; i < count; i++) {
    close(fds[i]);
  }
}

static void
without_descriptors_connections_are_closed_and_counted(void **state) {
  place *p = *state;
  int fds[64], taken;
  rlim_t old;

  connect_readers(p, 5);
  taken = fill_descriptors(fds, 64, &old);
  test_user_run(p->loop, clients_have_ended, p);
  free_descriptors(fds, taken, old);
  assert_int_equal(5, cmt__listener_dropped(p->listener));
  assert_int_equal(0, p->users.count);
  connect_clients(p, 5, 2);
  run_until_accepted(p, 2);
  assert_int_equal(5, cmt__listener_dropped(p->listener));
}

static void on_limit_lifted(cmt__timer *t) {
  (void)t;
  limit_descriptors(1024);
}

/* Under a limit below what is open the reserve, once closed, does not come
   back; the listener rests until descriptors are to be had. */
static void a_lost_reserve_does_not_end_accepting(void **state) {
  place *p = *state;
  cmt__timer lift = {.cb = on_limit_lifted};
  rlim_t old = limit_descriptors(1024);

  connect_clients(p, 0, 3);
  limit_descriptors(3);
  cmt__loop_timer(p->loop, &lift,
                  cmt__loop_now(p->loop) + CMT_MILLISECONDS(150));
  run_until_accepted(p, 3);
  limit_descriptors(old);
  assert_int_equal(0, cmt__listener_dropped(p->listener));
  assert_in_range(accepts, 4, 20);
}

static void close_all(void *arg, cmt__tcp *tcp) {
  place *p = arg;

  p->users.count++;
  cmt__tcp_close(tcp);
  cmt__listener_close(p->listener);
  p->listener = NULL;
  test_user_ask();
}

static void an_accept_can_close_its_tcp_and_the_listener(void **state) {
  place *p = *state;
  cmt_net_addr at = test_loopback();

  cmt__listener_close(p->listener);
  assert_cmt(CMT_OK,
             cmt__loop_listen(p->loop, &at, close_all, p, &p->listener, NULL));
  cmt__listener_addr(p->listener, &p->at);
  connect_clients(p, 0, 3);
  run_until_accepted(p, 1);
  assert_int_equal(1, accepts);
}

static void a_listener_without_memory_is_refused(void **state) {
  place *p = *state;
  cmt_net_addr at = test_loopback();
  cmt__listener *second;
  cmt_why why;

  p->env.fail_at = p->env.allocs;
  assert_cmt(CMT_ENOMEM, cmt__loop_listen(p->loop, &at, test_user_accept,
                                          &p->users, &second, &why));
  assert_string_equal("cannot listen on 127.0.0.1:0: allocation failed",
                      why.text);
}

#define PLACE_TEST(f) cmocka_unit_test_setup_teardown(f, init, fini)

/* ---- on a loop of the host ---- */

static bool is_inside;

static void on_inside(bool on) {
  assert_int_equal(!on, is_inside); /* They alternate. */
  is_inside = on;
}

static void note_inside(test_user *u, test_event event) {
  (void)event;
  assert_true(is_inside);
  u->arg = u;
}

static void on_loop_closed(void *arg) { *(bool *)arg = true; }

static void the_host_is_notified_when_callbacks_begin_and_end(void **state) {
  test_users users = {.hook = note_inside};
  test_user client = {.hook = note_inside};
  cmt__listener *listener;
  bool closed = false;
  cmt_net_addr at;
  cmt__loop *l;
  uv_loop_t uv;

  (void)state;
  assert_int_equal(0, uv_loop_init(&uv));
  assert_cmt(CMT_OK, cmt__loop_uv_new_on(NULL, &uv, on_inside, &l));
  listener = test_listen(l, &users, &at);
  test_user_connect(&client, l, &at);
  while (users.count == 0 || client.connects == 0) {
    uv_run(&uv, UV_RUN_ONCE);
  }
  assert_ptr_equal(&client, client.arg);
  test_user_close(&client);
  test_user_close(&users.user[0]);
  cmt__listener_close(listener);
  cmt__loop_uv_close(l, on_loop_closed, &closed);
  uv_run(&uv, UV_RUN_DEFAULT);
  assert_true(closed);
  assert_false(is_inside);
  cmt__loop_delete(l);
  assert_int_equal(0, uv_loop_close(&uv));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    PLACE_TEST(port_0_picks_a_free_port),
    PLACE_TEST(every_waiting_connection_is_accepted),
    PLACE_TEST(an_iteration_delivers_as_many_as_it_may),
    PLACE_TEST(a_port_in_use_is_named),
    PLACE_TEST(a_host_name_cannot_be_listened_on),
    PLACE_TEST(a_port_can_be_listened_on_again),
    PLACE_TEST(ipv4_reaches_the_ipv6_wildcard_under_its_own_name),
    PLACE_TEST(failed_accepts_do_not_end_accepting),
    PLACE_TEST(a_lack_of_kernel_memory_only_delays_accepting),
    PLACE_TEST(without_memory_a_connection_is_closed_and_counted),
    PLACE_TEST(without_descriptors_connections_are_closed_and_counted),
    PLACE_TEST(a_lost_reserve_does_not_end_accepting),
    PLACE_TEST(an_accept_can_close_its_tcp_and_the_listener),
    PLACE_TEST(a_listener_without_memory_is_refused),
    cmocka_unit_test(the_host_is_notified_when_callbacks_begin_and_end),
  };

  return cmocka_run_group_tests_name("loop_uv_listener", tests, NULL, NULL);
}
