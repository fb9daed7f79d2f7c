/* SPDX-License-Identifier: Apache-2.0 */

/* What streams have in common: the memory of their keys, counted and under a
   guard, for as long as anybody has a reference. */

#include "core/secret/secret_pool.h"
#include "test.h"

enum { KEYS = sizeof(cmt__secret_keys), WORKS = sizeof(cmt__secret_work) };

/* The bytes of the first chunk of slots of |size| bytes, in one page of which
   sixteen bytes are the system's. */
static uint64_t chunk_of(size_t size) {
  size_t slot = (size + 15) / 16 * 16;

  return (4096 - 16) / slot * slot;
}

static void assert_bytes(cmt__secret_pool *p, uint64_t expected) {
  uint64_t locked = 1000000, unlocked = 1000000;

  cmt__secret_pool_bytes(p, &locked, &unlocked);
  assert_int_equal(expected, locked + unlocked);
}

/* Memory of either kind that is locked, and such that is not. */
static void *some_secret_memory(void *arg, size_t len, bool *locked) {
  *locked = *(bool *)arg;
  return calloc(1, len);
}

static void free_secret_memory(void *arg, void *p, size_t len) {
  (void)arg;
  (void)len;
  free(p);
}

static void bytes_of_both_kinds_are_counted(void **state) {
  uint64_t locked, unlocked;
  cmt__secret_pool *p;
  bool locks = true;
  void *keys, *work;
  test_env t;

  (void)state;
  test_env_init(&t);
  t.env.secret_alloc = some_secret_memory;
  t.env.secret_free = free_secret_memory;
  t.env.secret_arg = &locks;
  p = cmt__secret_pool_new(&t.env, sizeof *p);
  assert_non_null(p);
  assert_bytes(p, 0);
  keys = cmt__key_slab_take(&p->keys, &t.env);
  assert_bytes(p, chunk_of(KEYS));
  locks = false;
  work = cmt__key_slab_take(&p->works, &t.env);
  locked = unlocked = 1000000; /* They are set, and not added to. */
  cmt__secret_pool_bytes(p, &locked, &unlocked);
  assert_int_equal(chunk_of(KEYS), locked);
  assert_int_equal(chunk_of(WORKS), unlocked);
  cmt__key_slab_give(&p->keys, &t.env, keys);
  cmt__key_slab_give(&p->works, &t.env, work);
  cmt__secret_pool_unref(p);
  test_env_fini(&t);
}

static void its_memory_is_that_of_both_slabs(void **state) {
  (void)state;
  assert_int_equal(cmt__key_slab_memory(KEYS, 100) +
                     cmt__key_slab_memory(WORKS, 7),
                   cmt__secret_pool_memory(100, 7));
}

static void note_lock(void *arg) { test_note(*(char *)arg); }

static void note_unlock(void *arg) {
  (void)arg;
  test_note('u');
}

static void both_slabs_are_under_its_guard(void **state) {
  char name = 'l';
  const cmt__guard guard = {
    .lock = note_lock, .unlock = note_unlock, .arg = &name};
  cmt__secret_pool *p;
  void *keys, *work;
  test_env t;

  (void)state;
  test_env_init(&t);
  p = cmt__secret_pool_new(&t.env, sizeof *p);
  assert_non_null(p);
  cmt__secret_pool_share(p, &guard);
  keys = cmt__key_slab_take(&p->keys, &t.env);
  test_assert_trace("lu");
  work = cmt__key_slab_take(&p->works, &t.env);
  test_assert_trace("lu");
  cmt__key_slab_give(&p->keys, &t.env, keys);
  test_assert_trace("lu");
  cmt__key_slab_give(&p->works, &t.env, work);
  test_assert_trace("lu");
  assert_bytes(p, chunk_of(KEYS) + chunk_of(WORKS));
  test_assert_trace("lulu");
  cmt__secret_pool_unref(p);
  test_env_fini(&t);
}

static void the_last_reference_frees_it(void **state) {
  /* The size of a struct that begins with a pool. */
  enum { SIZE = sizeof(cmt__secret_pool) + 100 };
  static const uint8_t zeros[100];
  cmt__secret_pool *p;
  test_env t;

  (void)state;
  test_env_init(&t);
  p = cmt__secret_pool_new(&t.env, SIZE);
  assert_non_null(p);
  assert_int_equal(SIZE, t.live_bytes);
  assert_memory_equal(zeros, p + 1, sizeof zeros);
  assert_memory_equal(&t.env, &p->env, sizeof p->env);
  assert_ptr_equal(p, cmt__secret_pool_ref(p));
  cmt__secret_pool_unref(p);
  assert_int_equal(1, t.live);
  cmt__secret_pool_unref(p);
  cmt__secret_pool_unref(NULL);
  test_env_fini(&t);
  t.fail_at = t.allocs;
  assert_null(cmt__secret_pool_new(&t.env, SIZE));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(bytes_of_both_kinds_are_counted),
    cmocka_unit_test(its_memory_is_that_of_both_slabs),
    cmocka_unit_test(both_slabs_are_under_its_guard),
    cmocka_unit_test(the_last_reference_frees_it),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
