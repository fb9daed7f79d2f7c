/* SPDX-License-Identifier: Apache-2.0 */

/* The reactor on channel 0x00: peers that come and go, and their messages. */

#include "pex_impl.h"

#include <cometp2p/admission.h>

#include "height_msg.h"
#include "pex_msg.h"
#include "sys/lock.h"

#define VALUE "cometp2p/pex" /* The key of a peer's record. */

static const cmt_channel channels[] = {{
  .id = CMT__PEX_CHANNEL,
  .priority = 1,
  .send_queue = 10,
  .send_message_max = CMT__PEX_MESSAGE_MAX,
  .recv_message_max = CMT__PEX_MESSAGE_MAX,
}};

static uint64_t draw(const cmt_pex *p) {
  uint64_t drawn;

  p->env.entropy(p->env.entropy_arg, &drawn, sizeof drawn);
  return drawn;
}

/* Room for the addresses of an answer, which would be more than all else that
   each of many exchanges has; NULL without memory. */
static cmt_net_addr *new_list(const cmt_pex *p) {
  return cmt__alloc(&p->env, CMT_ADDRBOOK_ANSWER_MAX * sizeof(cmt_net_addr));
}

/* ---- peers ---- */

/* What an inbound peer says that it is reached at. */
static bool read_claim(const cmt_peer *peer, cmt_net_addr *out) {
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt_bytes listen = cmt_peer_node_info(peer)->listen_addr;

  if (listen.len >= sizeof text) {
    return false;
  }
  snprintf(text, sizeof text, "%.*s", (int)listen.len,
           (const char *)listen.base);
  if (cmt_net_addr_parse(text, CMT_ADDR_NO_ID, out, NULL) != CMT_OK) {
    return false;
  }
  out->id = *cmt_peer_id(peer);
  return true;
}

static void add_peer(void *self, cmt_peer *peer) {
  cmt_pex *p = cmt__pex_of(self, peer);
  char version[CMT_ADDRBOOK_VERSION_SIZE];
  cmt__ensure_peer given = {
    .user = peer,
    .owner = p,
    .outbound = cmt_peer_is_outbound(peer),
    .has_pex = cmt_peer_has_channel(peer, CMT__PEX_CHANNEL),
  };
  cmt__ensure_peer *record;
  cmt_net_addr claim;
  cmt__pex_time t;

  if (p == NULL) {
    return;
  }
  t = cmt__pex_now(p);
  cmt_peer_get_remote(peer, &given.at);
  cmt__lock(&p->lock);
  given.seed_bits = cmt__pex_seed_bits(p, &given.at.id);
  given.seed = given.seed_bits != 0;
  given.listed = cmt__pex_is_listed(p, &given.at.id);
  record = cmt__ensure_add(
    &p->ensure, &given, read_claim(peer, &claim) ? &claim : NULL,
    cmt__pex_version(cmt_peer_node_info(peer), version, sizeof version), t);
  cmt__unlock(&p->lock);
  if (record == NULL ||
      cmt_peer_set_value(peer, VALUE, record, NULL) != CMT_OK) {
    cmt_peer_stop(peer, CMT_ENOMEM, 0);
  }
  cmt__pex_wake(p);
}

/* How the visit of |peer| was.  The seed asks a visitor without an answer to go
   only when its time without a question is over; |close_ns| says that it has.
   Whatever else ends one leaves the instant there. */
static void count_visit(cmt_pex_status *st, const cmt__ensure_peer *peer) {
  bool silent = !peer->answered && peer->close_ns == CMT_NEVER;

  st->visits_served += peer->answered && peer->served > 0;
  st->visits_empty += peer->answered && peer->served == 0;
  st->visits_silent += silent;
  st->visits_left += !peer->answered && !silent;
}

static void remove_peer(void *self, cmt_peer *peer, cmt_err reason) {
  cmt__ensure_peer *record = cmt_peer_value(peer, VALUE);
  cmt__pex_time t;
  cmt_pex *p;

  (void)self;
  if (record == NULL) {
    return;
  }
  p = record->owner;
  t = cmt__pex_now(p);
  cmt__lock(&p->lock);
  if (cmt__pex_is_visitor(p, record)) {
    count_visit(&p->status, record);
  }
  cmt__ensure_remove(&p->ensure, record, reason, t);
  cmt__unlock(&p->lock);
  cmt_ignore(cmt_peer_set_value(peer, VALUE, NULL, NULL));
  cmt__pex_wake(p);
}

/* ---- messages ---- */

/* Whoever breaks the rules ends and stays away for a day, in the book and at
   the switch; one that the operator has listed only ends. */
static cmt_err blame(cmt_pex *p, cmt_peer *peer, cmt__ensure_peer *record,
                     const char *text) {
  cmt__pex_time t = cmt__pex_now(p);
  cmt_ban ban;
  bool listed;

  cmt__lock(&p->lock);
  listed = record->listed;
  p->status.peers_banned++;
  if (!listed) {
    cmt__ensure_blame(&p->ensure, record, t);
  }
  cmt__unlock(&p->lock);
  (void)cmt_peer_explain(peer, CMT_EPROTO, text);
  if (!listed) {
    cmt_ban_init(&ban);
    snprintf(ban.subject, sizeof ban.subject, "%s", cmt_peer_id(peer)->text);
    cmt_ignore(cmt_switch_ban(p->sw, &ban, NULL));
  }
  return CMT_EPROTO;
}

static cmt_err on_request(cmt_pex *p, cmt_peer *peer,
                          cmt__ensure_peer *record) {
  cmt__pex_time t = cmt__pex_now(p);
  cmt__ask_verdict verdict;
  cmt__pex_answer a;

  cmt__lock(&p->lock);
  verdict = cmt__ask_request_came(&record->limit, t.now_ns);
  if (verdict == CMT__ASK_ANSWER && cmt__ensure_holds(&p->ensure, record, t)) {
    verdict = CMT__ASK_HOLD;
  }
  p->status.requests_received++;
  p->status.requests_held += verdict == CMT__ASK_HOLD;
  p->status.requests_dropped +=
    verdict == CMT__ASK_DROP || verdict == CMT__ASK_END;
  p->status.peers_flooding += verdict == CMT__ASK_END;
  if (verdict == CMT__ASK_ANSWER) {
    cmt__pex_make_answer(p, record, t, &a);
  }
  cmt__unlock(&p->lock);
  if (verdict == CMT__ASK_ANSWER) {
    cmt__pex_send_answer(p, peer, &a);
  }
  if (verdict == CMT__ASK_END) {
    return cmt_peer_explain(peer, CMT_EFLOOD,
                            "more than ten early requests for addresses in a "
                            "minute");
  }
  if (verdict == CMT__ASK_HOLD || p->o.seed) {
    cmt__pex_wake(p);
  }
  return CMT_OK;
}

static cmt_err on_addrs(cmt_pex *p, cmt_peer *peer, cmt__ensure_peer *record,
                        cmt__pex_addrs *list) {
  cmt__pex_time t = cmt__pex_now(p);
  cmt_net_addr *addrs = new_list(p);
  size_t count = 0, found = 0;
  bool asked;

  if (addrs == NULL) {
    return CMT_ENOMEM;
  }
  cmt__lock(&p->lock);
  asked = cmt__ask_list_came(&record->limit, t.now_ns, draw(p));
  if (asked) {
    while (count < CMT_ADDRBOOK_ANSWER_MAX &&
           cmt__pex_next(list, &addrs[count])) {
      count++;
    }
    found = cmt__ensure_learn(&p->ensure, record, addrs, count, t);
    p->status.answers_received++;
    p->status.addrs_received += count;
    p->addrs_invalid += list->looked_at - count;
    p->status.addrs_new += found;
  }
  p->status.answers_unsolicited += !asked;
  cmt__unlock(&p->lock);
  cmt__free(&p->env, addrs);
  if (!asked) {
    return blame(p, peer, record, "addresses that nobody asked for");
  }
  if (found > 0 || p->o.seed) {
    cmt__pex_wake(p);
  }
  return CMT_OK;
}

/* What does not decode ends the peer, and an entry that is no address also bans
   it. */
static cmt_err on_fault(cmt_pex *p, cmt_peer *peer, cmt__ensure_peer *record,
                        bool bans, const char *fault) {
  cmt__lock(&p->lock);
  p->status.messages_malformed++;
  cmt__unlock(&p->lock);
  return bans ? blame(p, peer, record, fault)
              : cmt_peer_explain(peer, CMT_EPROTO, fault);
}

static cmt_err receive(void *self, cmt_peer *peer, uint8_t channel,
                       cmt_buf *msg) {
  cmt__ensure_peer *record = cmt_peer_value(peer, VALUE);
  cmt__pex_addrs list;
  cmt__pex_kind kind;
  const char *fault;
  cmt_pex *p;

  (void)self;
  (void)channel;
  if (record == NULL) {
    return CMT_OK; /* A peer of another network, or one without memory. */
  }
  p = record->owner;
  kind = cmt__pex_read(cmt_buf_bytes(msg), &list, &fault);
  switch (kind) {
  case CMT__PEX_REQUEST:
    return on_request(p, peer, record);
  case CMT__PEX_ADDRS:
    return on_addrs(p, peer, record, &list);
  case CMT__PEX_BAD_ENTRY:
  case CMT__PEX_MALFORMED:
    break;
  }
  return on_fault(p, peer, record, kind == CMT__PEX_BAD_ENTRY, fault);
}

void cmt_pex_note(cmt_pex *p, cmt_peer *peer, uint8_t channel, cmt_bytes msg) {
  int64_t height = cmt__height_read(channel, msg);
  cmt__ensure_peer *record = cmt_peer_value(peer, VALUE);

  (void)p;
  if (height > 0 && record != NULL) {
    cmt_pex *owner = record->owner;
    cmt__pex_time t = cmt__pex_now(owner);

    cmt__lock(&owner->lock);
    cmt__ensure_note_height(&owner->ensure, record, height, t);
    cmt__unlock(&owner->lock);
  }
}

/* ---- start and stop ---- */

bool cmt__pex_attach(cmt_pex *p, cmt_switch *sw) {
  cmt__ensure_options o = {
    .env = &p->env,
    .book = p->o.book,
    .outbound_max =
      p->o.outbound_max == CMT_PEX_NO_PEERS ? 0 : p->o.outbound_max,
    .dials_max = p->o.dials_max,
    .asks_max = p->o.asks_max,
    .period_ns = p->o.period_ns,
    .feeler_ns = p->o.feeler_ns,
    .rotate_ns = p->o.rotate_ns,
    .seed = p->o.seed,
    .serve_height_min = p->o.serve_height_min,
    .serve_version = p->o.serve_version,
    .anchors = p->anchors,
    .anchor_count = p->o.anchor_count,
  };
  bool attached;

  cmt_switch_get_id(sw, &o.self);
  cmt__lock(&p->outer);
  cmt__lock(&p->lock);
  if (p->sw == NULL) {
    cmt__book_add_own(p->o.book, &o.self);
    if (o.anchor_count == 0) {
      o.anchor_count =
        cmt_addrbook_anchors(p->o.book, p->anchors, CMT_PEX_ANCHORS_MAX);
    }
    p->timer = (cmt_timer){.cb = cmt__pex_on_time, .arg = p};
    p->post = (cmt_post){.cb = cmt__pex_on_time, .arg = p};
    cmt__ensure_init(&p->ensure, &o, cmt__pex_now(p));
    cmt__pex_note_seeds(p);
    p->sw = sw;
  }
  attached = p->sw == sw;
  cmt__unlock(&p->lock);
  cmt__unlock(&p->outer);
  return attached;
}

bool cmt__pex_begin(cmt_pex *p, cmt_switch *sw) {
  if (!cmt__pex_attach(p, sw)) {
    return false;
  }
  cmt__pex_dial_listed(p);
  cmt__pex_wake(p);
  return true;
}

/* The handles of the dials go with the switch. */
void cmt__pex_end(cmt_pex *p) {
  cmt__lock(&p->outer);
  cmt__lock(&p->lock);
  for (size_t i = 0; i < p->listed_count; i++) {
    p->listed[i].dial = NULL;
    p->listed[i].refused = false;
  }
  p->sw = NULL;
  cmt__unlock(&p->lock);
  cmt__unlock(&p->outer);
}

static cmt_err start(void *self, cmt_switch *sw) {
  cmt_pex *p = self;

  if (!cmt__pex_begin(p, sw)) {
    cmt__log(&p->env, CMT_LOG_ERROR, "pex",
             "the exchange serves another switch, which has not stopped");
    return CMT_EEXIST;
  }
  cmt__pex_begin_guests(p, sw);
  return CMT_OK;
}

static void stop(void *self) {
  cmt__pex_end(self);
  cmt__pex_end_guests(self);
}

void cmt__pex_reactor(cmt_pex *p, cmt_reactor *out) {
  *out = (cmt_reactor){
    .name = "pex",
    .channels = channels,
    .channel_count = CMT__COUNT(channels),
    .self = p,
    .start = start,
    .add_peer = add_peer,
    .receive = receive,
    .remove_peer = remove_peer,
    .stop = stop,
  };
}
