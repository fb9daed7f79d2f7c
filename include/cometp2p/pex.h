/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_PEX_H
#define CMT_PEX_H

/* Peer exchange: finds nodes to be connected with, and tells others about them.
   One reactor on channel 0x00 of a switch, with an address book (addrbook.h).
   Everything here may be called from any thread and from any callback, unless
   it says otherwise.  docs/guide/peer-exchange.md, docs/PROTOCOL.md 7.

   Order: cmt_pex_new(); cmt_pex_get_reactor(), which goes into the options of a
   switch; start, stop and delete the switch; cmt_pex_delete(). */

#include <cometp2p/addrbook.h>
#include <cometp2p/switch.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cmt_pex cmt_pex;

enum {
  CMT_PEX_CHANNEL = 0x00,
  /** Peers that are dialed first after a restart. */
  CMT_PEX_ANCHORS_MAX = CMT_ADDRBOOK_ANCHORS_MAX,
  CMT_PEX_DIALS_MAX = 64,  /**< Largest |dials_max|. */
  CMT_PEX_SEEDS_MAX = 64,  /**< Most seeds, and */
  CMT_PEX_LISTED_MAX = 256 /**< most persistent peers. */
};

/** For |outbound_max|: no peers of the book's choice. */
#define CMT_PEX_NO_PEERS (UINT32_MAX - 1)

/** Fill with cmt_pex_options_init(), then change what should differ. */
typedef struct cmt_pex_options {
  size_t size;
  const cmt_env *env; /**< NULL: the defaults.  Copied. */
  /** Must be set: borrowed until cmt_pex_delete().  Meanwhile only the calls
      below reach it, which any thread may make. */
  cmt_addrbook *book;
  /** Peers of other networks of the switch (network.h) are left alone, but see
     cmt_pex_join(); NULL: all peers are of ours.  Copied. */
  const char *network;
  /** Addresses "ID@HOST:PORT" with commas or blanks between them, as seeds and
      persistent_peers of CometBFT.  Seeds are dialed when the book is small;
      persistent peers for ever, after 5 s, growing to 60 s, with jitter; this
      node itself is left out. */
  const char *seeds, *persistent_peers;
  /** How many outbound peers are wanted, without those that are unconditional
      (cmt_peer_is_unconditional()): 10. */
  uint32_t outbound_max;
  uint32_t dials_max; /**< Dials under way at one time: 16. */
  uint32_t asks_max;  /**< Peers that are asked in a round: 3. */
  uint64_t period_ns; /**< From one round to the next: 30 s. */
  /** From one dial of an address that was never reached to the next: 2 min;
      CMT_NEVER: none. */
  uint64_t feeler_ns;
  /** From one outbound peer of the book's choice that gives way to another one
      to the next, while there are |outbound_max|: 1 h; CMT_NEVER: none. */
  uint64_t rotate_ns;
  /** What cmt_pex_anchors() wrote before the restart; copied, at most
      CMT_PEX_ANCHORS_MAX are used.  Without any: those that |book| has, such as
      from its file. */
  const cmt_net_addr *anchors;
  size_t anchor_count;
  /** Crawls and serves as a seed: no peer but the persistent ones stays.  It
      dials what it hears of, |dials_max| at one time, serves an inbound peer
      once, with addresses that it reached in the last ten minutes - or, in its
      own first ten, in the last 30 - and ends it; and ends one that asks
     nothing within 30 s. */
  bool seed;
  /** For tests: the present instant on a clock that never runs backwards, and
      since 1970 (UTC), in nanoseconds.  NULL: the clocks of the system. */
  uint64_t (*now)(void *arg);
  uint64_t (*utc)(void *arg);
  void *clock_arg;
  /** With |seed|: serves only nodes that have reported a height, see
      cmt_pex_note(), and none below this one; 0: any. */
  int64_t serve_height_min;
  /** With |seed|: serves only nodes whose version begins with this text, of
     less than CMT_ADDRBOOK_VERSION_SIZE bytes; NULL: any.  Copied. */
  const char *serve_version;
  /** With |seed|: called after each answer to a visitor, on its loop or on the
      first one, with how long ago each of its addresses was reached.  NULL:
      nothing. */
  void (*on_served)(void *arg, const uint64_t *ages_ns, size_t count);
  void *served_arg;
  /** Called on the first loop with the outcome of each attempt of its dials,
      feelers and persistent peers among them, as |on_outcome| of a dial, such
     as for cmt_metrics_dialed().  It calls nothing of this exchange.  NULL:
      nothing. */
  void (*on_dialed)(void *arg, const cmt_dial_outcome *o);
  void *dialed_arg;
  /** Called on any loop with each request and answer that was queued to be
      sent, such as for cmt_metrics_message().  NULL: nothing. */
  void (*on_sent)(void *arg, uint8_t channel, cmt_bytes msg);
  void *sent_arg;
} cmt_pex_options;

#define cmt_pex_options_init(o) cmt_pex_options_init_sized((o), sizeof *(o))
CMT_API void cmt_pex_options_init_sized(cmt_pex_options *o, size_t size);

/** The caller deletes |*out|.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) names the option, what was
    found and what is allowed; CMT_ENOMEM; CMT_EIO: no default environment. */
CMT_API CMT_NODISCARD cmt_err cmt_pex_new(const cmt_pex_options *o,
                                          cmt_pex **out, cmt_why *why);
/** Frees |p|, whose switch was deleted or never made; NULL is fine. */
CMT_API void cmt_pex_delete(cmt_pex *p);

/** Fills in |out|, the reactor for one switch, which refers to |p|.  A second
    switch does not start with it before the first has stopped: CMT_EEXIST. */
CMT_API void cmt_pex_get_reactor(cmt_pex *p, cmt_reactor *out);

/** For several networks of one switch (network.h), which has the reactor of
    |host| alone: that hands peers of |p|'s network to |p|.  At any time; |p|
    begins and ends with |host|.  Delete both after the switch, in any order.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) says which has no |network|
    or has joined before; CMT_EDUPLICATE: |host| has that network; CMT_ENOMEM.
 */
CMT_API CMT_NODISCARD cmt_err cmt_pex_join(cmt_pex *p, cmt_pex *host,
                                           cmt_why *why);

/** Passes on a message of another reactor, from its |receive|, also of a peer
    of those that have joined |p|: the book notes the height that a
    StatusResponse on channel 0x40 or a NewRoundStep on 0x20 tells, which every
    node sends to a new peer.  Others are ignored. */
CMT_API void cmt_pex_note(cmt_pex *p, cmt_peer *peer, uint8_t channel,
                          cmt_bytes msg);

/** Replace the lists at any time; NULL is an empty one.  Persistent peers that
   are in both lists stay as they are; those that leave it stay connected and
   are not dialed again, but a seed ends them as it ends any visitor.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) names the address, and
    nothing has changed; CMT_ELIMIT: there are too many; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_pex_set_seeds(cmt_pex *p, const char *list,
                                                cmt_why *why);
/** See cmt_pex_set_seeds(). */
CMT_API CMT_NODISCARD cmt_err cmt_pex_set_persistent_peers(cmt_pex *p,
                                                           const char *list,
                                                           cmt_why *why);

/** Writes up to |cap| addresses to |out|: the outbound peers that were up for
    longest, of distinct address groups, at most CMT_PEX_ANCHORS_MAX; or, after
    the end of all peers, those before it.  Returns how many there are; a seed
    has none.  The book has them too: only a program that does not store it
    stores them, and passes them to the next start. */
CMT_API size_t cmt_pex_anchors(cmt_pex *p, cmt_net_addr *out, size_t cap);

/** cmt_addrbook_snapshot_new() of the book, such as for its file. */
CMT_API CMT_NODISCARD cmt_err cmt_pex_snapshot_new(cmt_pex *p,
                                                   cmt_addrbook_snapshot **out);
/** cmt_addrbook_count_proven() of the book, now. */
CMT_API size_t cmt_pex_count_proven(cmt_pex *p, uint64_t within_ns);
/** cmt_addrbook_set_private() of the book. */
CMT_API CMT_NODISCARD cmt_err cmt_pex_set_private(cmt_pex *p,
                                                  const cmt_node_id *ids,
                                                  size_t count);

typedef struct cmt_pex_status {
  size_t size;
  uint64_t peers, outbound_peers, dialing; /**< Now. */
  uint64_t requests_sent, requests_received, answers_sent, answers_received;
  uint64_t addrs_received,
    addrs_new;               /**< Entries of answers; new in the book. */
  uint64_t requests_held;    /**< They came early, and were answered later. */
  uint64_t requests_dropped; /**< They came while another one was held. */
  uint64_t peers_flooding;   /**< Ended for more than ten of these a minute. */
  uint64_t peers_banned;     /**< For malformed or unsolicited answers. */
  uint64_t dials, dials_failed, feelers, feelers_failed;
  uint64_t seeds_dialed;
  bool online; /**< Peers of two address groups are up, or a seed reached two
                    not long ago. */
  uint64_t answers_unsolicited; /**< They came without a request. */
  uint64_t messages_malformed;  /**< They do not decode, or an entry is no
                                     address. */
  /** Visits of a seed that have ended: it served addresses, or answered without
      any; it ended the visitor, which asked nothing in time; or the visit ended
      otherwise before an answer. */
  uint64_t visits_served, visits_empty, visits_silent, visits_left;
  uint64_t addrs_served;              /**< In answers of a seed. */
  uint64_t fates[CMT_ADDRBOOK_FATES]; /**< See cmt_addrbook_status. */
} cmt_pex_status;

/** Fills in the cmt_pex_status |out| as of now. */
#define cmt_pex_get_status(p, out)                                             \
  cmt_pex_get_status_sized((p), (out), sizeof *(out))
/** See cmt_pex_get_status(). */
CMT_API void cmt_pex_get_status_sized(cmt_pex *p, cmt_pex_status *out,
                                      size_t size);

#ifdef __cplusplus
}
#endif
#endif
