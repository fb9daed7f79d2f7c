/* SPDX-License-Identifier: Apache-2.0 */

/* Why peers end.  Each reason needs a cause: what an application asked for,
   what the network did, or what the other side did.  A graceful stop that
   nothing comes between must have delivered all. */

#include "check.h"

/* Time that a ping may lie in the network because its reader has a limit. */
static uint64_t limited_ns(const sim_node *n) {
  return n->has_rates ? CMT_SECONDS(10) : 0;
}

/* Time that a pong may need although nobody is at fault.  A side that does not
   read by its own choice sends pongs unsolicited, and waits for none.  Time in
   which |p|'s own node was delayed is no reason: what came is read first. */
static uint64_t delay_max_ns(const sim_peer *p) {
  const sim_peer *other = sim_peer_other(p);
  const sim_node *to = &p->node->sim->nodes[p->remote];
  uint64_t sum = p->conn->queue_max_ns + p->conn->stalled_ns;

  sum += sim_node_busy_ns(to) - p->other_busy_ns;
  sum += limited_ns(p->node) + limited_ns(to);
  if ((other != NULL && (other->pauses > 0 || other->paused_ns > 0)) ||
      to->has_mailbox) {
    sum += to->options.pong_timeout_ns / 3;
  }
  return sum;
}

static size_t receive_sum(const sim_node *n) {
  size_t sum = 0;

  for (size_t c = 0; c < n->sim->channel_count; c++) {
    sum += n->has[c] ? n->by_index[c].recv_message_max : 0;
  }
  return sum;
}

static size_t receive_max(const sim_node *n) {
  size_t max = 0;

  for (size_t c = 0; c < n->sim->channel_count; c++) {
    max = cmt__max(max, n->has[c] ? n->by_index[c].recv_message_max : 0);
  }
  return n->options.recv_bytes_max > 0 ? n->options.recv_bytes_max
                                       : max + (1 << 20);
}

static bool may_lack_memory(const sim_node *n) {
  return receive_sum(n) > receive_max(n) ||
         n->options.recv_bytes_total_max != 0;
}

/* A pause that was too long may be over before its end is reported. */
static uint64_t longest_pause_ns(const sim_peer *p) {
  uint64_t ns =
    p->pauses > 0 ? sim_net_now(p->node->sim->net) - p->paused_at_ns : 0;

  return cmt__max64(p->longest_pause_ns, ns);
}

static bool is_possible(const sim_peer *p, cmt_err reason) {
  const sim_conn *c = p->conn;
  const sim_peer *other = sim_peer_other(p);
  int theirs = 1 - p->side;

  if (reason == p->stop_reason || reason == p->fail_reason) {
    return true;
  }
  switch ((int)reason) {
  case CMT_ENOMEM:
    return p->node->lacks > 0;
  case CMT_ECANCELED:
    return p->node->state == SIM_STOPPING;
  case CMT_EIO:
    return c->unattached[p->side];
  case CMT_EEOF:
    return c->shut[theirs] || c->half_closed[theirs];
  case CMT_ERESET:
    return c->cut || !c->open[theirs];
  case CMT_EPONG:
    return c->half_closed[0] || c->half_closed[1] || !c->open[theirs] ||
           c->shut[theirs] ||
           delay_max_ns(p) >= p->node->options.pong_timeout_ns ||
           c->rival || /* It lies unread at the other side beside that, */
           c->filtering[theirs]; /* or until its filter answers. */
  case CMT_EAUTH:
    return c->flipped[theirs];
  case CMT_EBANNED:
    return check_ban_explains(p);
  case CMT_EEVICTED:
    return true; /* See check_evicted(). */
  case CMT_EDUPLICATE:
    return c->rival; /* It may have ended before this is reported. */
  case CMT_EMSGSIZE:
    return other != NULL && other->oversize > 0;
  case CMT_ENOBUFS:
    return may_lack_memory(p->node);
  case CMT_ESTALLED:
    return p->node->has_mailbox ||
           longest_pause_ns(p) >= p->node->options.stall_max_ns;
  default:
    return false;
  }
}

void check_reason(sim_peer *p, cmt_err reason) {
  if (reason == CMT_EEVICTED) {
    check_evicted(p);
  }
  CHECK(p->node->sim, CHECK_REASON, is_possible(p, reason),
        "n%u, peer n%u on c%u ended with %s, and nothing accounts for it",
        p->node->index, p->remote, p->conn->id, cmt_err_name(reason));
}

/* ---- graceful stops ---- */

static uint64_t waiting_bytes(const sim_peer *p) {
  uint64_t bytes = 0;

  for (size_t c = 0; c < SIM_CHANNELS_MAX; c++) {
    const sim_flow *f = &p->flow[c];

    for (size_t i = f->first; i < f->count; i++) {
      bytes += f->list[i].len + 64;
    }
  }
  return bytes;
}

/* Memory lacked for it on another loop, of which the first has not heard. */
static bool may_have_ended(const sim_peer *p) {
  return p->node->lacks > 0 && p->conn->loop[p->side] != p->node->loops[0];
}

/* After its own end of the stream a side reads on for 1 s at most; what is
   still on the way then may be lost. */
void check_grace_begin(sim_peer *p, uint64_t flush_ns) {
  const sim_peer *other = sim_peer_other(p);
  const sim_node *to = &p->node->sim->nodes[p->remote];
  const sim_conn *c = p->conn;
  uint64_t bytes_ns = waiting_bytes(p) * CMT_SECONDS(4) / (c->rate + 1);
  bool hurt = c->cut || c->half_closed[0] || c->half_closed[1] ||
              c->flipped[0] || c->flipped[1];

  if (p->grace.on || !sim_peer_is_live(p)) {
    return;
  }
  p->grace = (sim_grace){
    .on = !hurt && !p->doomed && other != NULL && !other->doomed &&
          !p->node->has_rates && !to->has_rates && !may_have_ended(p) &&
          !may_have_ended(other) && sim_peer_is_live(other) &&
          !other->stopped && other->fail_reason == CMT_OK &&
          other->pauses == 0 && p->pauses == 0 && p->oversize == 0 &&
          other->node->state == SIM_UP &&
          c->stalled_until_ns <= sim_net_now(p->node->sim->net) &&
          c->queue_max_ns < CMT_MILLISECONDS(700) &&
          flush_ns >= CMT_SECONDS(1) + 4 * c->queue_max_ns + bytes_ns,
    .stalled_ns = c->stalled_ns,
    .lacks = p->node->lacks + to->lacks,
    .busy_ns = sim_peer_busy_ns(p) + to->slow_ns,
  };
}

/* A cause of its own may end |p| before it has read all, and what |p| has sent
   may end the other side before it has sent all. */
void check_grace(sim_peer *p, cmt_err reason) {
  sim_peer *from = sim_peer_other(p);
  const sim_conn *c = p->conn;

  if (from == NULL || !from->grace.on) {
    return;
  }
  from->grace.on = false;
  if ((reason != CMT_EEOF && reason != CMT_ERESET) || p->stopped ||
      p->fail_reason != CMT_OK || from->fail_reason != CMT_OK ||
      p->oversize > 0 || may_lack_memory(from->node) ||
      p->node->lacks + from->node->lacks != from->grace.lacks ||
      p->pauses > 0 || p->node->state == SIM_STOPPING || c->cut ||
      c->unattached[0] || c->unattached[1] || c->flipped[0] || c->flipped[1] ||
      c->half_closed[0] || c->half_closed[1] ||
      c->stalled_ns != from->grace.stalled_ns ||
      sim_peer_busy_ns(p) + p->node->slow_ns - from->grace.busy_ns >
        CMT_MILLISECONDS(200)) {
    return;
  }
  check_flow_arrived(from, CHECK_GRACE);
}
