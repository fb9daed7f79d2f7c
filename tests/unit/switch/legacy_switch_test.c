/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of docs/LEGACY.md, from "Sending Messages" on, for switches
   of the legacy profile; legacy_test.c has the sentences.  On the loop double,
   but for the call that blocks. */
#include "node.h"
#include "sockets.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

typedef test_trio fixture;

static int setup(void **state) {
  fixture *f;

  if (test_trio_setup(state) != 0) {
    return -1;
  }
  f = *state;
  f->a.options.wire = CMT_WIRE_LEGACY;
  f->b.options.wire = CMT_WIRE_LEGACY;
  f->c.options.wire = CMT_WIRE_LEGACY;
  return 0;
}

static void run_until_idle(fixture *f) { test_loop_run_until_idle(f->w.loop); }

/* ======== Sending Messages ======== */

static void note_answer(void *arg, cmt_err status, cmt_buf *msg) {
  cmt_err *out = arg;

  assert_null(msg);
  *out = status;
}

/* "`Send()` and `TrySend()` are also exposed for each `Peer`."  Of Send() the
   form that calls back; the one that blocks is below. */
static void both_ways_to_send_belong_to_the_peer(void **state) {
  fixture *f = *state;
  cmt_err answer = CMT_EAGAIN;
  cmt_send_req req = CMT_SEND_REQ(CMT_SECONDS(1), note_answer, &answer);
  cmt_buf *msg;
  cmt_peer *p;

  test_pair(&f->w, &f->a, &f->b);
  p = test_node_peer(&f->a);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "one"));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "two"));
  /* "[...] if the queue is not full; otherwise it returns false immediately."
   */
  assert_cmt(CMT_EAGAIN, test_node_send(&f->a, TEST_CHAT, "refused"));
  msg = cmt_buf_new(&f->w.env.env, 5);
  memcpy(cmt_buf_data(msg), "three", 5);
  assert_cmt(CMT_OK, cmt_peer_send_async(p, TEST_CHAT, msg, &req));
  assert_cmt(CMT_EAGAIN, answer);
  run_until_idle(f);
  assert_cmt(CMT_OK, answer);
  assert_string_equal("receive chat 51 one\nreceive chat 51 two\n"
                      "receive chat 51 three\n",
                      test_node_log(&f->b));
}

/* What a real switch of two threads counts. */
typedef struct counter {
  pthread_mutex_t lock;
  pthread_cond_t cond;
  unsigned peers, messages;
} counter;

static void count_up(unsigned *what, counter *c) {
  pthread_mutex_lock(&c->lock);
  (*what)++;
  pthread_cond_broadcast(&c->cond);
  pthread_mutex_unlock(&c->lock);
}

static void count_until(const unsigned *what, unsigned wanted, counter *c) {
  pthread_mutex_lock(&c->lock);
  while (*what < wanted) {
    pthread_cond_wait(&c->cond, &c->lock);
  }
  pthread_mutex_unlock(&c->lock);
}

static void on_add(void *self, cmt_peer *p) {
  counter *c = self;

  (void)p;
  count_up(&c->peers, c);
}

static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  counter *c = self;

  (void)p;
  assert_int_equal(TEST_CHAT, channel);
  assert_int_equal(10000, cmt_buf_bytes(msg).len);
  count_up(&c->messages, c);
  return CMT_OK;
}

static cmt_switch *real_switch(counter *c) {
  static const cmt_channel channel = {.id = TEST_CHAT, .priority = 1};
  const cmt_reactor reactor = {.name = "chat",
                               .channels = &channel,
                               .channel_count = 1,
                               .self = c,
                               .add_peer = on_add,
                               .receive = on_receive};
  cmt_switch_options o;
  cmt_switch *sw;

  test_switch_options(&o, &reactor);
  o.loops = 1;
  o.wire = CMT_WIRE_LEGACY;
  assert_cmt(CMT_OK, cmt_switch_new(&o, &sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(sw, NULL));
  return sw;
}

/* "`Send(chID, msg)` is a blocking call that waits until `msg` is successfully
   queued for the channel with the given id byte `chID`."  Two messages fill the
   channel, and far more go through. */
static void send_waits_until_the_message_is_queued(void **state) {
  enum { COUNT = 500 };
  static const uint8_t bytes[10000];
  counter c = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
  cmt_switch *a = real_switch(&c), *b = real_switch(&c);
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_net_addr at;
  cmt_peer *p;

  (void)state;
  assert_cmt(CMT_OK, cmt_switch_get_laddr(b, &at));
  assert_cmt(CMT_OK, cmt_net_addr_format(&at, addr, sizeof addr));
  assert_cmt(CMT_OK, cmt_switch_dial(a, addr, 0, NULL));
  count_until(&c.peers, 2, &c);
  assert_int_equal(1, cmt_switch_peers(a, &p, 1));
  for (int i = 0; i < COUNT; i++) {
    assert_cmt(CMT_OK, cmt_peer_send_bytes(p, TEST_CHAT, bytes, sizeof bytes,
                                           CMT_SECONDS(TEST_WAIT_S)));
  }
  count_until(&c.messages, COUNT, &c);
  assert_cmt(CMT_ENOCHANNEL,
             cmt_peer_send_bytes(p, 0x52, bytes, 1, CMT_SEND_TIMEOUT));
  cmt_peer_unref(p);
  assert_cmt(CMT_OK, cmt_switch_delete(a));
  assert_cmt(CMT_OK, cmt_switch_delete(b));
}

/* ======== Peer ======== */

static void no_destroy(void *value) { (void)value; }

/* "[...] other information such as whether the connection was outbound, whether
   the connection should be recreated if it closes, various identity information
   about the node, and other higher level thread-safe data used by the
   reactors." */
static void what_a_peer_is_can_be_asked(void **state) {
  fixture *f = *state;
  cmt_node_id id;
  int height = 7;
  cmt_peer *p;

  f->b.options.moniker = "bert";
  test_pair(&f->w, &f->a, &f->b);
  p = test_node_peer(&f->a);
  cmt_switch_get_id(f->b.sw, &id);
  assert_string_equal(id.text, cmt_peer_id(p)->text);
  assert_memory_equal("bert", cmt_peer_node_info(p)->moniker.base, 4);
  assert_true(cmt_peer_is_outbound(p));
  assert_false(cmt_peer_is_outbound(test_node_peer(&f->b)));
  assert_false(cmt_peer_is_persistent(p));
  assert_cmt(CMT_OK, cmt_peer_set_value(p, "height", &height, no_destroy));
  assert_ptr_equal(&height, cmt_peer_value(p, "height"));
}

/* It is recreated when it closes, if it should be. */
static void a_persistent_peer_is_recreated(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->b.addr, CMT_DIAL_PERSISTENT);
  assert_true(cmt_peer_is_persistent(test_node_peer(&f->a)));
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->a));
  test_conn_cut(test_loop_conn(f->w.loop, 0));
  run_until_idle(f);
  assert_string_equal("remove chat CMT_ERESET\n", test_node_log(&f->a));
  test_loop_advance(f->w.loop, CMT_SECONDS(9));
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->a));
}

/* The one MConnection of a peer keeps it without a word of the reactors: a side
   pings when nothing came for 60 s, and the ping is a receipt for the other. */
static void idle_peers_stay(void **state) {
  fixture *f = *state;
  cmt_peer_status a, b;

  test_pair(&f->w, &f->a, &f->b);
  test_loop_advance(f->w.loop, CMT_SECONDS(3601));
  assert_string_equal("", test_node_log(&f->a));
  assert_string_equal("", test_node_log(&f->b));
  cmt_peer_get_status(test_node_peer(&f->a), &a);
  cmt_peer_get_status(test_node_peer(&f->b), &b);
  assert_in_range(a.pings_sent + b.pings_sent, 59, 121);
  assert_int_equal(a.pings_sent, a.pongs_recv);
  assert_int_equal(b.pings_sent, b.pongs_recv);
}

static void busy_peers_send_no_pings(void **state) {
  fixture *f = *state;
  cmt_peer_status status;

  f->a.quiet = f->b.quiet = true;
  test_pair(&f->w, &f->a, &f->b);
  for (int i = 0; i < 100; i++) {
    assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "x"));
    assert_cmt(CMT_OK, test_node_send(&f->b, TEST_CHAT, "y"));
    test_loop_advance(f->w.loop, CMT_SECONDS(59));
  }
  cmt_peer_get_status(test_node_peer(&f->a), &status);
  assert_int_equal(0, status.pings_sent);
}

static void silent_peer_is_removed_after_105_seconds(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = true;
  test_loop_advance(f->w.loop, CMT_SECONDS(104));
  assert_string_equal("", test_node_log(&f->a));
  test_loop_advance(f->w.loop, CMT_SECONDS(2));
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&f->a));
}

/* ======== Switch/Reactor ======== */

/* "Each `Reactor` is responsible for handling incoming messages of one or more
   `Channels`.  So while sending outgoing messages is typically performed on the
   peer, incoming messages are received on the reactor." */
static void
messages_are_received_on_the_reactor_of_their_channel(void **state) {
  fixture *f = *state;
  test_node *nodes[] = {&f->a, &f->b};

  for (size_t i = 0; i < 2; i++) {
    test_part *files = test_node_part(nodes[i], "files");

    test_part_channel(
      files, (cmt_channel){.id = 0x40, .priority = 1, .send_queue = 1});
    test_part_channel(files, (cmt_channel){.id = 0xff, .priority = 1});
    test_node_start(nodes[i]);
  }
  test_node_dial(&f->a, f->b.addr, 0);
  (void)test_node_log(&f->b);
  assert_cmt(CMT_OK, test_node_send(&f->a, 0xff, "one"));
  run_until_idle(f);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, ""));
  run_until_idle(f);
  assert_cmt(CMT_OK, test_node_send(&f->a, 0x40, "three"));
  run_until_idle(f);
  assert_string_equal("receive files ff one\nreceive chat 51 \n"
                      "receive files 40 three\n",
                      test_node_log(&f->b));
}

/* "// Send a random message to all outbound connections
   for _, peer := range switch.Peers().List() {
   if peer.IsOutbound() { peer.Send(MyChannelID, "Here's a random message") } }"
 */
static void the_example_of_the_document(void **state) {
  static const char text[] = "Here's a random message";
  fixture *f = *state;
  cmt_peer *peers[8];
  size_t count;

  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_start(&f->c);
  test_node_dial(&f->a, f->b.addr, 0);
  test_node_dial(&f->c, f->a.addr, 0);
  (void)test_node_log(&f->b);
  (void)test_node_log(&f->c);
  count = cmt_switch_peers(f->a.sw, peers, CMT__COUNT(peers));
  assert_int_equal(2, count);
  for (size_t i = 0; i < count; i++) {
    if (cmt_peer_is_outbound(peers[i])) {
      assert_cmt(CMT_OK, cmt_peer_try_send_bytes(peers[i], TEST_CHAT, text,
                                                 sizeof text - 1));
    }
    cmt_peer_unref(peers[i]);
  }
  run_until_idle(f);
  assert_string_equal("receive chat 51 Here's a random message\n",
                      test_node_log(&f->b));
  assert_string_equal("", test_node_log(&f->c));
}

/* ======== other profiles ======== */

static const char *why_text(test_part *part) { return part->arg; }

static void keep_why(test_part *part, cmt_peer *p) {
  static char texts[2][sizeof((cmt_why *)0)->text];
  char *text = texts[cmt_peer_is_outbound(p)];
  cmt_why why;

  cmt_peer_get_why(p, &why);
  memcpy(text, why.text, sizeof why.text);
  part->arg = text;
}

static void mixed_switches_report_it_on_both_sides(void **state) {
  static const char foreign[] = "peer seems to speak another wire profile";

  for (int i = 0; i < 4; i++) {
    fixture *f;

    assert_int_equal(0, setup(state));
    f = *state;
    (i % 2 ? &f->a : &f->b)->options.wire = CMT_WIRE_COMETBFT;
    f->a.parts[0].on_remove = f->b.parts[0].on_remove = keep_why;
    test_pair(&f->w, &f->a, &f->b);
    assert_cmt(CMT_OK, test_node_send(i / 2 ? &f->a : &f->b, TEST_CHAT, "hi"));
    run_until_idle(f);
    assert_string_equal("remove chat CMT_EPROTO\n", test_node_log(&f->a));
    assert_string_equal("remove chat CMT_EPROTO\n", test_node_log(&f->b));
    assert_string_equal(foreign, why_text(&f->a.parts[0]));
    assert_string_equal(foreign, why_text(&f->b.parts[0]));
    assert_int_equal(0, test_trio_teardown(state));
  }
}

static void switch_with_an_unknown_profile_is_refused(void **state) {
  fixture *f = *state;
  cmt_why why;

  f->a.options.wire = (cmt_wire)9;
  assert_cmt(CMT_EINVAL, test_node_new(&f->a, &why));
  assert_string_equal("wire is 9, which is none of enum cmt_wire", why.text);
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(both_ways_to_send_belong_to_the_peer),
    cmocka_unit_test(send_waits_until_the_message_is_queued),
    TEST(what_a_peer_is_can_be_asked),
    TEST(a_persistent_peer_is_recreated),
    TEST(idle_peers_stay),
    TEST(busy_peers_send_no_pings),
    TEST(silent_peer_is_removed_after_105_seconds),
    TEST(messages_are_received_on_the_reactor_of_their_channel),
    TEST(the_example_of_the_document),
    cmocka_unit_test(mixed_switches_report_it_on_both_sides),
    TEST(switch_with_an_unknown_profile_is_refused),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
