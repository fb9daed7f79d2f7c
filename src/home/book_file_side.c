/* SPDX-License-Identifier: Apache-2.0 */

/* Reads the file beside addrbook.json: what is known of its entries, bans, and
   anchors.  docs/PROTOCOL.md 7.7. */

#include "book_file_read.h"

#include "pex/net_group.h"

static bool number_item(cmt__json *c, void *arg) {
  cmt__book_reader *r = arg;
  int64_t number;
  bool valid;

  if (!cmt__book_json_int(c, 0, INT64_MAX, &number, &valid)) {
    return false;
  }
  if (r->number_count < CMT__COUNT(r->numbers)) {
    r->numbers[r->number_count++] = valid ? number : 0;
  }
  return true;
}

static bool other_item(cmt__json *c, void *arg) {
  cmt__book_reader *r = arg;

  if (!cmt__book_json_addr(c, &r->other)) {
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

  if (!cmt__book_json_string(c, &text)) {
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

  if (!cmt__book_json_int(c, 0, INT64_MAX, &e->height, &valid)) {
    return false;
  }
  e->height = valid ? e->height : 0;
  return true;
}

static bool read_height_time(cmt__json *c, cmt__book_entry *e) {
  uint64_t ns = 0;
  bool read = cmt__book_json_time(c, &ns);

  e->height_s = cmt__book_seconds(ns);
  return read;
}

static bool more_member(cmt__json *c, const char *name, void *arg) {
  cmt__book_reader *r = arg;
  bool known;

  if (!cmt__book_json_addr_part(c, name, &r->addr, &known)) {
    return false;
  }
  if (known) {
    return true;
  }
  if (strcmp(name, "proven") == 0) {
    return cmt__book_json_time(c, &r->e.proven_ns);
  }
  if (strcmp(name, "tried") == 0) {
    return cmt__book_json_time(c, &r->e.tried_ns);
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
static void more_end(cmt__book_reader *r) {
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
  for (size_t i = 0; i < r->number_count / CMT__BOOK_NUMBERS; i++) {
    const int64_t *numbers = &r->numbers[CMT__BOOK_NUMBERS * i];

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
  cmt__book_reader *r = arg;

  cmt__book_entry_begin(r);
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
  cmt__book_reader *r = arg;
  int64_t kind;
  bool known;

  if (!cmt__book_json_addr_part(c, name, &r->addr, &known)) {
    return false;
  }
  if (known) {
    return true;
  }
  if (strcmp(name, "until") == 0) {
    return cmt__book_json_time(c, &r->ban.end_ns);
  }
  if (strcmp(name, "kind") == 0) {
    if (!cmt__book_json_int(c, CMT_ADDRBOOK_MISBEHAVED, CMT_ADDRBOOK_WRONG_ID,
                            &kind, &known)) {
      return false;
    }
    r->ban.kind = known ? (uint8_t)kind : 0;
    return true;
  }
  return cmt__json_skip(c);
}

static bool ban_item(cmt__json *c, void *arg) {
  cmt__book_reader *r = arg;
  cmt_addrbook_ban ban;

  cmt__book_entry_begin(r);
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
  cmt__book_reader *r = arg;

  if (!cmt__book_json_addr(c, &r->addr)) {
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
  cmt__book_reader r = {.b = b, .found = out, .now_ns = now_ns};
  uint64_t fates[CMT_ADDRBOOK_FATES];
  cmt_err err;

  *out = (cmt__book_read){.loaded = 0};
  memcpy(fates, b->fates, sizeof fates);
  err = cmt__book_text_read(side, &r, side_member);
  memcpy(b->fates, fates, sizeof fates); /* Stored bans are no news. */
  cmt_addrbook_set_anchors(b, r.anchors, r.anchor_count);
  return err;
}
