/* SPDX-License-Identifier: Apache-2.0 */
/* Two connections in memory, without I/O: what the core alone costs.  Its
   instructions per MiB compare two builds exactly, where seconds do not:

     valgrind --tool=callgrind bench_core WIRE MIB

   with two values of MIB; the difference is without the handshake. */

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  CHANNEL = 0x40,
  MESSAGE = 65536,
  RUN = 262144, /* Bytes moved at a time. */
  QUEUE = 4,    /* Messages that wait. */
  MIB_DEFAULT = 256,
};

typedef struct side {
  cmt_node_key *key;
  cmt_conn *conn;
  bool up;
  uint64_t messages, bytes;
} side;

static void fail(const char *what, cmt_err err) {
  fprintf(stderr, "bench_core: %s: %s\n", what, cmt_err_text(err));
  exit(1);
}

static void check(const char *what, cmt_err err) {
  if (err != CMT_OK) {
    fail(what, err);
  }
}

static void side_open(side *s, const char *moniker, cmt_wire wire) {
  const cmt_channel channel = {
    .id = CHANNEL,
    .priority = 1,
    .send_queue = QUEUE,
    .recv_message_max = MESSAGE,
  };
  const cmt_node_info info = {
    .protocol_p2p = 8,
    .protocol_block = 11,
    .listen_addr = cmt_bytes_of("tcp://127.0.0.1:26656"),
    .network = cmt_bytes_of("bench"),
    .version = cmt_bytes_of(cmt_version()),
    .moniker = cmt_bytes_of(moniker),
  };
  cmt_conn_options o;
  cmt_why why;

  check("key", cmt_node_key_generate(NULL, &s->key));
  cmt_conn_options_init(&o);
  o.key = s->key;
  o.node_info = &info;
  o.wire = wire;
  o.channels = &channel;
  o.channel_count = 1;
  check("connection", cmt_conn_new(&o, 0, &s->conn, &why));
}

static void side_close(side *s) {
  cmt_conn_delete(s->conn);
  cmt_node_key_delete(s->key);
}

static void side_event(side *s, const cmt_conn_event *e) {
  switch (e->kind) {
  case CMT_CONN_UP:
    s->up = true;
    break;
  case CMT_CONN_MESSAGE:
    s->messages++;
    s->bytes += cmt_buf_bytes(e->msg).len;
    break;
  case CMT_CONN_END:
    fprintf(stderr, "bench_core: %s\n", cmt_err_text(e->err));
    exit(1);
  case CMT_CONN_NODE_INFO:
  case CMT_CONN_PONG:
    break;
  }
}

/* Moves what |from| has to send; the bytes of it. */
static size_t move(side *from, side *to) {
  static uint8_t wire[RUN];
  size_t len = cmt_conn_write(from->conn, wire, sizeof wire, 0);
  cmt_conn_event e;

  if (len == 0) {
    return 0;
  }
  cmt_conn_consume(from->conn, len, 0);
  check("receive", cmt_conn_recv(to->conn, wire, len, 0));
  while (cmt_conn_next_event(to->conn, &e)) {
    side_event(to, &e);
  }
  return len;
}

static void pump(side *a, side *b, cmt_buf *msg, uint64_t count) {
  uint64_t queued = 0;

  while (b->messages < count) {
    while (queued < count &&
           cmt_conn_try_send(a->conn, CHANNEL, cmt_buf_ref(msg), 0) == CMT_OK) {
      queued++;
    }
    if (queued < count) {
      cmt_buf_unref(msg); /* The reference of the send that was refused. */
    }
    if (move(a, b) + move(b, a) == 0) {
      fail("nothing moves", CMT_EPROTO);
    }
  }
}

int main(int argc, char **argv) {
  bool legacy = argc > 1 && strcmp(argv[1], "legacy") == 0;
  uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : MIB_DEFAULT;
  cmt_wire wire = legacy ? CMT_WIRE_LEGACY : CMT_WIRE_COMETBFT;
  side a = {0}, b = {0};
  cmt_buf *msg = cmt_buf_new(NULL, MESSAGE);
  uint64_t begin_ns;
  double seconds;

  if (msg == NULL) {
    fail("message", CMT_ENOMEM);
  }
  memset(cmt_buf_data(msg), 0, MESSAGE);
  side_open(&a, "a", wire);
  side_open(&b, "b", wire);
  while (!a.up || !b.up) {
    move(&a, &b);
    move(&b, &a);
  }
  begin_ns = bench_now_ns();
  pump(&a, &b, msg, mib * (1048576 / MESSAGE));
  seconds = (double)(bench_now_ns() - begin_ns) / 1e9;
  printf("{\"bench\":\"core\",\"wire\":\"%s\",\"mib\":%llu,\"message\":%d,"
         "\"seconds\":%.3f,\"mib_per_s\":%.0f}\n",
         legacy ? "legacy" : "cometbft", (unsigned long long)mib, MESSAGE,
         seconds, (double)mib / seconds);
  cmt_buf_unref(msg);
  side_close(&a);
  side_close(&b);
  return 0;
}
