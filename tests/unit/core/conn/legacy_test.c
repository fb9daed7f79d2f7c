/* SPDX-License-Identifier: Apache-2.0 */
/* docs/LEGACY.md, sentence by sentence: each is quoted, then what it means
   here, then its test.  Where another file has the test, it is named.  The
   times are the defaults: pingTimeout 60 s, 45 s for the answer.  Output is
   read by the decoder of legacy_user.h. */
#include "mconn_output.h"
#include "mconn_pull.h"
#include "legacy_user.h"

#include <stdio.h>
#include <stdlib.h>

#define S(n) CMT_SECONDS(n)

/* ======== MConnection ======== */

/* "`MConnection` is a multiplex connection that supports multiple independent
   streams with distinct quality of service guarantees atop a single TCP
   connection."

   What is cut on one channel changes nothing on another: messages of several
   channels lie in one stream, and each is put together by itself. */
static void streams_are_independent(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  /* 31 "a", 30 "bc", 31 "d" EOF, ff EOF, 30 "e" EOF. */
  assert_given(f,
               "030508311a0161"
               "030608301a026263"
               "0307083110011a0164"
               "030508ff011001"
               "0307083010011a0165",
               1, "31.2 ff.0 30.3");
  /* A queue that is full refuses nobody else. */
  while (mconn_user_queue(f, 0x30, 9) == CMT_OK) {
  }
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 9));
  mconn_user_delete(f);
}

/* "Each stream is known as a `Channel` and each `Channel` has a globally unique
   _byte id_."

   Every byte is an id; one that is given twice is refused, and one that we lack
   ends the connection. */
static void options_give_one_id_twice(cmt_mconn_options *o) {
  static const cmt_channel twice[] = {{.id = 0xfe, .priority = 1},
                                      {.id = 0xfe, .priority = 2}};

  o->channels = twice;
  o->channel_count = 2;
}

static void ids_are_unique_bytes(void **state) {
  mconn_user *f = legacy_user_new();
  cmt_mconn_options o;
  cmt_mconn *m;
  cmt_why why;

  (void)state;
  mconn_user_options(f, &o);
  o.wire = CMT_WIRE_LEGACY;
  options_give_one_id_twice(&o);
  assert_cmt(CMT_EINVAL, cmt_mconn_new(&o, 0, &m, &why));
  assert_string_equal("channel 0xfe is listed twice", why.text);
  assert_given(f, "030508fe01", 1, ""); /* Not complete. */
  assert_given(f, "1001", 1, "CMT_EUNKNOWNCHANNEL");
  mconn_user_delete(f);
}

/* "Each `Channel` also has a relative priority that determines the quality of
   service of the `Channel` compared to other `Channel`s."

   Of a full link each channel gets its part by priority: here 5, 1 and
   10 sixteenths, within one packet of a batch. */
static void full_link_is_shared_by_priority(void **state) {
  mconn_user *f = legacy_user_new();
  cmt_channel_status s[MCONN_USER_CHANNELS];
  uint64_t sent[MCONN_USER_CHANNELS], all = 0;

  (void)state;
  for (int run = 0; run < 400; run++) {
    cmt_bytes out;

    while (mconn_user_queue(f, 0x30, 4000) == CMT_OK ||
           mconn_user_queue(f, 0x31, 4000) == CMT_OK ||
           mconn_user_queue(f, 0xff, 4000) == CMT_OK) {
    }
    out = mconn_output(f->m, 8000, 1);
    all += out.len;
    mconn_output_consume(f->m, out.len, 1);
  }
  assert_int_equal(MCONN_USER_CHANNELS,
                   cmt_mconn_get_status(f->m, s, MCONN_USER_CHANNELS));
  for (size_t i = 0; i < MCONN_USER_CHANNELS; i++) {
    sent[i] = s[i].sent_bytes;
  }
  assert_int_equal(all, sent[0] + sent[1] + sent[2]);
  assert_in_range(sent[0], all * 5 / 16 - 1100, all * 5 / 16 + 1100);
  assert_in_range(sent[1], all / 16 - 1100, all / 16 + 1100);
  assert_in_range(sent[2], all * 10 / 16 - 1100, all * 10 / 16 + 1100);
  mconn_user_delete(f);
}

/* "The _byte id_ and the relative priorities of each `Channel` are configured
   upon initialization of the connection."

   The list is copied then: what becomes of it later changes nothing. */
static cmt_channel given[] = {{.id = 0x20, .priority = 3},
                              {.id = 0x21, .priority = 1}};

static void options_take_given(cmt_mconn_options *o) {
  o->channels = given;
  o->channel_count = 2;
}

static void ids_and_priorities_are_set_at_the_start(void **state) {
  mconn_user *f = legacy_user_new_with(options_take_given);

  (void)state;
  given[0] = (cmt_channel){.id = 0x7f, .priority = 1};
  given[1].priority = 1000;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x20, 9000));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x21, 9000));
  assert_cmt(CMT_ENOCHANNEL, mconn_user_queue(f, 0x7f, 1));
  assert_legacy_sent(f, 8300, 1,
                     "20.1024 21.1024 20.1024 20.1024 20.1024 "
                     "21.1024 20.1024 20.1024");
  mconn_user_delete(f);
}

/* "The `MConnection` supports three packet types: Ping, Pong, Msg"

   They begin with 1, 2 and 3.  Nothing else is a packet; a byte over 3 is what
   another wire profile would begin with, see legacy_mixed_test.c. */
static void there_are_three_packet_types(void **state) {
  static const char *const events[] = {"CMT_EPROTO", "", "", "31.0"};

  (void)state;
  for (unsigned type = 0; type < 256; type++) {
    mconn_user *f = legacy_user_new();
    char hex[20];

    snprintf(hex, sizeof hex, "%02x0408311001", type);
    if (type == 1 || type == 2) {
      hex[2] = '\0';
    }
    assert_given(f, hex, 1,
                 type < CMT__COUNT(events) ? events[type] : "CMT_EPROTO");
    assert_int_equal(type > 3, cmt__mconn_is_foreign(f->m));
    mconn_user_delete(f);
  }
}

/* ======== Ping and Pong ======== */

/* "The ping and pong messages consist of writing a single byte to the
   connection; 0x1 and 0x2, respectively." */
static void ping_and_pong_are_one_byte(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_legacy_bytes(f, S(1), "01");
  assert_given(f, "01", S(1), "");
  assert_legacy_bytes(f, S(1), "02");
  assert_given(f, "02", S(3), "pong:2000000000");
  assert_legacy_bytes(f, S(3), "");
  mconn_user_delete(f);
}

/* "When we haven't received any messages on an `MConnection` in time
   `pingTimeout`, we send a ping message."

   Whatever comes whole is a message in this sense: a ping, a pong, a msgPacket
   although it does not end anything.  Part of a packet is none, and what we
   send is none. */
static void options_keep_partial_messages(cmt_mconn_options *o) {
  o->partial_message_max_ns = CMT_NEVER;
}

static void ping_goes_out_when_nothing_came_for_ping_timeout(void **state) {
  static const char *const receipts[] = {"01", "02", "030408311001",
                                         "030508311a0161", "030308ff01"};
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(receipts); i++) {
    mconn_user *f = legacy_user_new_with(options_keep_partial_messages);

    assert_int_equal(S(60), cmt_mconn_deadline(f->m));
    assert_given(f, receipts[i], S(59),
                 i == 2 ? "31.0" : ""); /* Then again from 59 s on. */
    mconn_output_consume(f->m, mconn_output(f->m, 9, S(59)).len, S(59));
    assert_int_equal(S(119), cmt_mconn_deadline(f->m));
    assert_mconn_tick(f->m, S(119) - 1, CMT_OK);
    assert_legacy_sent(f, 100, S(119) - 1, "");
    assert_mconn_tick(f->m, S(119), CMT_OK);
    assert_legacy_sent(f, 100, S(119), "ping");
    mconn_user_delete(f);
  }
}

static void part_of_a_packet_and_what_we_send_put_no_ping_off(void **state) {
  mconn_user *f = legacy_user_new_with(options_keep_partial_messages);

  (void)state;
  assert_given(f, "0309083110011a0361", S(30), "");
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 5000));
  assert_legacy_sent(f, 65536, S(40),
                     "30.1024 30.1024 30.1024 30.1024 30.904!");
  assert_given(f, "62", S(50), "");
  assert_int_equal(S(60), cmt_mconn_deadline(f->m));
  assert_given(f, "63", S(55), "31.3");
  assert_int_equal(S(115), cmt_mconn_deadline(f->m));
  mconn_user_delete(f);
}

/* "When a ping is received on the `MConnection`, a pong is sent in response
   only if there are no other messages to send [...]"

   With nothing queued the pong goes at once.  With messages queued it waits for
   one of them to be handed to the kernel, which stands for it.  Should that
   last longer than a quarter of the time that the other side is willing to
   wait, the pong goes first.  More of this in legacy_ping_test.c. */
static void pong_is_sent_when_nothing_else_is(void **state) {
  mconn_user *f = legacy_user_new();
  bool urgent;

  (void)state;
  assert_given(f, "01", S(1), "");
  assert_true(cmt__mconn_wants_write(f->m, &urgent));
  assert_true(urgent);
  assert_legacy_sent(f, 100, S(1), "pong");
  assert_legacy_sent(f, 100, S(2), "");
  mconn_user_delete(f);
}

static void message_stands_for_the_pong(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 5));
  assert_given(f, "01", S(1), "");
  assert_legacy_sent(f, 100, S(2), "30.5!");
  assert_legacy_sent(f, 100, S(3), ""); /* No pong besides. */
  assert_int_equal(S(61), cmt_mconn_deadline(f->m));
  mconn_user_delete(f);
}

static void pong_that_waits_for_messages_goes_out_in_time(void **state) {
  mconn_user *f = legacy_user_new();
  bool urgent;

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 5000));
  assert_given(f, "01", S(1), "");
  assert_true(cmt__mconn_wants_write(f->m, &urgent));
  assert_false(urgent);
  /* 45 s / 4. */
  assert_int_equal(S(1) + CMT_MILLISECONDS(11250), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(12) + CMT_MILLISECONDS(250), CMT_OK);
  assert_true(cmt__mconn_wants_write(f->m, &urgent));
  assert_true(urgent);
  assert_legacy_sent(f, 1100, S(13), "pong 30.1024");
  assert_legacy_sent(f, 1100, S(13), "30.1024");
  mconn_user_delete(f);
}

/* "[...] and the peer has not sent us too many pings [...]."

   A ping that comes less than half of pingTimeout after the one before it is
   one too many and stays without an answer.  The tenth of these within one
   pingTimeout ends the peer. */
static void pings_that_are_too_often_are_not_answered(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_given(f, "01", S(100), "");
  assert_legacy_sent(f, 100, S(100), "pong");
  assert_given(f, "01", S(130) - 1, "");
  assert_legacy_sent(f, 100, S(130) - 1, "");
  assert_given(f, "01", S(160) - 2, "");
  assert_legacy_sent(f, 100, S(160) - 2, "");
  assert_given(f, "01", S(190) - 2, ""); /* 30 s: often enough. */
  assert_legacy_sent(f, 100, S(190) - 2, "pong");
  mconn_user_delete(f);
}

static void ten_pings_that_are_too_often_end_the_peer(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_given(f, "01", S(100), "");
  assert_given(f, "010101010101010101", S(101), "");
  assert_given(f, "01", S(129), "CMT_EFLOOD");
  assert_int_equal(CMT_CLASS_PEER, cmt_err_class_of(CMT_EFLOOD));
  mconn_user_delete(f);
}

/* "If a pong or message is not received in sufficient time after a ping, the
   peer is disconnected from."

   The time is pongTimeout, from the moment at which the kernel has the ping.
   A msgPacket counts, whole; a ping of the other side does not. */
static void silence_after_a_ping_ends_the_peer(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_mconn_tick(f->m, S(60), CMT_OK);
  assert_legacy_sent(f, 100, S(62), "ping");
  assert_int_equal(S(107), cmt_mconn_deadline(f->m));
  assert_given(f, "01", S(70), ""); /* Is no answer. */
  /* Nor is half of one, although a byte of it is kept. */
  assert_given(f, "030708311a0361", S(80), "");
  assert_legacy_sent(f, 100, S(80), "pong");
  assert_mconn_tick(f->m, S(107) - 1, CMT_OK);
  assert_mconn_tick(f->m, S(107), CMT_EPONG);
  mconn_user_delete(f);
}

static void pong_or_message_after_a_ping_keeps_the_peer(void **state) {
  static const struct {
    const char *hex, *events;
  } answers[] = {{"02", "pong:44000000000"},
                 {"030408311001", "31.0"},
                 {"030508311a0161", ""}};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(answers); i++) {
    mconn_user *f = legacy_user_new();

    assert_mconn_tick(f->m, S(60), CMT_OK);
    assert_legacy_sent(f, 100, S(60), "ping");
    assert_given(f, answers[i].hex, S(104), answers[i].events);
    assert_mconn_tick(f->m, S(150), CMT_OK);
    assert_legacy_sent(f, 100, S(150), "");
    assert_int_equal(S(164), cmt_mconn_deadline(f->m)); /* The next ping. */
    mconn_user_delete(f);
  }
}

/* ======== Msg ======== */

/* "Messages in channels are chopped into smaller `msgPacket`s for
   multiplexing."

   Into pieces of 1024 bytes by default, the last with EOF; an empty message is
   one packet without Bytes. */
static void messages_are_chopped(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 2500));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 2048));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 0));
  assert_legacy_sent(f, 65536, 1,
                     "30.1024 30.1024 30.452! 30.1024 30.1024! 30.0!");
  mconn_user_delete(f);
}

/* "type msgPacket struct { ChannelID byte  EOF byte // 1 means message ends
   here.  Bytes []byte }"

   A ChannelID over 255 and an EOF over 1 are errors; 0 means that the message
   goes on. */
static void fields_are_bytes(void **state) {
  static const struct {
    const char *hex, *events;
  } rows[] = {
    {"0309083110011a03616263", "31.3"},
    {"0309083110001a03616263", ""},
    {"030708311a03616263", ""},
    {"0309083110021a03616263", "CMT_EPROTO"},
    {"03050880021001", "CMT_EPROTO"}, /* 256 */
    {"030508ff011001", "ff.0"},       /* 255 */
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    mconn_user *f = legacy_user_new();

    assert_given(f, rows[i].hex, 1, rows[i].events);
    assert_false(cmt__mconn_is_foreign(f->m));
    mconn_user_delete(f);
  }
}

/* "The `msgPacket` is serialized using [Proto3]."

   With uint32 and bytes as the types of its fields, 1 to 3; its length stands
   before it.  What is zero is left out when we send; what comes may have any
   form that Proto3 allows.  legacy_packet_test.c has all forms and limits. */
static void packets_are_proto3(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 3));
  assert_legacy_bytes(f, 1, "0309083010011a03303030");
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 0));
  assert_legacy_bytes(f, 1, "030408311001");
  assert_cmt(CMT_OK, mconn_user_queue(f, 0xff, 1));
  assert_legacy_bytes(f, 1, "030808ff0110011a01ff");
  assert_given(f, "03091a0361626310010831", 1, "31.3");
  assert_given(f, "030b0831220161100110001001", 1, "31.0");
  mconn_user_delete(f);
}

/* "The received `Bytes` of a sequential set of packets are appended together
   until a packet with `EOF=1` is received, then the complete serialized message
   is returned for processing by the `onReceive` function of the corresponding
   channel."

   Nothing is given out before; then the whole is, with its channel, once. */
static void bytes_are_appended_until_eof(void **state) {
  mconn_user *f = legacy_user_new();
  cmt_mconn_event e;
  size_t len;
  /* "ab", "cd" in another order, nothing, and "e" with EOF. */
  uint8_t *bytes = test_unhex("030608311a026162"
                              "03061a0263640831"
                              "03020831"
                              "0307083110011a0165",
                              &len);

  (void)state;
  assert_cmt(CMT_OK, cmt_mconn_recv(f->m, bytes, len, 1));
  assert_true(cmt_mconn_next_event(f->m, &e));
  assert_int_equal(CMT_MCONN_MESSAGE, e.kind);
  assert_int_equal(0x31, e.channel);
  assert_int_equal(5, cmt_buf_bytes(e.msg).len);
  assert_memory_equal("abcde", cmt_buf_bytes(e.msg).base, 5);
  assert_false(cmt_mconn_next_event(f->m, &e));
  free(bytes);
  mconn_user_delete(f);
}

/* ======== Multiplexing ======== */

/* "Messages are sent from a single `sendRoutine`, which loops over a select
   statement and results in the sending of a ping, a pong, or a batch of data
   messages."

   The routine is the output: each batch of it has what is due of the three, the
   small ones first. */
static void output_is_a_pong_a_ping_and_a_batch(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_given(f, "01", S(1), "");
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_legacy_sent(f, 65536, S(1), "pong ping");
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 1500));
  assert_legacy_sent(f, 65536, S(2), "31.1024 31.476!");
  assert_given(f, "02", S(3), "pong:2000000000");
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 5));
  assert_given(f, "01", S(40), "");
  assert_mconn_tick(f->m, S(52), CMT_OK);
  assert_legacy_sent(f, 65536, S(52), "pong ping 31.5!");
  mconn_user_delete(f);
}

/* "The batch of data messages may include messages from multiple channels." */
static void batch_may_have_several_channels(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 10));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 11));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0xff, 12));
  assert_legacy_sent(f, 65536, 1, "30.10! 31.11! ff.12!");
  mconn_user_delete(f);
}

/* "Message bytes are queued for sending in their respective channel, with each
   channel holding one unsent message at a time."

   With a |send_queue| of 1 one message waits, besides the one that is being
   packetized; by default a channel has a longer queue. */
static void channel_holds_one_unsent_message(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 3000)); /* To be cut. */
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 5));    /* Unsent. */
  assert_cmt(CMT_EAGAIN, mconn_user_queue(f, 0x31, 5));
  assert_legacy_sent(f, 1100, 1, "31.1024");
  assert_cmt(CMT_EAGAIN, mconn_user_queue(f, 0x31, 5));
  assert_legacy_sent(f, 65536, 1, "31.1024 31.952! 31.5!");
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 5));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 5));
  assert_cmt(CMT_EAGAIN, mconn_user_queue(f, 0x31, 5));
  mconn_user_delete(f);
}

/* "Messages are chosen for a batch one at a time from the channel with the
   lowest ratio of recently sent bytes to channel priority."

   After each packet the ratios are compared anew; of equals the first listed
   goes.  Priorities 5, 1, 10: the packets have 1032 and 1033 bytes.  The rest
   of the scheduler is the same for both profiles: channel_schedule_test.c. */
static void lowest_ratio_is_chosen(void **state) {
  mconn_user *f = legacy_user_new();
  char text[1024] = "";
  static const char *const order[] = {"30", "31", "ff", "ff", "30", "ff",
                                      "ff", "30", "ff", "ff", "30", "ff"};

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 20000));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 5000));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0xff, 20000));
  for (size_t i = 0; i < CMT__COUNT(order); i++) {
    size_t at = strlen(text);

    snprintf(text + at, sizeof text - at, "%s%s.1024", i > 0 ? " " : "",
             order[i]);
  }
  assert_legacy_sent(f, 12 * 1033, 1, text);
  mconn_user_delete(f);
}

/* ======== Sending Messages ======== */

/* "There are two methods for sending messages: func (m MConnection) Send(chID
   byte, msg interface{}) bool {} [and] TrySend [...]"

   cmt_peer_send() (and cmt_peer_send_async(), which calls back) and
   cmt_peer_try_send().  In place of false each states why.

   "`Send(chID, msg)` is a blocking call that waits until `msg` is successfully
   queued for the channel with the given id byte `chID`."

   legacy_switch_test.c: send_waits_until_the_message_is_queued; the rules of
   waiting are those of the send queue, which does not know of profiles:
   switch_thread_test.c: a_blocking_send_waits_its_turn.

   "The message `msg` is serialized using protobuf marshalling."

   What is sent is bytes, whoever made them: no_byte_of_a_message_is_changed
   below.  libcometp2p-protobuf marshals for those who want it.

   "`TrySend(chID, msg)` is a nonblocking call that queues the message msg in
   the channel with the given id byte chID if the queue is not full; otherwise
   it returns false immediately."

   For the multiplexer cmt_mconn_try_send(): channel_holds_one_unsent_message
   above, and the reasons below. */
static void try_send_queues_or_refuses_at_once(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 5));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x31, 5));
  assert_cmt(CMT_EAGAIN, mconn_user_queue(f, 0x31, 5));
  assert_cmt(CMT_ENOCHANNEL, mconn_user_queue(f, 0x32, 5));
  assert_cmt(CMT_ETOOBIG, mconn_user_queue(f, 0x31, 5001));
  assert_legacy_sent(f, 100, 1, "31.5! 31.5!");
  mconn_user_delete(f);
}

static void no_byte_of_a_message_is_changed(void **state) {
  mconn_user *a = legacy_user_new(), *b = legacy_user_new();
  cmt_buf *msg = cmt_buf_new(&a->t.env, 70000);
  uint8_t *data = cmt_buf_data(msg);
  size_t done = 0;

  (void)state;
  for (size_t i = 0; i < 70000; i++) {
    data[i] = (uint8_t)(i * 31 + i / 256);
  }
  assert_cmt(CMT_OK, cmt_mconn_try_send(a->m, 0xff, cmt_buf_ref(msg)));
  for (size_t piece = 1; done == 0; piece = piece % 3000 + 37) {
    cmt_bytes out = mconn_output(a->m, piece, 1);
    cmt_mconn_event e;

    assert_true(out.len > 0);
    assert_cmt(CMT_OK, cmt_mconn_recv(b->m, out.base, out.len, 1));
    while (cmt_mconn_next_event(b->m, &e)) {
      done = cmt_buf_bytes(e.msg).len;
      assert_int_equal(70000, done);
      assert_memory_equal(data, cmt_buf_bytes(e.msg).base, done);
    }
    mconn_output_consume(a->m, out.len, 1);
  }
  cmt_buf_unref(msg);
  mconn_user_delete(a);
  mconn_user_delete(b);
}

/* "`Send()` and `TrySend()` are also exposed for each `Peer`."

   legacy_switch_test.c: both_ways_to_send_belong_to_the_peer.

   ======== Peer ========

   "Each peer has one `MConnection` instance, and includes other information
   such as whether the connection was outbound, whether the connection should be
   recreated if it closes, various identity information about the node, and
   other higher level thread-safe data used by the reactors."

   cmt_peer_is_outbound(), cmt_peer_is_persistent(), cmt_peer_id() and
   cmt_peer_node_info(), cmt_peer_set_value() and cmt_peer_value():
   legacy_switch_test.c: what_a_peer_is_can_be_asked; of the data in
   peer_data_test.c: threads_may_set_and_get_at_one_time.  That it is recreated:
   legacy_switch_test.c: a_persistent_peer_is_recreated.

   ======== Switch/Reactor ========

   "The `Switch` handles peer connections and exposes an API to receive incoming
   messages on `Reactors`.  Each `Reactor` is responsible for handling incoming
   messages of one or more `Channels`.  So while sending outgoing messages is
   typically performed on the peer, incoming messages are received on the
   reactor."

   legacy_switch_test.c: messages_are_received_on_the_reactor_of_their_channel.

   "// Declare a MyReactor reactor that handles messages on MyChannelID. [...]
   // Send a random message to all outbound connections [...]"

   legacy_switch_test.c: the_example_of_the_document. */

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(streams_are_independent),
    cmocka_unit_test(ids_are_unique_bytes),
    cmocka_unit_test(full_link_is_shared_by_priority),
    cmocka_unit_test(ids_and_priorities_are_set_at_the_start),
    cmocka_unit_test(there_are_three_packet_types),
    cmocka_unit_test(ping_and_pong_are_one_byte),
    cmocka_unit_test(ping_goes_out_when_nothing_came_for_ping_timeout),
    cmocka_unit_test(part_of_a_packet_and_what_we_send_put_no_ping_off),
    cmocka_unit_test(pong_is_sent_when_nothing_else_is),
    cmocka_unit_test(message_stands_for_the_pong),
    cmocka_unit_test(pong_that_waits_for_messages_goes_out_in_time),
    cmocka_unit_test(pings_that_are_too_often_are_not_answered),
    cmocka_unit_test(ten_pings_that_are_too_often_end_the_peer),
    cmocka_unit_test(silence_after_a_ping_ends_the_peer),
    cmocka_unit_test(pong_or_message_after_a_ping_keeps_the_peer),
    cmocka_unit_test(messages_are_chopped),
    cmocka_unit_test(fields_are_bytes),
    cmocka_unit_test(packets_are_proto3),
    cmocka_unit_test(bytes_are_appended_until_eof),
    cmocka_unit_test(output_is_a_pong_a_ping_and_a_batch),
    cmocka_unit_test(batch_may_have_several_channels),
    cmocka_unit_test(channel_holds_one_unsent_message),
    cmocka_unit_test(lowest_ratio_is_chosen),
    cmocka_unit_test(try_send_queues_or_refuses_at_once),
    cmocka_unit_test(no_byte_of_a_message_is_changed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
