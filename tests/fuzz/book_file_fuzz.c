/* SPDX-License-Identifier: Apache-2.0 */
/* The files of an address book.  The first two bytes of the input draw the
   allocation that fails; up to a byte 0 the rest is addrbook.json, behind it is
   addrbook.cometp2p.json.  What was read is written and read again: the same
   book. */

#include "fuzz.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "home/book_file.h"

#define NOW_NS CMT_SECONDS(1700000000)

static cmt_addrbook *new_book(const fuzz_env *e, cmt_bytes main,
                              cmt_bytes side) {
  uint8_t hash_key[CMT__HIGHWAY_KEY_SIZE] = {1};
  char file_key[BOOK_FILE_KEY];
  cmt_addrbook_options o;
  cmt_addrbook *b;

  cmt_addrbook_options_init(&o);
  o.env = &e->env;
  cmt__book_file_key(main, file_key);
  o.file_key = file_key;
  (void)cmt__book_hash_key(side, hash_key);
  o.hash_key = hash_key;
  return cmt_addrbook_new(&o, &b, NULL) == CMT_OK ? b : NULL;
}

/* Each entry is in its buckets, and its slots know it. */
static void check_book(const cmt_addrbook *b) {
  size_t places = 0, filled = 0;

  for (size_t i = 0; i < b->count; i++) {
    const cmt__book_entry *e = cmt__book_at(b, i);

    FUZZ_CHECK(cmt__book_find(b, e->addr.id) == i);
    FUZZ_CHECK(e->bucket_count > 0 && e->bucket_count <= (e->old ? 1 : 4));
    for (size_t k = 0; k < e->bucket_count; k++) {
      FUZZ_CHECK(cmt__book_slot(b, e->buckets[k], e->slots[k]) == i);
      FUZZ_CHECK(e->old == (e->buckets[k] >= BOOK_NEW_BUCKETS));
    }
    places += e->bucket_count;
  }
  for (size_t i = 0; i < BOOK_BUCKETS; i++) {
    filled += b->fill[i];
  }
  FUZZ_CHECK(places == filled);
}

/* Reads both texts; NULL: memory was short. */
static cmt_addrbook *read_book(const fuzz_env *e, cmt_bytes main,
                               cmt_bytes side, bool *broken) {
  cmt_addrbook *b = new_book(e, main, side);
  cmt__book_read of_main, of_side;

  if (b == NULL) {
    return NULL;
  }
  if (cmt__book_main_read(b, main, &of_main) != CMT_OK ||
      cmt__book_side_read(b, side, NOW_NS, &of_side) != CMT_OK) {
    check_book(b);
    cmt_addrbook_delete(b);
    return NULL;
  }
  FUZZ_CHECK(of_main.loaded >= b->count);
  *broken = of_main.broken_at != SIZE_MAX || of_side.broken_at != SIZE_MAX;
  check_book(b);
  return b;
}

/* The text that |write| makes of |s|; the caller frees it. */
static char *text_of(const fuzz_env *e, const cmt_addrbook_snapshot *s,
                     void (*write)(const cmt_addrbook_snapshot *,
                                   cmt__temp_file *),
                     size_t *len) {
  static cmt__temp_file t;
  char *text;

  t.env = &e->env;
  t.fd = memfd_create("book", MFD_CLOEXEC);
  t.len = 0;
  t.error = 0;
  FUZZ_CHECK(t.fd >= 0);
  write(s, &t);
  FUZZ_CHECK(cmt__temp_file_flush(&t) == 0);
  *len = (size_t)lseek(t.fd, 0, SEEK_END);
  text = malloc(*len + 1);
  FUZZ_CHECK(text != NULL && pread(t.fd, text, *len, 0) == (ssize_t)*len);
  close(t.fd);
  return text;
}

static void check_again(const fuzz_env *e, const cmt_addrbook_snapshot *s) {
  size_t main_len, side_len;
  char *main = text_of(e, s, cmt__book_main_write, &main_len);
  char *side = text_of(e, s, cmt__book_side_write, &side_len);
  bool broken;
  cmt_addrbook *b =
    read_book(e, (cmt_bytes){.base = (uint8_t *)main, .len = main_len},
              (cmt_bytes){.base = (uint8_t *)side, .len = side_len}, &broken);

  free(main);
  free(side);
  if (b != NULL) {
    FUZZ_CHECK(!broken && b->count == s->count && b->ban_count == s->ban_count);
    FUZZ_CHECK(strcmp(b->file_key, s->file_key) == 0);
    for (size_t i = 0; i < s->count; i++) {
      const cmt__book_entry *found = cmt__book_lookup(b, s->entries[i].addr.id);

      FUZZ_CHECK(found != NULL && found->old == s->entries[i].old);
      FUZZ_CHECK(found->proven_ns == s->entries[i].proven_ns);
      FUZZ_CHECK(found->last_attempt_ns == s->entries[i].last_attempt_ns);
      FUZZ_CHECK(found->attempts == s->entries[i].attempts);
    }
    cmt_addrbook_delete(b);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_input in = {.at = data, .left = size};
  cmt_addrbook_snapshot *s;
  cmt_bytes main, side = {0};
  const uint8_t *end;
  cmt_addrbook *b;
  fuzz_env e;
  bool broken;

  fuzz_env_init(&e);
  e.fail_at = fuzz_byte(&in);
  e.fail_at = fuzz_byte(&in) == 1 ? e.fail_at : SIZE_MAX;
  main = fuzz_take(&in, in.left);
  end = main.len > 0 ? memchr(main.base, 0, main.len) : NULL;
  if (end != NULL) {
    side = (cmt_bytes){.base = end + 1,
                       .len = main.len - (size_t)(end + 1 - main.base)};
    main.len = (size_t)(end - main.base);
  }
  b = read_book(&e, main, side, &broken);
  if (b != NULL && cmt_addrbook_snapshot_new(b, &s) == CMT_OK) {
    check_again(&e, s);
    cmt_addrbook_snapshot_delete(s);
  }
  cmt_addrbook_delete(b);
  fuzz_env_fini(&e);
  return 0;
}
