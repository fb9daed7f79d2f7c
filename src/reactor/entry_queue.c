/* SPDX-License-Identifier: Apache-2.0 */
#include "entry_queue.h"

enum { CAP_FIRST = 8, CAP_KEPT = 64 };

void cmt__entry_queue_fini(cmt__entry_queue *q, const cmt_env *env) {
  cmt__free(env, q->list);
  *q = (cmt__entry_queue){.list = NULL};
}

static bool queue_grow(cmt__entry_queue *q, const cmt_env *env) {
  size_t cap = cmt__max(CAP_FIRST, 2 * q->cap);
  cmt__entry *grown = cmt__alloc(env, cap * sizeof *grown);

  if (grown == NULL) {
    return false;
  }
  for (size_t i = 0; i < q->count; i++) {
    grown[i] = *cmt__entry_queue_at(q, i);
  }
  cmt__free(env, q->list);
  q->list = grown;
  q->first = 0;
  q->cap = cap;
  return true;
}

cmt_err cmt__entry_queue_push(cmt__entry_queue *q, const cmt_env *env,
                              const cmt__entry *entry) {
  if (q->count == q->cap && !queue_grow(q, env)) {
    return CMT_ENOMEM;
  }
  q->list[(q->first + q->count++) % q->cap] = *entry;
  return CMT_OK;
}

cmt__entry cmt__entry_queue_pop(cmt__entry_queue *q, const cmt_env *env) {
  cmt__entry entry;

  CMT_ASSERT(env, q->count > 0);
  entry = q->list[q->first];
  q->first = (q->first + 1) % q->cap;
  q->count--;
  if (q->count == 0 && q->cap > CAP_KEPT) {
    cmt__entry_queue_fini(q, env);
  }
  return entry;
}
