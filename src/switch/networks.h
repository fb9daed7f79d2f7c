/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__NETWORKS_H
#define CMT__NETWORKS_H

/* The networks of a switch.  Any thread may change and list them; the first
   loop asks.  One that was found stays as it is until it is let go. */

#include "base/base.h"

#include <cometp2p/network.h>
#include <cometp2p/node_info.h>

#include <pthread.h>
#include <stdatomic.h>

typedef struct cmt__network {
  atomic_uint refs;
  cmt_network def; /* Points to what follows. */
  uint8_t channels[CMT_CHANNELS_MAX];
  char texts[]; /* Its name and its moniker. */
} cmt__network;

typedef struct cmt__networks {
  const cmt_env *env;
  pthread_mutex_t lock;
  cmt__network **list; /* NULL: there never was one. */
  size_t count, cap;
  atomic_bool any;
} cmt__networks;

CMT_NODISCARD cmt_err cmt__networks_init(cmt__networks *n, const cmt_env *env);
void cmt__networks_fini(cmt__networks *n);
/* Most bytes that they have. */
size_t cmt__networks_memory(void);

/* False: no network but that of the switch was ever set. */
static inline bool cmt__networks_any(const cmt__networks *n) {
  return atomic_load_explicit(&n->any, memory_order_acquire);
}
/* A copy of |def|, for cmt__network_unref(); NULL: no memory. */
cmt__network *cmt__network_new(const cmt_env *env, const cmt_network *def);
/* Owns |x| on success.  CMT_ELIMIT; CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__networks_put(cmt__networks *n, cmt__network *x);
bool cmt__networks_remove(cmt__networks *n, const char *name);
/* As cmt_switch_networks(). */
size_t cmt__networks_names(cmt__networks *n,
                           char (*out)[CMT_NETWORK_NAME_MAX + 1], size_t cap);
/* The network of that name, for cmt__network_unref(); NULL: there is none. */
cmt__network *cmt__networks_find(cmt__networks *n, cmt_bytes name);
void cmt__network_unref(const cmt__networks *n, cmt__network *x);

bool cmt__has_channel(cmt_bytes channels, uint8_t id);
/* What a network announces in its place of the fields in |info|, which borrows
   it.  |theirs| is mirrored, into |channels| as well; NULL: they are not
   known. */
void cmt__network_announce(const cmt__network *x, const cmt_node_info *theirs,
                           cmt_node_info *info,
                           uint8_t channels[CMT_CHANNELS_MAX]);

#endif
