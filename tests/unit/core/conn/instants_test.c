/* SPDX-License-Identifier: Apache-2.0 */
/* Instants that step back, at every call that takes one.  Two runs do the same
   things; the first is given instants as a bad clock returns them, the second
   the latest that there was so far.  Both must report and send the same. */
#include "mconn_output.h"
#include "mconn_pull.h"
#include "conn_peer.h"
#include "core/mux/mconn.h"
#include "base/rate.h"

#include <stdlib.h>

enum { SEEDS = 40, STEPS = 400 };

#define MS(n) CMT_MILLISECONDS(n)

/* A clock that goes on, now and then by much, and steps back as often.  It is
   asked only for calls that take an instant. */
typedef struct clocks {
  uint64_t seed, bad_ns, good_ns;
} clocks;

static void clocks_step(clocks *c) {
  uint64_t kind = test_draw(&c->seed) % 10;
  uint64_t span = test_draw(&c->seed) % MS(400);

  if (kind < 6) {
    c->bad_ns += span;
  } else if (kind < 7) {
    c->bad_ns += 20 * span;
  } else if (kind < 9) {
    c->bad_ns -= cmt__min64(c->bad_ns, 3 * span);
  } else {
    c->bad_ns = test_draw(&c->seed) % 2;
  }
  c->good_ns = cmt__max64(c->good_ns, c->bad_ns);
}

/* ---- a connection ---- */

static void options_draw(conn_peer *f, uint64_t seed) {
  f->o.wire = seed % 2 == 0 ? CMT_WIRE_COMETBFT : CMT_WIRE_LEGACY;
  f->o.ping_interval_ns = MS(1500);
  f->o.pong_timeout_ns = MS(700);
  f->o.partial_message_max_ns = CMT_SECONDS(5);
  f->o.send_rate = seed % 3 == 0 ? 20000 : 0;
  f->o.recv_rate = seed % 5 == 0 ? 20000 : 0;
}

static void pair_same(conn_peer *bad, conn_peer *good) {
  assert_string_equal(good->events, bad->events);
  good->events[0] = bad->events[0] = '\0';
  assert_int_equal(good->wire.len, bad->wire.len);
  assert_memory_equal(good->wire.bytes, bad->wire.bytes, good->wire.len);
  assert_true(cmt_conn_deadline(good->c) == cmt_conn_deadline(bad->c));
  assert_int_equal(cmt_conn_wants_read(good->c), cmt_conn_wants_read(bad->c));
}

/* Whether conn_act() gives its instant to the connection in any case. */
static bool conn_takes_instant(uint64_t what) {
  return what % 3 != 0 || (what / 3 % 8 != 0 && what / 3 % 8 != 4);
}

/* Everything that a user may do, with the output consumed or not. */
static void conn_act(conn_peer *f, uint64_t what, uint64_t now_ns) {
  bool legacy = f->o.wire == CMT_WIRE_LEGACY;

  f->now_ns = now_ns;
  f->stalled = what % 3 == 0;
  if (!f->stalled) {
    conn_peer_take(f);
  }
  switch (what / 3 % 8) {
  case 0:
    (void)conn_peer_queue(f, 0x30, 3000);
    break;
  case 1:
    conn_peer_send_hex(f, legacy ? "01" : "020a00");
    break;
  case 2:
    conn_peer_send_hex(f, legacy ? "02" : "021200");
    break;
  case 3:
    if (what % 2 == 0) {
      cmt_conn_pause(f->c, now_ns);
    } else {
      cmt_conn_resume(f->c, now_ns);
    }
    break;
  case 4:
    (void)!cmt_conn_ping(f->c, now_ns);
    break;
  case 5:
    conn_peer_take(f);
    break;
  default:
    conn_peer_tick(f, now_ns);
    break;
  }
}

static void pair_up(conn_peer *f, uint64_t seed, uint64_t first_ns,
                    uint64_t later_ns) {
  conn_peer_init(f, true);
  options_draw(f, seed);
  f->now_ns = first_ns;
  conn_peer_start(f);
  f->now_ns = later_ns;
  conn_peer_up(f);
}

static void pair_run(uint64_t seed, bool stops) {
  clocks c = {.seed = seed, .bad_ns = CMT_SECONDS(9), .good_ns = 0};
  static conn_peer bad, good;

  c.good_ns = c.bad_ns;
  pair_up(&bad, seed, c.bad_ns, c.bad_ns - MS(seed));
  pair_up(&good, seed, c.good_ns, c.good_ns);
  for (int i = 0; i < STEPS && good.why.err == CMT_OK; i++) {
    uint64_t what = test_draw(&c.seed);

    if (conn_takes_instant(what)) {
      clocks_step(&c);
    }
    conn_act(&bad, what, c.bad_ns);
    conn_act(&good, what, c.good_ns);
    pair_same(&bad, &good);
  }
  if (stops && good.why.err == CMT_OK) {
    bad.now_ns = 1;
    good.now_ns = c.good_ns;
    conn_peer_stop(&bad, CMT_ECANCELED, MS(100));
    conn_peer_stop(&good, CMT_ECANCELED, MS(100));
    pair_same(&bad, &good);
  }
  conn_peer_fini(&bad);
  conn_peer_fini(&good);
}

static void a_connection_goes_on_from_the_latest(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    pair_run(seed, seed % 2 == 0);
  }
}

static void a_handshake_goes_on_from_the_latest(void **state) {
  static conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.now_ns = CMT_SECONDS(10);
  conn_peer_start(&f);
  conn_peer_tick(&f, 0);
  conn_peer_hello(&f);
  conn_peer_tick(&f, CMT_SECONDS(13) - 1);
  f.now_ns = 5;
  conn_peer_auth(&f);
  assert_int_equal(CMT_SECONDS(16) - 1, cmt_conn_deadline(f.c));
  conn_peer_tick(&f, CMT_SECONDS(1));
  assert_conn_events(&f, "");
  conn_peer_tick(&f, CMT_SECONDS(16) - 1);
  assert_conn_events(&f, "CMT_EHANDSHAKE(node_info)");
  conn_peer_fini(&f);
}

/* ---- a multiplexer ---- */

static const cmt_channel channels[] = {
  {.id = 1, .priority = 1, .send_queue = 5, .send_rate = 9000},
  {.id = 2, .priority = 3, .send_queue = 5, .recv_rate = 5000},
  {.id = 3, .priority = 3, .send_queue = 5, .traffic = CMT_TRAFFIC_URGENT},
};

typedef struct half {
  cmt_mconn *m;
  cmt_err err;   /* What the last call returned. */
  cmt_err ended; /* What its last event has. */
  size_t taken;
} half;

static void half_queue(test_env *t, half *h, uint64_t drawn) {
  cmt_buf *msg = cmt_buf_new(&t->env, drawn / 3 % 4000);

  assert_non_null(msg);
  memset(cmt_buf_data(msg), 7, drawn / 3 % 4000);
  h->err = cmt_mconn_try_send(h->m, (uint8_t)(1 + drawn % 3), msg);
  if (h->err != CMT_OK) {
    cmt_buf_unref(msg);
  }
}

/* The first packet of a message on channel 1, a ping, a pong, and messages. */
static void half_recv(half *h, uint64_t drawn, uint64_t now_ns) {
  static const char *const texts[] = {"061a0408011000", "020a00", "021200",
                                      "061a0408021001"};
  size_t len;
  uint8_t *bytes = test_unhex(texts[drawn % CMT__COUNT(texts)], &len);
  cmt_mconn_event e;

  h->err = cmt_mconn_recv(h->m, bytes, len, now_ns);
  while (cmt_mconn_next_event(h->m, &e)) {
    h->taken += 1 + e.rtt_ns;
    h->ended = e.err;
  }
  free(bytes);
}

static void half_act(test_env *t, half *h, uint64_t drawn, uint64_t now_ns) {
  size_t max = 1 + drawn / 8 % 3000;

  switch (drawn % 8) {
  case 0:
  case 1:
    half_queue(t, h, drawn / 8);
    break;
  case 2:
  case 3:
    half_recv(h, drawn / 8, now_ns);
    break;
  case 4:
    h->err = cmt_mconn_ping(h->m);
    break;
  case 5:
  case 6:
    max = cmt__min(max, mconn_output(h->m, max, now_ns).len);
    mconn_output_consume(h->m, max, now_ns);
    h->taken += max;
    break;
  default:
    cmt_mconn_tick(h->m, now_ns);
    break;
  }
}

static void halves_same(const half *a, const half *b) {
  cmt_channel_status s[2][CMT__COUNT(channels)];

  assert_cmt(a->err, b->err);
  assert_cmt(a->ended, b->ended);
  assert_int_equal(cmt_mconn_has_ended(a->m), cmt_mconn_has_ended(b->m));
  assert_int_equal(a->taken, b->taken);
  assert_true(cmt_mconn_deadline(a->m) == cmt_mconn_deadline(b->m));
  assert_int_equal(cmt_mconn_wants_read(a->m), cmt_mconn_wants_read(b->m));
  memset(s, 0, sizeof s);
  (void)cmt_mconn_get_status(a->m, s[0], CMT__COUNT(channels));
  (void)cmt_mconn_get_status(b->m, s[1], CMT__COUNT(channels));
  assert_memory_equal(s[0], s[1], sizeof s[0]);
}

static void a_multiplexer_goes_on_from_the_latest(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    clocks c = {.seed = seed, .bad_ns = MS(seed), .good_ns = MS(seed)};
    half bad = {.err = CMT_OK}, good = {.err = CMT_OK};
    cmt_mconn_options o;
    test_env t;

    test_env_init(&t);
    cmt_mconn_options_init(&o);
    o.env = &t.env;
    o.channels = channels;
    o.channel_count = CMT__COUNT(channels);
    o.ping_interval_ns = CMT_SECONDS(2);
    o.pong_timeout_ns = CMT_SECONDS(1);
    o.send_rate = seed % 2 == 0 ? 5000 : 0;
    assert_cmt(CMT_OK, cmt_mconn_new(&o, c.bad_ns, &bad.m, NULL));
    assert_cmt(CMT_OK, cmt_mconn_new(&o, c.good_ns, &good.m, NULL));
    for (int i = 0; i < STEPS; i++) {
      uint64_t drawn = test_draw(&c.seed);

      if (drawn % 8 > 1 && drawn % 8 != 4) {
        clocks_step(&c);
      }
      half_act(&t, &bad, drawn, c.bad_ns);
      half_act(&t, &good, drawn, c.good_ns);
      halves_same(&bad, &good);
    }
    cmt_mconn_delete(bad.m);
    cmt_mconn_delete(good.m);
    test_env_fini(&t);
  }
}

/* The last instants that there are wrap nothing round. */
static void the_end_of_time_is_an_instant(void **state) {
  cmt_mconn_options o;
  cmt_mconn *m;
  test_env t;

  (void)state;
  test_env_init(&t);
  cmt_mconn_options_init(&o);
  o.env = &t.env;
  o.channels = channels;
  o.channel_count = CMT__COUNT(channels);
  for (uint64_t before = 0; before < 3; before++) {
    half h = {.err = CMT_OK};

    assert_cmt(CMT_OK, cmt_mconn_new(&o, CMT_NEVER - before, &m, NULL));
    h.m = m;
    half_queue(&t, &h, 3000);
    assert_true(mconn_output(m, 5000, CMT_NEVER).len > 0);
    assert_mconn_tick(m, 0, CMT_OK);
    cmt_mconn_delete(m);
  }
  test_env_fini(&t);
}

/* ---- buckets ---- */

static void a_bucket_goes_on_from_the_latest(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    clocks c = {.seed = seed};
    cmt__rate bad, good;

    cmt__rate_init_bytes(&bad, 100000, 0);
    cmt__rate_init_bytes(&good, 100000, 0);
    for (int i = 0; i < STEPS; i++) {
      uint64_t units = test_draw(&c.seed) % 30000;

      clocks_step(&c);
      assert_true(cmt__rate_left(&bad, c.bad_ns) ==
                  cmt__rate_left(&good, c.good_ns));
      assert_true(cmt__rate_available(&bad, c.bad_ns) ==
                  cmt__rate_available(&good, c.good_ns));
      cmt__rate_charge(&bad, units, c.bad_ns);
      cmt__rate_charge(&good, units, c.good_ns);
      assert_true(cmt__rate_open_ns(&bad) == cmt__rate_open_ns(&good));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_connection_goes_on_from_the_latest),
    cmocka_unit_test(a_handshake_goes_on_from_the_latest),
    cmocka_unit_test(a_multiplexer_goes_on_from_the_latest),
    cmocka_unit_test(the_end_of_time_is_an_instant),
    cmocka_unit_test(a_bucket_goes_on_from_the_latest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
