/* SPDX-License-Identifier: Apache-2.0 */

/* Bans.

   Design notes.  The list is sorted by key, and an address is looked up once
   for each length of prefix that any ban has, so a look-up costs a few binary
   searches, whatever else the switch does.  Only the first loop knows the time;
   a ban that another thread made counts from when the loop sees it, and covers
   at once. */

#include "bans.h"

#include "base/sized.h"
#include "core/conn/net_addr.h"

#include <stdio.h>

enum {
  V4_BITS = 96, /* Before those of IPv4. */
  IP_BITS = 128,
};

#define DURATION_DEFAULT CMT_SECONDS(86400)

void cmt_ban_init_sized(cmt_ban *b, size_t size) {
  const cmt_ban full = {
    .duration_ns = DURATION_DEFAULT, .end_ns = CMT_NEVER, .subject = ""};

  cmt__sized_write(b, size, &full, sizeof full);
}

cmt_err cmt__bans_init(cmt__bans *b, const cmt_env *env) {
  *b = (cmt__bans){.env = env};
  return pthread_mutex_init(&b->lock, NULL) == 0 ? CMT_OK : CMT_ENOMEM;
}

void cmt__bans_fini(cmt__bans *b) {
  cmt__free(b->env, b->list);
  pthread_mutex_destroy(&b->lock);
}

size_t cmt__bans_memory(void) { return CMT_BANS_MAX * sizeof(cmt__ban); }

/* ---- subjects ---- */

static unsigned hex_value(char c) {
  return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static cmt__ban_key key_of_id(const cmt_node_id *id) {
  cmt__ban_key key = {.bits = CMT__BAN_ID};

  for (size_t i = 0; i < CMT__BAN_ID_BYTES; i++) {
    key.bytes[i] = (uint8_t)(hex_value(id->text[2 * i]) << 4 |
                             hex_value(id->text[2 * i + 1]));
  }
  return key;
}

static cmt__ban_key key_of_ip(const cmt__ip *ip, unsigned bits) {
  cmt__ban_key key = {.bits = (uint8_t)bits};
  cmt__ip prefix = cmt__ip_prefix(ip, bits);

  memcpy(key.bytes, prefix.bytes, sizeof prefix.bytes);
  return key;
}

/* Up to three decimal digits without leading zeros. */
static bool read_bits(cmt_bytes text, unsigned *out) {
  unsigned value = 0;

  if (text.len < 1 || text.len > 3 || (text.len > 1 && text.base[0] == '0')) {
    return false;
  }
  for (size_t i = 0; i < text.len; i++) {
    if (text.base[i] < '0' || text.base[i] > '9') {
      return false;
    }
    value = 10 * value + (unsigned)(text.base[i] - '0');
  }
  *out = value;
  return true;
}

/* An address or a range.  The length of a prefix is that of the form in which
   the address is written. */
static bool read_range(cmt_bytes text, cmt__ban_key *out) {
  const uint8_t *slash = text.len > 0 ? memchr(text.base, '/', text.len) : NULL;
  cmt_bytes host = text;
  unsigned bits = IP_BITS, before = 0;
  cmt__ip ip;

  if (slash != NULL) {
    host.len = (size_t)(slash - text.base);
  }
  if (!cmt__ip_read(host, &ip)) {
    return false;
  }
  if (slash != NULL) {
    before = memchr(host.base, ':', host.len) == NULL ? V4_BITS : 0;
    if (!read_bits(
          (cmt_bytes){.base = slash + 1, .len = text.len - host.len - 1},
          &bits) ||
        before + bits > IP_BITS) {
      return false;
    }
    bits += before;
  }
  *out = key_of_ip(&ip, bits);
  return true;
}

cmt_err cmt__ban_parse(const char *subject, cmt__ban_key *out, cmt_why *why) {
  cmt_bytes text = cmt_bytes_of(subject != NULL ? subject : "");
  char quoted[2 * CMT_BAN_TEXT_SIZE];
  cmt_node_id id;

  if (cmt__node_id_read(text, &id)) {
    *out = key_of_id(&id);
    return CMT_OK;
  }
  if (read_range(text, out)) {
    return CMT_OK;
  }
  cmt__quote(text, quoted, sizeof quoted);
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "subject is \"%s\", allowed are a node id, an IP address, "
                  "and a range such as 10.0.0.0/8",
                  quoted);
}

void cmt__ban_text(const cmt__ban_key *key, char out[CMT_BAN_TEXT_SIZE]) {
  char text[CMT__IP_TEXT_SIZE];
  cmt__ip ip;

  if (key->bits == CMT__BAN_ID) {
    for (size_t i = 0; i < CMT__BAN_ID_BYTES; i++) {
      snprintf(out + 2 * i, sizeof "ff", "%02x", key->bytes[i]);
    }
    return;
  }
  memcpy(ip.bytes, key->bytes, sizeof ip.bytes);
  cmt__ip_write(&ip, text);
  if (key->bits == IP_BITS) {
    snprintf(out, CMT_BAN_TEXT_SIZE, "%s", text);
  } else {
    snprintf(out, CMT_BAN_TEXT_SIZE, "%s/%d", text,
             cmt__ip_is_v4(&ip) ? key->bits - V4_BITS : key->bits);
  }
}

cmt_err cmt_ban_set_subject(cmt_ban *b, const char *text, cmt_why *why) {
  cmt__ban_key key;
  cmt_err err = b != NULL ? cmt__ban_parse(text, &key, why)
                          : cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                                     "the ban is NULL");

  if (err == CMT_OK) {
    cmt__ban_text(&key, b->subject);
  }
  return err;
}

void cmt__ban_why(const cmt__ban *b, cmt_stage stage, cmt_why *why) {
  char text[CMT_BAN_TEXT_SIZE];

  cmt__ban_text(&b->key, text);
  cmt__why(why, CMT_EBANNED, stage, "%s%s is banned",
           b->key.bits == CMT__BAN_ID ? "node " : "", text);
}

/* ---- the list; under the lock ---- */

/* Where |key| is, or where it would be; true: it is there. */
static bool search(const cmt__bans *b, const cmt__ban_key *key, size_t *at) {
  size_t low = 0, high = b->count;

  while (low < high) {
    size_t middle = low + (high - low) / 2;

    if (memcmp(&b->list[middle].key, key, sizeof *key) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  *at = low;
  return low < b->count && memcmp(&b->list[low].key, key, sizeof *key) == 0;
}

static void take_out(cmt__bans *b, size_t at) {
  b->of_bits[b->list[at].key.bits]--;
  b->count--;
  memmove(&b->list[at], &b->list[at + 1], (b->count - at) * sizeof b->list[at]);
}

static void put_in(cmt__bans *b, size_t at, const cmt__ban *ban) {
  memmove(&b->list[at + 1], &b->list[at], (b->count - at) * sizeof b->list[at]);
  b->list[at] = *ban;
  b->of_bits[ban->key.bits]++;
  b->count++;
}

/* Drops the bans that have ended; returns when the next one ends. */
static uint64_t drop_ended(cmt__bans *b) {
  uint64_t next_ns = CMT_NEVER;
  size_t kept = 0;

  for (size_t i = 0; i < b->count; i++) {
    if (b->list[i].end_ns <= b->now_ns) {
      b->of_bits[b->list[i].key.bits]--;
    } else {
      next_ns = cmt__min64(next_ns, b->list[i].end_ns);
      b->list[kept++] = b->list[i];
    }
  }
  b->count = kept;
  return next_ns;
}

/* Makes room for a ban until |end_ns|. */
static bool make_room(cmt__bans *b, uint64_t end_ns) {
  size_t soonest = 0;

  (void)drop_ended(b);
  if (b->count < CMT_BANS_MAX) {
    return true;
  }
  for (size_t i = 1; i < b->count; i++) {
    if (b->list[i].end_ns < b->list[soonest].end_ns) {
      soonest = i;
    }
  }
  if (b->list[soonest].end_ns > end_ns ||
      b->list[soonest].end_ns == CMT_NEVER) {
    return false;
  }
  take_out(b, soonest);
  return true;
}

static cmt_err put(cmt__bans *b, const cmt__ban *ban) {
  size_t at;

  if (b->list == NULL) {
    b->list = cmt__alloc(b->env, cmt__bans_memory());
  }
  if (b->list == NULL) {
    return CMT_ENOMEM;
  }
  if (search(b, &ban->key, &at)) {
    b->list[at] = *ban;
    return CMT_OK;
  }
  if (!make_room(b, ban->end_ns)) {
    return CMT_ELIMIT;
  }
  (void)search(b, &ban->key, &at);
  put_in(b, at, ban);
  return CMT_OK;
}

/* ---- for the switch ---- */

cmt_err cmt__bans_put(cmt__bans *b, const cmt__ban_key *key,
                      uint64_t duration_ns) {
  cmt__ban ban = {.key = *key, .fresh = true};
  cmt_err err;

  ban.duration_ns = duration_ns != 0 ? duration_ns : DURATION_DEFAULT;
  cmt__lock(&b->lock);
  ban.end_ns = cmt__after(b->now_ns, ban.duration_ns);
  err = put(b, &ban);
  cmt__unlock(&b->lock);
  return err;
}

void cmt__bans_remove(cmt__bans *b, const cmt__ban_key *key) {
  size_t at;

  cmt__lock(&b->lock);
  if (search(b, key, &at)) {
    take_out(b, at);
  }
  cmt__unlock(&b->lock);
}

uint64_t cmt__bans_update(cmt__bans *b, uint64_t now_ns) {
  uint64_t next_ns;

  cmt__lock(&b->lock);
  b->now_ns = now_ns;
  for (size_t i = 0; i < b->count; i++) {
    if (b->list[i].fresh) {
      b->list[i].fresh = false;
      b->list[i].end_ns = cmt__after(now_ns, b->list[i].duration_ns);
    }
  }
  next_ns = drop_ended(b);
  cmt__unlock(&b->lock);
  return next_ns;
}

/* Under the lock: chooses the ban of |key| if it lasts longer than |*out|. */
static bool find(const cmt__bans *b, const cmt__ban_key *key, uint64_t now_ns,
                 bool found, cmt__ban *out) {
  size_t at;
  cmt__ban ban;

  if (!search(b, key, &at)) {
    return found;
  }
  ban = b->list[at];
  if (ban.fresh) {
    ban.end_ns = cmt__after(now_ns, ban.duration_ns);
  }
  if (ban.end_ns <= now_ns || (found && ban.end_ns <= out->end_ns)) {
    return found;
  }
  *out = ban;
  return true;
}

bool cmt__bans_find_id(cmt__bans *b, const cmt_node_id *id, uint64_t now_ns,
                       cmt__ban *out) {
  cmt__ban_key key;
  cmt_node_id small;
  bool found = false;

  cmt__lock(&b->lock);
  if (b->of_bits[CMT__BAN_ID] > 0 &&
      cmt__node_id_read(cmt_bytes_of(id->text), &small)) {
    key = key_of_id(&small);
    found = find(b, &key, now_ns, false, out);
  }
  cmt__unlock(&b->lock);
  return found;
}

bool cmt__bans_find_ip(cmt__bans *b, const cmt__ip *ip, uint64_t now_ns,
                       cmt__ban *out) {
  bool found = false;

  cmt__lock(&b->lock);
  for (unsigned bits = cmt__ip_is_v4(ip) ? V4_BITS : 0; bits <= IP_BITS;
       bits++) {
    if (b->of_bits[bits] > 0) {
      cmt__ban_key key = key_of_ip(ip, bits);

      found = find(b, &key, now_ns, found, out);
    }
  }
  cmt__unlock(&b->lock);
  return found;
}

static void ban_write(const cmt__ban *ban, void *out, size_t size) {
  cmt_ban full = {.duration_ns = ban->duration_ns,
                  .end_ns = ban->fresh ? CMT_NEVER : ban->end_ns};

  cmt__ban_text(&ban->key, full.subject);
  cmt__sized_write(out, size, &full, sizeof full);
}

/* When the loop looked last. */
static uint64_t seen_ns(cmt__bans *b) {
  uint64_t now_ns;

  cmt__lock(&b->lock);
  now_ns = b->now_ns;
  cmt__unlock(&b->lock);
  return now_ns;
}

bool cmt__bans_find(cmt__bans *b, const cmt_net_addr *a, cmt_ban *out,
                    size_t size) {
  uint64_t now_ns = seen_ns(b);
  cmt__ban of_id, of_ip;
  cmt__ip ip;
  bool has_id = cmt__bans_find_id(b, &a->id, now_ns, &of_id);
  bool has_ip = cmt__ip_read(cmt_bytes_of(a->host), &ip) &&
                cmt__bans_find_ip(b, &ip, now_ns, &of_ip);

  if (has_id && (!has_ip || of_id.end_ns >= of_ip.end_ns)) {
    ban_write(&of_id, out, size);
  } else if (has_ip) {
    ban_write(&of_ip, out, size);
  }
  return has_id || has_ip;
}

size_t cmt__bans_list(cmt__bans *b, void *out, size_t cap, size_t size) {
  uint8_t *to = out;
  size_t count;

  cmt__lock(&b->lock);
  (void)drop_ended(b);
  count = b->count;
  for (size_t i = 0; i < count && i < cap && out != NULL; i++) {
    ban_write(&b->list[i], to + i * size, size);
  }
  cmt__unlock(&b->lock);
  return count;
}
