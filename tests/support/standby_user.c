/* SPDX-License-Identifier: Apache-2.0 */
#include "standby_user.h"

#include <stdlib.h>

static void make_keys(standby_user *f) {
  cmt_node_id small, large;

  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &f->small));
  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &f->large));
  cmt_node_key_get_id(f->small, &small);
  cmt_node_key_get_id(f->large, &large);
  if (strcmp(small.text, large.text) > 0) {
    cmt_node_key *k = f->small;

    f->small = f->large;
    f->large = k;
  }
}

int standby_setup(void **state) {
  standby_user *f = calloc(1, sizeof *f);

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

int standby_teardown(void **state) {
  standby_user *f = *state;
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

void standby_run_until_idle(standby_user *f) {
  test_loop_run_until_idle(f->w.loop);
}

void standby_advance_ms(standby_user *f, uint64_t ms) {
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(ms));
}

uint64_t standby_handshakes(test_node *n) {
  cmt_switch_status status;

  cmt_switch_get_status(n->sw, &status);
  return status.handshakes;
}

void standby_go_silent(standby_user *f, size_t conn, bool on) {
  test_conn *c = test_loop_conn(f->w.loop, conn);

  c->dir[TEST_DIALER].stalled = on;
  c->dir[TEST_ACCEPTOR].stalled = on;
}

void standby_first_is_there(standby_user *f) {
  test_pair(&f->w, &f->a, &f->b);
  standby_advance_ms(f, 100);
}

void standby_second_dials(standby_user *f) {
  standby_first_is_there(f);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->c));
  assert_string_equal("", test_node_log(&f->b));
  assert_int_equal(1, standby_handshakes(&f->b));
}
