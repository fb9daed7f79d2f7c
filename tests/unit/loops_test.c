/* SPDX-License-Identifier: Apache-2.0 */

/* Switches with several loops, in virtual time: where a peer lives, and what
   happens when it moves.  The tests of what does not depend on the number of
   loops run once more with three; see tests/CMakeLists.txt. */

#include "node.h"

#include "node/session.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOPS = 3, DRAWN = 300, MOVE_STEPS = 12 };

/* Nodes |a| and |b|; what each hears is numbered. */
typedef struct fixture {
  test_world w;
  test_node a, b;
  uint64_t drawn;
  unsigned sent[2], received[2]; /* By the node that hears it. */
  unsigned asked, answered;      /* Sends with a callback. */
} fixture;

static unsigned draw(fixture *f, unsigned below) {
  f->drawn = f->drawn * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(f->drawn >> 33) % below;
}

static void on_number(test_part *part, cmt_peer *p, uint8_t channel,
                      cmt_buf *msg) {
  fixture *f = part->arg;
  unsigned *received = &f->received[part->node == &f->b];

  (void)p;
  (void)channel;
  assert_int_equal(*received, cmt__load_le32(cmt_buf_bytes(msg).base));
  ++*received;
}

static fixture *fixture_new(unsigned loops) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init_loops(&f->w, loops);
  test_node_init(&f->a, &f->w);
  test_node_init(&f->b, &f->w);
  f->a.parts[0].arg = f;
  f->b.parts[0].arg = f;
  return f;
}

static void fixture_delete(fixture *f) {
  if (f->a.sw != NULL) {
    test_node_fini(&f->a);
  }
  if (f->b.sw != NULL) {
    test_node_fini(&f->b);
  }
  test_world_fini(&f->w);
  free(f);
}

static int setup(void **state) {
  *state = fixture_new(LOOPS);
  return 0;
}

static int teardown(void **state) {
  fixture_delete(*state);
  return 0;
}

static void settle(fixture *f) { test_loop_settle(f->w.loop); }

static size_t loop_of(const test_node *n, const cmt_peer *p) {
  size_t i = 0;

  while (test_loop_base(n->world->loops[i]) != p->link->loop) {
    i++;
  }
  return i;
}

/* ---- where it is ---- */

static void each_goes_to_the_loop_with_the_fewest(void **state) {
  static const size_t expected[] = {2, 1, 0, 2, 1};
  fixture *f = *state;
  test_node others[CMT__COUNT(expected)];
  cmt_peer *p;

  test_node_start(&f->b);
  for (size_t i = 0; i < CMT__COUNT(expected); i++) {
    test_node_init(&others[i], &f->w);
    test_node_start(&others[i]);
    test_node_dial(&others[i], f->b.addr, 0);
    p = cmt_switch_peer(f->b.sw, &others[i].sw->setup.id);
    assert_int_equal(expected[i], loop_of(&f->b, p));
    cmt_peer_unref(p);
  }
  test_node_fini(&others[1]);
  assert_int_equal(1, f->b.sw->lanes[1].peers);
  test_node_init(&others[1], &f->w);
  test_node_start(&others[1]);
  test_node_dial(&others[1], f->b.addr, 0);
  assert_int_equal(2, f->b.sw->lanes[1].peers);
  for (size_t i = 0; i < CMT__COUNT(expected); i++) {
    test_node_fini(&others[i]);
  }
  for (size_t i = 0; i < LOOPS; i++) {
    assert_int_equal(0, f->b.sw->lanes[i].peers);
  }
  assert_int_equal(0, test_loop_base(f->w.loops[1])->reserved);
  assert_int_equal(0, test_loop_base(f->w.loops[2])->reserved);
}

static void with_one_loop_nothing_moves(void **state) {
  fixture *f = fixture_new(1);

  (void)state;
  test_pair(&f->w, &f->a, &f->b);
  assert_null(test_node_peer(&f->a)->link->trip);
  assert_ptr_equal(f->a.sw->loop, test_node_peer(&f->a)->link->loop);
  fixture_delete(f);
}

static void is_on_the_last(test_part *part, cmt_peer *p, uint8_t channel,
                           cmt_buf *msg) {
  const cmt__lane *lanes = part->node->sw->lanes;

  (void)p;
  (void)channel;
  (void)msg;
  assert_null(atomic_load(&lanes[0].calling));
  assert_string_equal("chat", atomic_load(&lanes[2].calling));
}

static void receive_is_called_on_the_loop_of_the_peer(void **state) {
  fixture *f = *state;

  f->b.parts[0].on_receive = is_on_the_last;
  test_pair(&f->w, &f->a, &f->b);
  assert_int_equal(2, loop_of(&f->a, test_node_peer(&f->a)));
  assert_cmt(CMT_OK, test_node_say(&f->a, TEST_CHAT, "hello"));
  for (int i = 0; i < 5; i++) {
    test_loop_step_one(f->w.loops[0]);
    test_loop_step_one(f->w.loops[1]);
  }
  assert_string_equal("", test_node_log(&f->b));
  test_loop_step_one(f->w.loops[2]);
  test_loop_step_one(f->w.loops[2]);
  assert_string_equal("receive chat 51 hello\n", test_node_log(&f->b));
}

static void remove_peer_is_called_on_the_first_loop(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  assert_cmt(CMT_OK, test_node_say(&f->a, TEST_CHAT, "last words"));
  test_loop_step_one(f->w.loops[2]);
  test_conn_cut(test_loop_conn(f->w.loop, 0));
  for (int i = 0; i < 5; i++) {
    test_loop_step_one(f->w.loops[2]);
  }
  assert_string_equal("", test_node_log(&f->a));
  test_loop_step_one(f->w.loops[0]);
  assert_string_equal("remove chat CMT_ERESET\n", test_node_log(&f->a));
}

static void what_came_with_the_node_info_is_heard_first(void **state) {
  fixture *f = *state;

  f->b.parts[0].on_receive = on_number;
  f->b.quiet = true;
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->b.addr, 0);
  for (uint32_t i = 0; i < 20; i++) {
    uint8_t number[4];

    cmt__store_le32(number, i);
    while (cmt_switch_broadcast_bytes(f->a.sw, TEST_CHAT, number, 4) ==
             CMT_OK &&
           f->received[1] < i) {
      test_loop_step(f->w.loop);
    }
    settle(f);
  }
  assert_int_equal(20, f->received[1]);
}

/* They do it under a lock then, and with locked operations. */
static void what_they_share_is_shared_by_threads(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  assert_int_equal(LOOPS, f->a.sw->budget.threads);
  assert_non_null(f->a.sw->budget.lock);
}

/* ---- at any moment ---- */

typedef struct question {
  cmt_send_req req;
  fixture *f;
} question;

static void on_answer(void *arg, cmt_err status, cmt_buf *msg) {
  question *q = arg;

  assert_true(status == CMT_OK || status == CMT_ECLOSED);
  q->f->answered++;
  cmt_buf_unref(msg);
  free(q);
}

static bool ask(fixture *f, cmt_peer *p, cmt_buf *msg) {
  question *q = calloc(1, sizeof *q);

  assert_non_null(q);
  q->f = f;
  q->req = (cmt_send_req){.timeout_ns = CMT_NEVER, .cb = on_answer, .arg = q};
  if (cmt_peer_send(p, TEST_CHAT, msg, &q->req) != CMT_OK) {
    free(q);
    return false;
  }
  f->asked++;
  return true;
}

/* A numbered message from |n| to its peer, by one of the two ways. */
static void say_number(fixture *f, test_node *n) {
  unsigned *sent = &f->sent[n == &f->a];
  size_t len = draw(f, 4) == 0 ? 60000 : 4;
  cmt_peer *p = NULL;
  cmt_buf *msg;
  bool taken;

  if (cmt_switch_peers(n->sw, &p, 1) == 0) {
    return;
  }
  msg = cmt_buf_new(&f->w.env.env, len);
  memset(cmt_buf_data(msg), 7, len);
  cmt__store_le32(cmt_buf_data(msg), *sent);
  taken = draw(f, 2) == 0 ? ask(f, p, msg)
                          : cmt_peer_try_send(p, TEST_CHAT, msg) == CMT_OK;
  *sent += taken;
  if (!taken) {
    cmt_buf_unref(msg);
  }
  cmt_peer_unref(p);
}

static void prepare_numbers(fixture *f, uint64_t seed) {
  test_node *nodes[] = {&f->a, &f->b};

  f->drawn = seed;
  f->w.env.seed = seed;
  for (size_t i = 0; i < 2; i++) {
    nodes[i]->quiet = true;
    nodes[i]->parts[0].on_receive = on_number;
    nodes[i]->parts[0].channels[0].send_queue = 5;
  }
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_loop_draw(f->w.loop, seed);
  if (draw(f, 2) == 0) {
    test_loop_defaults(f->w.loop)->cap = 5000 + draw(f, 50000);
    test_loop_defaults(f->w.loop)->read_max = 1 + draw(f, 3000);
  }
}

static uint64_t running; /* The seed under way. */

static int tell_seed(void **state) {
  (void)state;
  if (running != 0) {
    printf("# failed with seed %llu\n", (unsigned long long)running);
  }
  return 0;
}

/* From the dial on both sides send in between the turns of the loops. */
static void messages_around_the_move_arrive_once_in_order(void **state) {
  unsigned moved = 0;

  (void)state;
  for (running = 1; running <= DRAWN; running++) {
    fixture *f = fixture_new((unsigned)(1 + running % LOOPS));

    prepare_numbers(f, running);
    assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0));
    for (int i = 0; f->sent[0] < 30 || f->sent[1] < 30; i++) {
      assert_true(i < 100000);
      test_loop_step(f->w.loop);
      say_number(f, draw(f, 2) == 0 ? &f->a : &f->b);
    }
    settle(f);
    assert_int_equal(f->sent[0], f->received[0]);
    assert_int_equal(f->sent[1], f->received[1]);
    assert_int_equal(f->asked, f->answered);
    moved += loop_of(&f->a, test_node_peer(&f->a)) != 0;
    fixture_delete(f);
  }
  running = 0;
  assert_true(moved > DRAWN / 2);
}

/* ---- ends, at any moment ---- */

typedef enum ending {
  STOP_OF_THE_SWITCH,
  STOP_OF_THE_PEER,
  GRACEFUL_STOP,
  END_OF_FILE,
  RESET,
  ENDINGS,
} ending;

/* How |a| ends it. */
static void end_it(fixture *f, ending how) {
  cmt_peer *p = NULL;

  switch (how) {
  case STOP_OF_THE_SWITCH:
    cmt_switch_stop(f->a.sw, draw(f, 2) * CMT_SECONDS(1));
    break;
  case STOP_OF_THE_PEER:
  case GRACEFUL_STOP:
    if (cmt_switch_peers(f->a.sw, &p, 1) > 0) {
      cmt_peer_stop(p, CMT_ECANCELED,
                    how == GRACEFUL_STOP ? CMT_SECONDS(30) : 0);
      cmt_peer_unref(p);
    }
    break;
  case END_OF_FILE:
    cmt_switch_stop(f->b.sw, 0);
    break;
  case RESET:
    test_conn_cut(test_loop_conn(f->w.loop, 0));
    break;
  case ENDINGS:
    break;
  }
}

static void assert_balanced(test_node *n) {
  cmt_switch_status s;

  cmt_switch_get_status(n->sw, &s);
  assert_int_equal(s.dialed + s.accepted - s.rejected, s.added);
  assert_int_equal(s.added, s.removed);
  assert_int_equal(0, s.handshakes);
  assert_int_equal(0, s.recv_held_bytes);
}

static void a_graceful_stop_lost_nothing(const fixture *f, ending how) {
  if (how == GRACEFUL_STOP && f->a.sw->status.removed == 1) {
    assert_int_equal(f->sent[1], f->received[1]);
  }
}

static void run_ending(ending how, unsigned steps) {
  fixture *f = fixture_new(2 + running % 2);

  prepare_numbers(f, running * 100 + steps);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0));
  while (cmt_switch_peers(f->a.sw, NULL, 0) == 0) {
    test_loop_step(f->w.loop);
  }
  for (unsigned i = 0; i < steps; i++) {
    say_number(f, draw(f, 2) == 0 ? &f->a : &f->b);
    test_loop_step(f->w.loop);
  }
  end_it(f, how);
  say_number(f, &f->b);
  settle(f);
  if (how == STOP_OF_THE_SWITCH) {
    test_loop_advance(f->w.loop, CMT_SECONDS(1));
    assert_true(cmt__switch_is_finished(f->a.sw));
  }
  a_graceful_stop_lost_nothing(f, how);
  assert_int_equal(0, cmt_switch_peers(f->a.sw, NULL, 0));
  cmt_switch_stop(f->a.sw, 0);
  cmt_switch_stop(f->b.sw, 0);
  settle(f);
  assert_int_equal(f->asked, f->answered);
  assert_balanced(&f->a);
  assert_balanced(&f->b);
  fixture_delete(f);
}

static void it_may_end_at_any_moment(void **state) {
  (void)state;
  for (running = 1; running <= 20; running++) {
    for (int how = 0; how < ENDINGS; how++) {
      for (unsigned steps = 0; steps < MOVE_STEPS; steps++) {
        run_ending((ending)how, steps);
      }
    }
  }
  running = 0;
}

/* ---- while it moves ---- */

/* Until the link of |a| is between two loops, the other loops not having had
   their turn. */
static cmt_peer *catch_it_moving(fixture *f) {
  cmt_peer *p = NULL;

  test_node_start(&f->a);
  test_node_start(&f->b);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0));
  while (cmt_switch_peers(f->a.sw, &p, 1) == 0) {
    test_loop_step_one(f->w.loop);
  }
  while (p->link->state != CMT__LINK_MOVING) {
    test_loop_step_one(f->w.loop);
  }
  cmt_peer_unref(p);
  return p;
}

static void a_pause_meanwhile_is_kept(void **state) {
  fixture *f = *state;
  cmt_peer *p = catch_it_moving(f);

  cmt_peer_pause(p);
  settle(f);
  (void)test_node_log(&f->a);
  (void)test_node_log(&f->b);
  assert_cmt(CMT_OK, test_node_say(&f->b, TEST_CHAT, "unheard"));
  settle(f);
  assert_string_equal("", test_node_log(&f->a));
  cmt_peer_resume(p);
  settle(f);
  assert_string_equal("receive chat 51 unheard\n", test_node_log(&f->a));
}

/* The new loop may not have looked at the clock for a while. */
static void time_does_not_go_back_for_it(void **state) {
  fixture *f = *state;
  cmt_peer *p = catch_it_moving(f);
  cmt__loop *first = test_loop_base(f->w.loops[0]);
  cmt__loop *last = test_loop_base(f->w.loops[2]);

  cmt__loop_catch_up(first, cmt__loop_now(first) + CMT_MILLISECONDS(1));
  assert_true(cmt__loop_now(last) < cmt__loop_now(first));
  settle(f);
  assert_ptr_equal(last, p->link->loop);
  assert_int_equal(cmt__loop_now(first), cmt__loop_now(last));
}

static void a_send_meanwhile_rings_nobody(void **state) {
  fixture *f = *state;
  cmt_peer *p = catch_it_moving(f);

  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(p, TEST_CHAT, "early", 5));
  assert_false(p->gate.posted);
  settle(f);
  assert_non_null(strstr(test_node_log(&f->b), "receive chat 51 early\n"));
}

static void a_stop_of_the_switch_meanwhile_bounds_it(void **state) {
  fixture *f = *state;

  (void)catch_it_moving(f);
  test_loop_defaults(f->w.loop)->stalled = true;
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = true;
  cmt_switch_stop(f->a.sw, CMT_MILLISECONDS(500));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(499));
  assert_false(cmt__switch_is_finished(f->a.sw));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(1));
  assert_true(cmt__switch_is_finished(f->a.sw));
}

/* It has ended, flushed, and is on its way home to wait for the other side. */
static void a_stop_of_the_switch_hurries_one_on_its_way_home(void **state) {
  fixture *f = *state;
  cmt_peer *p;

  test_pair(&f->w, &f->a, &f->b);
  p = test_node_peer(&f->a);
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = true;
  cmt_peer_stop(p, CMT_ECANCELED, CMT_SECONDS(60));
  while (p->link->state != CMT__LINK_MOVING) {
    test_loop_step_one(f->w.loops[2]);
  }
  cmt_switch_stop(f->a.sw, CMT_MILLISECONDS(200));
  test_loop_step_one(f->w.loop);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(200));
  assert_true(cmt__switch_is_finished(f->a.sw));
}

static void stop_slowly(test_part *part, cmt_peer *p) {
  (void)part;
  cmt_peer_stop(p, CMT_ECANCELED, CMT_SECONDS(60));
}

/* It ends before it has moved, and waits for the other side at home. */
static void one_that_never_left_is_hurried_too(void **state) {
  fixture *f = *state;

  f->a.parts[0].on_add = stop_slowly;
  test_node_start(&f->a);
  test_node_start(&f->b);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0));
  while (f->a.sw->status.added == 0) {
    test_loop_step_one(f->w.loop);
  }
  assert_int_equal(1, f->a.sw->status.removed);
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = true;
  cmt_switch_stop(f->a.sw, CMT_MILLISECONDS(200));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(200));
  assert_true(cmt__switch_is_finished(f->a.sw));
}

/* ---- rings under way ---- */

typedef struct late_ring {
  cmt__post post;
  cmt_peer *peer;
} late_ring;

static void ring_late(cmt__post *post) {
  cmt_peer_pause(((late_ring *)post)->peer);
}

/* The ring comes in the turn in which the connection ends, and its post only in
   the next. */
static void a_ring_under_way_is_waited_for(void **state) {
  fixture *f = *state;
  late_ring late = {.post = {.cb = ring_late}};

  test_pair(&f->w, &f->a, &f->b);
  late.peer = test_node_peer(&f->a);
  cmt__loop_post(test_loop_base(f->w.loops[2]), &late.post);
  test_conn_cut(test_loop_conn(f->w.loop, 0));
  test_loop_step_one(f->w.loops[2]);
  assert_true(late.peer->gate.posted);
  assert_true(late.peer->link->trip->end_due);
  assert_int_equal(CMT__LINK_OPEN, late.peer->link->state);
  test_loop_step_one(f->w.loops[2]);
  assert_false(late.peer->gate.posted);
  assert_int_equal(CMT__LINK_MOVING, late.peer->link->state);
  settle(f);
  assert_string_equal("remove chat CMT_ERESET\n", test_node_log(&f->a));
}

/* ---- memory ---- */

/* From the dial to messages both ways; allocation |fail| of that fails. */
static size_t run_out_of_memory(size_t fail, unsigned *ended_by_it) {
  fixture *f = fixture_new(2);
  size_t allocs;

  test_node_start(&f->a);
  test_node_start(&f->b);
  allocs = f->w.env.allocs;
  f->w.env.fail_at = fail == SIZE_MAX ? SIZE_MAX : allocs + fail;
  if (cmt_switch_dial(f->a.sw, f->b.addr, 0) == CMT_OK) {
    settle(f);
    (void)cmt_switch_broadcast_bytes(f->a.sw, TEST_CHAT, "hello", 5);
    (void)cmt_switch_broadcast_bytes(f->b.sw, TEST_CHAT, "hello", 5);
    settle(f);
    *ended_by_it +=
      (unsigned)(f->a.sw->status.removed + f->b.sw->status.removed) > 0;
    cmt_switch_stop(f->a.sw, CMT_SECONDS(1));
    settle(f);
  }
  f->w.env.fail_at = SIZE_MAX;
  allocs = f->w.env.allocs - allocs;
  cmt_switch_stop(f->a.sw, 0);
  cmt_switch_stop(f->b.sw, 0);
  settle(f);
  assert_balanced(&f->b);
  assert_int_equal(f->a.sw->status.added, f->a.sw->status.removed);
  fixture_delete(f);
  return allocs;
}

static void any_allocation_may_fail(void **state) {
  unsigned ended = 0;
  size_t count = run_out_of_memory(SIZE_MAX, &ended);

  (void)state;
  assert_int_equal(0, ended);
  for (size_t i = 0; i < count; i++) {
    run_out_of_memory(i, &ended);
  }
  printf("# %zu allocations, of which %u ended a peer\n", count, ended);
  assert_true(ended >= 4); /* Of each side: the socket, and its timer. */
}

/* The other loop cannot take it: its own peer alone ends, with that reason. */
static void a_loop_that_cannot_take_a_peer_ends_it(void **state) {
  fixture *f = *state;
  cmt_peer *p = cmt_peer_ref(catch_it_moving(f));
  cmt_why why;

  test_loop_step_one(f->w.loop);
  f->w.env.fail_at = f->w.env.allocs;
  test_loop_step_one(f->w.loops[2]);
  f->w.env.fail_at = SIZE_MAX;
  settle(f);
  cmt_peer_get_why(p, &why);
  assert_cmt(CMT_EIO, why.err);
  assert_int_equal(0, cmt_switch_peers(f->a.sw, NULL, 0));
  cmt_peer_unref(p);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(each_goes_to_the_loop_with_the_fewest),
    cmocka_unit_test(with_one_loop_nothing_moves),
    TEST(receive_is_called_on_the_loop_of_the_peer),
    TEST(remove_peer_is_called_on_the_first_loop),
    TEST(what_came_with_the_node_info_is_heard_first),
    TEST(what_they_share_is_shared_by_threads),
    cmocka_unit_test_teardown(messages_around_the_move_arrive_once_in_order,
                              tell_seed),
    cmocka_unit_test_teardown(it_may_end_at_any_moment, tell_seed),
    TEST(a_pause_meanwhile_is_kept),
    TEST(time_does_not_go_back_for_it),
    TEST(a_send_meanwhile_rings_nobody),
    TEST(a_stop_of_the_switch_meanwhile_bounds_it),
    TEST(a_stop_of_the_switch_hurries_one_on_its_way_home),
    TEST(one_that_never_left_is_hurried_too),
    TEST(a_ring_under_way_is_waited_for),
    cmocka_unit_test(any_allocation_may_fail),
    TEST(a_loop_that_cannot_take_a_peer_ends_it),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
