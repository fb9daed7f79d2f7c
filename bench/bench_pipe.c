/* SPDX-License-Identifier: Apache-2.0 */
/* What bounds a connection on this machine: one copy, the cryptography and the
   system calls alone.

     bench_pipe recv
                    reads, opens and copies out frames
     bench_pipe send --addr A --seconds S
                    copies in and seals runs of 256 frames, and writes them
     bench_pipe drink | pour --addr A --seconds S
                    the same calls, without copies and cryptography
     bench_pipe echo | ping --addr A --count N
                    one frame back and forth, over the same event loop as the
                    switch and without any protocol
     bench_pipe serve | load --addr A --seconds S
                    as recv and send, and one plain frame back and forth beside
                    it, on a connection and a thread of its own */

#include "bench.h"
#include "net/uv/loop_uv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RUN_FRAMES = 256, READ_SIZE = 65536 };

static int fail(const char *what) {
  perror(what);
  return 1;
}

static bool write_all(int fd, const uint8_t *data, size_t len) {
  while (len > 0) {
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

    if (n <= 0) {
      return false;
    }
    data += n;
    len -= (size_t)n;
  }
  return true;
}

/* Writes what the handshake has and reads until both sides are up. */
static cmt_secret_conn *secret_up(int fd) {
  static uint8_t in[CMT_FRAME_SLOT + 64];
  cmt_secret_conn_event e;
  size_t want = 35;
  cmt_secret_conn *s;
  cmt_node_key *key;
  cmt_bytes out;

  if (cmt_node_key_generate(NULL, &key) != CMT_OK ||
      cmt_secret_conn_new(bench_env(), key, &s) != CMT_OK) {
    return NULL;
  }
  while (true) {
    out = cmt_secret_conn_output(s);
    if (!write_all(fd, out.base, out.len)) {
      return NULL;
    }
    cmt_secret_conn_consume(s, out.len);
    if (cmt_secret_conn_id(s) != NULL) {
      cmt_node_key_delete(key);
      return s;
    }
    /* Exactly one message, so that the first frames of data stay behind. */
    if (recv(fd, in, want, MSG_WAITALL) != (ssize_t)want ||
        cmt_secret_conn_recv(s, in, want) != CMT_OK ||
        (cmt_secret_conn_next_event(s, &e) && e.kind != CMT_SECRET_CONN_UP)) {
      return NULL;
    }
    want = CMT_FRAME_SLOT;
  }
}

/* Opens what was read, and copies it to where a message would be. */
static cmt_err open_all(cmt_secret_conn *s, uint8_t *in, size_t len,
                        bench_counter *c) {
  static uint8_t msg[READ_SIZE];
  cmt_err err = cmt_secret_conn_recv(s, in, len);
  cmt_secret_conn_event e;
  size_t opened = 0;

  while (err == CMT_OK && cmt_secret_conn_next_event(s, &e)) {
    err = e.err;
    if (e.kind == CMT_SECRET_CONN_DATA) {
      memcpy(msg, e.data.base, e.data.len);
      opened += e.data.len;
    }
  }
  if (opened > 0) {
    bench_count(c, opened);
  }
  return err;
}

/* |s| is NULL where nothing is opened. */
static int recv_all(int fd, cmt_secret_conn *s) {
  static uint8_t in[READ_SIZE];
  bench_counter c = {.cpu = bench_cpu_seconds()};
  ssize_t n;

  while ((n = read(fd, in, sizeof in)) > 0) {
    if (s == NULL) {
      bench_count(&c, (size_t)n);
    } else if (open_all(s, in, (size_t)n, &c) != CMT_OK) {
      return fail("open");
    }
  }
  bench_emit_bulk("recv", &c);
  cmt_secret_conn_delete(s);
  close(fd);
  return 0;
}

static void copy_in(uint8_t *slots, const uint8_t *msg) {
  for (size_t i = 0; i < RUN_FRAMES; i++) {
    memcpy(slots + i * CMT_FRAME_SLOT + CMT_FRAME_HEADER,
           msg + i * CMT_FRAME_DATA, CMT_FRAME_DATA);
  }
}

/* |s| is NULL where nothing is sealed. */
static int send_all(const bench_args *a, int fd, cmt_secret_conn *s) {
  static uint8_t slots[RUN_FRAMES * CMT_FRAME_SLOT];
  static uint8_t msg[RUN_FRAMES * CMT_FRAME_DATA];
  bench_counter c = {.cpu = bench_cpu_seconds()};
  uint64_t until_ns = bench_now_ns() + (uint64_t)(a->seconds * 1e9);

  while (bench_now_ns() < until_ns) {
    if (s != NULL) {
      copy_in(slots, msg);
      if (cmt_secret_conn_seal(s, slots, sizeof msg) != CMT_OK) {
        return fail("seal");
      }
    }
    if (!write_all(fd, slots, sizeof slots)) {
      return fail("send");
    }
    bench_count(&c, s != NULL ? sizeof msg : sizeof slots);
  }
  bench_emit_bulk("send", &c);
  cmt_secret_conn_delete(s);
  close(fd);
  return 0;
}

static int run_recv(const bench_args *a) {
  int fd = bench_accept();
  cmt_secret_conn *s = secret_up(fd);

  (void)a;
  return s != NULL ? recv_all(fd, s) : fail("handshake");
}

static int run_send(const bench_args *a) {
  int fd = bench_dial(a->addr);
  cmt_secret_conn *s = secret_up(fd);

  return s != NULL ? send_all(a, fd, s) : fail("handshake");
}

static int run_drink(const bench_args *a) {
  (void)a;
  return recv_all(bench_accept(), NULL);
}

static int run_pour(const bench_args *a) {
  return send_all(a, bench_dial(a->addr), NULL);
}

/* ---- an echo beside it, which waits behind nothing but the processor ---- */

enum { ECHOES_MAX = 100000 };

typedef struct bulk {
  const bench_args *args;
  int fd;
  cmt_secret_conn *secret;
} bulk;

static void *bulk_recv(void *arg) {
  bulk *b = arg;

  if (recv_all(b->fd, b->secret) != 0) {
    exit(1);
  }
  return NULL;
}

static void *bulk_send(void *arg) {
  bulk *b = arg;

  if (send_all(b->args, b->fd, b->secret) != 0) {
    exit(1);
  }
  return NULL;
}

static int run_serve(const bench_args *a) {
  static uint8_t frame[CMT_FRAME_SLOT];
  int listener = bench_listen(2), fd;
  bulk b = {.args = a, .fd = accept(listener, NULL, NULL)};
  pthread_t thread;

  b.secret = secret_up(b.fd);
  fd = accept(listener, NULL, NULL);
  if (b.secret == NULL || fd < 0) {
    return fail("accept");
  }
  pthread_create(&thread, NULL, bulk_recv, &b);
  while (recv(fd, frame, sizeof frame, MSG_WAITALL) == (ssize_t)sizeof frame &&
         write_all(fd, frame, sizeof frame)) {
  }
  pthread_join(thread, NULL);
  close(fd);
  close(listener);
  return 0;
}

static int run_load(const bench_args *a) {
  static uint8_t frame[CMT_FRAME_SLOT];
  bulk b = {.args = a, .fd = bench_dial(a->addr)};
  uint64_t *times_ns = calloc(ECHOES_MAX, sizeof *times_ns), until_ns;
  size_t trips = 0;
  pthread_t thread;
  int fd;

  b.secret = secret_up(b.fd);
  fd = bench_dial(a->addr);
  if (b.secret == NULL || times_ns == NULL) {
    return fail("handshake");
  }
  until_ns = bench_now_ns() + (uint64_t)(a->seconds * 1e9);
  pthread_create(&thread, NULL, bulk_send, &b);
  bench_sleep_ns(CMT_MILLISECONDS(100)); /* Until the link is full. */
  while (bench_now_ns() < until_ns && trips < ECHOES_MAX) {
    uint64_t sent_ns = bench_now_ns();

    if (!write_all(fd, frame, sizeof frame) ||
        recv(fd, frame, sizeof frame, MSG_WAITALL) != (ssize_t)sizeof frame) {
      return fail("echo");
    }
    times_ns[trips++] = bench_now_ns() - sent_ns;
    bench_sleep_ns(BENCH_ECHO_GAP_NS);
  }
  pthread_join(thread, NULL);
  bench_emit_load(times_ns, trips);
  close(fd);
  free(times_ns);
  return 0;
}

/* ---- the plain echo ---- */

typedef struct echo {
  const bench_args *args;
  cmt__loop *loop;
  cmt__tcp *tcp;
  uint8_t msg[CMT_FRAME_SLOT];
  size_t have, trips;
  uint64_t *times_ns, sent_ns; /* NULL on the side that echoes. */
} echo;

static void echo_write(echo *e) {
  size_t taken;

  e->sent_ns = bench_now_ns();
  if (cmt__tcp_write(e->tcp, e->msg, sizeof e->msg, &taken) != CMT_OK ||
      taken != sizeof e->msg) {
    exit(fail("write"));
  }
}

static void on_connect(void *arg, cmt_err err) {
  echo *e = arg;

  if (err != CMT_OK) {
    exit(fail(cmt_err_name(err)));
  }
  cmt__tcp_read(e->tcp, true);
  echo_write(e);
}

static void on_read(void *arg, uint8_t *data, size_t len) {
  echo *e = arg;

  memcpy(e->msg + e->have, data, cmt__min(len, sizeof e->msg - e->have));
  e->have += len;
  if (e->have < sizeof e->msg) {
    return;
  }
  e->have = 0;
  if (e->times_ns != NULL) {
    e->times_ns[e->trips++] = bench_now_ns() - e->sent_ns;
    if (e->trips == e->args->count) {
      cmt__loop_stop(e->loop);
      return;
    }
  }
  echo_write(e);
}

static void on_end(void *arg, cmt_err err) {
  (void)err;
  cmt__loop_stop(((echo *)arg)->loop);
}

static void on_writable(void *arg) { (void)arg; }

static const cmt__tcp_callbacks echo_callbacks = {
  .on_connect = on_connect,
  .on_read = on_read,
  .on_end = on_end,
  .on_writable = on_writable,
};

static void on_accept(void *arg, cmt__tcp *tcp) {
  echo *e = arg;

  e->tcp = tcp;
  cmt__tcp_start(tcp, &echo_callbacks, e);
  cmt__tcp_read(tcp, true);
}

static int run_echo(const bench_args *a) {
  static echo e;
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt__listener *listener;
  cmt_net_addr at = {.host = "127.0.0.1"};
  cmt_why why;

  e.args = a;
  if (cmt__loop_uv_new(NULL, &e.loop) != CMT_OK ||
      cmt__loop_listen(e.loop, &at, on_accept, &e, &listener, &why) != CMT_OK) {
    return fail("listen");
  }
  cmt__listener_addr(listener, &at);
  if (cmt_net_addr_format(&at, text, sizeof text) != CMT_OK) {
    return fail("address");
  }
  bench_emit_ready("", text);
  cmt__loop_run(e.loop);
  cmt__tcp_close(e.tcp);
  cmt__listener_close(listener);
  cmt__loop_delete(e.loop);
  return 0;
}

static int run_ping(const bench_args *a) {
  bench_args full = *a;
  static echo e;
  cmt_net_addr to;
  double cpu = bench_cpu_seconds();

  full.size = CMT_FRAME_SLOT;
  e.args = &full;
  e.times_ns = calloc(a->count, sizeof *e.times_ns);
  if (e.times_ns == NULL ||
      cmt_net_addr_parse(a->addr, CMT_ADDR_NO_ID, &to, NULL) != CMT_OK ||
      cmt__loop_uv_new(NULL, &e.loop) != CMT_OK ||
      cmt__loop_connect(e.loop, &to, &echo_callbacks, &e, &e.tcp) != CMT_OK) {
    return fail("connect");
  }
  cmt__loop_run(e.loop);
  bench_emit_ping(&full, e.times_ns, cpu);
  cmt__tcp_close(e.tcp);
  cmt__loop_delete(e.loop);
  free(e.times_ns);
  return 0;
}

int main(int argc, char **argv) {
  static const bench_verb verbs[] = {
    {"recv", run_recv},   {"send", run_send}, {"drink", run_drink},
    {"pour", run_pour},   {"echo", run_echo}, {"ping", run_ping},
    {"serve", run_serve}, {"load", run_load},
  };

  return bench_main(argc, argv, verbs, sizeof verbs / sizeof *verbs);
}
