/* SPDX-License-Identifier: Apache-2.0 */

/* An arena that protobuf-c unpacks a message into.

   Freeing returns nothing to the limit.  That costs little, since protobuf-c
   frees hardly anything before the message is done, and it bounds the work,
   too: a field that is no list and is repeated is merged with the one before by
   copying both, so that the bytes copied would grow with the square of the
   input if only live bytes counted. */

#include "arena.h"

#include <stdalign.h>

enum { ALIGN = alignof(max_align_t), BLOCK_MIN = 1024 };

/* Far from what would overflow. */
#define QUOTA_MAX (SIZE_MAX / 8)

struct arena_block {
  alignas(max_align_t) arena_block *next;
};

static size_t round_up(size_t size) {
  return (size + ALIGN - 1) / ALIGN * ALIGN;
}

/* A block with room for |size| bytes, and for more if the limit allows it.  The
   rest of the block before counts as allocated. */
static bool add_block(cmt__arena *a, size_t size) {
  size_t len = a->block_len;
  arena_block *b;

  a->quota -= a->left;
  a->left = 0;
  if (size > a->quota) {
    a->over_quota = true;
    return false;
  }
  len = len < size ? size : len < a->quota ? len : a->quota;
  b = a->env->alloc(a->env->alloc_arg, sizeof *b + len);
  if (b == NULL) {
    a->no_memory = true;
    return false;
  }
  b->next = a->blocks;
  a->blocks = b;
  a->at = (unsigned char *)(b + 1);
  a->left = len;
  a->block_len = 2 * len;
  return true;
}

static void *arena_alloc(void *data, size_t size) {
  cmt__arena *a = data;
  void *piece;

  if (size > a->quota) {
    a->over_quota = true;
    return NULL;
  }
  size = size > 0 ? round_up(size) : ALIGN;
  if (size > a->left && !add_block(a, size)) {
    return NULL;
  }
  piece = a->at;
  a->at += size;
  a->left -= size;
  a->quota -= size;
  return piece;
}

static void arena_free(void *data, void *piece) {
  (void)data;
  (void)piece;
}

void cmt__arena_init(cmt__arena *a, const cmt_env *env, size_t len,
                     size_t quota) {
  *a = (cmt__arena){
    .env = env,
    .allocator = {.alloc = arena_alloc,
                  .free = arena_free,
                  .allocator_data = a},
    .quota = round_up(quota < QUOTA_MAX ? quota : QUOTA_MAX),
    .block_len = round_up(len + BLOCK_MIN),
  };
}

void cmt__arena_fini(cmt__arena *a) {
  arena_block *next;

  for (arena_block *b = a->blocks; b != NULL; b = next) {
    next = b->next;
    a->env->free(a->env->alloc_arg, b);
  }
}
