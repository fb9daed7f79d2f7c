/* SPDX-License-Identifier: Apache-2.0 */

/* The mailbox alone: the order of events, room, the end, and those who wait. */

#include "mailbox_user.h"

#include <pthread.h>

/* ---- order ---- */

static void a_peer_comes_up_sends_and_goes(void **state) {
  fixture *f = *state;

  start(f, 0);
  cmt__mailbox_peer_up(f->inboxes[0]);
  assert_cmt(CMT_OK, put(f, 0, A, 1));
  assert_cmt(CMT_OK, put(f, 0, B, 2));
  assert_cmt(CMT_OK, put(f, 0, A, 3));
  cmt__mailbox_peer_gone(f->inboxes[0], CMT_EEOF);
  assert_string_equal("0 up", take(f));
  assert_string_equal("0 10 1", take(f));
  assert_string_equal("0 20 2", take(f));
  assert_string_equal("0 10 3", take(f));
  assert_int_equal(0, gone_count);
  assert_string_equal("0 gone CMT_EEOF", take(f));
  assert_int_equal(1, gone_count);
  assert_string_equal("CMT_ETIMEDOUT", take(f));
}

static void two_events_of_a_peer_are_never_out(void **state) {
  fixture *f = *state;
  cmt_mailbox_event first, second;

  start(f, 0);
  cmt__mailbox_peer_up(f->inboxes[0]);
  assert_cmt(CMT_OK, put(f, 0, A, 1));
  assert_cmt(CMT_OK, put(f, 1, A, 2));
  assert_string_equal("0 up", next(f, &first));
  assert_string_equal("1 10 2", next(f, &second));
  assert_string_equal("CMT_ETIMEDOUT", take(f));
  cmt__mailbox_peer_gone(f->inboxes[1], CMT_EEOF);
  assert_string_equal("CMT_ETIMEDOUT", take(f));
  cmt_mailbox_done(f->mailbox, &first);
  assert_string_equal("0 10 1", take(f));
  assert_string_equal("CMT_ETIMEDOUT", take(f));
  cmt_mailbox_done(f->mailbox, &second);
  assert_string_equal("1 gone CMT_EEOF", take(f));
}

static void peers_are_served_in_turns(void **state) {
  fixture *f = *state;

  start(f, 0);
  for (uint8_t k = 0; k < 3; k++) {
    assert_cmt(CMT_OK, put(f, 0, A, k));
  }
  assert_cmt(CMT_OK, put(f, 1, A, 10));
  assert_cmt(CMT_OK, put(f, 2, A, 20));
  assert_cmt(CMT_OK, put(f, 2, A, 21));
  assert_string_equal("0 10 0", take(f));
  assert_string_equal("1 10 10", take(f));
  assert_string_equal("2 10 20", take(f));
  assert_string_equal("0 10 1", take(f));
  assert_string_equal("2 10 21", take(f));
  assert_string_equal("0 10 2", take(f));
}

static void a_queue_keeps_its_order_when_it_grows(void **state) {
  fixture *f = *state;
  char text[16];
  uint8_t in = 0, out = 0;

  start(f, 0);
  f->mailbox->quota.channels[0].messages_max = 1000;
  f->mailbox->quota.channels[0].bytes_max = 1000000;
  f->mailbox->quota.bytes_max = 1000000;
  while (in < 250) {
    for (int i = 0; i < 3; i++) {
      assert_cmt(CMT_OK, put(f, 0, A, in++));
    }
    snprintf(text, sizeof text, "0 10 %d", out++);
    assert_string_equal(text, take(f));
  }
  while (out < in) {
    snprintf(text, sizeof text, "0 10 %d", out++);
    assert_string_equal(text, take(f));
  }
  assert_int_equal(0, f->inboxes[0]->queue.cap); /* A large one is let go. */
}

/* ---- room ---- */

static void a_full_queue_stops_the_link_until_half_is_done(void **state) {
  fixture *f = *state;
  cmt_mailbox_event ev;

  start(f, 0);
  for (uint8_t k = 0; k < 4; k++) {
    assert_cmt(CMT_OK, put(f, 0, A, k));
    assert_false(is_stopped(f, 0));
  }
  assert_cmt(CMT_OK, put(f, 0, A, 4));
  assert_true(is_stopped(f, 0));
  assert_false(is_stopped(f, 1));
  assert_cmt(CMT_OK, put(f, 0, A, 5)); /* It was read already. */
  for (uint8_t k = 0; k < 3; k++) {
    assert_true(is_stopped(f, 0));
    take(f);
  }
  assert_true(is_stopped(f, 0)); /* Three are left, half is two. */
  next(f, &ev);
  assert_true(is_stopped(f, 0)); /* What is out is not done. */
  cmt_mailbox_done(f->mailbox, &ev);
  assert_false(is_stopped(f, 0));
}

static void bytes_fill_a_queue_too(void **state) {
  fixture *f = *state;

  start(f, 0);
  assert_cmt(CMT_OK, put_len(f, 0, A, 1, 5000 - COST));
  assert_int_equal(5000, cmt__mailbox_bytes(f->mailbox));
  assert_cmt(CMT_OK, put_len(f, 0, A, 2, 4999 - COST));
  assert_false(is_stopped(f, 0));
  assert_cmt(CMT_OK, put_len(f, 0, A, 3, 0));
  assert_true(is_stopped(f, 0));
  assert_int_equal(9999 + COST, cmt__mailbox_bytes(f->mailbox));
  take(f);
  assert_true(is_stopped(f, 0));
  take(f);
  assert_false(is_stopped(f, 0));
}

static void a_message_longer_than_the_queue_has_room_alone(void **state) {
  fixture *f = *state;

  start(f, 0);
  assert_cmt(CMT_OK, put_len(f, 0, A, 1, 20000));
  assert_true(is_stopped(f, 0));
  assert_cmt(CMT_OK, put_len(f, 0, DROPS, 2, 20000));
  assert_cmt(CMT_EAGAIN, put_len(f, 0, DROPS, 3, 0));
  assert_string_equal("0 10 1", take(f));
  assert_true(is_stopped(f, 0)); /* The other channel is over its half. */
  assert_string_equal("0 30 2", take(f));
  assert_false(is_stopped(f, 0));
}

static void a_channel_that_drops_drops_the_newest(void **state) {
  fixture *f = *state;
  char text[16];

  start(f, 0);
  for (uint8_t k = 0; k < 5; k++) {
    assert_cmt(CMT_OK, put(f, 0, DROPS, k));
  }
  assert_cmt(CMT_EAGAIN, put(f, 0, DROPS, 5));
  assert_cmt(CMT_OK, put(f, 1, DROPS, 9)); /* Another peer's. */
  assert_cmt(CMT_OK, put(f, 0, A, 6));     /* On another channel. */
  assert_false(is_stopped(f, 0));
  for (uint8_t k = 0; k < 5; k++) {
    snprintf(text, sizeof text, "0 30 %d", k);
    assert_string_equal(text, take(f));
    if (k == 0) {
      assert_string_equal("1 30 9", take(f));
    }
  }
  assert_string_equal("0 10 6", take(f));
  assert_cmt(CMT_OK, put_len(f, 0, DROPS, 1, 9999 - COST));
  assert_cmt(CMT_EAGAIN, put_len(f, 0, DROPS, 1, 0)); /* Exact in bytes. */
}

static void without_memory_a_message_fails_and_the_end_does_not(void **state) {
  fixture *f = *state;
  cmt_buf *msg;

  start(f, 0);
  msg = cmt_buf_new(&f->env.env, 1);
  f->env.fail_at = f->env.allocs;
  assert_cmt(CMT_ENOMEM,
             cmt__mailbox_put(f->inboxes[0], A, msg, &(bool){false}));
  f->env.fail_at = f->env.allocs;
  cmt__mailbox_peer_up(f->inboxes[0]);
  cmt__mailbox_peer_gone(f->inboxes[0], CMT_ENOMEM);
  assert_string_equal("0 up", take(f));
  assert_string_equal("0 gone CMT_ENOMEM", take(f));
  f->env.fail_at = SIZE_MAX;
  cmt_buf_unref(msg);
}

/* ---- the end ---- */

static void a_reactor_that_refuses_gets_only_the_end(void **state) {
  fixture *f = *state;
  cmt__run run = {.count = 0};

  start(f, 0);
  for (uint8_t k = 0; k < 5; k++) {
    assert_cmt(CMT_OK, put(f, 0, A, k));
  }
  assert_cmt(CMT_OK, put(f, 1, A, 7));
  assert_cmt(CMT_OK, cmt__mailbox_done_and_next(f->mailbox, &run));
  assert_true(is_stopped(f, 0));
  cmt__mailbox_refuse(f->mailbox, &run);
  assert_false(is_stopped(f, 0));
  assert_cmt(CMT_OK, put(f, 0, A, 5));
  assert_string_equal("1 10 7", take(f));
  assert_string_equal("CMT_ETIMEDOUT", take(f));
  cmt_mailbox_done(f->mailbox, &run.ev);
  assert_int_equal(0, cmt__mailbox_bytes(f->mailbox));
  assert_string_equal("CMT_ETIMEDOUT", take(f));
  cmt__mailbox_peer_gone(f->inboxes[0], CMT_EREACTOR);
  assert_string_equal("0 gone CMT_EREACTOR", take(f));
}

static void in_a_hurry_all_messages_are_dropped(void **state) {
  fixture *f = *state;
  cmt_mailbox_event ev;

  start(f, 0);
  cmt__mailbox_peer_up(f->inboxes[0]);
  for (uint8_t k = 0; k < 5; k++) {
    assert_cmt(CMT_OK, put(f, 0, A, k));
    assert_cmt(CMT_OK, put(f, 1, A, k));
  }
  assert_string_equal("0 up", next(f, &ev));
  cmt__mailbox_discard(f->mailbox);
  assert_false(is_stopped(f, 0));
  assert_int_equal(0, cmt__mailbox_bytes(f->mailbox));
  assert_false(is_readable(f));
  assert_cmt(CMT_OK, put(f, 0, A, 9));
  cmt_mailbox_done(f->mailbox, &ev);
  assert_string_equal("CMT_ETIMEDOUT", take(f));
  cmt__mailbox_peer_gone(f->inboxes[0], CMT_ECANCELED);
  assert_string_equal("0 gone CMT_ECANCELED", take(f));
}

static void a_peer_that_goes_while_it_is_stopped_is_nobodys(void **state) {
  fixture *f = *state;
  char text[24];

  start(f, 0);
  for (uint8_t k = 0; k < 5; k++) {
    assert_cmt(CMT_OK, put(f, 0, A, k));
  }
  assert_true(is_stopped(f, 0));
  cmt__mailbox_peer_gone(f->inboxes[0], CMT_EEOF);
  for (int k = 0; k < 5; k++) {
    snprintf(text, sizeof text, "0 10 %d", k);
    assert_string_equal(text, take(f));
  }
  assert_string_equal("0 gone CMT_EEOF", take(f));
  assert_false(f->inboxes[0]->waits);
}

static void waiting_threads_learn_of_the_end(void **state) {
  fixture *f = *state;
  cmt_mailbox_event ev;

  start(f, 0);
  for (size_t i = 0; i < PEERS; i++) {
    cmt__mailbox_peer_gone(f->inboxes[i], CMT_EEOF);
    take(f);
  }
  assert_cmt(CMT_ETIMEDOUT, cmt_mailbox_next(f->mailbox, &ev, 0));
  assert_false(is_readable(f));
  cmt__mailbox_close(f->mailbox);
  assert_cmt(CMT_ECLOSED, cmt_mailbox_next(f->mailbox, &ev, 0));
  assert_cmt(CMT_ECLOSED, cmt_mailbox_next(f->mailbox, &ev, CMT_NEVER));
  assert_true(is_readable(f));
}

enum { WAITERS = 60 };

static void *wait_for_the_end(void *arg) {
  cmt_mailbox_event ev;

  return cmt_mailbox_next(arg, &ev, CMT_NEVER) == CMT_ECLOSED ? arg : NULL;
}

static unsigned idle_of(cmt_mailbox *m) {
  unsigned idle;

  pthread_mutex_lock(&m->lock);
  idle = m->idle;
  pthread_mutex_unlock(&m->lock);
  return idle;
}

/* Its lock and its counts live until the last of those that it woke has left,
   though the application has no way to know when that is. */
static void its_end_waits_for_whoever_it_notified(void **state) {
  fixture *f = *state;
  pthread_t threads[WAITERS];
  cmt_mailbox *m;

  f->peer_count = 0;
  start(f, 0);
  m = f->mailbox;
  for (size_t i = 0; i < WAITERS; i++) {
    assert_int_equal(0, pthread_create(&threads[i], NULL, wait_for_the_end, m));
  }
  while (idle_of(m) < WAITERS) {
  }
  cmt__mailbox_close(m);
  cmt__mailbox_delete(m);
  start(f, 0); /* For the end of the test. */
  for (size_t i = 0; i < WAITERS; i++) {
    void *result;

    pthread_join(threads[i], &result);
    assert_ptr_equal(m, result);
  }
}

/* ---- releases ---- */

static unsigned released;

/* Acquires the lock of the mailbox, and none of ours is locked. */
static void on_release(void *arg) {
  fixture *f = arg;

  assert_int_equal(0, cmt__locks_held);
  (void)cmt__mailbox_bytes(f->mailbox);
  (void)cmt__mailbox_is_used(f->mailbox);
  released++;
}

static cmt_err put_adopted(fixture *f, size_t peer, uint8_t channel) {
  cmt_buf *msg = cmt_buf_adopt(NULL, cmt_bytes_of("adopted"), on_release, f);
  cmt_err err =
    cmt__mailbox_put(f->inboxes[peer], channel, msg, &(bool){false});

  cmt_buf_unref(msg);
  return err;
}

static void
a_release_may_take_the_lock_wherever_its_message_ends(void **state) {
  fixture *f = *state;
  cmt__run run = {.count = 0};

  start(f, 0);
  released = 0;
  for (int i = 0; i < 5; i++) {
    assert_cmt(CMT_OK, put_adopted(f, 0, DROPS));
  }
  assert_cmt(CMT_EAGAIN, put_adopted(f, 0, DROPS)); /* The newest is dropped. */
  assert_int_equal(1, released);
  assert_string_equal("0 30 97", take(f)); /* It was taken. */
  assert_int_equal(2, released);
  assert_cmt(CMT_OK,
             cmt__mailbox_done_and_next(f->mailbox, &run)); /* By a worker. */
  assert_cmt(CMT_OK, cmt__mailbox_done_and_next(f->mailbox, &run));
  assert_int_equal(3, released);
  cmt__mailbox_refuse(f->mailbox, &run); /* The reactor refuses the rest. */
  assert_int_equal(5, released);
  assert_cmt(CMT_OK, put_adopted(f, 0, A));
  assert_int_equal(6, released);
  assert_cmt(CMT_OK, put_adopted(f, 1, B));
  assert_cmt(CMT_OK, cmt__mailbox_done_and_next(f->mailbox, &run));
  assert_int_equal(7, released);
  cmt_mailbox_done(f->mailbox, &run.ev);
  assert_int_equal(8, released);
  for (int i = 0; i < 3; i++) {
    assert_cmt(CMT_OK, put_adopted(f, 1, A));
    assert_cmt(CMT_OK, put_adopted(f, 2, B));
  }
  cmt__mailbox_discard(f->mailbox); /* The time of a stop has passed. */
  assert_int_equal(14, released);
  assert_cmt(CMT_OK, put_adopted(f, 1, A));
  assert_int_equal(15, released);
}

/* ---- waiting ---- */

static void the_descriptor_is_readable_while_an_event_is_ready(void **state) {
  fixture *f = *state;
  cmt_mailbox_event ev;

  start(f, 0);
  assert_false(is_readable(f));
  assert_cmt(CMT_OK, put(f, 0, A, 1));
  assert_cmt(CMT_OK, put(f, 0, A, 2));
  assert_true(is_readable(f));
  next(f, &ev);
  assert_false(is_readable(f)); /* The next one waits for this. */
  cmt_mailbox_done(f->mailbox, &ev);
  assert_true(is_readable(f));
  assert_cmt(CMT_OK, put(f, 1, A, 3));
  next(f, &ev);
  assert_true(is_readable(f));
  cmt_mailbox_done(f->mailbox, &ev);
  take(f);
  assert_false(is_readable(f));
}

/* ---- events of no peer ---- */

typedef struct letters {
  cmt__event_source source;
  char letter;
} letters;

static void letter_take(cmt__event_source *s, cmt_mailbox_event *out) {
  out->kind = CMT_EVENT_POST;
  test_note(((letters *)s)->letter);
}

/* Sources by turns, as long as each has an event, and peers between them. */
static void sources_and_peers_alternate(void **state) {
  fixture *f = *state;
  letters list[3] = {{.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}};
  const size_t counts[] = {4, 1, 2};
  cmt_mailbox_event ev;

  start(f, SIZE_MAX / 4);
  for (size_t i = 0; i < CMT__COUNT(list); i++) {
    list[i].source.take = letter_take;
    cmt__mailbox_add_source(f->mailbox, &list[i].source);
    for (size_t k = 0; k < counts[i]; k++) {
      pthread_mutex_lock(&f->mailbox->lock);
      cmt__mailbox_offer(f->mailbox, &list[i].source);
      pthread_mutex_unlock(&f->mailbox->lock);
    }
  }
  for (int i = 0; i < 3; i++) {
    assert_cmt(CMT_OK, put_len(f, 0, A, 0, 10));
  }
  while (cmt_mailbox_next(f->mailbox, &ev, 0) == CMT_OK) {
    if (ev.kind == CMT_EVENT_MESSAGE) {
      test_note('.');
    }
    cmt_mailbox_done(f->mailbox, &ev);
  }
  test_assert_trace(".a.b.cacaa");
}

static void a_timeout_passes(void **state) {
  fixture *f = *state;
  cmt_mailbox_event ev;

  start(f, 0);
  assert_cmt(CMT_ETIMEDOUT,
             cmt_mailbox_next(f->mailbox, &ev, CMT_MILLISECONDS(1)));
  cmt__thread_set_loop(true);
  assert_cmt(CMT_EDEADLK,
             cmt_mailbox_next(f->mailbox, &ev, CMT_MILLISECONDS(1)));
  assert_cmt(CMT_ETIMEDOUT, cmt_mailbox_next(f->mailbox, &ev, 0));
  cmt__thread_set_loop(false);
}

/* ---- many threads ---- */

enum { TAKERS = 4, MESSAGES = 20000 };

typedef struct crowd {
  fixture *f;
  atomic_bool out[PEERS];      /* An event of the peer is out. */
  unsigned expected[PEERS][2]; /* The next number on A, and on B. */
  atomic_uint wrong, taken;
} crowd;

static void crowd_look(crowd *c, const cmt_mailbox_event *ev) {
  size_t peer = (size_t)(ev->peer - c->f->peers);
  uint32_t number;
  unsigned *expected;

  if (atomic_exchange(&c->out[peer], true)) {
    atomic_fetch_add(&c->wrong, 1);
  }
  if (ev->kind == CMT_EVENT_MESSAGE) {
    expected = &c->expected[peer][ev->channel == B];
    number = cmt__load_le32(cmt_buf_bytes(ev->msg).base);
    if (number != (*expected)++) {
      atomic_fetch_add(&c->wrong, 1);
    }
    atomic_fetch_add(&c->taken, 1);
  }
  atomic_store(&c->out[peer], false);
}

static void *crowd_take(void *arg) {
  crowd *c = arg;
  cmt_mailbox_event ev;

  while (cmt_mailbox_next(c->f->mailbox, &ev, CMT_NEVER) == CMT_OK) {
    crowd_look(c, &ev);
    cmt_mailbox_done(c->f->mailbox, &ev);
  }
  return NULL;
}

static void *crowd_turn(void *arg) {
  crowd *c = arg;
  cmt__run run = {.count = 0};

  while (cmt__mailbox_done_and_next(c->f->mailbox, &run) == CMT_OK) {
    crowd_look(c, &run.ev);
  }
  return NULL;
}

/* The loop: puts numbered messages in while the inbox has room. */
static void crowd_put(fixture *f) {
  unsigned numbers[PEERS][2] = {{0}};

  for (unsigned i = 0; i < MESSAGES; i++) {
    size_t peer = i % PEERS, channel = i / 7 % 2;
    cmt_buf *msg = cmt_buf_new(NULL, 4);

    while (is_stopped(f, peer)) {
    }
    cmt__store_le32(cmt_buf_data(msg), numbers[peer][channel]++);
    assert_cmt(CMT_OK, cmt__mailbox_put(f->inboxes[peer], channel == 0 ? A : B,
                                        msg, &(bool){false}));
    cmt__mailbox_flush(f->inboxes[peer]);
    cmt_buf_unref(msg);
  }
}

static void check_crowd(fixture *f, void *(*taker)(void *arg)) {
  crowd c = {.f = f};
  pthread_t threads[TAKERS];

  start(f, 0);
  for (size_t i = 0; i < TAKERS; i++) {
    assert_int_equal(0, pthread_create(&threads[i], NULL, taker, &c));
  }
  crowd_put(f);
  for (size_t i = 0; i < PEERS; i++) {
    cmt__mailbox_peer_gone(f->inboxes[i], CMT_EEOF);
  }
  while (atomic_load(&gone_count) < PEERS) {
  }
  cmt__mailbox_close(f->mailbox);
  for (size_t i = 0; i < TAKERS; i++) {
    pthread_join(threads[i], NULL);
  }
  assert_int_equal(0, c.wrong);
  assert_int_equal(MESSAGES, c.taken);
}

/* A mailbox is either the application's or its own workers': the buffers that a
   run leaves to the loop are released by the end of a later run at the latest,
   and by no other event. */
static void threads_take_each_peer_in_its_order(void **state) {
  check_crowd(*state, crowd_take);
}

static void workers_take_each_peer_in_its_order(void **state) {
  check_crowd(*state, crowd_turn);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_peer_comes_up_sends_and_goes),
    TEST(two_events_of_a_peer_are_never_out),
    TEST(peers_are_served_in_turns),
    TEST(a_queue_keeps_its_order_when_it_grows),
    TEST(a_full_queue_stops_the_link_until_half_is_done),
    TEST(bytes_fill_a_queue_too),
    TEST(a_message_longer_than_the_queue_has_room_alone),
    TEST(a_channel_that_drops_drops_the_newest),
    TEST(without_memory_a_message_fails_and_the_end_does_not),
    TEST(a_reactor_that_refuses_gets_only_the_end),
    TEST(in_a_hurry_all_messages_are_dropped),
    TEST(a_peer_that_goes_while_it_is_stopped_is_nobodys),
    TEST(waiting_threads_learn_of_the_end),
    TEST(its_end_waits_for_whoever_it_notified),
    TEST(the_descriptor_is_readable_while_an_event_is_ready),
    TEST(a_release_may_take_the_lock_wherever_its_message_ends),
    TEST(sources_and_peers_alternate),
    TEST(a_timeout_passes),
    TEST(threads_take_each_peer_in_its_order),
    TEST(workers_take_each_peer_in_its_order),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
