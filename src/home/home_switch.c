/* SPDX-License-Identifier: Apache-2.0 */

/* From the keys of [p2p] to the options of a switch.  docs/FILES.md has the
   table. */

#include "home_impl.h"

enum {
  /* Dials beyond those that the configuration asks for: feelers and probes. */
  SPARE_DIALS = 8,
};

/* Whether |laddr| is "0.0.0.0", on which Go listens for IPv6 too. */
static bool is_everywhere(const char *laddr, cmt_net_addr *out) {
  return cmt_net_addr_parse(laddr, CMT_ADDR_NO_ID, out, NULL) == CMT_OK &&
         strcmp(out->host, "0.0.0.0") == 0;
}

/* Sets where to listen, and what others learn.  A port that is picked at the
   start is known to the switch alone. */
static void set_addresses(cmt_home *h, cmt_switch_options *o) {
  const cmt_home_settings *s = &h->settings;
  cmt_net_addr at;

  o->laddr = s->laddr;
  o->external_address =
    s->external_address[0] != '\0' ? s->external_address : NULL;
  if (is_everywhere(s->laddr, &at)) {
    if (o->external_address == NULL && at.port != 0) {
      o->external_address = s->laddr;
    }
    snprintf(h->listened, sizeof h->listened, "[::]:%u", at.port);
    o->laddr = h->listened;
  }
}

static uint32_t peers_max(size_t count) {
  return count == 0 ? CMT_NO_PEERS : (uint32_t)cmt__min(count, CMT_PEERS_MAX);
}

void cmt_home_set_switch(cmt_home *h, cmt_switch_options *o) {
  const cmt_home_settings *s = &h->settings;

  set_addresses(h, o);
  o->network = h->chain_id[0] != '\0' ? h->chain_id : o->network;
  o->moniker = s->moniker;
  o->inbound_peers_max = peers_max(s->max_num_inbound_peers);
  o->inbound_peers_per_ip_max = s->allow_duplicate_ip ? CMT_NO_LIMIT : 1;
  o->outbound_peers_max =
    peers_max((size_t)s->max_num_outbound_peers + s->persistent_peer_count +
              s->seed_count + SPARE_DIALS);
  o->unconditional = s->unconditional_peer_ids;
  o->unconditional_count = s->unconditional_peer_id_count;
  o->send_packet_payload_max = s->max_packet_msg_payload_size;
  /* Others of the same network send as much. */
  o->recv_packet_payload_max =
    (uint32_t)cmt__max(s->max_packet_msg_payload_size, CMT_PACKET_PAYLOAD_RECV);
  o->send_rate = cmt__min64(s->send_rate, CMT_RATE_MAX);
  o->recv_rate = cmt__min64(s->recv_rate, CMT_RATE_MAX);
}
