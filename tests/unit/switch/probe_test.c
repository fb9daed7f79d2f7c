/* SPDX-License-Identifier: Apache-2.0 */

/* Probes over real sockets: what they learn, and what they report when there is
   nothing to learn. */

#include "sockets.h"

#include <arpa/inet.h>
#include <unistd.h>

#define OTHER "00112233445566778899aabbccddeeff00112233"

static const cmt_channel channels[] = {{.id = 0x51, .priority = 1},
                                       {.id = 0x30, .priority = 1}};
static const cmt_reactor chat = CMT_REACTOR("chat", channels);

/* A node of another network than that of a probe. */
static cmt_switch *node_start(char *addr) {
  cmt_switch_options o;
  cmt_switch *sw;

  test_switch_options(&o, &chat);
  o.network = "other-net";
  o.moniker = "bert";
  o.version = "1.2.3";
  o.protocol_block = 12;
  o.protocol_app = 7;
  test_switch_start(&o, &sw, addr);
  return sw;
}

static bool took_too_long(cmt_err err) {
  return err == CMT_ETIMEDOUT || err == CMT_EDIAL || err == CMT_EHANDSHAKE;
}

/* A probe has 3 s for each half of the handshake, and the node would wait: on a
   busy machine it is begun again. */
static cmt_err probe(const cmt_probe_options *o, const char *addr,
                     cmt_probe_result **r, cmt_why *why) {
  cmt_err err = cmt_probe(o, addr, r, why);

  while (took_too_long(err)) {
    cmt_probe_result_delete(*r);
    err = cmt_probe(o, addr, r, why);
  }
  return err;
}

static void assert_text(const char *expected, cmt_bytes found) {
  assert_int_equal(strlen(expected), found.len);
  assert_memory_equal(expected, found.base, found.len);
}

/* A socket of 127.0.0.1 that listens, or does not; |addr| is where. */
static int silent_socket(bool listens, char *addr, size_t cap) {
  struct sockaddr_in in = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof in;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  assert_true(fd >= 0);
  assert_int_equal(0, bind(fd, (struct sockaddr *)&in, sizeof in));
  assert_int_equal(0, getsockname(fd, (struct sockaddr *)&in, &len));
  assert_int_equal(0, listens ? listen(fd, 8) : 0);
  snprintf(addr, cap, "127.0.0.1:%u", ntohs(in.sin_port));
  return fd;
}

/* ---- what is learnt ---- */

static void check_node(const cmt_probe_result *r, const char *addr) {
  const cmt_node_info *i = &r->node_info;

  assert_int_equal(sizeof *r, r->size);
  assert_cmt(CMT_OK, r->why.err);
  assert_memory_equal(addr, r->id.text, 40);
  assert_string_equal(strchr(addr, '@') + 1, r->remote);
  assert_text("other-net", i->network);
  assert_text("bert", i->moniker);
  assert_text("1.2.3", i->version);
  assert_text(r->id.text, i->id);
  assert_text("\x51\x30", i->channels);
  assert_int_equal(12, i->protocol_block);
  assert_int_equal(7, i->protocol_app);
}

static void a_node_of_any_network_reports_what_it_is(void **state) {
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *sw = node_start(addr);
  const char *texts[] = {addr, strchr(addr, '@') + 1};
  cmt_probe_result *r;
  cmt_why why;

  (void)state;
  for (size_t i = 0; i < 2; i++) {
    assert_cmt(CMT_OK, probe(NULL, texts[i], &r, &why));
    assert_cmt(CMT_OK, why.err);
    check_node(r, addr);
    cmt_probe_result_delete(r);
  }
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
}

static cmt_node_id seen;
static unsigned asked;

static cmt_verdict see(void *arg, const cmt_newcomer *who,
                       const cmt_admission *request) {
  test_watch *w = arg;

  (void)request;
  test_watch_lock(w);
  seen = *who->id;
  asked++;
  assert_text("of a friend", who->node_info->moniker);
  test_watch_unlock(w);
  return CMT_REFUSE;
}

/* The node info of a probe follows from its options. */
static void a_probe_reports_what_it_is_reported_to(void **state) {
  static test_watch w = TEST_WATCH_INITIALIZER;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch_options o;
  cmt_probe_options p;
  cmt_probe_result *r;
  cmt_node_key *key;
  cmt_node_id id;
  cmt_switch *sw;

  (void)state;
  assert_cmt(CMT_OK, cmt_node_key_generate(NULL, &key));
  cmt_node_key_get_id(key, &id);
  test_switch_options(&o, NULL);
  o.reactor_count = 0;
  o.protocol_block = 12;
  o.filter_peer = see;
  o.filter_arg = &w;
  test_switch_start(&o, &sw, addr);
  cmt_probe_options_init(&p);
  p.key = key;
  p.network = o.network;
  p.moniker = "of a friend";
  p.protocol_block = 12;
  assert_cmt(CMT_OK, probe(&p, addr, &r, NULL));
  cmt_probe_result_delete(r);
  test_await(&w, &asked, 1);
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
  assert_string_equal(id.text, seen.text);
  cmt_node_key_delete(key);
}

/* ---- pings ---- */

static void count_peer(void *self, cmt_peer *p) {
  (void)p;
  test_bump(self, &asked);
}

/* A node that counts its peers, in |asked|. */
static cmt_switch *pinged_start(test_watch *w, cmt_wire wire, char *addr) {
  cmt_reactor counter =
    CMT_REACTOR("chat", channels, .self = w, .add_peer = count_peer);
  cmt_switch_options o;
  cmt_switch *sw;

  asked = 0;
  test_switch_options(&o, &counter);
  o.network = "other-net";
  o.wire = wire;
  test_switch_start(&o, &sw, addr);
  return sw;
}

static void ping_options(cmt_probe_options *o, cmt_wire wire, uint32_t pings) {
  cmt_probe_options_init(o);
  o->network = "other-net";
  o->wire = wire;
  o->channels = channels;
  o->channel_count = 1;
  o->pings = pings;
  o->ping_gap_ns = CMT_MILLISECONDS(1);
}

static void round_trips_are_measured(void **state) {
  static test_watch w = TEST_WATCH_INITIALIZER;
  const cmt_wire wires[] = {CMT_WIRE_COMETBFT, CMT_WIRE_LEGACY};
  const uint32_t counts[] = {5, 1};

  (void)state;
  for (size_t i = 0; i < 2; i++) {
    char addr[CMT_NET_ADDR_TEXT_SIZE];
    cmt_switch *sw = pinged_start(&w, wires[i], addr);
    cmt_probe_options o;
    cmt_probe_result *r;

    ping_options(&o, wires[i], counts[i]);
    assert_cmt(CMT_OK, probe(&o, addr, &r, NULL));
    assert_int_equal(CMT_STAGE_UP, r->why.stage);
    assert_text("other-net", r->node_info.network);
    assert_true(r->handshake_ns > 0);
    assert_int_equal(counts[i], r->rtt_count);
    for (size_t k = 0; k < r->rtt_count; k++) {
      assert_true(r->rtts_ns[k] > 0);
    }
    cmt_probe_result_delete(r);
    assert_true(test_counter(&w, &asked) >= 1);
    assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
  }
}

/* It hangs up without a word; its node info came before. */
static void a_node_that_refuses_us_answers_no_ping(void **state) {
  static test_watch w = TEST_WATCH_INITIALIZER;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *sw = pinged_start(&w, CMT_WIRE_COMETBFT, addr);
  cmt_probe_options o;
  cmt_probe_result *r;
  cmt_err err;

  (void)state;
  ping_options(&o, CMT_WIRE_COMETBFT, 1);
  o.network = "of-nobody";
  err = probe(&o, addr, &r, NULL);
  assert_int_equal(CMT_CLASS_LINK, cmt_err_class_of(err));
  assert_int_equal(0, r->rtt_count);
  assert_text("other-net", r->node_info.network);
  cmt_probe_result_delete(r);
  assert_int_equal(0, test_counter(&w, &asked));
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
}

/* A node of the legacy profile leaves the second ping without an answer.  On a
   busy machine the first may be late as well: it gets more time then. */
static void a_ping_without_an_answer_ends_the_probe(void **state) {
  static test_watch w = TEST_WATCH_INITIALIZER;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *sw = pinged_start(&w, CMT_WIRE_LEGACY, addr);
  cmt_probe_options o;
  cmt_probe_result *r;

  (void)state;
  ping_options(&o, CMT_WIRE_LEGACY, 3);
  o.pong_timeout_ns = CMT_MILLISECONDS(500);
  assert_cmt(CMT_EPONG, probe(&o, addr, &r, NULL));
  while (r->rtt_count == 0) {
    cmt_probe_result_delete(r);
    o.pong_timeout_ns *= 2;
    assert_cmt(CMT_EPONG, probe(&o, addr, &r, NULL));
  }
  assert_int_equal(CMT_STAGE_UP, r->why.stage);
  assert_int_equal(1, r->rtt_count);
  cmt_probe_result_delete(r);
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
}

/* ---- what is not ---- */

static void another_node_is_named(void **state) {
  char addr[CMT_NET_ADDR_TEXT_SIZE], text[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *sw = node_start(addr);
  cmt_probe_result *r;
  cmt_why why;

  (void)state;
  snprintf(text, sizeof text, OTHER "%s", addr + 40);
  assert_cmt(CMT_EWRONGID, probe(NULL, text, &r, &why));
  assert_cmt(CMT_EWRONGID, r->why.err);
  assert_string_equal(why.text, r->why.text);
  assert_memory_equal(addr, r->id.text, 40);
  assert_int_equal(0, r->node_info.network.len);
  cmt_probe_result_delete(r);
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
}

static void no_listener_at_the_address_is_reported(void **state) {
  char addr[64], expected[160];
  int fd = silent_socket(false, addr, sizeof addr);
  cmt_probe_result *r;
  cmt_why why;

  (void)state;
  assert_cmt(CMT_EREFUSED, cmt_probe(NULL, addr, &r, &why));
  snprintf(expected, sizeof expected,
           "cannot connect to %s: connection refused", addr);
  assert_string_equal(expected, why.text);
  assert_string_equal(addr, r->remote);
  assert_string_equal("", r->id.text);
  cmt_probe_result_delete(r);
  close(fd);
}

/* Nodes report it when they know no better. */
static void a_port_of_zero_is_named(void **state) {
  static const char *const addrs[] = {"127.0.0.1:0", "localhost:0"};
  cmt_probe_result *r;
  char expected[80];
  cmt_why why;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(addrs); i++) {
    assert_cmt(CMT_EDIAL, cmt_probe(NULL, addrs[i], &r, &why));
    snprintf(expected, sizeof expected,
             "cannot connect to %s: there is no port 0", addrs[i]);
    assert_string_equal(expected, why.text);
    cmt_probe_result_delete(r);
  }
}

static void one_that_is_silent_has_so_much_time(void **state) {
  char addr[64];
  int fd = silent_socket(true, addr, sizeof addr);
  cmt_probe_options o;
  cmt_probe_result *r;

  (void)state;
  cmt_probe_options_init(&o);
  o.timeout_ns = CMT_MILLISECONDS(20);
  assert_cmt(CMT_ETIMEDOUT, cmt_probe(&o, addr, &r, NULL));
  assert_string_equal("no node info within 20 ms", r->why.text);
  assert_string_equal(addr, r->remote);
  cmt_probe_result_delete(r);
  close(fd);
}

static void mistakes_are_refused_by_name(void **state) {
  cmt_probe_options o;
  cmt_probe_result *r = NULL;
  cmt_prober *p;
  cmt_why why;

  (void)state;
  assert_cmt(CMT_EINVAL, cmt_probe(NULL, "nowhere", &r, &why));
  assert_null(r);
  assert_cmt(CMT_EINVAL, cmt_probe(NULL, NULL, &r, NULL));
  assert_cmt(CMT_EINVAL, cmt_probe(NULL, "127.0.0.1:1", NULL, &why));
  assert_string_equal("out: NULL", why.text);
  assert_cmt(CMT_EINVAL,
             cmt_prober_new(NULL, "127.0.0.1:1", &p, &why, NULL, NULL));
  assert_string_equal("on_done is NULL", why.text);
  assert_null(p);
  cmt_probe_options_init(&o);
  o.wire = (cmt_wire)77;
  assert_cmt(CMT_EINVAL, cmt_probe(&o, "127.0.0.1:1", &r, &why));
  assert_non_null(strstr(why.text, "wire"));
  o.wire = CMT_WIRE_COMETBFT;
  o.pings = CMT_PROBE_PINGS_MAX + 1;
  assert_cmt(CMT_EINVAL, cmt_probe(&o, "127.0.0.1:1", &r, &why));
  assert_string_equal("pings is 10001, allowed is 0 to 10000", why.text);
  o.size = 3;
  assert_cmt(CMT_EINVAL, cmt_probe(&o, "127.0.0.1:1", &r, &why));
  cmt_probe_result_delete(NULL);
  cmt_prober_delete(NULL);
}

static void zero_is_the_default(void **state) {
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *sw = node_start(addr);
  cmt_probe_options o = {.size = sizeof o};
  cmt_probe_result *r;

  (void)state;
  assert_cmt(CMT_OK, probe(&o, addr, &r, NULL));
  check_node(r, addr);
  cmt_probe_result_delete(r);
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
}

/* ---- threads ---- */

static unsigned reported;

static void on_done(void *arg, cmt_probe_result *r) {
  cmt_probe_result_delete(r);
  test_bump(arg, &reported);
}

static void a_probe_that_is_deleted_reports_nothing(void **state) {
  static test_watch w = TEST_WATCH_INITIALIZER;
  char addr[64], node[CMT_NET_ADDR_TEXT_SIZE];
  int fd = silent_socket(true, addr, sizeof addr);
  cmt_switch *sw = node_start(node);
  cmt_prober *p;

  (void)state;
  reported = 0;
  assert_cmt(CMT_OK, cmt_prober_new(NULL, addr, &p, NULL, on_done, &w));
  cmt_prober_delete(p);
  assert_int_equal(0, test_counter(&w, &reported));
  assert_cmt(CMT_OK, cmt_prober_new(NULL, node, &p, NULL, on_done, &w));
  test_await(&w, &reported, 1);
  cmt_prober_delete(p);
  for (int i = 0; i < 20; i++) { /* Wherever it is. */
    assert_cmt(CMT_OK, cmt_prober_new(NULL, node, &p, NULL, on_done, &w));
    cmt_prober_delete(p);
  }
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
  close(fd);
}

static cmt_probe_result *kept;

static void keep_result(void *arg, cmt_probe_result *r) {
  test_watch *w = arg;

  test_watch_lock(w);
  kept = r;
  test_watch_unlock(w);
  test_bump(w, &reported);
}

/* It is cancelled wherever it is. */
static void cancel_early(test_watch *w, const char *addr) {
  cmt_prober *p;

  reported = 0;
  assert_cmt(CMT_OK, cmt_prober_new(NULL, addr, &p, NULL, keep_result, w));
  cmt_prober_cancel(p);
  test_await(w, &reported, 1);
  cmt_prober_delete(p);
}

static void check_cancelled_early(test_watch *w, const char *addr) {
  cancel_early(w, addr);
  while (took_too_long(kept->why.err)) {
    cmt_probe_result_delete(kept);
    cancel_early(w, addr);
  }
  assert_cmt(CMT_ECANCELED, kept->why.err);
  assert_string_equal("the probe was cancelled", kept->why.text);
  assert_string_equal(addr, kept->remote);
  assert_int_equal(0, kept->node_info.id.len);
  cmt_probe_result_delete(kept);
}

static bool was_added_or_reported(void *arg) {
  (void)arg;
  return asked > 0 || reported > 0;
}

/* The node is one of its own each time, so that nothing of an earlier probe can
   be taken for this one. */
static void cancel_late(test_watch *w, char *addr) {
  cmt_switch *sw = pinged_start(w, CMT_WIRE_COMETBFT, addr);
  cmt_probe_options o;
  cmt_prober *p;

  ping_options(&o, CMT_WIRE_COMETBFT, 2);
  o.ping_gap_ns = CMT_NEVER;
  reported = 0;
  assert_cmt(CMT_OK, cmt_prober_new(&o, addr, &p, NULL, keep_result, w));
  assert_true(test_await_that(w, was_added_or_reported, NULL));
  cmt_prober_cancel(p);
  test_await(w, &reported, 1);
  cmt_prober_cancel(p);
  cmt_prober_delete(p);
  assert_int_equal(1, test_counter(w, &reported));
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
}

/* The node has added us, so that we know its id; its node info may be on its
   way. */
static void check_cancelled_late(test_watch *w) {
  char addr[CMT_NET_ADDR_TEXT_SIZE];

  cancel_late(w, addr);
  while (took_too_long(kept->why.err)) {
    cmt_probe_result_delete(kept);
    cancel_late(w, addr);
  }
  assert_cmt(CMT_ECANCELED, kept->why.err);
  assert_true(kept->why.stage > CMT_STAGE_TRANSPORT);
  assert_memory_equal(addr, kept->id.text, 40);
  cmt_probe_result_delete(kept);
}

static void a_probe_that_is_cancelled_reports_how_far_it_came(void **state) {
  static test_watch w = TEST_WATCH_INITIALIZER;
  char silent[64];
  int fd = silent_socket(true, silent, sizeof silent);

  (void)state;
  for (int i = 0; i < 5; i++) {
    check_cancelled_early(&w, silent);
  }
  check_cancelled_late(&w);
  close(fd);
}

static cmt_err returned_inside;

static void probe_inside(void *arg, cmt_err status) {
  cmt_probe_result *r;

  (void)status;
  returned_inside = cmt_probe(NULL, "127.0.0.1:1", &r, NULL);
  test_bump(arg, &reported);
}

static void a_loop_may_not_wait_for_one(void **state) {
  static test_watch w = TEST_WATCH_INITIALIZER;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *sw = node_start(addr);
  cmt_post post = {.cb = probe_inside, .arg = &w};

  (void)state;
  reported = 0;
  assert_cmt(CMT_OK, cmt_switch_post(sw, &post));
  test_await(&w, &reported, 1);
  assert_cmt(CMT_EDEADLK, returned_inside);
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
}

/* ---- memory ---- */

/* Whatever allocation fails first, nothing is left. */
static void without_memory_it_reports_so(void **state) {
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *sw = node_start(addr);
  cmt_probe_options o;
  cmt_err err = CMT_ENOMEM;
  size_t tries = 0;

  (void)state;
  cmt_probe_options_init(&o);
  for (; err != CMT_OK && tries < 500; tries++) {
    cmt_probe_result *r;
    test_env env;

    test_env_init(&env);
    env.fail_at = tries;
    o.env = &env.env;
    err = cmt_probe(&o, addr, &r, NULL);
    if (took_too_long(err)) { /* Once more. */
      err = CMT_ENOMEM;
      tries--;
    }
    assert_true(err == CMT_OK || err == CMT_ENOMEM);
    cmt_probe_result_delete(r);
    assert_int_equal(0, env.live);
  }
  assert_true(tries > 10 && tries < 500);
  assert_cmt(CMT_OK, cmt_switch_close(sw, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_node_of_any_network_reports_what_it_is),
    cmocka_unit_test(a_probe_reports_what_it_is_reported_to),
    cmocka_unit_test(round_trips_are_measured),
    cmocka_unit_test(a_node_that_refuses_us_answers_no_ping),
    cmocka_unit_test(a_ping_without_an_answer_ends_the_probe),
    cmocka_unit_test(another_node_is_named),
    cmocka_unit_test(no_listener_at_the_address_is_reported),
    cmocka_unit_test(a_port_of_zero_is_named),
    cmocka_unit_test(one_that_is_silent_has_so_much_time),
    cmocka_unit_test(mistakes_are_refused_by_name),
    cmocka_unit_test(zero_is_the_default),
    cmocka_unit_test(a_probe_that_is_deleted_reports_nothing),
    cmocka_unit_test(a_probe_that_is_cancelled_reports_how_far_it_came),
    cmocka_unit_test(a_loop_may_not_wait_for_one),
    cmocka_unit_test(without_memory_it_reports_so),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
