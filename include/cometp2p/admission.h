/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_ADMISSION_H
#define CMT_ADMISSION_H

/* Who may be a peer: bans and filters.  Everything here may be called from any
   thread and from any callback.  docs/guide/admission.md.

   A ban covers a node id, an IP address or a range of addresses until an
   instant.  Nodes that a ban covers are refused and not dialed, and their
   connections end at once, with CMT_EBANNED. Bans are not stored on disk. */

#include <cometp2p/node_info.h>
#include <cometp2p/reactor.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  CMT_BANS_MAX = 1024,    /**< Bans of one switch. */
  CMT_BAN_TEXT_SIZE = 64, /**< The longest subject, with its NUL. */
};

/** Fill with cmt_ban_init(), then set |subject|. */
typedef struct cmt_ban {
  size_t size;
  /** From the call on, or from the start of the switch when that is later; 0:
      24 h as CometBFT; CMT_NEVER: for ever. */
  uint64_t duration_ns;
  /** In a list: when it ends, on the monotonic clock (uv_hrtime()).  CMT_NEVER:
      never, or the switch has not begun to count. */
  uint64_t end_ns;
  /** A node id; an IP address; or a range such as "10.0.0.0/8" or
      "2001:db8::/32".  An IPv6 address that maps one of IPv4 is that one, and
      no other range of IPv6 covers IPv4.  A zone is ignored. cmt_switch_bans()
      returns the canonical form, with the host bits of a range cleared. */
  char subject[CMT_BAN_TEXT_SIZE];
} cmt_ban;

#define cmt_ban_init(b) cmt_ban_init_sized((b), sizeof *(b))
CMT_API void cmt_ban_init_sized(cmt_ban *b, size_t size);
/** Sets |subject| to the canonical form of |text|.

    Returns CMT_OK; CMT_EINVAL: |text| is no subject, |why| (may be NULL) states
    how, and nothing has changed. */
CMT_API CMT_NODISCARD cmt_err cmt_ban_set_subject(cmt_ban *b, const char *text,
                                                  cmt_why *why);

/** Bans a copy of |b|; a subject that is banned already gets the new duration,
    even if that is shorter.  Peers, handshakes and attempts that it covers end
    soon after.  With CMT_BANS_MAX bans the new one replaces the one that ends
    soonest.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) states what is wrong with
    the subject; CMT_ELIMIT: all bans last longer; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_ban(cmt_switch *s, const cmt_ban *b,
                                             cmt_why *why);

/** Ends the ban of just this |subject|, in any of its forms; a range that
    covers it stays.  Dials that waited for it begin.

    Returns CMT_OK, also when there is none; CMT_EINVAL: |subject| is malformed,
    and |why| (may be NULL) states how. */
CMT_API cmt_err cmt_switch_unban(cmt_switch *s, const char *subject,
                                 cmt_why *why);

/** Fills in up to |cap| elements of the array |out| of cmt_ban, ranges and
    addresses before ids; returns how many bans there are. */
#define cmt_switch_bans(s, out, cap)                                           \
  cmt_switch_bans_sized((s), (out), (cap), sizeof(cmt_ban))
/** See cmt_switch_bans(); |size| is that of an element. */
CMT_API size_t cmt_switch_bans_sized(cmt_switch *s, cmt_ban *out, size_t cap,
                                     size_t size);

/** Whether a ban covers the id of |a|, or its |host| when that is an address;
    fills in the cmt_ban |out| with the one that lasts longest. */
#define cmt_switch_find_ban(s, a, out)                                         \
  cmt_switch_find_ban_sized((s), (a), (out), sizeof *(out))
/** See cmt_switch_find_ban(). */
CMT_API bool cmt_switch_find_ban_sized(cmt_switch *s, const cmt_net_addr *a,
                                       cmt_ban *out, size_t size);

/* ---- ids that pass every cap ---- */

/** Replaces |unconditional| of the options by |count| ids, which are copied; a
    dial with |unconditional| keeps its own.  A peer that is on the list now
    gives its place to others; one that is not on it any more stays as it is
    until it ends, and comes back as a stranger.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) says what is wrong with the
    list, and nothing has changed; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_set_unconditional(
  cmt_switch *s, const cmt_node_id *ids, size_t count, cmt_why *why);

/* ---- filters ---- */

/** Who wants to become a peer.  Lent for the call. */
typedef struct cmt_newcomer {
  size_t size;
  const char *remote; /**< "IP:PORT". */
  bool outbound;      /**< We dialed it. */
  /** The authenticated id and the validated node info; both NULL for
      |filter_addr|. */
  const cmt_node_id *id;
  const cmt_node_info *node_info;
} cmt_newcomer;

typedef enum cmt_verdict {
  CMT_REFUSE,
  CMT_ADMIT,
  CMT_LATER, /**< cmt_admission_answer() follows. */
} cmt_verdict;

/** Identifies one question of a switch.  It is a plain value: copy it out of
    the filter for a later answer; it needs no release.  It must not be used
    after cmt_switch_delete(). */
typedef struct cmt_admission {
  cmt_switch *sw;
  uint64_t number;
} cmt_admission;

/** The type of |filter_addr| and |filter_peer| of cmt_switch_options.  Filters
    run on the first loop and must not block.  Any value but the three is
    CMT_REFUSE. */
typedef cmt_verdict (*cmt_filter)(void *arg, const cmt_newcomer *who,
                                  const cmt_admission *request);

/** Answers a question with CMT_ADMIT or CMT_REFUSE, inside of the filter, which
    then returns CMT_LATER, or afterwards on any thread.

    Returns CMT_OK: this is the answer; CMT_ECLOSED: too late, since the
    question was answered or timed out, or the connection has ended; CMT_EINVAL:
    another verdict, or |request| is NULL. */
CMT_API cmt_err cmt_admission_answer(const cmt_admission *request,
                                     cmt_verdict verdict);

#ifdef __cplusplus
}
#endif
#endif
