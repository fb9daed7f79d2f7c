/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs for libraries whose sends and receives block.  The client ends a
   run with a message of BENCH_END_SIZE, and the server returns it. */

#include "bench_blocking.h"

#include <stdio.h>
#include <stdlib.h>

static const bench_blocking *library;
static const uint8_t end[BENCH_END_SIZE];

static int run_recv(const bench_args *a) {
  bench_counter counter = {0};
  size_t len;

  if (!library->open(a) || !library->recv(&len)) {
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

  if (msg == NULL || !library->open(a)) {
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

  if (!library->open(a)) {
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

  if (times_ns == NULL || msg == NULL || !library->open(a)) {
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

/* ---- an echo behind bulk, on the one connection that there is ---- */

enum { ECHO_SIZE = 256, ECHOES_MAX = 100000 };

static int run_serve(const bench_args *a) {
  bench_counter bulk = {0};
  size_t len = 0;

  if (!library->open(a)) {
    return 1;
  }
  while (len != BENCH_END_SIZE) {
    if (!library->recv(&len) || (len <= ECHO_SIZE && !library->send_back())) {
      return 1;
    }
    if (len > ECHO_SIZE) {
      bench_count(&bulk, len);
    }
  }
  bench_emit_bulk("serve", &bulk);
  library->close();
  return 0;
}

/* Sends bulk, and an echo whenever the gap since the last one is over; at most
   one echo is under way. */
static bool load(const bench_args *a, const uint8_t *msg, uint64_t *times_ns,
                 size_t *trips) {
  uint64_t now_ns = bench_now_ns(), sent_ns = 0;
  uint64_t until_ns = now_ns + (uint64_t)(a->seconds * 1e9);
  uint64_t next_ns = now_ns + BENCH_ECHO_GAP_NS;
  size_t len;

  for (; now_ns < until_ns; now_ns = bench_now_ns()) {
    if (sent_ns == 0 && a->count > 0 && now_ns >= next_ns) {
      sent_ns = now_ns;
      if (!library->send(msg, ECHO_SIZE)) {
        return false;
      }
    }
    if (!library->send(msg, a->size) || !library->try_recv(&len)) {
      return false;
    }
    if (len > 0 && *trips < ECHOES_MAX) {
      now_ns = bench_now_ns();
      times_ns[(*trips)++] = now_ns - sent_ns;
      next_ns = now_ns + BENCH_ECHO_GAP_NS;
      sent_ns = 0;
    }
  }
  len = 0;
  if (!library->send(end, sizeof end)) {
    return false;
  }
  while (len != BENCH_END_SIZE) {
    if (!library->recv(&len)) {
      return false;
    }
  }
  return true;
}

static int run_load(const bench_args *a) {
  uint64_t *times_ns = calloc(ECHOES_MAX, sizeof *times_ns);
  uint8_t *msg = calloc(1, a->size);
  size_t trips = 0;

  if (times_ns == NULL || msg == NULL || !library->open(a) ||
      !load(a, msg, times_ns, &trips)) {
    return 1;
  }
  bench_emit_load(times_ns, trips);
  library->close();
  free(times_ns);
  free(msg);
  return 0;
}

/* ---- a crowd ---- */

enum { BROADCAST = 1024 };

static int run_hub(const bench_args *a) {
  static const uint8_t msg[BROADCAST];
  double cpu;

  if (!library->hub_open(a)) {
    return 1;
  }
  cpu = bench_cpu_seconds();
  for (size_t i = 0; i < a->rounds; i++) {
    if (!library->send(msg, sizeof msg)) {
      return 1;
    }
    /* There is no way to know when all of it is with the kernel. */
    bench_sleep_ns(CMT_MILLISECONDS(50) + a->count * 50000);
  }
  cpu = bench_cpu_seconds() - cpu;
  if (!library->send(end, sizeof end)) {
    return 1;
  }
  printf("{\"event\":\"result\",\"role\":\"crowd-hub\","
         "\"broadcast_ns_per_peer\":%.1f}\n",
         cpu / (double)(a->rounds * a->count) * 1e9);
  fflush(stdout);
  library->close();
  return 0;
}

/* Whether the |i|th member gets all broadcasts, and then the end. */
static bool member_gets_all(const bench_args *a, size_t i) {
  size_t len = 0, got = 0;

  while (len != BENCH_END_SIZE) {
    if (!library->crowd_recv(i, &len)) {
      return false;
    }
    got += len == BROADCAST;
  }
  if (got != a->rounds) {
    fprintf(stderr, "%zu of %zu broadcasts came\n", got, a->rounds);
  }
  return got == a->rounds;
}

static int run_crowd(const bench_args *a) {
  bool well = library->crowd_open(a);

  for (size_t i = 0; well && i < a->count; i++) {
    well = member_gets_all(a, i);
  }
  if (!well) {
    return 1;
  }
  library->crowd_close(a->count);
  printf("{\"event\":\"result\",\"role\":\"crowd\"}\n");
  return 0;
}

int bench_blocking_main(int argc, char **argv, const bench_blocking *l) {
  static const bench_verb verbs[] = {
    {"recv", run_recv},     {"send", run_send},   {"echo", run_echo},
    {"ping", run_ping},     {"serve", run_serve}, {"load", run_load},
    {"crowd-hub", run_hub}, {"crowd", run_crowd},
  };

  library = l;
  return bench_main(argc, argv, verbs, sizeof verbs / sizeof *verbs);
}
