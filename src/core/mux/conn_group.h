/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CONN_GROUP_H
#define CMT__CONN_GROUP_H

/* What connections have in common, once for all of them: the environment, the
   memory of keys, the channels, and the limits of all together.  A connection
   that is made without a group has one of its own.  The channels do not change,
   so any thread may read them; all of it goes with the last reference. */

#include "core/secret/secret_pool.h"
#include "quota.h"

#include <cometp2p/conn_group.h>

struct cmt_conn_group {
  cmt__secret_pool pool; /* First: it is freed as one. */
  bool limited;          /* |quota| is set. */
  cmt__quota quota;
  size_t count;       /* How many channels there are. */
  uint8_t index[256]; /* Their places by id; CMT_CHANNELS_MAX: none. */
  cmt_channel list[]; /* With their defaults, without their names. */
};

/* What cmt_conn_group_new() checks of channels. */
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

/* The options of a group without limits. */
cmt_conn_group_options cmt__conn_group_options(const cmt_env *env,
                                               const cmt_channel *list,
                                               size_t count);
/* A reference to |given|, or a new group made with |o| when that is NULL.
   Errors as cmt_conn_group_new(). */
CMT_NODISCARD cmt_err cmt__conn_group_of(cmt_conn_group *given,
                                         const cmt_conn_group_options *o,
                                         cmt_conn_group **out, cmt_why *why);
/* Sets the limits of all together, which are those of |o| as they are; before
   the first connection is made.  |guard| is for more than one of |threads|. */
void cmt__conn_group_limit(cmt_conn_group *s, const cmt_conn_group_options *o,
                           const cmt__guard *guard, uint64_t now_ns);
/* Any thread. */
cmt_conn_group *cmt__conn_group_ref(cmt_conn_group *s);
void cmt__conn_group_unref(cmt_conn_group *s); /* NULL is fine. */

/* Most bytes of a group for |count| channels, and at one time for |connections|
   of which |handshakes| are not up; without the memory of the keys itself,
   which is not of the environment. */
size_t cmt__conn_group_memory(size_t count, size_t connections,
                              size_t handshakes);

#endif
