/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for keys: slots, and what the system does with their pages. */

#include "crypto/key_slab.h"
#include "node.h"
#include "sys/lock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLOT = 64, MANY = 3000 };

typedef struct fixture {
  test_env t;
  cmt__key_slab k;
  uint8_t *slots[MANY];
} fixture;

/* What libsodium calls: the sanitizers' own does nothing and succeeds. */
__attribute__((visibility("default"))) int mlock(const void *p, size_t len);
int mlock(const void *p, size_t len) { return (int)syscall(SYS_mlock, p, len); }

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_env_init(&f->t);
  cmt__key_slab_init(&f->k, NULL, SLOT);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  cmt__key_slab_fini(&f->k, &f->t.env);
  test_env_fini(&f->t);
  free(f);
  return 0;
}

static uint8_t *take(fixture *f) {
  uint8_t *slot = cmt__key_slab_take(&f->k, &f->t.env);

  assert_non_null(slot);
  return slot;
}

static void give(fixture *f, void *slot) {
  cmt__key_slab_give(&f->k, &f->t.env, slot);
}

static uint64_t bytes_of(fixture *f) {
  uint64_t locked = 0, unlocked = 0;

  cmt__key_slab_count(&f->k, &locked, &unlocked);
  return locked + unlocked;
}

static void assert_all(uint8_t byte, const uint8_t *slot) {
  for (size_t i = 0; i < SLOT; i++) {
    assert_int_equal(byte, slot[i]);
  }
}

/* ---- slots ---- */

static void every_slot_is_of_zeros_and_of_its_own(void **state) {
  fixture *f = *state;

  for (size_t i = 0; i < MANY; i++) {
    f->slots[i] = take(f);
    assert_int_equal(0, (uintptr_t)f->slots[i] % 16);
    assert_all(0, f->slots[i]);
    memset(f->slots[i], (int)(i % 255) + 1, SLOT);
  }
  for (size_t i = 0; i < MANY; i++) {
    assert_all((uint8_t)(i % 255 + 1), f->slots[i]);
    give(f, f->slots[i]);
  }
}

static void a_slot_is_wiped_and_used_again(void **state) {
  fixture *f = *state;
  uint8_t *first = take(f), *second = take(f);

  memset(first, 7, SLOT);
  memset(second, 8, SLOT);
  give(f, first);
  assert_all(0, first); /* Its page stays for the second. */
  assert_all(8, second);
  assert_ptr_equal(first, take(f));
  give(f, first);
  give(f, second);
  give(f, NULL);
}

/* Sizes of slots, and how many slots the chunks of one, two, four, eight and
   sixteen pages have, of which the last ones are all alike.  Sixteen bytes of
   each chunk are the system's. */
enum { SIZES_CHUNKS = 6 };

static const struct {
  size_t size, slots[SIZES_CHUNKS];
} sizes[] = {
  {1, {255, 511, 1023, 2047, 4095, 4095}},
  {16, {255, 511, 1023, 2047, 4095, 4095}},
  {17, {127, 255, 511, 1023, 2047, 2047}},
  {48, {85, 170, 341, 682, 1365, 1365}},
  {64, {63, 127, 255, 511, 1023, 1023}},
  {112, {36, 73, 146, 292, 585, 585}}, /* 585 is nine words and a bit. */
  {2032, {2, 4, 8, 16, 32, 32}},
  {4080, {1, 2, 4, 8, 16, 16}},
};

static void chunks_have_as_many_slots_as_fit_their_pages(void **state) {
  static uint8_t *slots[12100];
  uint64_t bytes = 0;

  (void)state;
  for (size_t row = 0; row < CMT__COUNT(sizes); row++) {
    size_t slot = (sizes[row].size + 15) / 16 * 16, count = 0;
    fixture f = {.slots = {NULL}};

    test_env_init(&f.t);
    cmt__key_slab_init(&f.k, &f.t.env, sizes[row].size);
    for (size_t c = 0; c < SIZES_CHUNKS; c++) {
      bytes = c == 0 ? 0 : bytes;
      bytes += sizes[row].slots[c] * slot;
      for (size_t i = 0; i < sizes[row].slots[c]; i++) {
        slots[count] = take(&f);
        assert_int_equal(0, (uintptr_t)slots[count] % 16);
        memset(slots[count++], 0xa5, slot);
        assert_int_equal(bytes, bytes_of(&f));
        assert_int_equal(c + 1, f.t.live);
      }
    }
    while (count > 0) {
      give(&f, slots[--count]);
    }
    cmt__key_slab_fini(&f.k, &f.t.env);
    test_env_fini(&f.t);
  }
}

/* An empty chunk stays, so that the next connection need not ask the
   system. */
static void empty_chunks_are_freed_but_one(void **state) {
  fixture *f = *state;

  for (size_t i = 0; i < MANY; i++) {
    f->slots[i] = take(f);
  }
  assert_in_range(bytes_of(f), MANY * SLOT, MANY * SLOT + 65536);
  assert_in_range(f->t.live, 3, 8);
  for (size_t i = 0; i < MANY; i++) {
    give(f, f->slots[i]);
  }
  assert_int_equal(1, f->t.live);
  assert_in_range(bytes_of(f), 1, 65536);
  for (size_t i = 0; i < 100; i++) {
    size_t allocs = f->t.allocs;

    give(f, take(f));
    assert_int_equal(allocs, f->t.allocs);
  }
}

/* A header and a word for each chunk that may be there at one time, and a bit
   for each slot, of the last chunk too. */
static void what_is_reported_is_a_sum_of_chunks_and_bits(void **state) {
  enum { HEADER = 40 + 8 };
  static const struct {
    size_t size, count, chunks, bits;
  } rows[] = {
    {64, 0, 1, 1023},     {64, 62, 1, 1085},       {64, 63, 2, 1086},
    {64, 3000, 48, 4023}, {4080, 10, 11, 26},      {1, 1000, 4, 5095},
    {17, 127, 2, 2174},   {2032, 1000, 501, 1032},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_int_equal(rows[i].chunks * HEADER + rows[i].bits / 8,
                     cmt__key_slab_memory(rows[i].size, rows[i].count));
  }
}

static void
slots_of_the_environment_stay_within_what_is_reported(void **state) {
  fixture *f = *state;

  for (size_t i = 0; i < MANY; i++) {
    f->slots[i] = take(f);
    assert_in_range(f->t.live_bytes, 1, cmt__key_slab_memory(SLOT, i + 1));
  }
  for (size_t i = 0; i < MANY; i++) {
    give(f, f->slots[i]);
  }
}

static void without_memory_there_is_no_slot(void **state) {
  fixture *f = *state;

  f->t.fail_at = f->t.allocs;
  assert_null(cmt__key_slab_take(&f->k, &f->t.env));
  assert_int_equal(0, bytes_of(f));
  give(f, take(f));
}

static void without_secret_memory_there_is_no_slot(void **state) {
  fixture *f = *state;

  f->t.secret_fail_at = f->t.secret_allocs;
  assert_null(cmt__key_slab_take(&f->k, &f->t.env));
  assert_int_equal(0, bytes_of(f));
  assert_int_equal(0, f->t.live);
  give(f, take(f));
}

/* test_env looks at the bytes of each chunk that comes back. */
static void chunks_come_back_wiped(void **state) {
  fixture *f = *state;

  for (size_t i = 0; i < MANY; i++) {
    f->slots[i] = take(f);
    memset(f->slots[i], 0xa5, SLOT);
  }
  assert_in_range(f->t.secret_live, 3, 8);
  for (size_t i = 0; i < MANY; i++) {
    give(f, f->slots[i]);
  }
  assert_int_equal(1, f->t.secret_live);
}

/* Secret memory in one piece, given out from its end, so that a chunk ends
   where the one before it begins; every second chunk is not locked. */
static struct {
  _Alignas(16) uint8_t bytes[65536];
  size_t left, chunks;
} piece;

static void *piece_alloc(void *arg, size_t len, bool *locked) {
  (void)arg;
  assert_true(len <= piece.left);
  *locked = piece.chunks++ % 2 == 0;
  piece.left -= len;
  return piece.bytes + piece.left;
}

static void piece_free(void *arg, void *p, size_t len) {
  (void)arg;
  (void)p;
  (void)len;
}

static void assert_counts(fixture *f, uint64_t locked, uint64_t unlocked) {
  uint64_t found_locked = 1, found_unlocked = 2;

  cmt__key_slab_count(&f->k, &found_locked, &found_unlocked);
  assert_int_equal(1 + locked, found_locked);
  assert_int_equal(2 + unlocked, found_unlocked);
}

/* Chunks of 63, 127 and 255 slots. */
static void what_is_locked_is_counted_apart(void **state) {
  enum { FIRST = 63 * SLOT, SECOND = 127 * SLOT, THIRD = 255 * SLOT };
  fixture *f = *state;

  piece.left = sizeof piece.bytes;
  piece.chunks = 0;
  f->t.env.secret_alloc = piece_alloc;
  f->t.env.secret_free = piece_free;
  for (size_t i = 0; i < 63 + 127 + 1; i++) {
    f->slots[i] = take(f);
    assert_counts(f, FIRST + (i < 63 + 127 ? 0 : THIRD), i < 63 ? 0 : SECOND);
  }
  /* The last chunk is empty, but the others are full. */
  give(f, f->slots[63 + 127]);
  assert_counts(f, FIRST + THIRD, SECOND);
  for (size_t i = 63; i < 63 + 127; i++) {
    assert_counts(f, FIRST + THIRD, SECOND);
    give(f, f->slots[i]);
  }
  assert_counts(f, FIRST + THIRD, 0);
  for (size_t i = 0; i < 63; i++) {
    assert_counts(f, FIRST + THIRD, 0);
    give(f, f->slots[i]);
  }
  assert_counts(f, THIRD, 0);
}

/* ---- threads ---- */

static void *take_and_give(void *arg) {
  fixture *f = arg;
  uint8_t *mine[100];

  for (size_t round = 0; round < 20; round++) {
    for (size_t i = 0; i < CMT__COUNT(mine); i++) {
      mine[i] = cmt__key_slab_take(&f->k, NULL);
      if (mine[i] == NULL || mine[i][0] != 0) {
        return f;
      }
      memset(mine[i], (int)round + 1, SLOT);
    }
    for (size_t i = 0; i < CMT__COUNT(mine); i++) {
      if (mine[i][SLOT - 1] != round + 1) {
        return f;
      }
      cmt__key_slab_give(&f->k, NULL, mine[i]);
    }
  }
  return NULL;
}

static void threads_share_a_slab(void **state) {
  fixture f = {.slots = {NULL}};
  pthread_t threads[4];
  pthread_mutex_t lock;
  void *failed;

  (void)state;
  cmt__key_slab_init(&f.k, NULL, SLOT);
  pthread_mutex_init(&lock, NULL);
  f.k.guard = cmt__lock_guard(&lock);
  for (size_t i = 0; i < CMT__COUNT(threads); i++) {
    assert_int_equal(0, pthread_create(&threads[i], NULL, take_and_give, &f));
  }
  for (size_t i = 0; i < CMT__COUNT(threads); i++) {
    assert_int_equal(0, pthread_join(threads[i], &failed));
    assert_null(failed);
  }
  cmt__key_slab_fini(&f.k, NULL);
  pthread_mutex_destroy(&lock);
}

/* ---- pages ---- */

enum { LINE = 512 };

/* The flags of the mapping of |p| in /proc/self/smaps, such as "VmFlags: rd wr
   lo dd"; false: there is no such file. */
static bool flags_of(const void *p, char line[LINE]) {
  FILE *file = fopen("/proc/self/smaps", "r");
  bool inside = false, found = false;

  while (file != NULL && !found && fgets(line, LINE, file) != NULL) {
    unsigned long begin, end;

    if (sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
      inside = (uintptr_t)p >= begin && (uintptr_t)p < end;
    } else {
      found = inside && strncmp(line, "VmFlags:", 8) == 0;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return found;
}

static void pages_are_locked_and_stay_out_of_core_dumps(void **state) {
  fixture *f = *state;
  uint8_t *slot = take(f);
  char flags[LINE];

  if (!flags_of(slot, flags)) {
    print_message("# skipped: /proc/self/smaps does not tell\n");
    give(f, slot);
    skip();
  }
  assert_non_null(strstr(flags, " dd"));
  if (f->k.locked_bytes > 0) {
    assert_non_null(strstr(flags, " lo"));
  } else {
    print_message("# nothing may be locked here\n");
    assert_null(strstr(flags, " lo"));
  }
  give(f, slot);
}

/* A process that may lock nothing runs |what|; 0: it was content. */
static int without_locks(int (*what)(void)) {
  const struct rlimit none = {0};
  pid_t child = fork();
  int status = 0;

  assert_true(child >= 0);
  if (child == 0) {
    /* What root may lock has no limit. */
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
        (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)) {
      _exit(99);
    }
    _exit(what());
  }
  assert_int_equal(child, waitpid(child, &status, 0));
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static int use_a_slot(void) {
  uint64_t locked = 0, unlocked = 0;
  cmt__key_slab k;
  uint8_t *slot;

  cmt__key_slab_init(&k, NULL, SLOT);
  slot = cmt__key_slab_take(&k, NULL);
  if (slot == NULL) {
    return 2;
  }
  memset(slot, 1, SLOT);
  cmt__key_slab_count(&k, &locked, &unlocked);
  cmt__key_slab_give(&k, NULL, slot);
  cmt__key_slab_fini(&k, NULL);
  return locked == 0 && unlocked > 0 ? 0 : 3;
}

static void a_refused_lock_is_no_error(void **state) {
  (void)state;
  assert_int_equal(0, without_locks(use_a_slot));
}

static void count_lines(void *arg, cmt_log_level level, const char *module,
                        const char *line) {
  (void)module;
  *(int *)arg += level == CMT_LOG_WARN && strstr(line, "locked") != NULL;
}

/* Connections of three nodes; the one in the middle counts its lines. */
static int connect_without_locks(void) {
  cmt_switch_status status;
  test_trio *trio;
  void *state;
  int lines = 0;
  cmt_env env;

  (void)test_trio_setup(&state);
  trio = state;
  env = trio->w.env.env;
  env.log = count_lines;
  env.log_arg = &lines;
  trio->b.options.env = &env;
  test_node_start(&trio->b);
  test_node_start(&trio->a);
  test_node_start(&trio->c);
  test_node_dial(&trio->a, trio->b.addr, 0);
  test_node_dial(&trio->c, trio->b.addr, 0);
  cmt_switch_get_status(trio->b.sw, &status);
  (void)test_trio_teardown(&state);
  return status.inbound_peers == 2 && status.locked_key_bytes == 0 &&
             status.unlocked_key_bytes > 0 && lines == 1
           ? 0
           : 1;
}

static void a_switch_reports_once_that_keys_are_not_locked(void **state) {
  (void)state;
  assert_int_equal(0, without_locks(connect_without_locks));
}

static void a_switch_reports_what_is_locked(void **state) {
  cmt_switch_status status;
  test_trio *trio;

  (void)test_trio_setup(state);
  trio = *state;
  test_pair(&trio->w, &trio->a, &trio->b);
  cmt_switch_get_status(trio->b.sw, &status);
  assert_in_range(status.locked_key_bytes + status.unlocked_key_bytes, 2 * SLOT,
                  2 * 4096);
  (void)test_trio_teardown(state);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(every_slot_is_of_zeros_and_of_its_own),
    TEST(a_slot_is_wiped_and_used_again),
    cmocka_unit_test(chunks_have_as_many_slots_as_fit_their_pages),
    TEST(empty_chunks_are_freed_but_one),
    cmocka_unit_test(what_is_reported_is_a_sum_of_chunks_and_bits),
    TEST(slots_of_the_environment_stay_within_what_is_reported),
    TEST(without_memory_there_is_no_slot),
    TEST(without_secret_memory_there_is_no_slot),
    TEST(chunks_come_back_wiped),
    TEST(what_is_locked_is_counted_apart),
    cmocka_unit_test(threads_share_a_slab),
    TEST(pages_are_locked_and_stay_out_of_core_dumps),
    cmocka_unit_test(a_refused_lock_is_no_error),
    cmocka_unit_test(a_switch_reports_once_that_keys_are_not_locked),
    cmocka_unit_test(a_switch_reports_what_is_locked),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
