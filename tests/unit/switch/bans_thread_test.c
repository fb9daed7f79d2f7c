/* SPDX-License-Identifier: Apache-2.0 */

/* Bans on real threads: many change them while a dial comes and goes. */

#include "sockets.h"

#include <stdio.h>

enum { THREADS = 4, ROUNDS = 200 };

typedef struct worker {
  cmt_switch *sw;
  unsigned number;
} worker;

static cmt_err ban(cmt_switch *sw, const char *subject) {
  cmt_ban b;

  cmt_ban_init(&b);
  snprintf(b.subject, sizeof b.subject, "%s", subject);
  return cmt_switch_ban(sw, &b, NULL);
}

static void *ban_and_unban(void *arg) {
  const worker *w = arg;
  char own[CMT_BAN_TEXT_SIZE];
  cmt_ban listed[THREADS + 1];

  snprintf(own, sizeof own, "10.0.0.%u", w->number);
  for (int i = 0; i < ROUNDS; i++) {
    if (ban(w->sw, own) != CMT_OK || ban(w->sw, "127.0.0.0/8") != CMT_OK ||
        cmt_switch_bans(w->sw, listed, THREADS + 1) < 1 ||
        cmt_switch_unban(w->sw, own, NULL) != CMT_OK ||
        cmt_switch_unban(w->sw, "127.0.0.0/8", NULL) != CMT_OK) {
      return arg;
    }
  }
  return NULL;
}

static void start(cmt_switch **sw, char addr[CMT_NET_ADDR_TEXT_SIZE]) {
  static const cmt_reactor reactor = {.name = "test"};
  cmt_switch_options o;

  test_switch_options(&o, &reactor);
  test_switch_start(&o, sw, addr);
}

static void many_threads_ban_and_unban(void **state) {
  char addr[CMT_NET_ADDR_TEXT_SIZE], to[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *a, *b;
  worker workers[THREADS];
  pthread_t threads[THREADS];
  cmt_dial_options o;
  cmt_dial *d;

  (void)state;
  start(&a, addr);
  start(&b, to);
  cmt_dial_options_init(&o);
  o.persistent = true;
  o.retry_delay_ns = CMT_MILLISECONDS(1);
  o.retry_jitter_ns = CMT_NO_JITTER;
  assert_cmt(CMT_OK, cmt_switch_dial_new(a, to, &o, &d, NULL));
  for (unsigned i = 0; i < THREADS; i++) {
    workers[i] = (worker){i % 2 == 0 ? a : b, i};
    assert_int_equal(
      0, pthread_create(&threads[i], NULL, ban_and_unban, &workers[i]));
  }
  for (unsigned i = 0; i < THREADS; i++) {
    void *failed;

    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  assert_int_equal(0, cmt_switch_bans(a, NULL, 0));
  assert_int_equal(0, cmt_switch_bans(b, NULL, 0));
  assert_cmt(CMT_OK, cmt_switch_delete(a));
  assert_cmt(CMT_OK, cmt_switch_delete(b));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(many_threads_ban_and_unban),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
