/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_PROBE_H
#define CMT_PROBE_H

/* Probes: read the node info of the node at an address, whatever its network
   is, and measure round trips.  A probe connects once, on a thread of its own,
   authenticates both sides, reads the node info, sends the pings that are
   wanted and disconnects.  Without pings the node need not accept us: it sends
   its node info before it has read ours.  docs/guide/probing.md. */

#include <cometp2p/conn.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CMT_PROBE_PINGS_MAX = 10000 }; /**< Most pings of one probe. */

/** The result of a probe.  It belongs to the caller, or to |on_done|. */
typedef struct cmt_probe_result {
  size_t size;
  cmt_why why;    /**< CMT_OK: |node_info| is valid, and every ping was
                       answered. */
  cmt_node_id id; /**< The authenticated id; empty: none. */
  char remote[CMT_NET_ADDR_TEXT_SIZE]; /**< "IP:PORT", or what was dialed before
                                          that was known. */
  /** Validated, but only its id is authenticated; what it points to lives as
      long as the result.  After an error it may be valid, too: else
      |node_info.id| is empty. */
  cmt_node_info node_info;
  uint64_t handshake_ns;   /**< From the TCP connection to the node info; 0:
                                none came. */
  const uint64_t *rtts_ns; /**< The round trip of each ping that was
                                answered. */
  size_t rtt_count;
} cmt_probe_result;

/** Wipes and frees; NULL is fine. */
CMT_API void cmt_probe_result_delete(cmt_probe_result *r);

/** Fill with cmt_probe_options_init(), then change what should differ. */
typedef struct cmt_probe_options {
  size_t size;
  const cmt_env *env;      /**< NULL: the defaults.  Copied. */
  const cmt_node_key *key; /**< NULL: a fresh one. */
  const char *network;     /**< In our node info; NULL: "cometp2p". */
  const char *moniker;     /**< NULL: "cometp2p". */
  uint64_t protocol_block; /**< 0, the default: 11. */
  cmt_wire wire;           /**< CMT_WIRE_COMETBFT. */
  /** Until the node info is there; 0, the default: 10 s; CMT_NEVER: no limit.
      Connecting has 3 s and each half of the handshake 3 s, as in a switch. */
  uint64_t timeout_ns;
  const cmt_channel *channels; /**< What we say that we have; NULL: none. */
  size_t channel_count;
  /** Up to CMT_PROBE_PINGS_MAX; 0, the default: none.  A node answers pings
      when it accepts us: |network|, |protocol_block| and |channels| have to
     suit it. */
  uint32_t pings;
  /** From a pong to the next ping; 0: 200 ms, or 30 s with CMT_WIRE_LEGACY,
      where a node leaves pings within half of its interval without an
      answer. */
  uint64_t ping_gap_ns;
  uint64_t pong_timeout_ns; /**< For each ping; 0: 10 s. */
  /** As cmt_switch_options.  A node may send messages while it is pinged. */
  uint64_t send_rate, recv_rate;
  uint32_t recv_packet_payload_max;
} cmt_probe_options;

#define cmt_probe_options_init(o) cmt_probe_options_init_sized((o), sizeof *(o))
CMT_API void cmt_probe_options_init_sized(cmt_probe_options *o, size_t size);

/** Probes |addr|, "HOST:PORT" or "ID@HOST:PORT", and waits.  The caller deletes
    |*out|, which is set whenever the probe began; |o| NULL: the defaults.

    Returns the error of |*out|; CMT_EINVAL: |why| (may be NULL) names the
    option or the part of |addr|; CMT_ENOMEM; CMT_EIO: such as too few free
    descriptors; CMT_EDEADLK: the calling thread runs a function of a
    reactor. */
CMT_API CMT_NODISCARD cmt_err cmt_probe(const cmt_probe_options *o,
                                        const char *addr,
                                        cmt_probe_result **out, cmt_why *why);

/** A probe that is under way or has finished. */
typedef struct cmt_prober cmt_prober;

/**
 * Begins a probe as cmt_probe() and returns.
 *
 * |on_done| runs once, on a thread of the library, which it must not block; it
 * must not call cmt_prober_delete().  It owns |r|.
 *
 * Returns    CMT_OK: |on_done| will run, unless |*out| is deleted before;
 *            otherwise as cmt_probe(), but CMT_EDEADLK.
 * Ownership  the caller deletes |*out|.
 */
CMT_API CMT_NODISCARD cmt_err cmt_prober_new(
  const cmt_probe_options *o, const char *addr, cmt_prober **out, cmt_why *why,
  void (*on_done)(void *arg, cmt_probe_result *r), void *arg);

/** Ends the probe soon, if it is under way: |on_done| gets CMT_ECANCELED and
    what was learned by then.  Any thread may call it, and |on_done|. */
CMT_API void cmt_prober_cancel(cmt_prober *p);

/** Ends the probe, if it is under way, and frees; NULL is fine.  On return
    |on_done| does not run and never will.  A call from a function of a reactor
    or from |on_done| panics. */
CMT_API void cmt_prober_delete(cmt_prober *p);

#ifdef __cplusplus
}
#endif
#endif
