/* SPDX-License-Identifier: Apache-2.0 */

/* What our own dials showed. */

#include "book_impl.h"

#include "base/sized.h"

#define SUCCESS_OLD_NS CMT_SECONDS(7 * 86400)
/* An old entry that was reached so recently need not be dialed to keep its
   place. */
#define REACHED_NS CMT_SECONDS(4 * 3600)

enum {
  FAILURES_MAX = 10,     /* In a row, after which an old entry is new again. */
  FAILURES_LONG_AGO = 3, /* Without success for a week so many suffice. */
  FAILURES_PROVEN = 3,   /* After which another address of the id is next. */
};

void cmt_addrbook_proof_init_sized(cmt_addrbook_proof *p, size_t size) {
  const cmt_addrbook_proof full = {.height = 0};

  cmt__sized_write(p, size, &full, sizeof full);
}

static cmt__book_entry *find(const cmt_addrbook *b, const cmt_node_id *id) {
  uint8_t bytes[BOOK_ID];

  return cmt__book_id_read(id, bytes) ? cmt__book_lookup(b, bytes) : NULL;
}

void cmt_addrbook_attempt(cmt_addrbook *b, const cmt_node_id *id,
                          uint64_t now_ns) {
  cmt__book_entry *e = find(b, id);

  if (e != NULL) {
    e->last_attempt_ns = now_ns;
    b->revision++;
  }
}

void cmt_addrbook_remove(cmt_addrbook *b, const cmt_node_id *id) {
  cmt__book_entry *e = find(b, id);

  if (e != NULL) {
    cmt__book_drop(b, e);
  }
}

/* ---- between new and old ---- */

void cmt__book_leave_old(cmt_addrbook *b, cmt__book_entry *e) {
  cmt__book_leave_all(b, e);
  e->old = false;
  b->old_count--;
}

void cmt__book_promote(cmt_addrbook *b, cmt__book_entry *e) {
  cmt__book_leave_all(b, e);
  e->old = true;
  b->old_count++;
  b->promoted++;
  cmt__book_enter(b, e, cmt__book_old_bucket(b, &e->addr));
}

void cmt_addrbook_good(cmt_addrbook *b, const cmt_node_id *id,
                       uint64_t now_ns) {
  cmt__book_entry *e = find(b, id), *contested;
  unsigned bucket;

  if (e == NULL) {
    return;
  }
  e->attempts = 0;
  e->last_attempt_ns = now_ns;
  e->last_success_ns = now_ns;
  b->revision++;
  if (e->old) {
    return;
  }
  bucket = cmt__book_old_bucket(b, &e->addr);
  if (b->fill[bucket] < BOOK_SLOTS) {
    cmt__book_promote(b, e);
    return;
  }
  contested = cmt__book_at(
    b, cmt__book_slot(b, bucket, cmt__book_slot_of(b, e->addr.id, bucket)));
  if (contested->last_success_ns == 0 ||
      cmt__since(now_ns, contested->last_success_ns) >= REACHED_NS) {
    cmt__book_contest_begin(b, e, contested, now_ns);
  }
}

/* Moves an old entry to its new bucket, or drops it when that is full of better
   ones. */
static void demote(cmt_addrbook *b, cmt__book_entry *e, uint64_t now_ns) {
  unsigned bucket = cmt__book_new_bucket(b, &e->addr, &e->src);
  uint8_t id[BOOK_ID];
  bool room;

  memcpy(id, e->addr.id, sizeof id);
  cmt__book_leave_old(b, e);
  b->demoted++;
  room = cmt__book_make_room(b, bucket, e, false, now_ns);
  e = cmt__book_lookup(b, id); /* Others may have moved. */
  if (room) {
    cmt__book_enter(b, e, bucket);
  } else {
    cmt__book_drop(b, e);
  }
}

static bool should_be_demoted(const cmt__book_entry *e, uint64_t now_ns) {
  return e->old && (e->attempts >= FAILURES_MAX ||
                    (e->attempts >= FAILURES_LONG_AGO &&
                     cmt__since(now_ns, e->last_success_ns) > SUCCESS_OLD_NS));
}

/* ---- addresses of an id ---- */

void cmt__book_enter_own(cmt_addrbook *b, cmt__book_entry *e) {
  unsigned bucket = e->old ? cmt__book_old_bucket(b, &e->addr)
                           : cmt__book_new_bucket(b, &e->addr, &e->src);

  if (!cmt__book_in_bucket(e, bucket) && b->fill[bucket] < BOOK_SLOTS) {
    cmt__book_leave_all(b, e);
    cmt__book_enter(b, e, bucket);
  }
}

/* Gives the entry the address |at|, which may be one of its others, and notes
   the one that it had. */
static void change_address(cmt_addrbook *b, cmt__book_entry *e,
                           const cmt__book_place *at) {
  cmt__book_place before = e->addr.at;

  e->addr.at = *at;
  for (size_t i = 0; i < e->other_count; i++) {
    if (cmt__book_place_equal(&e->others[i], &e->addr.at)) {
      memmove(&e->others[i], &e->others[i + 1],
              (e->other_count - i - 1u) * sizeof *e->others);
      e->other_count--;
      break;
    }
  }
  cmt__book_add_other(b, e, &before);
  cmt__book_set_proven(b, e, 0);
  cmt__book_enter_own(b, e);
}

/* After failures the next dial goes to another address of the id. */
static void try_another(cmt_addrbook *b, cmt__book_entry *e) {
  if (e->other_count > 0 &&
      (e->proven_ns == 0 || e->attempts >= FAILURES_PROVEN)) {
    cmt__book_place next = e->others[0];

    change_address(b, e, &next);
  }
}

/* ---- outcomes ---- */

void cmt_addrbook_failed(cmt_addrbook *b, const cmt_node_id *id,
                         uint64_t now_ns) {
  cmt__book_entry *e = find(b, id);

  if (e == NULL) {
    return;
  }
  e->attempts += e->attempts < INT32_MAX;
  e->last_attempt_ns = now_ns;
  b->revision++;
  cmt__book_count_dial(e, false, now_ns);
  try_another(b, e);
  cmt__book_contest_end(b, e->addr.id, false);
  if (should_be_demoted(e, now_ns)) {
    demote(b, e, now_ns);
  }
}

static void note_height(cmt__book_entry *e, int64_t height, uint64_t now_ns) {
  if (height > 0) {
    e->height = height;
    e->height_s = cmt__book_seconds(now_ns);
  }
}

void cmt_addrbook_set_height(cmt_addrbook *b, const cmt_node_id *id,
                             int64_t height, uint64_t now_ns) {
  cmt__book_entry *e = find(b, id);

  if (e != NULL && height > 0) {
    note_height(e, height, now_ns);
    b->revision++;
  }
}

static void note_proof(cmt_addrbook *b, cmt__book_entry *e,
                       const cmt_addrbook_proof *p, uint64_t now_ns) {
  e->attempts = 0;
  e->last_attempt_ns = now_ns;
  e->last_success_ns = now_ns;
  note_height(e, p->height, now_ns);
  if (p->version != NULL) {
    snprintf(e->version, sizeof e->version, "%s", p->version);
    cmt__line_clean(e->version);
  }
  cmt__book_count_dial(e, true, now_ns);
  cmt__book_set_proven(b, e, now_ns);
}

cmt_err cmt_addrbook_proved(cmt_addrbook *b, const cmt_addrbook_proof *p,
                            uint64_t now_ns) {
  cmt_addrbook_proof full;
  cmt__book_addr addr;
  cmt__book_entry *e;
  cmt_err err = b == NULL ? CMT_EINVAL : CMT_OK;

  cmt_addrbook_proof_init(&full);
  if (err == CMT_OK) {
    err = cmt__sized_read(&full, sizeof full, p, "cmt_addrbook_proof", NULL);
  }
  if (err == CMT_OK) {
    err = cmt__book_addr_read(full.addr, false, &addr);
  }
  if (err == CMT_OK) {
    err = cmt__book_refuses(b, &addr, now_ns);
  }
  if (err == CMT_OK && cmt__book_find(b, addr.id) == BOOK_NO_ENTRY) {
    err = cmt__book_add_unknown(b, &addr, &addr, true, now_ns);
  }
  if (err != CMT_OK) {
    return err;
  }
  e = cmt__book_lookup(b, addr.id);
  if (!cmt__book_place_equal(&e->addr.at, &addr.at)) {
    change_address(b, e, &addr.at);
  }
  note_proof(b, e, &full, now_ns);
  cmt__book_contest_end(b, addr.id, true);
  return CMT_OK;
}
