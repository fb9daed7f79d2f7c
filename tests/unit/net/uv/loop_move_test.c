/* SPDX-License-Identifier: Apache-2.0 */

/* A connection that goes from one loop to another: two real loops, which this
   thread runs in turns, and two doubles that share a network. */

#include "loop_double.h"
#include "loop_uv_pair.h"

#include <sys/epoll.h>

static int epoll_error; /* The error of the next call. */

/* libuv ends up here. */
__attribute__((visibility("default"))) int
epoll_ctl(int epfd, int op, int fd, struct epoll_event *event) {
  if (take_error(&epoll_error)) {
    return -1;
  }
  return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

/* The connection of the pair is on the first loop. */
typedef struct fixture {
  pair *p;
  cmt__loop *second;
} fixture;

static fixture the_fixture;

static int setup(void **state) {
  fixture *f = &the_fixture;

  epoll_error = 0;
  assert_int_equal(0, init((void **)&f->p));
  assert_cmt(CMT_OK, cmt__loop_uv_new(&f->p->env.env, &f->second));
  assert_cmt(CMT_OK, cmt__loop_reserve_timers(f->second, 16));
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  for (size_t i = 0; i < f->p->servers.count; i++) {
    test_user_close(&f->p->servers.user[i]);
  }
  cmt__loop_delete(f->second);
  return fini((void **)&f->p);
}

static bool is_let_go(void *arg) { return ((test_user *)arg)->detaches > 0; }

static void detach(cmt__loop *from, test_user *u) {
  u->detaches = 0;
  u->inside = true; /* No callback comes from inside the call. */
  cmt__tcp_detach(u->tcp);
  u->inside = false;
  test_user_run(from, is_let_go, u);
  assert_int_equal(1, u->detaches);
}

static void it_is_read_on_its_new_loop(void **state) {
  fixture *f = *state;
  pair *p = f->p;

  open_pair(p, true);
  test_user_write(&p->client, 1000);
  detach(p->loop, p->server);
  assert_int_equal(0, p->server->bytes);
  assert_cmt(CMT_OK, cmt__tcp_attach(p->server->tcp, f->second));
  assert_ptr_equal(f->second, p->server->tcp->loop);
  test_user_run(f->second, server_has_read, p);
  assert_int_equal(1000, p->server->bytes);
  assert_false(p->server->damaged);
}

static void nothing_is_reported_while_it_is_on_none(void **state) {
  fixture *f = *state;
  pair *p = f->p;

  open_pair(p, true);
  detach(p->loop, p->server);
  test_user_write(&p->client, 1000);
  cmt__tcp_shutdown(p->client.tcp);
  run_a_while(p);
  assert_int_equal(0, p->server->bytes);
  assert_int_equal(0, p->server->ends);
  assert_cmt(CMT_OK, cmt__tcp_attach(p->server->tcp, f->second));
  test_user_run(f->second, server_has_ended, p);
  assert_int_equal(1000, p->server->bytes);
  assert_cmt(CMT_EEOF, p->server->end_err);
}

static void reading_stays_off(void **state) {
  fixture *f = *state;
  pair *p = f->p;

  open_pair(p, false);
  test_user_write(&p->client, 1000);
  detach(p->loop, p->server);
  assert_cmt(CMT_OK, cmt__tcp_attach(p->server->tcp, f->second));
  run_a_while(&(pair){.loop = f->second});
  assert_int_equal(0, p->server->bytes);
  cmt__tcp_read(p->server->tcp, true);
  test_user_run(f->second, server_has_read, p);
}

static bool client_has_read(void *arg) {
  return ((pair *)arg)->client.bytes == ((pair *)arg)->server->sent;
}

static bool server_has_room(void *arg) {
  return ((pair *)arg)->server->writables > 0;
}

static void room_that_is_owed_is_reported_there(void **state) {
  enum { CHUNK = 100000 };
  fixture *f = *state;
  pair *p = f->p;

  open_pair(p, true);
  while (test_user_write(p->server, CHUNK) == CHUNK) {
  }
  detach(p->loop, p->server);
  assert_cmt(CMT_OK, cmt__tcp_attach(p->server->tcp, f->second));
  test_user_run(p->loop, client_has_read, p);
  assert_int_equal(0, p->server->writables);
  test_user_run(f->second, server_has_room, p);
  assert_int_equal(1, p->server->writables);
  assert_false(p->client.damaged);
}

static void it_can_come_back(void **state) {
  fixture *f = *state;
  pair *p = f->p;

  open_pair(p, true);
  for (size_t i = 1; i <= 10; i++) {
    detach(p->loop, p->server);
    assert_cmt(CMT_OK, cmt__tcp_attach(p->server->tcp, f->second));
    test_user_write(&p->client, 1000);
    test_user_run(f->second, server_has_read, p);
    detach(f->second, p->server);
    assert_cmt(CMT_OK, cmt__tcp_attach(p->server->tcp, p->loop));
    test_user_write(&p->client, 1000);
    test_user_run(p->loop, server_has_read, p);
    assert_int_equal(2000 * i, p->server->bytes);
  }
  assert_false(p->server->damaged);
}

static void it_can_be_closed_there(void **state) {
  fixture *f = *state;
  pair *p = f->p;

  open_pair(p, true);
  detach(p->loop, p->server);
  assert_cmt(CMT_OK, cmt__tcp_attach(p->server->tcp, f->second));
  test_user_close(p->server);
  test_user_run(p->loop, client_has_ended, p);
  assert_cmt(CMT_EEOF, p->client.end_err);
}

static void a_loop_that_cannot_accept_it_closes_it(void **state) {
  fixture *f = *state;
  pair *p = f->p;
  size_t live;

  open_pair(p, true);
  detach(p->loop, p->server);
  epoll_error = ENOSPC;
  live = p->env.live;
  assert_cmt(CMT_EIO, cmt__tcp_attach(p->server->tcp, f->second));
  assert_int_equal(live - 1, p->env.live);
  p->server->tcp = NULL;
  test_user_run(p->loop, client_has_ended, p);
  assert_cmt(CMT_EEOF, p->client.end_err);
}

/* ---- doubles ---- */

typedef struct doubles {
  test_env env;
  test_loop *first, *second;
  cmt__listener *listener;
  test_users servers;
  test_user client;
} doubles;

static int doubles_setup(void **state) {
  doubles *d = calloc(1, sizeof *d);
  cmt_net_addr at;

  assert_non_null(d);
  test_env_init(&d->env);
  d->first = test_loop_new(&d->env.env);
  d->second = test_loop_new_beside(d->first);
  d->listener = test_listen(test_loop_base(d->first), &d->servers, &at);
  test_user_connect(&d->client, test_loop_base(d->first), &at);
  test_loop_run_until_idle(d->first);
  *state = d;
  return 0;
}

static int doubles_teardown(void **state) {
  doubles *d = *state;

  test_user_close(&d->client);
  test_user_close(&d->servers.user[0]);
  cmt__listener_close(d->listener);
  cmt__loop_delete(test_loop_base(d->second));
  cmt__loop_delete(test_loop_base(d->first));
  test_env_fini(&d->env);
  free(d);
  return 0;
}

static void a_double_behaves_the_same(void **state) {
  doubles *d = *state;
  test_user *server = &d->servers.user[0];

  cmt__tcp_detach(server->tcp);
  assert_int_equal(0, server->detaches);
  test_user_write(&d->client, 1000);
  test_loop_run_until_idle(d->first);
  assert_int_equal(1, server->detaches);
  assert_int_equal(0, server->bytes);
  assert_cmt(CMT_OK, cmt__tcp_attach(server->tcp, test_loop_base(d->second)));
  test_loop_step_one(d->first);
  assert_int_equal(0, server->bytes);
  test_loop_step_one(d->second);
  assert_int_equal(1000, server->bytes);
}

static void doubles_have_one_clock(void **state) {
  doubles *d = *state;

  test_loop_advance(d->first, CMT_SECONDS(5));
  assert_int_equal(cmt__loop_now(test_loop_base(d->first)),
                   cmt__loop_now(test_loop_base(d->second)));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define DOUBLE(f)                                                              \
  cmocka_unit_test_setup_teardown(f, doubles_setup, doubles_teardown)
  const struct CMUnitTest tests[] = {
    TEST(it_is_read_on_its_new_loop),
    TEST(nothing_is_reported_while_it_is_on_none),
    TEST(reading_stays_off),
    TEST(room_that_is_owed_is_reported_there),
    TEST(it_can_come_back),
    TEST(it_can_be_closed_there),
    TEST(a_loop_that_cannot_accept_it_closes_it),
    DOUBLE(a_double_behaves_the_same),
    DOUBLE(doubles_have_one_clock),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
