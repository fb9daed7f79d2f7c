/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_H
#define CMT_TEST_H

/* What the unit tests have in common: cmocka, hex, vector files, an environment
   that counts its allocations and can fail one of them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/base.h"

#define assert_cmt(expected, call)                                             \
  assert_string_equal(cmt_err_name(expected), cmt_err_name(call))

/* Bytes of |hex| in memory that free() frees; fails the test when malformed. */
uint8_t *test_unhex(const char *hex, size_t *len);
void test_assert_hex(const char *expected_hex, const void *data, size_t len);

/* The root of tests/vectors/|name|; json_decref() it. */
json_t *test_vectors(const char *name);
const char *test_str(const json_t *object, const char *key);

/* Prints "|name|: |used|/|total|", fails when |used| and the |intended|
   differences do not add up to |total|. */
void test_used(const char *name, size_t used, size_t intended, size_t total);

/* Adds a letter of what ran to a trace; compares it and begins a new one. */
void test_note(char letter);
void test_assert_trace(const char *expected);

/* The seed under way, 0 for none; the teardown reports which one failed. */
extern uint64_t test_seed;
int test_print_seed(void **state);

/* The next number drawn from |*seed|; the same one less than |bound|. */
uint64_t test_draw(uint64_t *seed);
size_t test_below(uint64_t *seed, size_t bound);
/* How many loops a switch of the tests has: the variable CMT_LOOPS, or 1. */
unsigned test_loops(void);

/* An environment over malloc that counts, and fails some allocations. */
typedef struct test_env {
  cmt_env env;
  size_t allocs; /* So far. */
  size_t live;   /* Not yet freed. */
  size_t live_bytes, peak_bytes;
  size_t fail_at;  /* The allocation that fails, from 0; SIZE_MAX: none. */
  size_t shortage; /* How many more fail after that one; SIZE_MAX: all. */
  uint64_t seed;   /* Seed of its entropy, which is a counter: repeatable. */
  /* Secret memory, which any thread may return: pieces of it, and which one
     from 0 fails; SIZE_MAX: none.  Every piece is wiped when it comes back. */
  atomic_size_t secret_allocs, secret_live;
  size_t secret_fail_at;
} test_env;

/* The |shortage| of environments made from now on; 0 at first. */
extern size_t test_shortage;
int test_shortage_begin(void **state); /* All allocations after a failed one. */
int test_shortage_end(void **state);
/* The test |f| once more, with memory that stays short. */
#define TEST_SHORTAGE(f)                                                       \
  { #f ", and all after it", f, test_shortage_begin, test_shortage_end, NULL }

void test_env_init(test_env *t);
/* The next allocation fails. */
bool test_env_lacks(const test_env *t);
/* Fails the test when memory is still allocated. */
void test_env_fini(test_env *t);

#endif
