/* SPDX-License-Identifier: Apache-2.0 */

/* Sending: every message has a key, its bytes follow from it, and the outcome
   of the send goes to the checkers. */

#include "check.h"

#include <stdlib.h>

#include "loop_parts.h"

/* Memory lacks for the library, never for the one allocation here. */
static cmt_buf *new_message(sim_node *n, uint64_t *key, size_t len) {
  size_t fail_at = n->env.fail_at;
  cmt_buf *msg;

  n->env.fail_at = SIZE_MAX;
  msg = cmt_buf_new(&n->env.env, len);
  n->env.fail_at = fail_at + (fail_at + 1 == n->env.allocs);
  *key = sim_mix(n->sim->seed ^ sim_mix(++n->sim->serial));
  if (len > 0) {
    check_flow_fill(*key, cmt_buf_data(msg), len);
  }
  return msg;
}

/* An id that the world does not have, for a negative channel. */
static uint8_t id_of(const sim *s, int channel) {
  uint8_t id = 0;

  if (channel >= 0) {
    return s->ids[channel];
  }
  for (size_t c = 0; c < s->channel_count; c++) {
    id = s->ids[c] == id ? (uint8_t)(id + 1) : id;
  }
  return memchr(s->ids, id, s->channel_count) == NULL ? id : 255;
}

static void note_accepted(sim_peer *p, size_t channel, size_t len) {
  const sim_node *to = &p->node->sim->nodes[p->remote];

  p->node->sim->sent_bytes += len;
  p->oversize += len > to->by_index[channel].recv_message_max;
}

static void trace_send(const sim_peer *p, size_t channel, size_t len,
                       cmt_err err) {
  sim_trace(p->node->sim->net, "n%u sends %zu bytes to n%u, channel %zu: %s",
            p->node->index, len, p->remote, channel, cmt_err_name(err));
}

/* The other side may have no room for it. */
static bool may_drop(const sim_peer *p, size_t channel) {
  const sim_node *to = &p->node->sim->nodes[p->remote];

  return to->by_index[channel].on_full == CMT_ON_FULL_DROP;
}

/* What can be missed must be distinguished from the next. */
static size_t distinct(const sim_peer *p, size_t channel, size_t len) {
  return may_drop(p, channel) ? cmt__max(len, SIM_DISTINCT) : len;
}

bool sim_try_send(sim_peer *p, size_t channel, size_t len) {
  sim_entry e = {.len = distinct(p, channel, len),
                 .state = SIM_ACCEPTED,
                 .may_drop = may_drop(p, channel)};
  cmt_buf *msg = new_message(p->node, &e.key, e.len);
  cmt_err err =
    cmt_peer_try_send(p->peer, id_of(p->node->sim, (int)channel), msg);

  len = e.len;

  check_answer(p, (int)channel, len, err);
  trace_send(p, channel, len, err);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
    return false;
  }
  check_flow_add(p, channel, &e);
  note_accepted(p, channel, len);
  return true;
}

void sim_fill(sim_peer *p, size_t channel, size_t len) {
  while (sim_try_send(p, channel, len)) {
  }
}

/* ---- sends that wait ---- */

static void on_answer(void *arg, cmt_err status, cmt_buf *msg);

static void request(sim_request *r) {
  sim_peer *p = r->to;
  sim_entry e = {
    .len = r->len, .state = SIM_WAITING, .may_drop = may_drop(p, r->channel)};
  cmt_err err;

  r->msg = new_message(p->node, &r->key, r->len);
  e.key = r->key;
  r->called_ns = sim_net_now(p->node->sim->net);
  r->busy_ns = sim_peer_busy_ns(p);
  r->waits = true;
  err = cmt_peer_send_async(p->peer, id_of(p->node->sim, (int)r->channel),
                            r->msg, &r->req);
  trace_send(p, r->channel, r->len, err);
  if (!r->again || err != CMT_ECLOSED) {
    check_answer(p, (int)r->channel, r->len, err);
  }
  if (err == CMT_OK) {
    check_flow_add(p, r->channel, &e);
    return;
  }
  r->waits = false;
  cmt_buf_unref(r->msg);
}

static void on_answer(void *arg, cmt_err status, cmt_buf *msg) {
  sim_request *r = arg;
  sim_peer *p = r->to;

  check_request(r, status, msg);
  trace_send(p, r->channel, r->len, status);
  r->waits = false;
  p->closed = p->closed || status == CMT_ECLOSED;
  check_flow_answer(p, r->channel, r->key, status == CMT_OK);
  if (status == CMT_OK) {
    note_accepted(p, r->channel, r->len);
    if (sim_one_in(&p->node->sim->rng, 4) && !p->node->sim->calm) {
      r->again = true; /* The peer may be about to be removed. */
      request(r);
    }
  }
  cmt_buf_unref(msg);
}

void sim_send(sim_peer *p, size_t channel, size_t len, uint64_t timeout_ns) {
  sim *s = p->node->sim;
  sim_request *r = test_resize(NULL, sizeof *r);

  *r = (sim_request){
    .req = CMT_SEND_REQ(timeout_ns, on_answer, r),
    .next = s->requests,
    .to = p,
    .channel = channel,
    .len = distinct(p, channel, len),
  };
  s->requests = r;
  request(r);
}

/* Draws one of the newest requests that wait, each with an equal chance. */
static sim_request *any_request(sim *s) {
  sim_request *found = NULL;
  uint64_t count = 0;

  for (sim_request *r = s->requests; r != NULL && count < 16; r = r->next) {
    if (r->waits && sim_one_in(&s->rng, ++count)) {
      found = r;
    }
  }
  return found;
}

/* Its message is sent, or is ours again; in both cases nobody is called. */
void sim_cancel(sim *s) {
  sim_request *r = any_request(s);
  cmt_err err;

  if (r == NULL) {
    return;
  }
  err = cmt_peer_send_cancel(r->to->peer, &r->req);
  sim_trace(s->net, "n%u cancels a send to n%u, channel %zu: %s",
            r->to->node->index, r->to->remote, r->channel, cmt_err_name(err));
  CHECK(s, CHECK_CANCEL,
        (err == CMT_OK || err == CMT_EALREADY) &&
          r->req.msg == (err == CMT_OK ? r->msg : NULL),
        "n%u to n%u: the cancel of a send that was not answered says %s",
        r->to->node->index, r->to->remote, cmt_err_name(err));
  r->waits = false;
  check_flow_answer(r->to, r->channel, r->key, err == CMT_EALREADY);
  if (err == CMT_EALREADY) {
    note_accepted(r->to, r->channel, r->len);
  }
  cmt_buf_unref(r->req.msg);
  memset(&r->req, 0xa5, sizeof r->req);
}

/* Frees the requests that were answered; all, once every switch has stopped. */
void sim_requests_free(sim *s) {
  sim_request **at = &s->requests;

  while (*at != NULL) {
    sim_request *r = *at;

    if (r->waits) {
      at = &r->next;
    } else {
      *at = r->next;
      free(r);
    }
  }
}

/* ---- broadcasts ---- */

static size_t lacking(const sim_node *n, size_t channel) {
  size_t count = 0;

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    count += sim_peer_is_live(p) && !p->stopped &&
             !n->sim->nodes[p->remote].has[channel];
  }
  return count;
}

/* It may be closed already. */
static bool has_doomed(const sim_node *n) {
  bool any = false;

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    any = any || (p->doomed && sim_peer_is_live(p));
  }
  return any;
}

static void note_maybe(sim_node *n, size_t channel, const sim_entry *e) {
  n->sim->broadcasts[e->broadcast].unsure = n->strangers > 0;
  for (sim_peer *p = n->peers; p != NULL; p = p->next) {
    if (sim_peer_is_live(p) && !p->stopped && !p->closed &&
        n->sim->nodes[p->remote].has[channel]) {
      sim_entry own = *e;

      own.may_drop = may_drop(p, channel);
      if (own.may_drop || p->doomed || !sim_is_of_sound(p)) {
        n->sim->broadcasts[e->broadcast].unsure = true;
      }
      check_flow_add(p, channel, &own);
      note_accepted(p, channel, e->len);
    }
  }
}

static sim_broadcast *new_broadcast(sim *s) {
  if (s->broadcast_count == s->broadcast_cap) {
    s->broadcast_cap = s->broadcast_cap > 0 ? 2 * s->broadcast_cap : 16;
    s->broadcasts =
      test_resize(s->broadcasts, s->broadcast_cap * sizeof *s->broadcasts);
  }
  return &s->broadcasts[s->broadcast_count++];
}

void sim_broadcast_to(sim_node *n, size_t channel, size_t len) {
  sim *s = n->sim;
  sim_entry e = {.len = cmt__max(len, SIM_DISTINCT), .state = SIM_MAYBE};
  const cmt_channel *c = &n->by_index[channel];
  cmt_buf *msg = new_message(n, &e.key, e.len);
  cmt_broadcast counts = {.queued = 0};
  cmt_err expected = !n->has[channel]              ? CMT_ENOCHANNEL
                     : e.len > c->send_message_max ? CMT_ETOOBIG
                                                   : CMT_OK;
  cmt_err err = cmt_switch_broadcast(n->sw, s->ids[channel], msg, &counts);

  CHECK(s, CHECK_ANSWER, err == expected,
        "n%u, channel %zu: a broadcast of %zu bytes says %s, expected %s",
        n->index, channel, e.len, cmt_err_name(err), cmt_err_name(expected));
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
    return;
  }
  CHECK(s, CHECK_BROADCAST,
        n->state == SIM_STOPPING || has_doomed(n) ||
          counts.no_channel == lacking(n, channel),
        "n%u, channel %zu: %zu peers lack it, a broadcast says %zu", n->index,
        channel, lacking(n, channel), counts.no_channel);
  e.broadcast = s->broadcast_count;
  *new_broadcast(s) = (sim_broadcast){.queued = counts.queued};
  note_maybe(n, channel, &e);
}

/* ---- lengths ---- */

size_t sim_draw_len(sim *s, const sim_node *n, size_t channel) {
  sim_rng *rng = &s->rng;
  size_t max = s->message_max[channel];
  size_t payload = n->options.send_packet_payload_max;
  size_t len;

  switch (sim_below(rng, 10)) {
  case 0:
    len = sim_below(rng, 2);
    break;
  case 1:
    len = payload * sim_between(rng, 1, 4) + sim_below(rng, 3) - 1;
    break;
  case 2:
    len = sim_one_in(rng, 4) ? max : max / 2;
    break;
  case 3:
    return sim_one_in(rng, 4) ? max + 1 : max - sim_below(rng, 2);
  case 4:
    len = sim_spread(rng, 1, 300000);
    break;
  default:
    len = sim_spread(rng, 1, 8192);
    break;
  }
  return cmt__min(len, max);
}
