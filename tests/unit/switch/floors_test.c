/* SPDX-License-Identifier: Apache-2.0 */

/* The memory of a switch that its peers share: totals, floors, and options that
   contradict each other. */

#include "switch/floors.h"
#include "test.h"

#define MIB ((size_t)1 << 20)

static const cmt_channel usual = {
  .id = 0x40,
  .priority = 1,
  .send_queue = 100,
  .recv_message_max = CMT_MESSAGE_DEFAULT,
  .send_message_max = CMT_MESSAGE_DEFAULT,
};

static cmt_switch_options options(void) {
  cmt_switch_options o;

  cmt_switch_options_init(&o);
  o.network = "test-net";
  return o;
}

static cmt__floors floors_of(cmt_switch_options *o, const cmt_channel *list,
                             size_t count) {
  cmt__floors s;
  cmt_why why;

  if (cmt__floors_compute(o, list, count, &s, &why) != CMT_OK) {
    fail_msg("%s", why.text);
  }
  assert_int_equal(s.recv.total,
                   cmt__floors_peers(o) * s.recv.floor + s.recv.pool);
  assert_int_equal(s.send.total,
                   cmt__floors_peers(o) * s.send.floor + s.send.pool);
  return s;
}

static void assert_refused(cmt_switch_options *o, const cmt_channel *list,
                           size_t count, const char *text) {
  cmt_reactor r = {.name = "r", .channels = list, .channel_count = count};
  cmt_switch *s = NULL;
  cmt_why why = {0};

  o->reactors = &r;
  o->reactor_count = 1;
  assert_cmt(CMT_EINVAL, cmt_switch_new(o, &s, &why));
  assert_int_equal(CMT_EINVAL, why.err);
  assert_string_equal(text, why.text);
  assert_cmt(CMT_EINVAL, cmt_switch_new(o, &s, NULL));
}

static void assert_taken(cmt_switch_options *o, const cmt_channel *list,
                         size_t count) {
  cmt_reactor r = {.name = "r", .channels = list, .channel_count = count};
  cmt_switch *s = NULL;
  cmt_why why = {0};

  o->reactors = &r;
  o->reactor_count = 1;
  if (cmt_switch_new(o, &s, &why) != CMT_OK) {
    fail_msg("%s", why.text);
  }
  assert_cmt(CMT_OK, cmt_switch_delete(s));
}

/* Eighty peers, and half of each total. */
static void the_defaults_have_these_floors(void **state) {
  cmt_switch_options o = options();
  cmt__floors s = floors_of(&o, &usual, 1);

  (void)state;
  assert_int_equal(512 * MIB, o.recv_bytes_total_max);
  assert_int_equal(256 * MIB, o.send_bytes_total_max);
  assert_int_equal(512 * MIB / 160, s.recv.floor);
  assert_int_equal(256 * MIB / 160, s.send.floor);
  assert_in_range(s.recv.pool, 256 * MIB, 256 * MIB + 80);
  assert_in_range(s.send.pool, 128 * MIB, 128 * MIB + 80);
}

static void defaults_grow_with_the_largest_message(void **state) {
  cmt_channel list[2] = {usual, usual};
  cmt_switch_options o = options();
  cmt__floors s;

  (void)state;
  list[1].id = 0x41;
  list[1].recv_message_max = 600 * MIB;
  list[1].send_message_max = 600 * MIB;
  s = floors_of(&o, list, 2);
  assert_int_equal(4 * 601 * MIB, s.recv.total);
  assert_int_equal(4 * 600 * MIB, s.send.total);
  assert_taken(&o, list, 2);
  o = options();
  list[1].recv_message_max = CMT_MESSAGE_MAX;
  list[1].send_message_max = CMT_MESSAGE_MAX;
  assert_taken(&o, list, 2);
  /* Many peers have their floors. */
  o = options();
  o.inbound_peers_max = CMT_PEERS_MAX;
  s = floors_of(&o, &usual, 1);
  assert_int_equal(CMT__FLOOR_MIN, s.recv.floor);
  assert_int_equal(CMT__FLOOR_MIN, s.send.floor);
}

/* Nobody has more of a floor than it can use, and few peers share a lot. */
static void a_floor_is_no_more_than_a_peer_can_use(void **state) {
  const cmt_channel small = {.id = 1,
                             .priority = 1,
                             .send_queue = 2,
                             .recv_message_max = 1000,
                             .send_message_max = 700};
  cmt_switch_options o = options();
  cmt__floors s = floors_of(&o, &small, 1);

  (void)state;
  assert_int_equal(1000, s.recv.floor);
  assert_int_equal(3 * 700, s.send.floor);
  o = options();
  o.inbound_peers_max = 1;
  o.outbound_peers_max = 0;
  s = floors_of(&o, &usual, 1);
  assert_int_equal(CMT_MESSAGE_DEFAULT, s.recv.floor);
  assert_int_equal(32 * MIB, s.send.floor);
  o = options();
  s = floors_of(&o, NULL, 0);
  assert_int_equal(0, s.recv.floor);
}

/* One largest message always has room above the floors of the others. */
static void a_largest_message_fits_whatever_others_hold(void **state) {
  (void)state;
  for (size_t total = 4096 * 80 + CMT_MESSAGE_DEFAULT; total < 200 * MIB;
       total += 777777) {
    cmt_switch_options o = options();
    cmt__floors s;

    o.recv_bytes_total_max = total;
    o.send_bytes_total_max = total;
    s = floors_of(&o, &usual, 1);
    assert_int_equal(total, s.recv.total);
    assert_true(s.recv.floor >= CMT__FLOOR_MIN);
    assert_true(s.recv.floor + s.recv.pool >= CMT_MESSAGE_DEFAULT);
    assert_true(s.send.floor + s.send.pool >= CMT_MESSAGE_DEFAULT);
  }
}

static void contradictions_are_refused_by_name(void **state) {
  cmt_channel list[2] = {usual, usual};
  cmt_switch_options o = options();
  size_t least = CMT_MESSAGE_DEFAULT + 79 * 4096;

  (void)state;
  list[1].id = 0x41;
  o.recv_bytes_total_max = least;
  o.send_bytes_total_max = least;
  assert_taken(&o, list, 2);
  o.recv_bytes_total_max = least - 1;
  assert_refused(
    &o, list, 2,
    "recv_bytes_total_max is 22343679: a message of channel 0x40, whose "
    "recv_message_max is 22020096, and 4096 bytes for each of 80 peers need "
    "22343680");
  o.recv_bytes_total_max = 0;
  o.send_bytes_total_max = least - 1;
  assert_refused(
    &o, list, 2,
    "send_bytes_total_max is 22343679: a message of channel 0x40, whose "
    "send_message_max is 22020096, and 4096 bytes for each of 80 peers need "
    "22343680");
  o = options();
  o.recv_bytes_total_max = 512 * MIB;
  list[1].recv_message_max = 600 * MIB;
  list[1].send_message_max = 0;
  assert_refused(
    &o, list, 2,
    "recv_bytes_total_max is 536870912: a message of channel 0x41, whose "
    "recv_message_max is 629145600, and 4096 bytes for each of 80 peers need "
    "629469184");
  o = options();
  o.recv_bytes_max = 599 * MIB;
  assert_refused(&o, list, 2,
                 "channel 0x41: recv_message_max is 629145600, and "
                 "recv_bytes_max is only 628097024");
  o.recv_bytes_max = 600 * MIB;
  assert_taken(&o, list, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_defaults_have_these_floors),
    cmocka_unit_test(defaults_grow_with_the_largest_message),
    cmocka_unit_test(a_floor_is_no_more_than_a_peer_can_use),
    cmocka_unit_test(a_largest_message_fits_whatever_others_hold),
    cmocka_unit_test(contradictions_are_refused_by_name),
  };

  return cmocka_run_group_tests_name("shares", tests, NULL, NULL);
}
