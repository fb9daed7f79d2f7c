/* SPDX-License-Identifier: Apache-2.0 */

/* Filters of addresses and of peers, in virtual time: what they are called
   with, and answers at once, later, never and too late. */

#include "dial_fixture.h"

#include "marks.h"

enum { ASKED_MAX = 8 };

/* What a filter answers, and what it was called with. */
typedef struct desk {
  cmt_verdict verdict, inside; /* |inside| is answered from within. */
  size_t asked;
  cmt_admission requests[ASKED_MAX];
  char remote[CMT_NET_ADDR_TEXT_SIZE], moniker[32];
  cmt_node_id id; /* Empty: it was not called. */
  bool outbound;
} desk;

static desk at_desk;

static cmt_verdict desk_ask(void *arg, const cmt_newcomer *who,
                            const cmt_admission *request) {
  desk *d = arg;

  assert_int_equal(sizeof *who, who->size);
  assert_true(d->asked < ASKED_MAX);
  d->requests[d->asked++] = *request;
  snprintf(d->remote, sizeof d->remote, "%s", who->remote);
  d->id = who->id != NULL ? *who->id : (cmt_node_id){.text = ""};
  d->outbound = who->outbound;
  assert_true((who->id != NULL) == (who->node_info != NULL));
  if (who->node_info != NULL) {
    snprintf(d->moniker, sizeof d->moniker, "%.*s",
             (int)who->node_info->moniker.len,
             (const char *)who->node_info->moniker.base);
  }
  if (d->inside != CMT_LATER) {
    assert_cmt(CMT_OK, cmt_admission_answer(request, d->inside));
  }
  return d->verdict;
}

static int setup_desk(void **state, unsigned loops) {
  fixture *f;

  assert_int_equal(0, setup_loops(state, loops));
  f = *state;
  at_desk = (desk){.verdict = CMT_LATER, .inside = CMT_LATER};
  f->a.options.filter_arg = &at_desk;
  f->b.options.filter_arg = &at_desk;
  f->o.persistent = false;
  return 0;
}

static int setup_one(void **state) { return setup_desk(state, test_loops()); }

static int setup_three(void **state) { return setup_desk(state, 3); }

static size_t peers_of(const test_node *n) {
  return cmt_switch_peers(n->sw, NULL, 0);
}

static uint64_t handshakes_of(const test_node *n) {
  cmt_switch_status st;

  cmt_switch_get_status(n->sw, &st);
  return st.handshakes;
}

static cmt_err answer(fixture *f, size_t i, cmt_verdict verdict) {
  cmt_err err = cmt_admission_answer(&at_desk.requests[i], verdict);

  test_loop_run_until_idle(f->w.loop);
  return err;
}

/* A dials B. */
static void meet(fixture *f) {
  test_node_start(&f->a);
  test_node_start(&f->b);
  dial(f);
  assert_int_equal(1, at_desk.asked);
}

/* ---- at once ---- */

static void a_refused_address_has_no_handshake(void **state) {
  fixture *f = *state;

  f->b.options.filter_addr = desk_ask;
  at_desk.verdict = CMT_REFUSE;
  meet(f);
  assert_string_equal("rejected inbound transport CMT_EFILTER\n",
                      test_node_log(&f->b));
  assert_string_equal("filter_addr refused it", f->b.why.text);
  assert_string_equal(f->b.remote, at_desk.remote);
  assert_string_equal("", at_desk.id.text);
  assert_false(at_desk.outbound);
  assert_int_equal(0, handshakes_of(&f->b));
  assert_int_equal(CMT_STAGE_SECRET_CONNECTION, f->last.why.stage);
}

static void a_refused_peer_is_known(void **state) {
  fixture *f = *state;
  cmt_node_id id;

  f->b.options.filter_peer = desk_ask;
  f->a.options.moniker = "of a";
  at_desk.verdict = CMT_REFUSE;
  meet(f);
  cmt_switch_get_id(f->a.sw, &id);
  assert_string_equal("rejected inbound filter CMT_EFILTER\n",
                      test_node_log(&f->b));
  assert_string_equal("filter_peer refused it", f->b.why.text);
  assert_string_equal(id.text, f->b.blamed.text);
  assert_string_equal(id.text, at_desk.id.text);
  assert_string_equal("of a", at_desk.moniker);
  assert_string_equal(f->b.remote, at_desk.remote);
  assert_false(at_desk.outbound);
}

static void a_node_that_was_dialed_is_asked_for_too(void **state) {
  fixture *f = *state;

  f->a.options.filter_peer = desk_ask;
  f->a.options.filter_addr = desk_ask; /* For connections that are accepted. */
  at_desk.verdict = CMT_REFUSE;
  meet(f);
  assert_true(at_desk.outbound);
  assert_string_equal(f->id.text, at_desk.id.text);
  assert_string_equal("10.0.0.2:26656", at_desk.remote);
  assert_int_equal(1, f->count);
  assert_cmt(CMT_EFILTER, f->last.why.err);
  assert_int_equal(CMT_STAGE_FILTER, f->last.why.stage);
}

static void who_is_admitted_becomes_a_peer(void **state) {
  fixture *f = *state;

  f->b.options.filter_addr = desk_ask;
  f->b.options.filter_peer = desk_ask;
  at_desk.verdict = CMT_ADMIT;
  test_node_start(&f->a);
  test_node_start(&f->b);
  dial(f);
  assert_int_equal(2, at_desk.asked);
  assert_string_equal("init chat\nadd chat inbound\n", test_node_log(&f->b));
  assert_cmt(CMT_ECLOSED, answer(f, 0, CMT_REFUSE));
  assert_cmt(CMT_ECLOSED, answer(f, 1, CMT_REFUSE));
  assert_int_equal(1, peers_of(&f->b));
}

static void any_other_verdict_refuses(void **state) {
  fixture *f = *state;

  f->b.options.filter_peer = desk_ask;
  at_desk.verdict = (cmt_verdict)77;
  meet(f);
  assert_cmt(CMT_EFILTER, f->b.why.err);
}

/* ---- later ---- */

static void an_address_waits_for_its_answer(void **state) {
  fixture *f = *state;
  uint64_t before = test_mark("filter_answered_later");

  f->b.options.filter_addr = desk_ask;
  meet(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(2));
  assert_int_equal(1, handshakes_of(&f->b));
  assert_int_equal(0, f->count);
  assert_cmt(CMT_OK, answer(f, 0, CMT_ADMIT));
  assert_int_equal(1, f->count);
  assert_cmt(CMT_OK, f->last.why.err);
  assert_int_equal(1, peers_of(&f->b));
  test_loop_advance(f->w.loop, CMT_SECONDS(60));
  assert_int_equal(1, peers_of(&f->b));
  assert_mark("filter_answered_later", before, 1);
}

static void a_peer_waits_for_its_answer(void **state) {
  fixture *f = *state;

  f->b.options.filter_peer = desk_ask;
  meet(f);
  assert_int_equal(1, peers_of(&f->a));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "early"));
  test_loop_advance(f->w.loop, CMT_SECONDS(4));
  assert_int_equal(0, peers_of(&f->b));
  assert_int_equal(1, handshakes_of(&f->b));
  assert_string_equal("", test_node_log(&f->b)); /* No reactor knows it. */
  assert_cmt(CMT_OK, answer(f, 0, CMT_ADMIT));
  assert_int_equal(0, handshakes_of(&f->b));
  assert_string_equal("init chat\nadd chat inbound\nreceive chat 51 early\n",
                      test_node_log(&f->b));
  test_loop_advance(f->w.loop, CMT_SECONDS(600));
  assert_int_equal(1, peers_of(&f->b));
}

static void a_later_refusal_counts(void **state) {
  fixture *f = *state;

  f->b.options.filter_peer = desk_ask;
  meet(f);
  assert_cmt(CMT_OK, answer(f, 0, CMT_REFUSE));
  assert_string_equal("rejected inbound filter CMT_EFILTER\n",
                      test_node_log(&f->b));
}

static void a_later_refusal_of_an_address_counts(void **state) {
  fixture *f = *state;

  f->b.options.filter_addr = desk_ask;
  meet(f);
  assert_cmt(CMT_OK, answer(f, 0, CMT_REFUSE));
  assert_string_equal("rejected inbound transport CMT_EFILTER\n",
                      test_node_log(&f->b));
}

static void an_answer_may_come_from_inside(void **state) {
  fixture *f = *state;

  f->b.options.filter_addr = desk_ask;
  f->b.options.filter_peer = desk_ask;
  at_desk.inside = CMT_ADMIT;
  test_node_start(&f->a);
  test_node_start(&f->b);
  dial(f);
  assert_int_equal(2, at_desk.asked);
  assert_int_equal(1, peers_of(&f->b));
}

static void no_answer_refuses(void **state) {
  fixture *f = *state;
  uint64_t before = test_mark("filter_timeout");

  f->b.options.filter_peer = desk_ask;
  meet(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(5) - 1);
  assert_string_equal("", test_node_log(&f->b));
  test_loop_advance(f->w.loop, 1);
  assert_string_equal("rejected inbound filter CMT_EFILTER\n",
                      test_node_log(&f->b));
  assert_string_equal("filter_peer gave no answer within 5000 ms",
                      f->b.why.text);
  assert_cmt(CMT_ECLOSED, answer(f, 0, CMT_ADMIT));
  assert_int_equal(0, peers_of(&f->b));
  assert_mark("filter_timeout", before, 1);
}

static void the_deadline_is_an_option(void **state) {
  fixture *f = *state;

  f->b.options.filter_addr = desk_ask;
  f->b.options.filter_timeout_ns = CMT_MILLISECONDS(200);
  meet(f);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(200) - 1);
  assert_string_equal("", test_node_log(&f->b));
  test_loop_advance(f->w.loop, 1);
  assert_string_equal("rejected inbound transport CMT_EFILTER\n",
                      test_node_log(&f->b));
  assert_string_equal("filter_addr gave no answer within 200 ms",
                      f->b.why.text);
}

/* ---- too late ---- */

static void an_answer_after_the_end_changes_nothing(void **state) {
  fixture *f = *state;

  f->b.options.filter_peer = desk_ask;
  meet(f);
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("rejected inbound filter CMT_EEOF\n",
                      test_node_log(&f->b));
  assert_int_equal(0, handshakes_of(&f->b));
  assert_cmt(CMT_ECLOSED, answer(f, 0, CMT_ADMIT));
  assert_int_equal(0, peers_of(&f->b));
}

static void an_end_after_the_answer_is_no_trouble(void **state) {
  fixture *f = *state;
  cmt_node_id id;
  cmt_ban b;

  f->b.options.filter_peer = desk_ask;
  meet(f);
  cmt_switch_get_id(f->a.sw, &id);
  cmt_ban_init(&b);
  memcpy(b.subject, id.text, sizeof id.text);
  assert_cmt(CMT_OK, cmt_switch_ban(f->b.sw, &b, NULL));
  assert_cmt(CMT_OK, cmt_admission_answer(&at_desk.requests[0], CMT_ADMIT));
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("rejected inbound filter CMT_EBANNED\n",
                      test_node_log(&f->b));
}

static void a_cancelled_dial_is_asked_for_no_more(void **state) {
  fixture *f = *state;

  f->a.options.filter_peer = desk_ask;
  meet(f);
  cmt_dial_cancel(f->dial);
  test_loop_run_until_idle(f->w.loop);
  assert_cmt(CMT_ECLOSED, answer(f, 0, CMT_ADMIT));
  assert_int_equal(0, peers_of(&f->a));
}

static void a_stop_ends_what_waits(void **state) {
  fixture *f = *state;

  f->b.options.filter_addr = desk_ask;
  meet(f);
  cmt_switch_stop(f->b.sw, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("rejected inbound transport CMT_ECANCELED\nstop chat\n",
                      test_node_log(&f->b));
  assert_cmt(CMT_ECLOSED, answer(f, 0, CMT_ADMIT));
}

static void what_waits_may_give_way(void **state) {
  fixture *f = *state;

  f->b.options.filter_addr = desk_ask;
  f->b.options.handshakes_max = 1;
  meet(f);
  assert_cmt(CMT_OK,
             cmt_switch_dial(f->a.sw, OTHER "@10.0.0.2:26656", 0, NULL));
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(2, at_desk.asked);
  assert_string_equal("rejected inbound filter CMT_ELIMIT\n",
                      test_node_log(&f->b));
  assert_cmt(CMT_ECLOSED, answer(f, 0, CMT_ADMIT));
  assert_cmt(CMT_OK, answer(f, 1, CMT_REFUSE));
}

/* ---- beside others ---- */

/* Two connections of one id wait; one is the peer, and the other is on
   standby. */
static void two_of_one_id_may_wait(void **state) {
  fixture *f = *state;

  f->b.options.filter_peer = desk_ask;
  meet(f);
  assert_cmt(CMT_OK, cmt_switch_dial(f->b.sw, f->a.addr, 0, NULL));
  test_loop_run_until_idle(f->w.loop);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(100)); /* It is staggered. */
  assert_int_equal(2, at_desk.asked);
  assert_cmt(CMT_OK, answer(f, 1, CMT_ADMIT));
  assert_cmt(CMT_OK, answer(f, 0, CMT_ADMIT));
  assert_int_equal(1, peers_of(&f->b));
  test_loop_advance(f->w.loop, CMT_SECONDS(10));
  assert_int_equal(1, peers_of(&f->a));
  assert_int_equal(1, peers_of(&f->b));
}

/* It was admitted when it came; that it becomes the peer later is no other
   question. */
static void a_standby_is_not_asked_for_again(void **state) {
  fixture *f = *state;

  f->b.options.filter_peer = desk_ask;
  at_desk.verdict = CMT_ADMIT;
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_loop_defaults(f->w.loop)->stalled = true;
  dial(f);
  test_loop_defaults(f->w.loop)->stalled = false;
  test_node_dial(&f->b, f->a.addr, 0);
  test_loop_conn(f->w.loop, 0)->dir[0].stalled = false;
  test_loop_conn(f->w.loop, 0)->dir[1].stalled = false;
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(500));
  assert_int_equal(2, at_desk.asked);
  at_desk.verdict = CMT_REFUSE;
  cmt_peer_stop(test_node_peer(&f->b), CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(2, at_desk.asked);
  assert_int_equal(1, peers_of(&f->b));
}

static void a_bad_answer_is_refused(void **state) {
  fixture *f = *state;
  const cmt_admission none = {.sw = NULL};

  f->b.options.filter_peer = desk_ask;
  meet(f);
  assert_cmt(CMT_EINVAL, answer(f, 0, CMT_LATER));
  assert_cmt(CMT_EINVAL, cmt_admission_answer(NULL, CMT_ADMIT));
  assert_cmt(CMT_EINVAL, cmt_admission_answer(&none, CMT_ADMIT));
  assert_cmt(CMT_OK, answer(f, 0, CMT_ADMIT));
}

static void without_memory_who_waits_is_refused(void **state) {
  fixture *f = *state;
  f->b.options.filter_peer = desk_ask;
  test_node_start(&f->a);
  test_node_start(&f->b);
  for (size_t i = 0; at_desk.asked < ASKED_MAX && i < 60; i++) {
    f->w.env.fail_at = f->w.env.allocs + i;
    cmt_ignore(cmt_switch_dial(f->a.sw, f->at, 0, NULL));
    test_loop_run_until_idle(f->w.loop);
    f->w.env.fail_at = SIZE_MAX;
    test_loop_advance(f->w.loop, CMT_SECONDS(20));
    assert_int_equal(0, handshakes_of(&f->b));
    assert_int_equal(0, peers_of(&f->b));
  }
  assert_true(at_desk.asked > 0);
}

/* ---- unconditional ids ---- */

static void ids_on_the_list_pass_every_cap(void **state) {
  fixture *f = *state;
  cmt_node_key *key;
  cmt_node_id id;

  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &key));
  cmt_node_key_get_id(key, &id);
  f->a.options.key = key;
  f->a.options.outbound_peers_max = CMT_NO_PEERS;
  f->a.options.unconditional = &f->id;
  f->a.options.unconditional_count = 1;
  f->b.options.inbound_peers_max = CMT_NO_PEERS;
  f->b.options.unconditional = &id;
  f->b.options.unconditional_count = 1;
  test_node_start(&f->a);
  test_node_start(&f->b);
  dial(f);
  assert_int_equal(1, peers_of(&f->a));
  assert_int_equal(1, peers_of(&f->b));
  cmt_node_key_delete(key);
}

/* The list counts for who connects after it has changed. */
static void the_list_changes_while_the_switch_runs(void **state) {
  fixture *f = *state;
  cmt_node_id wrong = {.text = "x"};
  cmt_why why;

  f->a.options.outbound_peers_max = CMT_NO_PEERS;
  test_node_start(&f->a);
  test_node_start(&f->b);
  dial(f);
  assert_int_equal(0, peers_of(&f->a));
  assert_cmt(CMT_EINVAL, cmt_switch_set_unconditional(NULL, NULL, 0, &why));
  assert_string_equal("the switch is NULL", why.text);
  assert_cmt(CMT_EINVAL,
             cmt_switch_set_unconditional(f->a.sw, &wrong, 1, &why));
  assert_string_equal("unconditional: element 0 is not 40 hex digits",
                      why.text);
  f->w.env.fail_at = f->w.env.allocs;
  assert_cmt(CMT_ENOMEM,
             cmt_switch_set_unconditional(f->a.sw, &f->id, 1, NULL));
  f->w.env.fail_at = SIZE_MAX;
  assert_cmt(CMT_OK, cmt_switch_set_unconditional(f->a.sw, &f->id, 1, NULL));
  dial(f);
  assert_int_equal(1, peers_of(&f->a));
  assert_cmt(CMT_OK, cmt_switch_set_unconditional(f->a.sw, NULL, 0, NULL));
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(1, peers_of(&f->a));
}

static void a_wrong_list_is_named(void **state) {
  fixture *f = *state;
  cmt_node_id ids[2] = {f->id, {.text = "x"}};
  cmt_why why;

  f->a.options.unconditional = ids;
  f->a.options.unconditional_count = 2;
  assert_cmt(CMT_EINVAL, test_node_new(&f->a, &why));
  assert_string_equal("unconditional: element 1 is not 40 hex digits",
                      why.text);
  f->a.options.unconditional_count = CMT_UNCONDITIONAL_MAX + 1;
  assert_cmt(CMT_EINVAL, test_node_new(&f->a, &why));
  assert_string_equal("unconditional_count is 257, allowed is 0 to 256",
                      why.text);
  f->a.options.unconditional = NULL;
  f->a.options.unconditional_count = 1;
  assert_cmt(CMT_EINVAL, test_node_new(&f->a, &why));
  assert_string_equal("unconditional_count is set and unconditional is not",
                      why.text);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_one, teardown)
#define LOOPS(name)                                                            \
  { "loops: " #name, name, setup_three, teardown, NULL }
  const struct CMUnitTest tests[] = {
    TEST(a_refused_address_has_no_handshake),
    TEST(a_refused_peer_is_known),
    TEST(a_node_that_was_dialed_is_asked_for_too),
    TEST(who_is_admitted_becomes_a_peer),
    TEST(any_other_verdict_refuses),
    TEST(an_address_waits_for_its_answer),
    TEST(a_peer_waits_for_its_answer),
    LOOPS(a_peer_waits_for_its_answer),
    TEST(a_later_refusal_counts),
    TEST(a_later_refusal_of_an_address_counts),
    TEST(an_answer_may_come_from_inside),
    TEST(no_answer_refuses),
    TEST(the_deadline_is_an_option),
    TEST(an_answer_after_the_end_changes_nothing),
    TEST(an_end_after_the_answer_is_no_trouble),
    TEST(a_cancelled_dial_is_asked_for_no_more),
    TEST(a_stop_ends_what_waits),
    TEST(what_waits_may_give_way),
    TEST(two_of_one_id_may_wait),
    LOOPS(two_of_one_id_may_wait),
    TEST(a_standby_is_not_asked_for_again),
    LOOPS(a_standby_is_not_asked_for_again),
    TEST(a_bad_answer_is_refused),
    TEST(without_memory_who_waits_is_refused),
    TEST(ids_on_the_list_pass_every_cap),
    TEST(the_list_changes_while_the_switch_runs),
    TEST(a_wrong_list_is_named),
  };
#undef LOOPS
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
