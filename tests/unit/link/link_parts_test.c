/* SPDX-License-Identifier: Apache-2.0 */

/* What is queued while a short batch is sealed goes out with it. */

#include "node.h"

#include "switch/session.h"

#include <cometp2p/secret_conn.h>

enum { BULK = 0x52, WRITES = 4 };

typedef test_trio fixture;

/* Messages that follow one: each is sent when the one before is let go, which
   is while its batch is made. */
typedef struct chain {
  fixture *f;
  uint8_t channel; /* The followers have it. */
  size_t len, left;
} chain;

static struct { size_t lens[WRITES], count; } written;

static void on_write(void *arg, test_conn *conn, int from, uint8_t *data,
                     size_t len) {
  (void)arg;
  (void)conn;
  (void)data;
  if (from == TEST_DIALER) {
    assert_true(written.count < WRITES);
    written.lens[written.count++] = len;
  }
}

static void chain_send(chain *c, uint8_t channel, size_t len);

static void on_release(void *arg) {
  chain *c = arg;

  if (c->left > 0) {
    c->left--;
    chain_send(c, c->channel, c->len);
  }
}

static void chain_send(chain *c, uint8_t channel, size_t len) {
  static const uint8_t bytes[65536];
  cmt_buf *msg = cmt_buf_adopt(NULL, (cmt_bytes){bytes, len}, on_release, c);

  assert_non_null(msg);
  assert_cmt(CMT_OK, cmt_peer_try_send(test_node_peer(&c->f->a), channel, msg));
}

/* The frames of each write for a message of |first| bytes on |channel| and what
   follows. */
static void assert_written(chain c, uint8_t channel, size_t first,
                           const size_t frames[WRITES]) {
  memset(&written, 0, sizeof written);
  test_loop_tap(c.f->w.loop, on_write, NULL);
  chain_send(&c, channel, first);
  test_loop_run_until_idle(c.f->w.loop);
  test_loop_tap(c.f->w.loop, NULL, NULL);
  assert_int_equal(0, c.left);
  for (size_t i = 0; i < WRITES; i++) {
    assert_int_equal(frames[i] * CMT_FRAME_SLOT, written.lens[i]);
  }
}

static void start(fixture *f, cmt_traffic chat) {
  for (test_node *n = &f->a; n <= &f->b; n++) {
    test_part_channel(
      &n->parts[0], (cmt_channel){.id = BULK, .priority = 1, .send_queue = 9});
    n->parts[0].channels[0].traffic = chat;
  }
  test_pair(&f->w, &f->a, &f->b);
  f->b.quiet = true;
}

/* Longer messages than those that wait to be sealed with others' frames. */
static void a_short_batch_grows_by_what_is_queued_meanwhile(void **state) {
  fixture *f = *state;
  chain c = {.f = f, .channel = BULK, .len = 4200};

  start(f, CMT_TRAFFIC_NORMAL);
  c.left = 3;
  assert_written(c, BULK, 4200, (const size_t[WRITES]){20});
  c.left = 5; /* It has four parts at most. */
  assert_written(c, BULK, 4200, (const size_t[WRITES]){20, 10});
}

static void a_frame_and_a_long_batch_go_out_at_once(void **state) {
  fixture *f = *state;
  chain c = {.f = f, .channel = BULK, .len = 100, .left = 2};

  start(f, CMT_TRAFFIC_NORMAL);
  assert_written(c, BULK, 100, (const size_t[WRITES]){1, 1, 1});
  c.left = 1;
  assert_written(c, BULK, 16000, (const size_t[WRITES]){17});
  assert_written(c, BULK, 17000, (const size_t[WRITES]){17, 1});
}

static void no_batch_with_an_urgent_message_grows(void **state) {
  fixture *f = *state;
  chain c = {.f = f, .channel = TEST_CHAT, .len = 2000, .left = 1};

  start(f, CMT_TRAFFIC_URGENT);
  assert_written(c, BULK, 2000, (const size_t[WRITES]){2, 2});
  c.channel = BULK;
  assert_written(c, TEST_CHAT, 2000, (const size_t[WRITES]){2, 2});
}

/* What was written of a batch of several parts, of which each begins a frame,
   counts for no more than it has. */
static void the_parts_of_a_batch_are_consumed_one_after_another(void **state) {
  fixture *f = *state;
  chain c = {.f = f, .channel = BULK, .len = 2000, .left = 3};
  cmt_peer_status status;
  test_dir *way;

  start(f, CMT_TRAFFIC_NORMAL);
  way = &test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER];
  way->stalled = true;
  way->cap = way->in_flight;
  chain_send(&c, BULK, 2000);
  for (size_t i = 0; i < 8; i++) {
    way->cap += CMT_FRAME_SLOT;
    test_loop_run_until_idle(f->w.loop);
  }
  way->cap = SIZE_MAX;
  way->stalled = false;
  test_loop_run_until_idle(f->w.loop);
  cmt_peer_get_status(test_node_peer(&f->b), &status);
  assert_int_equal(4, status.channels[1].recv_messages);
}

int main(void) {
#define TEST(f)                                                                \
  cmocka_unit_test_setup_teardown(f, test_trio_setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_short_batch_grows_by_what_is_queued_meanwhile),
    TEST(a_frame_and_a_long_batch_go_out_at_once),
    TEST(no_batch_with_an_urgent_message_grows),
    TEST(the_parts_of_a_batch_are_consumed_one_after_another),
  };

  return cmocka_run_group_tests_name("link_parts", tests, NULL, NULL);
}
