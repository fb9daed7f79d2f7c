/* SPDX-License-Identifier: Apache-2.0 */

/* What is stated as the most that there may be, at exactly that: channels with
   full queues, full status and a mailbox, the longest node info, loops and
   threads. */

#include "node.h"
#include "sockets.h"

#include "core/conn/node_info.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 3, INFO_TOO_LONG = 11000 };

static void sixteen_channels(test_part *part) {
  part->channel_count = 0;
  for (int i = 0; i < CMT_CHANNELS_MAX; i++) {
    test_part_channel(part, (cmt_channel){.id = (uint8_t)(17 * i),
                                          .priority = 1,
                                          .send_queue = ROOM,
                                          .recv_queue = 100});
  }
}

/* ---- channels ---- */

static unsigned fill(cmt_peer *p, uint8_t id) {
  unsigned queued = 0;

  while (cmt_peer_try_send_bytes(p, id, &id, 1) == CMT_OK) {
    queued++;
  }
  return queued;
}

static void assert_full(const cmt_peer *p) {
  cmt_peer_status s;

  cmt_peer_get_status(p, &s);
  assert_int_equal(CMT_CHANNELS_MAX, s.channel_count);
  for (size_t i = 0; i < CMT_CHANNELS_MAX; i++) {
    assert_int_equal(17 * i, s.channels[i].id);
    assert_int_equal(ROOM + 1, s.channels[i].sent_messages);
    assert_int_equal(0, s.channels[i].queued_messages);
  }
}

static unsigned take_all(test_trio *t) {
  cmt_mailbox *m = cmt_switch_mailbox(t->b.sw, "chat");
  unsigned seen[CMT_CHANNELS_MAX] = {0}, messages = 0;
  cmt_mailbox_event ev;

  while (cmt_mailbox_next(m, &ev, 0) == CMT_OK) {
    if (ev.kind == CMT_EVENT_MESSAGE) {
      assert_int_equal(ev.channel, cmt_buf_bytes(ev.msg).base[0]);
      seen[ev.channel / 17]++;
      messages++;
    }
    cmt_mailbox_done(m, &ev);
    test_loop_run_until_idle(t->w.loop);
  }
  for (size_t i = 0; i < CMT_CHANNELS_MAX && messages > 0; i++) {
    assert_int_equal(ROOM + 1, seen[i]);
  }
  return messages;
}

static void sixteen_full_channels_into_a_mailbox(void **state) {
  test_trio *t = *state;
  cmt_peer *p;

  sixteen_channels(&t->a.parts[0]);
  sixteen_channels(&t->b.parts[0]);
  t->b.parts[0].delivery = CMT_DELIVER_MAILBOX;
  test_node_start(&t->b);
  test_node_start(&t->a);
  test_node_dial(&t->a, t->b.addr, 0);
  p = test_node_peer(&t->a);
  for (int i = 0; i < CMT_CHANNELS_MAX; i++) {
    assert_int_equal(ROOM + 1, fill(p, (uint8_t)(17 * i)));
  }
  cmt_peer_ref(p);
  test_loop_run_until_idle(t->w.loop);
  assert_full(p);
  assert_int_equal(CMT_CHANNELS_MAX * (ROOM + 1), take_all(t));
  cmt_switch_stop(t->a.sw, 0);
  cmt_switch_stop(t->b.sw, CMT_SECONDS(1));
  test_loop_run_until_idle(t->w.loop);
  (void)take_all(t);
  assert_full(p); /* The last one stays. */
  cmt_peer_unref(p);
}

/* ---- node infos ---- */

static cmt_err make(test_trio *t, const char *moniker, cmt_why *why) {
  t->a.options.moniker = moniker;
  return test_node_new(&t->a, why);
}

/* The most bytes of a moniker that cmt_switch_new() accepts. */
static size_t longest_moniker(test_trio *t, char *moniker) {
  size_t len = INFO_TOO_LONG;
  cmt_why why = {.err = CMT_OK}, last;

  memset(moniker, 'm', len);
  do {
    last = why;
    moniker[--len] = '\0';
  } while (make(t, moniker, &why) != CMT_OK);
  assert_string_equal("our node info takes 10241 bytes, allowed are 10240",
                      last.text);
  return len;
}

static void the_longest_node_info_is_accepted(void **state) {
  test_trio *t = *state;
  char *moniker = malloc(INFO_TOO_LONG + 1);
  cmt_peer *p;
  size_t len;

  assert_non_null(moniker);
  len = longest_moniker(t, moniker);
  assert_cmt(CMT_OK, cmt_switch_delete(t->a.sw));
  t->b.options.moniker = moniker;
  test_pair(&t->w, &t->a, &t->b);
  p = test_node_peer(&t->b);
  assert_int_equal(len, cmt_peer_node_info(p)->moniker.len);
  assert_int_equal(CMT_NODE_INFO_MAX,
                   cmt__node_info_size(cmt_peer_node_info(p)));
  assert_cmt(CMT_OK, test_node_send(&t->a, TEST_CHAT, "hello"));
  test_loop_run_until_idle(t->w.loop);
  assert_string_equal("receive chat 51 hello\n", test_node_log(&t->b));
  free(moniker);
}

/* ---- loops and threads ---- */

enum { PEERS = 5, MESSAGES = 40 };

typedef struct side {
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  unsigned added, received;
} side;

static test_watch watch;

static void on_add(void *self, cmt_peer *p) {
  (void)p;
  test_bump(&watch, &((side *)self)->added);
}

static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  (void)p;
  (void)channel;
  (void)msg;
  test_bump(&watch, &((side *)self)->received);
  return CMT_OK;
}

static void side_start(side *s, uint32_t loops, uint32_t threads) {
  static cmt_channel channels[CMT_CHANNELS_MAX];
  cmt_reactor r = {.name = "test",
                   .channels = channels,
                   .channel_count = CMT_CHANNELS_MAX,
                   .self = s,
                   .delivery =
                     threads > 0 ? CMT_DELIVER_WORKERS : CMT_DELIVER_INLINE,
                   .threads = threads,
                   .add_peer = on_add,
                   .receive = on_receive};
  cmt_switch_options o;

  for (int i = 0; i < CMT_CHANNELS_MAX; i++) {
    channels[i] = (cmt_channel){
      .id = (uint8_t)(17 * i), .priority = 1, .send_queue = MESSAGES};
  }
  test_switch_options(&o, &r);
  o.loops = loops;
  test_switch_start(&o, &s->sw, s->addr);
}

static void sixty_four_loops_and_256_threads(void **state) {
  side hub = {.added = 0}, others[PEERS] = {{.added = 0}};

  (void)state;
  test_watch_init(&watch);
  side_start(&hub, CMT_LOOPS_MAX, CMT_THREADS_MAX);
  for (size_t i = 0; i < PEERS; i++) {
    side_start(&others[i], 1, 0);
    assert_cmt(CMT_OK, cmt_switch_dial(others[i].sw, hub.addr, 0, NULL));
  }
  test_await(&watch, &hub.added, PEERS);
  for (size_t i = 0; i < PEERS; i++) {
    test_await(&watch, &others[i].added, 1);
    for (int k = 0; k < MESSAGES; k++) {
      assert_cmt(CMT_OK, cmt_switch_broadcast_bytes(
                           others[i].sw, (uint8_t)(17 * (k % CMT_CHANNELS_MAX)),
                           "hello", 5, NULL));
    }
  }
  test_await(&watch, &hub.received, PEERS * MESSAGES);
  assert_cmt(CMT_OK, cmt_switch_delete(hub.sw));
  for (size_t i = 0; i < PEERS; i++) {
    assert_cmt(CMT_OK, cmt_switch_delete(others[i].sw));
  }
  test_watch_fini(&watch);
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, test_trio_setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(sixteen_full_channels_into_a_mailbox),
    TEST(the_longest_node_info_is_accepted),
    cmocka_unit_test(sixty_four_loops_and_256_threads),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
