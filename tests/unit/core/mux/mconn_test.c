/* SPDX-License-Identifier: Apache-2.0 */
/* The multiplexer alone: options, messages and packets, failures.  Pings are in
   mconn_ping_test.c. */
#include "mconn_output.h"
#include "mconn_pull.h"
#include "mconn_user.h"

#include <stdlib.h>

/* ---- options ---- */

static void assert_refused(mconn_user *f, const cmt_mconn_options *o,
                           const char *text) {
  cmt_mconn *m = NULL;
  cmt_why why = {0};

  assert_cmt(CMT_EINVAL, cmt_mconn_new(o, 0, &m, &why));
  assert_string_equal(text, why.text);
  assert_null(m);
  assert_cmt(CMT_EINVAL, cmt_mconn_new(o, 0, &m, NULL));
  assert_int_equal(1, f->t.live > 0);
}

static void bad_options_are_refused_by_name(void **state) {
  const cmt_env unusable = {.size = 8};
  mconn_user *f = mconn_user_new();
  cmt_mconn_options o;

  (void)state;
  mconn_user_options(f, &o);
  o.size--;
  assert_refused(f, &o, "options of an unknown size: use the init macro");
  mconn_user_options(f, &o);
  o.send_packet_payload_max = 15;
  assert_refused(f, &o,
                 "send_packet_payload_max is 15, allowed is 16 to 65536");
  mconn_user_options(f, &o);
  o.recv_packet_payload_max = 65537;
  assert_refused(f, &o,
                 "recv_packet_payload_max is 65537, allowed is 1 to 65536");
  mconn_user_options(f, &o);
  o.pong_timeout_ns = o.ping_interval_ns;
  assert_refused(f, &o,
                 "ping_interval_ns is 60000000000, pong_timeout_ns is "
                 "60000000000: the timeout must be shorter than the interval");
  mconn_user_options(f, &o);
  o.env = &unusable;
  assert_refused(f, &o, "env: argument out of its documented range");
  mconn_user_options(f, &o);
  o.channel_count = 17;
  assert_refused(f, &o, "17 channels, allowed are 16");
  mconn_user_delete(f);
}

/* The ends of each range are accepted, and one more is refused; 0 is the
   default. */
static void each_number_has_its_range(void **state) {
#define ROW(name, first, last)                                                 \
  {                                                                            \
#name, offsetof(cmt_mconn_options, name),                                  \
      sizeof(((cmt_mconn_options *)0)->name), first, last                      \
  }
  static const struct {
    const char *name;
    size_t at, size;
    uint64_t first, last; /* The range that is allowed. */
  } rows[] = {
    ROW(send_rate, 0, CMT_RATE_MAX),
    ROW(recv_rate, 0, CMT_RATE_MAX),
    ROW(partial_message_max_ns, 1, UINT64_MAX),
    ROW(pong_timeout_ns, 1, CMT_SECONDS(60) - 1),
    ROW(ping_interval_ns, CMT_SECONDS(45) + 1, UINT64_MAX),
    ROW(send_packet_payload_max, 16, 65536),
    ROW(recv_packet_payload_max, 1, 65536),
  };
#undef ROW
  mconn_user *f = mconn_user_new();

  (void)state;
  for (size_t i = 0; i < 4 * CMT__COUNT(rows); i++) {
    uint64_t first = rows[i / 4].first, last = rows[i / 4].last;
    const uint64_t values[] = {first, last, first - 1, last + 1};
    bool fine = i % 4 < 2;
    cmt_mconn_options o;
    cmt_mconn *m = NULL;
    cmt_why why = {0};
    uint32_t narrow = (uint32_t)values[i % 4];

    if ((i % 4 == 2 && first <= 1) || (i % 4 == 3 && last == UINT64_MAX)) {
      continue;
    }
    mconn_user_options(f, &o);
    memcpy((uint8_t *)&o + rows[i / 4].at,
           rows[i / 4].size == sizeof narrow ? (const void *)&narrow
                                             : &values[i % 4],
           rows[i / 4].size);
    assert_cmt(fine ? CMT_OK : CMT_EINVAL, cmt_mconn_new(&o, 0, &m, &why));
    if (!fine) {
      assert_non_null(strstr(why.text, rows[i / 4].name));
    }
    cmt_mconn_delete(m);
  }
  mconn_user_delete(f);
}

/* It is of little use, which has a limit, and nothing is wrong with it. */
static void a_short_first_packet_is_accepted(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  assert_given(f, "081a0608311a026162", 1, "");
  assert_given(f, "0a1a08083110011a020163", 1, "31.4");
  mconn_user_delete(f);
}

static void zero_is_the_default_of_every_option(void **state) {
  cmt_mconn_options o = {.size = sizeof o};
  cmt_mconn *m;

  (void)state;
  assert_cmt(CMT_OK, cmt_mconn_new(&o, 0, &m, NULL));
  assert_int_equal(CMT_SECONDS(60), cmt_mconn_deadline(m));
  cmt_mconn_delete(m);
}

static void no_channels_are_fine(void **state) {
  mconn_user *f = mconn_user_new();
  cmt_mconn_options o;

  (void)state;
  cmt_mconn_delete(f->m);
  mconn_user_options(f, &o);
  o.channels = NULL;
  o.channel_count = 0;
  assert_cmt(CMT_OK, cmt_mconn_new(&o, 0, &f->m, NULL));
  assert_cmt(CMT_ENOCHANNEL, mconn_user_queue(f, 0, 1));
  assert_given(f, "020a00", 1, "");
  mconn_user_sent(f, 100, 1);
  assert_sent(f, "pong");
  assert_given(f, "061a0408311001", 2, "CMT_EUNKNOWNCHANNEL");
  mconn_user_delete(f);
  cmt_mconn_delete(NULL);
}

/* ---- sending ---- */

static void one_is_cut_one_waits_the_third_is_refused(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 3000));
  assert_int_equal(1034, mconn_output(f->m, 1040, 1).len);
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 10));
  assert_cmt(CMT_EAGAIN, mconn_user_queue(f, 0x31, 10));
  /* The link does not drain: nothing changes. */
  assert_int_equal(1034, mconn_output(f->m, 1040, 2).len);
  assert_cmt(CMT_EAGAIN, mconn_user_queue(f, 0x31, 10));
  mconn_output_consume(f->m, 1034, 3);
  mconn_user_sent(f, 5000, 3);
  assert_sent(f, "31.1024 31.952! 31.10!");
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 10));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 10));
  assert_cmt(CMT_EAGAIN, mconn_user_queue(f, 0x31, 10));
  mconn_user_delete(f);
}

static void one_run_holds_packets_of_several_channels(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 2000));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 1500));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0xff, 1024));
  mconn_user_sent(f, 65536, 1);
  assert_sent(f, "30.1024 31.1024 ff.1024 ff.0! 30.976! 31.476!");
  assert_int_equal(0, mconn_output(f->m, 65536, 1).len);
  mconn_user_delete(f);
}

static void run_ends_where_the_next_packet_does_not_fit(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 10000));
  assert_int_equal(1034, mconn_user_sent(f, 1042, 1));
  assert_int_equal(2 * 1034, mconn_user_sent(f, 3 * 1034 - 1, 1));
  assert_int_equal(3 * 1034, mconn_user_sent(f, 3 * 1034, 1));
  /* A packet is whole even when less is asked for, and comes in pieces. */
  assert_int_equal(100, mconn_output(f->m, 100, 1).len);
  mconn_output_consume(f->m, 100, 1);
  assert_int_equal(900, mconn_output(f->m, 900, 1).len);
  mconn_output_consume(f->m, 900, 1);
  assert_int_equal(34, mconn_output(f->m, 900, 1).len);
  mconn_user_delete(f);
}

static void nothing_more_is_written_before_all_is_consumed(void **state) {
  mconn_user *f = mconn_user_new();
  size_t min = cmt_mconn_write_min(f->m);
  uint8_t dest[4000];
  bool urgent;

  (void)state;
  assert_true(min <= sizeof dest);
  assert_false(cmt_mconn_wants_write(f->m, 0, NULL));
  assert_int_equal(0, cmt_mconn_write(f->m, dest, min, 0));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 3));
  assert_true(cmt_mconn_wants_write(f->m, 1, &urgent));
  assert_false(urgent);
  assert_int_equal(12, cmt_mconn_write(f->m, dest, min, 1));
  test_assert_hex("0b1a09083010011a03303030", dest, 12);
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 0));
  assert_int_equal(0, cmt_mconn_write(f->m, dest, min, 2));
  cmt_mconn_consume(f->m, 11, 2);
  assert_int_equal(0, cmt_mconn_write(f->m, dest, min, 2));
  cmt_mconn_consume(f->m, 1, 2);
  assert_int_equal(7, cmt_mconn_write(f->m, dest, min, 2));
  test_assert_hex("061a0408301001", dest, 7);
  mconn_user_delete(f);
}

static void a_write_needs_no_memory(void **state) {
  mconn_user *f = mconn_user_new();
  size_t before;

  (void)state;
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  before = f->t.allocs;
  assert_int_equal(3, mconn_user_sent(f, SIZE_MAX, 1));
  assert_int_equal(before, f->t.allocs);
  mconn_user_delete(f);
}

static void zero_length_messages_are_never_lost(void **state) {
  mconn_user *f = mconn_user_new();
  size_t empty = 0, queued = 0;

  (void)state;
  for (int run = 0; run < 400; run++) {
    while (mconn_user_queue(f, 0x30, 1000) == CMT_OK) {
    }
    while (mconn_user_queue(f, 0xff, run % 3 == 0 ? 700 : 0) == CMT_OK) {
      queued += run % 3 != 0;
    }
    mconn_user_sent(f, 1500, 1);
    for (size_t i = 0; i < f->sent.count; i++) {
      empty += f->sent.list[i].channel == 0xff && f->sent.list[i].total == 0;
    }
  }
  while (mconn_user_sent(f, 60000, 1) > 0) {
    for (size_t i = 0; i < f->sent.count; i++) {
      empty += f->sent.list[i].channel == 0xff && f->sent.list[i].total == 0;
    }
  }
  assert_in_range(queued, 200, 10000);
  assert_int_equal(queued, empty);
  mconn_user_delete(f);
}

static void status_is_in_the_order_of_the_options(void **state) {
  mconn_user *f = mconn_user_new();
  cmt_channel_status s[3] = {{0}};

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0xff, 3));
  assert_int_equal(3, cmt_mconn_get_status(f->m, NULL, 0));
  assert_int_equal(3, cmt_mconn_get_status(f->m, s, 2));
  assert_int_equal(0, s[2].queued_messages);
  assert_int_equal(3, cmt_mconn_get_status(f->m, s, 3));
  assert_int_equal(0x30, s[0].id);
  assert_int_equal(0x31, s[1].id);
  assert_int_equal(0xff, s[2].id);
  assert_int_equal(1, s[2].queued_messages);
  assert_int_equal(3, s[2].queued_bytes);
  mconn_user_delete(f);
}

static void credits_come_back_once(void **state) {
  mconn_user *f = mconn_user_new();
  cmt_credits credits;

  (void)state;
  assert_false(cmt__mconn_take_credits(f->m, &credits));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0xff, 0));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0xff, 7));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 1200));
  assert_false(cmt__mconn_take_credits(f->m, &credits));
  (void)mconn_output(f->m, 9999, 1); /* Cut is enough. */
  assert_true(cmt__mconn_take_credits(f->m, &credits));
  assert_int_equal(1, credits.messages[0]);
  assert_int_equal(0, credits.messages[1]);
  assert_int_equal(2, credits.messages[2]);
  assert_int_equal(1207, credits.bytes);
  assert_false(cmt__mconn_take_credits(f->m, &credits));
  assert_int_equal(0, credits.bytes);
  mconn_user_delete(f);
}

/* ---- receiving ---- */

static void events_before_a_bad_packet_come_first(void **state) {
  static const struct {
    const char *bad;
    cmt_err err;
    const char *events, *text; /* NULL: that of the error. */
  } rows[] = {
    {"00", CMT_EPROTO, "31.3 30.0 CMT_EPROTO", "malformed packet"},
    {"061a0408321001", CMT_EUNKNOWNCHANNEL, "31.3 30.0 CMT_EUNKNOWNCHANNEL",
     NULL},
    {"0a1a0808b10210011a0178", CMT_EUNKNOWNCHANNEL,
     "31.3 30.0 CMT_EUNKNOWNCHANNEL", NULL},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    mconn_user *f = mconn_user_new();
    cmt_mconn_event e;
    char hex[256];
    cmt_why why;

    snprintf(hex, sizeof hex, "0b1a09083110011a03616263%s%s021200",
             "061a0408301001", rows[i].bad);
    cmt_mconn_get_why(f->m, &why);
    assert_cmt(CMT_OK, why.err);
    assert_given(f, hex, 1, rows[i].events);
    assert_false(cmt_mconn_next_event(f->m, &e)); /* The end comes once. */
    cmt_mconn_get_why(f->m, &why);
    assert_cmt(rows[i].err, why.err);
    assert_string_equal(rows[i].text != NULL ? rows[i].text
                                             : cmt_err_text(rows[i].err),
                        why.text);
    assert_cmt(CMT_ECLOSED, cmt_mconn_recv(f->m, NULL, 0, 2));
    assert_false(cmt_mconn_next_event(f->m, &e));
    assert_mconn_tick(f->m, 3, rows[i].err);
    assert_cmt(CMT_ECLOSED, mconn_user_queue(f, 0x30, 0));
    assert_false(cmt_mconn_wants_read(f->m));
    mconn_user_delete(f);
  }
}

static void message_of_exactly_the_capacity_passes(void **state) {
  static uint8_t out[6000], zeros[1001];

  (void)state;
  for (size_t last = 1000; last <= 1001; last++) {
    mconn_user *f = mconn_user_new();
    cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);
    cmt_mconn_event e;

    for (int i = 0; i < 5; i++) {
      test_wire()->write_msg(&r, 0x31, i == 4,
                             (cmt_bytes){zeros, i == 4 ? last : 1000});
    }
    assert_cmt(CMT_OK, cmt_mconn_recv(f->m, out, r.len, 1));
    if (last == 1000) {
      assert_true(cmt_mconn_next_event(f->m, &e));
      assert_int_equal(5000, cmt_buf_bytes(e.msg).len);
    } else {
      assert_mconn_end(f->m, CMT_EMSGSIZE);
    }
    mconn_user_delete(f);
  }
}

static void memory_under_reassembly_is_bounded(void **state) {
  static uint8_t out[9000], zeros[1000];
  mconn_user *f = mconn_user_new();
  cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);
  cmt_channel channels[MCONN_USER_CHANNELS];
  cmt_mconn_options o;
  cmt_mconn_event e;
  cmt_why why;

  (void)state;
  cmt_mconn_delete(f->m);
  mconn_user_options(f, &o);
  o.recv_bytes_max = 8000;
  assert_cmt(CMT_EINVAL, cmt_mconn_new(&o, 0, &f->m, &why));
  memcpy(channels, o.channels, sizeof channels);
  for (size_t i = 0; i < MCONN_USER_CHANNELS; i++) {
    channels[i].recv_message_max = 8000;
  }
  o.channels = channels;
  channels[1].recv_message_max = 8001;
  assert_cmt(CMT_EINVAL, cmt_mconn_new(&o, 0, &f->m, &why));
  assert_string_equal("channel 0x31: recv_message_max is 8001, and "
                      "recv_bytes_max is only 8000",
                      why.text);
  channels[1].recv_message_max = 8000;
  assert_cmt(CMT_OK, cmt_mconn_new(&o, 0, &f->m, NULL));
  /* The memory counts, of which doubling takes more than the 7000 bytes. */
  for (int i = 0; i < 7; i++) {
    test_wire()->write_msg(&r, i % 2 ? 0x30 : 0xff, false,
                           (cmt_bytes){zeros, sizeof zeros});
  }
  assert_cmt(CMT_OK, cmt_mconn_recv(f->m, out, r.len, 1));
  assert_false(cmt_mconn_next_event(f->m, &e));
  assert_cmt(CMT_OK, cmt_mconn_recv(f->m, out, 1010, 1));
  assert_mconn_end(f->m, CMT_ENOBUFS);
  assert_int_equal(CMT_CLASS_LOCAL, cmt_err_class_of(CMT_ENOBUFS));
  mconn_user_delete(f);
}

static void input_must_be_used_up_before_more_is_given(void **state) {
  uint8_t bytes[] = "\x06\x1a\x04\x08\x31\x10\x01\x06\x1a\x04\x08\x30\x10\x01";
  mconn_user *f = mconn_user_new();
  cmt_mconn_event e;

  (void)state;
  assert_cmt(CMT_OK, cmt_mconn_recv(f->m, bytes, 14, 1));
  assert_true(cmt_mconn_next_event(f->m, &e));
  assert_cmt(CMT_EINVAL, cmt_mconn_recv(f->m, bytes, 7, 1));
  assert_true(cmt_mconn_next_event(f->m, &e));
  assert_int_equal(0x30, e.channel);
  assert_false(cmt_mconn_next_event(f->m, &e));
  assert_cmt(CMT_OK, cmt_mconn_recv(f->m, bytes, 7, 1));
  mconn_user_delete(f);
}

static void message_is_kept_by_a_reference(void **state) {
  mconn_user *f = mconn_user_new();
  uint8_t bytes[] = "\x0b\x1a\x09\x08\x31\x10\x01\x1a\x03\x61\x62\x63";
  cmt_mconn_event e;
  cmt_buf *kept;

  (void)state;
  assert_cmt(CMT_OK, cmt_mconn_recv(f->m, bytes, 12, 1));
  assert_true(cmt_mconn_next_event(f->m, &e));
  kept = cmt_buf_ref(e.msg);
  cmt_mconn_delete(f->m);
  f->m = NULL;
  test_assert_hex("616263", cmt_buf_bytes(kept).base, 3);
  cmt_buf_unref(kept);
  mconn_user_delete(f);
}

/* ---- out of memory ---- */

/* Sends, receives in a usual and an unusual form, pings. */
static cmt_err oom_scenario(test_env *t) {
  static const uint8_t in[] = "\x09\x1a\x07\x08\x31\x1a\x03\x61\x62\x63"
                              "\x0b\x1a\x09\x10\x01\x08\x31\x1a\x03\x61\x62"
                              "\x63\x06\x1a\x04\x08\x31\x10\x01";
  cmt_mconn *m = NULL;
  cmt_mconn_event e;
  cmt_mconn_options o;
  cmt_buf *msg;
  cmt_err err;

  cmt_mconn_options_init(&o);
  o.env = &t->env;
  o.channels = mconn_user_channels;
  o.channel_count = MCONN_USER_CHANNELS;
  err = cmt_mconn_new(&o, 0, &m, NULL);
  for (int i = 0; i < 6 && err == CMT_OK; i++) {
    msg = cmt_buf_copy(&t->env, "abc", 3);
    err = msg == NULL ? CMT_ENOMEM : cmt_mconn_try_send(m, 0xff, msg);
    if (err != CMT_OK) {
      cmt_buf_unref(msg);
    }
  }
  if (err == CMT_OK && mconn_output(m, 9999, 1).len == 0) {
    cmt_mconn_tick(m, 1);
  }
  if (err == CMT_OK) {
    err = cmt_mconn_recv(m, in, sizeof in - 1, 1);
  }
  while (err == CMT_OK && cmt_mconn_next_event(m, &e)) {
    err = e.err;
  }
  cmt_mconn_delete(m);
  return err;
}

static void every_failed_allocation_is_reported(void **state) {
  size_t total;
  test_env t;

  (void)state;
  test_env_init(&t);
  assert_cmt(CMT_OK, oom_scenario(&t));
  total = t.allocs;
  test_env_fini(&t);
  assert_in_range(total, 12, 30);
  for (size_t i = 0; i < total; i++) {
    test_env_init(&t);
    t.fail_at = i;
    assert_cmt(CMT_ENOMEM, oom_scenario(&t));
    test_env_fini(&t);
  }
}

/* ---- time ---- */

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(bad_options_are_refused_by_name),
    cmocka_unit_test(each_number_has_its_range),
    cmocka_unit_test(a_short_first_packet_is_accepted),
    cmocka_unit_test(zero_is_the_default_of_every_option),
    cmocka_unit_test(no_channels_are_fine),
    cmocka_unit_test(one_is_cut_one_waits_the_third_is_refused),
    cmocka_unit_test(one_run_holds_packets_of_several_channels),
    cmocka_unit_test(run_ends_where_the_next_packet_does_not_fit),
    cmocka_unit_test(nothing_more_is_written_before_all_is_consumed),
    cmocka_unit_test(a_write_needs_no_memory),
    cmocka_unit_test(zero_length_messages_are_never_lost),
    cmocka_unit_test(status_is_in_the_order_of_the_options),
    cmocka_unit_test(credits_come_back_once),
    cmocka_unit_test(events_before_a_bad_packet_come_first),
    cmocka_unit_test(message_of_exactly_the_capacity_passes),
    cmocka_unit_test(memory_under_reassembly_is_bounded),
    cmocka_unit_test(input_must_be_used_up_before_more_is_given),
    cmocka_unit_test(message_is_kept_by_a_reference),
    cmocka_unit_test(every_failed_allocation_is_reported),
    TEST_SHORTAGE(every_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
