/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler against the model of tests/vectors/schedule.py, and its shares
   in virtual time. */
#include "packets.h"

#include "core/mux/channel.h"
#include "parsed.h"

#include <stdlib.h>

enum { OUT_MAX = 1 << 21, LINK_BYTES_PER_MS = 5120 };

typedef struct fixture {
  test_env t;
  cmt_conn_group *group;
  cmt__channels cs;
  uint64_t now_ns;
  uint8_t *out;
  size_t room; /* Room of the link, not used in the milliseconds before. */
} fixture;

static void fixture_init(fixture *f, const cmt_channel *list, size_t count) {
  cmt_conn_group_options o;

  test_env_init(&f->t);
  o = cmt__conn_group_options(&f->t.env, list, count);
  assert_cmt(CMT_OK, cmt_conn_group_new(&o, 0, &f->group, NULL));
  assert_cmt(CMT_OK, cmt__channels_init(&f->cs, f->group, test_wire()));
  f->cs.payload_max = 1024;
  f->cs.decay_at_ns = CMT_SECONDS(2);
  cmt__channels_start(&f->cs, 0, 0);
  f->now_ns = 0;
  f->room = 0;
  f->out = malloc(OUT_MAX);
}

static void fixture_fini(fixture *f) {
  cmt__channels_fini(&f->cs);
  cmt__conn_group_unref(f->group);
  test_env_fini(&f->t);
  free(f->out);
}

static cmt_err queue(fixture *f, uint8_t id, size_t len) {
  cmt_buf *msg = cmt_buf_new(&f->t.env, len);
  size_t at = f->group->index[id];
  cmt_err err;

  if (len > 0) {
    memset(cmt_buf_data(msg), 0, len);
  }
  err = cmt__channel_refuses(f->group->list, f->cs.count, UINT16_MAX, at, len);
  if (err == CMT_OK) {
    err = cmt__channel_queue(&f->cs, at, msg);
  }
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

/* ---- the model's tables ---- */

/* One packet of the model's text, "id.length" with "!" and "*count". */
typedef struct expected {
  unsigned long id, len, count;
  bool eof;
} expected;

static const char *expected_next(const char *text, expected *out) {
  char *at;

  out->id = strtoul(text, &at, 10);
  out->len = strtoul(at + 1, &at, 10);
  out->eof = *at == '!';
  at += out->eof;
  out->count = *at == '*' ? strtoul(at + 1, &at, 10) : 1;
  return at + (*at == ' ');
}

/* Reads the next packet of |in|. */
static void packet_read(cmt_bytes *in, cmt__packet *out) {
  uint64_t body = 0;
  int n = cmt__read_prefix(in->base, in->len, &body);

  assert_true(n > 0 && body <= in->len - (size_t)n);
  assert_cmt(CMT_OK,
             test_wire()->decode((cmt_bytes){in->base + n, (size_t)body}, out));
  in->base += (size_t)n + body;
  in->len -= (size_t)n + body;
}

/* Fills a batch of |room| bytes and compares it with |text|; the packets. */
static size_t run_compare(fixture *f, size_t room, const char *text,
                          const char *where) {
  cmt__batch r = cmt__batch_plain(NULL, f->out, room);
  size_t count = 0;
  cmt_bytes in;

  assert_true(room <= OUT_MAX);
  cmt__channels_fill(&f->cs, &r);
  in = (cmt_bytes){f->out, r.len};
  while (*text != '\0') {
    expected e;

    text = expected_next(text, &e);
    for (unsigned long i = 0; i < e.count; i++, count++) {
      cmt__packet k = {0};

      if (in.len == 0) {
        fail_msg("%s: packet %zu is missing", where, count);
      }
      packet_read(&in, &k);
      if (k.channel != e.id || k.total != e.len || k.eof != e.eof) {
        fail_msg("%s: packet %zu is %u.%zu%s instead of %lu.%lu%s", where,
                 count, k.channel, k.total, k.eof ? "!" : "", e.id, e.len,
                 e.eof ? "!" : "");
      }
    }
  }
  if (in.len > 0) {
    fail_msg("%s: more than %zu packets", where, count);
  }
  return count;
}

static size_t number(const json_t *array, size_t i) {
  return (size_t)json_integer_value(json_array_get(array, i));
}

static void table_init(fixture *f, const json_t *table) {
  const json_t *channels = json_object_get(table, "channels");
  cmt_channel list[CMT_CHANNELS_MAX] = {{0}};
  const json_t *row;
  size_t i;

  json_array_foreach(channels, i, row) {
    list[i] = (cmt_channel){.id = (uint8_t)number(row, 0),
                            .priority = (uint32_t)number(row, 1),
                            .send_queue = (uint32_t)number(row, 2),
                            .traffic = (cmt_traffic)number(row, 3)};
  }
  fixture_init(f, list, json_array_size(channels));
  f->cs.payload_max =
    (uint32_t)json_integer_value(json_object_get(table, "payload"));
}

static size_t step_run(fixture *f, const json_t *step, const char *where) {
  const char *kind = json_string_value(json_array_get(step, 0));

  if (strcmp(kind, "q") == 0) {
    assert_cmt(CMT_OK, queue(f, (uint8_t)number(step, 1), number(step, 2)));
  } else if (strcmp(kind, "full") == 0) {
    assert_cmt(CMT_EAGAIN, queue(f, (uint8_t)number(step, 1), number(step, 2)));
  } else if (strcmp(kind, "n") == 0) {
    f->now_ns += number(step, 1);
    f->cs.now_ns = f->now_ns;
    cmt__channels_decay(&f->cs, f->now_ns);
  } else {
    assert_string_equal("r", kind);
    return run_compare(f, number(step, 1),
                       json_string_value(json_array_get(step, 2)), where);
  }
  return 0;
}

/* Returns how many packets were compared. */
static size_t table_run(const json_t *table) {
  const json_t *recent = json_object_get(table, "recent"), *step;
  size_t i, packets = 0;
  char where[64];
  fixture f;

  table_init(&f, table);
  json_array_foreach(json_object_get(table, "steps"), i, step) {
    snprintf(where, sizeof where, "table %lld, step %zu",
             json_integer_value(json_object_get(table, "seed")), i);
    packets += step_run(&f, step, where);
  }
  for (i = 0; i < f.cs.count; i++) {
    assert_int_equal(number(recent, i), f.cs.list[i].recently_sent);
  }
  fixture_fini(&f);
  return packets;
}

static void scheduler_equals_the_model(void **state) {
  json_t *root = test_vectors("schedule.json");
  const json_t *tables = json_object_get(root, "tables"), *table;
  size_t i, used = 0, packets = 0;

  (void)state;
  json_array_foreach(tables, i, table) {
    packets += table_run(table);
    used++;
  }
  print_message("# schedule.json: %zu packets\n", packets);
  test_used("schedule.json: tables", used, 0, json_array_size(tables));
  assert_int_equal(300, used);
  json_decref(root);
}

/* ---- decay ---- */

static void recently_sent_fades_by_a_fifth_each_two_seconds(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1}};
  fixture f;

  (void)state;
  fixture_init(&f, list, 1);
  f.cs.list[0].recently_sent = 1009;
  f.cs.fading = 1;
  cmt__channels_decay(&f.cs, CMT_SECONDS(2) - 1);
  assert_int_equal(1009, f.cs.list[0].recently_sent);
  cmt__channels_decay(&f.cs, CMT_SECONDS(2));
  assert_int_equal(807, f.cs.list[0].recently_sent);
  cmt__channels_decay(&f.cs, CMT_SECONDS(3));
  assert_int_equal(807, f.cs.list[0].recently_sent);
  cmt__channels_decay(&f.cs, CMT_SECONDS(8) + 1); /* Three at once. */
  assert_int_equal(412, f.cs.list[0].recently_sent);
  cmt__channels_decay(&f.cs, CMT_SECONDS(UINT32_MAX));
  assert_int_equal(0, f.cs.list[0].recently_sent);
  assert_int_equal(0, f.cs.fading);
  assert_in_range(f.cs.decay_at_ns, CMT_SECONDS(UINT32_MAX) + 1,
                  CMT_SECONDS(UINT32_MAX) + CMT_SECONDS(2));
  fixture_fini(&f);
}

/* The highest count is exact in 64 bits beside the highest priority. */
static void counts_never_overflow(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 65535},
                              {.id = 2, .priority = 65535},
                              {.id = 3, .priority = 1}};
  fixture f;

  (void)state;
  fixture_init(&f, list, 3);
  f.cs.list[0].recently_sent = (UINT64_C(1) << 47) - 1;
  f.cs.list[1].recently_sent = UINT64_C(1) << 47;
  f.cs.list[2].recently_sent = UINT64_C(1) << 47;
  assert_cmt(CMT_OK, queue(&f, 3, 1));
  assert_cmt(CMT_OK, queue(&f, 2, 1));
  assert_cmt(CMT_OK, queue(&f, 1, 1));
  run_compare(&f, 33, "1.1! 2.1! 3.1!", "overflow");
  assert_int_equal(UINT64_C(1) << 47, f.cs.list[1].recently_sent);
  fixture_fini(&f);
}

/* ---- shares ---- */

/* Keeps a channel's queue full. */
static void refill(fixture *f, uint8_t id, size_t len) {
  while (queue(f, id, len) == CMT_OK) {
  }
}

/* One millisecond of a link of 5.12 MB/s. */
static void link_millisecond(fixture *f) {
  cmt__batch r = cmt__batch_plain(NULL, f->out, f->room + LINK_BYTES_PER_MS);

  f->now_ns += CMT_MILLISECONDS(1);
  cmt__channels_decay(&f->cs, f->now_ns);
  cmt__channels_fill(&f->cs, &r);
  f->room = cmt__batch_room(&r);
}

static void saturated_channels_share_by_priority(void **state) {
  const cmt_channel list[] = {
    {.id = 0x10, .priority = 1, .send_queue = 4},
    {.id = 0x20, .priority = 5, .send_queue = 4},
    {.id = 0x80, .priority = 7, .send_queue = 40},
    {.id = 0xff, .priority = 10, .send_queue = 4},
  };
  static const size_t lens[] = {65536, 1000, 300, 5000};
  uint64_t total = 0;
  fixture f;

  (void)state;
  fixture_init(&f, list, 4);
  for (int ms = 0; ms < 10000; ms++) {
    for (size_t i = 0; i < 4; i++) {
      refill(&f, list[i].id, lens[i]);
    }
    link_millisecond(&f);
  }
  for (size_t i = 0; i < 4; i++) {
    total += f.cs.list[i].sent_bytes;
  }
  assert_in_range(total, 10000 * LINK_BYTES_PER_MS - 1100,
                  10000 * LINK_BYTES_PER_MS);
  for (size_t i = 0; i < 4; i++) {
    uint64_t fair = total * list[i].priority / 23;

    print_message("# priority %u: %llu of %llu bytes, fair are %llu\n",
                  list[i].priority, (unsigned long long)f.cs.list[i].sent_bytes,
                  (unsigned long long)total, (unsigned long long)fair);
    assert_in_range(f.cs.list[i].sent_bytes, fair * 95 / 100, fair * 105 / 100);
  }
  fixture_fini(&f);
}

typedef struct shares {
  cmt_channel list[16];
  size_t count, len_max;
  uint32_t payload_max;
  uint64_t priorities; /* Their sum. */
} shares;

static uint64_t below(uint64_t *random, uint64_t bound) {
  *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
  return (*random >> 33) % bound;
}

/* Priorities from 1 to 1000, as many below 32 as above. */
static shares shares_draw(uint64_t *random) {
  static const uint32_t payloads[] = {64, 100, 1024, 1400, 16384, 65536};
  shares s = {.count = 2 + below(random, 15)};

  s.payload_max = payloads[below(random, CMT__COUNT(payloads))];
  s.len_max = 1 + below(random, 5 * s.payload_max);
  for (size_t i = 0; i < s.count; i++) {
    uint64_t most = below(random, 2) == 0 ? 32 : 1000;

    s.list[i] = (cmt_channel){.id = (uint8_t)(16 * i),
                              .priority = (uint32_t)(1 + below(random, most)),
                              .send_queue = UINT16_MAX};
    s.priorities += s.list[i].priority;
  }
  return s;
}

/* What a channel has in its queue is more than the link accepts at once. */
static void shares_refill(fixture *f, const shares *s, uint64_t *random) {
  for (size_t i = 0; i < s->count; i++) {
    const cmt__channel *c = &f->cs.list[i];

    while (c->queued_bytes + c->queue_count <
           2 * LINK_BYTES_PER_MS + s->payload_max) {
      assert_cmt(CMT_OK,
                 queue(f, s->list[i].id, 1 + below(random, s->len_max)));
    }
  }
}

static void shares_of_ten_seconds_are_within_a_hundredth(void **state) {
  uint64_t random = 1;

  (void)state;
  for (int draw = 0; draw < 4; draw++) {
    shares s = shares_draw(&random);
    uint64_t total = 0;
    fixture f;

    fixture_init(&f, s.list, s.count);
    f.cs.payload_max = s.payload_max;
    f.out = realloc(f.out, 2 * OUT_MAX);
    for (int ms = 0; ms < 10000; ms++) {
      shares_refill(&f, &s, &random);
      link_millisecond(&f);
    }
    for (size_t i = 0; i < s.count; i++) {
      total += f.cs.list[i].sent_bytes;
    }
    assert_true(total > 9900 * LINK_BYTES_PER_MS);
    for (size_t i = 0; i < s.count; i++) {
      uint64_t fair = total * s.list[i].priority / s.priorities;

      assert_in_range(f.cs.list[i].sent_bytes + total / 100, fair,
                      fair + total / 50);
    }
    fixture_fini(&f);
  }
}

typedef struct wake {
  uint64_t longest_ms;  /* Without a byte of the busy channel. */
  uint64_t busy, woken; /* Bytes in the second after the wake. */
  uint64_t first_ms;    /* Until the woken one's first byte. */
} wake;

/* A channel of priority |busy| has had the link of 5.12 MB/s for 60 s; one of
   priority |woken| wakes. */
static wake wake_run(uint32_t busy, uint32_t woken) {
  const cmt_channel list[] = {{.id = 1, .priority = busy, .send_queue = 8},
                              {.id = 2, .priority = woken, .send_queue = 8}};
  wake w = {.first_ms = UINT64_MAX};
  uint64_t quiet = 0, before[2];
  fixture f;

  fixture_init(&f, list, 2);
  for (int ms = 0; ms < 60000; ms++) {
    refill(&f, 1, 4096);
    link_millisecond(&f);
  }
  before[0] = f.cs.list[0].sent_bytes;
  before[1] = f.cs.list[1].sent_bytes;
  assert_int_equal(0, before[1]);
  for (uint64_t ms = 0; ms < 10000; ms++) {
    uint64_t had = f.cs.list[0].sent_bytes;

    refill(&f, 1, 4096);
    refill(&f, 2, 4096);
    link_millisecond(&f);
    quiet = f.cs.list[0].sent_bytes == had ? quiet + 1 : 0;
    w.longest_ms = quiet > w.longest_ms ? quiet : w.longest_ms;
    if (f.cs.list[1].sent_bytes > 0 && w.first_ms == UINT64_MAX) {
      w.first_ms = ms;
    }
    if (ms == 999) {
      w.busy = f.cs.list[0].sent_bytes - before[0];
      w.woken = f.cs.list[1].sent_bytes;
    }
  }
  fixture_fini(&f);
  return w;
}

/* Without a floor the busy channel would get nothing for 7.9 s. */
static void channel_that_wakes_starves_nobody(void **state) {
  wake w = wake_run(7, 10);

  (void)state;
  print_message("# the busy channel waits %llu ms at most\n",
                (unsigned long long)w.longest_ms);
  /* 64 KiB at 5.12 MB/s are 12.8 ms. */
  assert_in_range(w.longest_ms, 1, 14);
  assert_int_equal(0, w.first_ms);
  assert_in_range(w.woken * 7 * 100, w.busy * 10 * 95, w.busy * 10 * 110);

  w = wake_run(10, 1);
  assert_in_range(w.longest_ms, 0, 14);
  assert_int_equal(0, w.first_ms);

  w = wake_run(1, 65535);
  assert_int_equal(0, w.first_ms);
}

/* A channel that is ready now and then must not save up. */
static void channel_that_comes_and_goes_gains_nothing(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 5, .send_queue = 8},
                              {.id = 2, .priority = 5, .send_queue = 8}};
  uint64_t quiet = 0, longest = 0;
  fixture f;

  (void)state;
  fixture_init(&f, list, 2);
  for (int ms = 0; ms < 20000; ms++) {
    uint64_t had = f.cs.list[0].sent_bytes;

    refill(&f, 1, 4096);
    if (ms / 1000 % 2 == 1) {
      refill(&f, 2, 4096);
    }
    link_millisecond(&f);
    quiet = f.cs.list[0].sent_bytes == had ? quiet + 1 : 0;
    longest = quiet > longest ? quiet : longest;
  }
  assert_in_range(longest, 0, 14);
  fixture_fini(&f);
}

/* A channel that becomes ready while no other is, since the queue of a busy one
   has just run empty, is not ahead of it by all that it ever sent. */
static void channel_that_wakes_alone_starves_nobody(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 10, .send_queue = 100},
                              {.id = 2, .priority = 1, .send_queue = 100}};
  uint64_t quiet = 0, longest = 0;
  fixture f;

  (void)state;
  fixture_init(&f, list, 2);
  for (int ms = 0; ms < 30000; ms++) {
    refill(&f, 1, 100);
    link_millisecond(&f);
  }
  f.room = OUT_MAX - LINK_BYTES_PER_MS;
  link_millisecond(&f);
  assert_int_equal(0, f.cs.ready);
  f.room = 0;
  for (int ms = 0; ms < 1000; ms++) {
    uint64_t had = f.cs.list[0].sent_bytes;

    refill(&f, 2, 100);
    refill(&f, 1, 100);
    link_millisecond(&f);
    quiet = f.cs.list[0].sent_bytes == had ? quiet + 1 : 0;
    longest = quiet > longest ? quiet : longest;
  }
  assert_in_range(longest, 1, 14); /* 64 KiB, as above. */
  fixture_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(scheduler_equals_the_model),
    cmocka_unit_test(recently_sent_fades_by_a_fifth_each_two_seconds),
    cmocka_unit_test(counts_never_overflow),
    cmocka_unit_test(saturated_channels_share_by_priority),
    cmocka_unit_test(shares_of_ten_seconds_are_within_a_hundredth),
    cmocka_unit_test(channel_that_wakes_starves_nobody),
    cmocka_unit_test(channel_that_wakes_alone_starves_nobody),
    cmocka_unit_test(channel_that_comes_and_goes_gains_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
