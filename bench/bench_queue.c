/* SPDX-License-Identifier: Apache-2.0 */
/* How long small messages take while a channel floods the same connection:

     bench_queue recv --laddr IP:PORT [--recv-rate BYTES]
     bench_queue send --addr ID@IP:PORT --seconds S --target-ms M
                      --congestion NAME --send-rate BYTES

   Each 10 ms a message of 256 bytes goes on a channel of priority 10, and one
   on an urgent channel of priority 1, beside messages of 64 KiB of priority 1.
   Both sides read the same clock, so they run on one machine; queue.py puts a
   router between them.  recv prints the quantiles, send what the status
   reported. */

#include "bench.h"

#include <getopt.h>
#include <pthread.h>
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
  TIMES_MAX = 100000,
  SKIPPED_MS = 3000, /* Until the connection has found its rate. */
};

#define GAP_NS UINT64_C(10000000)

typedef struct args {
  const char *laddr, *addr, *congestion;
  double seconds, target_ms;
  uint64_t send_rate, recv_rate;
} args;

typedef struct times {
  uint64_t ns[TIMES_MAX];
  size_t count;
} times;

typedef struct side {
  cmt_switch *sw;
  cmt_peer *_Atomic peer;
  atomic_bool gone;
  uint64_t start_ns;
  bench_counter bulk;
  times small[2];
} side;

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  side *s = self;
  uint64_t now_ns = bench_now_ns(), sent_ns;
  cmt_bytes b = cmt_buf_bytes(msg);
  times *t = &s->small[channel == URGENT];

  (void)p;
  if (s->start_ns == 0) {
    s->start_ns = now_ns;
  }
  if (now_ns - s->start_ns < CMT_MILLISECONDS(SKIPPED_MS)) {
    return CMT_OK;
  }
  if (channel == BULK) {
    bench_count(&s->bulk, b.len);
  } else if (t->count < TIMES_MAX) {
    memcpy(&sent_ns, b.base, sizeof sent_ns);
    t->ns[t->count++] = now_ns - sent_ns;
  }
  return CMT_OK;
}

static void add_peer(void *self, cmt_peer *p) {
  ((side *)self)->peer = cmt_peer_ref(p);
}

static void remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  (void)p;
  (void)reason;
  ((side *)self)->gone = true;
}

static void nap(uint64_t ns) {
  nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

static int side_start(side *s, const args *a) {
  static const cmt_channel channels[] = {
    {.id = BULK, .priority = 1, .send_queue = 4},
    {.id = PRIORITY, .priority = 10, .send_queue = 1000},
    {.id = URGENT,
     .priority = 1,
     .traffic = CMT_TRAFFIC_URGENT,
     .send_queue = 1000},
  };
  const cmt_reactor reactor = {
    .name = "queue",
    .channels = channels,
    .channel_count = 3,
    .self = s,
    .add_peer = add_peer,
    .receive = receive,
    .remove_peer = remove_peer,
  };
  cmt_switch_options o;
  cmt_why why = {.err = CMT_OK};

  cmt_switch_options_init(&o);
  o.network = "bench";
  o.laddr = a->laddr;
  o.reactors = &reactor;
  o.reactor_count = 1;
  o.congestion = a->congestion;
  o.send_rate = a->send_rate;
  o.recv_rate = a->recv_rate;
  o.queue_delay_target_ns =
    a->target_ms > 0 ? (uint64_t)(a->target_ms * 1e6) : CMT_NO_DELAY_TARGET;
  if (cmt_switch_new(&o, &s->sw, &why) != CMT_OK ||
      cmt_switch_start(s->sw, &why) != CMT_OK ||
      (a->addr != NULL && cmt_switch_dial(s->sw, a->addr, 0, NULL) != CMT_OK)) {
    fprintf(stderr, "bench_queue: %s\n", why.text);
    return 1;
  }
  return 0;
}

static int side_stop(side *s) {
  cmt_peer_unref(s->peer);
  cmt_switch_stop(s->sw, 0);
  return cmt_switch_delete(s->sw) == CMT_OK ? 0 : 1;
}

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

  return x < y ? -1 : x > y;
}

static void emit_times(const char *name, times *t) {
  if (t->count == 0) {
    return;
  }
  qsort(t->ns, t->count, sizeof *t->ns, compare);
  printf(",\"%s\":{\"count\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
         "\"max_ms\":%.3f}",
         name, t->count, (double)t->ns[(t->count - 1) * 50 / 100] / 1e6,
         (double)t->ns[(t->count - 1) * 99 / 100] / 1e6,
         (double)t->ns[t->count - 1] / 1e6);
}

static int run_recv(const args *a) {
  static side s;

  if (side_start(&s, a) != 0 || !bench_emit_listening(s.sw)) {
    return 1;
  }
  while (!s.gone) {
    nap(GAP_NS);
  }
  printf("{\"event\":\"result\",\"MB/s\":%.2f",
         (double)s.bulk.bytes / (double)(s.bulk.last_ns - s.bulk.first_ns) *
           1e3);
  emit_times("priority", &s.small[0]);
  emit_times("urgent", &s.small[1]);
  printf("}\n");
  return side_stop(&s);
}

static void *flood(void *arg) {
  static const uint8_t data[BULK_SIZE];
  side *s = arg;

  while (cmt_peer_send_bytes(s->peer, BULK, data, sizeof data,
                             CMT_SEND_TIMEOUT) == CMT_OK) {
  }
  return NULL;
}

static void send_small(side *s, uint8_t channel) {
  uint8_t data[SMALL_SIZE] = {0};
  uint64_t now_ns = bench_now_ns();

  memcpy(data, &now_ns, sizeof now_ns);
  if (cmt_peer_try_send_bytes(s->peer, channel, data, sizeof data) != CMT_OK) {
    fprintf(stderr, "bench_queue: a small message was refused\n");
  }
}

/* What the status reports of where messages wait, on average. */
typedef struct waits {
  double unsent_bytes, unsent_ns, in_flight, rtt_ns;
  uint64_t count;
} waits;

static void waits_add(waits *w, const cmt_peer_status *status) {
  w->unsent_bytes += (double)status->kernel_unsent_bytes;
  w->unsent_ns += (double)status->kernel_unsent_ns;
  w->in_flight += (double)status->in_flight_bytes;
  w->rtt_ns += (double)status->tcp_rtt_ns;
  w->count++;
}

static void waits_emit(const waits *w, const cmt_peer_status *status) {
  double n = (double)w->count;

  printf("{\"event\":\"status\",\"unsent_kb\":%.1f,\"unsent_ms\":%.2f,"
         "\"in_flight_kb\":%.1f,\"rtt_ms\":%.2f,\"wait_max_ms\":[%.2f,%.2f]}\n",
         w->unsent_bytes / n / 1e3, w->unsent_ns / n / 1e6,
         w->in_flight / n / 1e3, w->rtt_ns / n / 1e6,
         (double)status->channels[1].wait_max_ns / 1e6,
         (double)status->channels[2].wait_max_ns / 1e6);
  fflush(stdout);
}

static int run_send(const args *a) {
  static side s;
  static waits w;
  cmt_peer_status status;
  pthread_t thread;
  uint64_t end_ns;

  if (side_start(&s, a) != 0) {
    return 1;
  }
  while (s.peer == NULL) {
    nap(GAP_NS);
  }
  end_ns = bench_now_ns() + (uint64_t)(a->seconds * 1e9);
  pthread_create(&thread, NULL, flood, &s);
  while (bench_now_ns() < end_ns) {
    nap(GAP_NS);
    send_small(&s, PRIORITY);
    send_small(&s, URGENT);
    cmt_peer_get_status(s.peer, &status);
    waits_add(&w, &status);
  }
  waits_emit(&w, &status);
  cmt_peer_stop(s.peer, CMT_ECANCELED, 0);
  pthread_join(thread, NULL);
  return side_stop(&s);
}

int main(int argc, char **argv) {
  static const struct option options[] = {
    {"laddr", required_argument, NULL, 'l'},
    {"addr", required_argument, NULL, 'a'},
    {"seconds", required_argument, NULL, 's'},
    {"target-ms", required_argument, NULL, 't'},
    {"congestion", required_argument, NULL, 'c'},
    {"send-rate", required_argument, NULL, 'w'},
    {"recv-rate", required_argument, NULL, 'r'},
    {0},
  };
  args a = {.seconds = 10, .target_ms = 5};
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
    case 'w':
      a.send_rate = strtoull(optarg, NULL, 10);
      break;
    case 'r':
      a.recv_rate = strtoull(optarg, NULL, 10);
      break;
    case 'c':
      a.congestion = optarg;
      break;
    default:
      return 2;
    }
  }
  if (optind < argc && strcmp(argv[optind], "recv") == 0) {
    return run_recv(&a);
  }
  if (optind < argc && strcmp(argv[optind], "send") == 0) {
    return run_send(&a);
  }
  fprintf(stderr, "usage: %s recv|send [OPTION...]\n", argv[0]);
  return 2;
}
