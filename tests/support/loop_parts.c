/* SPDX-License-Identifier: Apache-2.0 */

#include "loop_parts.h"

#include <stdlib.h>

#include "core/conn/net_addr.h"

void *test_resize(void *p, size_t len) {
  void *grown = realloc(p, len);

  CMT_ASSERT(NULL, grown != NULL);
  return grown;
}

void test_posts_init(test_posts *q) {
  CMT_ASSERT(NULL, pthread_mutex_init(&q->mutex, NULL) == 0);
  q->first = NULL;
  q->last = &q->first;
}

void test_posts_fini(test_posts *q) { pthread_mutex_destroy(&q->mutex); }

void test_posts_add(test_posts *q, cmt__post *p) {
  pthread_mutex_lock(&q->mutex);
  if (!p->queued) {
    p->queued = true;
    p->next = NULL;
    *q->last = p;
    q->last = &p->next;
  }
  pthread_mutex_unlock(&q->mutex);
}

bool test_posts_any(test_posts *q) {
  bool any;

  pthread_mutex_lock(&q->mutex);
  any = q->first != NULL;
  pthread_mutex_unlock(&q->mutex);
  return any;
}

static cmt__post *posts_pop(test_posts *q, cmt__post **list) {
  cmt__post *p;

  pthread_mutex_lock(&q->mutex);
  p = *list;
  if (p != NULL) {
    *list = p->next;
    p->queued = false;
  }
  pthread_mutex_unlock(&q->mutex);
  return p;
}

void test_posts_run(test_posts *q) {
  cmt__post *list, *p;

  pthread_mutex_lock(&q->mutex);
  list = q->first;
  q->first = NULL;
  q->last = &q->first;
  pthread_mutex_unlock(&q->mutex);
  while ((p = posts_pop(q, &list)) != NULL) {
    p->cb(p);
  }
}

uint8_t *test_bytes_put(test_bytes *b, const uint8_t *data, size_t len) {
  uint8_t *at;

  if (b->head + b->len + len > b->size) {
    size_t size = cmt__max(2 * (b->len + len), 4096);
    uint8_t *base = test_resize(NULL, size);

    if (b->len > 0) {
      memcpy(base, b->base + b->head, b->len);
    }
    free(b->base);
    *b = (test_bytes){.base = base, .len = b->len, .size = size};
  }
  at = b->base + b->head + b->len;
  memcpy(at, data, len);
  b->len += len;
  return at;
}

void test_bytes_take(test_bytes *b, uint8_t *out, size_t len) {
  memcpy(out, b->base + b->head, len);
  b->len -= len;
  b->head = b->len == 0 ? 0 : b->head + len;
}

void test_bytes_clear(test_bytes *b) {
  free(b->base);
  *b = (test_bytes){.base = NULL};
}

bool test_is_literal(const char *text) {
  char canonical[256];

  return cmt__ip_canonical(
    (cmt_bytes){.base = (const uint8_t *)text, .len = strlen(text)}, canonical,
    sizeof canonical);
}
