/* SPDX-License-Identifier: Apache-2.0 */

/* When whoever waits for a mailbox is woken.  This program counts the signals
   that the library gives. */

#include "mailbox_user.h"

#include <dlfcn.h>

/* ---- what the library calls ---- */

static atomic_uint signals;
static atomic_bool locked; /* The last was given under a lock. */

int pthread_cond_signal(pthread_cond_t *cond) {
  int (*signal)(pthread_cond_t *) =
    (int (*)(pthread_cond_t *))dlsym(RTLD_NEXT, "pthread_cond_signal");

  atomic_fetch_add(&signals, 1);
  atomic_store(&locked, cmt__locks_held > 0);
  return signal(cond);
}

/* ---- the tests ---- */

static void *wait_for_one(void *arg) {
  fixture *f = arg;
  cmt_mailbox_event ev;

  assert_cmt(CMT_OK, cmt_mailbox_next(f->mailbox, &ev, CMT_NEVER));
  cmt_mailbox_done(f->mailbox, &ev);
  return NULL;
}

/* Returns when the thread waits. */
static pthread_t waiter_start(fixture *f) {
  bool waits = false;
  pthread_t t;

  assert_int_equal(0, pthread_create(&t, NULL, wait_for_one, f));
  while (!waits) {
    cmt__lock(&f->mailbox->lock);
    waits = f->mailbox->idle > 0;
    cmt__unlock(&f->mailbox->lock);
  }
  atomic_store(&signals, 0);
  return t;
}

static void a_burst_of_messages_is_one_wake_up(void **state) {
  fixture *f = *state;
  pthread_t t;

  start(f, 0);
  t = waiter_start(f);
  for (uint8_t k = 0; k < 4; k++) {
    assert_cmt(CMT_OK, put(f, 0, A, k));
  }
  assert_int_equal(0, atomic_load(&signals));
  cmt__mailbox_flush(f->inboxes[0]);
  assert_int_equal(1, atomic_load(&signals));
  assert_false(atomic_load(&locked)); /* Who is woken need not wait for it. */
  pthread_join(t, NULL);
}

static void nobody_waits_and_nothing_came(void **state) {
  fixture *f = *state;
  pthread_t t;

  start(f, 0);
  atomic_store(&signals, 0);
  assert_cmt(CMT_OK, put(f, 0, A, 1));
  cmt__mailbox_flush(f->inboxes[0]); /* Nobody waits. */
  assert_string_equal("0 10 1", take(f));
  t = waiter_start(f);
  cmt__mailbox_flush(f->inboxes[0]); /* Nothing came. */
  assert_int_equal(0, atomic_load(&signals));
  cmt__mailbox_peer_up(f->inboxes[0]);
  assert_int_equal(1, atomic_load(&signals));
  pthread_join(t, NULL);
}

/* The end of a peer wakes whoever waits, also for messages before it. */
static void the_end_of_a_peer_needs_no_flush(void **state) {
  fixture *f = *state;
  pthread_t t;

  start(f, 0);
  t = waiter_start(f);
  assert_cmt(CMT_OK, put(f, 0, A, 1));
  cmt__mailbox_peer_gone(f->inboxes[0], CMT_EEOF);
  pthread_join(t, NULL);
  assert_string_equal("0 gone CMT_EEOF", take(f));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_burst_of_messages_is_one_wake_up),
    TEST(nobody_waits_and_nothing_came),
    TEST(the_end_of_a_peer_needs_no_flush),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
