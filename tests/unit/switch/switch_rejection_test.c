/* SPDX-License-Identifier: Apache-2.0 */

/* Every way for a dial or an accept to yield no peer: one rejection each, with
   the stage and the code that belong to it. */

#include "node.h"

#include <stdio.h>

#define SOME_ID "00112233445566778899aabbccddeeff00112233"

typedef test_trio fixture;

static void run_until_idle(fixture *f) { test_loop_run_until_idle(f->w.loop); }

static void start_both(fixture *f) {
  test_node_start(&f->a);
  test_node_start(&f->b);
}

/* |id| at the place of |n|. */
static const char *at_place_of(const test_node *n, const char *id, char *out) {
  snprintf(out, CMT_NET_ADDR_TEXT_SIZE, "%s@%s", id, strchr(n->addr, '@') + 1);
  return out;
}

/* ---- a connection that the test drives itself ---- */

typedef struct raw {
  cmt__tcp *tcp;
  bool ended;
} raw;

static void raw_connect(void *arg, cmt_err err) {
  assert_cmt(CMT_OK, err);
  cmt__tcp_read(((raw *)arg)->tcp, true);
}

static void raw_read(void *arg, uint8_t *data, size_t len) {
  (void)arg;
  (void)data;
  (void)len;
}

static void raw_end(void *arg, cmt_err err) {
  (void)err;
  ((raw *)arg)->ended = true;
}

static const cmt__tcp_callbacks raw_callbacks = {
  .on_connect = raw_connect, .on_read = raw_read, .on_end = raw_end};

static void raw_dial(fixture *f, const test_node *n, raw *r) {
  cmt_net_addr to;

  *r = (raw){.tcp = NULL};
  assert_cmt(CMT_OK, cmt_net_addr_parse(n->addr, 0, &to, NULL));
  assert_cmt(CMT_OK, cmt__loop_connect(test_loop_base(f->w.loop), &to,
                                       &raw_callbacks, r, &r->tcp));
  run_until_idle(f);
}

static void raw_accept(void *arg, cmt__tcp *tcp) {
  raw *r = arg;

  r->tcp = tcp;
  cmt__tcp_start(tcp, &raw_callbacks, r);
  cmt__tcp_read(tcp, true);
}

static cmt__listener *raw_listen(fixture *f, raw *r, char *addr) {
  cmt_net_addr at = {.host = "127.0.0.1"};
  cmt__listener *ls;

  *r = (raw){.tcp = NULL};
  assert_cmt(CMT_OK, cmt__loop_listen(test_loop_base(f->w.loop), &at,
                                      raw_accept, r, &ls, NULL));
  cmt__listener_addr(ls, &at);
  snprintf(addr, CMT_NET_ADDR_TEXT_SIZE, SOME_ID "@127.0.0.1:%u", at.port);
  return ls;
}

/* ---- transport ---- */

static void a_refused_connect(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_dial(&f->a, SOME_ID "@1.2.3.4:26656", 0);
  assert_string_equal("rejected outbound transport CMT_EREFUSED\n",
                      test_node_log(&f->a));
  assert_string_equal("cannot connect to 1.2.3.4:26656: connection refused",
                      f->a.why.text);
  assert_string_equal("1.2.3.4:26656", f->a.remote);
  assert_string_equal(SOME_ID "@1.2.3.4:26656", f->a.dialed);
}

static void a_name_without_an_address(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_dial(&f->a, SOME_ID "@nowhere.test:26656", 0);
  assert_string_equal("rejected outbound transport CMT_ERESOLVE\n",
                      test_node_log(&f->a));
  assert_string_equal("cannot resolve nowhere.test: the host name has no "
                      "address",
                      f->a.why.text);
  assert_string_equal(SOME_ID "@nowhere.test:26656", f->a.remote);
}

static void a_connect_that_takes_too_long(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_loop_set_connect(f->w.loop, "1.2.3.4:26656", CMT_EAGAIN);
  test_node_dial(&f->a, SOME_ID "@1.2.3.4:26656", 0);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(2999));
  assert_string_equal("", test_node_log(&f->a));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(1));
  assert_string_equal("rejected outbound transport CMT_EDIAL\n",
                      test_node_log(&f->a));
}

/* ---- who is reported ---- */

/* Before the other side has proved an id no id gets the blame, least of all the
   one that was dialed: anybody can sit at an address. */
static void nobody_is_blamed_before_it_authenticated(void **state) {
  fixture *f = *state;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt__listener *ls;
  cmt_node_id id;
  raw r;

  test_node_start(&f->a);
  test_node_dial(&f->a, SOME_ID "@1.2.3.4:26656", 0);
  assert_cmt(CMT_EREFUSED, f->a.why.err);
  assert_string_equal("", f->a.blamed.text);
  ls = raw_listen(f, &r, addr);
  test_node_dial(&f->a, addr, 0);
  cmt__tcp_close(r.tcp);
  run_until_idle(f);
  assert_cmt(CMT_EEOF, f->a.why.err);
  assert_string_equal("", f->a.blamed.text);
  cmt__listener_close(ls);
  test_node_start(&f->b);
  test_node_dial(&f->a, at_place_of(&f->b, SOME_ID, addr), 0);
  assert_cmt(CMT_EWRONGID, f->a.why.err);
  cmt_switch_get_id(f->b.sw, &id);
  assert_string_equal(id.text, f->a.blamed.text);
}

/* ---- secret connection ---- */

static void a_silent_connection_that_was_accepted(void **state) {
  fixture *f = *state;
  raw r;

  test_node_start(&f->a);
  raw_dial(f, &f->a, &r);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(2999));
  assert_string_equal("", test_node_log(&f->a));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(1));
  assert_string_equal("rejected inbound secret_connection CMT_EHANDSHAKE\n",
                      test_node_log(&f->a));
  assert_string_equal("", f->a.dialed);
  run_until_idle(f);
  assert_true(r.ended);
  cmt__tcp_close(r.tcp);
}

static void a_silent_connection_that_was_dialed(void **state) {
  fixture *f = *state;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  raw r;
  cmt__listener *ls = raw_listen(f, &r, addr);

  test_node_start(&f->a);
  test_node_dial(&f->a, addr, 0);
  test_loop_advance(f->w.loop, CMT_SECONDS(3));
  assert_string_equal("rejected outbound secret_connection CMT_EHANDSHAKE\n",
                      test_node_log(&f->a));
  cmt__tcp_close(r.tcp);
  cmt__listener_close(ls);
}

static void an_end_of_file_in_the_handshake_keeps_its_stage(void **state) {
  fixture *f = *state;
  raw r;

  test_node_start(&f->a);
  raw_dial(f, &f->a, &r);
  cmt__tcp_close(r.tcp);
  run_until_idle(f);
  assert_string_equal("rejected inbound secret_connection CMT_EEOF\n",
                      test_node_log(&f->a));
}

static void a_wrong_id(void **state) {
  fixture *f = *state;
  char addr[CMT_NET_ADDR_TEXT_SIZE], text[256];
  cmt_node_id id;

  start_both(f);
  test_node_dial(&f->a, at_place_of(&f->b, SOME_ID, addr), 0);
  assert_string_equal("rejected outbound secret_connection CMT_EWRONGID\n",
                      test_node_log(&f->a));
  cmt_switch_get_id(f->b.sw, &id);
  snprintf(text, sizeof text, "dialed node %s, found node %s", SOME_ID,
           id.text);
  assert_string_equal(text, f->a.why.text);
  /* The other side had proved us, and saw us go. */
  assert_string_equal("rejected inbound node_info CMT_EEOF\n",
                      test_node_log(&f->b));
}

/* ---- node info ---- */

static void another_network(void **state) {
  fixture *f = *state;

  f->b.options.network = "other-net";
  start_both(f);
  test_node_dial(&f->a, f->b.addr, 0);
  assert_string_equal("rejected outbound node_info CMT_ENETWORK\n",
                      test_node_log(&f->a));
  assert_string_equal("rejected inbound node_info CMT_ENETWORK\n",
                      test_node_log(&f->b));
  assert_non_null(strstr(f->a.why.text, "other-net"));
}

static void no_common_channel(void **state) {
  fixture *f = *state;

  f->b.parts[0].channels[0].id = 0x52;
  start_both(f);
  test_node_dial(&f->a, f->b.addr, 0);
  assert_string_equal("rejected outbound node_info CMT_EINCOMPATIBLE\n",
                      test_node_log(&f->a));
}

static void the_node_itself(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_dial(&f->a, f->a.addr, CMT_DIAL_PERSISTENT);
  assert_non_null(strstr(f->a.log, "rejected outbound node_info CMT_ESELF\n"));
  test_loop_advance(f->w.loop, CMT_SECONDS(60));
  assert_int_equal(1, test_loop_conn_count(f->w.loop)); /* Not dialed again. */
}

/* ---- filter ---- */

static void an_id_that_is_a_peer_is_not_dialed(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  test_node_dial(&f->a, f->b.addr, 0);
  assert_string_equal("rejected outbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->a));
  test_node_dial(&f->b, f->a.addr, 0); /* The inbound one counts as well. */
  assert_string_equal("rejected outbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
  assert_int_equal(1, test_loop_conn_count(f->w.loop));
}

static void an_id_that_is_being_dialed_is_not_dialed_twice(void **state) {
  fixture *f = *state;

  start_both(f);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  run_until_idle(f);
  assert_string_equal("rejected outbound filter CMT_EDUPLICATE\n"
                      "init chat\nadd chat outbound\n",
                      test_node_log(&f->a));
  assert_int_equal(1, test_loop_conn_count(f->w.loop));
}

static void the_second_connection_of_an_id_is_refused(void **state) {
  fixture *f = *state;
  cmt_node_key *key;

  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &key));
  f->a.options.key = key;
  f->c.options.key = key;
  test_pair(&f->w, &f->a, &f->b);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  test_loop_advance(f->w.loop, CMT_SECONDS(1)); /* See standby_test.c. */
  assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "still here"));
  run_until_idle(f);
  assert_string_equal("receive chat 51 still here\n", test_node_log(&f->b));
  test_node_fini(&f->a);
  test_node_fini(&f->c);
  cmt_node_key_delete(key);
}

/* B reads the whole handshake of A at once, and so refuses the peer before it
   has sent its node info. */
static void whoever_is_refused_sees_our_node_info(void **state) {
  fixture *f = *state;
  test_dir *dir;

  f->b.parts[0].init_err = CMT_EREACTOR;
  start_both(f);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  test_loop_step(f->w.loop);
  dir = &test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER];
  for (int i = 0; i < 20; i++) {
    dir->stalled = dir->read > 0;
    test_loop_step(f->w.loop);
  }
  assert_int_equal(2 * 1044, dir->in_flight); /* Signature and node info. */
  dir->stalled = false;
  run_until_idle(f);
  assert_string_equal("init chat\nrejected inbound filter CMT_EREACTOR\n",
                      test_node_log(&f->b));
  assert_string_equal("init chat\nadd chat outbound\nremove chat CMT_EEOF\n",
                      test_node_log(&f->a));
  assert_int_equal(0, f->b.sw->session_count);
}

/* But not for longer than a second. */
static void whoever_is_refused_has_a_second_to_go(void **state) {
  fixture *f = *state;
  test_conn *conn;

  f->b.parts[0].init_err = CMT_EREACTOR;
  start_both(f);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  test_loop_step(f->w.loop);
  conn = test_loop_conn(f->w.loop, 0);
  for (int i = 0; i < 50 && f->b.log_len == 0; i++) {
    test_loop_step(f->w.loop);
  }
  conn->dir[TEST_ACCEPTOR].stalled = true;
  run_until_idle(f);
  assert_int_equal(1, f->b.sw->session_count);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(999));
  assert_int_equal(1, f->b.sw->session_count);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(1));
  assert_int_equal(0, f->b.sw->session_count);
}

static void inbound_peers_over_the_cap(void **state) {
  fixture *f = *state;
  cmt_switch_status status;
  test_node d;

  f->b.options.inbound_peers_max = 1;
  test_pair(&f->w, &f->a, &f->b);
  test_node_init(&d, &f->w);
  test_node_start(&d);
  test_node_dial(&d, f->b.addr, 0);
  assert_string_equal("rejected inbound filter CMT_ELIMIT\n",
                      test_node_log(&f->b));
  assert_string_equal("inbound peers are at their limit of 1", f->b.why.text);
  assert_string_equal("127.0.0.1:40001", f->b.remote);
  assert_int_equal(40, strlen(f->b.blamed.text)); /* After its handshake. */
  assert_string_equal("init chat\nadd chat outbound\nremove chat CMT_EEOF\n",
                      test_node_log(&d));
  test_node_fini(&d);
  cmt_switch_get_status(f->b.sw, &status);
  assert_int_equal(2, status.accepted);
  assert_int_equal(1, status.rejected);
  assert_int_equal(1, status.added);
  assert_int_equal(1, status.inbound_peers);
  assert_int_equal(0, status.outbound_peers);
  test_node_fini(&f->a);
  run_until_idle(f);
  (void)test_node_log(&f->b);
  test_node_start(&f->c); /* There is room again. */
  test_node_dial(&f->c, f->b.addr, 0);
  assert_string_equal("init chat\nadd chat inbound\n", test_node_log(&f->b));
}

static void the_cap_holds_for_handshakes_that_end_together(void **state) {
  fixture *f = *state;

  f->b.options.inbound_peers_max = 1;
  start_both(f);
  test_node_start(&f->c);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  assert_cmt(CMT_OK, cmt_switch_dial(f->c.sw, f->b.addr, 0, NULL));
  run_until_idle(f);
  assert_string_equal("init chat\nadd chat inbound\n"
                      "rejected inbound filter CMT_ELIMIT\n",
                      test_node_log(&f->b));
}

static void inbound_peers_over_the_cap_of_their_ip(void **state) {
  fixture *f = *state;

  f->b.options.inbound_peers_per_ip_max = 1;
  test_loop_set_source(f->w.loop, "10.0.0.1");
  test_pair(&f->w, &f->a, &f->b);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  assert_string_equal("rejected inbound filter CMT_ELIMIT\n",
                      test_node_log(&f->b));
  assert_string_equal("inbound peers from 10.0.0.1 are at their limit of 1",
                      f->b.why.text);
  test_node_fini(&f->c);
  test_node_start(&f->c);
  test_loop_set_source(f->w.loop, "10.0.0.2");
  test_node_dial(&f->c, f->b.addr, 0);
  assert_string_equal("init chat\nadd chat inbound\n", test_node_log(&f->b));
}

static void handshakes_over_the_cap(void **state) {
  fixture *f = *state;
  raw first, second;

  f->b.options.handshakes_max = 1;
  start_both(f);
  raw_dial(f, &f->b, &first);
  raw_dial(f, &f->b, &second);
  assert_true(first.ended);
  assert_false(second.ended);
  assert_string_equal("rejected inbound filter CMT_ELIMIT\n",
                      test_node_log(&f->b));
  assert_string_equal("handshakes in flight are at their limit of 1, and this "
                      "one gave way to a newer one",
                      f->b.why.text);
  /* Own dials have places of their own. */
  test_node_dial(&f->b, f->a.addr, 0);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->b));
  assert_false(second.ended);
  cmt__tcp_close(first.tcp);
  cmt__tcp_close(second.tcp);
}

static void want_of_descriptors_is_counted(void **state) {
  fixture *f = *state;
  cmt_switch_status status;

  start_both(f);
  test_loop_exhaust(f->w.loop, 1);
  test_node_dial(&f->a, f->b.addr, 0);
  assert_string_equal("rejected outbound secret_connection CMT_ERESET\n",
                      test_node_log(&f->a));
  cmt_switch_get_status(f->b.sw, &status);
  assert_int_equal(1, status.no_descriptors);
  test_node_dial(&f->a, f->b.addr, 0);
  assert_int_equal(1, cmt_switch_peers(f->b.sw, NULL, 0));
  cmt_switch_stop(f->b.sw, 0);
  run_until_idle(f);
  cmt_switch_get_status(f->b.sw, &status);
  assert_int_equal(1, status.no_descriptors);
}

/* ---- the switch stops ---- */

static void a_stop_rejects_what_is_under_way(void **state) {
  fixture *f = *state;
  raw inbound, outbound;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt__listener *ls = raw_listen(f, &outbound, addr);
  cmt_switch_status status;

  test_node_start(&f->a);
  test_loop_set_connect(f->w.loop, "1.2.3.4:1", CMT_EAGAIN);
  raw_dial(f, &f->a, &inbound);
  test_node_dial(&f->a, addr, CMT_DIAL_PERSISTENT);
  test_node_dial(&f->a, "ff112233445566778899aabbccddeeff00112233@1.2.3.4:1",
                 0);
  cmt_switch_get_status(f->a.sw, &status);
  assert_int_equal(3, status.handshakes);
  cmt_switch_stop(f->a.sw, CMT_SECONDS(9));
  run_until_idle(f);
  assert_string_equal("rejected outbound transport CMT_ECANCELED\n"
                      "rejected outbound secret_connection CMT_ECANCELED\n"
                      "rejected inbound secret_connection CMT_ECANCELED\n"
                      "stop chat\n",
                      test_node_log(&f->a));
  assert_string_equal("the switch is stopping", f->a.why.text);
  cmt_switch_get_status(f->a.sw, &status);
  assert_int_equal(0, status.handshakes);
  assert_int_equal(3, status.rejected);
  cmt__listener_close(ls);
  cmt__tcp_close(inbound.tcp);
  cmt__tcp_close(outbound.tcp);
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, test_trio_setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_refused_connect),
    TEST(a_name_without_an_address),
    TEST(a_connect_that_takes_too_long),
    TEST(nobody_is_blamed_before_it_authenticated),
    TEST(a_silent_connection_that_was_accepted),
    TEST(a_silent_connection_that_was_dialed),
    TEST(an_end_of_file_in_the_handshake_keeps_its_stage),
    TEST(a_wrong_id),
    TEST(another_network),
    TEST(no_common_channel),
    TEST(the_node_itself),
    TEST(an_id_that_is_a_peer_is_not_dialed),
    TEST(an_id_that_is_being_dialed_is_not_dialed_twice),
    TEST(the_second_connection_of_an_id_is_refused),
    TEST(whoever_is_refused_sees_our_node_info),
    TEST(whoever_is_refused_has_a_second_to_go),
    TEST(inbound_peers_over_the_cap),
    TEST(the_cap_holds_for_handshakes_that_end_together),
    TEST(inbound_peers_over_the_cap_of_their_ip),
    TEST(handshakes_over_the_cap),
    TEST(want_of_descriptors_is_counted),
    TEST(a_stop_rejects_what_is_under_way),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
