/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_LOOP_PARTS_H
#define CMT_TEST_LOOP_PARTS_H

/* What the loops of the tests have in common: the queue of posts, bytes in
   flight, and the question whether a text is an IP literal.  Running out of
   memory here ends the program: it is the test's memory and no part of what is
   tested. */

#include "net/loop.h"

#include <pthread.h>

/* Posts, from any thread.  |mutex| may guard more of the owner. */
typedef struct test_posts {
  pthread_mutex_t mutex;
  cmt__post *first, **last;
} test_posts;

void test_posts_init(test_posts *q);
void test_posts_fini(test_posts *q);
void test_posts_add(test_posts *q, cmt__post *p);
bool test_posts_any(test_posts *q);
/* Runs those that are there now. */
void test_posts_run(test_posts *q);

/* A queue of bytes. */
typedef struct test_bytes {
  uint8_t *base;
  size_t head, len, size; /* The bytes are |len| from |head|. */
} test_bytes;

/* Returns where the copy lies. */
uint8_t *test_bytes_put(test_bytes *b, const uint8_t *data, size_t len);
void test_bytes_take(test_bytes *b, uint8_t *out, size_t len);
void test_bytes_clear(test_bytes *b);

bool test_is_literal(const char *text);

/* Grown memory; never NULL. */
void *test_resize(void *p, size_t len);

#endif
