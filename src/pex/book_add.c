/* SPDX-License-Identifier: Apache-2.0 */

/* Hearsay: addresses that peers report.  docs/PROTOCOL.md 7.6. */

#include "book_impl.h"
#include "net_group.h"

#define MINUTE_NS CMT_SECONDS(60)
#define HOUR_NS CMT_SECONDS(3600)
#define MISSING_NS CMT_SECONDS(7 * 86400)
#define SUCCESS_OLD_NS CMT_SECONDS(7 * 86400)

enum { RETRIES = 3, FAILURES_MAX = 10, QUOTAS_FIRST = 16 };

bool cmt__book_is_bad(const cmt__book_entry *e, uint64_t now_ns) {
  uint64_t tried = cmt__since(now_ns, e->last_attempt_ns);

  if (e->old || tried < MINUTE_NS) {
    return false;
  }
  if (tried > MISSING_NS) {
    return true;
  }
  if (e->last_success_ns == 0) {
    return e->attempts >= RETRIES;
  }
  return cmt__since(now_ns, e->last_success_ns) > SUCCESS_OLD_NS &&
         e->attempts >= FAILURES_MAX;
}

cmt_err cmt__book_refuses(const cmt_addrbook *b, const cmt__book_addr *addr,
                          uint64_t now_ns) {
  if (!cmt__ip_is_valid(&addr->at.ip)) {
    return CMT_EINVAL;
  }
  if (cmt__book_barred(b, addr, now_ns)) {
    return CMT_EBANNED;
  }
  if (cmt__book_ids_have(&b->private, addr->id)) {
    return CMT_EFILTER;
  }
  if (cmt__book_ids_have(&b->own, addr->id)) {
    return CMT_ESELF;
  }
  if (b->strict && !cmt__ip_is_routable(&addr->at.ip)) {
    return CMT_EUNREACH;
  }
  return CMT_OK;
}

/* ---- a full bucket ---- */

/* An entry of the bucket that is bad: the one in |slot| before all others. */
static cmt__book_entry *find_bad(const cmt_addrbook *b, unsigned bucket,
                                 unsigned slot, uint64_t now_ns) {
  for (unsigned i = 0; i < BOOK_SLOTS; i++) {
    size_t number = cmt__book_slot(b, bucket, (slot + i) % BOOK_SLOTS);

    if (number != BOOK_NO_ENTRY &&
        cmt__book_is_bad(cmt__book_at(b, number), now_ns)) {
      return cmt__book_at(b, number);
    }
  }
  return NULL;
}

bool cmt__book_make_room(cmt_addrbook *b, unsigned bucket,
                         const cmt__book_entry *newcomer, bool proven,
                         uint64_t now_ns) {
  unsigned slot = cmt__book_slot_of(b, newcomer->addr.id, bucket);
  cmt__book_entry *e;

  if (b->fill[bucket] < BOOK_SLOTS) {
    return true;
  }
  e = find_bad(b, bucket, slot, now_ns);
  if (e == NULL) {
    e = cmt__book_at(b, cmt__book_slot(b, bucket, slot));
    if (!(e->bucket_count > 1 && newcomer->bucket_count == 0) &&
        !(proven && e->proven_ns == 0)) {
      return false;
    }
  }
  b->replaced++;
  cmt__book_leave(b, e, bucket);
  if (e->bucket_count == 0) {
    cmt__book_drop(b, e);
  }
  return true;
}

bool cmt__book_enter_somewhere(cmt_addrbook *b, cmt__book_entry *e) {
  unsigned bucket = cmt__book_new_bucket(b, &e->addr, &e->src);

  for (unsigned i = 0; i < BOOK_NEW_BUCKETS; i++) {
    if (b->fill[(bucket + i) % BOOK_NEW_BUCKETS] < BOOK_SLOTS) {
      cmt__book_enter(b, e, (bucket + i) % BOOK_NEW_BUCKETS);
      return true;
    }
  }
  return false;
}

/* ---- adding ---- */

/* An entry that the book has may come into one more bucket, the less likely the
   more it has.  Its address and its source stay. */
static void add_known(cmt_addrbook *b, cmt__book_entry *e,
                      const cmt__book_addr *addr, const cmt__book_addr *src) {
  unsigned bucket;

  if (e->proven_ns == 0) {
    cmt__book_add_other(b, e, &addr->at);
  }
  if (e->old || e->bucket_count == CMT_ADDRBOOK_BUCKETS_PER_ENTRY ||
      cmt__book_random(b, 2u * e->bucket_count) != 0) {
    return;
  }
  bucket = cmt__book_new_bucket(b, addr, src);
  if (!cmt__book_in_bucket(e, bucket) && b->fill[bucket] < BOOK_SLOTS) {
    cmt__book_enter(b, e, bucket);
  }
}

cmt_err cmt__book_add_unknown(cmt_addrbook *b, const cmt__book_addr *addr,
                              const cmt__book_addr *src, bool proven,
                              uint64_t now_ns) {
  unsigned bucket = cmt__book_new_bucket(b, addr, src);
  cmt__book_entry newcomer = {.addr = *addr}, *e;

  if (!cmt__book_make_room(b, bucket, &newcomer, proven, now_ns)) {
    b->refused++;
    return CMT_ELIMIT;
  }
  e = cmt__book_append(b, addr->id);
  if (e == NULL) {
    return CMT_ENOMEM;
  }
  e->addr = *addr;
  e->src = *src;
  e->last_attempt_ns = proven ? 0 : now_ns; /* A dial has its own instant. */
  cmt__book_enter(b, e, bucket);
  b->added++;
  return CMT_OK;
}

/* ---- fates ---- */

static cmt_addrbook_fate fate_of(cmt_err err, bool added) {
  static const struct {
    cmt_err err;
    cmt_addrbook_fate fate;
  } rows[] = {
    {CMT_EINVAL, CMT_ADDRBOOK_FATE_INVALID},
    {CMT_EUNREACH, CMT_ADDRBOOK_FATE_UNROUTABLE},
    {CMT_EFILTER, CMT_ADDRBOOK_FATE_PRIVATE},
    {CMT_EBANNED, CMT_ADDRBOOK_FATE_BANNED},
    {CMT_ESELF, CMT_ADDRBOOK_FATE_SELF},
  };

  if (err == CMT_OK) {
    return added ? CMT_ADDRBOOK_FATE_ADDED : CMT_ADDRBOOK_FATE_KNOWN;
  }
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    if (rows[i].err == err) {
      return rows[i].fate;
    }
  }
  return CMT_ADDRBOOK_FATE_FULL; /* Memory may be what is full. */
}

static cmt_err count_fate(cmt_addrbook *b, cmt_err err, bool added) {
  b->fates[fate_of(err, added)]++;
  return err;
}

static cmt_err try_add(cmt_addrbook *b, const cmt_net_addr *in,
                       const cmt__book_addr *src, uint64_t now_ns) {
  cmt__book_addr addr;
  cmt__book_entry *e;
  cmt_err err = cmt__book_addr_read(in, false, &addr);

  if (err == CMT_OK) {
    err = cmt__book_refuses(b, &addr, now_ns);
  }
  if (err != CMT_OK) {
    return err;
  }
  if (cmt__book_ids_have(&b->private, src->id)) {
    return CMT_EFILTER;
  }
  e = cmt__book_lookup(b, addr.id);
  if (e == NULL) {
    return cmt__book_add_unknown(b, &addr, src, false, now_ns);
  }
  add_known(b, e, &addr, src);
  return CMT_OK;
}

static cmt_err add(cmt_addrbook *b, const cmt_net_addr *in,
                   const cmt__book_addr *src, uint64_t now_ns) {
  uint64_t before = b->added;
  cmt_err err = try_add(b, in, src, now_ns);

  return count_fate(b, err, b->added > before);
}

cmt_err cmt_addrbook_add(cmt_addrbook *b, const cmt_net_addr *addr,
                         const cmt_net_addr *src, uint64_t now_ns) {
  cmt__book_addr from;
  cmt_err err = b == NULL ? CMT_EINVAL : cmt__book_addr_read(src, true, &from);

  return err == CMT_OK ? add(b, addr, &from, now_ns) : err;
}

/* ---- answers ---- */

static cmt__book_quota *quota_find(const cmt_addrbook *b,
                                   const uint8_t id[BOOK_ID]) {
  for (size_t i = 0; i < b->quota_count; i++) {
    if (memcmp(b->quotas[i].id, id, BOOK_ID) == 0) {
      return &b->quotas[i];
    }
  }
  return NULL;
}

/* Room for one more; the one that began first gives way.  NULL: no memory. */
static cmt__book_quota *quota_append(cmt_addrbook *b) {
  cmt__book_quota *oldest;

  if (b->quota_count < BOOK_QUOTAS) {
    void *items = b->quotas;

    if (b->quota_count == b->quota_cap &&
        !cmt__grow(&b->env, &items, &b->quota_cap, sizeof *b->quotas,
                   QUOTAS_FIRST)) {
      return NULL;
    }
    b->quotas = items;
    return &b->quotas[b->quota_count++];
  }
  oldest = b->quotas;
  for (size_t i = 1; i < b->quota_count; i++) {
    if (b->quotas[i].since_ns < oldest->since_ns) {
      oldest = &b->quotas[i];
    }
  }
  return oldest;
}

/* How many of |count| addresses of the peer |id| may be looked at. */
static size_t quota_take(cmt_addrbook *b, const uint8_t id[BOOK_ID],
                         size_t count, uint64_t now_ns) {
  cmt__book_quota *q = quota_find(b, id);

  if (q == NULL) {
    q = quota_append(b);
    if (q == NULL) {
      return 0;
    }
    *q = (cmt__book_quota){.since_ns = now_ns};
    memcpy(q->id, id, BOOK_ID);
  }
  if (cmt__since(now_ns, q->since_ns) >= HOUR_NS) {
    q->since_ns = now_ns;
    q->looked = 0;
  }
  count = cmt__min(count, CMT_ADDRBOOK_ADDED_PER_HOUR - q->looked);
  q->looked += (uint32_t)count;
  return count;
}

size_t cmt_addrbook_add_answer(cmt_addrbook *b, const cmt_net_addr *addrs,
                               size_t count, const cmt_net_addr *src,
                               uint64_t now_ns) {
  uint64_t before = b->added;
  cmt__book_addr from;
  size_t looked;

  if (addrs == NULL || cmt__book_addr_read(src, false, &from) != CMT_OK) {
    return 0;
  }
  looked =
    quota_take(b, from.id, cmt__min(count, CMT_ADDRBOOK_ANSWER_MAX), now_ns);
  b->fates[CMT_ADDRBOOK_FATE_IGNORED] += count - looked;
  for (size_t i = 0; i < looked; i++) {
    (void)add(b, &addrs[i], &from, now_ns);
  }
  return (size_t)(b->added - before);
}

/* ---- claims ---- */

/* A name is as good as no address: it is never resolved. */
static bool read_claimed(const cmt_net_addr *in, cmt__book_addr *out) {
  cmt_net_addr any = *in;
  cmt_bytes host = {.base = (const uint8_t *)in->host,
                    .len = strnlen(in->host, sizeof in->host)};
  cmt__ip ip;

  if (host.len > 0 && !cmt__ip_read(host, &ip)) {
    snprintf(any.host, sizeof any.host, "0.0.0.0");
  }
  return cmt__book_addr_read(&any, false, out) == CMT_OK;
}

static bool is_unspecified(const cmt__ip *ip) {
  cmt__ip none = {{0}}, none4 = {{[10] = 0xff, [11] = 0xff}};

  return cmt__ip_equal(ip, &none) || cmt__ip_equal(ip, &none4);
}

cmt_err cmt_addrbook_add_claimed(cmt_addrbook *b, const cmt_net_addr *claimed,
                                 const cmt_net_addr *socket, cmt_net_addr *dial,
                                 uint64_t now_ns) {
  cmt__book_addr addr, from;
  cmt_err err;

  if (b == NULL || claimed == NULL || dial == NULL ||
      !read_claimed(claimed, &addr) ||
      cmt__book_addr_read(socket, false, &from) != CMT_OK ||
      memcmp(addr.id, from.id, BOOK_ID) != 0) {
    return CMT_EINVAL;
  }
  if (cmt__ip_equal(&addr.at.ip, &from.at.ip)) {
    return add(b, claimed, &from, now_ns);
  }
  if (is_unspecified(&addr.at.ip)) {
    addr.at.ip = from.at.ip;
  }
  err = cmt__book_refuses(b, &addr, now_ns);
  if (err != CMT_OK) {
    return count_fate(b, err, false);
  }
  cmt__book_addr_write(&addr, dial);
  return CMT_EAGAIN;
}
