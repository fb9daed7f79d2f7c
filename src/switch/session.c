/* SPDX-License-Identifier: Apache-2.0 */

/* Sessions.  |pending| holds until the one outcome, add_peer or a rejection, is
   reported; the handshakes in flight are the pending sessions.  The order for
   reactors is kept here: init_peer of each, listed, add_peer of each, messages,
   then the send queue closes, remove_peer of each, unlisted. */

#include "session_filter.h"
#include "session_network.h"

#include "base/mark.h"

#include "dial.h"
#include "evict.h"
#include "limits.h"
#include "loops.h"

static const cmt__link_callbacks link_callbacks;

static cmt__session **list_of(const cmt__session *s) {
  return s->pending ? &s->sw->pending : &s->sw->sessions;
}

static void list_add(cmt__session *s) {
  cmt__session **list = list_of(s);

  s->prev = NULL;
  s->next = *list;
  if (s->next != NULL) {
    s->next->prev = s;
  }
  *list = s;
}

static void list_remove(cmt__session *s) {
  if (s->prev != NULL) {
    s->prev->next = s->next;
  } else {
    *list_of(s) = s->next;
  }
  if (s->next != NULL) {
    s->next->prev = s->prev;
  }
}

static void session_decide(cmt__session *s) {
  CMT_ASSERT(&s->sw->env, s->pending);
  list_remove(s);
  s->pending = false;
  list_add(s);
  cmt__place_leave(&s->sw->places, &s->place);
  cmt__filter_end(s);
  cmt__standby_end(s);
  if (s->counted) {
    cmt__switch_handshakes(s->sw, -1);
  }
}

/* Makes a session whose outcome is not known yet. */
static cmt__session *session_make(cmt_switch *sw) {
  cmt__session *s = cmt__alloc_zero(&sw->env, sizeof *s);

  if (s == NULL) {
    return NULL;
  }
  if (cmt__loop_reserve_timers(sw->loop, CMT__SESSION_TIMERS) != CMT_OK) {
    cmt__free(&sw->env, s);
    return NULL;
  }
  cmt__link_init(&s->link, sw->loop, &sw->setup.link, &link_callbacks, s);
  s->sw = sw;
  s->pending = true;
  list_add(s);
  sw->session_count++;
  return s;
}

cmt__session *cmt__session_new(cmt_switch *sw,
                               const cmt__session_callbacks *cbs, void *arg) {
  cmt__session *s = session_make(sw);

  if (s != NULL) {
    s->outbound = true;
    s->cbs = cbs;
    s->arg = arg;
  }
  return s;
}

static void session_on_closed(void *arg) {
  cmt__session *s = arg;
  cmt_switch *sw = s->sw;

  CMT_ASSERT(&sw->env, !s->pending && s->peer == NULL);
  list_remove(s);
  sw->session_count--;
  cmt__place_leave(&sw->places, &s->place);
  cmt__loop_release_timers(sw->loop, CMT__SESSION_TIMERS);
  cmt__free(&sw->env, s);
  cmt__switch_look(sw);
}

/* ---- rejections ---- */

const char *cmt__remote_text(const cmt__remote *r, char *out, size_t cap) {
  cmt_net_addr bare = cmt__remote_addr(r);

  if (cmt_net_addr_format(&bare, out, cap) != CMT_OK) {
    return "?";
  }
  return out;
}

static void reject_accepted(cmt_switch *sw, const cmt__remote *from,
                            const cmt_why *why, const cmt_node_id *id) {
  char remote[CMT_NET_ADDR_TEXT_SIZE];
  cmt_rejection r = {
    .remote = cmt__remote_text(from, remote, sizeof remote),
    .id = id,
    .why = *why,
  };

  cmt__switch_reject(sw, &r);
}

/* Closes the session by |close|, after which its memory may be gone, and
   reports |why|. */
static void session_fail(cmt__session *s, const cmt_why *why,
                         const cmt_node_id *id,
                         void (*close)(cmt__link *link)) {
  const cmt__session_callbacks *cbs = s->cbs;
  void *arg = s->arg;
  cmt_switch *sw = s->sw;
  cmt__remote remote = s->remote;
  cmt_why own = *why;
  cmt_node_id who = id != NULL ? *id : (cmt_node_id){.text = ""};

  session_decide(s);
  s->cbs = NULL;
  close(&s->link);
  id = id != NULL ? &who : NULL;
  if (cbs != NULL) {
    cbs->on_outcome(arg, &own, id, NULL);
  } else {
    reject_accepted(sw, &remote, &own, id);
  }
}

static void session_reject(cmt__session *s, const cmt_why *why,
                           const cmt_node_id *id) {
  session_fail(s, why, id, cmt__link_close);
}

void cmt__session_refuse(cmt__session *s, const cmt_why *why,
                         const cmt_node_id *id) {
  session_fail(s, why, id, cmt__link_close_after_linger);
}

void cmt__session_leave(cmt__session *s) {
  session_decide(s);
  s->cbs = NULL;
  cmt__link_close(&s->link);
}

static cmt__session *session_of(cmt__place *p) {
  return (cmt__session *)((char *)p - offsetof(cmt__session, place));
}

void cmt__session_displaced(cmt__place *p, cmt__displaced by) {
  cmt__session *s = session_of(p);
  cmt_why why;

  cmt__limits_displaced(s->sw, &s->remote, by, &why);
  session_reject(s, &why, cmt__link_id(&s->link));
}

void cmt__session_cut(cmt__place *p) {
  cmt__session *s = session_of(p);

  cmt__switch_count(s->sw, &s->sw->status.over_connections_max);
  cmt__link_close(&s->link);
}

static void session_stop(cmt__session *s, const cmt_why *why) {
  if (s->link.state == CMT__LINK_OPEN) {
    cmt__link_stop(&s->link, why);
  } else {
    session_reject(s, why, NULL);
  }
}

void cmt__session_end(cmt__session *s, const cmt_why *why) {
  if (s->peer != NULL) {
    (void)cmt_peer_explain(s->peer, why->err, why->text);
    cmt_peer_stop(s->peer, why->err, 0);
  } else if (s->pending) {
    session_stop(s, why);
  }
}

void cmt__session_cancel(cmt__session *s) {
  cmt_why why;

  cmt__why(&why, CMT_ECANCELED, CMT_STAGE_TRANSPORT, "the switch is stopping");
  session_stop(s, &why);
}

/* The link of a peer may be on another loop. */
const cmt_node_id *cmt__session_id(const cmt__session *s) {
  return s->peer != NULL ? cmt_peer_id(s->peer) : cmt__link_id(&s->link);
}

bool cmt__session_is_banned(const cmt__session *s, cmt__ban *out) {
  cmt__bans *bans = &s->sw->bans;
  const cmt_node_id *id = cmt__session_id(s);
  uint64_t now_ns = cmt__loop_now(s->sw->loop);

  return (id != NULL && cmt__bans_find_id(bans, id, now_ns, out)) ||
         (cmt__remote_is_known(&s->remote) &&
          cmt__bans_find_ip(bans, &s->remote.ip, now_ns, out));
}

/* Closes a connection that has no session. */
static void accept_refuse(cmt_switch *sw, cmt__tcp *tcp,
                          const cmt__remote *remote, const cmt_why *why) {
  cmt__tcp_close(tcp);
  reject_accepted(sw, remote, why, NULL);
}

/* A newcomer that a filter refuses at once takes no place from others. */
static void session_begin(cmt__session *s) {
  cmt_switch *sw = s->sw;
  cmt__ip address = cmt__address_of(&sw->setup.options, &s->remote);
  cmt_why why;
  cmt_err err = cmt__filter_address(s, &why);

  if (err != CMT_OK && err != CMT_EAGAIN) {
    session_reject(s, &why, NULL);
    return;
  }
  cmt__place_accept(&sw->places, &s->place, &s->link, &address,
                    cmt__dials_reserve(sw, &address));
  s->counted = true;
  cmt__switch_handshakes(sw, 1);
  if (err == CMT_OK) {
    cmt__session_start(s, NULL, NULL);
  }
}

void cmt__session_accept(void *arg, cmt__tcp *tcp) {
  cmt_switch *sw = arg;
  cmt_net_addr at = {.port = 0};
  cmt__session *s;
  cmt__remote remote;
  cmt__ban ban;
  cmt_why why;

  cmt__switch_count(sw, &sw->status.accepted);
  cmt__tcp_remote(tcp, &at);
  remote = cmt__remote_of(&at);
  if (cmt__bans_find_ip(&sw->bans, &remote.ip, cmt__loop_now(sw->loop), &ban)) {
    CMT__MARK(banned_address_refused);
    cmt__ban_why(&ban, CMT_STAGE_TRANSPORT, &why);
    accept_refuse(sw, tcp, &remote, &why);
    return;
  }
  s = session_make(sw);
  if (s == NULL) {
    cmt__why_plain(&why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
    accept_refuse(sw, tcp, &remote, &why);
    return;
  }
  s->remote = remote;
  cmt__link_accept(&s->link, tcp);
  session_begin(s);
}

/* ---- connecting ---- */

cmt_err cmt__session_connect(cmt__session *s, const cmt__remote *to) {
  cmt_net_addr at = cmt__remote_addr(to);

  s->remote = *to;
  return cmt__link_connect(&s->link, &at);
}

void cmt__session_disconnect(cmt__session *s) {
  cmt__link_disconnect(&s->link);
}

/* Logs once that the system does not lock the memory of keys. */
static void keys_check(cmt_switch *sw) {
  uint64_t locked, unlocked;

  cmt__secret_pool_bytes(&sw->setup.group->pool, &locked, &unlocked);
  if (unlocked > 0 && !atomic_exchange(&sw->warned_unlocked_keys, true)) {
    cmt__log(&sw->env, CMT_LOG_WARN, "switch",
             "memory of keys cannot be locked, so the system may write it to "
             "the disk when memory is short; a higher limit (ulimit -l) helps");
  }
}

void cmt__session_start(cmt__session *s, const cmt_node_id *expect,
                        const char *network) {
  cmt_switch *sw = s->sw;
  cmt_conn_options o;
  cmt_node_info info;
  cmt__network *x;
  cmt_why why;

  cmt__setup_conn_options(&sw->setup, &sw->env, &info, &o);
  o.expect_id = expect;
  x = cmt__session_network(s, network, &info, &o, &why);
  if (why.err != CMT_OK || cmt__link_start(&s->link, &o, &why) != CMT_OK) {
    session_reject(s, &why, NULL);
  }
  cmt__network_unref(&sw->networks, x);
  keys_check(sw);
}

/* ---- a peer comes ---- */

static void peer_on_drained(void *arg) {
  cmt_switch *sw = arg;

  sw->undrained--;
  cmt__switch_look(sw);
}

/* A session on standby takes the place of the peer that is gone. */
static cmt_err place_take(cmt__session *s, const cmt_node_id *id,
                          cmt__admitted *in, cmt_why *why) {
  *in = (cmt__admitted){.place =
                          s->outbound ? CMT__PEER_OUTBOUND : CMT__PEER_INBOUND};
  if (!s->standby.has_place) {
    return cmt__limits_admit(s->sw, id, &s->remote, in, why);
  }
  in->place = s->standby.place;
  return in->place != CMT__PEER_INBOUND || s->standby.same_address
           ? CMT_OK
           : cmt__limits_address(s->sw, &s->remote, why);
}

/* The checks that need the other peers, and the memory for one more. */
static cmt_err session_admit(cmt__session *s, const cmt_conn_event *ev,
                             cmt__admitted *in, cmt_why *why) {
  cmt_switch *sw = s->sw;
  cmt_err err;

  if (cmt__standby_exists(s, ev->id)) {
    return cmt__why(why, CMT_EDUPLICATE, CMT_STAGE_FILTER,
                    "a connection with node %s exists", ev->id->text);
  }
  err = place_take(s, ev->id, in, why);
  if (err != CMT_OK) {
    return err;
  }
  if (cmt__peer_set_reserve(&sw->peers) == CMT_OK) {
    s->peer = cmt__peer_new(&(cmt__peer_options){
      .link = &s->link,
      .id = ev->id,
      .node_info = ev->node_info,
      .group = sw->setup.group,
      .send_bytes_max = sw->setup.options.send_bytes_max,
      .send_pool = &sw->send_pool,
      .on_drained = peer_on_drained,
      .arg = sw,
    });
  }
  if (s->peer != NULL) {
    cmt__events_attach(&sw->events, s->peer);
  }
  if (s->peer != NULL &&
      cmt__delivery_admit(&sw->delivery, s->peer) != CMT_OK) {
    s->peer->link = NULL;
    cmt_peer_unref(s->peer);
    s->peer = NULL;
  }
  return s->peer != NULL ? CMT_OK
                         : cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_FILTER);
}

/* Closes the send queue; the session has no peer any more.  The caller has it.
 */
static cmt_peer *peer_end(cmt__session *s, const cmt_why *why) {
  cmt_peer *p = s->peer;

  if (cmt__peer_end(p, why)) {
    s->sw->undrained++;
  }
  s->peer = NULL;
  return p;
}

/* The first |known| reactors had accepted it.  |why| gets what a reactor
   explained. */
static void peer_refuse(cmt__session *s, cmt_why *why, size_t known) {
  cmt_peer *p = peer_end(s, why);

  cmt__delivery_refuse(&s->sw->delivery, p, why->err, known);
  cmt_peer_get_why(p, why);
  cmt__session_departed(s->sw, p, false);
}

void cmt__session_departed(cmt_switch *sw, cmt_peer *p, bool listed) {
  if (listed) {
    cmt__peer_set_remove(&sw->peers, p);
    cmt__evict_gone(sw, p);
    cmt__switch_removed(sw, p->reason);
    cmt__dials_peer_gone(sw, &p->id);
    cmt__standby_promote(sw, p);
  }
  cmt_peer_unref(p);
  cmt__switch_look(sw);
}

/* Without memory to move it stays on the first loop. */
static void peer_choose_loop(cmt__session *s) {
  cmt_switch *sw = s->sw;
  unsigned thread = cmt__loops_pick(sw);

  if (thread > 0 &&
      cmt__link_move(&s->link, sw->threads[thread].delivery.loop) != CMT_OK) {
    thread = 0;
  }
  s->thread = (uint8_t)thread;
  sw->threads[thread].peers++;
}

/* A list of ids that another thread has set since has not found the peer. */
static void peer_list(cmt__session *s) {
  cmt__peer_set_add(&s->sw->peers, s->peer);
  if (cmt__switch_is_unconditional(s->sw, &s->peer->id)) {
    cmt__peer_set_exempt(&s->sw->peers, &s->peer->id);
  }
}

static void peer_add(cmt__session *s) {
  const cmt__session_callbacks *cbs = s->cbs;
  cmt_why why = {.err = CMT_OK, .stage = CMT_STAGE_UP};

  peer_list(s);
  cmt__switch_count(s->sw, &s->sw->status.added);
  s->link.send_queue = &s->peer->send_queue;
  s->was_peer = true;
  session_decide(s);
  cmt__dials_peer_here(s->sw, s->peer);
  s->cbs = NULL;
  if (cbs != NULL) {
    cbs->on_outcome(s->arg, &why, cmt_peer_id(s->peer),
                    cmt_peer_node_info(s->peer));
  }
  cmt__peer_count(s->peer);
  cmt__delivery_add(&s->sw->delivery, s->peer);
  peer_choose_loop(s);
}

/* A filter or init_peer may have banned the other side. */
static cmt_err bans_check(const cmt__session *s, cmt_why *why) {
  cmt__ban ban;

  if (!cmt__session_is_banned(s, &ban)) {
    return CMT_OK;
  }
  cmt__ban_why(&ban, CMT_STAGE_FILTER, why);
  return why->err;
}

/* Decides again what init_peer may have changed: whether the newcomer is banned
   or unconditional, and which peer it replaces.  Nothing of the application
   runs on this loop between this and the list of peers. */
static cmt_err newcomer_check(cmt__session *s, const cmt__admitted *in,
                              cmt_why *why) {
  cmt_peer *victim;
  cmt_err err = bans_check(s, why);

  if (err == CMT_OK && cmt__switch_is_unconditional(s->sw, &s->peer->id)) {
    s->peer->place = CMT__PEER_EXEMPT;
    return CMT_OK;
  }
  if (err != CMT_OK || !in->replaces) {
    return err;
  }
  err = cmt__limits_replace(s->sw, &victim, why);
  if (err == CMT_OK) {
    cmt__evict(s->sw, victim);
  }
  return err;
}

/* The other side has passed the filter and the bans. */
static void session_enter(cmt__session *s, const cmt_conn_event *ev) {
  cmt__admitted in;
  cmt_why why;
  size_t known;

  if (cmt__peer_set_has(&s->sw->peers, ev->id)) {
    if (cmt__standby_begin(s, ev->id, &why) != CMT_OK) {
      cmt__session_refuse(s, &why, ev->id);
    }
    return;
  }
  if (session_admit(s, ev, &in, &why) != CMT_OK) {
    cmt__session_refuse(s, &why, ev->id);
    return;
  }
  s->peer->remote = s->remote;
  s->peer->outbound = s->outbound;
  s->peer->place = (uint8_t)in.place;
  s->peer->persistent =
    s->outbound && cmt__dials_want(s->sw, ev->id).persistent;
  known = cmt__reactor_list_init_peer(&s->sw->setup.reactors,
                                      &s->sw->threads[0].delivery.callbacks,
                                      s->peer, &why);
  if (why.err == CMT_OK && newcomer_check(s, &in, &why) == CMT_OK) {
    peer_add(s);
    return;
  }
  peer_refuse(s, &why, known);
  cmt__session_refuse(s, &why, ev->id);
}

/* The node info is lent by the link, so that the link goes last. */
static void session_felt(cmt__session *s, const cmt_conn_event *ev) {
  const cmt__session_callbacks *cbs = s->cbs;
  cmt_why why = {.err = CMT_OK, .stage = CMT_STAGE_NODE_INFO};

  cmt__switch_count(s->sw, &s->sw->status.felt);
  session_decide(s);
  s->cbs = NULL;
  cbs->on_outcome(s->arg, &why, ev->id, ev->node_info);
  cmt__link_close_after_linger(&s->link);
}

static void session_on_up(void *arg, const cmt_conn_event *ev) {
  cmt__session *s = arg;
  cmt_why why;
  cmt_err err = CMT_OK;

  if (s->feeler && bans_check(s, &why) == CMT_OK) {
    session_felt(s, ev);
    return;
  }
  err = cmt__filter_peer(s, ev, &why);
  if (err == CMT_OK) {
    err = bans_check(s, &why);
  }
  if (err == CMT_OK) {
    session_enter(s, ev);
  } else if (err != CMT_EAGAIN) {
    cmt__session_refuse(s, &why, ev->id);
  }
}

/* ---- a peer works, and ends ---- */

/* On the loop of the peer; until it has moved that is the first one. */
static void session_on_message(void *arg, uint8_t channel, cmt_buf *msg) {
  cmt__session *s = arg;
  bool moved = s->link.loop != s->sw->loop;
  cmt__loop_thread *thread = &s->sw->threads[moved ? s->thread : 0];
  cmt_why why;

  if (cmt__delivery_receive(&thread->delivery, s->peer, channel, msg, &why) !=
      CMT_OK) {
    cmt__link_stop(&s->link, &why);
  }
}

static void session_on_messages_end(void *arg) {
  cmt__session *s = arg;

  if (s->peer != NULL) {
    cmt__delivery_flush(s->peer);
  }
}

static void session_on_end(void *arg, const cmt_why *why,
                           const cmt_node_id *id) {
  cmt__session *s = arg;
  cmt_why own = *why;
  cmt_peer *p;

  if (s->peer == NULL) {
    if (s->standby.id != NULL || s->question != NULL ||
        own.err == CMT_EBANNED) {
      own.stage = CMT_STAGE_FILTER; /* It may have been up, never a peer. */
    }
    session_reject(s, &own, id);
    return;
  }
  p = peer_end(s, why);
  s->sw->threads[s->thread].peers--;
  if (cmt__delivery_remove(&s->sw->delivery, p, why->err)) {
    cmt__session_departed(s->sw, p, true);
  }
}

/* Our node info has not gone out. */
static void session_on_id(void *arg, const cmt_node_id *id) {
  cmt__session *s = arg;
  cmt_switch *sw = s->sw;
  cmt__ban ban;
  cmt_why why;

  if (s->cbs != NULL) {
    s->cbs->on_id(s->arg, id);
  }
  if (cmt__bans_find_id(&sw->bans, id, cmt__loop_now(sw->loop), &ban)) {
    CMT__MARK(banned_id_refused);
    cmt__ban_why(&ban, CMT_STAGE_FILTER, &why);
    cmt__link_stop(&s->link, &why);
    return;
  }
  cmt__standby_stagger(s, id);
}

static void session_on_connect(void *arg, cmt_err err) {
  cmt__session *s = arg;

  s->cbs->on_connect(s->arg, err);
}

static void session_on_iteration(void *arg) {
  cmt__peer_count(((cmt__session *)arg)->peer);
}

static void session_on_linger(void *arg) {
  cmt__session *s = arg;

  cmt__place_linger(&s->sw->places, &s->place, s->was_peer);
}

static void session_on_move(void *arg) {
  cmt__session *s = arg;

  s->peer->loop = s->link.loop;
}

static const cmt__link_callbacks link_callbacks = {
  .on_connect = session_on_connect,
  .on_id = session_on_id,
  .on_node_info = cmt__session_answer,
  .on_up = session_on_up,
  .on_message = session_on_message,
  .on_messages_end = session_on_messages_end,
  .on_end = session_on_end,
  .fetch = cmt__conn_fetch,
  .on_iteration = session_on_iteration,
  .on_move = session_on_move,
  .on_linger = session_on_linger,
  .on_closed = session_on_closed,
};
