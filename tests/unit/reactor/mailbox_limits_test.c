/* SPDX-License-Identifier: Apache-2.0 */

/* The limits of a mailbox to the byte: a long walk in which messages come and
   are done, all of them worth a few units, and all limits too, so that each is
   met exactly again and again; a model of a few sums computes what must
   follow. */

#include "mailbox_user.h"

enum {
  UNIT = 500,
  TOTAL = 27, /* Units: an odd number of messages fills each half, */
  SHARE = TOTAL / PEERS,
  QUEUE_UNITS = 7, /* and so of a channel. */
  QUEUE = 5,       /* Messages. */
  CHANNELS = 3,
  STEPS = 60000,
};

typedef struct tally {
  size_t messages, units;
} tally;

typedef struct model {
  tally of[PEERS][CHANNELS];
  bool stopped[PEERS];
} model;

static const uint8_t ids[CHANNELS] = {A, B, DROPS};

static size_t units_of(const model *m, size_t peer) {
  return m->of[peer][0].units + m->of[peer][1].units + m->of[peer][2].units;
}

static size_t units_of_all(const model *m) {
  return units_of(m, 0) + units_of(m, 1) + units_of(m, 2);
}

/* Its floor, or as much as is left for all others. */
static size_t most_of_peer(const model *m) {
  size_t all = units_of_all(m), left = all < TOTAL ? TOTAL - all : 0;

  return left > SHARE ? left : SHARE;
}

static bool must_drop(const model *m, size_t peer, size_t units) {
  const tally *c = &m->of[peer][2];
  bool first = c->messages == 0, alone = units_of(m, peer) == 0;

  return (!first &&
          (c->messages + 1 > QUEUE || c->units + units > QUEUE_UNITS)) ||
         (!alone && units_of(m, peer) + units > SHARE &&
          units_of(m, peer) + units + units_of_all(m) > TOTAL);
}

static bool is_full(const model *m, size_t peer, size_t channel) {
  const tally *c = &m->of[peer][channel];

  return c->messages >= QUEUE || c->units >= QUEUE_UNITS ||
         units_of(m, peer) >= most_of_peer(m);
}

/* No limit is more than half used. */
static bool reads_on(const model *m, size_t peer) {
  for (size_t i = 0; i < CHANNELS; i++) {
    const tally *c = &m->of[peer][i];

    if (c->messages > QUEUE / 2 || 2 * c->units > QUEUE_UNITS) {
      return false;
    }
  }
  return 2 * units_of(m, peer) <= most_of_peer(m);
}

static void one_comes(fixture *f, model *m, uint64_t *drawn) {
  size_t peer = test_below(drawn, PEERS), channel = test_below(drawn, CHANNELS);
  size_t units = 1 + test_below(drawn, 4);
  cmt_err err =
    put_len(f, peer, ids[channel], 0, units * UNIT - CMT__ENTRY_COST);

  if (channel == 2 && must_drop(m, peer, units)) {
    assert_cmt(CMT_EAGAIN, err);
    return;
  }
  assert_cmt(CMT_OK, err);
  m->of[peer][channel].messages++;
  m->of[peer][channel].units += units;
  if (channel != 2 && is_full(m, peer, channel)) {
    m->stopped[peer] = true;
  }
}

static void one_is_done(fixture *f, model *m) {
  size_t peer, channel = 0;
  cmt_mailbox_event ev;

  if (cmt_mailbox_next(f->mailbox, &ev, 0) != CMT_OK) {
    return;
  }
  peer = (size_t)(ev.peer - f->peers);
  while (ids[channel] != ev.channel) {
    channel++;
  }
  m->of[peer][channel].messages--;
  m->of[peer][channel].units -=
    (cmt_buf_bytes(ev.msg).len + CMT__ENTRY_COST) / UNIT;
  cmt_mailbox_done(f->mailbox, &ev);
  m->stopped[peer] = m->stopped[peer] && !reads_on(m, peer);
}

static void limits_are_exact(void **state) {
  fixture *f = *state;
  uint64_t drawn = 1;
  model m = {.stopped = {false}};

  f->queue = QUEUE;
  f->queue_bytes = (size_t)QUEUE_UNITS * UNIT;
  start(f, (size_t)TOTAL * UNIT);
  for (int step = 0; step < STEPS; step++) {
    /* Now more come and now fewer, so that it is full and empty by turns. */
    if (test_below(&drawn, 8) < (step / 100 % 2 == 0 ? 5 : 3)) {
      one_comes(f, &m, &drawn);
    } else {
      one_is_done(f, &m);
    }
    assert_int_equal(units_of_all(&m) * UNIT, cmt__mailbox_bytes(f->mailbox));
    for (size_t i = 0; i < PEERS; i++) {
      assert_int_equal(m.stopped[i], f->inboxes[i]->waits);
      assert_int_equal(m.stopped[i], f->peers[i].send_queue.blocks);
    }
  }
}

/* The ring buffer of an inbox starts with 8 places and doubles; one of more
   than 64 goes when it is empty. */
static void a_queue_has_as_many_places_as_it_needs(void **state) {
  static const struct {
    size_t messages, places, kept;
  } rows[] = {{1, 8, 8}, {8, 8, 8}, {9, 16, 16}, {64, 64, 64}, {65, 128, 0}};
  fixture *f = *state;

  f->queue = 1000;
  f->queue_bytes = 1000000;
  start(f, 1000000);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    size_t before =
      f->env.live_bytes - f->inboxes[0]->queue.cap * sizeof(cmt__entry);

    for (size_t k = 0; k < rows[i].messages; k++) {
      assert_cmt(CMT_OK, put(f, 0, A, (uint8_t)k));
    }
    assert_int_equal(rows[i].places, f->inboxes[0]->queue.cap);
    for (size_t k = 0; k < rows[i].messages; k++) {
      cmt_mailbox_event ev;

      (void)next(f, &ev);
      assert_int_equal(k, cmt_buf_bytes(ev.msg).base[0]);
      cmt_mailbox_done(f->mailbox, &ev);
    }
    assert_int_equal(rows[i].kept, f->inboxes[0]->queue.cap);
    assert_int_equal(before + rows[i].kept * sizeof(cmt__entry),
                     f->env.live_bytes);
  }
}

/* Inboxes lie behind each other in memory, so each begins where one may. */
static void an_inbox_is_as_large_as_its_channels(void **state) {
  const size_t align = _Alignof(cmt__inbox);

  (void)state;
  for (size_t count = 0; count < 10; count++) {
    cmt_mailbox m = {.quota.channel_count = count};
    size_t size = sizeof(cmt__inbox) + count * sizeof(cmt__inbox_count);

    while (size % align != 0) {
      size++;
    }
    assert_int_equal(size, cmt__inbox_size(&m.quota));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(limits_are_exact, setup, teardown),
    cmocka_unit_test_setup_teardown(a_queue_has_as_many_places_as_it_needs,
                                    setup, teardown),
    cmocka_unit_test(an_inbox_is_as_large_as_its_channels),
  };

  return cmocka_run_group_tests_name("mailbox_limits", tests, NULL, NULL);
}
