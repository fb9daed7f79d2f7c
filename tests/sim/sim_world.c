/* SPDX-License-Identifier: Apache-2.0 */

/* Prints the drawn world: everything that was drawn before its first step. */

#include "sim.h"

#include <inttypes.h>

#define MS(ns) ((double)(ns) / 1e6)

static void print_weather(const sim_weather *w, const sim_without *off) {
  printf("# weather: latency to %.1f ms, %" PRIu64 " B/s or more, %zu bytes or "
         "more in flight\n# odds of 65,536:",
         MS(w->latency_ns), w->bytes_per_s, w->buffer);
  for (size_t f = 0; f < SIM_FAULTS; f++) {
    if (w->odds[f] > 0) {
      printf(" %s %" PRIu32 "%s,", sim_fault_name((sim_fault)f), w->odds[f],
             off->fault[f] ? " (off)" : "");
    }
  }
  printf(" no other\n");
}

static void print_limit(const char *name, uint64_t value) {
  if (value > 0) {
    printf(", %s %" PRIu64, name, value);
  }
}

static void print_limits(const cmt_switch_options *o) {
  print_limit("send_bytes_max", o->send_bytes_max);
  print_limit("send_bytes_total_max", o->send_bytes_total_max);
  print_limit("recv_bytes_max", o->recv_bytes_max);
  print_limit("recv_bytes_total_max", o->recv_bytes_total_max);
  print_limit("inbound_peers_per_ip_max", o->inbound_peers_per_ip_max);
  print_limit("send_rate", o->send_rate);
  print_limit("recv_rate", o->recv_rate);
  print_limit("send_rate_total", o->send_rate_total);
  print_limit("recv_rate_total", o->recv_rate_total);
  print_limit("evict_interval_ns", o->evict_interval_ns);
  print_limit("unconditional", o->unconditional_count);
}

static void print_channel(const sim_node *n, size_t c) {
  const cmt_channel *d = &n->by_index[c];

  printf("#   channel %zu: priority %" PRIu32 "%s, send_queue %" PRIu32
         ", messages of %zu and %zu bytes",
         c, d->priority, d->traffic == CMT_TRAFFIC_URGENT ? " urgent" : "",
         d->send_queue, d->send_message_max, d->recv_message_max);
  print_limit("send_rate", d->send_rate);
  print_limit("recv_rate", d->recv_rate);
  print_limit("recv_queue", d->recv_queue);
  print_limit("recv_queue_bytes", d->recv_queue_bytes);
  printf("%s\n", d->on_full == CMT_ON_FULL_DROP ? ", drops when full" : "");
}

static void print_node(const sim_node *n) {
  const cmt_switch_options *o = &n->options;

  printf("# n%u: %" PRIu32 " loops, ping after %.1f ms, pong within %.1f ms, "
         "dial %.1f ms, handshake %.1f ms, throttle %.3f ms, stall %.1f ms, "
         "payload %" PRIu32 "\n",
         n->index, o->loops, MS(o->ping_interval_ns), MS(o->pong_timeout_ns),
         MS(o->dial_timeout_ns), MS(o->handshake_timeout_ns),
         MS(o->flush_throttle_ns), MS(o->stall_max_ns),
         o->send_packet_payload_max);
  printf("#   peers %" PRIu32 " in and %" PRIu32 " out, handshakes %" PRIu32
         " and %" PRIu32 " of an address, dials %" PRIu32,
         o->inbound_peers_max, o->outbound_peers_max, o->handshakes_max,
         o->handshakes_per_ip_max, o->dials_max);
  print_limits(o);
  if (n->computing_ns > 0) {
    printf(", operations of %.3f ms, over %" PRIu32 " handshakes/s on %" PRIu32
           " threads",
           MS(n->computing_ns), o->handshake_offload_rate,
           o->handshake_threads);
  }
  if (o->filter_addr != NULL || o->filter_peer != NULL) {
    printf(", filters of%s%s answer within %.1f ms",
           o->filter_addr != NULL ? " addresses" : "",
           o->filter_peer != NULL ? " peers" : "", MS(o->filter_timeout_ns));
  }
  printf("\n");
  for (size_t r = 0; r < n->sim->reactor_count; r++) {
    if (n->worker_count[r] > 0) {
      printf("#   reactor %zu: a mailbox, %zu workers\n", r,
             n->worker_count[r]);
    }
  }
  for (size_t c = 0; c < n->sim->channel_count; c++) {
    if (n->has[c]) {
      print_channel(n, c);
    }
  }
}

static void print_minority(const sim *s) {
  const char *before = ":";

  printf("# broken for good, ");
  if (s->minority.early) {
    printf("from action %" PRIu64 " of %d on", s->minority.after, SIM_ACTIONS);
  } else {
    printf("once all other faults are over");
  }
  for (size_t i = 0; i < s->node_count; i++) {
    if (s->nodes[i].weak) {
      printf("%s n%zu", before, i);
      before = ",";
    }
  }
  printf(" (%s)\n", sim_broken_text(s->minority.kind));
}

void sim_world_print(const sim *s) {
  if (s->net == NULL || s->without == NULL) {
    return;
  }
  printf("# world of seed %" PRIu64 ": %zu nodes, %zu channels, %zu reactors, "
         "%s cryptography, wire %s%s%s%s\n",
         s->seed, s->node_count, s->channel_count, s->reactor_count,
         s->aead == &sim_aead ? "simulated" : "real",
         s->wire == CMT_WIRE_LEGACY ? "legacy" : "cometbft",
         s->several ? ", several loops" : "",
         s->mismatch ? ", limits that do not match" : "",
         s->partitions ? ", partitions" : "");
  printf("# calls of reactors act in %" PRIu32 ", steps take memory away in "
         "%" PRIu32 " of 65,536\n",
         s->odds_reactor, s->odds_memory);
  print_weather(&s->weather, s->without);
  for (size_t i = 0; i < s->node_count; i++) {
    print_node(&s->nodes[i]);
  }
  if (s->crowd.count > 0) {
    printf("# crowd: %zu strangers %s at n%u\n", s->crowd.count,
           sim_crowd_text(s->crowd.kind), s->crowd.at->index);
  }
  if (s->hostile.at != NULL) {
    printf("# hostile: a node that %s, at n%u\n",
           sim_hostile_text(s->hostile.kind), s->hostile.at->index);
  }
  if (s->minority.count > 0) {
    print_minority(s);
  }
  for (size_t h = 0; h < SIM_HABITS; h++) {
    if (s->has_habit[h]) {
      printf("# the application %s\n", sim_habit_text((sim_habit)h));
    }
  }
  fflush(stdout);
}
