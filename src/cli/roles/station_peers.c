/* SPDX-License-Identifier: Apache-2.0 */
/* The switch has one reactor on the channel of peer exchange, which counts and
   logs around that of the first chain; the others have joined that.  A seed has
   a second one, for messages that it gets since it announces the channels of a
   whole node: a few tell the height of the peer, and all others are dropped. */

#include "station_peers.h"

#include <arpa/inet.h>
#include <string.h>

enum {
  SINK_MESSAGE_MAX = 64 << 10,
  LINES_PER_SECOND = 10, /* Rejections of strangers that are logged. */
};

/* The key of the chain among whose places a peer counts: a chain that comes
   later is none of it. */
#define COUNTED "cometp2p/place"

static const cmt_channel pex_channels[] = {{
  .id = CMT_PEX_CHANNEL,
  .priority = 1,
  .send_queue = 10,
  .send_message_max = 64000,
  .recv_message_max = 64000,
}};
#define SINK(id_)                                                              \
  {                                                                            \
    .id = (id_), .priority = 1, .send_queue = 1,                               \
    .recv_message_max = SINK_MESSAGE_MAX,                                      \
  }
static const cmt_channel sink_channels[] = {
  SINK(0x20), SINK(0x21), SINK(0x22), SINK(0x23), SINK(0x30),
  SINK(0x38), SINK(0x40), SINK(0x60), SINK(0x61),
};

static cli_chain *chain_of(cli_station *s, const cmt_node_info *info) {
  cli_chain *c = NULL;

  pthread_mutex_lock(&s->lock);
  for (size_t i = 0; i < s->chain_count && c == NULL; i++) {
    if (cmt_bytes_equal(info->network, cmt_bytes_of(s->chains[i]->network))) {
      c = s->chains[i];
    }
  }
  pthread_mutex_unlock(&s->lock);
  return c;
}

/* ---- peers ---- */

static cmt_err pex_start(void *self, cmt_switch *sw) {
  const cmt_reactor *r = &((cli_station *)self)->first->reactor;

  return r->start != NULL ? r->start(r->self, sw) : CMT_OK;
}

static void pex_stop(void *self) {
  const cmt_reactor *r = &((cli_station *)self)->first->reactor;

  if (r->stop != NULL) {
    r->stop(r->self);
  }
}

static bool is_loopback(const char *host) {
  return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

/* An IPv6 customer has a /64. */
static void host_name(const char *host, char out[CLI_PLACE_SIZE]) {
  char text[INET6_ADDRSTRLEN] = "";
  struct in6_addr six;

  if (inet_pton(AF_INET6, host, &six) == 1) {
    memset(&six.s6_addr[8], 0, 8);
    inet_ntop(AF_INET6, &six, text, sizeof text);
  }
  snprintf(out, CLI_PLACE_SIZE, "@%.46s", text[0] != '\0' ? text : host);
}

/* The place of a peer of |c| at |at|. */
static cli_place place_of(const cli_station *s, const cli_chain *c,
                          const cmt_net_addr *at) {
  cli_place place = {.chain = c};
  char group[CMT_ADDRBOOK_GROUP_SIZE];

  if (c->book != NULL && !is_loopback(at->host)) {
    cmt_addrbook_group(c->book, at, group);
    snprintf(place.group, sizeof place.group, "%s", group);
  }
  if (s->shared && !c->settings->allow_duplicate_ip) {
    host_name(at->host, place.host);
  }
  return place;
}

/* An inbound peer comes, or goes. */
static void places_count(cli_station *s, const cli_chain *c, const cmt_peer *p,
                         void (*count)(cli_places *, const cli_place *)) {
  cmt_net_addr at;
  cli_place place;

  cmt_peer_get_remote(p, &at);
  place = place_of(s, c, &at);
  count(&s->places, &place);
}

enum { PEER_TEXT_SIZE = CMT_NET_ADDR_TEXT_SIZE + 64 };

/* CometBFT's text of a peer. */
static void peer_text(const cmt_peer *p, char out[PEER_TEXT_SIZE]) {
  char at[CMT_NET_ADDR_TEXT_SIZE] = "?";
  cmt_net_addr remote;

  cmt_peer_get_remote(p, &remote);
  remote.id.text[0] = '\0';
  cmt_ignore(cmt_net_addr_format(&remote, at, sizeof at));
  snprintf(out, PEER_TEXT_SIZE, "Peer{MConn{%s} %s %s}", at,
           cmt_peer_id(p)->text, cmt_peer_is_outbound(p) ? "out" : "in");
}

static void log_added(const cli_station *s, const cmt_peer *p) {
  char peer[PEER_TEXT_SIZE];

  if (cli_log_levels_show(&s->log.levels, CMT_LOG_DEBUG, "p2p")) {
    peer_text(p, peer);
    CLI_LOG(&s->log, CMT_LOG_DEBUG, "p2p", "Added peer", {"peer", peer, 0});
  }
}

static bool is_unconditional(const cli_chain *c, const cmt_node_id *id) {
  const cmt_home_settings *set = c->settings;

  for (size_t i = 0; i < set->unconditional_peer_id_count; i++) {
    if (cmt_node_id_equal(&set->unconditional_peer_ids[i], id)) {
      return true;
    }
  }
  return false;
}

static void pex_add_peer(void *self, cmt_peer *p) {
  cli_station *s = self;
  const cmt_reactor *r = &s->first->reactor;
  cli_chain *c = chain_of(s, cmt_peer_node_info(p));

  log_added(s, p);
  if (c != NULL) {
    if (!cmt_peer_is_outbound(p) && !is_unconditional(c, cmt_peer_id(p)) &&
        cmt_peer_set_value(p, COUNTED, c, NULL) == CMT_OK) {
      places_count(s, c, p, cli_places_take);
    }
    cmt_metrics_added(c->metrics, p);
  }
  if (r->add_peer != NULL) {
    r->add_peer(r->self, p);
  }
}

static cmt_err pex_receive(void *self, cmt_peer *p, uint8_t channel,
                           cmt_buf *msg) {
  cli_station *s = self;
  const cmt_reactor *r = &s->first->reactor;
  cli_chain *c = chain_of(s, cmt_peer_node_info(p));

  if (c != NULL) {
    cmt_metrics_message(c->metrics, channel, cmt_buf_bytes(msg), false);
  }
  return r->receive != NULL ? r->receive(r->self, p, channel, msg) : CMT_OK;
}

static bool is_listed(const cmt_net_addr *list, size_t count,
                      const cmt_node_id *id) {
  size_t i = 0;

  while (i < count && !cmt_node_id_equal(&list[i].id, id)) {
    i++;
  }
  return i < count;
}

/* A seed is visited in each round, and the peers of a seed are visitors, but
   for persistent ones. */
static bool is_visit(const cli_station *s, const cli_chain *c,
                     const cmt_peer *p) {
  const cmt_home_settings *set = c->settings;
  const cmt_node_id *id = cmt_peer_id(p);

  return !is_listed(set->persistent_peers, set->persistent_peer_count, id) &&
         (s->seed || is_listed(set->seeds, set->seed_count, id));
}

/* A node that goes is no error, and a visit that is over no news. */
static cmt_log_level level_of(const cli_station *s, const cli_chain *c,
                              const cmt_peer *p, cmt_err reason) {
  if (reason != CMT_ECANCELED && reason != CMT_EEOF &&
      reason != CMT_EDUPLICATE) {
    return CMT_LOG_ERROR;
  }
  return c != NULL && is_visit(s, c, p) ? CMT_LOG_DEBUG : CMT_LOG_INFO;
}

static void log_removed(const cli_station *s, const cli_chain *c,
                        const cmt_peer *p, cmt_err reason) {
  const cmt_log_level level = level_of(s, c, p, reason);
  char peer[PEER_TEXT_SIZE];
  cmt_why why;

  if (!cli_log_levels_show(&s->log.levels, level, "p2p")) {
    return;
  }
  cmt_peer_get_why(p, &why);
  peer_text(p, peer);
  CLI_LOG(&s->log, level, "p2p",
          level == CMT_LOG_ERROR ? "Stopping peer for error" : "Stopping peer",
          {"peer", peer, 0}, {"err", why.text, 0});
}

static void pex_remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  cli_station *s = self;
  const cmt_reactor *r = &s->first->reactor;
  const cli_chain *counted = cmt_peer_value(p, COUNTED);

  if (counted != NULL) {
    places_count(s, counted, p, cli_places_leave);
  }
  log_removed(s, chain_of(s, cmt_peer_node_info(p)), p, reason);
  if (r->remove_peer != NULL) {
    r->remove_peer(r->self, p, reason);
  }
}

static cmt_err sink_receive(void *self, cmt_peer *p, uint8_t channel,
                            cmt_buf *msg) {
  cli_chain *c = chain_of(self, cmt_peer_node_info(p));

  if (c != NULL) {
    cmt_metrics_message(c->metrics, channel, cmt_buf_bytes(msg), false);
    cmt_pex_note(c->pex, p, channel, cmt_buf_bytes(msg));
  }
  return CMT_OK;
}

/* ---- who may come ---- */

/* Each chain has as many places as its home says, and one /16 has half of them
   at most.  If the switch has no more, it refuses in its own words. */
static cmt_verdict filter_peer(void *arg, const cmt_newcomer *who,
                               const cmt_admission *request) {
  cli_station *s = arg;
  const cli_chain *c = chain_of(s, who->node_info);
  cmt_net_addr at;
  cli_place place;
  uint32_t most;

  (void)request;
  if (who->outbound || c == NULL || is_unconditional(c, who->id) ||
      cmt_net_addr_parse(who->remote, CMT_ADDR_NO_ID, &at, NULL) != CMT_OK) {
    return CMT_ADMIT;
  }
  most = c->settings->max_num_inbound_peers;
  if (most == s->inbound_max && cli_places_count(&s->places, c) >= most) {
    return CMT_ADMIT;
  }
  place = place_of(s, c, &at);
  return cli_places_have(&s->places, &place, most) ? CMT_ADMIT : CMT_REFUSE;
}

/* Few enough lines that strangers do not fill a disk. */
static bool may_log(cli_station *s) {
  uint64_t second = cli_now_ns() / CMT_SECONDS(1);

  if (second != s->lines_ns) {
    s->lines_ns = second;
    s->lines = 0;
  }
  return s->lines++ < LINES_PER_SECOND;
}

/* A feeler, or a stranger that has seen enough; the switch logs it at debug. */
static bool went_away(const cmt_rejection *r) {
  return r->why.err == CMT_EEOF || r->why.err == CMT_ERESET;
}

static void on_rejected(void *arg, const cmt_rejection *r) {
  cli_station *s = arg;
  cmt_switch_status status;

  if (r->outbound) {
    return; /* Its chain counts it. */
  }
  cmt_metrics_rejected(s->first->metrics, r);
  if (went_away(r) || !may_log(s)) {
    return;
  }
  cmt_switch_get_status(s->sw, &status);
  CLI_LOG(&s->log, CMT_LOG_INFO, "p2p", "Inbound Peer rejected",
          {"err", r->why.text, 0}, {"addr", r->remote, 0},
          {"numPeers", NULL,
           (int64_t)(status.inbound_peers + status.outbound_peers)});
}

void cli_station_set_peers(cli_station *s, cmt_switch_options *o) {
  s->reactors[0] = (cmt_reactor){
    .name = "pex",
    .channels = pex_channels,
    .channel_count = sizeof pex_channels / sizeof pex_channels[0],
    .self = s,
    .start = pex_start,
    .add_peer = pex_add_peer,
    .receive = pex_receive,
    .remove_peer = pex_remove_peer,
    .stop = pex_stop,
  };
  s->reactors[1] = (cmt_reactor){
    .name = "sink",
    .channels = sink_channels,
    .channel_count = sizeof sink_channels / sizeof sink_channels[0],
    .self = s,
    .receive = sink_receive,
  };
  o->reactors = s->reactors;
  o->reactor_count = s->seed ? 2 : 1;
  o->on_rejected = on_rejected;
  o->arg = s;
  o->filter_peer = s->seed ? filter_peer : NULL;
  o->filter_arg = s;
}
