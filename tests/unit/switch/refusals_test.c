/* SPDX-License-Identifier: Apache-2.0 */

/* A row for each refusal of an option, with the whole text that it gives: not
   only for the first field of a kind.  tests/style/refusals.py compares the
   texts of the sources with those of the tests. */

#include "node.h"

#include "base/base.h"

#include <cometp2p/uv.h>

#include <stdio.h>
#include <uv.h>

typedef struct fixture {
  test_world w;
  test_node a, b;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->w);
  test_node_init(&f->a, &f->w);
  test_node_init(&f->b, &f->w);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  if (f->a.sw != NULL) {
    test_node_fini(&f->a);
  }
  if (f->b.sw != NULL) {
    test_node_fini(&f->b);
  }
  test_world_fini(&f->w);
  free(f);
  return 0;
}

static void refused(fixture *f, const char *text) {
  cmt_why why;

  assert_cmt(CMT_EINVAL, test_node_new(&f->a, &why));
  assert_string_equal(text, why.text);
  assert_cmt(CMT_EINVAL, why.err);
  assert_null(f->a.sw);
}

/* ---- the fields of a channel ---- */

#define CHANNEL_ROW(field, value, text)                                        \
  { {.id = TEST_CHAT, .priority = 1, .field = (value)}, "channel 0x51: " text }

static void each_field_of_a_channel_has_its_range(void **state) {
  static const struct {
    cmt_channel channel;
    const char *text;
  } rows[] = {
    {{.id = TEST_CHAT, .priority = 65536},
     "channel 0x51: priority is 65536, allowed is 1 to 65535"},
    CHANNEL_ROW(traffic, (cmt_traffic)2, "traffic is 2, allowed is 0 to 1"),
    CHANNEL_ROW(send_queue, 1000001,
                "send_queue is 1000001, allowed is 1 to 1000000"),
    CHANNEL_ROW(send_message_max, 1073741825,
                "send_message_max is 1073741825, allowed is 1 to 1073741824"),
    CHANNEL_ROW(recv_message_max, 1073741825,
                "send_message_max is 1073741825, allowed is 1 to 1073741824"),
    CHANNEL_ROW(send_rate, 10000000001,
                "send_rate is 10000000001, allowed is 0 to 10000000000"),
    CHANNEL_ROW(recv_rate, 10000000001,
                "recv_rate is 10000000001, allowed is 0 to 10000000000"),
    CHANNEL_ROW(recv_queue, 1000001,
                "recv_queue is 1000001, allowed is 1 to 1000000"),
    CHANNEL_ROW(recv_queue_bytes, 1073741825,
                "recv_queue_bytes is 1073741825, allowed is 1 to 1073741824"),
    CHANNEL_ROW(on_full, (cmt_on_full)2, "on_full is 2, allowed is 0 to 1"),
  };
  fixture *f = *state;

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    f->a.parts[0].channels[0] = rows[i].channel;
    refused(f, rows[i].text);
  }
}

/* ---- the options of a switch ---- */

/* The offset of a field, a value for it, and the text. */
typedef struct number_row {
  size_t at, size;
  uint64_t value;
  const char *text;
} number_row;

#define ROW(field, value, text)                                                \
  {                                                                            \
    offsetof(cmt_switch_options, field),                                       \
      sizeof(((cmt_switch_options *)0)->field), value, text                    \
  }

static void set_number(cmt_switch_options *o, const number_row *r) {
  uint32_t narrow = (uint32_t)r->value;
  void *to = (char *)o + r->at;

  if (r->size == sizeof narrow) {
    memcpy(to, &narrow, sizeof narrow);
  } else {
    memcpy(to, &r->value, sizeof r->value);
  }
}

static void each_number_of_a_switch_has_its_range(void **state) {
  static const number_row rows[] = {
    ROW(loops, 65, "loops is 65, allowed is 1 to 64"),
    ROW(inbound_peers_max, 65536,
        "inbound_peers_max is 65536, allowed is 1 to 65535, or CMT_NO_PEERS"),
    ROW(inbound_peers_max, UINT32_MAX,
        "inbound_peers_max is 4294967295, allowed is 1 to 65535, or "
        "CMT_NO_PEERS"),
    ROW(outbound_peers_max, 65536,
        "outbound_peers_max is 65536, allowed is 1 to 65535, or CMT_NO_PEERS"),
    ROW(wire, 2, "wire is 2, which is none of enum cmt_wire"),
    ROW(pong_timeout_ns, 60000000000,
        "ping_interval_ns is 60000000000, pong_timeout_ns is 60000000000: the "
        "timeout must be shorter than the interval"),
    ROW(send_packet_payload_max, 15,
        "send_packet_payload_max is 15, allowed is 16 to 65536"),
    ROW(send_packet_payload_max, 65537,
        "send_packet_payload_max is 65537, allowed is 16 to 65536"),
    ROW(recv_packet_payload_max, 65537,
        "recv_packet_payload_max is 65537, allowed is 1 to 65536"),
    ROW(ip6_prefix_len, 129, "ip6_prefix_len is 129, allowed is 0 to 128"),
    ROW(send_rate, 10000000001,
        "send_rate is 10000000001, allowed is 0 to 10000000000 bytes per "
        "second"),
    ROW(recv_rate, 10000000001,
        "recv_rate is 10000000001, allowed is 0 to 10000000000 bytes per "
        "second"),
    ROW(send_rate_total, 10000000001,
        "send_rate_total is 10000000001, allowed is 0 to 10000000000 bytes per "
        "second"),
    ROW(recv_rate_total, 10000000001,
        "recv_rate_total is 10000000001, allowed is 0 to 10000000000 bytes per "
        "second"),
  };
  fixture *f = *state;
  cmt_switch_options fine = f->a.options;

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    f->a.options = fine;
    set_number(&f->a.options, &rows[i]);
    refused(f, rows[i].text);
  }
}

/* A switch that was given nothing but zeros is one with the defaults. */
static void zero_is_the_default_of_every_option(void **state) {
  fixture *f = *state;
  cmt_switch_options zero = {.size = sizeof zero, .network = "test-net"};
  cmt_switch_options full;
  cmt_switch *a, *b;

  (void)f;
  cmt_switch_options_init(&full);
  full.network = zero.network;
  assert_cmt(CMT_OK, cmt_switch_new(&zero, &a, NULL));
  assert_cmt(CMT_OK, cmt_switch_new(&full, &b, NULL));
  assert_memory_equal(&b->setup.options, &a->setup.options,
                      sizeof a->setup.options);
  assert_int_equal(cmt_switch_memory_max(b), cmt_switch_memory_max(a));
  assert_cmt(CMT_OK, cmt_switch_delete(a));
  assert_cmt(CMT_OK, cmt_switch_delete(b));
}

static void the_bounds_themselves_are_allowed(void **state) {
  static const number_row rows[] = {
    ROW(inbound_peers_max, CMT_NO_PEERS, NULL),
    ROW(inbound_peers_max, 65535, NULL),
    ROW(outbound_peers_max, CMT_NO_PEERS, NULL),
    ROW(outbound_peers_max, 65535, NULL),
    ROW(dial_timeout_ns, 1, NULL),
    ROW(handshake_timeout_ns, 1, NULL),
    ROW(pong_timeout_ns, 1, NULL),
    ROW(pong_timeout_ns, 59999999999, NULL),
    ROW(send_packet_payload_max, 16, NULL),
    ROW(send_packet_payload_max, 65536, NULL),
    ROW(recv_packet_payload_max, 1, NULL),
    ROW(recv_packet_payload_max, 65536, NULL),
    ROW(partial_message_max_ns, 1, NULL),
    ROW(stall_max_ns, 1, NULL),
    ROW(ip6_prefix_len, 1, NULL),
    ROW(ip6_prefix_len, 128, NULL),
    ROW(send_rate, 1, NULL),
    ROW(send_rate, 10000000000, NULL),
    ROW(recv_rate, 10000000000, NULL),
    ROW(send_rate_total, 10000000000, NULL),
    ROW(recv_rate_total, 10000000000, NULL),
  };
  fixture *f = *state;
  cmt_switch_options fine = f->a.options;

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt_why why;

    f->a.options = fine;
    set_number(&f->a.options, &rows[i]);
    if (test_node_new(&f->a, &why) != CMT_OK) {
      fail_msg("%s", why.text);
    }
    assert_cmt(CMT_OK, cmt_switch_delete(f->a.sw));
    f->a.sw = NULL;
  }
}

/* The fixture's own way to make a switch fills the reactors in. */
static void refused_as_it_is(fixture *f, const cmt_switch_options *o,
                             const char *text) {
  cmt_switch *sw = NULL;
  cmt_why why;

  assert_cmt(CMT_EINVAL, test_world_switch(&f->w, o, &sw, &why));
  assert_string_equal(text, why.text);
  assert_null(sw);
}

static void a_count_needs_a_list(void **state) {
  fixture *f = *state;
  cmt_switch_options o = f->a.options;

  o.reactors = NULL;
  o.reactor_count = 1;
  refused_as_it_is(f, &o, "reactor_count is set and reactors is not");
}

static void threads_are_bounded(void **state) {
  fixture *f = *state;
  cmt_reactor r = {.name = "many",
                   .delivery = CMT_DELIVER_WORKERS,
                   .threads = CMT_THREADS_MAX + 1};
  cmt_switch_options o = f->a.options;

  o.reactors = &r;
  o.reactor_count = 1;
  refused_as_it_is(f, &o, "reactor many: threads is 257, allowed is 0 to 256");
}

/* ---- addresses ---- */

#define ID_TAIL "123456789abcdef0123456789abcdef01234567"
#define ID "0" ID_TAIL

static void addresses_that_are_none(void **state) {
  static const struct {
    const char *text;
    unsigned flags;
    const char *fault;
  } rows[] = {
    {"@tcp://1.2.3.4:5", CMT_ADDR_ID_OPTIONAL,
     "address '@tcp://1.2.3.4:5': the id stands before the scheme, it belongs "
     "behind it"},
    {"@tcp://1.2.3.4:5", 0,
     "address '@tcp://1.2.3.4:5': the id stands before the scheme, it belongs "
     "behind it"},
    {ID "@h:", 0, "address '" ID "@h:': the port is empty"},
    {ID "@h:65536", 0, "address '" ID "@h:65536': the port is over 65535"},
    {ID "@h:1x", 0,
     "address '" ID "@h:1x': the port has other characters than digits"},
    {ID "@:1", 0, "address '" ID "@:1': the host is empty"},
    {ID "@a\x7f:1", 0,
     "address '" ID "@a\\x7f:1': the host has a character that no host name "
     "has"},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt_net_addr out;
    cmt_why why;

    assert_cmt(CMT_EINVAL,
               cmt_net_addr_parse(rows[i].text, rows[i].flags, &out, &why));
    assert_string_equal(rows[i].fault, why.text);
  }
}

static void a_host_has_at_most_255_bytes(void **state) {
  char text[400], host[257];
  cmt_net_addr out;
  cmt_why why;

  (void)state;
  memset(host, 'h', sizeof host);
  for (int len = 255; len <= 256; len++) {
    host[len] = '\0';
    snprintf(text, sizeof text, ID "@%s:1", host);
    host[len] = 'h';
    if (len == 255) {
      assert_cmt(CMT_OK, cmt_net_addr_parse(text, 0, &out, &why));
    } else {
      assert_cmt(CMT_EINVAL, cmt_net_addr_parse(text, 0, &out, &why));
      assert_non_null(strstr(why.text, "': the host is longer than 255 bytes"));
    }
  }
}

/* ---- two connections of an id ---- */

static void a_dial_of_a_peer_reports_what_exists(void **state) {
  fixture *f = *state;
  cmt_node_id id;
  char text[128];

  test_pair(&f->w, &f->a, &f->b);
  cmt_switch_get_id(f->b.sw, &id);
  test_node_dial(&f->a, f->b.addr, 0);
  snprintf(text, sizeof text, "a connection with node %s exists", id.text);
  assert_string_equal(text, f->a.why.text);
}

static void a_dial_beside_another_reports_so(void **state) {
  fixture *f = *state;
  cmt_node_id id;
  char text[128];

  test_node_start(&f->a);
  test_node_start(&f->b);
  cmt_switch_get_id(f->b.sw, &id);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  test_loop_run_until_idle(f->w.loop);
  snprintf(text, sizeof text, "node %s is being dialed already", id.text);
  assert_string_equal(text, f->a.why.text);
}

/* Their addresses have no answer yet. */
static void dials_under_way_are_bounded(void **state) {
  fixture *f = *state;

  f->a.options.dials_max = 1;
  test_node_start(&f->a);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, ID "@10.0.0.9:1", 0, NULL));
  assert_cmt(CMT_OK,
             cmt_switch_dial(f->a.sw, "1" ID_TAIL "@10.0.0.9:2", 0, NULL));
  test_loop_step(f->w.loop);
  assert_string_equal("dials under way are at their limit of 1", f->a.why.text);
}

/* The first is the peer, the second is on standby. */
static void a_third_connection_reports_that_there_are_two(void **state) {
  fixture *f = *state;
  test_node more[2];
  cmt_node_key *key;
  cmt_node_id id;
  char text[128];

  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &key));
  cmt_node_key_get_id(key, &id);
  f->a.options.key = key;
  test_pair(&f->w, &f->a, &f->b);
  for (size_t i = 0; i < CMT__COUNT(more); i++) {
    test_node_init(&more[i], &f->w);
    more[i].options.key = key;
    test_node_start(&more[i]);
    test_node_dial(&more[i], f->b.addr, 0);
    test_loop_advance(f->w.loop, CMT_MILLISECONDS(200));
  }
  snprintf(text, sizeof text, "two connections with node %s exist", id.text);
  assert_string_equal(text, f->b.why.text);
  for (size_t i = 0; i < CMT__COUNT(more); i++) {
    test_node_fini(&more[i]);
  }
  test_node_fini(&f->a);
  f->a.sw = NULL;
  cmt_node_key_delete(key);
}

/* ---- without memory ---- */

/* True: some failing allocation of a new switch gives |text|. */
static bool lacks_memory_with(fixture *f, const char *text) {
  bool found = false;
  cmt_err err = CMT_ENOMEM;

  for (size_t i = 0; err != CMT_OK; i++) {
    cmt_why why = {.err = CMT_OK};

    f->w.env.fail_at = f->w.env.allocs + i;
    err = test_node_new(&f->a, &why);
    f->w.env.fail_at = SIZE_MAX;
    found = found || strcmp(why.text, text) == 0;
  }
  assert_cmt(CMT_OK, cmt_switch_delete(f->a.sw));
  f->a.sw = NULL;
  return found;
}

static void without_memory_it_reports_for_what(void **state) {
  fixture *f = *state;

  f->a.parts[0].delivery = CMT_DELIVER_MAILBOX;
  assert_true(lacks_memory_with(f, "cannot make a mailbox: allocation failed"));
}

static void a_loop_of_the_caller_needs_memory(void **state) {
  fixture *f = *state;
  cmt_switch_options o = f->a.options;
  bool found = false;
  cmt_err err = CMT_ENOMEM;
  uv_loop_t loop;

  o.laddr = NULL;
  o.loops = 1;
  assert_int_equal(0, uv_loop_init(&loop));
  for (size_t i = 0; err != CMT_OK; i++) {
    cmt_why why = {.err = CMT_OK};
    cmt_switch *sw;

    assert_cmt(CMT_OK, cmt_switch_new(&o, &sw, NULL));
    f->w.env.fail_at = f->w.env.allocs + i;
    err = cmt_switch_run_on(sw, &loop, &why);
    f->w.env.fail_at = SIZE_MAX;
    found = found || strncmp(why.text, "cannot use the given loop: ", 27) == 0;
    if (err == CMT_OK) {
      cmt_switch_stop(sw, 0);
      assert_int_equal(0, uv_run(&loop, UV_RUN_DEFAULT));
    }
    assert_cmt(CMT_OK, cmt_switch_delete(sw));
    assert_int_equal(0, uv_run(&loop, UV_RUN_DEFAULT));
  }
  assert_true(found);
  assert_int_equal(0, uv_loop_close(&loop));
}

/* ---- the last line of defence ---- */

static char logged[300];

static void on_log(void *arg, cmt_log_level level, const char *module,
                   const char *line) {
  (void)arg;
  (void)level;
  (void)module;
  snprintf(logged, sizeof logged, "%s", line);
}

static void no_byte_of_a_log_is_unprintable(void **state) {
  char all[256], expected[256];
  cmt_env env;
  cmt_why why;

  (void)state;
  for (int i = 1; i < 256; i++) {
    all[i - 1] = (char)i;
    expected[i - 1] = (char)(i < 32 || i > 126 ? '?' : i);
  }
  all[255] = expected[255] = '\0';
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.log = on_log;
  cmt__log(&env, CMT_LOG_WARN, "test", "%s", all);
  assert_string_equal(expected, logged);
  cmt__why(&why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "%s", all);
  assert_memory_equal(expected, why.text, cmt__min(sizeof why.text - 1, 255));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(each_field_of_a_channel_has_its_range),
    TEST(each_number_of_a_switch_has_its_range),
    TEST(zero_is_the_default_of_every_option),
    TEST(the_bounds_themselves_are_allowed),
    TEST(a_count_needs_a_list),
    TEST(threads_are_bounded),
    cmocka_unit_test(addresses_that_are_none),
    cmocka_unit_test(a_host_has_at_most_255_bytes),
    TEST(a_dial_of_a_peer_reports_what_exists),
    TEST(a_dial_beside_another_reports_so),
    TEST(dials_under_way_are_bounded),
    TEST(a_third_connection_reports_that_there_are_two),
    TEST(without_memory_it_reports_for_what),
    TEST(a_loop_of_the_caller_needs_memory),
    cmocka_unit_test(no_byte_of_a_log_is_unprintable),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
