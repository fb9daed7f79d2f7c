/* SPDX-License-Identifier: Apache-2.0 */

/* Typed messages between two nodes, and what refuses them. */

#include "protobuf_node.h"

/* ---- messages of CometBFT ---- */

static void txs_arrive_as_txs(void **state) {
  fixture *f = *state;
  ProtobufCBinaryData list[] = {{.len = 4, .data = (uint8_t *)"bb=2"},
                                {.len = 0, .data = NULL}};
  Cometbft__Mempool__Txs txs = COMETBFT__MEMPOOL__TXS__INIT;
  Cometbft__Mempool__Message msg = COMETBFT__MEMPOOL__MESSAGE__INIT;
  cmt_peer *p = connect_nodes(f);

  f->copies = true;
  txs.n_txs = 2;
  txs.txs = list;
  msg.sum_case = COMETBFT__MEMPOOL__MESSAGE__SUM_TXS;
  msg.txs = &txs;
  assert_cmt(CMT_OK, cmt_peer_try_send_message(p, MEMPOOL, &msg.base));
  run_until_idle(f);
  assert_log(f, "typed 30 txs 2\n");
  assert_cmt(CMT_OK,
             cmt_peer_send_message(p, MEMPOOL, &msg.base, CMT_SEND_TIMEOUT));
  run_until_idle(f);
  assert_log(f, "typed 30 txs 2\n");
}

static void note_status(void *arg, cmt_err status, cmt_buf *msg) {
  *(cmt_err *)arg = status;
  cmt_buf_unref(msg);
}

/* With a callback, or withdrawn while it waits. */
static void a_message_waits_for_room(void **state) {
  fixture *f = *state;
  Cometbft__Mempool__Message msg = COMETBFT__MEMPOOL__MESSAGE__INIT;
  cmt_peer *p = connect_nodes(f);
  cmt_err status = CMT_EINVAL, other = CMT_EINVAL;
  cmt_send_req req = CMT_SEND_REQ(CMT_NEVER, note_status, &status);
  cmt_send_req late = CMT_SEND_REQ(CMT_NEVER, note_status, &other);
  size_t queued = 0;

  while (cmt_peer_try_send_message(p, MEMPOOL, &msg.base) == CMT_OK) {
    queued++;
  }
  assert_cmt(CMT_OK, cmt_peer_send_async_message(p, MEMPOOL, &msg.base, &req));
  assert_cmt(CMT_OK, cmt_peer_send_async_message(p, MEMPOOL, &msg.base, &late));
  assert_cmt(CMT_OK, cmt_peer_send_cancel(p, &late));
  cmt_buf_unref(late.msg);
  assert_cmt(CMT_ETIMEDOUT, cmt_peer_send_message(p, MEMPOOL, &msg.base, 0));
  run_until_idle(f);
  assert_cmt(CMT_OK, status);
  assert_cmt(CMT_EINVAL, other);
  assert_int_equal((queued + 1) * strlen("typed 30 txs 0\n"), strlen(f->log));
}

static void bytes_of_cometbft_are_understood(void **state) {
  fixture *f = *state;

  connect_nodes(f);
  assert_cmt(CMT_OK, test_node_send(f->a, MEMPOOL,
                                    "\x0a\x06\x0a\x04"
                                    "bb=2"));
  run_until_idle(f);
  assert_log(f, "typed 30 txs 1\n");
  assert_cmt(CMT_OK, test_node_send(f->a, PEX,
                                    "\x12\x06\x0a\x04\x0a\x02"
                                    "ab"));
  run_until_idle(f);
  assert_log(f, "typed 00 pex 2\n");
}

static void an_empty_message_is_one(void **state) {
  fixture *f = *state;

  connect_nodes(f);
  assert_cmt(CMT_OK, test_node_send(f->a, MEMPOOL, ""));
  run_until_idle(f);
  assert_log(f, "typed 30 txs 0\n");
}

static void a_channel_without_a_type_stays_raw(void **state) {
  fixture *f = *state;

  connect_nodes(f);
  assert_cmt(CMT_OK, test_node_send(f->a, RAW, "\xff\xff"));
  run_until_idle(f);
  assert_log(f, "raw 31 2\n");
}

static void a_reactor_may_have_typed_messages_alone(void **state) {
  fixture *f = *state;

  f->typed.base = (cmt_reactor){.name = "typed",
                                .channels = channels,
                                .channel_count = CMT__COUNT(channels),
                                .self = f};
  node_b_start(f);
  test_node_start(f->a);
  test_node_dial(f->a, f->b->addr, 0);
  assert_cmt(CMT_OK, test_node_send(f->a, RAW, "x"));
  assert_cmt(CMT_OK, test_node_send(f->a, MEMPOOL, ""));
  run_until_idle(f);
  assert_log(f, "typed 30 txs 0\n");
}

static void an_error_of_receive_ends_the_peer(void **state) {
  fixture *f = *state;

  connect_nodes(f);
  f->receive_err = CMT_EREACTOR;
  assert_cmt(CMT_OK, test_node_send(f->a, MEMPOOL, ""));
  run_until_idle(f);
  assert_log(f, "typed 30 txs 0\nCMT_EREACTOR\nlocal\nreactor typed ended the "
                "peer on channel 0x30: a reactor refused the peer or the "
                "message\n");
}

static void all_functions_are_passed_on(void **state) {
  fixture *f = *state;

  connect_nodes(f);
  test_node_fini(f->b);
  assert_non_null(strstr(f->log, "CMT_ECANCELED\n"));
  assert_string_equal("stop\n", f->log + strlen(f->log) - 5);
}

/* ---- what ends a peer ---- */

static void a_malformed_message_ends_the_peer(void **state) {
  fixture *f = *state;

  connect_nodes(f);
  assert_cmt(CMT_OK, test_node_send(f->a, MEMPOOL,
                                    "\x0a\x06\x0a\x04"
                                    "bb="));
  run_until_idle(f);
  assert_log(f, "CMT_EPROTO\npeer\nchannel 0x30: a cometbft.mempool.Message "
                "was expected: the message is malformed\n");
}

static void a_greedy_message_ends_the_peer(void **state) {
  fixture *f = *state;
  cmt_peer *p = connect_nodes(f);
  uint8_t *greedy = malloc(200000);

  assert_non_null(greedy);
  for (size_t i = 0; i < 200000; i += 2) {
    greedy[i] = 0x18; /* Field 3, which nobody knows, 0. */
    greedy[i + 1] = 0;
  }
  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(p, MEMPOOL, greedy, 200000));
  free(greedy);
  run_until_idle(f);
  assert_log(f, "CMT_EPROTO\npeer\nchannel 0x30: a cometbft.mempool.Message "
                "was expected: the message needs too much memory\n");
}

/* ---- sending ---- */

static void a_broadcast_packs_once(void **state) {
  enum { LEN = 100000 };
  fixture *f = *state;
  uint8_t *bytes = calloc(1, LEN);
  ProtobufCBinaryData tx = {.len = LEN, .data = bytes};
  Cometbft__Mempool__Txs txs = COMETBFT__MEMPOOL__TXS__INIT;
  Cometbft__Mempool__Message msg = COMETBFT__MEMPOOL__MESSAGE__INIT;
  test_part *part = &f->trio->c.parts[0];
  cmt_broadcast counts;
  size_t before;

  assert_non_null(bytes);
  part->channel_count = 0;
  test_part_channel(part, channels[1]);
  txs.n_txs = 1;
  txs.txs = &tx;
  msg.sum_case = COMETBFT__MEMPOOL__MESSAGE__SUM_TXS;
  msg.txs = &txs;
  connect_nodes(f);
  f->trio->c.quiet = true;
  test_node_start(&f->trio->c);
  test_node_dial(f->a, f->trio->c.addr, 0);
  before = f->w->env.live_bytes;
  assert_cmt(CMT_OK, cmt_switch_broadcast_message(f->a->sw, MEMPOOL, &msg.base,
                                                  &counts));
  assert_int_equal(2, counts.queued);
  assert_in_range(f->w->env.live_bytes - before, LEN, LEN + 1000);
  run_until_idle(f);
  assert_log(f, "typed 30 txs 1\n");
  free(bytes);
}

static void a_refused_message_is_let_go(void **state) {
  fixture *f = *state;
  cmt_peer *p = connect_nodes(f);
  uint8_t *bytes = calloc(1, 200001);
  ProtobufCBinaryData chunk = {.len = 200001, .data = bytes};
  Shapes__Lists msg = SHAPES__LISTS__INIT;
  cmt_send_req req = CMT_SEND_REQ(CMT_NEVER, note_status, NULL);
  cmt_broadcast counts = {.queued = 1, .full = 1, .no_channel = 1};
  size_t live = f->w->env.live;

  assert_non_null(bytes);
  msg.n_chunks = 1;
  msg.chunks = &chunk;
  assert_cmt(CMT_ETOOBIG, cmt_peer_try_send_message(p, MEMPOOL, &msg.base));
  assert_cmt(CMT_ETOOBIG,
             cmt_peer_send_message(p, MEMPOOL, &msg.base, CMT_SEND_TIMEOUT));
  assert_cmt(CMT_ETOOBIG,
             cmt_peer_send_async_message(p, MEMPOOL, &msg.base, &req));
  assert_cmt(CMT_ETOOBIG,
             cmt_switch_broadcast_message(f->a->sw, MEMPOOL, &msg.base, NULL));
  assert_cmt(CMT_ENOCHANNEL, cmt_peer_try_send_message(p, 0x99, &msg.base));
  f->w->env.fail_at = f->w->env.allocs;
  assert_cmt(CMT_ENOMEM, cmt_peer_try_send_message(p, MEMPOOL, &msg.base));
  f->w->env.fail_at = f->w->env.allocs;
  assert_cmt(CMT_ENOMEM, cmt_switch_broadcast_message(f->a->sw, MEMPOOL,
                                                      &msg.base, &counts));
  assert_int_equal(0, counts.queued + counts.full + counts.no_channel);
  assert_int_equal(live, f->w->env.live);
  free(bytes);
}

static void a_message_over_the_limit_is_not_packed(void **state) {
  fixture *f = *state;
  /* Packing is never reached, so the bytes need not be there. */
  ProtobufCBinaryData chunk = {.len = (size_t)CMT_MESSAGE_MAX, .data = NULL};
  Shapes__Lists msg = SHAPES__LISTS__INIT;
  cmt_buf *packed = NULL;

  (void)f;
  msg.n_chunks = 1;
  msg.chunks = &chunk;
  assert_cmt(CMT_ETOOBIG, cmt_protobuf_pack(NULL, &msg.base, &packed));
  assert_null(packed);
}

/* ---- wrapping ---- */

static void assert_refused(fixture *f, const char *text) {
  cmt_reactor out;
  cmt_why why;

  assert_cmt(CMT_EINVAL, cmt_protobuf_reactor_wrap(&f->typed, &out, &why));
  assert_string_equal(text, why.text);
  assert_cmt(CMT_EINVAL, cmt_protobuf_reactor_wrap(&f->typed, &out, NULL));
}

static void a_wrong_table_is_refused(void **state) {
  fixture *f = *state;

  f->types[1].channel = 0x77;
  assert_refused(f, "channel 0x77 has a type and is not claimed");
  f->types[1].channel = PEX;
  assert_refused(f, "channel 0x00 has two types");
  f->types[1] = (cmt_protobuf_type){.channel = MEMPOOL};
  assert_refused(f, "channel 0x30 has no type");
  f->typed.receive = NULL;
  assert_refused(f, "receive is not set");
  f->typed.size = 1;
  assert_refused(f, "a reactor of an unknown size: use the init macro");
}

static void a_reactor_that_nobody_filled_in_is_refused(void **state) {
  fixture *f = *state;
  struct {
    cmt_protobuf_reactor typed;
    uint64_t later;
  } big = {.typed = f->typed};
  cmt_protobuf_reactor before = f->typed;
  cmt_reactor out;
  cmt_why why;

  assert_cmt(CMT_EINVAL, cmt_protobuf_reactor_wrap(NULL, &out, &why));
  assert_string_equal("the reactor is NULL", why.text);
  assert_cmt(CMT_EINVAL, cmt_protobuf_reactor_wrap(&f->typed, NULL, &why));
  assert_string_equal("out is NULL", why.text);
  for (unsigned byte = 0; byte < 256; byte += 85) {
    memset(&f->typed, (int)byte, sizeof f->typed);
    assert_refused(f, "a reactor of an unknown size: use the init macro");
  }
  f->typed = before;
  f->typed.types = NULL;
  assert_refused(f, "type_count is set and types is NULL");
  f->typed = before;
  f->typed.type_count = 0;
  assert_refused(f, "types is set and type_count is 0");
  f->typed.type_count = 257;
  assert_refused(f, "type_count is over 256");
  f->typed = before;
  f->typed.base.channels = NULL;
  assert_refused(f, "channel_count is set and channels is NULL");
  f->typed = before;
  f->typed.base.channel_count = 17;
  assert_refused(f, "channel_count is over CMT_CHANNELS_MAX");
  f->typed = before;
  big.typed.size = sizeof big;
  assert_cmt(CMT_OK, cmt_protobuf_reactor_wrap(&big.typed, &out, &why));
  big.later = 1;
  assert_cmt(CMT_EINVAL, cmt_protobuf_reactor_wrap(&big.typed, &out, &why));
  assert_string_equal("a field is set that this version does not have",
                      why.text);
  f->typed.size = offsetof(cmt_protobuf_reactor, growth);
  assert_cmt(CMT_OK, cmt_protobuf_reactor_wrap(&f->typed, &out, &why));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(txs_arrive_as_txs),
    TEST(a_message_waits_for_room),
    TEST(bytes_of_cometbft_are_understood),
    TEST(an_empty_message_is_one),
    TEST(a_channel_without_a_type_stays_raw),
    TEST(a_reactor_may_have_typed_messages_alone),
    TEST(an_error_of_receive_ends_the_peer),
    TEST(all_functions_are_passed_on),
    TEST(a_malformed_message_ends_the_peer),
    TEST(a_greedy_message_ends_the_peer),
    TEST(a_broadcast_packs_once),
    TEST(a_refused_message_is_let_go),
    TEST(a_message_over_the_limit_is_not_packed),
    TEST(a_wrong_table_is_refused),
    TEST(a_reactor_that_nobody_filled_in_is_refused),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
