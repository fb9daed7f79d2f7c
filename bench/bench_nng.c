/* SPDX-License-Identifier: Apache-2.0 */
/* NNG with TLS: two pair0 sockets with queues of 100 messages if --queue does
   not say how many, since NNG's default is none, and for a crowd a pub0 socket
   and as many sub0 sockets.  The
   server makes a certificate for itself; its id is that certificate, so the
   client knows whom it talks to. */

#include "bench_blocking.h"

#include <arpa/inet.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/supplemental/tls/tls.h>
#include <nng/transport/tls/tls.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEM_SIZE = 4096, QUEUE = 100 };

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----\n"
#define PEM_END "-----END CERTIFICATE-----\n"
#define SERVER_NAME "bench"

static nng_socket sock = NNG_SOCKET_INITIALIZER;
static nng_msg *msg;
static sem_t gone; /* Posted when a connection has ended. */
static size_t to_leave = 1;
static bool listens;

static bool check(int result, const char *what) {
  if (result == 0) {
    return true;
  }
  fprintf(stderr, "bench_nng: %s: %s\n", what, nng_strerror(result));
  return false;
}

static void on_gone(nng_pipe pipe, nng_pipe_ev event, void *arg) {
  (void)pipe;
  (void)event;
  (void)arg;
  sem_post(&gone);
}

static int write_certificate(mbedtls_pk_context *key, char *cert,
                             mbedtls_ctr_drbg_context *random) {
  mbedtls_x509write_cert x;
  mbedtls_mpi serial;
  int err;

  mbedtls_x509write_crt_init(&x);
  mbedtls_mpi_init(&serial);
  mbedtls_x509write_crt_set_subject_key(&x, key);
  mbedtls_x509write_crt_set_issuer_key(&x, key);
  mbedtls_x509write_crt_set_md_alg(&x, MBEDTLS_MD_SHA256);
  if ((err = mbedtls_mpi_lset(&serial, 1)) == 0 &&
      (err = mbedtls_x509write_crt_set_serial(&x, &serial)) == 0 &&
      (err = mbedtls_x509write_crt_set_subject_name(&x, "CN=" SERVER_NAME)) ==
        0 &&
      (err = mbedtls_x509write_crt_set_issuer_name(&x, "CN=" SERVER_NAME)) ==
        0 &&
      (err = mbedtls_x509write_crt_set_validity(&x, "20200101000000",
                                                "21000101000000")) == 0 &&
      (err = mbedtls_x509write_crt_set_basic_constraints(&x, 1, 0)) == 0) {
    err = mbedtls_x509write_crt_pem(&x, (unsigned char *)cert, PEM_SIZE,
                                    mbedtls_ctr_drbg_random, random);
  }
  mbedtls_mpi_free(&serial);
  mbedtls_x509write_crt_free(&x);
  return err;
}

/* A fresh P-256 key and a certificate that it signs itself. */
static bool make_certificate(char *cert, char *key_text) {
  mbedtls_ctr_drbg_context random;
  mbedtls_entropy_context entropy;
  mbedtls_pk_context key;
  int err;

  mbedtls_ctr_drbg_init(&random);
  mbedtls_entropy_init(&entropy);
  mbedtls_pk_init(&key);
  if ((err = mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy,
                                   NULL, 0)) == 0 &&
      (err = mbedtls_pk_setup(
         &key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY))) == 0 &&
      (err = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key),
                                 mbedtls_ctr_drbg_random, &random)) == 0 &&
      (err = mbedtls_pk_write_key_pem(&key, (unsigned char *)key_text,
                                      PEM_SIZE)) == 0) {
    err = write_certificate(&key, cert, &random);
  }
  mbedtls_pk_free(&key);
  mbedtls_entropy_free(&entropy);
  mbedtls_ctr_drbg_free(&random);
  if (err != 0) {
    fprintf(stderr, "bench_nng: no certificate: -0x%x\n", (unsigned)-err);
  }
  return err == 0;
}

/* Prints the certificate without its first and last line and line breaks. */
static void emit_ready(const char *cert, uint16_t port) {
  const char *from = cert + strlen(PEM_BEGIN);
  const char *to = strstr(from, PEM_END);
  char id[PEM_SIZE], at[64];
  size_t len = 0;

  for (; from < to; from++) {
    if (*from != '\n') {
      id[len++] = *from;
    }
  }
  id[len] = '\0';
  snprintf(at, sizeof at, "127.0.0.1:%u", port);
  bench_emit_ready(id, at);
}

static bool listen_with(nng_tls_config *tls) {
  char cert[PEM_SIZE], key[PEM_SIZE];
  nng_listener listener;
  nng_sockaddr at;

  if (!make_certificate(cert, key) ||
      !check(nng_tls_config_own_cert(tls, cert, key, NULL), "certificate") ||
      !check(nng_listener_create(&listener, sock, "tls+tcp://127.0.0.1:0"),
             "listen") ||
      !check(nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, tls), "TLS") ||
      !check(nng_listener_start(listener, 0), "listen") ||
      !check(nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &at), "port")) {
    return false;
  }
  emit_ready(cert, ntohs(at.s_in.sa_port));
  return true;
}

static bool dial_with(nng_tls_config *tls, const char *addr) {
  const char *host = strrchr(addr, '@');
  char cert[PEM_SIZE], to[64];
  nng_dialer dialer;

  if (host == NULL) {
    fprintf(stderr, "bench_nng: no certificate in %s\n", addr);
    return false;
  }
  snprintf(cert, sizeof cert, PEM_BEGIN "%.*s\n" PEM_END, (int)(host - addr),
           addr);
  snprintf(to, sizeof to, "tls+tcp://%s", host + 1);
  return check(nng_tls_config_auth_mode(tls, NNG_TLS_AUTH_MODE_REQUIRED),
               "TLS") &&
         check(nng_tls_config_ca_chain(tls, cert, NULL), "certificate") &&
         check(nng_tls_config_server_name(tls, SERVER_NAME), "name") &&
         check(nng_dialer_create(&dialer, sock, to), "dial") &&
         check(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, tls), "TLS") &&
         check(nng_dialer_start(dialer, 0), "dial");
}

static bool open_tls(nng_tls_mode mode, const char *addr) {
  nng_tls_config *tls;
  bool ok = check(nng_tls_config_alloc(&tls, mode), "TLS");

  if (ok) {
    ok = addr == NULL ? listen_with(tls) : dial_with(tls, addr);
    nng_tls_config_free(tls);
  }
  return ok;
}

static bool nng_begin(const bench_args *a) {
  int queue = a->queue > 0 ? (int)a->queue : QUEUE;

  listens = a->addr == NULL;
  sem_init(&gone, 0, 0);
  return check(nng_pair0_open(&sock), "open") &&
         check(nng_socket_set_int(sock, NNG_OPT_SENDBUF, queue), "queue") &&
         check(nng_socket_set_int(sock, NNG_OPT_RECVBUF, queue), "queue") &&
         check(nng_pipe_notify(sock, NNG_PIPE_EV_REM_POST, on_gone, NULL),
               "notify") &&
         open_tls(listens ? NNG_TLS_MODE_SERVER : NNG_TLS_MODE_CLIENT, a->addr);
}

static bool nng_send_one(const uint8_t *data, size_t len) {
  nng_msg *out;

  if (!check(nng_msg_alloc(&out, len), "message")) {
    return false;
  }
  memcpy(nng_msg_body(out), data, len);
  return check(nng_sendmsg(sock, out, 0), "send");
}

static void drop_message(void) {
  if (msg != NULL) {
    nng_msg_free(msg);
    msg = NULL;
  }
}

static bool nng_recv_one(size_t *len) {
  drop_message();
  if (!check(nng_recvmsg(sock, &msg, 0), "recv")) {
    return false;
  }
  *len = nng_msg_len(msg);
  return true;
}

static bool nng_try_recv_one(size_t *len) {
  int result;

  drop_message();
  *len = 0;
  result = nng_recvmsg(sock, &msg, NNG_FLAG_NONBLOCK);
  if (result == NNG_EAGAIN) {
    return true;
  }
  if (!check(result, "recv")) {
    return false;
  }
  *len = nng_msg_len(msg);
  return true;
}

static bool nng_send_back(void) {
  nng_msg *back = msg;

  msg = NULL;
  return check(nng_sendmsg(sock, back, 0), "send");
}

/* ---- a crowd ---- */

static nng_socket *members;
static sem_t there;

static void on_there(nng_pipe pipe, nng_pipe_ev event, void *arg) {
  (void)pipe;
  (void)event;
  (void)arg;
  sem_post(&there);
}

static bool nng_hub(const bench_args *a) {
  bench_descriptors(a->count);
  listens = true;
  sem_init(&gone, 0, 0);
  sem_init(&there, 0, 0);
  to_leave = a->count;
  if (!check(nng_pub0_open(&sock), "open") ||
      !check(nng_socket_set_int(sock, NNG_OPT_SENDBUF, QUEUE), "queue") ||
      !check(nng_pipe_notify(sock, NNG_PIPE_EV_ADD_POST, on_there, NULL),
             "notify") ||
      !check(nng_pipe_notify(sock, NNG_PIPE_EV_REM_POST, on_gone, NULL),
             "notify") ||
      !open_tls(NNG_TLS_MODE_SERVER, NULL)) {
    return false;
  }
  for (size_t i = 0; i < a->count; i++) {
    sem_wait(&there);
  }
  return true;
}

static bool nng_crowd(const bench_args *a) {
  bench_descriptors(a->count);
  members = calloc(a->count, sizeof *members);
  for (size_t i = 0; members != NULL && i < a->count; i++) {
    if (!check(nng_sub0_open(&members[i]), "open") ||
        !check(nng_socket_set(members[i], NNG_OPT_SUB_SUBSCRIBE, "", 0),
               "subscribe")) {
      return false;
    }
    sock = members[i];
    if (!open_tls(NNG_TLS_MODE_CLIENT, a->addr)) {
      return false;
    }
  }
  return members != NULL;
}

static bool nng_crowd_recv(size_t i, size_t *len) {
  sock = members[i];
  return nng_recv_one(len);
}

static void nng_crowd_end(size_t count) {
  drop_message();
  for (size_t i = 0; i < count; i++) {
    nng_close(members[i]);
  }
  free(members);
}

/* Closing drops what is queued, so the server waits until the client, which has
   everything, has closed. */
static void nng_end(void) {
  for (size_t i = 0; listens && i < to_leave; i++) {
    sem_wait(&gone);
  }
  nng_msg_free(msg);
  nng_close(sock);
}

int main(int argc, char **argv) {
  static const bench_blocking nng = {.open = nng_begin,
                                     .send = nng_send_one,
                                     .recv = nng_recv_one,
                                     .try_recv = nng_try_recv_one,
                                     .send_back = nng_send_back,
                                     .close = nng_end,
                                     .hub_open = nng_hub,
                                     .crowd_open = nng_crowd,
                                     .crowd_recv = nng_crowd_recv,
                                     .crowd_close = nng_crowd_end};

  return bench_blocking_main(argc, argv, &nng);
}
