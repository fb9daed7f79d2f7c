/* SPDX-License-Identifier: Apache-2.0 */
/* Growing arrays. */

#include "base.h"

bool cmt__grow(const cmt_env *env, void **items, size_t *cap, size_t item,
               size_t first) {
  size_t wanted;
  void *grown;

  if (*cap > SIZE_MAX / 2) {
    return false;
  }
  wanted = cmt__max(first, 2 * *cap);
  if (item > 0 && wanted > SIZE_MAX / item) {
    return false;
  }
  grown = cmt__alloc(env, wanted * item);
  if (grown == NULL) {
    return false;
  }
  if (*cap > 0) {
    memcpy(grown, *items, *cap * item);
  }
  cmt__free(env, *items);
  *items = grown;
  *cap = wanted;
  return true;
}

size_t cmt__grow_max(size_t count, size_t first) {
  size_t cap = first;

  while (cap < count) {
    cap *= 2;
  }
  return cap > first ? cap + cap / 2 : cap;
}
