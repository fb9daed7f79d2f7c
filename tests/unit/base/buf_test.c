/* SPDX-License-Identifier: Apache-2.0 */

/* Buffers: their references, who frees what, and escaping. */

#include "test.h"

#include <pthread.h>

#include <cometp2p/node_info.h>

#include "base/buf.h"

static void a_new_buffer_is_written_and_read(void **state) {
  test_env t;
  cmt_buf *b;

  (void)state;
  test_env_init(&t);
  b = cmt_buf_new(&t.env, 5);
  assert_non_null(b);
  memcpy(cmt_buf_data(b), "hello", 5);
  assert_int_equal(5, cmt_buf_bytes(b).len);
  assert_memory_equal("hello", cmt_buf_bytes(b).base, 5);
  assert_int_equal(1, t.allocs);
  cmt_buf_unref(b);
  test_env_fini(&t);
}

static void a_buffer_without_bytes_is_fine(void **state) {
  test_env t;
  cmt_buf *b;

  (void)state;
  test_env_init(&t);
  b = cmt_buf_new(&t.env, 0);
  assert_non_null(b);
  assert_non_null(cmt_buf_data(b));
  assert_int_equal(0, cmt_buf_bytes(b).len);
  cmt_buf_unref(b);
  b = cmt_buf_copy(&t.env, NULL, 0);
  assert_non_null(b);
  cmt_buf_unref(b);
  test_env_fini(&t);
}

static void a_copy_has_bytes_of_its_own(void **state) {
  char text[] = "abc";
  cmt_buf *b = cmt_buf_copy(NULL, text, 3);

  (void)state;
  assert_non_null(b);
  text[0] = 'x';
  assert_memory_equal("abc", cmt_buf_bytes(b).base, 3);
  cmt_buf_unref(b);
}

static void the_last_reference_frees(void **state) {
  test_env t;
  cmt_buf *b;

  (void)state;
  test_env_init(&t);
  b = cmt_buf_new(&t.env, 1);
  assert_ptr_equal(b, cmt_buf_ref(b));
  cmt_buf_unref(b);
  assert_int_equal(1, t.live);
  cmt_buf_unref(b);
  assert_int_equal(0, t.live);
  cmt_buf_unref(NULL);
}

static void a_shared_buffer_is_not_written(void **state) {
  cmt_buf *b = cmt_buf_new(NULL, 1);

  (void)state;
  assert_non_null(cmt_buf_data(b));
  cmt_buf_ref(b);
  assert_null(cmt_buf_data(b));
  cmt_buf_unref(b);
  assert_non_null(cmt_buf_data(b));
  cmt_buf_unref(b);
}

static void count_release(void *arg) { ++*(int *)arg; }

static void adopted_bytes_are_released_once_at_the_end(void **state) {
  static const uint8_t bytes[] = {1, 2, 3};
  int released = 0;
  test_env t;
  cmt_buf *b;

  (void)state;
  test_env_init(&t);
  b = cmt_buf_adopt(&t.env, (cmt_bytes){.base = bytes, .len = 3}, count_release,
                    &released);
  assert_ptr_equal(bytes, cmt_buf_bytes(b).base);
  assert_int_equal(3, cmt_buf_bytes(b).len);
  assert_null(cmt_buf_data(b));
  cmt_buf_ref(b);
  cmt_buf_unref(b);
  assert_int_equal(0, released);
  cmt_buf_unref(b);
  assert_int_equal(1, released);
  test_env_fini(&t);
}

static void bytes_that_need_no_release_are_adopted_too(void **state) {
  cmt_buf *b = cmt_buf_adopt(NULL, cmt_bytes_of("static"), NULL, NULL);

  (void)state;
  assert_memory_equal("static", cmt_buf_bytes(b).base, 6);
  cmt_buf_unref(b);
}

static void a_buffer_may_have_any_length(void **state) {
  cmt_buf *one = cmt_buf_copy(NULL, "a", 1), *many = cmt_buf_new(NULL, 5000);
  cmt_env older;

  (void)state;
  assert_int_equal(1, cmt_buf_bytes(one).len);
  assert_memory_equal("a", cmt_buf_bytes(one).base, 1);
  assert_int_equal(5000, cmt_buf_bytes(many).len);
  cmt_buf_unref(one);
  cmt_buf_unref(many);
  assert_null(cmt_buf_new(NULL, SIZE_MAX));
  assert_null(cmt_buf_new(NULL, SIZE_MAX - 8));
  assert_null(cmt_buf_bytes(NULL).base);
  assert_int_equal(0, cmt_buf_bytes(NULL).len);
  assert_cmt(CMT_OK, cmt_env_init(&older));
  older.size = offsetof(cmt_env, log);
  one = cmt_buf_copy(&older, "b", 1);
  assert_non_null(one);
  cmt_buf_unref(one);
  older.size++;
  assert_null(cmt_buf_copy(&older, "b", 1));
}

static void a_text_may_be_escaped_to_nowhere(void **state) {
  (void)state;
  assert_int_equal(6, cmt_text_escape(cmt_bytes_of("a\nb"), NULL, 10));
  assert_int_equal(0, cmt_text_escape((cmt_bytes){.len = 7}, NULL, 0));
}

static void no_bytes_are_adopted_as_well(void **state) {
  cmt_buf *b = cmt_buf_adopt(NULL, (cmt_bytes){0}, NULL, NULL);

  (void)state;
  assert_non_null(b);
  assert_int_equal(0, cmt_buf_bytes(b).len);
  assert_null(cmt_buf_data(b)); /* They are not ours. */
  cmt_buf_unref(b);
  assert_null(cmt_buf_adopt(NULL, (cmt_bytes){.len = 1}, NULL, NULL));
  assert_null(cmt_buf_copy(NULL, NULL, 1));
}

static void a_failed_allocation_gives_none(void **state) {
  int released = 0;
  test_env t;

  (void)state;
  test_env_init(&t);
  t.fail_at = 0;
  assert_null(cmt_buf_new(&t.env, 1));
  t.fail_at = 1;
  assert_null(cmt_buf_copy(&t.env, "x", 1));
  t.fail_at = 2;
  assert_null(
    cmt_buf_adopt(&t.env, cmt_bytes_of("x"), count_release, &released));
  assert_int_equal(0, released);
  t.fail_at = 3;
  assert_null(cmt__buf_new_cap(&t.env, 1));
  assert_null(cmt_buf_new(&t.env, SIZE_MAX - 8));
  assert_int_equal(4, t.allocs);
}

static void a_buffer_outlives_its_environment(void **state) {
  test_env t;
  cmt_env *env = malloc(sizeof *env);
  cmt_buf *b;

  (void)state;
  test_env_init(&t);
  assert_non_null(env);
  *env = t.env;
  b = cmt_buf_copy(env, "abc", 3);
  free(env);
  cmt_buf_unref(b);
  test_env_fini(&t);
}

static void a_buffer_fills_up_to_its_capacity(void **state) {
  test_env t;
  cmt_buf *b;

  (void)state;
  test_env_init(&t);
  b = cmt__buf_new_cap(&t.env, 4);
  assert_int_equal(0, cmt_buf_bytes(b).len);
  assert_int_equal(4, cmt__buf_cap(b));
  memcpy(cmt__buf_base(b), "wxyz", 4);
  cmt__buf_set_len(b, 2);
  assert_int_equal(2, cmt_buf_bytes(b).len);
  cmt__buf_set_len(b, 4);
  assert_memory_equal("wxyz", cmt_buf_bytes(b).base, 4);
  assert_int_equal(1, t.allocs);
  cmt_buf_unref(b);
  test_env_fini(&t);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *ref_and_unref(void *arg) {
  for (int i = 0; i < ROUNDS; i++) {
    cmt_buf_unref(cmt_buf_ref(arg));
  }
  cmt_buf_unref(arg);
  return NULL;
}

static void references_may_be_taken_on_any_thread(void **state) {
  int released = 0;
  pthread_t threads[THREADS];
  cmt_buf *b = cmt_buf_adopt(NULL, cmt_bytes_of("x"), count_release, &released);

  (void)state;
  for (int i = 0; i < THREADS; i++) {
    cmt_buf_ref(b);
    assert_int_equal(0, pthread_create(&threads[i], NULL, ref_and_unref, b));
  }
  cmt_buf_unref(b);
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(0, pthread_join(threads[i], NULL));
  }
  assert_int_equal(1, released);
}

static void assert_escaped(const char *expected, const void *in, size_t len) {
  char out[64];
  cmt_bytes bytes = {.base = in, .len = len};

  assert_int_equal(strlen(expected), cmt_text_escape(bytes, out, sizeof out));
  assert_string_equal(expected, out);
}

static void what_prints_stays_and_the_rest_is_escaped(void **state) {
  (void)state;
  assert_escaped("", NULL, 0);
  assert_escaped("a ~'\"", "a ~'\"", 5);
  assert_escaped("\\\\", "\\", 1);
  assert_escaped("\\x00\\x1b[2J\\x7f\\xff\\x0a", "\0\x1b[2J\x7f\xff\n", 8);
}

static void an_escape_is_never_cut_in_two(void **state) {
  cmt_bytes in = {.base = (const uint8_t *)"ab\x01"
                                           "c",
                  .len = 4};
  static const char *const expected[] = {"",   "a",  "ab",      "ab",
                                         "ab", "ab", "ab\\x01", "ab\\x01c"};
  char out[16];

  (void)state;
  for (size_t cap = 1; cap <= CMT__COUNT(expected); cap++) {
    memset(out, '#', sizeof out);
    assert_int_equal(7, cmt_text_escape(in, out, cap));
    assert_string_equal(expected[cap - 1], out);
    assert_int_equal('#', out[cap]);
  }
  assert_int_equal(7, cmt_text_escape(in, NULL, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_new_buffer_is_written_and_read),
    cmocka_unit_test(a_buffer_without_bytes_is_fine),
    cmocka_unit_test(a_copy_has_bytes_of_its_own),
    cmocka_unit_test(the_last_reference_frees),
    cmocka_unit_test(a_shared_buffer_is_not_written),
    cmocka_unit_test(adopted_bytes_are_released_once_at_the_end),
    cmocka_unit_test(bytes_that_need_no_release_are_adopted_too),
    cmocka_unit_test(no_bytes_are_adopted_as_well),
    cmocka_unit_test(a_buffer_may_have_any_length),
    cmocka_unit_test(a_text_may_be_escaped_to_nowhere),
    cmocka_unit_test(a_failed_allocation_gives_none),
    cmocka_unit_test(a_buffer_outlives_its_environment),
    cmocka_unit_test(a_buffer_fills_up_to_its_capacity),
    cmocka_unit_test(references_may_be_taken_on_any_thread),
    cmocka_unit_test(what_prints_stays_and_the_rest_is_escaped),
    cmocka_unit_test(an_escape_is_never_cut_in_two),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
