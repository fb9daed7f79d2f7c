/* SPDX-License-Identifier: Apache-2.0 */

/* Bytes that a node holds, against the sum of its limits. */

#include "check.h"

enum {
  BASE = 1 << 20, /* Switch, loop and its scratch memory. */
  PEER = 700000,  /* Runs under way, frames, tables. */
  HANDSHAKE = 64 << 10,
  DIAL = 4 << 10,
  MESSAGE = 128, /* Of each that is queued, besides its bytes. */
};

static size_t queue_slots(const sim_node *n) {
  size_t slots = 0;

  for (size_t c = 0; c < n->sim->channel_count; c++) {
    slots += n->has[c] ? n->by_index[c].send_queue + 1 : 0;
  }
  return slots;
}

static size_t largest(const sim_node *n) {
  size_t max = 0;

  for (size_t c = 0; c < n->sim->channel_count; c++) {
    max = cmt__max(max, n->sim->message_max[c]);
  }
  return max;
}

static size_t waiting(const sim_node *n) {
  size_t bytes = 0;

  for (const sim_request *r = n->sim->requests; r != NULL; r = r->next) {
    bytes += r->waits && r->to->node == n ? r->len + MESSAGE : 0;
  }
  return bytes;
}

void check_memory(sim_node *n) {
  const cmt_switch_options *o = &n->options;
  size_t peers = 0, bound, receive;

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    peers++;
  }
  receive = o->recv_bytes_max > 0 ? o->recv_bytes_max : largest(n) + (1 << 20);
  bound = BASE + waiting(n) +
          peers * (PEER + cmt__max(o->send_bytes_max, largest(n)) + receive +
                   queue_slots(n) * MESSAGE) +
          cmt__min(o->handshakes_max, 64) * HANDSHAKE + 64 * DIAL;
  CHECK(n->sim, CHECK_MEMORY, n->env.live_bytes <= bound,
        "n%u holds %zu bytes with %zu peers, the bound is %zu", n->index,
        n->env.live_bytes, peers, bound);
}
