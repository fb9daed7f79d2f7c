/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SIM_HABITS_H
#define CMT_SIM_HABITS_H

/* What the applications of a part of the worlds do beside sending: they ban,
   ask filters, evict, cancel dials, and set timers and posts.  Each habit is
   drawn from numbers of its own, so that a world without it is what it was
   before there were habits. */

#include "loop_sim.h"

#include <cometp2p/admission.h>
#include <cometp2p/dial.h>
#include <cometp2p/timer.h>

struct sim;
struct sim_node;
struct sim_peer;

#define SIM_HABIT_MAP(X)                                                       \
  X(BANS, "bans nodes and addresses")                                          \
  X(FILTERS, "asks filters, some of which answer later")                       \
  X(EVICTION, "lets newcomers replace peers")                                  \
  X(CANCELS, "cancels dials")                                                  \
  X(CALLS, "sets timers and posts")                                            \
  X(FORGETS, "cancels all dials of a node id that it keeps no handle of")      \
  X(EVENTS, "receives timers, posts and outcomes as events")

typedef enum sim_habit {
#define X(name, text) SIM_##name,
  SIM_HABIT_MAP(X)
#undef X
    SIM_HABITS
} sim_habit;

enum {
  SIM_BANS_MAX = 24,
  SIM_TIMERS = 4,
  SIM_POSTS = 4,
  SIM_PEER_POSTS = 2,
};

/* ---- bans ---- */

/* As the application knows it. */
typedef struct sim_ban {
  char subject[CMT_BAN_TEXT_SIZE];
  unsigned ids, hosts; /* A bit for each node that it covers. */
  uint64_t from_ns;
  uint64_t busy_ns;  /* Work of its node's loops by then. */
  uint64_t until_ns; /* Not before then, unless it was ended before. */
  bool ended;        /* By the application, at |until_ns|. */
} sim_ban;

/* ---- filters ---- */

/* What a filter was asked; kept until its node goes. */
typedef struct sim_question {
  struct sim_question *next;
  cmt_admission request; /* Without a switch once that is gone. */
  sim_conn *conn;
  int side;
  bool of_peer;        /* By |filter_peer|. */
  cmt_verdict verdict; /* CMT_LATER: none that counts. */
  uint64_t deadline_ns, busy_ns;
} sim_question;

/* ---- dials ---- */

/* A dial whose outcomes the application wants to hear; kept until its switch
   goes. */
typedef struct sim_dialed {
  struct sim_dialed *next;
  struct sim_node *node;
  size_t target;
  cmt_dial *dial; /* NULL: it was cancelled. */
  bool for_ever, ended;
  bool is_event;     /* Its outcomes are events. */
  uint64_t attempts; /* How many were reported. */
} sim_dialed;

/* ---- timers and posts ---- */

typedef struct sim_timer {
  cmt_timer timer;
  struct sim_node *node;
  size_t index;
  bool is_event; /* It has no callback. */
  bool set;
  uint64_t due_ns; /* Not before. */
  uint64_t busy_ns;
} sim_timer;

typedef struct sim_post {
  cmt_post post;
  struct sim_node *node;
  struct sim_peer *peer; /* NULL: of the switch. */
  size_t index;
  bool is_event; /* It has no callback. */
  bool waits;
  uint64_t number; /* In the order of the posts of its node. */
  uint64_t posted_ns, busy_ns;
} sim_post;

/* What a node has of all this. */
typedef struct sim_habits {
  sim_ban bans[SIM_BANS_MAX]; /* What this switch has, as the next two. */
  size_t ban_count;
  sim_dialed *dialed;
  sim_question *questions;
  uint64_t refusals;         /* By a filter, that were reported. */
  cmt_node_id unconditional; /* Empty: there is none; */
  bool is_listed;            /* and it is on the list now. */
  uint64_t evicted_ns;       /* The last; 0: there was none. */
  sim_timer timers[SIM_TIMERS];
  sim_post posts[SIM_POSTS];
  uint64_t post_serial,
    post_last,       /* The last one set, and the last that ran, */
    post_event_last; /* or that came as an event. */
} sim_habits;

const char *sim_habit_text(sim_habit h);
/* Draws which there are, and what they need of the options of nodes; after
   crowd, minority and hostile node. */
void sim_habits_init(struct sim *s);
/* Applications may do something, on a thread of their own. */
void sim_habits_act(struct sim *s);
/* The faults are over: what would keep nodes apart for longer ends. */
void sim_habits_calm(struct sim *s);
/* A switch of |n| was made, */
void sim_habits_up(struct sim_node *n);
/* has finished, and was not deleted yet; */
void sim_habits_down(struct sim_node *n);
/* and |n| has no other. */
void sim_habits_fini(struct sim_node *n);

/* sim_admission.c: bans, filters and evictions. */
void sim_admission_init(struct sim *s);
void sim_admission_act(struct sim *s);
void sim_admission_calm(struct sim *s);
/* A reactor hears of |p| first. */
void sim_admission_greet(struct sim_peer *p);

/* sim_dial.c: dials. */
void sim_dial_cancel_any(struct sim *s);
void sim_dial_forget(struct sim *s);
void sim_dial_outcome(sim_dialed *d, const cmt_dial_outcome *o);

/* sim_calls.c: timers and posts. */
void sim_calls_init(struct sim *s);
void sim_calls_act(struct sim *s);
void sim_calls_timer(void *timer_arg, cmt_err status);
void sim_calls_post(void *post_arg, cmt_err status);

/* sim_events.c: what a mailbox has beside the events of peers. */

/* Draws the reactor of each node whose mailbox receives them. */
void sim_events_init(struct sim *s);
bool sim_events_come_to(const struct sim_node *n);
/* A worker of |n| has received |ev|, which is not of an inbox. */
void sim_events_receive(struct sim_node *n, const cmt_mailbox_event *ev);
/* The switch of |n| has finished: ends the events that are out,
   and receives what its mailbox still has. */
void sim_events_drain(struct sim_node *n);

#endif
