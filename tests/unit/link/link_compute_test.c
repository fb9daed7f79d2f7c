/* SPDX-License-Identifier: Apache-2.0 */

/* The handshakes of a loop: an iteration runs at most one public-key operation,
   peers are served between, and a link that ends waits for none. */

#include "hostile.h"
#include "public_key_ops.h"

#include "link/link.h"

enum {
  CROWD = 12,
  OPS = 4, /* One side's operations of a handshake. */
};

typedef test_trio fixture;

static size_t computed;      /* Calls of cmt_conn_compute(), */
static size_t ops_of_others; /* and operations in no such call. */

void __real_cmt_conn_compute(cmt_conn *c);
void __wrap_cmt_conn_compute(cmt_conn *c);

void __wrap_cmt_conn_compute(cmt_conn *c) {
  ops_of_others += public_key_ops;
  public_key_ops = 0;
  __real_cmt_conn_compute(c);
  assert_int_equal(1, public_key_ops);
  public_key_ops = 0;
  computed++;
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
  assert_int_equal(CROWD * OPS, ops_of_others + public_key_ops); /* Theirs. */
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

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, test_trio_setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(an_iteration_runs_one_operation),
    TEST(a_peer_is_served_between),
    TEST(a_link_that_ends_waits_for_no_operation),
    TEST(a_switch_may_stop_while_links_wait),
  };
#undef TEST

  return cmocka_run_group_tests_name("link_compute", tests, NULL, NULL);
}
