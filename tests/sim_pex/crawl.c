/* SPDX-License-Identifier: Apache-2.0 */

#include "crawl.h"

#include "pex/ensure.h"
#include "rng.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

enum {
  NODES_MAX = 4096, /* All that ever are. */
  VISITS_MAX = CMT__ENSURE_DIALS_MAX,
  ANSWER = CMT_ADDRBOOK_ANSWER_MAX,
  SEED_DIALS = 32, /* As the command's. */
  ASKED = 30,      /* Answers of a minute. */
};

#define UTC CMT_SECONDS(1800000000)
#define DIAL_TIMEOUT CMT_SECONDS(3)
#define FLUSH CMT_MILLISECONDS(100) /* Before an answer leaves. */
#define ASK_EVERY CMT_SECONDS(2)    /* Somebody asks the seed. */
#define WARM CMT_SECONDS(1200)
#define MEASURED CMT_SECONDS(3600)
#define START CMT_SECONDS(180)

/* A node that we dialed and that is a peer. */
typedef struct visit {
  cmt__ensure_peer *record; /* NULL: free. */
  unsigned number;
  uint64_t answer_ns;
} visit;

/* An answer, until a minute later. */
typedef struct served {
  unsigned numbers[ANSWER];
  size_t count;
} served;

typedef struct tally {
  uint64_t answers, addresses, living;
  uint64_t dead_ns; /* The longest since a served one has died. */
} tally;

typedef struct crawl {
  sim_rng rng;
  cmt_env env;
  cmt_addrbook *book;
  cmt__ensure e;
  uint64_t now_ns;
  uint64_t died_ns[NODES_MAX]; /* CMT_NEVER: it lives. */
  unsigned node_count;
  unsigned reported[CRAWL_REPORTED]; /* The living ones first. */
  unsigned reported_count;
  visit visits[VISITS_MAX];
  uint64_t due_ns[CMT__ENSURE_DIALS_MAX + 1]; /* The outcome of each dial. */
  uint64_t death_ns, ask_ns;
  served asked[ASKED]; /* Around. */
  size_t asked_at;
  unsigned second_dials; /* Dials since |second_ns|. */
  uint64_t second_ns;
  unsigned dials_per_s; /* The most. */
  tally tally;
} crawl;

static void entropy(void *arg, void *out, size_t len) {
  crawl *c = arg;
  uint8_t *bytes = out;

  for (size_t i = 0; i < len; i++) {
    bytes[i] = (uint8_t)sim_draw(&c->rng);
  }
}

static cmt__pex_time now(const crawl *c) {
  return (cmt__pex_time){c->now_ns, UTC + c->now_ns};
}

/* ---- nodes ---- */

static cmt_net_addr addr_of(unsigned number) {
  cmt_net_addr a = {.port = 26656};

  snprintf(a.id.text, sizeof a.id.text, "%040x", number + 1);
  snprintf(a.host, sizeof a.host, "%u.%u.%u.7", 11 + number * 37 % 80,
           number * 101 % 250, number % 250);
  return a;
}

static unsigned number_of(const cmt_net_addr *a) {
  return (unsigned)strtoul(a->id.text + 30, NULL, 16) - 1;
}

static bool is_dead(const crawl *c, unsigned number) {
  return c->now_ns >= c->died_ns[number];
}

static uint64_t round_trip(unsigned number) {
  return CMT_MILLISECONDS(20 + number * 7919 % 180);
}

static unsigned node_new(crawl *c, uint64_t died_ns) {
  assert_true(c->node_count < NODES_MAX);
  c->died_ns[c->node_count] = died_ns;
  return c->node_count++;
}

static void nodes_init(crawl *c, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    c->reported[i] = node_new(c, i < CRAWL_LIVING ? CMT_NEVER : 0);
  }
  c->reported_count = count;
}

/* From one death to the next. */
static uint64_t draw_death(crawl *c) {
  return CMT_SECONDS(2 * 3600) * 100 / (CRAWL_LIVING * CRAWL_CHURN_PERCENT) *
         sim_below(&c->rng, 1000) / 1000;
}

/* A node dies and another one comes; what others report has the dead one in the
   place of one that was dead before. */
static void node_dies(crawl *c) {
  unsigned at = (unsigned)sim_below(&c->rng, CRAWL_LIVING);
  unsigned dead =
    (unsigned)sim_between(&c->rng, CRAWL_LIVING, c->reported_count - 1);

  c->died_ns[c->reported[at]] = c->now_ns;
  c->reported[dead] = c->reported[at];
  c->reported[at] = node_new(c, CMT_NEVER);
  c->death_ns = c->now_ns + 1 + draw_death(c);
}

/* ---- visits ---- */

static void visit_begin(crawl *c, unsigned number) {
  cmt__ensure_peer given = {
    .at = addr_of(number), .outbound = true, .has_pex = true};
  size_t at = 0;

  while (at < VISITS_MAX && c->visits[at].record != NULL) {
    at++;
  }
  assert_true(at < VISITS_MAX);
  given.user = &c->visits[at];
  c->visits[at] = (visit){.number = number, .answer_ns = CMT_NEVER};
  c->visits[at].record = cmt__ensure_add(&c->e, &given, NULL, "1.0.1", now(c));
}

static void visit_end(crawl *c, visit *v, cmt_err reason) {
  cmt__ensure_remove(&c->e, v->record, reason, now(c));
  *v = (visit){.record = NULL};
}

static void visit_answers(crawl *c, visit *v) {
  static cmt_net_addr list[ANSWER];

  v->answer_ns = CMT_NEVER;
  if (is_dead(c, v->number)) {
    visit_end(c, v, CMT_EEOF);
    return;
  }
  for (size_t i = 0; i < ANSWER; i++) {
    list[i] = addr_of(c->reported[sim_below(&c->rng, c->reported_count)]);
  }
  (void)cmt__ask_list_came(&v->record->limit, c->now_ns, sim_draw(&c->rng));
  (void)cmt__ensure_learn(&c->e, v->record, list, ANSWER, now(c));
  cmt__ensure_served(&c->e, v->record, now(c));
}

/* ---- dials ---- */

static void count_dial(crawl *c) {
  if (c->now_ns - c->second_ns >= CMT_SECONDS(1)) {
    c->second_ns = c->now_ns;
    c->second_dials = 0;
  }
  c->second_dials++;
  if (c->second_dials > c->dials_per_s) {
    c->dials_per_s = c->second_dials;
  }
}

/* Half of the dead addresses refuse, the others are silent. */
static uint64_t outcome_after(const crawl *c, unsigned number) {
  if (!is_dead(c, number)) {
    return 4 * round_trip(number);
  }
  return number % 2 == 0 ? round_trip(number) : DIAL_TIMEOUT;
}

static void dialed(crawl *c, cmt__ensure_dial *d) {
  bool feeler = d->feeler;
  unsigned number = number_of(&d->addr);
  cmt_net_addr at = addr_of(number);
  const cmt__ensure_outcome o = {
    .err = !is_dead(c, number) ? CMT_OK
           : number % 2 == 0   ? CMT_EREFUSED
                               : CMT_EDIAL,
    .at = &at,
    .version = "1.0.1",
  };

  cmt__ensure_dialed(&c->e, d, &o, now(c));
  if (o.err == CMT_OK && !feeler) {
    visit_begin(c, number);
  }
}

static void step(crawl *c, const cmt__ensure_step *s) {
  visit *v = s->peer != NULL ? s->peer->user : NULL;

  if (s->act == CMT__ENSURE_DIAL) {
    count_dial(c);
    c->due_ns[s->dial - c->e.dials] =
      c->now_ns + outcome_after(c, number_of(&s->dial->addr));
  } else if (s->act == CMT__ENSURE_ASK) {
    v->answer_ns = c->now_ns + round_trip(v->number) + FLUSH;
  } else if (s->act == CMT__ENSURE_CLOSE) {
    visit_end(c, v, CMT_ECANCELED);
  }
}

/* ---- what is served ---- */

/* Whether what was served a minute ago does. */
static void look_back(crawl *c) {
  served *s = &c->asked[c->asked_at];

  for (size_t i = 0; i < s->count; i++) {
    c->tally.living += !is_dead(c, s->numbers[i]);
  }
  c->tally.addresses += s->count;
  s->count = 0;
}

/* Somebody asks who has not come before. */
static void ask(crawl *c) {
  static cmt_net_addr out[ANSWER];
  cmt__ensure_peer asker = {.at = addr_of(NODES_MAX + 1)};
  served *s = &c->asked[c->asked_at];
  cmt_addrbook_query q;

  look_back(c);
  cmt__ensure_query(&c->e, &asker, now(c), &q);
  s->count = cmt_addrbook_select(c->book, &q, out, ANSWER, now(c).utc_ns);
  for (size_t i = 0; i < s->count; i++) {
    uint64_t died_ns = c->died_ns[number_of(&out[i])];

    s->numbers[i] = number_of(&out[i]);
    if (died_ns <= c->now_ns && c->now_ns - died_ns > c->tally.dead_ns) {
      c->tally.dead_ns = c->now_ns - died_ns;
    }
  }
  c->tally.answers++;
  c->asked_at = (c->asked_at + 1) % ASKED;
  c->ask_ns += ASK_EVERY;
}

/* ---- time ---- */

static void events(crawl *c) {
  if (c->now_ns >= c->death_ns) {
    node_dies(c);
  }
  if (c->now_ns >= c->ask_ns) {
    ask(c);
  }
  for (size_t i = 0; i <= CMT__ENSURE_DIALS_MAX; i++) {
    if (c->due_ns[i] <= c->now_ns) {
      c->due_ns[i] = CMT_NEVER;
      dialed(c, &c->e.dials[i]);
    }
  }
  for (size_t i = 0; i < VISITS_MAX; i++) {
    if (c->visits[i].record != NULL && c->visits[i].answer_ns <= c->now_ns) {
      visit_answers(c, &c->visits[i]);
    }
  }
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t next_ns(const crawl *c) {
  uint64_t next = cmt__ensure_next_ns(&c->e, c->now_ns);

  next = earlier(next, earlier(c->death_ns, c->ask_ns));
  for (size_t i = 0; i <= CMT__ENSURE_DIALS_MAX; i++) {
    next = earlier(next, c->due_ns[i]);
  }
  for (size_t i = 0; i < VISITS_MAX; i++) {
    if (c->visits[i].record != NULL) {
      next = earlier(next, c->visits[i].answer_ns);
    }
  }
  return next > c->now_ns ? next : c->now_ns + 1;
}

static void live(crawl *c, uint64_t until_ns) {
  cmt__ensure_step s;

  while (c->now_ns < until_ns) {
    events(c);
    while (cmt__ensure_next(&c->e, now(c), &s)) {
      step(c, &s);
    }
    c->now_ns = next_ns(c);
  }
}

/* ---- runs ---- */

static void book_init(crawl *c) {
  cmt_addrbook_options b;

  cmt_addrbook_options_init(&b);
  b.env = &c->env;
  assert_cmt(CMT_OK, cmt_addrbook_new(&b, &c->book, NULL));
  for (unsigned i = 0; i < CRAWL_KNOWN; i++) {
    cmt_net_addr a = addr_of(i);

    assert_cmt(CMT_OK, cmt_addrbook_add(c->book, &a, &a, now(c).utc_ns));
  }
}

static crawl *crawl_new(uint64_t seed, unsigned count) {
  crawl *c = calloc(1, sizeof *c);
  cmt__ensure_options o = {.outbound_max = 10,
                           .dials_max = SEED_DIALS,
                           .asks_max = 3,
                           .period_ns = CMT_SECONDS(30),
                           .feeler_ns = CMT_NEVER,
                           .rotate_ns = CMT_NEVER,
                           .seed = true};

  assert_non_null(c);
  c->rng = sim_rng_of(seed, 78);
  assert_cmt(CMT_OK, cmt_env_init(&c->env));
  c->env.entropy = entropy;
  c->env.entropy_arg = c;
  c->death_ns = CMT_NEVER;
  c->ask_ns = CMT_NEVER;
  for (size_t i = 0; i <= CMT__ENSURE_DIALS_MAX; i++) {
    c->due_ns[i] = CMT_NEVER;
  }
  nodes_init(c, count);
  book_init(c);
  o.env = &c->env;
  o.book = c->book;
  cmt__ensure_init(&c->e, &o, now(c));
  return c;
}

static void crawl_delete(crawl *c) {
  for (size_t i = 0; i < VISITS_MAX; i++) {
    if (c->visits[i].record != NULL) {
      visit_end(c, &c->visits[i], CMT_EEOF);
    }
  }
  cmt__ensure_fini(&c->e);
  cmt_addrbook_delete(c->book);
  free(c);
}

void crawl_start(uint64_t seed, crawl_end *out) {
  crawl *c = crawl_new(seed, CRAWL_ALL);
  cmt_addrbook_status st;

  live(c, START);
  cmt_addrbook_get_status(c->book, &st);
  *out =
    (crawl_end){.proven = (unsigned)st.proven, .dials_per_s = c->dials_per_s};
  crawl_delete(c);
}

void crawl_churn(uint64_t seed, crawl_end *out) {
  crawl *c = crawl_new(seed, CRAWL_REPORTED);
  const tally *t = &c->tally;

  c->death_ns = draw_death(c);
  live(c, WARM);
  c->ask_ns = c->now_ns;
  live(c, WARM + MEASURED);
  *out = (crawl_end){
    .dead_s = (unsigned)(t->dead_ns / CMT_SECONDS(1)),
    .dials_per_s = c->dials_per_s,
  };
  if (t->addresses > 0) {
    out->living_permille = (unsigned)(t->living * 1000 / t->addresses);
    out->served = (unsigned)(t->addresses / t->answers);
  }
  crawl_delete(c);
}
