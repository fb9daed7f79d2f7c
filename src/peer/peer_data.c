/* SPDX-License-Identifier: Apache-2.0 */

/* A peer's values: a list of at most CMT_PEER_KEYS_MAX entries, which no peer
   pays for that has none.  An entry is made before the lock is taken and freed
   after it was given back, and so is whatever a value's destroy() does. */

#include "peer_data.h"

#include <cometp2p/peer.h>

struct cmt__datum {
  cmt__datum *next;
  void *value;
  void (*destroy)(void *value);
  char key[]; /* With its NUL. */
};

static void datum_free(const cmt_env *env, cmt__datum *x) {
  if (x == NULL) {
    return;
  }
  if (x->destroy != NULL) {
    cmt__assert_unlocked(env);
    x->destroy(x->value);
  }
  cmt__free(env, x);
}

static cmt__datum *datum_new(const cmt_env *env, const char *key, void *value,
                             void (*destroy)(void *)) {
  size_t size = strlen(key) + 1;
  cmt__datum *x = cmt__alloc(env, sizeof *x + size);

  if (x != NULL) {
    x->next = NULL;
    x->value = value;
    x->destroy = destroy;
    memcpy(x->key, key, size);
  }
  return x;
}

/* Where the entry of |key| is linked, or where the list ends. */
static cmt__datum **find(cmt__peer_data *d, const char *key) {
  cmt__datum **at = &d->first;

  while (*at != NULL && strcmp((*at)->key, key) != 0) {
    at = &(*at)->next;
  }
  return at;
}

/* Removes the entry of |key| from the list; NULL: there is none. */
static cmt__datum *take(cmt__peer_data *d, const char *key) {
  cmt__datum **at = find(d, key);
  cmt__datum *x = *at;

  if (x != NULL) {
    *at = x->next;
    d->count--;
  }
  return x;
}

cmt_err cmt__peer_data_init(cmt__peer_data *d, const cmt_env *env) {
  *d = (cmt__peer_data){.env = env};
  return pthread_mutex_init(&d->lock, NULL) == 0 ? CMT_OK : CMT_ENOMEM;
}

void cmt__peer_data_fini(cmt__peer_data *d) {
  cmt__datum *next;

  for (cmt__datum *x = d->first; x != NULL; x = next) {
    next = x->next;
    datum_free(d->env, x);
  }
  pthread_mutex_destroy(&d->lock);
}

cmt_err cmt__peer_data_set(cmt__peer_data *d, const char *key, void *value,
                           void (*destroy)(void *)) {
  cmt__datum *fresh = NULL, *old;
  size_t len = key != NULL ? strnlen(key, CMT_PEER_KEY_MAX + 1) : 0;

  if (len == 0 || len > CMT_PEER_KEY_MAX) {
    return CMT_EINVAL;
  }
  if (value != NULL) {
    fresh = datum_new(d->env, key, value, destroy);
    if (fresh == NULL) {
      return CMT_ENOMEM;
    }
  }
  cmt__lock(&d->lock);
  old = take(d, key);
  if (fresh != NULL && d->count == CMT_PEER_KEYS_MAX) {
    cmt__unlock(&d->lock);
    cmt__free(d->env, fresh);
    return CMT_ELIMIT;
  }
  if (fresh != NULL) {
    fresh->next = d->first;
    d->first = fresh;
    d->count++;
  }
  cmt__unlock(&d->lock);
  datum_free(d->env, old);
  return CMT_OK;
}

void *cmt__peer_data_get(cmt__peer_data *d, const char *key) {
  cmt__datum *x;
  void *value;

  if (key == NULL) {
    return NULL;
  }
  cmt__lock(&d->lock);
  x = *find(d, key);
  value = x != NULL ? x->value : NULL;
  cmt__unlock(&d->lock);
  return value;
}
