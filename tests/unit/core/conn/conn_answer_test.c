/* SPDX-License-Identifier: Apache-2.0 */
/* A connection whose node info waits for the other side's, and answers it. */
#include "conn_peer.h"

#define MS(n) CMT_MILLISECONDS(n)

/* Authenticated at 0, with a node info that waits for one second. */
static void waiting_init(conn_peer *f) {
  conn_peer_init(f, true);
  f->o.info_wait_ns = MS(1000);
  conn_peer_start(f);
  conn_peer_hello(f);
  conn_peer_auth(f);
  assert_conn_events(f, "");
  assert_int_equal(0, f->plain.len);
}

/* The network in the node info that the connection has sent. */
static void assert_sent_network(conn_peer *f, const char *network) {
  cmt_node_info info;
  cmt_bytes body;

  assert_true(conn_peer_next_packet(f, &body));
  assert_true(cmt__node_info_decode(body, &info));
  assert_int_equal(strlen(network), info.network.len);
  assert_memory_equal(network, info.network.base, info.network.len);
}

/* Gives the other side's node info to the connection, and takes the first
   event. */
static void info_arrives(conn_peer *f, const cmt_node_info *info,
                         uint8_t *slot) {
  uint8_t out[512];
  cmt_conn_event e;

  secret_peer_seal(
    &f->peer, (cmt_bytes){out, conn_peer_write_info(f, info, out, sizeof out)},
    slot);
  assert_cmt(CMT_OK, cmt_conn_recv(f->c, slot, CMT_FRAME_SLOT, f->now_ns));
  assert_true(cmt_conn_next_event(f->c, &e));
  assert_int_equal(CMT_CONN_NODE_INFO, e.kind);
  assert_false(cmt_conn_wants_write(f->c, f->now_ns, NULL));
}

static cmt_node_info other_network(void) {
  cmt_node_info info = conn_peer_info;

  info.network = cmt_bytes_of("other-net");
  info.protocol_block = 12;
  info.channels = (cmt_bytes){(const uint8_t *)"\x30\x77", 2};
  return info;
}

static void answer_is_of_the_network_asked_for(void **state) {
  cmt_node_info theirs = other_network(), ours = other_network();
  uint8_t slot[CMT_FRAME_SLOT];
  conn_peer f;

  (void)state;
  waiting_init(&f);
  info_arrives(&f, &theirs, slot);
  ours.channels = (cmt_bytes){(const uint8_t *)"\x30", 1};
  assert_cmt(CMT_OK, cmt_conn_set_node_info(f.c, &ours, NULL));
  assert_conn_events(&f, "up");
  conn_peer_take(&f);
  assert_sent_network(&f, "other-net");
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 1));
  assert_cmt(CMT_EPEERCHANNEL, conn_peer_queue(&f, 0x31, 1));
  assert_cmt(CMT_ECLOSED, cmt_conn_set_node_info(f.c, &ours, NULL));
  conn_peer_fini(&f);
}

static void without_an_answer_the_configured_one_is_compared(void **state) {
  cmt_node_info theirs = other_network();
  uint8_t slot[CMT_FRAME_SLOT];
  conn_peer f;

  (void)state;
  waiting_init(&f);
  info_arrives(&f, &theirs, slot);
  assert_conn_events(&f, "CMT_EINCOMPATIBLE(node_info)");
  conn_peer_take(&f);
  assert_sent_network(&f, "test-net"); /* So that they log the reason. */
  conn_peer_fini(&f);
}

static void
silence_gets_the_configured_one_when_the_wait_is_over(void **state) {
  conn_peer f;

  (void)state;
  waiting_init(&f);
  assert_int_equal(MS(1000), cmt_conn_deadline(f.c));
  conn_peer_tick(&f, MS(1000) - 1);
  assert_int_equal(0, f.plain.len);
  conn_peer_tick(&f, MS(1000));
  assert_sent_network(&f, "test-net");
  assert_int_equal(MS(3000), cmt_conn_deadline(f.c));
  assert_cmt(CMT_ECLOSED, cmt_conn_set_node_info(f.c, &conn_peer_info, NULL));
  conn_peer_send_info(&f);
  assert_conn_events(&f, "info up");
  conn_peer_fini(&f);
}

static void delay_counts_after_the_answer_too(void **state) {
  conn_peer f;

  (void)state;
  waiting_init(&f);
  cmt_conn_delay_node_info(f.c, MS(100));
  conn_peer_send_info(&f);
  assert_conn_events(&f, "info up");
  assert_int_equal(0, f.plain.len);
  assert_int_equal(MS(100), cmt_conn_deadline(f.c));
  conn_peer_tick(&f, MS(100));
  assert_sent_network(&f, "test-net");
  conn_peer_fini(&f);
}

static void answer_is_checked_and_changes_nothing_when_wrong(void **state) {
  cmt_node_info ours = conn_peer_info;
  conn_peer f;
  cmt_why why;

  (void)state;
  waiting_init(&f);
  ours.moniker = (cmt_bytes){0};
  assert_cmt(CMT_EINVAL, cmt_conn_set_node_info(f.c, &ours, &why));
  assert_non_null(strstr(why.text, "moniker"));
  assert_cmt(CMT_EINVAL, cmt_conn_set_node_info(f.c, NULL, &why));
  assert_string_equal("info is NULL", why.text);
  ours = other_network();
  f.t.fail_at = f.t.allocs;
  assert_cmt(CMT_ENOMEM, cmt_conn_set_node_info(f.c, &ours, &why));
  f.t.fail_at = SIZE_MAX;
  conn_peer_tick(&f, MS(1000));
  assert_sent_network(&f, "test-net");
  cmt_conn_stop(f.c, CMT_ECANCELED, 0, f.now_ns);
  assert_cmt(CMT_ECLOSED, cmt_conn_set_node_info(f.c, &ours, NULL));
  conn_peer_fini(&f);
}

static void wait_is_shorter_than_the_handshake(void **state) {
  conn_peer f;
  cmt_why why;

  (void)state;
  conn_peer_init(&f, true);
  f.o.info_wait_ns = CMT_SECONDS(3);
  assert_cmt(CMT_EINVAL, cmt_conn_new(&f.o, 0, &f.c, &why));
  assert_string_equal("info_wait_ns is 3000000000, allowed is less than "
                      "handshake_timeout_ns, 3000000000",
                      why.text);
  f.o.info_wait_ns = CMT_SECONDS(3) - 1;
  assert_cmt(CMT_OK, cmt_conn_new(&f.o, 0, &f.c, &why));
  conn_peer_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(answer_is_of_the_network_asked_for),
    cmocka_unit_test(without_an_answer_the_configured_one_is_compared),
    cmocka_unit_test(silence_gets_the_configured_one_when_the_wait_is_over),
    cmocka_unit_test(delay_counts_after_the_answer_too),
    cmocka_unit_test(answer_is_checked_and_changes_nothing_when_wrong),
    cmocka_unit_test(wait_is_shorter_than_the_handshake),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
