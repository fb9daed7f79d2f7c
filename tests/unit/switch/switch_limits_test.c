/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of a switch in virtual time: what each refuses or slows down, with
   its reason and its counter. */

#include "hostile.h"

#include <stdio.h>

#define S(n) CMT_SECONDS(n)
#define MS(n) CMT_MILLISECONDS(n)

enum { LARGE = 20000, PACKET_MAX = 1040, QUANTUM = 1563 };

typedef test_trio fixture;

static void run_until_idle(fixture *f) { test_loop_run_until_idle(f->w.loop); }

static cmt_switch_status status_of(test_node *n) {
  cmt_switch_status status;

  cmt_switch_get_status(n->sw, &status);
  return status;
}

/* Queues messages for all peers of |n| until none has room. */
static void fill(test_node *n) {
  cmt_broadcast counts;

  do {
    cmt_buf *msg = cmt_buf_new(&n->world->env.env, LARGE);

    memset(cmt_buf_data(msg), 7, LARGE);
    assert_cmt(CMT_OK, cmt_switch_broadcast(n->sw, TEST_CHAT, msg, &counts));
  } while (counts.queued > 0);
}

static uint64_t sent_to(cmt_peer *p) {
  cmt_peer_status status;

  cmt_peer_get_status(p, &status);
  return status.channels[0].sent_bytes;
}

static void prepare(test_node *n) {
  n->quiet = true;
  n->parts[0].channels[0].send_queue = 100;
  n->options.ping_interval_ns = S(2);
  n->options.pong_timeout_ns = S(1);
}

/* Both |a| and |c| dial |b|, and little is on its way at one time, so that
   pings are not late. */
static void meet(fixture *f) {
  test_loop_defaults(f->w.loop)->cap = 20000;
  prepare(&f->a);
  prepare(&f->b);
  prepare(&f->c);
  test_node_start(&f->b);
  test_node_start(&f->a);
  test_node_start(&f->c);
  test_node_dial(&f->a, f->b.addr, 0);
  test_node_dial(&f->c, f->b.addr, 0);
  assert_int_equal(2, cmt_switch_peers(f->b.sw, NULL, 0));
}

/* Ten seconds in which |n|, and |other| too, send all they can. */
static void ten_seconds(fixture *f, test_node *n, test_node *other) {
  for (int i = 0; i < 200; i++) {
    fill(n);
    if (other != NULL) {
      fill(other);
    }
    test_loop_advance(f->w.loop, MS(50));
  }
  assert_int_equal(2, cmt_switch_peers(f->b.sw, NULL, 0));
}

static void assert_in(uint64_t found, uint64_t least, uint64_t most) {
  if (found < least || found > most) {
    fail_msg("%llu is not in %llu to %llu", (unsigned long long)found,
             (unsigned long long)least, (unsigned long long)most);
  }
}

/* ---- rates ---- */

static void send_rate_of_each_peer(void **state) {
  fixture *f = *state;
  cmt_peer *peers[2];
  cmt_peer_status status;

  f->b.options.send_rate = 100000;
  meet(f);
  ten_seconds(f, &f->b, NULL);
  assert_int_equal(2, cmt_switch_peers(f->b.sw, peers, 2));
  for (int i = 0; i < 2; i++) {
    assert_in(sent_to(peers[i]), 1010000 - QUANTUM - 100, 1010000 + PACKET_MAX);
    cmt_peer_get_status(peers[i], &status);
    assert_true(status.pongs_recv >= 4);
    cmt_peer_unref(peers[i]);
  }
  assert_true(status_of(&f->b).send_waits > 500);
  assert_int_equal(0, status_of(&f->b).recv_pauses);
}

static void send_rate_of_all_peers(void **state) {
  fixture *f = *state;
  cmt_peer *peers[2];
  uint64_t sent[2];

  f->b.options.send_rate_total = 100000;
  meet(f);
  ten_seconds(f, &f->b, NULL);
  assert_int_equal(2, cmt_switch_peers(f->b.sw, peers, 2));
  for (int i = 0; i < 2; i++) {
    sent[i] = sent_to(peers[i]);
    assert_in(sent[i], 480000, 530000);
    cmt_peer_unref(peers[i]);
  }
  assert_in(sent[0] + sent[1], 1010000 - 2 * QUANTUM,
            1010000 + 2 * (QUANTUM + PACKET_MAX));
}

/* Messages of each peer that |b| has, of 20,255 bytes with their packets. */
static uint64_t got_by_b(fixture *f, uint64_t got[2]) {
  cmt_peer *peers[2];
  cmt_peer_status status;

  assert_int_equal(2, cmt_switch_peers(f->b.sw, peers, 2));
  for (int i = 0; i < 2; i++) {
    cmt_peer_get_status(peers[i], &status);
    got[i] = status.channels[0].recv_messages;
    cmt_peer_unref(peers[i]);
  }
  return got[0] + got[1];
}

static void recv_rate_of_each_peer(void **state) {
  fixture *f = *state;
  uint64_t got[2];

  f->b.options.recv_rate = 100000;
  meet(f);
  ten_seconds(f, &f->a, &f->c);
  /* 1,010,000 bytes each. */
  (void)got_by_b(f, got);
  assert_int_equal(49, got[0]);
  assert_int_equal(49, got[1]);
  assert_true(status_of(&f->b).recv_pauses > 500);
  assert_int_equal(0, status_of(&f->b).send_waits);
}

static void recv_rate_of_all_peers(void **state) {
  fixture *f = *state;
  uint64_t got[2];

  f->b.options.recv_rate_total = 100000;
  meet(f);
  ten_seconds(f, &f->a, &f->c);
  /* A part of one message each is there; a frame each may be too early. */
  assert_in(got_by_b(f, got), 48, 50);
  assert_in(got[0], 24, 25);
  assert_in(got[1], 24, 25);
}

static void a_receive_limit_stops_no_sending(void **state) {
  fixture *f = *state;
  cmt_peer *peers[2];
  uint64_t got[2];

  f->b.options.recv_rate = 10000;
  f->a.options.pong_timeout_ns = S(40);
  f->c.options.pong_timeout_ns = S(40);
  f->a.options.ping_interval_ns = S(50);
  f->c.options.ping_interval_ns = S(50);
  test_loop_defaults(f->w.loop)->cap = 20000;
  f->a.quiet = f->b.quiet = f->c.quiet = true;
  f->a.parts[0].channels[0].send_queue = 100;
  test_pair(&f->w, &f->a, &f->b);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  ten_seconds(f, &f->a, &f->b);
  assert_int_equal(2, cmt_switch_peers(f->b.sw, peers, 2));
  assert_true(sent_to(peers[0]) > 2000000);
  assert_true(sent_to(peers[1]) > 2000000);
  cmt_peer_unref(peers[0]);
  cmt_peer_unref(peers[1]);
  (void)got_by_b(f, got);
  assert_in(got[0], 4, 5); /* 101,000 bytes, and a frame. */
}

/* The last message of a graceful stop arrives, as slowly as the limit
   allows. */
static void a_graceful_stop_waits_for_a_send_limit(void **state) {
  fixture *f = *state;
  uint64_t from_ns;

  f->a.options.send_rate = 10000;
  f->a.quiet = true;
  f->a.parts[0].channels[0].send_queue = 100;
  test_pair(&f->w, &f->a, &f->b);
  from_ns = cmt__loop_now(test_loop_base(f->w.loop));
  for (int i = 0; i < 30; i++) {
    assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT,
                                      "0123456789012345678901234567890123456"));
  }
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "the last"));
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, S(9));
  test_loop_advance(f->w.loop, S(3));
  assert_non_null(strstr(test_node_log(&f->b), "receive chat 51 the last\n"
                                               "remove chat CMT_EEOF\n"));
  assert_true(cmt__loop_now(test_loop_base(f->w.loop)) - from_ns >= MS(50));
}

/* ---- what is late, useless or too much ---- */

static void hostile_up(fixture *f, hostile *h) {
  hostile_dial(h, f->w.loop, f->b.addr);
  run_until_idle(f);
  assert_true(h->up);
  assert_int_equal(1, status_of(&f->b).inbound_peers);
}

static void assert_removed(fixture *f, cmt_err err) {
  cmt_switch_status status = status_of(&f->b);
  char expected[64];

  snprintf(expected, sizeof expected, "remove chat %s\n", cmt_err_name(err));
  assert_string_equal(expected, test_node_log(&f->b));
  assert_int_equal(1, status.removed);
  assert_int_equal(1, test_reason(f->b.sw, err).removed);
  assert_int_equal(0, status.recv_reserved_bytes);
}

static void a_message_that_is_never_completed(void **state) {
  fixture *f = *state;
  hostile h = {.tcp = NULL};

  f->b.quiet = true;
  test_node_start(&f->b);
  hostile_up(f, &h);
  (void)test_node_log(&f->b);
  hostile_packet(&h, TEST_CHAT, 1000, false);
  run_until_idle(f);
  assert_int_equal(1024, status_of(&f->b).recv_reserved_bytes);
  test_loop_advance(f->w.loop, S(60) - 1);
  assert_string_equal("", test_node_log(&f->b));
  test_loop_advance(f->w.loop, 1);
  assert_removed(f, CMT_EPARTIAL);
  hostile_fini(&h);
}

static void the_shortest_packets_of_ours_are_no_flood(void **state) {
  static const uint8_t bytes[LARGE];
  fixture *f = *state;
  cmt_peer_status status;

  f->a.options.send_packet_payload_max = CMT_PACKET_PAYLOAD_MIN;
  f->b.quiet = true;
  test_pair(&f->w, &f->a, &f->b);
  for (int i = 0; i < 5; i++) {
    assert_cmt(CMT_OK, cmt_peer_try_send_bytes(test_node_peer(&f->a), TEST_CHAT,
                                               bytes, sizeof bytes));
    run_until_idle(f);
  }
  cmt_peer_get_status(test_node_peer(&f->b), &status);
  assert_int_equal(5, status.channels[0].recv_messages);
  assert_int_equal(0, status_of(&f->b).removed);
}

static void a_flood_of_pings(void **state) {
  fixture *f = *state;
  hostile h = {.tcp = NULL};

  test_node_start(&f->b);
  hostile_up(f, &h);
  (void)test_node_log(&f->b);
  for (int i = 0; i < 500; i++) {
    hostile_ping(&h);
  }
  run_until_idle(f);
  assert_string_equal("", test_node_log(&f->b));
  hostile_ping(&h);
  run_until_idle(f);
  assert_removed(f, CMT_EFLOOD);
  assert_int_equal(CMT_CLASS_PEER, cmt_err_class_of(CMT_EFLOOD));
  hostile_fini(&h);
}

/* Four peers with a floor of 4096 bytes each, and a pool of 4096. */
static void reassembly_of_all_peers(void **state) {
  fixture *f = *state;
  hostile h[4] = {{.tcp = NULL}};

  f->b.options.inbound_peers_max = 4;
  f->b.options.outbound_peers_max = CMT_NO_PEERS;
  f->b.options.recv_bytes_total_max = 5 * 4096;
  f->b.parts[0].channels[0].recv_message_max = 8192;
  test_node_start(&f->b);
  for (int i = 0; i < 4; i++) {
    hostile_dial(&h[i], f->w.loop, f->b.addr);
    run_until_idle(f);
    (void)test_node_log(&f->b);
  }
  for (int i = 0; i < 4; i++) {
    hostile_packet(&h[0], TEST_CHAT, 1000, false);
    hostile_packet(&h[1], TEST_CHAT, 1000, false);
    run_until_idle(f);
  }
  assert_string_equal("", test_node_log(&f->b));
  assert_int_equal(2 * 4096, status_of(&f->b).recv_reserved_bytes);
  hostile_packet(&h[0], TEST_CHAT, 1000, false);
  hostile_packet(&h[0], TEST_CHAT, 1000, false);
  hostile_packet(&h[0], TEST_CHAT, 1000, false);
  hostile_packet(&h[1], TEST_CHAT, 1000, false);
  run_until_idle(f);
  assert_string_equal("", test_node_log(&f->b));
  /* The first has 7000 bytes, the second 5000: above the floors that is 3808 of
   4096.  Whoever has reserved most goes, not who asks. */
  assert_in_range(status_of(&f->b).recv_reserved_bytes, 12000, 12288);
  hostile_packet(&h[1], TEST_CHAT, 1000, false);
  run_until_idle(f);
  assert_string_equal("remove chat CMT_ENOBUFS\n", test_node_log(&f->b));
  assert_int_equal(3, status_of(&f->b).inbound_peers);
  assert_true(h[0].ended && !h[1].ended);
  /* Peers within their floor did not notice. */
  for (int i = 2; i < 4; i++) {
    for (int k = 0; k < 4; k++) {
      hostile_packet(&h[i], TEST_CHAT, 1000, k == 3);
    }
    hostile_packet(&h[i], TEST_CHAT, 1000, true);
  }
  run_until_idle(f);
  assert_int_equal(1, status_of(&f->b).removed);
  assert_int_equal(3, status_of(&f->b).inbound_peers);
  for (int i = 0; i < 4; i++) {
    hostile_fini(&h[i]);
  }
}

/* ---- connections ---- */

static void assert_refused(fixture *f, uint64_t counter, const char *text) {
  cmt_switch_status status = status_of(&f->b);

  assert_int_equal(1, counter);
  assert_int_equal(1, status.rejected);
  assert_int_equal(1, test_reason(f->b.sw, CMT_ELIMIT).rejected);
  assert_cmt(CMT_ELIMIT, f->b.why.err);
  assert_int_equal(CMT_STAGE_FILTER, f->b.why.stage);
  assert_string_equal(text, f->b.why.text);
}

static void handshakes_of_one_address(void **state) {
  fixture *f = *state;
  hostile h[4] = {
    {.mute = true}, {.mute = true}, {.mute = true}, {.mute = true}};

  f->b.options.handshakes_per_ip_max = 2;
  test_node_start(&f->b);
  test_loop_set_source(f->w.loop, "10.0.0.1");
  hostile_dial(&h[0], f->w.loop, f->b.addr);
  hostile_dial(&h[1], f->w.loop, f->b.addr);
  run_until_idle(f);
  assert_int_equal(2, status_of(&f->b).handshakes);
  hostile_dial(&h[2], f->w.loop, f->b.addr);
  run_until_idle(f);
  assert_true(h[0].ended && !h[1].ended && !h[2].ended);
  assert_refused(f, status_of(&f->b).over_handshakes_per_ip_max,
                 "handshakes in flight from 10.0.0.1 are at their limit of 2, "
                 "and this one gave way to a newer one");
  /* Others are not in its way. */
  test_loop_set_source(f->w.loop, "10.0.0.2");
  hostile_dial(&h[3], f->w.loop, f->b.addr);
  run_until_idle(f);
  assert_false(h[3].ended);
  assert_int_equal(3, status_of(&f->b).handshakes);
  for (int i = 0; i < 4; i++) {
    hostile_fini(&h[i]);
  }
}

static void handshakes_in_all(void **state) {
  fixture *f = *state;
  hostile h[2] = {{.mute = true}, {.mute = true}};

  f->b.options.handshakes_max = 1;
  test_node_start(&f->b);
  hostile_dial(&h[0], f->w.loop, f->b.addr);
  hostile_dial(&h[1], f->w.loop, f->b.addr);
  run_until_idle(f);
  assert_true(h[0].ended && !h[1].ended);
  assert_refused(f, status_of(&f->b).over_handshakes_max,
                 "handshakes in flight are at their limit of 1, and this one "
                 "gave way to a newer one");
  hostile_fini(&h[0]);
  hostile_fini(&h[1]);
}

static void inbound_peers(void **state) {
  fixture *f = *state;

  f->b.options.inbound_peers_max = 1;
  test_pair(&f->w, &f->a, &f->b);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  assert_refused(f, status_of(&f->b).over_inbound_peers_max,
                 "inbound peers are at their limit of 1");
}

static void inbound_peers_of_one_address(void **state) {
  fixture *f = *state;

  f->b.options.inbound_peers_per_ip_max = 1;
  test_pair(&f->w, &f->a, &f->b);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  assert_refused(f, status_of(&f->b).over_inbound_peers_per_ip_max,
                 "inbound peers from 127.0.0.1 are at their limit of 1");
}

static void outbound_peers(void **state) {
  fixture *f = *state;

  f->b.options.outbound_peers_max = 1;
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_start(&f->c);
  test_node_dial(&f->b, f->a.addr, 0);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->b));
  test_node_dial(&f->b, f->c.addr, 0);
  assert_string_equal("rejected outbound filter CMT_ELIMIT\n",
                      test_node_log(&f->b));
  assert_refused(f, status_of(&f->b).over_outbound_peers_max,
                 "outbound peers are at their limit of 1");
  /* Inbound ones have a limit of their own. */
  test_node_dial(&f->c, f->b.addr, 0);
  assert_int_equal(1, status_of(&f->b).inbound_peers);
}

static void outbound_peers_that_come_up_together(void **state) {
  fixture *f = *state;

  f->b.options.outbound_peers_max = 1;
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_start(&f->c);
  assert_cmt(CMT_OK, cmt_switch_dial(f->b.sw, f->a.addr, 0, NULL));
  assert_cmt(CMT_OK, cmt_switch_dial(f->b.sw, f->c.addr, 0, NULL));
  run_until_idle(f);
  assert_int_equal(1, status_of(&f->b).outbound_peers);
  assert_refused(f, status_of(&f->b).over_outbound_peers_max,
                 "outbound peers are at their limit of 1");
}

/* A peer is stopped, and does not read that. */
static void part(fixture *f, hostile *h) {
  hostile_up(f, h);
  cmt_peer_stop(test_node_peer(&f->b), CMT_ECANCELED, S(9));
  run_until_idle(f);
  assert_int_equal(0, status_of(&f->b).inbound_peers);
}

/* Connections that have ended and wait for the other side to read have a bound
   too, and whoever waits longest gives way. */
static void connections_that_linger(void **state) {
  fixture *f = *state;
  hostile h[3] = {{.deaf = true}, {.deaf = true}, {.deaf = true}};

  f->b.options.inbound_peers_max = 1;
  f->b.options.handshakes_max = 2;
  test_node_start(&f->b);
  part(f, &h[0]);
  part(f, &h[1]);
  assert_int_equal(2, f->b.sw->session_count);
  assert_int_equal(0, status_of(&f->b).over_connections_max);
  part(f, &h[2]);
  assert_int_equal(2, f->b.sw->session_count);
  assert_int_equal(1, status_of(&f->b).over_connections_max);
  assert_int_equal(0, status_of(&f->b).rejected);
  assert_false(test_loop_conn(f->w.loop, 0)->open[TEST_ACCEPTOR]);
  assert_true(test_loop_conn(f->w.loop, 1)->open[TEST_ACCEPTOR]);
  test_loop_advance(f->w.loop, S(1));
  assert_int_equal(0, f->b.sw->session_count);
  for (int i = 0; i < 3; i++) {
    hostile_fini(&h[i]);
  }
}

/* Strangers that are refused do not cut the last words to one that was a
   peer. */
static void strangers_that_linger_go_first(void **state) {
  fixture *f = *state;
  hostile h[4] = {
    {.deaf = true}, {.deaf = true}, {.deaf = true}, {.deaf = true}};

  f->b.options.inbound_peers_max = 1;
  f->b.options.handshakes_max = 2;
  test_node_start(&f->b);
  part(f, &h[0]);
  test_node_start(&f->a);
  test_node_dial(&f->a, f->b.addr, 0);
  for (int i = 1; i < 4; i++) {
    hostile_dial(&h[i], f->w.loop, f->b.addr);
    run_until_idle(f);
    assert_cmt(CMT_ELIMIT, f->b.why.err);
  }
  assert_int_equal(2, status_of(&f->b).over_connections_max);
  assert_int_equal(3, status_of(&f->b).over_inbound_peers_max);
  assert_true(test_loop_conn(f->w.loop, 0)->open[TEST_ACCEPTOR]);
  assert_int_equal(3, f->b.sw->session_count);
  for (int i = 0; i < 4; i++) {
    hostile_fini(&h[i]);
  }
}

/* ---- status ---- */

static void status_reports_what_is_queued(void **state) {
  fixture *f = *state;

  f->a.parts[0].channels[0].send_queue = 10;
  test_pair(&f->w, &f->a, &f->b);
  test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER].cap = 0;
  for (int i = 0; i < 4; i++) {
    assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "0123456789"));
  }
  assert_int_equal(40, status_of(&f->a).send_queued_bytes);
  assert_int_equal(0, status_of(&f->b).send_queued_bytes);
}

static void reasons_of_the_application_are_counted_in_the_sums(void **state) {
  fixture *f = *state;
  cmt_switch_status status;

  test_pair(&f->w, &f->a, &f->b);
  cmt_peer_stop(test_node_peer(&f->a), (cmt_err)-1234, 0);
  run_until_idle(f);
  status = status_of(&f->a);
  assert_int_equal(1, status.removed);
  assert_int_equal(0, cmt_switch_reasons(f->a.sw, NULL, 0));
}

static void totals_out_of_range_are_refused(void **state) {
  fixture *f = *state;
  cmt_why why;

  f->a.options.send_rate_total = CMT_RATE_MAX + 1;
  assert_cmt(CMT_EINVAL, test_node_new(&f->a, &why));
  assert_non_null(strstr(why.text, "send_rate_total is 10000000001, allowed"));
  f->a.options.send_rate_total = 0;
  f->a.options.recv_rate_total = UINT64_MAX;
  assert_cmt(CMT_EINVAL, test_node_new(&f->a, &why));
  assert_non_null(strstr(why.text, "recv_rate_total is 18446744073709551615"));
  f->a.options.recv_rate_total = 0;
  f->a.options.recv_rate = UINT64_MAX;
  assert_cmt(CMT_EINVAL, test_node_new(&f->a, &why));
  assert_non_null(strstr(why.text, "recv_rate is 18446744073709551615"));
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, test_trio_setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(send_rate_of_each_peer),
    TEST(send_rate_of_all_peers),
    TEST(recv_rate_of_each_peer),
    TEST(recv_rate_of_all_peers),
    TEST(a_receive_limit_stops_no_sending),
    TEST(a_graceful_stop_waits_for_a_send_limit),
    TEST(a_message_that_is_never_completed),
    TEST(the_shortest_packets_of_ours_are_no_flood),
    TEST(a_flood_of_pings),
    TEST(reassembly_of_all_peers),
    TEST(handshakes_of_one_address),
    TEST(handshakes_in_all),
    TEST(inbound_peers),
    TEST(inbound_peers_of_one_address),
    TEST(outbound_peers),
    TEST(outbound_peers_that_come_up_together),
    TEST(connections_that_linger),
    TEST(strangers_that_linger_go_first),
    TEST(status_reports_what_is_queued),
    TEST(reasons_of_the_application_are_counted_in_the_sums),
    TEST(totals_out_of_range_are_refused),
  };
#undef TEST

  return cmocka_run_group_tests_name("switch_limits", tests, NULL, NULL);
}
