/* SPDX-License-Identifier: Apache-2.0 */

/* Dials.  A persistent one keeps a place for the address of its node, and waits
   while a peer with its id exists, whoever dialed that. */

#include "dial.h"

#define REDIAL_NS CMT_SECONDS(5)
#define REDIAL_SPREAD_NS CMT_SECONDS(3)

void cmt__dial_free(cmt_dial *d) {
  cmt_switch *sw = d->sw;

  atomic_fetch_sub(&sw->dials_allocated, 1);
  cmt__free(&sw->env, d);
}

cmt_dial *cmt__dial_new(cmt_switch *sw, const cmt_net_addr *addr,
                        bool persistent) {
  cmt_dial *d = cmt__alloc_zero(&sw->env, sizeof *d);

  if (d == NULL) {
    return NULL;
  }
  d->sw = sw;
  atomic_fetch_add(&sw->dials_allocated, 1);
  d->addr = *addr;
  d->persistent = persistent;
  if (cmt_net_addr_format(addr, d->text, sizeof d->text) != CMT_OK) {
    cmt__dial_free(d);
    return NULL;
  }
  return d;
}

void cmt__dial_list(cmt_dial *d) {
  cmt_switch *sw = d->sw;

  d->prev = NULL;
  d->next = sw->dials;
  if (d->next != NULL) {
    d->next->prev = d;
  }
  sw->dials = d;
  sw->dial_count++;
}

void cmt__dial_unlist(cmt_dial *d) {
  cmt_switch *sw = d->sw;

  if (d->prev != NULL) {
    d->prev->next = d->next;
  } else {
    sw->dials = d->next;
  }
  if (d->next != NULL) {
    d->next->prev = d->prev;
  }
  sw->dial_count--;
}

/* ---- when ---- */

void cmt__dial_wait(cmt_dial *d) {
  cmt_switch *sw = d->sw;
  uint64_t drawn;

  sw->env.entropy(sw->env.entropy_arg, &drawn, sizeof drawn);
  d->state = CMT__DIAL_WAITING;
  cmt__loop_timer(
    sw->loop, &d->timer,
    cmt__after(cmt__loop_now(sw->loop), REDIAL_NS + drawn % REDIAL_SPREAD_NS));
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
    if (d->state == CMT__DIAL_PEER && cmt_node_id_equal(&d->addr.id, id)) {
      cmt__dial_wait(d);
    }
  }
}

/* ---- where its node is ---- */

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
    if (d->persistent && d->reserve.guest == NULL && dial_knows(d, address)) {
      return &d->reserve;
    }
  }
  return NULL;
}

bool cmt__dials_want(const cmt_switch *sw, const cmt_node_id *id) {
  for (const cmt_dial *d = sw->dials; d != NULL; d = d->next) {
    if (d->persistent && cmt_node_id_equal(&d->addr.id, id)) {
      return true;
    }
  }
  return false;
}

void cmt__dials_peer_here(cmt_switch *sw, const cmt_peer *p) {
  for (cmt_dial *d = sw->dials; d != NULL; d = d->next) {
    if (d->persistent && cmt_node_id_equal(&d->addr.id, &p->id)) {
      d->met = cmt__address_of(&sw->setup.options, &p->remote);
      d->was_met = true;
    }
  }
}
