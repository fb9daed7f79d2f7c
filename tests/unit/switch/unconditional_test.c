/* SPDX-License-Identifier: Apache-2.0 */

/* Unconditional peers in virtual time: they take no place of others, also when
   they become unconditional while they are here, and what they may hold is in
   the most memory. */

#include "node.h"

#include <stdio.h>

enum { NODES = 5 };

typedef struct fixture {
  test_world w;
  test_node at; /* It has one place in each direction. */
  test_node nodes[NODES];
  cmt_node_id ids[NODES];
} fixture;

static int setup_loops(void **state, unsigned loops) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init_loops(&f->w, loops);
  test_node_init(&f->at, &f->w);
  f->at.options.inbound_peers_max = 1;
  f->at.options.outbound_peers_max = 1;
  for (size_t i = 0; i < NODES; i++) {
    test_node_init(&f->nodes[i], &f->w);
    test_node_start(&f->nodes[i]);
    cmt_switch_get_id(f->nodes[i].sw, &f->ids[i]);
  }
  *state = f;
  return 0;
}

static int setup(void **state) { return setup_loops(state, test_loops()); }

static int setup_three(void **state) { return setup_loops(state, 3); }

static int teardown(void **state) {
  fixture *f = *state;

  test_node_fini(&f->at);
  for (size_t i = 0; i < NODES; i++) {
    test_node_fini(&f->nodes[i]);
  }
  test_world_fini(&f->w);
  free(f);
  return 0;
}

/* With a reference, or NULL. */
static cmt_peer *peer_of(const fixture *f, size_t i) {
  return cmt_switch_peer(f->at.sw, &f->ids[i]);
}

static bool is_peer(const fixture *f, size_t i) {
  cmt_peer *p = peer_of(f, i);

  cmt_peer_unref(p);
  return p != NULL;
}

/* Whether it became a peer. */
static bool comes(fixture *f, size_t i) {
  test_node_dial(&f->nodes[i], f->at.addr, 0);
  return is_peer(f, i);
}

static bool is_found(fixture *f, size_t i, unsigned flags) {
  test_node_dial(&f->at, f->nodes[i].addr, flags);
  return is_peer(f, i);
}

static void goes(fixture *f, size_t i) {
  cmt_peer *p = peer_of(f, i);

  assert_non_null(p);
  cmt_peer_stop(p, CMT_ECANCELED, 0);
  cmt_peer_unref(p);
  test_loop_run_until_idle(f->w.loop);
  assert_false(is_peer(f, i));
}

/* From now on the node |i| is the only one on the list; NODES: none is. */
static void list(fixture *f, size_t i) {
  assert_cmt(CMT_OK, cmt_switch_set_unconditional(f->at.sw, &f->ids[i % NODES],
                                                  i < NODES, NULL));
}

static void start_with(fixture *f, size_t i) {
  f->at.options.unconditional = &f->ids[i];
  f->at.options.unconditional_count = 1;
  test_node_start(&f->at);
}

static void assert_status(const fixture *f, uint64_t inbound, uint64_t outbound,
                          uint64_t unconditional) {
  cmt_switch_status st;

  cmt_switch_get_status(f->at.sw, &st);
  assert_int_equal(inbound, st.inbound_peers);
  assert_int_equal(outbound, st.outbound_peers);
  assert_int_equal(unconditional, st.unconditional_peers);
}

static bool is_unconditional(const fixture *f, size_t i) {
  cmt_peer *p = peer_of(f, i);
  bool is = cmt_peer_is_unconditional(p);

  cmt_peer_unref(p);
  return is;
}

/* ---- who takes no place ---- */

static void it_takes_no_place_of_an_inbound_peer(void **state) {
  fixture *f = *state;

  start_with(f, 0);
  assert_true(comes(f, 0));
  assert_true(comes(f, 1));
  assert_false(comes(f, 2));
  assert_true(is_unconditional(f, 0));
  assert_false(is_unconditional(f, 1));
  assert_status(f, 2, 0, 1);
}

static void it_takes_no_place_of_an_outbound_peer(void **state) {
  fixture *f = *state;

  start_with(f, 0);
  assert_true(is_found(f, 0, 0));
  assert_true(is_found(f, 1, 0));
  assert_false(is_found(f, 2, 0));
  assert_status(f, 0, 2, 1);
}

static void it_takes_none_of_its_address(void **state) {
  fixture *f = *state;

  f->at.options.inbound_peers_max = 2;
  f->at.options.inbound_peers_per_ip_max = 1;
  start_with(f, 0);
  assert_true(comes(f, 0));
  assert_true(comes(f, 1));
  assert_false(comes(f, 2));
}

/* Also when the dial has ended with that, as one that is not persistent. */
static void nor_does_a_peer_of_an_unconditional_dial(void **state) {
  fixture *f = *state;

  test_node_start(&f->at);
  assert_true(is_found(f, 0, CMT_DIAL_UNCONDITIONAL));
  assert_int_equal(0, cmt_switch_dials(f->at.sw, NULL, 0));
  assert_true(is_found(f, 1, 0));
  assert_false(is_found(f, 2, 0));
  assert_true(comes(f, 3));
  assert_status(f, 1, 2, 1);
}

/* And the inbound places are not those of its node that comes by itself. */
static void nor_does_its_node_that_comes_by_itself(void **state) {
  fixture *f = *state;

  test_node_start(&f->at);
  assert_true(comes(f, 0));
  assert_true(is_found(f, 0, CMT_DIAL_PERSISTENT | CMT_DIAL_UNCONDITIONAL));
  assert_true(is_unconditional(f, 0));
  assert_true(comes(f, 1));
  assert_false(comes(f, 2));
  assert_status(f, 2, 0, 1);
}

static void an_ordinary_dial_of_a_peer_changes_nothing(void **state) {
  fixture *f = *state;

  test_node_start(&f->at);
  assert_true(comes(f, 0));
  assert_true(is_found(f, 0, CMT_DIAL_UNCONDITIONAL)); /* It is refused. */
  assert_true(is_found(f, 0, CMT_DIAL_PERSISTENT));
  assert_false(is_unconditional(f, 0));
  assert_false(comes(f, 1));
}

/* ---- moves ---- */

static void a_peer_that_comes_onto_the_list_gives_its_place(void **state) {
  fixture *f = *state;
  cmt_node_id loud = {.text = ""};

  test_node_start(&f->at);
  assert_true(comes(f, 0));
  assert_true(is_found(f, 1, 0));
  assert_false(comes(f, 2));
  for (size_t i = 0; i < sizeof loud.text - 1;
       i++) { /* Capitals are as good. */
    char c = f->ids[0].text[i];

    loud.text[i] = (char)(c >= 'a' ? c - 'a' + 'A' : c);
  }
  assert_cmt(CMT_OK, cmt_switch_set_unconditional(f->at.sw, &loud, 1, NULL));
  assert_status(f, 1, 1, 1);
  assert_true(comes(f, 2));
  assert_false(comes(f, 3));
  list(f, 1);
  assert_true(is_found(f, 3, 0));
  assert_false(is_found(f, 4, 0));
  assert_status(f, 2, 2, 2);
}

static void one_that_leaves_the_list_keeps_what_it_has(void **state) {
  fixture *f = *state;

  start_with(f, 0);
  assert_true(comes(f, 0));
  assert_true(comes(f, 1));
  list(f, NODES);
  assert_status(f, 2, 0, 1);
  assert_false(comes(f, 2));
  goes(f, 1);
  assert_true(comes(f, 2));
  goes(f, 0);
  assert_false(comes(f, 0)); /* It comes as a stranger. */
  assert_status(f, 1, 0, 0);
}

/* init_peer runs between the limits and the list of peers. */
static void on_init_list(test_part *part, cmt_peer *p) {
  fixture *f = part->arg;

  assert_cmt(CMT_OK,
             cmt_switch_set_unconditional(f->at.sw, cmt_peer_id(p), 1, NULL));
}

static void a_reactor_may_list_a_newcomer(void **state) {
  fixture *f = *state;

  f->at.options.evict_interval_ns = 1;
  test_node_start(&f->at);
  assert_true(comes(f, 0));
  f->at.parts[0].arg = f;
  f->at.parts[0].on_init = on_init_list;
  assert_true(comes(f, 1));
  assert_true(is_unconditional(f, 1));
  assert_true(is_peer(f, 0)); /* Nobody was evicted for it. */
  f->at.parts[0].on_init = NULL;
  assert_status(f, 2, 0, 1);
}

/* ---- eviction ---- */

static void it_neither_evicts_nor_is_evicted(void **state) {
  fixture *f = *state;

  f->at.options.evict_interval_ns = 1;
  start_with(f, 0);
  assert_true(comes(f, 1));
  assert_true(comes(f, 0));
  assert_true(is_peer(f, 1));
  list(f, NODES); /* Its end would give nobody a place. */
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_true(comes(f, 2));
  assert_true(is_peer(f, 0));
  assert_false(is_peer(f, 1));
}

/* ---- memory ---- */

/* Who has left the list is a peer over the caps, as is each that the list may
   bring. */
static void its_memory_is_in_the_maximum(void **state) {
  fixture *f = *state;
  uint64_t most, more;

  start_with(f, 0);
  most = cmt_switch_memory_max(f->at.sw);
  assert_true(comes(f, 0));
  assert_true(cmt_switch_memory_max(f->at.sw) == most);
  list(f, 1);
  more = cmt_switch_memory_max(f->at.sw);
  assert_true(more > most + (1 << 18));
  list(f, 0);
  assert_true(cmt_switch_memory_max(f->at.sw) == most);
  list(f, 1);
  goes(f, 0);
  assert_true(cmt_switch_memory_max(f->at.sw) == most);
}

static void so_is_that_of_the_peer_of_a_dial(void **state) {
  fixture *f = *state;
  cmt_dial_options o;
  uint64_t none, most;
  cmt_dial *d;

  test_node_start(&f->at);
  none = cmt_switch_memory_max(f->at.sw);
  cmt_dial_options_init(&o);
  o.unconditional = true;
  assert_cmt(CMT_OK,
             cmt_switch_dial_new(f->at.sw, f->nodes[0].addr, &o, &d, NULL));
  most = cmt_switch_memory_max(f->at.sw);
  test_loop_run_until_idle(f->w.loop);
  assert_true(is_peer(f, 0));
  assert_true(cmt_switch_memory_max(f->at.sw) == most);
  cmt_dial_cancel(d);
  test_loop_run_until_idle(f->w.loop);
  assert_true(is_peer(f, 0));
  assert_in_range(cmt_switch_memory_max(f->at.sw), none + (1 << 18), most);
  goes(f, 0);
  assert_true(cmt_switch_memory_max(f->at.sw) == none);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LOOPS(name)                                                            \
  { "loops: " #name, name, setup_three, teardown, NULL }
  const struct CMUnitTest tests[] = {
    TEST(it_takes_no_place_of_an_inbound_peer),
    LOOPS(it_takes_no_place_of_an_inbound_peer),
    TEST(it_takes_no_place_of_an_outbound_peer),
    TEST(it_takes_none_of_its_address),
    TEST(nor_does_a_peer_of_an_unconditional_dial),
    TEST(nor_does_its_node_that_comes_by_itself),
    TEST(an_ordinary_dial_of_a_peer_changes_nothing),
    TEST(a_peer_that_comes_onto_the_list_gives_its_place),
    LOOPS(a_peer_that_comes_onto_the_list_gives_its_place),
    TEST(one_that_leaves_the_list_keeps_what_it_has),
    TEST(a_reactor_may_list_a_newcomer),
    TEST(it_neither_evicts_nor_is_evicted),
    TEST(its_memory_is_in_the_maximum),
    TEST(so_is_that_of_the_peer_of_a_dial),
  };
#undef LOOPS
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
