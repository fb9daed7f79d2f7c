/* SPDX-License-Identifier: Apache-2.0 */

/* Lists of unconditional ids on real threads: many change them, and look at
   what they make of the switch, while a peer comes and goes. */

#include "sockets.h"

#include <stdio.h>

enum { THREADS = 4, ROUNDS = 200 };

typedef struct worker {
  cmt_switch *sw;
  cmt_node_id id;
  bool ends; /* It also ends the peers. */
} worker;

static void end_peers(cmt_switch *sw) {
  cmt_peer *p;

  if (cmt_switch_peers(sw, &p, 1) > 0) {
    cmt_peer_stop(p, CMT_ECANCELED, 0);
    cmt_peer_unref(p);
  }
}

static void *list_and_look(void *arg) {
  const worker *w = arg;

  for (int i = 0; i < ROUNDS; i++) {
    cmt_switch_status st;

    if (cmt_switch_set_unconditional(w->sw, &w->id, 1 - (size_t)i % 2, NULL) !=
          CMT_OK ||
        cmt_switch_memory_max(w->sw) == 0) {
      return arg;
    }
    cmt_switch_get_status(w->sw, &st);
    if (st.unconditional_peers > 1) {
      return arg;
    }
    if (w->ends) {
      end_peers(w->sw);
    }
  }
  return NULL;
}

static void start(cmt_switch **sw, char addr[CMT_NET_ADDR_TEXT_SIZE]) {
  static const cmt_reactor reactor = {.name = "test"};
  cmt_switch_options o;

  test_switch_options(&o, &reactor);
  o.inbound_peers_max = 1;
  o.outbound_peers_max = 1;
  o.evict_interval_ns = 1;
  test_switch_start(&o, sw, addr);
}

/* The end of a switch finds all places free, or panics. */
static void many_threads_change_the_list(void **state) {
  char from[CMT_NET_ADDR_TEXT_SIZE], to[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *a, *b;
  worker workers[THREADS];
  pthread_t threads[THREADS];
  cmt_dial_options o;
  cmt_dial *d;

  (void)state;
  start(&a, from);
  start(&b, to);
  cmt_dial_options_init(&o);
  o.persistent = true;
  o.retry_delay_ns = CMT_MILLISECONDS(1);
  o.retry_jitter_ns = CMT_NO_JITTER;
  assert_cmt(CMT_OK, cmt_switch_dial_new(a, to, &o, &d, NULL));
  for (unsigned i = 0; i < THREADS; i++) {
    workers[i] = (worker){.sw = i % 2 == 0 ? a : b, .ends = i < 2};
    cmt_switch_get_id(i % 2 == 0 ? b : a, &workers[i].id);
    assert_int_equal(
      0, pthread_create(&threads[i], NULL, list_and_look, &workers[i]));
  }
  for (unsigned i = 0; i < THREADS; i++) {
    void *failed;

    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  assert_cmt(CMT_OK, cmt_switch_delete(a));
  assert_cmt(CMT_OK, cmt_switch_delete(b));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(many_threads_change_the_list),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
