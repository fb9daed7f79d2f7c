/* SPDX-License-Identifier: Apache-2.0 */

/* The peers of a switch as the application sees them. */

#include "switch.h"

cmt_err cmt_switch_broadcast(cmt_switch *s, uint8_t channel, cmt_buf *msg,
                             cmt_broadcast *counts) {
  const cmt_conn_group *group;
  cmt_broadcast own;
  cmt_err err;
  size_t at;

  counts = counts != NULL ? counts : &own;
  *counts = (cmt_broadcast){.queued = 0};
  if (s == NULL || msg == NULL) {
    return CMT_EINVAL;
  }
  group = s->setup.group;
  at = group->index[channel];
  err = cmt__channel_refuses(group->list, group->count, UINT16_MAX, at,
                             cmt_buf_bytes(msg).len);
  if (err != CMT_OK) {
    return err;
  }
  cmt__peer_set_broadcast(&s->peers, at, msg, counts);
  cmt_buf_unref(msg);
  return CMT_OK;
}

cmt_err cmt_switch_broadcast_bytes(cmt_switch *s, uint8_t channel,
                                   const void *data, size_t len,
                                   cmt_broadcast *counts) {
  cmt_buf *msg = s != NULL ? cmt_buf_copy(&s->env, data, len) : NULL;
  cmt_err err;

  if (msg == NULL) {
    if (counts != NULL) {
      *counts = (cmt_broadcast){.queued = 0};
    }
    return s == NULL || (data == NULL && len > 0) ? CMT_EINVAL : CMT_ENOMEM;
  }
  err = cmt_switch_broadcast(s, channel, msg, counts);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

size_t cmt_switch_peers(cmt_switch *s, cmt_peer **out, size_t cap) {
  return cmt__peer_set_snapshot(&s->peers, out, out != NULL ? cap : 0);
}

cmt_peer *cmt_switch_peer(cmt_switch *s, const cmt_node_id *id) {
  return id != NULL ? cmt__peer_set_find(&s->peers, id) : NULL;
}
