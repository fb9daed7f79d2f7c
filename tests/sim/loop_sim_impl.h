/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_LOOP_SIM_IMPL_H
#define CMT_LOOP_SIM_IMPL_H

/* What the files of the simulated loops have in common: loop_sim.c has the
   loops and their time, the others the network between them. */

#include "loop_sim.h"

#include "loop_parts.h"

/* The simulation of peer exchange has more hosts, in more groups. */
#ifndef SIM_HOSTS
#define SIM_HOSTS 11
#endif
enum {
  SIM_HOSTS_MAX = SIM_HOSTS,
  SIM_LOOPS_ALL = SIM_HOSTS_MAX * SIM_LOOPS_MAX,
  SIM_PLACES = SIM_LOOPS_ALL <= 64 ? 64 : 8192 /* A power of two. */
};
_Static_assert(SIM_LOOPS_ALL <= SIM_PLACES, "each loop has a place");

#define SIM_GONE_NS (CMT_NEVER / 2) /* For good. */

typedef struct sim_loop sim_loop;
typedef struct sim_wire sim_wire;

/* Bytes that arrive together. */
typedef struct sim_mark {
  size_t len;
  uint64_t at_ns;
} sim_mark;

/* One direction, named by the side that writes. */
typedef struct sim_pipe {
  test_bytes bytes;
  sim_mark *marks; /* A ring buffer that covers |bytes|. */
  size_t mark_head, mark_count, mark_cap;
  size_t cap;
  uint64_t latency_ns, bytes_per_s;
  uint64_t free_ns;  /* When the line has sent all. */
  uint64_t last_ns;  /* No later byte arrives before. */
  uint64_t stall_ns; /* Nothing arrives before. */
  bool swallows;     /* Half-closed by the network. */
  bool fin;
  uint64_t fin_ns;
} sim_pipe;

typedef struct sim_end {
  cmt__tcp base;
  sim_wire *wire;
  int side;
  const cmt__tcp_callbacks *cbs;
  void *arg;
  bool connecting, reading, ended, want_write, shut, closed, detached;
  cmt__task let_go;                      /* When it was detached. */
  uint64_t reset_ns;                     /* When a reset arrives; CMT_NEVER. */
  uint64_t writable_ns;                  /* Not before, after a short write. */
  struct sim_end *next, *prev;           /* In its loop. */
  struct sim_end *host_next, *host_prev; /* In its host, until it is closed. */
} sim_end;

typedef struct sim_listener {
  cmt__listener base;
  cmt_net_addr at;
  cmt__accept_cb cb;
  void *arg;
  uint64_t dropped;
  bool closed;
  struct sim_listener *next;
} sim_listener;

struct sim_wire {
  sim_conn facts;
  cmt_net_addr to, from;
  sim_pipe pipe[2];
  sim_end *end[2];     /* NULL: closed, or not there yet. */
  sim_listener *waits; /* For its accept. */
  uint64_t arrive_ns;  /* When the connect arrives; CMT_NEVER: it did. */
  uint64_t answer_ns;  /* When the dialing side knows; CMT_NEVER: never. */
  cmt_err outcome;
};

typedef struct sim_resolve {
  cmt__resolve base;
  cmt__resolve_cb cb;
  void *arg;
  uint64_t due_ns;
  size_t count;
  cmt_net_addr addrs[CMT__RESOLVE_MAX];
  struct sim_resolve *next;
} sim_resolve;

/* A costly call that a thread beside its loop has. */
typedef struct sim_call {
  cmt__costly *costly;
  uint64_t due_ns; /* When it was run. */
  struct sim_call *next;
} sim_call;

struct sim_loop {
  cmt__loop base;
  sim_net *net;
  unsigned host;
  size_t place;       /* In the list of the network. */
  uint64_t offset_ns; /* Its clock against that of the network. */
  test_posts posts;
  sim_end *ends, *closed;
  sim_listener *listeners;
  sim_resolve *resolves;
  sim_call *calls;
  uint64_t call_max_ns; /* What a call takes the loop itself; 0: no time. */
  uint64_t busy_ns;     /* Its last iteration takes until then. */
  uint64_t busy_total_ns;
  uint64_t accepts, started; /* Connections, resolves. */
};

struct sim_net {
  sim_rng rng;
  sim_weather weather;
  bool off[SIM_FAULTS];
  uint64_t now_ns;
  /* SIM_LOOPS_MAX places for each host, the first of which it has first. */
  sim_loop *loops[SIM_LOOPS_ALL];
  /* When each place has something to do: the leaves of a tree whose nodes have
     the least of their two children, from 1 on.  Of stale ones it is found anew
     before the next step. */
  uint64_t ready_ns[2 * SIM_PLACES];
  bool is_stale[SIM_LOOPS_ALL];
  uint16_t stale[SIM_LOOPS_ALL];
  size_t stale_count;
  uint16_t ready[SIM_LOOPS_ALL];     /* Scratch of a step. */
  sim_end *ends[SIM_HOSTS_MAX];      /* The open ones of each host. */
  uint64_t offset_ns[SIM_HOSTS_MAX]; /* Offset of each host's clock. */
  const sim_loop *running;
  sim_moves moves;
  sim_wire **wires;
  size_t wire_count, wire_cap;
  sim_wire **arriving; /* Connects under way to their listener, the next one
                          last; of those of one instant the latest one. */
  size_t arriving_count, arriving_cap;
  uint64_t cut_ns[SIM_HOSTS_MAX][SIM_HOSTS_MAX]; /* End of a partition. */
  bool parted[SIM_HOSTS_MAX];                    /* From all that are not. */
  uint64_t fired[SIM_FAULTS];
  uint16_t next_port;
  uint64_t digest;
  bool traced;
  bool inside; /* Another thread is at work. */
  void (*other_thread)(void *arg);
  void *other_arg;
  void (*wrote)(sim_conn *c, int side, size_t len); /* Or NULL. */
  uint8_t buffer[CMT__READ_MAX];
};

static inline sim_loop *sim_loop_of(const cmt__loop *l) {
  return (sim_loop *)(uintptr_t)l;
}

static inline bool sim_is_between(const sim_conn *c, unsigned a, unsigned b) {
  return (c->host[0] == a && c->host[1] == b) ||
         (c->host[0] == b && c->host[1] == a);
}

void sim_loop_stale(sim_loop *l);
/* It does nothing for |busy_ns|. */
void sim_loop_busy(sim_loop *l, uint64_t busy_ns, const char *how);

static inline sim_loop **sim_loops_of(sim_net *net, unsigned host) {
  return &net->loops[(size_t)host * SIM_LOOPS_MAX];
}

static inline uint64_t sim_later(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

static inline sim_pipe *sim_pipe_in(const sim_end *e) {
  return &e->wire->pipe[1 - e->side];
}

static inline sim_pipe *sim_pipe_out(const sim_end *e) {
  return &e->wire->pipe[e->side];
}

/* loop_sim_pipe.c */
void sim_pipe_put(sim_net *net, sim_pipe *p, const uint8_t *data, size_t len);
void sim_pipe_take(sim_pipe *p, uint8_t *out, size_t len);
void sim_pipe_clear(sim_pipe *p);
/* No more bytes will be put. */
void sim_pipe_end(sim_net *net, sim_pipe *p);
/* The |i|th of what arrives. */
sim_mark *sim_mark_at(const sim_pipe *p, size_t i);
/* Bytes that had arrived by |at_ns|, which is not in the future. */
size_t sim_pipe_arrived(const sim_pipe *p, uint64_t now_ns, uint64_t at_ns);

/* loop_sim_connect.c */
void sim_connect_ops(cmt__loop_ops *ops);
void sim_finish_connect(sim_net *net, sim_end *e);
void sim_accept(sim_net *net, sim_end *e);
/* Connects that arrive now. */
void sim_net_arrive(sim_net *net);
/* When the next of them does. */
uint64_t sim_net_next_arrival(const sim_net *net);

/* loop_sim_break.c */

/* Nothing that |side| writes arrives until then. */
void sim_wire_stall(sim_wire *w, int side, uint64_t from_ns, uint64_t until_ns);
/* Nothing passes any more, and neither side notices. */
void sim_wire_cut(sim_net *net, sim_wire *w);
/* Nothing ever passes between the two hosts. */
bool sim_net_parts(const sim_net *net, unsigned a, unsigned b);

/* loop_sim_move.c: an end that changes its loop. */
void sim_move_ops(cmt__loop_ops *ops);

/* loop_sim_net.c */

/* Puts the functions of the network into |ops|. */
void sim_net_ops(cmt__loop_ops *ops);
/* NULL: no memory. */
sim_end *sim_end_new(sim_loop *l, sim_wire *w, int side);
/* The list of the ends of |l|. */
void sim_end_link(sim_loop *l, sim_end *e);
void sim_end_unlink(sim_loop *l, sim_end *e);
/* What is ready of it has changed; NULL is fine. */
void sim_end_stale(sim_end *e);
void sim_wire_stale(sim_wire *w);
/* A reset is on its way to |e|, through the pipe that it reads; NULL is
   fine. */
void sim_end_reset_at(sim_end *e, uint64_t at_ns);
/* Other threads may call now. */
void sim_other_thread(sim_net *net);
/* Draws what a connection goes through. */
void sim_wire_draw(sim_net *net, sim_wire *w);
/* When an end or a waiting accept of |l| has something to do. */
uint64_t sim_ends_ready_ns(const sim_loop *l);
/* Does it. */
void sim_ends_run(sim_loop *l);
void sim_ends_free_closed(sim_loop *l);
void sim_wires_free(sim_net *net);

#endif
