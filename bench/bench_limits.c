/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of what bounds a connection or a broadcast, each alone:

     bench_limits aead | copy --seconds S  one core that only seals, then only
                                           opens; or only copies frames
     bench_limits keys --seconds S         the public-key operations of one side
                                           of a handshake, one after another
     bench_limits drain --count N          reads from so many connections
     bench_limits fan --addr A --count N --rounds R
                          seals a frame and writes it, for each connection */

#include "bench.h"
#include "crypto/aead.h"
#include "crypto/x25519.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAMES = 256, READY = 64, READ_SIZE = 65536 };

typedef void operation(cmt__aead_job *jobs, size_t count);

static const uint8_t key[CMT__AEAD_KEY];
static uint8_t slots[FRAMES][CMT_FRAME_SLOT];

static int fail(const char *what) {
  perror(what);
  return 1;
}

/* ---- alone ---- */

/* Bytes of data per second. */
static double aead_rate(operation *op, double seconds) {
  uint64_t begin_ns = bench_now_ns(), now_ns = begin_ns, bytes = 0;
  cmt__aead_job jobs[FRAMES];

  for (uint64_t counter = 0; (double)(now_ns - begin_ns) < seconds * 1e9;) {
    for (size_t i = 0; i < FRAMES; i++) {
      jobs[i] =
        (cmt__aead_job){.key = key, .counter = counter++, .slot = slots[i]};
    }
    op(jobs, FRAMES);
    bytes += FRAMES * CMT_FRAME_DATA;
    now_ns = bench_now_ns();
  }
  return (double)bytes / (double)(now_ns - begin_ns) * 1e9;
}

static int run_aead(const bench_args *a) {
  const struct cmt_aead *aead = bench_env()->aead;
  double seal = aead_rate(aead->seal, a->seconds / 2);
  double open = aead_rate(aead->open, a->seconds / 2);

  printf("{\"event\":\"result\",\"role\":\"aead\",\"kernel\":\"%s\","
         "\"seal\":%.0f,\"open\":%.0f}\n",
         aead->name, seal, open);
  return 0;
}

static int run_copy(const bench_args *a) {
  static uint8_t msg[FRAMES * CMT_FRAME_DATA];
  uint64_t begin_ns = bench_now_ns(), now_ns = begin_ns, bytes = 0;

  while ((double)(now_ns - begin_ns) < a->seconds * 1e9) {
    for (size_t i = 0; i < FRAMES; i++) {
      memcpy(slots[i] + CMT_FRAME_HEADER, msg + i * CMT_FRAME_DATA,
             CMT_FRAME_DATA);
    }
    __asm__ volatile("" : : "r"(slots) : "memory"); /* Copies each time. */
    bytes += sizeof msg;
    now_ns = bench_now_ns();
  }
  printf("{\"event\":\"result\",\"role\":\"copy\",\"copied\":%.0f}\n",
         (double)bytes / (double)(now_ns - begin_ns) * 1e9);
  return 0;
}

/* An ephemeral key pair, a key agreement, a signature and a verification. */
static int run_keys(const bench_args *a) {
  uint8_t public_key[crypto_sign_PUBLICKEYBYTES], seed[crypto_sign_SEEDBYTES];
  uint8_t secret_key[crypto_sign_SECRETKEYBYTES], sig[crypto_sign_BYTES];
  uint8_t point[crypto_scalarmult_BYTES], shared[crypto_scalarmult_BYTES];
  uint8_t challenge[32] = {0};
  uint64_t begin_ns, now_ns, done = 0;

  memset(seed, 1, sizeof seed);
  if (sodium_init() < 0 ||
      crypto_sign_seed_keypair(public_key, secret_key, seed) != 0) {
    return fail("keys");
  }
  begin_ns = now_ns = bench_now_ns();
  for (; (double)(now_ns - begin_ns) < a->seconds * 1e9; done++) {
    cmt__x25519_base(point, seed);
    if (crypto_scalarmult(shared, seed, point) != 0 ||
        crypto_sign_detached(sig, NULL, challenge, sizeof challenge,
                             secret_key) != 0 ||
        crypto_sign_verify_detached(sig, challenge, sizeof challenge,
                                    public_key) != 0) {
      return fail("keys");
    }
    now_ns = bench_now_ns();
  }
  printf("{\"event\":\"result\",\"role\":\"keys\",\"handshakes\":%.1f}\n",
         (double)done / (double)(now_ns - begin_ns) * 1e9);
  return 0;
}

/* ---- a frame and a write for each connection ---- */

static int run_drain(const bench_args *a) {
  static uint8_t in[READ_SIZE];
  struct epoll_event ready[READY];
  int epoll = epoll_create1(0), listener;
  size_t open = a->count;

  bench_descriptors(a->count);
  listener = bench_listen((int)a->count);
  for (size_t i = 0; i < a->count; i++) {
    int fd = accept(listener, NULL, NULL);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

    if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
      return fail("accept");
    }
  }
  while (open > 0) {
    int count = epoll_wait(epoll, ready, READY, -1);

    for (int i = 0; i < count; i++) {
      if (read(ready[i].data.fd, in, sizeof in) <= 0) {
        close(ready[i].data.fd);
        open--;
      }
    }
  }
  close(listener);
  close(epoll);
  return 0;
}

static int run_fan(const bench_args *a) {
  const struct cmt_aead *aead = bench_env()->aead;
  int *fds = calloc(a->count, sizeof *fds);
  double cpu;

  bench_descriptors(a->count);
  for (size_t i = 0; fds != NULL && i < a->count; i++) {
    fds[i] = bench_dial(a->addr);
  }
  if (fds == NULL) {
    return fail("connections");
  }
  cpu = bench_cpu_seconds();
  for (size_t round = 0; round < a->rounds; round++) {
    for (size_t i = 0; i < a->count; i++) {
      cmt__aead_job job = {.key = key, .counter = round, .slot = slots[0]};

      aead->seal(&job, 1);
      if (write(fds[i], slots[0], CMT_FRAME_SLOT) != CMT_FRAME_SLOT) {
        return fail("write");
      }
    }
    /* The other side reads. */
    bench_sleep_ns(CMT_MILLISECONDS(2) + a->count * 2000);
  }
  printf("{\"event\":\"result\",\"role\":\"fan\",\"ns_per_peer\":%.1f}\n",
         (bench_cpu_seconds() - cpu) / (double)(a->rounds * a->count) * 1e9);
  free(fds);
  return 0;
}

int main(int argc, char **argv) {
  static const bench_verb verbs[] = {{"aead", run_aead},
                                     {"copy", run_copy},
                                     {"keys", run_keys},
                                     {"drain", run_drain},
                                     {"fan", run_fan}};

  return bench_main(argc, argv, verbs, sizeof verbs / sizeof *verbs);
}
