/* SPDX-License-Identifier: Apache-2.0 */

/* Dials.  A persistent one keeps a place for the address of its node, and waits
   while a peer with its id exists, whoever dialed that. */

#include "dial.h"

#include "base/mark.h"

void cmt__dial_free(cmt_dial *d) {
  cmt_switch *sw = d->sw;

  atomic_fetch_sub(&sw->dials_allocated, 1);
  if (d->options.unconditional) {
    atomic_fetch_sub(&sw->dials_unconditional, 1);
  }
  cmt__free(&sw->env, d);
}

cmt_err cmt__dial_new(cmt_switch *sw, const cmt_net_addr *addr,
                      const cmt_dial_options *o, cmt_dial **out) {
  cmt_dial *d = cmt__alloc_zero(&sw->env, sizeof *d);

  if (d == NULL) {
    return CMT_ENOMEM;
  }
  d->sw = sw;
  d->options = *o;
  if (o->network != NULL) {
    snprintf(d->network, sizeof d->network, "%s", o->network);
    d->options.network = d->network;
  }
  d->addr = *addr;
  d->next_ns = CMT_NEVER;
  d->number = atomic_fetch_add(&sw->dials_made, 1) + 1;
  atomic_fetch_add(&sw->dials_allocated, 1);
  if (o->unconditional) {
    atomic_fetch_add(&sw->dials_unconditional, 1);
  }
  if (cmt_net_addr_format(addr, d->text, sizeof d->text) != CMT_OK) {
    cmt__dial_free(d);
    return CMT_EINVAL;
  }
  *out = d;
  return CMT_OK;
}

/* ---- lists ---- */

static void list_add(cmt_dial *d) {
  cmt_switch *sw = d->sw;

  d->prev = NULL;
  d->next = sw->dials;
  if (d->next != NULL) {
    d->next->prev = d;
  }
  sw->dials = d;
}

cmt_dial *cmt__dials_take(cmt_switch *sw) {
  cmt_dial *first = sw->requests;

  for (cmt_dial *d = first; d != NULL; d = d->begin_next) {
    d->queued = false;
    list_add(d);
    sw->dial_count++;
  }
  sw->requests = NULL;
  return first;
}

void cmt__dial_drop(cmt_dial *d) {
  cmt_switch *sw = d->sw;

  cmt__lock(&sw->lock);
  if (d->prev != NULL) {
    d->prev->next = d->next;
  } else {
    sw->dials = d->next;
  }
  if (d->next != NULL) {
    d->next->prev = d->prev;
  }
  cmt__unlock(&sw->lock);
  cmt__dial_free(d);
}

void cmt__dials_free(cmt_switch *sw) {
  cmt_dial *next;

  for (cmt_dial *d = sw->requests; d != NULL; d = next) {
    next = d->begin_next;
    cmt__dial_free(d);
  }
  for (cmt_dial *d = sw->dials; d != NULL; d = next) {
    next = d->next;
    cmt__dial_free(d);
  }
}

/* ---- what it is at ---- */

static void set_state(cmt_dial *d, cmt_dial_state state, uint64_t next_ns) {
  cmt__lock(&d->sw->lock);
  d->state = state;
  d->next_ns = next_ns;
  cmt__unlock(&d->sw->lock);
}

void cmt__dial_set_state(cmt_dial *d, cmt_dial_state state) {
  set_state(d, state, CMT_NEVER);
}

static uint64_t delay_grown(const cmt_dial *d) {
  const cmt_dial_options *o = &d->options;
  uint64_t factor = o->retry_factor_percent;
  uint64_t grown =
    d->delay_ns / 100 * factor + d->delay_ns % 100 * factor / 100;

  return d->delay_ns == 0 ? o->retry_delay_ns
                          : cmt__min64(grown, o->retry_delay_max_ns);
}

void cmt__dial_failed(cmt_dial *d, const cmt_why *why) {
  d->delay_ns = delay_grown(d);
  cmt__lock(&d->sw->lock);
  d->failures++;
  d->last = *why;
  cmt__unlock(&d->sw->lock);
}

void cmt__dial_met(cmt_dial *d) {
  if (d->options.unconditional) {
    cmt__peer_set_exempt(&d->sw->peers, &d->addr.id);
  }
  d->delay_ns = 0;
  cmt__lock(&d->sw->lock);
  d->failures = 0;
  cmt__unlock(&d->sw->lock);
  cmt__dial_set_state(d, CMT_DIAL_CONNECTED);
}

static uint64_t draw_jitter(const cmt_dial *d) {
  const cmt_env *env = &d->sw->env;
  uint64_t drawn;

  if (d->options.retry_jitter_ns == CMT_NO_JITTER) {
    return 0;
  }
  env->entropy(env->entropy_arg, &drawn, sizeof drawn);
  return drawn % d->options.retry_jitter_ns;
}

void cmt__dial_wait(cmt_dial *d) {
  cmt__loop *loop = d->sw->loop;
  uint64_t delay_ns =
    d->delay_ns != 0 ? d->delay_ns : d->options.retry_delay_ns;
  uint64_t at_ns = cmt__after(cmt__loop_now(loop), delay_ns + draw_jitter(d));

  cmt__loop_timer(loop, &d->timer, at_ns);
  set_state(d, CMT_DIAL_WAITING, at_ns);
}

bool cmt__dial_is_banned(const cmt_dial *d, cmt__ban *out) {
  uint64_t now_ns = cmt__loop_now(d->sw->loop);
  cmt__remote at = cmt__remote_of(&d->addr);

  return cmt__bans_find_id(&d->sw->bans, &d->addr.id, now_ns, out) ||
         (cmt__remote_is_known(&at) &&
          cmt__bans_find_ip(&d->sw->bans, &at.ip, now_ns, out));
}

void cmt__dial_bar(cmt_dial *d, const cmt__ban *ban) {
  cmt_why why;

  CMT__MARK(ban_holds_dial);
  d->barred = true;
  cmt__ban_why(ban, CMT_STAGE_FILTER, &why);
  cmt__lock(&d->sw->lock);
  d->last = why;
  cmt__unlock(&d->sw->lock);
  cmt__loop_timer(d->sw->loop, &d->timer, ban->end_ns);
  set_state(d, CMT_DIAL_WAITING, ban->end_ns);
}

bool cmt__dial_has_peer(const cmt_dial *d) {
  return cmt__peer_set_has(&d->sw->peers, &d->addr.id);
}

bool cmt__dial_has_rival(const cmt_dial *d) {
  for (const cmt_dial *o = d->sw->dials; o != NULL; o = o->next) {
    if (o != d && o->attempt != NULL &&
        cmt_node_id_equal(&o->addr.id, &d->addr.id)) {
      return true;
    }
  }
  return false;
}

void cmt__dials_peer_gone(cmt_switch *sw, const cmt_node_id *id) {
  for (cmt_dial *d = sw->dials; d != NULL; d = d->next) {
    if (d->state == CMT_DIAL_CONNECTED && cmt_node_id_equal(&d->addr.id, id)) {
      cmt__dial_wait(d);
    }
  }
}

/* ---- where its node is ---- */

static bool goes_on(const cmt_dial *d) {
  return d->options.persistent && d->state != CMT_DIAL_ENDED;
}

void cmt__dial_know(cmt_dial *d, const cmt_net_addr *addrs, size_t count) {
  d->known_count = cmt__min(count, CMT__RESOLVE_MAX);
  for (size_t i = 0; i < d->known_count; i++) {
    cmt__remote at = cmt__remote_of(&addrs[i]);

    d->known[i] = cmt__address_of(&d->sw->setup.options, &at);
  }
}

static bool dial_knows(const cmt_dial *d, const cmt__ip *address) {
  for (size_t i = 0; i < d->known_count; i++) {
    if (cmt__ip_equal(&d->known[i], address)) {
      return true;
    }
  }
  return d->was_met && cmt__ip_equal(&d->met, address);
}

cmt__reserve *cmt__dials_reserve(cmt_switch *sw, const cmt__ip *address) {
  for (cmt_dial *d = sw->dials; d != NULL; d = d->next) {
    if (goes_on(d) && d->reserve.guest == NULL && dial_knows(d, address)) {
      return &d->reserve;
    }
  }
  return NULL;
}

cmt__wanted cmt__dials_want(cmt_switch *sw, const cmt_node_id *id) {
  cmt__wanted w = {.unconditional = cmt__switch_is_unconditional(sw, id)};

  for (const cmt_dial *d = sw->dials; d != NULL; d = d->next) {
    if (d->state != CMT_DIAL_ENDED && cmt_node_id_equal(&d->addr.id, id)) {
      w.persistent = w.persistent || d->options.persistent;
      w.unconditional = w.unconditional || d->options.unconditional;
    }
  }
  return w;
}

bool cmt__dials_has_unconditional(cmt_switch *sw, const cmt_node_id *id) {
  const cmt_dial *d;
  bool found = false;

  if (atomic_load(&sw->dials_unconditional) == 0) {
    return false;
  }
  cmt__lock(&sw->lock);
  for (d = sw->dials; d != NULL && !found; d = d->next) {
    found = d->options.unconditional && cmt_node_id_equal(&d->addr.id, id);
  }
  for (d = sw->requests; d != NULL && !found; d = d->begin_next) {
    found = d->options.unconditional && cmt_node_id_equal(&d->addr.id, id);
  }
  cmt__unlock(&sw->lock);
  return found;
}

void cmt__dials_peer_here(cmt_switch *sw, const cmt_peer *p) {
  for (cmt_dial *d = sw->dials; d != NULL; d = d->next) {
    if (goes_on(d) && cmt_node_id_equal(&d->addr.id, &p->id)) {
      d->met = cmt__address_of(&sw->setup.options, &p->remote);
      d->was_met = true;
    }
  }
}
