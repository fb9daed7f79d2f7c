/* SPDX-License-Identifier: Apache-2.0 */

/* Sending and receiving over a link: two switches on the loop double. */

#include "node.h"

#include <stdio.h>

enum { KIB = 1024, MIB = 1024 * KIB };

typedef test_trio fixture;

static void run_until_idle(fixture *f) { test_loop_run_until_idle(f->w.loop); }

static void advance_ms(fixture *f, uint64_t ms) {
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(ms));
}

static test_dir *sends(fixture *f) {
  return &test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER];
}

static void send_queue(fixture *f, uint32_t count) {
  f->a.parts[0].channels[0].send_queue = count;
}

/* |len| bytes, each the low byte of |seed| and its place. */
static cmt_buf *pattern(fixture *f, size_t seed, size_t len) {
  cmt_buf *b = cmt_buf_new(&f->w.env.env, len);

  assert_non_null(b);
  for (size_t i = 0; i < len; i++) {
    cmt_buf_data(b)[i] = (uint8_t)(seed + i * 7);
  }
  return b;
}

static cmt_err try_pattern(fixture *f, size_t seed, size_t len) {
  cmt_buf *b = pattern(f, seed, len);
  cmt_err err = cmt_peer_try_send(test_node_peer(&f->a), TEST_CHAT, b);

  if (err != CMT_OK) {
    cmt_buf_unref(b);
  }
  return err;
}

typedef struct collected {
  size_t count, bytes;
} collected;

/* Messages carry as seed how many came before on their channel. */
static void check_pattern(test_part *part, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  collected *got = part->arg;
  cmt_bytes b = cmt_buf_bytes(msg);

  (void)p;
  (void)channel;
  for (size_t i = 0; i < b.len; i++) {
    assert_int_equal((uint8_t)(got->count + i * 7), b.base[i]);
  }
  got->count++;
  got->bytes += b.len;
}

static void collect(fixture *f, collected *got) {
  *got = (collected){0};
  f->b.quiet = true;
  f->b.parts[0].on_receive = check_pattern;
  f->b.parts[0].arg = got;
}

/* ---- sends ---- */

static void
the_third_send_is_refused_while_the_link_does_not_drain(void **state) {
  fixture *f = *state;
  collected got;

  collect(f, &got);
  test_pair(&f->w, &f->a, &f->b);
  sends(f)->cap = 0;
  assert_cmt(CMT_OK, try_pattern(f, 0, MIB));
  run_until_idle(f); /* It is being cut. */
  assert_cmt(CMT_OK, try_pattern(f, 1, MIB));
  run_until_idle(f);
  assert_cmt(CMT_EAGAIN, try_pattern(f, 2, MIB));
  sends(f)->cap = SIZE_MAX;
  run_until_idle(f);
  assert_cmt(CMT_OK, try_pattern(f, 2, MIB));
  run_until_idle(f);
  assert_int_equal(3, got.count);
}

static void the_answer_does_not_wait_for_the_loop(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "1"));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "2"));
  assert_cmt(CMT_EAGAIN, test_node_send(&f->a, TEST_CHAT, "3"));
  assert_cmt(CMT_ENOCHANNEL, test_node_send(&f->a, 0x99, "4"));
  run_until_idle(f);
  assert_string_equal("receive chat 51 1\nreceive chat 51 2\n",
                      test_node_log(&f->b));
}

static void a_channel_that_the_peer_lacks_is_reported(void **state) {
  fixture *f = *state;

  test_part_channel(&f->a.parts[0], (cmt_channel){.id = 0x60, .priority = 1});
  test_pair(&f->w, &f->a, &f->b);
  assert_cmt(CMT_EPEERCHANNEL, test_node_send(&f->a, 0x60, "x"));
}

typedef struct waiting {
  cmt_send_req req;
  test_node *node;
  int number;
  unsigned calls;
  cmt_err status;
} waiting;

static void on_sent(void *arg, cmt_err status, cmt_buf *msg) {
  waiting *x = arg;
  test_node *n = x->node;

  x->calls++;
  x->status = status;
  cmt_buf_unref(msg);
  n->log_len +=
    (size_t)snprintf(n->log + n->log_len, sizeof n->log - n->log_len,
                     "sent %d %s\n", x->number, cmt_err_name(status));
}

static void send_later(fixture *f, waiting *x, int number, uint64_t timeout) {
  *x = (waiting){
    .req = CMT_SEND_REQ(timeout, on_sent, x), .node = &f->a, .number = number};
  assert_cmt(CMT_OK,
             cmt_peer_send_async(test_node_peer(&f->a), TEST_CHAT,
                                 pattern(f, (size_t)number, MIB), &x->req));
}

static void waiting_sends_go_in_their_order(void **state) {
  fixture *f = *state;
  waiting x[6];
  collected got;

  collect(f, &got);
  test_pair(&f->w, &f->a, &f->b);
  for (int i = 0; i < 6; i++) {
    send_later(f, &x[i], i, CMT_NEVER);
  }
  assert_string_equal("", test_node_log(&f->a));
  run_until_idle(f);
  assert_string_equal("sent 0 CMT_OK\nsent 1 CMT_OK\nsent 2 CMT_OK\n"
                      "sent 3 CMT_OK\nsent 4 CMT_OK\nsent 5 CMT_OK\n",
                      test_node_log(&f->a));
  assert_int_equal(6, got.count);
}

static void a_send_waits_no_longer_than_its_time(void **state) {
  fixture *f = *state;
  waiting x[4];

  test_pair(&f->w, &f->a, &f->b);
  sends(f)->cap = 0;
  send_later(f, &x[0], 0, CMT_NEVER);
  send_later(f, &x[1], 1, CMT_NEVER);
  send_later(f, &x[2], 2, CMT_MILLISECONDS(300));
  run_until_idle(f);
  send_later(f, &x[3], 3, CMT_MILLISECONDS(100)); /* Re-arms the timer. */
  run_until_idle(f);
  (void)test_node_log(&f->a);
  advance_ms(f, 99);
  assert_string_equal("", test_node_log(&f->a));
  advance_ms(f, 1);
  assert_string_equal("sent 3 CMT_ETIMEDOUT\n", test_node_log(&f->a));
  advance_ms(f, 199);
  assert_string_equal("", test_node_log(&f->a));
  advance_ms(f, 1);
  assert_string_equal("sent 2 CMT_ETIMEDOUT\n", test_node_log(&f->a));
}

static void waiting_sends_end_before_the_peer_is_removed(void **state) {
  fixture *f = *state;
  waiting x[4];

  test_pair(&f->w, &f->a, &f->b);
  sends(f)->cap = 0;
  for (int i = 0; i < 4; i++) {
    send_later(f, &x[i], i, CMT_SECONDS(60));
  }
  run_until_idle(f);
  test_conn_cut(test_loop_conn(f->w.loop, 0));
  run_until_idle(f);
  assert_string_equal("sent 0 CMT_OK\nsent 1 CMT_OK\nsent 2 CMT_ECLOSED\n"
                      "sent 3 CMT_ECLOSED\nremove chat CMT_ERESET\n",
                      test_node_log(&f->a));
}

static void a_broadcast_is_one_buffer(void **state) {
  fixture *f = *state;
  cmt_broadcast counts;
  cmt_buf *msg;
  size_t allocs;

  f->c.parts[0].channels[0].id = 0x52;
  test_part_channel(&f->a.parts[0], (cmt_channel){.id = 0x52, .priority = 1});
  test_pair(&f->w, &f->a, &f->b);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->a.addr, 0);
  assert_int_equal(2, cmt_switch_peers(f->a.sw, NULL, 0));
  msg = pattern(f, 0, 10);
  for (int i = 0; i < 2; i++) {
    (void)cmt_switch_broadcast(f->a.sw, TEST_CHAT, cmt_buf_ref(msg), &counts);
    assert_int_equal(1, counts.queued);
    assert_int_equal(1, counts.no_channel);
    assert_int_equal(0, counts.full);
  }
  allocs = f->w.env.allocs;
  assert_cmt(CMT_OK, cmt_switch_broadcast(f->a.sw, TEST_CHAT, cmt_buf_ref(msg),
                                          &counts));
  assert_int_equal(1, counts.full);
  assert_int_equal(allocs, f->w.env.allocs);
  assert_cmt(CMT_ENOCHANNEL, cmt_switch_broadcast(f->a.sw, 0x99, msg, &counts));
  cmt_buf_unref(msg);
  assert_cmt(CMT_OK,
             cmt_switch_broadcast_bytes(f->a.sw, 0x52, "to c", 4, NULL));
  run_until_idle(f);
  assert_non_null(strstr(f->c.log, "receive chat 52 to c\n"));
}

static void a_broadcast_of_bytes_reports_its_counts(void **state) {
  static uint8_t large[CMT_MESSAGE_DEFAULT + 1];
  fixture *f = *state;
  cmt_broadcast counts;

  test_pair(&f->w, &f->a, &f->b);
  for (int i = 0; i < 2; i++) {
    assert_cmt(CMT_OK, cmt_switch_broadcast_bytes(f->a.sw, TEST_CHAT, "hello",
                                                  5, &counts));
    assert_int_equal(1, counts.queued);
  }
  assert_cmt(CMT_OK, cmt_switch_broadcast_bytes(f->a.sw, TEST_CHAT, "hello", 5,
                                                &counts));
  assert_int_equal(0, counts.queued);
  assert_int_equal(1, counts.full);
  assert_cmt(CMT_ETOOBIG, cmt_switch_broadcast_bytes(f->a.sw, TEST_CHAT, large,
                                                     sizeof large, &counts));
  assert_int_equal(0, counts.full);
  counts.full = 1;
  f->w.env.fail_at = f->w.env.allocs;
  assert_cmt(CMT_ENOMEM, cmt_switch_broadcast_bytes(f->a.sw, TEST_CHAT, "hello",
                                                    5, &counts));
  f->w.env.fail_at = SIZE_MAX;
  assert_int_equal(0, counts.full);
}

/* ---- how bytes go ---- */

static void a_lone_message_leaves_at_once_in_one_call(void **state) {
  fixture *f = *state;
  size_t writes, reads;

  test_pair(&f->w, &f->a, &f->b);
  writes = sends(f)->writes;
  reads = sends(f)->reads;
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "now"));
  test_loop_step(f->w.loop);
  test_loop_step(f->w.loop);
  assert_string_equal("receive chat 51 now\n", test_node_log(&f->b));
  assert_int_equal(writes + 1, sends(f)->writes);
  assert_int_equal(reads + 1, sends(f)->reads);
}

static void answer_it(test_part *part, cmt_peer *p, uint8_t channel,
                      cmt_buf *msg) {
  (void)part;
  assert_cmt(CMT_OK, cmt_peer_try_send(p, channel, cmt_buf_ref(msg)));
  assert_false(
    p->send_queue.posted); /* The loop is here: nobody need wake it. */
}

static void an_answer_leaves_in_the_iteration_of_its_question(void **state) {
  fixture *f = *state;

  f->b.parts[0].on_receive = answer_it;
  test_pair(&f->w, &f->a, &f->b);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "ping?"));
  test_loop_step(f->w.loop); /* Sent, */
  test_loop_step(f->w.loop); /* read and answered, */
  test_loop_step(f->w.loop); /* read. */
  assert_string_equal("receive chat 51 ping?\n", test_node_log(&f->a));
}

static void a_short_write_keeps_only_the_rest(void **state) {
  fixture *f = *state;
  collected got;
  cmt_peer_status status;

  collect(f, &got);
  send_queue(f, 10);
  test_pair(&f->w, &f->a, &f->b);
  sends(f)->cap = 50000;
  for (size_t i = 0; i < 10; i++) {
    assert_cmt(CMT_OK, try_pattern(f, i, 300 * KIB + i));
  }
  run_until_idle(f);
  assert_int_equal(10, got.count);
  assert_int_equal(10 * 300 * KIB + 45, got.bytes);
  cmt_peer_get_status(test_node_peer(&f->a), &status);
  assert_int_equal(sends(f)->written, status.sent_bytes);
  assert_int_equal(sends(f)->writes, status.write_calls);
}

/* B has gone; A learns it from its writes while the message is still being
   read in small pieces. */
static void what_arrived_is_read_although_writing_failed(void **state) {
  fixture *f = *state;
  test_dir *back;

  f->a.quiet = true;
  test_pair(&f->w, &f->a, &f->b);
  back = &test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR];
  back->stalled = true;
  back->read_max = 500;
  assert_cmt(CMT_OK, cmt_peer_try_send(test_node_peer(&f->b), TEST_CHAT,
                                       pattern(f, 0, 30000)));
  cmt_peer_stop(test_node_peer(&f->b), CMT_ECANCELED, CMT_SECONDS(1));
  advance_ms(f, 1000);
  assert_false(test_loop_conn(f->w.loop, 0)->open[TEST_ACCEPTOR]);
  back->stalled = false;
  for (int i = 0; i < 2; i++) {
    assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "anyone?"));
    test_loop_step(f->w.loop);
  }
  assert_cmt(CMT_ERESET, test_node_peer(&f->a)->link->write_err);
  f->a.quiet = false;
  run_until_idle(f);
  assert_memory_equal("receive chat 51 ", f->a.log, 16);
  assert_non_null(strstr(f->a.log, "remove chat CMT_EEOF\n"));
}

/* A write fails because the connection is over, and no end ever comes. */
static void a_socket_that_breaks_is_read_for_a_second(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  test_loop_fail(f->w.loop, TEST_CALL_WRITE,
                 test_loop_calls(f->w.loop, TEST_CALL_WRITE), CMT_ERESET);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "anyone?"));
  run_until_idle(f);
  assert_cmt(CMT_ERESET, test_node_peer(&f->a)->link->write_err);
  advance_ms(f, 999);
  assert_string_equal("", test_node_log(&f->a));
  advance_ms(f, 1);
  assert_string_equal("remove chat CMT_ERESET\n", test_node_log(&f->a));
}

static void a_paused_peer_that_cannot_be_written_to_ends(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  cmt_peer_pause(test_node_peer(&f->a));
  run_until_idle(f);
  cmt_peer_stop(test_node_peer(&f->b), CMT_ECANCELED, 0);
  run_until_idle(f);
  for (int i = 0; i < 2; i++) {
    assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "anyone?"));
    run_until_idle(f);
  }
  assert_string_equal("remove chat CMT_ERESET\n", test_node_log(&f->a));
}

static void a_batch_shrinks_to_what_was_written_and_grows_again(void **state) {
  fixture *f = *state;
  cmt__link *l;
  collected got;

  collect(f, &got);
  send_queue(f, 10);
  test_pair(&f->w, &f->a, &f->b);
  l = test_node_peer(&f->a)->link;
  assert_int_equal(256, l->batch_frames);
  sends(f)->cap = 20 * 1044;
  assert_cmt(CMT_OK, try_pattern(f, 0, MIB));
  test_loop_step(f->w.loop);
  assert_int_equal(20, l->batch_frames);
  assert_true(l->rest_len > 0 && l->rest_len <= 256 * 1044);
  sends(f)->cap = 100;
  run_until_idle(f);
  assert_int_equal(8, l->batch_frames);
  assert_null(l->rest);
  sends(f)->cap = SIZE_MAX;
  assert_cmt(CMT_OK, try_pattern(f, 1, MIB));
  run_until_idle(f);
  assert_int_equal(256, l->batch_frames);
  assert_int_equal(2, got.count);
}

static void bytes_may_arrive_one_by_one(void **state) {
  fixture *f = *state;
  collected got;

  collect(f, &got);
  send_queue(f, 3);
  test_loop_defaults(f->w.loop)->read_max = 1;
  test_pair(&f->w, &f->a, &f->b);
  for (size_t i = 0; i < 4; i++) {
    assert_cmt(CMT_OK, try_pattern(f, i, 3000 * i));
  }
  run_until_idle(f);
  assert_int_equal(4, got.count);
}

static void eight_busy_channels_share_one_connection(void **state) {
  fixture *f = *state;
  test_node *nodes[] = {&f->a, &f->b};
  cmt_peer_status status;

  for (size_t i = 0; i < 2; i++) {
    for (uint8_t k = 1; k < 8; k++) {
      test_part_channel(&nodes[i]->parts[0],
                        (cmt_channel){.id = (uint8_t)(TEST_CHAT + k),
                                      .priority = k,
                                      .send_queue = 20});
    }
  }
  send_queue(f, 20);
  f->b.quiet = true;
  test_pair(&f->w, &f->a, &f->b);
  for (size_t i = 0; i < 20; i++) {
    for (uint8_t k = 0; k < 8; k++) {
      cmt_buf *b = pattern(f, i, 5000);
      assert_cmt(CMT_OK, cmt_peer_try_send(test_node_peer(&f->a),
                                           (uint8_t)(TEST_CHAT + k), b));
    }
  }
  run_until_idle(f);
  assert_int_equal(1, test_loop_conn_count(f->w.loop));
  cmt_peer_get_status(test_node_peer(&f->b), &status);
  assert_int_equal(8, status.channel_count);
  for (size_t k = 0; k < 8; k++) {
    assert_int_equal(20, status.channels[k].recv_messages);
    assert_int_equal(20 * 5000, status.channels[k].recv_bytes);
  }
}

static void no_peer_starves_another(void **state) {
  fixture *f = *state;
  test_dir *to_c;

  if (f->w.loop_count > 1) {
    return; /* It counts the iterations of one loop. */
  }
  send_queue(f, 50);
  f->b.quiet = true;
  test_pair(&f->w, &f->a, &f->b);
  test_node_start(&f->c);
  test_node_dial(&f->a, f->c.addr, 0);
  (void)test_node_log(&f->c);
  to_c = &test_loop_conn(f->w.loop, 1)->dir[TEST_DIALER];
  for (size_t i = 0; i < 25; i++) {
    cmt_peer *p = cmt_switch_peer(f->a.sw, &f->b.sw->setup.id);

    assert_cmt(CMT_OK, cmt_peer_try_send(p, TEST_CHAT, pattern(f, i, MIB)));
    cmt_peer_unref(p);
  }
  test_loop_step(f->w.loop);
  assert_int_equal(256 * 1044, sends(f)->in_flight);
  (void)cmt_switch_broadcast_bytes(f->a.sw, TEST_CHAT, "small", 5, NULL);
  test_loop_step(f->w.loop);
  assert_int_equal(1044, to_c->in_flight);
  run_until_idle(f);
}

/* ---- throttle ---- */

static void a_flush_throttle_gathers_messages(void **state) {
  fixture *f = *state;
  size_t writes;

  f->a.options.flush_throttle_ns = CMT_MILLISECONDS(100);
  send_queue(f, 10);
  test_pair(&f->w, &f->a, &f->b);
  writes = sends(f)->writes;
  for (int i = 0; i < 5; i++) {
    assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "x"));
    advance_ms(f, 19);
  }
  assert_int_equal(writes, sends(f)->writes);
  advance_ms(f, 5);
  assert_int_equal(writes + 1, sends(f)->writes);
  f->b.quiet = true;
  run_until_idle(f);
}

static void a_flush_throttle_does_not_hold_much(void **state) {
  fixture *f = *state;
  collected got;

  f->a.options.flush_throttle_ns = CMT_SECONDS(100);
  collect(f, &got);
  test_pair(&f->w, &f->a, &f->b);
  assert_cmt(CMT_OK, try_pattern(f, 0, MIB));
  run_until_idle(f);
  assert_int_equal(1, got.count);
}

static void a_flush_throttle_holds_back_no_urgent_message(void **state) {
  fixture *f = *state;

  f->a.options.flush_throttle_ns = CMT_SECONDS(100);
  f->a.parts[0].channels[0].traffic = CMT_TRAFFIC_URGENT;
  test_pair(&f->w, &f->a, &f->b);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "now"));
  run_until_idle(f);
  assert_string_equal("receive chat 51 now\n", test_node_log(&f->b));
}

static void the_rest_of_what_is_being_sent_is_not_throttled(void **state) {
  fixture *f = *state;
  collected got;

  f->a.options.flush_throttle_ns = CMT_SECONDS(100);
  collect(f, &got);
  test_pair(&f->w, &f->a, &f->b);
  assert_cmt(CMT_OK, try_pattern(f, 0, 250000));
  assert_cmt(CMT_OK, try_pattern(f, 1, 30000)); /* Ends in a second run. */
  run_until_idle(f);
  assert_int_equal(2, got.count);
}

static void a_ping_takes_throttled_messages_along(void **state) {
  fixture *f = *state;

  f->a.options.flush_throttle_ns = CMT_SECONDS(100);
  test_pair(&f->w, &f->a, &f->b);
  test_loop_advance(f->w.loop, CMT_SECONDS(59));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "aboard"));
  run_until_idle(f);
  assert_string_equal("", test_node_log(&f->b));
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_string_equal("receive chat 51 aboard\n", test_node_log(&f->b));
}

/* ---- pause ---- */

static void pause_it(test_part *part, cmt_peer *p, uint8_t channel,
                     cmt_buf *msg) {
  check_pattern(part, p, channel, msg);
  if (((collected *)part->arg)->count == 1) {
    cmt_peer_pause(p);
  }
}

static void a_paused_peer_is_not_read(void **state) {
  fixture *f = *state;
  collected got;
  size_t at_pause;

  collect(f, &got);
  f->b.parts[0].on_receive = pause_it;
  send_queue(f, 200);
  test_pair(&f->w, &f->a, &f->b);
  for (size_t i = 0; i < 200; i++) {
    assert_cmt(CMT_OK, try_pattern(f, i, 10000));
  }
  run_until_idle(f);
  at_pause = got.bytes;
  assert_true(at_pause <= 65536);
  cmt_peer_pause(test_node_peer(&f->b));
  run_until_idle(f);
  cmt_peer_resume(test_node_peer(&f->b));
  run_until_idle(f);
  assert_int_equal(at_pause, got.bytes); /* Paused twice, resumed once. */
  cmt_peer_resume(test_node_peer(&f->b));
  run_until_idle(f);
  assert_int_equal(200, got.count);
}

static void a_paused_peer_can_still_send(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  cmt_peer_pause(test_node_peer(&f->b));
  run_until_idle(f);
  assert_cmt(CMT_OK, test_node_send(&f->b, TEST_CHAT, "hello"));
  run_until_idle(f);
  assert_string_equal("receive chat 51 hello\n", test_node_log(&f->a));
}

static void a_paused_peer_can_be_stopped_gracefully(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  cmt_peer_pause(test_node_peer(&f->a));
  assert_cmt(CMT_OK, test_node_send(&f->b, TEST_CHAT, "unread"));
  run_until_idle(f);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "last"));
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, CMT_SECONDS(1));
  run_until_idle(f);
  assert_string_equal("receive chat 51 last\nremove chat CMT_EEOF\n",
                      test_node_log(&f->b));
  assert_string_equal("remove chat CMT_ECANCELED\n", test_node_log(&f->a));
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, test_trio_setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(the_third_send_is_refused_while_the_link_does_not_drain),
    TEST(the_answer_does_not_wait_for_the_loop),
    TEST(a_channel_that_the_peer_lacks_is_reported),
    TEST(waiting_sends_go_in_their_order),
    TEST(a_send_waits_no_longer_than_its_time),
    TEST(waiting_sends_end_before_the_peer_is_removed),
    TEST(a_broadcast_is_one_buffer),
    TEST(a_broadcast_of_bytes_reports_its_counts),
    TEST(a_lone_message_leaves_at_once_in_one_call),
    TEST(an_answer_leaves_in_the_iteration_of_its_question),
    TEST(a_short_write_keeps_only_the_rest),
    TEST(what_arrived_is_read_although_writing_failed),
    TEST(a_socket_that_breaks_is_read_for_a_second),
    TEST(a_paused_peer_that_cannot_be_written_to_ends),
    TEST(a_batch_shrinks_to_what_was_written_and_grows_again),
    TEST(bytes_may_arrive_one_by_one),
    TEST(eight_busy_channels_share_one_connection),
    TEST(no_peer_starves_another),
    TEST(a_flush_throttle_gathers_messages),
    TEST(a_flush_throttle_does_not_hold_much),
    TEST(a_flush_throttle_holds_back_no_urgent_message),
    TEST(the_rest_of_what_is_being_sent_is_not_throttled),
    TEST(a_ping_takes_throttled_messages_along),
    TEST(a_paused_peer_is_not_read),
    TEST(a_paused_peer_can_still_send),
    TEST(a_paused_peer_can_be_stopped_gracefully),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
