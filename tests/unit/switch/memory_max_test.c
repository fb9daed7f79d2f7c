/* SPDX-License-Identifier: Apache-2.0 */
/* The most bytes that a switch states that it can allocate, against a crowd
   that makes it allocate all it can: handshakes and node infos that never end,
   messages that never end on every channel, peers that read nothing while the
   application queues for them, floods; and all of them again and again. */

#include "hostile.h"

#include "base/buf.h"
#include "core/mux/channel.h"
#include "core/mux/conn_group.h"

#include <cometp2p/version.h>

#include <stdio.h>
#include <stdlib.h>

#define S(n) CMT_SECONDS(n)

enum {
  PEERS = 6,
  COMERS = 5,  /* One less, so that handshakes are accepted besides. */
  SHAKERS = 8, /* As many handshakes as the victim accepts. */
  CHANNELS = 3,
  ROUNDS = 5,
  MESSAGE = 60000,
};

static const uint8_t ids[CHANNELS] = {TEST_CHAT, 0x52, 0x53};

typedef struct crowd {
  test_world w;    /* What the crowd and the loop have. */
  test_env victim; /* What the victim allocates. */
  test_node n;
  hostile peers[PEERS];
  hostile shakers[2 * SHAKERS];
  uint64_t max;
} crowd;

static void on_add(test_part *part, cmt_peer *p);

static void crowd_init(crowd *c) {
  test_world_init(&c->w);
  test_env_init(&c->victim);
  c->victim.seed = 2; /* Its keys are not those of the crowd. */
  test_node_init(&c->n, &c->w);
  c->n.quiet = true;
  c->n.options.env = &c->victim.env;
  c->n.options.inbound_peers_max = PEERS;
  c->n.options.outbound_peers_max = CMT_NO_PEERS;
  c->n.options.handshakes_max = SHAKERS;
  c->n.options.handshakes_per_ip_max = CMT_NO_LIMIT;
  c->n.options.send_bytes_max = 1000000;
  c->n.options.recv_bytes_max = 150000;
  c->n.options.recv_bytes_total_max = 400000;
  c->n.parts[0].channel_count = 0;
  c->n.parts[0].on_add = on_add;
  for (int i = 0; i < CHANNELS; i++) {
    test_part_channel(&c->n.parts[0],
                      (cmt_channel){.id = ids[i],
                                    .priority = 1,
                                    .send_queue = 30,
                                    .recv_message_max = MESSAGE});
  }
  test_node_start(&c->n);
  c->max = cmt_switch_memory_max(c->n.sw);
}

static void crowd_fini(crowd *c) {
  test_node_fini(&c->n);
  for (int i = 0; i < PEERS; i++) {
    hostile_fini(&c->peers[i]);
  }
  for (int i = 0; i < 2 * SHAKERS; i++) {
    hostile_fini(&c->shakers[i]);
  }
  test_env_fini(&c->victim);
  test_world_fini(&c->w);
}

static void run_until_idle(crowd *c) {
  test_loop_run_until_idle(c->w.loop);
  (void)test_node_log(&c->n);
  if (c->victim.peak_bytes > c->max) {
    fail_msg("%zu bytes are more than %llu", c->victim.peak_bytes,
             (unsigned long long)c->max);
  }
}

/* The application queues all that the switch accepts, and keeps values. */
static void fill(crowd *c, cmt_peer *p) {
  for (int i = 0; i < CHANNELS; i++) {
    cmt_err err = CMT_OK;

    while (err == CMT_OK) {
      cmt_buf *msg = cmt_buf_new(&c->victim.env, 20000);

      memset(cmt_buf_data(msg), 1, 20000);
      err = cmt_peer_try_send(p, ids[i], msg);
      if (err != CMT_OK) {
        cmt_buf_unref(msg);
      }
    }
  }
}

static void fill_all(crowd *c) {
  cmt_peer *peers[PEERS];
  size_t count = cmt_switch_peers(c->n.sw, peers, PEERS);

  for (size_t i = 0; i < count && i < PEERS; i++) {
    fill(c, peers[i]);
    cmt_peer_unref(peers[i]);
  }
}

static void on_add(test_part *part, cmt_peer *p) {
  char key[16];

  (void)part;
  for (int i = 0; i < CMT_PEER_KEYS_MAX; i++) {
    snprintf(key, sizeof key, "key %d", i);
    assert_cmt(CMT_OK, cmt_peer_set_value(p, key, key, NULL));
  }
}

/* Peers with the longest node info that read nothing. */
static void peers_come(crowd *c) {
  for (int i = 0; i < COMERS; i++) {
    hostile *h = &c->peers[i];

    hostile_fini(h);
    *h = (hostile){.deaf = true, .moniker = 10000};
    test_loop_defaults(c->w.loop)->cap = SIZE_MAX;
    hostile_dial(h, c->w.loop, c->n.addr);
    run_until_idle(c);
    assert_true(h->up && !h->ended);
    /* The victim's direction accepts nothing more. */
    test_loop_conn(c->w.loop, test_loop_conn_count(c->w.loop) - 1)
      ->dir[TEST_ACCEPTOR]
      .cap = 0;
  }
}

/* A batch of frames waits for the socket, and behind it the queue is full. */
static void queues_fill(crowd *c) {
  for (int i = 0; i < 3; i++) {
    fill_all(c);
    run_until_idle(c);
  }
}

static void messages_never_end(crowd *c, int packets) {
  for (int k = 0; k < packets; k++) {
    for (int i = 0; i < COMERS; i++) {
      for (int ch = 0; ch < CHANNELS; ch++) {
        hostile_packet(&c->peers[i], ids[ch], 1000, false);
      }
    }
    run_until_idle(c);
  }
}

/* Half of them send half of their node info, which is as long as it may be, and
   as many connections again are over the limit. */
static void handshakes_never_end(crowd *c) {
  for (int i = 0; i < 2 * SHAKERS; i++) {
    hostile *h = &c->shakers[i];

    hostile_fini(h);
    *h = (hostile){.mute = i % 4 == 3, .moniker = 10000, .hold = 1};
    hostile_dial(h, c->w.loop, c->n.addr);
    run_until_idle(c);
  }
}

static void floods_end_peers(crowd *c) {
  for (int i = 0; i < COMERS; i++) {
    for (int k = 0; k < 600; k++) {
      hostile_ping(&c->peers[i]);
    }
    run_until_idle(c);
  }
  assert_int_equal(0, cmt_switch_peers(c->n.sw, NULL, 0));
}

static void a_hostile_crowd_stays_within_the_bound(void **state) {
  crowd *c = calloc(1, sizeof *c);
  cmt_switch_status status;

  (void)state;
  assert_non_null(c);
  crowd_init(c);
  for (int round = 0; round < ROUNDS; round++) {
    peers_come(c);
    queues_fill(c);
    /* In every other round the memory for that runs out. */
    messages_never_end(c, round % 2 == 0 ? 20 : MESSAGE / 1000 - 1);
    queues_fill(c);
    handshakes_never_end(c);
    cmt_switch_get_status(c->n.sw, &status);
    assert_int_equal(SHAKERS, status.handshakes);
    floods_end_peers(c);
    test_loop_advance(c->w.loop, S(7));
    run_until_idle(c);
  }
  cmt_switch_get_status(c->n.sw, &status);
  printf("# %zu bytes of at most %llu; removed %llu, flood %llu, nobufs %llu\n",
         c->victim.peak_bytes, (unsigned long long)c->max,
         (unsigned long long)status.removed,
         (unsigned long long)test_reason(c->n.sw, CMT_EFLOOD).removed,
         (unsigned long long)test_reason(c->n.sw, CMT_ENOBUFS).removed);
  assert_int_equal(ROUNDS * COMERS, status.removed);
  assert_true(test_reason(c->n.sw, CMT_ENOBUFS).removed > 0);
  assert_true(test_reason(c->n.sw, CMT_EFLOOD).removed > 0);
  assert_true(status.over_handshakes_max > 0);
  /* The bound is not absurd; networks, which nobody has set, are most of it. */
  assert_true(c->max - cmt__networks_memory() <=
              3 * (uint64_t)c->victim.peak_bytes);
  crowd_fini(c);
  free(c);
}

/* Each option moves it by its term. */
static uint64_t max_of(const cmt_switch_options *o) {
  cmt_switch *s;
  uint64_t max;

  assert_cmt(CMT_OK, cmt_switch_new(o, &s, NULL));
  max = cmt_switch_memory_max(s);
  assert_cmt(CMT_OK, cmt_switch_delete(s));
  return max;
}

static void the_terms_follow_the_options(void **state) {
  static const cmt_channel channel = {.id = 1, .priority = 1, .send_queue = 9};
  cmt_reactor r = {.name = "r", .channels = &channel, .channel_count = 1};
  cmt_switch_options o;
  uint64_t before, after;

  (void)state;
  cmt_switch_options_init(&o);
  o.network = "test-net";
  o.reactors = &r;
  o.reactor_count = 1;
  o.handshake_threads = CMT_NO_HANDSHAKE_THREADS;
  before = max_of(&o);
  /* 256 MiB to send, 512 MiB to receive, and less than 100 MiB besides. */
  assert_in_range(before, UINT64_C(768) << 20, UINT64_C(868) << 20);

  o.send_bytes_total_max = ((size_t)256 << 20) + 1000;
  after = max_of(&o);
  assert_int_equal(1000, after - before);
  /* As much as all peers may have, if the total is more. */
  o.send_bytes_total_max = (size_t)3 << 30;
  before = max_of(&o);
  assert_int_equal(((UINT64_C(80) * 32 - 256) << 20) - 1000, before - after);
  o.send_bytes_max += 1000;
  after = max_of(&o);
  assert_int_equal(80 * 1000, after - before);
  before = after;
  o.recv_bytes_total_max = ((size_t)512 << 20) - 1000;
  after = max_of(&o);
  assert_int_equal(1000, before - after);
  before = after;
  o.inbound_peers_max += 1;
  after = max_of(&o);
  assert_in_range(after - before, 32 << 20, 33 << 20);
  before = after;
  o.outbound_peers_max += 1;
  assert_in_range(max_of(&o) - after, 32 << 20, 33 << 20);
  before = max_of(&o);
  o.handshakes_max += 1;
  assert_in_range(max_of(&o) - before, 40000, 120000);
  before = max_of(&o);
  o.loops = 3; /* Each with its buffers, and two largest messages. */
  after = max_of(&o);
  assert_in_range(after - before, 2 * (326 << 10) + 4 * CMT_MESSAGE_DEFAULT,
                  2 * (342 << 10) + 4 * CMT_MESSAGE_DEFAULT);
  o.loops = 1;
  before = max_of(&o);
  r.delivery = CMT_DELIVER_WORKERS;
  r.recv_queue_bytes_total = 1 << 20;
  assert_true(max_of(&o) > before + (1 << 20));
  before = max_of(&o);
  r.recv_queue_bytes_total += 8200; /* And the floors of 82 peers. */
  assert_int_equal(2 * 8200, max_of(&o) - before);
}

/* ---- each term to the byte ---- */

enum {
  EXACT_PEERS = 80,
  /* The limit, one more that is accepted, and a standby beside each peer. */
  EXACT_SHAKES = 64 + 1 + EXACT_PEERS,
};

typedef struct exact {
  cmt_channel channels[2];
  cmt_reactor reactor;
  cmt_switch_options o;
} exact;

/* With totals that have room for whatever one peer may have. */
static void exact_init(exact *e) {
  *e = (exact){.channels = {{.id = 1, .priority = 1, .send_queue = 9},
                            {.id = 2, .priority = 1, .send_queue = 9}}};
  e->reactor =
    (cmt_reactor){.name = "r", .channels = e->channels, .channel_count = 1};
  cmt_switch_options_init(&e->o);
  e->o.network = "test-net";
  e->o.external_address = "tcp://10.0.0.1:1";
  e->o.reactors = &e->reactor;
  e->o.reactor_count = 1;
  e->o.send_bytes_total_max = (size_t)256 << 20;
  e->o.recv_bytes_total_max = (size_t)512 << 20;
}

static void each_text_counts_once(void **state) {
  uint64_t before;
  exact e;

  (void)state;
  exact_init(&e);
  before = max_of(&e.o);
  e.o.network = "test-net-1234567";
  assert_int_equal(before + 8, max_of(&e.o));
  e.o.moniker = "cometp2p-12";
  assert_int_equal(before + 8 + 3, max_of(&e.o));
  e.o.external_address = "tcp://10.0.0.1:12345";
  assert_int_equal(before + 8 + 3 + 4, max_of(&e.o));
  before = max_of(&e.o);
  e.o.version = "1";
  assert_int_equal(before - strlen(cmt_version()) + 1, max_of(&e.o));
  before = max_of(&e.o);
  e.o.congestion = "reno";
  assert_int_equal(before + 5, max_of(&e.o));
}

/* A packet in an unusual form is gathered, in each connection; and one that is
   whole does not count under reassembly. */
static void the_packets_that_are_received_count(void **state) {
  uint64_t before;
  exact e;

  (void)state;
  exact_init(&e);
  before = max_of(&e.o);
  e.o.recv_packet_payload_max += 100;
  assert_int_equal(before + 100 * (EXACT_PEERS + EXACT_SHAKES + EXACT_PEERS),
                   max_of(&e.o));
  before = max_of(&e.o);
  e.o.send_packet_payload_max += 100; /* Written where it is sealed. */
  assert_int_equal(before, max_of(&e.o));
}

/* While a message grows, on each loop. */
static void the_longest_message_counts_twice_a_loop(void **state) {
  uint64_t before;
  exact e;

  (void)state;
  exact_init(&e);
  before = max_of(&e.o);
  e.channels[0].recv_message_max = CMT_MESSAGE_DEFAULT + 1000;
  assert_int_equal(before + 2 * 1000, max_of(&e.o));
  e.o.loops = 3;
  before = max_of(&e.o);
  e.channels[0].recv_message_max += 1000;
  assert_int_equal(before + 3 * 2 * 1000, max_of(&e.o));
}

static void what_one_peer_may_have_counts_for_each(void **state) {
  uint64_t before;
  exact e;

  (void)state;
  exact_init(&e);
  e.reactor.channel_count = 2;
  e.o.recv_bytes_total_max = (size_t)64 << 30;
  e.o.send_bytes_total_max = (size_t)64 << 30;
  e.o.recv_bytes_max = CMT_MESSAGE_DEFAULT + 5000;
  before = max_of(&e.o);
  e.o.recv_bytes_max += 10;
  assert_int_equal(before + 10 * EXACT_PEERS, max_of(&e.o));
  before = max_of(&e.o);
  e.o.send_bytes_max += 10;
  assert_int_equal(before + 10 * EXACT_PEERS, max_of(&e.o));
}

/* Its state and its queue in each connection; its credits, its intake and the
   headers of its messages for each peer. */
static void one_channel_more_counts(void **state) {
  const uint64_t queue =
    24 * sizeof(cmt__queued); /* 16, and 8 while it grows. */
  const uint64_t state_of_it = sizeof(cmt__channel) + 2 * sizeof(cmt__rate);
  uint64_t before, expected;
  exact e;

  (void)state;
  exact_init(&e);
  before = max_of(&e.o);
  e.reactor.channel_count = 2;
  expected = (EXACT_PEERS + EXACT_SHAKES) * (state_of_it + queue);
  expected += EXACT_PEERS * (sizeof(uint32_t) + sizeof(cmt__send_queue_fifo) +
                             2 * (48 - 24) * sizeof(cmt__send_queue_item) +
                             10 * cmt__buf_header() + cmt__buf_header());
  expected += cmt__conn_group_memory(2, 0, 0) - cmt__conn_group_memory(1, 0, 0);
  assert_int_equal(before + expected, max_of(&e.o));
}

static void an_address_to_dial_counts(void **state) {
  cmt_switch_options o;
  cmt_switch *s;
  uint64_t before;

  (void)state;
  cmt_switch_options_init(&o);
  o.network = "test-net";
  assert_cmt(CMT_OK, cmt_switch_new(&o, &s, NULL));
  before = cmt_switch_memory_max(s);
  assert_cmt(CMT_OK, cmt_switch_dial(
                       s, "00112233445566778899aabbccddeeff00112233@10.0.0.1:1",
                       0, NULL));
  assert_in_range(cmt_switch_memory_max(s) - before, 80000, 220000);
  assert_cmt(CMT_OK, cmt_switch_delete(s));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_hostile_crowd_stays_within_the_bound),
    cmocka_unit_test(the_terms_follow_the_options),
    cmocka_unit_test(each_text_counts_once),
    cmocka_unit_test(the_packets_that_are_received_count),
    cmocka_unit_test(the_longest_message_counts_twice_a_loop),
    cmocka_unit_test(what_one_peer_may_have_counts_for_each),
    cmocka_unit_test(one_channel_more_counts),
    cmocka_unit_test(an_address_to_dial_counts),
  };

  return cmocka_run_group_tests_name("memory_max", tests, NULL, NULL);
}
