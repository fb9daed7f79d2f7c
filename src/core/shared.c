/* SPDX-License-Identifier: Apache-2.0 */
/* What connections have in common.  A switch makes one for all of them; a
   connection or a multiplexer that is made alone has its own. */

#include "shared.h"

#include "channel.h"
#include "secret_conn.h"

static size_t shared_size(size_t count) {
  return sizeof(cmt__shared) + count * sizeof(cmt_channel);
}

size_t cmt__shared_memory(size_t count, size_t connections, size_t handshakes) {
  return shared_size(count) +
         cmt__key_slab_memory(sizeof(cmt__secret_keys), connections) +
         cmt__key_slab_memory(sizeof(cmt__secret_work), handshakes);
}

void cmt__shared_key_bytes(cmt__shared *s, uint64_t *locked,
                           uint64_t *unlocked) {
  *locked = 0;
  *unlocked = 0;
  cmt__key_slab_count(&s->keys, locked, unlocked);
  cmt__key_slab_count(&s->works, locked, unlocked);
}

static bool slabs_init(cmt__shared *s, const cmt_env *env) {
  if (!cmt__key_slab_init(&s->keys, env, sizeof(cmt__secret_keys))) {
    return false;
  }
  if (!cmt__key_slab_init(&s->works, env, sizeof(cmt__secret_work))) {
    cmt__key_slab_fini(&s->keys, env);
    return false;
  }
  return true;
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
  s = cmt__alloc_zero(&copy, shared_size(count));
  if (s != NULL && !slabs_init(s, &copy)) {
    cmt__free(&copy, s);
    s = NULL;
  }
  if (s == NULL) {
    return cmt__why(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT, "%s",
                    cmt_err_text(CMT_ENOMEM));
  }
  atomic_init(&s->refs, 1);
  s->env = copy;
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
  unsigned refs = atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);

  CMT_ASSERT(&s->env, refs > 0 && refs < UINT32_MAX / 2);
  return s;
}

void cmt__shared_unref(cmt__shared *s) {
  unsigned refs;

  if (s == NULL) {
    return;
  }
  refs = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel);
  CMT_ASSERT(&s->env, refs > 0);
  if (refs == 1) {
    cmt_env env = s->env;

    cmt__key_slab_fini(&s->keys, &env);
    cmt__key_slab_fini(&s->works, &env);
    cmt__free(&env, s);
  }
}
