/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PEER_DATA_H
#define CMT__PEER_DATA_H

/* The values that an application keeps with a peer, by a short key.  The lock
   is the last of all: nothing else is taken under it, and no callback runs. */

#include "base/base.h"
#include "sys/lock.h"

typedef struct cmt__datum cmt__datum;

typedef struct cmt__peer_data {
  const cmt_env *env;
  pthread_mutex_t lock;
  cmt__datum *first; /* The latest key. */
  size_t count;
} cmt__peer_data;

/* |env| outlives it. */
CMT_NODISCARD cmt_err cmt__peer_data_init(cmt__peer_data *d,
                                          const cmt_env *env);
/* Destroys the values, the latest key first. */
void cmt__peer_data_fini(cmt__peer_data *d);

/* Any thread; see peer.h. */
CMT_NODISCARD cmt_err cmt__peer_data_set(cmt__peer_data *d, const char *key,
                                         void *value, void (*destroy)(void *));
void *cmt__peer_data_get(cmt__peer_data *d, const char *key);

#endif
