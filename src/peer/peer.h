/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PEER_H
#define CMT__PEER_H

/* A peer from the inside: what the switch makes of a connection that passed
   all checks. */

#include "link/link.h"
#include "peer_data.h"
#include "worth.h"

#include "base/counter.h"
#include "core/conn/conn.h"
#include "core/conn/net_addr.h"

/* The address of a socket. */
typedef struct cmt__remote {
  cmt__ip ip;
  char zone[CMT__ZONE_SIZE]; /* Empty: it has none. */
  uint16_t port;             /* 0: the address is not known. */
} cmt__remote;

/* Reads the remote from |a|, whose id is left out; a host that is no literal is
   not known. */
cmt__remote cmt__remote_of(const cmt_net_addr *a);
/* Without a host when |r| is not known. */
cmt_net_addr cmt__remote_addr(const cmt__remote *r);
bool cmt__remote_is_known(const cmt__remote *r);
/* Whether both are of one host. */
bool cmt__remote_is_same_host(const cmt__remote *a, const cmt__remote *b);

/* The fields of cmt_peer_status, but for its channels, as of the last
 * iteration. */
typedef struct cmt__peer_counters {
  cmt__counter32 version; /* Odd while the others change. */
  cmt__counter up_ns, rtt_last_ns, rtt_min_ns, pings_sent, pongs_recv;
  cmt__counter sent_bytes, recv_bytes, write_calls, read_calls, read_paused_ns;
  cmt__counter32 send_rate, recv_rate;
} cmt__peer_counters;

struct cmt__inboxes; /* Declared in delivery.h. */

/* Where a peer has its place: */
typedef enum cmt__peer_place {
  CMT__PEER_INBOUND,  /* among the inbound peers, */
  CMT__PEER_OUTBOUND, /* among the outbound ones, whoever dialed it, */
  CMT__PEER_EXEMPT,   /* or besides both, as it is unconditional. */
  CMT__PEER_PLACES
} cmt__peer_place;

struct cmt_peer {
  atomic_uint refs;
  cmt_err explained; /* What |why_text| is for, or CMT_OK; under the lock. */
  /* Only the loop uses these: */
  cmt__loop
    *loop; /* Where the link lives; looked at under the lock to wake it. */
  cmt__post wake; /* Holds a reference while it is posted. */
  /* Under the lock of the send queue: NULL when gone; its channels tell of
     themselves then. */
  cmt__link *link;
  cmt__send_queue send_queue;
  cmt__peer_counters counters;
  /* Only the loop uses these: */
  uint64_t up_at_ns;
  /* Since when the bytes of the rates are counted, and what came before. */
  uint64_t rate_at_ns;
  uint32_t rate_sent, rate_recv; /* Their low bits. */
  cmt_conn_group *group;
  cmt_node_id id;
  bool outbound, persistent;
  _Atomic uint8_t place; /* A cmt__peer_place; changes in the set of peers. */
  cmt__remote remote;
  cmt_node_info *node_info;
  cmt__peer_data data;
  cmt__worth worth;
  const cmt__counter *dropped; /* Messages, by channel; NULL: none ever. */
  /* Under the lock of the send queue: */
  cmt__channel_last *last; /* The last status of the channels; or NULL. */
  cmt_err reason;          /* Why it ended; CMT_OK before, */
  cmt_stage stage;         /* and how far it had come. */
  char *why_text;          /* NULL: that of the error itself. */
  /* What delivery keeps of the peer, and how it is freed; NULL: every reactor
     is called inline. */
  struct cmt__inboxes *inboxes;
  void (*inboxes_free)(struct cmt__inboxes *b);
  /* A wake-up arrived after the end: nothing of this peer is under way. */
  void (*on_drained)(void *arg);
  void *arg;
};

/* What cmt__peer_new() needs to know. */
typedef struct cmt__peer_options {
  cmt__link *link;
  const cmt_node_id *id;
  const cmt_node_info *node_info; /* What the other side sent. */
  cmt_conn_group *group;
  size_t send_bytes_max;
  cmt__send_pool *send_pool;
  void (*on_drained)(void *arg);
  void *arg;
} cmt__peer_options;

/* NULL: no memory.  The node info of the connection is the peer's then.  The
   caller has the reference, and fills in |remote| and the flags. */
cmt_peer *cmt__peer_new(const cmt__peer_options *o);

/* Closes the send queue and runs the callbacks of what waits; the connection
   has no channels any more.  True: on_drained will come. */
bool cmt__peer_end(cmt_peer *p, const cmt_why *why);

/* Publishes the counters of the link as they are now. */
void cmt__peer_count(cmt_peer *p);

/* What any thread can know of the connection: as of its last iteration, and
   what was asked of it. */
typedef struct cmt__peer_view {
  uint64_t pongs_recv, recv_bytes;
  bool paused, stopping;
} cmt__peer_view;
void cmt__peer_look(cmt_peer *p, cmt__peer_view *out);

/* Fetches into the cache what a send to |p| needs. */
static inline void cmt__peer_fetch(const cmt_peer *p) {
  cmt__fetch(p, offsetof(cmt_peer, send_queue));
  cmt__send_queue_fetch(&p->send_queue);
}

/* Whether the thread runs the loop of a switch. */
bool cmt__thread_is_loop(void);
void cmt__thread_set_loop(bool is_loop);

#endif
