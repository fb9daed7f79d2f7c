/* SPDX-License-Identifier: Apache-2.0 */

/* Attempts.  An attempt goes through the addresses of a name, each with a
   session of its own but for those that cannot be connected to. */

#include "attempt.h"

#include "base/mark.h"

#include "session.h"

enum { TRIES_MAX = 8 }; /* Addresses of a name in one attempt. */

struct cmt__attempt {
  cmt_dial *dial;
  void (*on_outcome)(cmt_dial *d, const cmt__outcome *o);
  bool counted; /* By |dials_max|. */
  cmt__timer timer;
  cmt__resolve *resolve;
  cmt__session *session; /* From the first address on. */
  uint64_t end_ns;       /* When connecting has taken too long, */
  uint64_t left_ns;      /* and what was left of that when it was connected. */
  /* The addresses in their order, and how many were tried. */
  cmt__remote found[CMT__RESOLVE_MAX];
  size_t found_count, found_next;
  cmt__remote at; /* The present one, */
  /* and when it was dialed, was connected, and had proved its id; 0: not
     yet. */
  uint64_t dialed_ns, connected_ns, proved_ns;
  /* What it reports if nothing comes of it: the most telling of the
     failures. */
  cmt_why failure;
  cmt__remote failure_at;
  bool failure_was_good;  /* It came from where the node was met last. */
  cmt_node_id failure_id; /* Empty: nobody was authenticated. */
};

static const cmt__session_callbacks session_callbacks;

size_t cmt__attempt_memory(void) { return sizeof(cmt__attempt); }

static void set_timer(cmt__attempt *a, uint64_t at_ns) {
  cmt__loop_timer(a->dial->sw->loop, &a->timer, at_ns);
}

/* ---- the outcome ---- */

static uint64_t part_ns(uint64_t from_ns, uint64_t to_ns) {
  return from_ns != 0 && to_ns >= from_ns ? cmt__max64(to_ns - from_ns, 1) : 0;
}

static void times_fill(const cmt__attempt *a, bool ok, cmt__outcome *o) {
  uint64_t now_ns = cmt__loop_now(a->dial->sw->loop);

  o->connect_ns = part_ns(a->dialed_ns, a->connected_ns);
  o->secret_ns = part_ns(a->connected_ns, a->proved_ns);
  o->info_ns = ok ? part_ns(a->proved_ns, now_ns) : 0;
}

/* The dial has no attempt any more; the memory stays. */
static void leave(cmt__attempt *a) {
  cmt_switch *sw = a->dial->sw;

  CMT_ASSERT(&sw->env, a->session == NULL);
  if (a->resolve != NULL) {
    cmt__resolve_cancel(a->resolve);
  }
  set_timer(a, CMT_NEVER);
  sw->attempts -= a->counted;
  cmt__switch_handshakes(sw, -1);
  a->dial->attempt = NULL;
}

static void finish_with(cmt__attempt *a, const cmt_why *why,
                        const cmt_node_id *id, const cmt_node_info *info,
                        const cmt__remote *at) {
  cmt_dial *d = a->dial;
  cmt_switch *sw = d->sw;
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt__outcome o = {
    .why = why,
    .id = id,
    .node_info = info,
    .remote = cmt__remote_is_known(at) ? cmt__remote_text(at, text, sizeof text)
                                       : d->text,
  };

  times_fill(a, why->err == CMT_OK, &o);
  leave(a);
  a->on_outcome(d, &o);
  cmt__free(&sw->env, a);
}

static void finish(cmt__attempt *a, const cmt_why *why, const cmt_node_id *id,
                   const cmt__remote *at) {
  finish_with(a, why, id, NULL, at);
}

/* No address is left. */
static void finish_failed(cmt__attempt *a) {
  if (a->session != NULL) {
    cmt__session_leave(a->session);
    a->session = NULL;
  }
  finish(a, &a->failure, a->failure_id.text[0] != '\0' ? &a->failure_id : NULL,
         &a->failure_at);
}

/* The text ends the sentence that the state begins. */
static const char *fault_text(const cmt__attempt *a, cmt_err err, char *out,
                              size_t cap) {
  if (err == CMT_EDIAL && a->dial->state == CMT_DIAL_RESOLVING) {
    return "no answer within the dial timeout";
  }
  return err == CMT_EREFUSED
           ? "connection refused"
           : cmt__loop_fault(err, a->dial->sw->loop->error, out, cap);
}

static void cannot_resolve(cmt__attempt *a, cmt_err err) {
  char text[160];
  cmt_why why;

  cmt__why(&why, err, CMT_STAGE_TRANSPORT, "cannot resolve %.128s: %s",
           a->dial->addr.host, fault_text(a, err, text, sizeof text));
  finish(a, &why, NULL, &a->at);
}

/* ---- the addresses of a name ---- */

/* Copies the addresses of a name, from the one where this attempt is to begin.
   A name with more addresses than an attempt tries has all of them tried by the
   attempts that follow each other. */
static void found_take(cmt__attempt *a, const cmt_net_addr *addrs,
                       size_t count) {
  const cmt_dial *d = a->dial;
  size_t first = 0;

  for (size_t i = 0; i < count; i++) {
    cmt__remote at = cmt__remote_of(&addrs[i]);

    if (cmt__remote_is_same_host(&at, &d->begin)) {
      first = d->behind ? i + 1 : i;
    }
  }
  for (size_t i = 0; i < count; i++) {
    a->found[i] = cmt__remote_of(&addrs[(first + i) % count]);
  }
  a->found_count = cmt__min(count, TRIES_MAX);
  a->found_next = 0;
}

static bool found_more(const cmt__attempt *a) {
  return a->found_next < a->found_count;
}

static bool is_theirs(const cmt_why *why) {
  return cmt_err_class_of(why->err) == CMT_CLASS_PEER;
}

/* What came further is more telling, then what the other side is to blame for,
   then what happened where the node was met last; of equals the last. */
static bool is_more_telling(const cmt__attempt *a, const cmt_why *why) {
  if (a->failure.err == CMT_OK || why->stage != a->failure.stage) {
    return a->failure.err == CMT_OK || why->stage > a->failure.stage;
  }
  if (is_theirs(why) != is_theirs(&a->failure)) {
    return is_theirs(why);
  }
  return !a->failure_was_good;
}

/* Notes that nothing came of the present address. */
static void found_failed(cmt__attempt *a, const cmt_why *why,
                         const cmt_node_id *id) {
  cmt_dial *d = a->dial;

  if (is_more_telling(a, why)) {
    a->failure = *why;
    a->failure_at = a->at;
    a->failure_id = id != NULL ? *id : (cmt_node_id){.text = ""};
    a->failure_was_good =
      !d->behind && cmt__remote_is_same_host(&a->at, &d->begin);
  }
  d->begin = a->at;
  d->behind = true;
  if (found_more(a)) {
    cmt__log(&d->sw->env, CMT_LOG_INFO, "switch",
             "dial of %s: %s; its next address is tried", d->text, why->text);
  }
}

static void cannot_connect(cmt__attempt *a, cmt_err err) {
  char remote[CMT_NET_ADDR_TEXT_SIZE], text[160];
  cmt_why why;

  if (!cmt__remote_is_known(&a->at)) {
    cmt__why(&why, CMT_EDIAL, CMT_STAGE_TRANSPORT,
             "cannot connect to %.150s: there is no port 0", a->dial->text);
  } else {
    cmt__why(&why, err, CMT_STAGE_TRANSPORT, "cannot connect to %s: %s",
             cmt__remote_text(&a->at, remote, sizeof remote),
             fault_text(a, err, text, sizeof text));
  }
  found_failed(a, &why, NULL);
}

/* Without memory the attempt ends. */
static bool has_session(cmt__attempt *a) {
  if (a->session == NULL) {
    a->session = cmt__session_new(a->dial->sw, &session_callbacks, a);
  }
  if (a->session != NULL) {
    a->session->feeler = a->dial->options.feeler;
  } else if (a->failure.err == CMT_OK) {
    cmt__why_plain(&a->failure, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
    a->failure_at = a->found[a->found_next];
  }
  return a->session != NULL;
}

static bool is_banned(const cmt__attempt *a, uint64_t now_ns) {
  cmt__ban ban;
  bool banned = cmt__bans_find_ip(&a->dial->sw->bans, &a->at.ip, now_ns, &ban);

  CMT__MARK_IF(banned, banned_address_left_out);
  return banned;
}

/* Connects to the next address; each gets its share of the time that is left
   for connecting. */
static void connect_next(cmt__attempt *a) {
  uint64_t now_ns = cmt__loop_now(a->dial->sw->loop);

  cmt__dial_set_state(a->dial, CMT_DIAL_CONNECTING);
  while (found_more(a) && now_ns < a->end_ns && has_session(a)) {
    uint64_t share_ns = (a->end_ns - now_ns) / (a->found_count - a->found_next);
    cmt_err err;

    a->at = a->found[a->found_next++];
    a->dialed_ns = now_ns;
    a->connected_ns = a->proved_ns = 0;
    err = is_banned(a, now_ns) ? CMT_EBANNED
                               : cmt__session_connect(a->session, &a->at);
    if (err == CMT_OK) {
      set_timer(a, now_ns + share_ns);
      return;
    }
    cannot_connect(a, err);
  }
  finish_failed(a);
}

static void on_resolved(void *arg, cmt_err err, const cmt_net_addr *addrs,
                        size_t count) {
  cmt__attempt *a = arg;

  a->resolve = NULL;
  if (err != CMT_OK || count == 0) {
    cannot_resolve(a, err != CMT_OK ? err : CMT_ERESOLVE);
    return;
  }
  /* The timer is due, too. */
  if (cmt__loop_now(a->dial->sw->loop) >= a->end_ns) {
    cannot_resolve(a, CMT_EDIAL);
    return;
  }
  count = cmt__min(count, CMT__COUNT(a->found));
  cmt__dial_know(a->dial, addrs, count);
  found_take(a, addrs, count);
  connect_next(a);
}

static void on_timer(cmt__timer *t) {
  cmt__attempt *a = (cmt__attempt *)((char *)t - offsetof(cmt__attempt, timer));

  if (a->dial->state == CMT_DIAL_RESOLVING) {
    cannot_resolve(a, CMT_EDIAL);
  } else if (a->dial->state == CMT_DIAL_CONNECTING) {
    cmt__session_disconnect(a->session);
    cannot_connect(a, CMT_EDIAL);
    connect_next(a);
  }
}

/* ---- the session at an address ---- */

/* A probe meets whoever is there. */
static bool has_id(const cmt_dial *d) { return d->addr.id.text[0] != '\0'; }

/* Without an id in the dial, whoever proves one is the node. */
static bool is_of_node(const cmt_dial *d, const cmt_node_id *id) {
  return id != NULL && (!has_id(d) || cmt_node_id_equal(id, &d->addr.id));
}

static void session_on_connect(void *arg, cmt_err err) {
  cmt__attempt *a = arg;
  uint64_t now_ns = cmt__loop_now(a->dial->sw->loop);

  if (err != CMT_OK) {
    cmt__session_disconnect(a->session);
    cannot_connect(a, err);
    connect_next(a);
    return;
  }
  set_timer(a, CMT_NEVER);
  a->left_ns = a->end_ns - cmt__min64(a->end_ns, now_ns);
  a->dial->connected_ns = a->connected_ns = now_ns;
  cmt__dial_set_state(a->dial, CMT_DIAL_HANDSHAKE);
  cmt__session_start(a->session, has_id(a->dial) ? &a->dial->addr.id : NULL,
                     a->dial->options.network);
}

static void session_on_id(void *arg, const cmt_node_id *id) {
  cmt__attempt *a = arg;

  a->proved_ns = cmt__loop_now(a->dial->sw->loop);
  if (cmt_node_id_equal(id, &a->dial->addr.id)) {
    a->dial->begin = a->at;
    a->dial->behind = false;
  }
}

/* Whether it was this address that failed, and not the node or we. */
static bool is_of_address(const cmt__attempt *a, const cmt_why *why,
                          const cmt_node_id *id) {
  cmt_err_class blame = cmt_err_class_of(why->err);

  return a->dial->state == CMT_DIAL_HANDSHAKE && blame != CMT_CLASS_CALLER &&
         blame != CMT_CLASS_LOCAL && !is_of_node(a->dial, id);
}

/* A persistent dial goes on within its attempt when another node was found.
   After anything else, such as silence, its next attempt begins behind the
   address.  A dial that has one attempt alone goes on then as well. */
static bool may_go_on(const cmt__attempt *a, const cmt_why *why) {
  return found_more(a) && !a->dial->sw->closing &&
         (!a->dial->options.persistent || why->err == CMT_EWRONGID);
}

static void session_on_outcome(void *arg, const cmt_why *why,
                               const cmt_node_id *id,
                               const cmt_node_info *info) {
  cmt__attempt *a = arg;

  a->session = NULL;
  if (why->err == CMT_OK || !is_of_address(a, why, id)) {
    finish_with(a, why, id, info, &a->at);
    return;
  }
  found_failed(a, why, id);
  if (may_go_on(a, why)) {
    a->end_ns = cmt__after(cmt__loop_now(a->dial->sw->loop), a->left_ns);
    connect_next(a);
  } else {
    finish_failed(a);
  }
}

static const cmt__session_callbacks session_callbacks = {
  .on_connect = session_on_connect,
  .on_id = session_on_id,
  .on_outcome = session_on_outcome,
};

/* ---- for the dialer ---- */

cmt_err cmt__attempt_begin(cmt_dial *d,
                           void (*on_outcome)(cmt_dial *d,
                                              const cmt__outcome *o)) {
  cmt_switch *sw = d->sw;
  cmt__attempt *a = cmt__alloc_zero(&sw->env, sizeof *a);
  cmt_err err;

  if (a == NULL) {
    return CMT_ENOMEM;
  }
  a->dial = d;
  a->on_outcome = on_outcome;
  a->timer.cb = on_timer;
  a->counted = !d->options.persistent;
  d->attempt = a;
  cmt__dial_set_state(d, CMT_DIAL_RESOLVING);
  sw->attempts += a->counted;
  cmt__switch_handshakes(sw, 1);
  cmt__switch_count(sw, &sw->status.dialed);
  a->end_ns =
    cmt__after(cmt__loop_now(sw->loop), sw->setup.options.dial_timeout_ns);
  set_timer(a, a->end_ns);
  err = cmt__loop_resolve(sw->loop, d->addr.host, d->addr.port, on_resolved, a,
                          &a->resolve);
  if (err != CMT_OK) {
    a->resolve = NULL;
    cannot_resolve(a, err);
  }
  return CMT_OK;
}

void cmt__attempt_stop(cmt__attempt *a) {
  cmt_why why;

  if (a->session != NULL) {
    cmt__session_cancel(a->session);
    return;
  }
  cmt__why(&why, CMT_ECANCELED, CMT_STAGE_TRANSPORT, "the switch is stopping");
  finish(a, &why, NULL, &a->at);
}

void cmt__attempt_end(cmt__attempt *a, const cmt_why *why) {
  if (a->session != NULL) {
    cmt__session_end(a->session, why);
  } else {
    finish(a, why, NULL, &a->at);
  }
}

void cmt__attempt_abandon(cmt__attempt *a) {
  cmt_switch *sw = a->dial->sw;

  cmt__switch_count(sw, &sw->status.cancelled);
  if (a->session != NULL) {
    cmt__session_leave(a->session);
    a->session = NULL;
  }
  leave(a);
  cmt__free(&sw->env, a);
}
