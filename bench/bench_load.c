/* SPDX-License-Identifier: Apache-2.0 */
/* Round trips of small messages on a connection that another channel keeps
   full:

     bench_load answer [OPTION...]             counts bulk, returns small ones
     bench_load ask --addr ID@A --seconds S [OPTION...]

   The bulk is messages of 64 KiB on a channel of priority 1, from a thread that
   always finds the queue full.  The small messages have 256 bytes, and a
   channel of priority 10 or, with --urgent, an urgent one of priority 1; each
   is sent when the one before has come back and a millisecond has passed. */

#include "bench.h"
#include "bench_trace.h"

#include <getopt.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  BULK = 0x40,
  PRIORITY = 0x41,
  URGENT = 0x42,
  BULK_SIZE = 65536,
  SMALL_SIZE = 256,
  TIMES_MAX = 1000000,
};

#define GAP_NS UINT64_C(1000000)
#define WARM_UP_NS CMT_SECONDS(1)

typedef struct args {
  const char *addr, *congestion, *laddr, *trace;
  double seconds, target_ms;
  bool urgent, idle;
} args;

typedef struct side {
  cmt_switch *sw;
  cmt_peer *_Atomic peer;
  sem_t added, came;
  atomic_bool gone;
  bool asks;
  uint64_t start_ns;
  bench_counter bulk;
  double cpu;
} side;

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  side *s = self;

  if (channel != BULK) {
    if (s->asks) {
      sem_post(&s->came);
      return CMT_OK;
    }
    return cmt_peer_try_send(p, channel, cmt_buf_ref(msg));
  }
  if (s->start_ns == 0) {
    s->start_ns = bench_now_ns();
  }
  if (s->bulk.messages > 0 || bench_now_ns() - s->start_ns >= WARM_UP_NS) {
    bench_count(&s->bulk, cmt_buf_bytes(msg).len);
  }
  return CMT_OK;
}

static void add_peer(void *self, cmt_peer *p) {
  side *s = self;

  s->peer = cmt_peer_ref(p);
  sem_post(&s->added);
}

static void remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  side *s = self;

  (void)p;
  (void)reason;
  s->gone = true;
  sem_post(&s->added);
  sem_post(&s->came);
}

static int side_start(side *s, const args *a) {
  static const cmt_channel channels[] = {
    {.id = BULK, .priority = 1, .send_queue = 16},
    {.id = PRIORITY, .priority = 10, .send_queue = 16},
    {.id = URGENT,
     .priority = 1,
     .traffic = CMT_TRAFFIC_URGENT,
     .send_queue = 16},
  };
  const cmt_reactor reactor = {
    .name = "load",
    .channels = channels,
    .channel_count = 3,
    .self = s,
    .add_peer = add_peer,
    .receive = receive,
    .remove_peer = remove_peer,
  };
  cmt_switch_options o;
  cmt_why why = {.err = CMT_OK};

  bench_trace_start();
  sem_init(&s->added, 0, 0);
  sem_init(&s->came, 0, 0);
  cmt_switch_options_init(&o);
  o.network = "bench";
  o.laddr = a->addr == NULL ? a->laddr : NULL;
  o.reactors = &reactor;
  o.reactor_count = 1;
  o.congestion = a->congestion;
  if (a->target_ms >= 0) {
    o.queue_delay_target_ns =
      a->target_ms > 0 ? (uint64_t)(a->target_ms * 1e6) : CMT_NO_DELAY_TARGET;
  }
  if (cmt_switch_new(&o, &s->sw, &why) != CMT_OK ||
      cmt_switch_start(s->sw, &why) != CMT_OK ||
      (a->addr != NULL && cmt_switch_dial(s->sw, a->addr, 0, NULL) != CMT_OK)) {
    fprintf(stderr, "bench_load: %s\n", why.text);
    return 1;
  }
  return 0;
}

static int side_stop(side *s) {
  cmt_peer_unref(s->peer);
  cmt_switch_stop(s->sw, 0);
  return cmt_switch_delete(s->sw) == CMT_OK ? 0 : 1;
}

static void wait_for(sem_t *sem) {
  while (sem_wait(sem) != 0) {
  }
}

static int run_answer(const args *a) {
  static side s;

  if (side_start(&s, a) != 0 || !bench_emit_listening(s.sw)) {
    return 1;
  }
  wait_for(&s.added);
  s.cpu = bench_cpu_seconds();
  while (!s.gone) {
    wait_for(&s.added);
  }
  s.bulk.cpu = s.cpu;
  bench_emit_bulk("answer", &s.bulk);
  bench_trace_write(a->trace);
  return side_stop(&s);
}

static void *flood(void *arg) {
  static const uint8_t data[BULK_SIZE];
  cmt_buf *msg = cmt_buf_copy(NULL, data, sizeof data);
  side *s = arg;

  while (cmt_peer_send(s->peer, BULK, cmt_buf_ref(msg), CMT_SEND_TIMEOUT) ==
         CMT_OK) {
  }
  cmt_buf_unref(msg); /* What was refused is still ours. */
  cmt_buf_unref(msg);
  return NULL;
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

  return x < y ? -1 : x > y;
}

static double quantile_ms(const uint64_t *sorted, size_t count,
                          size_t of_1000) {
  return (double)sorted[(count - 1) * of_1000 / 1000] / 1e6;
}

static void emit(uint64_t *times_ns, size_t count) {
  qsort(times_ns, count, sizeof *times_ns, compare);
  printf("{\"event\":\"result\",\"role\":\"ask\",\"count\":%zu,"
         "\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,"
         "\"cpu_seconds\":%.3f}\n",
         count, quantile_ms(times_ns, count, 500),
         quantile_ms(times_ns, count, 900), quantile_ms(times_ns, count, 990),
         quantile_ms(times_ns, count, 1000), bench_cpu_seconds());
  fflush(stdout);
}

static int run_ask(const args *a) {
  static const uint8_t data[SMALL_SIZE];
  static uint64_t times_ns[TIMES_MAX];
  static side s = {.asks = true};
  uint64_t begin_ns, end_ns;
  pthread_t thread;
  size_t count = 0;

  if (side_start(&s, a) != 0) {
    return 1;
  }
  wait_for(&s.added);
  if (!a->idle) {
    pthread_create(&thread, NULL, flood, &s);
  }
  begin_ns = bench_now_ns() + WARM_UP_NS;
  end_ns = begin_ns + (uint64_t)(a->seconds * 1e9);
  while (!s.gone && bench_now_ns() < end_ns && count < TIMES_MAX) {
    uint64_t sent_ns = bench_now_ns();

    if (cmt_peer_send_bytes(s.peer, a->urgent ? URGENT : PRIORITY, data,
                            sizeof data, CMT_SEND_TIMEOUT) != CMT_OK) {
      break;
    }
    bench_trace_ask(sent_ns);
    wait_for(&s.came);
    if (sent_ns >= begin_ns) {
      times_ns[count++] = bench_now_ns() - sent_ns;
    }
    nanosleep(&(struct timespec){.tv_nsec = GAP_NS}, NULL);
  }
  cmt_peer_stop(s.peer, CMT_ECANCELED, 0);
  if (!a->idle) {
    pthread_join(thread, NULL);
  }
  if (count == 0) {
    fprintf(stderr, "bench_load: the connection was lost\n");
    return 1;
  }
  emit(times_ns, count);
  bench_trace_write(a->trace);
  return side_stop(&s);
}

int main(int argc, char **argv) {
  static const struct option options[] = {
    {"laddr", required_argument, NULL, 'l'},
    {"addr", required_argument, NULL, 'a'},
    {"seconds", required_argument, NULL, 's'},
    {"target-ms", required_argument, NULL, 't'},
    {"congestion", required_argument, NULL, 'c'},
    {"trace", required_argument, NULL, 'x'},
    {"urgent", no_argument, NULL, 'u'},
    {"idle", no_argument, NULL, 'i'},
    {0},
  };
  args a = {.seconds = 5, .target_ms = -1, .laddr = "127.0.0.1:0"};
  int option;

  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case 'l':
      a.laddr = optarg;
      break;
    case 'a':
      a.addr = optarg;
      break;
    case 's':
      a.seconds = strtod(optarg, NULL);
      break;
    case 't':
      a.target_ms = strtod(optarg, NULL);
      break;
    case 'c':
      a.congestion = optarg;
      break;
    case 'x':
      a.trace = optarg;
      break;
    case 'u':
      a.urgent = true;
      break;
    case 'i':
      a.idle = true;
      break;
    default:
      return 2;
    }
  }
  if (optind < argc && strcmp(argv[optind], "answer") == 0) {
    return run_answer(&a);
  }
  if (optind < argc && strcmp(argv[optind], "ask") == 0) {
    return run_ask(&a);
  }
  fprintf(stderr, "usage: %s answer|ask [OPTION...]\n", argv[0]);
  return 2;
}
