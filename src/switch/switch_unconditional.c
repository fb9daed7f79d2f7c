/* SPDX-License-Identifier: Apache-2.0 */

/* The ids that pass every cap. */

#include "state.h"

/* Peers of the list give their places to others.  Who becomes a peer meanwhile
   looks at the list itself. */
static void peers_exempt(cmt_switch *s, const cmt_node_id *ids, size_t count) {
  for (size_t i = 0; i < count; i++) {
    cmt_node_id id = ids[i], small;

    id.text[sizeof id.text - 1] = '\0';
    if (cmt__node_id_read(cmt_bytes_of(id.text), &small)) {
      cmt__peer_set_exempt(&s->peers, &small);
    }
  }
}

cmt_err cmt_switch_set_unconditional(cmt_switch *s, const cmt_node_id *ids,
                                     size_t count, cmt_why *why) {
  cmt_node_id *fresh, *old;
  cmt_err err;

  if (s == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "the switch is NULL");
  }
  err = cmt__unconditional_copy(&s->env, ids, count, &fresh, why);
  if (err != CMT_OK) {
    return err;
  }
  cmt__lock(&s->lock);
  old = s->setup.unconditional;
  s->setup.unconditional = fresh;
  atomic_store(&s->setup.unconditional_count, count);
  cmt__unlock(&s->lock);
  cmt__free(&s->env, old);
  peers_exempt(s, ids, count);
  return CMT_OK;
}
