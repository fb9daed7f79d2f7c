/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_METRICS_H
#define CMT_METRICS_H

/* Metrics of a node in the text format of Prometheus: under CometBFT's names
   where it has one, and of our own under "cometp2p_".  docs/PROTOCOL.md 8,
   docs/guide/metrics.md.  Any thread may call everything here but
   cmt_metrics_delete().

   A program creates one object for each chain, reports what happens, and
   renders a page of all of them.  Labels come from closed sets, so that the
   number of series does not grow with peers, addresses or time; the only ones
   with more are those of |per_peer|, which go with the peer. */

#include <cometp2p/switch.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cmt_metrics cmt_metrics;

/** Fill with cmt_metrics_options_init(), then set |chain_id|. */
typedef struct cmt_metrics_options {
  size_t size;
  const cmt_env *env;     /**< NULL: the defaults.  Copied. */
  const char *name_space; /**< Begins CometBFT's names; "": nothing does.
                               NULL: "cometbft". */
  const char *chain_id;   /**< The label of every series. */
  cmt_switch *sw;         /**< Asked at each page; NULL: none.  It outlives
                               the object. */
  bool any_network;       /**< |sw| serves several networks: its peers are
                               those of |chain_id|, and its other figures are
                               those of another object. */
  bool per_peer;          /**< Also series of each peer. */
} cmt_metrics_options;

#define cmt_metrics_options_init(o)                                            \
  cmt_metrics_options_init_sized((o), sizeof *(o))
CMT_API void cmt_metrics_options_init_sized(cmt_metrics_options *o,
                                            size_t size);

/** The caller deletes |*out|; |o| is copied.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) names the option;
    CMT_ENOMEM; CMT_EIO: no default environment. */
CMT_API CMT_NODISCARD cmt_err cmt_metrics_new(const cmt_metrics_options *o,
                                              cmt_metrics **out, cmt_why *why);
/** Frees |m|, which nobody uses any more; NULL is fine. */
CMT_API void cmt_metrics_delete(cmt_metrics *m);

/* ---- what happens ---- */

/** Counts a rejection: |on_rejected| of the switch. */
CMT_API void cmt_metrics_rejected(cmt_metrics *m, const cmt_rejection *r);
/** Counts a peer, in add_peer of one reactor. */
CMT_API void cmt_metrics_added(cmt_metrics *m, const cmt_peer *p);
/** Counts the time of the stages of an attempt, and a feeler that found its
    node: |on_outcome| of a dial, |on_dialed| of peer exchange. */
CMT_API void cmt_metrics_dialed(cmt_metrics *m, const cmt_dial_outcome *o);
/** Counts a message by its type, which is read from its first byte. */
CMT_API void cmt_metrics_message(cmt_metrics *m, uint8_t channel, cmt_bytes msg,
                                 bool sent);

/** Families whose values the caller reports.  The comments name their type and
    what |at| selects: 0 where it is nothing. */
typedef enum cmt_metric {
  CMT_METRIC_BOOK_ENTRIES,   /**< Gauge; cmt_addrbook_kind: new, old. */
  CMT_METRIC_BOOK_PROVEN,    /**< Gauge: entries that a handshake reached. */
  CMT_METRIC_BOOK_BANS,      /**< Gauge: ids and addresses kept out. */
  CMT_METRIC_BOOK_SAVES,     /**< Counter; 0: saved, 1: failed. */
  CMT_METRIC_PEX_EVENTS,     /**< Counter; cmt_metric_pex. */
  CMT_METRIC_PEX_ADDRESSES,  /**< Counter; cmt_metric_fate. */
  CMT_METRIC_SEED_VISITS,    /**< Counter; cmt_metric_visit. */
  CMT_METRIC_SEED_SERVED,    /**< Counter: addresses in answers. */
  CMT_METRIC_SEED_PROOF_AGE, /**< Histogram, ns: age of the proof of a served
                                  address. */
  CMT_METRIC_SEED_VERIFIED,  /**< Gauge, 1/1000: share of the book with a
                                  proof of the last 30 minutes. */
  CMT_METRICS                /**< Their number. */
} cmt_metric;

/** |at| of CMT_METRIC_PEX_EVENTS. */
typedef enum cmt_metric_pex {
  CMT_METRIC_PEX_ASKED,        /**< We sent a request, */
  CMT_METRIC_PEX_ANSWERED,     /**< and its answer came. */
  CMT_METRIC_PEX_WAS_ASKED,    /**< A request came, */
  CMT_METRIC_PEX_HELD,         /**< early: it waits until it is due; */
  CMT_METRIC_PEX_DROPPED,      /**< another one waits; */
  CMT_METRIC_PEX_HAS_ANSWERED, /**< we answered. */
  CMT_METRIC_PEX_UNSOLICITED,  /**< An answer came without a request. */
  CMT_METRIC_PEX_MALFORMED,    /**< A message could not be read. */
  CMT_METRIC_PEX_FLOOD,        /**< A peer asked too often. */
} cmt_metric_pex;

/** |at| of CMT_METRIC_PEX_ADDRESSES: cmt_addrbook_fate in its order. */
typedef enum cmt_metric_fate {
  CMT_METRIC_FATE_ADDED,
  CMT_METRIC_FATE_KNOWN,
  CMT_METRIC_FATE_INVALID,
  CMT_METRIC_FATE_UNROUTABLE,
  CMT_METRIC_FATE_PRIVATE,
  CMT_METRIC_FATE_BANNED,
  CMT_METRIC_FATE_FULL,
  CMT_METRIC_FATE_IGNORED, /**< Over the limit of an answer or an hour. */
  CMT_METRIC_FATE_SELF,
  CMT_METRIC_FATE_WRONG_NETWORK, /**< Dropped: a handshake showed it, */
  CMT_METRIC_FATE_WRONG_ID,      /**< or another id. */
  CMT_METRIC_FATE_PROMOTED,
  CMT_METRIC_FATE_DEMOTED,
  CMT_METRIC_FATE_REPLACED, /**< It left a full bucket for a newcomer. */
} cmt_metric_fate;

/** |at| of CMT_METRIC_SEED_VISITS. */
typedef enum cmt_metric_visit {
  CMT_METRIC_VISIT_SERVED,
  CMT_METRIC_VISIT_EMPTY,  /**< Answered without an address. */
  CMT_METRIC_VISIT_SILENT, /**< It asked nothing in time. */
  CMT_METRIC_VISIT_LEFT,   /**< It ended otherwise before its answer. */
} cmt_metric_visit;

/** Adds to a counter.  An |at| that the family lacks is ignored, here and
    below. */
CMT_API void cmt_metrics_add(cmt_metrics *m, cmt_metric metric, unsigned at,
                             uint64_t value);
/** Sets a gauge. */
CMT_API void cmt_metrics_set(cmt_metrics *m, cmt_metric metric, unsigned at,
                             uint64_t value);
/** Adds one value to a histogram. */
CMT_API void cmt_metrics_observe(cmt_metrics *m, cmt_metric metric, unsigned at,
                                 uint64_t value);

/* ---- the page ---- */

/** Its content type. */
#define CMT_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/** The page of |count| objects, one or more, and of this process.  The caller
    has the reference to |*out|.

    Returns CMT_OK; CMT_EINVAL; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_metrics_page(cmt_metrics *const *list,
                                               size_t count, cmt_buf **out);

#ifdef __cplusplus
}
#endif
#endif
