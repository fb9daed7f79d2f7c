/* SPDX-License-Identifier: Apache-2.0 */

/* Reads the two files of an address book.  docs/PROTOCOL.md 7.7.

   What CometBFT loads, this loads.  Where CometBFT ends - a number out of
   range, a null - this skips the entry, or takes the value for absent.  Names
   of members match in letters of either case, as in Go. */

#include "book_file.h"
#include "json.h"
#include "pex/net_group.h"

#include "rfc3339.h"

#include <sodium.h>

enum {
  IP_TEXT = 64, /* With escapes, longer than any literal. */
  NUMBERS_PER_WINDOW = 2,
  BUCKETS_READ = 16, /* So many of an entry; the rest is ignored. */
};

/* An address as far as it was read. */
typedef struct addr_read {
  cmt__book_addr addr;
  bool has_id, has_ip, has_port;
} addr_read;

/* The reading of a text, with the entry under way. */
typedef struct reader {
  cmt_addrbook *b;
  cmt__book_read *found;
  cmt_err err;
  uint64_t now_ns;
  cmt__book_entry e;
  addr_read addr, src;
  int64_t buckets[BUCKETS_READ];
  size_t bucket_count;
  int64_t numbers[CMT_ADDRBOOK_WINDOWS * NUMBERS_PER_WINDOW];
  size_t number_count;
  addr_read other;
  cmt__book_place others[CMT_ADDRBOOK_OTHERS_MAX];
  cmt__book_ban ban;
  cmt_net_addr anchors[CMT_ADDRBOOK_ANCHORS_MAX];
  size_t anchor_count;
  bool is_book, has_more; /* Members of a book, and others. */
} reader;

/* ---- values; each returns false for malformed JSON alone ---- */

/* A string; |out| has no base when it is another value. */
static bool read_string(cmt__json *c, cmt_bytes *out) {
  *out = (cmt_bytes){0};
  return cmt__json_peek(c) == '"' ? cmt__json_string(c, out)
                                  : cmt__json_skip(c);
}

/* An integer from |min| to |max|; |*valid| is false for anything else. */
static bool read_int(cmt__json *c, int64_t min, int64_t max, int64_t *out,
                     bool *valid) {
  int next = cmt__json_peek(c);
  cmt_bytes text;

  *valid = false;
  if (next != '-' && (next < '0' || next > '9')) {
    return cmt__json_skip(c);
  }
  if (!cmt__json_number(c, &text)) {
    return false;
  }
  *valid = cmt__json_to_int(text, out) && *out >= min && *out <= max;
  return true;
}

/* An instant; what is none leaves |*out| as it is. */
static bool read_time(cmt__json *c, uint64_t *out) {
  cmt_bytes text;

  if (!read_string(c, &text)) {
    return false;
  }
  (void)(text.base != NULL && cmt__time_read(text, out));
  return true;
}

static bool read_id(cmt__json *c, uint8_t out[BOOK_ID], bool *valid) {
  cmt_bytes text;

  if (!read_string(c, &text)) {
    return false;
  }
  *valid = text.base != NULL && cmt__book_id_parse(text, out);
  return true;
}

static bool read_ip(cmt__json *c, cmt__ip *out, bool *valid) {
  char plain[IP_TEXT];
  cmt_bytes text;

  if (!read_string(c, &text)) {
    return false;
  }
  *valid = text.base != NULL &&
           cmt__json_text(text, plain, sizeof plain) < sizeof plain &&
           strchr(plain, '%') == NULL && cmt__ip_read(cmt_bytes_of(plain), out);
  return true;
}

static bool read_port(cmt__json *c, addr_read *a) {
  int64_t port;

  if (!read_int(c, 0, UINT16_MAX, &port, &a->has_port)) {
    return false;
  }
  a->addr.at.port = a->has_port ? (uint16_t)port : 0;
  return true;
}

/* Copies |name| in small letters. */
static void lower(const char *name, char out[CMT__JSON_NAME_SIZE]) {
  size_t i = 0;

  for (; name[i] != '\0' && i + 1 < CMT__JSON_NAME_SIZE; i++) {
    out[i] =
      name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
  }
  out[i] = '\0';
}

/* An "id", "ip" or "port"; |*known|: it was one. */
static bool read_addr_part(cmt__json *c, const char *small, addr_read *a,
                           bool *known) {
  *known = true;
  if (strcmp(small, "id") == 0) {
    return read_id(c, a->addr.id, &a->has_id);
  }
  if (strcmp(small, "ip") == 0) {
    return read_ip(c, &a->addr.at.ip, &a->has_ip);
  }
  if (strcmp(small, "port") == 0) {
    return read_port(c, a);
  }
  *known = false;
  return true;
}

static bool addr_member(cmt__json *c, const char *name, void *arg) {
  char small[CMT__JSON_NAME_SIZE];
  bool known;

  lower(name, small);
  if (!read_addr_part(c, small, arg, &known)) {
    return false;
  }
  return known || cmt__json_skip(c);
}

static bool read_addr(cmt__json *c, addr_read *out) {
  /* An absent port is 0, in Go. */
  *out = (addr_read){.has_port = true};
  return cmt__json_peek(c) == '{' ? cmt__json_object(c, addr_member, out)
                                  : cmt__json_skip(c);
}

/* ---- addrbook.json ---- */

static bool bucket_item(cmt__json *c, void *arg) {
  reader *r = arg;
  int64_t bucket;
  bool valid;

  if (!read_int(c, 0, BOOK_BUCKETS, &bucket, &valid)) {
    return false;
  }
  if (valid && r->bucket_count < BUCKETS_READ) {
    r->buckets[r->bucket_count++] = bucket;
  }
  return true;
}

static bool read_attempts(cmt__json *c, cmt__book_entry *e) {
  int64_t attempts;
  bool valid;

  if (!read_int(c, 0, INT32_MAX, &attempts, &valid)) {
    return false;
  }
  e->attempts = valid ? (uint32_t)attempts : 0;
  return true;
}

static bool read_kind(cmt__json *c, cmt__book_entry *e) {
  int64_t kind;
  bool valid;

  if (!read_int(c, 1, 2, &kind, &valid)) {
    return false;
  }
  e->old = valid && kind == CMT_ADDRBOOK_OLD;
  return true;
}

static bool entry_member(cmt__json *c, const char *name, void *arg) {
  char small[CMT__JSON_NAME_SIZE];
  reader *r = arg;

  lower(name, small);
  if (strcmp(small, "addr") == 0) {
    return read_addr(c, &r->addr);
  }
  if (strcmp(small, "src") == 0) {
    return read_addr(c, &r->src);
  }
  if (strcmp(small, "buckets") == 0 && cmt__json_peek(c) == '[') {
    return cmt__json_array(c, bucket_item, r);
  }
  if (strcmp(small, "attempts") == 0) {
    return read_attempts(c, &r->e);
  }
  if (strcmp(small, "bucket_type") == 0) {
    return read_kind(c, &r->e);
  }
  if (strcmp(small, "last_attempt") == 0) {
    return read_time(c, &r->e.last_attempt_ns);
  }
  if (strcmp(small, "last_success") == 0) {
    return read_time(c, &r->e.last_success_ns);
  }
  if (strcmp(small, "last_ban_time") == 0) {
    return read_time(c, &r->e.last_ban_ns);
  }
  return cmt__json_skip(c);
}

static void entry_begin(reader *r) {
  memset(&r->e, 0, sizeof r->e);
  r->addr = (addr_read){.has_id = false};
  r->src = r->addr;
  r->bucket_count = 0;
  r->number_count = 0;
}

/* Puts the entry back that was read.  Of two with one id the second counts, as
   in Go. */
static void entry_end(reader *r) {
  size_t most = CMT_ADDRBOOK_BUCKETS_PER_ENTRY, existing;
  cmt_err err;

  if (!r->addr.has_id || !r->addr.has_ip || !r->addr.has_port) {
    r->found->skipped++;
    return;
  }
  r->e.addr = r->addr.addr;
  r->e.src = r->src.has_id && r->src.has_ip ? r->src.addr : r->addr.addr;
  for (size_t i = 0; i < cmt__min(r->bucket_count, most); i++) {
    r->e.buckets[i] =
      (uint16_t)(r->buckets[i] + (r->e.old ? BOOK_NEW_BUCKETS : 0));
    r->e.bucket_count++;
  }
  existing = cmt__book_find(r->b, r->e.addr.id);
  if (existing != BOOK_NO_ENTRY) {
    cmt__book_drop(r->b, cmt__book_at(r->b, existing));
    r->found->loaded--;
  }
  err = cmt__book_put_back(r->b, &r->e);
  r->found->loaded += err == CMT_OK;
  r->found->skipped += err == CMT_EINVAL || err == CMT_ELIMIT;
  if (err == CMT_ENOMEM) {
    r->err = err;
  }
}

static bool entry_item(cmt__json *c, void *arg) {
  reader *r = arg;

  entry_begin(r);
  if (cmt__json_peek(c) != '{') {
    r->found->skipped++;
    return cmt__json_skip(c);
  }
  if (!cmt__json_object(c, entry_member, r)) {
    return false;
  }
  entry_end(r);
  return r->err == CMT_OK;
}

static bool main_member(cmt__json *c, const char *name, void *arg) {
  char small[CMT__JSON_NAME_SIZE];
  reader *r = arg;

  lower(name, small);
  if (strcmp(small, "key") == 0 || strcmp(small, "addrs") == 0) {
    r->is_book = true;
  } else {
    r->has_more = true;
  }
  return strcmp(small, "addrs") == 0 && cmt__json_peek(c) == '['
           ? cmt__json_array(c, entry_item, arg)
           : cmt__json_skip(c);
}

/* Reads the object |text|, and notes where it is malformed.  What follows the
   first value does not count. */
static cmt_err read_text(cmt_bytes text, reader *r,
                         bool (*member)(cmt__json *, const char *, void *)) {
  cmt__json c = cmt__json_begin(text);
  bool read = cmt__json_peek(&c) == '{'
                ? cmt__json_object(&c, member, r)
                : cmt__json_peek(&c) == 'n' && cmt__json_skip(&c);

  r->found->broken_at =
    read || r->err != CMT_OK ? SIZE_MAX : (size_t)(c.at - text.base);
  return r->err;
}

cmt_err cmt__book_main_read(cmt_addrbook *b, cmt_bytes text,
                            cmt__book_read *out) {
  reader r = {.b = b, .found = out};
  cmt_err err;

  *out = (cmt__book_read){.loaded = 0};
  err = read_text(text, &r, main_member);
  out->foreign = r.has_more && !r.is_book;
  return err;
}

/* ---- keys ---- */

typedef struct key_read {
  const char *name;
  cmt_bytes text;
} key_read;

/* Stops at the member with the name. */
static bool find_member(cmt__json *c, const char *name, void *arg) {
  char small[CMT__JSON_NAME_SIZE];
  key_read *key = arg;

  lower(name, small);
  if (strcmp(small, key->name) != 0) {
    return cmt__json_skip(c);
  }
  (void)read_string(c, &key->text);
  return false;
}

static cmt_bytes find_key(cmt_bytes text, const char *name) {
  key_read key = {.name = name};
  cmt__json c = cmt__json_begin(text);

  if (cmt__json_peek(&c) == '{') {
    (void)cmt__json_object(&c, find_member, &key);
  }
  return key.text;
}

void cmt__book_file_key(cmt_bytes text, char out[BOOK_FILE_KEY]) {
  cmt_bytes key = find_key(text, "key");

  out[0] = '\0';
  if (key.base == NULL) {
    return;
  }
  /* None of CometBFT's is longer, or has other characters. */
  if (cmt__json_text(key, out, BOOK_FILE_KEY) >= BOOK_FILE_KEY) {
    out[0] = '\0';
  }
  for (size_t i = 0; out[i] != '\0'; i++) {
    if (out[i] < 32 || out[i] > 126) {
      out[0] = '\0';
      break;
    }
  }
}

bool cmt__book_hash_key(cmt_bytes side, uint8_t out[CMT__HIGHWAY_KEY_SIZE]) {
  cmt_bytes key = find_key(side, "hash_key");
  size_t len = 0;

  return key.base != NULL &&
         sodium_hex2bin(out, CMT__HIGHWAY_KEY_SIZE, (const char *)key.base,
                        key.len, NULL, &len, NULL) == 0 &&
         len == CMT__HIGHWAY_KEY_SIZE;
}

/* ---- the file beside it ---- */

static bool number_item(cmt__json *c, void *arg) {
  reader *r = arg;
  int64_t number;
  bool valid;

  if (!read_int(c, 0, INT64_MAX, &number, &valid)) {
    return false;
  }
  if (r->number_count < CMT__COUNT(r->numbers)) {
    r->numbers[r->number_count++] = valid ? number : 0;
  }
  return true;
}

static bool other_item(cmt__json *c, void *arg) {
  reader *r = arg;

  if (!read_addr(c, &r->other)) {
    return false;
  }
  if (r->other.has_ip && r->other.has_port &&
      r->e.other_count < CMT_ADDRBOOK_OTHERS_MAX) {
    r->others[r->e.other_count++] = r->other.addr.at;
  }
  return true;
}

static bool read_version(cmt__json *c, cmt__book_entry *e) {
  cmt_bytes text;

  if (!read_string(c, &text)) {
    return false;
  }
  if (text.base != NULL) {
    (void)cmt__json_text(text, e->version, sizeof e->version);
    cmt__line_clean(e->version);
  }
  return true;
}

static bool read_height(cmt__json *c, cmt__book_entry *e) {
  bool valid;

  if (!read_int(c, 0, INT64_MAX, &e->height, &valid)) {
    return false;
  }
  e->height = valid ? e->height : 0;
  return true;
}

static bool read_height_time(cmt__json *c, cmt__book_entry *e) {
  uint64_t ns = 0;
  bool read = read_time(c, &ns);

  e->height_s = cmt__book_seconds(ns);
  return read;
}

static bool more_member(cmt__json *c, const char *name, void *arg) {
  reader *r = arg;
  bool known;

  if (!read_addr_part(c, name, &r->addr, &known)) {
    return false;
  }
  if (known) {
    return true;
  }
  if (strcmp(name, "proven") == 0) {
    return read_time(c, &r->e.proven_ns);
  }
  if (strcmp(name, "tried") == 0) {
    return read_time(c, &r->e.tried_ns);
  }
  if (strcmp(name, "height") == 0) {
    return read_height(c, &r->e);
  }
  if (strcmp(name, "height_at") == 0) {
    return read_height_time(c, &r->e);
  }
  if (strcmp(name, "version") == 0) {
    return read_version(c, &r->e);
  }
  if (strcmp(name, "windows") == 0 && cmt__json_peek(c) == '[') {
    return cmt__json_array(c, number_item, r);
  }
  if (strcmp(name, "others") == 0 && cmt__json_peek(c) == '[') {
    return cmt__json_array(c, other_item, r);
  }
  return cmt__json_skip(c);
}

static float of_millionths(int64_t v) { return (float)((double)v / 1e6); }

/* Gives the book's own entry what was read.  A proof beats the address that the
   book's file has, which somebody else may have written meanwhile. */
static void more_end(reader *r) {
  cmt__book_entry *e =
    r->addr.has_id ? cmt__book_lookup(r->b, r->addr.addr.id) : NULL;

  if (e == NULL || !r->addr.has_ip || !cmt__ip_is_valid(&r->addr.addr.at.ip)) {
    return;
  }
  if (!cmt__book_place_equal(&e->addr.at, &r->addr.addr.at)) {
    cmt__book_place reported = e->addr.at;

    if (r->e.proven_ns == 0) {
      return;
    }
    e->addr.at = r->addr.addr.at;
    cmt__book_add_other(r->b, e, &reported);
  }
  e->tried_ns = r->e.tried_ns;
  e->height = r->e.height;
  e->height_s = r->e.height_s;
  memcpy(e->version, r->e.version, sizeof e->version);
  for (size_t i = 0; i < r->number_count / NUMBERS_PER_WINDOW; i++) {
    const int64_t *numbers = &r->numbers[NUMBERS_PER_WINDOW * i];

    e->windows[i] = (cmt__book_window){.count = of_millionths(numbers[0]),
                                       .success = of_millionths(numbers[1])};
  }
  for (size_t i = 0; i < r->e.other_count; i++) {
    cmt__book_add_other(r->b, e, &r->others[i]);
  }
  cmt__book_set_proven(r->b, e, r->e.proven_ns);
  r->found->loaded++;
}

static bool more_item(cmt__json *c, void *arg) {
  reader *r = arg;

  entry_begin(r);
  r->addr.has_port = true;
  if (cmt__json_peek(c) != '{') {
    return cmt__json_skip(c);
  }
  if (!cmt__json_object(c, more_member, r)) {
    return false;
  }
  more_end(r);
  return true;
}

static bool ban_member(cmt__json *c, const char *name, void *arg) {
  reader *r = arg;
  int64_t kind;
  bool known;

  if (!read_addr_part(c, name, &r->addr, &known)) {
    return false;
  }
  if (known) {
    return true;
  }
  if (strcmp(name, "until") == 0) {
    return read_time(c, &r->ban.end_ns);
  }
  if (strcmp(name, "kind") == 0) {
    if (!read_int(c, CMT_ADDRBOOK_MISBEHAVED, CMT_ADDRBOOK_WRONG_ID, &kind,
                  &known)) {
      return false;
    }
    r->ban.kind = known ? (uint8_t)kind : 0;
    return true;
  }
  return cmt__json_skip(c);
}

static bool ban_item(cmt__json *c, void *arg) {
  reader *r = arg;
  cmt_addrbook_ban ban;

  entry_begin(r);
  r->ban = (cmt__book_ban){.kind = 0};
  if (cmt__json_peek(c) != '{') {
    return cmt__json_skip(c);
  }
  if (!cmt__json_object(c, ban_member, r)) {
    return false;
  }
  cmt_addrbook_ban_init(&ban);
  ban.kind = (cmt_addrbook_ban_kind)r->ban.kind;
  ban.end_ns = r->ban.end_ns;
  cmt__book_addr_write(&r->addr.addr, &ban.addr);
  if (r->addr.has_id && r->ban.kind != 0 && r->ban.end_ns > r->now_ns &&
      (r->addr.has_ip || r->ban.kind != CMT_ADDRBOOK_WRONG_ID)) {
    r->err = cmt_addrbook_bar(r->b, &ban, r->now_ns);
  }
  return r->err == CMT_OK;
}

static bool anchor_item(cmt__json *c, void *arg) {
  reader *r = arg;

  if (!read_addr(c, &r->addr)) {
    return false;
  }
  if (r->addr.has_id && r->addr.has_ip && r->addr.has_port &&
      r->anchor_count < CMT_ADDRBOOK_ANCHORS_MAX) {
    cmt__book_addr_write(&r->addr.addr, &r->anchors[r->anchor_count++]);
  }
  return true;
}

static bool side_member(cmt__json *c, const char *name, void *arg) {
  if (strcmp(name, "entries") == 0 && cmt__json_peek(c) == '[') {
    return cmt__json_array(c, more_item, arg);
  }
  if (strcmp(name, "bans") == 0 && cmt__json_peek(c) == '[') {
    return cmt__json_array(c, ban_item, arg);
  }
  if (strcmp(name, "anchors") == 0 && cmt__json_peek(c) == '[') {
    return cmt__json_array(c, anchor_item, arg);
  }
  return cmt__json_skip(c);
}

cmt_err cmt__book_side_read(cmt_addrbook *b, cmt_bytes side, uint64_t now_ns,
                            cmt__book_read *out) {
  reader r = {.b = b, .found = out, .now_ns = now_ns};
  uint64_t fates[CMT_ADDRBOOK_FATES];
  cmt_err err;

  *out = (cmt__book_read){.loaded = 0};
  memcpy(fates, b->fates, sizeof fates);
  err = read_text(side, &r, side_member);
  memcpy(b->fates, fates, sizeof fates); /* Stored bans are no news. */
  cmt_addrbook_set_anchors(b, r.anchors, r.anchor_count);
  return err;
}
