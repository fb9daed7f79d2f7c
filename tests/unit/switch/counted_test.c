/* SPDX-License-Identifier: Apache-2.0 */

/* Promises that are numbers: calls and allocations, over a loop that accepts
   every write whole and hands over up to 64 KiB a read. */

#include "node.h"

#include <stdio.h>

enum { MESSAGE = 65536, BATCH = 16, MIB = 1 << 20 };

/* Each node counts its own allocations; the loop's are those of both. */
typedef struct fixture {
  test_world w;
  test_env sender, receiver;
  test_node a, b;
} fixture;

/* What one MiB, or one message, took. */
typedef struct cost {
  double writes, reads;            /* Per MiB. */
  double send_allocs, recv_allocs; /* Per message. */
} cost;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->w);
  test_env_init(&f->sender);
  test_env_init(&f->receiver);
  f->receiver.seed = 2;
  test_node_init(&f->a, &f->w);
  test_node_init(&f->b, &f->w);
  f->a.options.env = &f->sender.env;
  f->b.options.env = &f->receiver.env;
  f->a.parts[0].channels[0].send_queue = BATCH - 1;
  f->b.quiet = true;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  test_node_fini(&f->a);
  test_node_fini(&f->b);
  test_world_fini(&f->w);
  test_env_fini(&f->sender);
  test_env_fini(&f->receiver);
  free(f);
  return 0;
}

/* One batch; |config| NULL: by bytes. */
static void send_batch(fixture *f, cmt_buf *config) {
  static const uint8_t bytes[MESSAGE];
  cmt_peer *p = test_node_peer(&f->a);

  for (int i = 0; i < BATCH; i++) {
    if (config != NULL) {
      assert_cmt(CMT_OK, cmt_peer_try_send(p, TEST_CHAT, cmt_buf_ref(config)));
    } else {
      assert_cmt(CMT_OK,
                 cmt_peer_try_send_bytes(p, TEST_CHAT, bytes, sizeof bytes));
    }
  }
  test_loop_run_until_idle(f->w.loop);
}

static cost measure(fixture *f, cmt_buf *config, int batches) {
  const test_dir *d = &test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER];
  size_t writes, reads, sent, received, loop;
  double messages = batches * BATCH, mib = messages * MESSAGE / MIB;
  cost c;

  for (int i = 0; i < 4; i++) {
    send_batch(f, config); /* Warm: each of the two intakes has grown. */
  }
  writes = d->writes;
  reads = d->reads;
  sent = f->sender.allocs;
  received = f->receiver.allocs;
  loop = f->w.env.allocs;
  for (int i = 0; i < batches; i++) {
    send_batch(f, config);
  }
  loop = f->w.env.allocs - loop;
  c.writes = (double)(d->writes - writes) / mib;
  c.reads = (double)(d->reads - reads) / mib;
  c.send_allocs = (double)(f->sender.allocs - sent + loop) / messages;
  c.recv_allocs = (double)(f->receiver.allocs - received + loop) / messages;
  printf("# per MiB: %.2f writes, %.2f reads; per message: %.2f allocations to "
         "send, %.2f to receive\n",
         c.writes, c.reads, c.send_allocs, c.recv_allocs);
  return c;
}

static void a_mib_needs_at_most_20_writes_and_20_reads(void **state) {
  fixture *f = *state;
  cost c;

  test_pair(&f->w, &f->a, &f->b);
  c = measure(f, NULL, 32);
  assert_true(c.writes <= 20);
  assert_true(c.reads <= 20);
}

static void
a_message_needs_1_allocation_to_send_and_2_to_receive(void **state) {
  fixture *f = *state;
  cost c;

  test_pair(&f->w, &f->a, &f->b);
  c = measure(f, NULL, 8);
  assert_true(c.send_allocs <= 1);
  assert_true(c.recv_allocs <= 2);
}

static void a_shared_buffer_needs_no_allocation(void **state) {
  fixture *f = *state;
  cmt_buf *config;
  cost c;

  test_pair(&f->w, &f->a, &f->b);
  config = cmt_buf_new(&f->sender.env, MESSAGE);
  assert_non_null(config);
  memset(cmt_buf_data(config), 0, MESSAGE);
  c = measure(f, config, 8);
  assert_true(c.send_allocs <= 0);
  assert_true(c.recv_allocs <= 2);
  cmt_buf_unref(config);
}

static void small_packets_need_no_more(void **state) {
  fixture *f = *state;
  cost c;

  f->a.options.send_packet_payload_max = 64;
  test_pair(&f->w, &f->a, &f->b);
  c = measure(f, NULL, 4);
  assert_true(c.writes <= 20);
  assert_true(c.reads <= 20);
  assert_true(c.send_allocs <= 1);
  assert_true(c.recv_allocs <= 2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_mib_needs_at_most_20_writes_and_20_reads),
    TEST(a_message_needs_1_allocation_to_send_and_2_to_receive),
    TEST(a_shared_buffer_needs_no_allocation),
    TEST(small_packets_need_no_more),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
