/* SPDX-License-Identifier: Apache-2.0 */
/* The most bytes that a switch states that it can allocate, to the byte: an
   inventory of what it may allocate, each kind with its count and its size, for
   switches that differ in everything that the sum depends on. */

#include "node.h"

#include "base/buf.h"
#include "core/mux/conn_group.h"
#include "switch/attempt.h"
#include "link/send_queue.h"
#include "switch/session.h"
#include "link/link.h"
#include "reactor/mailbox.h"

#include <cometp2p/secret_conn.h>

#include <stdio.h>

#define OTHER "00112233445566778899aabbccddeeff0011223"

enum {
  CHANNELS = 3,
  MIB = 1 << 20,
  READ = 65536,         /* Bytes of one read. */
  SCRATCH = 256 * 1044, /* A batch of frames. */
  /* Timers of a session and of a dial on the first loop. */
  SESSION_TIMERS = 2,
  DIAL_TIMERS = 2,
  TIMER = 24, /* A place in a heap that doubles, with the heap before it. */
};

/* A switch, and the values of the sum that are distinguished in it. */
typedef struct row {
  uint32_t inbound, outbound, handshakes, loops;
  unsigned dials;
  size_t channels;
  uint32_t queue;    /* Messages that each channel queues, */
  size_t send, recv; /* the longest of the first to send and to receive; of the
                        others half. */
  size_t payload;
  size_t send_each, recv_each;   /* The bounds of a peer, as given, */
  uint64_t send_peer, recv_peer; /* and as they are. */
  size_t send_total, recv_total; /* 0: more than the peers may have. */
  cmt_delivery delivery;
  size_t entry; /* What may wait for a reactor. */
  const char *network, *moniker, *version, *external, *congestion;
  size_t unconditional; /* Ids that pass every cap; with some it evicts. */
} row;

/* For handshakes; with several loops it is those. */
static uint32_t threads_of(const row *r) {
  return r->loops > 1 ? 0 : r->handshakes % 64 + 1;
}

static const row rows[] = {
  /* Without channels, nor anything that is not needed. */
  {1,
   0,
   1,
   1,
   0,
   0,
   1,
   1,
   1,
   1024,
   MIB,
   MIB,
   0,
   0,
   0,
   0,
   CMT_DELIVER_INLINE,
   0,
   "n",
   "m",
   "v",
   NULL,
   NULL,
   0},
  /* All queues full are less than a peer may have, and so is each channel. */
  {20,
   0,
   8,
   1,
   0,
   3,
   19,
   1000,
   3000,
   1024,
   MIB,
   MIB,
   20 * 2000,
   6000,
   0,
   0,
   CMT_DELIVER_INLINE,
   0,
   "net",
   "m",
   "v",
   NULL,
   NULL,
   3},
  /* A message is longer than what a peer may have otherwise, and shorter than
     the payload of a packet. */
  {30,
   11,
   64,
   3,
   1,
   2,
   9,
   5 * MIB,
   700,
   1024,
   4 * MIB,
   0,
   5 * MIB,
   1050,
   0,
   0,
   CMT_DELIVER_WORKERS,
   5 * MIB,
   "test-net",
   "a moniker of some length",
   "1.2.3",
   "tcp://10.0.0.1:26656",
   "reno",
   0},
  /* The bounds of a peer count; the default is a message and 1 MiB. */
  {3,
   2,
   10,
   2,
   5,
   3,
   100,
   100000,
   3 * MIB,
   65536,
   2 * MIB,
   0,
   2 * MIB,
   4 * MIB,
   0,
   0,
   CMT_DELIVER_MAILBOX,
   40 * MIB,
   "test-net",
   "m",
   "v",
   "1.2.3.4:5",
   NULL,
   0},
  {3,
   2,
   10,
   2,
   5,
   3,
   100,
   100000,
   3 * MIB,
   2000,
   2 * MIB,
   5 * MIB,
   2 * MIB,
   5 * MIB,
   0,
   0,
   CMT_DELIVER_WORKERS,
   40 * MIB,
   "test-net",
   "m",
   "v",
   NULL,
   "bbr",
   0},
  /* And the totals. */
  {40,
   10,
   200,
   1,
   40,
   3,
   100,
   100000,
   3 * MIB,
   1024,
   8 * MIB,
   8 * MIB,
   0,
   0,
   33 * MIB,
   77 * MIB,
   CMT_DELIVER_INLINE,
   0,
   "test-net",
   "m",
   "v",
   NULL,
   NULL,
   0},
};

typedef struct made {
  cmt_channel channels[CHANNELS];
  cmt_reactor reactor;
  cmt_switch *sw;
} made;

static void made_init(made *m, const row *r) {
  static const cmt_node_id ids[] = {{OTHER "1"}, {OTHER "2"}, {OTHER "3"}};
  cmt_switch_options o;
  cmt_why why = {.text = ""};
  char addr[100];

  *m = (made){.reactor = {.name = "r",
                          .channels = m->channels,
                          .channel_count = r->channels,
                          .delivery = r->delivery,
                          .recv_queue_bytes_total = r->entry}};
  for (size_t i = 0; i < r->channels; i++) {
    m->channels[i] = (cmt_channel){.id = (uint8_t)i,
                                   .priority = 1,
                                   .send_queue = r->queue,
                                   .send_message_max = r->send >> (i > 0),
                                   .recv_message_max = r->recv >> (i > 0)};
  }
  cmt_switch_options_init(&o);
  o.network = r->network;
  o.moniker = r->moniker;
  o.version = r->version;
  o.external_address = r->external;
  o.congestion = r->congestion;
  o.reactors = r->channels > 0 ? &m->reactor : NULL;
  o.reactor_count = r->channels > 0;
  o.inbound_peers_max = r->inbound > 0 ? r->inbound : CMT_NO_PEERS;
  o.outbound_peers_max = r->outbound > 0 ? r->outbound : CMT_NO_PEERS;
  o.handshakes_max = r->handshakes;
  o.loops = r->loops;
  o.handshake_threads = threads_of(r);
  o.unconditional = ids;
  o.unconditional_count = r->unconditional;
  o.evict_interval_ns = r->unconditional;
  o.send_bytes_max = r->send_each;
  o.recv_bytes_max = r->recv_each;
  o.send_bytes_total_max = r->send_total > 0 ? r->send_total : (size_t)1 << 40;
  o.recv_bytes_total_max = r->recv_total > 0 ? r->recv_total : (size_t)1 << 40;
  o.recv_packet_payload_max = (uint32_t)r->payload;
  if (cmt_switch_new(&o, &m->sw, &why) != CMT_OK) {
    fail_msg("%s", why.text);
  }
  for (unsigned i = 0; i < r->dials; i++) {
    snprintf(addr, sizeof addr, "%040x@10.0.0.1:%u", i + 1, i + 1);
    assert_cmt(CMT_OK, cmt_switch_dial(m->sw, addr, 0, NULL));
  }
}

static uint64_t text(const char *s) { return s != NULL ? strlen(s) + 1 : 0; }

/* The size of an array that grows from |first| by doubling: while it grows, the
   one before it is there as well. */
static uint64_t grown(uint64_t count, uint64_t first) {
  uint64_t room = first, before = 0;

  for (; room < count; room *= 2) {
    before = room;
  }
  return room + before;
}

/* Node infos of both sides with what waits of them, besides what the core
   states. */
static uint64_t of_handshake(const cmt_conn_options *o) {
  const uint64_t frames = CMT_NODE_INFO_MAX / 1024 + 2;

  return cmt__conn_handshake_memory(o) + cmt__link_op_memory() + 2 * 8192 +
         4096 + frames * 1044;
}

static uint64_t of_peer(const row *r, const cmt_conn_options *o) {
  const uint64_t messages = r->channels * (r->queue + 1);
  const uint64_t of_channel = sizeof(uint32_t) + sizeof(cmt__send_queue_fifo);
  const uint64_t alone = r->channels == 0 ? 0 : cmt__min(r->payload, r->recv);

  return cmt__conn_memory(o) + sizeof(cmt_peer) + sizeof(cmt__link_migration) +
         sizeof(cmt__link_path) + sizeof(cmt_why) + sizeof(cmt_why) +
         r->channels * of_channel + sizeof(cmt__pool_wait) +
         2 * grown(messages, 4) * sizeof(cmt__send_queue_item) + 16 * 256 +
         sizeof(cmt__worth_tags) + SCRATCH + READ + 1044 +
         messages * cmt__buf_header() + alone + r->channels * cmt__buf_header();
}

/* A mailbox with what may wait for its reactor: from a read that fills it up,
   which ends with one more message, each empty message of 5 bytes; and the
   buffers of a run that the loop is to release. */
static uint64_t of_mailbox(const row *r, uint64_t peers) {
  if (r->channels == 0 || r->delivery == CMT_DELIVER_INLINE) {
    return 0;
  }
  return sizeof(cmt_mailbox) + r->entry + peers * (r->entry / peers) +
         peers * (1024 + READ / 5 * 192 + READ + r->recv + CMT__RUN_BYTES);
}

static uint64_t expected(const row *r, const cmt_conn_options *o) {
  const uint64_t peers =
    r->inbound + r->outbound + r->unconditional + (r->unconditional > 0);
  const uint64_t dials = r->dials;
  /* Ends that linger are as many as handshakes. */
  const uint64_t connections = 2 * peers + 2 * r->handshakes + 1 + 2 * dials;
  const uint64_t shakes = r->handshakes + 1 + peers + 2 * dials;
  const uint64_t connection = sizeof(cmt__session) + sizeof(cmt__question) +
                              1024 + SESSION_TIMERS * TIMER;
  /* Other loops or threads have four operations each. */
  const uint64_t elsewhere = 4 * (r->loops > 1 ? r->loops - 1 : threads_of(r));
  const uint64_t longest = r->channels > 0 ? r->recv : 0;
  const uint64_t sums[] = {
    sizeof(cmt_switch),
    cmt__conn_group_memory(r->channels, connections, shakes + elsewhere),
    elsewhere * (connection + cmt__link_op_memory()),
    r->loops *
      (sizeof(cmt__loop_thread) + 8192 + SCRATCH + READ + peers * TIMER),
    r->loops * 2 * (longest + cmt__buf_header()),
    (r->channels > 0) * sizeof(cmt_reactor),
    text(r->network) + text(r->moniker) + text(r->version),
    text(r->external) + text(r->congestion),
    1024 * sizeof(cmt__ban),
    grown(1024, 4) * sizeof(cmt__network *) +
      1024 * (sizeof(cmt__network) + 10240 + 2),
    r->unconditional * sizeof(cmt_node_id),
    grown(peers, 8) * sizeof(cmt_peer *),
    connections * connection,
    shakes * of_handshake(o),
    peers * of_peer(r, o),
    r->send_total > 0 ? r->send_total : peers * r->send_peer,
    r->recv_total > 0 ? r->recv_total : peers * r->recv_peer,
    of_mailbox(r, peers),
    dials * (sizeof(cmt_dial) + cmt__attempt_memory() + 1024 +
             DIAL_TIMERS * TIMER + connection),
  };
  uint64_t sum = 0;

  for (size_t i = 0; i < CMT__COUNT(sums); i++) {
    sum += sums[i];
  }
  return sum;
}

static void the_bound_is_what_the_inventory_adds_up_to(void **state) {
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt_conn_options o;
    cmt_node_info info;
    uint64_t max;
    made m;

    made_init(&m, &rows[i]);
    cmt__setup_conn_options(&m.sw->setup, &m.sw->env, &info, &o);
    max = cmt_switch_memory_max(m.sw);
    if (max != expected(&rows[i], &o)) {
      fail_msg("row %zu: %llu is not %llu", i, (unsigned long long)max,
               (unsigned long long)expected(&rows[i], &o));
    }
    assert_cmt(CMT_OK, cmt_switch_delete(m.sw));
  }
}

/* The places in the heap of the loop are those that the sum has. */
static void each_connection_and_dial_has_the_timers_that_are_counted(void **s) {
  test_trio *t = *s;
  const cmt__loop *loop = test_loop_base(t->w.loop);
  size_t before, heap;

  test_node_start(&t->a);
  test_node_start(&t->b);
  before = loop->reserved;
  test_node_dial(&t->a, t->b.addr, CMT_DIAL_PERSISTENT);
  /* Each of the two nodes has a session. */
  assert_int_equal(2 * SESSION_TIMERS + DIAL_TIMERS, loop->reserved - before);
  heap = loop->heap_cap * sizeof *loop->heap;
  assert_true(heap + heap / 2 <= loop->reserved * TIMER);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(
      each_connection_and_dial_has_the_timers_that_are_counted, test_trio_setup,
      test_trio_teardown),
    cmocka_unit_test(the_bound_is_what_the_inventory_adds_up_to),
  };

  return cmocka_run_group_tests_name("memory_terms", tests, NULL, NULL);
}
