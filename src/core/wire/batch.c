/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include <cometp2p/secret_conn.h>

cmt__batch cmt__batch_frames(const cmt_env *env, uint8_t *base, size_t slots) {
  return (cmt__batch){.at = base + CMT_FRAME_HEADER,
                      .left = CMT_FRAME_DATA,
                      .segment = CMT_FRAME_DATA,
                      .gap = CMT_FRAME_SLOT - CMT_FRAME_DATA,
                      .cap = slots * CMT_FRAME_DATA,
                      .env = env};
}

cmt__batch cmt__batch_plain(const cmt_env *env, uint8_t *base, size_t cap) {
  return (cmt__batch){
    .at = base, .left = cap, .segment = cap, .cap = cap, .env = env};
}

void cmt__batch_write(cmt__batch *r, const uint8_t *data, size_t len) {
  CMT_ASSERT(r->env, len <= cmt__batch_room(r));
  r->len += len;
  while (len > 0) {
    size_t n;

    if (r->left == 0) {
      r->at += r->gap;
      r->left = r->segment;
    }
    n = cmt__min(len, r->left);
    memcpy(r->at, data, n);
    r->at += n;
    r->left -= n;
    data += n;
    len -= n;
  }
}
