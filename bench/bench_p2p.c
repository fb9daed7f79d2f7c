/* SPDX-License-Identifier: Apache-2.0 */
/* One connection between two switches, on the public headers:

     bench_p2p recv                             counts what a sender sends
     bench_p2p send --addr ID@A --size N --seconds S
                                                until all has arrived
     bench_p2p feed                             as send, in callbacks of the
                                                loop
     bench_p2p flood                            as send, and leaves at once
     bench_p2p drain --count C                  as send, so many messages
     bench_p2p echo                             returns each message
     bench_p2p ping --addr ID@A --size N --count C   round trips */

#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Used by the loop and by the main thread, which waits for |done| or |fed|. */
typedef struct side {
  const bench_args *args;
  bool echoes;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  cmt_peer *peer;
  bool done, gone, fed, refused;
  bench_counter counter;
  cmt_post post;     /* Sends on the loop, */
  uint64_t until_ns; /* until then. */
  cmt_buf *msg;
  uint64_t *times_ns, sent_ns;
  size_t trips;
  cmt_switch *sw;
} side;

static void side_set(side *s, bool *flag) {
  pthread_mutex_lock(&s->lock);
  *flag = true;
  pthread_cond_broadcast(&s->changed);
  pthread_mutex_unlock(&s->lock);
}

static void side_wait(side *s, const bool *flag) {
  pthread_mutex_lock(&s->lock);
  while (!*flag && !s->gone) {
    pthread_cond_wait(&s->changed, &s->lock);
  }
  pthread_mutex_unlock(&s->lock);
}

static void add_peer(void *self, cmt_peer *p) {
  side *s = self;

  pthread_mutex_lock(&s->lock);
  s->peer = cmt_peer_ref(p);
  pthread_cond_broadcast(&s->changed);
  pthread_mutex_unlock(&s->lock);
}

static void remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  (void)p;
  (void)reason;
  side_set(self, &((side *)self)->gone);
}

static cmt_err trip_begin(side *s, cmt_peer *p) {
  s->sent_ns = bench_now_ns();
  return cmt_peer_try_send(p, BENCH_CHANNEL, cmt_buf_ref(s->msg));
}

static cmt_err receive_ping(side *s, cmt_peer *p) {
  s->times_ns[s->trips++] = bench_now_ns() - s->sent_ns;
  if (s->trips == s->args->count) {
    side_set(s, &s->done);
    return CMT_OK;
  }
  return trip_begin(s, p);
}

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  side *s = self;
  size_t len = cmt_buf_bytes(msg).len;

  if (s->times_ns != NULL) {
    return receive_ping(s, p);
  }
  if (s->echoes) {
    return bench_return(p, channel, msg);
  }
  if (len == BENCH_END_SIZE) {
    cmt_err err = bench_return(p, channel, msg);
    side_set(s, &s->done);
    return err;
  }
  bench_count(&s->counter, len);
  if (s->args->delay_ms > 0) {
    bench_sleep_ns((uint64_t)(s->args->delay_ms * 1e6));
  }
  return CMT_OK;
}

static int fail(const char *what, const char *text) {
  fprintf(stderr, "bench_p2p: %s: %s\n", what, text);
  return 1;
}

static int side_start(side *s, const bench_args *a, bool listens) {
  const cmt_channel channels[] = {
    {.id = BENCH_CHANNEL, .priority = 1, .send_queue = (uint32_t)a->queue}};
  const cmt_reactor reactor = {
    .name = "bench",
    .channels = channels,
    .channel_count = 1,
    .delivery = a->threads > 0 ? CMT_DELIVER_WORKERS : CMT_DELIVER_INLINE,
    .threads = (unsigned)a->threads,
    .self = s,
    .add_peer = add_peer,
    .receive = receive,
    .remove_peer = remove_peer,
  };
  cmt_switch_options o;
  cmt_why why;

  s->args = a;
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->changed, NULL);
  s->msg = cmt_buf_new(NULL, a->size);
  cmt_switch_options_init(&o);
  o.env = bench_env();
  o.network = "bench";
  o.send_packet_payload_max = (uint32_t)a->packet;
  o.recv_packet_payload_max = (uint32_t)a->packet;
  o.laddr = listens ? "127.0.0.1:0" : NULL;
  o.reactors = &reactor;
  o.reactor_count = 1;
  if (cmt_switch_new(&o, &s->sw, &why) != CMT_OK ||
      cmt_switch_start(s->sw, &why) != CMT_OK) {
    return fail("start", why.text);
  }
  if (listens) {
    if (!bench_emit_listening(s->sw)) {
      return fail("start", "no address");
    }
  } else if (cmt_switch_dial(s->sw, a->addr, 0, NULL) != CMT_OK) {
    return fail("dial", a->addr);
  }
  pthread_mutex_lock(&s->lock);
  while (s->peer == NULL && !s->gone) {
    pthread_cond_wait(&s->changed, &s->lock);
  }
  pthread_mutex_unlock(&s->lock);
  s->counter.cpu = bench_cpu_seconds();
  return 0;
}

static int side_stop(side *s) {
  cmt_peer_unref(s->peer);
  cmt_switch_stop(s->sw, CMT_SECONDS(1));
  cmt_buf_unref(s->msg);
  return cmt_switch_delete(s->sw) == CMT_OK ? 0 : 1;
}

static int run_recv(const bench_args *a) {
  static side s;

  if (side_start(&s, a, true) != 0) {
    return 1;
  }
  side_wait(&s, &s.gone); /* The sender closes once it has the answer. */
  bench_emit_bulk("recv", &s.counter);
  return side_stop(&s);
}

/* ---- bulk ---- */

typedef struct sender {
  side *side;
  uint64_t until_ns, count; /* Until one of them. */
  uint64_t sent;
  bool refused;
  pthread_t thread;
} sender;

static void *send_all(void *arg) {
  sender *to = arg;
  side *s = to->side;

  while (to->sent < to->count && bench_now_ns() < to->until_ns) {
    if (cmt_peer_send(s->peer, BENCH_CHANNEL, cmt_buf_ref(s->msg),
                      CMT_SEND_TIMEOUT) != CMT_OK) {
      to->refused = true;
      break;
    }
    to->sent++;
  }
  return NULL;
}

/* Sends with all threads, for the time or the number of messages. */
static bool send_from_all(side *s, uint64_t until_ns, uint64_t count) {
  size_t threads = s->args->senders;
  sender *all = calloc(threads, sizeof *all);
  bool refused = all == NULL;

  for (size_t i = 0; i < threads && all != NULL; i++) {
    all[i] = (sender){.side = s,
                      .until_ns = until_ns,
                      .count = count / threads + (i < count % threads)};
    pthread_create(&all[i].thread, NULL, send_all, &all[i]);
  }
  for (size_t i = 0; i < threads && all != NULL; i++) {
    pthread_join(all[i].thread, NULL);
    s->counter.messages += all[i].sent;
    s->counter.bytes += all[i].sent * s->args->size;
    refused = refused || all[i].refused;
  }
  free(all);
  return !refused;
}

/* Fills the send queue, on the loop. */
static cmt_err feed_some(side *s) {
  cmt_err err = CMT_OK;

  while (bench_now_ns() < s->until_ns) {
    err = cmt_peer_try_send(s->peer, BENCH_CHANNEL, cmt_buf_ref(s->msg));
    if (err != CMT_OK) {
      cmt_buf_unref(s->msg); /* The reference of the send that was refused. */
      break;
    }
    s->counter.messages++;
    s->counter.bytes += s->args->size;
  }
  return err;
}

static void on_feed(void *arg, cmt_err status) {
  side *s = arg;
  cmt_err err = status == CMT_OK ? feed_some(s) : status;

  if (err == CMT_EAGAIN) {
    err = cmt_peer_post(s->peer, &s->post);
  } else if (err == CMT_OK) { /* The time is over. */
    side_set(s, &s->fed);
  }
  if (err != CMT_OK) {
    s->refused = true;
    side_set(s, &s->fed);
  }
}

/* Sends on the loop until |until_ns|. */
static bool feed_all(side *s, uint64_t until_ns) {
  s->post = (cmt_post){.cb = on_feed, .arg = s};
  s->until_ns = until_ns;
  if (cmt_peer_post(s->peer, &s->post) != CMT_OK) {
    return false;
  }
  side_wait(s, &s->fed);
  return !s->refused;
}

/* Sends the last message, and waits for its answer. */
static int bulk_end(side *s) {
  static const uint8_t end[BENCH_END_SIZE];

  if (cmt_peer_send_bytes(s->peer, BENCH_CHANNEL, end, sizeof end,
                          CMT_SEND_TIMEOUT) != CMT_OK) {
    return fail("send", "the end was refused");
  }
  side_wait(s, &s->done);
  return 0;
}

static int send_bulk(const bench_args *a, uint64_t count, bool waits,
                     bool feeds) {
  uint64_t ns =
    count == UINT64_MAX ? (uint64_t)(a->seconds * 1e9) : CMT_SECONDS(60);
  static side s;

  if (side_start(&s, a, false) != 0) {
    return 1;
  }
  s.counter.first_ns = bench_now_ns();
  if (feeds ? !feed_all(&s, s.counter.first_ns + ns)
            : !send_from_all(&s, s.counter.first_ns + ns, count)) {
    return fail("send", "a message was refused");
  }
  if (!waits) {
    cmt_peer_stop(s.peer, CMT_ECANCELED, 0);
  } else if (bulk_end(&s) != 0) {
    return 1;
  }
  s.counter.last_ns = bench_now_ns();
  bench_emit_bulk(a->verb, &s.counter);
  return side_stop(&s);
}

static int run_send(const bench_args *a) {
  return send_bulk(a, UINT64_MAX, true, false);
}

static int run_feed(const bench_args *a) {
  return send_bulk(a, UINT64_MAX, true, true);
}

static int run_flood(const bench_args *a) {
  return send_bulk(a, UINT64_MAX, false, false);
}

static int run_drain(const bench_args *a) {
  return send_bulk(a, a->count, true, false);
}

/* ---- round trips ---- */

static int run_echo(const bench_args *a) {
  static side s = {.echoes = true};

  if (side_start(&s, a, true) != 0) {
    return 1;
  }
  side_wait(&s, &s.gone);
  return side_stop(&s);
}

static int run_ping(const bench_args *a) {
  static side s;

  s.times_ns = calloc(a->count, sizeof *s.times_ns);
  if (s.times_ns == NULL || side_start(&s, a, false) != 0) {
    return 1;
  }
  if (trip_begin(&s, s.peer) != CMT_OK) {
    return fail("ping", "the first message was refused");
  }
  side_wait(&s, &s.done);
  if (s.trips < a->count) {
    return fail("ping", "the connection was lost");
  }
  bench_emit_ping(a, s.times_ns, s.counter.cpu);
  free(s.times_ns);
  return side_stop(&s);
}

int main(int argc, char **argv) {
  static const bench_verb verbs[] = {
    {"recv", run_recv},   {"send", run_send},   {"feed", run_feed},
    {"flood", run_flood}, {"drain", run_drain}, {"echo", run_echo},
    {"ping", run_ping},
  };

  return bench_main(argc, argv, verbs, sizeof verbs / sizeof *verbs);
}
