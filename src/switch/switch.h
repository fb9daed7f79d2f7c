/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SWITCH_H
#define CMT__SWITCH_H

/* A switch from the inside, for the files that make it up: sessions, the dialer
   and the listener. */

#include "reactor/delivery.h"
#include "peer/peer_set.h"
#include "places.h"
#include "floors.h"

#include <cometp2p/switch.h>

typedef struct cmt__session cmt__session;
typedef struct cmt__dial cmt__dial;

/* How often cmt_switch_delete() tells what it waits for. */
#define CMT__REPORT_NS CMT_SECONDS(5)

/* Copies of what the options point to, and what follows from them. */
typedef struct cmt__switch_setup {
  cmt_switch_options options; /* For its numbers and callbacks. */
  cmt_reactor *reactors;
  size_t reactor_count;
  cmt_channel channels[CMT_CHANNELS_MAX]; /* With their defaults. */
  size_t channel_count;
  uint8_t channel_ids[CMT_CHANNELS_MAX];
  cmt__floors floors;             /* What peers share of the memory. */
  cmt__conn_config *config;       /* Of all connections, */
  cmt__link_options link;         /* and of their links. */
  const cmt_reactor *owners[256]; /* By channel. */
  char *network, *moniker, *version, *external_address, *congestion;
  cmt_node_key *key; /* A reference of ours. */
  cmt_node_id id;
  bool listens;       /* An address was given, */
  bool bound;         /* and is in use: |laddr| is final.  Under the lock. */
  cmt_net_addr laddr; /* As asked for, then as bound. */
  char listen_addr[8 + CMT_NET_ADDR_TEXT_SIZE]; /* For the node info. */
} cmt__switch_setup;

/* Checks |o|; everything that a connection will be made with is known to be
   good then. */
CMT_NODISCARD cmt_err cmt__setup_init(cmt__switch_setup *s, const cmt_env *env,
                                      const cmt_switch_options *o,
                                      cmt_why *why);
void cmt__setup_fini(cmt__switch_setup *s, const cmt_env *env);
/* CMT_EINVAL unless |o| asks for one loop. */
CMT_NODISCARD cmt_err cmt__setup_one_loop(const cmt_switch_options *o,
                                          cmt_why *why);
/* Where it listens, after port 0 was replaced. */
void cmt__setup_set_laddr(cmt__switch_setup *s, const cmt_net_addr *at);
/* What connections are made with; |info| is theirs for the call. */
void cmt__setup_conn_options(const cmt__switch_setup *s, const cmt_env *env,
                             cmt_node_info *info, cmt_conn_options *out);

/* One loop of a switch with its thread.  The calls on two loops write to
   different cache lines. */
typedef struct cmt__loop_thread {
  cmt_switch *sw;
  pthread_t thread;
  size_t peers;                /* That live here.  Loop 0 alone. */
  cmt__delivery_loop delivery; /* With the loop itself. */
  char apart[64];
} cmt__loop_thread;

struct cmt_switch {
  cmt_env env;
  cmt__switch_setup setup;
  cmt__loop_thread *threads; /* As many as |loops| of the options. */
  cmt__loop *loop;           /* The first. */
  bool borrowed;  /* The loops are the caller's, and so is their thread. */
  bool on_caller; /* Its libuv loop is the caller's: cmt_switch_run_on(). */
  bool start_called, has_thread;
  bool inside; /* A reactor is called on the thread of the application. */
  size_t reactors_started;
  cmt__peer_set peers;
  cmt__post post;             /* Rings the loop for what is under the lock. */
  cmt__quota quota;           /* What the connections share, */
  pthread_mutex_t quota_lock; /* with several loops. */
  cmt__send_pool send_pool;   /* What is queued above the floors of peers. */
  pthread_mutex_t lock;
  pthread_cond_t ended_cond; /* With |ended|. */
  uint64_t report_ns;
  _Atomic size_t dials_allocated;   /* Dials that have memory. */
  atomic_bool warned_unlocked_keys; /* That memory of keys cannot be locked. */
  cmt__delivery delivery;
  /* Under the lock: */
  bool started, stopping, posted;
  bool let_go;    /* By the caller's loop. */
  unsigned ended; /* Threads that are about to go. */
  uint64_t flush_ns;
  cmt__dial *requests, *requests_last; /* Dials not yet seen by the loop. */
  cmt_switch_status status;
  cmt__listener *listener; /* Changed by the loop alone. */
  /* Of the first loop alone: */
  bool closing;           /* The stop was seen. */
  bool finished;          /* Nothing is left, the reactors are stopped. */
  cmt__session *sessions; /* Doubly linked, as the dials. */
  cmt__dial *dials;
  size_t session_count, dial_count, handshakes;
  cmt__places places;
  /* Places of peers that are gone, for those that were held beside them:
     inbound and outbound. */
  size_t kept[2];
  size_t undrained; /* Peers that are gone, but for a wake-up under way. */
  cmt__log_limit strangers;
  cmt__task task; /* Looks whether it is finished. */
};

/* A switch on |loop|, which the caller runs and which outlives it.  No thread
   is made, and cmt_switch_delete() needs cmt__switch_is_finished() once it was
   started.  CMT_EINVAL: |loops| of the options is not 1. */
CMT_NODISCARD cmt_err cmt__switch_new_on(const cmt_switch_options *o,
                                         cmt__loop *loop, cmt_switch **out,
                                         cmt_why *why);
/* The same on as many loops as |loops| of the options, which may be run by one
   thread or each by its own. */
CMT_NODISCARD cmt_err cmt__switch_new_on_each(const cmt_switch_options *o,
                                              cmt__loop *const *loops,
                                              cmt_switch **out, cmt_why *why);
/* Whether a start makes sense: CMT_EINVAL: there was one; CMT_ECLOSED: it was
   stopped. */
CMT_NODISCARD cmt_err cmt__switch_may_start(cmt_switch *s, cmt_why *why);
/* A start failed: whoever waits for an event is told. */
void cmt__switch_never_starts(cmt_switch *s);
/* On the thread of the loop. */
bool cmt__switch_is_finished(const cmt_switch *s);
/* Closes what lies on the caller's libuv loop; on_finished follows. */
void cmt__switch_let_go(cmt_switch *s);
/* Whether that loop still has something of it. */
bool cmt__switch_is_held(cmt_switch *s);

/* Counts a peer that is gone for |err|. */
void cmt__switch_removed(cmt_switch *s, cmt_err err);
/* Tells the application of a dial or an accept that yields no peer. */
void cmt__switch_reject(cmt_switch *s, cmt_rejection *r);
/* Writes it to the log: info for our own dials, debug for strangers. */
void cmt__switch_log_rejection(cmt_switch *s, const cmt_rejection *r);
/* Adds to a counter of the status. */
void cmt__switch_count(cmt_switch *s, uint64_t *counter);
/* Where the next peer should live: an index of |threads|. */
unsigned cmt__loops_pick(const cmt_switch *s);
/* Makes the loop threads, on |loops| unless that is NULL. */
CMT_NODISCARD cmt_err cmt__loops_init(cmt_switch *s, cmt__loop *const *loops);
/* Makes the loops that are not there, then starts the threads. */
CMT_NODISCARD cmt_err cmt__loops_open(cmt_switch *s, cmt_why *why);
CMT_NODISCARD cmt_err cmt__loops_start(cmt_switch *s, cmt_why *why);
/* Ends all threads, from one of them. */
void cmt__loops_stop(cmt_switch *s);
/* Waits until they have ended, and tells now and then for what. */
void cmt__loops_join(cmt_switch *s);
/* Deletes the loops that are the switch's own. */
void cmt__loops_fini(cmt_switch *s);
/* The handshakes in flight, one more or one less. */
void cmt__switch_handshakes(cmt_switch *s, int change);
/* Something ended: looks at the end of this iteration whether it was the last.
 */
void cmt__switch_look(cmt_switch *s);

#endif
