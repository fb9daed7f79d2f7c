/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_BENCH_H
#define CMT_BENCH_H

/* What the benches have in common: arguments, clocks, results as lines of
   JSON. */

#include <cometp2p/cometp2p.h>

enum {
  BENCH_CHANNEL = 0x40,
  BENCH_END_SIZE = 8, /* The message that ends a run; others are larger. */
};

/* 0 is the default of the library that is measured. */
typedef struct bench_args {
  const char *verb, *addr, *laddr;
  size_t size;
  double seconds;
  size_t count;
  size_t queue;   /* Messages that wait in the channel. */
  size_t packet;  /* Longest payload of a packet. */
  size_t senders; /* Threads that send. */
  size_t threads; /* Threads of the receiver's reactor; 0: it is inline. */
  size_t loops;   /* Loops of a switch. */
  size_t rounds;  /* Broadcasts. */
  size_t handshake_threads, offload_rate; /* As in cmt_switch_options. */
  double delay_ms; /* What the receiver spends on each message. */
  double after;    /* Seconds before the first echo behind bulk. */
  const char *congestion;
  double target_ms;  /* The delay in queues below us; 0: any.  Less: default. */
  const char *trace; /* Where bench_trace_write() writes. */
  const char *path, *network;
  size_t port, pid;
  size_t first, visitors; /* Numbers of bench_world.h, and how many. */
} bench_args;

/* Between an echo behind bulk and the next one. */
#define BENCH_ECHO_GAP_NS UINT64_C(2000000)

typedef struct bench_verb {
  const char *name;
  int (*run)(const bench_args *a);
} bench_verb;

/* Parses the arguments and runs the verb; the exit code. */
int bench_main(int argc, char **argv, const bench_verb *verbs, size_t count);

/* The default environment, with the frame kernel that the variable CMT_AEAD
   names. */
const cmt_env *bench_env(void);
uint64_t bench_now_ns(void);
void bench_sleep_ns(uint64_t ns);
double bench_cpu_seconds(void); /* User and system time of this process. */

/* What one side of a bulk run moved. */
typedef struct bench_counter {
  uint64_t messages, bytes, first_ns, last_ns;
  double cpu;
} bench_counter;

void bench_count(bench_counter *c, size_t len);
void bench_emit_bulk(const char *role, const bench_counter *c);
/* Prints |count| times as quantiles in microseconds; sorts them. */
void bench_print_times(uint64_t *times_ns, size_t count);
void bench_emit_ping(const bench_args *a, uint64_t *times_ns, double cpu);
void bench_emit_load(uint64_t *times_ns, size_t count);
void bench_emit_ready(const char *id, const char *laddr);
/* As bench_emit_ready(), with the id and the address of a switch; false: it
   does not listen. */
bool bench_emit_listening(const cmt_switch *sw);

/* Allows so many connections; exits where the system does not. */
void bench_descriptors(size_t count);

/* Sends a message that was received back; |msg| stays the caller's. */
cmt_err bench_return(cmt_peer *p, uint8_t channel, cmt_buf *msg);

/* Prints where it listens; a listening socket, or exits. */
int bench_listen(int backlog);
/* A connected socket; exits when there is none.  Both block. */
int bench_accept(void);
int bench_dial(const char *addr);

#endif
