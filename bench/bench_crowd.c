/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that are connections without a switch. */

#include "bench_crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ = 65536, SPOKEN_MAX = 1024 };

static _Noreturn void die(const char *what, const char *text) {
  fprintf(stderr, "bench_crowd: %s: %s\n", what, text);
  exit(1);
}

const cmt_channel *bench_crowd_channels(void) {
  static const uint8_t ids[BENCH_CROWD_CHANNELS] = {
    0x00, 0x20, 0x21, 0x22, 0x23, 0x30, 0x31, 0x38, 0x40, 0x60, 0x61};
  static cmt_channel channels[BENCH_CROWD_CHANNELS];

  for (size_t i = 0; i < sizeof ids; i++) {
    channels[i] = (cmt_channel){.id = ids[i], .priority = 5, .send_queue = 100};
  }
  return channels;
}

static void member_write(bench_member *m) {
  static uint8_t out[CMT_CONN_WRITE_ROOM];
  size_t len;

  while ((len = cmt_conn_write(m->conn, out, sizeof out, bench_now_ns())) > 0) {
    if (write(m->fd, out, len) != (ssize_t)len) {
      die("write", "the hub is gone, or takes nothing");
    }
    cmt_conn_consume(m->conn, len, bench_now_ns());
  }
}

/* The members' keys guard nothing.  In pages of their own, with guard pages
   around them, those of a member and its node key are up to twelve mappings, of
   which Linux allows a process 65,530. */
static void *plain_alloc(void *arg, size_t len, bool *locked) {
  (void)arg;
  (void)locked;
  return malloc(len);
}

static void plain_free(void *arg, void *p, size_t len) {
  (void)arg;
  (void)len;
  free(p);
}

const cmt_env *bench_crowd_env(void) {
  static cmt_env env;

  if (env.alloc == NULL) {
    env = *bench_env();
    env.secret_alloc = plain_alloc;
    env.secret_free = plain_free;
    env.secret_protect = NULL;
  }
  return &env;
}

void bench_member_start(bench_member *m, const cmt_node_key *key,
                        const char *addr) {
  const cmt_node_info info = {
    .protocol_p2p = 8,
    .protocol_block = 11,
    .listen_addr = cmt_bytes_of("tcp://127.0.0.1:26656"),
    .network = cmt_bytes_of(BENCH_CROWD_NETWORK),
    .version = cmt_bytes_of(BENCH_CROWD_VERSION),
    .moniker = cmt_bytes_of(BENCH_CROWD_MONIKER),
    .tx_index = cmt_bytes_of("off"),
  };
  cmt_conn_options o;
  cmt_why why;

  *m = (bench_member){.fd = bench_dial(addr)};
  cmt_conn_options_init(&o);
  o.env = bench_crowd_env();
  o.key = key;
  o.node_info = &info;
  o.channels = bench_crowd_channels();
  o.channel_count = BENCH_CROWD_CHANNELS;
  o.ping_interval_ns = CMT_NEVER;
  if (cmt_conn_new(&o, bench_now_ns(), &m->conn, &why) != CMT_OK) {
    die("start", why.text);
  }
  member_write(m);
}

bool bench_member_read(bench_member *m) {
  static uint8_t bytes[READ];
  ssize_t n = read(m->fd, bytes, sizeof bytes);
  cmt_conn_event ev;

  if (n <= 0 ||
      cmt_conn_recv(m->conn, bytes, (size_t)n, bench_now_ns()) != CMT_OK) {
    return false;
  }
  while (cmt_conn_next_event(m->conn, &ev)) {
    if (ev.kind == CMT_CONN_END) {
      die("handshake", cmt_err_text(ev.err));
    }
    m->up = m->up || ev.kind == CMT_CONN_UP;
    m->messages += ev.kind == CMT_CONN_MESSAGE;
  }
  member_write(m);
  return true;
}

void bench_member_speak(bench_member *m, size_t len) {
  static const uint8_t bytes[SPOKEN_MAX];
  const cmt_channel *channels = bench_crowd_channels();

  for (size_t i = 0; i < BENCH_CROWD_CHANNELS; i++) {
    cmt_buf *msg = cmt_buf_copy(NULL, bytes, len);

    if (msg == NULL || cmt_conn_try_send(m->conn, channels[i].id, msg,
                                         bench_now_ns()) != CMT_OK) {
      die("send", "a message was refused");
    }
  }
  member_write(m);
  m->spoken = true;
}

void bench_member_stop(bench_member *m) {
  cmt_conn_delete(m->conn);
  close(m->fd);
}
