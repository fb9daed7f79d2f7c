/* SPDX-License-Identifier: Apache-2.0 */

/* Entries as applications see them, copies of the book, and entries that come
   back from a file. */

#include "book_impl.h"

#include "base/sized.h"
#include "net_group.h"

static void entry_write(const cmt__book_entry *e, cmt_addrbook_entry *out) {
  *out = (cmt_addrbook_entry){
    .size = sizeof *out,
    .kind = e->old ? CMT_ADDRBOOK_OLD : CMT_ADDRBOOK_NEW,
    .attempts = e->attempts,
    .last_attempt_ns = e->last_attempt_ns,
    .last_success_ns = e->last_success_ns,
    .last_ban_ns = e->last_ban_ns,
    .bucket_count = e->bucket_count,
    .proven_ns = e->proven_ns,
    .served_ns = e->served_ns,
    .height = e->height,
    .height_ns = CMT_SECONDS(e->height_s),
    .reliable = cmt__book_is_reliable(e),
    .tried_ns = e->tried_ns,
    .other_count = e->other_count,
  };
  cmt__book_addr_write(&e->addr, &out->addr);
  cmt__book_addr_write(&e->src, &out->src);
  memcpy(out->version, e->version, sizeof out->version);
  for (size_t i = 0; i < e->bucket_count; i++) {
    /* Old buckets have numbers of their own, as in the file. */
    out->buckets[i] =
      (uint16_t)(e->buckets[i] - (e->old ? BOOK_NEW_BUCKETS : 0));
  }
  for (size_t i = 0; i < CMT_ADDRBOOK_WINDOWS; i++) {
    out->count[i] = e->windows[i].count;
    out->success[i] = e->windows[i].success;
  }
  for (size_t i = 0; i < e->other_count; i++) {
    cmt__book_addr other = {.at = e->others[i]};

    memcpy(other.id, e->addr.id, BOOK_ID);
    cmt__book_addr_write(&other, &out->others[i]);
  }
}

bool cmt_addrbook_get_sized(const cmt_addrbook *b, const cmt_node_id *id,
                            cmt_addrbook_entry *out, size_t size) {
  uint8_t bytes[BOOK_ID];
  const cmt__book_entry *e =
    cmt__book_id_read(id, bytes) ? cmt__book_lookup(b, bytes) : NULL;
  cmt_addrbook_entry full;

  if (e != NULL) {
    entry_write(e, &full);
    cmt__sized_write(out, size, &full, sizeof full);
  }
  return e != NULL;
}

/* ---- copies ---- */

/* The entries of the book in one array, and what they point to. */
static void copy_entries(const cmt_addrbook *b, cmt_addrbook_snapshot *s) {
  size_t others = 0;

  for (size_t i = 0; i < b->count; i += BOOK_CHUNK) {
    memcpy(&s->entries[i], b->chunks[i / BOOK_CHUNK],
           cmt__min(BOOK_CHUNK, b->count - i) * sizeof *s->entries);
  }
  for (size_t i = 0; i < b->count; i++) {
    cmt__book_entry *e = &s->entries[i];

    if (e->others != NULL) {
      memcpy(&s->others[others], e->others, e->other_count * sizeof *s->others);
      e->others = &s->others[others];
      others += e->other_count;
    }
  }
}

cmt_err cmt_addrbook_snapshot_new(const cmt_addrbook *b,
                                  cmt_addrbook_snapshot **out) {
  cmt_addrbook_snapshot *s;

  if (out != NULL) {
    *out = NULL;
  }
  if (b == NULL || out == NULL) {
    return CMT_EINVAL;
  }
  s = cmt__alloc_zero(&b->env, sizeof *s);
  if (s == NULL) {
    return CMT_ENOMEM;
  }
  s->env = b->env;
  s->entries = cmt__alloc(&b->env, b->count * sizeof *s->entries);
  s->others = cmt__alloc(&b->env, b->others_memory * CMT_ADDRBOOK_OTHERS_MAX *
                                    sizeof *s->others);
  s->bans = cmt__alloc(&b->env, b->ban_count * sizeof *s->bans);
  if (s->entries == NULL || s->others == NULL || s->bans == NULL) {
    cmt_addrbook_snapshot_delete(s);
    return CMT_ENOMEM;
  }
  s->revision = b->revision;
  s->count = b->count;
  s->ban_count = b->ban_count;
  s->anchors = b->anchors;
  memcpy(s->file_key, b->file_key, sizeof s->file_key);
  memcpy(s->hash_key, b->hash_key, sizeof s->hash_key);
  copy_entries(b, s);
  if (b->ban_count > 0) {
    memcpy(s->bans, b->bans, b->ban_count * sizeof *s->bans);
  }
  *out = s;
  return CMT_OK;
}

void cmt_addrbook_snapshot_delete(cmt_addrbook_snapshot *s) {
  cmt_env env;

  if (s == NULL) {
    return;
  }
  env = s->env;
  cmt__free(&env, s->entries);
  cmt__free(&env, s->others);
  cmt__free(&env, s->bans);
  cmt__free(&env, s);
}

size_t cmt_addrbook_snapshot_count(const cmt_addrbook_snapshot *s) {
  return s->count;
}

size_t cmt_addrbook_snapshot_ban_count(const cmt_addrbook_snapshot *s) {
  return s->ban_count;
}

const char *cmt_addrbook_snapshot_file_key(const cmt_addrbook_snapshot *s) {
  return s->file_key;
}

const uint8_t *cmt_addrbook_snapshot_hash_key(const cmt_addrbook_snapshot *s) {
  return s->hash_key;
}

uint64_t cmt_addrbook_snapshot_revision(const cmt_addrbook_snapshot *s) {
  return s->revision;
}

bool cmt_addrbook_snapshot_get_sized(const cmt_addrbook_snapshot *s, size_t i,
                                     cmt_addrbook_entry *out, size_t size) {
  cmt_addrbook_entry full;

  if (i >= s->count) {
    return false;
  }
  entry_write(&s->entries[i], &full);
  cmt__sized_write(out, size, &full, sizeof full);
  return true;
}

bool cmt_addrbook_snapshot_get_ban_sized(const cmt_addrbook_snapshot *s,
                                         size_t i, cmt_addrbook_ban *out,
                                         size_t size) {
  cmt_addrbook_ban full = {.size = sizeof full};
  cmt__book_addr addr;

  if (i >= s->ban_count) {
    return false;
  }
  addr.at = s->bans[i].at;
  memcpy(addr.id, s->bans[i].id, BOOK_ID);
  full.kind = (cmt_addrbook_ban_kind)s->bans[i].kind;
  full.end_ns = s->bans[i].end_ns;
  cmt__book_addr_write(&addr, &full.addr);
  cmt__book_id_write(addr.id, &full.addr.id);
  if (full.kind != CMT_ADDRBOOK_WRONG_ID) {
    full.addr.host[0] = '\0';
  }
  cmt__sized_write(out, size, &full, sizeof full);
  return true;
}

/* ---- entries that come back ---- */

/* Brings the entry into the stored buckets that exist and have room, at most
   one of them for an old entry.  False: it is in none. */
static bool enter_stored(cmt_addrbook *b, cmt__book_entry *e,
                         const cmt__book_entry *from) {
  unsigned first = from->old ? BOOK_NEW_BUCKETS : 0;
  unsigned end = from->old ? BOOK_BUCKETS : BOOK_NEW_BUCKETS;
  size_t most = from->old ? 1 : CMT_ADDRBOOK_BUCKETS_PER_ENTRY;

  for (size_t i = 0; i < cmt__min(from->bucket_count, most); i++) {
    unsigned bucket = from->buckets[i];

    if (bucket >= first && bucket < end && b->fill[bucket] < BOOK_SLOTS &&
        !cmt__book_in_bucket(e, bucket)) {
      cmt__book_enter(b, e, bucket);
    }
  }
  return e->bucket_count > 0;
}

/* Finds room where the stored buckets had none; false: there is none. */
static bool enter_computed(cmt_addrbook *b, cmt__book_entry *e, bool old) {
  unsigned bucket = cmt__book_old_bucket(b, &e->addr);

  if (old && b->fill[bucket] < BOOK_SLOTS) {
    cmt__book_enter(b, e, bucket);
    return true;
  }
  return cmt__book_enter_somewhere(b, e);
}

static void copy_back(cmt_addrbook *b, cmt__book_entry *e,
                      const cmt__book_entry *from) {
  e->attempts = from->attempts;
  e->last_attempt_ns = from->last_attempt_ns;
  e->last_success_ns = from->last_success_ns;
  e->last_ban_ns = from->last_ban_ns;
  e->served_ns = from->served_ns;
  e->tried_ns = from->tried_ns;
  e->height = from->height;
  e->height_s = from->height_s;
  memcpy(e->version, from->version, sizeof e->version);
  memcpy(e->windows, from->windows, sizeof e->windows);
  cmt__book_set_proven(b, e, from->proven_ns);
  for (size_t i = 0; i < from->other_count; i++) {
    cmt__book_add_other(b, e, &from->others[i]);
  }
}

cmt_err cmt__book_put_back(cmt_addrbook *b, const cmt__book_entry *from) {
  cmt__book_entry *e;

  if (!cmt__ip_is_valid(&from->addr.at.ip)) {
    return CMT_EINVAL;
  }
  if (cmt__book_ids_have(&b->own, from->addr.id)) {
    return CMT_ESELF;
  }
  if (cmt__book_ids_have(&b->private, from->addr.id)) {
    return CMT_EFILTER;
  }
  if (cmt__book_find(b, from->addr.id) != BOOK_NO_ENTRY) {
    return CMT_EEXIST;
  }
  e = cmt__book_append(b, from->addr.id);
  if (e == NULL) {
    return b->count == BOOK_ENTRIES ? CMT_ELIMIT : CMT_ENOMEM;
  }
  e->addr = from->addr;
  e->src = from->src;
  if (!enter_stored(b, e, from) && !enter_computed(b, e, from->old)) {
    cmt__book_drop(b, e);
    return CMT_ELIMIT;
  }
  e->old = e->buckets[0] >= BOOK_NEW_BUCKETS;
  b->old_count += e->old;
  copy_back(b, e, from);
  return CMT_OK;
}

static void version_read(const char *in, char *out) {
  snprintf(out, CMT_ADDRBOOK_VERSION_SIZE, "%.*s",
           CMT_ADDRBOOK_VERSION_SIZE - 1, in);
  cmt__line_clean(out);
}

/* The entry in bytes, but for its address and source; its others lie in
   |others|. */
static cmt__book_entry entry_read(const cmt_addrbook_entry *in,
                                  cmt__book_place *others) {
  cmt__book_entry out = {
    .old = in->kind == CMT_ADDRBOOK_OLD,
    .attempts = in->attempts,
    .last_attempt_ns = in->last_attempt_ns,
    .last_success_ns = in->last_success_ns,
    .last_ban_ns = in->last_ban_ns,
    .served_ns = in->served_ns,
    .tried_ns = in->tried_ns,
    .proven_ns = in->proven_ns,
    .height = in->height,
    .height_s = cmt__book_seconds(in->height_ns),
    .others = others,
  };

  version_read(in->version, out.version);
  for (size_t i = 0;
       i < cmt__min(in->bucket_count, CMT_ADDRBOOK_BUCKETS_PER_ENTRY); i++) {
    unsigned bucket = in->buckets[i] + (out.old ? BOOK_NEW_BUCKETS : 0u);

    out.buckets[out.bucket_count++] =
      (uint16_t)(bucket < BOOK_BUCKETS ? bucket : BOOK_BUCKETS);
  }
  for (size_t i = 0; i < CMT_ADDRBOOK_WINDOWS; i++) {
    out.windows[i] =
      (cmt__book_window){.count = in->count[i], .success = in->success[i]};
  }
  for (size_t i = 0; i < cmt__min(in->other_count, CMT_ADDRBOOK_OTHERS_MAX);
       i++) {
    cmt__book_addr other;

    if (cmt__book_addr_read(&in->others[i], true, &other) == CMT_OK) {
      others[out.other_count++] = other.at;
    }
  }
  return out;
}

cmt_err cmt_addrbook_restore(cmt_addrbook *b, const cmt_addrbook_entry *e) {
  cmt__book_place others[CMT_ADDRBOOK_OTHERS_MAX];
  cmt_addrbook_entry full = {.size = sizeof full};
  cmt__book_entry from;
  cmt_err err = b == NULL ? CMT_EINVAL
                          : cmt__sized_read(&full, sizeof full, e,
                                            "cmt_addrbook_entry", NULL);

  if (err != CMT_OK ||
      (full.kind != CMT_ADDRBOOK_NEW && full.kind != CMT_ADDRBOOK_OLD)) {
    return CMT_EINVAL;
  }
  from = entry_read(&full, others);
  err = cmt__book_addr_read(&full.addr, false, &from.addr);
  if (err != CMT_OK) {
    return err;
  }
  if (cmt__book_addr_read(&full.src, true, &from.src) != CMT_OK) {
    from.src = from.addr;
  }
  return cmt__book_put_back(b, &from);
}
