/* SPDX-License-Identifier: Apache-2.0 */
#include "loop_user.h"

#include "test.h"

#include <stdlib.h>

static struct {
  cmt__loop *loop; /* NULL: nobody runs. */
  bool (*done)(void *arg);
  void *arg;
} watch;

void test_user_ask(void) {
  if (watch.loop != NULL && watch.done(watch.arg)) {
    cmt__loop_stop(watch.loop);
  }
}

static void on_limit(cmt__timer *t) {
  (void)t;
  fail_msg("the loop did not come to what was expected");
}

void test_user_run(cmt__loop *l, bool (*done)(void *arg), void *arg) {
  cmt__timer limit = {.cb = on_limit};

  if (done(arg)) {
    return;
  }
  watch.loop = l;
  watch.done = done;
  watch.arg = arg;
  cmt__loop_timer(l, &limit, cmt__loop_now(l) + CMT_SECONDS(300));
  cmt__loop_run(l);
  cmt__loop_timer(l, &limit, CMT_NEVER);
  watch.loop = NULL;
  assert_true(done(arg));
}

static uint8_t pattern(uint64_t at) {
  return (uint8_t)(at * 31 + (at >> 8) * 7);
}

static void tell(test_user *u, test_event event) {
  if (u->hook != NULL) {
    u->hook(u, event);
  }
  u->inside = false;
  test_user_ask();
}

/* Nothing may come from inside another callback, nor to a closed user. */
static test_user *enter(void *arg) {
  test_user *u = arg;

  assert_false(u->inside);
  assert_non_null(u->tcp);
  u->inside = true;
  return u;
}

static void on_connect(void *arg, cmt_err err) {
  test_user *u = enter(arg);

  u->connects++;
  u->connect_err = err;
  tell(u, TEST_CONNECTED);
}

static void on_read(void *arg, uint8_t *data, size_t len) {
  test_user *u = enter(arg);

  assert_true(len > 0);
  u->reads++;
  u->read_largest = cmt__max(u->read_largest, len);
  for (size_t i = 0; i < len; i++) {
    u->damaged |= data[i] != pattern(u->bytes + i);
    data[i] = 0; /* Bytes are free to be changed. */
  }
  u->bytes += len;
  tell(u, TEST_READ);
}

static void on_end(void *arg, cmt_err err) {
  test_user *u = enter(arg);

  u->ends++;
  u->end_err = err;
  tell(u, TEST_ENDED);
}

static void on_writable(void *arg) {
  test_user *u = enter(arg);

  u->writables++;
  tell(u, TEST_WRITABLE);
}

static void on_detached(void *arg) {
  test_user *u = enter(arg);

  u->detaches++;
  tell(u, TEST_DETACHED);
}

const cmt__tcp_callbacks test_user_callbacks = {.on_connect = on_connect,
                                                .on_read = on_read,
                                                .on_end = on_end,
                                                .on_writable = on_writable,
                                                .on_detached = on_detached};

void test_user_connect(test_user *u, cmt__loop *l, const cmt_net_addr *to) {
  u->inside = true; /* No callback comes from inside the call. */
  assert_cmt(CMT_OK,
             cmt__loop_connect(l, to, &test_user_callbacks, u, &u->tcp));
  u->inside = false;
}

void test_user_accept(void *arg, cmt__tcp *tcp) {
  test_users *users = arg;
  test_user *u = &users->user[users->count++];

  assert_true(users->count <= TEST_USERS);
  u->tcp = tcp;
  u->hook = users->hook;
  cmt__tcp_start(tcp, &test_user_callbacks, u);
  cmt__tcp_read(tcp, !users->paused);
  test_user_ask();
}

void test_user_close(test_user *u) {
  if (u->tcp != NULL) {
    cmt__tcp_close(u->tcp);
    u->tcp = NULL;
  }
}

size_t test_user_write(test_user *u, size_t len) {
  uint8_t *data = malloc(len);
  size_t taken = SIZE_MAX;

  assert_non_null(data);
  for (size_t i = 0; i < len; i++) {
    data[i] = pattern(u->sent + i);
  }
  assert_cmt(CMT_OK, cmt__tcp_write(u->tcp, data, len, &taken));
  free(data);
  assert_true(taken <= len);
  u->sent += taken;
  return taken;
}

cmt_net_addr test_loopback(void) { return (cmt_net_addr){.host = "127.0.0.1"}; }

cmt__listener *test_listen(cmt__loop *l, test_users *users, cmt_net_addr *at) {
  cmt_net_addr loopback = test_loopback();
  cmt__listener *ls = NULL;
  cmt_why why;

  assert_cmt(
    CMT_OK, cmt__loop_listen(l, &loopback, test_user_accept, users, &ls, &why));
  cmt__listener_addr(ls, at);
  return ls;
}
