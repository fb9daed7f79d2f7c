/* SPDX-License-Identifier: Apache-2.0 */

/* Peer exchange between nodes, in virtual time. */

#include "pex_world.h"

typedef struct fixture {
  test_world w;
  pex_node a, b, c;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->w);
  pex_node_init(&f->a, &f->w, "5.1.0.1");
  pex_node_init(&f->b, &f->w, "5.2.0.1");
  pex_node_init(&f->c, &f->w, "5.3.0.1");
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  pex_node_fini(&f->a);
  pex_node_fini(&f->b);
  pex_node_fini(&f->c);
  test_world_fini(&f->w);
  free(f);
  return 0;
}

static void pass(fixture *f, uint64_t seconds) {
  test_loop_advance(f->w.loop, CMT_SECONDS(seconds));
}

static void an_address_of_the_book_is_dialed(void **state) {
  fixture *f = *state;

  pex_node_start(&f->b);
  pex_know(&f->a, f->b.addr);
  pex_node_start(&f->a);
  pass(f, 2);
  assert_int_equal(1, pex_peers(&f->a));
  assert_int_equal(1, pex_status(&f->a).outbound_peers);
  assert_int_equal(1, pex_status(&f->a).requests_sent);
  assert_int_equal(1, pex_status(&f->a).answers_received);
  assert_int_equal(1, pex_status(&f->b).requests_received);
}

static void what_a_peer_knows_is_learned_and_dialed(void **state) {
  fixture *f = *state;

  pex_node_start(&f->b);
  pex_node_start(&f->c);
  pex_know(&f->b, f->c.addr);
  pex_know(&f->a, f->b.addr);
  pex_node_start(&f->a);
  pass(f, 3);
  assert_int_equal(2, pex_status(&f->a).outbound_peers);
  assert_true(pex_status(&f->a).online);
}

static void a_seed_is_dialed_when_the_book_is_small(void **state) {
  fixture *f = *state;

  pex_node_start(&f->b);
  pex_node_start(&f->c);
  pex_know(&f->b, f->c.addr);
  f->a.o.seeds = f->b.addr;
  pex_node_start(&f->a);
  pass(f, 3);
  assert_int_equal(1, pex_status(&f->a).seeds_dialed);
  assert_int_equal(2, pex_peers(&f->a));
}

static void a_full_node_has_the_peers_that_it_wants(void **state) {
  fixture *f = *state;

  pex_node_start(&f->b);
  pex_node_start(&f->c);
  pex_know(&f->a, f->b.addr);
  pex_know(&f->a, f->c.addr);
  f->a.o.outbound_max = 1;
  pex_node_start(&f->a);
  pass(f, 120);
  assert_int_equal(1, pex_status(&f->a).outbound_peers);
  cmt_switch_stop(f->b.sw, 0);
  pass(f, 40);
  assert_int_equal(1, pex_peers(&f->a)); /* C, whoever dialed. */
}

/* Another one is dialed in its place. */
static void an_unconditional_peer_takes_no_place(void **state) {
  fixture *f = *state;
  cmt_peer *p;

  f->b.o.outbound_max = CMT_PEX_NO_PEERS;
  f->c.o.outbound_max = CMT_PEX_NO_PEERS;
  pex_node_start(&f->b);
  pex_node_start(&f->c);
  pex_know(&f->a, f->b.addr);
  pex_know(&f->a, f->c.addr);
  f->a.o.outbound_max = 1;
  pex_node_start(&f->a);
  pass(f, 61);
  assert_int_equal(1, cmt_switch_peers(f->a.sw, &p, 1));
  assert_cmt(CMT_OK,
             cmt_switch_set_unconditional(f->a.sw, cmt_peer_id(p), 1, NULL));
  cmt_peer_unref(p);
  pass(f, 61);
  assert_int_equal(2, pex_status(&f->a).outbound_peers);
}

/* Its own book learns the proof, and a restart begins with it. */
static void peers_are_anchors_of_the_next_start(void **state) {
  fixture *f = *state;
  cmt_net_addr anchors[CMT_PEX_ANCHORS_MAX];

  pex_node_start(&f->b);
  pex_know(&f->a, f->b.addr);
  pex_node_start(&f->a);
  pass(f, 31);
  assert_int_equal(1, cmt_pex_anchors(f->a.pex, anchors, 4));
  pex_node_fini(&f->a);
  pex_node_init(&f->a, &f->w, "5.1.0.1"); /* With an empty book. */
  f->a.o.anchors = anchors;
  f->a.o.anchor_count = 1;
  pex_node_start(&f->a);
  pass(f, 2);
  assert_int_equal(1, pex_status(&f->a).outbound_peers);
}

static size_t anchors_of(const pex_node *n, cmt_net_addr *out) {
  return cmt_addrbook_anchors(n->book, out, CMT_ADDRBOOK_ANCHORS_MAX);
}

/* Whoever stores the book stores them, and they are found without an entry. */
static void the_book_keeps_the_anchors(void **state) {
  fixture *f = *state;
  cmt_net_addr anchors[CMT_ADDRBOOK_ANCHORS_MAX], none;
  cmt_addrbook_status before, after;

  pex_node_start(&f->b);
  pex_know(&f->a, f->b.addr);
  pex_node_start(&f->a);
  pass(f, 5); /* There was no round since B was met. */
  cmt_switch_stop(f->a.sw, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(1, anchors_of(&f->a, anchors));
  assert_string_equal("5.2.0.1", anchors[0].host);
  pex_node_fini(&f->a);
  pex_node_init(&f->a, &f->w, "5.1.0.1"); /* With an empty book. */
  cmt_addrbook_get_status(f->a.book, &before);
  cmt_addrbook_set_anchors(f->a.book, anchors, 1);
  cmt_addrbook_set_anchors(f->a.book, anchors, 1);
  cmt_addrbook_get_status(f->a.book, &after);
  assert_int_equal(before.revision + 1, after.revision);
  pex_node_start(&f->a);
  pass(f, 2);
  assert_int_equal(1, pex_status(&f->a).outbound_peers);
  none = anchors[0];
  snprintf(none.host, sizeof none.host, "node.example");
  cmt_addrbook_set_anchors(f->a.book, &none, 1);
  assert_int_equal(0, anchors_of(&f->a, anchors));
}

/* Others report it, and it is no node to dial, nor one to pass on. */
static void its_own_id_leaves_the_book(void **state) {
  fixture *f = *state;
  cmt_net_addr own;

  pex_node_start(&f->a);
  assert_cmt(CMT_OK, cmt_net_addr_parse(f->a.addr, 0, &own, NULL));
  assert_true(cmt_addrbook_is_own(f->a.book, &own.id));
  assert_cmt(CMT_ESELF,
             cmt_addrbook_add(f->a.book, &own, &own, pex_utc(&f->w)));
}

static void a_node_of_another_network_leaves_the_book(void **state) {
  fixture *f = *state;
  test_node other;
  cmt_net_addr a;

  test_node_init(&other, &f->w);
  other.options.laddr = "5.9.0.1:26656";
  other.options.network = "another";
  test_node_start(&other);
  pex_know(&f->a, other.addr);
  assert_cmt(CMT_OK, cmt_net_addr_parse(other.addr, 0, &a, NULL));
  pex_node_start(&f->a);
  pass(f, 2);
  assert_int_equal(1, pex_status(&f->a).dials_failed);
  assert_false(cmt_addrbook_has(f->a.book, &a.id));
  assert_true(cmt_addrbook_is_barred(f->a.book, &a, pex_utc(&f->w)));
  test_node_fini(&other);
}

static size_t dials_of(const pex_node *n) {
  return cmt_switch_dials(n->sw, NULL, 0);
}

static void persistent_peers_are_dialed_for_ever(void **state) {
  fixture *f = *state;
  cmt_dial_status st;

  f->a.o.outbound_max = CMT_PEX_NO_PEERS;
  pex_node_start(&f->b);
  f->a.o.persistent_peers = f->b.addr;
  pex_node_start(&f->a);
  pass(f, 2);
  assert_int_equal(1, pex_peers(&f->a));
  cmt_switch_stop(f->b.sw, 0);
  pass(f, 3600);
  assert_int_equal(0, pex_peers(&f->a));
  st.size = sizeof st;
  assert_int_equal(1, cmt_switch_dials(f->a.sw, &st, 1));
  /* 5 s grow to 60 s, and the jitter is below 3 s. */
  assert_in_range(st.attempts, 58, 70);
}

/* All nodes of a network may have one list, with other addresses of ours. */
static void a_node_in_its_own_lists_is_left_out(void **state) {
  fixture *f = *state;
  char own[CMT_NET_ADDR_TEXT_SIZE], both[2 * CMT_NET_ADDR_TEXT_SIZE];
  cmt_dial_status st = {.size = sizeof st};
  cmt_node_id id;

  pex_node_start(&f->b);
  pex_node_start(&f->a);
  cmt_switch_get_id(f->a.sw, &id);
  snprintf(own, sizeof own, "%s@7.7.7.7:26656", id.text);
  snprintf(both, sizeof both, "%s,%s", own, f->b.addr);
  assert_cmt(CMT_OK, cmt_pex_set_seeds(f->a.pex, own, NULL));
  assert_cmt(CMT_OK, cmt_pex_set_persistent_peers(f->a.pex, both, NULL));
  test_loop_advance(f->w.loop, CMT_SECONDS(100));
  assert_int_equal(1, cmt_switch_dials(f->a.sw, &st, 1));
  assert_string_equal(f->b.addr, st.addr);
  assert_int_equal(0, pex_status(&f->a).seeds_dialed);
}

static void persistent_peers_change_at_run_time(void **state) {
  fixture *f = *state;
  char both[2 * CMT_NET_ADDR_TEXT_SIZE];

  f->a.o.outbound_max = CMT_PEX_NO_PEERS;
  pex_node_start(&f->b);
  pex_node_start(&f->c);
  f->a.o.persistent_peers = f->b.addr;
  pex_node_start(&f->a);
  pass(f, 1);
  assert_int_equal(1, pex_peers(&f->a));
  snprintf(both, sizeof both, "%s,%s", f->b.addr, f->c.addr);
  assert_cmt(CMT_OK, cmt_pex_set_persistent_peers(f->a.pex, both, NULL));
  pass(f, 1);
  assert_int_equal(2, pex_peers(&f->a));
  assert_int_equal(2, dials_of(&f->a));
  assert_cmt(CMT_OK, cmt_pex_set_persistent_peers(f->a.pex, f->c.addr, NULL));
  pass(f, 1);
  assert_int_equal(2, pex_peers(&f->a)); /* It stays, */
  assert_int_equal(1, dials_of(&f->a));  /* and is not dialed again. */
  assert_cmt(CMT_EINVAL, cmt_pex_set_persistent_peers(f->a.pex, "x", NULL));
  assert_int_equal(1, dials_of(&f->a));
}

static uint64_t visits(const pex_node *n) {
  cmt_pex_status st = pex_status(n);

  return st.visits_served + st.visits_empty + st.visits_silent + st.visits_left;
}

/* A peer that comes onto the list is no visitor of a seed any more, and a peer
   that leaves it is. */
static void a_list_counts_for_peers_that_are_there(void **state) {
  fixture *f = *state;

  f->a.o.seed = true;
  pex_node_start(&f->b);
  pex_node_start(&f->a);
  assert_cmt(CMT_OK, cmt_pex_set_persistent_peers(f->b.pex, f->a.addr, NULL));
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(1, pex_peers(&f->a));
  assert_cmt(CMT_OK, cmt_pex_set_persistent_peers(f->a.pex, f->b.addr, NULL));
  pass(f, 120);
  assert_int_equal(1, pex_peers(&f->a));
  assert_int_equal(0, visits(&f->a));
  assert_cmt(CMT_OK, cmt_pex_set_persistent_peers(f->a.pex, "", NULL));
  assert_cmt(CMT_OK, cmt_pex_set_persistent_peers(f->b.pex, "", NULL));
  pass(f, 32);
  assert_true(visits(&f->a) > 0);
}

static void seeds_change_at_run_time(void **state) {
  fixture *f = *state;

  pex_node_start(&f->b);
  pex_node_start(&f->a);
  pass(f, 40);
  assert_int_equal(0, pex_peers(&f->a));
  assert_cmt(CMT_OK, cmt_pex_set_seeds(f->a.pex, f->b.addr, NULL));
  pass(f, 1);
  assert_int_equal(1, pex_peers(&f->a));
}

static void peers_of_other_networks_are_left_alone(void **state) {
  fixture *f = *state;

  f->b.o.network = "another";
  pex_node_start(&f->b);
  pex_know(&f->a, f->b.addr);
  pex_node_start(&f->a);
  pass(f, 5);
  assert_int_equal(1, pex_peers(&f->b));
  assert_int_equal(0, pex_status(&f->b).peers);
  assert_int_equal(0, pex_status(&f->b).requests_received);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(an_address_of_the_book_is_dialed),
    TEST(what_a_peer_knows_is_learned_and_dialed),
    TEST(a_seed_is_dialed_when_the_book_is_small),
    TEST(a_full_node_has_the_peers_that_it_wants),
    TEST(an_unconditional_peer_takes_no_place),
    TEST(peers_are_anchors_of_the_next_start),
    TEST(the_book_keeps_the_anchors),
    TEST(its_own_id_leaves_the_book),
    TEST(a_node_of_another_network_leaves_the_book),
    TEST(persistent_peers_are_dialed_for_ever),
    TEST(a_node_in_its_own_lists_is_left_out),
    TEST(persistent_peers_change_at_run_time),
    TEST(a_list_counts_for_peers_that_are_there),
    TEST(seeds_change_at_run_time),
    TEST(peers_of_other_networks_are_left_alone),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
