/* SPDX-License-Identifier: Apache-2.0 */
/* What connections have in common.  A switch makes one for all of them; a
   connection or a multiplexer that is made alone has its own. */

#include "shared.h"

#include "channel.h"

static size_t shared_size(size_t count) {
  return sizeof(cmt__shared) + count * sizeof(cmt_channel);
}

size_t cmt__shared_memory(size_t count, size_t connections, size_t handshakes) {
  return shared_size(count) + cmt__secret_pool_memory(connections, handshakes);
}

cmt_err cmt__shared_new(const cmt_env *env, const cmt_channel *list,
                        size_t count, cmt__shared **out, cmt_why *why) {
  cmt_env copy;
  cmt_err err = cmt__env_copy(env, &copy);
  cmt__shared *s;

  if (err != CMT_OK) {
    return cmt__why(why, err, CMT_STAGE_TRANSPORT, "env: %s",
                    cmt_err_text(err));
  }
  err = cmt__channels_check(list, count, why);
  if (err != CMT_OK) {
    return err;
  }
  s = (cmt__shared *)cmt__secret_pool_new(&copy, shared_size(count));
  if (s == NULL) {
    return cmt__why(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT, "%s",
                    cmt_err_text(CMT_ENOMEM));
  }
  s->count = count;
  memset(s->index, CMT_CHANNELS_MAX, sizeof s->index);
  for (size_t i = 0; i < count; i++) {
    s->list[i] = cmt__channel_defaults(&list[i]);
    s->list[i].name = NULL; /* Of the caller, for the caller. */
    s->index[list[i].id] = (uint8_t)i;
  }
  *out = s;
  return CMT_OK;
}

cmt__shared *cmt__shared_ref(cmt__shared *s) {
  (void)cmt__secret_pool_ref(&s->pool);
  return s;
}

void cmt__shared_unref(cmt__shared *s) {
  cmt__secret_pool_unref((cmt__secret_pool *)s);
}
