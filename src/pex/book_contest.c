/* SPDX-License-Identifier: Apache-2.0 */

/* Contests: a new entry that is worth an old bucket finds it full.  The old
   entry whose place it wants is dialed first, and only if that fails do the two
   change places, so neither is lost. */

#include "book_impl.h"

#define CONTEST_NS CMT_SECONDS(30 * 60)
#define ASK_AGAIN_NS CMT_SECONDS(2 * 60)

static bool is_id(const uint8_t a[BOOK_ID], const uint8_t b[BOOK_ID]) {
  return memcmp(a, b, BOOK_ID) == 0;
}

static void take_out(cmt_addrbook *b, size_t at) {
  b->contests[at] = b->contests[--b->contest_count];
}

void cmt__book_contest_begin(cmt_addrbook *b, const cmt__book_entry *candidate,
                             const cmt__book_entry *contested,
                             uint64_t now_ns) {
  cmt__book_contest *c;

  if (b->contest_count == BOOK_CONTESTS) {
    return;
  }
  for (size_t i = 0; i < b->contest_count; i++) {
    if (is_id(b->contests[i].candidate, candidate->addr.id) ||
        is_id(b->contests[i].contested, contested->addr.id)) {
      return;
    }
  }
  c = &b->contests[b->contest_count++];
  *c = (cmt__book_contest){.since_ns = now_ns};
  memcpy(c->candidate, candidate->addr.id, BOOK_ID);
  memcpy(c->contested, contested->addr.id, BOOK_ID);
}

/* The new entry becomes an old one, and the old one takes a place in its own
   new bucket, or the one that was left. */
static void change_places(cmt_addrbook *b, cmt__book_entry *candidate,
                          cmt__book_entry *contested) {
  unsigned left = candidate->buckets[0];
  unsigned own = cmt__book_new_bucket(b, &contested->addr, &contested->src);

  cmt__book_leave_old(b, contested);
  cmt__book_promote(b, candidate);
  cmt__book_enter(b, contested, b->fill[own] < BOOK_SLOTS ? own : left);
  b->demoted++;
}

/* The end of a contest that the old entry |lost|, or which never was. */
static void end(cmt_addrbook *b, size_t at, bool lost) {
  cmt__book_entry *candidate = cmt__book_lookup(b, b->contests[at].candidate);
  cmt__book_entry *contested = cmt__book_lookup(b, b->contests[at].contested);
  unsigned bucket;

  take_out(b, at);
  if (candidate == NULL || candidate->old || !lost) {
    return;
  }
  bucket = cmt__book_old_bucket(b, &candidate->addr);
  if (b->fill[bucket] < BOOK_SLOTS) {
    cmt__book_promote(b, candidate);
  } else if (contested != NULL && contested->old &&
             cmt__book_in_bucket(contested, bucket)) {
    change_places(b, candidate, contested);
  }
}

void cmt__book_contest_end(cmt_addrbook *b, const uint8_t id[BOOK_ID],
                           bool good) {
  for (size_t i = b->contest_count; i-- > 0;) {
    if (is_id(b->contests[i].contested, id)) {
      end(b, i, !good);
    } else if (!good && is_id(b->contests[i].candidate, id)) {
      take_out(b, i);
    }
  }
}

/* Ends contests whose time is over: the place is that of the candidate unless
   the old entry was reached meanwhile. */
static void end_overdue(cmt_addrbook *b, uint64_t now_ns) {
  for (size_t i = b->contest_count; i-- > 0;) {
    const cmt__book_contest *c = &b->contests[i];
    const cmt__book_entry *e = cmt__book_lookup(b, c->contested);

    if (e == NULL || !e->old) {
      end(b, i, true);
    } else if (cmt__since(now_ns, c->since_ns) >= CONTEST_NS) {
      end(b, i, e->last_success_ns < c->since_ns);
    }
  }
}

cmt_err cmt_addrbook_next_test(cmt_addrbook *b, cmt_net_addr *out,
                               uint64_t now_ns) {
  if (b == NULL || out == NULL) {
    return CMT_EINVAL;
  }
  end_overdue(b, now_ns);
  for (size_t i = 0; i < b->contest_count; i++) {
    cmt__book_contest *c = &b->contests[i];

    if (c->asked_ns == 0 || cmt__since(now_ns, c->asked_ns) >= ASK_AGAIN_NS) {
      c->asked_ns = now_ns;
      cmt__book_addr_write(&cmt__book_lookup(b, c->contested)->addr, out);
      return CMT_OK;
    }
  }
  return CMT_EAGAIN;
}
