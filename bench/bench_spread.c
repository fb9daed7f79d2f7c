/* SPDX-License-Identifier: Apache-2.0 */
/* One switch that sends to several, each on a connection of its own:

     bench_spread fans --count N           as many switches, in one process
     bench_spread spread --addr A,A,... --size N --count M --loops L
                                           M messages to each of them */

#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FANS_MAX = 64 };

typedef struct fan {
  cmt_switch *sw;
  const bench_args *args;
  bench_counter counter;
} fan;

static atomic_size_t gone;

static int fail(const char *what, const char *text) {
  fprintf(stderr, "bench_spread: %s: %s\n", what, text);
  return 1;
}

static cmt_err fan_receive(void *self, cmt_peer *p, uint8_t channel,
                           cmt_buf *msg) {
  fan *f = self;
  size_t len = cmt_buf_bytes(msg).len;

  if (len == BENCH_END_SIZE) {
    return bench_return(p, channel, msg);
  }
  bench_count(&f->counter, len);
  if (f->args->delay_ms > 0) {
    bench_sleep_ns((uint64_t)(f->args->delay_ms * 1e6));
  }
  return CMT_OK;
}

static void fan_remove(void *self, cmt_peer *p, cmt_err reason) {
  (void)self;
  (void)p;
  (void)reason;
  gone++;
}

static cmt_switch *start(const bench_args *a, const cmt_reactor *reactor,
                         const char *laddr) {
  cmt_channel channel = {
    .id = BENCH_CHANNEL, .priority = 1, .send_queue = (uint32_t)a->queue};
  cmt_reactor with_channel = *reactor;
  cmt_switch_options o;
  cmt_switch *sw;
  cmt_why why;

  with_channel.channels = &channel;
  with_channel.channel_count = 1;
  cmt_switch_options_init(&o);
  o.env = bench_env();
  o.network = "bench";
  o.laddr = laddr;
  o.reactors = &with_channel;
  o.reactor_count = 1;
  o.loops = laddr == NULL ? (unsigned)a->loops : 1;
  o.send_packet_payload_max = (uint32_t)a->packet;
  o.recv_packet_payload_max = (uint32_t)a->packet;
  if (cmt_switch_new(&o, &sw, &why) != CMT_OK ||
      cmt_switch_start(sw, &why) != CMT_OK) {
    exit(fail("start", why.text));
  }
  return sw;
}

static int run_fans(const bench_args *a) {
  static fan fans[FANS_MAX];
  const cmt_reactor row = {
    .name = "fan", .receive = fan_receive, .remove_peer = fan_remove};
  char list[FANS_MAX * CMT_NET_ADDR_TEXT_SIZE] = "";
  bench_counter all = {.first_ns = UINT64_MAX};

  for (size_t i = 0; i < a->count && i < FANS_MAX; i++) {
    cmt_reactor reactor = row;
    size_t len = strlen(list);
    cmt_net_addr at;

    fans[i].args = a;
    reactor.self = &fans[i];
    fans[i].sw = start(a, &reactor, "127.0.0.1:0");
    if (cmt_switch_get_laddr(fans[i].sw, &at) != CMT_OK ||
        cmt_net_addr_format(&at, list + len + (i > 0), sizeof list - len - 1) !=
          CMT_OK) {
      return fail("start", "no address");
    }
    if (i > 0) {
      list[len] = ',';
    }
  }
  bench_emit_ready("", list);
  while (gone < a->count) {
    bench_sleep_ns(CMT_MILLISECONDS(1));
  }
  for (size_t i = 0; i < a->count; i++) {
    const bench_counter *c = &fans[i].counter;

    all.messages += c->messages;
    all.bytes += c->bytes;
    all.first_ns = c->first_ns < all.first_ns ? c->first_ns : all.first_ns;
    all.last_ns = c->last_ns > all.last_ns ? c->last_ns : all.last_ns;
    cmt_switch_stop(fans[i].sw, 0);
    if (cmt_switch_delete(fans[i].sw) != CMT_OK) {
      return 1;
    }
  }
  bench_emit_bulk("fans", &all);
  return 0;
}

/* ---- the sender ---- */

typedef struct hub {
  pthread_mutex_t lock;
  cmt_peer *peers[FANS_MAX];
  atomic_size_t count, ended;
} hub;

static void hub_add(void *self, cmt_peer *p) {
  hub *h = self;

  pthread_mutex_lock(&h->lock);
  h->peers[h->count++] = cmt_peer_ref(p);
  pthread_mutex_unlock(&h->lock);
}

static cmt_err hub_receive(void *self, cmt_peer *p, uint8_t channel,
                           cmt_buf *msg) {
  hub *h = self;

  (void)p;
  (void)channel;
  (void)msg;
  h->ended++;
  return CMT_OK;
}

static size_t dial_all(cmt_switch *sw, const char *list) {
  char *copy = strdup(list), *rest = copy, *addr;
  size_t count = 0;

  while ((addr = strsep(&rest, ",")) != NULL && count < FANS_MAX) {
    if (cmt_switch_dial(sw, addr, 0, NULL) != CMT_OK) {
      exit(fail("dial", addr));
    }
    count++;
  }
  free(copy);
  return count;
}

/* Sends |msg| to each peer, and waits where there is no room. */
static void send_each(const hub *h, cmt_buf *msg) {
  for (size_t i = 0; i < h->count; i++) {
    if (cmt_peer_send(h->peers[i], BENCH_CHANNEL, cmt_buf_ref(msg),
                      CMT_SEND_TIMEOUT) != CMT_OK) {
      exit(fail("send", "a message was refused"));
    }
  }
}

static int run_spread(const bench_args *a) {
  static hub h = {.lock = PTHREAD_MUTEX_INITIALIZER};
  const cmt_reactor reactor = {
    .name = "hub", .self = &h, .add_peer = hub_add, .receive = hub_receive};
  cmt_buf *msg = cmt_buf_new(NULL, a->size);
  cmt_buf *end = cmt_buf_new(NULL, BENCH_END_SIZE);
  cmt_switch *sw = start(a, &reactor, NULL);
  bench_counter counter = {0};
  size_t fans = dial_all(sw, a->addr);

  memset(cmt_buf_data(msg), 0, a->size);
  memset(cmt_buf_data(end), 0, BENCH_END_SIZE);
  while (h.count < fans) {
    bench_sleep_ns(CMT_MILLISECONDS(1));
  }
  counter.cpu = bench_cpu_seconds();
  counter.first_ns = bench_now_ns();
  for (size_t i = 0; i < a->count; i++) {
    send_each(&h, msg);
  }
  send_each(&h, end);
  while (h.ended < fans) {
    bench_sleep_ns(CMT_MILLISECONDS(1));
  }
  counter.last_ns = bench_now_ns();
  counter.messages = a->count * fans;
  counter.bytes = counter.messages * a->size;
  bench_emit_bulk("spread", &counter);
  for (size_t i = 0; i < fans; i++) {
    cmt_peer_unref(h.peers[i]);
  }
  cmt_buf_unref(msg);
  cmt_buf_unref(end);
  cmt_switch_stop(sw, 0);
  return cmt_switch_delete(sw) == CMT_OK ? 0 : 1;
}

int main(int argc, char **argv) {
  static const bench_verb verbs[] = {{"fans", run_fans},
                                     {"spread", run_spread}};

  return bench_main(argc, argv, verbs, sizeof verbs / sizeof *verbs);
}
