/* SPDX-License-Identifier: Apache-2.0 */
#include "secret_pool.h"

size_t cmt__secret_pool_memory(size_t streams, size_t handshakes) {
  return cmt__key_slab_memory(sizeof(cmt__secret_keys), streams) +
         cmt__key_slab_memory(sizeof(cmt__secret_work), handshakes);
}

void cmt__secret_pool_bytes(cmt__secret_pool *p, uint64_t *locked,
                            uint64_t *unlocked) {
  *locked = 0;
  *unlocked = 0;
  cmt__key_slab_count(&p->keys, locked, unlocked);
  cmt__key_slab_count(&p->works, locked, unlocked);
}

cmt__secret_pool *cmt__secret_pool_new(const cmt_env *env, size_t size) {
  cmt__secret_pool *p = cmt__alloc_zero(env, size);

  if (p != NULL) {
    cmt__key_slab_init(&p->keys, env, sizeof(cmt__secret_keys));
    cmt__key_slab_init(&p->works, env, sizeof(cmt__secret_work));
    atomic_init(&p->refs, 1);
    p->env = *env;
  }
  return p;
}

void cmt__secret_pool_share(cmt__secret_pool *p, const cmt__guard *guard) {
  p->keys.guard = *guard;
  p->works.guard = *guard;
}

cmt__secret_pool *cmt__secret_pool_ref(cmt__secret_pool *p) {
  unsigned refs = atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);

  CMT_ASSERT(&p->env, refs > 0 && refs < UINT32_MAX / 2);
  return p;
}

void cmt__secret_pool_unref(cmt__secret_pool *p) {
  unsigned refs;

  if (p == NULL) {
    return;
  }
  refs = atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel);
  CMT_ASSERT(&p->env, refs > 0);
  if (refs == 1) {
    cmt_env env = p->env;

    cmt__key_slab_fini(&p->keys, &env);
    cmt__key_slab_fini(&p->works, &env);
    cmt__free(&env, p);
  }
}
