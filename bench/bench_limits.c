/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of what bounds a connection or a broadcast, each alone:

     bench_limits aead | copy --seconds S  one core that only seals, then only
                                           opens; or only copies frames
     bench_limits drain --count N          reads from so many connections
     bench_limits fan --addr A --count N --rounds R
                          seals a frame and writes it, for each connection */

#include "bench.h"
#include "crypto/aead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>

enum { FRAMES = 256, READY = 64, READ_SIZE = 65536, BEYOND = 64 };

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

/* ---- a frame and a write for each connection ---- */

static void descriptors_raise(size_t count) {
  struct rlimit r;

  if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < count + BEYOND) {
    r.rlim_cur = count + BEYOND;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0) {
      exit(fail("descriptors"));
    }
  }
}

/* Prints where it listens; the listening socket. */
static int listen_for(int count) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  char text[64];

  if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
      listen(fd, count) != 0 ||
      getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
    exit(fail("listen"));
  }
  snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(at.sin_port));
  bench_emit_ready("", text);
  return fd;
}

static int run_drain(const bench_args *a) {
  static uint8_t in[READ_SIZE];
  struct epoll_event ready[READY];
  int epoll = epoll_create1(0), listener;
  size_t open = a->count;

  descriptors_raise(a->count);
  listener = listen_for((int)a->count);
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

  descriptors_raise(a->count);
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
    bench_sleep_ns(CMT_MILLISECONDS(20)); /* The other side reads. */
  }
  printf("{\"event\":\"result\",\"role\":\"fan\",\"ns_per_peer\":%.1f}\n",
         (bench_cpu_seconds() - cpu) / (double)(a->rounds * a->count) * 1e9);
  free(fds);
  return 0;
}

int main(int argc, char **argv) {
  static const bench_verb verbs[] = {{"aead", run_aead},
                                     {"copy", run_copy},
                                     {"drain", run_drain},
                                     {"fan", run_fan}};

  return bench_main(argc, argv, verbs, sizeof verbs / sizeof *verbs);
}
