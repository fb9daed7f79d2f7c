/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_DIAL_FIXTURE_H
#define CMT_TEST_DIAL_FIXTURE_H

/* Two nodes, and a dial of A with its outcomes. */

#include "node.h"

#include <stdio.h>

enum { OUTCOMES_MAX = 64 };

#define OTHER_TAIL "0112233445566778899aabbccddeeff00112233"
#define OTHER "0" OTHER_TAIL

typedef struct fixture {
  test_world w;
  test_node a, b;
  cmt_node_key *key; /* The key of B, whatever becomes of B. */
  cmt_node_id id;
  char at[CMT_NET_ADDR_TEXT_SIZE];
  cmt_dial_options o;
  cmt_dial *dial;
  bool owned;
  /* What on_outcome was called with. */
  size_t count;
  cmt_err errs[OUTCOMES_MAX];
  uint64_t at_ns[OUTCOMES_MAX];
  cmt_dial_outcome last;
  cmt_node_id found;
  char remote[CMT_NET_ADDR_TEXT_SIZE];
  size_t log_len;       /* Length of A's log inside of the last one. */
  cmt_dial **to_cancel; /* Inside of the next one; or NULL. */
} fixture;

static uint64_t now_of(const fixture *f) {
  return cmt__loop_now(test_loop_base(f->w.loop));
}

static void on_outcome(void *arg, cmt_dial *dial, const cmt_dial_outcome *o) {
  fixture *f = arg;

  assert_true(f->owned == (dial != NULL));
  assert_true(f->count < OUTCOMES_MAX);
  assert_int_equal(sizeof *o, o->size);
  f->errs[f->count] = o->why.err;
  f->at_ns[f->count++] = now_of(f);
  f->last = *o;
  f->found = o->id != NULL ? *o->id : (cmt_node_id){.text = ""};
  snprintf(f->remote, sizeof f->remote, "%s", o->remote);
  f->log_len = f->a.log_len;
  if (f->to_cancel != NULL) {
    cmt_dial_cancel(*f->to_cancel);
    *f->to_cancel = NULL;
    f->to_cancel = NULL;
  }
}

static int setup_loops(void **state, unsigned loops) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init_loops(&f->w, loops);
  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &f->key));
  cmt_node_key_get_id(f->key, &f->id);
  test_node_init(&f->a, &f->w);
  test_node_init(&f->b, &f->w);
  snprintf(f->at, sizeof f->at, "%s@10.0.0.2:26656", f->id.text);
  f->b.options.key = f->key;
  f->b.options.laddr = "10.0.0.2:26656";
  cmt_dial_options_init(&f->o);
  f->o.on_outcome = on_outcome;
  f->o.arg = f;
  f->o.persistent = true;
  f->owned = true;
  f->o.retry_jitter_ns = CMT_NO_JITTER;
  *state = f;
  return 0;
}

static inline int setup(void **state) {
  return setup_loops(state, test_loops());
}

static int teardown(void **state) {
  fixture *f = *state;

  if (f->a.sw != NULL) {
    test_node_fini(&f->a);
  }
  if (f->b.sw != NULL) {
    test_node_fini(&f->b);
  }
  cmt_node_key_delete(f->key);
  test_world_fini(&f->w);
  free(f);
  return 0;
}

static void dial(fixture *f) {
  assert_cmt(CMT_OK,
             cmt_switch_dial_new(f->a.sw, f->at, &f->o, &f->dial, NULL));
  test_loop_run_until_idle(f->w.loop);
}

static inline cmt_dial_status status_of(const fixture *f) {
  cmt_dial_status st;

  cmt_dial_get_status(f->dial, &st);
  return st;
}

#endif
