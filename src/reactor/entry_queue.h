/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__ENTRY_QUEUE_H
#define CMT__ENTRY_QUEUE_H

/* Messages that wait in an inbox, first in, first out.  Zeroed, it is empty. */

#include "base/base.h"

typedef struct cmt__entry {
  cmt_buf *msg;
  size_t cost;
  uint8_t channel; /* Its place in the reactor's list. */
} cmt__entry;

typedef struct cmt__entry_queue {
  cmt__entry *list; /* A ring. */
  size_t first, count, cap;
} cmt__entry_queue;

/* Frees the memory; the references of what is left are not its own. */
void cmt__entry_queue_fini(cmt__entry_queue *q, const cmt_env *env);
/* CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__entry_queue_push(cmt__entry_queue *q,
                                            const cmt_env *env,
                                            const cmt__entry *entry);
/* The first entry, of which there must be one; gives back memory after many. */
cmt__entry cmt__entry_queue_pop(cmt__entry_queue *q, const cmt_env *env);
/* Entry |i|, counted from the first. */
static inline const cmt__entry *cmt__entry_queue_at(const cmt__entry_queue *q,
                                                    size_t i) {
  return &q->list[(q->first + i) % q->cap];
}

#endif
