/* SPDX-License-Identifier: Apache-2.0 */
/* What the benches share. */

#include "bench.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t bench_now_ns(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double bench_cpu_seconds(void) {
  struct rusage u;

  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void bench_count(bench_counter *c, size_t len) {
  c->last_ns = bench_now_ns();
  if (c->messages == 0) {
    c->first_ns = c->last_ns;
  }
  c->messages++;
  c->bytes += len;
}

void bench_emit_bulk(const char *role, const bench_counter *c) {
  printf("{\"event\":\"result\",\"role\":\"%s\",\"messages\":%llu,"
         "\"bytes\":%llu,\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n",
         role, (unsigned long long)c->messages, (unsigned long long)c->bytes,
         (double)(c->last_ns - c->first_ns) / 1e9,
         bench_cpu_seconds() - c->cpu);
  fflush(stdout);
}

static int times_compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

  return x < y ? -1 : x > y;
}

void bench_emit_ping(const bench_args *a, uint64_t *times_ns, double cpu) {
  qsort(times_ns, a->count, sizeof *times_ns, times_compare);
  printf("{\"event\":\"result\",\"role\":\"ping\",\"count\":%zu,"
         "\"size\":%zu,\"p50_ms\":%.6f,\"p99_ms\":%.6f,\"min_ms\":%.6f,"
         "\"cpu_seconds\":%.6f}\n",
         a->count, a->size, (double)times_ns[(a->count - 1) * 50 / 100] / 1e6,
         (double)times_ns[(a->count - 1) * 99 / 100] / 1e6,
         (double)times_ns[0] / 1e6, bench_cpu_seconds() - cpu);
  fflush(stdout);
}

void bench_emit_ready(const char *id, const char *laddr) {
  printf("{\"event\":\"ready\",\"id\":\"%s\",\"laddr\":\"%s\"}\n", id, laddr);
  fflush(stdout);
}

bool bench_emit_listening(const cmt_switch *sw) {
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt_net_addr at;

  if (cmt_switch_get_laddr(sw, &at) != CMT_OK ||
      cmt_net_addr_format(&at, text, sizeof text) != CMT_OK) {
    return false;
  }
  bench_emit_ready(at.id.text, text);
  return true;
}

static _Noreturn void die(const char *what) {
  perror(what);
  exit(1);
}

int bench_accept(void) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
  char text[64];

  if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 ||
      listen(listener, 1) != 0 ||
      getsockname(listener, (struct sockaddr *)&at, &len) != 0) {
    die("listen");
  }
  snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(at.sin_port));
  bench_emit_ready("", text);
  fd = accept(listener, NULL, NULL);
  if (fd < 0) {
    die("accept");
  }
  close(listener);
  return fd;
}

int bench_dial(const char *addr) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  cmt_net_addr parsed;
  cmt_why why;

  if (cmt_net_addr_parse(addr, CMT_ADDR_ID_OPTIONAL, &parsed, &why) != CMT_OK) {
    fprintf(stderr, "%s\n", why.text);
    exit(2);
  }
  to.sin_port = htons(parsed.port);
  if (fd < 0 || inet_pton(AF_INET, parsed.host, &to.sin_addr) != 1 ||
      connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
    die("connect");
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

int bench_main(int argc, char **argv, const bench_verb *verbs, size_t count) {
  static const struct option options[] = {
    {"addr", required_argument, NULL, 'a'},
    {"size", required_argument, NULL, 's'},
    {"seconds", required_argument, NULL, 't'},
    {"count", required_argument, NULL, 'c'},
    {"queue", required_argument, NULL, 'q'},
    {0},
  };
  bench_args a = {.size = 65536, .seconds = 3, .count = 1000, .queue = 100};
  int option;

  while ((option = getopt_long_only(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case 'a':
      a.addr = optarg;
      break;
    case 's':
      a.size = strtoul(optarg, NULL, 10);
      break;
    case 't':
      a.seconds = strtod(optarg, NULL);
      break;
    case 'c':
      a.count = strtoul(optarg, NULL, 10);
      break;
    case 'q':
      a.queue = (uint32_t)strtoul(optarg, NULL, 10);
      break;
    default:
      return 2;
    }
  }
  a.verb = optind < argc ? argv[optind] : "";
  for (size_t i = 0; i < count; i++) {
    if (strcmp(a.verb, verbs[i].name) == 0) {
      return verbs[i].run(&a);
    }
  }
  fprintf(stderr,
          "usage: %s VERB [--addr A] [--size N] [--seconds S] "
          "[--count N] [--queue N]\n",
          argv[0]);
  return 2;
}
