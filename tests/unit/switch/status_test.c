/* SPDX-License-Identifier: Apache-2.0 */

/* The status of a peer after a scripted exchange in virtual time: each number
   is another one, so that none stands for its neighbour, and stays when the
   peer is gone. */

#include "node.h"

#include <cometp2p/secret_conn.h>

#define S(n) CMT_SECONDS(n)
#define MS(n) CMT_MILLISECONDS(n)

enum { BULK = 0x52, BULK_LEN = 40000, RATE = 12500000 };

typedef struct fixture {
  test_trio *t;
  cmt_peer *p; /* The peer of A. */
  uint64_t up_at_ns;
} fixture;

static test_dir *way(fixture *f, int from) {
  return &test_loop_conn(f->t->w.loop, 0)->dir[from];
}

static uint64_t now_ns(fixture *f) {
  return cmt__loop_now(test_loop_base(f->t->w.loop));
}

static void advance(fixture *f, uint64_t ns) {
  test_loop_advance(f->t->w.loop, ns);
}

static void run_until_idle(fixture *f) {
  test_loop_run_until_idle(f->t->w.loop);
}

/* A, which pings each 10 s, has dialed B, which does not. */
static void begin(fixture *f) {
  for (test_node *n = &f->t->a; n <= &f->t->b; n++) {
    n->quiet = true;
    n->parts[0].channels[0].send_queue = 100;
    test_part_channel(
      &n->parts[0],
      (cmt_channel){.id = BULK, .priority = 1, .send_queue = 100});
  }
  f->t->a.options.ping_interval_ns = S(10);
  f->t->a.options.pong_timeout_ns = S(9);
  f->t->b.options.ping_interval_ns = CMT_NEVER;
  test_pair(&f->t->w, &f->t->a, &f->t->b);
  f->up_at_ns = now_ns(f);
  f->p = cmt_peer_ref(test_node_peer(&f->t->a));
}

/* |count| messages of |len| bytes each. */
static void say(test_node *n, uint8_t channel, size_t len, int count) {
  static const uint8_t data[BULK_LEN];

  for (int i = 0; i < count; i++) {
    assert_cmt(CMT_OK,
               cmt_peer_try_send_bytes(test_node_peer(n), channel, data, len));
  }
}

/* The next ping is answered after |ms|. */
static void answer_after(fixture *f, uint64_t ms) {
  way(f, TEST_ACCEPTOR)->stalled = true;
  advance(f, S(10) - (now_ns(f) - f->up_at_ns) % S(10));
  advance(f, MS(ms));
  way(f, TEST_ACCEPTOR)->stalled = false;
  run_until_idle(f);
}

/* One message waits for |ms| in our queue, behind one that does not. */
static void wait_for(fixture *f, uint64_t ms) {
  way(f, TEST_DIALER)->cap = 0;
  say(&f->t->a, TEST_CHAT, 1, 1);
  run_until_idle(f);
  say(&f->t->a, TEST_CHAT, 1, 1);
  run_until_idle(f);
  advance(f, MS(ms));
  way(f, TEST_DIALER)->cap = SIZE_MAX;
  run_until_idle(f);
}

/* Four messages of A, and those of B: one, three and two of a kind.  The socket
   was asked once. */
static void exchange(fixture *f) {
  way(f, TEST_DIALER)->knows = true;
  way(f, TEST_DIALER)->info = (cmt__tcp_info){.delivery_rate = RATE,
                                              .unsent_bytes = 25000000,
                                              .in_flight_bytes = 90000,
                                              .rtt_ns = MS(7)};
  answer_after(f, 40);
  say(&f->t->a, BULK, BULK_LEN, 1);
  say(&f->t->b, TEST_CHAT, 100, 3);
  say(&f->t->b, BULK, 11, 2);
  run_until_idle(f);
  answer_after(f, 30);
  wait_for(f, 60);
  wait_for(f, 20);
  cmt_peer_pause(f->p);
  run_until_idle(f);
  advance(f, MS(250));
  cmt_peer_resume(f->p);
  run_until_idle(f);
  answer_after(f, 70);
}

/* Two seconds between two iterations at which the rates are counted, in which
   |*sent| and |*recv| bytes a second went and came.  The ping of the second
   iteration has no answer. */
static void count_rates(fixture *f, uint64_t *sent, uint64_t *recv) {
  advance(f, S(38) - (now_ns(f) - f->up_at_ns));
  say(&f->t->a, TEST_CHAT, 1, 1);
  run_until_idle(f);
  *sent = way(f, TEST_DIALER)->written;
  *recv = way(f, TEST_ACCEPTOR)->read;
  advance(f, MS(900));
  say(&f->t->a, TEST_CHAT, 3000, 1);
  say(&f->t->b, TEST_CHAT, 1, 1);
  run_until_idle(f);
  way(f, TEST_ACCEPTOR)->stalled = true;
  advance(f, MS(1100));
  *sent = (way(f, TEST_DIALER)->written - *sent) / 2;
  *recv = (way(f, TEST_ACCEPTOR)->read - *recv) / 2;
}

/* The last message that is packetized has waited for 20 ms, and the socket
   accepts no more. */
static void leave_some_queued(fixture *f) {
  test_dir *d = way(f, TEST_DIALER);

  d->cap = 0;
  say(&f->t->a, TEST_CHAT, 1, 1);
  run_until_idle(f);
  say(&f->t->a, TEST_CHAT, 1, 1);
  run_until_idle(f);
  advance(f, MS(20));
  d->stalled = true;
  d->cap = CMT_FRAME_SLOT;
  run_until_idle(f);
  say(&f->t->a, TEST_CHAT, 7, 2);
  say(&f->t->a, BULK, 9, 3);
  run_until_idle(f);
}

/* A's 40,000 bytes are 39 packets of 1024 and one of 64, and the packet of a
   message of up to 100 bytes takes 9 bytes more than it has. */
static void assert_channels(const cmt_channel_status *chat,
                            const cmt_channel_status *bulk) {
  assert_int_equal(TEST_CHAT, chat->id);
  assert_int_equal(BULK, bulk->id);
  assert_int_equal(2, chat->queued_messages);
  assert_int_equal(14, chat->queued_bytes);
  assert_int_equal(3, bulk->queued_messages);
  assert_int_equal(27, bulk->queued_bytes);
  assert_int_equal(8, chat->sent_messages);
  assert_int_equal(1, bulk->sent_messages);
  assert_int_equal(7 * 10 + 2 * 1034 + 964, chat->sent_bytes);
  assert_int_equal(39 * 1034 + 73, bulk->sent_bytes);
  /* Four fifths of 3,090 and 10 more; of the rest four fifths fifteen times. */
  assert_in_range(chat->recently_sent_bytes, 2440, 2482);
  assert_in_range(bulk->recently_sent_bytes, 1400, 1422);
  assert_int_equal(4, chat->recv_messages);
  assert_int_equal(301, chat->recv_bytes);
  assert_int_equal(2, bulk->recv_messages);
  assert_int_equal(22, bulk->recv_bytes);
  assert_int_equal(MS(20), chat->wait_last_ns);
  assert_int_equal(MS(60), chat->wait_max_ns);
}

/* The numbers of a socket are gone with it. */
static void assert_numbers(fixture *f, uint64_t sent, uint64_t recv,
                           bool gone) {
  cmt_peer_status s;

  cmt_peer_get_status(f->p, &s);
  assert_int_equal(S(40) + MS(20), s.up_ns);
  assert_int_equal(MS(70), s.rtt_last_ns);
  assert_int_equal(MS(30), s.rtt_min_ns);
  assert_int_equal(4, s.pings_sent);
  assert_int_equal(3, s.pongs_recv);
  assert_int_equal(way(f, TEST_DIALER)->written, s.sent_bytes);
  assert_int_equal(way(f, TEST_ACCEPTOR)->read, s.recv_bytes);
  assert_int_equal(way(f, TEST_DIALER)->writes, s.write_calls);
  assert_int_equal(way(f, TEST_ACCEPTOR)->reads, s.read_calls);
  assert_int_equal(MS(250), s.read_paused_ns);
  assert_int_equal(sent, s.send_rate);
  assert_int_equal(recv, s.recv_rate);
  assert_int_equal(gone ? 0 : 25000000, s.kernel_unsent_bytes);
  assert_int_equal(gone ? 0 : S(2), s.kernel_unsent_ns);
  assert_int_equal(gone ? 0 : 90000, s.in_flight_bytes);
  assert_int_equal(gone ? 0 : RATE, s.delivery_rate);
  assert_int_equal(gone ? 0 : MS(7), s.tcp_rtt_ns);
  assert_int_equal(2, s.channel_count);
  assert_channels(&s.channels[0], &s.channels[1]);
}

static void each_number_of_a_peer_is_its_own(void **state) {
  fixture f = {.t = *state};
  uint64_t sent, recv;

  begin(&f);
  exchange(&f);
  count_rates(&f, &sent, &recv);
  leave_some_queued(&f);
  assert_true(sent > recv && recv > 0);
  assert_numbers(&f, sent, recv, false);
  cmt_peer_stop(f.p, CMT_ECANCELED, 0);
  run_until_idle(&f);
  assert_int_equal(0, cmt_switch_peers(f.t->a.sw, NULL, 0));
  assert_numbers(&f, sent, recv, true);
  cmt_peer_unref(f.p);
  way(&f, TEST_DIALER)->stalled = false;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(each_number_of_a_peer_is_its_own,
                                    test_trio_setup, test_trio_teardown),
  };

  return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
