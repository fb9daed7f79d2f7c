/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__ENSURE_H
#define CMT__ENSURE_H

/* Whom to dial, whom to ask, and whom to answer next: the decisions of peer
   exchange without I/O, on instants that the caller passes.  docs/PROTOCOL.md
   7.4 has what CometBFT does.

   It works in rounds of 30 s.  Places that are free are filled from the book in
   parallel, within a limit; what fails is replaced at once and not when the
   next round begins.  An address group has one outbound peer of the book's
   choice, so that whoever has many addresses in few groups fills few places.
   Failures count in the book only while peers of two groups are up, since else
   it may be we who are offline. */

#include <cometp2p/addrbook.h>

#include "ask_limit.h"
#include "book_impl.h"

enum {
  CMT__ENSURE_DIALS_MAX = 64, /* Most dials at one time. */
  CMT__ENSURE_SEEDS_MAX = 64,
  CMT__ENSURE_RECENT_MAX = 256, /* Ids that are not dialed again yet. */
  CMT__ENSURE_HINTS_MAX = 64,
  CMT__ENSURE_DUE_MAX = 32,      /* Proofs that a seed renews next. */
  CMT__ENSURE_SERVED_MAX = 64,   /* Visitors of a seed that knows few. */
  CMT__ENSURE_CLAIMED_MAX = 128, /* Claimed addresses that wait for a feeler. */
};

/* The present instant: of a clock that never runs backwards, and since 1970. */
typedef struct cmt__pex_time {
  uint64_t now_ns, utc_ns;
} cmt__pex_time;

typedef struct cmt__ensure_options {
  const cmt_env *env; /* Lives as long. */
  cmt_addrbook *book;
  cmt_node_id self;
  unsigned outbound_max, dials_max;
  unsigned asks_max; /* Peers that are asked in a round. */
  uint64_t period_ns;
  uint64_t feeler_ns;          /* CMT_NEVER: none. */
  uint64_t rotate_ns;          /* CMT_NEVER: none. */
  bool seed;                   /* Crawls and serves instead of keeping peers. */
  int64_t serve_height_min;    /* What a seed serves; 0: any, */
  const char *serve_version;   /* and NULL.  It lives as long. */
  const cmt_net_addr *anchors; /* Copied. */
  size_t anchor_count;
} cmt__ensure_options;

/* A peer that is up. */
typedef struct cmt__ensure_peer {
  struct cmt__ensure_peer *next, *prev;
  void *user, *owner; /* The caller's: a cmt_peer and its cmt_pex. */
  cmt_net_addr at;    /* Its id and the address of its socket. */
  char group[CMT_ADDRBOOK_GROUP_SIZE];
  cmt__ask_limit limit;
  uint64_t up_ns;
  uint64_t close_ns; /* When a seed ends it at the latest. */
  bool outbound, listed, seed, has_pex;
  bool exempt;        /* It is unconditional. */
  uint64_t seed_bits; /* Its numbers among the seeds. */
  bool ask;           /* It is asked as soon as it may be. */
  int64_t height;     /* What it says of itself; 0: nothing. */
  unsigned misses;    /* Before it; they count again if it hangs up at once. */
  bool answered;      /* A seed has, */
  size_t served;      /* with so many addresses. */
  uint64_t arrival;   /* Its number, from 1. */
  uint64_t dialed_ns; /* A visitor that has heard of it has dialed it. */
  bool few;           /* It came to a seed that knows few, */
  bool waits;         /* and waits for its answer. */
  bool proven;        /* It is among those that may be served. */
  bool refused;       /* It let nobody in while it is here. */
  bool early;         /* Its release asks others early, and they can dial it. */
} cmt__ensure_peer;

typedef enum cmt__ensure_kind {
  CMT__ENSURE_BOOK,
  CMT__ENSURE_ANCHOR,
  CMT__ENSURE_SEED,
  CMT__ENSURE_FEELER,
  CMT__ENSURE_CRAWL, /* A seed looks who is there. */
} cmt__ensure_kind;

/* A dial under way. */
typedef struct cmt__ensure_dial {
  bool used;
  cmt__ensure_kind kind;
  bool feeler;       /* It becomes no peer. */
  size_t seed;       /* Its number. */
  cmt_net_addr addr; /* For all but seeds. */
  char group[CMT_ADDRBOOK_GROUP_SIZE];
  int64_t height;   /* What a peer of this id says meanwhile; 0: nothing. */
  uint64_t arrival; /* The visitor whose claim it is; 0: it is none. */
  unsigned tries;   /* Feelers before, of that claim. */
} cmt__ensure_dial;

/* A visitor that a seed that knew few has answered. */
typedef struct cmt__ensure_served_id {
  cmt_node_id id;
  bool any; /* With an address at least. */
  uint64_t at_ns;
} cmt__ensure_served_id;

/* Where an inbound peer says that it is reached. */
typedef struct cmt__ensure_claim {
  cmt__book_addr addr;
  uint64_t arrival; /* The peer. */
  uint64_t due_ns;  /* For a seed; CMT_NEVER: when the peer is gone. */
  unsigned tries;
} cmt__ensure_claim;

typedef struct cmt__ensure_recent {
  cmt_node_id id;
  uint64_t until_ns;
} cmt__ensure_recent;

typedef struct cmt__ensure {
  cmt__ensure_options o;
  cmt__ensure_peer *peers;
  size_t peer_count, outbound;
  size_t exempt; /* Outbound ones that are no part of |outbound_max|. */
  size_t seed_count;
  uint64_t own_bits; /* The numbers that are this node itself. */
  cmt__ensure_dial dials[CMT__ENSURE_DIALS_MAX + 1]; /* And a feeler. */
  size_t dialing;                                    /* Without the feeler. */
  cmt__ensure_recent recent[CMT__ENSURE_RECENT_MAX];
  cmt_net_addr anchors[CMT_ADDRBOOK_ANCHORS_MAX]; /* To dial first. */
  size_t anchor_count;
  cmt_net_addr kept[CMT_ADDRBOOK_ANCHORS_MAX]; /* For the next start. */
  size_t kept_count;
  cmt__book_addr hints[CMT__ENSURE_HINTS_MAX]; /* What seeds answered last. */
  size_t hint_count;
  bool by_hint; /* The last one was; the next comes of the book. */
  cmt__ensure_claim claimed[CMT__ENSURE_CLAIMED_MAX];
  size_t claimed_count;
  cmt__book_addr due[CMT__ENSURE_DUE_MAX]; /* The last one is next. */
  size_t due_count;
  uint64_t due_ns; /* When others are looked for. */
  uint64_t start_ns;
  unsigned crawls;                          /* Dials of a seed. */
  char reached[2][CMT_ADDRBOOK_GROUP_SIZE]; /* Groups of its last proofs, */
  uint64_t reached_ns[2];                   /* and when; 0: never. */
  uint64_t round_ns, feeler_ns;             /* When the next one is due. */
  uint64_t rotate_ns;  /* A peer gives way to another one. */
  uint64_t check_ns;   /* Claimed addresses are tried from then on. */
  uint64_t spent_ns;   /* Dials have used the time up to there. */
  uint64_t seeds_left; /* A bit for each that may be dialed now. */
  uint64_t seeds_ns, seeds_wait_ns; /* When all may be again, and after that. */
  uint64_t seed_until_ns; /* The one that was reached may answer until then. */
  bool seed_seen; /* This tour has reached one: the next one waits longer. */
  unsigned asks_left, rounds;
  cmt__ensure_served_id served[CMT__ENSURE_SERVED_MAX];
  size_t served_at;
  uint64_t arrivals; /* Peers so far. */
  size_t waiting;    /* Visitors that wait for what a seed learns, */
  bool look;         /* and something has changed for them. */
  /* Dials that failed, or whose peer hung up at once, since the last that did
     not; and before that one. */
  unsigned misses, misses_before;
  bool dry; /* The book has nobody to dial at present. */
} cmt__ensure;

typedef enum cmt__ensure_act {
  CMT__ENSURE_DIAL,   /* |dial|; cmt__ensure_dialed() follows. */
  CMT__ENSURE_ASK,    /* |peer|: send a request. */
  CMT__ENSURE_ANSWER, /* |peer|: send addresses. */
  CMT__ENSURE_CLOSE,  /* |peer|: end it, once what is queued was sent. */
} cmt__ensure_act;

typedef struct cmt__ensure_step {
  cmt__ensure_act act;
  cmt__ensure_dial *dial;
  cmt__ensure_peer *peer;
} cmt__ensure_step;

/* |o| is copied.  The first round begins within a second. */
void cmt__ensure_init(cmt__ensure *e, const cmt__ensure_options *o,
                      cmt__pex_time t);
/* All peers were removed. */
void cmt__ensure_fini(cmt__ensure *e);
void cmt__ensure_set_seeds(cmt__ensure *e, size_t count);

/* What is to be done at |t|.  False: nothing until cmt__ensure_next_ns(). */
bool cmt__ensure_next(cmt__ensure *e, cmt__pex_time t, cmt__ensure_step *out);
/* At the earliest; also after each call below. */
uint64_t cmt__ensure_next_ns(const cmt__ensure *e, uint64_t now_ns);

/* The outcome of a dial: |at| has the id and the address that were reached, or
   NULL; |version| may be NULL. */
typedef struct cmt__ensure_outcome {
  cmt_err err;
  const cmt_net_addr *at;
  const char *version;
} cmt__ensure_outcome;

void cmt__ensure_dialed(cmt__ensure *e, cmt__ensure_dial *d,
                        const cmt__ensure_outcome *o, cmt__pex_time t);

/* A peer is up; |p| has user, owner, at and what is known of it. |claimed|
   is what an inbound peer says that it is reached at; NULL: nothing.  NULL: no
   memory. */
cmt__ensure_peer *cmt__ensure_add(cmt__ensure *e, const cmt__ensure_peer *p,
                                  const cmt_net_addr *claimed,
                                  const char *version, cmt__pex_time t);
void cmt__ensure_remove(cmt__ensure *e, cmt__ensure_peer *p, cmt_err reason,
                        cmt__pex_time t);
/* The operator has put it on the list of persistent peers, or taken it off. */
void cmt__ensure_set_listed(const cmt__ensure *e, cmt__ensure_peer *p,
                            bool listed, cmt__pex_time t);
/* It is unconditional from now on, and takes no place of others. */
void cmt__ensure_exempt(cmt__ensure *e, cmt__ensure_peer *p);
/* Outbound peers that |outbound_max| counts. */
static inline size_t cmt__ensure_placed(const cmt__ensure *e) {
  return e->outbound - e->exempt;
}
/* The answer of a peer that was asked.  Returns how many were new. */
size_t cmt__ensure_learn(cmt__ensure *e, cmt__ensure_peer *p,
                         const cmt_net_addr *addrs, size_t count,
                         cmt__pex_time t);
/* A peer has reported the height of its chain. */
void cmt__ensure_note_height(cmt__ensure *e, cmt__ensure_peer *p,
                             int64_t height, cmt__pex_time t);
/* A peer broke the rules: its id stays out of the book for a day. */
void cmt__ensure_blame(cmt__ensure *e, const cmt__ensure_peer *p,
                       cmt__pex_time t);

/* The longest-lived outbound peers of distinct groups, or those before the last
   one was gone. */
size_t cmt__ensure_anchors(cmt__ensure *e, cmt_net_addr *out, size_t cap);

/* What an answer for |p| has in it. */
void cmt__ensure_query(const cmt__ensure *e, const cmt__ensure_peer *p,
                       cmt__pex_time t, cmt_addrbook_query *out);
/* Whether the answer to a request that may be answered waits: a seed that has
   just begun finds out first who else is there. */
bool cmt__ensure_holds(cmt__ensure *e, cmt__ensure_peer *p, cmt__pex_time t);
/* An answer before it is sent: entries of the book by their numbers, with the
   proof of each. */
typedef struct cmt__ensure_answer {
  uint16_t *numbers;
  uint64_t *proofs_ns;
  size_t count;
} cmt__ensure_answer;

/* Drops what |p| is not to get. */
void cmt__ensure_trim(cmt__ensure *e, cmt__ensure_peer *p,
                      cmt__ensure_answer *a, cmt__pex_time t);
/* The peer was answered. */
void cmt__ensure_served(cmt__ensure *e, cmt__ensure_peer *p, cmt__pex_time t);

/* Whether peers of two groups are up; a seed, whose peers stay for an instant,
   is online also when it reached two groups not long ago. */
bool cmt__ensure_is_online(const cmt__ensure *e, uint64_t now_ns);

#endif
