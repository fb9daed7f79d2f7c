/* SPDX-License-Identifier: Apache-2.0 */

/* With threads, the callbacks of the two switches come from different ones, so
   all of the pair is under its mutex. */

#include "pair.h"

#include "calls.h"

#include <cometp2p/uv.h>
#include <dirent.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum {
  CHAT = 0x51,
  MESSAGES = 100,
  WINDOW = 4, /* Messages that are on their way without an answer. */
  HASH = crypto_generichash_BYTES,
  HEAD = 4 + HASH,
  MESSAGE_MAX = 30000,
};

#define LIMIT_NS CMT_SECONDS(120) /* On the clock that jumps. */
#define FLUSH_NS CMT_SECONDS(2)

typedef struct pair pair;

typedef struct node {
  pair *pair;
  cmt_switch *sw;
  cmt_reactor reactor;
  cmt_switch_options options;
  pair_side *side;
  cmt_peer *peer; /* Lent. */
  unsigned sent, received;
  uint8_t sent_hash[HASH], received_hash[HASH];
  bool finished;
} node;

struct pair {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  const pair_options *o;
  pair_report *report;
  unsigned messages;
  cmt_env env;
  uv_loop_t loop; /* The loop of both. */
  node nodes[2];
};

static cmt_node_key *keys[2];
static pair *running; /* NULL: none. */
static atomic_bool stopping;
static atomic_long live; /* Blocks of the environment. */

/* ---- messages ---- */

/* A number that looks random for each message of each side. */
static uint32_t drawn(unsigned side, unsigned index) {
  uint64_t x = (uint64_t)(side + 1) * 1000003 + index;

  x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
  return (uint32_t)(x >> 32);
}

/* Most are small, some fill several packets, a few are large. */
static size_t message_len(unsigned side, unsigned index) {
  static const size_t most[] = {200,  200,  200,  200,  200,
                                4000, 4000, 4000, 4000, MESSAGE_MAX};
  uint32_t x = drawn(side, index);

  return HEAD + (x >> 8) % (most[x % CMT__COUNT(most)] - HEAD);
}

static void message_make(unsigned side, unsigned index, const uint8_t *hash,
                         uint8_t *out) {
  size_t len = message_len(side, index);

  cmt__store_le32(out, index);
  memcpy(out + 4, hash, HASH);
  memset(out + HEAD, (int)drawn(index, side), len - HEAD);
}

static void hash_more(uint8_t *hash, const uint8_t *message, size_t len) {
  crypto_generichash_state state;

  crypto_generichash_init(&state, NULL, 0, HASH);
  crypto_generichash_update(&state, hash, HASH);
  crypto_generichash_update(&state, message, len);
  crypto_generichash_final(&state, hash, HASH);
}

static unsigned side_of(const node *n) {
  return n == &n->pair->nodes[0] ? 0 : 1;
}

static void send_one(node *n, cmt_peer *p) {
  uint8_t message[MESSAGE_MAX];
  size_t len = message_len(side_of(n), n->sent);
  cmt_err err;

  message_make(side_of(n), n->sent, n->sent_hash, message);
  err = cmt_peer_try_send_bytes(p, CHAT, message, len);
  if (err == CMT_OK) {
    n->sent++;
    hash_more(n->sent_hash, message, len);
  } else {
    PRE_CHECK(err == CMT_ECLOSED);
  }
}

/* ---- the reactor ---- */

static void pair_lock(pair *x) { pthread_mutex_lock(&x->lock); }

static void pair_unlock(pair *x) {
  pthread_cond_broadcast(&x->changed);
  pthread_mutex_unlock(&x->lock);
}

static void note_end(node *n, bool rejected, const cmt_why *why) {
  pair_side *s = n->side;

  if (!stopping) {
    PRE_CHECK(s->end_count < PAIR_ENDS_MAX);
    s->ends[s->end_count++] = (pair_end){.rejected = rejected, .why = *why};
  }
}

static void on_add(void *self, cmt_peer *p) {
  node *n = self;

  pair_lock(n->pair);
  PRE_CHECK(n->peer == NULL);
  n->peer = p;
  n->side->added++;
  n->sent = 0;
  n->received = 0;
  memset(n->sent_hash, 0, HASH);
  memset(n->received_hash, 0, HASH);
  for (int i = 0; i < WINDOW; i++) {
    send_one(n, p);
  }
  pair_unlock(n->pair);
}

static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  node *n = self;
  cmt_bytes b = cmt_buf_bytes(msg);
  uint8_t wanted[MESSAGE_MAX];

  pair_lock(n->pair);
  PRE_CHECK(CHAT == channel);
  PRE_CHECK(message_len(1 - side_of(n), n->received) == b.len);
  message_make(1 - side_of(n), n->received, n->received_hash, wanted);
  PRE_CHECK(memcmp(wanted, b.base, b.len) == 0);
  hash_more(n->received_hash, b.base, b.len);
  n->received++;
  if (n->sent < n->pair->messages) {
    send_one(n, p);
  }
  pair_unlock(n->pair);
  return CMT_OK;
}

static void on_remove(void *self, cmt_peer *p, cmt_err reason) {
  node *n = self;
  cmt_why why;

  (void)reason;
  cmt_peer_get_why(p, &why);
  pair_lock(n->pair);
  PRE_CHECK(p == n->peer);
  n->peer = NULL;
  note_end(n, false, &why);
  pair_unlock(n->pair);
}

static void on_rejected(void *arg, const cmt_rejection *r) {
  node *n = arg;

  pair_lock(n->pair);
  note_end(n, true, &r->why);
  pair_unlock(n->pair);
}

static void on_finished(void *arg) {
  node *n = arg;

  pair_lock(n->pair);
  n->finished = true;
  pair_unlock(n->pair);
}

/* ---- memory and descriptors ---- */

static void *env_alloc(void *arg, size_t len) {
  (void)arg;
  live++;
  return malloc(len);
}

static void env_free(void *arg, void *p) {
  (void)arg;
  live--;
  free(p);
}

static size_t open_fds(void) {
  DIR *folder = opendir("/proc/self/fd");
  size_t count = 0;

  PRE_CHECK(folder != NULL);
  while (readdir(folder) != NULL) {
    count++;
  }
  closedir(folder);
  return count;
}

/* ---- a batch ---- */

static const cmt_channel channels[] = {
  {.id = CHAT, .priority = 1, .send_queue = 4 * WINDOW}};

static cmt_err node_new(pair *x, int side, cmt_why *why) {
  node *n = &x->nodes[side];

  n->pair = x;
  n->side = &x->report->sides[side];
  n->reactor = (cmt_reactor){.name = "chat",
                             .channels = channels,
                             .channel_count = CMT__COUNT(channels),
                             .self = n,
                             .add_peer = on_add,
                             .receive = on_receive,
                             .remove_peer = on_remove};
  cmt_switch_options_init(&n->options);
  n->options.env = &x->env;
  n->options.key = keys[side];
  n->options.network = "test-net";
  n->options.laddr = side == 1 ? "127.0.0.1:0" : NULL;
  n->options.reactors = &n->reactor;
  n->options.reactor_count = 1;
  n->options.on_rejected = on_rejected;
  n->options.on_finished = on_finished;
  n->options.arg = n;
  return cmt_switch_new(&n->options, &n->sw, why);
}

static cmt_err node_start(pair *x, int side, cmt_why *why) {
  cmt_switch *sw = x->nodes[side].sw;

  return x->o->threads ? cmt_switch_start(sw, why)
                       : cmt_switch_run_on(sw, &x->loop, why);
}

static void dial(pair *x) {
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_net_addr at;

  PRE_CHECK(cmt_switch_get_laddr(x->nodes[1].sw, &at) == CMT_OK);
  snprintf(addr, sizeof addr, "%s@%s:%u", at.id.text,
           x->o->host != NULL ? x->o->host : "127.0.0.1", at.port);
  PRE_CHECK(cmt_switch_dial(x->nodes[0].sw, addr, CMT_DIAL_PERSISTENT, NULL) ==
            CMT_OK);
}

static bool is_done(const pair *x) {
  const node *a = &x->nodes[0], *b = &x->nodes[1];

  return a->peer != NULL && b->peer != NULL && a->received == x->messages &&
         b->received == x->messages && a->sent == x->messages &&
         b->sent == x->messages;
}

static bool are_finished(const pair *x) {
  return x->nodes[0].finished && x->nodes[1].finished;
}

/* Until |done| or the limit. */
static bool run_shared(pair *x, bool (*done)(const pair *x)) {
  uint64_t end_ns = pre_now() + LIMIT_NS;

  while (!done(x) && pre_now() < end_ns) {
    uv_run(&x->loop, UV_RUN_ONCE);
  }
  return done(x);
}

static bool run_threads(pair *x, bool (*done)(const pair *x)) {
  uint64_t end_ns = pre_now() + LIMIT_NS;
  bool is;

  pthread_mutex_lock(&x->lock);
  while (!done(x) && pre_now() < end_ns) {
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += 1;
    pthread_cond_timedwait(&x->changed, &x->lock, &at);
  }
  is = done(x);
  pthread_mutex_unlock(&x->lock);
  return is;
}

static void check_hashes(const pair *x) {
  for (int i = 0; i < 2; i++) {
    PRE_CHECK(
      memcmp(x->nodes[i].sent_hash, x->nodes[1 - i].received_hash, HASH) == 0);
  }
}

static void meet(pair *x) {
  dial(x);
  x->report->done =
    x->o->threads ? run_threads(x, is_done) : run_shared(x, is_done);
  if (x->report->done) {
    check_hashes(x);
  }
}

static void stop(pair *x) {
  stopping = true;
  for (int i = 0; i < 2; i++) {
    cmt_switch_stop(x->nodes[i].sw, FLUSH_NS);
  }
  if (!x->o->threads) {
    PRE_CHECK(run_shared(x, are_finished));
  }
}

static void delete_both(pair *x) {
  for (int i = 0; i < 2; i++) {
    node *n = &x->nodes[i];

    if (n->sw != NULL) {
      cmt_switch_get_status(n->sw, &n->side->status);
      PRE_CHECK(cmt_switch_delete(n->sw) == CMT_OK);
      PRE_CHECK(n->peer == NULL);
    }
  }
}

static void start_and_meet(pair *x) {
  pair_report *r = x->report;
  cmt_err err = CMT_OK;

  for (int i = 1; i >= 0 && err == CMT_OK; i--) {
    err = node_new(x, i, &r->start);
    if (err != CMT_OK) {
      x->nodes[i].sw = NULL;
    }
  }
  for (int i = 1; i >= 0 && err == CMT_OK; i--) {
    err = node_start(x, i, &r->start);
  }
  PRE_CHECK(err == r->start.err);
  if (err == CMT_OK) {
    meet(x);
    stop(x);
  }
}

/* A start that failed leaves handles that the loop lets go when it runs. */
static void end_loop(pair *x) {
  uv_run(&x->loop, UV_RUN_DEFAULT);
  PRE_CHECK(uv_loop_close(&x->loop) == 0);
}

void pair_run(const pair_options *o, pair_report *r) {
  pair *x = calloc(1, sizeof *x);
  size_t fds = open_fds();
  uint64_t begin_ns = pre_now();

  PRE_CHECK(x != NULL);
  memset(r, 0, sizeof *r);
  pthread_mutex_init(&x->lock, NULL);
  pthread_cond_init(&x->changed, NULL);
  x->o = o;
  x->report = r;
  x->messages = o->messages > 0 ? o->messages : MESSAGES;
  PRE_CHECK(cmt_env_init(&x->env) == CMT_OK);
  x->env.alloc = env_alloc;
  x->env.free = env_free;
  running = x;
  stopping = false;
  live = 0;
  if (!o->threads) {
    PRE_CHECK(uv_loop_init(&x->loop) == 0);
  }
  start_and_meet(x);
  stopping = true;
  delete_both(x);
  if (!o->threads) {
    end_loop(x);
  }
  r->took_ns = pre_now() - begin_ns;
  running = NULL;
  PRE_CHECK(live == 0);
  r->fds_left = open_fds() - fds;
  pthread_cond_destroy(&x->changed);
  pthread_mutex_destroy(&x->lock);
  free(x);
}

bool pair_is_stopping(void) { return stopping; }

/* With its first loop libuv opens a pipe that the process keeps. */
void pair_init(void) {
  uv_loop_t first;

  PRE_CHECK(uv_loop_init(&first) == 0);
  PRE_CHECK(uv_loop_close(&first) == 0);
  for (int i = 0; i < 2; i++) {
    PRE_CHECK(cmt_node_key_generate(NULL, &keys[i]) == CMT_OK);
  }
}

void pair_fini(void) {
  for (int i = 0; i < 2; i++) {
    cmt_node_key_delete(keys[i]);
  }
}
