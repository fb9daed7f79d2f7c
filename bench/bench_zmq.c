/* SPDX-License-Identifier: Apache-2.0 */
/* ZeroMQ with CURVE and libzmq's defaults: two PAIR sockets, and for a crowd an
   XPUB socket and as many SUB sockets.
   The server's id is its public key, so the client knows whom it talks to. */

#include "bench_blocking.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { KEY_SIZE = 41 }; /* In Z85, with its NUL. */

static void *context, *pair;
static zmq_msg_t msg;

static bool check(int result, const char *what) {
  if (result >= 0) {
    return true;
  }
  fprintf(stderr, "bench_zmq: %s: %s\n", what, zmq_strerror(zmq_errno()));
  return false;
}

static bool listen_with(const char *public_key, const char *secret_key) {
  char at[100];
  size_t len = sizeof at;
  int on = 1;

  if (!check(zmq_setsockopt(pair, ZMQ_CURVE_SERVER, &on, sizeof on), "curve") ||
      !check(zmq_setsockopt(pair, ZMQ_CURVE_SECRETKEY, secret_key, KEY_SIZE),
             "key") ||
      !check(zmq_bind(pair, "tcp://127.0.0.1:*"), "bind") ||
      !check(zmq_getsockopt(pair, ZMQ_LAST_ENDPOINT, at, &len), "address")) {
    return false;
  }
  bench_emit_ready(public_key, at + strlen("tcp://"));
  return true;
}

/* |addr| is KEY@HOST:PORT, and a key may hold an '@'. */
static bool dial_with(const char *addr, const char *public_key,
                      const char *secret_key) {
  const char *host = strrchr(addr, '@');
  char server[KEY_SIZE], to[100];

  if (host == NULL || host - addr != KEY_SIZE - 1) {
    fprintf(stderr, "bench_zmq: no key in %s\n", addr);
    return false;
  }
  memcpy(server, addr, KEY_SIZE - 1);
  server[KEY_SIZE - 1] = '\0';
  snprintf(to, sizeof to, "tcp://%s", host + 1);
  return check(zmq_setsockopt(pair, ZMQ_CURVE_SERVERKEY, server, KEY_SIZE),
               "server key") &&
         check(zmq_setsockopt(pair, ZMQ_CURVE_PUBLICKEY, public_key, KEY_SIZE),
               "public key") &&
         check(zmq_setsockopt(pair, ZMQ_CURVE_SECRETKEY, secret_key, KEY_SIZE),
               "secret key") &&
         check(zmq_connect(pair, to), "connect");
}

/* libzmq's own limit on both sides is 1000 messages. */
static bool set_queue(size_t queue) {
  int limit = (int)queue;

  return queue == 0 ||
         (check(zmq_setsockopt(pair, ZMQ_SNDHWM, &limit, sizeof limit),
                "queue") &&
          check(zmq_setsockopt(pair, ZMQ_RCVHWM, &limit, sizeof limit),
                "queue"));
}

static bool zmq_open(const bench_args *a) {
  char public_key[KEY_SIZE], secret_key[KEY_SIZE];

  zmq_msg_init(&msg);
  context = zmq_ctx_new();
  pair = zmq_socket(context, ZMQ_PAIR);
  if (pair == NULL || !set_queue(a->queue) ||
      !check(zmq_curve_keypair(public_key, secret_key), "key")) {
    return false;
  }
  return a->addr == NULL ? listen_with(public_key, secret_key)
                         : dial_with(a->addr, public_key, secret_key);
}

/* ---- a crowd ---- */

static void **members;

/* An XPUB socket receives a message for each subscription. */
static bool zmq_hub(const bench_args *a) {
  int verbose = 1;
  char public_key[KEY_SIZE], secret_key[KEY_SIZE];

  bench_descriptors(a->count);
  zmq_msg_init(&msg);
  context = zmq_ctx_new();
  pair = zmq_socket(context, ZMQ_XPUB);
  if (pair == NULL ||
      !check(zmq_setsockopt(pair, ZMQ_XPUB_VERBOSE, &verbose, sizeof verbose),
             "verbose") ||
      !check(zmq_curve_keypair(public_key, secret_key), "key") ||
      !listen_with(public_key, secret_key)) {
    return false;
  }
  for (size_t i = 0; i < a->count; i++) {
    if (!check(zmq_msg_recv(&msg, pair, 0), "subscription")) {
      return false;
    }
  }
  return true;
}

static bool zmq_crowd(const bench_args *a) {
  char public_key[KEY_SIZE], secret_key[KEY_SIZE];

  bench_descriptors(2 * a->count); /* Each socket has one to signal with. */
  zmq_msg_init(&msg);
  context = zmq_ctx_new();
  members = calloc(a->count, sizeof *members);
  if (members == NULL ||
      !check(zmq_ctx_set(context, ZMQ_MAX_SOCKETS, (int)a->count), "sockets") ||
      !check(zmq_curve_keypair(public_key, secret_key), "key")) {
    return false;
  }
  for (size_t i = 0; i < a->count; i++) {
    pair = members[i] = zmq_socket(context, ZMQ_SUB);
    if (pair == NULL || !dial_with(a->addr, public_key, secret_key) ||
        !check(zmq_setsockopt(pair, ZMQ_SUBSCRIBE, "", 0), "subscribe")) {
      return false;
    }
  }
  return true;
}

static bool zmq_crowd_recv(size_t i, size_t *len) {
  if (!check(zmq_msg_recv(&msg, members[i], 0), "recv")) {
    return false;
  }
  *len = zmq_msg_size(&msg);
  return true;
}

static void zmq_crowd_end(size_t count) {
  zmq_msg_close(&msg);
  for (size_t i = 0; i < count; i++) {
    zmq_close(members[i]);
  }
  free(members);
  zmq_ctx_term(context);
}

/* ---- one connection ---- */

static bool zmq_send_one(const uint8_t *data, size_t len) {
  zmq_msg_t out;

  /* Without a function that frees it the library lends the data. */
  return check(
           zmq_msg_init_data(&out, (void *)(uintptr_t)data, len, NULL, NULL),
           "message") &&
         check(zmq_msg_send(&out, pair, 0), "send");
}

static bool zmq_recv_one(size_t *len) {
  if (!check(zmq_msg_recv(&msg, pair, 0), "recv")) {
    return false;
  }
  *len = zmq_msg_size(&msg);
  return true;
}

static bool zmq_try_recv_one(size_t *len) {
  *len = 0;
  if (zmq_msg_recv(&msg, pair, ZMQ_DONTWAIT) >= 0) {
    *len = zmq_msg_size(&msg);
    return true;
  }
  return zmq_errno() == EAGAIN || check(-1, "recv");
}

static bool zmq_send_back(void) {
  return check(zmq_msg_send(&msg, pair, 0), "send");
}

static void zmq_end(void) {
  zmq_msg_close(&msg);
  zmq_close(pair);
  zmq_ctx_term(context); /* Lingers until everything is sent. */
}

int main(int argc, char **argv) {
  static const bench_blocking zeromq = {.open = zmq_open,
                                        .send = zmq_send_one,
                                        .recv = zmq_recv_one,
                                        .try_recv = zmq_try_recv_one,
                                        .send_back = zmq_send_back,
                                        .close = zmq_end,
                                        .hub_open = zmq_hub,
                                        .crowd_open = zmq_crowd,
                                        .crowd_recv = zmq_crowd_recv,
                                        .crowd_close = zmq_crowd_end};

  return bench_blocking_main(argc, argv, &zeromq);
}
