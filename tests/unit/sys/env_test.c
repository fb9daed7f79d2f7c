/* SPDX-License-Identifier: Apache-2.0 */

/* Environments: defaults, copies, and what happens when an invariant breaks. */

#include "base/guard.h"
#include "test.h"

#include <dlfcn.h>
#include <signal.h>
#include <sodium.h>
#include <sys/wait.h>
#include <unistd.h>

/* A libsodium that starts as a test wants. */
static struct {
  bool is_set;
  int started;
} sodium_double;

int sodium_init(void) {
  int (*init)(void) = (int (*)(void))dlsym(RTLD_NEXT, "sodium_init");

  return sodium_double.is_set ? sodium_double.started : init();
}

/* What this build and this processor have; one of them is always there. */
static const char *fastest(void) {
  static const char *const names[] = {"avx512", "avx2", "neon", "libsodium"};

  for (size_t i = 0; i < CMT__COUNT(names) - 1; i++) {
    cmt_env env;

    assert_cmt(CMT_OK, cmt_env_init(&env));
    if (cmt_env_set_aead(&env, names[i]) == CMT_OK) {
      return names[i];
    }
  }
  return "libsodium";
}

static void defaults_are_complete(void **state) {
  cmt_env env;
  uint8_t a[32] = {0}, b[32] = {0};
  void *p;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  assert_int_equal(sizeof env, env.size);
  assert_null(env.log);
  assert_string_equal(fastest(), cmt_env_aead(&env));
  p = env.alloc(env.alloc_arg, 100);
  assert_non_null(p);
  memset(p, 1, 100);
  env.free(env.alloc_arg, p);
  env.entropy(env.entropy_arg, a, sizeof a);
  env.entropy(env.entropy_arg, b, sizeof b);
  assert_memory_not_equal(a, b, sizeof a);
}

/* It returns 0 the first time and 1 from then on. */
static void without_libsodium_there_is_no_environment(void **state) {
  static const struct {
    int started;
    cmt_err err;
  } rows[] = {{0, CMT_OK}, {1, CMT_OK}, {-1, CMT_EIO}};
  cmt_env env;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    sodium_double.is_set = true;
    sodium_double.started = rows[i].started;
    assert_cmt(rows[i].err, cmt_env_init(&env));
  }
  sodium_double.is_set = false;
}

static void an_environment_that_is_none_has_no_kernel(void **state) {
  cmt_env env;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.size++;
  assert_string_equal("none", cmt_env_aead(&env));
}

static void no_environment_means_the_default_kernel(void **state) {
  (void)state;
  assert_string_equal(fastest(), cmt_env_aead(NULL));
}

static void a_kernel_is_chosen_by_name(void **state) {
  cmt_env env;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  assert_cmt(CMT_OK, cmt_env_set_aead(&env, "libsodium"));
  assert_string_equal("libsodium", cmt_env_aead(&env));
  assert_cmt(CMT_EINVAL, cmt_env_set_aead(&env, "avx1024"));
  assert_cmt(CMT_EINVAL, cmt_env_set_aead(&env, ""));
  assert_cmt(CMT_EINVAL, cmt_env_set_aead(&env, NULL));
  assert_cmt(CMT_EINVAL, cmt_env_set_aead(NULL, "libsodium"));
  env.size = offsetof(cmt_env, aead); /* As a header without kernels has it. */
  assert_cmt(CMT_EINVAL, cmt_env_set_aead(&env, "auto"));
  env.size = sizeof env;
  assert_string_equal("libsodium", cmt_env_aead(&env));
  assert_cmt(CMT_OK, cmt_env_set_aead(&env, "auto"));
  assert_string_equal(fastest(), cmt_env_aead(&env));
}

static void an_unknown_size_is_refused_and_nothing_written(void **state) {
  cmt_env env, before;

  (void)state;
  memset(&env, 0x5a, sizeof env);
  before = env;
  assert_cmt(CMT_EINVAL, cmt_env_init_sized(&env, sizeof env - 1));
  assert_cmt(CMT_EINVAL, cmt_env_init_sized(&env, sizeof env + 4104));
  assert_cmt(CMT_EINVAL, cmt_env_init_sized(&env, 0));
  assert_memory_equal(&before, &env, sizeof env);
  assert_cmt(CMT_EINVAL, cmt_env_init_sized(NULL, sizeof env));
}

static void a_copy_of_none_has_the_defaults(void **state) {
  cmt_env env, defaults;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&defaults));
  assert_cmt(CMT_OK, cmt__env_copy(NULL, &env));
  assert_memory_equal(&defaults, &env, sizeof env);
}

static void a_copy_keeps_every_hook(void **state) {
  test_env t;
  cmt_env copy;

  (void)state;
  test_env_init(&t);
  assert_cmt(CMT_OK, cmt__env_copy(&t.env, &copy));
  assert_memory_equal(&t.env, &copy, sizeof copy);
}

static void a_copy_of_an_unknown_size_is_refused(void **state) {
  cmt_env env, copy;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.size++;
  assert_cmt(CMT_EINVAL, cmt__env_copy(&env, &copy));
}

static void a_copy_without_a_needed_hook_is_refused(void **state) {
  cmt_env env, broken, copy;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  broken = env;
  broken.alloc = NULL;
  assert_cmt(CMT_EINVAL, cmt__env_copy(&broken, &copy));
  broken = env;
  broken.free = NULL;
  assert_cmt(CMT_EINVAL, cmt__env_copy(&broken, &copy));
  broken = env;
  broken.entropy = NULL;
  assert_cmt(CMT_EINVAL, cmt__env_copy(&broken, &copy));
  broken = env;
  broken.aead = NULL;
  assert_cmt(CMT_EINVAL, cmt__env_copy(&broken, &copy));
  broken = env;
  broken.secret_alloc = NULL;
  assert_cmt(CMT_EINVAL, cmt__env_copy(&broken, &copy));
  broken = env;
  broken.secret_free = NULL;
  assert_cmt(CMT_EINVAL, cmt__env_copy(&broken, &copy));
  broken = env;
  broken.secret_protect = NULL; /* Protection is no need. */
  assert_cmt(CMT_OK, cmt__env_copy(&broken, &copy));
}

/* Environments of earlier headers end before the log or behind one of the words
   from there on; what they do not have is that of the system. */
static void an_environment_of_an_older_header_is_filled_up(void **state) {
  cmt_env env, copy, defaults;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&defaults));
  for (size_t size = 0; size <= sizeof env + 16; size++) {
    bool is_known =
      size >= offsetof(cmt_env, log) && size % sizeof(size_t) == 0;

    assert_int_equal(is_known, cmt__env_size_is_known(size));
    env = defaults;
    env.alloc_arg = &env;
    env.aead = NULL;
    env.size = size;
    if (size < sizeof env) {
      assert_cmt(is_known && size <= offsetof(cmt_env, aead) ? CMT_OK
                                                             : CMT_EINVAL,
                 cmt__env_copy(&env, &copy));
    }
  }
  env = defaults;
  env.size = offsetof(cmt_env, log);
  env.log = cmt_log_stderr; /* Behind its end. */
  env.alloc_arg = &env;
  assert_cmt(CMT_OK, cmt__env_copy(&env, &copy));
  assert_int_equal(sizeof copy, copy.size);
  assert_ptr_equal(&env, copy.alloc_arg);
  assert_null(copy.log);
  assert_ptr_equal(defaults.aead, copy.aead);
}

static void memory_can_be_had_of_a_whole_environment(void **state) {
  cmt_env env;

  (void)state;
  assert_true(cmt__env_fits(NULL));
  assert_cmt(CMT_OK, cmt_env_init(&env));
  assert_true(cmt__env_fits(&env));
  env.size -= 8;
  assert_false(cmt__env_fits(&env));
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.alloc = NULL;
  assert_false(cmt__env_fits(&env));
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.free = NULL;
  assert_false(cmt__env_fits(&env));
}

/* Memory for secrets of a host that cares for nothing. */
static uint8_t secret[64];

static void *dirty_alloc(void *arg, size_t len, bool *locked) {
  (void)locked;
  memset(secret, 0xa5, sizeof secret);
  return arg != NULL && len == sizeof secret ? secret : NULL;
}

static void wiped_free(void *arg, void *p, size_t len) {
  static const uint8_t zeros[sizeof secret];

  assert_int_equal(sizeof secret, len);
  assert_memory_equal(zeros, p, len);
  ++*(int *)arg;
}

static void note_protect(void *arg, void *p, size_t len, bool on) {
  assert_ptr_equal(secret, p);
  assert_int_equal(sizeof secret, len);
  *(int *)arg += on ? 10 : 100;
}

static void secret_memory_is_allocated_and_freed_wiped(void **state) {
  static const uint8_t zeros[sizeof secret];
  bool locked = true;
  int calls = 0;
  cmt_env env;
  void *p;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.secret_alloc = dirty_alloc;
  env.secret_free = wiped_free;
  env.secret_protect = note_protect;
  env.secret_arg = &calls;
  p = cmt__secret_alloc(&env, sizeof secret, &locked);
  assert_ptr_equal(secret, p);
  assert_false(locked); /* Unless the host asks for it. */
  assert_memory_equal(zeros, p, sizeof zeros);
  cmt__secret_protect(&env, p, sizeof secret, true);
  assert_int_equal(10, calls);
  cmt__secret_protect(&env, p, sizeof secret, false);
  assert_int_equal(110, calls);
  memset(p, 1, sizeof secret);
  cmt__secret_free(&env, p, sizeof secret);
  assert_int_equal(111, calls);
  assert_null(cmt__secret_alloc(&env, 16, &locked));
  env.secret_protect = NULL;
  cmt__secret_protect(&env, p, sizeof secret, true);
  p = cmt__secret_alloc(NULL, 16, &locked); /* The default of the system. */
  assert_non_null(p);
  cmt__secret_protect(NULL, p, 16, true);
  cmt__secret_protect(NULL, p, 16, false);
  cmt__secret_free(NULL, p, 16);
}

static void memory_goes_through_the_hooks(void **state) {
  test_env t;
  uint8_t *p, *zeroed;

  (void)state;
  test_env_init(&t);
  p = cmt__alloc(&t.env, 3);
  zeroed = cmt__alloc_zero(&t.env, 3);
  assert_non_null(p);
  assert_non_null(zeroed);
  assert_int_equal(2, t.live);
  assert_memory_equal("\0\0\0", zeroed, 3);
  cmt__free(&t.env, p);
  cmt__free(&t.env, zeroed);
  cmt__free(&t.env, NULL);
  test_env_fini(&t);
}

static void no_bytes_ask_the_hook_for_one(void **state) {
  test_env t;
  void *p;

  (void)state;
  test_env_init(&t);
  p = cmt__alloc(&t.env, 0);
  assert_non_null(p);
  assert_int_equal(1, t.live_bytes);
  cmt__free(&t.env, p);
  p = cmt__alloc_zero(NULL, 0);
  assert_non_null(p);
  cmt__free(NULL, p);
}

static void a_failed_allocation_is_passed_on(void **state) {
  test_env t;

  (void)state;
  test_env_init(&t);
  t.fail_at = 0;
  assert_null(cmt__alloc(&t.env, 1));
  t.fail_at = 1;
  assert_null(cmt__alloc_zero(&t.env, 1));
}

typedef struct panic_seen {
  jmp_buf back;
  int line;
  char file[64], what[64];
} panic_seen;

static void panic_to_test(void *arg, const char *file, int line,
                          const char *what) {
  panic_seen *seen = arg;

  seen->line = line;
  snprintf(seen->file, sizeof seen->file, "%s", file);
  snprintf(seen->what, sizeof seen->what, "%s", what);
  longjmp(seen->back, 1);
}

static void a_broken_invariant_calls_the_hook(void **state) {
  static panic_seen seen;
  static test_env t;

  (void)state;
  test_env_init(&t);
  t.env.panic = panic_to_test;
  t.env.panic_arg = &seen;
  CMT_ASSERT(&t.env, t.live == 0);
  assert_int_equal(0, seen.line);
  if (setjmp(seen.back) == 0) {
    cmt__panic(&t.env, "file.c", 7, "1 + 1 == 3");
  }
  assert_string_equal("file.c", seen.file);
  assert_int_equal(7, seen.line);
  assert_string_equal("1 + 1 == 3", seen.what);
}

static void nothing_is_logged_under_a_lock(void **state) {
  static panic_seen seen;
  cmt_env env;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.log = cmt_log_stderr;
  env.panic = panic_to_test;
  env.panic_arg = &seen;
  cmt__locks_held = 1;
  if (setjmp(seen.back) == 0) {
    cmt__log(&env, CMT_LOG_ERROR, "test", "under a lock");
  }
  cmt__locks_held = 0;
  assert_string_equal("cmt__locks_held == 0", seen.what);
}

static void panic_that_returns(void *arg, const char *file, int line,
                               const char *what) {
  (void)arg;
  (void)file;
  (void)line;
  (void)what;
}

/* The signal that ends a child which panics with |env|. */
static int signal_of_panic(const cmt_env *env) {
  int status;
  pid_t child = fork();

  if (child == 0) {
    signal(SIGABRT, SIG_DFL);
    cmt__panic(env, "file.c", 1, "never");
  }
  assert_true(child > 0);
  assert_int_equal(child, waitpid(child, &status, 0));
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_panic_never_returns(void **state) {
  cmt_env env;

  (void)state;
  assert_int_equal(SIGABRT, signal_of_panic(NULL));
  assert_cmt(CMT_OK, cmt_env_init(&env));
  assert_int_equal(SIGABRT, signal_of_panic(&env));
  env.panic = panic_that_returns;
  assert_int_equal(SIGABRT, signal_of_panic(&env));
  env.panic = NULL;
  assert_int_equal(SIGABRT, signal_of_panic(&env));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(defaults_are_complete),
    cmocka_unit_test(without_libsodium_there_is_no_environment),
    cmocka_unit_test(an_environment_that_is_none_has_no_kernel),
    cmocka_unit_test(no_environment_means_the_default_kernel),
    cmocka_unit_test(a_kernel_is_chosen_by_name),
    cmocka_unit_test(an_unknown_size_is_refused_and_nothing_written),
    cmocka_unit_test(a_copy_of_none_has_the_defaults),
    cmocka_unit_test(a_copy_keeps_every_hook),
    cmocka_unit_test(a_copy_of_an_unknown_size_is_refused),
    cmocka_unit_test(a_copy_without_a_needed_hook_is_refused),
    cmocka_unit_test(an_environment_of_an_older_header_is_filled_up),
    cmocka_unit_test(memory_can_be_had_of_a_whole_environment),
    cmocka_unit_test(secret_memory_is_allocated_and_freed_wiped),
    cmocka_unit_test(memory_goes_through_the_hooks),
    cmocka_unit_test(no_bytes_ask_the_hook_for_one),
    cmocka_unit_test(a_failed_allocation_is_passed_on),
    cmocka_unit_test(a_broken_invariant_calls_the_hook),
    cmocka_unit_test(nothing_is_logged_under_a_lock),
    cmocka_unit_test(a_panic_never_returns),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
