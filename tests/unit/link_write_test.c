/* SPDX-License-Identifier: Apache-2.0 */

/* What a link writes, and when: two switches on the loop double. */

#include "node.h"

enum { BULK = 0x52, MIB = 1 << 20 };

typedef test_trio fixture;

static void settle(fixture *f) { test_loop_settle(f->w.loop); }

/* A pair with a bulk channel, whose priority is |priority|, besides the chat,
   whose is 1; the chat is the first of the status. */
static void pair_with_bulk(fixture *f, uint32_t priority) {
  for (test_node *n = &f->a; n <= &f->b; n++) {
    test_part_channel(
      &n->parts[0],
      (cmt_channel){.id = BULK, .priority = priority, .send_queue = 100});
  }
  test_pair(&f->w, &f->a, &f->b);
  f->b.quiet = true;
}

static void send_bulk(fixture *f, size_t count) {
  static uint8_t data[MIB];

  for (size_t i = 0; i < count; i++) {
    assert_cmt(CMT_OK, cmt_peer_try_send_bytes(test_node_peer(&f->a), BULK,
                                               data, sizeof data));
  }
}

static cmt_channel_status received(fixture *f, size_t index) {
  cmt_peer_status status;

  cmt_peer_get_status(test_node_peer(&f->b), &status);
  return status.channels[index];
}

static void an_urgent_message_goes_into_the_next_run(void **state) {
  fixture *f = *state;

  f->a.parts[0].channels[0].traffic = CMT_TRAFFIC_URGENT;
  pair_with_bulk(f, CMT_PRIORITY_MAX);
  assert_cmt(CMT_OK, test_node_say(&f->a, TEST_CHAT, "more than its share"));
  settle(f);
  send_bulk(f, 4);
  test_loop_step(f->w.loop); /* The first run of 256 KiB. */
  assert_cmt(CMT_OK, test_node_say(&f->a, TEST_CHAT, "1"));
  assert_cmt(CMT_OK, test_node_say(&f->a, TEST_CHAT, "2"));
  for (int i = 0; i < 4; i++) {
    test_loop_step(f->w.loop);
  }
  assert_int_equal(3, received(f, 0).recv_messages);
  assert_int_equal(0, received(f, 1).recv_messages);
  settle(f);
  assert_int_equal(4, received(f, 1).recv_messages);
}

int main(void) {
#define TEST(f)                                                                \
  cmocka_unit_test_setup_teardown(f, test_trio_setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(an_urgent_message_goes_into_the_next_run),
  };

  return cmocka_run_group_tests_name("link_write", tests, NULL, NULL);
}
