/* SPDX-License-Identifier: Apache-2.0 */

/* The second connection of a node id, in virtual time: what becomes of it, and
   of the first. */

#include "node.h"

#include <stdio.h>
#include <stdlib.h>

/* |b| has the larger id.  |c| has the key of |a|: what dials as |c| looks like
   |a| once more. */
typedef struct fixture {
  test_world w;
  test_node a, b, c;
  cmt_node_key *small, *large;
} fixture;

static void make_keys(fixture *f) {
  cmt_node_id small, large;

  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &f->small));
  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &f->large));
  cmt_node_key_id(f->small, &small);
  cmt_node_key_id(f->large, &large);
  if (strcmp(small.text, large.text) > 0) {
    cmt_node_key *k = f->small;

    f->small = f->large;
    f->large = k;
  }
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->w);
  make_keys(f);
  test_node_init(&f->a, &f->w);
  test_node_init(&f->b, &f->w);
  test_node_init(&f->c, &f->w);
  f->a.options.key = f->small;
  f->b.options.key = f->large;
  f->c.options.key = f->small;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  test_node *nodes[] = {&f->a, &f->b, &f->c};

  for (size_t i = 0; i < CMT__COUNT(nodes); i++) {
    if (nodes[i]->sw != NULL) {
      test_node_fini(nodes[i]);
    }
  }
  cmt_node_key_delete(f->small);
  cmt_node_key_delete(f->large);
  test_world_fini(&f->w);
  free(f);
  return 0;
}

static void settle(fixture *f) { test_loop_settle(f->w.loop); }

static void advance_ms(fixture *f, uint64_t ms) {
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(ms));
}

static uint64_t handshakes(test_node *n) {
  cmt_switch_status status;

  cmt_switch_get_status(n->sw, &status);
  return status.handshakes;
}

/* Nothing arrives on |conn| any more, nor that it ends. */
static void go_silent(fixture *f, size_t conn, bool on) {
  test_conn *c = test_loop_conn(f->w.loop, conn);

  c->dir[TEST_DIALER].stalled = on;
  c->dir[TEST_ACCEPTOR].stalled = on;
}

/* A is the peer of B, for so long that a second connection needs not wait. */
static void first_is_there(fixture *f) {
  test_pair(&f->w, &f->a, &f->b);
  advance_ms(f, 100);
}

/* And C has dialed as A once more. */
static void second_dials(fixture *f) {
  first_is_there(f);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->c));
  assert_string_equal("", test_node_log(&f->b));
  assert_int_equal(1, handshakes(&f->b));
}

/* ---- two in the same direction ---- */

static void a_first_that_answers_stays(void **state) {
  fixture *f = *state;
  char text[128];

  second_dials(f);
  advance_ms(f, 999);
  assert_string_equal("", test_node_log(&f->b));
  advance_ms(f, 1);
  assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
  snprintf(text, sizeof text, "another connection with node %s stays",
           cmt_peer_id(test_node_peer(&f->b))->text);
  assert_string_equal(text, f->b.why.text);
  assert_string_equal("remove chat CMT_EEOF\n", test_node_log(&f->c));
  assert_int_equal(0, handshakes(&f->b));
  assert_cmt(CMT_OK, test_node_say(&f->a, TEST_CHAT, "still here"));
  settle(f);
  assert_string_equal("receive chat 51 still here\n", test_node_log(&f->b));
}

static void a_silent_first_is_replaced_after_three_seconds(void **state) {
  fixture *f = *state;

  first_is_there(f);
  go_silent(f, 0, true);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  assert_cmt(CMT_OK, test_node_say(&f->c, TEST_CHAT, "I am back"));
  advance_ms(f, 2999);
  assert_string_equal("", test_node_log(&f->b));
  advance_ms(f, 1);
  assert_string_equal("remove chat CMT_EDUPLICATE\n"
                      "init chat\nadd chat inbound\n"
                      "receive chat 51 I am back\n",
                      test_node_log(&f->b));
  assert_int_equal(0, handshakes(&f->b));
  go_silent(f, 0, false);
  advance_ms(f, 1000);
  assert_string_equal("remove chat CMT_EEOF\n", test_node_log(&f->a));
  assert_string_equal("", test_node_log(&f->b));
}

static void an_answer_within_three_seconds_is_enough(void **state) {
  fixture *f = *state;

  first_is_there(f);
  go_silent(f, 0, true);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  advance_ms(f, 2999);
  assert_string_equal("", test_node_log(&f->b));
  go_silent(f, 0, false);
  settle(f);
  advance_ms(f, 1);
  assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
}

static void an_answer_is_seen_soon(void **state) {
  fixture *f = *state;

  first_is_there(f);
  go_silent(f, 0, true);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  advance_ms(f, 1501);
  go_silent(f, 0, false);
  advance_ms(f, 248);
  assert_string_equal("", test_node_log(&f->b));
  advance_ms(f, 1);
  assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
}

static void pause_peer(test_part *part, cmt_peer *p) {
  (void)part;
  cmt_peer_pause(p);
}

static void a_first_that_we_do_not_read_is_not_called_silent(void **state) {
  fixture *f = *state;

  f->b.parts[0].on_add = pause_peer;
  second_dials(f);
  advance_ms(f, 3000);
  assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
  cmt_peer_resume(test_node_peer(&f->b));
}

/* ---- ends ---- */

static void the_end_of_the_first_makes_the_second_the_peer(void **state) {
  fixture *f = *state;

  second_dials(f);
  assert_cmt(CMT_OK, test_node_say(&f->c, TEST_CHAT, "early"));
  settle(f);
  assert_string_equal("", test_node_log(&f->b));
  test_node_fini(&f->a);
  settle(f);
  assert_string_equal("remove chat CMT_EEOF\n"
                      "init chat\nadd chat inbound\nreceive chat 51 early\n",
                      test_node_log(&f->b));
  assert_cmt(CMT_OK, test_node_say(&f->c, TEST_CHAT, "later"));
  settle(f);
  assert_string_equal("receive chat 51 later\n", test_node_log(&f->b));
  advance_ms(f, 5000); /* Its timer went with the wait. */
  assert_string_equal("", test_node_log(&f->b));
}

static void a_second_that_ends_by_itself_has_its_own_error(void **state) {
  fixture *f = *state;

  second_dials(f);
  test_node_fini(&f->c);
  settle(f);
  assert_string_equal("rejected inbound filter CMT_EEOF\n",
                      test_node_log(&f->b));
  assert_int_equal(0, handshakes(&f->b));
  advance_ms(f, 5000);
  assert_string_equal("", test_node_log(&f->b));
}

static void a_second_that_is_reset_has_its_own_error(void **state) {
  fixture *f = *state;

  second_dials(f);
  test_conn_cut(test_loop_conn(f->w.loop, 1));
  settle(f);
  assert_string_equal("rejected inbound filter CMT_ERESET\n",
                      test_node_log(&f->b));
}

/* The last words of the second came with its end. */
static void second_says_farewell(fixture *f) {
  second_dials(f);
  assert_cmt(CMT_OK, test_node_say(&f->c, TEST_CHAT, "farewell"));
  cmt_peer_stop(test_node_peer(&f->c), CMT_ECANCELED, CMT_SECONDS(1));
  settle(f);
  assert_string_equal("", test_node_log(&f->b));
}

static void last_words_of_a_second_wait_for_the_first(void **state) {
  fixture *f = *state;

  second_says_farewell(f);
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  settle(f);
  assert_string_equal("remove chat CMT_EEOF\ninit chat\nadd chat inbound\n"
                      "receive chat 51 farewell\nremove chat CMT_EEOF\n",
                      test_node_log(&f->b));
}

static void a_second_that_has_ended_replaces_nobody(void **state) {
  fixture *f = *state;

  first_is_there(f);
  go_silent(f, 0, true);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  assert_cmt(CMT_OK, test_node_say(&f->c, TEST_CHAT, "farewell"));
  cmt_peer_stop(test_node_peer(&f->c), CMT_ECANCELED, CMT_SECONDS(1));
  advance_ms(f, 999);
  assert_string_equal("", test_node_log(&f->b));
  advance_ms(f, 1);
  assert_string_equal("rejected inbound filter CMT_EEOF\n",
                      test_node_log(&f->b));
  go_silent(f, 0, false);
}

static void a_third_is_refused_at_once(void **state) {
  fixture *f = *state;
  test_node d;

  second_dials(f);
  advance_ms(f, 100);
  test_node_init(&d, &f->w);
  d.options.key = f->small;
  test_node_start(&d);
  test_node_dial(&d, f->b.addr, 0);
  assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
  assert_int_equal(1, handshakes(&f->b));
  /* It sees our node info, and then the end. */
  assert_string_equal("init chat\nadd chat outbound\nremove chat CMT_EEOF\n",
                      test_node_log(&d));
  test_node_fini(&d);
}

static void a_first_that_stops_is_waited_for(void **state) {
  fixture *f = *state;

  second_dials(f);
  go_silent(f, 0, true);
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].cap = 0;
  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(test_node_peer(&f->b), TEST_CHAT,
                                             "never", 5));
  cmt_peer_stop(test_node_peer(&f->b), CMT_ECANCELED, CMT_SECONDS(9));
  advance_ms(f, 8999);
  assert_string_equal("", test_node_log(&f->b));
  advance_ms(f, 1);
  assert_string_equal("remove chat CMT_ECANCELED\n"
                      "init chat\nadd chat inbound\n",
                      test_node_log(&f->b));
  go_silent(f, 0, false);
}

/* ---- one in each direction ---- */

/* A and B dial each other; connection |first| completes first on both sides.
   Connection 0 is A's, and so is the smaller id. */
static void both_dial(fixture *f, size_t first) {
  test_node_start(&f->a);
  test_node_start(&f->b);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0));
  assert_cmt(CMT_OK, cmt_switch_dial(f->b.sw, f->a.addr, 0));
  test_loop_step(f->w.loop);
  assert_int_equal(2, test_loop_conn_count(f->w.loop));
  go_silent(f, 1 - first, true);
  settle(f);
  go_silent(f, 1 - first, false);
  advance_ms(f, 99);
  assert_int_equal(1, handshakes(&f->a)); /* Neither has told its node info. */
  assert_int_equal(1, handshakes(&f->b));
  advance_ms(f, 1);
  assert_string_equal(first == 0 ? "init chat\nadd chat outbound\n"
                                 : "init chat\nadd chat inbound\n",
                      test_node_log(&f->a));
  assert_string_equal(first == 0 ? "init chat\nadd chat inbound\n"
                                 : "init chat\nadd chat outbound\n",
                      test_node_log(&f->b));
  assert_int_equal(1, handshakes(&f->a));
  assert_int_equal(1, handshakes(&f->b));
  advance_ms(f, 999);
  assert_string_equal("", test_node_log(&f->a));
  assert_string_equal("", test_node_log(&f->b));
  advance_ms(f, 1);
}

static void assert_they_talk(fixture *f) {
  assert_int_equal(0, handshakes(&f->a));
  assert_int_equal(0, handshakes(&f->b));
  assert_cmt(CMT_OK, test_node_say(&f->a, TEST_CHAT, "one"));
  assert_cmt(CMT_OK, test_node_say(&f->b, TEST_CHAT, "two"));
  settle(f);
  assert_string_equal("receive chat 51 two\n", test_node_log(&f->a));
  assert_string_equal("receive chat 51 one\n", test_node_log(&f->b));
}

static void the_one_that_the_smaller_id_dialed_stays(void **state) {
  fixture *f = *state;
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
  fixture *f = *state;
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

/* Each side takes for the first what the other holds. */
static void sides_that_disagree_come_to_agree(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_start(&f->b);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0));
  assert_cmt(CMT_OK, cmt_switch_dial(f->b.sw, f->a.addr, 0));
  test_loop_step(f->w.loop);
  for (int i = 0; i < 100 && f->a.log_len + f->b.log_len == 0; i++) {
    /* Only what is B's word on 1 and A's word on 0 gets through slowly. */
    test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = i % 2 == 0;
    test_loop_conn(f->w.loop, 1)->dir[TEST_DIALER].stalled = i % 2 != 0;
    test_loop_step(f->w.loop);
  }
  go_silent(f, 0, false);
  go_silent(f, 1, false);
  advance_ms(f, 3100);
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
  fixture *f = *state;

  first_is_there(f);
  go_silent(f, 0, true);
  test_node_start(&f->c);
  test_node_dial(&f->b, f->c.addr, 0);
  assert_string_equal("rejected outbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b)); /* B itself dials no peer. */
  test_node_fini(&f->c);
  test_node_init(&f->c, &f->w);
  f->c.options.key = f->large;
  test_node_start(&f->c);
  test_node_dial(&f->c, f->a.addr, 0); /* B's key, dialing A. */
  advance_ms(f, 2999);
  assert_string_equal("", test_node_log(&f->a));
  advance_ms(f, 1);
  assert_string_equal("remove chat CMT_EDUPLICATE\n"
                      "init chat\nadd chat inbound\n",
                      test_node_log(&f->a));
  go_silent(f, 0, false);
}

/* ---- with the rest of the switch ---- */

static void a_stop_rejects_a_second(void **state) {
  fixture *f = *state;

  second_dials(f);
  cmt_switch_stop(f->b.sw, CMT_SECONDS(5));
  settle(f);
  assert_string_equal("rejected inbound filter CMT_ECANCELED\n"
                      "remove chat CMT_ECANCELED\nstop chat\n",
                      test_node_log(&f->b));
}

static void a_persistent_dial_that_loses_waits_for_the_peer(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_start(&f->b);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0));
  assert_cmt(CMT_OK, cmt_switch_dial(f->b.sw, f->a.addr, CMT_DIAL_PERSISTENT));
  advance_ms(f, 1100);
  assert_non_null(strstr(f->b.log, "rejected outbound filter"));
  assert_non_null(strstr(f->b.log, " redials\n"));
  assert_int_equal(2, test_loop_conn_count(f->w.loop));
  advance_ms(f, 30000);
  assert_int_equal(2, test_loop_conn_count(f->w.loop));
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  advance_ms(f, 8000);
  assert_int_equal(3, test_loop_conn_count(f->w.loop));
  assert_true(cmt_peer_is_outbound(test_node_peer(&f->b)));
}

/* The first is outbound, so a second that came in is one more inbound peer; and
   while it shook hands another node took the last place. */
static void a_second_over_the_cap_is_refused_at_once(void **state) {
  fixture *f = *state;
  test_node d;

  f->b.options.inbound_peers_max = 1;
  test_node_start(&f->b);
  test_node_start(&f->a);
  test_node_dial(&f->b, f->a.addr, 0);
  advance_ms(f, 100);
  test_node_start(&f->c);
  assert_cmt(CMT_OK, cmt_switch_dial(f->c.sw, f->b.addr, 0));
  test_loop_step(f->w.loop);
  go_silent(f, 1, true);
  test_node_init(&d, &f->w);
  test_node_start(&d);
  test_node_dial(&d, f->b.addr, 0);
  assert_string_equal("init chat\nadd chat outbound\n"
                      "init chat\nadd chat inbound\n",
                      test_node_log(&f->b));
  go_silent(f, 1, false);
  settle(f);
  assert_string_equal("rejected inbound filter CMT_ELIMIT\n",
                      test_node_log(&f->b));
  test_node_fini(&d);
}

static void of_a_second_little_is_read(void **state) {
  enum { LEN = 1 << 20 };
  fixture *f = *state;
  uint8_t *bytes = calloc(1, LEN);
  test_dir *dir;
  uint64_t before;

  assert_non_null(bytes);
  second_dials(f);
  dir = &test_loop_conn(f->w.loop, 1)->dir[TEST_DIALER];
  before = dir->read;
  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(test_node_peer(&f->c), TEST_CHAT,
                                             bytes, LEN));
  settle(f);
  assert_int_equal(before + 4096, dir->read);
  f->b.quiet = true;
  test_node_fini(&f->a);
  settle(f);
  assert_string_equal("remove chat CMT_EEOF\ninit chat\nadd chat inbound\n",
                      test_node_log(&f->b));
  assert_true(dir->read > LEN); /* All of it, once it is the peer. */
  free(bytes);
}

enum { BEFORE_INFO = 35 + 1044 };

/* |n| dials B, which authenticates it and does not get its node info yet. */
static test_dir *dials_without_its_info(fixture *f, test_node *n) {
  size_t index = test_loop_conn_count(f->w.loop);
  test_dir *dir;

  test_node_start(n);
  assert_cmt(CMT_OK, cmt_switch_dial(n->sw, f->b.addr, 0));
  test_loop_step(f->w.loop);
  dir = &test_loop_conn(f->w.loop, index)->dir[TEST_DIALER];
  for (int i = 0; i < 100 && n->log_len == 0; i++) {
    dir->stalled = dir->read == BEFORE_INFO;
    test_loop_step(f->w.loop);
  }
  return dir;
}

/* The node info and a message of the second come in one read. */
static void bytes_that_came_with_the_node_info_are_kept(void **state) {
  fixture *f = *state;
  test_dir *dir;

  first_is_there(f);
  dir = dials_without_its_info(f, &f->c);
  assert_int_equal(BEFORE_INFO, dir->read);
  assert_cmt(CMT_OK, test_node_say(&f->c, TEST_CHAT, "with it"));
  settle(f);
  assert_int_equal(0, handshakes(&f->c));
  dir->stalled = false;
  settle(f);
  assert_int_equal(0, dir->in_flight);
  assert_string_equal("", test_node_log(&f->b));
  test_node_fini(&f->a);
  settle(f);
  assert_string_equal("remove chat CMT_EEOF\ninit chat\nadd chat inbound\n"
                      "receive chat 51 with it\n",
                      test_node_log(&f->b));
}

/* The first ends, and a third completes before the second has its turn. */
static void a_third_does_not_overtake_the_second(void **state) {
  fixture *f = *state;
  test_dir *dir;
  test_node d;

  second_dials(f);
  advance_ms(f, 100);
  test_node_init(&d, &f->w);
  d.options.key = f->small;
  dir = dials_without_its_info(f, &d);
  settle(f);
  go_silent(f, 0, true);
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  settle(f);
  assert_string_equal("", test_node_log(&f->b));
  go_silent(f, 0, false);
  dir->stalled = false;
  test_loop_step(f->w.loop);
  assert_string_equal("remove chat CMT_EEOF\n"
                      "rejected inbound filter CMT_EDUPLICATE\n"
                      "init chat\nadd chat inbound\n",
                      test_node_log(&f->b));
  test_node_fini(&d);
}

/* The second is held, and becomes the peer; allocation |fail| of that fails.
   Returns how many it took. */
static size_t run_out_of_memory(size_t fail) {
  void *state = NULL;
  cmt_switch_status status;
  fixture *f;
  size_t allocs;

  assert_int_equal(0, setup(&state));
  f = state;
  first_is_there(f);
  test_node_start(&f->c);
  allocs = f->w.env.allocs;
  f->w.env.fail_at = fail == SIZE_MAX ? SIZE_MAX : allocs + fail;
  if (cmt_switch_dial(f->c.sw, f->b.addr, 0) == CMT_OK) {
    settle(f);
    (void)cmt_switch_broadcast_bytes(f->c.sw, TEST_CHAT, "early", 5);
    settle(f);
    cmt_switch_stop(f->a.sw, 0);
    settle(f);
  }
  f->w.env.fail_at = SIZE_MAX;
  allocs = f->w.env.allocs - allocs;
  cmt_switch_stop(f->b.sw, 0);
  settle(f);
  cmt_switch_get_status(f->b.sw, &status);
  assert_int_equal(status.accepted, status.added + status.rejected);
  assert_int_equal(status.added, status.removed);
  assert_int_equal(fail == SIZE_MAX ? 2 : status.added, status.added);
  assert_int_equal(0, teardown(&state));
  return allocs;
}

static void any_allocation_may_fail(void **state) {
  size_t count = run_out_of_memory(SIZE_MAX);

  (void)state;
  printf("# %zu allocations\n", count);
  for (size_t i = 0; i < count; i++) {
    run_out_of_memory(i);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_first_that_answers_stays),
    TEST(a_silent_first_is_replaced_after_three_seconds),
    TEST(an_answer_within_three_seconds_is_enough),
    TEST(an_answer_is_seen_soon),
    TEST(a_first_that_we_do_not_read_is_not_called_silent),
    TEST(the_end_of_the_first_makes_the_second_the_peer),
    TEST(a_second_that_ends_by_itself_has_its_own_error),
    TEST(a_second_that_is_reset_has_its_own_error),
    TEST(last_words_of_a_second_wait_for_the_first),
    TEST(a_second_that_has_ended_replaces_nobody),
    TEST(a_third_is_refused_at_once),
    TEST(a_first_that_stops_is_waited_for),
    TEST(the_one_that_the_smaller_id_dialed_stays),
    TEST(the_one_that_the_larger_id_dialed_goes),
    TEST(sides_that_disagree_come_to_agree),
    TEST(a_first_that_the_rule_favours_must_live),
    TEST(a_stop_rejects_a_second),
    TEST(a_persistent_dial_that_loses_waits_for_the_peer),
    TEST(a_second_over_the_cap_is_refused_at_once),
    TEST(of_a_second_little_is_read),
    TEST(bytes_that_came_with_the_node_info_are_kept),
    TEST(a_third_does_not_overtake_the_second),
    cmocka_unit_test(any_allocation_may_fail),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
