/* SPDX-License-Identifier: Apache-2.0 */

/* The decisions of peer exchange, on instants of the test. */

#include "ensure_world.h"

#include "pex/ensure_dial.h"

typedef ensure_world fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  ensure_world_init(f, false, false);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  ensure_world_fini(*state);
  free(*state);
  return 0;
}

static cmt_net_addr at(unsigned number, const char *ip) {
  cmt_net_addr a = {.port = 26656};

  snprintf(a.id.text, sizeof a.id.text, "%040x", number);
  snprintf(a.host, sizeof a.host, "%s", ip);
  return a;
}

static cmt_net_addr know(fixture *f, const char *ip) {
  cmt_net_addr a = at(++f->serial, ip);

  assert_cmt(CMT_OK, cmt_addrbook_add(f->book, &a, &a, now(f).utc_ns));
  return a;
}

/* All dials that are due, in |out|; returns how many. */
static size_t dials(fixture *f, cmt__ensure_dial **out, size_t cap) {
  cmt__ensure_step step;
  size_t count = 0;

  while (cmt__ensure_next(&f->e, now(f), &step)) {
    if (step.act == CMT__ENSURE_DIAL) {
      assert_true(count < cap);
      out[count++] = step.dial;
    }
  }
  return count;
}

static void end(fixture *f, cmt__ensure_dial *d, cmt_err err) {
  const cmt__ensure_outcome o = {.err = err};

  cmt__ensure_dialed(&f->e, d, &o, now(f));
}

static cmt__ensure_peer *up(fixture *f, const cmt_net_addr *a, bool outbound) {
  cmt__ensure_peer given = {.at = *a, .outbound = outbound, .has_pex = true};
  cmt__ensure_peer *p = cmt__ensure_add(&f->e, &given, NULL, NULL, now(f));

  assert_non_null(p);
  return p;
}

/* Nothing of what the test made is left. */
static void all_down(fixture *f) {
  while (f->e.peers != NULL) {
    cmt__ensure_remove(&f->e, f->e.peers, CMT_EEOF, now(f));
  }
}

static void places_are_filled_in_parallel(void **state) {
  fixture *f = *state;
  cmt__ensure_dial *d[64];
  char ip[32];

  for (unsigned i = 0; i < 50; i++) {
    snprintf(ip, sizeof ip, "5.%u.0.1", i);
    know(f, ip);
  }
  ensure_world_begin(f);
  assert_int_equal(10, dials(f, d, 64));
  end(f, d[0], CMT_EREFUSED);
  end(f, d[1], CMT_EREFUSED);
  /* At once, not in the next round, and one more since none succeeded. */
  assert_int_equal(3, dials(f, d, 64));
}

static void no_more_dials_than_allowed(void **state) {
  fixture *f = *state;
  cmt__ensure_dial *d[64];
  size_t begun = 0;
  char ip[32];

  f->o.dials_max = 4;
  f->o.outbound_max = 100;
  for (unsigned i = 0; i < 200; i++) {
    snprintf(ip, sizeof ip, "5.%u.0.1", i);
    know(f, ip);
  }
  ensure_world_begin(f);
  for (int i = 0; i < 10; i++) { /* Each fails at once. */
    size_t count = dials(f, d, 64);

    assert_true(count <= 5);
    begun += count;
    for (size_t k = 0; k < count; k++) {
      end(f, d[k], CMT_EREFUSED);
    }
  }
  assert_in_range(begun, 4, 5);
  assert_int_equal(CMT_MILLISECONDS(250),
                   cmt__ensure_next_ns(&f->e, f->now_ns));
  f->now_ns = CMT_MILLISECONDS(250);
  assert_int_equal(1, dials(f, d, 64));
}

/* It becomes a peer, which a node that is full ends at once. */
static void hang_up(fixture *f, cmt__ensure_dial *d) {
  cmt_net_addr a = d->addr;

  end(f, d, CMT_OK);
  cmt__ensure_remove(&f->e, up(f, &a, true), CMT_EEOF, now(f));
}

static void who_hangs_up_at_once_is_a_failure(void **state) {
  static const size_t counts[] = {1, 1, 2, 3, 4}; /* One more for two. */
  fixture *f = *state;
  cmt__ensure_dial *d[64];
  bool seed = false;
  cmt_net_addr a;
  size_t count;
  char ip[32];

  f->o.outbound_max = 1;
  for (unsigned i = 0; i < 200; i++) {
    snprintf(ip, sizeof ip, "5.%u.0.1", i);
    know(f, ip);
  }
  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 1);
  for (size_t i = 0; i < CMT__COUNT(counts); i++) {
    count = dials(f, d, 64);
    assert_int_equal(counts[i], count);
    for (size_t k = 0; k < count; k++) {
      hang_up(f, d[k]);
    }
    f->now_ns += CMT_SECONDS(10);
  }
  /* A seed may know others. */
  count = dials(f, d, 64);
  for (size_t k = 0; k < count; k++) {
    seed = seed || d[k]->kind == CMT__ENSURE_SEED;
  }
  assert_true(seed);
  for (size_t k = 1; k < count; k++) {
    end(f, d[k], CMT_EREFUSED);
  }
  /* A peer that stays ends it. */
  a = d[0]->addr;
  end(f, d[0], CMT_OK);
  (void)up(f, &a, true);
  f->now_ns += CMT_SECONDS(10);
  cmt__ensure_remove(&f->e, f->e.peers, CMT_EEOF, now(f));
  assert_int_equal(1, dials(f, d, 64));
}

static void a_group_has_one_outbound_peer(void **state) {
  fixture *f = *state;
  cmt_net_addr other = at(1000, "5.1.99.1");
  cmt__ensure_dial *d[64];
  cmt__ensure_peer *p;
  char ip[32];

  for (unsigned i = 0; i < 40; i++) {
    snprintf(ip, sizeof ip, "5.1.%u.1", i);
    know(f, ip);
  }
  ensure_world_begin(f);
  assert_int_equal(1, dials(f, d, 64));
  end(f, d[0], CMT_EREFUSED);
  p = up(f, &other, true);
  assert_int_equal(0, dials(f, d, 64));
  cmt__ensure_remove(&f->e, p, CMT_EEOF, now(f));
  assert_int_equal(1, dials(f, d, 64));
  all_down(f);
}

/* A private network has one group, and whoever is in it may dial all of it. */
static void check_private(fixture *f, const char *format) {
  cmt_addrbook_options b;
  cmt__ensure_dial *d[64];
  char ip[64];

  cmt_addrbook_delete(f->book);
  cmt_addrbook_options_init(&b);
  b.env = &f->env.env;
  b.allow_unroutable = true;
  assert_cmt(CMT_OK, cmt_addrbook_new(&b, &f->book, NULL));
  f->o.book = f->book;
  for (unsigned i = 0; i < 20; i++) {
    snprintf(ip, sizeof ip, format, i);
    know(f, ip);
  }
  ensure_world_begin(f);
  assert_int_equal(10, dials(f, d, 64));
}

static void hosts_of_a_private_network_are_groups_of_their_own(void **state) {
  check_private(*state, "10.0.0.%u");
  /* As long as addresses become that hosts make of their MAC address. */
  check_private(*state, "fd12:3456:789a:1234:5054:1ff:fe12:34%02x");
}

static void failures_do_not_count_while_we_are_offline(void **state) {
  fixture *f = *state;
  cmt_net_addr a = know(f, "5.1.0.1"), one = at(1001, "5.2.0.1"),
               two = at(1002, "5.3.0.1");
  cmt__ensure_dial *d[64];
  cmt_addrbook_entry entry;

  ensure_world_begin(f);
  up(f, &one, true);
  assert_int_equal(1, dials(f, d, 64));
  end(f, d[0], CMT_EDIAL);
  assert_true(cmt_addrbook_get(f->book, &a.id, &entry));
  assert_int_equal(0, entry.attempts);
  up(f, &two, false);
  assert_true(cmt__ensure_is_online(&f->e, f->now_ns));
  f->now_ns += CMT_SECONDS(31);
  assert_int_equal(1, dials(f, d, 64));
  end(f, d[0], CMT_EDIAL);
  assert_true(cmt_addrbook_get(f->book, &a.id, &entry));
  assert_int_equal(1, entry.attempts);
  all_down(f);
}

static void each_failure_doubles_the_wait(void **state) {
  fixture *f = *state;
  cmt_net_addr a = know(f, "5.1.0.1"), one = at(1001, "5.2.0.1"),
               two = at(1002, "5.3.0.1");
  cmt__ensure_dial *d[64];

  ensure_world_begin(f);
  up(f, &one, true);
  up(f, &two, true);
  for (int i = 0; i < 7; i++) {
    cmt_addrbook_failed(f->book, &a.id, now(f).utc_ns);
  }
  f->now_ns += CMT_SECONDS(127);
  assert_int_equal(0, dials(f, d, 64));
  f->now_ns += CMT_SECONDS(31);
  assert_int_equal(1, dials(f, d, 64));
  all_down(f);
}

static void a_wrong_network_and_a_wrong_id_leave_the_book(void **state) {
  static const cmt_err errs[] = {CMT_ENETWORK, CMT_EWRONGID, CMT_ESELF};
  fixture *f = *state;

  ensure_world_begin(f);
  for (size_t i = 0; i < CMT__COUNT(errs); i++) {
    cmt_net_addr a = know(f, "5.1.0.1");
    cmt__ensure_dial *d[4];

    f->now_ns += CMT_SECONDS(31);
    assert_int_equal(1, dials(f, d, 4));
    end(f, d[0], errs[i]);
    assert_false(cmt_addrbook_has(f->book, &a.id));
    assert_true(errs[i] == CMT_ESELF ||
                cmt_addrbook_is_barred(f->book, &a,
                                       now(f).utc_ns + CMT_SECONDS(7 * 86399)));
  }
}

static void a_success_is_a_proof(void **state) {
  fixture *f = *state;
  cmt_net_addr a = know(f, "5.1.0.1");
  const cmt__ensure_outcome o = {CMT_OK, &a, "v0.38.25"};
  cmt_addrbook_entry entry;
  cmt__ensure_dial *d[4];

  ensure_world_begin(f);
  assert_int_equal(1, dials(f, d, 4));
  cmt__ensure_dialed(&f->e, d[0], &o, now(f));
  assert_true(cmt_addrbook_get(f->book, &a.id, &entry));
  assert_int_equal(now(f).utc_ns, entry.proven_ns);
  assert_int_equal(CMT_ADDRBOOK_OLD, entry.kind);
  assert_string_equal("v0.38.25", entry.version);
}

static void who_hangs_up_at_once_is_left_alone(void **state) {
  fixture *f = *state;
  cmt_net_addr a = know(f, "5.1.0.1");
  cmt__ensure_dial *d[4];

  ensure_world_begin(f);
  assert_int_equal(1, dials(f, d, 4));
  end(f, d[0], CMT_OK);
  cmt__ensure_remove(&f->e, up(f, &a, true), CMT_EEOF, now(f));
  f->now_ns += CMT_SECONDS(299);
  assert_int_equal(0, dials(f, d, 4));
  f->now_ns += CMT_SECONDS(32);
  assert_int_equal(1, dials(f, d, 4));
}

/* However many others fail meanwhile. */
static void who_hangs_up_is_not_forgotten(void **state) {
  fixture *f = *state;
  cmt_net_addr a = know(f, "9.1.0.1");
  cmt__ensure_dial *d[16];

  ensure_world_begin(f);
  assert_int_equal(1, dials(f, d, 16));
  hang_up(f, d[0]);
  for (unsigned i = 0; i < 1000; i++) {
    char ip[16];

    snprintf(ip, sizeof ip, "5.%u.%u.1", i % 250, i / 250);
    know(f, ip);
  }
  while (f->now_ns < CMT_SECONDS(299)) {
    for (size_t i = dials(f, d, 16); i-- > 0;) {
      assert_false(cmt_node_id_equal(&a.id, &d[i]->addr.id));
      end(f, d[i], CMT_EREFUSED);
    }
    f->now_ns += CMT_MILLISECONDS(250);
  }
}

static void a_feeler_tries_what_was_never_reached(void **state) {
  fixture *f = *state;
  cmt_net_addr a = know(f, "5.1.0.1");
  cmt__ensure_dial *d[4];

  f->o.outbound_max = 0;
  f->o.feeler_ns = CMT_SECONDS(120);
  ensure_world_begin(f);
  f->now_ns += CMT_SECONDS(121);
  assert_int_equal(1, dials(f, d, 4));
  assert_true(d[0]->feeler);
  assert_true(cmt_node_id_equal(&a.id, &d[0]->addr.id));
  f->now_ns += CMT_SECONDS(1000);
  assert_int_equal(0, dials(f, d, 4)); /* One at a time. */
  end(f, d[0], CMT_OK);
  f->now_ns += CMT_SECONDS(1000);
  assert_int_equal(0, dials(f, d, 4)); /* It was reached. */
}

/* ---- anchors ---- */

static void anchors_are_the_oldest_of_distinct_groups(void **state) {
  static const char *const ips[] = {"5.1.0.1", "5.1.0.2", "5.2.0.1",
                                    "5.3.0.1", "5.4.0.1", "5.5.0.1"};
  fixture *f = *state;
  cmt_net_addr got[8];

  ensure_world_begin(f);
  for (unsigned i = 0; i < 6; i++) {
    cmt_net_addr a = at(i + 1, ips[i]);

    f->now_ns += CMT_SECONDS(1);
    up(f, &a, true);
  }
  assert_int_equal(4, cmt__ensure_anchors(&f->e, got, 8));
  assert_string_equal("5.1.0.1", got[0].host);
  assert_string_equal("5.2.0.1", got[1].host);
  assert_string_equal("5.3.0.1", got[2].host);
  assert_string_equal("5.4.0.1", got[3].host);
  all_down(f); /* The end of all peers does not lose them. */
  assert_int_equal(4, cmt__ensure_anchors(&f->e, got, 8));
}

/* The first of them that goes is no reason to forget it. */
static void the_book_has_the_anchors_of_the_end(void **state) {
  fixture *f = *state;
  cmt_net_addr list[] = {at(1, "5.1.0.1"), at(2, "5.2.0.1")}, got[4];

  ensure_world_begin(f);
  up(f, &list[0], true);
  up(f, &list[1], true);
  all_down(f);
  assert_int_equal(2, cmt_addrbook_anchors(f->book, got, 4));
}

static void anchors_are_dialed_first(void **state) {
  fixture *f = *state;
  const cmt_net_addr anchors[] = {at(1001, "6.1.0.1"), at(1002, "6.2.0.1")};
  cmt__ensure_dial *d[16];
  char ip[32];

  for (unsigned i = 0; i < 20; i++) {
    snprintf(ip, sizeof ip, "5.%u.0.1", i);
    know(f, ip);
  }
  f->o.anchors = anchors;
  f->o.anchor_count = 2;
  f->o.outbound_max = 3;
  ensure_world_begin(f);
  assert_int_equal(3, dials(f, d, 16));
  assert_int_equal(CMT__ENSURE_ANCHOR, d[0]->kind);
  assert_int_equal(CMT__ENSURE_ANCHOR, d[1]->kind);
  assert_int_equal(CMT__ENSURE_BOOK, d[2]->kind);
}

/* ---- seeds and questions ---- */

static void seeds_are_tried_one_after_another(void **state) {
  fixture *f = *state;
  cmt__ensure_dial *d[4];
  uint64_t seen = 0;

  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 3);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(1, dials(f, d, 4));
    assert_int_equal(CMT__ENSURE_SEED, d[0]->kind);
    seen |= UINT64_C(1) << d[0]->seed;
    end(f, d[0], CMT_EREFUSED);
  }
  assert_int_equal(7, seen);
  assert_int_equal(0, dials(f, d, 4));
  assert_in_range(cmt__ensure_next_ns(&f->e, f->now_ns), 1, CMT_SECONDS(6));
  f->now_ns += CMT_SECONDS(6);
  assert_int_equal(1, dials(f, d, 4));
}

static void one_seed_is_enough(void **state) {
  fixture *f = *state;
  cmt__ensure_dial *d[4];

  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 3);
  assert_int_equal(1, dials(f, d, 4));
  end(f, d[0], CMT_OK);
  assert_int_equal(0, dials(f, d, 4));
}

/* The seed of |d| comes up and stays. */
static cmt__ensure_peer *seed_comes(fixture *f, cmt__ensure_dial *d) {
  cmt__ensure_peer given = {.outbound = true, .seed = true, .has_pex = true};
  cmt__ensure_peer *p;

  assert_int_equal(CMT__ENSURE_SEED, d->kind);
  given.at = at(1000 + (unsigned)d->seed, "9.9.0.1");
  given.seed_bits = UINT64_C(1) << d->seed;
  end(f, d, CMT_OK);
  p = cmt__ensure_add(&f->e, &given, NULL, NULL, now(f));
  assert_non_null(p);
  return p;
}

static void a_silent_seed_keeps_no_other_waiting(void **state) {
  fixture *f = *state;
  cmt__ensure_dial *d[4];
  cmt_net_addr known = at(1, "8.1.0.1");
  size_t first;

  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 2);
  assert_int_equal(1, dials(f, d, 4));
  first = d[0]->seed;
  (void)seed_comes(f, d[0]);
  assert_int_equal(0, dials(f, d, 4));
  f->now_ns += CMT_SECONDS(10) - 1;
  assert_int_equal(0, dials(f, d, 4));
  assert_int_equal(f->now_ns + 1, cmt__ensure_next_ns(&f->e, f->now_ns));
  f->now_ns++;
  assert_int_equal(1, dials(f, d, 4));
  assert_int_equal(1 - first, d[0]->seed);
  assert_int_equal(
    1, cmt__ensure_learn(&f->e, seed_comes(f, d[0]), &known, 1, now(f)));
  assert_int_equal(1, dials(f, d, 4));
  assert_int_equal(CMT__ENSURE_BOOK, d[0]->kind);
}

/* Nor does one that has answered without use and stays, which is not dialed
   again, either. */
static void nor_does_one_that_stays(void **state) {
  fixture *f = *state;
  cmt__ensure_dial *d[4];
  size_t first;

  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 2);
  assert_int_equal(1, dials(f, d, 4));
  first = d[0]->seed;
  cmt__ensure_learn(&f->e, seed_comes(f, d[0]), NULL, 0, now(f));
  for (unsigned i = 0; i < 3; i++) {
    f->now_ns += CMT_SECONDS(45);
    assert_int_equal(1, dials(f, d, 4));
    assert_int_equal(CMT__ENSURE_SEED, d[0]->kind);
    assert_int_equal(1 - first, d[0]->seed);
    end(f, d[0], CMT_EREFUSED);
  }
  f->now_ns += CMT_SECONDS(45);
  assert_int_equal(1, dials(f, d, 4));
  (void)seed_comes(f, d[0]);
  f->now_ns += CMT_SECONDS(45);
  assert_int_equal(0, dials(f, d, 4)); /* Both are up. */
}

/* Lets |for_ns| pass, and the seed answer with |list| and end each visit; what
   the book has does not answer.  Returns the visits. */
static unsigned visits(fixture *f, uint64_t for_ns, const cmt_net_addr *list,
                       size_t count) {
  cmt__ensure_peer seed = {
    .at = at(1000, "9.9.0.1"), .outbound = true, .seed = true, .has_pex = true};
  uint64_t end_ns = f->now_ns + for_ns;
  unsigned seen = 0;

  while (f->now_ns < end_ns) {
    cmt__ensure_dial *d[16];
    size_t begun = dials(f, d, 16);

    for (size_t i = 0; i < begun; i++) {
      if (d[i]->kind != CMT__ENSURE_SEED) {
        end(f, d[i], CMT_EREFUSED);
        continue;
      }
      end(f, d[i], CMT_OK);
      seen++;
      cmt__ensure_peer *p = cmt__ensure_add(&f->e, &seed, NULL, NULL, now(f));

      assert_non_null(p);
      cmt__ensure_learn(&f->e, p, list, count, now(f));
      cmt__ensure_remove(&f->e, p, CMT_EEOF, now(f));
    }
    f->now_ns = cmt__ensure_next_ns(&f->e, f->now_ns + CMT_MILLISECONDS(1));
  }
  f->now_ns = end_ns;
  return seen;
}

/* At 0, 5, 10, 20 and 40 s, and then once a round, each up to an eighth sooner
   or later. */
static void a_seed_without_news_is_visited_less(void **state) {
  fixture *f = *state;
  const cmt_net_addr others[] = {at(1, "5.1.0.1"), at(2, "5.2.0.1"),
                                 at(3, "5.2.9.9")}; /* Its group is here. */

  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 1);
  up(f, &others[0], false);
  up(f, &others[1], true);
  assert_int_equal(2, visits(f, CMT_SECONDS(6), others, 3));
  assert_in_range(visits(f, CMT_SECONDS(54), others, 3), 3, 4);
  assert_in_range(visits(f, CMT_SECONDS(1200), others, 3), 36, 46);
  all_down(f);
}

/* What it names is in the book, and may be dialed again. */
static void a_seed_that_names_a_lost_node_is_visited(void **state) {
  fixture *f = *state;
  const cmt_net_addr others[] = {at(1, "5.1.0.1"), at(2, "5.2.0.1")};
  cmt__ensure_peer *lost, *seed;
  cmt__ensure_peer given = {
    .at = at(1000, "9.9.0.1"), .outbound = true, .seed = true, .has_pex = true};

  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 1);
  up(f, &others[0], true);
  lost = up(f, &others[1], true);
  visits(f, CMT_SECONDS(300), others, 2);
  cmt__ensure_remove(&f->e, lost, CMT_EEOF, now(f));
  f->now_ns += CMT_SECONDS(31);
  seed = cmt__ensure_add(&f->e, &given, NULL, NULL, now(f));
  assert_non_null(seed);
  assert_int_equal(0, cmt__ensure_learn(&f->e, seed, others, 2, now(f)));
  cmt__ensure_remove(&f->e, seed, CMT_EEOF, now(f));
  /* At once, after 5, 10 and 20 s. */
  assert_int_equal(4, visits(f, CMT_SECONDS(55), others, 2));
  all_down(f);
}

/* A round later, and then again after 5 and 10 s; of visits a round apart there
   are two at most in that time. */
static void news_bring_visits_closer(void **state) {
  fixture *f = *state;
  const cmt_net_addr others[] = {at(1, "5.1.0.1"), at(2, "5.2.0.1")};

  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 1);
  up(f, &others[0], true);
  up(f, &others[1], true);
  visits(f, CMT_SECONDS(300), others, 1);
  while (visits(f, CMT_MILLISECONDS(10), others, 2) == 0) {
  }
  assert_int_equal(3, visits(f, CMT_SECONDS(55), others, 2));
  all_down(f);
}

/* Visits while no dial reaches the seed. */
static unsigned dials_of_seed(fixture *f, uint64_t for_ns) {
  uint64_t end_ns = f->now_ns + for_ns;
  unsigned seen = 0;

  while (f->now_ns < end_ns) {
    cmt__ensure_dial *d[16];

    for (size_t i = dials(f, d, 16); i-- > 0;) {
      seen += d[i]->kind == CMT__ENSURE_SEED;
      end(f, d[i], CMT_EDIAL);
    }
    f->now_ns = cmt__ensure_next_ns(&f->e, f->now_ns + CMT_MILLISECONDS(1));
  }
  return seen;
}

/* Nothing of it arrives there; whoever is back from a partition has peers 5 s
   later. */
static void a_seed_that_is_not_reached_is_dialed_as_often(void **state) {
  fixture *f = *state;

  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 1);
  dials_of_seed(f, CMT_SECONDS(300));
  assert_in_range(dials_of_seed(f, CMT_SECONDS(60)), 10, 14);
}

/* Once, and then as a node that has just begun; a peer that was here for a
   moment changes nothing. */
static void who_loses_all_peers_visits_as_at_first(void **state) {
  fixture *f = *state;
  const cmt_net_addr others[] = {at(1, "5.1.0.1"), at(2, "5.2.0.1")};

  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 1);
  up(f, &others[0], false);
  up(f, &others[1], true);
  visits(f, CMT_SECONDS(300), others, 1);
  while (visits(f, CMT_MILLISECONDS(10), others, 1) == 0) {
  }
  cmt__ensure_remove(&f->e, f->e.peers, CMT_EPONG, now(f));
  assert_int_equal(3, visits(f, CMT_SECONDS(25), others, 1));
  visits(f, CMT_SECONDS(300), others, 1);
  while (visits(f, CMT_MILLISECONDS(10), others, 1) == 0) {
  }
  cmt__ensure_remove(&f->e, up(f, &others[1], true), CMT_EEOF, now(f));
  assert_in_range(visits(f, CMT_SECONDS(25), others, 1), 0, 1);
  all_down(f);
}

/* A book with so much in it that a node that lacks no peers asks nobody:
   nothing of it has a place for us. */
static void know_full_nodes(fixture *f) {
  for (unsigned i = 0; i < 2000; i++) {
    char ip[16];
    cmt_addrbook_proof p;
    cmt_net_addr a;

    snprintf(ip, sizeof ip, "5.%u.%u.1", i % 250, i / 250);
    a = know(f, ip);
    if (i < 100) {
      cmt_addrbook_proof_init(&p);
      p.addr = &a;
      assert_cmt(CMT_OK, cmt_addrbook_proved(f->book, &p, now(f).utc_ns));
    }
  }
}

/* They use the whole rate of dials, and the seed has its turn. */
static void full_nodes_do_not_end_the_search(void **state) {
  fixture *f = *state;
  cmt__ensure_peer seed = {
    .at = at(9999, "9.9.0.1"), .outbound = true, .seed = true, .has_pex = true};
  cmt_net_addr named[64];
  unsigned visits_seen = 0, hints = 0;

  know_full_nodes(f);
  for (unsigned i = 0; i < CMT__COUNT(named); i++) {
    char ip[16];

    snprintf(ip, sizeof ip, "7.%u.0.1", i);
    named[i] = at(5000 + i, ip);
  }
  ensure_world_begin(f);
  cmt__ensure_set_seeds(&f->e, 1);
  for (; f->now_ns < CMT_SECONDS(20); f->now_ns += CMT_MILLISECONDS(250)) {
    cmt__ensure_dial *d[32];
    size_t count = dials(f, d, 32);

    for (size_t i = 0; i < count; i++) {
      if (d[i]->kind != CMT__ENSURE_SEED) {
        hints += d[i]->addr.host[0] == '7';
        hang_up(f, d[i]);
        continue;
      }
      cmt__ensure_peer *p;

      end(f, d[i], CMT_OK);
      p = cmt__ensure_add(&f->e, &seed, NULL, NULL, now(f));
      assert_non_null(p);
      cmt__ensure_learn(&f->e, p, named, CMT__COUNT(named), now(f));
      cmt__ensure_remove(&f->e, p, CMT_EEOF, now(f));
      visits_seen++;
    }
  }
  assert_in_range(visits_seen, 1, 3);
  /* What it named comes before all else: four dials a second. */
  assert_in_range(hints, 60, 64);
}

/* The peer that is found at last is asked at once. */
static void who_was_stuck_asks_a_new_peer(void **state) {
  fixture *f = *state;
  cmt__ensure_step step = {.act = CMT__ENSURE_DIAL};
  cmt__ensure_dial *d[16];
  size_t count = 0;

  know_full_nodes(f);
  ensure_world_begin(f);
  while (count < CMT__ENSURE_MISSES_MANY) {
    for (size_t i = dials(f, d, 16); i-- > 0; count++) {
      hang_up(f, d[i]);
    }
    f->now_ns += CMT_MILLISECONDS(250);
  }
  f->now_ns += CMT_SECONDS(1);
  assert_true(dials(f, d, 16) > 0);
  end(f, d[0], CMT_OK);
  up(f, &d[0]->addr, true);
  assert_true(cmt__ensure_next(&f->e, now(f), &step));
  assert_int_equal(CMT__ENSURE_ASK, step.act);
  all_down(f);
}

static void several_peers_are_asked_in_a_round(void **state) {
  fixture *f = *state;
  cmt__ensure_step step;
  size_t asked = 0;

  ensure_world_begin(f);
  for (unsigned i = 0; i < 8; i++) {
    cmt_net_addr a = at(i + 1, "5.1.0.1");

    a.host[2] = (char)('1' + i);
    up(f, &a, false); /* Who dialed us is not asked at once. */
  }
  assert_false(cmt__ensure_next(&f->e, (cmt__pex_time){0, UTC}, &step) &&
               step.act == CMT__ENSURE_ASK);
  f->now_ns += CMT_SECONDS(2);
  while (cmt__ensure_next(&f->e, now(f), &step)) {
    asked += step.act == CMT__ENSURE_ASK;
  }
  assert_int_equal(3, asked);
  all_down(f);
}

static void unconditional_peers_take_no_place(void **state) {
  fixture *f = *state;
  cmt_net_addr a = at(1, "5.1.0.1"), b = at(2, "5.2.0.1");
  cmt__ensure_peer given = {.at = a, .outbound = true, .exempt = true};
  cmt__ensure_dial *d[16];
  cmt__ensure_peer *p;

  f->o.outbound_max = 2;
  f->serial = 2;
  ensure_world_begin(f);
  for (unsigned i = 0; i < 8; i++) {
    char ip[32];

    snprintf(ip, sizeof ip, "6.%u.0.1", i);
    know(f, ip);
  }
  assert_non_null(cmt__ensure_add(&f->e, &given, NULL, NULL, now(f)));
  p = up(f, &b, true);
  f->now_ns += CMT_SECONDS(31);
  assert_int_equal(1, dials(f, d, 16)); /* The third of all. */
  end(f, d[0], CMT_OK);
  up(f, &d[0]->addr, true);
  f->now_ns += CMT_SECONDS(31);
  assert_int_equal(0, dials(f, d, 16));
  cmt__ensure_exempt(&f->e, p);
  cmt__ensure_exempt(&f->e, p);
  f->now_ns += CMT_SECONDS(31);
  assert_int_equal(1, dials(f, d, 16));
  all_down(f);
  assert_int_equal(0, cmt__ensure_placed(&f->e));
}

static void a_full_node_rotates_nobody_that_is_unconditional(void **state) {
  fixture *f = *state;
  cmt_net_addr a = at(1, "5.1.0.1"), b = at(2, "5.2.0.1");
  cmt__ensure_step step;
  cmt__ensure_peer *p;
  unsigned closed = 0;

  f->o.outbound_max = 1;
  f->o.rotate_ns = CMT_SECONDS(3600);
  ensure_world_begin(f);
  cmt__ensure_exempt(&f->e, up(f, &a, true));
  p = up(f, &b, true);
  for (int i = 0; i < 20; i++) {
    f->now_ns += CMT_SECONDS(4200);
    while (cmt__ensure_next(&f->e, now(f), &step)) {
      assert_true(step.act != CMT__ENSURE_CLOSE || step.peer == p);
      closed += step.act == CMT__ENSURE_CLOSE;
    }
  }
  assert_int_equal(20, closed);
  all_down(f);
}

static void a_full_node_rotates(void **state) {
  fixture *f = *state;
  cmt__ensure_step step;
  cmt_net_addr a = at(1, "5.1.0.1"), b = at(2, "5.2.0.1");
  bool closed = false;

  f->o.outbound_max = 2;
  f->o.rotate_ns = CMT_SECONDS(3600);
  ensure_world_begin(f);
  up(f, &a, true);
  up(f, &b, true);
  f->now_ns += CMT_SECONDS(3599);
  while (cmt__ensure_next(&f->e, now(f), &step)) {
    assert_int_not_equal(CMT__ENSURE_CLOSE, step.act);
  }
  f->now_ns += CMT_SECONDS(1);
  while (cmt__ensure_next(&f->e, now(f), &step)) {
    assert_true(!closed || step.act != CMT__ENSURE_CLOSE);
    closed = closed || step.act == CMT__ENSURE_CLOSE;
  }
  assert_true(closed);
  all_down(f);
}

/* One of many addresses in one group weighs as much as one of few in another.
 */
static void the_choice_is_among_groups(void **state) {
  fixture *f = *state;
  unsigned rare = 0;
  char ip[32];

  f->o.outbound_max = 1;
  for (unsigned i = 0; i < 60; i++) {
    snprintf(ip, sizeof ip, "7.1.%u.1", i);
    know(f, ip);
  }
  know(f, "5.1.0.1");
  ensure_world_begin(f);
  for (int i = 0; i < 60; i++) {
    cmt__ensure_dial *d[16];
    size_t count;

    f->now_ns += CMT_SECONDS(31);
    count = dials(f, d, 16);
    rare += count > 0 && strcmp(d[0]->addr.host, "5.1.0.1") == 0;
    for (size_t k = 0; k < count; k++) {
      end(f, d[k], CMT_EDUPLICATE);
    }
  }
  assert_in_range(rare, 15, 45);
}

static void a_peer_needs_memory(void **state) {
  fixture *f = *state;
  cmt_net_addr a = at(1, "5.1.0.1");
  cmt__ensure_peer given = {.at = a};

  ensure_world_begin(f);
  f->env.fail_at = f->env.allocs;
  assert_null(cmt__ensure_add(&f->e, &given, NULL, NULL, now(f)));
  f->env.fail_at = SIZE_MAX;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(places_are_filled_in_parallel),
    TEST(no_more_dials_than_allowed),
    TEST(who_hangs_up_at_once_is_a_failure),
    TEST(a_group_has_one_outbound_peer),
    TEST(hosts_of_a_private_network_are_groups_of_their_own),
    TEST(failures_do_not_count_while_we_are_offline),
    TEST(each_failure_doubles_the_wait),
    TEST(a_wrong_network_and_a_wrong_id_leave_the_book),
    TEST(a_success_is_a_proof),
    TEST(who_hangs_up_at_once_is_left_alone),
    TEST(who_hangs_up_is_not_forgotten),
    TEST(a_feeler_tries_what_was_never_reached),
    TEST(anchors_are_the_oldest_of_distinct_groups),
    TEST(the_book_has_the_anchors_of_the_end),
    TEST(anchors_are_dialed_first),
    TEST(seeds_are_tried_one_after_another),
    TEST(one_seed_is_enough),
    TEST(a_silent_seed_keeps_no_other_waiting),
    TEST(nor_does_one_that_stays),
    TEST(a_seed_without_news_is_visited_less),
    TEST(a_seed_that_names_a_lost_node_is_visited),
    TEST(news_bring_visits_closer),
    TEST(a_seed_that_is_not_reached_is_dialed_as_often),
    TEST(who_loses_all_peers_visits_as_at_first),
    TEST(full_nodes_do_not_end_the_search),
    TEST(who_was_stuck_asks_a_new_peer),
    TEST(several_peers_are_asked_in_a_round),
    TEST(a_full_node_rotates),
    TEST(unconditional_peers_take_no_place),
    TEST(a_full_node_rotates_nobody_that_is_unconditional),
    TEST(the_choice_is_among_groups),
    TEST(a_peer_needs_memory),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
