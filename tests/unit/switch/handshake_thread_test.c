/* SPDX-License-Identifier: Apache-2.0 */

/* Handshakes whose public-key operations run on threads beside the loop, or on
   the other loops, over real sockets; ThreadSanitizer looks for races. */

#include "sockets.h"

#include <stdio.h>
#include <stdlib.h>

enum { DIALERS = 8, THREADS = 3 };

typedef struct node {
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  test_watch watch;
  /* Under the lock: */
  unsigned added, removed;
} node;

static void on_add(void *self, cmt_peer *p) {
  node *n = self;

  (void)p;
  test_bump(&n->watch, &n->added);
}

static void on_remove(void *self, cmt_peer *p, cmt_err reason) {
  node *n = self;

  (void)p;
  (void)reason;
  test_bump(&n->watch, &n->removed);
}

static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  (void)self;
  (void)p;
  (void)channel;
  (void)msg;
  return CMT_OK;
}

static void node_start(node *n) {
  static const cmt_channel channel = {.id = 1, .priority = 1};
  const cmt_reactor reactor = {.name = "test",
                               .channels = &channel,
                               .channel_count = 1,
                               .self = n,
                               .add_peer = on_add,
                               .receive = on_receive,
                               .remove_peer = on_remove};
  cmt_switch_options o;

  memset(n, 0, sizeof *n);
  test_watch_init(&n->watch);
  test_switch_options(&o, &reactor);
  o.handshake_threads = o.loops > 1 ? 0 : THREADS;
  o.handshake_offload_rate = 1;
  test_switch_start(&o, &n->sw, n->addr);
}

static void node_end(node *n) {
  assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
  assert_int_equal(n->added, n->removed);
  test_watch_fini(&n->watch);
}

static void all_become_peers(void **state) {
  node hub, dialers[DIALERS];

  (void)state;
  node_start(&hub);
  for (size_t i = 0; i < DIALERS; i++) {
    node_start(&dialers[i]);
    assert_cmt(CMT_OK, cmt_switch_dial(dialers[i].sw, hub.addr, 0, NULL));
  }
  test_await(&hub.watch, &hub.added, DIALERS);
  for (size_t i = 0; i < DIALERS; i++) {
    test_await(&dialers[i].watch, &dialers[i].added, 1);
    node_end(&dialers[i]);
  }
  node_end(&hub);
}

/* Wherever their handshakes are. */
static void a_node_may_go_while_others_come(void **state) {
  node hub, dialers[DIALERS];

  (void)state;
  for (size_t i = 0; i < DIALERS; i++) {
    node_start(&dialers[i]);
  }
  for (unsigned after = 0; after < DIALERS; after++) {
    node_start(&hub);
    for (size_t i = 0; i < DIALERS; i++) {
      assert_cmt(CMT_OK, cmt_switch_dial(dialers[i].sw, hub.addr, 0, NULL));
    }
    test_watch_lock(&hub.watch);
    while (hub.added < after) {
      pthread_cond_wait(&hub.watch.cond, &hub.watch.lock);
    }
    test_watch_unlock(&hub.watch);
    node_end(&hub);
  }
  for (size_t i = 0; i < DIALERS; i++) {
    node_end(&dialers[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(all_become_peers),
    cmocka_unit_test(a_node_may_go_while_others_come),
  };

  return cmocka_run_group_tests_name("handshake_thread", tests, NULL, NULL);
}
