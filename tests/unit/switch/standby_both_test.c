/* SPDX-License-Identifier: Apache-2.0 */

/* Two nodes that dial each other, in virtual time: both keep the same
   connection.  And standby connections beside all else that a switch does. */

#include "standby_user.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- one in each direction ---- */

/* A and B dial each other; connection |first| completes first on both sides.
   Connection 0 is A's, and so is the smaller id. */
static void both_dial(standby_user *f, size_t first) {
  test_node_start(&f->a);
  test_node_start(&f->b);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  assert_cmt(CMT_OK, cmt_switch_dial(f->b.sw, f->a.addr, 0, NULL));
  test_loop_step(f->w.loop);
  assert_int_equal(2, test_loop_conn_count(f->w.loop));
  standby_go_silent(f, 1 - first, true);
  standby_run_until_idle(f);
  standby_go_silent(f, 1 - first, false);
  standby_advance_ms(f, 99);
  assert_int_equal(
    1, standby_handshakes(&f->a)); /* Neither has sent its node info. */
  assert_int_equal(1, standby_handshakes(&f->b));
  standby_advance_ms(f, 1);
  assert_string_equal(first == 0 ? "init chat\nadd chat outbound\n"
                                 : "init chat\nadd chat inbound\n",
                      test_node_log(&f->a));
  assert_string_equal(first == 0 ? "init chat\nadd chat inbound\n"
                                 : "init chat\nadd chat outbound\n",
                      test_node_log(&f->b));
  assert_int_equal(1, standby_handshakes(&f->a));
  assert_int_equal(1, standby_handshakes(&f->b));
  standby_advance_ms(f, 999);
  assert_string_equal("", test_node_log(&f->a));
  assert_string_equal("", test_node_log(&f->b));
  standby_advance_ms(f, 1);
}

static void assert_they_talk(standby_user *f) {
  assert_int_equal(0, standby_handshakes(&f->a));
  assert_int_equal(0, standby_handshakes(&f->b));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "one"));
  assert_cmt(CMT_OK, test_node_send(&f->b, TEST_CHAT, "two"));
  standby_run_until_idle(f);
  assert_string_equal("receive chat 51 two\n", test_node_log(&f->a));
  assert_string_equal("receive chat 51 one\n", test_node_log(&f->b));
}

static void the_one_that_the_smaller_id_dialed_stays(void **state) {
  standby_user *f = *state;
  const char *log;

  both_dial(f, 0);
  log = test_node_log(&f->a);
  assert_true(strcmp(log, "rejected inbound filter CMT_EDUPLICATE\n") == 0 ||
              strcmp(log, "rejected inbound filter CMT_EEOF\n") == 0);
  log = test_node_log(&f->b);
  assert_true(strcmp(log, "rejected outbound filter CMT_EDUPLICATE\n") == 0 ||
              strcmp(log, "rejected outbound filter CMT_EEOF\n") == 0);
  assert_they_talk(f);
}

static void the_one_that_the_larger_id_dialed_goes(void **state) {
  standby_user *f = *state;
  const char *log;

  both_dial(f, 1);
  log = test_node_log(&f->a);
  assert_true(strcmp(log, "remove chat CMT_EDUPLICATE\n"
                          "init chat\nadd chat outbound\n") == 0 ||
              strcmp(log, "remove chat CMT_EEOF\n"
                          "init chat\nadd chat outbound\n") == 0);
  log = test_node_log(&f->b);
  assert_true(strcmp(log, "remove chat CMT_EDUPLICATE\n"
                          "init chat\nadd chat inbound\n") == 0 ||
              strcmp(log, "remove chat CMT_EEOF\n"
                          "init chat\nadd chat inbound\n") == 0);
  assert_they_talk(f);
}

/* The first of each side is the second of the other. */
static void sides_that_disagree_come_to_agree(void **state) {
  standby_user *f = *state;

  test_node_start(&f->a);
  test_node_start(&f->b);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  assert_cmt(CMT_OK, cmt_switch_dial(f->b.sw, f->a.addr, 0, NULL));
  test_loop_step(f->w.loop);
  for (int i = 0; i < 100 && f->a.log_len + f->b.log_len == 0; i++) {
    /* Only what is B's word on 1 and A's word on 0 gets through slowly. */
    test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = i % 2 == 0;
    test_loop_conn(f->w.loop, 1)->dir[TEST_DIALER].stalled = i % 2 != 0;
    test_loop_step(f->w.loop);
  }
  standby_go_silent(f, 0, false);
  standby_go_silent(f, 1, false);
  standby_advance_ms(f, 3100);
  assert_int_equal(1, cmt_switch_peers(f->a.sw, NULL, 0));
  assert_int_equal(1, cmt_switch_peers(f->b.sw, NULL, 0));
  assert_true(cmt_peer_is_outbound(test_node_peer(&f->a)));
  (void)test_node_log(&f->a);
  (void)test_node_log(&f->b);
  assert_they_talk(f);
}

/* C has the key of A, which has gone without a word.  The rule would keep what
   A dialed. */
static void a_first_that_the_rule_favours_must_live(void **state) {
  standby_user *f = *state;

  standby_first_is_there(f);
  standby_go_silent(f, 0, true);
  test_node_start(&f->c);
  test_node_dial(&f->b, f->c.addr, 0);
  assert_string_equal("rejected outbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b)); /* B itself dials no peer. */
  test_node_fini(&f->c);
  test_node_init(&f->c, &f->w);
  f->c.options.key = f->large;
  test_node_start(&f->c);
  test_node_dial(&f->c, f->a.addr, 0); /* B's key, dialing A. */
  standby_advance_ms(f, 2999);
  assert_string_equal("", test_node_log(&f->a));
  standby_advance_ms(f, 1);
  assert_string_equal("remove chat CMT_EDUPLICATE\n"
                      "init chat\nadd chat inbound\n",
                      test_node_log(&f->a));
  standby_go_silent(f, 0, false);
}

/* ---- with the rest of the switch ---- */

static void a_stop_rejects_a_second(void **state) {
  standby_user *f = *state;

  standby_second_dials(f);
  cmt_switch_stop(f->b.sw, CMT_SECONDS(5));
  standby_run_until_idle(f);
  assert_string_equal("rejected inbound filter CMT_ECANCELED\n"
                      "remove chat CMT_ECANCELED\nstop chat\n",
                      test_node_log(&f->b));
}

static void a_persistent_dial_that_loses_waits_for_the_peer(void **state) {
  standby_user *f = *state;

  test_node_start(&f->a);
  test_node_start(&f->b);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  assert_cmt(CMT_OK,
             cmt_switch_dial(f->b.sw, f->a.addr, CMT_DIAL_PERSISTENT, NULL));
  standby_advance_ms(f, 1100);
  assert_non_null(strstr(f->b.log, "rejected outbound filter"));
  assert_non_null(strstr(f->b.log, " redials\n"));
  assert_int_equal(2, test_loop_conn_count(f->w.loop));
  standby_advance_ms(f, 30000);
  assert_int_equal(2, test_loop_conn_count(f->w.loop));
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  standby_advance_ms(f, 8000);
  assert_int_equal(3, test_loop_conn_count(f->w.loop));
  assert_true(cmt_peer_is_outbound(test_node_peer(&f->b)));
}

/* A second takes the place of the first, whatever the directions: it needs none
   of its own, and nobody gets that of the first in between. */
static void a_second_needs_no_place(void **state) {
  standby_user *f = *state;
  test_node d, e;

  f->b.options.inbound_peers_max = 1;
  test_node_start(&f->b);
  test_node_start(&f->a);
  test_node_dial(&f->b, f->a.addr, 0);
  standby_advance_ms(f, 100);
  test_node_init(&d, &f->w);
  test_node_start(&d);
  test_node_dial(&d, f->b.addr, 0);
  test_node_init(&e, &f->w);
  test_node_start(&e);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  assert_string_equal("init chat\nadd chat outbound\n"
                      "init chat\nadd chat inbound\n",
                      test_node_log(&f->b));
  assert_int_equal(1, standby_handshakes(&f->b));
  test_node_fini(&f->a);
  test_node_dial(&e, f->b.addr, 0);
  assert_string_equal("remove chat CMT_EEOF\n"
                      "init chat\nadd chat inbound\n"
                      "rejected inbound filter CMT_ELIMIT\n",
                      test_node_log(&f->b));
  assert_int_equal(2, cmt_switch_peers(f->b.sw, NULL, 0));
  test_node_fini(&d);
  test_node_fini(&e);
}

static void of_a_second_little_is_read(void **state) {
  enum { LEN = 1 << 20 };
  standby_user *f = *state;
  uint8_t *bytes = calloc(1, LEN);
  test_dir *dir;
  uint64_t before;

  assert_non_null(bytes);
  standby_second_dials(f);
  dir = &test_loop_conn(f->w.loop, 1)->dir[TEST_DIALER];
  before = dir->read;
  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(test_node_peer(&f->c), TEST_CHAT,
                                             bytes, LEN));
  standby_run_until_idle(f);
  assert_int_equal(before + 4096, dir->read);
  f->b.quiet = true;
  test_node_fini(&f->a);
  standby_run_until_idle(f);
  assert_string_equal("remove chat CMT_EEOF\ninit chat\nadd chat inbound\n",
                      test_node_log(&f->b));
  assert_true(dir->read > LEN); /* All of it, once it is the peer. */
  free(bytes);
}

enum { BEFORE_INFO = 35 + 1044 };

/* |n| has dialed B, which authenticates it and does not get its node info
   yet.  NULL: it came to no connection. */
static test_dir *info_is_held_back(standby_user *f, test_node *n,
                                   size_t index) {
  test_dir *dir;

  test_loop_step(f->w.loop);
  if (test_loop_conn_count(f->w.loop) == index) {
    return NULL;
  }
  dir = &test_loop_conn(f->w.loop, index)->dir[TEST_DIALER];
  for (int i = 0; i < 100 && n->log_len == 0; i++) {
    dir->stalled = dir->read == BEFORE_INFO;
    test_loop_step(f->w.loop);
  }
  return dir;
}

static test_dir *dials_without_its_info(standby_user *f, test_node *n) {
  size_t index = test_loop_conn_count(f->w.loop);

  test_node_start(n);
  assert_cmt(CMT_OK, cmt_switch_dial(n->sw, f->b.addr, 0, NULL));
  return info_is_held_back(f, n, index);
}

/* The node info and a message of the second come in one read. */
static void bytes_that_came_with_the_node_info_are_kept(void **state) {
  standby_user *f = *state;
  test_dir *dir;

  standby_first_is_there(f);
  dir = dials_without_its_info(f, &f->c);
  assert_int_equal(BEFORE_INFO, dir->read);
  assert_cmt(CMT_OK, test_node_send(&f->c, TEST_CHAT, "with it"));
  standby_run_until_idle(f);
  assert_int_equal(0, standby_handshakes(&f->c));
  dir->stalled = false;
  standby_run_until_idle(f);
  assert_int_equal(0, dir->in_flight);
  assert_string_equal("", test_node_log(&f->b));
  test_node_fini(&f->a);
  standby_run_until_idle(f);
  assert_string_equal("remove chat CMT_EEOF\ninit chat\nadd chat inbound\n"
                      "receive chat 51 with it\n",
                      test_node_log(&f->b));
}

/* The first ends, and |d| completes before the second does. */
static void third_completes(standby_user *f, test_node *d,
                            const char *expected) {
  test_dir *dir;

  f->b.options.inbound_peers_max = 1;
  standby_second_dials(f);
  standby_advance_ms(f, 100);
  dir = dials_without_its_info(f, d);
  standby_run_until_idle(f);
  standby_go_silent(f, 0, true);
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  standby_run_until_idle(f);
  assert_string_equal("", test_node_log(&f->b));
  standby_go_silent(f, 0, false);
  for (int i = 0; f->w.loop_count > 1 && i < 2; i++) {
    test_loop_step(f->w.loop); /* The first is on its way home. */
  }
  dir->stalled = false;
  test_loop_step(f->w.loop);
  assert_string_equal(expected, test_node_log(&f->b));
  test_node_fini(d);
}

static void a_third_does_not_overtake_the_second(void **state) {
  standby_user *f = *state;
  test_node d;

  test_node_init(&d, &f->w);
  d.options.key = f->small;
  third_completes(f, &d,
                  "remove chat CMT_EEOF\n"
                  "rejected inbound filter CMT_EDUPLICATE\n"
                  "init chat\nadd chat inbound\n");
}

static void a_stranger_does_not_get_the_place_of_the_first(void **state) {
  standby_user *f = *state;
  test_node d;

  test_node_init(&d, &f->w);
  third_completes(f, &d,
                  "remove chat CMT_EEOF\n"
                  "rejected inbound filter CMT_ELIMIT\n"
                  "init chat\nadd chat inbound\n");
}

/* C dials, and a message of it comes after its node info, or in one read with
   it. */
static void second_comes(standby_user *f, bool together) {
  test_dir *dir = info_is_held_back(f, &f->c, 1);

  if (dir != NULL) {
    dir->stalled = dir->stalled && together;
  }
  standby_run_until_idle(f);
  (void)cmt_switch_broadcast_bytes(f->c.sw, TEST_CHAT, "early", 5, NULL);
  standby_run_until_idle(f);
  if (dir != NULL) {
    dir->stalled = false;
  }
  standby_run_until_idle(f);
}

/* The second is on standby, and becomes the peer; allocation |fail| of that
   fails.  Returns how many there were. */
static size_t run_out_of_memory(size_t fail, bool together) {
  void *state = NULL;
  cmt_switch_status status;
  standby_user *f;
  size_t allocs;

  assert_int_equal(0, standby_setup(&state));
  f = state;
  standby_first_is_there(f);
  test_node_start(&f->c);
  allocs = f->w.env.allocs;
  f->w.env.fail_at = fail == SIZE_MAX ? SIZE_MAX : allocs + fail;
  if (cmt_switch_dial(f->c.sw, f->b.addr, 0, NULL) == CMT_OK) {
    second_comes(f, together);
    cmt_switch_stop(f->a.sw, 0);
    standby_run_until_idle(f);
  }
  f->w.env.fail_at = SIZE_MAX;
  allocs = f->w.env.allocs - allocs;
  cmt_switch_stop(f->b.sw, 0);
  standby_run_until_idle(f);
  cmt_switch_get_status(f->b.sw, &status);
  assert_int_equal(status.accepted, status.added + status.rejected);
  assert_int_equal(status.added, status.removed);
  assert_int_equal(fail == SIZE_MAX ? 2 : status.added, status.added);
  assert_int_equal(0, standby_teardown(&state));
  return allocs;
}

static void any_allocation_may_fail(void **state) {
  (void)state;
  for (int together = 0; together < 2; together++) {
    size_t count = run_out_of_memory(SIZE_MAX, together);

    printf("# %zu allocations\n", count);
    for (size_t i = 0; i < count; i++) {
      run_out_of_memory(i, together);
    }
  }
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, standby_setup, standby_teardown)
  const struct CMUnitTest tests[] = {
    TEST(the_one_that_the_smaller_id_dialed_stays),
    TEST(the_one_that_the_larger_id_dialed_goes),
    TEST(sides_that_disagree_come_to_agree),
    TEST(a_first_that_the_rule_favours_must_live),
    TEST(a_stop_rejects_a_second),
    TEST(a_persistent_dial_that_loses_waits_for_the_peer),
    TEST(a_second_needs_no_place),
    TEST(of_a_second_little_is_read),
    TEST(bytes_that_came_with_the_node_info_are_kept),
    TEST(a_third_does_not_overtake_the_second),
    TEST(a_stranger_does_not_get_the_place_of_the_first),
    cmocka_unit_test(any_allocation_may_fail),
    TEST_SHORTAGE(any_allocation_may_fail),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
