/* SPDX-License-Identifier: Apache-2.0 */
/* What may wait in a mailbox, as a table: a quota of three peers, of a channel
   of at most 4 messages and 1,000 bytes, and another without limits that
   matter. */

#include "reactor/inbox_quota.h"
#include "test.h"

enum { SMALL, LARGE, CHANNELS };
enum { PEERS = 3, TOTAL = 9000, FLOOR = 3000 };

typedef struct fixture {
  cmt__inbox_quota quota;
  cmt__inbox_count counts[PEERS][CHANNELS];
  cmt__inbox_usage usages[PEERS];
} fixture;

static void start(fixture *f) {
  static const cmt_channel channels[CHANNELS] = {
    {.id = 1, .recv_queue = 4, .recv_queue_bytes = 1000},
    {.id = 2, .recv_queue = 1000000, .recv_queue_bytes = 1000000},
  };

  *f = (fixture){.quota.bytes = 0};
  cmt__inbox_quota_init(&f->quota, channels, CHANNELS, TOTAL, PEERS);
  for (size_t i = 0; i < PEERS; i++) {
    f->usages[i].counts = f->counts[i];
  }
  assert_int_equal(FLOOR, f->quota.floor);
}

static void a_message_fits_within_the_limits_of_its_channel(void **state) {
  static const struct {
    uint32_t messages; /* What waits on the channel, */
    size_t bytes;      /* and their bytes. */
    size_t cost;
    bool fits, is_full, over_half;
  } rows[] = {
    {0, 0, 1, true, false, false},     {0, 0, 1000, true, false, false},
    {0, 0, 5000, true, false, false}, /* The first one always. */
    {1, 400, 600, true, false, false}, {1, 400, 601, false, false, false},
    {2, 500, 500, true, false, false}, {2, 501, 1, true, false, true},
    {3, 30, 1, true, false, true},     {3, 999, 1, true, false, true},
    {3, 999, 2, false, false, true},   {4, 40, 1, false, true, true},
    {1, 1000, 1, false, true, true},   {1, 1001, 1, false, true, true},
  };

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fixture f;

    start(&f);
    for (uint32_t k = 0; k < rows[i].messages; k++) {
      cmt__inbox_quota_charge(&f.quota, &f.usages[0], SMALL,
                              k > 0 ? 0 : rows[i].bytes);
    }
    assert_int_equal(rows[i].fits, cmt__inbox_quota_fits(&f.quota, &f.usages[0],
                                                         SMALL, rows[i].cost));
    assert_int_equal(rows[i].is_full,
                     cmt__inbox_quota_is_full(&f.quota, &f.usages[0], SMALL));
    assert_int_equal(rows[i].over_half,
                     cmt__inbox_quota_over_half(&f.quota, &f.usages[0]));
  }
}

static void an_inbox_has_its_floor_and_what_is_left(void **state) {
  static const struct {
    size_t ours, others; /* Bytes that wait. */
    size_t cost;
    bool fits, is_full, over_half;
  } rows[] = {
    {0, 20000, 50000, true, false, false}, /* The first of a peer always. */
    {4400, 0, 200, true, false, true},
    {4500, 0, 1, false, true, true}, /* Alone: half of the total. */
    {2999, 9000, 1, true, false, true},
    {2999, 9000, 2, false, false, true},
    {3000, 9000, 1, false, true, true},
    {1500, 9000, 1, true, false, false},
    {1501, 9000, 1, true, false, true},
    {3000, 2000, 1000, true, false, true}, /* 4,000 are left. */
    {3000, 2000, 1001, false, false, true},
    {1999, 3000, 1, true, false, false},
    {2001, 3000, 1998, true, false, true},
  };

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fixture f;

    start(&f);
    if (rows[i].ours > 0) {
      cmt__inbox_quota_charge(&f.quota, &f.usages[0], LARGE, rows[i].ours);
    }
    cmt__inbox_quota_charge(&f.quota, &f.usages[1], LARGE, rows[i].others);
    assert_int_equal(rows[i].fits, cmt__inbox_quota_fits(&f.quota, &f.usages[0],
                                                         LARGE, rows[i].cost));
    assert_int_equal(rows[i].is_full,
                     cmt__inbox_quota_is_full(&f.quota, &f.usages[0], LARGE));
    assert_int_equal(rows[i].over_half,
                     cmt__inbox_quota_over_half(&f.quota, &f.usages[0]));
  }
}

/* Peers that each reserve what fits, in any order, and stop when they are
   full. */
static void all_peers_together_stay_under_the_promised_memory(void **state) {
  uint64_t seed = 4, most = cmt__inbox_quota_memory(TOTAL, PEERS);

  (void)state;
  for (int run = 0; run < 2000; run++) {
    size_t turns = 0;
    fixture f;

    start(&f);
    while (turns < 100) {
      size_t peer = test_draw(&seed) % PEERS;
      size_t cost = 1 + test_draw(&seed) % 100;

      turns++;
      if (!cmt__inbox_quota_is_full(&f.quota, &f.usages[peer], LARGE) &&
          cmt__inbox_quota_fits(&f.quota, &f.usages[peer], LARGE, cost)) {
        cmt__inbox_quota_charge(&f.quota, &f.usages[peer], LARGE, cost);
      } else {
        cost = f.usages[peer].bytes;
        if (cost > 0 && test_draw(&seed) % 4 == 0) {
          cmt__inbox_quota_release(&f.quota, &f.usages[peer], LARGE, cost);
        }
      }
      assert_true(f.quota.bytes <= most);
      assert_int_equal(f.quota.bytes, f.usages[0].bytes + f.usages[1].bytes +
                                        f.usages[2].bytes);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_message_fits_within_the_limits_of_its_channel),
    cmocka_unit_test(an_inbox_has_its_floor_and_what_is_left),
    cmocka_unit_test(all_peers_together_stay_under_the_promised_memory),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
