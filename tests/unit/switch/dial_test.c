/* SPDX-License-Identifier: Apache-2.0 */

/* Dials as objects, in virtual time: schedules, outcomes, lists, refusals. */

#include "dial_fixture.h"

/* ---- schedules ---- */

static void the_schedule_is_exact(void **state) {
  static const uint64_t seconds[] = {2, 6, 10, 10, 10};
  fixture *f = *state;

  f->o.retry_delay_ns = CMT_SECONDS(2);
  f->o.retry_factor_percent = 300;
  f->o.retry_delay_max_ns = CMT_SECONDS(10);
  test_node_start(&f->a);
  dial(f);
  for (size_t i = 0; i < CMT__COUNT(seconds); i++) {
    cmt_dial_status st = status_of(f);

    assert_int_equal(i + 1, f->count);
    assert_int_equal(CMT_DIAL_WAITING, st.state);
    assert_int_equal(now_of(f) + CMT_SECONDS(seconds[i]), st.next_ns);
    assert_int_equal(i + 1, st.failures);
    test_loop_advance(f->w.loop, CMT_SECONDS(seconds[i]) - 1);
    assert_int_equal(i + 1, f->count);
    test_loop_advance(f->w.loop, 1);
    assert_int_equal(st.next_ns, f->at_ns[i + 1]);
  }
}

static void the_default_is_five_seconds_and_up_to_three(void **state) {
  fixture *f = *state;
  uint64_t low = CMT_NEVER, high = 0;

  f->o.retry_jitter_ns = 0;
  test_node_start(&f->a);
  dial(f);
  while (f->count < 50) {
    uint64_t gap = status_of(f).next_ns - now_of(f);

    low = cmt__min64(low, gap);
    high = cmt__max64(high, gap);
    test_loop_advance(f->w.loop, gap);
  }
  assert_in_range(low, CMT_SECONDS(5), CMT_MILLISECONDS(5500));
  assert_in_range(high, CMT_MILLISECONDS(7500), CMT_SECONDS(8) - 1);
}

static void a_peer_begins_the_schedule_again(void **state) {
  fixture *f = *state;
  cmt_dial_status st;

  f->o.retry_factor_percent = 200;
  test_node_start(&f->a);
  dial(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(5));
  assert_int_equal(2, status_of(f).failures);
  test_node_start(&f->b);
  test_loop_advance(f->w.loop, CMT_SECONDS(10));
  st = status_of(f);
  assert_int_equal(CMT_DIAL_CONNECTED, st.state);
  assert_int_equal(0, st.failures);
  assert_int_equal(CMT_NEVER, st.next_ns);
  assert_int_equal(3, st.attempts);
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->w.loop);
  st = status_of(f);
  assert_int_equal(CMT_DIAL_WAITING, st.state);
  assert_int_equal(now_of(f) + CMT_SECONDS(5), st.next_ns);
}

/* ---- outcomes ---- */

static void outcome_has_the_time_of_each_part(void **state) {
  fixture *f = *state;
  uint64_t began_ns, took_ns;

  test_node_start(&f->a);
  test_node_start(&f->b);
  assert_cmt(CMT_OK,
             cmt_switch_dial_new(f->a.sw, f->at, &f->o, &f->dial, NULL));
  began_ns = now_of(f);
  while (f->count == 0) { /* Each step takes a millisecond. */
    test_loop_step(f->w.loop);
    test_loop_pass(f->w.loop, CMT_MILLISECONDS(1));
  }
  took_ns = f->at_ns[0] - began_ns;
  assert_cmt(CMT_OK, f->last.why.err);
  assert_in_range(f->last.connect_ns, 1, took_ns);
  assert_in_range(f->last.secret_ns, CMT_MILLISECONDS(2), took_ns);
  assert_in_range(f->last.info_ns, 1, took_ns);
  assert_in_range(f->last.connect_ns + f->last.secret_ns + f->last.info_ns,
                  CMT_MILLISECONDS(3), took_ns);
}

static void outcome_of_a_failure_has_no_times(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  dial(f);
  assert_cmt(CMT_EREFUSED, f->last.why.err);
  assert_int_equal(0, f->last.connect_ns);
  assert_int_equal(0, f->last.secret_ns);
  assert_int_equal(0, f->last.info_ns);
}

static void each_attempt_has_one_outcome(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  dial(f);
  for (uint64_t i = 1; i < 5; i++) {
    assert_int_equal(i, f->count);
    assert_int_equal(i, f->last.attempt);
    assert_cmt(CMT_EREFUSED, f->last.why.err);
    assert_true(f->last.redials);
    assert_string_equal("10.0.0.2:26656", f->remote);
    assert_string_equal("", f->found.text);
    assert_string_equal("rejected outbound transport CMT_EREFUSED redials\n",
                        test_node_log(&f->a));
    test_loop_advance(f->w.loop, CMT_SECONDS(5));
  }
  (void)test_node_log(&f->a);
  test_node_start(&f->b);
  test_loop_advance(f->w.loop, CMT_SECONDS(5));
  assert_int_equal(6, f->count);
  assert_cmt(CMT_OK, f->last.why.err);
  assert_true(f->last.redials);
  assert_string_equal(f->id.text, f->found.text);
  assert_int_equal(strlen("init chat\n"), f->log_len); /* Before add_peer. */
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->a));
  test_loop_advance(f->w.loop, CMT_SECONDS(60));
  assert_int_equal(6, f->count);
}

static void a_dial_without_a_handle_has_outcomes_too(void **state) {
  fixture *f = *state;

  f->owned = false;
  f->o.persistent = false;
  test_node_start(&f->a);
  assert_cmt(CMT_OK, cmt_switch_dial_new(f->a.sw, f->at, &f->o, NULL, NULL));
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(1, f->count);
  assert_int_equal(0, cmt_switch_dials(f->a.sw, NULL, 0));
}

static void an_outcome_has_who_was_found(void **state) {
  fixture *f = *state;

  f->o.persistent = false;
  snprintf(f->at, sizeof f->at, OTHER "@10.0.0.2:26656");
  test_node_start(&f->a);
  test_node_start(&f->b);
  dial(f);
  assert_int_equal(1, f->count);
  assert_cmt(CMT_EWRONGID, f->last.why.err);
  assert_int_equal(CMT_STAGE_SECRET_CONNECTION, f->last.why.stage);
  assert_string_equal(f->id.text, f->found.text);
  assert_false(f->last.redials);
  assert_int_equal(CMT_DIAL_ENDED, status_of(f).state);
  assert_cmt(CMT_EWRONGID, status_of(f).last.err);
  cmt_dial_cancel(f->dial);
}

static void an_attempt_that_cannot_begin_has_an_outcome_too(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->at, 0);
  dial(f);
  assert_int_equal(1, f->count);
  assert_cmt(CMT_EDUPLICATE, f->last.why.err);
  assert_true(f->last.redials);
  assert_int_equal(CMT_DIAL_CONNECTED, status_of(f).state);
  assert_int_equal(1, status_of(f).attempts);
}

static void a_stop_is_the_outcome_of_what_is_under_way(void **state) {
  fixture *f = *state;

  test_loop_set_connect(f->w.loop, "10.0.0.2:26656", CMT_EAGAIN);
  test_node_start(&f->a);
  dial(f);
  assert_int_equal(CMT_DIAL_CONNECTING, status_of(f).state);
  cmt_switch_stop(f->a.sw, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(1, f->count);
  assert_cmt(CMT_ECANCELED, f->last.why.err);
  assert_false(f->last.redials);
  assert_int_equal(CMT_DIAL_ENDED, status_of(f).state);
  assert_true(cmt__switch_is_finished(f->a.sw));
  cmt_dial_cancel(f->dial); /* The loop looks at nothing any more. */
  assert_int_equal(0, cmt_switch_dials(f->a.sw, NULL, 0));
}

/* ---- one intent for an id ---- */

static void an_id_has_one_persistent_dial(void **state) {
  fixture *f = *state;
  char other[CMT_NET_ADDR_TEXT_SIZE], expected[400];
  cmt_dial *second;
  cmt_why why;

  test_node_start(&f->a);
  snprintf(other, sizeof other, "%s@b.test:1", f->id.text);
  for (int idle = 0; idle < 2; idle++) {
    assert_cmt(CMT_OK,
               cmt_switch_dial_new(f->a.sw, f->at, &f->o, &f->dial, NULL));
    if (idle) {
      test_loop_run_until_idle(f->w.loop);
    }
    assert_cmt(CMT_EDUPLICATE,
               cmt_switch_dial_new(f->a.sw, other, &f->o, &second, &why));
    assert_null(second);
    snprintf(expected, sizeof expected,
             "a persistent dial of the node exists: %s", f->at);
    assert_string_equal(expected, why.text);
    assert_cmt(CMT_EDUPLICATE,
               cmt_switch_dial(f->a.sw, other, CMT_DIAL_PERSISTENT, NULL));
    assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, other, 0, NULL));
    cmt_dial_cancel(f->dial);
  }
  dial(f);
}

/* ---- caps ---- */

static void an_unconditional_dial_passes_the_caps(void **state) {
  fixture *f = *state;
  uint64_t most;

  f->a.options.outbound_peers_max = CMT_NO_PEERS;
  test_node_start(&f->a);
  test_node_start(&f->b);
  dial(f);
  assert_cmt(CMT_ELIMIT, f->last.why.err);
  most = cmt_switch_memory_max(f->a.sw);
  cmt_dial_cancel(f->dial);
  f->o.unconditional = true;
  dial(f);
  assert_true(cmt_switch_memory_max(f->a.sw) > most + (1 << 18));
  assert_cmt(CMT_OK, f->last.why.err);
  assert_true(status_of(f).unconditional);
}

static void its_node_passes_them_when_it_comes_by_itself(void **state) {
  fixture *f = *state;

  f->a.options.outbound_peers_max = CMT_NO_PEERS;
  f->a.options.inbound_peers_max = CMT_NO_PEERS;
  f->o.unconditional = true;
  test_node_start(&f->a);
  dial(f); /* Nobody is there. */
  test_node_start(&f->b);
  test_node_dial(&f->b, f->a.addr, 0);
  assert_false(cmt_peer_is_outbound(test_node_peer(&f->a)));
  cmt_dial_cancel(f->dial);
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->w.loop);
  (void)test_node_log(&f->a);
  test_node_dial(&f->b, f->a.addr, 0);
  assert_string_equal("rejected inbound filter CMT_ELIMIT\n",
                      test_node_log(&f->a));
}

/* ---- lists ---- */

static void all_dials_are_listed(void **state) {
  fixture *f = *state;
  cmt_dial_status list[4];
  unsigned states = 0;

  test_loop_set_connect(f->w.loop, "10.0.0.9:1", CMT_EAGAIN);
  test_node_start(&f->a);
  test_node_start(&f->b);
  dial(f);
  test_node_dial(&f->a, OTHER "@10.0.0.9:1", CMT_DIAL_PERSISTENT);
  test_node_dial(&f->a, "1" OTHER_TAIL "@10.0.0.3:1", CMT_DIAL_PERSISTENT);
  test_node_dial(&f->a, "2" OTHER_TAIL "@10.0.0.3:1", 0); /* It has ended. */
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, "3" OTHER_TAIL "@10.0.0.3:1",
                                     CMT_DIAL_UNCONDITIONAL, NULL));
  assert_int_equal(4, cmt_switch_dials(f->a.sw, list, 4));
  for (size_t i = 0; i < CMT__COUNT(list); i++) {
    const cmt_dial_status *st = &list[i];

    assert_int_equal(sizeof *st, st->size);
    states |= 1U << st->state;
    assert_int_equal(st->state == CMT_DIAL_WAITING, st->next_ns != CMT_NEVER);
    assert_int_equal(st->state == CMT_DIAL_QUEUED, st->unconditional);
    assert_int_equal(st->state != CMT_DIAL_QUEUED, st->persistent);
    assert_int_equal(st->state == CMT_DIAL_QUEUED ? 0 : 1, st->attempts);
    assert_cmt(st->state == CMT_DIAL_WAITING ? CMT_EREFUSED : CMT_OK,
               st->last.err);
    assert_memory_equal(st->id.text, st->addr, strlen(st->id.text));
  }
  assert_int_equal(1U << CMT_DIAL_QUEUED | 1U << CMT_DIAL_WAITING |
                     1U << CMT_DIAL_CONNECTING | 1U << CMT_DIAL_CONNECTED,
                   states);
}

/* A program may know fewer fields, or more. */
static void elements_have_the_size_of_the_caller(void **state) {
  enum { SMALL = 16, LARGE = sizeof(cmt_dial_status) + 8 };
  fixture *f = *state;
  union {
    cmt_dial_status align;
    uint8_t bytes[3 * LARGE];
  } room;

  test_node_start(&f->a);
  test_node_dial(&f->a, f->at, CMT_DIAL_PERSISTENT);
  test_node_dial(&f->a, OTHER "@10.0.0.3:1", CMT_DIAL_PERSISTENT);
  for (size_t size = SMALL; size <= LARGE; size += LARGE - SMALL) {
    memset(&room, 0xab, sizeof room);
    assert_int_equal(2, cmt_switch_dials_sized(f->a.sw, &room.align, 3, size));
    for (size_t i = 0; i < 2; i++) {
      size_t known;
      cmt_dial_state found;

      memcpy(&known, room.bytes + i * size, sizeof known);
      memcpy(&found, room.bytes + i * size + sizeof known, sizeof found);
      assert_int_equal(size, known);
      assert_int_equal(CMT_DIAL_WAITING, found);
    }
    assert_int_equal(0xab, room.bytes[2 * size]);
  }
  assert_int_equal(2, cmt_switch_dials(f->a.sw, &room.align, 1));
  assert_int_equal(2, cmt_switch_dials(f->a.sw, NULL, 1));
}

/* ---- refusals ---- */

typedef struct row {
  const char *text;
  size_t offset;
  uint64_t value;
  bool is_small;
} row;

static void a_wrong_option_is_named(void **state) {
#define AT(name) offsetof(cmt_dial_options, name)
  static const row rows[] = {
    {"retry_delay_ns is 999999, allowed is 1000000 to 31622400000000000 ns",
     AT(retry_delay_ns), 999999, false},
    {"retry_delay_max_ns is 4999999999, allowed is 5000000000 to "
     "31622400000000000 ns",
     AT(retry_delay_max_ns), 4999999999, false},
    {"retry_jitter_ns is 31622400000000001, allowed is 1000000 to "
     "31622400000000000 ns",
     AT(retry_jitter_ns), 31622400000000001, false},
    {"retry_factor_percent is 99, allowed is 100 to 1000",
     AT(retry_factor_percent), 99, true},
    {"retry_factor_percent is 1001, allowed is 100 to 1000",
     AT(retry_factor_percent), 1001, true},
  };
#undef AT
  fixture *f = *state;
  cmt_why why;

  assert_cmt(CMT_OK, test_node_new(&f->a, NULL));
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt_dial_options o = f->o;
    uint32_t small = (uint32_t)rows[i].value;

    memcpy((uint8_t *)&o + rows[i].offset,
           rows[i].is_small ? (const void *)&small : &rows[i].value,
           rows[i].is_small ? sizeof small : sizeof rows[i].value);
    assert_cmt(CMT_EINVAL,
               cmt_switch_dial_new(f->a.sw, f->at, &o, &f->dial, &why));
    assert_string_equal(rows[i].text, why.text);
    assert_null(f->dial);
  }
  memset(&f->o.persistent, 0xab, sizeof f->o.persistent);
  assert_cmt(CMT_EINVAL,
             cmt_switch_dial_new(f->a.sw, f->at, &f->o, NULL, &why));
  assert_string_equal("persistent, unconditional or feeler is neither true nor "
                      "false: use the init macro",
                      why.text);
}

/* What is allowed at the most and at the least, and what 0 stands for. */
static void each_option_has_its_range(void **state) {
  const uint64_t ms = CMT_MILLISECONDS(1), year = CMT_SECONDS(366 * 86400);
  const cmt_dial_options rows[] = {
    {.retry_delay_ns = ms, .retry_delay_max_ns = ms, .retry_jitter_ns = ms},
    {.retry_delay_ns = year, .retry_jitter_ns = year},
    {.retry_delay_max_ns = year, .retry_factor_percent = 1000},
    {.retry_factor_percent = 100},
  };
  fixture *f = *state;

  test_node_start(&f->a);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt_dial_options o;
    cmt_why why;

    cmt_dial_options_init(&o);
    o.retry_delay_ns = rows[i].retry_delay_ns;
    o.retry_delay_max_ns = rows[i].retry_delay_max_ns;
    o.retry_jitter_ns = rows[i].retry_jitter_ns;
    o.retry_factor_percent = rows[i].retry_factor_percent;
    if (cmt_switch_dial_new(f->a.sw, f->at, &o, &f->dial, &why) != CMT_OK) {
      fail_msg("%s", why.text);
    }
    cmt_dial_cancel(f->dial);
    test_loop_run_until_idle(f->w.loop);
  }
}

static void the_defaults_are_these(void **state) {
  cmt_dial_options o;

  (void)state;
  cmt_dial_options_init(&o);
  assert_int_equal(CMT_SECONDS(5), o.retry_delay_ns);
  assert_int_equal(CMT_SECONDS(3), o.retry_jitter_ns);
  assert_int_equal(0, o.retry_delay_max_ns);
  assert_int_equal(100, o.retry_factor_percent);
  assert_false(o.persistent || o.unconditional);
}

/* Without a most of its own it is an hour. */
static void an_hour_is_the_most_by_default(void **state) {
  fixture *f = *state;

  f->o.retry_delay_ns = CMT_SECONDS(1200);
  f->o.retry_factor_percent = 1000;
  test_node_start(&f->a);
  dial(f);
  assert_int_equal(now_of(f) + CMT_SECONDS(1200), status_of(f).next_ns);
  test_loop_advance(f->w.loop, CMT_SECONDS(1200));
  assert_int_equal(now_of(f) + CMT_SECONDS(3600), status_of(f).next_ns);
}

/* Each delay is multiplied to the nanosecond, below it is cut off, and the
   longest are not more than 64 bits can hold. */
static void delays_grow_to_the_nanosecond(void **state) {
  static const struct {
    uint64_t delay_ns;
    uint32_t percent;
    uint64_t next_ns;
  } rows[] = {
    {1000051, 150, 1500076},
    {1000099, 101, 1010099},
    {31622399999999999, 1000, 31622400000000000},
  };

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    fixture *f = *state;

    f->o.retry_delay_ns = rows[i].delay_ns;
    f->o.retry_delay_max_ns = CMT_SECONDS(366 * 86400);
    f->o.retry_factor_percent = rows[i].percent;
    test_node_start(&f->a);
    dial(f);
    assert_int_equal(now_of(f) + rows[i].delay_ns, status_of(f).next_ns);
    test_loop_advance(f->w.loop, rows[i].delay_ns);
    assert_int_equal(now_of(f) + rows[i].next_ns, status_of(f).next_ns);
    teardown(state);
    setup(state);
  }
}

static void a_dial_reports_why_it_is_refused(void **state) {
  fixture *f = *state;
  cmt_why why;

  test_node_start(&f->a);
  assert_cmt(CMT_EINVAL, cmt_switch_dial(NULL, f->at, 0, &why));
  assert_string_equal("the switch is NULL", why.text);
  assert_cmt(CMT_EINVAL, cmt_switch_dial(f->a.sw, "10.0.0.2:1", 0, &why));
  assert_non_null(strstr(why.text, "10.0.0.2:1"));
  assert_cmt(CMT_EINVAL, cmt_switch_dial(f->a.sw, f->at, 4, &why));
  assert_string_equal("flags are 0x4, allowed are 0x3", why.text);
  cmt_switch_stop(f->a.sw, 0);
  assert_cmt(CMT_ECLOSED, cmt_switch_dial(f->a.sw, f->at, 0, &why));
  assert_string_equal("the switch is stopping", why.text);
  assert_cmt(CMT_ECLOSED, cmt_switch_dial(f->a.sw, f->at, 0, NULL));
}

/* The n-th allocation fails, for each n. */
static void without_memory_nothing_is_lost(void **state) {
  fixture *f = *state;
  bool lacked = true;

  test_node_start(&f->a);
  for (size_t n = 0; lacked; n++) {
    cmt_why why = {.err = CMT_OK};
    cmt_err err;

    f->w.env.fail_at = f->w.env.allocs + n;
    err = cmt_switch_dial_new(f->a.sw, f->at, &f->o, &f->dial, &why);
    assert_cmt(err, why.err);
    test_loop_run_until_idle(f->w.loop);
    lacked = f->w.env.allocs > f->w.env.fail_at;
    f->w.env.fail_at = SIZE_MAX;
    if (err == CMT_OK) {
      assert_int_equal(1, status_of(f).attempts);
      assert_int_equal(1, f->count);
      f->count = 0;
    }
    cmt_dial_cancel(f->dial);
    test_loop_run_until_idle(f->w.loop);
    assert_int_equal(0, cmt_switch_dials(f->a.sw, NULL, 0));
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(the_schedule_is_exact),
    TEST(the_default_is_five_seconds_and_up_to_three),
    TEST(a_peer_begins_the_schedule_again),
    TEST(outcome_has_the_time_of_each_part),
    TEST(outcome_of_a_failure_has_no_times),
    TEST(each_attempt_has_one_outcome),
    TEST(a_dial_without_a_handle_has_outcomes_too),
    TEST(an_outcome_has_who_was_found),
    TEST(an_attempt_that_cannot_begin_has_an_outcome_too),
    TEST(a_stop_is_the_outcome_of_what_is_under_way),
    TEST(an_id_has_one_persistent_dial),
    TEST(an_unconditional_dial_passes_the_caps),
    TEST(its_node_passes_them_when_it_comes_by_itself),
    TEST(all_dials_are_listed),
    TEST(elements_have_the_size_of_the_caller),
    TEST(a_wrong_option_is_named),
    TEST(each_option_has_its_range),
    TEST(the_defaults_are_these),
    TEST(an_hour_is_the_most_by_default),
    TEST(delays_grow_to_the_nanosecond),
    TEST(a_dial_reports_why_it_is_refused),
    TEST(without_memory_nothing_is_lost),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
