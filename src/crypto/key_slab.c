/* SPDX-License-Identifier: Apache-2.0 */
/* Slots for secrets.  A chunk is made when all others are full, twice as large
   as the one before up to CHUNK_PAGES_MAX, and freed when it is empty while
   another has room.  A slot that is free holds zeros. */

#include "key_slab.h"

#include <limits.h>
#include <sodium.h>

enum {
  PAGE = 4096,
  CHUNK_PAGES_MAX = 16,
  /* The header that the system's secret memory puts before it is not longer
     than this. */
  ALIGN = 16,
  WORD = 64,
};

struct cmt__key_chunk {
  cmt__key_chunk *next;
  uint8_t *base;
  size_t count, used; /* Slots. */
  bool locked;
  uint64_t in_use[]; /* A bit for each slot. */
};

static size_t chunk_bytes(const cmt__key_slab *k, const cmt__key_chunk *c) {
  return c->count * k->slot;
}

static size_t chunk_size(size_t slots) {
  return sizeof(cmt__key_chunk) + (slots + WORD - 1) / WORD * sizeof(uint64_t);
}

static size_t slot_size(size_t size) {
  return (size + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t slots_of(size_t pages, size_t slot) {
  return (pages * PAGE - ALIGN) / slot;
}

/* The pages of the next chunk. */
static size_t chunk_pages(const cmt__key_slab *k) {
  size_t pages = 1;

  for (size_t i = 0; i < k->chunks && pages < CHUNK_PAGES_MAX; i++) {
    pages *= 2;
  }
  return pages;
}

/* A chunk that fills its pages where its memory ends with one. */
static cmt__key_chunk *chunk_new(cmt__key_slab *k, const cmt_env *env) {
  size_t count = slots_of(chunk_pages(k), k->slot);
  cmt__key_chunk *c = cmt__alloc_zero(env, chunk_size(count));

  if (c == NULL) {
    return NULL;
  }
  c->count = count;
  c->base = cmt__secret_alloc(env, count * k->slot, &c->locked);
  if (c->base == NULL) {
    cmt__free(env, c);
    return NULL;
  }
  c->next = k->first;
  k->first = c;
  k->chunks++;
  k->bytes += chunk_bytes(k, c);
  k->locked_bytes += c->locked ? chunk_bytes(k, c) : 0;
  return c;
}

static void chunk_delete(cmt__key_slab *k, const cmt_env *env,
                         cmt__key_chunk *c) {
  cmt__key_chunk **at = &k->first;

  while (*at != c) {
    at = &(*at)->next;
  }
  *at = c->next;
  k->chunks--;
  k->bytes -= chunk_bytes(k, c);
  k->locked_bytes -= c->locked ? chunk_bytes(k, c) : 0;
  cmt__secret_free(env, c->base, chunk_bytes(k, c));
  cmt__free(env, c);
}

void cmt__key_slab_init(cmt__key_slab *k, const cmt_env *env, size_t size) {
  *k = (cmt__key_slab){.slot = slot_size(size)};
  CMT_ASSERT(env, size > 0 && slots_of(1, k->slot) > 0);
}

void cmt__key_slab_fini(cmt__key_slab *k, const cmt_env *env) {
  while (k->first != NULL) {
    CMT_ASSERT(env, k->first->used == 0);
    chunk_delete(k, env, k->first);
  }
}

/* One with a free slot; NULL: all are full. */
static cmt__key_chunk *chunk_with_room(const cmt__key_slab *k) {
  cmt__key_chunk *c = k->first;

  while (c != NULL && c->used == c->count) {
    c = c->next;
  }
  return c;
}

/* The first free slot of |c|, which has one. */
static void *slot_take(const cmt__key_slab *k, const cmt_env *env,
                       cmt__key_chunk *c) {
  size_t i = 0;

  while (c->in_use[i / WORD] == UINT64_MAX) {
    i += WORD;
  }
  while ((c->in_use[i / WORD] >> i % WORD & 1) != 0) {
    i++;
  }
  CMT_ASSERT(env, i < c->count);
  c->in_use[i / WORD] |= UINT64_C(1) << i % WORD;
  c->used++;
  return c->base + i * k->slot;
}

void *cmt__key_slab_take(cmt__key_slab *k, const cmt_env *env) {
  cmt__key_chunk *c;
  void *slot;

  cmt__guard_lock(&k->guard);
  c = chunk_with_room(k);
  if (c == NULL) {
    c = chunk_new(k, env);
  }
  slot = c != NULL ? slot_take(k, env, c) : NULL;
  cmt__guard_unlock(&k->guard);
  return slot;
}

static size_t chunks_with_room(const cmt__key_slab *k) {
  size_t count = 0;

  for (const cmt__key_chunk *c = k->first; c != NULL; c = c->next) {
    count += c->used < c->count;
  }
  return count;
}

static cmt__key_chunk *chunk_of(const cmt__key_slab *k, const uint8_t *slot) {
  cmt__key_chunk *c = k->first;

  while (c != NULL && (slot < c->base || slot >= c->base + chunk_bytes(k, c))) {
    c = c->next;
  }
  return c;
}

void cmt__key_slab_give(cmt__key_slab *k, const cmt_env *env, void *slot) {
  cmt__key_chunk *c;
  size_t i;

  if (slot == NULL) {
    return;
  }
  sodium_memzero(slot, k->slot);
  cmt__guard_lock(&k->guard);
  c = chunk_of(k, slot);
  CMT_ASSERT(env, c != NULL);
  i = (size_t)((uint8_t *)slot - c->base) / k->slot;
  CMT_ASSERT(env, (c->in_use[i / WORD] >> i % WORD & 1) != 0);
  c->in_use[i / WORD] &= ~(UINT64_C(1) << i % WORD);
  c->used--;
  if (c->used == 0 && chunks_with_room(k) > 1) {
    chunk_delete(k, env, c);
  }
  cmt__guard_unlock(&k->guard);
}

void cmt__key_slab_count(cmt__key_slab *k, uint64_t *locked,
                         uint64_t *unlocked) {
  cmt__guard_lock(&k->guard);
  *locked += k->locked_bytes;
  *unlocked += k->bytes - k->locked_bytes;
  cmt__guard_unlock(&k->guard);
}

/* When a chunk was made all others were full, with the slots of a page each at
   least. */
size_t cmt__key_slab_memory(size_t size, size_t count) {
  size_t slot = slot_size(size);
  size_t chunks = count / slots_of(1, slot) + 1;

  return chunks * chunk_size(1) +
         (count + slots_of(CHUNK_PAGES_MAX, slot)) / CHAR_BIT;
}
