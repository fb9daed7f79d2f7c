/* SPDX-License-Identifier: Apache-2.0 */

/* The clocks of pings by themselves, without a multiplexer around them: what is
   due when, and where a ping ends in the output. */

#include "core/wire/wire.h"
#include "test.h"

enum { INTERVAL = 1000, TIMEOUT = 400, SPAN = INTERVAL + TIMEOUT, BEGIN = 50 };

typedef struct fixture {
  cmt__ping ping;
  uint64_t rules_state[32];
  uint8_t bytes[64];
  cmt__batch batch;
} fixture;

static void fixture_init(fixture *f, cmt_wire wire) {
  memset(f, 0, sizeof *f);
  f->ping.rules = cmt__wire_of(wire)->pings;
  assert_true(f->ping.rules->state_size <= sizeof f->rules_state);
  f->ping.rules_state = f->rules_state;
  f->ping.interval_ns = INTERVAL;
  f->ping.timeout_ns = TIMEOUT;
  f->batch = cmt__batch_plain(NULL, f->bytes, sizeof f->bytes);
  cmt__ping_start(&f->ping, 100, BEGIN);
}

static const cmt_wire wires[] = {CMT_WIRE_COMETBFT, CMT_WIRE_LEGACY};

static void the_first_ping_is_due_after_an_interval(void **state) {
  fixture f;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(wires); i++) {
    fixture_init(&f, wires[i]);
    assert_int_equal(BEGIN + INTERVAL, f.ping.rules->deadline(&f.ping));
    assert_false(f.ping.rules->tick(&f.ping, BEGIN + INTERVAL - 1));
    assert_false(cmt__ping_wants_write(&f.ping, false));
    assert_true(f.ping.rules->tick(&f.ping, BEGIN + INTERVAL));
    assert_true(cmt__ping_wants_write(&f.ping, true));
    assert_int_equal(CMT__PING_DUE, f.ping.state);
    assert_int_equal(CMT_NEVER, cmt__ping_late_ns(&f.ping));
  }
}

/* Other bytes wait before the output from the start. */
static void an_output_is_watched_from_the_start_or_from_a_ping(void **state) {
  fixture f;

  (void)state;
  fixture_init(&f, CMT_WIRE_LEGACY);
  assert_int_equal(CMT_NEVER, cmt__ping_stuck_ns(&f.ping));
  f.ping.behind = true;
  assert_int_equal(BEGIN + INTERVAL + SPAN, cmt__ping_stuck_ns(&f.ping));
  f.ping.interval_ns = CMT_NEVER; /* Then none is due. */
  assert_int_equal(CMT_NEVER, cmt__ping_stuck_ns(&f.ping));

  fixture_init(&f, CMT_WIRE_COMETBFT);
  f.ping.behind = true;
  assert_int_equal(CMT_NEVER, cmt__ping_stuck_ns(&f.ping));
  assert_cmt(CMT_OK, cmt__ping_ask(&f.ping, 70));
  assert_cmt(CMT_EAGAIN, cmt__ping_ask(&f.ping, 71));
  assert_int_equal(70, cmt__ping_stuck_since_ns(&f.ping));
  assert_int_equal(70 + SPAN, cmt__ping_stuck_ns(&f.ping));
  f.ping.interval_ns = CMT_NEVER;
  assert_int_equal(70 + TIMEOUT + TIMEOUT, cmt__ping_stuck_ns(&f.ping));
  f.ping.interval_ns = INTERVAL;
  cmt__ping_moved(&f.ping, 90);
  assert_int_equal(90 + SPAN, cmt__ping_stuck_ns(&f.ping));
  f.ping.behind = false;
  assert_int_equal(CMT_NEVER, cmt__ping_stuck_ns(&f.ping));
  f.ping.filled = 1;
  assert_int_equal(90 + SPAN, cmt__ping_stuck_ns(&f.ping));
}

/* By each pong that was not asked for, but six spans in all. */
static void an_excuse_makes_the_watch_longer(void **state) {
  static const struct {
    uint64_t at, stuck;
  } rows[] = {
    {69, 70 + SPAN},
    {70, 70 + SPAN},
    {71, 71 + SPAN},
    {70 + 4 * SPAN, 70 + 5 * SPAN},
    {70 + 5 * SPAN - 1, 70 + 6 * SPAN - 1},
    {70 + 5 * SPAN, 70 + 6 * SPAN},
    {70 + 5 * SPAN + 1, 70 + 6 * SPAN},
    {70 + 60 * SPAN, 70 + 6 * SPAN},
  };
  uint64_t rtt_ns;
  fixture f;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    fixture_init(&f, CMT_WIRE_COMETBFT);
    f.ping.behind = true;
    assert_cmt(CMT_OK, cmt__ping_ask(&f.ping, 70));
    assert_false(cmt__ping_is_excused(&f.ping));
    assert_false(cmt__ping_pong_came(&f.ping, rows[i].at, &rtt_ns));
    assert_true(cmt__ping_is_excused(&f.ping));
    assert_int_equal(rows[i].stuck, cmt__ping_stuck_ns(&f.ping));
    cmt__ping_moved(&f.ping, rows[i].at);
    assert_true(cmt__ping_is_excused(&f.ping));
    cmt__ping_moved(&f.ping, rows[i].at + 1);
    assert_false(cmt__ping_is_excused(&f.ping));
  }
  fixture_init(&f, CMT_WIRE_COMETBFT);
  f.ping.moved_ns = 0; /* An excuse needs a pong all the same. */
  assert_false(cmt__ping_is_excused(&f.ping));
  /* Times that are too long to be counted six times. */
  f.ping.behind = true;
  f.ping.timeout_ns = CMT_NEVER / 6;
  f.ping.interval_ns = 1;
  assert_cmt(CMT_OK, cmt__ping_ask(&f.ping, 70));
  assert_false(cmt__ping_pong_came(&f.ping, 71, &rtt_ns));
  assert_int_equal(70 + CMT_NEVER / 6 + 1, cmt__ping_stuck_ns(&f.ping));
  f.ping.timeout_ns = CMT_NEVER / 6 - 2;
  assert_int_equal(71 + CMT_NEVER / 6 - 1, cmt__ping_stuck_ns(&f.ping));
}

/* The batch begins behind ten bytes, and three more were in the output. */
static void a_ping_ends_where_its_last_byte_is(void **state) {
  static const uint8_t before[10];
  uint64_t rtt_ns = 0;
  fixture f;

  (void)state;
  for (int with_pong = 0; with_pong < 2; with_pong++) {
    uint64_t end = 13 + 3 + (with_pong ? 3 : 0);

    fixture_init(&f, CMT_WIRE_COMETBFT);
    f.ping.taken = f.ping.filled = 13;
    cmt__batch_write(&f.batch, before, sizeof before);
    assert_cmt(CMT_OK, cmt__ping_ask(&f.ping, 70));
    if (with_pong) {
      assert_cmt(CMT_OK, f.ping.rules->ping_came(&f.ping, 70));
    }
    cmt__ping_fill(&f.ping, &f.batch, true, 80);
    assert_int_equal(CMT__PING_FILLED, f.ping.state);
    assert_int_equal(CMT__PONG_NONE, f.ping.pong);
    assert_int_equal(80, f.ping.moved_ns);
    assert_int_equal(end, f.ping.end);
    assert_int_equal(1, f.ping.sent);
    cmt__ping_messages(&f.ping, end, end + 5);
    assert_int_equal(end + 5, f.ping.filled);
    cmt__ping_taken(&f.ping, end - 1, 90);
    assert_int_equal(CMT__PING_FILLED, f.ping.state);
    assert_int_equal(CMT_NEVER, cmt__ping_late_ns(&f.ping));
    assert_int_equal(80 + SPAN, cmt__ping_stuck_ns(&f.ping));
    cmt__ping_taken(&f.ping, end, 100);
    assert_int_equal(CMT__PING_TAKEN, f.ping.state);
    assert_int_equal(100 + TIMEOUT, cmt__ping_late_ns(&f.ping));
    assert_int_equal(CMT_NEVER, cmt__ping_stuck_ns(&f.ping));
    assert_cmt(CMT_EAGAIN, cmt__ping_ask(&f.ping, 101));
    assert_true(cmt__ping_pong_came(&f.ping, 160, &rtt_ns));
    assert_int_equal(60, rtt_ns);
    assert_int_equal(CMT__PING_IDLE, f.ping.state);
    assert_false(cmt__ping_is_excused(&f.ping));
  }
}

/* 1,024 bytes that were consumed, by one call or by several. */
static void so_many_bytes_are_progress(void **state) {
  fixture f;

  (void)state;
  fixture_init(&f, CMT_WIRE_COMETBFT);
  f.ping.taken = f.ping.filled = UINT64_C(0xfffffff0); /* The low bits wrap. */
  cmt__ping_moved(&f.ping, 60);
  cmt__ping_messages(&f.ping, f.ping.filled, UINT64_C(0xfffffff0) + 5000);
  cmt__ping_taken(&f.ping, UINT64_C(0xfffffff0) + 500, 70);
  assert_int_equal(60, f.ping.moved_ns);
  cmt__ping_taken(&f.ping, UINT64_C(0xfffffff0) + 1023, 71);
  assert_int_equal(60, f.ping.moved_ns);
  assert_int_equal(UINT64_C(0xfffffff0) + 1023, f.ping.taken);
  cmt__ping_taken(&f.ping, UINT64_C(0xfffffff0) + 1024, 72);
  assert_int_equal(72, f.ping.moved_ns);
  cmt__ping_taken(&f.ping, UINT64_C(0xfffffff0) + 2047, 73);
  assert_int_equal(72, f.ping.moved_ns);
  cmt__ping_taken(&f.ping, UINT64_C(0xfffffff0) + 2048, 74);
  assert_int_equal(74, f.ping.moved_ns);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_first_ping_is_due_after_an_interval),
    cmocka_unit_test(an_output_is_watched_from_the_start_or_from_a_ping),
    cmocka_unit_test(an_excuse_makes_the_watch_longer),
    cmocka_unit_test(a_ping_ends_where_its_last_byte_is),
    cmocka_unit_test(so_many_bytes_are_progress),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
