/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__STATE_H
#define CMT__STATE_H

/* The state of a switch, and what every part of it reports: counters,
   rejections, and that something has ended. */

#include "base/err.h"
#include "calls.h"
#include "peer/peer_set.h"
#include "bans.h"
#include "networks.h"
#include "places.h"
#include "question.h"
#include "reactor/delivery.h"
#include "reactor/events.h"
#include "setup.h"

/* How often cmt_switch_delete() logs what it waits for. */
#define CMT__REPORT_NS CMT_SECONDS(5)

/* One loop of a switch with its thread.  The calls on two loops write to
   different cache lines. */
typedef struct cmt__loop_thread {
  cmt_switch *sw;
  pthread_t thread;
  size_t peers;                /* How many live here.  Only loop 0 uses it. */
  cmt__delivery_loop delivery; /* With the loop itself. */
  char apart[64];
} cmt__loop_thread;

typedef struct cmt__session cmt__session;

struct cmt_switch {
  cmt_env env;
  cmt__switch_setup setup;
  cmt__loop_thread *threads; /* As many as |loops| of the options. */
  cmt__loop *loop;           /* The first. */
  bool borrowed;  /* The loops are the caller's, and so is their thread. */
  bool on_caller; /* Its libuv loop is the caller's: cmt_switch_run_on(). */
  bool start_called, has_thread;
  bool inside; /* A reactor is called on the thread of the application. */
  cmt__peer_set peers;
  cmt__post post;               /* Rings the loop for what is under the lock. */
  pthread_mutex_t quota_lock;   /* Guards the limits of the group. */
  pthread_mutex_t secrets_lock; /* Guards the memory for their keys. */
  cmt__send_pool send_pool;     /* What is queued above the floors of peers. */
  cmt__bans bans;
  cmt__networks networks;
  cmt__questions questions; /* To filters. */
  pthread_mutex_t lock;
  pthread_cond_t ended_cond;  /* With |ended|. */
  pthread_cond_t called_cond; /* With |calling|. */
  uint64_t report_ns;
  _Atomic uint64_t dials_made;
  _Atomic size_t dials_allocated;     /* Dials whose memory exists. */
  _Atomic size_t dials_unconditional; /* How many of these are that. */
  atomic_bool warned_unlocked_keys; /* The log has the warning that keys cannot
                                       be locked. */
  cmt__delivery delivery;
  cmt__events events; /* In place of callbacks. */
  cmt__calls calls;   /* What the application wants of the first loop. */
  /* Under the lock: */
  bool started, stopping, posted;
  bool bans_changed; /* The loop has not looked at the bans since. */
  bool let_go;       /* The caller's loop has closed our handles. */
  unsigned ended;    /* Threads that are about to go. */
  uint64_t flush_ns;
  bool over; /* The loop looks at nothing any more. */
  /* Dials that the loop has not seen yet. */
  cmt_dial *requests, *requests_last;
  cmt_dial *cancels; /* Dials to end. */
  cmt_dial *calling; /* The dial whose on_outcome runs. */
  pthread_t caller;  /* The thread that runs it. */
  cmt_switch_status status;
  /* Its |rejected| and |removed| by the reason, at its cmt__err_index(). */
  uint64_t rejected_by[CMT__ERR_COUNT], removed_by[CMT__ERR_COUNT];
  cmt__listener *listener; /* Changed by the loop alone. */
  /* Only loop 0 uses these: */
  bool closing;  /* The stop was seen. */
  bool finished; /* Nothing is left, the reactors are stopped. */
  /* Doubly linked, as the dials: the sessions whose outcome is not known, which
     the limits bound, and all others, which are as many as peers. */
  cmt__session *pending, *sessions;
  cmt_dial *dials;                              /* Changed under the lock. */
  size_t session_count, dial_count, handshakes; /* Dials that go on. */
  size_t attempts; /* How many of the dials |dials_max| counts. */
  cmt__places places;
  /* Places of peers that are gone, for their standbys; by cmt__peer_place. */
  size_t kept[CMT__PEER_PLACES];
  /* The peer that goes for a newcomer, while it is listed; or NULL. */
  cmt_peer *evicting;
  uint64_t evicted_at_ns; /* When the last one began to go; 0: never. */
  size_t undrained;   /* Ended peers whose posted wake-up has not run yet. */
  uint64_t *exceeded; /* A counter of the status, for the next rejection. */
  cmt__log_limit strangers;
  cmt__timer bans_timer; /* The next ban ends. */
  bool has_bans_timer;   /* It is reserved. */
  cmt__task task;        /* Looks whether it is finished. */
};

/* Whether |id| is on the list of those that pass every cap. */
bool cmt__switch_is_unconditional(cmt_switch *s, const cmt_node_id *id);
/* Adds to a counter of the status. */
void cmt__switch_count(cmt_switch *s, uint64_t *counter);
/* The next rejection is for a limit with that counter of the status: whoever
   reads the status sees both or neither of them. */
void cmt__switch_exceeds(cmt_switch *s, uint64_t *counter);
/* Counts a peer that is gone for |err|. */
void cmt__switch_removed(cmt_switch *s, cmt_err err);
/* Counts one handshake in flight more or less. */
void cmt__switch_handshakes(cmt_switch *s, int change);
/* Reports to the application and the log a dial or an accept that yields no
   peer. */
void cmt__switch_reject(cmt_switch *s, cmt_rejection *r);
/* Under the lock: makes the loop look at what lies there, once it runs. */
void cmt__switch_wake(cmt_switch *s);
/* Something ended: the switch checks at the end of this iteration whether that
   was the last. */
void cmt__switch_look(cmt_switch *s);

#endif
