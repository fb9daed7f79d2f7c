/* SPDX-License-Identifier: Apache-2.0 */

/* The life of a peer as reactors see it: init_peer of each, add_peer of each,
   messages, remove_peer of each whose init_peer succeeded; each once, in the
   order of the reactors.  From the first to the last of them no other peer has
   the same id, and from the last init_peer on the switch lists it.  receive
   runs on the loop of the peer, all else on the first of its node, also
   remove_peer of a peer that was refused, whatever the delivery is. */

#include "check.h"

static unsigned bit(size_t reactor) { return 1u << reactor; }

/* The reactors before this one, and all. */
static unsigned before(size_t reactor) { return bit(reactor) - 1; }

/* The reactors that are called inline, in their order. */
static unsigned inline_of(const sim_peer *p, unsigned reactors) {
  for (size_t r = 0; r < p->node->sim->reactor_count; r++) {
    if (p->node->reactors[r].delivery != CMT_DELIVER_INLINE) {
      reactors &= ~bit(r);
    }
  }
  return reactors;
}

static bool is_inline(const sim_peer *p, size_t reactor) {
  return p->node->reactors[reactor].delivery == CMT_DELIVER_INLINE;
}

static unsigned all(const sim_peer *p) {
  return bit(p->node->sim->reactor_count) - 1;
}

#define LIFE(p, kind, holds, text)                                             \
  CHECK((p)->node->sim, kind, holds, "n%u, peer n%u on c%u, reactor %zu: %s",  \
        (p)->node->index, (p)->remote, (p)->conn->id, reactor, text)

static void check_first_loop(const sim_peer *p, size_t reactor) {
  LIFE(p, CHECK_LIFE, sim_net_running(p->node->sim->net) == p->node->loops[0],
       "a call that is not on the first loop");
}

/* An end that is closed, or on its way, is on none. */
static void check_own_loop(const sim_peer *p, size_t reactor) {
  const cmt__loop *own = p->conn->loop[p->side];
  const cmt__loop *running = sim_net_running(p->node->sim->net);

  LIFE(p, CHECK_LIFE, own != NULL && running == own,
       "receive on a loop that is not the peer's");
}

void check_init(sim_peer *p, size_t reactor, bool accepted) {
  check_first_loop(p, reactor);
  LIFE(p, CHECK_LIFE,
       p->inited == before(reactor) && p->added == 0 && p->removed == 0 &&
         !p->refused,
       "init_peer out of order");
  for (const sim_peer *o = p->node->peers; o != NULL; o = o->next) {
    LIFE(p, CHECK_ONE,
         o == p || o->gone || o->refused || o->remote != p->remote,
         "init_peer while another peer has the id");
  }
  if (accepted) {
    p->inited |= bit(reactor);
  } else {
    p->refused = true;
    p->gone = p->inited == 0;
  }
}

void check_add(sim_peer *p, size_t reactor) {
  cmt_peer *listed = cmt_switch_peer(p->node->sw, cmt_peer_id(p->peer));

  if (is_inline(p, reactor)) {
    check_first_loop(p, reactor);
  }
  LIFE(p, CHECK_LIFE,
       p->inited == all(p) && (p->added & bit(reactor)) == 0 &&
         (p->removed & bit(reactor)) == 0 &&
         (!is_inline(p, reactor) ||
          inline_of(p, p->added) == inline_of(p, before(reactor))),
       "add_peer out of order");
  LIFE(p, CHECK_LISTED, listed == p->peer,
       "add_peer of one that is not listed");
  cmt_peer_unref(listed);
  p->added |= bit(reactor);
}

void check_receive(sim_peer *p, size_t reactor, size_t channel) {
  if (is_inline(p, reactor)) {
    check_own_loop(p, reactor);
  }
  LIFE(p, CHECK_LIFE,
       (p->added & bit(reactor)) != 0 && (p->removed & bit(reactor)) == 0 &&
         inline_of(p, p->added) == inline_of(p, all(p)),
       "receive outside of the life of the peer");
  LIFE(p, CHECK_LIFE,
       p->node->has[channel] &&
         channel % p->node->sim->reactor_count == reactor,
       "receive of a channel that is not its own");
}

void check_remove(sim_peer *p, size_t reactor) {
  if (is_inline(p, reactor) || p->refused) {
    check_first_loop(p, reactor);
  }
  LIFE(p, CHECK_LIFE, !p->refused || p->removed == before(reactor),
       "a refused peer's remove_peer is out of order");
  LIFE(p, CHECK_LIFE,
       (p->inited & bit(reactor)) != 0 && (p->removed & bit(reactor)) == 0 &&
         (p->refused || (p->added & bit(reactor)) != 0) &&
         (!is_inline(p, reactor) ||
          inline_of(p, p->removed) == inline_of(p, before(reactor))),
       "remove_peer out of order");
  if (p->added != 0) {
    cmt_peer *listed = cmt_switch_peer(p->node->sw, cmt_peer_id(p->peer));

    LIFE(p, CHECK_LISTED, listed == p->peer,
         "remove_peer of one that is not listed");
    cmt_peer_unref(listed);
  }
  p->removed |= bit(reactor);
  p->gone = p->removed == p->inited;
}

/* Between iterations: the list is that of the peers that were added and not yet
   removed by all; the loop unlists one an iteration after its last mailbox. */
static bool is_listed(const sim_peer *p) {
  return (p->added & 1) != 0 && !p->gone;
}

void check_peers(sim_node *n) {
  cmt_peer *list[64];
  size_t count = cmt_switch_peers(n->sw, list, 64), live = 0, departing = 0;
  size_t strangers = 0;

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    live += is_listed(p);
  }
  for (size_t i = 0; i < count; i++) {
    const sim_peer *p = n->peers;
    bool is_stranger = sim_is_stranger(n->sim, cmt_peer_id(list[i]));

    while (p != NULL && p->peer != list[i]) {
      p = p->next;
    }
    departing += p != NULL && p->gone && n->has_mailbox;
    strangers += is_stranger;
    CHECK(n->sim, CHECK_LISTED, p != NULL || is_stranger,
          "n%u lists a peer that no reactor has", n->index);
    cmt_peer_unref(list[i]);
  }
  CHECK(n->sim, CHECK_LISTED, count == live + departing + strangers,
        "n%u lists %zu peers, its reactors have %zu", n->index, count, live);
}

void check_finished(sim_node *n) {
  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    size_t reactor = 0;

    LIFE(p, CHECK_LIFE, p->gone || p->inited == 0,
         "its switch has finished and it is not removed");
  }
}
