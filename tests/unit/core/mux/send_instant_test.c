/* SPDX-License-Identifier: Apache-2.0 */

/* When a multiplexer may send is computed when something is charged or queued,
   and must always be what a computation from the limits themselves yields. */

#include "core/mux/mconn_impl.h"
#include "test.h"

enum { SEEDS = 300, STEPS = 300, CROWD = 2, CHANNELS = 3 };

typedef struct fixture {
  test_env t;
  uint64_t seed, now_ns;
  cmt__quota quota;
  cmt_channel channels[CHANNELS];
  cmt_mconn *m[CROWD];
} fixture;

static uint64_t draw(fixture *f, uint64_t n) { return test_draw(&f->seed) % n; }

static uint64_t draw_rate(fixture *f) {
  static const uint64_t rates[] = {0, 0, 1000, 50000, 3000000};

  return rates[draw(f, CMT__COUNT(rates))];
}

/* From nothing but queues, limits and the group. */
static uint64_t expected_ns(const cmt_mconn *m) {
  const cmt__channels *cs = &m->channels;
  uint64_t any_ns = CMT_NEVER, urgent_ns = CMT_NEVER;

  for (size_t i = 0; i < cs->count; i++) {
    uint64_t open_ns = cs->rates != NULL ? cs->rates[i].send.open_ns : 0;

    if (cmt__counter32_get(&cs->list[i].queue_count) > 0) {
      any_ns = cmt__min64(any_ns, open_ns);
      if (cs->group->list[i].traffic == CMT_TRAFFIC_URGENT) {
        urgent_ns = cmt__min64(urgent_ns, open_ns);
      }
    }
  }
  any_ns = cmt__max64(any_ns, m->send != NULL ? m->send->open_ns : 0);
  any_ns = cmt__max64(any_ns, m->shared_send_ns);
  if (cs->urgent != NULL) {
    urgent_ns = cmt__max64(urgent_ns, cs->urgent->open_ns);
  }
  if (cs->quota != NULL && cs->quota->urgent.per_s > 0) {
    urgent_ns = cmt__max64(urgent_ns, cs->quota->urgent.open_ns);
  }
  return cmt__min64(any_ns, urgent_ns);
}

static void check(const fixture *f) {
  for (size_t i = 0; i < CROWD; i++) {
    const cmt_mconn *m = f->m[i];
    uint64_t found_ns = cmt__mconn_send_ns(m);
    bool urgent, may = m->channels.ready > 0 && found_ns <= f->now_ns;

    if (found_ns != expected_ns(m)) {
      fail_msg("found %llu, expected %llu", (unsigned long long)found_ns,
               (unsigned long long)expected_ns(m));
    }
    assert_int_equal(may ||
                       cmt__ping_wants_write(&m->ping, m->channels.ready > 0),
                     cmt__mconn_wants_write(m, &urgent));
  }
}

static void fixture_init(fixture *f, uint64_t seed) {
  cmt_mconn_options o;

  memset(f, 0, sizeof *f);
  f->seed = seed;
  test_env_init(&f->t);
  cmt__quota_init(&f->quota, 0, 1 << 20);
  cmt__quota_limit(&f->quota, draw_rate(f), 0, 0);
  for (size_t i = 0; i < CHANNELS; i++) {
    f->channels[i] = (cmt_channel){
      .id = (uint8_t)i,
      .priority = 1,
      .traffic = draw(f, 2) == 0 ? CMT_TRAFFIC_NORMAL : CMT_TRAFFIC_URGENT,
      .send_rate = draw_rate(f),
    };
  }
  cmt_mconn_options_init(&o);
  o.env = &f->t.env;
  o.channels = f->channels;
  o.channel_count = CHANNELS;
  o.send_rate = draw_rate(f);
  for (size_t i = 0; i < CROWD; i++) {
    assert_cmt(CMT_OK, cmt_mconn_new(&o, 0, &f->m[i], NULL));
    if (draw(f, 4) > 0) {
      cmt__mconn_attach_quota(f->m[i], &f->quota, NULL, NULL);
    }
  }
}

static void fixture_fini(fixture *f) {
  for (size_t i = 0; i < CROWD; i++) {
    cmt_mconn_delete(f->m[i]);
  }
  test_env_fini(&f->t);
}

static void queue(fixture *f, cmt_mconn *m) {
  cmt_buf *msg = cmt_buf_new(&f->t.env, draw(f, 20000));

  assert_non_null(msg);
  if (cmt_mconn_try_send(m, (uint8_t)draw(f, CHANNELS), msg) != CMT_OK) {
    cmt_buf_unref(msg);
  }
}

static void write_some(fixture *f, cmt_mconn *m) {
  uint8_t dest[32768];
  cmt__batch r = cmt__batch_plain(&f->t.env, dest, 2000 + draw(f, 30000));

  cmt__mconn_fill(m, &r, f->now_ns);
  cmt__mconn_taken(m, cmt__mconn_filled(m), f->now_ns);
}

/* The next instant at which something may change, or any before it. */
static void wait_some(fixture *f, cmt_mconn *m) {
  uint64_t at_ns = cmt__mconn_send_ns(m);

  if (at_ns != CMT_NEVER && at_ns > f->now_ns && draw(f, 2) == 0) {
    f->now_ns = at_ns - draw(f, 2);
  } else {
    f->now_ns += draw(f, CMT_MILLISECONDS(100));
  }
  for (size_t i = 0; i < CROWD; i++) {
    cmt__mconn_enter(f->m[i], f->now_ns);
  }
}

static void step(fixture *f) {
  cmt_mconn *m = f->m[draw(f, CROWD)];

  switch (draw(f, 4)) {
  case 0:
    queue(f, m);
    break;
  case 1:
    write_some(f, m);
    break;
  case 2:
    cmt_ignore(cmt_mconn_ping(m));
    break;
  default:
    wait_some(f, m);
    break;
  }
}

static void the_instant_is_that_of_the_limits(void **state) {
  uint64_t waits = 0;

  (void)state;
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    fixture f;

    fixture_init(&f, seed);
    check(&f);
    for (int i = 0; i < STEPS; i++) {
      step(&f);
      check(&f);
      waits +=
        f.m[0]->channels.ready > 0 && cmt__mconn_send_ns(f.m[0]) > f.now_ns;
    }
    fixture_fini(&f);
  }
  assert_in_range(waits, SEEDS, SEEDS * STEPS); /* The limits did limit. */
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_instant_is_that_of_the_limits),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
