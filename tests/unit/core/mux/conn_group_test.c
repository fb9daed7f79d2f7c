/* SPDX-License-Identifier: Apache-2.0 */

/* What connections of a group have in common. */

#include "mconn_output.h"
#include "mconn_pull.h"
#include "packets.h"
#include "test.h"

#include <cometp2p/conn_group.h>

enum { CHANNEL = 0x30, CROWD = 3, POOL = 20000, STREAM_MAX = 40000 };

static const cmt_channel channels[] = {{.id = CHANNEL, .priority = 1}};

typedef struct fixture {
  test_env t;
  cmt_conn_group_options o;
  cmt_conn_group *group;
  cmt_mconn *m[CROWD];
  int woken[CROWD];
  int locked, locks;
} fixture;

static void on_wake(void *arg) { ++*(int *)arg; }

static void on_lock(void *arg) {
  fixture *f = arg;

  assert_int_equal(0, f->locked++);
  f->locks++;
}

static void on_unlock(void *arg) {
  fixture *f = arg;

  assert_int_equal(1, f->locked--);
}

static void fixture_init(fixture *f) {
  memset(f, 0, sizeof *f);
  test_env_init(&f->t);
  cmt_conn_group_options_init(&f->o);
  f->o.env = &f->t.env;
  f->o.channels = channels;
  f->o.channel_count = CMT__COUNT(channels);
}

static void fixture_start(fixture *f) {
  cmt_mconn_options o;
  cmt_why why;

  assert_cmt(CMT_OK, cmt_conn_group_new(&f->o, 0, &f->group, &why));
  assert_cmt(CMT_OK, why.err);
  for (size_t i = 0; i < CROWD; i++) {
    cmt_mconn_options_init(&o);
    o.group = f->group;
    o.wake = on_wake;
    o.wake_arg = &f->woken[i];
    assert_cmt(CMT_OK, cmt_mconn_new(&o, 0, &f->m[i], &why));
  }
}

static void fixture_fini(fixture *f) {
  cmt_conn_group_delete(f->group); /* Its connections keep what they need. */
  for (size_t i = 0; i < CROWD; i++) {
    cmt_mconn_delete(f->m[i]);
  }
  test_env_fini(&f->t);
}

static cmt_err queue(fixture *f, size_t i, size_t len) {
  cmt_buf *msg = cmt_buf_new(&f->t.env, len);
  cmt_err err;

  assert_non_null(msg);
  err = cmt_mconn_try_send(f->m[i], CHANNEL, msg);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

/* Gives |m[i]| the first |len| bytes of a message that does not end; |err| is
   what it ends with, as its only event. */
static void begin(fixture *f, size_t i, size_t len, cmt_err err) {
  static uint8_t data[1000], stream[STREAM_MAX];
  cmt__batch r = cmt__batch_plain(NULL, stream, sizeof stream);
  cmt_mconn_event e;

  for (size_t at = 0; at < len; at += sizeof data) {
    test_wire()->write_msg(&r, CHANNEL, false,
                           (cmt_bytes){data, cmt__min(sizeof data, len - at)});
  }
  assert_cmt(CMT_OK, cmt_mconn_recv(f->m[i], stream, r.len, 0));
  if (err == CMT_OK) {
    assert_false(cmt_mconn_next_event(f->m[i], &e));
  } else {
    assert_mconn_end(f->m[i], err);
  }
}

static void channels_and_environment_are_those_of_the_group(void **state) {
  fixture f;

  (void)state;
  fixture_init(&f);
  fixture_start(&f);
  for (size_t i = 0; i < CROWD; i++) {
    assert_cmt(CMT_OK, queue(&f, i, 10));
    assert_int_equal(1, cmt_mconn_get_status(f.m[i], NULL, 0));
  }
  fixture_fini(&f); /* Nothing is left in the one environment. */
}

static void the_one_that_holds_most_gives_way(void **state) {
  fixture f;

  (void)state;
  fixture_init(&f);
  f.o.recv_bytes_total_max = POOL;
  fixture_start(&f);
  begin(&f, 0, 12000, CMT_OK);
  begin(&f, 1, 2000, CMT_OK);
  assert_int_equal(0, f.woken[0]);
  begin(&f, 2, 6000, CMT_OK);
  assert_int_equal(1, f.woken[0]);
  assert_int_equal(0, f.woken[1] + f.woken[2]);
  begin(&f, 0, 0, CMT_ENOBUFS);
  begin(&f, 2, 1000, CMT_OK);
  fixture_fini(&f);
}

static void no_peer_loses_its_floor(void **state) {
  fixture f;

  (void)state;
  fixture_init(&f);
  f.o.recv_bytes_floor = 8192;
  f.o.recv_bytes_total_max = 1;
  fixture_start(&f);
  for (size_t i = 0; i < CROWD; i++) {
    begin(&f, i, 4000, CMT_OK);
  }
  begin(&f, 1, 8000, CMT_ENOBUFS);
  assert_int_equal(0, f.woken[0] + f.woken[1] + f.woken[2]);
  fixture_fini(&f);
}

static size_t sent_at(fixture *f, size_t i, uint64_t now_ns) {
  cmt_bytes out;
  size_t sum = 0;

  while ((out = mconn_output(f->m[i], SIZE_MAX, now_ns)).len > 0) {
    sum += out.len;
    mconn_output_consume(f->m[i], out.len, now_ns);
  }
  return sum;
}

static void a_rate_is_that_of_all_together(void **state) {
  fixture f;
  size_t sum = 0;

  (void)state;
  fixture_init(&f);
  f.o.send_rate_total = 100000;
  fixture_start(&f);
  for (size_t i = 0; i < CROWD; i++) {
    assert_cmt(CMT_OK, queue(&f, i, 50000));
    sum += sent_at(&f, i, 0);
  }
  /* A tenth of a second's worth, and at most two packets of each beyond it,
     of 150,000 bytes. */
  assert_in_range(sum, 10000, 10000 + CROWD * 2200);
  fixture_fini(&f);
}

static void threads_share_under_the_lock(void **state) {
  fixture f;

  (void)state;
  fixture_init(&f);
  f.o.recv_bytes_total_max = POOL;
  f.o.threads = 2;
  f.o.lock = on_lock;
  f.o.unlock = on_unlock;
  f.o.lock_arg = &f;
  fixture_start(&f);
  begin(&f, 0, 12000, CMT_OK);
  assert_in_range(f.locks, 1, 100);
  assert_int_equal(0, f.locked);
  fixture_fini(&f);
}

static void options_are_refused(void **state) {
  static const struct {
    cmt_conn_group_options o;
    const char *text;
  } rows[] = {
    {{.threads = 1, .channel_count = 1}, "channel_count is 1"},
    {{.threads = 1, .send_rate_total = CMT_RATE_MAX + 1},
     "send_rate_total is 10000000001"},
    {{.threads = 1, .recv_rate_total = CMT_RATE_MAX + 1},
     "recv_rate_total is 10000000001"},
    {{.threads = 0}, "threads is 0, allowed is 1 and up"},
    {{.threads = 2}, "threads is 2, and lock is not set"},
    {{.threads = 2, .lock = on_lock}, "threads is 2, and unlock is not set"},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt_conn_group_options o = rows[i].o;
    cmt_conn_group *g = (cmt_conn_group *)1;
    cmt_why why;

    o.size = sizeof o;
    assert_cmt(CMT_EINVAL, cmt_conn_group_new(&o, 0, &g, &why));
    assert_null(g);
    assert_non_null(strstr(why.text, rows[i].text));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(channels_and_environment_are_those_of_the_group),
    cmocka_unit_test(the_one_that_holds_most_gives_way),
    cmocka_unit_test(no_peer_loses_its_floor),
    cmocka_unit_test(a_rate_is_that_of_all_together),
    cmocka_unit_test(threads_share_under_the_lock),
    cmocka_unit_test(options_are_refused),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
