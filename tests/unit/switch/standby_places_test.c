/* SPDX-License-Identifier: Apache-2.0 */

/* What counts as a sign of life of the first, and the places of both, in
   virtual time. */

#include "standby_user.h"

/* ---- signs ---- */

static const char *const replaced = "remove chat CMT_EDUPLICATE\n"
                                    "init chat\nadd chat inbound\n";

static void second_comes(standby_user *f) {
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
}

/* It has not read the ping.  What is queued for it does not delay it. */
static void who_speaks_and_answers_nothing_is_silent(void **state) {
  standby_user *f = *state;
  test_dir *to_a;

  standby_first_is_there(f);
  to_a = &test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR];
  to_a->stalled = true;
  to_a->cap = to_a->in_flight;
  for (int i = 0; i < 2; i++) {
    assert_cmt(CMT_OK, test_node_send(&f->b, TEST_CHAT, "are you there?"));
    standby_run_until_idle(f);
  }
  second_comes(f);
  standby_advance_ms(f, 1500);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "here I am"));
  standby_advance_ms(f, 1499);
  assert_string_equal("receive chat 51 here I am\n", test_node_log(&f->b));
  standby_advance_ms(f, 1);
  assert_string_equal(replaced, test_node_log(&f->b));
  to_a->stalled = false;
}

static void pongs_of_before_are_no_answer(void **state) {
  standby_user *f = *state;

  f->b.options.ping_interval_ns = CMT_SECONDS(10);
  f->b.options.pong_timeout_ns = CMT_SECONDS(9);
  standby_first_is_there(f);
  standby_advance_ms(f, 10000);
  standby_go_silent(f, 0, true);
  second_comes(f);
  standby_advance_ms(f, 2999);
  assert_string_equal("", test_node_log(&f->b));
  standby_advance_ms(f, 1);
  assert_string_equal(replaced, test_node_log(&f->b));
  standby_go_silent(f, 0, false);
}

/* Receives the next event of B; false: there is none. */
static bool take_event(standby_user *f, cmt_mailbox_event_kind expected) {
  cmt_mailbox *m = cmt_switch_mailbox(f->b.sw, "chat");
  cmt_mailbox_event ev;

  if (cmt_mailbox_next(m, &ev, 0) != CMT_OK) {
    return false;
  }
  assert_int_equal(expected, ev.kind);
  cmt_mailbox_done(m, &ev);
  standby_run_until_idle(f);
  return true;
}

/* Its end was not yet received from the mailbox when the second is looked
   at. */
static void a_first_whose_end_is_not_reported_yet_is_waited_for(void **state) {
  standby_user *f = *state;

  f->b.parts[0].delivery = CMT_DELIVER_MAILBOX;
  test_node_start(&f->b);
  test_node_start(&f->a);
  test_node_dial(&f->a, f->b.addr, 0);
  assert_true(take_event(f, CMT_EVENT_PEER_UP));
  standby_advance_ms(f, 100);
  second_comes(f);
  test_node_fini(&f->a);
  standby_advance_ms(f, 4000);
  assert_string_equal("init chat\n", test_node_log(&f->b));
  assert_int_equal(1, standby_handshakes(&f->b));
  assert_true(take_event(f, CMT_EVENT_PEER_GONE));
  assert_string_equal("init chat\n", test_node_log(&f->b));
  assert_int_equal(0, standby_handshakes(&f->b));
  assert_true(take_event(f, CMT_EVENT_PEER_UP));
  test_node_fini(&f->c);
  standby_run_until_idle(f);
  assert_true(take_event(f, CMT_EVENT_PEER_GONE));
  assert_false(take_event(f, CMT_EVENT_PEER_UP));
}

/* The second is the next peer then, and not looked at any more.  From another
   loop the end comes home a moment after the look. */
static void a_first_that_ends_when_it_is_looked_at_is_gone(void **state) {
  standby_user *f = *state;

  standby_first_is_there(f);
  second_comes(f);
  standby_advance_ms(f, 999);
  standby_go_silent(f, 0, true);
  test_node_fini(&f->a);
  test_loop_pass(f->w.loop, CMT_MILLISECONDS(1));
  standby_go_silent(f, 0, false);
  standby_run_until_idle(f);
  assert_string_equal(
    f->w.loop_count == 1
      ? "remove chat CMT_EEOF\ninit chat\nadd chat inbound\n"
      : "rejected inbound filter CMT_EDUPLICATE\nremove chat CMT_EEOF\n",
    test_node_log(&f->b));
}

/* ---- places ---- */

static const char *const one_more = "init chat\nadd chat inbound\n";

static void dials_from(standby_user *f, test_node *n, const char *source) {
  test_loop_set_source(f->w.loop, source);
  test_node_dial(n, f->b.addr, 0);
}

/* Each address may have one inbound peer, and a stranger has that of
   127.0.0.2. */
static void a_second_has_the_place_of_the_first(void **state) {
  static const struct {
    bool outbound; /* The first. */
    const char *source, *log;
    uint64_t standbys;
  } rows[] = {
    {false, "127.0.0.1", "", 1},
    {false, "127.0.0.2", "rejected inbound filter CMT_ELIMIT\n", 0},
    {false, "127.0.0.3", "", 1},
    {true, "127.0.0.1", "", 1},
    {true, "127.0.0.2", "", 1},
  };

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    standby_user *f = *state;
    test_node d;

    test_node_init(&d, &f->w);
    f->b.options.inbound_peers_per_ip_max = 1;
    test_node_start(&f->b);
    test_node_start(&f->a);
    test_node_start(&d);
    test_node_start(&f->c);
    test_node_dial(rows[i].outbound ? &f->b : &f->a,
                   rows[i].outbound ? f->a.addr : f->b.addr, 0);
    standby_advance_ms(f, 100);
    dials_from(f, &d, "127.0.0.2");
    assert_int_equal(2, cmt_switch_peers(f->b.sw, NULL, 0));
    (void)test_node_log(&f->b);
    dials_from(f, &f->c, rows[i].source);
    assert_string_equal(rows[i].log, test_node_log(&f->b));
    assert_int_equal(rows[i].standbys, standby_handshakes(&f->b));
    test_node_fini(&d);
    standby_teardown(state);
    standby_setup(state);
  }
}

/* Places of handshakes are for others. */
static void a_standby_has_no_place_of_a_handshake(void **state) {
  standby_user *f = *state;
  test_node d;

  f->b.options.handshakes_max = 1;
  standby_second_dials(f);
  test_node_init(&d, &f->w);
  test_node_start(&d);
  test_node_dial(&d, f->b.addr, 0);
  assert_string_equal(one_more, test_node_log(&f->b));
  assert_int_equal(1, standby_handshakes(&f->b));
  test_node_fini(&d);
}

/* Whoever has taken over the outbound place has no inbound one, and gives back
   the one it has. */
static void a_place_that_was_taken_over_is_given_back(void **state) {
  standby_user *f = *state;
  test_node d;

  f->b.options.inbound_peers_max = 1;
  f->b.options.outbound_peers_max = 1;
  test_node_init(&d, &f->w);
  test_node_start(&d);
  test_node_start(&f->b);
  test_node_start(&f->a);
  test_node_dial(&f->b, f->a.addr, 0);
  standby_advance_ms(f, 100);
  second_comes(f);
  (void)test_node_log(&f->b);
  test_node_fini(&f->a);
  standby_run_until_idle(f);
  assert_string_equal("remove chat CMT_EEOF\ninit chat\nadd chat inbound\n",
                      test_node_log(&f->b));
  assert_cmt(CMT_OK, cmt_switch_dial(f->b.sw, d.addr, 0, NULL));
  standby_run_until_idle(f);
  assert_string_equal("rejected outbound filter CMT_ELIMIT\n",
                      test_node_log(&f->b));
  test_node_dial(&d, f->b.addr, 0);
  assert_string_equal(one_more, test_node_log(&f->b));
  cmt_peer_stop(test_node_peer(&d), CMT_ECANCELED, 0);
  test_node_fini(&f->c);
  standby_run_until_idle(f);
  (void)test_node_log(&f->b);
  test_node_dial(&f->b, d.addr, 0);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->b));
  test_node_fini(&d);
}

/* Neither has an ordinary place, whatever the list says by then. */
static void a_second_is_as_unconditional_as_the_first(void **state) {
  standby_user *f = *state;
  cmt_node_id id;
  test_node d;

  test_node_init(&d, &f->w);
  f->b.options.inbound_peers_max = 1;
  f->b.options.inbound_peers_per_ip_max = 1;
  test_node_start(&f->b);
  test_node_start(&f->a);
  test_node_start(&d);
  test_node_start(&f->c);
  cmt_switch_get_id(f->a.sw, &id);
  assert_cmt(CMT_OK, cmt_switch_set_unconditional(f->b.sw, &id, 1, NULL));
  test_node_dial(&f->a, f->b.addr, 0);
  standby_advance_ms(f, 100);
  dials_from(f, &d, "127.0.0.2");
  assert_int_equal(2, cmt_switch_peers(f->b.sw, NULL, 0));
  dials_from(f, &f->c, "127.0.0.2"); /* A full address. */
  assert_int_equal(1, standby_handshakes(&f->b));
  assert_cmt(CMT_OK, cmt_switch_set_unconditional(f->b.sw, NULL, 0, NULL));
  (void)test_node_log(&f->b);
  test_node_fini(&f->a);
  standby_run_until_idle(f);
  assert_string_equal("remove chat CMT_EEOF\ninit chat\nadd chat inbound\n",
                      test_node_log(&f->b));
  test_node_fini(&d); /* The ordinary place is free, and one alone. */
  test_node_init(&d, &f->w);
  test_node_start(&d);
  (void)test_node_log(&f->b);
  dials_from(f, &d, "127.0.0.2");
  assert_string_equal("init chat\nadd chat inbound\n", test_node_log(&f->b));
  test_node_fini(&d);
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, standby_setup, standby_teardown)
  const struct CMUnitTest tests[] = {
    TEST(who_speaks_and_answers_nothing_is_silent),
    TEST(pongs_of_before_are_no_answer),
    TEST(a_first_whose_end_is_not_reported_yet_is_waited_for),
    TEST(a_first_that_ends_when_it_is_looked_at_is_gone),
    TEST(a_second_has_the_place_of_the_first),
    TEST(a_standby_has_no_place_of_a_handshake),
    TEST(a_place_that_was_taken_over_is_given_back),
    TEST(a_second_is_as_unconditional_as_the_first),
  };
#undef TEST

  return cmocka_run_group_tests_name("standby_places", tests, NULL, NULL);
}
