/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__WORTH_H
#define CMT__WORTH_H

/* What a peer is worth: the sum of what reactors set under tags, and whether it
   is protected.  Any thread may change and ask it. */

#include "sys/lock.h"

#include <cometp2p/peer.h>

#include <stdatomic.h>

typedef struct cmt__worth_tag {
  char name[CMT_PEER_TAG_MAX + 1];
  int32_t value;
} cmt__worth_tag;

typedef struct cmt__worth_tags {
  size_t count;
  cmt__worth_tag list[CMT_PEER_TAGS_MAX];
} cmt__worth_tags;

/* Zeroed at first. */
typedef struct cmt__worth {
  cmt__worth_tags *tags; /* NULL: there never was one.  Under the lock. */
  _Atomic int64_t sum;
  atomic_uint protections;
} cmt__worth;

void cmt__worth_fini(cmt__worth *w, const cmt_env *env);
/* As cmt_peer_set_worth(), under |lock|. */
CMT_NODISCARD cmt_err cmt__worth_set(cmt__worth *w, const cmt_env *env,
                                     pthread_mutex_t *lock, const char *tag,
                                     int32_t value);

#endif
