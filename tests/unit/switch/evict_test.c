/* SPDX-License-Identifier: Apache-2.0 */

/* Eviction in virtual time: which inbound peer a newcomer replaces, and which
   ones stay. */

#include "marks.h"
#include "node.h"

#include <stdio.h>

enum { NODES = 5 };

#define MINUTE CMT_SECONDS(60)

typedef struct fixture {
  test_world w;
  test_node at; /* It has three places. */
  test_node nodes[NODES];
  cmt_node_id ids[NODES];
} fixture;

static int setup_loops(void **state, unsigned loops) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init_loops(&f->w, loops);
  test_node_init(&f->at, &f->w);
  f->at.options.inbound_peers_max = 3;
  f->at.options.evict_interval_ns = MINUTE;
  for (size_t i = 0; i < NODES; i++) {
    test_node_init(&f->nodes[i], &f->w);
  }
  *state = f;
  return 0;
}

static int setup(void **state) { return setup_loops(state, test_loops()); }

static int setup_three(void **state) { return setup_loops(state, 3); }

static int teardown(void **state) {
  fixture *f = *state;

  if (f->at.sw != NULL) {
    test_node_fini(&f->at);
  }
  for (size_t i = 0; i < NODES; i++) {
    if (f->nodes[i].sw != NULL) {
      test_node_fini(&f->nodes[i]);
    }
  }
  test_world_fini(&f->w);
  free(f);
  return 0;
}

/* One more comes, from |ip|, a second after what was before. */
static void come(fixture *f, size_t i, const char *ip) {
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  test_loop_set_source(f->w.loop, ip);
  if (f->nodes[i].sw == NULL) {
    test_node_start(&f->nodes[i]);
    cmt_switch_get_id(f->nodes[i].sw, &f->ids[i]);
  }
  test_node_dial(&f->nodes[i], f->at.addr, 0);
}

/* Three peers, each from a network of its own. */
static void fill(fixture *f) {
  test_node_start(&f->at);
  come(f, 0, "10.0.0.1");
  come(f, 1, "10.0.1.1");
  come(f, 2, "10.0.2.1");
  (void)test_node_log(&f->at);
}

/* With a reference. */
static cmt_peer *peer_of(const fixture *f, size_t i) {
  cmt_peer *p = cmt_switch_peer(f->at.sw, &f->ids[i]);

  assert_non_null(p);
  return p;
}

static void worth(const fixture *f, size_t i, int32_t value) {
  cmt_peer *p = peer_of(f, i);

  assert_cmt(CMT_OK, cmt_peer_set_worth(p, "test", value));
  cmt_peer_unref(p);
}

static bool is_peer(const fixture *f, size_t i) {
  cmt_peer *p = cmt_switch_peer(f->at.sw, &f->ids[i]);

  cmt_peer_unref(p);
  return p != NULL;
}

static void assert_stays(fixture *f, size_t newcomer) {
  assert_string_equal("rejected inbound filter CMT_ELIMIT\n",
                      test_node_log(&f->at));
  assert_false(is_peer(f, newcomer));
}

/* |i| was replaced by |newcomer|. */
static void assert_goes(fixture *f, size_t i, size_t newcomer) {
  assert_non_null(strstr(test_node_log(&f->at), "CMT_EEVICTED"));
  assert_false(is_peer(f, i));
  assert_true(is_peer(f, newcomer));
  assert_int_equal(3, cmt_switch_peers(f->at.sw, NULL, 0));
}

/* ---- who goes ---- */

static void nobody_goes_by_default(void **state) {
  fixture *f = *state;

  f->at.options.evict_interval_ns = 0;
  fill(f);
  worth(f, 1, -5);
  come(f, 3, "10.0.3.1");
  assert_stays(f, 3);
}

static void the_peer_that_is_worth_least_goes(void **state) {
  fixture *f = *state;

  fill(f);
  worth(f, 0, -3);
  worth(f, 1, -5);
  worth(f, 2, -4);
  come(f, 3, "10.0.3.1");
  assert_goes(f, 1, 3);
}

static void one_that_is_worth_more_than_a_stranger_stays(void **state) {
  fixture *f = *state;

  fill(f);
  for (size_t i = 0; i < 3; i++) {
    worth(f, i, 1);
  }
  come(f, 3, "10.0.3.1");
  assert_stays(f, 3);
  worth(f, 1, 0);
  come(f, 3, "10.0.3.1");
  assert_goes(f, 1, 3);
}

static void the_largest_network_goes_first_and_its_youngest(void **state) {
  fixture *f = *state;

  test_node_start(&f->at);
  come(f, 0, "10.0.0.1");
  come(f, 1, "10.0.0.2");
  come(f, 2, "10.0.2.1");
  come(f, 3, "10.0.3.1");
  assert_goes(f, 1, 3);
}

/* Two are of one network and the youngest of none: a shorter or a longer prefix
   would find all three alike. */
static void a_network_has_this_length(void **state) {
  static const char *const rows[][3] = {
    {"10.0.1.1", "10.0.1.129", "10.0.2.1"},
    {"2001:db8:0:1::1", "2001:db8:0:1:ff00::1", "2001:db8:0:2::1"},
  };

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    fixture *f = *state;

    test_node_start(&f->at);
    for (size_t k = 0; k < 3; k++) {
      come(f, k, rows[i][k]);
    }
    come(f, 3, "10.0.3.1");
    assert_goes(f, 1, 3);
    teardown(state);
    setup(state);
  }
}

static void there_is_a_rate(void **state) {
  fixture *f = *state;
  uint64_t before = test_mark("peer_evicted");

  fill(f);
  come(f, 3, "10.0.3.1");
  assert_goes(f, 2, 3);
  test_loop_advance(f->w.loop, MINUTE - CMT_SECONDS(1) - 1);
  come(f, 4, "10.0.4.1"); /* It needs a second to come. */
  assert_stays(f, 4);
  test_loop_advance(f->w.loop, 1);
  come(f, 4, "10.0.4.1");
  assert_goes(f, 3, 4);
  assert_mark("peer_evicted", before, 2);
}

/* ---- who stays ---- */

static void a_protected_peer_stays(void **state) {
  fixture *f = *state;
  cmt_peer *p;

  fill(f);
  worth(f, 1, -5);
  worth(f, 0, -2);
  p = peer_of(f, 1);
  cmt_peer_protect(p);
  cmt_peer_protect(p);
  cmt_peer_unprotect(p);
  come(f, 3, "10.0.3.1");
  assert_goes(f, 0, 3);
  test_loop_advance(f->w.loop, MINUTE);
  cmt_peer_unprotect(p);
  cmt_peer_unref(p);
  come(f, 4, "10.0.4.1");
  assert_goes(f, 1, 4);
}

/* The application protects the peers of |count| nodes while the newcomer's
   init_peer runs. */
typedef struct guardian {
  fixture *f;
  const size_t *nodes;
  size_t count;
  cmt_switch_status seen;
} guardian;

static void on_init_protect(test_part *part, cmt_peer *newcomer) {
  const guardian *g = part->arg;

  for (size_t i = 0; i < g->count; i++) {
    cmt_peer *p = peer_of(g->f, g->nodes[i]);

    assert_ptr_not_equal(newcomer, p);
    cmt_peer_protect(p);
    cmt_peer_unref(p);
  }
}

static void guard(fixture *f, guardian *g) {
  g->f = f;
  f->at.parts[0].arg = g;
  f->at.parts[0].on_init = on_init_protect;
}

static void a_peer_that_init_peer_protects_stays(void **state) {
  const size_t nodes[] = {1};
  fixture *f = *state;
  guardian g = {.nodes = nodes, .count = CMT__COUNT(nodes)};

  fill(f);
  worth(f, 1, -5);
  worth(f, 0, -2);
  guard(f, &g);
  come(f, 3, "10.0.3.1");
  assert_goes(f, 0, 3);
}

static void the_newcomer_is_refused_when_init_peer_protects_all(void **state) {
  const size_t nodes[] = {0, 1, 2};
  fixture *f = *state;
  guardian g = {.nodes = nodes, .count = CMT__COUNT(nodes)};
  cmt_switch_status st;

  fill(f);
  guard(f, &g);
  come(f, 3, "10.0.3.1");
  assert_string_equal("init chat\nremove chat CMT_ELIMIT\n"
                      "rejected inbound filter CMT_ELIMIT\n",
                      test_node_log(&f->at));
  assert_false(is_peer(f, 3));
  assert_int_equal(3, cmt_switch_peers(f->at.sw, NULL, 0));
  cmt_switch_get_status(f->at.sw, &st);
  assert_int_equal(1, st.over_inbound_peers_max);
}

/* What the status says while a reactor hears that the newcomer is refused. */
static void on_remove_look(test_part *part, cmt_peer *newcomer) {
  guardian *g = part->arg;

  (void)newcomer;
  cmt_switch_get_status(g->f->at.sw, &g->seen);
}

static void a_limit_counts_with_the_rejection_that_it_causes(void **state) {
  const size_t nodes[] = {0, 1, 2};
  fixture *f = *state;
  guardian g = {.nodes = nodes, .count = CMT__COUNT(nodes)};
  cmt_switch_status st;

  fill(f);
  guard(f, &g);
  f->at.parts[0].on_remove = on_remove_look;
  come(f, 3, "10.0.3.1");
  f->at.parts[0].on_remove = NULL;
  assert_int_equal(0, g.seen.rejected);
  assert_int_equal(0, g.seen.over_inbound_peers_max);
  cmt_switch_get_status(f->at.sw, &st);
  assert_int_equal(1, st.rejected);
  assert_int_equal(1, st.over_inbound_peers_max);
}

static void persistent_and_unconditional_peers_stay(void **state) {
  fixture *f = *state;

  test_node_start(&f->nodes[1]);
  cmt_switch_get_id(f->nodes[1].sw, &f->ids[1]);
  f->at.options.unconditional = &f->ids[1];
  f->at.options.unconditional_count = 1;
  f->at.options.inbound_peers_max = 2; /* One of the three needs none. */
  fill(f);
  assert_cmt(CMT_OK, cmt_switch_dial(f->at.sw, f->nodes[0].addr,
                                     CMT_DIAL_PERSISTENT, NULL));
  test_loop_run_until_idle(f->w.loop);
  (void)test_node_log(&f->at);
  worth(f, 0, -3);
  worth(f, 1, -2);
  worth(f, 2, 1);
  come(f, 3, "10.0.3.1");
  assert_stays(f, 3);
  worth(f, 2, -1);
  come(f, 3, "10.0.3.1");
  assert_goes(f, 2, 3);
}

static void a_full_address_evicts_nobody(void **state) {
  fixture *f = *state;

  f->at.options.inbound_peers_per_ip_max = 1;
  fill(f);
  come(f, 3, "10.0.1.1");
  assert_stays(f, 3);
}

/* ---- tags ---- */

static void tags_add_up_and_are_bounded(void **state) {
  fixture *f = *state;
  char tag[CMT_PEER_TAG_MAX + 2];
  cmt_peer *p;

  fill(f);
  p = peer_of(f, 0);
  for (int i = 0; i < CMT_PEER_TAGS_MAX; i++) {
    snprintf(tag, sizeof tag, "tag %d", i);
    assert_cmt(CMT_OK, cmt_peer_set_worth(p, tag, INT32_MAX));
  }
  assert_true(cmt_peer_worth(p) == INT64_C(8) * INT32_MAX);
  assert_cmt(CMT_ELIMIT, cmt_peer_set_worth(p, "more", 1));
  assert_cmt(CMT_OK, cmt_peer_set_worth(p, "more", 0));
  assert_cmt(CMT_OK, cmt_peer_set_worth(p, "tag 0", -1));
  assert_cmt(CMT_OK, cmt_peer_set_worth(p, "tag 1", 0));
  assert_true(cmt_peer_worth(p) == INT64_C(6) * INT32_MAX - 1);
  assert_cmt(CMT_OK, cmt_peer_set_worth(p, "more", 2));
  assert_true(cmt_peer_worth(p) == INT64_C(6) * INT32_MAX + 1);
  memset(tag, 'x', sizeof tag - 1);
  tag[sizeof tag - 1] = '\0';
  assert_cmt(CMT_EINVAL, cmt_peer_set_worth(p, tag, 1));
  assert_cmt(CMT_EINVAL, cmt_peer_set_worth(p, "", 1));
  assert_cmt(CMT_EINVAL, cmt_peer_set_worth(p, NULL, 1));
  cmt_peer_unref(p);
  p = peer_of(f, 1);
  f->w.env.fail_at = f->w.env.allocs;
  assert_cmt(CMT_ENOMEM, cmt_peer_set_worth(p, "a", 1));
  f->w.env.fail_at = SIZE_MAX;
  assert_int_equal(0, cmt_peer_worth(p));
  cmt_peer_unref(p);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LOOPS(name)                                                            \
  { "loops: " #name, name, setup_three, teardown, NULL }
  const struct CMUnitTest tests[] = {
    TEST(nobody_goes_by_default),
    TEST(the_peer_that_is_worth_least_goes),
    LOOPS(the_peer_that_is_worth_least_goes),
    TEST(one_that_is_worth_more_than_a_stranger_stays),
    TEST(the_largest_network_goes_first_and_its_youngest),
    TEST(there_is_a_rate),
    TEST(a_network_has_this_length),
    LOOPS(there_is_a_rate),
    TEST(a_protected_peer_stays),
    TEST(a_peer_that_init_peer_protects_stays),
    LOOPS(a_peer_that_init_peer_protects_stays),
    TEST(the_newcomer_is_refused_when_init_peer_protects_all),
    TEST(a_limit_counts_with_the_rejection_that_it_causes),
    TEST(persistent_and_unconditional_peers_stay),
    TEST(a_full_address_evicts_nobody),
    TEST(tags_add_up_and_are_bounded),
  };
#undef LOOPS
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
