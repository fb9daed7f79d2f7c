/* SPDX-License-Identifier: Apache-2.0 */

/* Reads addrbook.json, the keys of both files of an address book, and the
   values that both have.  docs/PROTOCOL.md 7.7.

   What CometBFT loads, this loads.  Where CometBFT ends - a number out of
   range, a null - this skips the entry, or takes the value for absent.  Names
   of members match in letters of either case, as in Go. */

#include "book_file_read.h"

#include <sodium.h>

#include "rfc3339.h"

enum { IP_TEXT = 64 }; /* With escapes, longer than any literal. */

/* ---- values; each returns false for malformed JSON alone ---- */

bool cmt__book_json_string(cmt__json *c, cmt_bytes *out) {
  *out = (cmt_bytes){0};
  return cmt__json_peek(c) == '"' ? cmt__json_string(c, out)
                                  : cmt__json_skip(c);
}

bool cmt__book_json_int(cmt__json *c, int64_t min, int64_t max, int64_t *out,
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

bool cmt__book_json_time(cmt__json *c, uint64_t *out) {
  cmt_bytes text;

  if (!cmt__book_json_string(c, &text)) {
    return false;
  }
  (void)(text.base != NULL && cmt__time_read(text, out));
  return true;
}

static bool read_id(cmt__json *c, uint8_t out[BOOK_ID], bool *valid) {
  cmt_bytes text;

  if (!cmt__book_json_string(c, &text)) {
    return false;
  }
  *valid = text.base != NULL && cmt__book_id_parse(text, out);
  return true;
}

static bool read_ip(cmt__json *c, cmt__ip *out, bool *valid) {
  char plain[IP_TEXT];
  cmt_bytes text;

  if (!cmt__book_json_string(c, &text)) {
    return false;
  }
  *valid = text.base != NULL &&
           cmt__json_text(text, plain, sizeof plain) < sizeof plain &&
           strchr(plain, '%') == NULL && cmt__ip_read(cmt_bytes_of(plain), out);
  return true;
}

static bool read_port(cmt__json *c, cmt__book_addr_found *a) {
  int64_t port;

  if (!cmt__book_json_int(c, 0, UINT16_MAX, &port, &a->has_port)) {
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

bool cmt__book_json_addr_part(cmt__json *c, const char *small,
                              cmt__book_addr_found *a, bool *known) {
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
  if (!cmt__book_json_addr_part(c, small, arg, &known)) {
    return false;
  }
  return known || cmt__json_skip(c);
}

bool cmt__book_json_addr(cmt__json *c, cmt__book_addr_found *out) {
  /* An absent port is 0, in Go. */
  *out = (cmt__book_addr_found){.has_port = true};
  return cmt__json_peek(c) == '{' ? cmt__json_object(c, addr_member, out)
                                  : cmt__json_skip(c);
}

/* ---- addrbook.json ---- */

static bool bucket_item(cmt__json *c, void *arg) {
  cmt__book_reader *r = arg;
  int64_t bucket;
  bool valid;

  if (!cmt__book_json_int(c, 0, BOOK_BUCKETS, &bucket, &valid)) {
    return false;
  }
  if (valid && r->bucket_count < CMT__BOOK_BUCKETS_READ) {
    r->buckets[r->bucket_count++] = bucket;
  }
  return true;
}

static bool read_attempts(cmt__json *c, cmt__book_entry *e) {
  int64_t attempts;
  bool valid;

  if (!cmt__book_json_int(c, 0, INT32_MAX, &attempts, &valid)) {
    return false;
  }
  e->attempts = valid ? (uint32_t)attempts : 0;
  return true;
}

static bool read_kind(cmt__json *c, cmt__book_entry *e) {
  int64_t kind;
  bool valid;

  if (!cmt__book_json_int(c, 1, 2, &kind, &valid)) {
    return false;
  }
  e->old = valid && kind == CMT_ADDRBOOK_OLD;
  return true;
}

static bool entry_member(cmt__json *c, const char *name, void *arg) {
  char small[CMT__JSON_NAME_SIZE];
  cmt__book_reader *r = arg;

  lower(name, small);
  if (strcmp(small, "addr") == 0) {
    return cmt__book_json_addr(c, &r->addr);
  }
  if (strcmp(small, "src") == 0) {
    return cmt__book_json_addr(c, &r->src);
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
    return cmt__book_json_time(c, &r->e.last_attempt_ns);
  }
  if (strcmp(small, "last_success") == 0) {
    return cmt__book_json_time(c, &r->e.last_success_ns);
  }
  if (strcmp(small, "last_ban_time") == 0) {
    return cmt__book_json_time(c, &r->e.last_ban_ns);
  }
  return cmt__json_skip(c);
}

void cmt__book_entry_begin(cmt__book_reader *r) {
  memset(&r->e, 0, sizeof r->e);
  r->addr = (cmt__book_addr_found){.has_id = false};
  r->src = r->addr;
  r->bucket_count = 0;
  r->number_count = 0;
}

/* Puts the entry back that was read.  Of two with one id the second counts, as
   in Go. */
static void entry_end(cmt__book_reader *r) {
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
  cmt__book_reader *r = arg;

  cmt__book_entry_begin(r);
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
  cmt__book_reader *r = arg;

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

cmt_err cmt__book_text_read(cmt_bytes text, cmt__book_reader *r,
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
  cmt__book_reader r = {.b = b, .found = out};
  cmt_err err;

  *out = (cmt__book_read){.loaded = 0};
  err = cmt__book_text_read(text, &r, main_member);
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
  (void)cmt__book_json_string(c, &key->text);
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
