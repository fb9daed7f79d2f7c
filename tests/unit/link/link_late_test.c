/* SPDX-License-Identifier: Apache-2.0 */

/* When the other side of a link is late, in virtual time: who reads nothing,
   and what had come before a deadline that was noticed late.  Pings are 1 s
   apart and have 0.5 s. */

#include "node.h"

#include <cometp2p/secret_conn.h>
#include <errno.h>
#include <stdio.h>

enum { KIB = 1024, MIB = 1024 * KIB };

#define S(n) CMT_SECONDS(n)
#define MS(n) CMT_MILLISECONDS(n)

static int setup(void **state) {
  test_trio *t;
  test_node *nodes[3];

  test_trio_setup(state);
  t = *state;
  nodes[0] = &t->a;
  nodes[1] = &t->b;
  nodes[2] = &t->c;
  for (size_t i = 0; i < CMT__COUNT(nodes); i++) {
    nodes[i]->options.ping_interval_ns = S(1);
    nodes[i]->options.pong_timeout_ns = MS(500);
    nodes[i]->parts[0].channels[0].send_queue = 100;
    nodes[i]->quiet = true;
  }
  t->b.options.ping_interval_ns = S(1000); /* It is never the one who ends. */
  t->b.options.pong_timeout_ns = S(900);
  return 0;
}

static void advance(test_trio *t, uint64_t ns) {
  test_loop_advance(t->w.loop, ns);
}

static test_dir *dir(test_trio *t, int from) {
  return &test_loop_conn(t->w.loop, 0)->dir[from];
}

static cmt_err send_some(test_node *from, size_t len) {
  static uint8_t bytes[4 * MIB];

  return cmt_peer_try_send_bytes(test_node_peer(from), TEST_CHAT, bytes, len);
}

static void assert_peers(test_trio *t) {
  assert_int_equal(1, cmt_switch_peers(t->a.sw, NULL, 0));
  assert_int_equal(1, cmt_switch_peers(t->b.sw, NULL, 0));
}

/* ---- who reads nothing ---- */

/* Both send all the time, and at |stop_ns| b stops reading; the pipe to it has
   room for |cap| bytes.  How long it is borne from then on. */
static uint64_t borne_ns(test_trio *t, uint64_t stop_ns, size_t cap) {
  const uint64_t step_ns = MS(50);
  uint64_t ns = 0;
  cmt_peer *p;
  cmt_why why;

  test_pair(&t->w, &t->a, &t->b);
  dir(t, TEST_DIALER)->cap = cap;
  p = cmt_peer_ref(test_node_peer(&t->a));
  while (cmt_switch_peers(t->a.sw, NULL, 0) == 1 && ns < S(60)) {
    (void)!send_some(&t->a, 3000);
    (void)!send_some(&t->b, 3000);
    if (ns >= stop_ns) {
      dir(t, TEST_DIALER)->stalled = true;
    }
    advance(t, step_ns);
    ns += step_ns;
  }
  cmt_peer_get_why(p, &why);
  cmt_peer_unref(p);
  assert_cmt(CMT_EPONG, why.err);
  assert_true(strncmp(why.text,
                      "the peer reads nothing: it took no data for "
                      "1500 ms, and ",
                      57) == 0 ||
              strcmp(why.text, cmt_err_text(CMT_EPONG)) == 0);
  return ns - stop_ns;
}

/* The ping is due within a second, and then it has one and a half. */
static void a_reader_that_stops_at_any_moment_ends(void **state) {
  for (uint64_t stop_ns = 0; stop_ns < S(2); stop_ns += MS(150)) {
    for (size_t cap = 5000; cap <= 500000; cap *= 10) {
      test_trio *t = *state;

      assert_in_range(borne_ns(t, stop_ns, cap), MS(450), MS(2600));
      test_trio_teardown(state);
      setup(state);
    }
  }
}

/* Whoever goes on reading, however slowly, is not ended. */
static void a_slow_reader_stays(void **state) {
  test_trio *t = *state;

  t->a.options.ping_interval_ns = S(60);
  t->a.options.pong_timeout_ns = S(45);
  test_pair(&t->w, &t->a, &t->b);
  dir(t, TEST_DIALER)->cap = 4000;
  for (int i = 0; i < 400; i++) {
    (void)!send_some(&t->a, 60000);
    dir(t, TEST_DIALER)->stalled = i % 8 != 0;
    advance(t, S(4));
  }
  assert_peers(t);
  dir(t, TEST_DIALER)->stalled = false;
}

/* It may wait for us to read before it reads itself. */
static void who_is_not_read_is_not_ended(void **state) {
  test_trio *t = *state;

  test_pair(&t->w, &t->a, &t->b);
  assert_int_equal(MS(1500), dir(t, TEST_DIALER)->give_up_ns);
  dir(t, TEST_DIALER)->cap = 5000;
  dir(t, TEST_DIALER)->stalled = true;
  cmt_peer_pause(test_node_peer(&t->a));
  assert_cmt(CMT_OK, send_some(&t->a, 60000));
  advance(t, S(300));
  assert_peers(t);
  assert_int_equal(0, dir(t, TEST_DIALER)->give_up_ns);
  cmt_peer_resume(test_node_peer(&t->a));
  test_loop_run_until_idle(t->w.loop);
  assert_int_equal(MS(1500), dir(t, TEST_DIALER)->give_up_ns);
  advance(t, MS(1499));
  assert_peers(t);
  advance(t, MS(2));
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&t->a));
  dir(t, TEST_DIALER)->stalled = false;
}

/* One of us that does not read by choice sends pongs unsolicited. */
static void a_peer_that_reports_not_to_read_has_longer(void **state) {
  test_trio *t = *state;

  t->b.options.ping_interval_ns = S(1);
  t->b.options.pong_timeout_ns = MS(500);
  test_pair(&t->w, &t->a, &t->b);
  dir(t, TEST_DIALER)->cap = 5000;
  cmt_peer_pause(test_node_peer(&t->b));
  assert_cmt(CMT_OK, send_some(&t->a, 60000));
  advance(t, S(8));
  assert_peers(t);
  assert_int_equal(0, dir(t, TEST_DIALER)->give_up_ns);
  advance(t, S(3));
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&t->a));
}

/* A kernel that buffers much makes room in large steps only. */
static void what_was_acknowledged_counts_as_taken(void **state) {
  test_trio *t = *state;
  test_dir *d;

  test_pair(&t->w, &t->a, &t->b);
  d = dir(t, TEST_DIALER);
  d->knows = true;
  assert_cmt(CMT_OK, send_some(&t->a, 100000));
  test_loop_run_until_idle(t->w.loop);
  d->cap = 5000;
  d->stalled = true;
  assert_cmt(CMT_OK, send_some(&t->a, 60000));
  for (int i = 0; i < 40; i++) {
    advance(t, MS(500));
    d->info.acked_bytes += 1024;
  }
  assert_peers(t);
  advance(t, S(3));
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&t->a));
  d->stalled = false;
}

/* Something waits behind what the socket has buffered, of which |len| bytes
   were written before, and a ping is due: from now on the socket is asked. */
static test_dir *fill_and_watch(test_trio *t, size_t len) {
  test_dir *d;

  test_pair(&t->w, &t->a, &t->b);
  d = dir(t, TEST_DIALER);
  d->knows = true;
  assert_cmt(CMT_OK, send_some(&t->a, len));
  test_loop_run_until_idle(t->w.loop);
  d->cap = 5000;
  d->stalled = true;
  assert_cmt(CMT_OK, send_some(&t->a, 60000));
  advance(t, S(1));
  return d;
}

static void the_socket_is_asked_four_times_a_span(void **state) {
  test_trio *t = *state;
  test_dir *d = fill_and_watch(t, 100000);
  size_t asked = d->asked;

  for (size_t i = 1; i <= 12; i++) {
    advance(t, MS(1500) / 4 - 1);
    assert_int_equal(asked + i - 1, d->asked);
    advance(t, 1);
    assert_int_equal(asked + i, d->asked);
    d->info.acked_bytes += 1024;
  }
  assert_peers(t);
  d->stalled = false;
}

/* The longest time between two acknowledgements of the least that counts: the
   first answer after it is a quarter of a span later, at most. */
static void the_least_progress_counts_in_time(void **state) {
  test_trio *t = *state;
  test_dir *d = fill_and_watch(t, 100000);

  for (int i = 0; i < 10; i++) {
    d->info.acked_bytes += 1024;
    advance(t, MS(1500) - 1);
    assert_peers(t);
  }
  d->info.acked_bytes += 1023;
  advance(t, MS(1500));
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&t->a));
  d->stalled = false;
}

/* What was acknowledged between two watches is news of neither. */
static void an_earlier_watch_does_not_count_for_this_one(void **state) {
  test_trio *t = *state;
  test_dir *d = fill_and_watch(t, 100000);

  d->stalled = false;
  d->cap = SIZE_MAX;
  d->info.acked_bytes = 160000;
  advance(t, MS(1900));
  d->stalled = true;
  d->cap = 5000;
  assert_cmt(CMT_OK, send_some(&t->a, 60000));
  advance(t, MS(1600) - 1);
  assert_peers(t);
  advance(t, 1);
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&t->a));
  d->stalled = false;
}

/* An answer that comes two quarters after the last one counts from then on. */
static void an_old_sample_does_not_count(void **state) {
  test_trio *t = *state;
  test_dir *d = fill_and_watch(t, 100000);

  test_loop_pass(t->w.loop, 2 * MS(1500) / 4);
  d->info.acked_bytes += 1024;
  test_loop_run_until_idle(t->w.loop);
  advance(t, MS(1500) / 2 - 1);
  assert_peers(t);
  advance(t, 1);
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&t->a));
  d->stalled = false;
}

/* The socket has room, though not so much that it is reported writable. */
static void at_the_end_it_is_written_to_once_more(void **state) {
  test_trio *t = *state;
  test_dir *d = fill_and_watch(t, 1000);

  advance(t, MS(1500) - 1);
  d->cap = 7000;
  advance(t, 1);
  assert_int_equal(7000, d->in_flight);
  advance(t, MS(1500) - 1);
  assert_peers(t);
  advance(t, 1);
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&t->a));
  d->stalled = false;
}

/* The end is half a second behind the last quarter of the watch: what moved
   moved it. */
static void at_the_end_it_is_asked_once_more(void **state) {
  test_trio *t = *state;
  test_dir *d = fill_and_watch(t, 100000);

  advance(t, MS(500));
  d->cap = 12000;
  advance(t, MS(1400));
  d->info.acked_bytes += 1024;
  advance(t, MS(1500));
  assert_peers(t);
  advance(t, MS(100));
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&t->a));
  d->stalled = false;
}

/* The kernel is not asked about little that was written, nor where the system
   does not report it. */
static void who_is_not_asked_is_stuck_in_time(void **state) {
  static const struct {
    size_t len;
    bool knows;
  } rows[] = {{1000, true}, {1000, false}, {100000, false}};

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    test_trio *t = *state;
    test_dir *d = fill_and_watch(t, rows[i].len);

    d->knows = rows[i].knows;
    advance(t, MS(1500) - 1);
    assert_peers(t);
    advance(t, 1);
    assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&t->a));
    d->stalled = false;
    test_trio_teardown(state);
    setup(state);
  }
}

/* It is read for a second more, in which the loop rests. */
static void a_watch_goes_on_when_a_write_failed(void **state) {
  test_trio *t = *state;
  test_dir *d = fill_and_watch(t, 100000);

  test_loop_fail(t->w.loop, TEST_CALL_WRITE,
                 test_loop_calls(t->w.loop, TEST_CALL_WRITE), CMT_ERESET);
  d->stalled = false;
  test_loop_run_until_idle(t->w.loop);
  d->stalled = true;
  advance(t, MS(1000) - 1);
  assert_peers(t);
  advance(t, 1);
  assert_string_equal("remove chat CMT_ERESET\n", test_node_log(&t->a));
  d->stalled = false;
}

/* Without pings nobody is watched. */
static void without_pings_the_kernel_has_no_timeout(void **state) {
  test_trio *t = *state;

  t->a.options.ping_interval_ns = CMT_NEVER;
  test_pair(&t->w, &t->a, &t->b);
  assert_int_equal(0, dir(t, TEST_DIALER)->give_up_ns);
  advance(t, S(600));
  assert_peers(t);
}

/* While it is paused, the kernel waits on after a quarter of the span. */
static void a_pause_is_borne_by_the_kernel_in_time(void **state) {
  test_trio *t = *state;

  test_pair(&t->w, &t->a, &t->b);
  cmt_peer_pause(test_node_peer(&t->a));
  advance(t, MS(1500) / 4 - 1);
  assert_int_equal(MS(1500), dir(t, TEST_DIALER)->give_up_ns);
  advance(t, 1);
  assert_int_equal(0, dir(t, TEST_DIALER)->give_up_ns);
  cmt_peer_resume(test_node_peer(&t->a));
  test_loop_run_until_idle(t->w.loop);
  assert_int_equal(MS(1500), dir(t, TEST_DIALER)->give_up_ns);
}

/* On whichever loop the link is. */
static void set_errno(void *arg, int side) {
  const test_world *w = arg;

  (void)side;
  for (unsigned i = 0; i < w->loop_count; i++) {
    test_loop_base(w->loops[i])->error = ETIMEDOUT;
  }
}

/* The kernel may notice it before we do, and what we saw move is later than
   what the other side acknowledged, by any time on a busy host. */
static void kernel_gives_up(test_trio *t, uint64_t after_ns) {
  cmt_peer *p;
  cmt_why why;

  test_pair(&t->w, &t->a, &t->b);
  p = cmt_peer_ref(test_node_peer(&t->a));
  advance(t, after_ns);
  test_loop_on_fault(t->w.loop, set_errno, &t->w);
  test_loop_fail(t->w.loop, TEST_CALL_READ,
                 test_loop_calls(t->w.loop, TEST_CALL_READ), CMT_EUNREACH);
  assert_cmt(CMT_OK, send_some(&t->b, 10));
  test_loop_run_until_idle(t->w.loop);
  cmt_peer_get_why(p, &why);
  assert_cmt(CMT_EPONG, why.err);
  assert_string_equal("the peer reads nothing: it acknowledged no data for "
                      "1500 ms",
                      why.text);
  cmt_peer_unref(p);
}

static void a_timeout_of_the_kernel_reports_the_same(void **state) {
  kernel_gives_up(*state, MS(5900));
}

static void the_kernel_that_gives_up_is_right_about_the_time(void **state) {
  kernel_gives_up(*state, MS(1));
}

/* ---- what had come is read first ---- */

/* The ping of a is under way, and the answer comes while nobody runs. */
static void a_pong_that_lies_in_the_socket_is_in_time(void **state) {
  test_trio *t = *state;

  test_pair(&t->w, &t->a, &t->b);
  dir(t, TEST_ACCEPTOR)->stalled = true;
  advance(t, MS(1400));
  test_loop_pass(t->w.loop, S(3));
  dir(t, TEST_ACCEPTOR)->stalled = false;
  test_loop_run_until_idle(t->w.loop);
  assert_peers(t);
  advance(t, MS(900));
  assert_peers(t);
}

static void a_pong_whose_last_byte_is_left_is_in_time(void **state) {
  test_trio *t = *state;
  test_dir *d;

  test_pair(&t->w, &t->a, &t->b);
  d = dir(t, TEST_ACCEPTOR);
  d->stalled = true;
  advance(t, MS(1400));
  assert_int_equal(CMT_FRAME_SLOT, d->in_flight);
  d->read_max = CMT_FRAME_SLOT - 1;
  test_loop_pass(t->w.loop, S(3));
  d->stalled = false;
  test_loop_run_until_idle(t->w.loop);
  assert_peers(t);
}

/* An iteration reads 256 KiB of the three megabytes before it.  Each time that
   it is delayed counts for itself. */
static void a_pong_behind_much_else_is_in_time(void **state) {
  test_trio *t = *state;
  test_dir *d;

  test_pair(&t->w, &t->a, &t->b);
  d = dir(t, TEST_ACCEPTOR);
  for (int i = 0; i < 2; i++) {
    d->stalled = true;
    assert_cmt(CMT_OK, send_some(&t->b, 3 * MIB));
    advance(t, MS(1400));
    assert_true(d->in_flight > 3 * MIB);
    test_loop_pass(t->w.loop, S(30));
    d->stalled = false;
    test_loop_run_until_idle(t->w.loop);
    assert_peers(t);
  }
}

/* Without a pong in it, it puts nothing off for longer. */
static void what_lies_there_is_no_answer(void **state) {
  test_trio *t = *state;

  test_pair(&t->w, &t->a, &t->b);
  dir(t, TEST_DIALER)->stalled = true;
  dir(t, TEST_ACCEPTOR)->stalled = true;
  assert_cmt(CMT_OK, send_some(&t->b, 3 * MIB));
  advance(t, MS(1400));
  test_loop_pass(t->w.loop, S(30));
  dir(t, TEST_ACCEPTOR)->stalled = false;
  test_loop_run_until_idle(t->w.loop);
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&t->a));
  dir(t, TEST_DIALER)->stalled = false;
}

/* Nor does what comes after the deadline: there is always more to read. */
static void what_comes_later_puts_nothing_off(void **state) {
  test_trio *t = *state;

  test_pair(&t->w, &t->a, &t->b);
  dir(t, TEST_DIALER)->stalled = true;
  dir(t, TEST_ACCEPTOR)->stalled = true;
  advance(t, MS(1400));
  test_loop_pass(t->w.loop, S(1));
  dir(t, TEST_ACCEPTOR)->stalled = false;
  for (int i = 0; i < 100 && t->a.log_len == 0; i++) {
    (void)!send_some(&t->b, MIB);
    test_loop_step(t->w.loop);
  }
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&t->a));
  dir(t, TEST_DIALER)->stalled = false;
}

static void the_rest_of_a_message_is_in_time(void **state) {
  test_trio *t = *state;

  t->a.options.partial_message_max_ns = S(2);
  test_pair(&t->w, &t->a, &t->b);
  dir(t, TEST_ACCEPTOR)->cap = 20000;
  assert_cmt(CMT_OK, send_some(&t->b, 30000));
  for (int i = 0; i < 3; i++) {
    test_loop_step(t->w.loop);
  }
  dir(t, TEST_ACCEPTOR)->stalled = true;
  advance(t, MS(100));
  test_loop_pass(t->w.loop, S(5));
  dir(t, TEST_ACCEPTOR)->stalled = false;
  dir(t, TEST_ACCEPTOR)->cap = SIZE_MAX;
  test_loop_run_until_idle(t->w.loop);
  assert_peers(t);
}

/* Nobody runs for longer than the handshake may last, after any step of it. */
static void a_handshake_may_be_held_up_anywhere(void **state) {
  for (int steps = 0; steps < 30; steps++) {
    test_trio *t = *state;

    test_node_start(&t->b);
    test_node_start(&t->a);
    assert_cmt(CMT_OK, cmt_switch_dial(t->a.sw, t->b.addr, 0, NULL));
    for (int i = 0; i < steps; i++) {
      test_loop_step(t->w.loop);
    }
    test_loop_pass(t->w.loop, MS(2900));
    test_loop_run_until_idle(t->w.loop);
    assert_peers(t);
    test_trio_teardown(state);
    setup(state);
  }
}

static void a_connection_that_is_made_meanwhile_counts(void **state) {
  test_trio *t = *state;

  test_node_start(&t->b);
  test_node_start(&t->a);
  test_loop_set_connect(t->w.loop, strchr(t->b.addr, '@') + 1, CMT_EAGAIN);
  test_node_dial(&t->a, t->b.addr, 0);
  test_loop_set_connect(t->w.loop, strchr(t->b.addr, '@') + 1, CMT_OK);
  test_loop_pass(t->w.loop, S(10));
  test_loop_run_until_idle(t->w.loop);
  assert_peers(t);
}

/* What has come by the end of that, three megabytes, is read before A closes: a
   reset might overtake its last message.  The second time something was late
   before: a pong, which ends a flush that a limit delays. */
static void who_lingers_reads_what_has_come(void **state) {
  for (int late = 0; late < 2; late++) {
    test_trio *t = *state;

    t->a.options.send_rate = late ? 2000 : 0;
    test_pair(&t->w, &t->a, &t->b);
    dir(t, TEST_DIALER)->stalled = true;
    assert_cmt(CMT_OK, send_some(&t->a, late ? 60000 : 1));
    cmt_peer_stop(test_node_peer(&t->a), CMT_ECANCELED, S(10));
    advance(t, late ? MS(1500) : 0);
    assert_string_equal("remove chat CMT_ECANCELED\n", test_node_log(&t->a));
    dir(t, TEST_ACCEPTOR)->stalled = true;
    assert_cmt(CMT_OK, send_some(&t->b, 3 * MIB));
    test_loop_run_until_idle(t->w.loop);
    test_loop_pass(t->w.loop, S(5));
    dir(t, TEST_ACCEPTOR)->stalled = false;
    test_loop_run_until_idle(t->w.loop);
    assert_true(dir(t, TEST_ACCEPTOR)->read > 3 * MIB);
    assert_false(test_loop_conn(t->w.loop, 0)->open[TEST_DIALER]);
    dir(t, TEST_DIALER)->stalled = false;
    test_trio_teardown(state);
    setup(state);
  }
}

/* A callback for one peer delays the loop of the other. */
static void hold_up(test_part *part, cmt_peer *p, uint8_t channel,
                    cmt_buf *msg) {
  (void)p;
  (void)channel;
  (void)msg;
  test_loop_pass(part->node->world->loop, MS(1500));
}

static void a_slow_callback_costs_no_other_peer(void **state) {
  test_trio *t = *state;

  t->c.options.ping_interval_ns = S(1000);
  t->c.options.pong_timeout_ns = S(900);
  t->a.parts[0].on_receive = hold_up;
  test_pair(&t->w, &t->a, &t->b);
  test_node_start(&t->c);
  test_node_dial(&t->c, t->a.addr, 0);
  assert_int_equal(2, cmt_switch_peers(t->a.sw, NULL, 0));
  for (int i = 0; i < 40; i++) {
    assert_cmt(CMT_OK, send_some(&t->c, 10));
    advance(t, MS(130));
    assert_int_equal(2, cmt_switch_peers(t->a.sw, NULL, 0));
  }
}

/* A callback for the peer itself, until the very instant of a deadline; what
   has come meanwhile, or has gone, is looked at before that is judged. */
static void hold_until_late(test_part *part, cmt_peer *p, uint8_t channel,
                            cmt_buf *msg) {
  test_dir *d = part->arg;

  (void)p;
  (void)channel;
  (void)msg;
  d->stalled = false;
  test_loop_pass(part->node->world->loop, MS(100));
}

/* The pong is in the frame behind the message. */
static void a_callback_until_the_pong_is_late_costs_nothing(void **state) {
  test_trio *t = *state;
  test_dir *d;

  t->a.parts[0].on_receive = hold_until_late;
  test_pair(&t->w, &t->a, &t->b);
  d = dir(t, TEST_ACCEPTOR);
  t->a.parts[0].arg = d;
  d->stalled = true;
  d->read_max = CMT_FRAME_SLOT;
  assert_cmt(CMT_OK, send_some(&t->b, 10));
  advance(t, MS(1400));
  assert_int_equal(2 * CMT_FRAME_SLOT, d->in_flight);
  d->stalled = false;
  test_loop_run_until_idle(t->w.loop);
  assert_int_equal(0, d->in_flight);
  assert_peers(t);
  advance(t, MS(500));
  assert_peers(t);
}

static void a_callback_until_nothing_was_taken_costs_nothing(void **state) {
  test_trio *t = *state;
  test_dir *d;

  t->a.parts[0].on_receive = hold_until_late;
  test_pair(&t->w, &t->a, &t->b);
  d = dir(t, TEST_DIALER);
  t->a.parts[0].arg = d;
  d->cap = 5000;
  d->stalled = true;
  assert_cmt(CMT_OK, send_some(&t->a, 60000));
  advance(t, MS(2400));
  assert_cmt(CMT_OK, send_some(&t->b, 10));
  test_loop_run_until_idle(t->w.loop);
  assert_peers(t);
  assert_int_equal(0, d->in_flight);
}

/* ---- what there is room for goes first ---- */

static void note_sent(void *arg, cmt_err status, cmt_buf *msg) {
  *(cmt_err *)arg = status;
  cmt_buf_unref(msg);
}

static void a_send_whose_time_is_over_gets_the_room_there_is(void **state) {
  test_trio *t = *state;
  cmt_err status = CMT_EAGAIN;
  cmt_send_req req = CMT_SEND_REQ(MS(400), note_sent, &status);
  cmt_buf *msg = cmt_buf_new(&t->w.env.env, 10);

  t->a.parts[0].channels[0].send_queue = 1;
  test_pair(&t->w, &t->a, &t->b);
  dir(t, TEST_DIALER)->cap = 0;
  assert_cmt(CMT_OK, send_some(&t->a, 10));
  test_loop_run_until_idle(t->w.loop);
  while (send_some(&t->a, 10) == CMT_OK) {
    test_loop_run_until_idle(t->w.loop);
  }
  memset(cmt_buf_data(msg), 1, 10);
  assert_cmt(CMT_OK,
             cmt_peer_send_async(test_node_peer(&t->a), TEST_CHAT, msg, &req));
  test_loop_run_until_idle(t->w.loop);
  assert_cmt(CMT_EAGAIN, status);
  test_loop_pass(t->w.loop, MS(600));
  dir(t, TEST_DIALER)->cap = SIZE_MAX;
  test_loop_run_until_idle(t->w.loop);
  assert_cmt(CMT_OK, status);
}

static void a_flush_that_is_over_writes_what_the_socket_takes(void **state) {
  test_trio *t = *state;

  t->b.quiet = false;
  test_pair(&t->w, &t->a, &t->b);
  dir(t, TEST_DIALER)->cap = 0;
  assert_cmt(CMT_OK, test_node_send(&t->a, TEST_CHAT, "one"));
  test_loop_run_until_idle(t->w.loop);
  assert_cmt(CMT_OK, test_node_send(&t->a, TEST_CHAT, "two"));
  cmt_peer_stop(test_node_peer(&t->a), CMT_ECANCELED, MS(200));
  test_loop_run_until_idle(t->w.loop);
  test_loop_pass(t->w.loop, MS(400));
  dir(t, TEST_DIALER)->cap = SIZE_MAX;
  test_loop_run_until_idle(t->w.loop);
  assert_string_equal("receive chat 51 one\nreceive chat 51 two\n"
                      "remove chat CMT_EEOF\n",
                      test_node_log(&t->b));
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_reader_that_stops_at_any_moment_ends),
    TEST(a_slow_reader_stays),
    TEST(who_is_not_read_is_not_ended),
    TEST(a_peer_that_reports_not_to_read_has_longer),
    TEST(what_was_acknowledged_counts_as_taken),
    TEST(the_socket_is_asked_four_times_a_span),
    TEST(the_least_progress_counts_in_time),
    TEST(an_earlier_watch_does_not_count_for_this_one),
    TEST(an_old_sample_does_not_count),
    TEST(at_the_end_it_is_written_to_once_more),
    TEST(at_the_end_it_is_asked_once_more),
    TEST(who_is_not_asked_is_stuck_in_time),
    TEST(a_watch_goes_on_when_a_write_failed),
    TEST(without_pings_the_kernel_has_no_timeout),
    TEST(a_pause_is_borne_by_the_kernel_in_time),
    TEST(a_timeout_of_the_kernel_reports_the_same),
    TEST(the_kernel_that_gives_up_is_right_about_the_time),
    TEST(a_pong_that_lies_in_the_socket_is_in_time),
    TEST(a_pong_whose_last_byte_is_left_is_in_time),
    TEST(a_pong_behind_much_else_is_in_time),
    TEST(what_lies_there_is_no_answer),
    TEST(what_comes_later_puts_nothing_off),
    TEST(the_rest_of_a_message_is_in_time),
    TEST(a_handshake_may_be_held_up_anywhere),
    TEST(a_connection_that_is_made_meanwhile_counts),
    TEST(who_lingers_reads_what_has_come),
    TEST(a_slow_callback_costs_no_other_peer),
    TEST(a_callback_until_the_pong_is_late_costs_nothing),
    TEST(a_callback_until_nothing_was_taken_costs_nothing),
    TEST(a_send_whose_time_is_over_gets_the_room_there_is),
    TEST(a_flush_that_is_over_writes_what_the_socket_takes),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
