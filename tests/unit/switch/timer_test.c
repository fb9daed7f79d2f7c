/* SPDX-License-Identifier: Apache-2.0 */

/* Timers and posts of the application, in virtual time. */

#include "loops_pair.h"
#include "marks.h"

enum { CALLS_MAX = 64 };

/* A timer and a post that write down each call. */
typedef struct caller {
  cmt_timer timer;
  cmt_post post;
  fixture *f;
  size_t count;
  cmt_err status[CALLS_MAX];
  uint64_t at_ns[CALLS_MAX];
  const char
    *running[CALLS_MAX]; /* What the first loop states that it calls. */
  unsigned again;        /* How often it is set or posted anew, */
  uint64_t after_ns;     /* by its callback, with this delay. */
  struct caller *other;  /* Cancelled by it. */
  cmt_err refusal;       /* What setting it anew returned. */
  char log[256];         /* The log of A, before it. */
} caller;

static uint64_t now_of(const fixture *f) {
  return cmt__loop_now(test_loop_base(f->w.loop));
}

static void note_call(caller *c, cmt_err status) {
  const cmt_switch *sw = c->f->a.sw;

  assert_true(c->count < CALLS_MAX);
  c->status[c->count] = status;
  c->at_ns[c->count] = now_of(c->f);
  c->running[c->count++] =
    cmt__callback_running(&sw->threads[0].delivery.callbacks);
  snprintf(c->log, sizeof c->log, "%.255s", c->f->a.log);
}

static void on_timer(void *arg, cmt_err status) {
  caller *c = arg;

  note_call(c, status);
  if (c->other != NULL) {
    (void)cmt_switch_timer_cancel(c->f->a.sw, &c->other->timer);
  }
  if (c->again > 0) {
    c->again--;
    c->refusal = cmt_switch_timer(c->f->a.sw, &c->timer, c->after_ns);
  }
}

static void on_post(void *arg, cmt_err status) {
  caller *c = arg;

  note_call(c, status);
  if (c->again > 0) {
    c->again--;
    c->refusal = cmt_switch_post(c->f->a.sw, &c->post);
  }
}

static caller caller_of(fixture *f) {
  return (caller){.f = f, .timer.cb = on_timer, .post.cb = on_post};
}

/* The caller itself is the argument, so it has to lie still. */
static void caller_init(caller *c, fixture *f) {
  *c = caller_of(f);
  c->timer.arg = c;
  c->post.arg = c;
}

static void set(caller *c, uint64_t after_ns) {
  assert_cmt(CMT_OK, cmt_switch_timer(c->f->a.sw, &c->timer, after_ns));
}

static void post(caller *c) {
  assert_cmt(CMT_OK, cmt_switch_post(c->f->a.sw, &c->post));
}

static void stop(fixture *f) {
  cmt_switch_stop(f->a.sw, 0);
  run_until_idle(f);
  assert_true(cmt__switch_is_finished(f->a.sw));
}

/* ---- timers ---- */

static void a_timer_comes_once_at_its_instant(void **state) {
  fixture *f = *state;
  caller c;

  caller_init(&c, f);
  test_node_start(&f->a);
  run_until_idle(f);
  set(&c, CMT_MILLISECONDS(100));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(100) - 1);
  assert_int_equal(0, c.count);
  test_loop_advance(f->w.loop, 1);
  assert_int_equal(1, c.count);
  assert_cmt(CMT_OK, c.status[0]);
  assert_string_equal("a timer", c.running[0]);
  test_loop_advance(f->w.loop, CMT_SECONDS(10));
  assert_int_equal(1, c.count);
  set(&c, 0);
  assert_int_equal(1, c.count); /* Never inside of the call. */
  run_until_idle(f);
  assert_int_equal(2, c.count);
}

static void a_timer_that_is_set_again_moves(void **state) {
  fixture *f = *state;
  uint64_t began;
  caller c;

  caller_init(&c, f);
  test_node_start(&f->a);
  run_until_idle(f);
  began = now_of(f);
  set(&c, CMT_MILLISECONDS(10)); /* Before the loop has seen it, */
  set(&c, CMT_MILLISECONDS(30));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(20));
  assert_int_equal(0, c.count);
  set(&c, CMT_MILLISECONDS(50)); /* later, */
  run_until_idle(f);
  set(&c, CMT_MILLISECONDS(5)); /* and earlier. */
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(1, c.count);
  assert_true(began + CMT_MILLISECONDS(25) == c.at_ns[0]);
}

static void a_callback_sets_its_timer_again(void **state) {
  fixture *f = *state;
  caller c;

  caller_init(&c, f);
  c.again = 9;
  c.after_ns = CMT_MILLISECONDS(7);
  test_node_start(&f->a);
  run_until_idle(f);
  set(&c, CMT_MILLISECONDS(7));
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(10, c.count);
  for (size_t i = 1; i < 10; i++) {
    assert_true(c.at_ns[i - 1] + CMT_MILLISECONDS(7) == c.at_ns[i]);
  }
}

/* An iteration goes on to its other work. */
static void a_delay_of_nothing_does_not_hold_up_the_loop(void **state) {
  fixture *f = *state;
  caller c;

  caller_init(&c, f);
  c.again = 30;
  test_node_start(&f->a);
  run_until_idle(f);
  set(&c, 0);
  post(&c);
  for (size_t i = 0; i < 10; i++) {
    size_t before = c.count;

    test_loop_step(f->w.loop);
    assert_in_range(c.count - before, 0, 2);
  }
  run_until_idle(f);
  assert_int_equal(32, c.count);
}

static void a_cancelled_timer_does_not_come(void **state) {
  fixture *f = *state;
  uint64_t before = test_mark("timer_cancelled");
  caller c;

  caller_init(&c, f);
  test_node_start(&f->a);
  run_until_idle(f);
  assert_false(cmt_switch_timer_cancel(f->a.sw, &c.timer));
  set(&c, CMT_MILLISECONDS(1));
  assert_true(cmt_switch_timer_cancel(f->a.sw, &c.timer));
  set(&c, CMT_MILLISECONDS(1));
  run_until_idle(f);
  assert_true(cmt_switch_timer_cancel(f->a.sw, &c.timer));
  assert_false(cmt_switch_timer_cancel(f->a.sw, &c.timer));
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(0, c.count);
  assert_mark("timer_cancelled", before, 1);
}

static void a_callback_cancels_its_own_timer_and_others(void **state) {
  fixture *f = *state;
  caller first, second;

  caller_init(&first, f);
  caller_init(&second, f);
  first.other = &second;
  second.other = &second;
  test_node_start(&f->a);
  run_until_idle(f);
  set(&first, CMT_MILLISECONDS(1));
  set(&second, CMT_MILLISECONDS(1)); /* Due at the same instant. */
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(1, first.count);
  assert_int_equal(0, second.count);
  set(&second, CMT_MILLISECONDS(1));
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(1, second.count);
}

/* ---- many ---- */

enum { MANY = 500 };

typedef struct crowd {
  fixture *f;
  cmt_timer timers[MANY];
  struct member {
    struct crowd *crowd;
    uint64_t due_ns; /* 0: not set. */
    uint64_t order;
  } members[MANY];
  uint64_t order; /* Order of the calls. */
  uint64_t last_ns, last_order;
  size_t count;
} crowd;

static void on_member(void *arg, cmt_err status) {
  struct member *m = arg;
  crowd *c = m->crowd;

  assert_cmt(CMT_OK, status);
  assert_true(m->due_ns == now_of(c->f));
  assert_true(m->due_ns > c->last_ns || m->order > c->last_order);
  c->last_ns = m->due_ns;
  c->last_order = m->order;
  m->due_ns = 0;
  c->count++;
}

/* Sets, moves or cancels one that is drawn. */
static void crowd_change(crowd *c) {
  unsigned i = draw(c->f, MANY);
  struct member *m = &c->members[i];

  if (draw(c->f, 4) == 0) {
    assert_int_equal(m->due_ns != 0,
                     cmt_switch_timer_cancel(c->f->a.sw, &c->timers[i]));
    m->due_ns = 0;
  } else {
    uint64_t after_ns = CMT_MILLISECONDS(draw(c->f, 200));

    assert_cmt(CMT_OK, cmt_switch_timer(c->f->a.sw, &c->timers[i], after_ns));
    m->due_ns = now_of(c->f) + after_ns;
    m->order = ++c->order;
  }
}

static void many_come_in_the_order_of_their_instants(void **state) {
  fixture *f = *state;
  crowd *c = calloc(1, sizeof *c);

  assert_non_null(c);
  c->f = f;
  f->drawn = 1;
  for (size_t i = 0; i < MANY; i++) {
    c->members[i].crowd = c;
    c->timers[i] = (cmt_timer){.cb = on_member, .arg = &c->members[i]};
  }
  test_node_start(&f->a);
  run_until_idle(f);
  for (size_t i = 0; i < 300; i++) {
    for (unsigned n = draw(f, 60); n > 0; n--) {
      crowd_change(c);
    }
    run_until_idle(f);
    test_loop_advance(f->w.loop, CMT_MILLISECONDS(draw(f, 10)));
  }
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_true(c->count > MANY);
  for (size_t i = 0; i < MANY; i++) {
    assert_true(c->members[i].due_ns == 0);
  }
  free(c);
}

/* ---- posts ---- */

static void posts_come_in_their_order_and_once(void **state) {
  fixture *f = *state;
  caller c[3];

  test_node_start(&f->a);
  run_until_idle(f);
  for (size_t i = 0; i < 3; i++) {
    caller_init(&c[i], f);
    post(&c[i]);
    post(&c[0]); /* It waits already. */
    assert_int_equal(0, c[i].count);
    c[i].other = i > 0 ? &c[i - 1] : NULL;
  }
  run_until_idle(f);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(1, c[i].count);
    assert_cmt(CMT_OK, c[i].status[0]);
    assert_string_equal("a post", c[i].running[0]);
  }
  post(&c[1]);
  run_until_idle(f);
  assert_int_equal(2, c[1].count);
}

static void what_waits_for_the_start_comes_after_it(void **state) {
  fixture *f = *state;
  caller c, p;

  caller_init(&c, f);
  caller_init(&p, f);
  assert_cmt(CMT_OK, test_node_new(&f->a, NULL));
  set(&c, CMT_SECONDS(1));
  post(&p);
  test_loop_advance(f->w.loop, CMT_SECONDS(5));
  assert_int_equal(0, c.count + p.count);
  assert_cmt(CMT_OK, cmt_switch_start(f->a.sw, NULL));
  run_until_idle(f);
  assert_int_equal(1, p.count);
  assert_int_equal(0, c.count);
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(1, c.count);
}

static void neither_needs_memory(void **state) {
  fixture *f = *state;
  caller c;

  caller_init(&c, f);
  test_node_start(&f->a);
  run_until_idle(f);
  f->w.env.fail_at = f->w.env.allocs;
  f->w.env.shortage = SIZE_MAX;
  set(&c, 1);
  post(&c);
  test_loop_advance(f->w.loop, 1);
  assert_int_equal(2, c.count);
  f->w.env.fail_at = SIZE_MAX;
}

/* ---- the end ---- */

static void the_end_of_the_switch_answers_what_is_left(void **state) {
  fixture *f = *state;
  uint64_t before = test_mark("timer_ended_by_switch");
  caller timer, fresh, waiting;

  caller_init(&timer, f);
  caller_init(&fresh, f);
  caller_init(&waiting, f);
  timer.again = 1;
  test_pair(&f->w, &f->a, &f->b);
  set(&timer, CMT_SECONDS(3600));
  run_until_idle(f);
  set(&fresh, CMT_NEVER);
  stop(f);
  assert_int_equal(1, timer.count);
  assert_int_equal(1, fresh.count);
  assert_cmt(CMT_ECANCELED, timer.status[0]);
  assert_cmt(CMT_ECANCELED, fresh.status[0]);
  assert_cmt(CMT_ECLOSED, timer.refusal);
  assert_string_equal("remove chat CMT_ECANCELED\n", timer.log);
  assert_string_equal("remove chat CMT_ECANCELED\nstop chat\n",
                      test_node_log(&f->a));
  assert_cmt(CMT_ECLOSED, cmt_switch_timer(f->a.sw, &timer.timer, 1));
  assert_cmt(CMT_ECLOSED, cmt_switch_post(f->a.sw, &waiting.post));
  assert_false(cmt_switch_timer_cancel(f->a.sw, &timer.timer));
  assert_mark("timer_ended_by_switch", before, 2);
}

static void timers_come_until_the_last_peer_has_gone(void **state) {
  fixture *f = *state;
  caller c;

  caller_init(&c, f);
  c.again = 20;
  c.after_ns = CMT_MILLISECONDS(10);
  test_pair(&f->w, &f->a, &f->b);
  test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER].stalled = true;
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = true;
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "never arrives"));
  run_until_idle(f);
  set(&c, CMT_MILLISECONDS(10));
  cmt_switch_stop(f->a.sw, CMT_MILLISECONDS(100));
  test_loop_advance(f->w.loop, CMT_SECONDS(10));
  assert_true(cmt__switch_is_finished(f->a.sw));
  assert_in_range(c.count, 5, 21);
  assert_cmt(CMT_OK, c.status[c.count - 2]);
}

static void the_end_waits_for_no_post_that_posts_itself(void **state) {
  fixture *f = *state;
  caller c;

  caller_init(&c, f);
  c.again = 60;
  test_node_start(&f->a);
  run_until_idle(f);
  post(&c);
  test_loop_step(f->w.loop);
  cmt_switch_stop(f->a.sw, 0);
  for (size_t i = 0; i < 5; i++) {
    test_loop_step(f->w.loop);
  }
  assert_true(cmt__switch_is_finished(f->a.sw));
  assert_cmt(CMT_ECANCELED, c.status[c.count - 1]);
  assert_cmt(CMT_ECLOSED, c.refusal);
}

static void post_to_the_switch(test_part *part, cmt_peer *p) {
  (void)p;
  post(part->arg);
}

static void the_end_waits_for_a_wake_up_that_is_under_way(void **state) {
  fixture *f = *state;
  caller c;

  caller_init(&c, f);
  test_pair(&f->w, &f->a, &f->b);
  f->a.parts[0].arg = &c;
  f->a.parts[0].on_remove = post_to_the_switch;
  cmt_switch_stop(f->a.sw, 0);
  while (!cmt__switch_is_finished(f->a.sw)) {
    test_loop_step(f->w.loop);
  }
  assert_int_equal(1, c.count);
  assert_cmt(CMT_OK, cmt_switch_delete(f->a.sw));
  f->a.sw = NULL;
  run_until_idle(f); /* Nothing of it is on the loop. */
}

static void
a_switch_that_never_starts_answers_when_it_is_deleted(void **state) {
  fixture *f = *state;
  caller c;

  caller_init(&c, f);
  assert_cmt(CMT_OK, test_node_new(&f->a, NULL));
  set(&c, 0);
  post(&c);
  assert_cmt(CMT_OK, cmt_switch_delete(f->a.sw));
  f->a.sw = NULL;
  assert_int_equal(2, c.count);
  assert_cmt(CMT_ECANCELED, c.status[0]);
  assert_cmt(CMT_ECANCELED, c.status[1]);
}

static void so_does_one_whose_start_failed(void **state) {
  fixture *f = *state;
  caller c;

  caller_init(&c, f);
  f->a.parts[0].start_err = CMT_EREACTOR;
  assert_cmt(CMT_OK, test_node_new(&f->a, NULL));
  set(&c, 0);
  assert_cmt(CMT_EREACTOR, cmt_switch_start(f->a.sw, NULL));
  set(&c, 0);
  run_until_idle(f);
  assert_int_equal(0, c.count);
  assert_cmt(CMT_OK, cmt_switch_delete(f->a.sw));
  f->a.sw = NULL;
  assert_int_equal(1, c.count);
  assert_int_equal(0, test_loop_base(f->w.loop)->reserved);
}

static void mistakes_are_refused(void **state) {
  fixture *f = *state;
  cmt_timer no_cb = {.cb = NULL};
  cmt_post no_post = {.cb = NULL};
  caller c;

  caller_init(&c, f);
  test_pair(&f->w, &f->a, &f->b);
  assert_cmt(CMT_EINVAL, cmt_switch_timer(NULL, &c.timer, 0));
  assert_cmt(CMT_EINVAL, cmt_switch_timer(f->a.sw, NULL, 0));
  assert_cmt(CMT_EINVAL, cmt_switch_timer(f->a.sw, &no_cb, 0));
  assert_cmt(CMT_EINVAL, cmt_switch_post(NULL, &c.post));
  assert_cmt(CMT_EINVAL, cmt_switch_post(f->a.sw, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_post(f->a.sw, &no_post));
  assert_cmt(CMT_EINVAL, cmt_peer_post(NULL, &c.post));
  assert_cmt(CMT_EINVAL, cmt_peer_post(test_node_peer(&f->a), NULL));
  assert_cmt(CMT_EINVAL, cmt_peer_post(test_node_peer(&f->a), &no_post));
  set(&c, 0);
  post(&c);
  assert_cmt(CMT_EINVAL, cmt_switch_timer(f->b.sw, &c.timer, 0));
  assert_false(cmt_switch_timer_cancel(f->b.sw, &c.timer));
  assert_cmt(CMT_EINVAL, cmt_switch_post(f->b.sw, &c.post));
  assert_cmt(CMT_EINVAL, cmt_peer_post(test_node_peer(&f->a), &c.post));
  run_until_idle(f);
  assert_int_equal(2, c.count);
}

/* ---- posts to peers ---- */

static void post_to(caller *c, cmt_peer *p) {
  assert_cmt(CMT_OK, cmt_peer_post(p, &c->post));
}

static void a_post_runs_on_the_loop_of_its_peer(void **state) {
  fixture *f = *state;
  caller c;

  caller_init(&c, f);
  test_pair(&f->w, &f->a, &f->b);
  assert_int_equal(2, loop_of(&f->a, test_node_peer(&f->a)));
  post_to(&c, test_node_peer(&f->a));
  post_to(&c, test_node_peer(&f->a));
  for (int i = 0; i < 5; i++) {
    test_loop_step_one(f->w.loops[0]);
    test_loop_step_one(f->w.loops[1]);
  }
  assert_int_equal(0, c.count);
  test_loop_step_one(f->w.loops[2]);
  assert_int_equal(1, c.count);
  assert_cmt(CMT_OK, c.status[0]);
  run_until_idle(f);
  assert_int_equal(1, c.count);
}

static void post_it(test_part *part, cmt_peer *p) {
  post_to(part->node->parts[1].arg, p);
}

static void a_peer_that_moves_takes_its_posts_along(void **state) {
  fixture *f = *state;
  caller c;

  caller_init(&c, f);
  test_node_part(&f->a, "poster")->arg = &c;
  test_node_start(&f->b);
  test_node_start(&f->a);
  for (int i = 0; i < 2; i++) {
    f->a.parts[1].on_init = i == 0 ? post_it : NULL;
    f->a.parts[1].on_add = i == 1 ? post_it : NULL;
    test_node_dial(&f->a, f->b.addr, 0);
    assert_int_equal(i + 1, c.count);
    assert_cmt(CMT_OK, c.status[i]);
    cmt_peer_stop(test_node_peer(&f->a), CMT_EREACTOR, 0);
    run_until_idle(f);
    test_loop_advance(f->w.loop, CMT_SECONDS(5));
  }
}

static void
the_end_of_a_peer_answers_its_posts_before_it_is_removed(void **state) {
  fixture *f = *state;
  caller c;
  cmt_peer *p;

  caller_init(&c, f);
  c.other = NULL;
  test_pair(&f->w, &f->a, &f->b);
  p = cmt_peer_ref(test_node_peer(&f->a));
  test_conn_cut(test_loop_conn(f->w.loop, 0));
  test_loop_step_one(f->w.loops[2]); /* It is on its way home. */
  post_to(&c, p);
  run_until_idle(f);
  assert_int_equal(1, c.count);
  assert_cmt(CMT_ECLOSED, c.status[0]);
  assert_string_equal("", c.log);
  assert_string_equal("remove chat CMT_ERESET\n", test_node_log(&f->a));
  assert_cmt(CMT_ECLOSED, cmt_peer_post(p, &c.post));
  run_until_idle(f);
  assert_int_equal(1, c.count);
  cmt_peer_unref(p);
}

static void a_peer_that_is_refused_answers_its_posts(void **state) {
  fixture *f = *state;
  uint64_t before = test_mark("post_outlives_its_peer");
  caller c;

  caller_init(&c, f);
  test_node_part(&f->a, "poster")->arg = &c;
  f->a.parts[1].on_init = post_it;
  f->a.parts[1].init_err = CMT_EREACTOR;
  test_node_start(&f->b);
  test_node_start(&f->a);
  test_node_dial(&f->a, f->b.addr, 0);
  assert_int_equal(1, c.count);
  assert_cmt(CMT_ECLOSED, c.status[0]);
  assert_mark("post_outlives_its_peer", before, 1);
}

/* Whatever the order of the loops, and wherever the peer is. */
static void each_post_to_a_peer_has_one_call(void **state) {
  (void)state;
  for (unsigned seed = 1; seed <= 60; seed++) {
    fixture *f = fixture_new(LOOPS);
    caller c[8];
    cmt_peer *p;
    size_t posted = 0, called = 0;

    f->drawn = seed;
    test_loop_draw(f->w.loop, seed);
    test_pair(&f->w, &f->a, &f->b);
    p = cmt_peer_ref(test_node_peer(&f->a));
    for (size_t i = 0; i < 8; i++) {
      caller_init(&c[i], f);
      for (unsigned steps = draw(f, 3); steps > 0; steps--) {
        test_loop_step(f->w.loop);
      }
      if (i == 4) {
        cmt_peer_stop(p, CMT_EREACTOR, draw(f, 2) * CMT_SECONDS(1));
      }
      posted += cmt_peer_post(p, &c[i].post) == CMT_OK;
    }
    test_loop_advance(f->w.loop, CMT_SECONDS(5));
    for (size_t i = 0; i < 8; i++) {
      called += c[i].count;
      assert_in_range(c[i].count, 0, 1);
    }
    assert_int_equal(posted, called);
    cmt_peer_unref(p);
    fixture_delete(f);
  }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_timer_comes_once_at_its_instant),
    TEST(a_timer_that_is_set_again_moves),
    TEST(a_callback_sets_its_timer_again),
    TEST(a_delay_of_nothing_does_not_hold_up_the_loop),
    TEST(a_cancelled_timer_does_not_come),
    TEST(a_callback_cancels_its_own_timer_and_others),
    TEST(many_come_in_the_order_of_their_instants),
    TEST(posts_come_in_their_order_and_once),
    TEST(what_waits_for_the_start_comes_after_it),
    TEST(neither_needs_memory),
    TEST(the_end_of_the_switch_answers_what_is_left),
    TEST(timers_come_until_the_last_peer_has_gone),
    TEST(the_end_waits_for_no_post_that_posts_itself),
    TEST(the_end_waits_for_a_wake_up_that_is_under_way),
    TEST(a_switch_that_never_starts_answers_when_it_is_deleted),
    TEST(so_does_one_whose_start_failed),
    TEST(mistakes_are_refused),
    TEST(a_post_runs_on_the_loop_of_its_peer),
    TEST(a_peer_that_moves_takes_its_posts_along),
    TEST(the_end_of_a_peer_answers_its_posts_before_it_is_removed),
    TEST(a_peer_that_is_refused_answers_its_posts),
    cmocka_unit_test(each_post_to_a_peer_has_one_call),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
