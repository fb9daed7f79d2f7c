/* SPDX-License-Identifier: Apache-2.0 */

/* What a seed serves: the decisions of peer exchange, on instants of the
   test. */

#include "ensure_world.h"

typedef ensure_world fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  ensure_world_init(f, true, false);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  ensure_world_fini(*state);
  free(*state);
  return 0;
}

static cmt_net_addr at(fixture *f, const char *ip) {
  cmt_net_addr a = {.port = 26656};

  snprintf(a.host, sizeof a.host, "%s", ip);
  snprintf(a.id.text, sizeof a.id.text, "%040x", ++f->serial);
  return a;
}

/* A node that was reached now, at |height|; 0: at one that is unknown. */
static cmt_net_addr reach(fixture *f, const char *ip, int64_t height) {
  cmt_net_addr a = at(f, ip);
  cmt_addrbook_proof p;

  cmt_addrbook_proof_init(&p);
  p.addr = &a;
  p.height = height;
  p.version = height % 2 == 0 ? "0.38.25" : "1.0.1";
  assert_cmt(CMT_OK, cmt_addrbook_proved(f->book, &p, now(f).utc_ns));
  return a;
}

/* An inbound peer that claims to be where its socket is. */
static cmt__ensure_peer *visitor(fixture *f, const cmt_net_addr *a) {
  cmt__ensure_peer p = {.at = *a, .has_pex = true};
  cmt__ensure_peer *out = cmt__ensure_add(&f->e, &p, a, "0.38.25", now(f));

  assert_non_null(out);
  return out;
}

/* How many addresses |p| is served, and how many of them have IPv6. */
static size_t served(fixture *f, const cmt__ensure_peer *p, size_t *v6) {
  static cmt_net_addr out[CMT_ADDRBOOK_ANSWER_MAX];
  cmt_addrbook_query q;
  size_t count;

  cmt__ensure_query(&f->e, p, now(f), &q);
  count = cmt_addrbook_select(f->book, &q, out, CMT_ADDRBOOK_ANSWER_MAX,
                              now(f).utc_ns);
  *v6 = 0;
  for (size_t i = 0; i < count; i++) {
    *v6 += strchr(out[i].host, ':') != NULL;
  }
  return count;
}

static cmt_addrbook_entry entry_of(const fixture *f, const cmt_net_addr *a) {
  cmt_addrbook_entry e;

  assert_true(cmt_addrbook_get(f->book, &a->id, &e));
  return e;
}

/* ---- families ---- */

static void the_family_is_that_of_the_asker(void **state) {
  fixture *f = *state;
  cmt_net_addr over4 = at(f, "5.9.0.1"), over6 = at(f, "2a02:99::1");
  const cmt__ensure_peer *p4, *p6;
  size_t v6;

  ensure_world_begin(f);
  reach(f, "5.1.0.1", 0);
  reach(f, "5.2.0.1", 0);
  reach(f, "2a02:1::1", 0);
  p4 = visitor(f, &over4);
  p6 = visitor(f, &over6);
  assert_int_equal(served(f, p4, &v6), 2);
  assert_int_equal(v6, 0);
  assert_int_equal(served(f, p6, &v6), 3);
  assert_int_equal(v6, 1);
}

/* A node that the seed has dialed may ask, too. */
static void whom_it_dials_gets_what_it_has_proved(void **state) {
  fixture *f = *state;
  cmt_net_addr asker = at(f, "5.9.0.1"), hearsay = at(f, "5.3.0.1");
  cmt__ensure_peer p = {.at = asker, .outbound = true, .has_pex = true};
  size_t v6;

  ensure_world_begin(f);
  reach(f, "5.1.0.1", 0);
  assert_cmt(CMT_OK,
             cmt_addrbook_add(f->book, &hearsay, &asker, now(f).utc_ns));
  assert_int_equal(
    served(f, cmt__ensure_add(&f->e, &p, NULL, NULL, now(f)), &v6), 1);
}

/* Beside 300 nodes with IPv4, all 20 with IPv6 are in the answer. */
static void nodes_with_ip6_come_first_over_ip6(void **state) {
  fixture *f = *state;
  cmt_net_addr over6 = at(f, "2a02:99::1");
  char ip[40];
  size_t v6;

  ensure_world_begin(f);
  for (unsigned i = 0; i < 300; i++) {
    snprintf(ip, sizeof ip, "5.%u.%u.1", i / 3, i % 3);
    reach(f, ip, 0);
  }
  for (unsigned i = 0; i < 20; i++) {
    snprintf(ip, sizeof ip, "2a02:%x::1", i + 1);
    reach(f, ip, 0);
  }
  assert_int_equal(served(f, visitor(f, &over6), &v6), 250);
  assert_int_equal(v6, 20);
}

/* ---- filters ---- */

static void a_minimal_height_needs_a_height(void **state) {
  fixture *f = *state;
  cmt_net_addr asker = at(f, "5.9.0.1");
  size_t v6;

  f->o.serve_height_min = 100;
  ensure_world_begin(f);
  reach(f, "5.1.0.1", 0);
  reach(f, "5.2.0.1", 99);
  reach(f, "5.3.0.1", 100);
  reach(f, "5.4.0.1", 101);
  assert_int_equal(served(f, visitor(f, &asker), &v6), 2);
}

static void versions_begin_with_a_text(void **state) {
  fixture *f = *state;
  cmt_net_addr asker = at(f, "5.9.0.1");
  size_t v6;

  f->o.serve_version = "0.38.";
  ensure_world_begin(f);
  reach(f, "5.1.0.1", 1);
  reach(f, "5.2.0.1", 2);
  reach(f, "5.3.0.1", 4);
  assert_int_equal(served(f, visitor(f, &asker), &v6), 2);
}

/* ---- heights ---- */

/* The next dial of the seed. */
static cmt__ensure_dial *next_dial(fixture *f) {
  cmt__ensure_step step;

  while (cmt__ensure_next(&f->e, now(f), &step)) {
    if (step.act == CMT__ENSURE_DIAL) {
      return step.dial;
    }
  }
  return NULL;
}

static void reached(fixture *f, cmt__ensure_dial *d, const cmt_net_addr *a) {
  const cmt__ensure_outcome o = {.at = a, .version = "1.0.1"};

  cmt__ensure_dialed(&f->e, d, &o, now(f));
}

static void a_height_is_noted_of_whom_the_book_has(void **state) {
  fixture *f = *state;
  cmt__ensure_peer given[2] = {{.has_pex = true}, {.has_pex = true}}, *p[2];
  uint64_t utc_ns;

  ensure_world_begin(f);
  given[0].at = reach(f, "5.1.0.1", 0);
  given[1].at = at(f, "5.9.0.1");
  f->now_ns += CMT_SECONDS(5);
  utc_ns = now(f).utc_ns;
  for (unsigned i = 0; i < 2; i++) {
    p[i] = cmt__ensure_add(&f->e, &given[i], NULL, "1.0.1", now(f));
    cmt__ensure_note_height(&f->e, p[i], 44, now(f));
  }
  f->now_ns += CMT_SECONDS(5);
  cmt__ensure_note_height(&f->e, p[0], 44, now(f));
  assert_int_equal(entry_of(f, &given[0].at).height, 44);
  assert_int_equal(entry_of(f, &given[0].at).height_ns, utc_ns);
  assert_false(cmt_addrbook_has(f->book, &given[1].at.id));
}

/* What an inbound peer tells is kept until the dial of its address has ended,
   whenever it tells it. */
static void a_height_waits_for_the_proof(void **state) {
  fixture *f = *state;
  cmt_net_addr socket[2], claim[2];
  cmt__ensure_peer *p[2];
  cmt__ensure_dial *d[2];

  ensure_world_begin(f);
  for (unsigned i = 0; i < 2; i++) {
    char ip[16];
    cmt__ensure_peer given = {.has_pex = true};

    snprintf(ip, sizeof ip, "5.%u.0.1", i + 1);
    socket[i] = claim[i] = at(f, ip);
    snprintf(claim[i].host, sizeof claim[i].host, "6.%u.0.1", i + 1);
    given.at = socket[i];
    p[i] = cmt__ensure_add(&f->e, &given, &claim[i], "1.0.1", now(f));
    assert_non_null(p[i]);
    assert_false(cmt_addrbook_has(f->book, &claim[i].id));
  }
  /* The first one before its dial begins, the second one meanwhile; then both
     are gone. */
  cmt__ensure_note_height(&f->e, p[0], 40, now(f));
  for (unsigned i = 0; i < 2; i++) {
    cmt__ensure_dial *next = next_dial(f);

    assert_non_null(next);
    d[cmt_node_id_equal(&next->addr.id, &claim[1].id)] = next;
  }
  cmt__ensure_note_height(&f->e, p[1], 41, now(f));
  for (unsigned i = 0; i < 2; i++) {
    cmt__ensure_remove(&f->e, p[i], CMT_ECANCELED, now(f));
    reached(f, d[i], &claim[i]);
    assert_int_equal(entry_of(f, &claim[i]).height, 40 + i);
  }
}

/* A dial that becomes no peer hears no messages. */
static void a_node_without_its_height_is_visited(void **state) {
  fixture *f = *state;
  unsigned felt[2] = {0, 0};

  f->o.serve_height_min = 100;
  ensure_world_begin(f);
  for (unsigned i = 0; i < 40; i++) {
    char ip[16];

    snprintf(ip, sizeof ip, "5.%u.0.1", i + 1);
    reach(f, ip, i % 2 == 0 ? 50 : 100);
  }
  f->now_ns += CMT_SECONDS(400);
  for (unsigned i = 0; i < 1000; i++) {
    cmt__ensure_dial *d = next_dial(f);

    if (d != NULL) {
      cmt_net_addr a = d->addr;

      felt[entry_of(f, &a).height == 100] += d->feeler;
      reached(f, d, &a);
    }
    f->now_ns += CMT_MILLISECONDS(50);
  }
  assert_int_equal(felt[0], 0);
  assert_in_range(felt[1], 8, 20);
}

/* ---- dead addresses ---- */

/* What has become of the dials under way: those of |dead| fail after three
   seconds of silence, all others succeed at once. */
static void outcomes(fixture *f, const cmt_net_addr *dead, size_t count) {
  for (size_t i = 0; i < CMT__ENSURE_DIALS_MAX; i++) {
    cmt__ensure_dial *d = &f->e.dials[i];
    cmt_net_addr a = d->addr;
    bool silent = false;

    for (size_t k = 0; k < count; k++) {
      silent = silent || cmt_node_id_equal(&a.id, &dead[k].id);
    }
    if (d->used && silent) {
      const cmt__ensure_outcome o = {.err = CMT_EDIAL};

      cmt__ensure_dialed(&f->e, d, &o, now(f));
    } else if (d->used) {
      reached(f, d, &a);
    }
  }
}

/* Three seconds of a seed, a few times. */
static void pass(fixture *f, uint64_t ns, const cmt_net_addr *dead,
                 size_t count) {
  for (uint64_t end_ns = f->now_ns + ns; f->now_ns < end_ns;) {
    while (next_dial(f) != NULL) {
    }
    f->now_ns += CMT_SECONDS(3);
    outcomes(f, dead, count);
  }
}

static bool is_served(fixture *f, const cmt_net_addr *a) {
  static cmt_net_addr out[CMT_ADDRBOOK_ANSWER_MAX];
  cmt__ensure_peer asker = {.at = {.host = "5.250.0.1"}};
  cmt_addrbook_query q;
  size_t count;
  bool found = false;

  cmt__ensure_query(&f->e, &asker, now(f), &q);
  q.asker = NULL;
  count = cmt_addrbook_select(f->book, &q, out, CMT_ADDRBOOK_ANSWER_MAX,
                              now(f).utc_ns);
  for (size_t i = 0; i < count; i++) {
    found = found || cmt_node_id_equal(&out[i].id, &a->id);
  }
  return found;
}

/* Seconds until |a| is not served any more. */
static uint64_t served_for(fixture *f, const cmt_net_addr *a,
                           const cmt_net_addr *dead, size_t count) {
  uint64_t from_ns = f->now_ns;

  while (is_served(f, a)) {
    assert_true(f->now_ns - from_ns < CMT_SECONDS(3600));
    pass(f, CMT_SECONDS(3), dead, count);
  }
  return (f->now_ns - from_ns) / CMT_SECONDS(1);
}

static void a_dead_address_is_served_no_more(void **state) {
  fixture *f = *state;
  cmt_net_addr nodes[20];

  ensure_world_begin(f);
  for (unsigned i = 0; i < 20; i++) {
    char ip[16];

    snprintf(ip, sizeof ip, "5.%u.0.1", i + 1);
    nodes[i] = reach(f, ip, 0);
  }
  pass(f, CMT_SECONDS(1200), NULL, 0);
  for (unsigned i = 0; i < 20; i++) {
    assert_true(is_served(f, &nodes[i]));
  }
  assert_in_range(served_for(f, &nodes[7], &nodes[7], 1), 3, 330);
  assert_true(is_served(f, &nodes[8]));
  /* It is back as soon as it has answered. */
  pass(f, CMT_SECONDS(3600), NULL, 0);
  assert_true(is_served(f, &nodes[7]));
}

/* When nobody answers any more we may be offline, so that no failure counts;
   proofs grow old all the same. */
static void without_proofs_nothing_is_served(void **state) {
  fixture *f = *state;
  cmt_net_addr nodes[20];
  cmt_addrbook_entry e;

  ensure_world_begin(f);
  for (unsigned i = 0; i < 20; i++) {
    char ip[16];

    snprintf(ip, sizeof ip, "5.%u.0.1", i + 1);
    nodes[i] = reach(f, ip, 0);
  }
  pass(f, CMT_SECONDS(1200), NULL, 0);
  for (unsigned i = 0; i < 20; i++) {
    assert_in_range(served_for(f, &nodes[i], nodes, 20), 0, 603);
  }
  e = entry_of(f, &nodes[3]);
  assert_int_equal(e.attempts, 0);
  /* Who comes back is found soon. */
  pass(f, CMT_SECONDS(60), NULL, 0);
  for (unsigned i = 0; i < 20; i++) {
    assert_true(is_served(f, &nodes[i]));
  }
}

/* A seed that begins again serves what its last run has proved until it has had
   the time to look itself. */
static void proofs_of_the_last_run_are_served_at_first(void **state) {
  fixture *f = *state;
  cmt_net_addr a = reach(f, "5.1.0.1", 0);

  f->now_ns += CMT_SECONDS(1200);
  ensure_world_begin(f);
  assert_true(is_served(f, &a));
  f->now_ns += CMT_SECONDS(590);
  assert_true(is_served(f, &a));
  f->now_ns += CMT_SECONDS(10);
  assert_false(is_served(f, &a));
}

static void the_oldest_proof_is_renewed_first(void **state) {
  fixture *f = *state;
  cmt_net_addr nodes[12];

  for (unsigned i = 0; i < 12; i++) {
    char ip[16];

    snprintf(ip, sizeof ip, "5.%u.0.1", i * 7 % 12 + 1);
    nodes[i] = reach(f, ip, 0);
    f->now_ns += CMT_SECONDS(1);
  }
  f->now_ns += CMT_SECONDS(280);
  ensure_world_begin(f);
  assert_null(next_dial(f));
  f->now_ns += CMT_SECONDS(20);
  for (unsigned i = 0; i < 12; i++) {
    const cmt__ensure_dial *d = next_dial(f);

    assert_non_null(d);
    assert_string_equal(d->addr.host, nodes[i].host);
  }
}

/* Whoever reports addresses that fail does not keep the others waiting. */
static void untried_addresses_come_before_failed_ones(void **state) {
  fixture *f = *state;

  ensure_world_begin(f);
  for (unsigned i = 0; i < 60; i++) {
    char ip[16];
    cmt_net_addr a;

    snprintf(ip, sizeof ip, "%u.%u.0.1", i % 2 == 0 ? 5 : 6, i + 1);
    a = at(f, ip);
    assert_cmt(CMT_OK, cmt_addrbook_add(f->book, &a, &a, UTC));
    if (i % 2 == 0) {
      cmt_addrbook_failed(f->book, &a.id, UTC);
    }
  }
  f->now_ns += CMT_SECONDS(10);
  for (unsigned i = 0; i < 10; i++) {
    const cmt__ensure_dial *d = next_dial(f);

    assert_non_null(d);
    assert_int_equal(d->addr.host[0], '6');
  }
}

/* A node that came by itself is found among 2,000 that somebody has invented.
 */
static void who_came_by_itself_comes_before_hearsay(void **state) {
  fixture *f = *state;
  cmt_net_addr liar = at(f, "9.9.0.1"), came = at(f, "9.1.0.1");
  bool found = false;

  for (unsigned i = 0; i < 2000; i++) {
    char ip[16];
    cmt_net_addr a;

    snprintf(ip, sizeof ip, "5.%u.%u.1", i % 250, i / 250);
    a = at(f, ip);
    snprintf(liar.host, sizeof liar.host, "9.%u.0.1", i % 40 + 2);
    assert_cmt(CMT_OK, cmt_addrbook_add(f->book, &a, &liar, UTC));
  }
  assert_cmt(CMT_OK, cmt_addrbook_add(f->book, &came, &came, UTC));
  ensure_world_begin(f);
  f->now_ns += CMT_SECONDS(10);
  for (unsigned i = 0; i < 200 && !found; i++) {
    cmt__ensure_dial *d = next_dial(f);

    if (d == NULL) {
      f->now_ns += CMT_MILLISECONDS(20);
      continue;
    }
    found = cmt_node_id_equal(&d->addr.id, &came.id);
    cmt__ensure_dialed(&f->e, d, &(cmt__ensure_outcome){.err = CMT_EDIAL},
                       now(f));
  }
  assert_true(found);
}

/* ---- seeds of a seed ---- */

/* Dials of seeds in |ns|, each of which succeeds and is answered. */
static unsigned seeds_dialed(fixture *f, uint64_t ns,
                             const cmt_net_addr *seed) {
  unsigned count = 0;

  for (uint64_t end_ns = f->now_ns + ns; f->now_ns < end_ns;
       f->now_ns += CMT_SECONDS(1)) {
    cmt__ensure_dial *d;

    while ((d = next_dial(f)) != NULL) {
      count += d->kind == CMT__ENSURE_SEED;
      reached(f, d, seed);
    }
  }
  return count;
}

/* A seed that begins has nobody else to ask; what it reached there it serves.
 */
static void a_new_seed_asks_a_seed(void **state) {
  fixture *f = *state;
  cmt_net_addr seed = at(f, "5.1.0.1");
  cmt__ensure_dial *d;

  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 1);
  d = next_dial(f);
  assert_non_null(d);
  assert_int_equal(d->kind, CMT__ENSURE_SEED);
  assert_null(next_dial(f));
  reached(f, d, &seed);
  assert_int_equal(entry_of(f, &seed).proven_ns, now(f).utc_ns);
  assert_true(is_served(f, &seed));
}

static void a_seed_is_asked_less_and_less(void **state) {
  fixture *f = *state;
  cmt_net_addr seed = at(f, "5.1.0.1");
  char ip[16];

  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 1);
  assert_in_range(seeds_dialed(f, CMT_SECONDS(60), &seed), 3, 5);
  assert_in_range(seeds_dialed(f, CMT_SECONDS(3600), &seed), 5, 14);
  for (unsigned i = 0; i < 32; i++) {
    snprintf(ip, sizeof ip, "6.%u.0.1", i + 1);
    reach(f, ip, 0);
  }
  assert_int_equal(seeds_dialed(f, CMT_SECONDS(250), &seed), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* It keeps no peer, so that none is worth to be dialed first. */
static void a_seed_has_no_anchors(void **state) {
  fixture *f = *state;
  cmt_net_addr got[CMT_ADDRBOOK_ANCHORS_MAX];
  cmt__ensure_peer given = {
    .at = at(f, "5.1.0.1"), .outbound = true, .has_pex = true};
  cmt__ensure_peer *p;

  ensure_world_begin(f);
  p = cmt__ensure_add(&f->e, &given, NULL, NULL, now(f));
  assert_non_null(p);
  assert_int_equal(0, cmt__ensure_anchors(&f->e, got, CMT__COUNT(got)));
  assert_int_equal(0, cmt_addrbook_anchors(f->book, got, CMT__COUNT(got)));
  cmt__ensure_remove(&f->e, p, CMT_EEOF, now(f));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(the_family_is_that_of_the_asker),
    TEST(whom_it_dials_gets_what_it_has_proved),
    TEST(nodes_with_ip6_come_first_over_ip6),
    TEST(a_minimal_height_needs_a_height),
    TEST(versions_begin_with_a_text),
    TEST(a_height_is_noted_of_whom_the_book_has),
    TEST(a_height_waits_for_the_proof),
    TEST(a_node_without_its_height_is_visited),
    TEST(a_dead_address_is_served_no_more),
    TEST(without_proofs_nothing_is_served),
    TEST(proofs_of_the_last_run_are_served_at_first),
    TEST(the_oldest_proof_is_renewed_first),
    TEST(untried_addresses_come_before_failed_ones),
    TEST(who_came_by_itself_comes_before_hearsay),
    TEST(a_new_seed_asks_a_seed),
    TEST(a_seed_is_asked_less_and_less),
    TEST(a_seed_has_no_anchors),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
