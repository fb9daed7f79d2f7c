/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

uint8_t *test_unhex(const char *hex, size_t *len) {
  size_t max = strlen(hex) / 2;
  uint8_t *out = malloc(max + 1);
  const char *end;

  assert_non_null(out);
  assert_int_equal(0,
                   sodium_hex2bin(out, max, hex, strlen(hex), NULL, len, &end));
  assert_string_equal("", end);
  return out;
}

void test_assert_hex(const char *expected_hex, const void *data, size_t len) {
  char *text = malloc(2 * len + 1);

  assert_non_null(text);
  sodium_bin2hex(text, 2 * len + 1, data, len);
  assert_string_equal(expected_hex, text);
  free(text);
}

json_t *test_vectors(const char *name) {
  char path[1024];
  json_error_t error;
  json_t *root;

  snprintf(path, sizeof path, "%s/vectors/%s", CMT_TESTS_DIR, name);
  root = json_load_file(path, JSON_ALLOW_NUL, &error);
  if (root == NULL) {
    fail_msg("%s:%d: %s", path, error.line, error.text);
  }
  return root;
}

const char *test_str(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));

  if (text == NULL) {
    fail_msg("vector without the text '%s'", key);
  }
  return text;
}

void test_used(const char *name, size_t used, size_t intended, size_t total) {
  printf("# %s: %zu/%zu", name, used, total);
  if (intended > 0) {
    printf(" and %zu intended differences", intended);
  }
  printf("\n");
  assert_int_equal(used + intended, total);
}

static char trace[256];

void test_note(char letter) {
  size_t len = strlen(trace);

  assert_true(len + 1 < sizeof trace);
  trace[len] = letter;
  trace[len + 1] = '\0';
}

void test_assert_trace(const char *expected) {
  assert_string_equal(expected, trace);
  trace[0] = '\0';
}

uint64_t test_seed;

int test_print_seed(void **state) {
  (void)state;
  if (test_seed != 0) {
    printf("# failed with seed %llu\n", (unsigned long long)test_seed);
    test_seed = 0;
  }
  return 0;
}

uint64_t test_draw(uint64_t *seed) {
  uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));

  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

size_t test_below(uint64_t *seed, size_t bound) {
  return (size_t)(test_draw(seed) % bound);
}

/* Each block carries its size in front, so that frees can be counted. */
enum { BLOCK_HEADER = 16 };

bool test_env_lacks(const test_env *t) {
  return t->allocs >= t->fail_at && t->allocs - t->fail_at <= t->shortage;
}

static void *env_alloc(void *arg, size_t len) {
  test_env *t = arg;
  bool lacks = test_env_lacks(t);
  uint8_t *block;

  t->allocs++;
  if (lacks) {
    return NULL;
  }
  block = malloc(len + BLOCK_HEADER);
  if (block == NULL) {
    return NULL;
  }
  memcpy(block, &len, sizeof len);
  t->live++;
  t->live_bytes += len;
  t->peak_bytes = cmt__max(t->peak_bytes, t->live_bytes);
  return block + BLOCK_HEADER;
}

static void env_free(void *arg, void *p) {
  test_env *t = arg;
  uint8_t *block = (uint8_t *)p - BLOCK_HEADER;
  size_t len;

  memcpy(&len, block, sizeof len);
  t->live--;
  t->live_bytes -= len;
  free(block);
}

static void env_entropy(void *arg, void *out, size_t len) {
  test_env *t = arg;
  uint8_t *bytes = out;

  for (size_t i = 0; i < len; i++) {
    t->seed = t->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    bytes[i] = (uint8_t)(t->seed >> 56);
  }
}

static void *env_secret_alloc(void *arg, size_t len, bool *locked) {
  test_env *t = arg;
  void *p;

  if (atomic_fetch_add(&t->secret_allocs, 1) == t->secret_fail_at) {
    return NULL;
  }
  p = cmt__env_system.secret_alloc(NULL, len, locked);
  atomic_fetch_add(&t->secret_live, p != NULL);
  return p;
}

static void env_secret_free(void *arg, void *p, size_t len) {
  test_env *t = arg;

  for (size_t i = 0; i < len; i++) {
    assert_int_equal(0, ((uint8_t *)p)[i]);
  }
  atomic_fetch_sub(&t->secret_live, 1);
  cmt__env_system.secret_free(NULL, p, len);
}

size_t test_shortage;

int test_shortage_begin(void **state) {
  (void)state;
  test_shortage = SIZE_MAX;
  return 0;
}

int test_shortage_end(void **state) {
  (void)state;
  test_shortage = 0;
  return 0;
}

void test_env_init(test_env *t) {
  *t = (test_env){.fail_at = SIZE_MAX,
                  .shortage = test_shortage,
                  .seed = 1,
                  .secret_fail_at = SIZE_MAX};
  assert_cmt(CMT_OK, cmt_env_init(&t->env));
  t->env.alloc = env_alloc;
  t->env.free = env_free;
  t->env.alloc_arg = t;
  t->env.entropy = env_entropy;
  t->env.entropy_arg = t;
  t->env.secret_alloc = env_secret_alloc;
  t->env.secret_free = env_secret_free;
  t->env.secret_arg = t;
}

void test_env_fini(test_env *t) {
  assert_int_equal(0, t->live);
  assert_int_equal(0, t->secret_live);
}

unsigned test_loops(void) {
  const char *text = getenv("CMT_LOOPS");
  unsigned count = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 0;

  return count > 0 ? count : 1;
}
