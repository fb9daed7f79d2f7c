/* SPDX-License-Identifier: Apache-2.0 */

/* What cmt_switch_new() refuses, with the line that it gives. */

#include "node.h"

#include <cometp2p/version.h>

typedef struct fixture {
  test_world w;
  test_node a;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->w);
  test_node_init(&f->a, &f->w);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  test_world_fini(&f->w);
  free(f);
  return 0;
}

static void refused(fixture *f, const char *text) {
  cmt_why why;

  assert_cmt(CMT_EINVAL, test_node_new(&f->a, &why));
  assert_cmt(CMT_EINVAL, why.err);
  assert_string_equal(text, why.text);
  assert_cmt(CMT_EINVAL, test_node_new(&f->a, NULL));
  assert_null(f->a.sw);
}

static void two_reactors_with_one_channel(void **state) {
  fixture *f = *state;

  test_part_channel(test_node_part(&f->a, "files"),
                    (cmt_channel){.id = TEST_CHAT, .priority = 1});
  refused(f, "reactors chat and files both claim channel 0x51");
}

static void only_who_does_not_listen_accepts_any_network(void **state) {
  fixture *f = *state;

  f->a.options.any_network = true;
  refused(f, "any_network and laddr are both set: only a switch that does not "
             "listen may take any network");
  f->a.options.laddr = NULL;
  memset(&f->a.options.any_network, 0xa5, sizeof f->a.options.any_network);
  refused(f, "any_network is neither true nor false: use the init macro");
}

static void a_reactor_with_one_channel_twice(void **state) {
  fixture *f = *state;

  test_part_channel(&f->a.parts[0],
                    (cmt_channel){.id = TEST_CHAT, .priority = 2});
  refused(f, "reactor chat claims channel 0x51 twice");
}

static void two_reactors_with_one_name(void **state) {
  fixture *f = *state;

  (void)test_node_part(&f->a, "chat");
  refused(f, "two reactors are named chat");
}

static void a_reactor_without_a_name(void **state) {
  fixture *f = *state;

  (void)test_node_part(&f->a, NULL);
  refused(f, "reactor 1 has no name");
}

static void numbers_of_a_channel_out_of_range(void **state) {
  fixture *f = *state;
  cmt_channel *c = &f->a.parts[0].channels[0];

  c->send_queue = 1000001;
  refused(f, "channel 0x51: send_queue is 1000001, allowed is 1 to 1000000");
  c->send_queue = 1;
  c->recv_message_max = (size_t)CMT_MESSAGE_MAX + 1;
  c->send_message_max = 1;
  refused(f, "channel 0x51: recv_message_max is 1073741825, allowed is 1 to "
             "1073741824");
}

static void more_than_16_channels(void **state) {
  fixture *f = *state;
  test_part *files = test_node_part(&f->a, "files");

  for (uint8_t i = 0; i < 16; i++) {
    test_part_channel(files, (cmt_channel){.id = i, .priority = 1});
  }
  refused(f, "the reactors claim more than 16 channels");
}

static void no_network(void **state) {
  fixture *f = *state;

  f->a.options.network = NULL;
  refused(f, "network is not set: it is the chain id of the nodes to meet");
  f->a.options.network = "";
  refused(f, "network is not set: it is the chain id of the nodes to meet");
}

static void a_bad_laddr(void **state) {
  fixture *f = *state;

  f->a.options.laddr = "127.0.0.1";
  refused(f, "address '127.0.0.1': the port is missing");
  f->a.options.laddr = "localhost:26656";
  refused(f, "laddr: localhost is not an IP address");
}

static void what_connections_could_not_be_made_with(void **state) {
  fixture *f = *state;

  f->a.options.pong_timeout_ns = f->a.options.ping_interval_ns;
  refused(f, "ping_interval_ns is 60000000000, pong_timeout_ns is 60000000000: "
             "the timeout must be shorter than the interval");
  f->a.options.pong_timeout_ns = 1;
  f->a.options.send_packet_payload_max = 15;
  refused(f, "send_packet_payload_max is 15, allowed is 16 to 65536");
  f->a.options.send_packet_payload_max = 16;
  f->a.options.ip6_prefix_len = 129;
  refused(f, "ip6_prefix_len is 129, allowed is 0 to 128");
  f->a.options.ip6_prefix_len = 128;
  f->a.options.handshake_threads = 65;
  refused(f, "handshake_threads is 65, allowed is 0 to 64, or "
             "CMT_NO_HANDSHAKE_THREADS");
  f->a.options.handshake_threads = CMT_NO_HANDSHAKE_THREADS;
  f->a.options.handshake_offload_rate = 1000001;
  refused(f, "handshake_offload_rate is 1000001, allowed is 0 to 1000000 "
             "handshakes per second");
  f->a.options.handshake_offload_rate = 1000000;
  f->a.options.size = 8;
  refused(f, "options of an unknown size: use the init macro");
}

/* No keys are made, and no memory for any: that is for connections. */
static void options_are_checked_without_a_connection(void **state) {
  fixture *f = *state;
  cmt_node_key *key;
  size_t pieces;
  uint64_t seed;

  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &key));
  f->a.options.key = key;
  pieces = f->w.env.secret_allocs;
  seed = f->w.env.seed;
  assert_cmt(CMT_OK, test_node_new(&f->a, NULL));
  assert_int_equal(pieces, f->w.env.secret_allocs);
  assert_int_equal(seed, f->w.env.seed);
  test_node_fini(&f->a);
  cmt_node_key_delete(key);
}

static void a_node_info_that_others_would_refuse(void **state) {
  fixture *f = *state;
  cmt_why why;

  f->a.options.moniker = "two\nlines";
  assert_cmt(CMT_EINVAL, test_node_new(&f->a, &why));
  assert_non_null(strstr(why.text, "moniker"));
  f->a.options.moniker = "fine";
  f->a.options.version = "\x01";
  assert_cmt(CMT_EINVAL, test_node_new(&f->a, &why));
  assert_non_null(strstr(why.text, "version"));
}

static void assert_bytes(const char *text, cmt_bytes b) {
  assert_int_equal(strlen(text), b.len);
  assert_memory_equal(text, b.base, b.len);
}

static void the_node_info_reports_where_it_listens(void **state) {
  fixture *f = *state;
  test_node b, c;
  cmt_peer *p;
  const cmt_node_info *i;

  test_part_channel(&f->a.parts[0], (cmt_channel){.id = 0x02, .priority = 1});
  test_node_init(&b, &f->w);
  b.options.laddr = NULL;
  test_node_init(&c, &f->w);
  c.options.external_address = "node.test:1234";
  test_node_start(&f->a);
  test_node_start(&b);
  test_node_start(&c);
  test_node_dial(&b, f->a.addr, 0);
  i = cmt_peer_node_info(test_node_peer(&b));
  assert_bytes("tcp://127.0.0.1:20000", i->listen_addr);
  assert_bytes("\x51\x02", i->channels);
  assert_bytes("off", i->tx_index);
  assert_int_equal(8, i->protocol_p2p);
  assert_int_equal(11, i->protocol_block);
  i = cmt_peer_node_info(test_node_peer(&f->a));
  assert_bytes("tcp://0.0.0.0:0", i->listen_addr);
  assert_bytes("cometp2p", i->moniker);
  test_node_fini(&b);
  test_node_dial(&f->a, c.addr, 0);
  p = test_node_peer(&f->a);
  assert_bytes("node.test:1234", cmt_peer_node_info(p)->listen_addr);
  test_node_fini(&c);
  test_node_fini(&f->a);
}

static void without_laddr_there_is_no_listening(void **state) {
  fixture *f = *state;
  cmt_net_addr at;

  f->a.options.laddr = NULL;
  test_node_start(&f->a);
  assert_cmt(CMT_EINVAL, cmt_switch_get_laddr(f->a.sw, &at));
  test_node_fini(&f->a);
}

static void without_memory_there_is_no_switch(void **state) {
  fixture *f = *state;
  size_t from = f->w.env.allocs;
  cmt_err err = CMT_ENOMEM;
  size_t fails = 0;

  while (err != CMT_OK) {
    cmt_why why;

    f->w.env.fail_at = f->w.env.allocs + fails;
    err = test_node_new(&f->a, &why);
    f->w.env.fail_at = SIZE_MAX;
    if (err != CMT_OK) {
      assert_cmt(CMT_ENOMEM, err);
      assert_cmt(CMT_ENOMEM, why.err);
      fails++;
    }
  }
  assert_true(fails >= 8 && f->w.env.allocs > from);
  assert_cmt(CMT_OK, cmt_switch_delete(f->a.sw));
}

/* What the reactor needs comes on top: the list of mailboxes, one, and its
   limits. */
static void without_memory_there_is_no_mailbox(void **state) {
  fixture *f = *state;

  f->a.parts[0].delivery = CMT_DELIVER_MAILBOX;
  without_memory_there_is_no_switch(state);
}

static void loops_out_of_range(void **state) {
  fixture *f = *state;

  f->a.options.loops = 65;
  refused(f, "loops is 65, allowed is 1 to 64");
}

static void one_loop_of_the_caller_is_one(void **state) {
  fixture *f = *state;
  cmt_why why;

  f->a.options.loops = 2;
  assert_cmt(CMT_EINVAL,
             cmt__switch_new_on(&f->a.options, test_loop_base(f->w.loop),
                                &f->a.sw, &why));
  assert_string_equal("loops is 2, and a switch on the caller's loop has 1",
                      why.text);
}

/* It means something on this machine alone. */
static void a_zone_is_not_reported_to_others(void **state) {
  fixture *f = *state;
  cmt_net_addr at;

  f->a.options.laddr = "[FE80::1%eth0]:26656";
  test_node_start(&f->a);
  assert_string_equal("tcp://[fe80::1]:26656", f->a.sw->setup.listen_addr);
  assert_cmt(CMT_OK, cmt_switch_get_laddr(f->a.sw, &at));
  assert_string_equal("fe80::1%eth0", at.host);
  test_node_fini(&f->a);
}

/* The defaults that the header states; what has none is 0. */
static void the_defaults_are_those_of_the_header(void **state) {
#define SAME(name, value) assert_int_equal(value, o.name)
  cmt_switch_options o, rest = {.size = 0};

  (void)state;
  memset(&o, 0xa5, sizeof o);
  cmt_switch_options_init(&o);
  SAME(size, sizeof o);
  assert_string_equal("cometp2p", o.moniker);
  assert_string_equal(cmt_version(), o.version);
  SAME(loops, 1);
  SAME(protocol_p2p, 8);
  SAME(protocol_block, 11);
  SAME(ping_interval_ns, CMT_SECONDS(60));
  SAME(pong_timeout_ns, CMT_SECONDS(45));
  SAME(partial_message_max_ns, CMT_SECONDS(60));
  SAME(stall_max_ns, CMT_SECONDS(600));
  SAME(queue_delay_target_ns, CMT_MILLISECONDS(1) / 2);
  SAME(dial_timeout_ns, CMT_SECONDS(3));
  SAME(handshake_timeout_ns, CMT_SECONDS(3));
  SAME(send_packet_payload_max, 1024);
  SAME(recv_packet_payload_max, 1400);
  SAME(inbound_peers_max, 40);
  SAME(outbound_peers_max, 40);
  SAME(handshakes_max, 64);
  SAME(handshakes_per_ip_max, 8);
  SAME(dials_max, 64);
  SAME(ip6_prefix_len, 64);
  SAME(filter_timeout_ns, CMT_SECONDS(5));
  SAME(send_bytes_max, 32 << 20);
  SAME(handshake_offload_rate, 250);
#undef SAME
  rest.size = o.size;
#define TAKE(name) rest.name = o.name
  TAKE(moniker);
  TAKE(version);
  TAKE(loops);
  TAKE(protocol_p2p);
  TAKE(protocol_block);
  TAKE(ping_interval_ns);
  TAKE(pong_timeout_ns);
  TAKE(partial_message_max_ns);
  TAKE(stall_max_ns);
  TAKE(queue_delay_target_ns);
  TAKE(dial_timeout_ns);
  TAKE(handshake_timeout_ns);
  TAKE(send_packet_payload_max);
  TAKE(recv_packet_payload_max);
  TAKE(inbound_peers_max);
  TAKE(outbound_peers_max);
  TAKE(handshakes_max);
  TAKE(handshakes_per_ip_max);
  TAKE(dials_max);
  TAKE(ip6_prefix_len);
  TAKE(filter_timeout_ns);
  TAKE(send_bytes_max);
  TAKE(handshake_offload_rate);
#undef TAKE
  assert_memory_equal(&rest, &o, sizeof o);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(two_reactors_with_one_channel),
    TEST(only_who_does_not_listen_accepts_any_network),
    TEST(a_reactor_with_one_channel_twice),
    TEST(two_reactors_with_one_name),
    TEST(a_reactor_without_a_name),
    TEST(numbers_of_a_channel_out_of_range),
    TEST(more_than_16_channels),
    TEST(no_network),
    TEST(a_bad_laddr),
    TEST(what_connections_could_not_be_made_with),
    TEST(options_are_checked_without_a_connection),
    TEST(loops_out_of_range),
    TEST(one_loop_of_the_caller_is_one),
    TEST(a_node_info_that_others_would_refuse),
    TEST(the_node_info_reports_where_it_listens),
    TEST(without_laddr_there_is_no_listening),
    TEST(without_memory_there_is_no_mailbox),
    TEST(without_memory_there_is_no_switch),
    TEST(a_zone_is_not_reported_to_others),
    TEST(the_defaults_are_those_of_the_header),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
