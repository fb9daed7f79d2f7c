/* SPDX-License-Identifier: Apache-2.0 */

/* Sessions on standby.  A node id has at most one peer and at most one session
   on standby: up, with nothing read but its node info, and unknown to reactors.
   When both sides dial at once each may take the other's connection for the
   first, so which one stays follows from what both know: the ids and who
   dialed.  Nothing is decided in the first second, since the other side may
   close one of the two by itself; the end of either is seen then.

   The first is not kept when it leaves a ping unanswered: the other side has
   restarted, and has only the second.  A look that comes late, after a callback
   that took long or a stop of the process, is taken once more: the pong may lie
   in the socket, and the first on another loop, which was delayed as well.  Two
   that are late in a row mean that the loop is slow, and the second counts. */

#include "session_standby.h"

#include "base/mark.h"

#include "limits.h"
#include "session.h"

/* After the first second, how often it is looked whether the first lives. */
#define LOOK_NS CMT_MILLISECONDS(250)

static cmt__session *standby_find(cmt_switch *sw, const cmt_node_id *id) {
  cmt__session *s = sw->pending;

  while (s != NULL &&
         (s->standby.id == NULL || !cmt_node_id_equal(s->standby.id, id))) {
    s = s->next;
  }
  return s;
}

/* The peer |id|, which the set has; NULL when its connection has ended.
   |*outbound|: we dialed the peer. */
static cmt_peer *first_find(cmt_switch *sw, const cmt_node_id *id,
                            bool *outbound) {
  cmt_peer *p = cmt__peer_set_find(&sw->peers, id);

  *outbound = p->outbound;
  cmt_peer_unref(p);
  return p->link != NULL ? p : NULL;
}

/* In some profiles whatever came is as good as a pong. */
static uint64_t signs_of(const cmt_switch *sw, const cmt__peer_view *v) {
  const cmt__wire *wire = cmt__wire_of(sw->setup.options.wire);

  return wire->pings->receipts_count ? v->recv_bytes : v->pongs_recv;
}

/* What we do not read by our own choice cannot show that it lives. */
static bool first_lives(const cmt__session *s, const cmt__peer_view *first) {
  return first->paused || signs_of(s->sw, first) != s->standby.signs;
}

/* Both sides keep the connection that the smaller id dialed; of two in the same
   direction they keep the first. */
static bool first_is_better(const cmt__session *s, bool outbound) {
  bool we_are_smaller = strcmp(s->sw->setup.id.text, s->standby.id->text) < 0;

  return outbound == s->outbound || outbound == we_are_smaller;
}

static void standby_lose(cmt__session *s) {
  cmt_node_id id = *s->standby.id;
  cmt_why why;

  if (s->link.late_end != CMT_OK) {
    cmt__why_plain(&why, s->link.late_end, CMT_STAGE_FILTER);
  } else {
    cmt__why(&why, CMT_EDUPLICATE, CMT_STAGE_FILTER,
             "another connection with node %s stays", id.text);
  }
  cmt__session_refuse(s, &why, &id);
}

static void first_lose(cmt_peer *first) {
  (void)cmt_peer_explain(first, CMT_EDUPLICATE,
                         "another connection with the node takes its place");
  cmt_peer_stop(first, CMT_EDUPLICATE, 0);
}

static void standby_on_timer(cmt__timer *t) {
  cmt__session *s =
    (cmt__session *)((char *)t - offsetof(cmt__session, standby.timer));
  uint64_t now_ns = cmt__loop_now(s->sw->loop);
  uint64_t end_ns = s->standby.since_ns + CMT__STANDBY_PING_NS;
  bool outbound, better;
  cmt_peer *first = first_find(s->sw, s->standby.id, &outbound);
  cmt__peer_view view = {.stopping = true};

  s->standby.late = !s->standby.late && cmt__since(now_ns, t->at_ns) >= LOOK_NS;
  if (s->standby.late) {
    cmt__loop_timer(s->sw->loop, t, now_ns + LOOK_NS);
    return;
  }
  if (first != NULL) {
    cmt__peer_look(first, &view);
  }
  if (view.stopping) {
    return; /* Its end is near, and |s| the next peer. */
  }
  better = first_is_better(s, outbound);
  if (s->link.late_end != CMT_OK || (better && first_lives(s, &view))) {
    CMT__MARK(newcomer_gives_way);
    standby_lose(s);
  } else if (better && now_ns < end_ns) {
    cmt__loop_timer(s->sw->loop, t, cmt__min64(now_ns + LOOK_NS, end_ns));
  } else {
    CMT__MARK(first_gives_way);
    first_lose(first);
  }
}

/* When our node info goes out to the peer |id|; 0: there is none, or its
   connection has ended. */
static uint64_t peer_info_ns(cmt_switch *sw, const cmt_node_id *id) {
  cmt_peer *p = cmt__peer_set_find(&sw->peers, id);
  const cmt__link *link = p != NULL ? p->link : NULL;

  cmt_peer_unref(p);
  return link == NULL ? 0
                      : ((const cmt__session *)((const char *)link -
                                                offsetof(cmt__session, link)))
                          ->info_ns;
}

void cmt__standby_stagger(cmt__session *s, const cmt_node_id *id) {
  uint64_t at_ns = cmt__loop_now(s->sw->loop), peer_ns;

  if (cmt_node_id_equal(id, &s->sw->setup.id)) {
    return; /* Both connections are about to find that it is ourselves. */
  }
  for (const cmt__session *o = s->sw->pending; o != NULL; o = o->next) {
    const cmt_node_id *other = cmt__session_id(o);

    if (o != s && other != NULL && cmt_node_id_equal(other, id)) {
      at_ns = cmt__max64(at_ns, cmt__after(o->info_ns, CMT__STAGGER_NS));
    }
  }
  peer_ns = peer_info_ns(s->sw, id);
  if (peer_ns != 0) {
    at_ns = cmt__max64(at_ns, cmt__after(peer_ns, CMT__STAGGER_NS));
  }
  s->info_ns = at_ns;
  cmt_conn_delay_node_info(s->link.conn, at_ns);
}

bool cmt__standby_exists(const cmt__session *s, const cmt_node_id *id) {
  const cmt__session *other = standby_find(s->sw, id);

  return other != NULL && other != s;
}

/* It takes the place of the first, whatever the direction of both.  But each
   address has its own share of the inbound places. */
static cmt_err place_check(cmt__session *s, const cmt_peer *first,
                           cmt_why *why) {
  return first->place != CMT__PEER_INBOUND ||
             cmt__same_address(&s->sw->setup.options, &first->remote,
                               &s->remote)
           ? CMT_OK
           : cmt__limits_address(s->sw, &s->remote, why);
}

cmt_err cmt__standby_begin(cmt__session *s, const cmt_node_id *id,
                           cmt_why *why) {
  cmt_switch *sw = s->sw;
  cmt_peer *first = cmt__peer_set_find(&sw->peers, id);
  cmt__peer_view view;
  cmt_err err;

  cmt_peer_unref(first); /* The list has it. */
  if (cmt__standby_exists(s, id)) {
    return cmt__why(why, CMT_EDUPLICATE, CMT_STAGE_FILTER,
                    "two connections with node %s exist", id->text);
  }
  err = place_check(s, first, why);
  if (err != CMT_OK) {
    return err;
  }
  err = cmt__link_suspend(&s->link);
  if (err != CMT_OK) {
    return cmt__why_plain(why, err, CMT_STAGE_FILTER);
  }
  cmt__place_leave(&sw->places, &s->place);
  s->standby.id = id;
  s->standby.timer.cb = standby_on_timer;
  s->standby.since_ns = cmt__loop_now(sw->loop);
  cmt__loop_timer(sw->loop, &s->standby.timer,
                  s->standby.since_ns + CMT__STANDBY_NS);
  if (first->link != NULL) {
    cmt__peer_look(first, &view);
    s->standby.signs = signs_of(sw, &view);
    cmt__send_queue_ping(&first->send_queue);
  }
  return CMT_OK;
}

void cmt__standby_end(cmt__session *s) {
  if (s->standby.id != NULL) {
    s->standby.id = NULL;
    cmt__loop_timer(s->sw->loop, &s->standby.timer, CMT_NEVER);
  }
  if (s->standby.has_place) {
    s->sw->kept[s->standby.place]--;
  }
}

void cmt__standby_promote(cmt_switch *sw, const cmt_peer *gone) {
  cmt__session *s = standby_find(sw, &gone->id);

  if (s != NULL) {
    CMT__MARK(standby_promoted);
    s->standby.has_place = true;
    s->standby.place = (cmt__peer_place)gone->place;
    s->standby.same_address =
      cmt__same_address(&sw->setup.options, &gone->remote, &s->remote);
    sw->kept[s->standby.place]++;
    cmt__loop_timer(sw->loop, &s->standby.timer, CMT_NEVER);
    cmt__link_release(&s->link);
  }
}
