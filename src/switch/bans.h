/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__BANS_H
#define CMT__BANS_H

/* Bans of ids, addresses and ranges, each until an instant.  Any thread may
   change and list them; the first loop asks, and brings the instant. */

#include "base/ip.h"
#include "sys/lock.h"

#include <cometp2p/admission.h>

enum {
  CMT__BAN_ID_BYTES = 20,
  CMT__BAN_ID = 129, /* In place of a number of bits. */
};

/* Whom a ban covers.  Keys are compared as bytes. */
typedef struct cmt__ban_key {
  uint8_t bits; /* How many of an address count, or CMT__BAN_ID. */
  uint8_t bytes[CMT__BAN_ID_BYTES];
} cmt__ban_key;

typedef struct cmt__ban {
  cmt__ban_key key;
  bool fresh; /* The loop has not seen it: |end_ns| is a guess. */
  uint64_t duration_ns, end_ns;
} cmt__ban;

typedef struct cmt__bans {
  const cmt_env *env;
  pthread_mutex_t lock;
  cmt__ban *list; /* In the order of keys; NULL: there never was one. */
  size_t count;
  uint16_t of_bits[CMT__BAN_ID + 1]; /* How many have so many bits. */
  uint64_t now_ns;                   /* When the loop looked last. */
} cmt__bans;

CMT_NODISCARD cmt_err cmt__bans_init(cmt__bans *b, const cmt_env *env);
void cmt__bans_fini(cmt__bans *b);
/* Most bytes that the list has. */
size_t cmt__bans_memory(void);

/* CMT_EINVAL: |subject| is none, and |why| has the reason. */
CMT_NODISCARD cmt_err cmt__ban_parse(const char *subject, cmt__ban_key *out,
                                     cmt_why *why);
/* Writes the canonical subject. */
void cmt__ban_text(const cmt__ban_key *key, char out[CMT_BAN_TEXT_SIZE]);
/* Why something that |b| covers ends. */
void cmt__ban_why(const cmt__ban *b, cmt_stage stage, cmt_why *why);

/* CMT_ELIMIT: there are as many as can be, and all last longer; CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__bans_put(cmt__bans *b, const cmt__ban_key *key,
                                    uint64_t duration_ns);
void cmt__bans_remove(cmt__bans *b, const cmt__ban_key *key);
/* Counts the time of new bans from |now_ns|, and drops those that have ended.
   Returns when the next one ends. */
uint64_t cmt__bans_update(cmt__bans *b, uint64_t now_ns);
/* Whether the id or the address is banned, and then the ban of it that lasts
   longest. */
bool cmt__bans_find_id(cmt__bans *b, const cmt_node_id *id, uint64_t now_ns,
                       cmt__ban *out);
bool cmt__bans_find_ip(cmt__bans *b, const cmt__ip *ip, uint64_t now_ns,
                       cmt__ban *out);
/* As cmt_switch_find_ban_sized(). */
bool cmt__bans_find(cmt__bans *b, const cmt_net_addr *a, cmt_ban *out,
                    size_t size);
/* As cmt_switch_bans_sized(). */
size_t cmt__bans_list(cmt__bans *b, void *out, size_t cap, size_t size);

#endif
