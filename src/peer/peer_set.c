/* SPDX-License-Identifier: Apache-2.0 */

/* The set of peers: an array under a mutex, sorted by id, so that a look-up
   reads the ids of a few peers however many there are.  Inside it only send
   queues are locked, and no send queue knows the set, so the order is always
   the same. */

#include "peer_set.h"

#include "base/buf.h"

enum {
  SET_FIRST = 8,
  AHEAD = 4, /* How far ahead of a broadcast peers are fetched. */
  REFS = 64, /* References to its message that are taken at once. */
};

cmt_err cmt__peer_set_init(cmt__peer_set *s, const cmt_env *env) {
  *s = (cmt__peer_set){.env = env};
  return pthread_mutex_init(&s->lock, NULL) == 0 ? CMT_OK : CMT_ENOMEM;
}

void cmt__peer_set_fini(cmt__peer_set *s) {
  CMT_ASSERT(s->env, s->count == 0);
  for (size_t i = 0; i < CMT__PEER_PLACES; i++) {
    CMT_ASSERT(s->env, s->places[i] == 0);
  }
  cmt__free(s->env, s->list);
  pthread_mutex_destroy(&s->lock);
}

cmt_err cmt__peer_set_reserve(cmt__peer_set *s) {
  bool ok = true;
  void *list;

  cmt__lock(&s->lock);
  list = s->list;
  if (s->count == s->cap) {
    ok = cmt__grow(s->env, &list, &s->cap, sizeof(cmt_peer *), SET_FIRST);
    s->list = list;
  }
  cmt__unlock(&s->lock);
  return ok ? CMT_OK : CMT_ENOMEM;
}

/* The index of the first peer whose id is |id| or follows it. */
static size_t set_index(const cmt__peer_set *s, const cmt_node_id *id) {
  size_t low = 0, high = s->count;

  while (low < high) {
    size_t mid = low + (high - low) / 2;

    if (cmt__node_id_compare(&s->list[mid]->id, id) < 0) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  return low;
}

/* The peer with |id|, or NULL. */
static cmt_peer *set_find(const cmt__peer_set *s, const cmt_node_id *id) {
  size_t i = set_index(s, id);

  return i < s->count && cmt_node_id_equal(&s->list[i]->id, id) ? s->list[i]
                                                                : NULL;
}

void cmt__peer_set_add(cmt__peer_set *s, cmt_peer *p) {
  cmt_peer **at;

  cmt__lock(&s->lock);
  CMT_ASSERT(s->env, s->count < s->cap && set_find(s, &p->id) == NULL);
  at = &s->list[set_index(s, &p->id)];
  memmove(at + 1, at, (size_t)(&s->list[s->count] - at) * sizeof *at);
  *at = cmt_peer_ref(p);
  s->count++;
  s->inbound += !p->outbound;
  s->places[p->place]++;
  cmt__unlock(&s->lock);
}

void cmt__peer_set_remove(cmt__peer_set *s, cmt_peer *p) {
  cmt_peer **at;

  cmt__lock(&s->lock);
  CMT_ASSERT(s->env, set_find(s, &p->id) == p);
  at = &s->list[set_index(s, &p->id)];
  s->count--;
  memmove(at, at + 1, (size_t)(&s->list[s->count] - at) * sizeof *at);
  s->inbound -= !p->outbound;
  s->places[p->place]--;
  cmt__unlock(&s->lock);
  cmt_peer_unref(p);
}

bool cmt__peer_set_has(cmt__peer_set *s, const cmt_node_id *id) {
  bool has;

  cmt__lock(&s->lock);
  has = set_find(s, id) != NULL;
  cmt__unlock(&s->lock);
  return has;
}

cmt_peer *cmt__peer_set_find(cmt__peer_set *s, const cmt_node_id *id) {
  cmt_peer *p;

  cmt__lock(&s->lock);
  p = set_find(s, id);
  if (p != NULL) {
    cmt_peer_ref(p);
  }
  cmt__unlock(&s->lock);
  return p;
}

size_t cmt__peer_set_snapshot(cmt__peer_set *s, cmt_peer **out, size_t cap) {
  size_t count;

  cmt__lock(&s->lock);
  count = s->count;
  for (size_t i = 0; i < count && i < cap; i++) {
    out[i] = cmt_peer_ref(s->list[i]);
  }
  cmt__unlock(&s->lock);
  return count;
}

void cmt__peer_set_count(cmt__peer_set *s, size_t *all, size_t *inbound) {
  cmt__lock(&s->lock);
  *all = s->count;
  *inbound = s->inbound;
  cmt__unlock(&s->lock);
}

size_t cmt__peer_set_places(cmt__peer_set *s, cmt__peer_place where) {
  size_t taken;

  cmt__lock(&s->lock);
  taken = s->places[where];
  cmt__unlock(&s->lock);
  return taken;
}

void cmt__peer_set_exempt(cmt__peer_set *s, const cmt_node_id *id) {
  cmt_peer *p;

  cmt__lock(&s->lock);
  p = set_find(s, id);
  if (p != NULL) {
    s->places[p->place]--;
    p->place = CMT__PEER_EXEMPT;
    s->places[CMT__PEER_EXEMPT]++;
  }
  cmt__unlock(&s->lock);
}

size_t cmt__peer_set_places_of(cmt__peer_set *s,
                               bool (*is_one)(void *arg, const cmt__remote *r),
                               void *arg) {
  size_t count = 0;

  cmt__lock(&s->lock);
  for (size_t i = 0; i < s->count; i++) {
    count += s->list[i]->place == CMT__PEER_INBOUND &&
             is_one(arg, &s->list[i]->remote);
  }
  cmt__unlock(&s->lock);
  return count;
}

void cmt__peer_set_each(cmt__peer_set *s, void (*look)(void *arg, cmt_peer *p),
                        void *arg) {
  cmt__lock(&s->lock);
  for (size_t i = 0; i < s->count; i++) {
    look(arg, s->list[i]);
  }
  cmt__unlock(&s->lock);
}

uint64_t cmt__peer_set_queued(cmt__peer_set *s) {
  uint64_t bytes = 0;

  cmt__lock(&s->lock);
  for (size_t i = 0; i < s->count; i++) {
    bytes += cmt__send_queue_queued(&s->list[i]->send_queue);
  }
  cmt__unlock(&s->lock);
  return bytes;
}

static void count_one(cmt_broadcast *counts, cmt_err err) {
  if (err == CMT_OK) {
    counts->queued++;
  } else if (err == CMT_EPEERCHANNEL) {
    counts->no_channel++;
  } else if (err != CMT_ECLOSED) {
    counts->full++;
  }
}

/* The loops give references back meanwhile, so that many are taken at a time.
 */
void cmt__peer_set_broadcast(cmt__peer_set *s, size_t at, cmt_buf *msg,
                             cmt_broadcast *counts) {
  unsigned refs = 0;

  cmt__lock(&s->lock);
  for (size_t i = 0; i < s->count; i++) {
    cmt_err err;

    if (refs == 0) {
      refs = REFS;
      cmt__buf_ref_many(msg, refs);
    }
    if (i + AHEAD < s->count) {
      cmt__peer_fetch(s->list[i + AHEAD]);
    }
    err = cmt__send_queue_try_send(&s->list[i]->send_queue, at, msg);
    refs -= err == CMT_OK;
    count_one(counts, err);
  }
  cmt__unlock(&s->lock);
  cmt__buf_unref_many(msg, refs); /* Never the last: the caller has one. */
}

void cmt__peer_set_stop(cmt__peer_set *s, cmt_err reason, uint64_t flush_ns) {
  cmt__lock(&s->lock);
  for (size_t i = 0; i < s->count; i++) {
    cmt_peer_stop(s->list[i], reason, flush_ns);
  }
  cmt__unlock(&s->lock);
}
