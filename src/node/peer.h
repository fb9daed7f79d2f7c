/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PEER_H
#define CMT__PEER_H

/* A peer from the inside: what the switch makes of a connection that passed
   all checks. */

#include "link.h"
#include "peer_data.h"

/* The fields of cmt_peer_status, without its room for channels. */
typedef struct cmt__peer_counters {
  uint64_t up_ns, rtt_last_ns, rtt_min_ns, pings_sent, pongs_recv;
  uint64_t sent_bytes, recv_bytes, write_calls, read_calls, read_paused_ns;
} cmt__peer_counters;

/* Of delivery.h, which frees them. */
struct cmt__boxes;
void cmt__boxes_free(struct cmt__boxes *b);

struct cmt_peer {
  atomic_uint refs;
  cmt_env env;
  cmt_node_id id;
  cmt_node_info *node_info;
  cmt_net_addr remote;
  bool outbound, persistent;
  cmt__gate gate;
  cmt__peer_data data;
  /* Under the lock of the gate: */
  cmt_why why;       /* Before the end its text is the explanation, */
  cmt_err explained; /* of this reason, or of none yet. */
  cmt__peer_counters counters;
  cmt_channel_status *channels; /* As many as the gate has. */
  /* Of the loop alone: */
  cmt__loop *loop;
  cmt__link *link; /* NULL when gone. */
  uint64_t up_at_ns;
  cmt__post wake;           /* Holds a reference while it is posted. */
  struct cmt__boxes *boxes; /* NULL: every reactor is called inline. */
  const uint64_t *dropped;  /* Messages, by channel; NULL: none ever. */
  /* A wake-up arrived after the end: nothing of this peer is under way. */
  void (*on_settled)(void *arg);
  void *arg;
};

/* What cmt__peer_new() needs to know. */
typedef struct cmt__peer_options {
  const cmt_env *env;
  cmt__link *link;
  const cmt_node_id *id;
  const cmt_node_info *node_info;
  const cmt_channel *channels; /* With their defaults. */
  size_t channel_count, send_bytes_max;
  void (*on_settled)(void *arg);
  void *arg;
} cmt__peer_options;

/* NULL: no memory.  The caller has the reference, and fills in |remote| and
   the flags. */
cmt_peer *cmt__peer_new(const cmt__peer_options *o);

/* Closes the gate and runs the callbacks of what waits.  True: on_settled will
   come. */
bool cmt__peer_end(cmt_peer *p, const cmt_why *why);

/* Copies the counters of the link and its connection. */
void cmt__peer_snapshot(cmt_peer *p);

/* Whether the thread runs the loop of a switch. */
bool cmt__thread_is_loop(void);
void cmt__thread_set_loop(bool is_loop);

#endif
