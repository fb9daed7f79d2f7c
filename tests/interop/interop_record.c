/* SPDX-License-Identifier: Apache-2.0 */
/* Records a session with a node that echoes, as JSON on stdout:

     interop_record HOST:PORT SEED EPHEMERAL VERSION

   The handshake, two pings, messages on each channel, and our stop.  SEED and
   EPHEMERAL are our keys in hex. */

#include "session.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

enum { READ_SIZE = 65536, WAIT_MS = 5000 };

typedef struct recorder {
  int fd;
  cmt_conn *conn;
  json_t *steps;
  uint64_t start_ns;
  unsigned events[CMT_CONN_END + 1];
} recorder;

static _Noreturn void die(const char *what) {
  fprintf(stderr, "interop_record: %s\n", what);
  exit(1);
}

static uint64_t now(const recorder *r) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec - r->start_ns;
}

static void step(recorder *r, uint64_t at, json_t *fields) {
  json_object_set_new(fields, "at", json_integer((json_int_t)at));
  json_array_append_new(r->steps, fields);
}

static void step_hex(recorder *r, uint64_t at, const char *name,
                     const uint8_t *data, size_t len) {
  char *hex = malloc(2 * len + 1);

  if (hex == NULL) {
    die("out of memory");
  }
  step(r, at,
       json_pack("{s:s}", name, sodium_bin2hex(hex, 2 * len + 1, data, len)));
  free(hex);
}

static void flush(recorder *r) {
  static uint8_t out[CMT_CONN_WRITE_ROOM];
  uint64_t at = now(r);
  size_t len;

  while ((len = cmt_conn_write(r->conn, out, sizeof out, at)) > 0) {
    if (send(r->fd, out, len, MSG_NOSIGNAL) != (ssize_t)len) {
      die("short write");
    }
    step_hex(r, at, "out", out, len);
    cmt_conn_consume(r->conn, len, at);
  }
}

static void events(recorder *r, uint64_t at) {
  char text[SESSION_TEXT];
  cmt_conn_event e;

  while (cmt_conn_next_event(r->conn, &e)) {
    session_event_text(r->conn, &e, text);
    r->events[e.kind]++;
    step(r, at, json_pack("{s:s}", "event", text));
    if (e.kind == CMT_CONN_END && e.err != CMT_ECANCELED) {
      die(text);
    }
  }
}

/* Reads until |count| events of |kind| have come. */
static void wait_for(recorder *r, cmt_conn_event_kind kind, unsigned count) {
  static uint8_t in[READ_SIZE];

  flush(r);
  while (r->events[kind] < count) {
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    uint64_t at;
    ssize_t n;

    if (poll(&p, 1, WAIT_MS) != 1 || (n = read(r->fd, in, sizeof in)) <= 0) {
      die("the node said nothing or hung up");
    }
    at = now(r);
    step_hex(r, at, "in", in, (size_t)n);
    if (cmt_conn_recv(r->conn, in, (size_t)n, at) != CMT_OK) {
      die("the connection has ended");
    }
    events(r, at);
    flush(r);
  }
}

static void ping(recorder *r, unsigned count) {
  step(r, now(r), json_pack("{s:b}", "ping", 1));
  if (cmt_conn_ping(r->conn, now(r)) != CMT_OK) {
    die("cannot ping");
  }
  wait_for(r, CMT_CONN_PONG, count);
}

static void message(recorder *r, uint8_t channel, size_t size) {
  unsigned next = r->events[CMT_CONN_MESSAGE] + 1;
  uint8_t fill = (uint8_t)(channel + next);

  step(r, now(r),
       json_pack("{s:i, s:i, s:i}", "send", channel, "size", (int)size, "fill",
                 fill));
  if (cmt_conn_try_send(r->conn, channel, session_message(size, fill),
                        now(r)) != CMT_OK) {
    die("cannot send");
  }
  wait_for(r, CMT_CONN_MESSAGE, next);
}

static int dial(const char *addr) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  cmt_net_addr a;

  if (cmt_net_addr_parse(addr, CMT_ADDR_NO_ID, &a, NULL) != CMT_OK) {
    die("not an address");
  }
  to.sin_port = htons(a.port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
    die("cannot connect");
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

int main(int argc, char **argv) {
  static const size_t sizes[] = {0, 1, 1024, 1500};
  json_t *root;
  recorder r = {.steps = json_array()};
  session_keys keys;
  cmt_why why;

  if (argc != 5 || !session_keys_init(&keys, argv[2], argv[3])) {
    die("usage: interop_record HOST:PORT SEED EPHEMERAL VERSION");
  }
  r.fd = dial(argv[1]);
  r.start_ns = now(&r);
  if (session_conn_new(&keys, &r.conn, &why) != CMT_OK) {
    die(why.text);
  }
  wait_for(&r, CMT_CONN_UP, 1);
  ping(&r, 1);
  for (size_t i = 0; i < CMT__COUNT(sizes); i++) {
    message(&r, session_channels[i % 3].id, sizes[i]);
  }
  ping(&r, 2);
  step(&r, now(&r), json_pack("{s:b}", "stop", 1));
  cmt_conn_stop(r.conn, CMT_ECANCELED, 0, now(&r));
  events(&r, now(&r));
  root =
    json_pack("{s:s, s:s, s:s, s:s, s:o}", "source",
              "recorded by ./dev interop --record", "version", argv[4],
              "node_key_seed", argv[2], "ephemeral", argv[3], "steps", r.steps);
  json_dumpf(root, stdout, JSON_INDENT(1));
  printf("\n");
  json_decref(root);
  cmt_conn_delete(r.conn);
  session_keys_fini(&keys);
  close(r.fd);
  return 0;
}
