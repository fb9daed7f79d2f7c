/* SPDX-License-Identifier: Apache-2.0 */

#include "bench_world.h"

#include "bench_crowd.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static _Noreturn void die(const char *what, const char *text) {
  fprintf(stderr, "bench_world: %s: %s\n", what, text);
  exit(1);
}

/* ---- numbers ---- */

/* Bytes that follow from the number of a node. */
static void number_bytes(void *arg, void *out, size_t len) {
  const uint32_t *node = arg;
  uint64_t state = UINT64_C(0x9e3779b97f4a7c15) * (*node + 1);
  uint8_t *bytes = out;

  for (size_t i = 0; i < len; i++) {
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    bytes[i] = (uint8_t)(state >> 56);
  }
}

cmt_node_key *bench_world_key(uint32_t node) {
  cmt_env env = *bench_crowd_env();
  cmt_node_key *key;

  env.entropy = number_bytes;
  env.entropy_arg = &node;
  if (cmt_node_key_generate(&env, &key) != CMT_OK) {
    die("start", "no key");
  }
  return key;
}

/* 127.A.B.C with A and B from 1 to 250 and from 0 to 249. */
struct in_addr bench_world_host(uint32_t node) {
  const uint32_t a = 1 + node % BENCH_WORLD_GROUPS,
                 b = node / BENCH_WORLD_GROUPS % 250,
                 c = 1 + node / BENCH_WORLD_GROUPS / 250;

  return (struct in_addr){htonl(UINT32_C(127) << 24 | a << 16 | b << 8 | c)};
}

uint32_t bench_world_node(struct in_addr host) {
  const uint32_t at = ntohl(host.s_addr), a = at >> 16 & 255, b = at >> 8 & 255,
                 c = at & 255;

  return ((c - 1) * 250 + b) * BENCH_WORLD_GROUPS + (a - 1);
}

void bench_world_addr(uint32_t node, uint16_t port, cmt_net_addr *out) {
  const struct in_addr host = bench_world_host(node);
  cmt_node_key *key = bench_world_key(node);

  *out = (cmt_net_addr){.port = port};
  cmt_node_key_get_id(key, &out->id);
  cmt_node_key_delete(key);
  inet_ntop(AF_INET, &host, out->host, sizeof out->host);
}

/* ---- connections ---- */

static cmt_node_info info_of(cmt_bytes network, uint16_t port,
                             char listen_addr[32]) {
  snprintf(listen_addr, 32, "tcp://0.0.0.0:%u", port);
  return (cmt_node_info){
    .protocol_p2p = 8,
    .protocol_block = 11,
    .listen_addr = cmt_bytes_of(listen_addr),
    .network = network,
    .version = cmt_bytes_of("0.40.0"),
    .moniker = cmt_bytes_of("node"),
    .tx_index = cmt_bytes_of("on"),
    .rpc_address = cmt_bytes_of("tcp://127.0.0.1:26657"),
  };
}

cmt_conn *bench_world_conn(const bench_world_self *self, bool listener) {
  char listen_addr[32];
  cmt_node_info info =
    info_of(cmt_bytes_of(self->network), self->port, listen_addr);
  cmt_conn_options o;
  cmt_conn *conn;
  cmt_why why;

  cmt_conn_options_init(&o);
  o.env = bench_crowd_env();
  o.key = self->key;
  o.node_info = &info;
  o.channels = bench_crowd_channels();
  o.channel_count = BENCH_CROWD_CHANNELS;
  o.ping_interval_ns = CMT_NEVER;
  o.any_network = true;
  o.info_wait_ns = listener ? CMT_SECONDS(1) : 0;
  if (cmt_conn_new(&o, bench_now_ns(), &conn, &why) != CMT_OK) {
    die("start", why.text);
  }
  return conn;
}

void bench_world_answer(cmt_conn *conn, const cmt_node_info *theirs,
                        uint16_t port) {
  char listen_addr[32];
  cmt_node_info info = info_of(theirs->network, port, listen_addr);

  cmt_ignore(cmt_conn_set_node_info(conn, &info, NULL));
}

bool bench_world_write(cmt_conn *conn, int fd) {
  static uint8_t out[CMT_CONN_WRITE_ROOM];
  size_t len;

  while ((len = cmt_conn_write(conn, out, sizeof out, bench_now_ns())) > 0) {
    if (send(fd, out, len, MSG_NOSIGNAL) != (ssize_t)len) {
      return false;
    }
    cmt_conn_consume(conn, len, bench_now_ns());
  }
  return true;
}
