/* SPDX-License-Identifier: Apache-2.0 */

/* Bytes that a node has allocated, against the sum of its limits, bytes that it
   sends and receives in a time, and those that it writes at once. */

#include "check.h"

enum {
  BASE = 1 << 20, /* Switch, loop and its scratch memory. */
  LOOP = 400000,  /* One more loop. */
  PEER = 700000,  /* Runs under way, frames, tables. */
  HANDSHAKE = 64 << 10,
  DIAL = 4 << 10,
  PAST = 16 << 10, /* A peer that is gone. */
  MESSAGE = 128,   /* Cost of each that is queued, besides its bytes. */
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

/* What may wait of one peer for those who receive from mailboxes. */
static size_t mailbox_bytes(const sim_node *n) {
  size_t bytes = 0;

  for (size_t c = 0; c < n->sim->channel_count; c++) {
    const cmt_channel *d = &n->by_index[c];

    if (n->has[c] && n->has_mailbox) {
      bytes += d->recv_queue_bytes > 0 ? d->recv_queue_bytes
                                       : CMT_RECV_QUEUE_BYTES_DEFAULT;
      bytes += d->recv_message_max + (64 << 10) * 192;
    }
  }
  return bytes;
}

/* Peers that are gone and of which we keep a reference. */
static size_t past(const sim_node *n) {
  size_t count = 0;

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    count += p->gone;
  }
  return count;
}

void check_memory(sim_node *n) {
  const cmt_switch_options *o = &n->options;
  size_t peers = n->sim->crowd.count + (n->sim->hostile.at == n), bound,
         receive;

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    peers++;
  }
  receive = o->recv_bytes_max > 0 ? o->recv_bytes_max : largest(n) + (1 << 20);
  bound = BASE + (o->loops - 1) * LOOP + waiting(n) +
          peers * (PEER + cmt__max(o->send_bytes_max, largest(n)) + receive +
                   queue_slots(n) * MESSAGE) +
          cmt__min(o->handshakes_max, 64) * HANDSHAKE + 64 * DIAL;
  bound += peers * mailbox_bytes(n);
  bound = cmt__min(bound, n->memory_max + waiting(n) + past(n) * PAST);
  CHECK(n->sim, CHECK_MEMORY, n->env.live_bytes <= bound,
        "n%u holds %zu bytes with %zu peers, the bound is %zu", n->index,
        n->env.live_bytes, peers, bound);
}

/* ---- rates ---- */

enum {
  ONE_READ = 65536,
  URGENT_FIRST = 32768, /* Half of the bucket of urgent channels. */
  /* Bytes of others in a write with urgent ones: 7000 bytes, the packet that
     passes them, and what its last frame leaves empty. */
  URGENT_BESIDE = 7000 + 1400 + 100 + 1024,
  ONE_PACKET = 2048,
  OVERDRAFT = 16384,
  URGENT_MAX = 65536,
};

static uint64_t allowed(uint64_t rate, uint64_t ns, uint64_t more) {
  return rate / 10 + more + (uint64_t)((double)rate * (double)ns / 1e9) + 1;
}

static void check_rate(sim_peer *p, const char *what, uint64_t rate,
                       uint64_t bytes, uint64_t most) {
  CHECK(p->node->sim, CHECK_RATE, rate == 0 || bytes <= most,
        "n%u from n%u on c%u: %s: %llu bytes, allowed are %llu", p->node->index,
        p->remote, p->conn->id, what, (unsigned long long)bytes,
        (unsigned long long)most);
}

static uint64_t received_of(const sim_peer *from) {
  uint64_t bytes = 0;

  for (size_t c = 0; c < SIM_CHANNELS_MAX; c++) {
    bytes += from->flow[c].received_bytes;
  }
  return bytes;
}

static size_t peer_count(const sim_node *n) {
  size_t count = 0;

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    count++;
  }
  return count;
}

/* What urgent messages may send past a limit of |rate| and not have repaid. */
static uint64_t urgent(const sim_node *n, uint64_t rate) {
  for (size_t c = 0; c < n->sim->channel_count; c++) {
    if (n->has[c] && n->by_index[c].traffic == CMT_TRAFFIC_URGENT) {
      return rate / 8;
    }
  }
  return 0;
}

static void check_sender(sim_peer *p, sim_peer *from, size_t channel,
                         size_t len) {
  sim_node *n = from->node;
  const cmt_switch_options *o = &n->options;
  uint64_t now_ns = sim_net_now(n->sim->net);
  uint64_t ns = now_ns - from->up_ns;
  uint64_t rate = n->by_index[channel].send_rate;

  check_rate(
    p, "its sender's rate", o->send_rate, received_of(from) + len,
    allowed(o->send_rate, ns,
            ONE_PACKET + cmt__min64(urgent(n, o->send_rate), URGENT_MAX)));
  check_rate(p, "its channel's rate", rate,
             from->flow[channel].received_bytes + len,
             allowed(rate, ns, ONE_PACKET));
  if (from->peer == NULL) {
    return; /* The switch is gone. */
  }
  n->sent_bytes += len;
  check_rate(p, "its sender's rate to all", o->send_rate_total, n->sent_bytes,
             allowed(o->send_rate_total, now_ns - n->up_ns,
                     ONE_PACKET + peer_count(n) * OVERDRAFT +
                       urgent(n, o->send_rate_total)));
}

static void check_receiver(sim_peer *p, sim_peer *from, size_t channel,
                           size_t len) {
  const cmt_switch_options *o = &p->node->options;
  uint64_t now_ns = sim_net_now(p->node->sim->net);
  uint64_t ns = now_ns - p->up_ns;
  uint64_t rate = p->node->by_index[channel].recv_rate;

  check_rate(p, "the rate to receive", o->recv_rate, received_of(from) + len,
             allowed(o->recv_rate, ns, ONE_READ));
  check_rate(p, "the channel's rate to receive", rate,
             from->flow[channel].received_bytes + len,
             allowed(rate, ns, ONE_READ));
  check_rate(p, "the rate to receive from all", o->recv_rate_total,
             p->node->recv_bytes,
             allowed(o->recv_rate_total, now_ns - p->node->up_ns,
                     ONE_READ + peer_count(p->node) * OVERDRAFT));
}

void check_rates(sim_peer *p, size_t channel, size_t len) {
  sim_peer *from = sim_peer_other(p);

  p->node->recv_bytes += len;
  if (from != NULL && (p->node->has_rates || from->node->has_rates)) {
    check_sender(p, from, channel, len);
    check_receiver(p, from, channel, len);
  }
}

/* ---- one write ---- */

static uint64_t urgent_sent(const sim_peer *p) {
  cmt_peer_status st;
  uint64_t bytes = 0;

  cmt_peer_get_status(p->peer, &st);
  for (size_t c = 0; c < p->node->sim->channel_count; c++) {
    const cmt_channel *d = &p->node->by_index[c];

    for (size_t i = 0; p->node->has[c] && i < st.channel_count; i++) {
      if (st.channels[i].id == d->id && d->traffic == CMT_TRAFFIC_URGENT) {
        bytes += st.channels[i].sent_bytes;
      }
    }
  }
  return bytes;
}

/* As long as all that was urgent is a part of the first bucket, none of it
   competed by its priority. */
void check_write(sim_conn *c, int side, size_t len) {
  sim_peer *p = c->user[side];
  uint64_t bytes, before;

  if (p == NULL || p->peer == NULL || p->node->has_rates) {
    return;
  }
  before = p->urgent_bytes;
  bytes = urgent_sent(p);
  p->urgent_bytes = bytes;
  if (bytes > before && bytes < URGENT_FIRST) {
    CHECK(p->node->sim, CHECK_URGENT,
          len / CMT_FRAME_SLOT * CMT_FRAME_DATA <=
            bytes - before + URGENT_BESIDE,
          "n%u to n%u on c%u: %zu bytes were written with %llu urgent ones",
          p->node->index, p->remote, c->id, len,
          (unsigned long long)(bytes - before));
  }
}
