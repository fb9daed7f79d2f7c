/* SPDX-License-Identifier: Apache-2.0 */

/* Visitors of a seed that has just begun: the decisions of peer exchange, on
   instants of the test. */

#include "ensure_world.h"

enum { VISITORS = 4 };

/* A node that visits. */
typedef struct visitor {
  cmt_net_addr a;
  cmt__ensure_peer *p; /* While it is here. */
  const char *version;
  unsigned answers;
  uint64_t answer_ns;
  size_t got_count; /* With the last answer. */
  cmt_net_addr got[CMT_ADDRBOOK_ANSWER_MAX];
} visitor;

typedef struct fixture {
  ensure_world w;
  visitor v[VISITORS];
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  ensure_world_init(&f->w, true, true);
  f->w.now_ns = CMT_SECONDS(100);
  ensure_world_begin(&f->w);
  for (unsigned i = 0; i < VISITORS; i++) {
    f->v[i].version = "0.38.25";
    f->v[i].a.port = 26656;
    snprintf(f->v[i].a.host, sizeof f->v[i].a.host, "5.%u.0.1", i + 1);
    snprintf(f->v[i].a.id.text, sizeof f->v[i].a.id.text, "%040x", i + 1);
  }
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  ensure_world_fini(&f->w);
  free(f);
  return 0;
}

/* As the reactor does. */
static void answer(fixture *f, cmt__ensure_peer *p) {
  visitor *v = p->user;
  uint16_t numbers[CMT_ADDRBOOK_ANSWER_MAX];
  uint64_t proofs_ns[CMT_ADDRBOOK_ANSWER_MAX];
  cmt__ensure_answer a = {.numbers = numbers, .proofs_ns = proofs_ns};
  cmt_addrbook_query q;

  cmt__ensure_query(&f->w.e, p, now(&f->w), &q);
  q.proofs_ns = proofs_ns;
  a.count = cmt__book_select(f->w.book, &q, numbers, CMT_ADDRBOOK_ANSWER_MAX,
                             now(&f->w).utc_ns);
  cmt__ensure_trim(&f->w.e, p, &a, now(&f->w));
  v->got_count = a.count;
  for (size_t i = 0; i < a.count; i++) {
    cmt__book_addr_write(&cmt__book_at(f->w.book, numbers[i])->addr,
                         &v->got[i]);
  }
  v->answers++;
  v->answer_ns = f->w.now_ns;
  cmt__ensure_served(&f->w.e, p, now(&f->w));
}

static void leave(fixture *f, visitor *v) {
  cmt__ensure_remove(&f->w.e, v->p, CMT_ECANCELED, now(&f->w));
  v->p = NULL;
}

/* All that is to be done now; dials stay under way. */
static void run(fixture *f) {
  cmt__ensure_step step;

  while (cmt__ensure_next(&f->w.e, now(&f->w), &step)) {
    if (step.act == CMT__ENSURE_ANSWER) {
      answer(f, step.peer);
    } else if (step.act == CMT__ENSURE_CLOSE) {
      leave(f, step.peer->user);
    }
  }
}

static void pass(fixture *f, uint64_t ns) {
  uint64_t end_ns = f->w.now_ns + ns;

  for (;;) {
    uint64_t next_ns = cmt__ensure_next_ns(&f->w.e, f->w.now_ns);

    if (next_ns > end_ns) {
      break;
    }
    f->w.now_ns = next_ns > f->w.now_ns ? next_ns : f->w.now_ns + 1;
    run(f);
  }
  f->w.now_ns = end_ns;
  run(f);
}

/* It connects, claims the address of its socket, and does not ask yet. */
static void come(fixture *f, visitor *v) {
  cmt__ensure_peer p = {.at = v->a, .has_pex = true, .user = v};

  v->p = cmt__ensure_add(&f->w.e, &p, &v->a, v->version, now(&f->w));
  assert_non_null(v->p);
  run(f);
}

static void ask(fixture *f, visitor *v) {
  if (cmt__ask_request_came(&v->p->limit, f->w.now_ns) == CMT__ASK_ANSWER &&
      !cmt__ensure_holds(&f->w.e, v->p, now(&f->w))) {
    answer(f, v->p);
  }
  run(f);
}

static void visit(fixture *f, visitor *v) {
  come(f, v);
  ask(f, v);
}

/* The dial of |v| that is under way, NULL: there is none. */
static cmt__ensure_dial *dial_of(fixture *f, const visitor *v) {
  for (size_t i = 0; i <= CMT__ENSURE_DIALS_MAX; i++) {
    if (f->w.e.dials[i].used &&
        cmt_node_id_equal(&f->w.e.dials[i].addr.id, &v->a.id)) {
      return &f->w.e.dials[i];
    }
  }
  return NULL;
}

static void felt(fixture *f, const visitor *v, cmt_err err) {
  const cmt__ensure_outcome o = {.err = err,
                                 .at = err == CMT_OK ? &v->a : NULL};
  cmt__ensure_dial *d = dial_of(f, v);

  assert_non_null(d);
  cmt__ensure_dialed(&f->w.e, d, &o, now(&f->w));
  run(f);
}

static bool got(const visitor *v, const visitor *other) {
  for (size_t i = 0; i < v->got_count; i++) {
    if (cmt_node_id_equal(&v->got[i].id, &other->a.id)) {
      return true;
    }
  }
  return false;
}

/* ---- who begins together ---- */

/* Each visitor gets those before it as soon as they are felt, and none of those
   after it: no two of them dial each other at one time. */
static void each_pair_has_one_that_dials(void **state) {
  fixture *f = *state;
  uint64_t start_ns = f->w.now_ns;

  for (unsigned i = 0; i < VISITORS; i++) {
    visit(f, &f->v[i]);
  }
  pass(f, CMT_MILLISECONDS(20));
  for (unsigned i = VISITORS; i-- > 0;) {
    assert_int_equal(f->v[i].answers, 0);
    felt(f, &f->v[i], CMT_OK);
  }
  for (unsigned i = 1; i < VISITORS; i++) {
    assert_int_equal(f->v[i].answers, 1);
    assert_int_equal(f->v[i].answer_ns, start_ns + CMT_MILLISECONDS(20));
    assert_null(f->v[i].p); /* The visit is over. */
    assert_int_equal(f->v[i].got_count, i);
    for (unsigned k = 0; k < i; k++) {
      assert_true(got(&f->v[i], &f->v[k]));
    }
  }
  /* The first one is answered when the others have dialed it. */
  assert_int_equal(f->v[0].answers, 0);
  pass(f, CMT_MILLISECONDS(1500));
  assert_int_equal(f->v[0].got_count, VISITORS - 1);
  assert_int_equal(f->v[0].answer_ns, start_ns + CMT_MILLISECONDS(1020));
}

/* The claim of the second is proved before it asks. */
static void
who_has_not_asked_yet_is_not_served_to_who_came_before(void **state) {
  fixture *f = *state;

  visit(f, &f->v[0]);
  come(f, &f->v[1]);
  felt(f, &f->v[1], CMT_OK);
  felt(f, &f->v[0], CMT_OK);
  assert_int_equal(f->v[0].answers, 0);
  ask(f, &f->v[1]);
  assert_int_equal(f->v[1].answers, 1);
  assert_true(got(&f->v[1], &f->v[0]));
}

static void a_visitor_alone_waits_for_a_second(void **state) {
  fixture *f = *state;
  visitor *v = &f->v[0];

  visit(f, v);
  felt(f, v, CMT_OK);
  pass(f, CMT_SECONDS(1) - 1);
  assert_int_equal(v->answers, 0);
  pass(f, 1);
  assert_int_equal(v->answers, 1);
  assert_int_equal(v->got_count, 0);
}

/* An address that cannot be reached delays others for a second at most. */
static void a_claim_without_outcome_holds_nobody_for_long(void **state) {
  fixture *f = *state;

  visit(f, &f->v[0]);
  visit(f, &f->v[1]);
  felt(f, &f->v[1], CMT_OK);
  pass(f, CMT_SECONDS(1));
  assert_int_equal(f->v[0].answers, 1);
  assert_int_equal(f->v[1].answers, 1);
  assert_int_equal(f->v[1].got_count, 0);
}

/* Whoever came first is in each answer of a stream of visitors, and is answered
   all the same. */
static void who_is_served_again_and_again_is_answered(void **state) {
  fixture *f = *state;
  visitor *first = &f->v[0], *other = &f->v[1];
  uint64_t start_ns = f->w.now_ns;

  visit(f, first);
  felt(f, first, CMT_OK);
  for (unsigned i = 0; i < 10; i++) {
    snprintf(other->a.id.text, sizeof other->a.id.text, "%040x", 100 + i);
    snprintf(other->a.host, sizeof other->a.host, "6.%u.0.1", i);
    visit(f, other);
    assert_non_null(dial_of(f, other));
    felt(f, other, CMT_OK);
    pass(f, CMT_MILLISECONDS(400));
  }
  assert_int_equal(first->answers, 1);
  assert_int_equal(first->answer_ns, start_ns + CMT_SECONDS(3));
  assert_true(first->got_count > 0);
}

/* With many to serve nobody waits. */
static void
who_comes_to_a_seed_that_knows_many_is_answered_at_once(void **state) {
  fixture *f = *state;
  cmt_net_addr a = f->v[3].a;
  cmt_addrbook_proof p;

  cmt_addrbook_proof_init(&p);
  p.addr = &a;
  for (unsigned i = 0; i < 32; i++) {
    snprintf(a.id.text, sizeof a.id.text, "%040x", 100 + i);
    snprintf(a.host, sizeof a.host, "7.%u.0.1", i);
    assert_cmt(CMT_OK, cmt_addrbook_proved(f->w.book, &p, now(&f->w).utc_ns));
  }
  visit(f, &f->v[0]);
  assert_int_equal(f->v[0].answers, 1);
  assert_int_equal(f->v[0].got_count, 32);
  /* Old proofs do not count: they are not served either. */
  f->w.now_ns += CMT_SECONDS(1801);
  visit(f, &f->v[1]);
  assert_int_equal(f->v[1].answers, 0);
}

/* In a round a seed asks visitors too. */
static void what_a_visitor_answers_does_not_end_its_visit(void **state) {
  fixture *f = *state;
  visitor *v = &f->v[0];

  visit(f, v);
  felt(f, v, CMT_OK);
  cmt__ensure_learn(&f->w.e, v->p, &f->v[1].a, 1, now(&f->w));
  run(f);
  assert_non_null(v->p);
  pass(f, CMT_SECONDS(1));
  assert_int_equal(v->answers, 1);
}

/* ---- one connection an address ---- */

/* Nodes of CometBFT accept no second connection from an address: the seed
   reaches each after its visit, and so the next one gets it. */
static void who_refuses_a_feeler_is_felt_when_it_has_left(void **state) {
  fixture *f = *state;
  uint64_t start_ns = f->w.now_ns;

  for (unsigned i = 0; i < 3; i++) {
    visit(f, &f->v[i]);
  }
  for (unsigned i = 0; i < 3; i++) {
    felt(f, &f->v[i], CMT_EEOF);
  }
  for (unsigned i = 0; i < 3; i++) {
    assert_null(f->v[i].p);
    assert_int_equal(f->v[i].answers, i > 0);
    assert_int_equal(f->v[i].got_count, i);
    pass(f, CMT_MILLISECONDS(100));
    felt(f, &f->v[i], CMT_OK);
  }
  assert_int_equal(f->w.now_ns - start_ns, CMT_MILLISECONDS(300));
}

/* It may not know yet that it has left; in the end it counts as a failure. */
static void who_refuses_feelers_again_and_again_is_left_alone(void **state) {
  fixture *f = *state;
  visitor *v = &f->v[0];

  visit(f, v);
  felt(f, v, CMT_ERESET);
  assert_null(v->p);
  assert_int_equal(v->answers, 0); /* With nothing it would be back at once. */
  for (unsigned i = 0; i < 3; i++) {
    assert_null(dial_of(f, v));
    pass(f, CMT_MILLISECONDS(300));
    felt(f, v, CMT_EEOF);
  }
  pass(f, CMT_SECONDS(2));
  assert_null(dial_of(f, v));
}

/* ---- visits again ---- */

static void who_was_served_a_moment_ago_gets_no_second_answer(void **state) {
  fixture *f = *state;
  visitor *v = &f->v[1];

  visit(f, &f->v[0]);
  visit(f, v);
  felt(f, &f->v[0], CMT_OK);
  felt(f, v, CMT_OK);
  assert_int_equal(v->answers, 1);
  visit(f, v);
  assert_null(v->p);
  assert_int_equal(v->answers, 1);
  pass(f, CMT_SECONDS(10));
  visit(f, v);
  assert_int_equal(v->answers, 2);
}

/* A release that asks another peer as soon as it has our answer, 11 s after it
   asked that peer and came; what it gets is new. */
static void who_asks_others_early_is_answered_late(void **state) {
  fixture *f = *state;
  visitor *a = &f->v[0], *b = &f->v[1], *c = &f->v[2];

  a->version = "0.40.0";
  visit(f, a);
  felt(f, a, CMT_OK);
  pass(f, CMT_SECONDS(1));
  assert_int_equal(a->answers, 1); /* The first one is not late. */
  visit(f, a);
  assert_null(a->p); /* It got nothing, and others will dial it. */
  visit(f, b);
  felt(f, b, CMT_OK);
  assert_int_equal(b->answers, 1);
  pass(f, CMT_SECONDS(31));
  visit(f, a);
  felt(f, a, CMT_OK);
  pass(f, CMT_MILLISECONDS(10999));
  assert_int_equal(a->answers, 1);
  visit(f, c); /* It need not wait for that. */
  felt(f, c, CMT_OK);
  assert_int_equal(c->answers, 1);
  pass(f, CMT_MILLISECONDS(1));
  assert_int_equal(a->answers, 2);
  assert_null(a->p);
  visit(f, a); /* It comes back at once. */
  assert_int_equal(a->answers, 2);
  assert_null(a->p);
  /* Nobody of another release waits. */
  pass(f, CMT_SECONDS(30));
  visit(f, b);
  pass(f, CMT_SECONDS(1));
  assert_int_equal(b->answers, 2);
}

/* A node that got nothing may come back at once. */
static void who_got_nothing_is_answered_again(void **state) {
  fixture *f = *state;
  visitor *v = &f->v[0];

  visit(f, v);
  felt(f, v, CMT_OK);
  pass(f, CMT_SECONDS(1));
  assert_int_equal(v->answers, 1);
  visit(f, v);
  assert_non_null(v->p);
  pass(f, CMT_SECONDS(1));
  assert_int_equal(v->answers, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(each_pair_has_one_that_dials),
    TEST(who_has_not_asked_yet_is_not_served_to_who_came_before),
    TEST(a_visitor_alone_waits_for_a_second),
    TEST(a_claim_without_outcome_holds_nobody_for_long),
    TEST(who_is_served_again_and_again_is_answered),
    TEST(who_comes_to_a_seed_that_knows_many_is_answered_at_once),
    TEST(what_a_visitor_answers_does_not_end_its_visit),
    TEST(who_refuses_a_feeler_is_felt_when_it_has_left),
    TEST(who_refuses_feelers_again_and_again_is_left_alone),
    TEST(who_was_served_a_moment_ago_gets_no_second_answer),
    TEST(who_asks_others_early_is_answered_late),
    TEST(who_got_nothing_is_answered_again),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
