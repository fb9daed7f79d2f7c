/* SPDX-License-Identifier: Apache-2.0 */

/* Peer exchange on real threads: many change its lists and ask it, while peers
   come and go, and while its switch ends. */

#include "sockets.h"

#include <cometp2p/pex.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

enum { THREADS = 4, ROUNDS = 150 };

typedef struct node {
  cmt_addrbook *book;
  cmt_pex *pex;
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
} node;

typedef struct worker {
  node *node;
  unsigned number;
  char lists[3][2 * CMT_NET_ADDR_TEXT_SIZE];
  atomic_uint *rounds; /* All of them add to it. */
  atomic_bool *over;   /* NULL: after ROUNDS. */
} worker;

static void node_start(node *n) {
  cmt_addrbook_options b;
  cmt_switch_options o;
  cmt_pex_options p;
  cmt_reactor r;

  cmt_addrbook_options_init(&b);
  b.allow_unroutable = true;
  assert_cmt(CMT_OK, cmt_addrbook_new(&b, &n->book, NULL));
  cmt_pex_options_init(&p);
  p.book = n->book;
  p.outbound_max = CMT_PEX_NO_PEERS;
  assert_cmt(CMT_OK, cmt_pex_new(&p, &n->pex, NULL));
  cmt_pex_get_reactor(n->pex, &r);
  test_switch_options(&o, &r);
  test_switch_start(&o, &n->sw, n->addr);
}

static void node_fini(node *n) {
  assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
  cmt_pex_delete(n->pex);
  cmt_addrbook_delete(n->book);
}

/* What any thread may do. */
static cmt_err round_of(worker *w, unsigned i) {
  const char *list = w->lists[(i + w->number) % 3];
  cmt_net_addr anchors[CMT_PEX_ANCHORS_MAX];
  cmt_node_id hidden = {"00000000000000000000000000000000000000aa"};
  cmt_pex *p = w->node->pex;
  cmt_addrbook_snapshot *s;
  cmt_pex_status st;
  cmt_err err = cmt_pex_set_persistent_peers(p, list, NULL);

  if (err == CMT_OK) {
    err = cmt_pex_set_seeds(p, list, NULL);
  }
  if (err == CMT_OK) {
    err = cmt_pex_set_private(p, &hidden, i % 2);
  }
  if (err == CMT_OK) {
    err = cmt_pex_snapshot_new(p, &s);
  }
  if (err == CMT_OK) {
    cmt_addrbook_snapshot_delete(s);
    cmt_pex_get_status(p, &st);
    (void)cmt_pex_anchors(p, anchors, CMT_PEX_ANCHORS_MAX);
  }
  return err;
}

static void *work(void *arg) {
  worker *w = arg;

  for (unsigned i = 0; w->over != NULL ? !atomic_load(w->over) : i < ROUNDS;
       i++) {
    if (round_of(w, i) != CMT_OK) {
      return w;
    }
    atomic_fetch_add(w->rounds, 1);
  }
  return NULL;
}

/* The lists: |to|, somebody else at its port, and both. */
static void begin(worker *w, pthread_t *threads, node *n, const char *to) {
  for (unsigned i = 0; i < THREADS; i++) {
    w[i].node = n;
    w[i].number = i;
    snprintf(w[i].lists[0], sizeof w[i].lists[0], "%s", to);
    snprintf(w[i].lists[1], sizeof w[i].lists[1], "%040u%s", i, to + 40);
    snprintf(w[i].lists[2], sizeof w[i].lists[2], "%s,%s", w[i].lists[1], to);
    assert_int_equal(0, pthread_create(&threads[i], NULL, work, &w[i]));
  }
}

static void join(pthread_t *threads) {
  for (unsigned i = 0; i < THREADS; i++) {
    void *failed;

    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
}

static void many_threads_change_the_lists(void **state) {
  worker workers[THREADS] = {{0}};
  pthread_t threads[THREADS];
  atomic_uint rounds = 0;
  cmt_dial_status st = {.size = sizeof st};
  node a, b;

  (void)state;
  node_start(&a);
  node_start(&b);
  for (unsigned i = 0; i < THREADS; i++) {
    workers[i].rounds = &rounds;
  }
  begin(workers, threads, &a, b.addr);
  join(threads);
  assert_int_equal(THREADS * ROUNDS, rounds);
  /* No dial of an earlier list is left. */
  assert_cmt(CMT_OK, cmt_pex_set_persistent_peers(a.pex, b.addr, NULL));
  assert_int_equal(1, cmt_switch_dials(a.sw, &st, 1));
  assert_string_equal(b.addr, st.addr);
  assert_cmt(CMT_OK, cmt_pex_set_persistent_peers(a.pex, "", NULL));
  assert_int_equal(0, cmt_switch_dials(a.sw, NULL, 0));
  node_fini(&a);
  node_fini(&b);
}

static void so_they_do_while_the_switch_ends(void **state) {
  worker workers[THREADS] = {{0}};
  pthread_t threads[THREADS];
  atomic_uint rounds = 0;
  atomic_bool over = false;
  unsigned before;
  node a, b;

  (void)state;
  node_start(&a);
  node_start(&b);
  for (unsigned i = 0; i < THREADS; i++) {
    workers[i].rounds = &rounds;
    workers[i].over = &over;
  }
  begin(workers, threads, &a, b.addr);
  while (atomic_load(&rounds) < THREADS) {
    sched_yield();
  }
  assert_cmt(CMT_OK, cmt_switch_delete(a.sw));
  before = atomic_load(&rounds);
  while (atomic_load(&rounds) < before + 2 * THREADS) {
    sched_yield();
  }
  atomic_store(&over, true);
  join(threads);
  cmt_pex_delete(a.pex);
  cmt_addrbook_delete(a.book);
  node_fini(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(many_threads_change_the_lists),
    cmocka_unit_test(so_they_do_while_the_switch_ends),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
