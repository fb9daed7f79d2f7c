/* SPDX-License-Identifier: Apache-2.0 */

#include "session_network.h"

#include "core/conn/conn.h"

/* docs/PROTOCOL.md 3.4: two sides that wait for each other must not both fail,
   so the one that was dialed gives up first. */
#define DIALED_WAIT CMT_SECONDS(1)
#define DIALER_WAIT CMT_SECONDS(2)

static uint64_t wait_ns(const cmt__session *s, const cmt__network *x,
                        uint64_t timeout_ns) {
  if (s->outbound) {
    return x != NULL && x->def.mirror
             ? cmt__min64(DIALER_WAIT, timeout_ns / 3 * 2)
             : 0;
  }
  return cmt__networks_any(&s->sw->networks)
           ? cmt__min64(DIALED_WAIT, timeout_ns / 3)
           : 0;
}

cmt__network *cmt__session_network(cmt__session *s, const char *name,
                                   cmt_node_info *info, cmt_conn_options *o,
                                   cmt_why *why) {
  cmt_switch *sw = s->sw;
  const char *asked = name != NULL ? name : sw->setup.network;
  cmt__network *x = cmt__networks_find(&sw->networks, cmt_bytes_of(asked));

  cmt__why_plain(why, CMT_OK, CMT_STAGE_TRANSPORT);
  if (x == NULL && name != NULL && strcmp(name, sw->setup.network) != 0) {
    cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "the network %s was removed",
             name);
    return NULL;
  }
  if (x != NULL) {
    cmt__network_announce(x, NULL, info, NULL);
  }
  o->info_wait_ns = wait_ns(s, x, o->handshake_timeout_ns);
  return x;
}

/* A dial stays with the network that it asked for, so that another one is what
   the connection ends for. */
static cmt__network *network_of(cmt__session *s, const cmt_node_info *theirs) {
  const cmt_node_info *ours = cmt__conn_own_node_info(s->link.conn);

  return ours == NULL
           ? NULL
           : cmt__networks_find(&s->sw->networks,
                                s->outbound ? ours->network : theirs->network);
}

void cmt__session_answer(void *arg, const cmt_node_info *theirs) {
  cmt__session *s = arg;
  cmt_switch *sw = s->sw;
  cmt__network *x = network_of(s, theirs);
  uint8_t channels[CMT_CHANNELS_MAX];
  cmt_conn_options o;
  cmt_node_info info;
  cmt_why why;
  cmt_err err;

  if (x == NULL) {
    return;
  }
  cmt__setup_conn_options(&sw->setup, &sw->env, &info, &o);
  cmt__network_announce(x, theirs, &info, channels);
  err = cmt_conn_set_node_info(s->link.conn, &info, &why);
  cmt__network_unref(&sw->networks, x);
  if (err == CMT_OK) {
    s->info_ns = cmt__latest(s->info_ns, cmt__loop_now(sw->loop));
  } else if (err != CMT_ECLOSED) {
    cmt__link_stop(&s->link, &why);
  }
}
