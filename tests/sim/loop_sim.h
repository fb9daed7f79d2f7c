/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_LOOP_SIM_H
#define CMT_LOOP_SIM_H

/* Loops with virtual time over one drawn network.  Each node has one loop or a
   few of its own, all share the clock and the network; one thread runs them
   all, an iteration at a time, in an order that is drawn.  Every byte, delay
   and fault follows from the seed.

   The network behaves as TCP does between kernels: bytes arrive in order or
   not at all, a close with unread input or input after it is answered with a
   reset, and a reset destroys what has not arrived. */

#include "rng.h"

#include "net/loop.h"

typedef struct sim_net sim_net;

/* Odds are of 65,536, each time that the fault could happen. */
#define SIM_FAULT_MAP(X)                                                       \
  X(LATENCY, "latency")             /* Over 1 ms on a connection. */           \
  X(BANDWIDTH, "bandwidth")         /* Below 4 MB/s on it. */                  \
  X(SMALL_BUFFER, "small buffer")   /* Below 16 KiB on it. */                  \
  X(SPLIT, "split")                 /* A read gives less than there is. */     \
  X(COALESCE, "coalesce")           /* What was written waits for more. */     \
  X(SHORT_WRITE, "short write")     /* A write accepts less than it could. */  \
  X(STALL, "stall")                 /* One direction stops for a while. */     \
  X(VANISH, "vanished host")        /* Nothing passes any more, silently. */   \
  X(HALF_CLOSE, "half-close")       /* One direction ends for its reader. */   \
  X(RESET, "reset")                 /* Both sides see a reset. */              \
  X(FLIP, "flipped byte")           /* In what was written. */                 \
  X(PARTITION, "partition")         /* Nothing passes between two nodes. */    \
  X(REFUSED, "refused")             /* A connect, by a listening node. */      \
  X(UNREACHABLE, "unreachable")     /* A connect, reported soon. */            \
  X(NO_ANSWER, "no answer")         /* A connect, never reported. */           \
  X(NO_SOCKET, "no socket")         /* A connect has no descriptor. */         \
  X(NO_DESCRIPTOR, "no descriptor") /* An accept has none. */                  \
  X(SLOW_RESOLVE, "slow resolve")   /* Up to 4 s. */                           \
  X(RESOLVE_FAILS, "resolve fails")                                            \
  X(NO_ATTACH, "no attach")  /* A loop cannot take over an end. */             \
  X(BUSY, "busy loop")       /* An iteration takes up to 300 ms. */            \
  X(STOPPED, "stopped node") /* All its loops stand still, up to 8 s. */       \
  X(OTHER_THREAD,                                                              \
    "other thread")         /* Calls come in the middle of an iteration. */    \
  X(LONG_WORK, "long work") /* A task off the loop takes up to 3 s. */         \
  X(NO_MEMORY, "no memory") /* For one allocation. */

typedef enum sim_fault {
#define X(name, text) SIM_##name,
  SIM_FAULT_MAP(X)
#undef X
    SIM_FAULTS
} sim_fault;

const char *sim_fault_name(sim_fault f);

/* What connections are drawn from, and the odds of the faults. */
typedef struct sim_weather {
  uint32_t odds[SIM_FAULTS];
  uint64_t latency_ns, bytes_per_s; /* At most, at least. */
  size_t buffer;                    /* Bytes in flight, at least. */
} sim_weather;

/* One connection as its facts are: what a reason for its end is checked
   against.  Kept until the network goes. */
typedef struct sim_conn {
  unsigned id;
  unsigned host[2];    /* The dialing side, then the other. */
  void *user[2];       /* For whoever uses the sides. */
  bool open[2];        /* Not closed. */
  bool shut[2];        /* Its writer sent an end, or closed. */
  bool cut;            /* Reset by the network. */
  bool half_closed[2]; /* By the network, what this side writes. */
  bool flipped[2];     /* In what this side writes. */
  bool unattached[2];  /* No loop could take over this side. */
  bool rival;          /* There was another one between the two. */
  bool filtering[2];   /* A filter of this side answers late. */
  uint64_t stalled_ns; /* Sum over both directions, partitions too. */
  uint64_t stalled_until_ns;
  uint64_t vanished_ns;     /* Since when nothing passes; 0: it does. */
  uint64_t queue_max_ns;    /* Longest way of a byte that a link has sealed. */
  uint64_t rate;            /* Lowest throughput, bytes per second. */
  uint64_t read[2];         /* Bytes that this side has read. */
  const cmt__loop *loop[2]; /* Where the side is; NULL: on its way. */
} sim_conn;

sim_net *sim_net_new(uint64_t seed);
/* All loops were deleted before. */
void sim_net_delete(sim_net *net);
/* Faults that never happen, although they are drawn. */
void sim_net_without(sim_net *net, const bool off[SIM_FAULTS]);
/* For connections and faults from now on. */
void sim_net_weather(sim_net *net, const sim_weather *w);
/* The weather of existing connections too, and their stalls end. */
void sim_net_calm(sim_net *net, const sim_weather *w);
uint64_t sim_net_now(const sim_net *net);
/* How often each fault happened. */
const uint64_t *sim_net_fired(const sim_net *net);
/* Whether the fault happens now; counted then. */
bool sim_fault_now(sim_net *net, sim_fault f);
/* Counts one that the caller has drawn. */
void sim_fault_fired(sim_net *net, sim_fault f);
/* Nothing passes between the two hosts for |ns|. */
void sim_net_partition(sim_net *net, unsigned a, unsigned b, uint64_t ns);
/* For good: nothing passes between a host that is parted and one that is not.
   Takes effect with sim_net_part(). */
void sim_host_part(sim_net *net, unsigned host);
void sim_net_part(sim_net *net);
/* None is parted any more, from the next sim_net_calm() on. */
void sim_net_rejoin(sim_net *net);
/* The process of the host stands still, and the kernel below it does not. */
void sim_host_hang(sim_net *net, unsigned host);
void sim_host_go_on(sim_net *net, unsigned host);
/* One iteration of one loop; or time goes on to the next event, at most to
   |until_ns|.  False: |until_ns| is reached and nothing is left to do. */
bool sim_net_step(sim_net *net, uint64_t until_ns);
/* |run| stands for another thread, whose calls come in the middle of
   iterations. */
void sim_net_other_thread(sim_net *net, void (*run)(void *arg), void *arg);
/* It does so now. */
bool sim_net_other_runs(const sim_net *net);
/* |wrote| is called with each write of |len| bytes of |side|, before anything
   becomes of them. */
void sim_net_on_write(sim_net *net,
                      void (*wrote)(sim_conn *c, int side, size_t len));
/* Nothing of a connection arrives any more, and neither side notices. */
void sim_conn_vanish(sim_net *net, sim_conn *c);
/* Sets what a connection goes through from now on. */
void sim_conn_set(sim_net *net, sim_conn *c, const sim_weather *w);

/* Where ends went that changed their loop. */
typedef struct sim_moves {
  uint64_t away; /* To another than the first of their host, */
  uint64_t home; /* and back to that. */
} sim_moves;

sim_moves sim_net_moves(const sim_net *net);
/* The loop whose iteration it is; NULL: none. */
const cmt__loop *sim_net_running(const sim_net *net);

/* Until a thread beside a loop has run a call: the system may let it wait. */
#define SIM_THREAD_MAX_NS CMT_MILLISECONDS(100)

enum { SIM_LOOPS_MAX = 3 };

/* A loop on host |host|, from 0: 10.0.HOST.1, "nHOST.sim"; at most
   SIM_LOOPS_MAX are there. */
cmt__loop *sim_loop_new(sim_net *net, unsigned host, const cmt_env *env);
/* Between iterations: NULL, or what was not given back: a socket, a listener, a
   resolve, a timer, a post, an iteration. */
const char *sim_loop_left(cmt__loop *l);
/* A costly call takes it at most |max_ns|, and no time before this. */
void sim_loop_computes(cmt__loop *l, uint64_t max_ns);
uint64_t sim_loop_accepts(const cmt__loop *l);
uint64_t sim_loop_resolves(const cmt__loop *l);
/* So far. */
uint64_t sim_loop_busy_ns(const cmt__loop *l);
/* When its last iteration is over. */
uint64_t sim_loop_busy_until(const cmt__loop *l);
void sim_host_ip(unsigned host, char out[16]);

/* The connection of |t|; |*side| is 0 for the one that dialed. */
sim_conn *sim_tcp_conn(cmt__tcp *t, int *side);

/* Prints what happens, a line each, with the time; off: does nothing. */
void sim_net_trace(sim_net *net, bool on);
void sim_trace(sim_net *net, const char *fmt, ...)
  __attribute__((format(printf, 2, 3)));
/* Mixes |value| into the digest of all that happened. */
void sim_note(sim_net *net, uint64_t value);
uint64_t sim_net_digest(const sim_net *net);

#endif
