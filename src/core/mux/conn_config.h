/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SHARED_H
#define CMT__SHARED_H

/* What connections that are made alike have in common, once for all of them:
   the environment, the memory of keys and the channels.  The channels do not
   change, so any thread may read them; all of it goes with the last
   reference. */

#include "core/secret/secret_pool.h"

#include <cometp2p/mconn.h>

typedef struct cmt__conn_config {
  cmt__secret_pool pool; /* First: it is freed as one. */
  size_t count;          /* How many channels there are. */
  uint8_t index[256];    /* Their places by id; CMT_CHANNELS_MAX: none. */
  cmt_channel list[];    /* With their defaults, without their names. */
} cmt__conn_config;

/* What cmt__conn_config_new() checks of them. */
CMT_NODISCARD cmt_err cmt__channels_check(const cmt_channel *list, size_t count,
                                          cmt_why *why);
/* |c| with its defaults filled in. */
cmt_channel cmt__channel_defaults(const cmt_channel *c);
/* Bit i: |ids|, such as those of a node info, have that of |list|[i]. */
uint16_t cmt__channels_among(const cmt_channel *list, size_t count,
                             cmt_bytes ids);

/* Why a message of |len| bytes may never be sent on the channel at |at|, which
   is a value of |index|, to who has the channels |theirs| of |list|; CMT_OK: it
   may.  These facts do not change, so no lock is needed. */
static inline cmt_err cmt__channel_refuses(const cmt_channel *list,
                                           size_t count, uint16_t theirs,
                                           size_t at, size_t len) {
  if (at >= count) {
    return CMT_ENOCHANNEL;
  }
  if ((theirs >> at & 1) == 0) {
    return CMT_EPEERCHANNEL;
  }
  return len > list[at].send_message_max ? CMT_ETOOBIG : CMT_OK;
}
/* Whether |c| takes one more message when it has |queued|, of which the first
   is being cut. */
static inline bool cmt__channel_has_room(const cmt_channel *c,
                                         uint32_t queued) {
  return queued <= c->send_queue;
}

/* Copies |env| and |list|; the caller has the reference.  CMT_EINVAL names the
   fault in |why|; CMT_ENOMEM; CMT_EIO: no defaults. */
CMT_NODISCARD cmt_err cmt__conn_config_new(const cmt_env *env,
                                           const cmt_channel *list,
                                           size_t count, cmt__conn_config **out,
                                           cmt_why *why);
/* Any thread. */
cmt__conn_config *cmt__conn_config_ref(cmt__conn_config *s);
void cmt__conn_config_unref(cmt__conn_config *s); /* NULL is fine. */

/* Most bytes of one for |count| channels, and at one time for |connections| of
   which |handshakes| are not up; without the memory of the keys itself, which
   is not of the environment. */
size_t cmt__conn_config_memory(size_t count, size_t connections,
                               size_t handshakes);

#endif
