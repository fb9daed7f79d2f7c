/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__INBOX_QUOTA_H
#define CMT__INBOX_QUOTA_H

/* What may wait in a mailbox: the limits of each channel of a peer, and memory
   that all peers share.  It decides only, and has no lock.

   Of the total an inbox may have its floor, an equal part for each peer that
   there can be, and above that as much as is left.  So the inbox that holds
   most is the first to be full, while there is still room for the others, and
   no number of full inboxes stops one under its floor.  What waits in all is
   less than twice the total: the last inbox above its floor that took a message
   left the total unreached, and since then only inboxes under their floors have
   grown. */

#include "base/base.h"

#include <cometp2p/mconn.h>

/* What a message counts for besides its bytes. */
enum { CMT__ENTRY_COST = 192 };

typedef struct cmt__inbox_quota {
  struct {
    uint32_t messages_max;
    size_t bytes_max;
  } channels[CMT_CHANNELS_MAX];
  size_t channel_count;
  size_t bytes_max;
  size_t floor; /* What each inbox may have, whatever the others have. */
  size_t bytes; /* What all inboxes have. */
} cmt__inbox_quota;

/* How much of a channel waits, or is out. */
typedef struct cmt__inbox_count {
  size_t bytes;
  uint32_t messages;
} cmt__inbox_count;

/* How much of the quota an inbox has. */
typedef struct cmt__inbox_usage {
  size_t bytes;             /* Its channels together. */
  cmt__inbox_count *counts; /* One for each channel. */
} cmt__inbox_usage;

/* The quota of |channels|, in this order; up to |peers| share |bytes_max|. */
void cmt__inbox_quota_init(cmt__inbox_quota *q, const cmt_channel *channels,
                           size_t count, size_t bytes_max, size_t peers);
/* Most bytes that may wait before any inbox is full. */
uint64_t cmt__inbox_quota_memory(size_t bytes_max, size_t peers);

/* Whether a message of |cost| stays within the limits; the first one of a peer
   always does, and the first one of a channel within its own. */
bool cmt__inbox_quota_fits(const cmt__inbox_quota *q, const cmt__inbox_usage *u,
                           size_t channel, size_t cost);
/* No further message of |channel| should be read. */
bool cmt__inbox_quota_is_full(const cmt__inbox_quota *q,
                              const cmt__inbox_usage *u, size_t channel);
/* Some channel is over half of its limits, or the inbox over half of what it
   may have. */
bool cmt__inbox_quota_over_half(const cmt__inbox_quota *q,
                                const cmt__inbox_usage *u);

/* Charges a message, whether it fits or not. */
void cmt__inbox_quota_charge(cmt__inbox_quota *q, cmt__inbox_usage *u,
                             size_t channel, size_t cost);
/* Gives back what it was charged for. */
void cmt__inbox_quota_release(cmt__inbox_quota *q, cmt__inbox_usage *u,
                              size_t channel, size_t cost);

#endif
