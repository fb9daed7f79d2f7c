/* SPDX-License-Identifier: Apache-2.0 */

/* Tags with values, in a short list. */

#include "worth.h"

#include "base/base.h"

cmt_err cmt__worth_init(cmt__worth *w, const cmt_env *env) {
  w->env = env;
  return pthread_mutex_init(&w->lock, NULL) == 0 ? CMT_OK : CMT_ENOMEM;
}

void cmt__worth_fini(cmt__worth *w) {
  cmt__free(w->env, w->tags);
  pthread_mutex_destroy(&w->lock);
}

size_t cmt__worth_memory(void) {
  return CMT_PEER_TAGS_MAX * sizeof(cmt__worth_tag);
}

static size_t find(const cmt__worth *w, const char *tag) {
  size_t i = 0;

  while (i < w->count && strcmp(w->tags[i].name, tag) != 0) {
    i++;
  }
  return i;
}

static cmt_err add(cmt__worth *w, const char *tag, int32_t value) {
  if (w->count == CMT_PEER_TAGS_MAX) {
    return CMT_ELIMIT;
  }
  if (w->tags == NULL) {
    w->tags = cmt__alloc(w->env, cmt__worth_memory());
  }
  if (w->tags == NULL) {
    return CMT_ENOMEM;
  }
  memcpy(w->tags[w->count].name, tag, strlen(tag) + 1);
  w->tags[w->count++].value = value;
  return CMT_OK;
}

/* Under the lock. */
static cmt_err set(cmt__worth *w, const char *tag, int32_t value) {
  size_t i = find(w, tag);

  if (i == w->count) {
    return value != 0 ? add(w, tag, value) : CMT_OK;
  }
  if (value != 0) {
    w->tags[i].value = value;
  } else {
    w->tags[i] = w->tags[--w->count];
  }
  return CMT_OK;
}

cmt_err cmt__worth_set(cmt__worth *w, const char *tag, int32_t value) {
  int64_t sum = 0;
  cmt_err err;

  if (tag == NULL || tag[0] == '\0' || strlen(tag) > CMT_PEER_TAG_MAX) {
    return CMT_EINVAL;
  }
  cmt__lock(&w->lock);
  err = set(w, tag, value);
  for (size_t i = 0; i < w->count; i++) {
    sum += w->tags[i].value;
  }
  atomic_store(&w->sum, sum);
  cmt__unlock(&w->lock);
  return err;
}
