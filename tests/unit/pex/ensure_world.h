/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_ENSURE_WORLD_H
#define CMT_TEST_ENSURE_WORLD_H

/* The decisions of peer exchange and a book, on instants of a test. */

#include "test.h"

#include <stdlib.h>

#include "pex/ensure.h"

#define UTC CMT_SECONDS(1800000000)

typedef struct ensure_world {
  test_env env;
  cmt_addrbook *book;
  cmt__ensure_options o;
  cmt__ensure e;
  uint64_t now_ns;
  unsigned serial; /* How many nodes were made. */
} ensure_world;

static inline cmt__pex_time now(const ensure_world *w) {
  return (cmt__pex_time){w->now_ns, UTC + w->now_ns};
}

/* |o| and |now_ns| may be changed until ensure_world_begin(). */
static inline void ensure_world_init(ensure_world *w, bool seed,
                                     bool allow_unroutable) {
  cmt_addrbook_options b;

  memset(w, 0, sizeof *w);
  test_env_init(&w->env);
  cmt_addrbook_options_init(&b);
  b.env = &w->env.env;
  b.allow_unroutable = allow_unroutable;
  assert_cmt(CMT_OK, cmt_addrbook_new(&b, &w->book, NULL));
  w->o = (cmt__ensure_options){.env = &w->env.env,
                               .book = w->book,
                               .outbound_max = 10,
                               .dials_max = 16,
                               .asks_max = 3,
                               .period_ns = CMT_SECONDS(30),
                               .feeler_ns = CMT_NEVER,
                               .rotate_ns = seed ? CMT_NEVER : 0,
                               .seed = seed};
}

static inline void ensure_world_begin(ensure_world *w) {
  cmt__ensure_init(&w->e, &w->o, now(w));
}

static inline void ensure_world_fini(ensure_world *w) {
  cmt__ensure_fini(&w->e);
  cmt_addrbook_delete(w->book);
  test_env_fini(&w->env);
}

#endif
