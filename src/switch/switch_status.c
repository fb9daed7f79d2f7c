/* SPDX-License-Identifier: Apache-2.0 */

/* What a switch is, and its status.  Any thread may ask. */

#include "switch.h"

#include "base/sized.h"
#include "limits.h"

const cmt_env *cmt_switch_env(const cmt_switch *s) { return &s->env; }

void cmt_switch_get_id(const cmt_switch *s, cmt_node_id *out) {
  if (out != NULL) {
    *out = s->setup.id;
  }
}

/* The lock is no part of what the switch is. */
cmt_err cmt_switch_get_laddr(const cmt_switch *s, cmt_net_addr *out) {
  pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&s->lock;
  bool bound;

  cmt__lock(lock);
  bound = s->setup.bound;
  if (bound && out != NULL) {
    *out = s->setup.laddr;
  }
  cmt__unlock(lock);
  return bound && out != NULL ? CMT_OK : CMT_EINVAL;
}

void cmt_switch_get_status_sized(cmt_switch *s, cmt_switch_status *out,
                                 size_t size) {
  cmt_switch_status full;
  size_t all, inbound;

  cmt__peer_set_count(&s->peers, &all, &inbound);
  cmt__lock(&s->lock);
  full = s->status;
  if (s->listener != NULL) {
    full.no_descriptors = cmt__listener_dropped(s->listener);
  }
  cmt__unlock(&s->lock);
  cmt__limits_status(s, &full);
  full.lost_events = cmt__events_lost(&s->events);
  full.recv_queued_bytes = cmt__delivery_queued(&s->delivery);
  full.dropped_messages = cmt__delivery_dropped(&s->delivery);
  cmt__secret_pool_bytes(&s->setup.group->pool, &full.locked_key_bytes,
                         &full.unlocked_key_bytes);
  full.inbound_peers = inbound;
  full.outbound_peers = all - inbound;
  full.unconditional_peers = cmt__peer_set_places(&s->peers, CMT__PEER_EXEMPT);
  cmt__sized_write(out, size, &full, sizeof full);
}
