/* SPDX-License-Identifier: Apache-2.0 */

/* Dials that are cancelled, in each state and from outcomes, in virtual time.
 */

#include "dial_fixture.h"

#include "marks.h"

/* What brings a dial of A to a state in which it stays for a while. */
typedef struct place {
  cmt_dial_state state;
  const char *host;
  bool starts, runs_idle, stalls, listens, once;
} place;

static const place places[] = {
  {CMT_DIAL_QUEUED, "10.0.0.2", .starts = false},
  {CMT_DIAL_QUEUED, "10.0.0.2", .starts = true},
  {CMT_DIAL_RESOLVING, "b.test", .starts = true, .runs_idle = true},
  {CMT_DIAL_CONNECTING, "10.0.0.9", .starts = true, .runs_idle = true},
  {CMT_DIAL_HANDSHAKE, "10.0.0.2", .starts = true, .runs_idle = true,
   .stalls = true, .listens = true},
  {CMT_DIAL_WAITING, "10.0.0.2", .starts = true, .runs_idle = true},
  {CMT_DIAL_CONNECTED, "10.0.0.2", .starts = true, .runs_idle = true,
   .listens = true},
  {CMT_DIAL_ENDED, "10.0.0.2", .starts = true, .runs_idle = true, .once = true},
};

static void bring_to(fixture *f, const place *p) {
  snprintf(f->at, sizeof f->at, "%s@%s:26656", f->id.text, p->host);
  test_loop_names_wait(f->w.loop);
  test_loop_set_connect(f->w.loop, "10.0.0.9:26656", CMT_EAGAIN);
  test_loop_defaults(f->w.loop)->stalled = p->stalls;
  f->o.persistent = !p->once;
  if (p->listens) {
    test_node_start(&f->b);
  }
  if (p->starts) {
    test_node_start(&f->a);
  } else {
    assert_cmt(CMT_OK, test_node_new(&f->a, NULL));
  }
  assert_cmt(CMT_OK,
             cmt_switch_dial_new(f->a.sw, f->at, &f->o, &f->dial, NULL));
  if (p->runs_idle) {
    test_loop_run_until_idle(f->w.loop);
  }
  assert_int_equal(p->state, status_of(f).state);
}

static uint64_t handshakes_of(fixture *f) {
  cmt_switch_status st;

  cmt_switch_get_status(f->a.sw, &st);
  return st.handshakes;
}

static uint64_t cancelled_of(const fixture *f) {
  cmt_switch_status st;

  cmt_switch_get_status(f->a.sw, &st);
  return st.cancelled;
}

static void check_cancelled(fixture *f, const place *p) {
  bool connected = p->state == CMT_DIAL_CONNECTED;
  bool tries = p->state == CMT_DIAL_RESOLVING ||
               p->state == CMT_DIAL_CONNECTING ||
               p->state == CMT_DIAL_HANDSHAKE;
  size_t before = f->count;
  uint64_t with, without;

  with = cmt_switch_memory_max(f->a.sw);
  cmt_dial_cancel(f->dial);
  assert_int_equal(0, cmt_switch_dials(f->a.sw, NULL, 0));
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(tries, cancelled_of(f));
  without = cmt_switch_memory_max(f->a.sw);
  assert_true(without < with);
  assert_int_equal(0, handshakes_of(f));
  if (connected) {
    assert_non_null(test_node_peer(&f->a)); /* It stays. */
    cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  }
  test_loop_advance(f->w.loop, CMT_SECONDS(60));
  assert_int_equal(before, f->count);
  assert_int_equal(0, cmt_switch_peers(f->a.sw, NULL, 0));
  /* The id may be dialed again. */
  dial(f);
  cmt_dial_cancel(f->dial);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(without, cmt_switch_memory_max(f->a.sw));
}

static void a_dial_is_cancelled_in_each_state(void **state) {
  uint64_t before = test_mark("attempt_cancelled");

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(places); i++) {
    fixture *f;
    void *fresh;

    assert_int_equal(0, setup(&fresh));
    f = fresh;
    bring_to(f, &places[i]);
    check_cancelled(f, &places[i]);
    assert_int_equal(0, teardown(&fresh));
  }
  assert_mark_reached("attempt_cancelled", before);
}

static void a_dial_on_standby_is_cancelled(void **state) {
  fixture *f = *state;

  /* B dials A while the dial of A is under way, and is first. */
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_loop_defaults(f->w.loop)->stalled = true;
  dial(f);
  assert_int_equal(CMT_DIAL_HANDSHAKE, status_of(f).state);
  test_loop_defaults(f->w.loop)->stalled = false;
  test_node_dial(&f->b, f->a.addr, 0);
  test_loop_conn(f->w.loop, 0)->dir[0].stalled = false;
  test_loop_conn(f->w.loop, 0)->dir[1].stalled = false;
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(500));
  assert_int_equal(CMT_DIAL_HANDSHAKE, status_of(f).state);
  cmt_dial_cancel(f->dial);
  test_loop_advance(f->w.loop, CMT_SECONDS(60));
  assert_int_equal(0, f->count);
  assert_false(cmt_peer_is_outbound(test_node_peer(&f->a)));
}

static size_t dials_of(const fixture *f) {
  return cmt_switch_dials(f->a.sw, NULL, 0);
}

/* Dials of the short forms end, in each state; another id, and one that
   somebody has, stay. */
static void dials_without_a_handle_are_cancelled_by_id(void **state) {
  fixture *f = *state;
  cmt_node_id other = {.text = OTHER}, shouted, none = {.text = "nobody"};
  uint64_t before = test_mark("dial_cancelled_by_id");

  test_node_start(&f->b);
  assert_cmt(CMT_OK, test_node_new(&f->a, NULL));
  for (int i = 0; i < 2; i++) { /* Before the start, and after it. */
    assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, OTHER "@10.0.0.9:1",
                                       CMT_DIAL_PERSISTENT, NULL));
    assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->at, 0, NULL));
    assert_int_equal(2, dials_of(f));
    assert_int_equal(1, cmt_switch_dial_cancel(f->a.sw, &other));
    assert_int_equal(0, cmt_switch_dial_cancel(f->a.sw, &other));
    assert_int_equal(1, dials_of(f));
    if (i == 0) {
      assert_int_equal(1, cmt_switch_dial_cancel(f->a.sw, &f->id));
      assert_cmt(CMT_OK, cmt_switch_start(f->a.sw, NULL));
    }
    test_loop_run_until_idle(f->w.loop);
  }
  assert_false(cmt_peer_is_persistent(test_node_peer(&f->a)));
  assert_int_equal(0, dials_of(f));
  dial(f); /* A dial that we have. */
  shouted = f->id;
  for (char *c = shouted.text; *c != '\0'; c++) {
    *c = (char)(*c >= 'a' ? *c - 'a' + 'A' : *c);
  }
  assert_int_equal(0, cmt_switch_dial_cancel(f->a.sw, &shouted));
  cmt_dial_cancel(f->dial);
  assert_cmt(CMT_OK,
             cmt_switch_dial(f->a.sw, f->at, CMT_DIAL_PERSISTENT, NULL));
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(1, cmt_switch_dial_cancel(f->a.sw, &shouted));
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(0, dials_of(f));
  assert_non_null(test_node_peer(&f->a)); /* It stays, */
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  test_loop_advance(f->w.loop, CMT_SECONDS(60));
  assert_int_equal(0, cmt_switch_peers(f->a.sw, NULL, 0)); /* if it can. */
  assert_int_equal(0, cmt_switch_dial_cancel(f->a.sw, &none));
  assert_int_equal(0, cmt_switch_dial_cancel(f->a.sw, NULL));
  assert_int_equal(0, cmt_switch_dial_cancel(NULL, &other));
  assert_mark_reached("dial_cancelled_by_id", before);
}

static void an_outcome_cancels_its_own_dial(void **state) {
  fixture *f = *state;

  f->to_cancel = &f->dial;
  test_node_start(&f->a);
  dial(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(60));
  assert_int_equal(1, f->count);
  assert_int_equal(0, cmt_switch_dials(f->a.sw, NULL, 0));
}

static void an_outcome_cancels_another_dial(void **state) {
  fixture *f = *state;
  cmt_dial *other;

  test_node_start(&f->a);
  assert_cmt(CMT_OK, cmt_switch_dial_new(f->a.sw, OTHER "@10.0.0.3:1", &f->o,
                                         &other, NULL));
  f->to_cancel = &other;
  assert_cmt(CMT_OK,
             cmt_switch_dial_new(f->a.sw, f->at, &f->o, &f->dial, NULL));
  f->to_cancel = &f->dial; /* The first outcome is that of the other. */
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(1, f->count);
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(1, cmt_switch_dials(f->a.sw, NULL, 0));
  cmt_dial_cancel(other);
  cmt_dial_cancel(NULL);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_dial_is_cancelled_in_each_state),
    TEST(a_dial_on_standby_is_cancelled),
    TEST(dials_without_a_handle_are_cancelled_by_id),
    TEST(an_outcome_cancels_its_own_dial),
    TEST(an_outcome_cancels_another_dial),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
