/* SPDX-License-Identifier: Apache-2.0 */

/* Feelers: dials that find out whether a node is there. */

#include "dial_fixture.h"

static char network[32];

static void on_felt(void *arg, cmt_dial *dial, const cmt_dial_outcome *o) {
  network[0] = '\0';
  if (o->node_info != NULL) {
    snprintf(network, sizeof network, "%.*s", (int)o->node_info->network.len,
             (const char *)o->node_info->network.base);
  }
  on_outcome(arg, dial, o);
}

static void start(fixture *f) {
  test_node_start(&f->a);
  test_node_start(&f->b);
}

static void feel(fixture *f) {
  f->o.persistent = false;
  f->o.feeler = true;
  f->o.on_outcome = on_felt;
  dial(f);
  assert_int_equal(1, f->count);
}

static uint64_t felt_of(const fixture *f) {
  cmt_switch_status st;

  cmt_switch_get_status(f->a.sw, &st);
  assert_int_equal(0, st.handshakes);
  assert_int_equal(0, st.added);
  return st.felt;
}

static void a_feeler_learns_the_node_info(void **state) {
  fixture *f = *state;

  start(f);
  feel(f);
  assert_cmt(CMT_OK, f->last.why.err);
  assert_string_equal(f->id.text, f->found.text);
  assert_string_equal("10.0.0.2:26656", f->remote);
  assert_string_equal(f->b.options.network, network);
  assert_false(f->last.redials);
  assert_int_equal(CMT_DIAL_ENDED, status_of(f).state);
  assert_int_equal(1, felt_of(f));
}

static void no_reactor_learns_of_it(void **state) {
  fixture *f = *state;

  start(f);
  feel(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(2));
  assert_string_equal("", test_node_log(&f->a));
  assert_int_equal(0, cmt_switch_peers(f->a.sw, NULL, 0));
  assert_int_equal(0, cmt_switch_peers(f->b.sw, NULL, 0));
}

static void it_needs_no_place_of_a_peer(void **state) {
  fixture *f = *state;

  f->a.options.outbound_peers_max = CMT_NO_PEERS;
  start(f);
  feel(f);
  assert_cmt(CMT_OK, f->last.why.err);
}

static void it_fails_as_any_dial(void **state) {
  fixture *f = *state;

  f->b.options.network = "another";
  start(f);
  feel(f);
  assert_cmt(CMT_ENETWORK, f->last.why.err);
  assert_string_equal("", network);
  assert_int_equal(0, felt_of(f));
}

static void a_banned_node_is_not_felt(void **state) {
  fixture *f = *state;
  cmt_ban ban;

  cmt_ban_init(&ban);
  snprintf(ban.subject, sizeof ban.subject, "%s", f->id.text);
  start(f);
  assert_cmt(CMT_OK, cmt_switch_ban(f->a.sw, &ban, NULL));
  feel(f);
  assert_cmt(CMT_EBANNED, f->last.why.err);
}

static void a_peer_has_a_node_info_too(void **state) {
  fixture *f = *state;

  f->o.persistent = false;
  f->o.on_outcome = on_felt;
  start(f);
  dial(f);
  assert_cmt(CMT_OK, f->last.why.err);
  assert_string_equal(f->b.options.network, network);
}

/* The other side has it on standby, where nothing is decided for a second. */
static void a_peer_of_the_same_node_stays(void **state) {
  fixture *f = *state;

  start(f);
  test_node_dial(&f->a, f->at, 0);
  f->o.persistent = false;
  f->o.feeler = true;
  dial(f);
  assert_cmt(CMT_OK, f->last.why.err);
  cmt_dial_cancel(f->dial);
  test_node_dial(&f->b, f->a.addr, 0); /* Nothing: it is a peer. */
  dial(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(10));
  assert_cmt(CMT_OK, f->last.why.err);
  assert_int_equal(1, cmt_switch_peers(f->a.sw, NULL, 0));
  assert_int_equal(1, cmt_switch_peers(f->b.sw, NULL, 0));
}

static void it_is_not_persistent(void **state) {
  fixture *f = *state;
  cmt_why why;

  f->o.feeler = true;
  assert_cmt(CMT_OK, test_node_new(&f->a, NULL));
  assert_cmt(CMT_EINVAL,
             cmt_switch_dial_new(f->a.sw, f->at, &f->o, NULL, &why));
  assert_string_equal("feeler is set together with persistent or unconditional",
                      why.text);
  f->o.persistent = false;
  f->o.unconditional = true;
  assert_cmt(CMT_EINVAL,
             cmt_switch_dial_new(f->a.sw, f->at, &f->o, NULL, &why));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(a_feeler_learns_the_node_info), TEST(no_reactor_learns_of_it),
    TEST(it_needs_no_place_of_a_peer),   TEST(it_fails_as_any_dial),
    TEST(a_banned_node_is_not_felt),     TEST(a_peer_has_a_node_info_too),
    TEST(a_peer_of_the_same_node_stays), TEST(it_is_not_persistent),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
