/* SPDX-License-Identifier: Apache-2.0 */

/* What it costs to admit one more peer and to lose one does not grow with the
   peers that are there: the comparisons of node ids are counted. */

#include "node.h"

#include <stdlib.h>

enum {
  FEW = 8,
  MANY = 64,
  /* A look-up among eight times as many peers takes three comparisons more, and
     an admission and an end are a handful of them. */
  MORE_MAX = 3 * 12,
};

static size_t compared;

int __real_cmt__node_id_compare(const cmt_node_id *a, const cmt_node_id *b);
int __wrap_cmt__node_id_compare(const cmt_node_id *a, const cmt_node_id *b);
int __wrap_cmt__node_id_compare(const cmt_node_id *a, const cmt_node_id *b) {
  compared++;
  return __real_cmt__node_id_compare(a, b);
}

bool __real_cmt_node_id_equal(const cmt_node_id *a, const cmt_node_id *b);
bool __wrap_cmt_node_id_equal(const cmt_node_id *a, const cmt_node_id *b);
bool __wrap_cmt_node_id_equal(const cmt_node_id *a, const cmt_node_id *b) {
  compared++;
  return __real_cmt_node_id_equal(a, b);
}

typedef struct fixture {
  test_world w;
  test_node hub, peers[MANY];
  size_t count;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->w);
  test_node_init(&f->hub, &f->w);
  f->hub.quiet = true;
  f->hub.options.inbound_peers_max = MANY;
  test_node_start(&f->hub);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  for (size_t i = 0; i < f->count; i++) {
    test_node_fini(&f->peers[i]);
  }
  test_node_fini(&f->hub);
  test_world_fini(&f->w);
  free(f);
  return 0;
}

static size_t peers_of(fixture *f) {
  return cmt_switch_peers(f->hub.sw, NULL, 0);
}

/* One more peer comes. */
static void join(fixture *f) {
  test_node *n = &f->peers[f->count++];

  test_node_init(n, &f->w);
  n->quiet = true;
  n->options.laddr = NULL;
  assert_cmt(CMT_OK, test_node_new(n, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(n->sw, NULL));
  test_node_dial(n, f->hub.addr, 0);
  assert_int_equal(peers_of(f), f->count);
  test_node_log(&f->hub);
}

/* Comparisons while the last of |count| peers comes, and goes again. */
static size_t cost_of(fixture *f, size_t count) {
  while (f->count < count - 1) {
    join(f);
  }
  compared = 0;
  join(f);
  test_node_fini(&f->peers[--f->count]);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(peers_of(f), f->count);
  test_node_log(&f->hub);
  return compared;
}

static void admission_does_not_grow_with_the_peers(void **state) {
  fixture *f = *state;
  size_t few = cost_of(f, FEW), many = cost_of(f, MANY);

  print_message("# %zu comparisons with %d peers, %zu with %d\n", few, FEW,
                many, MANY);
  assert_true(few > 0);
  assert_in_range(many, 1, few + MORE_MAX);
}

static void every_peer_is_found_by_its_id(void **state) {
  fixture *f = *state;
  cmt_peer *all[FEW];
  cmt_node_id id = {.text = "0000000000000000000000000000000000000000"};

  while (f->count < FEW) {
    join(f);
  }
  assert_int_equal(cmt_switch_peers(f->hub.sw, all, FEW), FEW);
  for (size_t i = 0; i < FEW; i++) {
    cmt_peer *p = cmt_switch_peer(f->hub.sw, cmt_peer_id(all[i]));
    cmt_node_id capitals = *cmt_peer_id(all[i]);

    assert_ptr_equal(p, all[i]);
    cmt_peer_unref(p);
    for (char *c = capitals.text; *c != '\0'; c++) {
      *c = (char)(*c >= 'a' ? *c - 'a' + 'A' : *c);
    }
    p = cmt_switch_peer(f->hub.sw, &capitals);
    assert_ptr_equal(p, all[i]);
    cmt_peer_unref(p);
    cmt_peer_unref(all[i]);
  }
  assert_null(cmt_switch_peer(f->hub.sw, &id));
  memset(id.text, 'f', sizeof id.text - 1);
  assert_null(cmt_switch_peer(f->hub.sw, &id));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(admission_does_not_grow_with_the_peers,
                                    setup, teardown),
    cmocka_unit_test_setup_teardown(every_peer_is_found_by_its_id, setup,
                                    teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
