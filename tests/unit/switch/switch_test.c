/* SPDX-License-Identifier: Apache-2.0 */

/* The life of peers: the order of what reactors see, and every end. */

#include "node.h"

#include <stdio.h>

typedef test_trio fixture;

static void run_until_idle(fixture *f) { test_loop_run_until_idle(f->w.loop); }

static void stop_now(test_part *part, cmt_peer *p) {
  (void)part;
  cmt_peer_stop(p, CMT_EREACTOR, 0);
}

static void stop_on_message(test_part *part, cmt_peer *p, uint8_t channel,
                            cmt_buf *msg) {
  (void)channel;
  (void)msg;
  stop_now(part, p);
}

static void reactors_are_called_in_their_order(void **state) {
  fixture *f = *state;

  test_part_channel(test_node_part(&f->b, "files"),
                    (cmt_channel){.id = 0x40, .priority = 1});
  test_node_start(&f->a);
  assert_cmt(CMT_OK, test_node_new(&f->b, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(f->b.sw, NULL));
  assert_string_equal("start chat\nstart files\n", test_node_log(&f->b));
  assert_cmt(CMT_OK, cmt_switch_dial(f->b.sw, f->a.addr, 0, NULL));
  run_until_idle(f);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "hello"));
  run_until_idle(f);
  cmt_switch_stop(f->b.sw, 0);
  run_until_idle(f);
  assert_string_equal("init chat\ninit files\n"
                      "add chat outbound\nadd files outbound\n"
                      "receive chat 51 hello\n"
                      "remove chat CMT_ECANCELED\nremove files CMT_ECANCELED\n"
                      "stop files\nstop chat\n",
                      test_node_log(&f->b));
  assert_string_equal("init chat\nadd chat inbound\nremove chat CMT_EEOF\n",
                      test_node_log(&f->a));
}

static void a_message_goes_to_the_owner_of_its_channel_alone(void **state) {
  fixture *f = *state;
  test_node *nodes[] = {&f->a, &f->b};

  for (size_t i = 0; i < 2; i++) {
    test_part *files = test_node_part(nodes[i], "files");
    test_part *votes = test_node_part(nodes[i], "votes");

    test_part_channel(files, (cmt_channel){.id = 0x40, .priority = 1});
    test_part_channel(files, (cmt_channel){.id = 0x41, .priority = 1});
    test_part_channel(votes, (cmt_channel){.id = 0xff, .priority = 9});
    test_part_channel(votes, (cmt_channel){.id = 0x00, .priority = 9});
    test_node_start(nodes[i]);
  }
  test_node_dial(&f->a, f->b.addr, 0);
  (void)test_node_log(&f->b);
  assert_cmt(CMT_OK, test_node_send(&f->a, 0x41, "one"));
  run_until_idle(f);
  assert_cmt(CMT_OK, test_node_send(&f->a, 0xff, "two"));
  run_until_idle(f);
  assert_cmt(CMT_OK, test_node_send(&f->a, 0x00, ""));
  run_until_idle(f);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "four"));
  run_until_idle(f);
  assert_cmt(CMT_OK, test_node_send(&f->a, 0x40, "five"));
  run_until_idle(f);
  assert_string_equal("receive files 41 one\nreceive votes ff two\n"
                      "receive votes 00 \nreceive chat 51 four\n"
                      "receive files 40 five\n",
                      test_node_log(&f->b));
}

static void a_peer_is_listed_until_the_last_remove_returned(void **state) {
  fixture *f = *state;
  cmt_peer *p;

  test_pair(&f->w, &f->a, &f->b);
  p = cmt_switch_peer(f->a.sw, cmt_peer_id(test_node_peer(&f->a)));
  assert_ptr_equal(test_node_peer(&f->a), p);
  cmt_peer_stop(p, CMT_ECANCELED, 0);
  assert_int_equal(1, cmt_switch_peers(f->a.sw, NULL, 0));
  run_until_idle(f);
  assert_int_equal(0, cmt_switch_peers(f->a.sw, NULL, 0));
  assert_null(cmt_switch_peer(f->a.sw, cmt_peer_id(p)));
  cmt_peer_unref(p);
}

static char kept_network[32];

static void keep_network(test_part *part, cmt_peer *p) {
  cmt_bytes network = cmt_peer_node_info(p)->network;

  (void)part;
  snprintf(kept_network, sizeof kept_network, "%.*s", (int)network.len,
           (const char *)network.base);
}

/* The other side ends the connection as soon as it has looked at us. */
static void a_switch_that_only_dials_meets_any_network(void **state) {
  fixture *f = *state;
  cmt_peer *p;

  f->a.options.laddr = NULL;
  f->a.options.any_network = true;
  f->b.options.network = "another";
  f->b.options.protocol_block = 12;
  f->b.parts[0].channels[0].id = 0x40;
  test_node_start(&f->a);
  test_node_start(&f->b);
  f->a.parts[0].on_init = keep_network;
  test_node_dial(&f->a, f->b.addr, 0);
  p = cmt_switch_peer(f->a.sw, &f->b.sw->setup.id);
  assert_null(p);
  assert_string_equal("another", kept_network);
  assert_string_equal("init chat\nadd chat outbound\nremove chat CMT_EEOF\n",
                      test_node_log(&f->a));
  assert_string_equal("rejected inbound node_info CMT_EINCOMPATIBLE\n",
                      test_node_log(&f->b));
}

static void what_a_peer_is_can_be_asked(void **state) {
  fixture *f = *state;
  cmt_net_addr remote;
  cmt_node_id id;
  cmt_peer *p;

  f->b.options.moniker = "bert";
  test_pair(&f->w, &f->a, &f->b);
  p = test_node_peer(&f->a);
  cmt_switch_get_id(f->b.sw, &id);
  assert_string_equal(id.text, cmt_peer_id(p)->text);
  assert_true(cmt_peer_is_outbound(p));
  assert_false(cmt_peer_is_outbound(test_node_peer(&f->b)));
  assert_false(cmt_peer_is_persistent(p));
  assert_true(cmt_peer_has_channel(p, TEST_CHAT));
  assert_false(cmt_peer_has_channel(p, 0x40));
  assert_memory_equal("bert", cmt_peer_node_info(p)->moniker.base, 4);
  cmt_peer_get_remote(p, &remote);
  assert_string_equal("127.0.0.1", remote.host);
  assert_string_equal(id.text, remote.id.text);
}

static void a_gone_peer_returns_closed(void **state) {
  fixture *f = *state;
  cmt_peer *p;
  cmt_peer_status status;
  cmt_why why;

  test_pair(&f->w, &f->a, &f->b);
  p = cmt_peer_ref(test_node_peer(&f->a));
  cmt_peer_get_why(p, &why);
  assert_cmt(CMT_OK, why.err);
  test_node_fini(&f->a);
  assert_cmt(CMT_ECLOSED, cmt_peer_try_send_bytes(p, TEST_CHAT, "x", 1));
  cmt_peer_pause(p);
  cmt_peer_resume(p);
  cmt_peer_stop(p, CMT_EREACTOR, 0);
  cmt_peer_get_why(p, &why);
  assert_cmt(CMT_ECANCELED, why.err);
  cmt_peer_get_status(p, &status);
  assert_int_equal(1, status.channel_count);
  assert_true(status.sent_bytes > 0);
  cmt_peer_unref(p);
}

/* ---- ends ---- */

static void messages_before_the_end_of_file_are_delivered_first(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  for (int i = 0; i < 2; i++) {
    assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "last words"));
  }
  cmt_switch_stop(f->a.sw, CMT_SECONDS(2));
  run_until_idle(f);
  assert_string_equal("receive chat 51 last words\n"
                      "receive chat 51 last words\n"
                      "remove chat CMT_EEOF\n",
                      test_node_log(&f->b));
  assert_string_equal("remove chat CMT_ECANCELED\nstop chat\n",
                      test_node_log(&f->a));
}

/* Both have something to send last, and closing with unread input would reset
   the connection. */
static void a_graceful_stop_reads_until_the_other_side_closes(void **state) {
  fixture *f = *state;

  f->b.parts[0].channels[0].send_queue = 100;
  test_pair(&f->w, &f->a, &f->b);
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = true;
  for (int i = 0; i < 50; i++) {
    assert_cmt(CMT_OK, test_node_send(&f->b, TEST_CHAT, "flood"));
  }
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "last words"));
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, CMT_SECONDS(2));
  test_loop_step(f->w.loop);
  test_loop_step(f->w.loop);
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = false;
  run_until_idle(f);
  assert_string_equal("receive chat 51 last words\nremove chat CMT_EEOF\n",
                      test_node_log(&f->b));
  assert_false(test_loop_conn(f->w.loop, 0)->open[TEST_DIALER]);
}

static void waiting_for_the_other_side_is_bounded(void **state) {
  fixture *f = *state;
  test_conn *conn;

  test_pair(&f->w, &f->a, &f->b);
  conn = test_loop_conn(f->w.loop, 0);
  conn->dir[TEST_DIALER].stalled = true; /* B never learns of it. */
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, CMT_SECONDS(5));
  run_until_idle(f);
  assert_string_equal("remove chat CMT_ECANCELED\n", test_node_log(&f->a));
  assert_true(conn->open[TEST_DIALER]);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(999));
  assert_true(conn->open[TEST_DIALER]);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(1));
  assert_false(conn->open[TEST_DIALER]);
}

static void a_flush_is_bounded(void **state) {
  fixture *f = *state;
  test_conn *conn;

  test_pair(&f->w, &f->a, &f->b);
  conn = test_loop_conn(f->w.loop, 0);
  conn->dir[TEST_DIALER].cap = 0;
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "stuck"));
  cmt_switch_stop(f->a.sw, CMT_SECONDS(2));
  run_until_idle(f);
  assert_cmt(CMT_ECLOSED, test_node_send(&f->a, TEST_CHAT, "late"));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(1999));
  assert_string_equal("", test_node_log(&f->a));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(1));
  assert_string_equal("remove chat CMT_ECANCELED\nstop chat\n",
                      test_node_log(&f->a));
  assert_false(conn->open[TEST_DIALER]);
}

static void a_second_stop_can_hurry_a_flush(void **state) {
  fixture *f = *state;
  cmt_peer *p;

  test_pair(&f->w, &f->a, &f->b);
  p = test_node_peer(&f->a);
  test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER].cap = 0;
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "stuck"));
  cmt_peer_stop(p, CMT_ECANCELED, CMT_SECONDS(60));
  run_until_idle(f);
  cmt_peer_stop(p, CMT_EREACTOR, 0);
  run_until_idle(f);
  assert_string_equal("remove chat CMT_ECANCELED\n", test_node_log(&f->a));
}

/* One peer is being flushed, the other has ended and waits to be read. */
static void the_stop_of_the_switch_bounds_earlier_stops(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER].stalled = true;
  cmt_peer_stop(test_node_peer(&f->a), CMT_EREACTOR, CMT_SECONDS(60));
  run_until_idle(f);
  test_node_start(&f->c);
  test_node_dial(&f->a, f->c.addr, 0);
  test_loop_conn(f->w.loop, 1)->dir[TEST_DIALER].cap = 0;
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "stuck"));
  cmt_peer_stop(test_node_peer(&f->a), CMT_EREACTOR, CMT_SECONDS(60));
  run_until_idle(f);
  (void)test_node_log(&f->a);
  cmt_switch_stop(f->a.sw, CMT_MILLISECONDS(200));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(199));
  assert_true(test_loop_conn(f->w.loop, 0)->open[TEST_DIALER]);
  assert_string_equal("", test_node_log(&f->a));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(1));
  assert_false(test_loop_conn(f->w.loop, 0)->open[TEST_DIALER]);
  assert_string_equal("remove chat CMT_EREACTOR\nstop chat\n",
                      test_node_log(&f->a));
}

static void a_later_stop_does_not_make_a_flush_longer(void **state) {
  fixture *f = *state;
  cmt_peer *p;

  test_pair(&f->w, &f->a, &f->b);
  p = test_node_peer(&f->a);
  test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER].cap = 0;
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "stuck"));
  cmt_peer_stop(p, CMT_ECANCELED, CMT_SECONDS(2));
  run_until_idle(f);
  cmt_peer_stop(p, CMT_EREACTOR, CMT_SECONDS(60));
  test_loop_advance(f->w.loop, CMT_SECONDS(2));
  assert_string_equal("remove chat CMT_ECANCELED\n", test_node_log(&f->a));
}

static void a_stop_without_flush_sends_nothing_more(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "never heard"));
  cmt_peer_stop(test_node_peer(&f->a), CMT_EREACTOR, 0);
  run_until_idle(f);
  assert_string_equal("remove chat CMT_EREACTOR\n", test_node_log(&f->a));
  assert_string_equal("remove chat CMT_EEOF\n", test_node_log(&f->b));
}

static void a_reset_is_reported_apart_from_an_end(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  test_conn_cut(test_loop_conn(f->w.loop, 0));
  run_until_idle(f);
  assert_string_equal("remove chat CMT_ERESET\n", test_node_log(&f->a));
  assert_int_equal(0, cmt_switch_peers(f->b.sw, NULL, 0));
}

static void a_missed_pong_ends_the_peer(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER].stalled = true;
  test_loop_advance(f->w.loop, CMT_SECONDS(104));
  assert_string_equal("", test_node_log(&f->a));
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&f->a));
}

/* The answer waits unread in the socket, and that is our own choice. */
static void a_pause_does_not_count_towards_the_pong_timeout(void **state) {
  fixture *f = *state;
  cmt_peer_status status;

  f->b.options.ping_interval_ns = CMT_NEVER;
  test_pair(&f->w, &f->a, &f->b);
  cmt_peer_pause(test_node_peer(&f->a));
  test_loop_advance(f->w.loop, CMT_SECONDS(500));
  assert_string_equal("", test_node_log(&f->a));
  cmt_peer_resume(test_node_peer(&f->a));
  run_until_idle(f);
  cmt_peer_get_status(test_node_peer(&f->a), &status);
  assert_int_equal(1, status.pongs_recv);
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = true;
  test_loop_advance(f->w.loop, CMT_SECONDS(105));
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&f->a));
}

static void an_idle_peer_stays_and_pings_are_counted(void **state) {
  fixture *f = *state;
  cmt_peer_status status;

  test_pair(&f->w, &f->a, &f->b);
  test_loop_advance(f->w.loop, CMT_SECONDS(601));
  assert_string_equal("", test_node_log(&f->a));
  cmt_peer_get_status(test_node_peer(&f->a), &status);
  assert_int_equal(10, status.pings_sent);
  assert_int_equal(10, status.pongs_recv);
  assert_int_equal(CMT_SECONDS(600), status.up_ns);
}

static void flip_byte(void *arg, test_conn *conn, int from, uint8_t *data,
                      size_t len) {
  (void)arg;
  (void)conn;
  if (from == TEST_DIALER) {
    data[len - 1] ^= 1;
  }
}

static void a_flipped_byte_ends_the_peer(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  test_loop_tap(f->w.loop, flip_byte, NULL);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "hello"));
  run_until_idle(f);
  assert_string_equal("remove chat CMT_EAUTH\n", test_node_log(&f->b));
  assert_string_equal("remove chat CMT_EEOF\n", test_node_log(&f->a));
}

static void an_error_of_receive_is_the_reason(void **state) {
  fixture *f = *state;
  cmt_why why;
  cmt_peer *p;

  f->b.parts[0].receive_err = CMT_EREACTOR;
  test_pair(&f->w, &f->a, &f->b);
  p = cmt_peer_ref(test_node_peer(&f->b));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "one"));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "two"));
  run_until_idle(f);
  assert_string_equal("receive chat 51 one\nremove chat CMT_EREACTOR\n",
                      test_node_log(&f->b));
  cmt_peer_get_why(p, &why);
  assert_string_equal("reactor chat ended the peer on channel 0x51: a reactor "
                      "refused the peer or the message",
                      why.text);
  assert_int_equal(CMT_STAGE_UP, why.stage);
  cmt_peer_unref(p);
}

static void after_a_stop_in_receive_no_message_comes(void **state) {
  fixture *f = *state;

  f->b.parts[0].on_receive = stop_on_message;
  test_pair(&f->w, &f->a, &f->b);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "one"));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "two"));
  run_until_idle(f);
  assert_string_equal("receive chat 51 one\nremove chat CMT_EREACTOR\n",
                      test_node_log(&f->b));
}

static void a_reactor_can_refuse_a_peer(void **state) {
  fixture *f = *state;

  test_node_part(&f->b, "files")->init_err = CMT_EREACTOR;
  (void)test_node_part(&f->b, "votes");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->b.addr, 0);
  assert_string_equal("init chat\ninit files\nremove chat CMT_EREACTOR\n"
                      "rejected inbound filter CMT_EREACTOR\n",
                      test_node_log(&f->b));
  assert_string_equal("reactor files refused the peer: a reactor refused the "
                      "peer or the message",
                      f->b.why.text);
  assert_string_equal("init chat\nadd chat outbound\nremove chat CMT_EEOF\n",
                      test_node_log(&f->a));
}

static void a_stop_in_init_peer_refuses_the_peer(void **state) {
  fixture *f = *state;

  f->b.parts[0].on_init = stop_now;
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->b.addr, 0);
  assert_string_equal("init chat\nremove chat CMT_EREACTOR\n"
                      "rejected inbound filter CMT_EREACTOR\n",
                      test_node_log(&f->b));
}

static void a_stop_in_add_peer_still_adds_it_everywhere(void **state) {
  fixture *f = *state;

  f->b.parts[0].on_add = stop_now;
  (void)test_node_part(&f->b, "files");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->b.addr, 0);
  assert_string_equal("init chat\ninit files\n"
                      "add chat inbound\nadd files inbound\n"
                      "remove chat CMT_EREACTOR\nremove files CMT_EREACTOR\n",
                      test_node_log(&f->b));
}

static void send_welcome(test_part *part, cmt_peer *p) {
  (void)part;
  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(p, TEST_CHAT, "welcome", 7));
}

static void a_message_of_init_peer_is_sent_once_the_peer_is_up(void **state) {
  fixture *f = *state;

  f->b.parts[0].on_init = send_welcome;
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->b.addr, 0);
  assert_string_equal("init chat\nadd chat outbound\n"
                      "receive chat 51 welcome\n",
                      test_node_log(&f->a));
}

static void stop_switch(test_part *part, cmt_peer *p, uint8_t channel,
                        cmt_buf *msg) {
  (void)p;
  (void)channel;
  (void)msg;
  cmt_switch_stop(part->node->sw, CMT_SECONDS(1));
}

static void a_callback_can_stop_the_switch(void **state) {
  fixture *f = *state;

  f->b.parts[0].on_receive = stop_switch;
  test_pair(&f->w, &f->a, &f->b);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "stop"));
  run_until_idle(f);
  assert_string_equal("receive chat 51 stop\nremove chat CMT_ECANCELED\n"
                      "stop chat\n",
                      test_node_log(&f->b));
  assert_true(cmt__switch_is_finished(f->b.sw));
  assert_cmt(CMT_ECLOSED, cmt_switch_dial(f->b.sw, f->a.addr, 0, NULL));
}

/* The post of a wake-up must not come to a loop that is deleted. */
static void a_switch_is_not_finished_before_its_last_wake_up(void **state) {
  fixture *f = *state;
  test_late_wake_up late = {.post = {.cb = test_wake_up_late}};

  if (f->w.loop_count > 1) {
    return; /* It counts the iterations of one loop. */
  }
  test_pair(&f->w, &f->a, &f->b);
  late.peer = test_node_peer(&f->a);
  test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER].cap = 0;
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "stuck"));
  cmt_switch_stop(f->a.sw, CMT_SECONDS(60));
  run_until_idle(f);
  cmt__loop_post(test_loop_base(f->w.loop), &late.post);
  test_conn_cut(test_loop_conn(f->w.loop, 0));
  test_loop_step(f->w.loop); /* The wake-up, then the end of the peer. */
  assert_string_equal("remove chat CMT_ECANCELED\n", test_node_log(&f->a));
  assert_false(cmt__switch_is_finished(f->a.sw));
  test_loop_step(f->w.loop);
  assert_true(cmt__switch_is_finished(f->a.sw));
}

static void a_reactor_that_cannot_start_ends_the_start(void **state) {
  fixture *f = *state;
  cmt_why why;

  test_node_part(&f->a, "files")->start_err = CMT_EIO;
  (void)test_node_part(&f->a, "votes");
  assert_cmt(CMT_OK, test_node_new(&f->a, NULL));
  assert_cmt(CMT_EIO, cmt_switch_start(f->a.sw, &why));
  assert_string_equal("reactor files cannot start: a call of the operating "
                      "system failed",
                      why.text);
  assert_cmt(CMT_OK, cmt_switch_delete(f->a.sw));
  f->a.sw = NULL;
  assert_string_equal("start chat\nstart files\nstop chat\n",
                      test_node_log(&f->a));
}

static void a_taken_address_is_reported(void **state) {
  fixture *f = *state;
  cmt_why why;
  char text[300];

  test_node_start(&f->a);
  f->b.options.laddr = strchr(f->a.addr, '@') + 1;
  assert_cmt(CMT_OK, test_node_new(&f->b, NULL));
  assert_cmt(CMT_EIO, cmt_switch_start(f->b.sw, &why));
  snprintf(text, sizeof text, "cannot listen on %s: Address already in use",
           f->b.options.laddr);
  assert_string_equal(text, why.text);
  assert_cmt(CMT_EINVAL, cmt_switch_start(f->b.sw, &why));
}

static void a_switch_that_was_never_started_can_be_deleted(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_OK, test_node_new(&f->a, NULL));
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw,
                                     "00112233445566778899aabbccddeeff00112233"
                                     "@127.0.0.1:1",
                                     0, NULL));
  cmt_switch_stop(f->a.sw, 0);
  assert_cmt(CMT_OK, cmt_switch_delete(f->a.sw));
  f->a.sw = NULL;
  assert_cmt(CMT_OK, cmt_switch_delete(NULL));
  assert_string_equal("", test_node_log(&f->a));
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, test_trio_setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(reactors_are_called_in_their_order),
    TEST(a_message_goes_to_the_owner_of_its_channel_alone),
    TEST(a_peer_is_listed_until_the_last_remove_returned),
    TEST(a_switch_that_only_dials_meets_any_network),
    TEST(what_a_peer_is_can_be_asked),
    TEST(a_gone_peer_returns_closed),
    TEST(messages_before_the_end_of_file_are_delivered_first),
    TEST(a_graceful_stop_reads_until_the_other_side_closes),
    TEST(waiting_for_the_other_side_is_bounded),
    TEST(a_flush_is_bounded),
    TEST(a_second_stop_can_hurry_a_flush),
    TEST(the_stop_of_the_switch_bounds_earlier_stops),
    TEST(a_later_stop_does_not_make_a_flush_longer),
    TEST(a_stop_without_flush_sends_nothing_more),
    TEST(a_reset_is_reported_apart_from_an_end),
    TEST(a_missed_pong_ends_the_peer),
    TEST(a_pause_does_not_count_towards_the_pong_timeout),
    TEST(an_idle_peer_stays_and_pings_are_counted),
    TEST(a_flipped_byte_ends_the_peer),
    TEST(an_error_of_receive_is_the_reason),
    TEST(after_a_stop_in_receive_no_message_comes),
    TEST(a_reactor_can_refuse_a_peer),
    TEST(a_stop_in_init_peer_refuses_the_peer),
    TEST(a_stop_in_add_peer_still_adds_it_everywhere),
    TEST(a_message_of_init_peer_is_sent_once_the_peer_is_up),
    TEST(a_callback_can_stop_the_switch),
    TEST(a_switch_is_not_finished_before_its_last_wake_up),
    TEST(a_reactor_that_cannot_start_ends_the_start),
    TEST(a_taken_address_is_reported),
    TEST(a_switch_that_was_never_started_can_be_deleted),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
