/* SPDX-License-Identifier: Apache-2.0 */

/* Peer exchange in two networks of one switch. */

#include "pex_world.h"

#include <cometp2p/network.h>

/* A has the reactor, and |guest| joins it; B is a node of the guest's network,
   and |same| one of A's. */
typedef struct fixture {
  test_world w;
  pex_node a, guest;
  test_node b;
  size_t warnings;
} fixture;

static void count_warning(void *arg, cmt_log_level level, const char *module,
                          const char *line) {
  fixture *f = arg;

  (void)module;
  (void)line;
  f->warnings += level == CMT_LOG_WARN;
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->w);
  f->w.env.env.log = count_warning;
  f->w.env.env.log_arg = f;
  pex_node_init(&f->a, &f->w, "5.1.0.1");
  f->a.o.network = "test-net";
  pex_node_init(&f->guest, &f->w, "5.1.0.1");
  f->guest.o.network = "net-b";
  assert_cmt(CMT_OK, cmt_pex_new(&f->guest.o, &f->guest.pex, NULL));
  pex_other_init(&f->b, &f->w);
  f->b.options.network = "net-b";
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  pex_node_fini(&f->a);
  pex_node_fini(&f->guest);
  test_node_fini(&f->b);
  test_world_fini(&f->w);
  free(f);
  return 0;
}

static void announce(fixture *f) {
  cmt_network n;

  cmt_network_init(&n);
  n.name = "net-b";
  assert_cmt(CMT_OK, cmt_switch_set_network(f->a.sw, &n, NULL));
}

static void join(fixture *f) {
  cmt_why why;

  if (cmt_pex_join(f->guest.pex, f->a.pex, &why) != CMT_OK) {
    fail_msg("%s", why.text);
  }
}

/* B dials A, and its question is the guest's. */
static void assert_visited(fixture *f) {
  pex_other_dial(&f->b, &f->a);
  assert_int_equal(1, pex_status(&f->guest).peers);
  assert_cmt(CMT_OK,
             cmt_peer_try_send_bytes(test_node_peer(&f->b), 0, "\x0a\x00", 2));
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(1, pex_status(&f->guest).answers_sent);
  assert_int_equal(0, pex_status(&f->a).peers);
  assert_int_equal(0, pex_status(&f->a).requests_received);
  cmt_switch_stop(f->b.sw, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(0, pex_status(&f->guest).peers);
}

static void a_peer_goes_to_the_exchange_of_its_network(void **state) {
  fixture *f = *state;

  pex_node_start(&f->a);
  announce(f);
  join(f);
  assert_visited(f);
}

/* The book of the guest is dialed in the guest's network. */
static void an_exchange_begins_with_its_host(void **state) {
  fixture *f = *state;

  test_node_start(&f->b);
  pex_know(&f->guest, f->b.addr);
  assert_cmt(CMT_OK, cmt_pex_new(&f->a.o, &f->a.pex, NULL));
  join(f);
  pex_node_start_made(&f->a);
  announce(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(40));
  assert_int_equal(1, pex_status(&f->guest).outbound_peers);
  assert_int_equal(0, pex_status(&f->a).outbound_peers);
}

/* What cannot be dialed is logged, and no log line is written under a lock. */
static void an_exchange_joins_whose_list_names_a_node_twice(void **state) {
  fixture *f = *state;

  test_node_start(&f->b);
  pex_node_start(&f->a);
  announce(f);
  assert_cmt(CMT_OK, cmt_pex_set_persistent_peers(
                       f->guest.pex,
                       "0123456789abcdef0123456789abcdef01234567@5.2.0.1:1,"
                       "0123456789abcdef0123456789abcdef01234567@5.2.0.2:1",
                       NULL));
  join(f);
  assert_int_equal(1, f->warnings);
}

static void refused(cmt_err err, cmt_pex *p, cmt_pex *host, const char *text) {
  cmt_why why;

  assert_cmt(err, cmt_pex_join(p, host, &why));
  assert_string_equal(text, why.text);
}

static void who_cannot_join_is_named(void **state) {
  fixture *f = *state;
  cmt_pex_options o = f->a.o;
  cmt_pex *all, *twin, *third;

  test_node_start(&f->b);
  pex_node_start(&f->a);
  o.network = NULL;
  assert_cmt(CMT_OK, cmt_pex_new(&o, &all, NULL));
  o.network = "net-b";
  assert_cmt(CMT_OK, cmt_pex_new(&o, &twin, NULL));
  o.network = "net-c";
  assert_cmt(CMT_OK, cmt_pex_new(&o, &third, NULL));
  refused(CMT_EINVAL, NULL, f->a.pex, "an exchange is NULL");
  refused(CMT_EINVAL, all, f->a.pex, "the exchange that joins has no network");
  refused(CMT_EINVAL, third, all, "the host has no network");
  f->w.env.fail_at = f->w.env.allocs;
  assert_cmt(CMT_ENOMEM, cmt_pex_join(f->guest.pex, f->a.pex, NULL));
  f->w.env.fail_at = SIZE_MAX;
  join(f);
  refused(CMT_EINVAL, f->guest.pex, f->a.pex,
          "the exchange that joins has joined before, or is a host");
  refused(CMT_EINVAL, f->a.pex, third,
          "the exchange that joins has joined before, or is a host");
  refused(CMT_EINVAL, third, f->guest.pex, "the host has joined another one");
  refused(CMT_EDUPLICATE, twin, f->a.pex, "the host has the network net-b");
  refused(CMT_EINVAL, twin, twin, "an exchange cannot join itself");
  assert_cmt(CMT_OK, cmt_pex_join(twin, third, NULL)); /* As if never tried. */
  cmt_pex_delete(all);
  cmt_pex_delete(twin);
  cmt_pex_delete(third);
}

static void a_reactor_serves_one_switch_at_a_time(void **state) {
  fixture *f = *state;
  pex_node second;
  cmt_switch_options o;
  cmt_reactor r;
  cmt_switch *sw;
  cmt_why why;

  pex_node_start(&f->a);
  announce(f);
  join(f);
  pex_node_init(&second, &f->w, "5.1.0.2");
  for (unsigned i = 0; i < 2; i++) {
    cmt_pex_get_reactor(i == 0 ? f->a.pex : f->guest.pex, &r);
    cmt_switch_options_init(&o);
    o.env = &f->w.env.env;
    o.loops = f->w.loop_count;
    o.network = "test-net";
    o.laddr = second.laddr;
    o.reactors = &r;
    o.reactor_count = 1;
    assert_cmt(CMT_OK, test_world_switch(&f->w, &o, &sw, &why));
    assert_cmt(CMT_EEXIST, cmt_switch_start(sw, &why));
    assert_string_equal("reactor pex cannot start: already exists", why.text);
    assert_cmt(CMT_OK, cmt_switch_delete(sw));
  }
  assert_visited(f); /* Nothing has happened to the first. */
  pex_node_fini(&second);
}

/* As a program does that begins anew with what it has learned. */
static void a_reactor_may_have_another_switch_later(void **state) {
  fixture *f = *state;

  pex_node_start(&f->a);
  cmt_switch_stop(f->a.sw, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_cmt(CMT_OK, cmt_switch_delete(f->a.sw));
  pex_node_start_made(&f->a);
  announce(f);
  join(f);
  assert_visited(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(a_peer_goes_to_the_exchange_of_its_network),
    TEST(an_exchange_begins_with_its_host),
    TEST(an_exchange_joins_whose_list_names_a_node_twice),
    TEST(who_cannot_join_is_named),
    TEST(a_reactor_serves_one_switch_at_a_time),
    TEST(a_reactor_may_have_another_switch_later),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
