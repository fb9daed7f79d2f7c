/* SPDX-License-Identifier: Apache-2.0 */
/* Whole handshakes, from the SYN to a peer whose node info was checked:

     bench_dials hub [--loops L] [--handshake-threads N] [--offload-rate R]
                                           a switch, until its input ends
     bench_dials dial --addr ID@A --count N --seconds S
                                           N at a time, each closed once it is
                                           up
     bench_dials knock --addr ID@A --seconds S
                                           connections that end at once

   Those who dial are connections without a switch.  While handshakes are in
   flight the hub posts to its first loop once a millisecond, and reports how
   long the loop takes to call back: that is what established peers wait. */

#include "bench_crowd.h"

#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEYS = 1024, AT_A_TIME_MAX = 256, DELAYS_MAX = 1 << 16 };

static int fail(const char *what, const char *text) {
  fprintf(stderr, "bench_dials: %s: %s\n", what, text);
  return 1;
}

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  (void)self;
  (void)p;
  (void)channel;
  (void)msg;
  return CMT_OK;
}

/* How long the loop took to answer each post. */
typedef struct delays {
  uint64_t posted_ns, list_ns[DELAYS_MAX];
  size_t count;
  sem_t answered;
} delays;

static void on_post(void *arg, cmt_err status) {
  delays *d = arg;

  (void)status;
  d->list_ns[d->count] = bench_now_ns() - d->posted_ns;
  sem_post(&d->answered);
}

static void delay_note(delays *d, cmt_switch *sw) {
  cmt_post post = {.cb = on_post, .arg = d};
  cmt_switch_status status;

  cmt_switch_get_status(sw, &status);
  if ((status.handshakes == 0 && d->count > 0) || d->count == DELAYS_MAX) {
    return;
  }
  d->posted_ns = bench_now_ns();
  if (cmt_switch_post(sw, &post) == CMT_OK) {
    while (sem_wait(&d->answered) != 0) {
    }
    d->count++;
  }
}

/* Until the input ends. */
static void delays_watch(delays *d, cmt_switch *sw) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  char byte;

  sem_init(&d->answered, 0, 0);
  for (;;) {
    int ready = poll(&input, 1, 1);

    if (ready > 0 && read(STDIN_FILENO, &byte, 1) <= 0) {
      break;
    }
    delay_note(d, sw);
  }
  sem_destroy(&d->answered);
}

static int run_hub(const bench_args *a) {
  static delays delayed;
  cmt_switch_status status;
  const cmt_reactor reactor = {
    .name = "dials",
    .channels = bench_crowd_channels(),
    .channel_count = BENCH_CROWD_CHANNELS,
    .receive = receive,
  };
  cmt_switch_options o;
  cmt_switch *sw;
  cmt_why why;

  cmt_switch_options_init(&o);
  o.env = bench_env();
  o.network = BENCH_CROWD_NETWORK;
  o.laddr = "127.0.0.1:0";
  o.reactors = &reactor;
  o.reactor_count = 1;
  o.loops = (unsigned)a->loops;
  o.inbound_peers_max = CMT_PEERS_MAX;
  o.handshakes_max = 4 * AT_A_TIME_MAX;
  o.handshake_threads = (uint32_t)a->handshake_threads;
  o.handshake_offload_rate = (uint32_t)a->offload_rate;
  if (cmt_switch_new(&o, &sw, &why) != CMT_OK ||
      cmt_switch_start(sw, &why) != CMT_OK) {
    return fail("start", why.text);
  }
  if (!bench_emit_listening(sw)) {
    return fail("start", "no address");
  }
  delays_watch(&delayed, sw);
  cmt_switch_get_status(sw, &status);
  printf("{\"event\":\"result\",\"role\":\"hub\",\"cpu_seconds\":%.6f,"
         "\"accepted\":%llu",
         bench_cpu_seconds(), (unsigned long long)status.accepted);
  bench_print_times(delayed.list_ns, delayed.count);
  printf("}\n");
  cmt_switch_stop(sw, 0);
  return cmt_switch_delete(sw) == CMT_OK ? 0 : 1;
}

/* Each of them has a key of its own, which is used again long after the hub has
   dropped the peer that had it. */
static const cmt_node_key *next_key(void) {
  static cmt_node_key *keys[KEYS];
  static size_t next;

  for (size_t i = 0; keys[KEYS - 1] == NULL && i < KEYS; i++) {
    if (cmt_node_key_generate(bench_crowd_env(), &keys[i]) != CMT_OK) {
      exit(fail("start", "no key"));
    }
  }
  return keys[next++ % KEYS];
}

static int run_dial(const bench_args *a) {
  static bench_member members[AT_A_TIME_MAX];
  static struct pollfd fds[AT_A_TIME_MAX];
  uint64_t begin_ns, until_ns, done = 0;

  if (a->count > AT_A_TIME_MAX || a->addr == NULL) {
    return fail("dial", "no address, or too many at a time");
  }
  next_key(); /* Makes all of them. */
  begin_ns = bench_now_ns();
  until_ns = begin_ns + (uint64_t)(a->seconds * 1e9);
  for (size_t i = 0; i < a->count; i++) {
    bench_member_start(&members[i], next_key(), a->addr);
    fds[i] = (struct pollfd){.fd = members[i].fd, .events = POLLIN};
  }
  while (bench_now_ns() < until_ns && poll(fds, a->count, -1) > 0) {
    for (size_t i = 0; i < a->count; i++) {
      if (fds[i].revents != 0 && !bench_member_read(&members[i])) {
        return fail("dial", "the hub closed");
      }
      if (members[i].up) {
        done++;
        bench_member_stop(&members[i]);
        bench_member_start(&members[i], next_key(), a->addr);
        fds[i].fd = members[i].fd;
      }
    }
  }
  printf("{\"event\":\"result\",\"role\":\"dial\",\"handshakes\":%llu,"
         "\"seconds\":%.6f}\n",
         (unsigned long long)done, (double)(bench_now_ns() - begin_ns) / 1e9);
  for (size_t i = 0; i < a->count; i++) {
    bench_member_stop(&members[i]);
  }
  return 0;
}

/* Each is reset, since as many that close in order would use up the ports of
   this machine in seconds. */
static int run_knock(const bench_args *a) {
  const struct linger reset = {.l_onoff = 1, .l_linger = 0};
  uint64_t begin_ns = bench_now_ns(), now_ns = begin_ns, done = 0;

  if (a->addr == NULL) {
    return fail("knock", "no address");
  }
  while ((double)(now_ns - begin_ns) < a->seconds * 1e9) {
    int fd = bench_dial(a->addr);

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    done++;
    now_ns = bench_now_ns();
  }
  printf("{\"event\":\"result\",\"role\":\"knock\",\"connections\":%llu,"
         "\"seconds\":%.6f}\n",
         (unsigned long long)done, (double)(now_ns - begin_ns) / 1e9);
  return 0;
}

int main(int argc, char **argv) {
  static const bench_verb verbs[] = {
    {"hub", run_hub}, {"dial", run_dial}, {"knock", run_knock}};

  return bench_main(argc, argv, verbs, sizeof verbs / sizeof *verbs);
}
