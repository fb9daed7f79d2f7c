/* SPDX-License-Identifier: Apache-2.0 */

/* Filters on real threads: other threads answer while connections end. */

#include "sockets.h"

#include <stdio.h>

enum { THREADS = 3, ROUNDS = 40, DESK = 64 };

/* The questions, which every thread answers as often as it finds them. */
typedef struct desk {
  pthread_mutex_t lock;
  cmt_admission requests[DESK];
  size_t count;
  bool over;
} desk;

static cmt_verdict ask(void *arg, const cmt_newcomer *who,
                       const cmt_admission *request) {
  desk *d = arg;

  (void)who;
  pthread_mutex_lock(&d->lock);
  d->requests[d->count++ % DESK] = *request;
  pthread_mutex_unlock(&d->lock);
  return CMT_LATER;
}

static bool take(desk *d, size_t i, cmt_admission *out) {
  bool over;

  pthread_mutex_lock(&d->lock);
  *out = d->requests[i % DESK];
  over = d->over;
  pthread_mutex_unlock(&d->lock);
  return !over;
}

static void *answer(void *arg) {
  cmt_admission request;

  for (size_t i = 0; take(arg, i, &request); i++) {
    if (request.sw != NULL) {
      (void)cmt_admission_answer(&request, i % 3 == 0 ? CMT_REFUSE : CMT_ADMIT);
    }
  }
  return NULL;
}

static void start(desk *d, cmt_switch **sw, char addr[CMT_NET_ADDR_TEXT_SIZE]) {
  static const cmt_reactor reactor = {.name = "test"};
  cmt_switch_options o;

  test_switch_options(&o, &reactor);
  o.filter_addr = d != NULL ? ask : NULL;
  o.filter_peer = o.filter_addr;
  o.filter_arg = d;
  test_switch_start(&o, sw, addr);
}

static void many_threads_answer_what_may_have_ended(void **state) {
  char addr[CMT_NET_ADDR_TEXT_SIZE], to[CMT_NET_ADDR_TEXT_SIZE];
  desk d = {.count = 0};
  cmt_switch *a, *b;
  pthread_t threads[THREADS];
  cmt_dial_options o;
  cmt_dial *dial;

  (void)state;
  pthread_mutex_init(&d.lock, NULL);
  start(NULL, &a, addr);
  start(&d, &b, to);
  for (size_t i = 0; i < THREADS; i++) {
    assert_int_equal(0, pthread_create(&threads[i], NULL, answer, &d));
  }
  cmt_dial_options_init(&o);
  for (size_t i = 0; i < ROUNDS; i++) {
    cmt_dial_status st = {.state = CMT_DIAL_QUEUED};

    assert_cmt(CMT_OK, cmt_switch_dial_new(a, to, &o, &dial, NULL));
    for (size_t n = 0; n < i * 100 && st.state != CMT_DIAL_ENDED; n++) {
      cmt_dial_get_status(dial, &st);
    }
    cmt_dial_cancel(dial);
  }
  cmt_switch_stop(b, 0);
  pthread_mutex_lock(&d.lock);
  d.over = true;
  pthread_mutex_unlock(&d.lock);
  for (size_t i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
  assert_cmt(CMT_OK, cmt_switch_delete(b));
  assert_cmt(CMT_OK, cmt_switch_delete(a));
  pthread_mutex_destroy(&d.lock);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(many_threads_answer_what_may_have_ended),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
