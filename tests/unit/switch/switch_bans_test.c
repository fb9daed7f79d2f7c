/* SPDX-License-Identifier: Apache-2.0 */

/* What bans end and keep out, in virtual time, with one loop and with three. */

#include "dial_fixture.h"

#include "marks.h"

#define S_BAN CMT_SECONDS(60)

static int setup_three(void **state) { return setup_loops(state, 3); }

static void ban(test_node *n, const char *subject, uint64_t duration_ns) {
  cmt_ban b;

  cmt_ban_init(&b);
  snprintf(b.subject, sizeof b.subject, "%s", subject);
  b.duration_ns = duration_ns;
  assert_cmt(CMT_OK, cmt_switch_ban(n->sw, &b, NULL));
  test_loop_run_until_idle(n->world->loop);
}

static void unban(test_node *n, const char *subject) {
  assert_cmt(CMT_OK, cmt_switch_unban(n->sw, subject, NULL));
  test_loop_run_until_idle(n->world->loop);
}

static size_t peers_of(const test_node *n) {
  return cmt_switch_peers(n->sw, NULL, 0);
}

static void pair(fixture *f) {
  test_node_start(&f->a);
  test_node_start(&f->b);
  dial(f);
  assert_int_equal(1, peers_of(&f->a));
  (void)test_node_log(&f->a);
  (void)test_node_log(&f->b);
}

/* ---- what exists ---- */

static void a_ban_ends_the_peer(void **state) {
  fixture *f = *state;
  const char *subjects[] = {f->id.text, "10.0.0.2", "10.0.0.0/8"};
  uint64_t before = test_mark("ban_ends_connection");

  pair(f);
  for (size_t i = 0; i < CMT__COUNT(subjects); i++) {
    ban(&f->a, subjects[i], S_BAN);
    assert_string_equal("remove chat CMT_EBANNED\n", test_node_log(&f->a));
    assert_int_equal(0, peers_of(&f->a));
    unban(&f->a, subjects[i]);
    test_loop_advance(f->w.loop, CMT_SECONDS(5));
    assert_int_equal(1, peers_of(&f->a));
    (void)test_node_log(&f->a);
  }
  assert_mark("ban_ends_connection", before, CMT__COUNT(subjects));
}

static void a_ban_ends_the_handshake(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_loop_set_connect(f->w.loop, "10.0.0.2:26656", CMT_EAGAIN);
  dial(f);
  assert_int_equal(CMT_DIAL_CONNECTING, status_of(f).state);
  ban(&f->a, "10.0.0.0/24", S_BAN);
  assert_int_equal(1, f->count);
  assert_cmt(CMT_EBANNED, f->last.why.err);
  assert_string_equal("10.0.0.0/24 is banned", f->last.why.text);
  assert_true(f->last.redials);
}

static void a_ban_of_others_ends_nothing(void **state) {
  fixture *f = *state;

  pair(f);
  ban(&f->a, OTHER, CMT_NEVER);
  ban(&f->a, "10.0.0.3", CMT_NEVER);
  ban(&f->a, "::/0", CMT_NEVER);
  assert_string_equal("", test_node_log(&f->a));
  assert_int_equal(1, peers_of(&f->a));
}

/* The start reserves the timer.  The list of bans is the first allocation that
   a ban needs, and the second one fails. */
static void a_ban_ends_in_time_without_memory(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  f->w.env.fail_at = f->w.env.allocs + 1;
  ban(&f->a, "10.0.0.0/24", S_BAN);
  assert_int_equal(1, cmt_switch_bans(f->a.sw, NULL, 0));
  test_loop_advance(f->w.loop, S_BAN + 1);
  assert_int_equal(0, cmt_switch_bans(f->a.sw, NULL, 0));
  f->w.env.fail_at = SIZE_MAX;
}

/* ---- who comes ---- */

static void a_banned_address_has_no_handshake(void **state) {
  fixture *f = *state;
  uint64_t before = test_mark("banned_address_refused");

  test_node_start(&f->a);
  test_node_start(&f->b);
  ban(&f->b, "127.0.0.0/8", S_BAN);
  f->o.persistent = false;
  test_loop_set_source(f->w.loop, "127.0.0.9");
  dial(f);
  assert_string_equal("rejected inbound transport CMT_EBANNED\n",
                      test_node_log(&f->b));
  assert_string_equal("127.0.0.0/8 is banned", f->b.why.text);
  assert_mark("banned_address_refused", before, 1);
  assert_int_equal(0, peers_of(&f->b));
  test_loop_set_source(f->w.loop, "128.0.0.9");
  cmt_dial_cancel(f->dial);
  dial(f);
  assert_int_equal(1, peers_of(&f->b));
}

static void a_banned_id_hears_nothing_about_us(void **state) {
  fixture *f = *state;
  uint64_t before = test_mark("banned_id_refused");
  char expected[100];
  cmt_node_id id;

  test_node_start(&f->a);
  test_node_start(&f->b);
  cmt_switch_get_id(f->a.sw, &id);
  ban(&f->b, id.text, S_BAN);
  f->o.persistent = false;
  dial(f);
  assert_string_equal("rejected inbound filter CMT_EBANNED\n",
                      test_node_log(&f->b));
  assert_string_equal(id.text, f->b.blamed.text);
  snprintf(expected, sizeof expected, "node %s is banned", id.text);
  assert_string_equal(expected, f->b.why.text);
  assert_int_equal(1, f->count);
  assert_int_equal(CMT_STAGE_NODE_INFO, f->last.why.stage);
  assert_mark("banned_id_refused", before, 1);
}

/* ---- bans set by a callback about the newcomer itself ---- */

static void ban_within(cmt_switch *sw, const char *subject) {
  cmt_ban b;

  cmt_ban_init(&b);
  snprintf(b.subject, sizeof b.subject, "%s", subject);
  b.duration_ns = S_BAN;
  assert_cmt(CMT_OK, cmt_switch_ban(sw, &b, NULL));
}

static void on_init_ban(test_part *part, cmt_peer *p) {
  ban_within(part->node->sw, cmt_peer_id(p)->text);
}

static void nobody_is_a_peer_whom_init_peer_bans(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_start(&f->b);
  f->b.parts[0].on_init = on_init_ban;
  f->o.persistent = false;
  dial(f);
  assert_string_equal("init chat\nremove chat CMT_EBANNED\n"
                      "rejected inbound filter CMT_EBANNED\n",
                      test_node_log(&f->b));
  assert_int_equal(0, peers_of(&f->b));
}

static cmt_verdict filter_ban(void *arg, const cmt_newcomer *who,
                              const cmt_admission *request) {
  (void)request;
  ban_within(((test_node *)arg)->sw, who->id->text);
  return CMT_ADMIT;
}

static void nobody_is_a_peer_whom_the_filter_bans(void **state) {
  fixture *f = *state;

  f->b.options.filter_peer = filter_ban;
  f->b.options.filter_arg = &f->b;
  test_node_start(&f->a);
  test_node_start(&f->b);
  f->o.persistent = false;
  dial(f);
  assert_string_equal("rejected inbound filter CMT_EBANNED\n",
                      test_node_log(&f->b));
  assert_int_equal(0, peers_of(&f->b));
}

static void a_ban_ends_by_time(void **state) {
  fixture *f = *state;
  cmt_ban left[1];
  cmt_node_id id;

  test_node_start(&f->a);
  test_node_start(&f->b);
  cmt_switch_get_id(f->a.sw, &id);
  f->o.retry_delay_ns = CMT_SECONDS(1);
  ban(&f->b, id.text, S_BAN);
  assert_int_equal(1, cmt_switch_bans(f->b.sw, left, 1));
  assert_int_equal(now_of(f) + S_BAN, left[0].end_ns);
  dial(f);
  test_loop_advance(f->w.loop, S_BAN - 1);
  assert_int_equal(0, peers_of(&f->b));
  assert_int_equal(1, cmt_switch_bans(f->b.sw, NULL, 0));
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(1, peers_of(&f->b));
  assert_int_equal(0, cmt_switch_bans(f->b.sw, NULL, 0));
}

static void a_ban_before_the_start_counts_from_it(void **state) {
  fixture *f = *state;
  cmt_ban left[1], b;

  assert_cmt(CMT_OK, test_node_new(&f->a, NULL));
  cmt_ban_init(&b);
  memcpy(b.subject, "10.0.0.2", sizeof "10.0.0.2");
  assert_cmt(CMT_OK, cmt_switch_ban(f->a.sw, &b, NULL));
  assert_int_equal(1, cmt_switch_bans(f->a.sw, left, 1));
  assert_int_equal(CMT_NEVER, left[0].end_ns);
  test_loop_advance(f->w.loop, CMT_SECONDS(10));
  assert_cmt(CMT_OK, cmt_switch_start(f->a.sw, NULL));
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(1, cmt_switch_bans(f->a.sw, left, 1));
  assert_int_equal(now_of(f) + CMT_SECONDS(86400), left[0].end_ns);
}

/* ---- dials ---- */

static void a_persistent_dial_waits_for_the_end(void **state) {
  fixture *f = *state;
  const char *subjects[] = {f->id.text, "10.0.0.2"};
  uint64_t before = test_mark("ban_holds_dial");

  test_node_start(&f->a);
  test_node_start(&f->b);
  for (size_t i = 0; i < CMT__COUNT(subjects); i++) {
    f->count = 0;
    ban(&f->a, subjects[i], S_BAN);
    dial(f);
    assert_int_equal(0, f->count);
    assert_int_equal(CMT_DIAL_WAITING, status_of(f).state);
    assert_int_equal(now_of(f) + S_BAN, status_of(f).next_ns);
    assert_cmt(CMT_EBANNED, status_of(f).last.err);
    assert_int_equal(0, status_of(f).attempts);
    test_loop_advance(f->w.loop, S_BAN - 1);
    assert_int_equal(0, f->count);
    test_loop_advance(f->w.loop, 1);
    assert_int_equal(1, f->count);
    assert_cmt(CMT_OK, f->last.why.err);
    cmt_dial_cancel(f->dial);
    cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
    test_loop_run_until_idle(f->w.loop);
  }
  assert_mark("ban_holds_dial", before, CMT__COUNT(subjects));
}

static void a_persistent_dial_begins_when_the_ban_is_lifted(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_start(&f->b);
  ban(&f->a, f->id.text, CMT_NEVER);
  dial(f);
  assert_int_equal(CMT_NEVER, status_of(f).next_ns);
  test_loop_advance(f->w.loop, CMT_SECONDS(86400));
  ban(&f->a, f->id.text, S_BAN); /* A shorter one. */
  assert_int_equal(now_of(f) + S_BAN, status_of(f).next_ns);
  assert_int_equal(0, f->count);
  unban(&f->a, f->id.text);
  assert_int_equal(1, peers_of(&f->a));
}

static void any_other_dial_ends(void **state) {
  fixture *f = *state;
  const char *subjects[] = {f->id.text, "10.0.0.2"};

  test_node_start(&f->a);
  test_node_start(&f->b);
  f->o.persistent = false;
  for (size_t i = 0; i < CMT__COUNT(subjects); i++) {
    ban(&f->a, subjects[i], S_BAN);
    dial(f);
    assert_int_equal(i + 1, f->count);
    assert_cmt(CMT_EBANNED, f->last.why.err);
    assert_int_equal(CMT_DIAL_ENDED, status_of(f).state);
    cmt_dial_cancel(f->dial);
    unban(&f->a, subjects[i]);
  }
  assert_string_equal("", test_node_log(&f->b)); /* Nobody came. */
}

static void the_banned_addresses_of_a_name_are_left_out(void **state) {
  fixture *f = *state;
  uint64_t before = test_mark("banned_address_left_out");

  test_node_start(&f->a);
  test_node_start(&f->b);
  test_loop_set_host(f->w.loop, "b.test", "10.0.0.2");
  snprintf(f->at, sizeof f->at, "%s@b.test:26656", f->id.text);
  ban(&f->a, "10.0.0.0/8", S_BAN);
  dial(f);
  assert_int_equal(1, f->count);
  assert_cmt(CMT_EBANNED, f->last.why.err);
  assert_string_equal("cannot connect to 10.0.0.2:26656: this node has banned "
                      "the other side",
                      f->last.why.text);
  assert_string_equal("", test_node_log(&f->b));
  assert_mark("banned_address_left_out", before, 1);
  unban(&f->a, "10.0.0.0/8");
  test_loop_advance(f->w.loop, CMT_SECONDS(5));
  assert_int_equal(1, peers_of(&f->a));
}

/* ---- refusals ---- */

/* "": none. */
static void assert_found(fixture *f, const char *host, const char *subject) {
  cmt_net_addr a = {.id = f->id, .port = 1};
  cmt_ban b;

  snprintf(a.host, sizeof a.host, "%s", host);
  cmt_ban_init(&b);
  assert_true(cmt_switch_find_ban(f->a.sw, &a, &b) == (subject[0] != '\0'));
  assert_string_equal(subject, b.subject);
}

static void a_ban_of_an_address_is_found(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  ban(&f->a, "10.0.0.0/8", S_BAN);
  assert_found(f, "10.1.2.3", "10.0.0.0/8");
  assert_found(f, "11.1.2.3", "");
  assert_found(f, "node.test", "");
  ban(&f->a, f->id.text, 2 * S_BAN);
  assert_found(f, "10.1.2.3", f->id.text);
  assert_found(f, "node.test", f->id.text);
  ban(&f->a, "10.1.0.0/16", CMT_NEVER);
  assert_found(f, "10.1.2.3", "10.1.0.0/16");
  test_loop_advance(f->w.loop, 2 * S_BAN);
  assert_found(f, "10.2.2.3", "");
}

static void a_wrong_ban_is_named(void **state) {
  fixture *f = *state;
  char text[160];
  cmt_why why;
  cmt_ban b;

  test_node_start(&f->a);
  cmt_ban_init(&b);
  assert_cmt(CMT_EINVAL, cmt_switch_ban(f->a.sw, &b, &why));
  assert_string_equal("subject is \"\", allowed are a node id, an IP address, "
                      "and a range such as 10.0.0.0/8",
                      why.text);
  assert_cmt(CMT_EINVAL, cmt_ban_set_subject(&b, "x", &why));
  assert_string_equal("", b.subject);
  memset(b.subject, 'x', sizeof b.subject);
  assert_cmt(CMT_EINVAL, cmt_switch_ban(f->a.sw, &b, &why));
  snprintf(text, sizeof text, "subject is \"%.*s\", allowed are",
           (int)sizeof b.subject - 1, b.subject);
  assert_memory_equal(text, why.text, strlen(text));
  b.size = 3;
  assert_cmt(CMT_EINVAL, cmt_switch_ban(f->a.sw, &b, &why));
  assert_cmt(CMT_EINVAL, cmt_switch_ban(f->a.sw, NULL, &why));
  assert_cmt(CMT_EINVAL, cmt_switch_ban(NULL, &b, &why));
  assert_cmt(CMT_EINVAL, cmt_switch_unban(f->a.sw, "x", &why));
  assert_cmt(CMT_EINVAL, cmt_switch_unban(NULL, "10.0.0.1", &why));
  assert_cmt(CMT_OK, cmt_switch_unban(f->a.sw, "10.0.0.1", &why));
  assert_int_equal(0, cmt_switch_bans(f->a.sw, NULL, 0));
}

static void a_ban_over_the_maximum_is_refused(void **state) {
  fixture *f = *state;
  cmt_why why;
  cmt_ban b;

  test_node_start(&f->a);
  cmt_ban_init(&b);
  b.duration_ns = CMT_NEVER;
  for (unsigned i = 0; i < CMT_BANS_MAX; i++) {
    snprintf(b.subject, sizeof b.subject, "11.0.%u.%u", i / 256, i % 256);
    assert_cmt(CMT_OK, cmt_switch_ban(f->a.sw, &b, NULL));
  }
  memcpy(b.subject, "10.0.0.1", sizeof "10.0.0.1");
  assert_cmt(CMT_ELIMIT, cmt_switch_ban(f->a.sw, &b, &why));
  assert_string_equal("all bans end later, and there are as many as can be",
                      why.text);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LOOPS(name)                                                            \
  { "loops: " #name, name, setup_three, teardown, NULL }
  const struct CMUnitTest tests[] = {
    TEST(a_ban_ends_the_peer),
    LOOPS(a_ban_ends_the_peer),
    TEST(a_ban_ends_the_handshake),
    TEST(a_ban_of_others_ends_nothing),
    TEST(a_banned_address_has_no_handshake),
    TEST(a_banned_id_hears_nothing_about_us),
    TEST(nobody_is_a_peer_whom_init_peer_bans),
    LOOPS(nobody_is_a_peer_whom_init_peer_bans),
    TEST(nobody_is_a_peer_whom_the_filter_bans),
    TEST(a_ban_ends_by_time),
    TEST(a_ban_ends_in_time_without_memory),
    TEST(a_ban_before_the_start_counts_from_it),
    TEST(a_persistent_dial_waits_for_the_end),
    LOOPS(a_persistent_dial_waits_for_the_end),
    TEST(a_persistent_dial_begins_when_the_ban_is_lifted),
    TEST(any_other_dial_ends),
    TEST(the_banned_addresses_of_a_name_are_left_out),
    TEST(a_ban_of_an_address_is_found),
    TEST(a_wrong_ban_is_named),
    TEST(a_ban_over_the_maximum_is_refused),
  };
#undef LOOPS
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
