/* SPDX-License-Identifier: Apache-2.0 */

/* Where an entry belongs.  docs/PROTOCOL.md 7.6. */

#include "book_impl.h"
#include "net_group.h"

enum {
  NEW_BUCKETS_PER_GROUP = 32, /* For a group of sources. */
  OLD_BUCKETS_PER_GROUP = 4,  /* For a group of addresses. */
  TEXT_SIZE = 3 * CMT__GROUP_SIZE + CMT_ADDRBOOK_KEY_SIZE + BOOK_ID * 2,
};

/* What goes into one hash. */
typedef struct hash_text {
  uint8_t bytes[TEXT_SIZE];
  size_t len;
} hash_text;

static void append(hash_text *t, const void *bytes, size_t len) {
  memcpy(t->bytes + t->len, bytes, len);
  t->len += len;
}

static void append_text(hash_text *t, const char *text) {
  append(t, text, strlen(text));
}

static void append_number(hash_text *t, uint64_t v) {
  for (int i = 7; i >= 0; i--) {
    t->bytes[t->len++] = (uint8_t)(v >> 8 * i);
  }
}

static hash_text text_start(const cmt_addrbook *b) {
  hash_text t = {.len = 0};

  append_text(&t, b->file_key);
  return t;
}

/* The sum as CometBFT reads it: its library writes it little-endian, and the
   book reads it big-endian. */
static uint64_t hash(const cmt_addrbook *b, const hash_text *t) {
  uint64_t sum = cmt__highway_hash(b->hash_key, t->bytes, t->len), out = 0;

  for (int i = 0; i < 8; i++) {
    out = out << 8 | (sum >> 8 * i & 0xff);
  }
  return out;
}

static void group_of(const cmt_addrbook *b, const cmt__book_addr *a,
                     char out[CMT__GROUP_SIZE]) {
  static const uint8_t none[BOOK_ID] = {0};

  cmt__ip_group(&a->at.ip, b->strict, memcmp(a->id, none, sizeof none) != 0,
                out);
}

unsigned cmt__book_new_bucket(const cmt_addrbook *b, const cmt__book_addr *addr,
                              const cmt__book_addr *src) {
  char group[CMT__GROUP_SIZE], src_group[CMT__GROUP_SIZE];
  hash_text t = text_start(b);
  uint64_t first;

  group_of(b, addr, group);
  group_of(b, src, src_group);
  append_text(&t, group);
  append_text(&t, src_group);
  first = hash(b, &t) % NEW_BUCKETS_PER_GROUP;
  t = text_start(b);
  append_text(&t, src_group);
  append_number(&t, first);
  return (unsigned)(hash(b, &t) % BOOK_NEW_BUCKETS);
}

/* "id@host:port". */
static void append_addr(hash_text *t, const cmt__book_addr *a) {
  char host[CMT__IP_TEXT_SIZE], text[CMT__IP_TEXT_SIZE + sizeof "@[]:65535"];
  cmt_node_id id;
  bool v4 = cmt__ip_is_v4(&a->at.ip);

  cmt__book_id_write(a->id, &id);
  cmt__ip_write(&a->at.ip, host);
  snprintf(text, sizeof text, v4 ? "@%s:%u" : "@[%s]:%u", host,
           (unsigned)a->at.port);
  append_text(t, id.text);
  append_text(t, text);
}

unsigned cmt__book_old_bucket(const cmt_addrbook *b,
                              const cmt__book_addr *addr) {
  char group[CMT__GROUP_SIZE];
  hash_text t = text_start(b);
  uint64_t first;

  append_addr(&t, addr);
  first = hash(b, &t) % OLD_BUCKETS_PER_GROUP;
  t = text_start(b);
  group_of(b, addr, group);
  append_text(&t, group);
  append_number(&t, first);
  return BOOK_NEW_BUCKETS + (unsigned)(hash(b, &t) % BOOK_OLD_BUCKETS);
}

unsigned cmt__book_slot_of(const cmt_addrbook *b, const uint8_t id[BOOK_ID],
                           unsigned bucket) {
  hash_text t = text_start(b);

  append_number(&t, bucket);
  append(&t, id, BOOK_ID);
  return (unsigned)(hash(b, &t) % BOOK_SLOTS);
}
