/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer costs in memory when it is idle, with the channels and the node
   info of a CometBFT node, and what stays of one that is gone. */

#include "node.h"

#include "core/conn/node_info.h"
#include "core/secret/secret_pool.h"
#include "net/uv/loop_uv.h"

#include <cometp2p/secret_conn.h>

#include <stdlib.h>

enum {
  PEERS = 3,
  CHANNELS = 11,
  NODE_INFO = 200, /* Bytes of each side's. */
  /* Each one of 10,000 peers has two timers and a place in the set of peers, in
     arrays of 2^14 words. */
  ARRAYS = 3 * 8 * 16384 / 10000 + 1,
  KEYS = sizeof(cmt__secret_keys) + 1, /* With its bit in the slab. */
  IDLE_MAX = 4096,
};

static const uint8_t ids[CHANNELS] = {0x00, 0x20, 0x21, 0x22, 0x23, 0x30,
                                      0x31, 0x38, 0x40, 0x60, 0x61};

typedef struct fixture {
  test_world w;
  test_env env; /* What the hub allocates. */
  test_node hub, peers[PEERS];
} fixture;

/* Each message comes back. */
static void on_receive(test_part *part, cmt_peer *p, uint8_t channel,
                       cmt_buf *msg) {
  (void)part;
  assert_cmt(CMT_OK, cmt_peer_try_send(p, channel, cmt_buf_ref(msg)));
}

static void node_init(test_node *n, test_world *w) {
  test_node_init(n, w);
  n->quiet = true;
  n->options.moniker =
    "a-moniker-of-the-length-that-operators-choose-01234567890123"
    "-0123456789";
  n->options.version = "0.40.0-and-a-commit-0123456789";
  n->parts[0].channel_count = 0;
  for (size_t i = 0; i < CHANNELS; i++) {
    test_part_channel(
      &n->parts[0],
      (cmt_channel){.id = ids[i], .priority = 5, .send_queue = 100});
  }
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->w);
  test_env_init(&f->env);
  f->env.seed = 100;
  node_init(&f->hub, &f->w);
  f->hub.options.env = &f->env.env;
  f->hub.parts[0].on_receive = on_receive;
  test_node_start(&f->hub);
  for (size_t i = 0; i < PEERS; i++) {
    node_init(&f->peers[i], &f->w);
    f->peers[i].options.laddr = NULL;
    assert_cmt(CMT_OK, test_node_new(&f->peers[i], NULL));
    assert_cmt(CMT_OK, cmt_switch_start(f->peers[i].sw, NULL));
  }
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  for (size_t i = 0; i < PEERS; i++) {
    test_node_fini(&f->peers[i]);
  }
  test_node_fini(&f->hub);
  test_env_fini(&f->env);
  test_world_fini(&f->w);
  free(f);
  return 0;
}

/* A message of |len| bytes on every channel, there and back. */
static void talk(fixture *f, size_t i, size_t len) {
  uint8_t bytes[3000] = {0};

  for (size_t k = 0; k < CHANNELS; k++) {
    assert_cmt(CMT_OK, cmt_peer_try_send_bytes(test_node_peer(&f->peers[i]),
                                               ids[k], bytes, len));
  }
  test_loop_run_until_idle(f->w.loop);
}

/* A ping and its pong. */
static void rest(fixture *f) { test_loop_advance(f->w.loop, CMT_SECONDS(61)); }

static void node_infos_have_the_promised_size(void **state) {
  fixture *f = *state;
  const cmt_node_info *info;
  size_t size;

  test_node_dial(&f->peers[0], f->hub.addr, 0);
  info = cmt_peer_node_info(test_node_peer(&f->hub));
  size = cmt__node_info_size(info);
  assert_in_range(size, NODE_INFO - 4, NODE_INFO + 4);
}

/* Adds to what the switch has for a peer what a world of three peers on a
   double does not show.  bench_idle measures the sum. */
static size_t with_loop_and_keys(size_t bytes) {
  return bytes + cmt__loop_uv_tcp_bytes() + KEYS + ARRAYS;
}

/* The first peer brings memory for all of them. */
static void an_idle_peer_needs_at_most_4096_bytes(void **state) {
  fixture *f = *state;
  size_t before = 0;

  for (size_t i = 0; i < PEERS; i++) {
    size_t up;

    test_node_dial(&f->peers[i], f->hub.addr, 0);
    up = f->env.live_bytes - before;
    talk(f, i, 1);
    rest(f);
    if (i > 0) {
      size_t idle = f->env.live_bytes - before;

      print_message("# %zu bytes once up, %zu when idle\n",
                    with_loop_and_keys(up), with_loop_and_keys(idle));
      assert_in_range(with_loop_and_keys(up), 1, IDLE_MAX);
      assert_in_range(with_loop_and_keys(idle), 1, IDLE_MAX);
    }
    before = f->env.live_bytes;
  }
}

/* Queues, intakes and the rest of a frame that a read cut. */
static void what_traffic_needed_is_given_back(void **state) {
  fixture *f = *state;
  test_dir *in;
  size_t idle;

  test_node_dial(&f->peers[0], f->hub.addr, 0);
  rest(f);
  idle = f->env.live_bytes;
  in = &test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER];
  in->read_max = 1000;
  talk(f, 0, 3000);
  talk(f, 0, 3000);
  assert_in_range(f->env.live_bytes, idle + CMT_FRAME_SLOT + CHANNELS * 32,
                  idle + 4096);
  in->read_max = CMT__READ_MAX;
  rest(f);
  assert_int_equal(idle, f->env.live_bytes);
}

/* What a peer that is gone reports stays, without its connection. */
static void
a_peer_that_is_gone_keeps_its_numbers_and_little_else(void **state) {
  fixture *f = *state;
  cmt_peer_status before, after;
  size_t without, with;
  cmt_peer *p;

  without = f->env.live_bytes;
  test_node_dial(&f->peers[0], f->hub.addr, 0);
  talk(f, 0, 3000);
  p = cmt_peer_ref(test_node_peer(&f->hub));
  cmt_peer_get_status(p, &before);
  cmt_peer_stop(p, CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->w.loop);
  with = f->env.live_bytes;
  cmt_peer_get_status(p, &after);
  assert_int_equal(CHANNELS, after.channel_count);
  assert_int_equal(1, after.channels[10].sent_messages);
  assert_memory_equal(before.channels, after.channels, sizeof after.channels);
  assert_int_equal(before.sent_bytes, after.sent_bytes);
  assert_in_range(with - without, 1, 2700);
  cmt_peer_unref(p);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(node_infos_have_the_promised_size),
    TEST(an_idle_peer_needs_at_most_4096_bytes),
    TEST(what_traffic_needed_is_given_back),
    TEST(a_peer_that_is_gone_keeps_its_numbers_and_little_else),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
