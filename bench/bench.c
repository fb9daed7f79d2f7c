/* SPDX-License-Identifier: Apache-2.0 */
/* What the benches have in common. */

#include "bench.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stddef.h>
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

void bench_sleep_ns(uint64_t ns) {
  nanosleep(&(struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
                               .tv_nsec = (long)(ns % 1000000000u)},
            NULL);
}

const cmt_env *bench_env(void) {
  const char *aead = getenv("CMT_AEAD");
  static cmt_env env;

  if (env.alloc == NULL && cmt_env_init(&env) != CMT_OK) {
    fprintf(stderr, "no default environment\n");
    exit(1);
  }
  if (aead != NULL && cmt_env_set_aead(&env, aead) != CMT_OK) {
    fprintf(stderr, "CMT_AEAD is \"%s\", which does not run here\n", aead);
    exit(2);
  }
  return &env;
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

void bench_print_times(uint64_t *times_ns, size_t count) {
  static const double percents[] = {0,  1,  5,  10, 25,   50,
                                    75, 90, 95, 99, 99.9, 100};

  if (count > 0) {
    qsort(times_ns, count, sizeof *times_ns, times_compare);
  }
  printf(",\"count\":%zu,\"quantiles_us\":{", count);
  for (size_t i = 0; count > 0 && i < sizeof percents / sizeof *percents; i++) {
    size_t at = (size_t)((double)(count - 1) * percents[i] / 100);

    printf("%s\"%g\":%.3f", i == 0 ? "" : ",", percents[i],
           (double)times_ns[at] / 1e3);
  }
  printf("}");
}

void bench_emit_ping(const bench_args *a, uint64_t *times_ns, double cpu) {
  printf("{\"event\":\"result\",\"role\":\"ping\",\"size\":%zu,"
         "\"cpu_seconds\":%.6f",
         a->size, bench_cpu_seconds() - cpu);
  bench_print_times(times_ns, a->count);
  printf("}\n");
  fflush(stdout);
}

void bench_emit_load(uint64_t *times_ns, size_t count) {
  printf("{\"event\":\"result\",\"role\":\"load\"");
  bench_print_times(times_ns, count);
  printf("}\n");
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

cmt_err bench_return(cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  cmt_err err = cmt_peer_try_send(p, channel, cmt_buf_ref(msg));

  if (err != CMT_OK) {
    cmt_buf_unref(msg); /* The reference of the send that was refused. */
  }
  return err;
}

static _Noreturn void die(const char *what) {
  perror(what);
  exit(1);
}

void bench_descriptors(size_t count) {
  enum { BESIDE = 64 };
  const rlim_t wanted = count + BESIDE;
  struct rlimit r;

  if (getrlimit(RLIMIT_NOFILE, &r) != 0) {
    die("limits");
  }
  if (r.rlim_cur < wanted) {
    r.rlim_cur = wanted;
    r.rlim_max = r.rlim_max < wanted ? wanted : r.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0) {
      die("not enough descriptors are allowed");
    }
  }
}

int bench_listen(int backlog) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  char text[64];

  if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 ||
      listen(listener, backlog) != 0 ||
      getsockname(listener, (struct sockaddr *)&at, &len) != 0) {
    die("listen");
  }
  snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(at.sin_port));
  bench_emit_ready("", text);
  return listener;
}

int bench_accept(void) {
  int listener = bench_listen(1), fd = accept(listener, NULL, NULL);

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

/* ---- arguments ---- */

typedef enum argument_kind { TEXT, COUNT, REAL } argument_kind;

static const struct argument {
  const char *name;
  argument_kind kind;
  size_t at; /* Its field in bench_args. */
} arguments[] = {
  {"addr", TEXT, offsetof(bench_args, addr)},
  {"size", COUNT, offsetof(bench_args, size)},
  {"seconds", REAL, offsetof(bench_args, seconds)},
  {"count", COUNT, offsetof(bench_args, count)},
  {"queue", COUNT, offsetof(bench_args, queue)},
  {"packet", COUNT, offsetof(bench_args, packet)},
  {"senders", COUNT, offsetof(bench_args, senders)},
  {"threads", COUNT, offsetof(bench_args, threads)},
  {"loops", COUNT, offsetof(bench_args, loops)},
  {"handshake-threads", COUNT, offsetof(bench_args, handshake_threads)},
  {"offload-rate", COUNT, offsetof(bench_args, offload_rate)},
  {"rounds", COUNT, offsetof(bench_args, rounds)},
  {"delay-ms", REAL, offsetof(bench_args, delay_ms)},
  {"laddr", TEXT, offsetof(bench_args, laddr)},
  {"after", REAL, offsetof(bench_args, after)},
  {"congestion", TEXT, offsetof(bench_args, congestion)},
  {"target-ms", REAL, offsetof(bench_args, target_ms)},
  {"trace", TEXT, offsetof(bench_args, trace)},
  {"path", TEXT, offsetof(bench_args, path)},
  {"network", TEXT, offsetof(bench_args, network)},
  {"port", COUNT, offsetof(bench_args, port)},
  {"pid", COUNT, offsetof(bench_args, pid)},
  {"first", COUNT, offsetof(bench_args, first)},
  {"visitors", COUNT, offsetof(bench_args, visitors)},
};

enum { ARGUMENTS = sizeof arguments / sizeof *arguments };

static void argument_set(bench_args *a, const struct argument *row,
                         const char *text) {
  void *field = (char *)a + row->at;

  switch (row->kind) {
  case TEXT:
    *(const char **)field = text;
    break;
  case COUNT:
    *(size_t *)field = strtoul(text, NULL, 10);
    break;
  case REAL:
    *(double *)field = strtod(text, NULL);
    break;
  }
}

static int usage(const char *program, const bench_verb *verbs, size_t count) {
  fprintf(stderr, "usage: %s ", program);
  for (size_t i = 0; i < count; i++) {
    fprintf(stderr, "%s%s", i == 0 ? "" : "|", verbs[i].name);
  }
  for (size_t i = 0; i < ARGUMENTS; i++) {
    fprintf(stderr, " [--%s X]", arguments[i].name);
  }
  fprintf(stderr, "\n");
  return 2;
}

int bench_main(int argc, char **argv, const bench_verb *verbs, size_t count) {
  bench_args a = {
    .size = 65536,
    .seconds = 3,
    .count = 1000,
    .senders = 1,
    .rounds = 10,
    .laddr = "127.0.0.1:0",
    .after = 0.1,
    .target_ms = -1,
  };
  struct option options[ARGUMENTS + 1] = {{0}};
  int option;

  for (size_t i = 0; i < ARGUMENTS; i++) {
    options[i] = (struct option){arguments[i].name, required_argument, NULL, 0};
  }
  for (int at = 0;
       (option = getopt_long_only(argc, argv, "", options, &at)) == 0;) {
    argument_set(&a, &arguments[at], optarg);
  }
  if (option != -1) {
    return usage(argv[0], verbs, count);
  }
  a.verb = optind < argc ? argv[optind] : "";
  for (size_t i = 0; i < count; i++) {
    if (strcmp(a.verb, verbs[i].name) == 0) {
      return verbs[i].run(&a);
    }
  }
  return usage(argv[0], verbs, count);
}
