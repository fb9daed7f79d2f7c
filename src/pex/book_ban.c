/* SPDX-License-Identifier: Apache-2.0 */

/* Ids and addresses that are kept out.  The list is in the order of ids, and
   there may be several addresses of one. */

#include "book_impl.h"

#include "base/sized.h"

enum { BANS_FIRST = 16 };

void cmt_addrbook_ban_init_sized(cmt_addrbook_ban *ban, size_t size) {
  const cmt_addrbook_ban full = {.kind = CMT_ADDRBOOK_MISBEHAVED};

  cmt__sized_write(ban, size, &full, sizeof full);
}

/* Where the bans of |id| begin, or would. */
static size_t first_of(const cmt_addrbook *b, const uint8_t id[BOOK_ID]) {
  size_t low = 0, high = b->ban_count;

  while (low < high) {
    size_t middle = low + (high - low) / 2;

    if (memcmp(b->bans[middle].id, id, BOOK_ID) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static bool is_of(const cmt_addrbook *b, size_t at, const uint8_t id[BOOK_ID]) {
  return at < b->ban_count && memcmp(b->bans[at].id, id, BOOK_ID) == 0;
}

static bool covers(const cmt__book_ban *ban, const cmt__book_addr *addr) {
  return ban->kind != CMT_ADDRBOOK_WRONG_ID ||
         cmt__book_place_equal(&ban->at, &addr->at);
}

bool cmt__book_barred(const cmt_addrbook *b, const cmt__book_addr *addr,
                      uint64_t now_ns) {
  for (size_t at = first_of(b, addr->id); is_of(b, at, addr->id); at++) {
    if (b->bans[at].end_ns > now_ns && covers(&b->bans[at], addr)) {
      return true;
    }
  }
  return false;
}

bool cmt_addrbook_is_barred(const cmt_addrbook *b, const cmt_net_addr *addr,
                            uint64_t now_ns) {
  cmt__book_addr a;

  return cmt__book_addr_read(addr, false, &a) == CMT_OK &&
         cmt__book_barred(b, &a, now_ns);
}

static void take_out(cmt_addrbook *b, size_t at) {
  b->ban_count--;
  memmove(&b->bans[at], &b->bans[at + 1],
          (b->ban_count - at) * sizeof *b->bans);
  b->revision++;
}

size_t cmt_addrbook_unbar(cmt_addrbook *b, const cmt_node_id *id) {
  uint8_t bytes[BOOK_ID];
  size_t count = 0, at;

  if (!cmt__book_id_read(id, bytes)) {
    return 0;
  }
  at = first_of(b, bytes);
  for (; is_of(b, at, bytes); count++) {
    take_out(b, at);
  }
  return count;
}

/* Drops those that have ended, or else the one that ends first. */
static void make_room(cmt_addrbook *b, uint64_t now_ns) {
  size_t kept = 0, first = 0;

  for (size_t i = 0; i < b->ban_count; i++) {
    if (b->bans[i].end_ns > now_ns) {
      b->bans[kept++] = b->bans[i];
    }
  }
  b->ban_count = kept;
  if (kept < CMT_ADDRBOOK_BANS_MAX) {
    return;
  }
  for (size_t i = 1; i < kept; i++) {
    if (b->bans[i].end_ns < b->bans[first].end_ns) {
      first = i;
    }
  }
  take_out(b, first);
}

/* A ban of the same subject that is there gets the later end. */
static bool prolong(cmt_addrbook *b, const cmt__book_ban *ban) {
  for (size_t at = first_of(b, ban->id); is_of(b, at, ban->id); at++) {
    if (b->bans[at].kind == ban->kind &&
        cmt__book_place_equal(&b->bans[at].at, &ban->at)) {
      b->bans[at].end_ns = cmt__max64(b->bans[at].end_ns, ban->end_ns);
      b->revision++;
      return true;
    }
  }
  return false;
}

static cmt_err remember(cmt_addrbook *b, const cmt__book_ban *ban,
                        uint64_t now_ns) {
  void *items = b->bans;
  size_t at;

  if (ban->end_ns <= now_ns || prolong(b, ban)) {
    return CMT_OK;
  }
  if (b->ban_count == CMT_ADDRBOOK_BANS_MAX) {
    make_room(b, now_ns);
  }
  if (b->ban_count == b->ban_cap &&
      !cmt__grow(&b->env, &items, &b->ban_cap, sizeof *b->bans, BANS_FIRST)) {
    return CMT_ENOMEM;
  }
  b->bans = items;
  at = first_of(b, ban->id);
  memmove(&b->bans[at + 1], &b->bans[at],
          (b->ban_count - at) * sizeof *b->bans);
  b->bans[at] = *ban;
  b->ban_count++;
  b->revision++;
  return CMT_OK;
}

/* Takes the wrong address from the entry, which lives on with another one. */
static bool has_another(cmt_addrbook *b, cmt__book_entry *e,
                        const cmt__book_place *wrong) {
  bool is_main = cmt__book_place_equal(&e->addr.at, wrong);

  for (size_t i = 0; i < e->other_count; i++) {
    if (cmt__book_place_equal(&e->others[i], wrong)) {
      e->others[i] = e->others[--e->other_count];
    }
  }
  if (is_main && e->other_count > 0) {
    e->addr.at = e->others[--e->other_count];
    cmt__book_set_proven(b, e, 0);
    cmt__book_enter_own(b, e);
    return true;
  }
  return !is_main;
}

/* The ban in bytes; false: it is malformed. */
static bool ban_read(const cmt_addrbook_ban *in, cmt__book_ban *out) {
  cmt__book_addr addr;

  *out = (cmt__book_ban){.kind = (uint8_t)in->kind, .end_ns = in->end_ns};
  if (!cmt__book_id_read(&in->addr.id, out->id)) {
    return false;
  }
  switch (in->kind) {
  case CMT_ADDRBOOK_MISBEHAVED:
  case CMT_ADDRBOOK_WRONG_NETWORK:
    return true;
  case CMT_ADDRBOOK_WRONG_ID:
    if (cmt__book_addr_read(&in->addr, false, &addr) != CMT_OK) {
      return false;
    }
    out->at = addr.at;
    return true;
  default:
    return false;
  }
}

cmt_err cmt_addrbook_bar(cmt_addrbook *b, const cmt_addrbook_ban *ban,
                         uint64_t now_ns) {
  cmt_addrbook_ban full;
  cmt__book_ban entry;
  cmt__book_entry *e;
  cmt_err err = b == NULL ? CMT_EINVAL : CMT_OK;

  cmt_addrbook_ban_init(&full);
  if (err == CMT_OK) {
    err = cmt__sized_read(&full, sizeof full, ban, "cmt_addrbook_ban", NULL);
  }
  if (err != CMT_OK || !ban_read(&full, &entry)) {
    return CMT_EINVAL;
  }
  b->fates[CMT_ADDRBOOK_FATE_WRONG_NETWORK] +=
    entry.kind == CMT_ADDRBOOK_WRONG_NETWORK;
  b->fates[CMT_ADDRBOOK_FATE_WRONG_ID] += entry.kind == CMT_ADDRBOOK_WRONG_ID;
  e = cmt__book_lookup(b, entry.id);
  if (e != NULL &&
      (entry.kind != CMT_ADDRBOOK_WRONG_ID || !has_another(b, e, &entry.at))) {
    cmt__book_drop(b, e);
  }
  return remember(b, &entry, now_ns);
}
