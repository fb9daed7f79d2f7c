/* SPDX-License-Identifier: Apache-2.0 */

/* What the decisions ask for: dials with their outcomes, questions, answers,
   and who goes. */

#include "pex_impl.h"

#include "pex_msg.h"
#include "sys/lock.h"

#define CLOSE_NS CMT_SECONDS(1)

/* ---- questions and answers ---- */

/* Under the lock. */
static void count_answer(cmt_pex *p, cmt__ensure_peer *peer, cmt__pex_answer *a,
                         cmt__pex_time t) {
  p->status.answers_sent++;
  a->to_visitor = cmt__pex_is_visitor(p, peer);
  if (a->to_visitor) {
    peer->served += a->count;
    p->status.addrs_served += a->count;
  }
  for (size_t i = 0; i < a->count; i++) {
    a->ages_ns[i] = cmt__since(t.utc_ns, a->ages_ns[i]);
  }
}

void cmt__pex_make_answer(cmt_pex *p, cmt__ensure_peer *peer, cmt__pex_time t,
                          cmt__pex_answer *a) {
  uint16_t numbers[CMT_ADDRBOOK_ANSWER_MAX];
  const cmt__book_addr *addrs[CMT_ADDRBOOK_ANSWER_MAX];
  cmt__ensure_answer trimmed = {.numbers = numbers, .proofs_ns = a->ages_ns};
  cmt_addrbook_query q;

  cmt__ensure_query(&p->ensure, peer, t, &q);
  q.proofs_ns = a->ages_ns;
  trimmed.count =
    cmt__book_select(p->o.book, &q, numbers, CMT_ADDRBOOK_ANSWER_MAX, t.utc_ns);
  cmt__ensure_trim(&p->ensure, peer, &trimmed, t);
  a->count = trimmed.count;
  for (size_t i = 0; i < a->count; i++) {
    addrs[i] = &cmt__book_at(p->o.book, numbers[i])->addr;
  }
  a->msg = cmt__pex_new_addrs(&p->env, addrs, a->count);
  count_answer(p, peer, a, t);
  cmt__ensure_served(&p->ensure, peer, t);
}

/* |msg| may be NULL: there was no memory. */
static bool send(const cmt_pex *p, cmt_peer *peer, cmt_buf *msg) {
  bool sent = false;

  if (msg != NULL) {
    sent =
      cmt_peer_try_send(peer, CMT__PEX_CHANNEL, cmt_buf_ref(msg)) == CMT_OK;
    if (!sent) {
      cmt_buf_unref(msg); /* The reference of the queue. */
    } else if (p->o.on_sent != NULL) {
      p->o.on_sent(p->o.sent_arg, CMT__PEX_CHANNEL, cmt_buf_bytes(msg));
    }
    cmt_buf_unref(msg);
  }
  return sent;
}

void cmt__pex_send_answer(cmt_pex *p, cmt_peer *peer,
                          const cmt__pex_answer *a) {
  if (send(p, peer, a->msg) && a->to_visitor && p->o.on_served != NULL) {
    p->o.on_served(p->o.served_arg, a->ages_ns, a->count);
  }
}

/* ---- dials ---- */

static bool read_reached(const cmt_dial_outcome *o, cmt_net_addr *out) {
  if (o->id == NULL ||
      cmt_net_addr_parse(o->remote, CMT_ADDR_NO_ID, out, NULL) != CMT_OK) {
    return false;
  }
  out->id = *o->id;
  return true;
}

const char *cmt__pex_version(const cmt_node_info *info, char *out, size_t cap) {
  if (info == NULL || info->version.len == 0) {
    return NULL;
  }
  snprintf(out, cap, "%.*s", (int)info->version.len,
           (const char *)info->version.base);
  return out;
}

void cmt__pex_dialed(void *pex, cmt_dial *dial, const cmt_dial_outcome *o) {
  const cmt_pex *p = pex;

  (void)dial;
  if (p->o.on_dialed != NULL) {
    p->o.on_dialed(p->o.dialed_arg, o);
  }
}

static void dial_ended(cmt__pex_slot *slot, const cmt__ensure_outcome *o) {
  cmt_pex *p = slot->pex;
  cmt__pex_time t = cmt__pex_now(p);
  cmt__ensure_dial *d = &p->ensure.dials[slot->index];
  bool feeler = d->feeler;

  cmt__lock(&p->lock);
  p->status.dials_failed += !feeler && o->err != CMT_OK;
  p->status.feelers_failed += feeler && o->err != CMT_OK;
  cmt__ensure_dialed(&p->ensure, d, o, t);
  cmt__unlock(&p->lock);
}

static void on_outcome(void *arg, cmt_dial *dial, const cmt_dial_outcome *o) {
  cmt__pex_slot *slot = arg;
  char version[CMT_ADDRBOOK_VERSION_SIZE];
  cmt_net_addr at;
  cmt__ensure_outcome outcome = {
    .err = o->why.err,
    .at = read_reached(o, &at) ? &at : NULL,
    .version = cmt__pex_version(o->node_info, version, sizeof version),
  };

  dial_ended(slot, &outcome);
  cmt__pex_wake(slot->pex);
  cmt__pex_dialed(slot->pex, dial, o);
}

/* ---- steps ---- */

/* What a step needs outside of the lock. */
typedef struct job {
  cmt__ensure_act act;
  cmt__pex_slot *slot;
  cmt_net_addr addr;
  bool feeler;
  cmt_peer *peer; /* With a reference. */
  cmt__ensure_peer *record;
  cmt_buf *msg;
  const cmt__pex_answer *answer;
} job;

static void do_dial(cmt_pex *p, const job *j) {
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt__ensure_outcome failure = {.err = CMT_EINVAL};
  cmt_dial_options o;

  cmt_dial_options_init(&o);
  o.on_outcome = on_outcome;
  o.arg = j->slot;
  o.feeler = j->feeler;
  o.network = p->network[0] != '\0' ? p->network : NULL;
  if (cmt_net_addr_format(&j->addr, text, sizeof text) == CMT_OK) {
    failure.err = cmt_switch_dial_new(p->sw, text, &o, NULL, NULL);
  }
  if (failure.err != CMT_OK) {
    dial_ended(j->slot, &failure);
  }
}

static void do_ask(cmt_pex *p, const job *j) {
  bool sent = send(p, j->peer, j->msg);

  cmt__lock(&p->lock);
  p->status.requests_sent += sent;
  if (!sent) {
    j->record->limit.outstanding = false;
  }
  cmt__unlock(&p->lock);
}

static void count_dial(cmt_pex *p, const cmt__ensure_dial *d) {
  p->status.dials += !d->feeler;
  p->status.feelers += d->feeler;
  p->status.seeds_dialed += d->kind == CMT__ENSURE_SEED;
}

/* An answer goes to |a|.  Under the lock. */
static job job_of(cmt_pex *p, const cmt__ensure_step *step, cmt__pex_time t,
                  cmt__pex_answer *a) {
  job j = {.act = step->act, .answer = a};

  if (step->act == CMT__ENSURE_DIAL) {
    const cmt__ensure_dial *d = step->dial;

    j.slot = &p->slots[d - p->ensure.dials];
    j.addr = d->kind == CMT__ENSURE_SEED ? p->seeds[d->seed] : d->addr;
    j.feeler = d->feeler;
    count_dial(p, d);
    return j;
  }
  j.record = step->peer;
  j.peer = cmt_peer_ref(step->peer->user);
  if (step->act == CMT__ENSURE_ASK) {
    j.msg = cmt__pex_new_request(&p->env);
  } else if (step->act == CMT__ENSURE_ANSWER) {
    cmt__pex_make_answer(p, step->peer, t, a);
  }
  return j;
}

static void run(cmt_pex *p, const job *j) {
  if (j->act == CMT__ENSURE_DIAL) {
    do_dial(p, j);
  } else if (j->act == CMT__ENSURE_ASK) {
    do_ask(p, j);
  } else if (j->act == CMT__ENSURE_CLOSE) {
    (void)cmt_peer_explain(j->peer, CMT_ECANCELED,
                           p->o.seed ? "the visit is over"
                                     : "it gives way to another peer");
    cmt_peer_stop(j->peer, CMT_ECANCELED, CLOSE_NS);
  } else {
    cmt__pex_send_answer(p, j->peer, j->answer);
  }
  cmt_peer_unref(j->peer);
}

/* The switch knows who has become unconditional.  A seed, which has many peers,
   keeps none for the number.  Under the lock. */
static void peers_exempt(cmt_pex *p) {
  for (cmt__ensure_peer *e = p->ensure.peers; e != NULL && !p->o.seed;
       e = e->next) {
    if (cmt_peer_is_unconditional(e->user)) {
      cmt__ensure_exempt(&p->ensure, e);
    }
  }
}

/* On the first loop, where no peer can go meanwhile. */
static void run_steps(cmt_pex *p) {
  cmt__pex_time t = cmt__pex_now(p);
  cmt__ensure_step step;
  uint64_t next_ns = t.now_ns;
  bool more = true;
  cmt__pex_answer a;

  while (more) {
    job j;

    cmt__lock(&p->lock);
    peers_exempt(p);
    more = cmt__ensure_next(&p->ensure, t, &step);
    if (more) {
      j = job_of(p, &step, t, &a);
    } else {
      next_ns = cmt__ensure_next_ns(&p->ensure, t.now_ns);
    }
    cmt__unlock(&p->lock);
    if (more) {
      run(p, &j);
    }
  }
  cmt_ignore(cmt_switch_timer(p->sw, &p->timer, next_ns - t.now_ns));
}

void cmt__pex_on_time(void *arg, cmt_err status) {
  if (status == CMT_OK) {
    run_steps(arg);
  }
}

void cmt__pex_wake(cmt_pex *p) {
  cmt__lock(&p->outer);
  if (p->sw != NULL) {
    cmt_ignore(cmt_switch_post(p->sw, &p->post));
  }
  cmt__unlock(&p->outer);
}
