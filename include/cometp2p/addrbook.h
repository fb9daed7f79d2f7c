/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_ADDRBOOK_H
#define CMT_ADDRBOOK_H

/* Address book: which nodes there are, who reported them, which of them we
   reached ourselves.  It has CometBFT's buckets, choice and selection, without
   I/O: instants are arguments, in nanoseconds since 1970 (UTC), and 0 stands
   for "never".  One thread at a time may use a book.  Hosts are IP literals.
   docs/PROTOCOL.md 7.6, docs/guide/addrbook.md. */

#include <cometp2p/env.h>
#include <cometp2p/net_addr.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cmt_addrbook cmt_addrbook;

enum {
  /** Most entries of a book: what its 256 new and 64 old buckets hold. */
  CMT_ADDRBOOK_ENTRIES_MAX = 20800,
  CMT_ADDRBOOK_ANSWER_MAX = 250,      /**< Most addresses of an answer. */
  CMT_ADDRBOOK_ADDED_PER_HOUR = 1000, /**< Looked at of one peer. */
  CMT_ADDRBOOK_DUE_MAX = 64,          /**< Most of cmt_addrbook_due(). */
  CMT_ADDRBOOK_NEED_MORE = 1000,      /**< A smaller book asks for more. */
  CMT_ADDRBOOK_BUCKETS_PER_ENTRY =
    4,                      /**< A new entry has up to four, an old one one. */
  CMT_ADDRBOOK_WINDOWS = 5, /**< Windows of the reliability. */
  CMT_ADDRBOOK_OTHERS_MAX = 3,    /**< More addresses of an id. */
  CMT_ADDRBOOK_BANS_MAX = 4096,   /**< Ids and addresses kept out. */
  CMT_ADDRBOOK_IDS_MAX = 4096,    /**< Our own ids, and as many private. */
  CMT_ADDRBOOK_KEY_SIZE = 25,     /**< The key of a file, with its NUL. */
  CMT_ADDRBOOK_VERSION_SIZE = 24, /**< The version of a node, with its NUL. */
  CMT_ADDRBOOK_GROUP_SIZE = 40,   /**< Text of a group, with its NUL. */
  CMT_ADDRBOOK_ANCHORS_MAX = 4,   /**< Dialed first after a restart. */
};

/** How long an address is kept out whose network, or whose id, is wrong. */
#define CMT_ADDRBOOK_WRONG_NS CMT_SECONDS(7 * 86400)
/** CometBFT's ban of a peer that broke the rules of peer exchange. */
#define CMT_ADDRBOOK_BAN_NS CMT_SECONDS(86400)

/** Fill with cmt_addrbook_options_init(), then change what should differ. */
typedef struct cmt_addrbook_options {
  size_t size;
  const cmt_env *env; /**< NULL: the defaults.  Copied. */
  /** Our own ids, never added; and ids that are private: neither they nor what
      they report is added.  Copied, at most CMT_ADDRBOOK_IDS_MAX of
      each. */
  const cmt_node_id *own_ids;
  size_t own_id_count;
  const cmt_node_id *private_ids;
  size_t private_id_count;
  /** Accept addresses that cannot be reached from the internet, as with
      CometBFT's addr_book_strict = false. */
  bool allow_unroutable;
  /** The text "key" of a stored book, and the key of the hash that places
      entries.  NULL: drawn.  Copied. */
  const char *file_key;
  const uint8_t *hash_key; /**< 32 bytes. */
} cmt_addrbook_options;

#define cmt_addrbook_options_init(o)                                           \
  cmt_addrbook_options_init_sized((o), sizeof *(o))
CMT_API void cmt_addrbook_options_init_sized(cmt_addrbook_options *o,
                                             size_t size);

/** An empty book; the caller deletes |*out|.  |o| may be NULL.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) names the option;
    CMT_ENOMEM; CMT_EIO: no default environment. */
CMT_API CMT_NODISCARD cmt_err cmt_addrbook_new(const cmt_addrbook_options *o,
                                               cmt_addrbook **out,
                                               cmt_why *why);
/** Frees |b|; NULL is fine. */
CMT_API void cmt_addrbook_delete(cmt_addrbook *b);

/** Replaces the private ids, and removes their entries.  CMT_ENOMEM, CMT_EINVAL
    (an id is malformed, or there are over CMT_ADDRBOOK_IDS_MAX): nothing has
    changed. */
CMT_API CMT_NODISCARD cmt_err cmt_addrbook_set_private(cmt_addrbook *b,
                                                       const cmt_node_id *ids,
                                                       size_t count);
/** Whether |id| is one of ours. */
CMT_API bool cmt_addrbook_is_own(const cmt_addrbook *b, const cmt_node_id *id);
/** Whether |id| is private. */
CMT_API bool cmt_addrbook_is_private(const cmt_addrbook *b,
                                     const cmt_node_id *id);
/** Whether the book has an entry of |id|. */
CMT_API bool cmt_addrbook_has(const cmt_addrbook *b, const cmt_node_id *id);

/** Writes the group of |a|, as text, to |out|: /16 of IPv4, /32 of most IPv6,
    and "local" or "unroutable" unless |allow_unroutable|.  Who controls one
    address of a group may control them all.  |out| is empty when the host is no
    IP literal. */
CMT_API void cmt_addrbook_group(const cmt_addrbook *b, const cmt_net_addr *a,
                                char out[CMT_ADDRBOOK_GROUP_SIZE]);

/* ---- hearsay ---- */

/** Adds |addr|, reported by the peer |src|: its id and the address of its
    socket, never the one that it claims.  An entry that the book has keeps its
    address; another address of a new one may be noted beside it.

    Returns CMT_OK: it is in the book; CMT_EINVAL: it can be no node's;
    CMT_EUNREACH: it is not routable; CMT_ESELF; CMT_EBANNED; CMT_EFILTER:
    either is private; CMT_ELIMIT: its bucket is full of better ones. */
CMT_API cmt_err cmt_addrbook_add(cmt_addrbook *b, const cmt_net_addr *addr,
                                 const cmt_net_addr *src, uint64_t now_ns);

/** Adds an answer of |src|, as cmt_addrbook_add().  It looks at no more than
    CMT_ADDRBOOK_ANSWER_MAX of |addrs|, and CMT_ADDRBOOK_ADDED_PER_HOUR of one
    peer in an hour; the others are ignored.  Returns how many entries are
    new. */
CMT_API size_t cmt_addrbook_add_answer(cmt_addrbook *b,
                                       const cmt_net_addr *addrs, size_t count,
                                       const cmt_net_addr *src,
                                       uint64_t now_ns);

/** What an inbound peer claims to be reached at, |claimed|, whose socket is at
    |socket| (both with its id).  It is added only if the two hosts are equal.

    Returns as cmt_addrbook_add(); CMT_EAGAIN: it is not added before our own
    dial has reached |*dial|: the claimed address, or, when that is 0.0.0.0, ::
    or a name, that of the socket with the claimed port. */
CMT_API cmt_err cmt_addrbook_add_claimed(cmt_addrbook *b,
                                         const cmt_net_addr *claimed,
                                         const cmt_net_addr *socket,
                                         cmt_net_addr *dial, uint64_t now_ns);

/* ---- our own dials ---- */

/** What our own handshake proved.  Fill with cmt_addrbook_proof_init(). */
typedef struct cmt_addrbook_proof {
  size_t size;
  const cmt_net_addr *addr; /**< What was dialed and reached: an IP literal. */
  const char *version;      /**< The node's software; NULL: unknown.  Cut to
                                 CMT_ADDRBOOK_VERSION_SIZE. */
  int64_t
    height; /**< The last block of its chain; 0: unknown, the last one stays. */
} cmt_addrbook_proof;

#define cmt_addrbook_proof_init(p)                                             \
  cmt_addrbook_proof_init_sized((p), sizeof *(p))
CMT_API void cmt_addrbook_proof_init_sized(cmt_addrbook_proof *p, size_t size);

/** A dial of |id| begins.  An id that the book lacks is ignored, here and in
    the calls below. */
CMT_API void cmt_addrbook_attempt(cmt_addrbook *b, const cmt_node_id *id,
                                  uint64_t now_ns);
/** The dial failed; don't call this while we are offline ourselves.  Ten
    failures in a row, or three when the last success is seven days old, demote
    an old entry to a new one. */
CMT_API void cmt_addrbook_failed(cmt_addrbook *b, const cmt_node_id *id,
                                 uint64_t now_ns);
/** A handshake with the dialed node succeeded, its network is ours: adds the
    node if the book lacks it, and its proven address replaces hearsay.  It does
    not promote the entry: see cmt_addrbook_good().

    Returns as cmt_addrbook_add(). */
CMT_API cmt_err cmt_addrbook_proved(cmt_addrbook *b,
                                    const cmt_addrbook_proof *p,
                                    uint64_t now_ns);
/** Notes the last block of |id|'s chain, as it tells it itself: not a proof,
    and ignored unless it is positive and the book has |id|. */
CMT_API void cmt_addrbook_set_height(cmt_addrbook *b, const cmt_node_id *id,
                                     int64_t height, uint64_t now_ns);
/** The node is worth keeping: promotes its entry to an old bucket.  When that
    is full, the entry stays a new one until cmt_addrbook_next_test() was dialed
    or half an hour has passed, and then changes places with one that failed.
    Nothing is lost. */
CMT_API void cmt_addrbook_good(cmt_addrbook *b, const cmt_node_id *id,
                               uint64_t now_ns);
/** The entry that should be dialed next because another one wants its place.

    Returns CMT_OK; CMT_EAGAIN: there is none. */
CMT_API cmt_err cmt_addrbook_next_test(cmt_addrbook *b, cmt_net_addr *out,
                                       uint64_t now_ns);
/** Writes up to |cap|, at most CMT_ADDRBOOK_DUE_MAX, addresses that a handshake
    of ours reached once and that are to be dialed again: |every_ns| after the
    last dial, or 30 s after a failure, twice as long after each further one in
    a row, up to two hours.  Those that are due longest come first.  Returns
    how many. */
CMT_API size_t cmt_addrbook_due(const cmt_addrbook *b, uint64_t every_ns,
                                cmt_net_addr *out, size_t cap, uint64_t now_ns);
/** Removes the entry of |id|, without remembering it. */
CMT_API void cmt_addrbook_remove(cmt_addrbook *b, const cmt_node_id *id);

/* ---- what is kept out ---- */

typedef enum cmt_addrbook_ban_kind {
  CMT_ADDRBOOK_MISBEHAVED = 1, /**< The id, wherever it is. */
  CMT_ADDRBOOK_WRONG_NETWORK,  /**< The id, which a handshake proved. */
  /** The id at this host and port alone: anybody can report an honest id at a
      wrong address. */
  CMT_ADDRBOOK_WRONG_ID,
} cmt_addrbook_ban_kind;

/** Fill with cmt_addrbook_ban_init(). */
typedef struct cmt_addrbook_ban {
  size_t size;
  cmt_addrbook_ban_kind kind;
  cmt_net_addr addr; /**< For an id alone the host is empty. */
  uint64_t end_ns;
} cmt_addrbook_ban;

#define cmt_addrbook_ban_init(ban)                                             \
  cmt_addrbook_ban_init_sized((ban), sizeof *(ban))
CMT_API void cmt_addrbook_ban_init_sized(cmt_addrbook_ban *ban, size_t size);

/** Removes the address at once and keeps it out until |ban->end_ns|; a ban that
    lasts longer stays.  With CMT_ADDRBOOK_BANS_MAX the one that ends first
    gives way.  CMT_EINVAL: no id, kind or, where it is needed, host;
    CMT_ENOMEM: it was removed only. */
CMT_API cmt_err cmt_addrbook_bar(cmt_addrbook *b, const cmt_addrbook_ban *ban,
                                 uint64_t now_ns);
/** Whether |addr| is kept out at |now_ns|. */
CMT_API bool cmt_addrbook_is_barred(const cmt_addrbook *b,
                                    const cmt_net_addr *addr, uint64_t now_ns);
/** Ends each ban of |id|; returns how many there were. */
CMT_API size_t cmt_addrbook_unbar(cmt_addrbook *b, const cmt_node_id *id);

/* ---- choice ---- */

/** An address to dial: |bias| percent (0 to 100) towards new entries, then a
    random bucket, then a random entry of it.

    Returns CMT_OK; CMT_EAGAIN: the book, or the side that was drawn, is
    empty. */
CMT_API cmt_err cmt_addrbook_pick(cmt_addrbook *b, unsigned bias,
                                  cmt_net_addr *out);

enum {
  CMT_ADDRBOOK_IP4 = 1, /**< For |families|. */
  CMT_ADDRBOOK_IP6 = 2,
};

/** What an answer contains.  Fill with cmt_addrbook_query_init(): zeros, which
    are CometBFT's selection of 23 %, 32 to 250 addresses. */
typedef struct cmt_addrbook_query {
  size_t size;
  /** With |biased|: this percentage of new entries, as CometBFT's seed. */
  bool biased;
  unsigned bias;
  /** Only entries that a handshake of ours reached no longer ago; 0: all, by
      CometBFT's share of the book.  With it up to |max| entries. */
  uint64_t proven_within_ns;
  size_t max;          /**< 0: CMT_ADDRBOOK_ANSWER_MAX. */
  size_t per_16_max;   /**< Most of a /16 of IPv4 or a /32 of IPv6; 0: any. */
  size_t per_24_max;   /**< Most of a /24 or a /48; 0: any. */
  unsigned families;   /**< 0: both. */
  int64_t height_min;  /**< 0: any, also unknown. */
  const char *version; /**< What the version begins with; NULL: any. */
  /** This percentage of the answer is first filled with entries that were in no
      answer of the last hour. */
  unsigned fresh_percent;
  const cmt_node_id *asker; /**< Left out; NULL: nobody. */
  /** With |proven_within_ns|: these come first, up to half of the answer, and
      the rest is of any that is allowed; 0: none do. */
  unsigned families_first;
  /** Gets, for each address that is written, the instant of its proof, 0: none;
      as many as |cap|.  NULL: it is not asked for. */
  uint64_t *proofs_ns;
} cmt_addrbook_query;

#define cmt_addrbook_query_init(q)                                             \
  cmt_addrbook_query_init_sized((q), sizeof *(q))
CMT_API void cmt_addrbook_query_init_sized(cmt_addrbook_query *q, size_t size);

/** Writes random distinct addresses to |out|, of |cap|; with |proven_within_ns|
    reliable entries come first.  Returns how many.  |q| may be NULL.  0 also
    when memory is short. */
CMT_API size_t cmt_addrbook_select(cmt_addrbook *b, const cmt_addrbook_query *q,
                                   cmt_net_addr *out, size_t cap,
                                   uint64_t now_ns);

/** How many entries a handshake of ours has reached in the last |within_ns| and
    no dial has failed to reach since: those of an answer with
    |proven_within_ns|. */
CMT_API size_t cmt_addrbook_count_proven(const cmt_addrbook *b,
                                         uint64_t within_ns, uint64_t now_ns);

/* ---- anchors ---- */

/** Replaces the anchors: the peers that are dialed first after a restart, which
    peer exchange notes here, and the file keeps.  At most
    CMT_ADDRBOOK_ANCHORS_MAX of |list| are taken, and only whole addresses with
    IP literals. */
CMT_API void cmt_addrbook_set_anchors(cmt_addrbook *b, const cmt_net_addr *list,
                                      size_t count);
/** Writes up to |cap| of the anchors to |out|; returns how many there are. */
CMT_API size_t cmt_addrbook_anchors(const cmt_addrbook *b, cmt_net_addr *out,
                                    size_t cap);

/* ---- content ---- */

/** Whether an entry is in a new or an old bucket, as in the file. */
typedef enum cmt_addrbook_kind {
  CMT_ADDRBOOK_NEW = 1,
  CMT_ADDRBOOK_OLD = 2,
} cmt_addrbook_kind;

/** One entry.  Windows are 2 h, 8 h, 1 d, 1 week and 1 month. */
typedef struct cmt_addrbook_entry {
  size_t size;
  cmt_addrbook_kind kind;
  uint32_t attempts; /**< Failures in a row. */
  cmt_net_addr addr, src;
  uint64_t last_attempt_ns, last_success_ns, last_ban_ns;
  uint16_t buckets[CMT_ADDRBOOK_BUCKETS_PER_ENTRY];
  size_t bucket_count;
  uint64_t proven_ns; /**< The last handshake with |addr|; 0: none. */
  uint64_t served_ns; /**< When an answer contained it last. */
  int64_t height;     /**< 0: unknown. */
  char version[CMT_ADDRBOOK_VERSION_SIZE];
  bool reliable;     /**< It answered often enough in one of the windows. */
  uint64_t tried_ns; /**< When the statistics below changed. */
  /** For each window the number of dials and the share of them that succeeded,
      both fading with time. */
  float count[CMT_ADDRBOOK_WINDOWS], success[CMT_ADDRBOOK_WINDOWS];
  cmt_net_addr
    others[CMT_ADDRBOOK_OTHERS_MAX]; /**< More addresses of the id. */
  size_t other_count;
  uint64_t height_ns; /**< When |height| was heard of, in whole seconds. */
} cmt_addrbook_entry;

/** Fills in the cmt_addrbook_entry |out| of |id|; false: there is none. */
#define cmt_addrbook_get(b, id, out)                                           \
  cmt_addrbook_get_sized((b), (id), (out), sizeof *(out))
/** See cmt_addrbook_get(). */
CMT_API bool cmt_addrbook_get_sized(const cmt_addrbook *b,
                                    const cmt_node_id *id,
                                    cmt_addrbook_entry *out, size_t size);

/** Puts back an entry that was stored.  Buckets that are wrong or full give way
    to computed ones.  An id that the book has, or that is ours or private, is
    left alone.

    Returns CMT_OK; CMT_EINVAL: address or struct; CMT_EEXIST, CMT_ESELF,
    CMT_EFILTER; CMT_ELIMIT: no bucket has room; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_addrbook_restore(cmt_addrbook *b,
                                                   const cmt_addrbook_entry *e);

/** What became of an address: when it was reported, and later. */
typedef enum cmt_addrbook_fate {
  CMT_ADDRBOOK_FATE_ADDED,      /**< It is new in the book. */
  CMT_ADDRBOOK_FATE_KNOWN,      /**< The book had it. */
  CMT_ADDRBOOK_FATE_INVALID,    /**< It can be no node's. */
  CMT_ADDRBOOK_FATE_UNROUTABLE, /**< It cannot be reached from the internet. */
  CMT_ADDRBOOK_FATE_PRIVATE,    /**< It, or who reported it, is private. */
  CMT_ADDRBOOK_FATE_BANNED,     /**< It is kept out, for whatever reason. */
  CMT_ADDRBOOK_FATE_FULL,       /**< Its bucket is full of better ones. */
  CMT_ADDRBOOK_FATE_IGNORED,    /**< Over the limit of an answer, or of an hour
                                     of its source. */
  CMT_ADDRBOOK_FATE_SELF,       /**< It is our own. */
  CMT_ADDRBOOK_FATE_WRONG_NETWORK, /**< Dropped: a handshake showed it, */
  CMT_ADDRBOOK_FATE_WRONG_ID,      /**< or another id. */
  CMT_ADDRBOOK_FATE_PROMOTED,      /**< To an old bucket, */
  CMT_ADDRBOOK_FATE_DEMOTED,       /**< and out of one for its failures. */
  CMT_ADDRBOOK_FATE_REPLACED,      /**< It left a full bucket for a newcomer. */
  CMT_ADDRBOOK_FATES               /**< Their number. */
} cmt_addrbook_fate;

typedef struct cmt_addrbook_status {
  size_t size;
  size_t entries, new_entries, old_entries;
  size_t proven; /**< Entries with a proof. */
  size_t bans;   /**< Also those that have ended. */
  size_t tests;  /**< Promotions that wait for a test. */
  size_t bytes;  /**< Memory of the book. */
  uint64_t added, replaced, refused, promoted, demoted; /**< Since it is. */
  uint64_t revision; /**< Changes with everything that should be stored. */
  uint64_t fates[CMT_ADDRBOOK_FATES]; /**< Since it is, cmt_addrbook_fate. */
} cmt_addrbook_status;

/** Fills in the cmt_addrbook_status |out|. */
#define cmt_addrbook_get_status(b, out)                                        \
  cmt_addrbook_get_status_sized((b), (out), sizeof *(out))
/** See cmt_addrbook_get_status(). */
CMT_API void cmt_addrbook_get_status_sized(const cmt_addrbook *b,
                                           cmt_addrbook_status *out,
                                           size_t size);

/** The book as it is at one time, which does not change any more. */
typedef struct cmt_addrbook_snapshot cmt_addrbook_snapshot;

/** A copy of the book, made in a millisecond or two even when it is full.  One
    thread at a time may read it, any one; it outlives the book.  CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err
cmt_addrbook_snapshot_new(const cmt_addrbook *b, cmt_addrbook_snapshot **out);
/** Frees |s|; NULL is fine. */
CMT_API void cmt_addrbook_snapshot_delete(cmt_addrbook_snapshot *s);
/** How many entries, and bans, |s| has. */
CMT_API size_t cmt_addrbook_snapshot_count(const cmt_addrbook_snapshot *s);
CMT_API size_t cmt_addrbook_snapshot_ban_count(const cmt_addrbook_snapshot *s);
/** The keys of its book, for options: the text of the file, and 32 bytes. */
CMT_API const char *
cmt_addrbook_snapshot_file_key(const cmt_addrbook_snapshot *s);
CMT_API const uint8_t *
cmt_addrbook_snapshot_hash_key(const cmt_addrbook_snapshot *s);
/** Its |revision|, see cmt_addrbook_status. */
CMT_API uint64_t cmt_addrbook_snapshot_revision(const cmt_addrbook_snapshot *s);

/** Fills in the cmt_addrbook_entry |out| with entry |i|, in no order; false:
    |i| is too large. */
#define cmt_addrbook_snapshot_get(s, i, out)                                   \
  cmt_addrbook_snapshot_get_sized((s), (i), (out), sizeof *(out))
/** See cmt_addrbook_snapshot_get(). */
CMT_API bool cmt_addrbook_snapshot_get_sized(const cmt_addrbook_snapshot *s,
                                             size_t i, cmt_addrbook_entry *out,
                                             size_t size);
/** Fills in the cmt_addrbook_ban |out| with ban |i|. */
#define cmt_addrbook_snapshot_get_ban(s, i, out)                               \
  cmt_addrbook_snapshot_get_ban_sized((s), (i), (out), sizeof *(out))
/** See cmt_addrbook_snapshot_get_ban(). */
CMT_API bool cmt_addrbook_snapshot_get_ban_sized(const cmt_addrbook_snapshot *s,
                                                 size_t i,
                                                 cmt_addrbook_ban *out,
                                                 size_t size);

#ifdef __cplusplus
}
#endif
#endif
