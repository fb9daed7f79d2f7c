/* SPDX-License-Identifier: Apache-2.0 */
/* What many peers cost:

     bench_idle hub --count N --rounds B --size S
                                               a switch, until N peers are idle;
                                               then it broadcasts B messages
     bench_idle scrape --count N --rounds R    a switch with N peers, whose page
                                               of metrics is made R times
     bench_idle crowd --addr ID@A --count N    as many nodes that dial it

   Each peer sends a message on every channel and gets one back; then it only
   answers pings.  Once the hub has a pong of each, it reports the memory that
   it uses.  Then it broadcasts messages of S bytes, each when all peers have
   got the one before, and prints the processor time that each peer cost. */

#include "bench_crowd.h"

#include "core/conn/node_info.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MESSAGE = 64, READY = 64, JOINING_MAX = 48 };

static _Noreturn void die(const char *what, const char *text) {
  fprintf(stderr, "bench_idle: %s: %s\n", what, text);
  exit(1);
}

/* ---- memory ---- */

/* Each block has its size before it. */
typedef union block {
  size_t len;
  max_align_t align;
} block;

static atomic_size_t live_bytes, live_blocks;

static void *count_alloc(void *arg, size_t len) {
  block *b = malloc(sizeof *b + len);

  (void)arg;
  if (b == NULL) {
    return NULL;
  }
  b->len = len;
  atomic_fetch_add(&live_bytes, len);
  atomic_fetch_add(&live_blocks, 1);
  return b + 1;
}

static void count_free(void *arg, void *p) {
  block *b = (block *)p - 1;

  (void)arg;
  atomic_fetch_sub(&live_bytes, b->len);
  atomic_fetch_sub(&live_blocks, 1);
  free(b);
}

typedef struct memory {
  size_t bytes, blocks; /* What the switch has. */
  size_t keys;          /* Its keys, in locked memory of their own. */
  size_t resident;      /* What the process has. */
} memory;

/* Reads a value that /proc gives in KiB. */
static size_t status_bytes(const char *key) {
  FILE *file = fopen("/proc/self/status", "r");
  size_t len = strlen(key), found = 0;
  char line[256];

  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, key, len) == 0) {
      found = strtoul(line + len, NULL, 10) * 1024;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return found;
}

static memory memory_now(cmt_switch *sw) {
  cmt_switch_status status;

  cmt_switch_get_status(sw, &status);
  return (memory){
    .bytes = atomic_load(&live_bytes),
    .blocks = atomic_load(&live_blocks),
    .keys = status.locked_key_bytes + status.unlocked_key_bytes,
    .resident = status_bytes("VmRSS:"),
  };
}

static double each(size_t none, size_t all, size_t peers) {
  return ((double)all - (double)none) / (double)peers;
}

static void memory_print(const memory *none, const memory *all, size_t peers) {
  printf("{\"event\":\"result\",\"role\":\"hub\",\"peers\":%zu,"
         "\"bytes_without\":%zu,\"bytes_with\":%zu,"
         "\"bytes_per_peer\":%.1f,\"blocks_per_peer\":%.2f,"
         "\"keys_per_peer\":%.1f,\"resident_per_peer\":%.1f",
         peers, none->bytes, all->bytes, each(none->bytes, all->bytes, peers),
         each(none->blocks, all->blocks, peers),
         each(none->keys, all->keys, peers),
         each(none->resident, all->resident, peers));
}

/* ---- the hub ---- */

typedef struct hub {
  cmt_switch *sw;
  atomic_size_t messages;
} hub;

static cmt_err hub_receive(void *self, cmt_peer *p, uint8_t channel,
                           cmt_buf *msg) {
  hub *h = self;

  atomic_fetch_add(&h->messages, 1);
  return bench_return(p, channel, msg);
}

static void hub_start(hub *h, const cmt_env *env, const bench_args *a) {
  const cmt_reactor reactor = {
    .name = "idle",
    .channels = bench_crowd_channels(),
    .channel_count = BENCH_CROWD_CHANNELS,
    .self = h,
    .receive = hub_receive,
  };
  cmt_switch_options o;
  cmt_why why;

  cmt_switch_options_init(&o);
  o.env = env;
  o.network = BENCH_CROWD_NETWORK;
  o.moniker = BENCH_CROWD_MONIKER;
  o.version = BENCH_CROWD_VERSION;
  o.laddr = "127.0.0.1:0";
  o.reactors = &reactor;
  o.reactor_count = 1;
  o.inbound_peers_max = (uint32_t)a->count;
  /* A peer is idle once it has answered a ping, which also gives the memory of
     its traffic back.  A thousand peers need longer to come than a hundred. */
  o.ping_interval_ns = CMT_MILLISECONDS(1000 + a->count / 10);
  o.pong_timeout_ns = o.ping_interval_ns - CMT_MILLISECONDS(100);
  if (cmt_switch_new(&o, &h->sw, &why) != CMT_OK ||
      cmt_switch_start(h->sw, &why) != CMT_OK) {
    die("start", why.text);
  }
  if (!bench_emit_listening(h->sw)) {
    die("start", "no address");
  }
}

/* Peers that have all that they will ever get. */
static size_t hub_idle(const hub *h, cmt_peer **peers, size_t cap) {
  size_t count = cmt_switch_peers(h->sw, peers, cap), idle = 0;

  for (size_t i = 0; i < count; i++) {
    cmt_peer_status status;

    cmt_peer_get_status(peers[i], &status);
    idle += status.pongs_recv > 0;
    cmt_peer_unref(peers[i]);
  }
  return idle;
}

/* No connection has a reference any more: the last one has sealed it. */
static void on_sealed(void *arg) { sem_post(arg); }

/* Processor time of this process for each message of the broadcasts.  It waits
   for the end of each without looking at the switch, since a look at thousands
   of send queues would be part of what is measured. */
static double hub_broadcast(const hub *h, const bench_args *a) {
  uint8_t *bytes = calloc(1, a->size);
  double cpu = bench_cpu_seconds();
  sem_t sealed;

  if (bytes == NULL) {
    die("broadcast", "no memory");
  }
  sem_init(&sealed, 0, 0);
  for (size_t i = 0; i < a->rounds; i++) {
    cmt_broadcast counts;
    cmt_buf *msg =
      cmt_buf_adopt(NULL, (cmt_bytes){bytes, a->size}, on_sealed, &sealed);

    if (msg == NULL ||
        cmt_switch_broadcast(h->sw, BENCH_CHANNEL, msg, &counts) != CMT_OK ||
        counts.queued != a->count) {
      die("broadcast", "not all peers queued it");
    }
    while (sem_wait(&sealed) != 0) {
    }
  }
  sem_destroy(&sealed);
  free(bytes);
  return (bench_cpu_seconds() - cpu) / (double)(a->rounds * a->count) * 1e9;
}

static int run_hub(const bench_args *a) {
  static hub h;
  cmt_peer **peers = calloc(a->count, sizeof(cmt_peer *));
  memory none, all;
  cmt_env env = *bench_env();

  bench_descriptors(a->count);
  if (peers == NULL) {
    die("start", "no memory");
  }
  env.alloc = count_alloc;
  env.free = count_free;
  hub_start(&h, &env, a);
  none = memory_now(h.sw);
  while (atomic_load(&h.messages) < a->count * BENCH_CROWD_CHANNELS ||
         hub_idle(&h, peers, a->count) < a->count) {
    bench_sleep_ns(CMT_MILLISECONDS(50));
  }
  all = memory_now(h.sw);
  memory_print(&none, &all, a->count);
  printf(",\"broadcast_ns_per_peer\":%.1f}\n", hub_broadcast(&h, a));
  fflush(stdout);
  free(peers);
  cmt_switch_stop(h.sw, 0);
  return cmt_switch_delete(h.sw) == CMT_OK ? 0 : 1;
}

/* ---- metrics ---- */

static cmt_metrics *metrics_new(cmt_switch *sw) {
  cmt_metrics_options o;
  cmt_metrics *m;
  cmt_why why;

  cmt_metrics_options_init(&o);
  o.chain_id = BENCH_CROWD_NETWORK;
  o.sw = sw;
  if (cmt_metrics_new(&o, &m, &why) != CMT_OK) {
    die("metrics", why.text);
  }
  return m;
}

/* Returns the lines of the page that are no comments. */
static size_t series_in(cmt_bytes page) {
  size_t count = 0;

  for (size_t i = 0; i < page.len; i++) {
    count += page.base[i] != '#' && (i == 0 || page.base[i - 1] == '\n');
  }
  return count;
}

static void metrics_time(cmt_metrics *m, const bench_args *a) {
  uint64_t least_ns = UINT64_MAX, most_ns = 0, all_ns = 0;
  size_t series = 0;

  for (size_t i = 0; i < a->rounds; i++) {
    uint64_t start_ns = bench_now_ns(), ns;
    cmt_buf *page;

    if (cmt_metrics_page(&m, 1, &page) != CMT_OK) {
      die("metrics", "no memory");
    }
    ns = bench_now_ns() - start_ns;
    least_ns = ns < least_ns ? ns : least_ns;
    most_ns = ns > most_ns ? ns : most_ns;
    all_ns += ns;
    series = series_in(cmt_buf_bytes(page));
    cmt_buf_unref(page);
  }
  printf("{\"event\":\"result\",\"role\":\"scrape\",\"peers\":%zu,"
         "\"series\":%zu,\"mean_us\":%.1f,\"least_us\":%.1f,"
         "\"most_us\":%.1f}\n",
         a->count, series, (double)all_ns / (double)a->rounds / 1e3,
         (double)least_ns / 1e3, (double)most_ns / 1e3);
  fflush(stdout);
}

static int run_scrape(const bench_args *a) {
  static hub h;
  cmt_metrics *m;

  bench_descriptors(a->count);
  hub_start(&h, bench_env(), a);
  m = metrics_new(h.sw);
  while (atomic_load(&h.messages) < a->count * BENCH_CROWD_CHANNELS) {
    bench_sleep_ns(CMT_MILLISECONDS(50));
  }
  metrics_time(m, a);
  cmt_metrics_delete(m);
  cmt_switch_stop(h.sw, CMT_SECONDS(60)); /* Each gets its answers first. */
  return cmt_switch_delete(h.sw) == CMT_OK ? 0 : 1;
}

/* ---- the crowd ---- */

typedef struct crowd {
  bench_member *members;
  size_t joined; /* Answered by the hub on all channels. */
  size_t ended;  /* Whom the hub has left; it leaves them one by one. */
  int epoll;
} crowd;

static void crowd_end(crowd *c, const bench_member *m) {
  if (m->messages < BENCH_CROWD_CHANNELS) {
    die("start", "the hub is gone");
  }
  epoll_ctl(c->epoll, EPOLL_CTL_DEL, m->fd, NULL);
  c->ended++;
}

/* Serves whoever has something to read. */
static void crowd_serve(crowd *c) {
  struct epoll_event ready[READY];
  int count = epoll_wait(c->epoll, ready, READY, -1);

  for (int i = 0; i < count; i++) {
    bench_member *m = &c->members[ready[i].data.u32];
    uint64_t before = m->messages;

    if (!bench_member_read(m)) {
      crowd_end(c, m);
      continue;
    }
    if (m->up && !m->spoken) {
      bench_member_speak(m, MESSAGE);
    }
    c->joined +=
      before < BENCH_CROWD_CHANNELS && m->messages >= BENCH_CROWD_CHANNELS;
  }
}

static void crowd_dial(crowd *c, uint32_t i, const char *addr) {
  struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i};
  cmt_node_key *key;

  if (cmt_node_key_generate(bench_crowd_env(), &key) != CMT_OK) {
    die("start", "no key");
  }
  bench_member_start(&c->members[i], key, addr);
  cmt_node_key_delete(key); /* The connection has a reference of its own. */
  epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->members[i].fd, &ev);
}

static int run_crowd(const bench_args *a) {
  crowd c = {.members = calloc(a->count, sizeof *c.members),
             .epoll = epoll_create1(0)};
  uint32_t dialed = 0;

  bench_descriptors(a->count);
  if (c.members == NULL || c.epoll < 0 || a->addr == NULL) {
    die("start", "no address or no memory");
  }
  while (c.joined < a->count) {
    /* Some at a time: CometBFT answers late, by its flush throttle. */
    while (dialed < a->count && dialed - c.joined < JOINING_MAX) {
      crowd_dial(&c, dialed++, a->addr);
    }
    crowd_serve(&c);
  }
  while (c.ended < a->count) {
    crowd_serve(&c);
  }
  for (size_t i = 0; i < a->count; i++) {
    bench_member_stop(&c.members[i]);
  }
  free(c.members);
  close(c.epoll);
  printf("{\"event\":\"result\",\"role\":\"crowd\"}\n");
  return 0;
}

int main(int argc, char **argv) {
  static const bench_verb verbs[] = {
    {"hub", run_hub}, {"scrape", run_scrape}, {"crowd", run_crowd}};

  return bench_main(argc, argv, verbs, sizeof verbs / sizeof *verbs);
}
