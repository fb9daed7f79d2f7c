/* SPDX-License-Identifier: Apache-2.0 */

/* The dialer.  A dial makes attempts, each with one outcome; one that is not
   persistent goes with the outcome of its first.  An attempt goes through the
   addresses of a name, each with a session of its own but for those that cannot
   be connected to.  A persistent one makes no attempt while a peer with its id
   exists, whoever dialed that, and none while another dial is at work on the
   same id. */

#include "dialer.h"

#include "limits.h"

#define REDIAL_NS CMT_SECONDS(5)
#define REDIAL_SPREAD_NS CMT_SECONDS(3)

enum { TRIES_MAX = 8 }; /* Addresses of a name in one attempt. */

static void dial_on_timer(cmt__timer *t);

void cmt__dial_free(cmt__dial *d) {
  cmt_switch *sw = d->sw;

  atomic_fetch_sub(&sw->dials_allocated, 1);
  cmt__free(&sw->env, d);
}

cmt__dial *cmt__dial_new(cmt_switch *sw, const cmt_net_addr *addr,
                         bool persistent) {
  cmt__dial *d = cmt__alloc_zero(&sw->env, sizeof *d);

  if (d == NULL) {
    return NULL;
  }
  d->sw = sw;
  atomic_fetch_add(&sw->dials_allocated, 1);
  d->addr = *addr;
  d->persistent = persistent;
  d->timer.cb = dial_on_timer;
  if (cmt_net_addr_format(addr, d->text, sizeof d->text) != CMT_OK) {
    cmt__dial_free(d);
    return NULL;
  }
  return d;
}

static void dial_set_timer(cmt__dial *d, uint64_t at_ns) {
  cmt__loop_timer(d->sw->loop, &d->timer, at_ns);
}

/* ---- where its node is ---- */

static void dial_know(cmt__dial *d, const cmt_net_addr *addrs, size_t count) {
  d->known_count = cmt__min(count, CMT__RESOLVE_MAX);
  for (size_t i = 0; i < d->known_count; i++) {
    cmt__remote at = cmt__remote_of(&addrs[i]);

    d->known[i] = cmt__address_of(&d->sw->setup.options, &at);
  }
}

static bool dial_knows(const cmt__dial *d, const cmt__ip *address) {
  for (size_t i = 0; i < d->known_count; i++) {
    if (cmt__ip_equal(&d->known[i], address)) {
      return true;
    }
  }
  return d->was_met && cmt__ip_equal(&d->met, address);
}

cmt__dial *cmt__dialer_reserve(cmt_switch *sw, const cmt__ip *address) {
  for (cmt__dial *d = sw->dials; d != NULL; d = d->next) {
    if (d->persistent && d->guest == NULL && dial_knows(d, address)) {
      return d;
    }
  }
  return NULL;
}

bool cmt__dialer_wants(const cmt_switch *sw, const cmt_node_id *id) {
  for (const cmt__dial *d = sw->dials; d != NULL; d = d->next) {
    if (d->persistent && cmt_node_id_equal(&d->addr.id, id)) {
      return true;
    }
  }
  return false;
}

void cmt__dialer_peer_here(cmt_switch *sw, const cmt_peer *p) {
  for (cmt__dial *d = sw->dials; d != NULL; d = d->next) {
    if (d->persistent && cmt_node_id_equal(&d->addr.id, &p->id)) {
      d->met = cmt__address_of(&sw->setup.options, &p->remote);
      d->was_met = true;
    }
  }
}

static void dial_link(cmt__dial *d) {
  cmt_switch *sw = d->sw;

  d->prev = NULL;
  d->next = sw->dials;
  if (d->next != NULL) {
    d->next->prev = d;
  }
  sw->dials = d;
  sw->dial_count++;
}

static void dial_delete(cmt__dial *d) {
  cmt_switch *sw = d->sw;

  CMT_ASSERT(&sw->env, d->session == NULL && d->resolve == NULL);
  cmt__place_orphan(d);
  dial_set_timer(d, CMT_NEVER);
  cmt__loop_release_timers(sw->loop, 1);
  if (d->prev != NULL) {
    d->prev->next = d->next;
  } else {
    sw->dials = d->next;
  }
  if (d->next != NULL) {
    d->next->prev = d->prev;
  }
  sw->dial_count--;
  cmt__dial_free(d);
  cmt__switch_look(sw);
}

/* ---- between attempts ---- */

static void dial_wait(cmt__dial *d) {
  cmt_switch *sw = d->sw;
  uint64_t drawn;

  sw->env.entropy(sw->env.entropy_arg, &drawn, sizeof drawn);
  d->state = CMT__DIAL_WAITING;
  dial_set_timer(d, cmt__after(cmt__loop_now(sw->loop),
                               REDIAL_NS + drawn % REDIAL_SPREAD_NS));
}

static bool dial_has_peer(const cmt__dial *d) {
  return cmt__peer_set_has(&d->sw->peers, &d->addr.id);
}

bool cmt__dial_redials(const cmt__dial *d, cmt_err err) {
  return d->persistent && err != CMT_ESELF && !d->sw->closing;
}

void cmt__dial_done(cmt__dial *d, cmt_err err) {
  d->session = NULL;
  if (d->resolve != NULL) {
    cmt__resolve_cancel(d->resolve);
    d->resolve = NULL;
  }
  dial_set_timer(d, CMT_NEVER);
  if (!cmt__dial_redials(d, err)) {
    dial_delete(d);
  } else if (err == CMT_OK || dial_has_peer(d)) {
    d->state = CMT__DIAL_PEER;
  } else {
    dial_wait(d);
  }
}

void cmt__dialer_peer_gone(cmt_switch *sw, const cmt_node_id *id) {
  for (cmt__dial *d = sw->dials; d != NULL; d = d->next) {
    if (d->state == CMT__DIAL_PEER && cmt_node_id_equal(&d->addr.id, id)) {
      dial_wait(d);
    }
  }
}

/* ---- an attempt ---- */

/* An attempt that made no connection at all. */
static void dial_refuse(cmt__dial *d, const cmt_why *why) {
  cmt_rejection r = {
    .remote = d->text,
    .dialed = d->text,
    .outbound = true,
    .redials = cmt__dial_redials(d, why->err),
    .why = *why,
  };

  cmt__switch_reject(d->sw, &r);
  cmt__dial_done(d, why->err);
}

/* The text ends the sentence that the state begins. */
static const char *fault_text(const cmt__dial *d, cmt_err err, char *out,
                              size_t cap) {
  if (err == CMT_EDIAL && d->state == CMT__DIAL_RESOLVING) {
    return "no answer within the dial timeout";
  }
  return err == CMT_EREFUSED
           ? "connection refused"
           : cmt__loop_fault(err, d->sw->loop->error, out, cap);
}

static void dial_cannot_resolve(cmt__dial *d, cmt_err err) {
  char text[160];
  cmt_why why;

  cmt__why(&why, err, CMT_STAGE_TRANSPORT, "cannot resolve %.128s: %s",
           d->addr.host, fault_text(d, err, text, sizeof text));
  cmt__session_reject(d->session, &why, NULL);
}

/* ---- the addresses of a name ---- */

/* Takes what a name has resolved to, from where this attempt is to begin.  A
   name with more addresses than an attempt tries has all of them tried by the
   attempts that follow each other. */
static void found_take(cmt__dial *d, const cmt_net_addr *addrs, size_t count) {
  size_t first = 0;

  for (size_t i = 0; i < count; i++) {
    cmt__remote at = cmt__remote_of(&addrs[i]);

    if (cmt__remote_is_same_host(&at, &d->begin)) {
      first = d->behind ? i + 1 : i;
    }
  }
  for (size_t i = 0; i < count; i++) {
    d->found[i] = cmt__remote_of(&addrs[(first + i) % count]);
  }
  d->found_count = cmt__min(count, TRIES_MAX);
  d->found_next = 0;
}

static bool found_more(const cmt__dial *d) {
  return d->found_next < d->found_count;
}

static bool is_theirs(const cmt_why *why) {
  return cmt_err_class_of(why->err) == CMT_CLASS_PEER;
}

/* What came further is more telling, then what the other side is to blame for,
   then what happened where the node was met last; of equals the last. */
static bool is_more_telling(const cmt__dial *d, const cmt_why *why) {
  if (d->told.err == CMT_OK || why->stage != d->told.stage) {
    return d->told.err == CMT_OK || why->stage > d->told.stage;
  }
  if (is_theirs(why) != is_theirs(&d->told)) {
    return is_theirs(why);
  }
  return !d->told_was_good;
}

/* Notes that nothing came of the present address. */
static void found_failed(cmt__dial *d, const cmt_why *why,
                         const cmt_node_id *id) {
  const cmt__remote *at = &d->session->remote;

  if (is_more_telling(d, why)) {
    d->told = *why;
    d->told_at = *at;
    d->told_id = id != NULL ? *id : (cmt_node_id){.text = ""};
    d->told_was_good = !d->behind && cmt__remote_is_same_host(at, &d->begin);
  }
  d->begin = *at;
  d->behind = true;
  if (found_more(d)) {
    cmt__log(&d->sw->env, CMT_LOG_INFO, "switch",
             "dial of %s: %s; its next address is tried", d->text, why->text);
  }
}

/* No address is left. */
static void dial_tell(cmt__dial *d) {
  cmt_node_id id = d->told_id;
  cmt_why why = d->told;

  d->session->remote = d->told_at;
  cmt__session_reject(d->session, &why, id.text[0] != '\0' ? &id : NULL);
}

static void dial_cannot_connect(cmt__dial *d, cmt_err err) {
  char remote[CMT_NET_ADDR_TEXT_SIZE], text[160];
  cmt_why why;

  cmt__why(&why, err, CMT_STAGE_TRANSPORT, "cannot connect to %s: %s",
           cmt__session_remote(d->session, remote, sizeof remote),
           fault_text(d, err, text, sizeof text));
  found_failed(d, &why, NULL);
}

/* Connects to the next address; each gets its share of the time that is left
   for connecting. */
static void dial_next(cmt__dial *d) {
  uint64_t now_ns = cmt__loop_now(d->sw->loop);

  d->state = CMT__DIAL_CONNECTING;
  while (found_more(d) && now_ns < d->end_ns) {
    uint64_t share_ns = (d->end_ns - now_ns) / (d->found_count - d->found_next);
    cmt_net_addr at = cmt__remote_addr(&d->found[d->found_next]);
    cmt_err err;

    d->session->remote = d->found[d->found_next++];
    err = cmt__link_connect(&d->session->link, &at);
    if (err == CMT_OK) {
      dial_set_timer(d, now_ns + share_ns);
      return;
    }
    dial_cannot_connect(d, err);
  }
  dial_tell(d);
}

static void dial_on_resolved(void *arg, cmt_err err, const cmt_net_addr *addrs,
                             size_t count) {
  cmt__dial *d = arg;

  d->resolve = NULL;
  if (err != CMT_OK || count == 0) {
    dial_cannot_resolve(d, err != CMT_OK ? err : CMT_ERESOLVE);
    return;
  }
  if (cmt__loop_now(d->sw->loop) >= d->end_ns) { /* The timer is due, too. */
    dial_cannot_resolve(d, CMT_EDIAL);
    return;
  }
  count = cmt__min(count, CMT__COUNT(d->found));
  dial_know(d, addrs, count);
  found_take(d, addrs, count);
  dial_next(d);
}

void cmt__dial_on_connect(cmt__dial *d, cmt_err err) {
  uint64_t now_ns = cmt__loop_now(d->sw->loop);

  if (err != CMT_OK) {
    cmt__link_disconnect(&d->session->link);
    dial_cannot_connect(d, err);
    dial_next(d);
    return;
  }
  dial_set_timer(d, CMT_NEVER);
  d->left_ns = d->end_ns - cmt__min64(d->end_ns, now_ns);
  d->state = CMT__DIAL_SHAKING;
  cmt__session_start(d->session, &d->addr.id);
}

/* ---- the handshake at an address ---- */

void cmt__dial_on_id(cmt__dial *d, const cmt_node_id *id) {
  if (cmt_node_id_equal(id, &d->addr.id)) {
    d->begin = d->session->remote;
    d->behind = false;
  }
}

/* Whether it was this address that failed, and not the node or we. */
static bool is_of_address(const cmt__dial *d, const cmt_why *why,
                          const cmt_node_id *id) {
  cmt_err_class blame = cmt_err_class_of(why->err);

  return d->state == CMT__DIAL_SHAKING && blame != CMT_CLASS_CALLER &&
         blame != CMT_CLASS_LOCAL &&
         (id == NULL || !cmt_node_id_equal(id, &d->addr.id));
}

/* A persistent dial goes on within its attempt when another node was found.
   After anything else, such as silence, its next attempt begins behind the
   address.  A dial that has one attempt alone goes on then as well. */
static bool dial_may_go_on(const cmt__dial *d, const cmt_why *why) {
  return found_more(d) && !d->sw->closing &&
         (!d->persistent || why->err == CMT_EWRONGID);
}

void cmt__dial_on_end(cmt__dial *d, const cmt_why *why, const cmt_node_id *id) {
  cmt__session *next = NULL;

  if (!is_of_address(d, why, id)) {
    cmt__session_reject(d->session, why, id);
    return;
  }
  found_failed(d, why, id);
  if (dial_may_go_on(d, why)) {
    next = cmt__session_new(d->sw, d);
  }
  if (next == NULL) {
    dial_tell(d);
    return;
  }
  cmt__session_leave(d->session);
  d->session = next;
  d->end_ns = cmt__after(cmt__loop_now(d->sw->loop), d->left_ns);
  dial_next(d);
}

static void dial_resolve(cmt__dial *d) {
  cmt_switch *sw = d->sw;
  cmt_err err;

  cmt__switch_count(sw, &sw->status.dialed);
  d->state = CMT__DIAL_RESOLVING;
  d->told = (cmt_why){.err = CMT_OK};
  d->end_ns =
    cmt__after(cmt__loop_now(sw->loop), sw->setup.options.dial_timeout_ns);
  dial_set_timer(d, d->end_ns);
  err = cmt__loop_resolve(sw->loop, d->addr.host, d->addr.port,
                          dial_on_resolved, d, &d->resolve);
  if (err != CMT_OK) {
    d->resolve = NULL;
    dial_cannot_resolve(d, err);
  }
}

static bool dial_is_under_way(const cmt__dial *d) { return d->session != NULL; }

/* Another dial at work on the same id, or NULL. */
static const cmt__dial *dial_rival(const cmt__dial *d) {
  for (const cmt__dial *o = d->sw->dials; o != NULL; o = o->next) {
    if (o != d && dial_is_under_way(o) &&
        cmt_node_id_equal(&o->addr.id, &d->addr.id)) {
      return o;
    }
  }
  return NULL;
}

static void dial_try(cmt__dial *d) {
  cmt_switch *sw = d->sw;
  cmt_why why;

  if (cmt__limits_dial(sw, d->persistent, &why) != CMT_OK) {
    dial_refuse(d, &why);
    return;
  }
  d->session = cmt__session_new(sw, d);
  if (d->session == NULL) {
    cmt__why(&why, CMT_ENOMEM, CMT_STAGE_TRANSPORT, "%s",
             cmt_err_text(CMT_ENOMEM));
    dial_refuse(d, &why);
    return;
  }
  dial_resolve(d);
}

static void dial_on_timer(cmt__timer *t) {
  cmt__dial *d = (cmt__dial *)((char *)t - offsetof(cmt__dial, timer));

  switch (d->state) {
  case CMT__DIAL_WAITING:
    if (dial_has_peer(d)) {
      d->state = CMT__DIAL_PEER;
    } else if (dial_rival(d) != NULL) {
      dial_wait(d);
    } else {
      dial_try(d);
    }
    break;
  case CMT__DIAL_RESOLVING:
    dial_cannot_resolve(d, CMT_EDIAL);
    break;
  case CMT__DIAL_CONNECTING:
    cmt__link_disconnect(&d->session->link);
    dial_cannot_connect(d, CMT_EDIAL);
    dial_next(d);
    break;
  case CMT__DIAL_SHAKING:
  case CMT__DIAL_PEER:
    break;
  }
}

/* ---- for the switch ---- */

/* An address that is dialed for ever already is not kept twice. */
static bool dial_is_known(const cmt__dial *d) {
  for (const cmt__dial *o = d->sw->dials; o != NULL; o = o->next) {
    if (o != d && o->persistent && strcmp(o->text, d->text) == 0) {
      return true;
    }
  }
  return false;
}

void cmt__dial_begin(cmt__dial *d) {
  cmt_why why = {.err = CMT_OK};

  if (cmt__loop_reserve_timers(d->sw->loop, 1) != CMT_OK) {
    cmt_rejection r = {.remote = d->text, .dialed = d->text, .outbound = true};

    cmt__why(&r.why, CMT_ENOMEM, CMT_STAGE_TRANSPORT, "%s",
             cmt_err_text(CMT_ENOMEM));
    cmt__switch_reject(d->sw, &r);
    cmt__dial_free(d);
    return;
  }
  dial_link(d);
  if (dial_has_peer(d)) {
    cmt__why(&why, CMT_EDUPLICATE, CMT_STAGE_FILTER,
             "a connection with node %s exists", d->addr.id.text);
  } else if (dial_rival(d) != NULL) {
    cmt__why(&why, CMT_EDUPLICATE, CMT_STAGE_FILTER,
             "node %s is being dialed already", d->addr.id.text);
  }
  d->persistent = d->persistent && !dial_is_known(d);
  if (why.err != CMT_OK) {
    dial_refuse(d, &why);
  } else {
    dial_try(d);
  }
}

void cmt__dialer_stop(cmt_switch *sw) {
  cmt__dial *next;

  for (cmt__dial *d = sw->dials; d != NULL; d = next) {
    next = d->next;
    if (d->session != NULL) {
      cmt__session_cancel(d->session);
    } else {
      dial_delete(d);
    }
  }
}
