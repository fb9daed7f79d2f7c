/* SPDX-License-Identifier: Apache-2.0 */

/* A request of cmt_peer_send_async() that is used again before its callback
   came, or is overwritten while it is under way. */

#include "send_queue_user.h"

#include "link/send_queue_req.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct fixture {
  send_queue_user *u;
  send_queue_user other; /* The send queue of another peer. */
  queue_answer a;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  void *user;

  assert_non_null(f);
  send_queue_user_setup(&user);
  f->u = user;
  send_queue_user_init(&f->other, f->u->send_queue.descs,
                       f->u->send_queue.channel_count, "\x10\x20");
  f->a = send_queue_answer_new(CMT_NEVER);
  f->a.req.arg = &f->a;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  void *user = f->u;

  send_queue_user_fini(&f->other);
  send_queue_user_teardown(&user);
  free(f);
  return 0;
}

/* A channel has room for two messages. */
static void fill(send_queue_user *u) {
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  queue_take(u, 0, NULL);
}

static cmt_err use(send_queue_user *u, cmt_send_req *req) {
  cmt_buf *msg = send_queue_message(u, 1);
  cmt_err err = cmt__send_queue_send_async(
    &u->send_queue, send_queue_place(u, QUEUE_A), msg, req);

  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

static void answer_all(send_queue_user *u) {
  queue_take(u, 0, NULL);
  (void)send_queue_credit(u, 2, 0, 2);
  (void)cmt__send_queue_answer(&u->send_queue);
  queue_take(u, 0, NULL);
}

static void one_that_waits_is_refused(void **state) {
  fixture *f = *state;

  fill(f->u);
  assert_cmt(CMT_OK, use(f->u, &f->a.req));
  for (int i = 0; i < 3; i++) {
    assert_cmt(CMT_EINVAL, use(f->u, &f->a.req));
    assert_cmt(CMT_EINVAL, use(&f->other, &f->a.req));
  }
  answer_all(f->u);
  (void)cmt__send_queue_answer(&f->other.send_queue);
  assert_int_equal(1, f->a.calls);
  assert_cmt(CMT_OK, f->a.status);
}

static void one_that_was_queued_is_refused_until_its_callback(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_OK, use(f->u, &f->a.req));
  assert_cmt(CMT_EINVAL, use(f->u, &f->a.req));
  queue_take(f->u, 0, NULL);
  assert_cmt(CMT_EINVAL, use(f->u, &f->a.req));
  assert_cmt(CMT_EINVAL, use(&f->other, &f->a.req));
  (void)cmt__send_queue_answer(&f->u->send_queue);
  assert_int_equal(1, f->a.calls);
  assert_false(cmt__send_queue_answer(&f->u->send_queue));
}

static void one_whose_time_passed_is_refused_until_its_callback(void **state) {
  fixture *f = *state;

  fill(f->u);
  f->a.req.timeout_ns = 0;
  assert_cmt(CMT_OK, use(f->u, &f->a.req));
  assert_cmt(CMT_EINVAL, use(f->u, &f->a.req));
  (void)cmt__send_queue_answer(&f->u->send_queue);
  assert_int_equal(1, f->a.calls);
  assert_cmt(CMT_ETIMEDOUT, f->a.status);
  cmt_buf_unref(f->a.msg);
}

static void from_its_callback_on_it_may_be_used_again(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_OK, use(f->u, &f->a.req));
  queue_take(f->u, 0, NULL);
  (void)cmt__send_queue_answer(&f->u->send_queue);
  assert_cmt(CMT_OK, use(&f->other, &f->a.req)); /* After it, */
  (void)cmt__send_queue_answer(&f->other.send_queue);
  assert_int_equal(2, f->a.calls);
  (void)send_queue_credit(f->u, 1, 0, 1);
  fill(f->u);
  f->a.req.timeout_ns = 0;
  f->a.again = f->u; /* and in it. */
  assert_cmt(CMT_EAGAIN, queue_try(f->u, QUEUE_A, 1));
  assert_cmt(CMT_OK, use(f->u, &f->a.req));
  (void)cmt__send_queue_answer(&f->u->send_queue);
  assert_int_equal(3, f->a.calls);
  (void)cmt__send_queue_answer(&f->u->send_queue);
  assert_int_equal(4, f->a.calls);
  cmt_buf_unref(f->a.msg);
}

static void one_that_was_refused_may_be_used_again(void **state) {
  fixture *f = *state;
  cmt_buf *msg = send_queue_message(f->u, 1);

  for (int i = 0; i < 2; i++) {
    assert_cmt(CMT_ENOCHANNEL, cmt__send_queue_send_async(
                                 &f->u->send_queue,
                                 send_queue_place(f->u, 0x99), msg, &f->a.req));
  }
  cmt_buf_unref(msg);
  assert_cmt(CMT_OK, use(f->u, &f->a.req));
  (void)cmt__send_queue_answer(&f->u->send_queue);
  cmt__send_queue_stop_with(&f->u->send_queue, CMT_ECANCELED, 0);
  assert_cmt(CMT_ECLOSED, use(f->u, &f->a.req));
  assert_cmt(CMT_ECLOSED, use(f->u, &f->a.req));
  assert_int_equal(1, f->a.calls);
}

/* Whatever the memory was, even a copy of a request that is under way. */
static void
memory_that_was_never_written_is_no_request_under_way(void **state) {
  static const uint8_t fills[] = {0x00, 0xa5, 0xff};
  fixture *f = *state;
  queue_answer copy;

  for (size_t i = 0; i < sizeof fills; i++) {
    memset(f->a.req.internal, fills[i], sizeof f->a.req.internal);
    assert_cmt(CMT_OK, use(f->u, &f->a.req));
    queue_take(f->u, 0, NULL);
    copy = f->a;
    copy.req.arg = &copy;
    assert_cmt(CMT_OK, use(&f->other, &copy.req));
    queue_take(&f->other, 0, NULL);
    (void)cmt__send_queue_answer(&f->u->send_queue);
    (void)cmt__send_queue_answer(&f->other.send_queue);
    (void)send_queue_credit(f->u, 1, 0, 1);
    (void)send_queue_credit(&f->other, 1, 0, 1);
    assert_int_equal(i + 1, f->a.calls);
    assert_int_equal(i + 1, copy.calls);
  }
}

/* ---- overwritten ---- */

enum { NOTICED = 7 /* How a process ends by its panic hook. */ };

static void on_panic(void *arg, const char *file, int line, const char *what) {
  (void)arg;
  (void)file;
  (void)line;
  _exit(strstr(what, "cmt_send_req") != NULL ? NOTICED : 1);
}

/* Sends of |count| requests wait, or were queued; then the one at |at| is
   overwritten and, if |again|, used once more. */
typedef struct misuse {
  bool waits, again;
  size_t count, at;
  uint64_t timeout_ns;
} misuse;

enum { REQUESTS = 4 };

typedef struct victim {
  send_queue_user u;
  queue_answer a[REQUESTS];
} victim;

/* What follows, until somebody notices. */
static void run_misuse(victim *v, const misuse *m) {
  queue_answer *a = &v->a[m->at];

  *a = send_queue_answer_new(m->timeout_ns);
  a->req.arg = a;
  if (m->again) {
    (void)use(&v->u, &a->req);
  }
  for (int i = 0; i < 8; i++) {
    queue_take(&v->u, 0, NULL);
    (void)send_queue_credit(&v->u, m->waits, 0, m->waits);
    (void)cmt__send_queue_answer(&v->u.send_queue);
  }
}

static void begin_misuse(victim *v, const cmt_channel *channels,
                         const misuse *m) {
  send_queue_user_init(&v->u, channels, 3, "\x10\x20");
  v->u.env.env.panic = on_panic;
  v->u.send_queue.bytes_max = 1000;
  if (m->waits) {
    fill(&v->u);
  }
  for (size_t i = 0; i < m->count; i++) {
    v->a[i] = send_queue_answer_new(m->timeout_ns);
    v->a[i].req.arg = &v->a[i];
    v->a[i].req.timeout_ns = m->timeout_ns;
    (void)use(&v->u, &v->a[i].req);
  }
}

/* In a process of its own, for its memory is in a state that no code of ours
   would leave. */
static bool is_noticed(const cmt_channel *channels, const misuse *m) {
  static victim v;
  pid_t child = fork();
  int status = 0;

  assert_true(child >= 0);
  if (child == 0) {
    begin_misuse(&v, channels, m);
    run_misuse(&v, m);
    _exit(0);
  }
  assert_int_equal(child, waitpid(child, &status, 0));
  return WIFEXITED(status) && WEXITSTATUS(status) == NOTICED;
}

#define S(n) CMT_SECONDS(n)

static void one_that_is_overwritten_is_noticed(void **state) {
  static const uint64_t timeouts[] = {CMT_NEVER, S(1)};
  const fixture *f = *state;

  for (int waits = 0; waits < 2; waits++) {
    for (int again = 0; again < 2; again++) {
      for (size_t count = 1; count <= (waits ? REQUESTS : 2); count++) {
        for (size_t at = 0; at < count; at++) {
          for (size_t k = 0; k < CMT__COUNT(timeouts); k++) {
            misuse m = {.waits = waits,
                        .again = again,
                        .count = count,
                        .at = at,
                        .timeout_ns = timeouts[k]};

            if (!is_noticed(f->u->send_queue.descs, &m)) {
              fail_msg("waits %d again %d count %zu at %zu", waits, again,
                       count, at);
            }
          }
        }
      }
    }
  }
}

/* ---- threads ---- */

typedef struct racer {
  fixture *f;
  send_queue_user *u;
  pthread_barrier_t *start;
  unsigned taken;
} racer;

static void *race(void *arg) {
  racer *r = arg;

  pthread_barrier_wait(r->start);
  for (int i = 0; i < 100; i++) {
    cmt_buf *msg = cmt_buf_new(NULL, 1);
    cmt_err err = cmt__send_queue_send_async(
      &r->u->send_queue, send_queue_place(r->u, QUEUE_A), msg, &r->f->a.req);

    r->taken += err == CMT_OK;
    if (err != CMT_OK) {
      cmt_buf_unref(msg);
    }
  }
  return NULL;
}

static void of_two_threads_one_has_it(void **state) {
  fixture *f = *state;
  pthread_barrier_t start;
  pthread_t threads[2];
  racer r[2] = {{.f = f, .u = f->u, .start = &start},
                {.f = f, .u = &f->other, .start = &start}};

  pthread_barrier_init(&start, NULL, 2);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(0, pthread_create(&threads[i], NULL, race, &r[i]));
  }
  for (int i = 0; i < 2; i++) {
    pthread_join(threads[i], NULL);
  }
  pthread_barrier_destroy(&start);
  assert_int_equal(1, r[0].taken + r[1].taken);
  for (int i = 0; i < 2; i++) {
    queue_take(r[i].u, 0, NULL);
    (void)cmt__send_queue_answer(&r[i].u->send_queue);
  }
  assert_int_equal(1, f->a.calls);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(one_that_waits_is_refused),
    TEST(one_that_was_queued_is_refused_until_its_callback),
    TEST(one_whose_time_passed_is_refused_until_its_callback),
    TEST(from_its_callback_on_it_may_be_used_again),
    TEST(one_that_was_refused_may_be_used_again),
    TEST(memory_that_was_never_written_is_no_request_under_way),
    TEST(one_that_is_overwritten_is_noticed),
    TEST(of_two_threads_one_has_it),
  };

  return cmocka_run_group_tests_name("send_again", tests, NULL, NULL);
}
