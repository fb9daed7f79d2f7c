/* SPDX-License-Identifier: Apache-2.0 */
/* What the channels of one connection between two switches owe each other:

     bench_qos serve                       counts bulk and returns echoes
     bench_qos load --addr ID@A --size N --seconds S --count C
                    round trips of 256 bytes at priority 10 while a channel of
                    priority 1 is always full; without any when C is 0
     bench_qos urgent                      as load, on an urgent channel
     bench_qos shares --addr ID@A --size N --seconds S
                    channels of all priorities are always full, and the server
                    prints how many bytes each of them got

   load and urgent also print what the status reports of where bytes
   waited.  --congestion and --target-ms are options of the switch, --after how
   many seconds pass before the first echo.

   With --trace FILE serve, load and urgent write what a build with
   -DCMT_TRACE=ON notes of their messages; see trace.py. */

#include "bench.h"
#include "bench_trace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  BULK = 0x40,
  ECHO = 0x41,
  URGENT = 0x42,
  SHARED = 0x50, /* The first of those with SHARES priorities. */
  SHARES = 5,
  SHARE_QUEUE = 32, /* Messages that wait in each of them, and beside it. */
  ECHO_SIZE = 256,
  ECHOES_MAX = 100000,
};

static const uint32_t priorities[SHARES] = {1, 3, 10, 30, 100};

typedef struct side {
  const bench_args *args;
  cmt_switch *sw;
  cmt_peer *_Atomic peer;
  atomic_bool gone;
  bench_counter bulk;
  uint64_t shares[SHARES], first_ns;
  uint8_t echo_channel;
  cmt_buf *msg; /* The echo, or what the shares are of. */
  uint64_t *times_ns, sent_ns;
  atomic_size_t trips, asking; /* Echoes; endless sends. */
  atomic_bool returned;
} side;

static void count_share(side *s, size_t i, size_t len) {
  uint64_t now_ns = bench_now_ns();

  if (s->first_ns == 0) {
    s->first_ns = now_ns;
  }
  /* All channels are full in between, not yet or no longer at both ends. */
  if (now_ns - s->first_ns > CMT_MILLISECONDS(100) &&
      now_ns - s->first_ns < (uint64_t)(s->args->seconds * 1e9)) {
    s->shares[i] += len;
  }
}

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  side *s = self;

  if (channel == BULK) {
    bench_count(&s->bulk, cmt_buf_bytes(msg).len);
  } else if (channel >= SHARED) {
    count_share(s, channel - SHARED, cmt_buf_bytes(msg).len);
  } else if (s->times_ns == NULL) {
    return bench_return(p, channel, msg);
  } else {
    s->times_ns[s->trips++] = bench_now_ns() - s->sent_ns;
    s->returned = true;
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

static int fail(const char *what, const char *text) {
  fprintf(stderr, "bench_qos: %s: %s\n", what, text);
  return 1;
}

static int side_start(side *s, const bench_args *a) {
  cmt_channel channels[3 + SHARES] = {
    {.id = BULK, .priority = 1, .send_queue = 4},
    {.id = ECHO, .priority = 10},
    {.id = URGENT, .priority = 1, .traffic = CMT_TRAFFIC_URGENT},
  };
  const cmt_reactor reactor = {
    .name = "qos",
    .channels = channels,
    .channel_count = 3 + SHARES,
    .self = s,
    .add_peer = add_peer,
    .receive = receive,
    .remove_peer = remove_peer,
  };
  cmt_switch_options o;
  cmt_why why = {.err = CMT_OK};

  for (uint8_t i = 0; i < SHARES; i++) {
    channels[3 + i] = (cmt_channel){.id = (uint8_t)(SHARED + i),
                                    .priority = priorities[i],
                                    .send_queue = SHARE_QUEUE};
  }
  s->args = a;
  bench_trace_start();
  cmt_switch_options_init(&o);
  o.env = bench_env();
  o.network = "bench";
  o.laddr = a->addr == NULL ? a->laddr : NULL;
  o.congestion = a->congestion;
  if (a->target_ms >= 0) {
    o.queue_delay_target_ns =
      a->target_ms > 0 ? (uint64_t)(a->target_ms * 1e6) : CMT_NO_DELAY_TARGET;
  }
  o.reactors = &reactor;
  o.reactor_count = 1;
  if (cmt_switch_new(&o, &s->sw, &why) != CMT_OK ||
      cmt_switch_start(s->sw, &why) != CMT_OK ||
      (a->addr != NULL && cmt_switch_dial(s->sw, a->addr, 0, NULL) != CMT_OK)) {
    return fail("start", why.text);
  }
  if (a->addr == NULL && !bench_emit_listening(s->sw)) {
    return fail("start", "no address");
  }
  while (s->peer == NULL) {
    bench_sleep_ns(CMT_MILLISECONDS(1));
  }
  return 0;
}

static int side_stop(side *s) {
  cmt_peer_unref(s->peer);
  cmt_switch_stop(s->sw, 0);
  return cmt_switch_delete(s->sw) == CMT_OK ? 0 : 1;
}

static int run_serve(const bench_args *a) {
  static side s;

  if (side_start(&s, a) != 0) {
    return 1;
  }
  while (!s.gone) {
    bench_sleep_ns(CMT_MILLISECONDS(1));
  }
  printf("{\"event\":\"result\",\"role\":\"serve\",\"bytes\":%llu,"
         "\"seconds\":%.6f,\"shares\":[",
         (unsigned long long)s.bulk.bytes,
         (double)(s.bulk.last_ns - s.bulk.first_ns) / 1e9);
  for (size_t i = 0; i < SHARES; i++) {
    printf("%s[%u,%llu]", i == 0 ? "" : ",", priorities[i],
           (unsigned long long)s.shares[i]);
  }
  printf("]}\n");
  fflush(stdout);
  bench_trace_write(a->trace);
  return side_stop(&s);
}

static void *flood(void *arg) {
  side *s = arg;
  cmt_buf *msg = cmt_buf_new(bench_env(), s->args->size);
  cmt_err err = CMT_OK;

  memset(cmt_buf_data(msg), 0, s->args->size);
  while (err == CMT_OK) {
    err = cmt_peer_send(s->peer, BULK, cmt_buf_ref(msg), CMT_SEND_TIMEOUT);
  }
  cmt_buf_unref(msg); /* The reference of the send that failed. */
  cmt_buf_unref(msg);
  return NULL;
}

/* What the status reports of where bytes wait: sums, and how many. */
typedef struct waits {
  double unsent_bytes, unsent_ns, in_flight, rtt_ns, count;
} waits;

static void waits_add(waits *w, const cmt_peer *p) {
  cmt_peer_status status;

  cmt_peer_get_status(p, &status);
  w->unsent_bytes += (double)status.kernel_unsent_bytes;
  w->unsent_ns += (double)status.kernel_unsent_ns;
  w->in_flight += (double)status.in_flight_bytes;
  w->rtt_ns += (double)status.tcp_rtt_ns;
  w->count++;
}

static void waits_emit(const waits *w) {
  double n = w->count > 0 ? w->count : 1;

  printf("{\"event\":\"status\",\"unsent_kb\":%.1f,\"unsent_ms\":%.2f,"
         "\"in_flight_kb\":%.1f,\"rtt_ms\":%.2f}\n",
         w->unsent_bytes / n / 1e3, w->unsent_ns / n / 1e6,
         w->in_flight / n / 1e3, w->rtt_ns / n / 1e6);
}

/* One echo at a time, until the time is over. */
static bool echo_until(side *s, uint64_t until_ns, waits *w) {
  while (bench_now_ns() < until_ns && s->trips < ECHOES_MAX && !s->gone) {
    s->returned = false;
    s->sent_ns = bench_now_ns();
    if (cmt_peer_try_send(s->peer, s->echo_channel, cmt_buf_ref(s->msg)) !=
        CMT_OK) {
      return false;
    }
    bench_trace_ask(s->sent_ns);
    while (!s->returned && !s->gone) {
      bench_sleep_ns(CMT_MILLISECONDS(1));
    }
    waits_add(w, s->peer);
    bench_sleep_ns(BENCH_ECHO_GAP_NS);
  }
  return !s->gone;
}

static int load_on(const bench_args *a, uint8_t channel) {
  static side s;
  uint64_t until_ns;
  waits w = {0};
  bool well = true;
  pthread_t thread;

  s.echo_channel = channel;
  s.times_ns = calloc(ECHOES_MAX, sizeof *s.times_ns);
  s.msg = cmt_buf_new(NULL, ECHO_SIZE);
  if (s.times_ns == NULL || s.msg == NULL || side_start(&s, a) != 0) {
    return 1;
  }
  memset(cmt_buf_data(s.msg), 0, ECHO_SIZE);
  until_ns = bench_now_ns() + (uint64_t)(a->seconds * 1e9);
  pthread_create(&thread, NULL, flood, &s);
  bench_sleep_ns((uint64_t)(a->after * 1e9)); /* Until the link is full. */
  if (a->count > 0) {
    well = echo_until(&s, until_ns, &w);
  } else {
    bench_sleep_ns(until_ns - bench_now_ns());
  }
  cmt_peer_stop(s.peer, CMT_ECANCELED, 0);
  pthread_join(thread, NULL);
  waits_emit(&w);
  bench_emit_load(s.times_ns, s.trips);
  bench_trace_write(a->trace);
  cmt_buf_unref(s.msg);
  free(s.times_ns);
  return side_stop(&s) == 0 && well ? 0 : fail("load", "the connection broke");
}

static int run_load(const bench_args *a) { return load_on(a, ECHO); }

static int run_urgent(const bench_args *a) { return load_on(a, URGENT); }

/* A send that follows itself: as soon as its message is queued, the loop asks
   for the next.  With as many of them as the queue has places, the channel is
   always full, whatever the threads of this machine do. */
typedef struct endless {
  side *side;
  uint8_t channel;
  cmt_send_req req;
} endless;

static void endless_ask(endless *e);

static void on_queued(void *arg, cmt_err status, cmt_buf *msg) {
  endless *e = arg;

  if (status == CMT_OK) {
    endless_ask(e);
  } else {
    cmt_buf_unref(msg);
    e->side->asking--;
  }
}

static void endless_ask(endless *e) {
  side *s = e->side;

  e->req = (cmt_send_req)CMT_SEND_REQ(CMT_NEVER, on_queued, e);
  if (cmt_peer_send_async(s->peer, e->channel, cmt_buf_ref(s->msg), &e->req) !=
      CMT_OK) {
    cmt_buf_unref(s->msg);
    s->asking--;
  }
}

static int run_shares(const bench_args *a) {
  static endless all[SHARES * SHARE_QUEUE];
  static side s;

  s.msg = cmt_buf_new(NULL, a->size);
  if (s.msg == NULL || side_start(&s, a) != 0) {
    return 1;
  }
  memset(cmt_buf_data(s.msg), 0, a->size);
  s.asking = SHARES * SHARE_QUEUE;
  for (size_t i = 0; i < SHARES * SHARE_QUEUE; i++) {
    all[i] = (endless){.side = &s, .channel = (uint8_t)(SHARED + i % SHARES)};
    endless_ask(&all[i]);
  }
  /* A little longer than the server counts. */
  bench_sleep_ns((uint64_t)(a->seconds * 1e9) + CMT_MILLISECONDS(200));
  cmt_peer_stop(s.peer, CMT_ECANCELED, 0);
  while (s.asking > 0) {
    bench_sleep_ns(CMT_MILLISECONDS(1));
  }
  cmt_buf_unref(s.msg);
  printf("{\"event\":\"result\",\"role\":\"shares\"}\n");
  return side_stop(&s);
}

int main(int argc, char **argv) {
  static const bench_verb verbs[] = {{"serve", run_serve},
                                     {"load", run_load},
                                     {"urgent", run_urgent},
                                     {"shares", run_shares}};

  return bench_main(argc, argv, verbs, sizeof verbs / sizeof *verbs);
}
