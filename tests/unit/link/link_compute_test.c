/* SPDX-License-Identifier: Apache-2.0 */

/* The handshakes of a loop: an iteration runs at most one public-key operation,
   peers are served between, and a link that ends waits for none.  Over a rate
   threads have some, and what ends meanwhile waits for those. */

#include "hostile.h"
#include "public_key_ops.h"

#include "core/secret/secret_conn.h"
#include "marks.h"
#include "switch/state.h"

enum {
  CROWD = 12,
  OPS = 4, /* One side's operations of a handshake. */
};

typedef test_trio fixture;

static size_t computed;      /* Operations of links, */
static size_t ops_of_others; /* and those of the crowd. */

void __real_cmt__computation_run(cmt__computation *x);
void __wrap_cmt__computation_run(cmt__computation *x);

void __wrap_cmt__computation_run(cmt__computation *x) {
  bool of_link = x->conn == NULL || x->conn->handshake->defers;

  assert_int_equal(0, public_key_ops);
  __real_cmt__computation_run(x);
  assert_int_equal(1, public_key_ops);
  public_key_ops = 0;
  *(of_link ? &computed : &ops_of_others) += 1;
}

static void on_receive(test_part *part, cmt_peer *p, uint8_t channel,
                       cmt_buf *msg) {
  size_t *received = part->arg;

  (void)p;
  (void)channel;
  (void)msg;
  ++*received;
}

static void listen(fixture *f, size_t *received) {
  *received = 0;
  f->b.quiet = true;
  f->b.options.inbound_peers_max = CROWD + 1;
  f->b.options.inbound_peers_per_ip_max = CROWD + 1;
  f->b.parts[0].on_receive = on_receive;
  f->b.parts[0].arg = received;
  test_node_start(&f->b);
}

/* The crowd dials, and its operations are counted from 0. */
static void come(fixture *f, hostile *crowd) {
  computed = 0;
  ops_of_others = 0;
  public_key_ops = 0;
  memset(crowd, 0, CROWD * sizeof *crowd);
  for (size_t i = 0; i < CROWD; i++) {
    hostile_dial(&crowd[i], f->w.loop, f->b.addr);
  }
}

/* From here on the others of the crowd wait for theirs. */
static void until_one_is_computed(fixture *f) {
  while (computed == 0) {
    test_loop_step(f->w.loop);
  }
}

static void leave(hostile *crowd) {
  for (size_t i = 0; i < CROWD; i++) {
    hostile_fini(&crowd[i]);
  }
}

static void an_iteration_runs_one_operation(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];
  size_t received;

  listen(f, &received);
  come(f, crowd);
  while (computed < CROWD * OPS) {
    size_t before = computed;

    test_loop_step(f->w.loop);
    assert_in_range(computed - before, 0, f->w.loop_count);
  }
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(CROWD * OPS, computed);
  assert_int_equal(CROWD * OPS, ops_of_others);
  for (size_t i = 0; i < CROWD; i++) {
    assert_true(crowd[i].up && !crowd[i].ended);
  }
  leave(crowd);
}

static void a_peer_is_served_between(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD], peer = {.tcp = NULL};
  size_t received, steps = 0;

  listen(f, &received);
  hostile_dial(&peer, f->w.loop, f->b.addr);
  test_loop_run_until_idle(f->w.loop);
  come(f, crowd);
  until_one_is_computed(f);
  hostile_packet(&peer, TEST_CHAT, 0, true);
  while (received == 0) {
    assert_in_range(++steps, 1, 3);
    test_loop_step(f->w.loop);
  }
  assert_in_range(computed, 1, CROWD);
  leave(crowd);
  hostile_fini(&peer);
}

/* Half of the crowd goes while all of them wait. */
static void a_link_that_ends_waits_for_no_operation(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];
  size_t received;

  listen(f, &received);
  come(f, crowd);
  until_one_is_computed(f);
  for (size_t i = 0; i < CROWD; i += 2) {
    hostile_hang_up(&crowd[i]);
  }
  test_loop_run_until_idle(f->w.loop);
  assert_in_range(computed, CROWD / 2 * OPS, CROWD * OPS - 1);
  for (size_t i = 1; i < CROWD; i += 2) {
    assert_true(crowd[i].up && !crowd[i].ended);
  }
  leave(crowd);
}

static void a_switch_may_stop_while_links_wait(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];
  size_t received;

  listen(f, &received);
  come(f, crowd);
  until_one_is_computed(f);
  cmt_switch_stop(f->b.sw, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_in_range(computed, 1, CROWD);
  leave(crowd);
}

/* ---- threads ---- */

enum { THREADS = 2, THREADS_HAVE = THREADS * CMT__HELPER_CALLS };

/* The threads have what they can have, and keep it. */
static void offload(fixture *f, hostile *crowd, bool mute) {
  size_t received;

  f->b.options.handshake_threads = THREADS;
  f->b.options.handshake_offload_rate = 1;
  listen(f, &received);
  test_loop_set_threads(f->w.loop, THREADS);
  test_loop_hold_calls(f->w.loop, true);
  come(f, crowd);
  for (size_t i = 0; i < CROWD; i++) {
    crowd[i].mute = mute;
  }
  while (test_loop_calls_held(f->w.loop) < THREADS_HAVE) {
    test_loop_step(f->w.loop);
  }
}

static void let_threads_run(fixture *f) {
  test_loop_hold_calls(f->w.loop, false);
  test_loop_run_until_idle(f->w.loop);
}

static void threads_have_what_is_over_the_rate(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];

  offload(f, crowd, false);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(THREADS_HAVE, test_loop_calls_held(f->w.loop));
  assert_in_range(computed, (CROWD - THREADS_HAVE) * OPS,
                  CROWD * OPS - THREADS_HAVE);
  let_threads_run(f);
  assert_int_equal(CROWD * OPS, computed);
  for (size_t i = 0; i < CROWD; i++) {
    assert_true(crowd[i].up && !crowd[i].ended);
  }
  leave(crowd);
}

static void what_ends_meanwhile_waits_for_the_threads(void **state) {
  fixture *f = *state;
  uint64_t before = test_mark("ended_while_computed_elsewhere");
  hostile crowd[CROWD];

  offload(f, crowd, true);
  for (size_t i = 0; i < CROWD; i++) {
    hostile_hang_up(&crowd[i]);
  }
  test_loop_run_until_idle(f->w.loop);
  assert_null(f->b.sw->pending);
  assert_int_equal(THREADS_HAVE, f->b.sw->session_count);
  let_threads_run(f);
  assert_int_equal(0, f->b.sw->session_count);
  assert_mark("ended_while_computed_elsewhere", before, THREADS_HAVE);
  leave(crowd);
}

static void a_deadline_passes_meanwhile(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];

  offload(f, crowd, true);
  test_loop_advance(f->w.loop, CMT_SECONDS(4));
  assert_null(f->b.sw->pending);
  assert_cmt(CMT_EHANDSHAKE, f->b.why.err);
  assert_int_equal(THREADS_HAVE, test_loop_calls_held(f->w.loop));
  let_threads_run(f);
  leave(crowd);
}

/* Their keys arrived before it, and the loop does not spin. */
static void no_deadline_passes_before_bytes_that_wait(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];

  offload(f, crowd, false);
  test_loop_advance(f->w.loop, CMT_SECONDS(4));
  assert_non_null(f->b.sw->pending);
  let_threads_run(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(4));
  assert_null(f->b.sw->pending);
  leave(crowd);
}

static void a_stop_waits_for_the_threads(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];

  offload(f, crowd, false);
  cmt_switch_stop(f->b.sw, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_false(cmt__switch_is_finished(f->b.sw));
  let_threads_run(f);
  assert_true(cmt__switch_is_finished(f->b.sw));
  leave(crowd);
}

/* They lie in the slot of their handshake until its computation ends. */
static void secrets_are_wiped_when_the_threads_are_done(void **state) {
  fixture *f = *state;
  hostile crowd[CROWD];
  size_t pieces = atomic_load(&f->w.env.secret_live);

  offload(f, crowd, false);
  leave(crowd);
  test_loop_run_until_idle(f->w.loop);
  let_threads_run(f);
  cmt_switch_stop(f->b.sw, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_cmt(CMT_OK, cmt_switch_delete(f->b.sw));
  f->b.sw = NULL;
  assert_int_equal(pieces, atomic_load(&f->w.env.secret_live));
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, test_trio_setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(an_iteration_runs_one_operation),
    TEST(a_peer_is_served_between),
    TEST(a_link_that_ends_waits_for_no_operation),
    TEST(a_switch_may_stop_while_links_wait),
    TEST(threads_have_what_is_over_the_rate),
    TEST(what_ends_meanwhile_waits_for_the_threads),
    TEST(a_deadline_passes_meanwhile),
    TEST(no_deadline_passes_before_bytes_that_wait),
    TEST(a_stop_waits_for_the_threads),
    TEST(secrets_are_wiped_when_the_threads_are_done),
  };
#undef TEST

  return cmocka_run_group_tests_name("link_compute", tests, NULL, NULL);
}
