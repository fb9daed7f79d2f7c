/* SPDX-License-Identifier: Apache-2.0 */

/* What sends return.  A refusal for lack of room needs as many messages, or
   bytes, that were accepted and have not arrived: what has arrived cannot be
   queued any more. */

#include "check.h"

#define LATE_NS CMT_SECONDS(1)

/* A send whose answer is still to come may be queued already. */
static size_t outstanding(const sim_flow *f, size_t *bytes) {
  size_t count = 0;

  for (size_t i = f->first; i < f->count; i++) {
    count++;
    *bytes += f->list[i].len;
  }
  return count;
}

/* What refuses the message whatever is queued; CMT_OK: nothing. */
static cmt_err refusal(const sim_peer *p, int channel, size_t len) {
  if (p->gone || p->removed != 0 || p->stopped || p->closed) {
    return CMT_ECLOSED;
  }
  if (channel < 0 || !p->node->has[channel]) {
    return CMT_ENOCHANNEL;
  }
  if (!p->node->sim->nodes[p->remote].has[channel]) {
    return CMT_EPEERCHANNEL;
  }
  return len > p->node->by_index[channel].send_message_max ? CMT_ETOOBIG
                                                           : CMT_OK;
}

static void check_full(sim_peer *p, int channel, size_t len) {
  const sim_flow *f = &p->flow[channel];
  size_t bytes = 0, room = p->node->by_index[channel].send_queue + 1;
  size_t count = outstanding(f, &bytes);

  bytes = 0;
  for (size_t c = 0; c < SIM_CHANNELS_MAX; c++) {
    (void)outstanding(&p->flow[c], &bytes);
  }
  CHECK(
    p->node->sim, CHECK_ANSWER,
    count >= room || f->waiting > 0 ||
      bytes + len > p->node->options.send_bytes_max ||
      (p->node->options.send_bytes_total_max != 0 && bytes + len > SIM_FLOOR),
    "n%u to n%u, channel %d: no room, with %zu of %zu messages and %zu of "
    "%zu bytes under way",
    p->node->index, p->remote, channel, count, room, bytes,
    p->node->options.send_bytes_max);
}

/* Another thread may learn of an end before the reactors do: in the middle of
   the iteration that finds it, or while the first loop is still to hear of it
   from another, or while it has not reported a ban or an eviction.  From then
   on the peer stays closed. */
static bool ended_just_now(sim_peer *p, cmt_err err) {
  bool may_know = sim_net_other_runs(p->node->sim->net) || p->doomed ||
                  p->conn->loop[p->side] != p->node->loops[0];

  p->closed = p->closed || (may_know && err == CMT_ECLOSED);
  return may_know && err == CMT_ECLOSED;
}

void check_answer(sim_peer *p, int channel, size_t len, cmt_err err) {
  cmt_err expected = refusal(p, channel, len);
  bool stopping = p->node->state == SIM_STOPPING && err == CMT_ECLOSED;

  if (stopping || (expected == CMT_OK && err == CMT_OK) ||
      (err == CMT_ENOMEM && p->node->lacks > 0) || ended_just_now(p, err)) {
    check_held(p->node->sim, CHECK_ANSWER);
  } else if (expected == CMT_OK && err == CMT_EAGAIN) {
    check_full(p, channel, len);
  } else {
    CHECK(p->node->sim, CHECK_ANSWER, err == expected,
          "n%u to n%u on c%u, channel %d, %zu bytes: %s, expected %s",
          p->node->index, p->remote, p->conn->id, channel, len,
          cmt_err_name(err), cmt_err_name(expected));
  }
}

void check_request(sim_request *r, cmt_err status, const cmt_buf *msg) {
  sim_peer *p = r->to;
  sim *s = p->node->sim;
  uint64_t waited_ns = sim_net_now(s->net) - r->called_ns;
  uint64_t late_ns = LATE_NS + sim_peer_busy_ns(p) - r->busy_ns;

  if (!r->waits) {
    check_fail(s, CHECK_CALLBACK, "n%u to n%u: a send called back twice",
               p->node->index, p->remote);
  }
  CHECK(s, CHECK_CALLBACK, msg == (status == CMT_OK ? NULL : r->msg),
        "n%u to n%u: a send called back with the wrong message", p->node->index,
        p->remote);
  CHECK(s, CHECK_CALLBACK,
        status == CMT_OK || status == CMT_ECLOSED || status == CMT_ETIMEDOUT ||
          (status == CMT_ENOMEM && p->node->lacks > 0),
        "n%u to n%u: a send called back with %s", p->node->index, p->remote,
        cmt_err_name(status));
  CHECK(s, CHECK_CALLBACK,
        (status != CMT_ETIMEDOUT || waited_ns >= r->req.timeout_ns) &&
          (r->req.timeout_ns == CMT_NEVER ||
           waited_ns <= r->req.timeout_ns + late_ns),
        "n%u to n%u: a send may wait %llu us and waited %llu us",
        p->node->index, p->remote, (unsigned long long)r->req.timeout_ns / 1000,
        (unsigned long long)waited_ns / 1000);
}

void check_broadcasts(sim *s) {
  for (size_t i = 0; i < s->broadcast_count; i++) {
    const sim_broadcast *b = &s->broadcasts[i];

    CHECK(s, CHECK_BROADCAST,
          b->matched <= b->queued && (b->unsure || b->matched == b->queued),
          "broadcast %zu: %zu peers queued it, it arrived %zu times", i,
          b->queued, b->matched);
  }
}
