/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs for libraries whose sends and receives block.  The client ends a
   run with a message of BENCH_END_SIZE, and the server returns it. */

#include "bench_blocking.h"

#include <stdlib.h>

static const bench_blocking *library;
static const uint8_t end[BENCH_END_SIZE];

static int run_recv(const bench_args *a) {
  bench_counter counter = {0};
  size_t len;

  (void)a;
  if (!library->open(NULL) || !library->recv(&len)) {
    return 1;
  }
  counter.cpu = bench_cpu_seconds();
  while (len != BENCH_END_SIZE) {
    bench_count(&counter, len);
    if (!library->recv(&len)) {
      return 1;
    }
  }
  if (!library->send_back()) {
    return 1;
  }
  bench_emit_bulk("recv", &counter);
  library->close();
  return 0;
}

/* Sends until the time is over, then the end; whether it came back. */
static bool send_all(const bench_args *a, const uint8_t *msg,
                     bench_counter *counter) {
  uint64_t until_ns = counter->first_ns + (uint64_t)(a->seconds * 1e9);
  size_t len;

  while (bench_now_ns() < until_ns) {
    if (!library->send(msg, a->size)) {
      return false;
    }
    counter->messages++;
    counter->bytes += a->size;
  }
  return library->send(end, sizeof end) && library->recv(&len);
}

static int run_send(const bench_args *a) {
  uint8_t *msg = calloc(1, a->size);
  bench_counter counter = {0};
  bool sent;

  if (msg == NULL || !library->open(a->addr)) {
    free(msg);
    return 1;
  }
  counter.cpu = bench_cpu_seconds();
  counter.first_ns = bench_now_ns();
  sent = send_all(a, msg, &counter);
  counter.last_ns = bench_now_ns();
  if (sent) {
    bench_emit_bulk("send", &counter);
  }
  library->close();
  free(msg);
  return sent ? 0 : 1;
}

static int run_echo(const bench_args *a) {
  size_t len = 0;

  (void)a;
  if (!library->open(NULL)) {
    return 1;
  }
  while (len != BENCH_END_SIZE) {
    if (!library->recv(&len) || !library->send_back()) {
      return 1;
    }
  }
  library->close();
  return 0;
}

static bool round_trip(const uint8_t *msg, size_t size) {
  size_t len;

  return library->send(msg, size) && library->recv(&len) && len == size;
}

static int run_ping(const bench_args *a) {
  uint64_t *times_ns = calloc(a->count, sizeof *times_ns);
  uint8_t *msg = calloc(1, a->size);
  double cpu;

  if (times_ns == NULL || msg == NULL || !library->open(a->addr)) {
    return 1;
  }
  cpu = bench_cpu_seconds();
  for (size_t i = 0; i < a->count; i++) {
    uint64_t sent_ns = bench_now_ns();

    if (!round_trip(msg, a->size)) {
      return 1;
    }
    times_ns[i] = bench_now_ns() - sent_ns;
  }
  bench_emit_ping(a, times_ns, cpu);
  if (!round_trip(end, sizeof end)) {
    return 1;
  }
  library->close();
  free(times_ns);
  free(msg);
  return 0;
}

int bench_blocking_main(int argc, char **argv, const bench_blocking *l) {
  static const bench_verb verbs[] = {
    {"recv", run_recv},
    {"send", run_send},
    {"echo", run_echo},
    {"ping", run_ping},
  };

  library = l;
  return bench_main(argc, argv, verbs, sizeof verbs / sizeof *verbs);
}
