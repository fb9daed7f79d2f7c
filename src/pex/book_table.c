/* SPDX-License-Identifier: Apache-2.0 */

/* Entries, the index of their ids, and their slots. */

#include "book_impl.h"

#include <sodium.h>

enum { INDEX_FIRST = 256 };

/* ---- index ---- */

/* Where the search for |id| begins.  Ids can be made to measure: the hash has a
   key. */
static size_t index_home(const cmt_addrbook *b, const uint8_t id[BOOK_ID]) {
  uint8_t sum[crypto_shorthash_BYTES];

  _Static_assert(crypto_shorthash_KEYBYTES <= CMT__HIGHWAY_KEY_SIZE, "key");
  crypto_shorthash(sum, id, BOOK_ID, b->hash_key);
  return cmt__load_le64(sum) & (b->index_cap - 1);
}

static const uint8_t *id_at(const cmt_addrbook *b, size_t number) {
  return b->chunks[number / BOOK_CHUNK][number % BOOK_CHUNK].addr.id;
}

/* The place of |id| in the index, or the free one where the search ends. */
static size_t index_search(const cmt_addrbook *b, const uint8_t id[BOOK_ID]) {
  size_t at = index_home(b, id);

  while (b->index[at] != 0 &&
         memcmp(id_at(b, b->index[at] - 1u), id, BOOK_ID) != 0) {
    at = (at + 1) & (b->index_cap - 1);
  }
  return at;
}

size_t cmt__book_find(const cmt_addrbook *b, const uint8_t id[BOOK_ID]) {
  uint16_t found;

  if (b->index_cap == 0) {
    return BOOK_NO_ENTRY;
  }
  found = b->index[index_search(b, id)];
  return found != 0 ? found - 1u : BOOK_NO_ENTRY;
}

cmt__book_entry *cmt__book_lookup(const cmt_addrbook *b,
                                  const uint8_t id[BOOK_ID]) {
  size_t number = cmt__book_find(b, id);

  return number != BOOK_NO_ENTRY ? cmt__book_at(b, number) : NULL;
}

static void index_put(cmt_addrbook *b, size_t number) {
  b->index[index_search(b, id_at(b, number))] = (uint16_t)(number + 1);
}

/* Frees the place |at|, and brings those behind it nearer to their homes. */
static void index_take_out(cmt_addrbook *b, size_t at) {
  size_t mask = b->index_cap - 1, next = at;

  for (;;) {
    size_t home;

    next = (next + 1) & mask;
    if (b->index[next] == 0) {
      break;
    }
    home = index_home(b, id_at(b, b->index[next] - 1u));
    if (((next - home) & mask) >= ((next - at) & mask)) {
      b->index[at] = b->index[next];
      at = next;
    }
  }
  b->index[at] = 0;
}

/* Keeps half of the index free. */
static bool index_grow(cmt_addrbook *b) {
  size_t cap = cmt__max(INDEX_FIRST, 2 * b->index_cap);
  uint16_t *index;

  if (2 * (b->count + 1) <= b->index_cap) {
    return true;
  }
  index = cmt__alloc_zero(&b->env, cap * sizeof *index);
  if (index == NULL) {
    return false;
  }
  cmt__free(&b->env, b->index);
  b->index = index;
  b->index_cap = cap;
  for (size_t i = 0; i < b->count; i++) {
    index_put(b, i);
  }
  return true;
}

/* ---- entries ---- */

cmt__book_entry *cmt__book_append(cmt_addrbook *b, const uint8_t id[BOOK_ID]) {
  size_t number = b->count;
  cmt__book_entry **chunk = &b->chunks[number / BOOK_CHUNK], *e;

  if (number == BOOK_ENTRIES || !index_grow(b)) {
    return NULL;
  }
  if (*chunk == NULL) {
    *chunk = cmt__alloc(&b->env, BOOK_CHUNK * sizeof **chunk);
    if (*chunk == NULL) {
      return NULL;
    }
  }
  e = &(*chunk)[number % BOOK_CHUNK];
  memset(e, 0, sizeof *e);
  memcpy(e->addr.id, id, BOOK_ID);
  b->count++;
  index_put(b, number);
  b->revision++;
  return e;
}

/* Frees the last chunk when nothing is left in it, but for one that is kept for
   the next entry. */
static void chunks_shrink(cmt_addrbook *b) {
  size_t spare = b->count / BOOK_CHUNK + 1;

  if (b->count % BOOK_CHUNK == 0 && spare < BOOK_CHUNKS) {
    cmt__free(&b->env, b->chunks[spare]);
    b->chunks[spare] = NULL;
  }
}

/* Moves the last entry to |number|. */
static void move_last(cmt_addrbook *b, size_t number) {
  size_t last = b->count - 1, at;
  cmt__book_entry *from = cmt__book_at(b, last), *to = cmt__book_at(b, number);

  if (last != number) {
    at = index_search(b, from->addr.id);
    *to = *from;
    b->index[at] = (uint16_t)(number + 1);
    for (size_t i = 0; i < to->bucket_count; i++) {
      b->slots[to->buckets[i]][to->slots[i]] = (uint16_t)(number + 1);
    }
  }
  b->count = last;
}

void cmt__book_drop(cmt_addrbook *b, cmt__book_entry *e) {
  size_t number = cmt__book_find(b, e->addr.id);

  CMT_ASSERT(&b->env, number != BOOK_NO_ENTRY && cmt__book_at(b, number) == e);
  cmt__book_leave_all(b, e);
  cmt__book_set_proven(b, e, 0);
  b->old_count -= e->old;
  if (e->others != NULL) {
    cmt__free(&b->env, e->others);
    b->others_memory--;
  }
  index_take_out(b, index_search(b, e->addr.id));
  move_last(b, number);
  chunks_shrink(b);
  b->revision++;
}

void cmt__book_set_proven(cmt_addrbook *b, cmt__book_entry *e, uint64_t ns) {
  b->proven_count += (ns != 0);
  b->proven_count -= (e->proven_ns != 0);
  e->proven_ns = ns;
  b->revision++;
}

void cmt__book_add_other(cmt_addrbook *b, cmt__book_entry *e,
                         const cmt__book_place *at) {
  if (cmt__book_place_equal(&e->addr.at, at)) {
    return;
  }
  for (size_t i = 0; i < e->other_count; i++) {
    if (cmt__book_place_equal(&e->others[i], at)) {
      return;
    }
  }
  if (e->others == NULL) {
    e->others =
      cmt__alloc(&b->env, CMT_ADDRBOOK_OTHERS_MAX * sizeof *e->others);
    if (e->others == NULL) {
      return; /* It is a convenience. */
    }
    b->others_memory++;
  }
  if (e->other_count < CMT_ADDRBOOK_OTHERS_MAX) {
    e->others[e->other_count++] = *at;
    b->revision++;
  }
}

/* ---- slots ---- */

size_t cmt__book_slot(const cmt_addrbook *b, unsigned bucket, unsigned slot) {
  uint16_t found = b->slots[bucket][slot];

  return found != 0 ? found - 1u : BOOK_NO_ENTRY;
}

bool cmt__book_in_bucket(const cmt__book_entry *e, unsigned bucket) {
  for (size_t i = 0; i < e->bucket_count; i++) {
    if (e->buckets[i] == bucket) {
      return true;
    }
  }
  return false;
}

void cmt__book_enter(cmt_addrbook *b, cmt__book_entry *e, unsigned bucket) {
  unsigned slot = cmt__book_slot_of(b, e->addr.id, bucket);
  size_t number = cmt__book_find(b, e->addr.id);

  CMT_ASSERT(&b->env, b->fill[bucket] < BOOK_SLOTS);
  CMT_ASSERT(&b->env, e->bucket_count < CMT_ADDRBOOK_BUCKETS_PER_ENTRY);
  while (b->slots[bucket][slot] != 0) {
    slot = (slot + 1) % BOOK_SLOTS;
  }
  b->slots[bucket][slot] = (uint16_t)(number + 1);
  b->fill[bucket]++;
  e->buckets[e->bucket_count] = (uint16_t)bucket;
  e->slots[e->bucket_count] = (uint8_t)slot;
  e->bucket_count++;
  b->revision++;
}

/* Takes the entry out of the |i|-th of its buckets. */
static void leave(cmt_addrbook *b, cmt__book_entry *e, size_t i) {
  unsigned bucket = e->buckets[i];

  b->slots[bucket][e->slots[i]] = 0;
  b->fill[bucket]--;
  e->bucket_count--;
  e->buckets[i] = e->buckets[e->bucket_count];
  e->slots[i] = e->slots[e->bucket_count];
  b->revision++;
}

void cmt__book_leave(cmt_addrbook *b, cmt__book_entry *e, unsigned bucket) {
  for (size_t i = 0; i < e->bucket_count; i++) {
    if (e->buckets[i] == bucket) {
      leave(b, e, i);
      return;
    }
  }
}

void cmt__book_leave_all(cmt_addrbook *b, cmt__book_entry *e) {
  while (e->bucket_count > 0) {
    leave(b, e, 0);
  }
}
