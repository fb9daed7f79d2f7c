/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: their limits, queues, cutting, reassembly.  The scheduler is in
   channel_schedule_test.c. */
#include "base/buf.h"
#include "packets.h"

#include "core/mux/channel.h"
#include "parsed.h"

#include <stdlib.h>

typedef struct fixture {
  test_env t;
  cmt_conn_group *group;
  cmt__channels cs;
} fixture;

static void fixture_init(fixture *f, const cmt_channel *list, size_t count) {
  cmt_conn_group_options o;

  test_env_init(&f->t);
  o = cmt__conn_group_options(&f->t.env, list, count);
  assert_cmt(CMT_OK, cmt_conn_group_new(&o, 0, &f->group, NULL));
  assert_cmt(CMT_OK, cmt__channels_init(&f->cs, f->group, test_wire()));
  f->cs.payload_max = 1024;
  f->cs.recv_reserved_max = 1 << 20;
  f->cs.decay_at_ns = CMT_SECONDS(2);
}

static void fixture_fini(fixture *f) {
  cmt__channels_fini(&f->cs);
  cmt__conn_group_unref(f->group);
  test_env_fini(&f->t);
}

/* Queues a message of |len| bytes; what was not accepted is dropped. */
static cmt_err queue(fixture *f, uint8_t id, size_t len) {
  cmt_buf *msg = cmt_buf_new(&f->t.env, len);
  size_t at = f->group->index[id];
  cmt_err err;

  assert_non_null(msg);
  if (len > 0) {
    memset(cmt_buf_data(msg), id, len);
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

/* ---- what a channel may be ---- */

static void assert_refused(const cmt_channel *list, size_t count,
                           const char *text) {
  cmt_why why = {0};

  assert_cmt(CMT_EINVAL, cmt__channels_check(list, count, &why));
  assert_int_equal(CMT_EINVAL, why.err);
  assert_string_equal(text, why.text);
  assert_cmt(CMT_EINVAL, cmt__channels_check(list, count, NULL));
}

static void bad_channels_are_refused_by_name(void **state) {
  cmt_channel many[17];

  (void)state;
  for (size_t i = 0; i < 17; i++) {
    many[i] = (cmt_channel){.id = (uint8_t)i, .priority = 1};
  }
  assert_cmt(CMT_OK, cmt__channels_check(many, 16, NULL));
  assert_cmt(CMT_OK, cmt__channels_check(NULL, 0, NULL));
  assert_refused(many, 17, "17 channels, allowed are 16");
  assert_cmt(CMT_OK,
             cmt__channels_check((cmt_channel[]){{.id = 0x40}}, 1, NULL));
  assert_int_equal(1,
                   cmt__channel_defaults(&(cmt_channel){.id = 0x40}).priority);
  assert_refused((cmt_channel[]){{.id = 0x40, .priority = 65536}}, 1,
                 "channel 0x40: priority is 65536, allowed is 1 to 65535");
  assert_refused(
    (cmt_channel[]){{.id = 1, .priority = 1, .send_queue = 1000001}}, 1,
    "channel 0x01: send_queue is 1000001, allowed is 1 to 1000000");
  assert_refused(
    (cmt_channel[]){{.priority = 1, .recv_message_max = (1 << 30) + 1}}, 1,
    "channel 0x00: send_message_max is 1073741825, allowed is 1 "
    "to 1073741824");
  assert_refused((cmt_channel[]){{.priority = 1,
                                  .send_message_max = 1,
                                  .recv_message_max = (1 << 30) + 1}},
                 1,
                 "channel 0x00: recv_message_max is 1073741825, allowed is 1 "
                 "to 1073741824");
  many[3].id = 2;
  assert_refused(many, 4, "channel 0x02 is listed twice");
}

static void defaults_are_filled_in(void **state) {
  cmt_channel c = cmt__channel_defaults(&(cmt_channel){.id = 9});

  (void)state;
  assert_int_equal(9, c.id);
  assert_int_equal(100, c.send_queue);
  assert_int_equal(22020096, c.recv_message_max);
  assert_int_equal(22020096, c.send_message_max);
  c = cmt__channel_defaults(&(cmt_channel){.recv_message_max = 5});
  assert_int_equal(5, c.send_message_max);
}

static void allocation_failure_of_init_is_reported(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1}};
  cmt_conn_group_options o;
  cmt_conn_group *group;
  cmt__channels cs;
  test_env t;

  (void)state;
  test_env_init(&t);
  o = cmt__conn_group_options(&t.env, list, 1);
  assert_cmt(CMT_OK, cmt_conn_group_new(&o, 0, &group, NULL));
  t.fail_at = t.allocs;
  assert_cmt(CMT_ENOMEM, cmt__channels_init(&cs, group, test_wire()));
  cmt__channels_fini(&cs);
  cmt__conn_group_unref(group);
  test_env_fini(&t);
}

/* ---- queues ---- */

static void queue_takes_its_capacity_beside_the_one_being_cut(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1, .send_queue = 1},
                              {.id = 2, .priority = 1, .send_queue = 9}};
  fixture f;

  (void)state;
  fixture_init(&f, list, 2);
  assert_cmt(CMT_OK, queue(&f, 1, 10));
  assert_cmt(CMT_OK, queue(&f, 1, 10));
  assert_cmt(CMT_EAGAIN, queue(&f, 1, 10));
  for (int i = 0; i < 10; i++) {
    assert_cmt(CMT_OK, queue(&f, 2, 0));
  }
  assert_cmt(CMT_EAGAIN, queue(&f, 2, 0));
  assert_cmt(CMT_ENOCHANNEL, queue(&f, 3, 0));
  fixture_fini(&f);
}

/* Buckets of a channel's limits, and the one that urgent channels share, are
   there when a channel asks for them. */
static void buckets_take_memory_when_one_asks_for_them(void **state) {
  static const struct {
    cmt_channel second;
    bool rates, urgent;
  } rows[] = {
    {{.id = 2, .priority = 1}, false, false},
    {{.id = 2, .priority = 1, .send_rate = 1}, true, false},
    {{.id = 2, .priority = 1, .recv_rate = 1}, true, false},
    {{.id = 2, .priority = 1, .traffic = CMT_TRAFFIC_URGENT}, false, true},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt_channel list[] = {{.id = 1, .priority = 1}, rows[i].second};
    cmt__channels more;
    size_t before, expected = 2 * sizeof *more.list;
    fixture f;

    expected += rows[i].rates ? 2 * sizeof *more.rates : 0;
    expected += rows[i].urgent ? sizeof *more.urgent : 0;
    fixture_init(&f, list, 2);
    before = f.t.live_bytes;
    assert_cmt(CMT_OK, cmt__channels_init(&more, f.group, test_wire()));
    assert_int_equal(expected, f.t.live_bytes - before);
    cmt__channels_fini(&more);
    fixture_fini(&f);
  }
}

static void message_over_the_send_limit_is_refused(void **state) {
  const cmt_channel list[] = {
    {.id = 1, .priority = 1, .send_message_max = 100, .recv_message_max = 5}};
  fixture f;

  (void)state;
  fixture_init(&f, list, 1);
  assert_cmt(CMT_ETOOBIG, queue(&f, 1, 101));
  assert_cmt(CMT_OK, queue(&f, 1, 100));
  fixture_fini(&f);
}

static void queue_that_cannot_grow_refuses_and_loses_nothing(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1, .send_queue = 100}};
  uint8_t out[100];
  cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);
  cmt_buf *msg;
  fixture f;

  (void)state;
  fixture_init(&f, list, 1);
  for (int i = 0; i < 4; i++) {
    assert_cmt(CMT_OK, queue(&f, 1, 1));
  }
  msg = cmt_buf_new(&f.t.env, 1);
  f.t.fail_at = f.t.allocs;
  assert_cmt(CMT_ENOMEM, cmt__channel_queue(&f.cs, 0, msg));
  assert_cmt(CMT_OK, cmt__channel_queue(&f.cs, 0, msg));
  cmt__channels_fill(&f.cs, &r);
  assert_int_equal(5 * 10, r.len);
  fixture_fini(&f);
}

/* ---- cutting ---- */

/* The packets of all that is queued, as "length" and "length!" words. */
static void assert_cut(fixture *f, const char *expected) {
  static uint8_t out[PARSED_BYTES_MAX];
  static parsed p;
  cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);
  char text[512] = "";
  size_t at = 0;

  cmt__channels_fill(&f->cs, &r);
  parsed_cut(&p, 65536, (cmt_bytes){out, r.len}, parsed_next_whole, NULL);
  for (size_t i = 0; i < p.count; i++) {
    at +=
      (size_t)snprintf(text + at, sizeof text - at, "%s%zu%s", i > 0 ? " " : "",
                       p.list[i].total, p.list[i].eof ? "!" : "");
  }
  assert_string_equal(expected, text);
}

static void messages_are_cut_at_the_payload(void **state) {
  const cmt_channel list[] = {{.id = 0x31, .priority = 1, .send_queue = 20}};
  static const struct {
    size_t len;
    const char *cut;
  } rows[] = {
    {0, "0!"},
    {1, "1!"},
    {1023, "1023!"},
    {1024, "1024!"},
    {1025, "1024 1!"},
    {2048, "1024 1024!"},
    {2049, "1024 1024 1!"},
  };
  fixture f;

  (void)state;
  fixture_init(&f, list, 1);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_cmt(CMT_OK, queue(&f, 0x31, rows[i].len));
    assert_cut(&f, rows[i].cut);
  }
  fixture_fini(&f);
}

static void ids_from_0x80_leave_a_byte_for_the_eof(void **state) {
  const cmt_channel list[] = {{.id = 0x80, .priority = 1}};
  static const struct {
    size_t len;
    const char *cut;
  } rows[] = {
    {0, "0!"},
    {1022, "1022!"},
    {1023, "1023!"},
    {1024, "1024 0!"},
    {1025, "1024 1!"},
    {2047, "1024 1023!"},
    {2048, "1024 1024 0!"},
  };
  fixture f;

  (void)state;
  fixture_init(&f, list, 1);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_cmt(CMT_OK, queue(&f, 0x80, rows[i].len));
    assert_cut(&f, rows[i].cut);
  }
  f.cs.payload_max = 1;
  assert_cmt(CMT_OK, queue(&f, 0x80, 2));
  assert_cut(&f, "1 1 0!");
  fixture_fini(&f);
}

/* Empty messages would fill a batch with tens of thousands of packets. */
static void a_run_has_at_most_4096_packets(void **state) {
  const cmt_channel list[] = {
    {.id = 0x31, .priority = 1, .send_queue = 6000},
    {.id = 0x32,
     .priority = 1,
     .send_queue = 6000,
     .traffic = CMT_TRAFFIC_URGENT},
  };
  /* Packets of the urgent channel come first, and beside its last 904 others up
     to 7000 bytes, since such a batch is short. */
  static const size_t counts[] = {4096, 1000, 4096, 808};
  static uint8_t out[1 << 17];
  fixture f;

  (void)state;
  fixture_init(&f, list, 2);
  cmt__channels_start(&f.cs, 0, 0);
  for (int i = 0; i < 5000; i++) {
    assert_cmt(CMT_OK, queue(&f, 0x31, 0));
    assert_cmt(CMT_OK, queue(&f, 0x32, 0));
  }
  for (size_t i = 0; i < CMT__COUNT(counts); i++) {
    cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);

    cmt__channels_fill(&f.cs, &r);
    assert_int_equal(counts[i] * 7, r.len);
  }
  assert_int_equal(5000, f.cs.list[1].cut_messages);
  assert_int_equal(5000, f.cs.list[0].cut_messages);
  fixture_fini(&f);
}

/* No packet that is sent is over the limit of a node with the same payload,
   whatever the id. */
static void no_packet_is_over_an_equal_nodes_limit(void **state) {
  static const uint32_t payloads[] = {1, 2, 127, 128, 1024, 1400, 16384};
  static uint8_t out[1 << 18];

  (void)state;
  for (size_t k = 0; k < CMT__COUNT(payloads); k++) {
    for (unsigned id = 0; id < 256; id += 5) {
      const cmt_channel list[] = {{.id = (uint8_t)id, .priority = 1}};
      uint32_t payload = payloads[k];
      fixture f;

      fixture_init(&f, list, 1);
      f.cs.payload_max = payload;
      assert_cmt(CMT_OK, queue(&f, (uint8_t)id, 3 * payload));
      while (f.cs.ready > 0) {
        cmt__batch r = cmt__batch_plain(
          NULL, out, test_wire()->msg_size((uint8_t)id, true, payload));
        uint64_t body = 0;

        cmt__channels_fill(&f.cs, &r);
        assert_true(cmt__read_prefix(out, r.len, &body) > 0);
        assert_in_range(body, 1, test_wire()->limit(payload));
      }
      fixture_fini(&f);
    }
  }
}

static void status_counts_what_is_queued_and_sent(void **state) {
  const cmt_channel list[] = {{.id = 0x31, .priority = 1, .send_queue = 5}};
  uint8_t out[2000];
  cmt__batch r = cmt__batch_plain(NULL, out, 1100);
  cmt_channel_status s;
  fixture f;

  (void)state;
  fixture_init(&f, list, 1);
  assert_cmt(CMT_OK, queue(&f, 0x31, 1500));
  assert_cmt(CMT_OK, queue(&f, 0x31, 7));
  cmt__channel_get_status(&f.cs, 0, &s);
  assert_int_equal(0x31, s.id);
  assert_int_equal(2, s.queued_messages);
  assert_int_equal(1507, s.queued_bytes);
  assert_int_equal(0, s.sent_bytes);
  cmt__channels_fill(&f.cs, &r);
  cmt__channel_get_status(&f.cs, 0, &s);
  assert_int_equal(2, s.queued_messages);
  assert_int_equal(483, s.queued_bytes);
  assert_int_equal(0, s.sent_messages);
  assert_int_equal(1034, s.sent_bytes);
  assert_int_equal(1034, s.recently_sent_bytes);
  r = cmt__batch_plain(NULL, out, sizeof out);
  cmt__channels_fill(&f.cs, &r);
  cmt__channel_get_status(&f.cs, 0, &s);
  assert_int_equal(0, s.queued_messages);
  assert_int_equal(0, s.queued_bytes);
  assert_int_equal(2, s.sent_messages);
  assert_int_equal(1507, f.cs.cut_bytes);
  assert_int_equal(2, f.cs.list[0].cut_messages);
  fixture_fini(&f);
}

/* ---- reassembly ---- */

/* Hands a packet of |len| bytes over, in one part. */
static cmt_err take(fixture *f, uint8_t id, bool eof, size_t len,
                    cmt_buf **done) {
  uint8_t *data = malloc(len + 1);
  cmt__packet k = {.kind = CMT__PACKET_MSG,
                   .channel = id,
                   .eof = eof,
                   .first = true,
                   .last = true,
                   .total = len,
                   .data = {data, len}};
  cmt_err err;

  memset(data, (int)len, len);
  err = cmt__channel_take(&f->cs, &k, done);
  free(data);
  return err;
}

/* Receives packets without eof of |len| bytes until |total| are there. */
static void take_many(fixture *f, uint8_t id, size_t len, size_t total) {
  cmt_buf *done;

  for (; total > 0; total -= cmt__min(len, total)) {
    assert_cmt(CMT_OK, take(f, id, false, cmt__min(len, total), &done));
    assert_null(done);
  }
}

static void messages_are_put_together(void **state) {
  const cmt_channel list[] = {{.id = 0x30, .priority = 1},
                              {.id = 0x31, .priority = 1}};
  cmt_buf *done;
  fixture f;

  (void)state;
  fixture_init(&f, list, 2);
  assert_cmt(CMT_OK, take(&f, 0x31, false, 3, &done));
  assert_cmt(CMT_OK, take(&f, 0x30, true, 1, &done));
  test_assert_hex("01", cmt_buf_bytes(done).base, cmt_buf_bytes(done).len);
  cmt_buf_unref(done);
  assert_cmt(CMT_OK, take(&f, 0x31, false, 2, &done));
  assert_null(done);
  assert_cmt(CMT_OK, take(&f, 0x31, true, 0, &done));
  test_assert_hex("0303030202", cmt_buf_bytes(done).base,
                  cmt_buf_bytes(done).len);
  cmt_buf_unref(done);
  assert_int_equal(0, f.cs.recv_reserved);
  assert_int_equal(1, f.cs.list[1].recv_messages);
  assert_int_equal(5, f.cs.list[1].recv_bytes);
  fixture_fini(&f);
}

static void empty_messages_are_messages(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1}};
  cmt_buf *done;
  fixture f;

  (void)state;
  fixture_init(&f, list, 1);
  assert_cmt(CMT_OK, take(&f, 1, false, 0, &done));
  assert_null(done);
  for (int i = 0; i < 3; i++) {
    assert_cmt(CMT_OK, take(&f, 1, true, 0, &done));
    assert_non_null(done);
    assert_int_equal(0, cmt_buf_bytes(done).len);
    cmt_buf_unref(done);
  }
  assert_int_equal(3, f.cs.list[0].recv_messages);
  fixture_fini(&f);
}

static void capacity_is_exact(void **state) {
  const cmt_channel list[] = {
    {.id = 1, .priority = 1, .recv_message_max = 5000}};
  cmt_buf *done;
  fixture f;

  (void)state;
  fixture_init(&f, list, 1);
  take_many(&f, 1, 1024, 4096);
  assert_cmt(CMT_OK, take(&f, 1, true, 904, &done));
  assert_int_equal(5000, cmt_buf_bytes(done).len);
  cmt_buf_unref(done);
  take_many(&f, 1, 1024, 4096);
  assert_cmt(CMT_EMSGSIZE, take(&f, 1, true, 905, &done));
  fixture_fini(&f);

  fixture_init(&f, list, 1);
  take_many(&f, 1, 1000, 5000);
  assert_cmt(CMT_OK, take(&f, 1, false, 0, &done));
  assert_cmt(CMT_EMSGSIZE, take(&f, 1, false, 1, &done));
  assert_cmt(CMT_OK, take(&f, 1, true, 0, &done));
  assert_int_equal(5000, cmt_buf_bytes(done).len);
  cmt_buf_unref(done);
  fixture_fini(&f);
}

static void unknown_channel_is_refused(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1}};
  cmt_buf *done;
  fixture f;

  (void)state;
  fixture_init(&f, list, 1);
  assert_cmt(CMT_EUNKNOWNCHANNEL, take(&f, 0, true, 1, &done));
  assert_cmt(CMT_EUNKNOWNCHANNEL, take(&f, 2, true, 1, &done));
  fixture_fini(&f);
}

static void bytes_under_reassembly_are_bounded(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1},
                              {.id = 2, .priority = 1}};
  cmt_buf *done;
  fixture f;

  (void)state;
  fixture_init(&f, list, 2);
  f.cs.recv_reserved_max = 5000;
  take_many(&f, 1, 1000, 3000);
  assert_cmt(CMT_OK, take(&f, 2, true, 900, &done));
  cmt_buf_unref(done);
  assert_int_equal(4096, f.cs.recv_reserved);
  assert_cmt(CMT_ENOBUFS, take(&f, 2, false, 1001, &done));
  /* A complete message gives its memory back. */
  assert_cmt(CMT_OK, take(&f, 1, true, 0, &done));
  cmt_buf_unref(done);
  assert_int_equal(0, f.cs.recv_reserved);
  assert_cmt(CMT_OK, take(&f, 2, false, 5000, &done));
  assert_int_equal(5000, f.cs.recv_reserved);
  fixture_fini(&f);
}

static void
a_message_that_is_whole_in_its_packet_counts_for_nothing(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1},
                              {.id = 2, .priority = 1}};
  cmt_buf *done;
  fixture f;

  (void)state;
  fixture_init(&f, list, 2);
  f.cs.recv_reserved_max = 5000;
  assert_cmt(CMT_OK, take(&f, 1, false, 5000, &done));
  assert_int_equal(5000, f.cs.recv_reserved);
  for (size_t len = 0; len < 20000; len += 999) {
    assert_cmt(CMT_OK, take(&f, 2, true, len, &done));
    assert_int_equal(len, cmt_buf_bytes(done).len);
    assert_int_equal(len, cmt__buf_cap(done));
    cmt_buf_unref(done);
    assert_int_equal(5000, f.cs.recv_reserved);
  }
  fixture_fini(&f);
}

/* Its packet may come in parts, and never to an end. */
static void a_part_of_a_whole_message_is_late_like_any_other(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1}};
  uint8_t data[10] = {7};
  cmt__packet k = {.kind = CMT__PACKET_MSG,
                   .channel = 1,
                   .eof = true,
                   .first = true,
                   .total = 20,
                   .data = {data, 10}};
  cmt_buf *done;
  fixture f;

  (void)state;
  fixture_init(&f, list, 1);
  f.cs.partial_max_ns = 100;
  f.cs.now_ns = 5;
  assert_cmt(CMT_OK, cmt__channel_take(&f.cs, &k, &done));
  assert_null(done);
  cmt__channels_note(&f.cs);
  assert_int_equal(105, f.cs.partial_check_ns);
  assert_true(cmt__channels_tick(&f.cs, 104));
  assert_false(cmt__channels_tick(&f.cs, 105));
  k.first = false;
  k.last = true;
  assert_cmt(CMT_OK, cmt__channel_take(&f.cs, &k, &done));
  assert_int_equal(20, cmt_buf_bytes(done).len);
  cmt_buf_unref(done);
  assert_true(cmt__channels_tick(&f.cs, 1000));
  fixture_fini(&f);
}

/* Growing by doubling must not refuse what the limit allows. */
static void message_as_long_as_the_memory_limit_passes(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1}};
  cmt_buf *done;
  fixture f;

  (void)state;
  fixture_init(&f, list, 1);
  f.cs.recv_reserved_max = 3000;
  take_many(&f, 1, 500, 3000);
  assert_cmt(CMT_OK, take(&f, 1, true, 0, &done));
  assert_int_equal(3000, cmt_buf_bytes(done).len);
  cmt_buf_unref(done);
  take_many(&f, 1, 500, 3000);
  assert_cmt(CMT_ENOBUFS, take(&f, 1, false, 1, &done));
  fixture_fini(&f);
}

/* A message's buffer begins at the size of the one before, so that a stream of
   equal messages takes one allocation each. */
static void warm_channel_allocates_once_a_message(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1}};
  cmt_buf *done;
  fixture f;
  size_t before;

  (void)state;
  fixture_init(&f, list, 1);
  for (int i = 0; i < 5; i++) {
    before = f.t.allocs;
    take_many(&f, 1, 1024, 64512);
    assert_cmt(CMT_OK, take(&f, 1, true, 1024, &done));
    assert_int_equal(65536, cmt_buf_bytes(done).len);
    cmt_buf_unref(done);
    assert_int_equal(i == 0 ? 7 : 1, f.t.allocs - before);
  }
  /* A message in one packet is as large as itself. */
  before = f.t.live_bytes;
  assert_cmt(CMT_OK, take(&f, 1, true, 10, &done));
  assert_in_range(f.t.live_bytes, before + 10, before + 200);
  cmt_buf_unref(done);
  fixture_fini(&f);
}

static void allocation_failures_of_reassembly_are_reported(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1}};
  cmt_buf *done;
  fixture f;

  (void)state;
  fixture_init(&f, list, 1);
  f.t.fail_at = f.t.allocs;
  assert_cmt(CMT_ENOMEM, take(&f, 1, false, 1000, &done));
  assert_cmt(CMT_OK, take(&f, 1, false, 1000, &done));
  f.t.fail_at = f.t.allocs;
  assert_cmt(CMT_ENOMEM, take(&f, 1, false, 1000, &done));
  fixture_fini(&f);
}

/* ---- memory ---- */

static void empty_queues_give_their_memory_back(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1, .send_queue = 1},
                              {.id = 2, .priority = 1, .send_queue = 9}};
  uint8_t out[64];
  cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);
  fixture f;
  size_t idle;

  (void)state;
  fixture_init(&f, list, 2);
  idle = f.t.live;
  assert_cmt(CMT_OK, queue(&f, 1, 1));
  cmt__channels_fill(&f.cs, &r);
  assert_cmt(CMT_OK, queue(&f, 2, 1));
  assert_int_equal(idle + 3, f.t.live);
  cmt__channels_trim(&f.cs); /* The message that waits, and its queue. */
  assert_int_equal(idle + 2, f.t.live);
  cmt__channels_fill(&f.cs, &r);
  cmt__channels_trim(&f.cs);
  assert_int_equal(idle, f.t.live);
  assert_cmt(CMT_OK, queue(&f, 2, 1)); /* It grows again. */
  fixture_fini(&f);
}

static void retired_channels_leave_their_last_status(void **state) {
  const cmt_channel list[] = {{.id = 1, .priority = 1, .send_queue = 1},
                              {.id = 2, .priority = 1, .send_queue = 9}};
  cmt__channels_rest rest;
  cmt__channel_last *last;
  cmt_channel_status status[2];
  cmt_buf *done;
  fixture f;

  (void)state;
  fixture_init(&f, list, 2);
  assert_cmt(CMT_OK, queue(&f, 2, 5));
  assert_cmt(CMT_OK, take(&f, 1, true, 10, &done));
  cmt_buf_unref(done);
  assert_cmt(CMT_OK, take(&f, 1, false, 10, &done));
  last = cmt__channels_retire(&f.cs, &rest);
  for (size_t i = 0; i < 2; i++) {
    status[i] = cmt__channel_last_status(&last[i]);
  }
  assert_int_equal(1, status[0].id);
  assert_int_equal(10, status[0].recv_bytes);
  assert_int_equal(2, status[1].id);
  assert_int_equal(5, status[1].queued_bytes);
  /* Nothing but that is left. */
  cmt__channels_let_go(&f.t.env, &rest);
  assert_cmt(CMT_ENOCHANNEL, queue(&f, 2, 5));
  assert_null(cmt__channels_retire(&f.cs, &rest));
  cmt__channels_let_go(&f.t.env, &rest);
  cmt__free(&f.t.env, last);
  fixture_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(bad_channels_are_refused_by_name),
    cmocka_unit_test(defaults_are_filled_in),
    cmocka_unit_test(allocation_failure_of_init_is_reported),
    cmocka_unit_test(queue_takes_its_capacity_beside_the_one_being_cut),
    cmocka_unit_test(buckets_take_memory_when_one_asks_for_them),
    cmocka_unit_test(message_over_the_send_limit_is_refused),
    cmocka_unit_test(queue_that_cannot_grow_refuses_and_loses_nothing),
    cmocka_unit_test(messages_are_cut_at_the_payload),
    cmocka_unit_test(ids_from_0x80_leave_a_byte_for_the_eof),
    cmocka_unit_test(a_run_has_at_most_4096_packets),
    cmocka_unit_test(no_packet_is_over_an_equal_nodes_limit),
    cmocka_unit_test(status_counts_what_is_queued_and_sent),
    cmocka_unit_test(messages_are_put_together),
    cmocka_unit_test(empty_messages_are_messages),
    cmocka_unit_test(capacity_is_exact),
    cmocka_unit_test(unknown_channel_is_refused),
    cmocka_unit_test(bytes_under_reassembly_are_bounded),
    cmocka_unit_test(a_message_that_is_whole_in_its_packet_counts_for_nothing),
    cmocka_unit_test(a_part_of_a_whole_message_is_late_like_any_other),
    cmocka_unit_test(message_as_long_as_the_memory_limit_passes),
    cmocka_unit_test(warm_channel_allocates_once_a_message),
    cmocka_unit_test(allocation_failures_of_reassembly_are_reported),
    cmocka_unit_test(empty_queues_give_their_memory_back),
    cmocka_unit_test(retired_channels_leave_their_last_status),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
