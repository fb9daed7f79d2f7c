/* SPDX-License-Identifier: Apache-2.0 */

/* Which entry is dialed, and which ones are an answer.  docs/PROTOCOL.md 7.6.
   No floating point decides, so that all platforms choose alike. */

#include "book_impl.h"

#include "base/sized.h"
#include "net_group.h"

#define HOUR_NS CMT_SECONDS(3600)

enum {
  PERCENT = 100,
  SHARE_PERCENT = 23,
  SHARE_MIN = 32,
  POOL = 2 * CMT_ADDRBOOK_ANSWER_MAX, /* Looked at together. */
  ROUNDS = 4,                         /* So often, while caps leave room. */
  IP4_AT = 12,                        /* Where IPv4 lies in an address. */
  NEAR_CAP = 1024,
  AHEAD = 16, /* Entries that are fetched at one time. */
  LINE = 64,  /* Bytes of a line of the cache. */
  BOTH = CMT_ADDRBOOK_IP4 | CMT_ADDRBOOK_IP6,
};

/* ---- one entry ---- */

/* The root of |v|, rounded down. */
static uint64_t root(uint64_t v) {
  uint64_t out = 0;

  for (uint64_t bit = UINT64_C(1) << 31; bit > 0; bit >>= 1) {
    if ((out + bit) * (out + bit) <= v) {
      out += bit;
    }
  }
  return out;
}

static bool draw_old(cmt_addrbook *b, unsigned bias) {
  /* The roots have 20 bits behind the point. */
  uint64_t old = root((uint64_t)b->old_count << 40) * (PERCENT - bias);
  uint64_t new = root((uint64_t)(b->count - b->old_count) << 40) * bias;

  return old + new > 0 && cmt__book_random(b, old + new) < old;
}

/* A random bucket from |first| on that is not empty. */
static unsigned draw_bucket(cmt_addrbook *b, unsigned first, unsigned count) {
  unsigned filled = 0;
  uint64_t skip;

  for (unsigned i = 0; i < count; i++) {
    filled += b->fill[first + i] > 0;
  }
  CMT_ASSERT(&b->env, filled > 0);
  skip = cmt__book_random(b, filled);
  for (unsigned i = first;; i++) {
    if (b->fill[i] > 0 && skip-- == 0) {
      return i;
    }
  }
}

cmt_err cmt_addrbook_pick(cmt_addrbook *b, unsigned bias, cmt_net_addr *out) {
  unsigned bucket;
  uint64_t skip;
  bool old;

  if (b == NULL || out == NULL || bias > PERCENT) {
    return CMT_EINVAL;
  }
  old = draw_old(b, bias);
  if ((old ? b->old_count : b->count - b->old_count) == 0) {
    return CMT_EAGAIN;
  }
  bucket = draw_bucket(b, old ? BOOK_NEW_BUCKETS : 0,
                       old ? BOOK_OLD_BUCKETS : BOOK_NEW_BUCKETS);
  skip = cmt__book_random(b, b->fill[bucket]);
  for (unsigned slot = 0;; slot++) {
    size_t number = cmt__book_slot(b, bucket, slot);

    if (number != BOOK_NO_ENTRY && skip-- == 0) {
      cmt__book_addr_write(&cmt__book_at(b, number)->addr, out);
      return CMT_OK;
    }
  }
}

/* ---- an answer ---- */

/* How many chosen addresses begin with the same bits. */
typedef struct near_table {
  uint64_t keys[NEAR_CAP]; /* 0: free. */
  uint8_t counts[NEAR_CAP];
} near_table;

/* What speaks for an entry. */
enum { RELIABLE = 1, FRESH = 2 };

/* An entry that may be in the answer, with what decides. */
typedef struct candidate {
  uint16_t number;
  uint8_t merits;
  bool chosen, grouped;  /* Its groups were looked up. */
  uint64_t wide, narrow; /* 0: they do not matter. */
} candidate;

/* An answer in the making. */
typedef struct answer {
  cmt_addrbook *b;
  const cmt_addrbook_query *q;
  uint64_t now_ns;
  size_t asker; /* Its number, if it is in the book. */
  size_t wanted;
  uint16_t *order; /* Numbers of all entries, of which a part is shuffled. */
  size_t drawn;    /* How many of them are shuffled, */
  size_t looked;   /* and looked at. */
  candidate pool[POOL];
  size_t pool_count;
  uint16_t *chosen;
  size_t chosen_count;
  bool only_new, only_old;
  unsigned families; /* 0: both. */
  unsigned taken;    /* Families that entries were chosen of before. */
  near_table wide, narrow;
} answer;

void cmt_addrbook_query_init_sized(cmt_addrbook_query *q, size_t size) {
  const cmt_addrbook_query full = {.max = 0};

  cmt__sized_write(q, size, &full, sizeof full);
}

/* CometBFT's number of addresses of a plain answer. */
static size_t plain_count(size_t count) {
  return cmt__min(
    CMT_ADDRBOOK_ANSWER_MAX,
    cmt__max(cmt__min(SHARE_MIN, count), count * SHARE_PERCENT / PERCENT));
}

/* cmt__ip_is_v4() in line, for hundreds of entries of each answer. */
static inline bool is_v4(const cmt__ip *ip) {
  return cmt__load_le64(ip->bytes) == 0 &&
         cmt__load_le32(ip->bytes + 8) == 0xffff0000;
}

static unsigned family_of(const cmt__book_entry *e) {
  return is_v4(&e->addr.at.ip) ? CMT_ADDRBOOK_IP4 : CMT_ADDRBOOK_IP6;
}

static bool proven_within(const cmt__book_entry *e, uint64_t within_ns,
                          uint64_t now_ns) {
  return e->proven_ns != 0 && e->attempts == 0 &&
         cmt__apart(now_ns, e->proven_ns) <= within_ns;
}

static bool fits(const answer *a, size_t number) {
  const cmt__book_entry *e = cmt__book_at(a->b, number);
  const cmt_addrbook_query *q = a->q;

  if (q->proven_within_ns != 0 &&
      !proven_within(e, q->proven_within_ns, a->now_ns)) {
    return false;
  }
  if ((a->only_new && e->old) || (a->only_old && !e->old)) {
    return false;
  }
  return (a->families == 0 || (a->families & family_of(e)) != 0) &&
         e->height >= q->height_min &&
         (q->version == NULL ||
          strncmp(e->version, q->version, strlen(q->version)) == 0) &&
         number != a->asker;
}

/* Numbers for its groups, /16 and /24 of IPv4 and /32 and /48 of IPv6, which
   are not 0 and differ between the families. */
static void find_groups(const cmt__ip *ip, candidate *c) {
  const uint8_t *at = ip->bytes;

  if (is_v4(ip)) {
    c->wide = 1u << 16 | (uint32_t)at[IP4_AT] << 8 | at[IP4_AT + 1];
    c->narrow = c->wide << 8 | at[IP4_AT + 2];
  } else {
    c->wide = UINT64_C(1) << 32 | (uint32_t)at[0] << 24 |
              (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    c->narrow = c->wide << 16 | (uint32_t)at[4] << 8 | at[5];
  }
}

/* The place of |key| in the table, or a free one. */
static size_t near_search(const near_table *t, uint64_t key) {
  size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 54);

  _Static_assert(NEAR_CAP == 1024, "the shift");
  while (t->keys[at] != 0 && t->keys[at] != key) {
    at = (at + 1) % NEAR_CAP;
  }
  return at;
}

static size_t near_count(const near_table *t, uint64_t key) {
  return t->counts[near_search(t, key)];
}

static void near_add(near_table *t, uint64_t key) {
  size_t at = near_search(t, key);

  t->keys[at] = key;
  t->counts[at]++;
}

static void make_candidate(const answer *a, uint16_t number, candidate *c) {
  const cmt__book_entry *e = cmt__book_at(a->b, number);

  c->number = number;
  c->merits = 0;
  c->chosen = c->grouped = false;
  c->wide = c->narrow = 0;
  if (a->q->proven_within_ns != 0 && cmt__book_is_reliable(e)) {
    c->merits |= RELIABLE;
  }
  if (e->served_ns == 0 || cmt__since(a->now_ns, e->served_ns) >= HOUR_NS) {
    c->merits |= FRESH;
  }
}

/* The hosts of a private network are near each other, whoever owns them. */
static void group(const answer *a, candidate *c) {
  const cmt__ip *ip = &cmt__book_at(a->b, c->number)->addr.at.ip;

  c->grouped = true;
  if ((a->q->per_16_max > 0 || a->q->per_24_max > 0) &&
      cmt__ip_is_routable(ip)) {
    find_groups(ip, c);
  }
}

static bool group_is_full(const answer *a, candidate *c) {
  if (!c->grouped) {
    group(a, c);
  }
  if (c->wide == 0) {
    return false;
  }
  return (a->q->per_16_max > 0 &&
          near_count(&a->wide, c->wide) >= a->q->per_16_max) ||
         (a->q->per_24_max > 0 &&
          near_count(&a->narrow, c->narrow) >= a->q->per_24_max);
}

static void take(answer *a, const candidate *c) {
  a->chosen[a->chosen_count++] = c->number;
  if (c->wide != 0) {
    near_add(&a->wide, c->wide);
    near_add(&a->narrow, c->narrow);
  }
}

static bool is_chosen(const answer *a, size_t number) {
  for (size_t i = 0; i < a->chosen_count; i++) {
    if (a->chosen[i] == number) {
      return true;
    }
  }
  return false;
}

/* Whether an earlier pass through the book chose it. */
static bool was_chosen(const answer *a, size_t number) {
  return (a->taken & family_of(cmt__book_at(a->b, number))) != 0 &&
         is_chosen(a, number);
}

/* What an answer looks at of an entry has three lines of the cache at most. */
static void prefetch(const cmt_addrbook *b, size_t number) {
  const char *e = (const char *)cmt__book_at(b, number);

  for (size_t i = 0; i < 3; i++) {
    __builtin_prefetch(e + i * LINE);
  }
}

/* Draws the next entries in random order, and fetches them: an answer takes
   most of its time to wait for memory. */
static void draw_ahead(answer *a) {
  size_t count = a->b->count;
  size_t end = cmt__min(a->drawn + AHEAD, count);

  for (size_t i = a->drawn; i < end; i++) {
    size_t at = i + (size_t)cmt__book_random(a->b, count - i);
    uint16_t number = a->order[at];

    a->order[at] = a->order[i];
    a->order[i] = number;
    prefetch(a->b, number);
  }
  a->drawn = end;
}

/* Fills the pool with candidates in random order, until there are enough of
   them. */
static void fill_pool(answer *a, size_t most) {
  a->pool_count = 0;
  while (a->pool_count < most) {
    uint16_t number;

    if (a->looked == a->drawn) {
      draw_ahead(a);
    }
    if (a->looked == a->drawn) {
      return; /* These were all. */
    }
    number = a->order[a->looked++];
    if (fits(a, number) && !was_chosen(a, number)) {
      make_candidate(a, number, &a->pool[a->pool_count++]);
    }
  }
}

static void begin_again(answer *a) { a->drawn = a->looked = 0; }

/* Moves candidates with all of these |merits| from the pool to the answer,
   until it has |most|. */
static void choose(answer *a, size_t most, unsigned merits) {
  for (size_t i = 0; i < a->pool_count && a->chosen_count < most; i++) {
    candidate *c = &a->pool[i];

    if ((c->merits & merits) == merits && !c->chosen && !group_is_full(a, c)) {
      take(a, c);
      c->chosen = true;
    }
  }
}

/* Chooses entries of |families| until there are |most|. */
static void choose_proven(answer *a, unsigned families, size_t most) {
  size_t missing = most - a->chosen_count;
  size_t fresh = a->chosen_count +
                 missing * cmt__min(a->q->fresh_percent, PERCENT) / PERCENT;

  a->families = families;
  begin_again(a);
  for (int i = 0; i < ROUNDS && a->chosen_count < most; i++) {
    fill_pool(a, POOL);
    choose(a, fresh, FRESH | RELIABLE);
    choose(a, fresh, FRESH);
    choose(a, most, RELIABLE);
    choose(a, most, 0);
  }
  a->taken |= families;
}

static void select_proven(answer *a) {
  unsigned allowed = a->families != 0 ? a->families : BOTH;
  unsigned first = a->q->families_first & allowed;

  if (first != 0) {
    choose_proven(a, first, a->wanted / 2);
  }
  choose_proven(a, allowed, a->wanted);
}

/* The entry in the |skip|-th place of all new buckets. */
static uint16_t entry_at_place(const cmt_addrbook *b, uint64_t skip) {
  unsigned bucket = 0, slot = 0;

  for (; skip >= b->fill[bucket]; bucket++) {
    skip -= b->fill[bucket];
  }
  for (;; slot++) {
    if (b->slots[bucket][slot] != 0 && skip-- == 0) {
      return (uint16_t)cmt__book_slot(b, bucket, slot);
    }
  }
}

/* Chooses new entries by their places, until there are |most|: one that is in
   several buckets is as many times as likely. */
static void choose_by_place(answer *a, size_t most) {
  size_t places = 0, tries;

  for (unsigned i = 0; i < BOOK_NEW_BUCKETS; i++) {
    places += a->b->fill[i];
  }
  tries = places > 0 ? 2 * most : 0; /* The last few are left to others. */
  for (size_t i = 0; i < tries && a->chosen_count < most; i++) {
    uint16_t number = entry_at_place(a->b, cmt__book_random(a->b, places));
    candidate c;

    make_candidate(a, number, &c);
    if (!is_chosen(a, number) && fits(a, number) && !group_is_full(a, &c)) {
      take(a, &c);
    }
  }
}

/* Goes on with random entries until the answer has |most|. */
static void choose_more(answer *a, size_t most) {
  begin_again(a);
  while (a->chosen_count < most && a->looked < a->b->count) {
    fill_pool(a, cmt__min(most, POOL));
    choose(a, most, 0);
  }
}

/* CometBFT's choice of a seed: so many new entries, then old ones. */
static void select_biased(answer *a) {
  size_t bias = cmt__min(a->q->bias, PERCENT);
  size_t most = (bias * a->wanted + PERCENT / 2) / PERCENT;

  if (a->wanted > a->b->old_count) {
    most = cmt__max(most, a->wanted - a->b->old_count);
  }
  most = cmt__min(most, a->b->count - a->b->old_count);
  choose_by_place(a, most);
  a->taken = BOTH;
  a->only_new = true;
  choose_more(a, most);
  a->taken = 0; /* No old one yet. */
  a->only_new = false;
  a->only_old = true;
  choose_more(a, a->wanted);
}

static void note_served(const answer *a) {
  for (size_t i = 0; i < a->chosen_count; i++) {
    cmt__book_entry *e = cmt__book_at(a->b, a->chosen[i]);

    e->served_ns = a->now_ns;
    if (a->q->proofs_ns != NULL) {
      a->q->proofs_ns[i] = e->proven_ns;
    }
  }
}

/* False: memory is short. */
static bool answer_start(answer *a) {
  a->order = cmt__alloc(&a->b->env, a->b->count * sizeof *a->order);
  for (size_t i = 0; a->order != NULL && i < a->b->count; i++) {
    a->order[i] = (uint16_t)i;
  }
  return a->order != NULL;
}

/* False: the id of the asker is malformed. */
static bool find_asker(answer *a) {
  uint8_t id[BOOK_ID];

  a->asker = BOOK_NO_ENTRY;
  if (a->q->asker != NULL) {
    if (!cmt__book_id_read(a->q->asker, id)) {
      return false;
    }
    a->asker = cmt__book_find(a->b, id);
  }
  return true;
}

size_t cmt__book_select(cmt_addrbook *b, const cmt_addrbook_query *q,
                        uint16_t *out, size_t cap, uint64_t now_ns) {
  answer a = {.b = b, .q = q, .now_ns = now_ns, .chosen = out};

  if (!find_asker(&a) || !answer_start(&a)) {
    return 0;
  }
  a.wanted =
    q->proven_within_ns != 0 ? CMT_ADDRBOOK_ANSWER_MAX : plain_count(b->count);
  a.wanted = cmt__min(a.wanted, q->max != 0 ? q->max : a.wanted);
  a.wanted = cmt__min(a.wanted, cap);
  a.families = q->families;
  if (q->proven_within_ns != 0) {
    select_proven(&a);
  } else if (q->biased) {
    select_biased(&a);
  } else {
    choose_more(&a, a.wanted);
  }
  cmt__free(&b->env, a.order);
  note_served(&a);
  return a.chosen_count;
}

size_t cmt_addrbook_select(cmt_addrbook *b, const cmt_addrbook_query *q,
                           cmt_net_addr *out, size_t cap, uint64_t now_ns) {
  uint16_t numbers[CMT_ADDRBOOK_ANSWER_MAX];
  cmt_addrbook_query full;
  size_t count;

  cmt_addrbook_query_init(&full);
  if (out == NULL) {
    return 0;
  }
  if (q != NULL && cmt__sized_read(&full, sizeof full, q, "cmt_addrbook_query",
                                   NULL) != CMT_OK) {
    return 0;
  }
  count = cmt__book_select(b, &full, numbers,
                           cmt__min(cap, CMT__COUNT(numbers)), now_ns);
  for (size_t i = 0; i < count; i++) {
    cmt__book_addr_write(&cmt__book_at(b, numbers[i])->addr, &out[i]);
  }
  return count;
}

size_t cmt_addrbook_count_proven(const cmt_addrbook *b, uint64_t within_ns,
                                 uint64_t now_ns) {
  return cmt__book_count_fresh(b, within_ns, SIZE_MAX, now_ns);
}

size_t cmt__book_count_fresh(const cmt_addrbook *b, uint64_t within_ns,
                             size_t max, uint64_t now_ns) {
  size_t count = 0;

  for (size_t i = 0; i < b->count && count < max; i++) {
    count += proven_within(cmt__book_at(b, i), within_ns, now_ns);
  }
  return count;
}
