/* SPDX-License-Identifier: Apache-2.0 */

/* Several networks of one switch, in virtual time: what it is to whom. */

#include "node.h"

#include <cometp2p/network.h>

#include <stdio.h>

enum { CHANNEL_B = 0x52, CHANNEL_C = 0x53 };

/* C serves several networks, A and B are nodes of one each. */
static int setup(void **state) {
  test_trio *t;

  if (test_trio_setup(state) != 0) {
    return -1;
  }
  t = *state;
  test_part_channel(&t->c.parts[0],
                    (cmt_channel){.id = CHANNEL_B, .priority = 1});
  test_node_start(&t->c);
  return 0;
}

static void serve(test_node *n, const char *name, const uint8_t *channels,
                  size_t count, bool mirror) {
  cmt_network net;
  cmt_why why;

  cmt_network_init(&net);
  net.name = name;
  net.moniker = "seed";
  net.channels = channels;
  net.channel_count = count;
  net.mirror = mirror;
  assert_cmt(CMT_OK, cmt_switch_set_network(n->sw, &net, &why));
}

static void begin(test_node *n, const char *network, uint64_t block) {
  n->options.network = network;
  n->options.protocol_block = block;
  test_node_start(n);
}

/* What the only peer of |n| has said of itself. */
static void assert_peer(test_node *n, const char *network, const char *moniker,
                        const char *channels) {
  const cmt_node_info *i = cmt_peer_node_info(test_node_peer(n));
  char text[64] = "";

  assert_int_equal(strlen(network), i->network.len);
  assert_memory_equal(network, i->network.base, i->network.len);
  assert_int_equal(strlen(moniker), i->moniker.len);
  assert_memory_equal(moniker, i->moniker.base, i->moniker.len);
  for (size_t at = 0; at < i->channels.len; at++) {
    snprintf(text + strlen(text), sizeof text - strlen(text), "%02x",
             i->channels.base[at]);
  }
  assert_string_equal(channels, text);
}

static void nodes_of_two_networks_meet_one_id(void **state) {
  static const uint8_t channels[] = {TEST_CHAT};
  test_trio *t = *state;

  serve(&t->c, "net-b", channels, 1, false);
  begin(&t->a, "test-net", 11);
  begin(&t->b, "net-b", 11);
  test_node_dial(&t->a, t->c.addr, 0);
  assert_peer(&t->a, "test-net", "cometp2p", "5152");
  test_node_dial(&t->b, t->c.addr, 0);
  assert_peer(&t->b, "net-b", "seed", "51");
  assert_cmt(CMT_OK, test_node_send(&t->b, TEST_CHAT, "hello"));
  test_loop_run_until_idle(t->w.loop);
  assert_string_equal("init chat\nadd chat inbound\n"
                      "init chat\nadd chat inbound\n"
                      "receive chat 51 hello\n",
                      test_node_log(&t->c));
}

static void unknown_network_meets_that_of_the_switch(void **state) {
  test_trio *t = *state;

  serve(&t->c, "net-b", NULL, 0, true);
  begin(&t->a, "net-z", 11);
  test_node_dial(&t->a, t->c.addr, 0);
  assert_non_null(strstr(t->a.why.text, "test-net"));
  assert_non_null(strstr(t->c.why.text, "net-z"));
  assert_cmt(CMT_ENETWORK, t->c.why.err);
}

static void mirror_suits_any_block_version_and_channels(void **state) {
  test_trio *t = *state;

  serve(&t->c, "net-b", NULL, 0, true);
  begin(&t->b, "net-b", 17);
  test_node_dial(&t->b, t->c.addr, 0);
  assert_peer(&t->b, "net-b", "seed", "51");
}

static void without_mirror_another_block_version_is_refused(void **state) {
  test_trio *t = *state;

  serve(&t->c, "net-b", NULL, 0, false);
  begin(&t->b, "net-b", 17);
  test_node_dial(&t->b, t->c.addr, 0);
  assert_cmt(CMT_EINCOMPATIBLE, t->c.why.err);
  assert_cmt(CMT_EINCOMPATIBLE, t->b.why.err);
}

static void dial_of(test_node *n, const char *addr, const char *network) {
  cmt_dial_options o;

  cmt_dial_options_init(&o);
  o.network = network;
  assert_cmt(CMT_OK, cmt_switch_dial_new(n->sw, addr, &o, NULL, NULL));
  test_loop_run_until_idle(n->world->loop);
}

static void dial_is_of_its_network(void **state) {
  test_trio *t = *state;

  begin(&t->b, "net-b", 17);
  serve(&t->c, "net-b", NULL, 0, true);
  serve(&t->c, "net-d", NULL, 0, true);
  dial_of(&t->c, t->b.addr, "net-b");
  assert_peer(&t->c, "net-b", "cometp2p", "51");
  assert_peer(&t->b, "net-b", "seed", "51");
}

static void dial_of_an_unknown_network_is_refused(void **state) {
  test_trio *t = *state;
  cmt_dial_options o;
  cmt_why why;

  cmt_dial_options_init(&o);
  o.network = "net-e";
  assert_cmt(CMT_EINVAL,
             cmt_switch_dial_new(t->c.sw, t->c.addr, &o, NULL, &why));
  assert_string_equal("network: the switch has none with the name net-e",
                      why.text);
}

static void dial_of_another_network_finds_that_out(void **state) {
  test_trio *t = *state;

  begin(&t->b, "net-b", 17);
  serve(&t->c, "net-b", NULL, 0, true);
  serve(&t->c, "net-d", NULL, 0, true);
  dial_of(&t->c, t->b.addr, "net-d");
  assert_cmt(CMT_ENETWORK, t->c.why.err);
  assert_non_null(strstr(t->c.why.text, "net-b"));
}

static void dialer_that_stays_silent_meets_the_first(void **state) {
  test_trio *t = *state;

  serve(&t->c, "net-b", NULL, 0, true);
  /* Both wait for each other: the one that was dialed gives up first. */
  begin(&t->b, "net-x", 11);
  serve(&t->b, "net-b", NULL, 0, true);
  dial_of(&t->b, t->c.addr, "net-b");
  test_loop_advance(t->w.loop, CMT_SECONDS(1) - 1);
  assert_string_equal("", test_node_log(&t->b));
  test_loop_advance(t->w.loop, 1);
  test_loop_run_until_idle(t->w.loop);
  assert_cmt(CMT_ENETWORK, t->b.why.err);
  assert_non_null(strstr(t->b.why.text, "test-net"));
}

static void network_comes_and_goes(void **state) {
  char names[2][CMT_NETWORK_NAME_MAX + 1];
  test_trio *t = *state;

  begin(&t->b, "net-b", 11);
  serve(&t->c, "net-b", NULL, 0, false);
  serve(&t->c, "net-b", NULL, 0, true);
  assert_int_equal(1, cmt_switch_networks(t->c.sw, names, 2));
  assert_string_equal("net-b", names[0]);
  assert_true(cmt_switch_remove_network(t->c.sw, "net-b"));
  assert_false(cmt_switch_remove_network(t->c.sw, "net-b"));
  assert_false(cmt_switch_remove_network(t->c.sw, NULL));
  test_node_dial(&t->b, t->c.addr, 0);
  assert_cmt(CMT_ENETWORK, t->b.why.err);
}

static void removed_network_fails_its_dials(void **state) {
  test_trio *t = *state;
  cmt_dial_options o;

  serve(&t->c, "net-d", NULL, 0, true);
  cmt_dial_options_init(&o);
  o.network = "net-d";
  begin(&t->b, "net-d", 11);
  assert_cmt(CMT_OK, cmt_switch_dial_new(t->c.sw, t->b.addr, &o, NULL, NULL));
  assert_true(cmt_switch_remove_network(t->c.sw, "net-d"));
  test_loop_run_until_idle(t->w.loop);
  assert_cmt(CMT_EINVAL, t->c.why.err);
  assert_string_equal("the network net-d was removed", t->c.why.text);
}

static void own_network_can_be_changed(void **state) {
  test_trio *t = *state;

  serve(&t->c, "test-net", NULL, 0, true);
  begin(&t->a, "test-net", 19);
  test_node_dial(&t->a, t->c.addr, 0);
  assert_peer(&t->a, "test-net", "seed", "51");
}

/* As that of a switch, a moniker may be as long as a node info has room. */
static void a_moniker_may_be_long(void **state) {
  test_trio *t = *state;
  char moniker[10001];
  cmt_network net;

  memset(moniker, 'm', sizeof moniker);
  moniker[sizeof moniker - 1] = '\0';
  cmt_network_init(&net);
  net.name = "net-b";
  net.moniker = moniker;
  assert_cmt(CMT_OK, cmt_switch_set_network(t->c.sw, &net, NULL));
  begin(&t->a, "net-b", 11);
  test_node_dial(&t->a, t->c.addr, 0);
  assert_peer(&t->a, "net-b", moniker, "5152");
}

/* ---- what is refused ---- */

static void refused(cmt_switch *s, const cmt_network *net, const char *text) {
  cmt_why why;

  assert_cmt(CMT_EINVAL, cmt_switch_set_network(s, net, &why));
  assert_string_equal(text, why.text);
}

static void wrong_networks_are_refused(void **state) {
  static const uint8_t twice[] = {TEST_CHAT, TEST_CHAT}, other[] = {CHANNEL_C};
  char longer[CMT_NETWORK_NAME_MAX + 2], moniker[10241];
  test_trio *t = *state;
  cmt_network net;
  cmt_why why;

  memset(longer, 'x', sizeof longer);
  longer[sizeof longer - 1] = '\0';
  memset(moniker, 'm', sizeof moniker);
  moniker[sizeof moniker - 1] = '\0';
  cmt_network_init(&net);
  refused(t->c.sw, &net, "name is not set: it is the chain id of the network");
  net.name = "";
  refused(t->c.sw, &net, "name is not set: it is the chain id of the network");
  net.name = longer;
  refused(t->c.sw, &net,
          "name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx has 51 "
          "bytes, allowed are 1 to 50");
  net.name = "net-b";
  net.channel_count = 1;
  refused(t->c.sw, &net, "channel_count is set and channels is not");
  net.channels = other;
  refused(t->c.sw, &net, "channels: 0x53 is no channel of a reactor");
  net.channels = twice;
  net.channel_count = 2;
  refused(t->c.sw, &net, "channels: 0x51 is there twice");
  net.channel_count = 1;
  net.moniker = moniker;
  assert_cmt(CMT_EINVAL, cmt_switch_set_network(t->c.sw, &net, &why));
  assert_non_null(strstr(why.text, "bytes, allowed are 10240"));
  net.moniker = "a\tb";
  assert_cmt(CMT_EINVAL, cmt_switch_set_network(t->c.sw, &net, NULL));
  net.moniker = "m";
  memset(&net.mirror, 7, 1);
  refused(t->c.sw, &net,
          "mirror is neither true nor false: use the init macro");
  refused(NULL, &net, "the switch is NULL");
  assert_int_equal(0, cmt_switch_networks(t->c.sw, NULL, 0));
}

static void there_are_as_many_as_can_be(void **state) {
  test_trio *t = *state;
  char name[16] = "";
  cmt_network net;
  cmt_why why;

  cmt_network_init(&net);
  net.name = name;
  for (int i = 0; i < CMT_NETWORKS_MAX; i++) {
    snprintf(name, sizeof name, "net-%d", i);
    assert_cmt(CMT_OK, cmt_switch_set_network(t->c.sw, &net, NULL));
  }
  assert_cmt(CMT_OK, cmt_switch_set_network(t->c.sw, &net, NULL));
  net.name = "one more";
  assert_cmt(CMT_ELIMIT, cmt_switch_set_network(t->c.sw, &net, &why));
  assert_string_equal("there are 1024 networks, as many as can be", why.text);
}

static void any_allocation_may_fail(void **state) {
  test_trio *t = *state;
  test_env *env = &t->w.env;
  cmt_network net;
  size_t fails = 0;

  cmt_network_init(&net);
  net.name = "net-b";
  env->fail_at = env->allocs;
  while (cmt_switch_set_network(t->c.sw, &net, NULL) != CMT_OK) {
    assert_int_equal(0, cmt_switch_networks(t->c.sw, NULL, 0));
    env->fail_at = env->allocs + ++fails;
  }
  env->fail_at = SIZE_MAX;
  assert_true(fails >= 2);
}

#define TRIO(f) cmocka_unit_test_setup_teardown(f, setup, test_trio_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TRIO(nodes_of_two_networks_meet_one_id),
    TRIO(unknown_network_meets_that_of_the_switch),
    TRIO(mirror_suits_any_block_version_and_channels),
    TRIO(without_mirror_another_block_version_is_refused),
    TRIO(dial_is_of_its_network),
    TRIO(dial_of_an_unknown_network_is_refused),
    TRIO(dial_of_another_network_finds_that_out),
    TRIO(dialer_that_stays_silent_meets_the_first),
    TRIO(network_comes_and_goes),
    TRIO(removed_network_fails_its_dials),
    TRIO(own_network_can_be_changed),
    TRIO(a_moniker_may_be_long),
    TRIO(wrong_networks_are_refused),
    TRIO(there_are_as_many_as_can_be),
    TRIO(any_allocation_may_fail),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
