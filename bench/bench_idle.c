/* SPDX-License-Identifier: Apache-2.0 */
/* What an idle peer costs, in memory:

     bench_idle hub --count N                  a switch, until N peers are idle
     bench_idle crowd --addr ID@A --count N    as many nodes that dial it

   Each peer sends a message on every channel and gets one back; then it only
   answers pings.  Once the hub has a pong of each, it reports what it holds.
   The crowd are connections without a switch, so that one thread has them all.
 */

#include "bench.h"

#include "core/conn/node_info.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define NETWORK "bench-idle"
/* With these both node infos take about 200 bytes. */
#define MONIKER "an-operator-of-a-validator-with-a-long-name-0123456789-abcdef"
#define VERSION "0.40.0-bench-0123456789abcdef"

/* The channels of a CometBFT node, and one more. */
static const uint8_t ids[] = {0x00, 0x20, 0x21, 0x22, 0x23, 0x30,
                              0x31, 0x38, 0x40, 0x60, 0x61};

enum { CHANNELS = sizeof ids, MESSAGE = 64, READ = 65536 };

static cmt_channel channels[CHANNELS];

static void channels_init(void) {
  for (size_t i = 0; i < CHANNELS; i++) {
    channels[i] = (cmt_channel){.id = ids[i], .priority = 5, .send_queue = 100};
  }
}

static _Noreturn void die(const char *what, const char *text) {
  fprintf(stderr, "bench_idle: %s: %s\n", what, text);
  exit(1);
}

/* Room for the sockets of |count| peers. */
static void descriptors_raise(size_t count) {
  const rlim_t wanted = count + 64;
  struct rlimit r;

  if (getrlimit(RLIMIT_NOFILE, &r) != 0) {
    die("limits", "unknown");
  }
  if (r.rlim_cur < wanted) {
    r.rlim_cur = wanted;
    r.rlim_max = r.rlim_max < wanted ? wanted : r.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0) {
      die("limits", "not enough descriptors are allowed");
    }
  }
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

static void memory_emit(const memory *none, const memory *all, size_t peers) {
  printf("{\"event\":\"result\",\"role\":\"hub\",\"peers\":%zu,"
         "\"bytes_without\":%zu,\"bytes_with\":%zu,"
         "\"bytes_per_peer\":%.1f,\"blocks_per_peer\":%.2f,"
         "\"keys_per_peer\":%.1f,\"resident_per_peer\":%.1f}\n",
         peers, none->bytes, all->bytes, each(none->bytes, all->bytes, peers),
         each(none->blocks, all->blocks, peers),
         each(none->keys, all->keys, peers),
         each(none->resident, all->resident, peers));
  fflush(stdout);
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
  return cmt_peer_try_send(p, channel, cmt_buf_ref(msg));
}

static void hub_start(hub *h, const cmt_env *env, const bench_args *a) {
  const cmt_reactor reactor = {
    .name = "idle",
    .channels = channels,
    .channel_count = CHANNELS,
    .self = h,
    .receive = hub_receive,
  };
  cmt_switch_options o;
  cmt_why why;

  cmt_switch_options_init(&o);
  o.env = env;
  o.network = NETWORK;
  o.moniker = MONIKER;
  o.version = VERSION;
  o.laddr = "127.0.0.1:0";
  o.reactors = &reactor;
  o.reactor_count = 1;
  o.inbound_peers_max = (uint32_t)a->count;
  o.ping_interval_ns = CMT_SECONDS(2);
  o.pong_timeout_ns = CMT_SECONDS(1);
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

static int run_hub(const bench_args *a) {
  static hub h;
  cmt_peer **peers = calloc(a->count, sizeof(cmt_peer *));
  memory none, all;
  cmt_env env;

  channels_init();
  descriptors_raise(a->count);
  if (peers == NULL || cmt_env_init(&env) != CMT_OK) {
    die("start", "no memory");
  }
  env.alloc = count_alloc;
  env.free = count_free;
  hub_start(&h, &env, a);
  none = memory_now(h.sw);
  while (atomic_load(&h.messages) < a->count * CHANNELS ||
         hub_idle(&h, peers, a->count) < a->count) {
    usleep(200000);
  }
  all = memory_now(h.sw);
  memory_emit(&none, &all, a->count);
  free(peers);
  cmt_switch_stop(h.sw, 0);
  return cmt_switch_delete(h.sw) == CMT_OK ? 0 : 1;
}

/* ---- the crowd ---- */

typedef struct member {
  cmt_node_key *key;
  cmt_conn *conn;
  size_t messages; /* How many came back. */
} member;

static void member_start(member *m, const bench_args *a, struct pollfd *p) {
  const cmt_node_info info = {
    .protocol_p2p = 8,
    .protocol_block = 11,
    .listen_addr = cmt_bytes_of("tcp://127.0.0.1:26656"),
    .network = cmt_bytes_of(NETWORK),
    .version = cmt_bytes_of(VERSION),
    .moniker = cmt_bytes_of(MONIKER),
    .tx_index = cmt_bytes_of("off"),
  };
  cmt_conn_options o;
  cmt_why why;

  cmt_conn_options_init(&o);
  o.node_info = &info;
  o.channels = channels;
  o.channel_count = CHANNELS;
  o.ping_interval_ns = CMT_NEVER;
  if (cmt_node_key_generate(NULL, &m->key) != CMT_OK) {
    die("start", "no key");
  }
  o.key = m->key;
  if (cmt_conn_new(&o, bench_now_ns(), &m->conn, &why) != CMT_OK) {
    die("start", why.text);
  }
  *p = (struct pollfd){.fd = bench_dial(a->addr), .events = POLLIN};
}

static void member_write(member *m, int fd) {
  static uint8_t out[CMT_CONN_WRITE_ROOM];
  size_t len;

  while ((len = cmt_conn_write(m->conn, out, sizeof out, bench_now_ns())) > 0) {
    if (write(fd, out, len) != (ssize_t)len) {
      die("write", "the hub is gone, or takes nothing");
    }
    cmt_conn_consume(m->conn, len, bench_now_ns());
  }
}

static void member_speak(member *m) {
  static const uint8_t bytes[MESSAGE];

  for (size_t i = 0; i < CHANNELS; i++) {
    cmt_buf *msg = cmt_buf_copy(NULL, bytes, sizeof bytes);

    if (msg == NULL ||
        cmt_conn_try_send(m->conn, ids[i], msg, bench_now_ns()) != CMT_OK) {
      die("send", "a message was refused");
    }
  }
}

/* Reads once; false: the hub is gone. */
static bool member_read(member *m, int fd) {
  static uint8_t bytes[READ];
  ssize_t n = read(fd, bytes, sizeof bytes);
  cmt_conn_event ev;

  if (n <= 0 ||
      cmt_conn_recv(m->conn, bytes, (size_t)n, bench_now_ns()) != CMT_OK) {
    return false;
  }
  while (cmt_conn_next_event(m->conn, &ev)) {
    if (ev.kind == CMT_CONN_UP) {
      member_speak(m);
    }
    if (ev.kind == CMT_CONN_END) {
      die("handshake", cmt_err_text(ev.err));
    }
    m->messages += ev.kind == CMT_CONN_MESSAGE;
  }
  member_write(m, fd);
  return true;
}

/* Serves whoever has something to read; false: the hub is gone. */
static bool crowd_serve(member *crowd, struct pollfd *p, size_t count) {
  if (poll(p, count, -1) < 0) {
    die("poll", "failed");
  }
  for (size_t i = 0; i < count; i++) {
    if (p[i].revents != 0 && !member_read(&crowd[i], p[i].fd)) {
      return false;
    }
  }
  return true;
}

static int run_crowd(const bench_args *a) {
  member *crowd = calloc(a->count, sizeof *crowd);
  struct pollfd *p = calloc(a->count, sizeof *p);

  channels_init();
  descriptors_raise(a->count);
  if (crowd == NULL || p == NULL || a->addr == NULL) {
    die("start", "no address or no memory");
  }
  for (size_t i = 0; i < a->count; i++) {
    member_start(&crowd[i], a, &p[i]);
    member_write(&crowd[i], p[i].fd);
    while (crowd[i].messages < CHANNELS) {
      if (!crowd_serve(crowd, p, i + 1)) {
        die("start", "the hub is gone");
      }
    }
  }
  while (crowd_serve(crowd, p, a->count)) {
  }
  for (size_t i = 0; i < a->count; i++) {
    cmt_conn_delete(crowd[i].conn);
    cmt_node_key_delete(crowd[i].key);
    close(p[i].fd);
  }
  free(crowd);
  free(p);
  printf("{\"event\":\"result\",\"role\":\"crowd\"}\n");
  return 0;
}

int main(int argc, char **argv) {
  static const bench_verb verbs[] = {{"hub", run_hub}, {"crowd", run_crowd}};

  return bench_main(argc, argv, verbs, sizeof verbs / sizeof *verbs);
}
