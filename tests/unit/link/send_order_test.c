/* SPDX-License-Identifier: Apache-2.0 */

/* The order of sends under contention.  Many threads send in every form, each
   noting an instant before its call and one after it; what arrives must be in
   an order in which those calls can have happened, each message once, and none
   that was refused. */

#include "sockets.h"

#include "switch/switch.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum {
  CHANNELS = 4,
  THREADS = 8,
  SENDS = 1500,     /* Sends of each thread. */
  BYTES_MAX = 65536 /* Queued. */
};

static const cmt_channel channels[CHANNELS] = {
  {.id = 0, .priority = 1},
  {.id = 1, .priority = 5, .send_queue = 10},
  {.id = 2, .priority = 10, .send_queue = 3},
  {.id = 3, .priority = 1, .send_queue = 100},
};

typedef enum outcome { OPEN, SENT, REFUSED } outcome;

/* One send.  Its message is {number of the ticket}, and then filled. */
typedef struct ticket {
  cmt_send_req req;
  struct field *field;
  uint64_t before;            /* The instants of the call, the second */
  atomic_uint_fast64_t after; /* UINT64_MAX as long as it lasts. */
  atomic_bool ready;          /* What is above, and |len|, is set. */
  size_t len;
  uint8_t channel;
  atomic_int outcome;
  atomic_uint calls; /* Calls of the callback. */
  cmt_err status;
  atomic_bool arrived;
} ticket;

typedef struct side {
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  pthread_mutex_t lock;
  pthread_cond_t cond;
  cmt_peer *peer;
  unsigned removed;
} side;

typedef struct field {
  side a, b;
  ticket tickets[THREADS * SENDS];
  atomic_size_t next;
  atomic_uint_fast64_t instant;
  atomic_uint freed, open; /* Messages let go; callbacks to come. */
  atomic_size_t arrived;
  atomic_bool stops; /* Every eighth message stops the reading for a while. */
  atomic_bool unchecked; /* Messages are not of tickets. */
  atomic_uint wrong;
  uint64_t latest_before[CHANNELS]; /* The latest of what has arrived. */
} field;

static void wrong(field *f, const char *what, size_t number) {
  if (atomic_fetch_add(&f->wrong, 1) < 10) {
    printf("# ticket %zu: %s\n", number, what);
  }
}

/* ---- two switches ---- */

static void on_add(void *self, cmt_peer *p) {
  side *s = self;

  pthread_mutex_lock(&s->lock);
  s->peer = cmt_peer_ref(p);
  pthread_cond_broadcast(&s->cond);
  pthread_mutex_unlock(&s->lock);
}

static void on_remove(void *self, cmt_peer *p, cmt_err reason) {
  side *s = self;

  (void)p;
  (void)reason;
  pthread_mutex_lock(&s->lock);
  s->removed++;
  pthread_cond_broadcast(&s->cond);
  pthread_mutex_unlock(&s->lock);
}

/* A message may come only after all whose calls were over before its own
   began. */
static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  field *f = (field *)((char *)self - offsetof(field, b));
  cmt_bytes b = cmt_buf_bytes(msg);
  size_t number = cmt__load_le32(b.base);
  ticket *t = &f->tickets[number % (THREADS * SENDS)];
  bool good = true;

  if (atomic_load(&f->unchecked)) {
    return CMT_OK;
  }
  if (!atomic_load(&t->ready) || t->arrived || t->channel != channel ||
      t->len != b.len) {
    wrong(f, "is another message", number);
    return CMT_OK;
  }
  for (size_t i = 4; i < b.len; i++) {
    good = good && b.base[i] == (uint8_t)number;
  }
  if (!good) {
    wrong(f, "has other bytes", number);
  }
  t->arrived = true;
  if (atomic_load(&t->after) < f->latest_before[channel]) {
    wrong(f, "was overtaken", number);
  }
  f->latest_before[channel] = cmt__max64(f->latest_before[channel], t->before);
  if (atomic_fetch_add(&f->arrived, 1) % 8 == 0 && atomic_load(&f->stops)) {
    cmt_peer_pause(p);
    sched_yield();
    cmt_peer_resume(p);
  }
  return CMT_OK;
}

static void side_start(side *s) {
  cmt_reactor reactor = {.name = "test",
                         .channels = channels,
                         .channel_count = CHANNELS,
                         .self = s,
                         .add_peer = on_add,
                         .receive = on_receive,
                         .remove_peer = on_remove};
  cmt_switch_options o;

  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->cond, NULL);
  test_switch_options(&o, &reactor);
  o.send_bytes_max = BYTES_MAX;
  test_switch_start(&o, &s->sw, s->addr);
}

static void side_await_peer(side *s) {
  pthread_mutex_lock(&s->lock);
  while (s->peer == NULL) {
    pthread_cond_wait(&s->cond, &s->lock);
  }
  pthread_mutex_unlock(&s->lock);
}

static int setup(void **state) {
  field *f = calloc(1, sizeof *f);

  assert_non_null(f);
  side_start(&f->a);
  side_start(&f->b);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  side_await_peer(&f->a);
  side_await_peer(&f->b);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  field *f = *state;

  for (int i = 0; i < 2; i++) {
    side *s = i == 0 ? &f->a : &f->b;

    cmt_peer_unref(s->peer);
    if (s->sw != NULL) {
      assert_cmt(CMT_OK, cmt_switch_delete(s->sw));
    }
    pthread_cond_destroy(&s->cond);
    pthread_mutex_destroy(&s->lock);
  }
  free(f);
  return 0;
}

/* ---- one send ---- */

static void on_free(void *arg) { atomic_fetch_add(&((field *)arg)->freed, 1); }

/* A message whose end is counted. */
static cmt_buf *message(field *f, size_t number, uint8_t *bytes, size_t len) {
  cmt_buf *msg;

  memset(bytes, (int)(uint8_t)number, len);
  cmt__store_le32(bytes, (uint32_t)number);
  msg = cmt_buf_adopt(NULL, (cmt_bytes){.base = bytes, .len = len}, on_free, f);
  assert_non_null(msg);
  return msg;
}

static void finish(ticket *t, cmt_err err, cmt_buf *msg) {
  t->status = err;
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  atomic_store(&t->outcome, err == CMT_OK ? SENT : REFUSED);
}

static void on_sent(void *arg, cmt_err status, cmt_buf *msg) {
  ticket *t = arg;

  atomic_fetch_add(&t->calls, 1);
  finish(t, status, msg);
  atomic_fetch_sub(&t->field->open, 1);
}

static cmt_err broadcast(field *f, ticket *t, cmt_buf *msg) {
  cmt_broadcast counts;
  cmt_err err =
    cmt_switch_broadcast(f->a.sw, t->channel, cmt_buf_ref(msg), &counts);

  if (err != CMT_OK || counts.queued == 1) {
    cmt_buf_unref(msg);
    return err;
  }
  return CMT_EAGAIN; /* |msg| is ours. */
}

/* Each form of sending, with deadlines of none, soon and never. */
static void send_as(field *f, ticket *t, unsigned form, cmt_buf *msg) {
  static const uint64_t timeouts[] = {0, CMT_MILLISECONDS(1), CMT_NEVER};
  uint64_t timeout_ns = timeouts[form / 4 % 3];
  cmt_peer *p = f->a.peer;
  cmt_err err = CMT_OK;

  atomic_store(&t->after, UINT64_MAX);
  t->before = atomic_fetch_add(&f->instant, 1);
  atomic_store(&t->ready, true);
  switch (form % 4) {
  case 0:
    err = cmt_peer_try_send(p, t->channel, msg);
    break;
  case 1:
    t->req = (cmt_send_req)CMT_SEND_REQ(timeout_ns, on_sent, t);
    atomic_fetch_add(&f->open, 1);
    err = cmt_peer_send_async(p, t->channel, msg, &t->req);
    if (err != CMT_OK) {
      atomic_fetch_sub(&f->open, 1);
    }
    break;
  case 2:
    err = cmt_peer_send(p, t->channel, msg, timeout_ns);
    break;
  default:
    err = broadcast(f, t, msg);
    break;
  }
  atomic_store(&t->after, atomic_fetch_add(&f->instant, 1));
  if (form % 4 != 1 || err != CMT_OK) {
    finish(t, err, msg);
  }
}

/* What is queued never passes the limit. */
static void look_at_bytes(field *f, size_t number) {
  cmt__send_queue *g = &f->a.peer->send_queue;
  bool good;

  pthread_mutex_lock(&g->lock);
  good = g->bytes <= BYTES_MAX || g->messages == 1;
  pthread_mutex_unlock(&g->lock);
  if (!good) {
    wrong(f, "is over the bytes", number);
  }
}

typedef struct sender {
  field *field;
  unsigned seed, sends;
  uint8_t *bytes; /* Bytes of all its messages. */
} sender;

static unsigned draw(sender *s) {
  s->seed = s->seed * 1103515245 + 12345;
  return s->seed >> 16;
}

enum { LEN_MAX = 40000 };

static void *send_all(void *arg) {
  sender *s = arg;
  field *f = s->field;
  size_t at = 0;

  for (unsigned i = 0; i < s->sends; i++) {
    size_t number = atomic_fetch_add(&f->next, 1);
    ticket *t = &f->tickets[number];

    t->field = f;
    t->channel = (uint8_t)(draw(s) % CHANNELS);
    t->len = 4 + (draw(s) % 16 == 0 ? draw(s) % LEN_MAX : draw(s) % 200);
    send_as(f, t, draw(s), message(f, number, s->bytes + at, t->len));
    at += t->len;
    look_at_bytes(f, number);
    if (atomic_load(&t->outcome) == REFUSED && t->status == CMT_ECLOSED) {
      break;
    }
  }
  return NULL;
}

static void senders_start(field *f, sender *s, pthread_t *threads,
                          unsigned sends) {
  for (unsigned i = 0; i < THREADS; i++) {
    s[i] = (sender){.field = f, .seed = i + 1, .sends = sends};
    s[i].bytes = malloc((size_t)sends * (4 + LEN_MAX));
    assert_non_null(s[i].bytes);
    assert_int_equal(0, pthread_create(&threads[i], NULL, send_all, &s[i]));
  }
}

static void await_none(atomic_uint *zero) {
  time_t end = time(NULL) + TEST_WAIT_S;

  while (atomic_load(zero) > 0) {
    assert_true(time(NULL) < end);
    sched_yield();
  }
}

static size_t count(field *f, outcome which) {
  size_t n = 0;

  for (size_t i = 0; i < f->next; i++) {
    ticket *t = &f->tickets[i];

    n += atomic_load(&t->outcome) == (int)which;
    if (atomic_load(&t->outcome) == OPEN || t->calls > 1) {
      wrong(f, "was not answered once", i);
    }
    if (t->arrived && atomic_load(&t->outcome) != SENT) {
      wrong(f, "was refused and has arrived", i);
    }
  }
  return n;
}

/* ---- */

static void
what_arrives_is_what_was_sent_in_the_order_of_the_sends(void **state) {
  field *f = *state;
  pthread_t threads[THREADS];
  sender s[THREADS];
  time_t end;
  size_t sent;

  atomic_store(&f->stops, true);
  senders_start(f, s, threads, SENDS);
  for (size_t i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
  await_none(&f->open);
  sent = count(f, SENT);
  end = time(NULL) + TEST_WAIT_S;
  while (atomic_load(&f->arrived) < sent && time(NULL) < end) {
    sched_yield();
  }
  printf("# %zu sent, %zu refused\n", sent, count(f, REFUSED));
  assert_int_equal(sent, f->arrived);
  assert_int_equal(0, f->wrong);
  /* A sixth of them wait without end; how many of the others find room is a
     matter of the machine. */
  assert_true(sent > THREADS * SENDS / 8 && count(f, REFUSED) > 0);
  for (size_t i = 0; i < f->next; i++) {
    assert_true(f->tickets[i].arrived ==
                (atomic_load(&f->tickets[i].outcome) == SENT));
  }
  assert_cmt(CMT_OK, cmt_switch_delete(f->a.sw));
  f->a.sw = NULL;
  assert_int_equal(f->next, f->freed); /* Every message was let go. */
  for (size_t i = 0; i < THREADS; i++) {
    free(s[i].bytes);
  }
}

/* The other side does not read, so that all senders come to wait; then the peer
   ends below them. */
static void a_stop_answers_every_send_that_waits_once(void **state) {
  field *f = *state;
  pthread_t threads[THREADS];
  sender s[THREADS];
  size_t seen = 0, still = 0;

  cmt_peer_pause(f->b.peer);
  senders_start(f, s, threads, SENDS);
  while (still < 1000) { /* Until nobody comes on any more. */
    size_t now = atomic_load(&f->next);

    still = now == seen && now > THREADS ? still + 1 : 0;
    seen = now;
    sched_yield();
  }
  cmt_switch_stop(f->a.sw, CMT_MILLISECONDS(10));
  for (size_t i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
  assert_cmt(CMT_OK, cmt_switch_delete(f->a.sw));
  f->a.sw = NULL;
  assert_int_equal(0, f->open);
  assert_int_equal(f->next, count(f, SENT) + count(f, REFUSED));
  assert_int_equal(0, f->wrong);
  assert_int_equal(f->next, f->freed);
  for (size_t i = 0; i < THREADS; i++) {
    free(s[i].bytes);
  }
}

/* ---- a large message among small ones ---- */

static void *send_small(void *arg) {
  field *f = arg;

  while (!atomic_load(&f->stops)) {
    (void)cmt_switch_broadcast_bytes(f->a.sw, 3, "small", 5, NULL);
  }
  return NULL;
}

static void small_messages_do_not_keep_a_large_one_waiting(void **state) {
  field *f = *state;
  pthread_t threads[2];
  static uint8_t bytes[BYTES_MAX];

  atomic_store(&f->unchecked, true);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(0, pthread_create(&threads[i], NULL, send_small, f));
  }
  for (int i = 0; i < 20; i++) {
    assert_cmt(CMT_OK, cmt_peer_send_bytes(f->a.peer, 1, bytes, sizeof bytes,
                                           CMT_SECONDS(TEST_WAIT_S)));
  }
  atomic_store(&f->stops, true);
  for (size_t i = 0; i < 2; i++) {
    pthread_join(threads[i], NULL);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(what_arrives_is_what_was_sent_in_the_order_of_the_sends),
    TEST(a_stop_answers_every_send_that_waits_once),
    TEST(small_messages_do_not_keep_a_large_one_waiting),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
