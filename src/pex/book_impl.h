/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__BOOK_IMPL_H
#define CMT__BOOK_IMPL_H

/* What the files of the address book share.

   Design notes.  Entries lie dense in chunks, in no order; the last one moves
   into the place of one that is removed.  An entry knows each bucket that it is
   in and its slot there, and a slot knows the number of its entry: the two
   always agree (book_check() of the tests).  An entry is in one to four new
   buckets or in one old bucket.  A table of keyed hashes finds an id.

   A bucket has 65 slots, as many as CometBFT's holds.  An entry takes the slot
   that a hash of its id and the bucket gives, or the next one that is free.
   When none is, the entry in the slot of the hash is the only one whose place
   is contested, however often somebody tries. */

#include <cometp2p/addrbook.h>

#include "base/base.h"
#include "base/ip.h"
#include "highway_hash.h"

enum {
  BOOK_NEW_BUCKETS = 256,
  BOOK_OLD_BUCKETS = 64,
  BOOK_BUCKETS = BOOK_NEW_BUCKETS + BOOK_OLD_BUCKETS, /* New ones first. */
  BOOK_SLOTS = 65,
  BOOK_ENTRIES = BOOK_BUCKETS * BOOK_SLOTS,
  BOOK_CHUNK = 128, /* Entries that are allocated at once. */
  BOOK_CHUNKS = (BOOK_ENTRIES + BOOK_CHUNK - 1) / BOOK_CHUNK,
  BOOK_ID = 20,
  BOOK_FILE_KEY = CMT_ADDRBOOK_KEY_SIZE,
  BOOK_CONTESTS = 16,
  BOOK_QUOTAS = 512, /* Peers whose additions of an hour are counted. */
  BOOK_NO_ENTRY = UINT16_MAX,
  BOOK_RANDOM = 1024, /* Bytes that are drawn at once. */
};

/* An address in bytes. */
typedef struct cmt__book_place {
  cmt__ip ip;
  uint16_t port;
} cmt__book_place;

typedef struct cmt__book_addr {
  uint8_t id[BOOK_ID];
  cmt__book_place at;
} cmt__book_addr;

/* The statistics of one window. */
typedef struct cmt__book_window {
  float count, success;
} cmt__book_window;

/* What an answer looks at comes first: it is of hundreds of entries, few of
   which are in a cache. */
typedef struct cmt__book_entry {
  uint64_t proven_ns, served_ns, tried_ns, last_success_ns;
  int64_t height;
  uint32_t attempts;
  bool old;
  cmt__book_addr addr;
  cmt__book_window windows[CMT_ADDRBOOK_WINDOWS];
  uint32_t height_s; /* When the height was heard of, since 1970. */
  uint64_t last_attempt_ns, last_ban_ns;
  cmt__book_place *others; /* CMT_ADDRBOOK_OTHERS_MAX of them, or NULL. */
  cmt__book_addr src;
  uint16_t buckets[CMT_ADDRBOOK_BUCKETS_PER_ENTRY]; /* 0 to 319. */
  uint8_t slots[CMT_ADDRBOOK_BUCKETS_PER_ENTRY];
  uint8_t bucket_count, other_count;
  char version[CMT_ADDRBOOK_VERSION_SIZE];
} cmt__book_entry;

typedef struct cmt__book_ban {
  uint8_t id[BOOK_ID];
  cmt__book_place at; /* Zero when the id alone counts. */
  uint8_t kind;
  uint64_t end_ns;
} cmt__book_ban;

/* An entry that waits for the place of an old one. */
typedef struct cmt__book_contest {
  uint8_t candidate[BOOK_ID], contested[BOOK_ID];
  uint64_t since_ns, asked_ns;
} cmt__book_contest;

/* How many addresses of a peer were looked at in its hour. */
typedef struct cmt__book_quota {
  uint8_t id[BOOK_ID];
  uint32_t looked;
  uint64_t since_ns;
} cmt__book_quota;

/* Peers that are dialed first after a restart. */
typedef struct cmt__book_anchors {
  cmt__book_addr list[CMT_ADDRBOOK_ANCHORS_MAX];
  size_t count;
} cmt__book_anchors;

/* A sorted list of ids. */
typedef struct cmt__book_ids {
  uint8_t (*list)[BOOK_ID];
  size_t count;
} cmt__book_ids;

struct cmt_addrbook {
  cmt_env env;
  bool strict;
  char file_key[BOOK_FILE_KEY];
  uint8_t hash_key[CMT__HIGHWAY_KEY_SIZE];
  cmt__book_ids own, private;
  cmt__book_entry *chunks[BOOK_CHUNKS];
  size_t count, old_count, proven_count, others_memory;
  uint16_t *index;  /* Numbers of entries from 1; 0: free. */
  size_t index_cap; /* A power of two, or 0. */
  uint16_t slots[BOOK_BUCKETS][BOOK_SLOTS]; /* As in |index|. */
  uint8_t fill[BOOK_BUCKETS];               /* Entries of each bucket. */
  cmt__book_ban *bans;                      /* In the order of ids. */
  size_t ban_count, ban_cap;
  cmt__book_contest contests[BOOK_CONTESTS];
  size_t contest_count;
  cmt__book_anchors anchors;
  cmt__book_quota *quotas;
  size_t quota_count, quota_cap;
  uint64_t added, replaced, refused, promoted, demoted, revision;
  uint64_t fates[CMT_ADDRBOOK_FATES]; /* But for the last three. */
  uint8_t random[BOOK_RANDOM];
  uint32_t random_left; /* Bytes. */
};

/* A copy of the book. */
struct cmt_addrbook_snapshot {
  cmt_env env;
  char file_key[BOOK_FILE_KEY];
  uint8_t hash_key[CMT__HIGHWAY_KEY_SIZE];
  uint64_t revision;
  cmt__book_entry *entries; /* |others| of each points into |others|. */
  size_t count;
  cmt__book_place *others;
  cmt__book_ban *bans;
  size_t ban_count;
  cmt__book_anchors anchors;
};

/* ---- book_addr.c: conversion ---- */

/* CMT_EINVAL: the host is no IP literal, or the id is malformed; an empty id is
   zeros if |id_optional|. */
CMT_NODISCARD cmt_err cmt__book_addr_read(const cmt_net_addr *in,
                                          bool id_optional,
                                          cmt__book_addr *out);
void cmt__book_addr_write(const cmt__book_addr *in, cmt_net_addr *out);
/* Reads 40 hex digits; an id of zeros alone stands for none, and is refused. */
bool cmt__book_id_parse(cmt_bytes text, uint8_t out[BOOK_ID]);
bool cmt__book_id_read(const cmt_node_id *in, uint8_t out[BOOK_ID]);
void cmt__book_id_write(const uint8_t id[BOOK_ID], cmt_node_id *out);
/* Its digits, without a NUL. */
void cmt__book_id_digits(const uint8_t id[BOOK_ID], char out[2 * BOOK_ID]);
bool cmt__book_place_equal(const cmt__book_place *a, const cmt__book_place *b);
/* Sorts |count| ids into |out|; CMT_EINVAL: one is malformed, or there are too
   many. */
CMT_NODISCARD cmt_err cmt__book_ids_copy(const cmt_env *env,
                                         const cmt_node_id *ids, size_t count,
                                         cmt__book_ids *out);
bool cmt__book_ids_have(const cmt__book_ids *ids, const uint8_t id[BOOK_ID]);

/* An instant in whole seconds since 1970, for half of the memory. */
static inline uint32_t cmt__book_seconds(uint64_t ns) {
  return (uint32_t)cmt__min64(ns / CMT_SECONDS(1), UINT32_MAX);
}

/* ---- book.c ---- */

/* |id| is one of ours from now on, and its entry leaves.  Without memory the
   list stays as it is. */
void cmt__book_add_own(cmt_addrbook *b, const cmt_node_id *id);

/* ---- book_random.c ---- */

/* Uniform below |limit|, which is not 0. */
uint64_t cmt__book_random(cmt_addrbook *b, uint64_t limit);

/* ---- book_table.c: entries, ids and slots ---- */

static inline cmt__book_entry *cmt__book_at(const cmt_addrbook *b,
                                            size_t number) {
  CMT_ASSERT(&b->env, number < b->count);
  return &b->chunks[number / BOOK_CHUNK][number % BOOK_CHUNK];
}
/* BOOK_NO_ENTRY: there is none. */
size_t cmt__book_find(const cmt_addrbook *b, const uint8_t id[BOOK_ID]);
cmt__book_entry *cmt__book_lookup(const cmt_addrbook *b,
                                  const uint8_t id[BOOK_ID]);
/* A new entry in no bucket, zeroed but for its id; NULL: no memory or no
   room. */
cmt__book_entry *cmt__book_append(cmt_addrbook *b, const uint8_t id[BOOK_ID]);
/* Removes the entry from its buckets and from the book.  Pointers to other
   entries are not valid any more. */
void cmt__book_drop(cmt_addrbook *b, cmt__book_entry *e);
/* The number of the entry in the slot, or BOOK_NO_ENTRY. */
size_t cmt__book_slot(const cmt_addrbook *b, unsigned bucket, unsigned slot);
bool cmt__book_in_bucket(const cmt__book_entry *e, unsigned bucket);
/* Puts the entry into a bucket that has room. */
void cmt__book_enter(cmt_addrbook *b, cmt__book_entry *e, unsigned bucket);
/* Takes the entry out of a bucket, or of all. */
void cmt__book_leave(cmt_addrbook *b, cmt__book_entry *e, unsigned bucket);
void cmt__book_leave_all(cmt_addrbook *b, cmt__book_entry *e);
void cmt__book_set_proven(cmt_addrbook *b, cmt__book_entry *e, uint64_t ns);
/* Notes one more address of the entry's id. */
void cmt__book_add_other(cmt_addrbook *b, cmt__book_entry *e,
                         const cmt__book_place *at);

/* ---- book_place.c: which bucket and slot ---- */

/* From 0 to 255. */
unsigned cmt__book_new_bucket(const cmt_addrbook *b, const cmt__book_addr *addr,
                              const cmt__book_addr *src);
/* From 256 to 319. */
unsigned cmt__book_old_bucket(const cmt_addrbook *b,
                              const cmt__book_addr *addr);
unsigned cmt__book_slot_of(const cmt_addrbook *b, const uint8_t id[BOOK_ID],
                           unsigned bucket);

/* ---- book_add.c ---- */

/* CometBFT's test of an entry whose place may be taken. */
bool cmt__book_is_bad(const cmt__book_entry *e, uint64_t now_ns);
/* Why |addr| cannot be in the book; CMT_OK: it can. */
cmt_err cmt__book_refuses(const cmt_addrbook *b, const cmt__book_addr *addr,
                          uint64_t now_ns);
/* Makes room in a new bucket for |newcomer|, which gives its slot: an entry
   that is bad leaves; else the one in the slot, if it is in other buckets too
   and the newcomer in none, or if |proven| and it is not.  May move entries.
   False: there is no room. */
bool cmt__book_make_room(cmt_addrbook *b, unsigned bucket,
                         const cmt__book_entry *newcomer, bool proven,
                         uint64_t now_ns);
/* Adds a node that the book lacks, reported by |src|; a node that only its
   proof speaks for is its own source.  CMT_ELIMIT; CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__book_add_unknown(cmt_addrbook *b,
                                            const cmt__book_addr *addr,
                                            const cmt__book_addr *src,
                                            bool proven, uint64_t now_ns);
/* Puts an entry that is in no bucket into a new one: its own, or the next one
   with room.  False: all are full. */
bool cmt__book_enter_somewhere(cmt_addrbook *b, cmt__book_entry *e);

/* ---- book_choose.c ---- */

/* As cmt_addrbook_select(), with |q| of this version of the library: the
   numbers of the entries, until the book changes. */
size_t cmt__book_select(cmt_addrbook *b, const cmt_addrbook_query *q,
                        uint16_t *out, size_t cap, uint64_t now_ns);
/* cmt_addrbook_count_proven(), up to |max|. */
size_t cmt__book_count_fresh(const cmt_addrbook *b, uint64_t within_ns,
                             size_t max, uint64_t now_ns);

/* ---- book_stats.c ---- */

void cmt__book_count_dial(cmt__book_entry *e, bool good, uint64_t now_ns);
bool cmt__book_is_reliable(const cmt__book_entry *e);

/* ---- book_contest.c: who waits for the place of whom ---- */

/* |candidate| wants the place of |contested|, an old entry, which is to be
   dialed first.  Nothing happens when there are too many contests, or one of
   the two is in one. */
void cmt__book_contest_begin(cmt_addrbook *b, const cmt__book_entry *candidate,
                             const cmt__book_entry *contested, uint64_t now_ns);
/* The outcome of a dial of |id|: it keeps its place, or loses it. */
void cmt__book_contest_end(cmt_addrbook *b, const uint8_t id[BOOK_ID],
                           bool good);

/* ---- book_ban.c ---- */

bool cmt__book_barred(const cmt_addrbook *b, const cmt__book_addr *addr,
                      uint64_t now_ns);

/* ---- book_dial.c ---- */

/* Brings the entry into the bucket of its address, if that has room. */
void cmt__book_enter_own(cmt_addrbook *b, cmt__book_entry *e);
/* The entry is in no bucket any more, and no old one. */
void cmt__book_leave_old(cmt_addrbook *b, cmt__book_entry *e);
/* Moves a new entry to its old bucket, which has room. */
void cmt__book_promote(cmt_addrbook *b, cmt__book_entry *e);

/* ---- book_snapshot.c ---- */

/* As cmt_addrbook_restore(), with all of |from| but its slots; its buckets are
   numbered from 0 to 319. */
CMT_NODISCARD cmt_err cmt__book_put_back(cmt_addrbook *b,
                                         const cmt__book_entry *from);

#endif
