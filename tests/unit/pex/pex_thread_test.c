/* SPDX-License-Identifier: Apache-2.0 */

/* Peer exchange on real threads: many change its lists and ask it, while peers
   come and go, and while its switch ends; exchanges join one of them meanwhile.
 */

#include "sockets.h"

#include <cometp2p/network.h>
#include <cometp2p/pex.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

enum { THREADS = 4, ROUNDS = 150, GUESTS = 3 };

/* What a program would count in its callbacks. */
typedef struct counted {
  test_watch watch;
  unsigned dialed, sent;
} counted;

typedef struct node {
  cmt_addrbook *book;
  cmt_pex *pex;
  cmt_switch *sw; /* NULL: it has joined another one. */
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  char network[16];
  counted c;
} node;

typedef struct worker {
  node *node;
  unsigned number;
  char lists[3][2 * CMT_NET_ADDR_TEXT_SIZE];
  atomic_uint *rounds; /* All of them add to it. */
  atomic_bool *over;   /* NULL: after ROUNDS. */
} worker;

static void on_dialed(void *arg, const cmt_dial_outcome *o) {
  counted *c = arg;

  (void)o;
  test_bump(&c->watch, &c->dialed);
}

static void on_sent(void *arg, uint8_t channel, cmt_bytes msg) {
  counted *c = arg;

  if (channel == CMT_PEX_CHANNEL && msg.len > 0) {
    test_bump(&c->watch, &c->sent);
  }
}

/* An exchange of |network| without a switch. */
static void node_init(node *n, const char *network) {
  cmt_addrbook_options b;
  cmt_pex_options p;

  *n = (node){.sw = NULL};
  snprintf(n->network, sizeof n->network, "%s", network);
  test_watch_init(&n->c.watch);
  cmt_addrbook_options_init(&b);
  b.allow_unroutable = true;
  assert_cmt(CMT_OK, cmt_addrbook_new(&b, &n->book, NULL));
  cmt_pex_options_init(&p);
  p.book = n->book;
  p.network = n->network;
  p.outbound_max = CMT_PEX_NO_PEERS;
  p.on_dialed = on_dialed;
  p.dialed_arg = &n->c;
  p.on_sent = on_sent;
  p.sent_arg = &n->c;
  assert_cmt(CMT_OK, cmt_pex_new(&p, &n->pex, NULL));
}

static void node_start_in(node *n, const char *network) {
  cmt_switch_options o;
  cmt_reactor r;

  node_init(n, network);
  cmt_pex_get_reactor(n->pex, &r);
  test_switch_options(&o, &r);
  o.network = n->network;
  test_switch_start(&o, &n->sw, n->addr);
}

static void node_start(node *n) { node_start_in(n, "test-net"); }

static void node_fini(node *n) {
  if (n->sw != NULL) {
    assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
  }
  cmt_pex_delete(n->pex);
  cmt_addrbook_delete(n->book);
  test_watch_fini(&n->c.watch);
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
  test_await(&a.c.watch, &a.c.dialed, 1);
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
  a.sw = NULL;
  node_fini(&a);
  node_fini(&b);
}

/* ---- several networks ---- */

typedef struct guest {
  node *host, *node; /* The second joins the first. */
  test_watch *watch;
  unsigned joined;
  atomic_bool *over;
} guest;

/* Announces its network, joins, and asks for what the host's loops change. */
static void *guest_run(void *arg) {
  guest *g = arg;
  cmt_pex_status st;
  cmt_network n;

  cmt_network_init(&n);
  n.name = g->node->network;
  if (cmt_switch_set_network(g->host->sw, &n, NULL) != CMT_OK ||
      cmt_pex_join(g->node->pex, g->host->pex, NULL) != CMT_OK) {
    return g;
  }
  test_bump(g->watch, &g->joined);
  while (!atomic_load(g->over)) {
    cmt_pex_get_status(g->node->pex, &st);
    cmt_pex_get_status(g->host->pex, &st);
    sched_yield();
  }
  return NULL;
}

/* A node of each network dials the host while others join, and is answered by
   the exchange of its network. */
static void exchanges_join_while_peers_come(void **state) {
  static test_watch watch = TEST_WATCH_INITIALIZER;
  node host, guests[GUESTS], visitors[GUESTS];
  guest g[GUESTS];
  pthread_t threads[GUESTS];
  atomic_bool over = false;

  (void)state;
  node_start(&host);
  for (unsigned i = 0; i < GUESTS; i++) {
    char network[16];

    snprintf(network, sizeof network, "net-%u", i);
    node_init(&guests[i], network);
    node_start_in(&visitors[i], network);
    g[i] = (guest){
      .host = &host, .node = &guests[i], .watch = &watch, .over = &over};
  }
  for (unsigned i = 0; i < GUESTS; i++) {
    assert_int_equal(0, pthread_create(&threads[i], NULL, guest_run, &g[i]));
  }
  for (unsigned i = 0; i < GUESTS; i++) {
    test_await(&watch, &g[i].joined, 1);
    assert_cmt(CMT_OK,
               cmt_pex_set_persistent_peers(visitors[i].pex, host.addr, NULL));
  }
  for (unsigned i = 0; i < GUESTS; i++) {
    test_await(&visitors[i].c.watch, &visitors[i].c.dialed, 1);
    test_await(&visitors[i].c.watch, &visitors[i].c.sent, 1);
    test_await(&guests[i].c.watch, &guests[i].c.sent, 1);
  }
  assert_int_equal(0, test_counter(&host.c.watch, &host.c.sent));
  atomic_store(&over, true);
  for (unsigned i = 0; i < GUESTS; i++) {
    void *failed;

    pthread_join(threads[i], &failed);
    assert_null(failed);
    node_fini(&visitors[i]);
  }
  node_fini(&host);
  for (unsigned i = 0; i < GUESTS; i++) {
    node_fini(&guests[i]);
  }
}

/* |pex| joins |host| when another thread is as far. */
typedef struct joining {
  cmt_pex *pex, *host;
  pthread_barrier_t *both;
} joining;

/* NULL: it has joined. */
static void *join_run(void *arg) {
  joining *j = arg;

  pthread_barrier_wait(j->both);
  return cmt_pex_join(j->pex, j->host, NULL) == CMT_OK ? NULL : j;
}

/* How many of two that join at the same time are successful. */
static unsigned join_both(joining *j) {
  pthread_t threads[2];
  pthread_barrier_t both;
  unsigned joined = 0;

  pthread_barrier_init(&both, NULL, 2);
  for (unsigned i = 0; i < 2; i++) {
    j[i].both = &both;
    assert_int_equal(0, pthread_create(&threads[i], NULL, join_run, &j[i]));
  }
  for (unsigned i = 0; i < 2; i++) {
    void *failed;

    pthread_join(threads[i], &failed);
    joined += failed == NULL;
  }
  pthread_barrier_destroy(&both);
  return joined;
}

static void an_exchange_joins_one_other_alone(void **state) {
  (void)state;
  for (unsigned i = 0; i < ROUNDS; i++) {
    node n[3];
    joining to_two[2], each_other[2];

    node_init(&n[0], "net-0");
    node_init(&n[1], "net-1");
    node_init(&n[2], "net-2");
    to_two[0] = (joining){.pex = n[0].pex, .host = n[1].pex};
    to_two[1] = (joining){.pex = n[0].pex, .host = n[2].pex};
    assert_int_equal(1, join_both(to_two));
    each_other[0] = (joining){.pex = n[1].pex, .host = n[2].pex};
    each_other[1] = (joining){.pex = n[2].pex, .host = n[1].pex};
    assert_true(join_both(each_other) <= 1);
    for (unsigned k = 0; k < 3; k++) {
      node_fini(&n[k]);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(many_threads_change_the_lists),
    cmocka_unit_test(so_they_do_while_the_switch_ends),
    cmocka_unit_test(exchanges_join_while_peers_come),
    cmocka_unit_test(an_exchange_joins_one_other_alone),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
