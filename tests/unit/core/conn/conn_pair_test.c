/* SPDX-License-Identifier: Apache-2.0 */
/* Two connections that talk to each other, whatever the link does to their
   bytes; and what they allocate. */
#include "conn_peer.h"

#include <stdlib.h>

/* One of the two. */
typedef struct side {
  test_env t;
  cmt_node_key *key;
  cmt_conn *c;
  conn_output out;
  bool up;
  cmt_why end;
  size_t messages, bytes;
  uint64_t sum; /* Over channels, lengths and contents, in their order. */
} side;

typedef struct pair {
  side a, b;
  uint64_t now_ns, seed;
  size_t most; /* Bytes that the link accepts and gives at once. */
} pair;

static uint64_t sum_of(uint64_t sum, uint8_t channel, cmt_bytes data) {
  sum = (sum ^ channel) * UINT64_C(1099511628211) + data.len;
  for (size_t i = 0; i < data.len; i++) {
    sum = (sum ^ data.base[i]) * UINT64_C(1099511628211);
  }
  return sum;
}

static void side_init(side *s, uint8_t seed) {
  uint8_t secret[32];

  memset(s, 0, sizeof *s);
  memset(secret, seed, sizeof secret);
  test_env_init(&s->t);
  s->t.seed = seed;
  s->key = secret_node_key(&s->t, secret);
  s->t.allocs = 0;
}

static cmt_err side_start(side *s) {
  cmt_conn_options o;

  cmt_conn_options_init(&o);
  o.env = &s->t.env;
  o.key = s->key;
  o.node_info = &conn_peer_info;
  o.channels = conn_peer_channels;
  o.channel_count = CONN_PEER_CHANNELS;
  return cmt_conn_new(&o, 0, &s->c, NULL);
}

static void side_fini(side *s) {
  cmt_conn_delete(s->c);
  conn_output_fini(&s->out);
  cmt_node_key_delete(s->key);
  test_env_fini(&s->t);
}

static void pair_init(pair *p, size_t most) {
  *p = (pair){.seed = 1, .most = most};
  side_init(&p->a, 0x11);
  side_init(&p->b, 0x22);
}

static void pair_start(pair *p) {
  assert_cmt(CMT_OK, side_start(&p->a));
  assert_cmt(CMT_OK, side_start(&p->b));
}

static void pair_fini(pair *p) {
  side_fini(&p->a);
  side_fini(&p->b);
}

static size_t drawn(pair *p) {
  p->seed = p->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return 1 + (size_t)(p->seed >> 33) % p->most;
}

static void side_events(side *s) {
  cmt_conn_event e;

  while (cmt_conn_next_event(s->c, &e)) {
    if (e.kind == CMT_CONN_UP) {
      s->up = true;
    } else if (e.kind == CMT_CONN_END) {
      cmt_conn_get_why(s->c, &s->end);
    } else if (e.kind == CMT_CONN_MESSAGE) {
      cmt_bytes data = cmt_buf_bytes(e.msg);

      s->messages++;
      s->bytes += data.len;
      s->sum = sum_of(s->sum, e.channel, data);
    }
  }
}

/* Moves bytes from one to the other; how many. */
static size_t carry(pair *p, side *from, side *to) {
  cmt_bytes out = conn_output_lend(&from->out, from->c, drawn(p), p->now_ns);
  uint8_t *copy;

  if (out.len == 0) {
    return 0;
  }
  copy = malloc(out.len);
  memcpy(copy, out.base, out.len);
  conn_output_consume(&from->out, from->c, out.len, p->now_ns);
  for (size_t at = 0, n; at < out.len; at += n) {
    n = cmt__min(drawn(p), out.len - at);
    if (cmt_conn_recv(to->c, copy + at, n, p->now_ns) != CMT_OK) {
      break;
    }
    side_events(to);
  }
  free(copy);
  return out.len;
}

/* Until neither has anything to send. */
static void run_until_idle(pair *p) {
  while (carry(p, &p->a, &p->b) + carry(p, &p->b, &p->a) > 0) {
    p->now_ns += 1000;
  }
  side_events(&p->a);
  side_events(&p->b);
}

/* Queues |len| bytes that depend on |salt|; adds them to |*sum|. */
static cmt_err queue(side *s, uint8_t channel, size_t len, uint8_t salt,
                     uint64_t *sum) {
  cmt_buf *msg = cmt_buf_new(&s->t.env, len);
  cmt_err err;

  if (msg == NULL) {
    return CMT_ENOMEM;
  }
  for (size_t i = 0; i < len; i++) {
    cmt_buf_data(msg)[i] = (uint8_t)(i * 13 + i / 251 + salt);
  }
  err = cmt_conn_try_send(s->c, channel, msg, 0);
  if (err == CMT_OK) {
    *sum = sum_of(*sum, channel, cmt_buf_bytes(msg));
  } else {
    cmt_buf_unref(msg);
  }
  return err;
}

/* ---- everything arrives ---- */

static const size_t lengths[] = {0,    1,    1022, 1023,  1024,
                                 1025, 2048, 4999, 65536, 99999};

static void run_exchange(size_t most, uint8_t channel) {
  uint64_t sum_a = 0, sum_b = 0;
  size_t count = 0;
  pair p;

  pair_init(&p, most);
  pair_start(&p);
  run_until_idle(&p);
  assert_true(p.a.up && p.b.up);
  for (size_t i = 0; i < CMT__COUNT(lengths); i++) {
    if (channel == 0x31 && lengths[i] > 5000) {
      continue;
    }
    assert_cmt(CMT_OK, queue(&p.a, channel, lengths[i], 7, &sum_a));
    assert_cmt(CMT_OK, queue(&p.b, channel, lengths[i], 9, &sum_b));
    count++;
    run_until_idle(&p);
  }
  assert_int_equal(count, p.a.messages);
  assert_int_equal(count, p.b.messages);
  assert_int_equal(sum_a, p.b.sum);
  assert_int_equal(sum_b, p.a.sum);
  assert_cmt(CMT_OK, p.a.end.err);
  assert_cmt(CMT_OK, p.b.end.err);
  pair_fini(&p);
}

static void messages_arrive_whole_whatever_the_link_does(void **state) {
  static const size_t most[] = {1, 3, 100, 1044, 5000, 65536};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(most); i++) {
    run_exchange(most[i], 0x31);
    if (most[i] >= 100) {
      run_exchange(most[i], 0x30);
      run_exchange(most[i], 0xff);
    }
  }
}

/* All channels at once, both ways, for 4 MB. */
static void saturated_channels_lose_nothing(void **state) {
  static const uint8_t ids[] = {0x00, 0x30, 0x31, 0xff};
  uint64_t ignored = 0;
  size_t sent = 0, bytes = 0;
  pair p;

  (void)state;
  pair_init(&p, 30000);
  pair_start(&p);
  run_until_idle(&p);
  for (size_t turn = 0; turn < 600; turn++) {
    for (size_t i = 0; i < CMT__COUNT(ids); i++) {
      size_t len = turn % 3 == 0 ? 0 : turn * 37 % 5000;

      if (queue(&p.a, ids[i], len, 1, &ignored) == CMT_OK) {
        sent++;
        bytes += len;
      }
      (void)!queue(&p.b, ids[i], len, 2, &ignored);
    }
    (void)carry(&p, &p.a, &p.b);
    (void)carry(&p, &p.b, &p.a);
  }
  run_until_idle(&p);
  assert_int_equal(sent, p.b.messages);
  assert_int_equal(bytes, p.b.bytes);
  assert_in_range(p.a.messages, 1000, 2400);
  print_message("# %zu messages, %zu bytes one way\n", sent, bytes);
  /* Only headers that a frame's end cuts are copied. */
  assert_in_range(cmt__conn_copied(p.b.c), 1, sent * 24);
  pair_fini(&p);
}

static void copies_are_rare_for_long_messages(void **state) {
  uint64_t ignored = 0;
  size_t packets = 0;
  pair p;

  (void)state;
  pair_init(&p, 1 << 20);
  pair_start(&p);
  run_until_idle(&p);
  for (int i = 0; i < 40; i++) {
    assert_cmt(CMT_OK, queue(&p.a, 0xff, 65536, 1, &ignored));
    packets += 65; /* The last one is empty. */
    if (i % 10 == 9) {
      run_until_idle(&p);
    }
  }
  assert_int_equal(40, p.b.messages);
  print_message("# %llu bytes copied of %zu packets\n",
                (unsigned long long)cmt__conn_copied(p.b.c), packets);
  /* A header of 11 bytes is cut by about one frame in a hundred. */
  assert_in_range(cmt__conn_copied(p.b.c), 0, packets);
  pair_fini(&p);
}

static void warm_receiver_allocates_once_a_message(void **state) {
  uint64_t ignored = 0;
  size_t before = 0;
  pair p;

  (void)state;
  pair_init(&p, 200000);
  pair_start(&p);
  run_until_idle(&p);
  for (int i = 0; i < 30; i++) {
    if (i == 10) {
      before = p.b.t.allocs;
    }
    assert_cmt(CMT_OK, queue(&p.a, 0xff, 65536, 1, &ignored));
    run_until_idle(&p);
  }
  assert_int_equal(20, p.b.t.allocs - before);
  pair_fini(&p);
}

static void graceful_stop_reaches_the_other_side_whole(void **state) {
  uint64_t sum = 0;
  pair p;

  (void)state;
  pair_init(&p, 777);
  pair_start(&p);
  run_until_idle(&p);
  for (int i = 0; i < 5; i++) {
    assert_cmt(CMT_OK, queue(&p.a, 0xff, 50000, (uint8_t)i, &sum));
  }
  cmt_conn_stop(p.a.c, CMT_ECANCELED, CMT_SECONDS(5), p.now_ns);
  run_until_idle(&p);
  assert_cmt(CMT_ECANCELED, p.a.end.err);
  cmt_conn_stop(p.b.c, CMT_EEOF, 0, p.now_ns);
  side_events(&p.b);
  assert_cmt(CMT_EEOF, p.b.end.err);
  assert_int_equal(5, p.b.messages);
  assert_int_equal(sum, p.b.sum);
  pair_fini(&p);
}

/* ---- out of memory ---- */

/* A handshake, messages both ways, an unusual packet, a stop.  The failure of
   |p->a|; CMT_ECANCELED when there was none. */
static cmt_err oom_scenario(pair *p) {
  uint64_t ignored = 0;
  cmt_err err = side_start(&p->a);

  if (err != CMT_OK) {
    return err;
  }
  assert_cmt(CMT_OK, side_start(&p->b));
  run_until_idle(p);
  for (int i = 0; i < 6 && p->a.end.err == CMT_OK; i++) {
    err = queue(&p->a, 0xff, (size_t)i * 700, 1, &ignored);
    if (err != CMT_OK) {
      return err;
    }
    (void)!queue(&p->b, 0xff, (size_t)i * 1700, 1, &ignored);
  }
  run_until_idle(p);
  if (p->a.end.err == CMT_OK) {
    assert_int_equal(6, p->a.messages);
    cmt_conn_stop(p->a.c, CMT_ECANCELED, CMT_SECONDS(1), p->now_ns);
    side_events(&p->a);
  }
  return p->a.end.err;
}

static void every_failed_allocation_is_reported(void **state) {
  static const size_t most[] = {40, 100000};

  (void)state;
  for (size_t k = 0; k < CMT__COUNT(most); k++) {
    size_t total;
    pair p;

    pair_init(&p, most[k]);
    assert_cmt(CMT_ECANCELED, oom_scenario(&p));
    total = p.a.t.allocs;
    pair_fini(&p);
    assert_in_range(total, 20, 60);
    for (size_t i = 0; i < total; i++) {
      pair_init(&p, most[k]);
      p.a.t.fail_at = i;
      assert_cmt(CMT_ENOMEM, oom_scenario(&p));
      pair_fini(&p);
    }
    print_message("# %zu allocations, each failing in turn\n", total);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(messages_arrive_whole_whatever_the_link_does),
    cmocka_unit_test(saturated_channels_lose_nothing),
    cmocka_unit_test(copies_are_rare_for_long_messages),
    cmocka_unit_test(warm_receiver_allocates_once_a_message),
    cmocka_unit_test(graceful_stop_reaches_the_other_side_whole),
    cmocka_unit_test(every_failed_allocation_is_reported),
    TEST_SHORTAGE(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
