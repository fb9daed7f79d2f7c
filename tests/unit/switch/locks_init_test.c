/* SPDX-License-Identifier: Apache-2.0 */

/* The system may have no memory for one more lock or condition: each of them
   fails once, at the making of a switch and of its peers, and whatever was made
   before goes again. */

#include "node.h"

#include <cometp2p/pex.h>
#include <cometp2p/uv.h>

#include <errno.h>

/* The linker puts these in the place of the C library's, for all but that. */
int __real_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a);
int __real_pthread_mutex_destroy(pthread_mutex_t *m);
int __real_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *a);
int __real_pthread_cond_destroy(pthread_cond_t *c);
int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *m);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *a);
int __wrap_pthread_cond_destroy(pthread_cond_t *c);

static atomic_size_t made, live;
static size_t fail_at = SIZE_MAX;

/* False: this one fails. */
static bool make(void) {
  bool fine = atomic_fetch_add(&made, 1) != fail_at;

  live += fine;
  return fine;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *m,
                              const pthread_mutexattr_t *a) {
  return make() ? __real_pthread_mutex_init(m, a) : ENOMEM;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *m) {
  live--;
  return __real_pthread_mutex_destroy(m);
}

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *a) {
  return make() ? __real_pthread_cond_init(c, a) : ENOMEM;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *c) {
  live--;
  return __real_pthread_cond_destroy(c);
}

/* The next but |n| fails. */
static void fail_after(size_t n) { fail_at = made + n; }

/* True: one has failed. */
static bool failed(void) {
  bool any = made > fail_at;

  fail_at = SIZE_MAX;
  return any;
}

/* ---- what is made ---- */

static cmt_err make_switch(test_trio *t, cmt_why *why) {
  return test_node_new(&t->a, why);
}

static cmt_err make_with_threads(test_trio *t, cmt_why *why) {
  cmt_switch_options o = t->a.options;
  cmt_reactor r = {.name = "chat", .delivery = CMT_DELIVER_WORKERS};

  o.reactors = &r;
  o.reactor_count = 1;
  return cmt_switch_new(&o, &t->a.sw, why);
}

static void each_lock_of_a_switch_may_fail(void **state) {
  cmt_err (*const makes[])(test_trio * t, cmt_why * why) = {make_switch,
                                                            make_with_threads};

  (void)state;
  for (size_t k = 0; k < CMT__COUNT(makes); k++) {
    size_t count = 0;
    bool any = true;

    for (size_t n = 0; any; n++) {
      test_trio *t;
      size_t before;
      cmt_why why;
      cmt_err err;

      test_trio_setup((void **)&t);
      before = live;
      t->a.parts[0].delivery = CMT_DELIVER_MAILBOX;
      fail_after(n);
      err = makes[k](t, &why);
      any = failed();
      count += any;
      assert_cmt(any ? CMT_ENOMEM : CMT_OK, err);
      assert_cmt(err, why.err);
      assert_cmt(CMT_OK, cmt_switch_delete(t->a.sw));
      t->a.sw = NULL;
      assert_int_equal(before, live);
      test_trio_teardown((void **)&t);
    }
    assert_true(count >= 10);
  }
}

/* A peer for which there is none is refused on both sides. */
static void each_lock_of_a_peer_may_fail(void **state) {
  size_t count = 0;
  bool any = true;

  (void)state;
  for (size_t n = 0; any; n++) {
    test_trio *t;
    size_t before;

    test_trio_setup((void **)&t);
    before = live;
    test_node_start(&t->a);
    test_node_start(&t->b);
    fail_after(n);
    test_node_dial(&t->a, t->b.addr, 0);
    any = failed();
    count += any;
    if (any) {
      assert_int_equal(0, cmt_switch_peers(t->a.sw, NULL, 0));
      assert_int_equal(0, cmt_switch_peers(t->b.sw, NULL, 0));
      assert_true(t->a.why.err == CMT_ENOMEM || t->b.why.err == CMT_ENOMEM);
    } else {
      (void)test_node_peer(&t->a);
    }
    test_node_fini(&t->a);
    test_node_fini(&t->b);
    assert_int_equal(before, live);
    test_trio_teardown((void **)&t);
  }
  assert_true(count >= 2);
}

static void each_lock_of_peer_exchange_may_fail(void **state) {
  size_t before, count = 0;
  cmt_addrbook *book;
  cmt_pex_options o;
  bool any = true;

  (void)state;
  assert_cmt(CMT_OK, cmt_addrbook_new(NULL, &book, NULL));
  cmt_pex_options_init(&o);
  o.book = book;
  before = live;
  for (size_t n = 0; any; n++) {
    cmt_pex *p;
    cmt_err err;

    fail_after(n);
    err = cmt_pex_new(&o, &p, NULL);
    any = failed();
    count += any;
    assert_cmt(any ? CMT_ENOMEM : CMT_OK, err);
    cmt_pex_delete(p);
    assert_int_equal(before, live);
  }
  assert_int_equal(2, count);
  cmt_addrbook_delete(book);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_lock_of_a_switch_may_fail),
    cmocka_unit_test(each_lock_of_a_peer_may_fail),
    cmocka_unit_test(each_lock_of_peer_exchange_may_fail),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
