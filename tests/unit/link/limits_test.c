/* SPDX-License-Identifier: Apache-2.0 */
/* The other limits of a multiplexer, in virtual time: late messages, useless
   work, memory. */

#include "limits_user.h"
#include "marks.h"
#include "mconn_pull.h"

#include "core/mux/mconn_impl.h"

/* ---- what is late ---- */

static void partial_message_without_a_packet_ends_the_peer(void **state) {
  limits_user *u = limits_user_new();

  (void)state;
  limits_user_start(u);
  u->now_ns = S(1);
  limits_give_part(u, LIMITS_FIRST, 1000, false, CMT_OK);
  assert_int_equal(S(61), cmt_mconn_deadline(u->m));
  u->now_ns = S(50);
  limits_give_part(u, LIMITS_FIRST, 1000, false, CMT_OK);
  /* Looked at when it would have been late, it is not. */
  assert_int_equal(S(61), cmt_mconn_deadline(u->m));
  limits_tick(u, S(61), CMT_OK);
  assert_int_equal(S(110), cmt_mconn_deadline(u->m));
  limits_tick(u, S(110) - 1, CMT_OK);
  limits_tick(u, S(110), CMT_EPARTIAL);
  assert_cmt(CMT_ECLOSED, limits_queue(u, LIMITS_FIRST, 1));
  limits_user_delete(u);
}

static void complete_message_is_not_late(void **state) {
  limits_user *u = limits_user_new();

  (void)state;
  limits_user_start(u);
  limits_give_part(u, LIMITS_FIRST, 1000, true, CMT_OK);
  assert_true(cmt_mconn_deadline(u->m) == CMT_NEVER);
  limits_give_part(u, LIMITS_FIRST, 1000, false, CMT_OK);
  u->now_ns = S(59);
  limits_give_part(u, LIMITS_FIRST, 1000, true, CMT_OK);
  limits_tick(u, S(60), CMT_OK);
  assert_true(cmt_mconn_deadline(u->m) == CMT_NEVER);
  assert_int_equal(2, u->messages);
  limits_user_delete(u);
}

static void each_channel_is_late_by_itself(void **state) {
  limits_user *u = limits_user_new();
  uint64_t before = test_mark("partial_timeout");

  (void)state;
  u->o.partial_message_max_ns = S(5);
  limits_user_start(u);
  limits_give_part(u, LIMITS_FIRST, 1000, false, CMT_OK);
  for (int i = 1; i < 5; i++) {
    u->now_ns = S(i);
    limits_give_part(u, LIMITS_SECOND, 1000, false, CMT_OK);
    limits_tick(u, S(i), CMT_OK);
  }
  limits_tick(u, S(5), CMT_EPARTIAL);
  limits_user_delete(u);
  assert_mark("partial_timeout", before, 1);
}

/* A part of a packet is kept too: its first bytes count, not its last. */
static void packet_that_never_ends_is_late(void **state) {
  static const uint8_t header[] = {0xf1,         7,    0x1a, 0xee, 7, 0x08,
                                   LIMITS_FIRST, 0x1a, 0xe9, 7,    0};
  limits_user *u = limits_user_new();

  (void)state;
  limits_user_start(u);
  limits_give(u, header, sizeof header, CMT_OK);
  assert_int_equal(S(60), cmt_mconn_deadline(u->m));
  u->now_ns = S(59);
  limits_give(u, (const uint8_t *)"", 1, CMT_OK);
  limits_tick(u, S(60), CMT_EPARTIAL);
  limits_user_delete(u);
}

static void time_without_reading_makes_nothing_late(void **state) {
  limits_user *u = limits_user_new();

  (void)state;
  u->o.partial_message_max_ns = S(10);
  limits_user_start(u);
  limits_give_part(u, LIMITS_FIRST, 1000, false, CMT_OK);
  u->now_ns = S(4);
  cmt__mconn_pause(u->m, true, S(4));
  limits_tick(u, S(100), CMT_OK);
  cmt__mconn_pause(u->m, false, S(104));
  u->now_ns = S(104);
  limits_tick(u, S(110) - 1, CMT_OK);
  limits_tick(u, S(110), CMT_EPARTIAL);
  limits_user_delete(u);
}

/* A limit is why nothing is read here; the pong waits as well. */
static void time_held_by_a_limit_makes_nothing_late(void **state) {
  limits_user *u = limits_user_new();
  uint64_t paused_ns = 0;

  (void)state;
  u->o.partial_message_max_ns = S(10);
  u->o.ping_interval_ns = S(1000);
  u->o.pong_timeout_ns = S(8);
  u->o.recv_rate = 1000;
  limits_user_start(u);
  limits_stream(u, LIMITS_SECOND, 1000);
  assert_cmt(CMT_OK, cmt_mconn_ping(u->m));
  assert_int_equal(3, limits_take(u, SIZE_MAX));
  limits_give_part(u, LIMITS_FIRST, 1000, false, CMT_OK);
  limits_read(u, 18000);
  /* Nineteen seconds' worth, less the burst. */
  while (!cmt_mconn_wants_read(u->m)) {
    uint64_t from_ns = u->now_ns;

    limits_tick(u, cmt_mconn_deadline(u->m), CMT_OK);
    paused_ns += u->now_ns - from_ns;
    if (u->now_ns < MS(18500)) {
      limits_read(u, 1);
    }
  }
  assert_true(paused_ns >= MS(18500));
  limits_tick(u, paused_ns + S(8) - 1, CMT_OK);
  limits_tick(u, paused_ns + S(8), CMT_EPONG);
  limits_user_delete(u);
}

/* ---- packets that cost only us ---- */

typedef struct useless {
  const char *what;
  uint8_t packet[32];
  size_t len;
  bool draws;
} useless;

static const useless useless_rows[] = {
  {"ping", {2, 0x0a, 0}, 3, true},
  {"pong that nobody asked for", {2, 0x12, 0}, 3, true},
  {"packet without data or eof", {4, 0x1a, 2, 8, LIMITS_FIRST}, 5, true},
  {"packet with one byte of data",
   {7, 0x1a, 5, 8, LIMITS_FIRST, 0x1a, 1, 0},
   8,
   true},
  {"packet with 15 bytes of data",
   {21, 0x1a, 19, 8, LIMITS_FIRST, 0x1a, 15},
   22,
   true},
  {"packet with 16 bytes of data",
   {22, 0x1a, 20, 8, LIMITS_FIRST, 0x1a, 16},
   23,
   false},
  {"empty message", {6, 0x1a, 4, 8, LIMITS_FIRST, 0x10, 1}, 7, false},
  {"message of one byte",
   {9, 0x1a, 7, 8, LIMITS_FIRST, 0x10, 1, 0x1a, 1, 0},
   10,
   false},
};

static void useless_work_draws_on_the_flood_bucket(void **state) {
  uint64_t before = test_mark("flood_ended");

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(useless_rows); i++) {
    const useless *row = &useless_rows[i];
    limits_user *u = limits_user_new();

    limits_user_start(u);
    for (int k = 0; k < 500; k++) {
      limits_give(u, row->packet, row->len, CMT_OK);
    }
    if (!row->draws) {
      for (int k = 0; k < 5000; k++) {
        limits_give(u, row->packet, row->len, CMT_OK);
      }
      limits_user_delete(u);
      continue;
    }
    /* Fifty more each second. */
    u->now_ns = MS(200);
    for (int k = 0; k < 10; k++) {
      limits_give(u, row->packet, row->len, CMT_OK);
    }
    limits_give(u, row->packet, row->len, CMT_EFLOOD);
    assert_mconn_tick(u->m, u->now_ns, CMT_EFLOOD);
    limits_user_delete(u);
  }
  assert_mark_reached("flood_ended", before);
}

static void asked_pongs_are_of_use(void **state) {
  static const uint8_t pong[] = {2, 0x12, 0};
  limits_user *u = limits_user_new();

  (void)state;
  limits_user_start(u);
  for (int i = 0; i < 2000; i++) {
    cmt_mconn_event e;

    assert_cmt(CMT_OK, cmt_mconn_ping(u->m));
    assert_int_equal(3, limits_take(u, SIZE_MAX));
    assert_cmt(CMT_OK, cmt_mconn_recv(u->m, pong, sizeof pong, 0));
    assert_true(cmt_mconn_next_event(u->m, &e));
    assert_int_equal(CMT_MCONN_PONG, e.kind);
    assert_false(cmt_mconn_next_event(u->m, &e));
  }
  limits_user_delete(u);
}

/* What a polite node does for a year costs it nothing. */
static void regular_pings_never_flood(void **state) {
  static const uint8_t ping[] = {2, 0x0a, 0};
  limits_user *u = limits_user_new();

  (void)state;
  limits_user_start(u);
  for (uint64_t i = 0; i < 20000; i++) {
    u->now_ns = MS(20) * i;
    limits_give(u, ping, sizeof ping, CMT_OK);
  }
  limits_user_delete(u);
}

/* ---- memory ---- */

/* The first has reserved 4096 bytes, the second 3072, the third 2048. */
static void memory_of_all_together_is_bounded(void **state) {
  limits_crowd c;
  cmt_why why;

  (void)state;
  limits_crowd_init(&c, 0, 0, 10300);
  for (size_t i = 0; i < 3; i++) {
    for (size_t k = 0; k < 4 - i; k++) {
      limits_give_part(c.users[i], LIMITS_FIRST, 1024, false, CMT_OK);
    }
  }
  assert_in_range(atomic_load(&c.quota.reserved), 9216, 10300);
  /* A message in one packet reserves nothing of it. */
  limits_give_part(c.users[3], LIMITS_FIRST, 1024, true, CMT_OK);
  assert_int_equal(1, c.users[3]->messages);
  /* The packet that would exceed it ends the largest, not its own peer. */
  limits_give_part(c.users[3], LIMITS_FIRST, 1024, false, CMT_OK);
  assert_false(cmt__channels_gave_way(&c.users[0]->m->channels));
  limits_give_part(c.users[3], LIMITS_FIRST, 1024, false, CMT_OK);
  assert_mconn_end(c.users[0]->m, CMT_ENOBUFS);
  cmt_mconn_get_why(c.users[0]->m, &why);
  assert_string_equal("its unfinished messages had most of the memory that all "
                      "peers share for them",
                      why.text);
  for (size_t i = 1; i < 4; i++) {
    limits_give_part(c.users[i], LIMITS_FIRST, 1024, true, CMT_OK);
  }
  assert_int_equal(2, c.users[3]->messages);
  assert_true(atomic_load(&c.quota.reserved) == 0);
  limits_crowd_fini(&c);
}

static void limits_out_of_range_are_refused(void **state) {
  cmt_why why;
  limits_user *u = limits_user_new();

  (void)state;
  u->o.send_rate = CMT_RATE_MAX + 1;
  assert_cmt(CMT_EINVAL, cmt_mconn_new(&u->o, 0, &u->m, &why));
  assert_string_equal("send_rate is 10000000001, allowed is 0 to 10000000000 "
                      "bytes per second",
                      why.text);
  u->o.send_rate = CMT_RATE_MAX;
  u->o.recv_rate = UINT64_MAX;
  assert_cmt(CMT_EINVAL, cmt_mconn_new(&u->o, 0, &u->m, &why));
  assert_non_null(strstr(why.text, "recv_rate is 18446744073709551615"));
  u->o.recv_rate = 0;
  u->o.partial_message_max_ns = CMT_NEVER;
  u->channels[1].recv_rate = CMT_RATE_MAX + 1;
  assert_cmt(CMT_EINVAL, cmt_mconn_new(&u->o, 0, &u->m, &why));
  assert_string_equal("channel 0x41: recv_rate is 10000000001, allowed is 0 to "
                      "10000000000",
                      why.text);
  u->channels[1].recv_rate = 0;
  limits_user_start(u);
  limits_give_part(u, LIMITS_FIRST, 1000, false, CMT_OK);
  assert_true(cmt_mconn_deadline(u->m) == CMT_NEVER);
  limits_user_delete(u);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(partial_message_without_a_packet_ends_the_peer),
    cmocka_unit_test(complete_message_is_not_late),
    cmocka_unit_test(each_channel_is_late_by_itself),
    cmocka_unit_test(packet_that_never_ends_is_late),
    cmocka_unit_test(time_without_reading_makes_nothing_late),
    cmocka_unit_test(time_held_by_a_limit_makes_nothing_late),
    cmocka_unit_test(useless_work_draws_on_the_flood_bucket),
    cmocka_unit_test(asked_pongs_are_of_use),
    cmocka_unit_test(regular_pings_never_flood),
    cmocka_unit_test(memory_of_all_together_is_bounded),
    cmocka_unit_test(limits_out_of_range_are_refused),
  };

  return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
