/* SPDX-License-Identifier: Apache-2.0 */
/* Networks.  An entry never changes: a new one takes its place in the list, and
   whoever found the old one has a reference.  So no callback, and no hook of
   the environment, runs under the lock. */

#include "networks.h"

#include "sys/lock.h"

enum { LIST_FIRST = 4 };

cmt_err cmt__networks_init(cmt__networks *n, const cmt_env *env) {
  n->env = env;
  return pthread_mutex_init(&n->lock, NULL) == 0 ? CMT_OK : CMT_ENOMEM;
}

void cmt__networks_fini(cmt__networks *n) {
  for (size_t i = 0; i < n->count; i++) {
    cmt__network_unref(n, n->list[i]);
  }
  cmt__free(n->env, n->list);
  pthread_mutex_destroy(&n->lock);
}

/* The texts are in the node info, whose size is all that limits a moniker. */
size_t cmt__networks_memory(void) {
  const size_t texts = CMT_NODE_INFO_MAX + 2; /* Each with a NUL. */

  return cmt__grow_max(CMT_NETWORKS_MAX, LIST_FIRST) * sizeof(cmt__network *) +
         CMT_NETWORKS_MAX * (sizeof(cmt__network) + texts);
}

void cmt__network_unref(const cmt__networks *n, cmt__network *x) {
  if (x != NULL && atomic_fetch_sub(&x->refs, 1) == 1) {
    cmt__free(n->env, x);
  }
}

/* Under the lock: where the network of that name is, or |count|. */
static size_t place_of(const cmt__networks *n, cmt_bytes name) {
  size_t i = 0;

  while (i < n->count &&
         !cmt_bytes_equal(name, cmt_bytes_of(n->list[i]->def.name))) {
    i++;
  }
  return i;
}

cmt__network *cmt__networks_find(cmt__networks *n, cmt_bytes name) {
  cmt__network *x = NULL;
  size_t at;

  if (!cmt__networks_any(n) || name.len == 0) {
    return NULL;
  }
  cmt__lock(&n->lock);
  at = place_of(n, name);
  if (at < n->count) {
    x = n->list[at];
    atomic_fetch_add(&x->refs, 1);
  }
  cmt__unlock(&n->lock);
  return x;
}

/* ---- what a network announces ---- */

bool cmt__has_channel(cmt_bytes channels, uint8_t id) {
  return channels.len > 0 && memchr(channels.base, id, channels.len) != NULL;
}

/* Without one in common the other side is to see all of ours. */
static void mirror(const cmt_node_info *theirs, cmt_node_info *info,
                   uint8_t channels[CMT_CHANNELS_MAX]) {
  size_t count = 0;

  for (size_t i = 0; i < info->channels.len; i++) {
    if (cmt__has_channel(theirs->channels, info->channels.base[i])) {
      channels[count++] = info->channels.base[i];
    }
  }
  if (count > 0) {
    info->channels = (cmt_bytes){.base = channels, .len = count};
  }
  info->protocol_block = theirs->protocol_block;
}

void cmt__network_announce(const cmt__network *x, const cmt_node_info *theirs,
                           cmt_node_info *info,
                           uint8_t channels[CMT_CHANNELS_MAX]) {
  const cmt_network *d = &x->def;

  info->network = cmt_bytes_of(d->name);
  if (d->moniker != NULL) {
    info->moniker = cmt_bytes_of(d->moniker);
  }
  if (d->protocol_block != 0) {
    info->protocol_block = d->protocol_block;
  }
  if (d->protocol_app != 0) {
    info->protocol_app = d->protocol_app;
  }
  if (d->channel_count > 0) {
    info->channels = (cmt_bytes){.base = d->channels, .len = d->channel_count};
  }
  if (d->mirror && theirs != NULL) {
    mirror(theirs, info, channels);
  }
}

/* ---- the list ---- */

cmt__network *cmt__network_new(const cmt_env *env, const cmt_network *n) {
  size_t name = strlen(n->name) + 1;
  size_t moniker = n->moniker != NULL ? strlen(n->moniker) + 1 : 0;
  cmt__network *x = cmt__alloc_zero(env, sizeof *x + name + moniker);

  if (x == NULL) {
    return NULL;
  }
  atomic_init(&x->refs, 1);
  x->def = *n;
  memcpy(x->texts, n->name, name);
  x->def.name = x->texts;
  if (moniker > 0) {
    memcpy(x->texts + name, n->moniker, moniker);
    x->def.moniker = x->texts + name;
  }
  if (n->channel_count > 0) {
    memcpy(x->channels, n->channels, n->channel_count);
  }
  x->def.channels = x->channels;
  return x;
}

/* A longer list for one more, made outside of the lock; NULL: no memory. */
static cmt__network **list_longer(cmt__networks *n, size_t cap) {
  return cmt__alloc(n->env, cap * sizeof(cmt__network *));
}

/* Puts |x| into the list, or |*longer| in place of it, which then is the old
   one; |*old| is what |x| replaces.  Under the lock. */
static cmt_err list_put(cmt__networks *n, cmt__network *x,
                        cmt__network ***longer, size_t longer_cap,
                        cmt__network **old) {
  size_t at = place_of(n, cmt_bytes_of(x->def.name));

  if (at < n->count) {
    *old = n->list[at];
    n->list[at] = x;
    return CMT_OK;
  }
  if (n->count == CMT_NETWORKS_MAX) {
    return CMT_ELIMIT;
  }
  if (n->count == n->cap) {
    cmt__network **before = n->list;

    if (longer_cap <= n->cap) {
      return CMT_EAGAIN;
    }
    for (size_t i = 0; i < n->count; i++) {
      (*longer)[i] = before[i];
    }
    n->list = *longer;
    n->cap = longer_cap;
    *longer = before;
  }
  n->list[n->count++] = x;
  atomic_store_explicit(&n->any, true, memory_order_release);
  return CMT_OK;
}

cmt_err cmt__networks_put(cmt__networks *n, cmt__network *x) {
  cmt__network **longer = NULL, *old = NULL;
  size_t cap = 0;
  cmt_err err;

  while (true) {
    cmt__lock(&n->lock);
    err = list_put(n, x, &longer, cap, &old);
    cap = cmt__max(LIST_FIRST, 2 * n->cap);
    cmt__unlock(&n->lock);
    cmt__free(n->env, longer);
    if (err != CMT_EAGAIN) {
      break;
    }
    longer = list_longer(n, cap);
    if (longer == NULL) {
      return CMT_ENOMEM;
    }
  }
  cmt__network_unref(n, old);
  return err;
}

bool cmt__networks_remove(cmt__networks *n, const char *name) {
  cmt__network *old = NULL;
  size_t at;

  cmt__lock(&n->lock);
  at = place_of(n, cmt_bytes_of(name));
  if (at < n->count) {
    old = n->list[at];
    n->list[at] = n->list[--n->count];
  }
  cmt__unlock(&n->lock);
  cmt__network_unref(n, old);
  return old != NULL;
}

size_t cmt__networks_names(cmt__networks *n,
                           char (*out)[CMT_NETWORK_NAME_MAX + 1], size_t cap) {
  size_t count;

  cmt__lock(&n->lock);
  count = n->count;
  for (size_t i = 0; i < count && i < cap; i++) {
    snprintf(out[i], sizeof out[i], "%s", n->list[i]->def.name);
  }
  cmt__unlock(&n->lock);
  return count;
}
