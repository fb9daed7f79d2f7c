/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SIM_H
#define CMT_SIM_H

/* One simulated world: two to eight whole nodes over one drawn network, what
   they do, and what is known of it. */

#include "sim_crowd.h"
#include "sim_habits.h"
#include "sim_hostile.h"

#include "switch/switch.h"

#include <stdio.h>

/* How a minority of nodes is broken for good: they ... */
#define SIM_BROKEN_MAP(X)                                                      \
  X(PARTED, "are parted from all others")                                      \
  X(HANGING, "hang above a kernel that goes on")                               \
  X(CRASHED, "are crashed")

typedef enum sim_broken {
#define X(name, text) SIM_##name,
  SIM_BROKEN_MAP(X)
#undef X
    SIM_BROKEN_KINDS
} sim_broken;

enum {
  SIM_ACTIONS = 160, /* Actions of applications, while there are faults. */
  SIM_NODES_MAX = 8,
  SIM_CHANNELS_MAX = 5,
  SIM_REACTORS_MAX = 3,
  SIM_WORKERS_MAX = 3,
  /* What the floors of eighty peers need of a total at least. */
  SIM_FLOOR = 4096,
  SIM_FLOORS = 80 * SIM_FLOOR,
  SIM_PORT = 26656,
  SIM_DISTINCT =
    16, /* Bytes of a message that is distinguished from all others. */
};

#define CHECK_MAP(X)                                                           \
  X(ORDER, "order", "messages arrive in the order of the sends, whole, once")  \
  X(LOSS, "loss", "nothing accepted is lost while the connection lives")       \
  X(GRACE, "graceful stop",                                                    \
    "what was accepted before a graceful stop arrives")                        \
  X(BROADCAST, "broadcast", "a broadcast reaches as many peers as it says")    \
  X(ANSWER, "answer", "each send is answered as its limits say")               \
  X(ROOM, "room", "a channel takes send_queue messages and one more")          \
  X(CALLBACK, "callback", "a send calls back once, and in time")               \
  X(LIFE, "reactor calls", "reactors are called in order, each once")          \
  X(ONE, "one peer", "at most one peer has an id")                             \
  X(LISTED, "listed", "a peer is listed from its first to its last call")      \
  X(OUTCOME, "outcome", "each dial and accept has exactly one outcome")        \
  X(REJECTION, "rejection", "a rejection has a cause that happened")           \
  X(REASON, "reason", "a peer ends for a reason that happened")                \
  X(PONG, "pong", "pings are answered")                                        \
  X(SHARE, "share", "channels share a full link by their priorities")          \
  X(FLOOR, "floor", "a channel that wakes does not hold the link")             \
  X(LIMIT, "limit", "peers and handshakes stay within their limits")           \
  X(RATE, "rate", "no more is sent or received than the limits allow")         \
  X(URGENT, "urgent", "little is written together with an urgent message")     \
  X(CANCEL, "cancel",                                                          \
    "a send that is cancelled is distinguished, and ends there")               \
  X(MEMORY, "memory", "the bytes allocated stay within the bound")             \
  X(BAN, "ban", "who is banned is no peer, as long as that lasts")             \
  X(FILTER, "filter", "only who was admitted by the filters is a peer")        \
  X(EVICTION, "eviction", "only who may go is evicted, and not too often")     \
  X(DIAL, "dial",                                                              \
    "each attempt of a dial is reported once, until it is cancelled")          \
  X(TIMER, "timer", "a timer comes once and in time, until it is cancelled")   \
  X(POST, "post", "a post runs once, on its loop, in its order")               \
  X(CROWD, "crowd", "strangers cost friends nothing")                          \
  X(HOSTILE, "hostile", "a hostile node ends for what it did, and alone")      \
  X(MINORITY, "minority", "nodes broken for good cost the others nothing")     \
  X(LIVE, "liveness", "what can go on goes on")                                \
  X(LEFT, "nothing left", "no memory, socket, timer or post is left")          \
  X(INVARIANT, "invariant", "no assertion of the library fails")               \
  X(REPEAT, "repeatable", "a seed always gives the same run")

typedef enum check_kind {
#define X(name, text, promise) CHECK_##name,
  CHECK_MAP(X)
#undef X
    CHECKS
} check_kind;

typedef struct sim sim;
typedef struct sim_node sim_node;
typedef struct sim_peer sim_peer;
typedef struct sim_request sim_request;

typedef enum sim_entry_state {
  SIM_ACCEPTED, /* Must arrive. */
  SIM_WAITING,  /* A send that was not answered yet. */
  SIM_ARRIVED,  /* It arrived before it was answered. */
  SIM_PASSED,   /* A later one arrived, so it may not be queued any more. */
  SIM_MAYBE,    /* A broadcast, which returns only how many accepted it. */
} sim_entry_state;

/* A message that a peer was given. */
typedef struct sim_entry {
  uint64_t key;
  size_t len;
  sim_entry_state state;
  bool may_drop;    /* The other side may have no room for it. */
  size_t broadcast; /* Its index, when it may be of one. */
} sim_entry;

/* What was sent to a peer on one channel and has not arrived. */
typedef struct sim_flow {
  sim_entry *list; /* From |first| to |count|. */
  size_t first, count, cap;
  size_t waiting;
  uint64_t received, received_bytes; /* By the other side. */
} sim_flow;

typedef struct sim_broadcast {
  size_t queued, matched;
  bool unsure; /* A peer that it may have gone to has ended. */
} sim_broadcast;

/* A graceful stop that nothing came between yet. */
typedef struct sim_grace {
  bool on;
  size_t lacks;
  uint64_t stalled_ns, busy_ns;
} sim_grace;

/* A peer as its node saw it; kept until the switch is deleted. */
struct sim_peer {
  sim_peer *next;
  sim_node *node;
  cmt_peer *peer; /* A reference. */
  sim_conn *conn;
  int side;                        /* 0: we dialed. */
  unsigned number, remote;         /* Its own; the index of the other node. */
  unsigned inited, added, removed; /* A bit for each reactor. */
  bool refused, gone;
  cmt_err end_reason;
  bool watched; /* Beside the hostile node. */
  /* It may end at any time, by a ban or an eviction, */
  bool doomed;
  /* before which this counts: its tags, and calls of cmt_peer_protect(). */
  int64_t worth;
  unsigned protections;
  bool exempt; /* It takes no place of others, or does not once added. */
  uint64_t removed_ns; /* From the first reactor. */
  bool stopped;        /* By a stop of ours, */
  bool closed;         /* or a send was called back that it is gone. */
  cmt_err stop_reason, fail_reason; /* Given to the stop; by a reactor. */
  unsigned pauses;
  uint64_t paused_at_ns, paused_ns, longest_pause_ns;
  uint64_t unseen_ns; /* Until then no loop has seen the last resume. */
  uint64_t up_ns;
  uint64_t urgent_bytes;  /* Urgent packets of all writes so far. */
  size_t oversize;        /* Messages accepted that the other side refuses. */
  uint64_t busy_ns;       /* What the loops of both had worked when it came, */
  uint64_t other_busy_ns; /* and of those of the other side. */
  sim_grace grace;
  sim_flow flow[SIM_CHANNELS_MAX];
  sim_post posts[SIM_PEER_POSTS];
};

struct sim_request {
  cmt_send_req req;
  sim_request *next;
  sim_peer *to;
  size_t channel, len;
  uint64_t key;
  cmt_buf *msg;
  uint64_t called_ns, busy_ns;
  bool waits, again; /* Sent from its own callback. */
};

/* Receives the events of a mailbox.  It is idle when |ev| is none. */
typedef struct sim_worker {
  cmt_mailbox_event ev;
  uint64_t until_ns; /* When its task ends. */
} sim_worker;

typedef struct sim_reactor {
  sim_node *node;
  size_t index;
} sim_reactor;

/* Dials of one id, and what became of them. */
typedef struct sim_target {
  size_t once, for_ever, cancelled; /* Before their end, of those once. */
  size_t adds, final, again; /* Rejections: for good, to be tried again. */
  uint64_t last_ns, busy_ns; /* When it was last dialed; busy by then. */
  bool wanted;               /* Dialed for ever where it is. */
  cmt_dial *dial;            /* The last one for ever; or NULL. */
  uint64_t for_ever_ns;      /* When that began. */
} sim_target;

typedef enum sim_node_state { SIM_DOWN, SIM_UP, SIM_STOPPING } sim_node_state;

struct sim_node {
  sim *sim;
  unsigned index;
  sim_node_state state;
  test_env env;
  void *(*alloc)(void *arg, size_t len); /* What |env| had itself. */
  sim_rng entropy;
  cmt_node_key *key;
  cmt_node_id id;
  cmt__loop *loops[SIM_LOOPS_MAX]; /* As many as its options state. */
  cmt_switch *sw;
  cmt_switch_options options;
  cmt_reactor reactors[SIM_REACTORS_MAX];
  bool has_mailbox, has_rates, all_urgent;
  bool weak; /* It is in the minority. */
  sim_worker workers[SIM_REACTORS_MAX][SIM_WORKERS_MAX];
  size_t worker_count[SIM_REACTORS_MAX]; /* 0: it is called inline. */
  uint64_t computing_ns; /* Most of one operation of a handshake; 0: none. */
  uint64_t slow_ns;      /* Time of all tasks. */
  sim_reactor selves[SIM_REACTORS_MAX];
  char names[SIM_REACTORS_MAX][32];
  char laddr[32];
  /* By reactor, then in the order of the world's channels. */
  cmt_channel channels[SIM_REACTORS_MAX][SIM_CHANNELS_MAX];
  cmt_channel by_index[SIM_CHANNELS_MAX];
  bool has[SIM_CHANNELS_MAX];
  uint64_t start_ns;                          /* When it goes up again. */
  uint64_t stop_ns, stop_by_ns, stop_busy_ns; /* Busy or slow before. */
  size_t lacks;                               /* Allocations that failed. */
  size_t values;                              /* Kept with its peers. */
  size_t memory_max;                          /* What the switch states. */
  /* Since the switch was made: */
  sim_peer *peers, *past; /* Peers of this switch, and of earlier ones. */
  sim_target targets[SIM_NODES_MAX + 1]; /* The last: an unknown id. */
  uint64_t up_ns, recv_bytes, sent_bytes;
  size_t strangers; /* Peers of the crowd. */
  size_t in_adds, in_rejects, out_rejects, out_refusals, out_lacks;
  size_t out_bans; /* Dials that no address is known of. */
  uint64_t accepts_before, resolves_before;
  sim_habits habits;
};

/* What a batch leaves out, so that a failure can be narrowed by hand. */
typedef struct sim_without {
  bool fault[SIM_FAULTS], crowd[SIM_CROWD_KINDS], broken[SIM_BROKEN_KINDS],
    hostile[SIM_HOSTILE_KINDS], habit[SIM_HABITS];
} sim_without;

/* The nodes that break and stay broken. */
typedef struct sim_minority {
  sim_broken kind;
  size_t count;      /* 0: there is none. */
  bool early;        /* In the middle of the faults. */
  uint64_t after;    /* So many actions. */
  bool on;           /* They are broken, */
  uint64_t since_ns; /* from then on. */
} sim_minority;

/* How seeds are run. */
typedef struct sim_setup {
  bool trace; /* Prints each step, */
  bool tell;  /* and the world before the first. */
  sim_without without;
} sim_setup;

struct sim {
  uint64_t seed;
  const sim_without *without;
  sim_weather weather; /* As drawn. */
  sim_rng rng, shortages;
  sim_net *net;
  size_t node_count, channel_count, reactor_count;
  sim_node nodes[SIM_NODES_MAX];
  uint8_t ids[SIM_CHANNELS_MAX];
  size_t message_max[SIM_CHANNELS_MAX];
  const struct cmt_aead *aead;
  bool mismatch; /* Some receive less than others send. */
  bool partitions;
  cmt_wire wire;
  bool several;  /* Some nodes have more than one loop. */
  bool computes; /* Handshakes take time at some nodes. */
  bool calm;     /* No faults any more. */
  bool ending;   /* No node starts any more. */
  sim_request *requests;
  sim_broadcast *broadcasts;
  size_t broadcast_count, broadcast_cap;
  uint64_t serial; /* Number of the next message. */
  unsigned peer_serial;
  uint64_t sent_bytes;   /* Accepted. */
  uint64_t moved_bytes;  /* Arrived. */
  uint64_t steps, still; /* In all; in this instant. */
  uint32_t odds_reactor; /* Odds that a reactor does something in a call. */
  uint32_t odds_memory;  /* Odds that memory is lacking from a step on. */
  uint64_t checks[CHECKS];
  sim_crowd crowd;
  sim_minority minority;
  sim_hostile hostile;
  bool has_habit[SIM_HABITS];
  sim_rng habit_rng[SIM_HABITS];
};

typedef struct sim_tally {
  uint64_t seeds, real, several, crowds[SIM_CROWD_KINDS],
    broken[SIM_BROKEN_KINDS], hostile[SIM_HOSTILE_KINDS], habits[SIM_HABITS],
    checks[CHECKS], faults[SIM_FAULTS];
  sim_moves moves;
  uint64_t bytes_min, bytes, peers, steps, steps_max;
  uint64_t digest; /* The digest of the last seed. */
} sim_tally;

/* Runs one seed.  |out| adds up what happened. */
void sim_run(uint64_t seed, const sim_setup *setup, sim_tally *out);
/* Prints the world of the seed that runs, or ran last. */
void sim_print(void);
/* What a failure calls last; does not return. */
_Noreturn void sim_failed(uint64_t seed, const char *check, const char *text);

/* sim_minority.c */

const char *sim_broken_text(sim_broken b);
/* Draws who breaks, and how; after the crowd. */
void sim_minority_init(sim *s);
/* It is not broken now. */
bool sim_is_sound(const sim_node *n);
/* Neither side is. */
bool sim_is_of_sound(const sim_peer *p);
/* They break now, unless they did before. */
void sim_minority_break(sim *s);
/* What the others still do, without other faults. */
void sim_minority_try(sim *s);
/* The others are done; from the next sim_net_calm() on all can end. */
void sim_minority_mend(sim *s);

/* sim_world.c */
void sim_world_print(const sim *s);

/* sim_without.c: the names of what can be left out. */

/* Switches off what has the name; false: nothing has it. */
bool sim_without_add(sim_without *w, const char *name);
/* The names of what |set| leaves out; NULL: of all. */
void sim_without_list(FILE *out, const sim_without *set);

/* sim_node.c: a node, and what its reactors do. */
void sim_node_init(sim_node *n, sim *s, unsigned index);
/* The next allocation that fails is still to come. */
static inline bool sim_node_may_lack(const sim_node *n) {
  return n->env.fail_at != SIZE_MAX &&
         n->env.allocs <= n->env.fail_at + n->env.shortage;
}
sim_peer *sim_peer_other(const sim_peer *p);
/* What may have gone to it and not arrived is lost with it. */
void sim_peer_end_broadcasts(sim_peer *p);
/* The first reactor is always called inline, so it sees the end at once. */
static inline bool sim_peer_is_live(const sim_peer *p) {
  return (p->added & 1) != 0 && (p->removed & 1) == 0;
}
uint64_t sim_peer_busy_ns(const sim_peer *p);

/* sim_node_life.c: its switch comes and goes. */
void sim_node_start(sim_node *n);
void sim_node_stop(sim_node *n, uint64_t flush_ns);
/* Deletes the switch of a node that stopped, when it has finished. */
bool sim_node_run_until_idle(sim_node *n);
void sim_node_fini(sim_node *n);
/* Time that its loops were busy, one after the other, */
uint64_t sim_node_busy_ns(const sim_node *n);
/* or a task of it took. */
uint64_t sim_node_slow_ns(const sim_node *n);
/* When the iterations of all its loops are over. */
uint64_t sim_node_busy_until(const sim_node *n);

/* sim_mailbox.c: the applications that receive events. */

/* Lets the applications receive events; true: there were any. */
bool sim_mailboxes_take(sim *s);
/* When the next task ends. */
uint64_t sim_mailboxes_next(const sim *s);
/* When all tasks of |n| have ended; 0: it has none. */
uint64_t sim_node_work_end(const sim_node *n);

/* sim_crypto.c: what stands for the cryptography. */
extern const struct cmt_aead sim_aead;
/* Sets the handshake from now on; returns the frames of it. */
const struct cmt_aead *sim_crypto_use(bool real);

/* sim_send.c: sending. */
bool sim_try_send(sim_peer *p, size_t channel, size_t len);
void sim_send(sim_peer *p, size_t channel, size_t len, uint64_t timeout_ns);
/* Cancels one of the sends that wait, if there is one. */
void sim_cancel(sim *s);
void sim_broadcast_to(sim_node *n, size_t channel, size_t len);
/* Sends until the channel is full. */
void sim_fill(sim_peer *p, size_t channel, size_t len);
/* A length that is likely to hit a limit. */
size_t sim_draw_len(sim *s, const sim_node *n, size_t channel);
void sim_requests_free(sim *s);

/* sim_script.c: what applications do. */
void sim_act(sim *s);
void sim_act_in_reactor(sim_peer *p);
void sim_act_other_thread(void *sim_arg);
sim_peer *sim_any_peer(sim *s);
void sim_stop_peer(sim_peer *p, uint64_t flush_ns);
void sim_pause(sim_peer *p);
void sim_resume(sim_peer *p);

/* sim_dial.c: dialing. */
void sim_dial(sim_node *from, sim_node *to, bool for_ever);
/* Any node dials any other, maybe where it is not. */
void sim_dial_somehow(sim *s);

/* sim_calm.c: the end of a world, without faults. */
void sim_calm_down(sim *s);
/* While |b| holds a connection the pongs that it sends are soon enough. */
bool sim_waits_long(const sim_node *a, const sim_node *b);
/* Steps until |until_ns|. */
void sim_pass(sim *s, uint64_t until_ns);

#endif
