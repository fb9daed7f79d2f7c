/* SPDX-License-Identifier: Apache-2.0 */

/* Tags with values, in a short list. */

#include "worth.h"

#include "base/base.h"

void cmt__worth_fini(cmt__worth *w, const cmt_env *env) {
  cmt__free(env, w->tags);
}

static size_t find(const cmt__worth_tags *t, const char *tag) {
  size_t i = 0;

  while (i < t->count && strcmp(t->list[i].name, tag) != 0) {
    i++;
  }
  return i;
}

static cmt_err set(cmt__worth_tags *t, const char *tag, int32_t value) {
  size_t i = find(t, tag);

  if (value == 0) {
    if (i < t->count) {
      t->list[i] = t->list[--t->count];
    }
    return CMT_OK;
  }
  if (i == CMT_PEER_TAGS_MAX) {
    return CMT_ELIMIT;
  }
  memcpy(t->list[i].name, tag, strlen(tag) + 1);
  t->list[i].value = value;
  t->count += i == t->count;
  return CMT_OK;
}

/* Under the lock. */
static cmt_err change(cmt__worth *w, const cmt_env *env, const char *tag,
                      int32_t value) {
  int64_t sum = 0;
  cmt_err err;

  if (w->tags == NULL) {
    w->tags = cmt__alloc_zero(env, sizeof *w->tags);
  }
  if (w->tags == NULL) {
    return CMT_ENOMEM;
  }
  err = set(w->tags, tag, value);
  for (size_t i = 0; i < w->tags->count; i++) {
    sum += w->tags->list[i].value;
  }
  atomic_store(&w->sum, sum);
  return err;
}

cmt_err cmt__worth_set(cmt__worth *w, const cmt_env *env, pthread_mutex_t *lock,
                       const char *tag, int32_t value) {
  cmt_err err;

  if (tag == NULL || tag[0] == '\0' || strlen(tag) > CMT_PEER_TAG_MAX) {
    return CMT_EINVAL;
  }
  cmt__lock(lock);
  err = change(w, env, tag, value);
  cmt__unlock(lock);
  return err;
}
