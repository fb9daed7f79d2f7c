/* SPDX-License-Identifier: Apache-2.0 */

/* The address book: its life, and what it is asked about ids. */

#include "book_impl.h"

#include <sodium.h>

#include "base/sized.h"
#include "net_group.h"

void cmt_addrbook_options_init_sized(cmt_addrbook_options *o, size_t size) {
  const cmt_addrbook_options full = {.allow_unroutable = false};

  cmt__sized_write(o, size, &full, sizeof full);
}

/* The text of a drawn key, as CometBFT's. */
static void draw_file_key(cmt_addrbook *b) {
  uint8_t bytes[(BOOK_FILE_KEY - 1) / 2];

  b->env.entropy(b->env.entropy_arg, bytes, sizeof bytes);
  sodium_bin2hex(b->file_key, sizeof b->file_key, bytes, sizeof bytes);
}

static bool is_printable(const char *text) {
  for (; *text != '\0'; text++) {
    if (*text < 32 || *text > 126) {
      return false;
    }
  }
  return true;
}

static cmt_err set_keys(cmt_addrbook *b, const cmt_addrbook_options *o,
                        cmt_why *why) {
  if (o->file_key == NULL || o->file_key[0] == '\0') {
    draw_file_key(b);
  } else if (strlen(o->file_key) >= sizeof b->file_key) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "file_key has %zu characters, at most %zu are allowed",
                    strlen(o->file_key), sizeof b->file_key - 1);
  } else if (!is_printable(o->file_key)) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "file_key has characters that are not printable ASCII");
  } else {
    snprintf(b->file_key, sizeof b->file_key, "%s", o->file_key);
  }
  if (o->hash_key != NULL) {
    memcpy(b->hash_key, o->hash_key, sizeof b->hash_key);
  } else {
    b->env.entropy(b->env.entropy_arg, b->hash_key, sizeof b->hash_key);
  }
  return CMT_OK;
}

static cmt_err set_ids(cmt_addrbook *b, const cmt_addrbook_options *o,
                       cmt_why *why) {
  const char *name = "own_ids";
  cmt_err err =
    cmt__book_ids_copy(&b->env, o->own_ids, o->own_id_count, &b->own);

  if (err == CMT_OK) {
    name = "private_ids";
    err = cmt__book_ids_copy(&b->env, o->private_ids, o->private_id_count,
                             &b->private);
  }
  if (err == CMT_OK) {
    return CMT_OK;
  }
  return cmt__why(why, err, CMT_STAGE_TRANSPORT, "%s: %s", name,
                  err == CMT_ENOMEM
                    ? cmt_err_text(err)
                    : "one is not 40 hex digits, or there are over 4096");
}

static cmt_err start(cmt_addrbook *b, const cmt_addrbook_options *o,
                     cmt_why *why) {
  cmt_err err = set_ids(b, o, why);

  b->strict = !o->allow_unroutable;
  return err == CMT_OK ? set_keys(b, o, why) : err;
}

cmt_err cmt_addrbook_new(const cmt_addrbook_options *o, cmt_addrbook **out,
                         cmt_why *why) {
  cmt_addrbook_options full = {.size = sizeof full};
  cmt_addrbook *b;
  cmt_env env;
  cmt_err err = cmt__out_clear(out, why);

  if (err == CMT_OK && o != NULL) {
    err = cmt__sized_read(&full, sizeof full, o, "cmt_addrbook_options", why);
  }
  if (err != CMT_OK) {
    return err;
  }
  if (!cmt__is_bool(&full.allow_unroutable)) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "allow_unroutable is neither true nor false");
  }
  err = cmt__env_copy(full.env, &env);
  if (err != CMT_OK) {
    return cmt__why(why, err, CMT_STAGE_TRANSPORT,
                    "the environment is not usable");
  }
  b = cmt__alloc_zero(&env, sizeof *b);
  if (b == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  b->env = env;
  err = start(b, &full, why);
  if (err != CMT_OK) {
    cmt_addrbook_delete(b);
    return err;
  }
  *out = b;
  return CMT_OK;
}

void cmt_addrbook_delete(cmt_addrbook *b) {
  cmt_env env;

  if (b == NULL) {
    return;
  }
  env = b->env;
  for (size_t i = 0; i < b->count; i++) {
    cmt__free(&env, cmt__book_at(b, i)->others);
  }
  for (size_t i = 0; i < BOOK_CHUNKS; i++) {
    cmt__free(&env, b->chunks[i]);
  }
  cmt__free(&env, b->own.list);
  cmt__free(&env, b->private.list);
  cmt__free(&env, b->index);
  cmt__free(&env, b->bans);
  cmt__free(&env, b->quotas);
  sodium_memzero(b->hash_key, sizeof b->hash_key);
  cmt__free(&env, b);
}

cmt_err cmt_addrbook_set_private(cmt_addrbook *b, const cmt_node_id *ids,
                                 size_t count) {
  cmt__book_ids list;
  cmt_err err =
    b == NULL ? CMT_EINVAL : cmt__book_ids_copy(&b->env, ids, count, &list);

  if (err != CMT_OK) {
    return err;
  }
  cmt__free(&b->env, b->private.list);
  b->private = list;
  for (size_t i = 0; i < list.count; i++) {
    cmt__book_entry *e = cmt__book_lookup(b, list.list[i]);

    if (e != NULL) {
      cmt__book_drop(b, e);
    }
  }
  return CMT_OK;
}

void cmt__book_add_own(cmt_addrbook *b, const cmt_node_id *id) {
  uint8_t(*list)[BOOK_ID];
  uint8_t bytes[BOOK_ID];
  cmt__book_entry *e;
  size_t at = 0;

  if (!cmt__book_id_read(id, bytes) || cmt__book_ids_have(&b->own, bytes)) {
    return;
  }
  list = cmt__alloc(&b->env, (b->own.count + 1) * sizeof *list);
  if (list == NULL) {
    return;
  }
  while (at < b->own.count && memcmp(b->own.list[at], bytes, BOOK_ID) < 0) {
    memcpy(list[at], b->own.list[at], BOOK_ID);
    at++;
  }
  memcpy(list[at], bytes, BOOK_ID);
  for (; at < b->own.count; at++) {
    memcpy(list[at + 1], b->own.list[at], BOOK_ID);
  }
  cmt__free(&b->env, b->own.list);
  b->own.list = list;
  b->own.count++;
  e = cmt__book_lookup(b, bytes);
  if (e != NULL) {
    cmt__book_drop(b, e);
  }
}

bool cmt_addrbook_is_own(const cmt_addrbook *b, const cmt_node_id *id) {
  uint8_t bytes[BOOK_ID];

  return cmt__book_id_read(id, bytes) && cmt__book_ids_have(&b->own, bytes);
}

bool cmt_addrbook_is_private(const cmt_addrbook *b, const cmt_node_id *id) {
  uint8_t bytes[BOOK_ID];

  return cmt__book_id_read(id, bytes) && cmt__book_ids_have(&b->private, bytes);
}

bool cmt_addrbook_has(const cmt_addrbook *b, const cmt_node_id *id) {
  uint8_t bytes[BOOK_ID];

  return cmt__book_id_read(id, bytes) &&
         cmt__book_find(b, bytes) != BOOK_NO_ENTRY;
}

/* ---- anchors ---- */

void cmt_addrbook_set_anchors(cmt_addrbook *b, const cmt_net_addr *list,
                              size_t count) {
  cmt__book_anchors fresh = {.count = 0};

  for (size_t i = 0;
       list != NULL && i < count && fresh.count < CMT_ADDRBOOK_ANCHORS_MAX;
       i++) {
    cmt__book_addr a;

    if (cmt__book_addr_read(&list[i], false, &a) == CMT_OK &&
        cmt__ip_is_valid(&a.at.ip)) {
      fresh.list[fresh.count++] = a;
    }
  }
  if (memcmp(&fresh, &b->anchors, sizeof fresh) != 0) {
    b->anchors = fresh;
    b->revision++;
  }
}

size_t cmt_addrbook_anchors(const cmt_addrbook *b, cmt_net_addr *out,
                            size_t cap) {
  for (size_t i = 0; out != NULL && i < b->anchors.count && i < cap; i++) {
    cmt__book_addr_write(&b->anchors.list[i], &out[i]);
  }
  return b->anchors.count;
}

void cmt_addrbook_group(const cmt_addrbook *b, const cmt_net_addr *a,
                        char out[CMT_ADDRBOOK_GROUP_SIZE]) {
  cmt__book_addr addr;

  _Static_assert((int)CMT_ADDRBOOK_GROUP_SIZE >= (int)CMT__GROUP_SIZE, "room");
  if (out == NULL) {
    return;
  }
  out[0] = '\0';
  if (cmt__book_addr_read(a, true, &addr) == CMT_OK) {
    cmt__ip_group(&addr.at.ip, b->strict, a->id.text[0] != '\0', out);
  }
}

/* The memory that the book has allocated. */
static size_t memory_of(const cmt_addrbook *b) {
  size_t bytes = sizeof *b;

  for (size_t i = 0; i < BOOK_CHUNKS; i++) {
    bytes += b->chunks[i] != NULL ? BOOK_CHUNK * sizeof *b->chunks[i] : 0;
  }
  bytes += b->others_memory * CMT_ADDRBOOK_OTHERS_MAX * sizeof(cmt__book_place);
  bytes += b->index_cap * sizeof *b->index + b->ban_cap * sizeof *b->bans +
           b->quota_cap * sizeof *b->quotas;
  return bytes + (b->own.count + b->private.count) * BOOK_ID;
}

void cmt_addrbook_get_status_sized(const cmt_addrbook *b,
                                   cmt_addrbook_status *out, size_t size) {
  cmt_addrbook_status full = {
    .size = sizeof full,
    .entries = b->count,
    .new_entries = b->count - b->old_count,
    .old_entries = b->old_count,
    .proven = b->proven_count,
    .bans = b->ban_count,
    .tests = b->contest_count,
    .bytes = memory_of(b),
    .added = b->added,
    .replaced = b->replaced,
    .refused = b->refused,
    .promoted = b->promoted,
    .demoted = b->demoted,
    .revision = b->revision,
  };

  memcpy(full.fates, b->fates, sizeof full.fates);
  full.fates[CMT_ADDRBOOK_FATE_PROMOTED] = b->promoted;
  full.fates[CMT_ADDRBOOK_FATE_DEMOTED] = b->demoted;
  full.fates[CMT_ADDRBOOK_FATE_REPLACED] = b->replaced;
  cmt__sized_write(out, size, &full, sizeof full);
}
