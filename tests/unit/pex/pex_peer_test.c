/* SPDX-License-Identifier: Apache-2.0 */

/* What a peer may do on the channel of peer exchange, and what becomes of one
   that does something else. */

#include "pex_world.h"

#define REQUEST "\x0a\x00"
#define EMPTY "\x12\x00"
#define BAD_ENTRY "\x12\x02\x0a\x00"

/* A is the node with peer exchange, |other| does what the test says. */
typedef struct fixture {
  test_world w;
  pex_node a;
  test_node other;
  size_t asked, answered; /* What the other one has received. */
} fixture;

static void on_receive(test_part *part, cmt_peer *p, uint8_t channel,
                       cmt_buf *msg) {
  fixture *f = part->arg;

  (void)p;
  (void)channel;
  f->asked += cmt_buf_bytes(msg).base[0] == REQUEST[0];
  f->answered += cmt_buf_bytes(msg).base[0] == EMPTY[0];
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  test_part *part;

  assert_non_null(f);
  test_world_init(&f->w);
  pex_node_init(&f->a, &f->w, "5.1.0.1");
  pex_other_init(&f->other, &f->w);
  part = &f->other.parts[0];
  part->on_receive = on_receive;
  part->arg = f;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  pex_node_fini(&f->a);
  test_node_fini(&f->other);
  test_world_fini(&f->w);
  free(f);
  return 0;
}

/* The other one dials A. */
static void begin_inbound(fixture *f) {
  pex_node_start(&f->a);
  pex_other_dial(&f->other, &f->a);
  assert_int_equal(1, pex_peers(&f->a));
}

/* A dials the other one, and asks it. */
static void begin_outbound(fixture *f) {
  test_node_start(&f->other);
  pex_know(&f->a, f->other.addr);
  pex_node_start(&f->a);
  test_loop_advance(f->w.loop, CMT_SECONDS(2));
  assert_int_equal(1, pex_peers(&f->a));
  assert_int_equal(1, f->asked);
}

static void say(fixture *f, const void *bytes, size_t len) {
  assert_cmt(CMT_OK,
             cmt_peer_try_send_bytes(test_node_peer(&f->other), 0, bytes, len));
  test_loop_run_until_idle(f->w.loop);
}

#define SAY(f, text) say((f), (text), sizeof(text) - 1)

static size_t bans(const fixture *f) {
  return cmt_switch_bans(f->a.sw, NULL, 0);
}

/* The only peer of A, until lost(). */
static cmt_peer *hold(const fixture *f) {
  cmt_peer *p = NULL;

  assert_int_equal(1, cmt_switch_peers(f->a.sw, &p, 1));
  return p;
}

static void lost(cmt_peer *p, const char *text) {
  cmt_why why;

  cmt_peer_get_why(p, &why);
  assert_string_equal(text, why.text);
  cmt_peer_unref(p);
}

static uint64_t ends(const fixture *f, cmt_err err) {
  return test_reason(f->a.sw, err).removed;
}

static void a_request_is_answered_at_once(void **state) {
  fixture *f = *state;

  begin_inbound(f);
  SAY(f, REQUEST);
  assert_int_equal(1, f->answered);
}

static void an_early_request_is_answered_later(void **state) {
  fixture *f = *state;

  begin_inbound(f);
  SAY(f, REQUEST);
  SAY(f, REQUEST);
  assert_int_equal(1, f->answered);
  test_loop_advance(f->w.loop, CMT_SECONDS(10) - 1);
  assert_int_equal(1, f->answered);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(1));
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(2, f->answered);
  test_loop_advance(f->w.loop, CMT_SECONDS(60));
  assert_int_equal(2, f->answered);
  assert_int_equal(1, pex_status(&f->a).requests_held);
}

static void too_many_requests_end_the_peer_without_a_ban(void **state) {
  fixture *f = *state;
  cmt_peer *p;

  begin_inbound(f);
  for (int i = 0; i < 12; i++) {
    SAY(f, REQUEST);
  }
  p = hold(f);
  SAY(f, REQUEST);
  assert_int_equal(0, pex_peers(&f->a));
  lost(p, "more than ten early requests for addresses in a minute");
  assert_int_equal(1, ends(f, CMT_EFLOOD));
  assert_int_equal(0, bans(f));
  assert_int_equal(1, pex_status(&f->a).peers_flooding);
  assert_int_equal(11, pex_status(&f->a).requests_dropped);
}

static void so_does_a_visitor_of_a_seed(void **state) {
  fixture *f = *state;
  cmt_peer *p;

  f->a.o.seed = true;
  begin_inbound(f);
  p = hold(f);
  for (int i = 0; i < 12; i++) {
    SAY(f, REQUEST);
  }
  lost(p, "more than ten early requests for addresses in a minute");
  assert_int_equal(0, bans(f));
}

static void what_nobody_asked_for_bans(void **state) {
  fixture *f = *state;
  cmt_peer *p;
  cmt_ban ban;

  begin_inbound(f);
  p = hold(f);
  SAY(f, EMPTY);
  lost(p, "addresses that nobody asked for");
  assert_int_equal(0, pex_peers(&f->a));
  assert_int_equal(1, ends(f, CMT_EPROTO));
  ban.size = sizeof ban;
  assert_int_equal(1, cmt_switch_bans(f->a.sw, &ban, 1));
  assert_int_equal(strlen(ban.subject), 40);
  assert_int_equal(1, pex_status(&f->a).peers_banned);
  test_node_dial(&f->other, f->a.addr, 0);
  assert_int_equal(0, pex_peers(&f->a));
  test_loop_advance(f->w.loop, CMT_SECONDS(86400));
  test_node_dial(&f->other, f->a.addr, 0);
  assert_int_equal(1, pex_peers(&f->a));
}

static void an_answer_with_a_bad_entry_bans(void **state) {
  fixture *f = *state;

  begin_outbound(f);
  SAY(f, BAD_ENTRY);
  assert_int_equal(0, pex_peers(&f->a));
  assert_int_equal(1, bans(f));
}

static void a_malformed_message_ends_the_peer_without_a_ban(void **state) {
  fixture *f = *state;

  begin_inbound(f);
  SAY(f, "\x4a\x01x");
  assert_int_equal(0, pex_peers(&f->a));
  assert_int_equal(1, ends(f, CMT_EPROTO));
  assert_int_equal(0, bans(f));
}

static void a_listed_peer_is_not_banned(void **state) {
  fixture *f = *state;

  test_node_start(&f->other);
  f->a.o.persistent_peers = f->other.addr;
  pex_node_start(&f->a);
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  SAY(f, BAD_ENTRY);
  assert_int_equal(0, pex_peers(&f->a));
  assert_int_equal(0, bans(f));
  test_loop_advance(f->w.loop, CMT_SECONDS(8));
  assert_int_equal(1, pex_peers(&f->a));
}

/* An answer of two: a second answer is unsolicited. */
static void one_question_has_one_answer(void **state) {
  fixture *f = *state;

  begin_outbound(f);
  SAY(f, EMPTY);
  assert_int_equal(1, pex_peers(&f->a));
  SAY(f, EMPTY);
  assert_int_equal(0, pex_peers(&f->a));
  assert_int_equal(1, bans(f));
}

static void a_peer_is_asked_again_in_a_later_round(void **state) {
  fixture *f = *state;

  begin_outbound(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(100));
  assert_int_equal(1, f->asked); /* The first one has no answer yet. */
  SAY(f, EMPTY);
  test_loop_advance(f->w.loop, CMT_SECONDS(9));
  assert_int_equal(1, f->asked);
  test_loop_advance(f->w.loop, CMT_SECONDS(34));
  assert_int_equal(2, f->asked);
}

static void a_claim_counts_when_it_is_the_socket(void **state) {
  fixture *f = *state;
  cmt_net_addr a;

  begin_inbound(f);
  assert_cmt(CMT_OK, cmt_net_addr_parse(f->other.addr, 0, &a, NULL));
  assert_true(cmt_addrbook_has(f->a.book, &a.id));
}

/* 0.0.0.0 stands for the address of the socket. */
static void any_other_claim_is_felt(void **state) {
  fixture *f = *state;
  cmt_net_addr a;

  f->other.options.external_address = "tcp://0.0.0.0:26656";
  begin_inbound(f);
  assert_cmt(CMT_OK, cmt_net_addr_parse(f->other.addr, 0, &a, NULL));
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(1, pex_status(&f->a).feelers);
  assert_true(cmt_addrbook_has(f->a.book, &a.id));
  test_loop_advance(f->w.loop, CMT_SECONDS(10));
  assert_int_equal(1, pex_peers(&f->a)); /* Its peer stays. */
}

/* ---- seeds ---- */

static void a_seed_serves_once_and_closes(void **state) {
  fixture *f = *state;

  f->a.o.seed = true;
  begin_inbound(f);
  SAY(f, REQUEST);
  assert_int_equal(0, f->answered); /* It looks first who else is there. */
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(1010));
  assert_int_equal(1, f->answered);
  assert_int_equal(1, pex_status(&f->a).feelers);
  assert_int_equal(0, pex_status(&f->a).feelers_failed);
  assert_int_equal(0, pex_peers(&f->a));
  assert_int_equal(1, ends(f, CMT_ECANCELED));
}

static void a_seed_closes_who_asks_nothing(void **state) {
  fixture *f = *state;

  f->a.o.seed = true;
  begin_inbound(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(30) - 1);
  assert_int_equal(1, pex_peers(&f->a));
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(0, pex_peers(&f->a));
}

static void a_seed_asks_whom_it_dials_and_leaves(void **state) {
  fixture *f = *state;

  f->a.o.seed = true;
  begin_outbound(f);
  SAY(f, EMPTY);
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(0, pex_peers(&f->a));
  assert_int_equal(1, ends(f, CMT_ECANCELED));
}

/* What |on_served| was given. */
typedef struct served {
  unsigned answers;
  size_t addresses;
  uint64_t oldest_ns;
} served;

static void on_served(void *arg, const uint64_t *ages_ns, size_t count) {
  served *s = arg;

  s->answers++;
  s->addresses += count;
  for (size_t i = 0; i < count; i++) {
    s->oldest_ns = ages_ns[i] > s->oldest_ns ? ages_ns[i] : s->oldest_ns;
  }
}

/* A node that the seed has reached |age_ns| ago. */
static void proved(fixture *f, unsigned number, uint64_t age_ns) {
  char text[80];
  cmt_addrbook_proof p;
  cmt_net_addr a;

  snprintf(text, sizeof text, "%040x@9.%u.0.1:26656", number, number);
  assert_cmt(CMT_OK, cmt_net_addr_parse(text, 0, &a, NULL));
  cmt_addrbook_proof_init(&p);
  p.addr = &a;
  assert_cmt(CMT_OK,
             cmt_addrbook_proved(f->a.book, &p, pex_utc(&f->w) - age_ns));
}

static void a_visit_that_was_served_is_counted(void **state) {
  fixture *f = *state;
  cmt_pex_status st;
  served s = {0};

  for (unsigned i = 1; i <= 40; i++) {
    proved(f, i, i * CMT_SECONDS(1));
  }
  f->a.o.seed = true;
  f->a.o.on_served = on_served;
  f->a.o.served_arg = &s;
  begin_inbound(f);
  SAY(f, REQUEST);
  assert_int_equal(1, s.answers);
  assert_int_equal(40, s.addresses);
  assert_in_range(s.oldest_ns, CMT_SECONDS(40), CMT_SECONDS(41));
  test_loop_advance(f->w.loop, CMT_SECONDS(2));
  st = pex_status(&f->a);
  assert_int_equal(1, st.visits_served);
  assert_int_equal(0, st.visits_empty + st.visits_silent + st.visits_left);
  assert_int_equal(40, st.addrs_served);
  assert_int_equal(40, cmt_pex_count_proven(f->a.pex, CMT_SECONDS(3600)) - 1);
}

static void a_visit_without_addresses_is_empty(void **state) {
  fixture *f = *state;
  cmt_pex_status st;

  f->a.o.seed = true;
  begin_inbound(f);
  SAY(f, REQUEST);
  test_loop_advance(f->w.loop, CMT_SECONDS(3));
  st = pex_status(&f->a);
  assert_int_equal(1, st.visits_empty);
  assert_int_equal(0, st.visits_served + st.visits_silent + st.visits_left);
}

static void a_visit_without_a_question_is_silent(void **state) {
  fixture *f = *state;
  cmt_pex_status st;

  f->a.o.seed = true;
  begin_inbound(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(32));
  st = pex_status(&f->a);
  assert_int_equal(1, st.visits_silent);
  assert_int_equal(0, st.visits_served + st.visits_empty + st.visits_left);
}

static void a_visitor_may_leave(void **state) {
  fixture *f = *state;
  cmt_pex_status st;

  f->a.o.seed = true;
  begin_inbound(f);
  cmt_peer_stop(test_node_peer(&f->other), CMT_ECANCELED, 0);
  test_loop_advance(f->w.loop, CMT_SECONDS(2));
  st = pex_status(&f->a);
  assert_int_equal(1, st.visits_left);
  assert_int_equal(0, st.visits_served + st.visits_empty + st.visits_silent);
}

/* |visits| of them in 40 seconds, and none counts as silent. */
static void all_left(fixture *f, uint64_t visits) {
  cmt_pex_status st;

  test_loop_advance(f->w.loop, CMT_SECONDS(40));
  st = pex_status(&f->a);
  assert_int_equal(visits, st.visits_left);
  assert_int_equal(0, st.visits_served + st.visits_empty + st.visits_silent);
}

static void a_visitor_that_breaks_the_rules_is_not_silent(void **state) {
  fixture *f = *state;

  f->a.o.seed = true;
  begin_inbound(f);
  SAY(f, EMPTY); /* Nobody asked for it. */
  all_left(f, 1);
}

static void a_visitor_that_the_program_ends_is_not_silent(void **state) {
  fixture *f = *state;
  cmt_peer *p;

  f->a.o.seed = true;
  begin_inbound(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(30) - 1);
  p = hold(f);
  cmt_peer_stop(p, CMT_ECANCELED, 0);
  cmt_peer_unref(p);
  all_left(f, 1);
}

/* The seed feels it meanwhile, which is no reason either. */
static void a_visitor_that_goes_when_it_was_felt_is_not_silent(void **state) {
  fixture *f = *state;

  f->a.o.seed = true;
  begin_inbound(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(3));
  assert_int_equal(1, pex_status(&f->a).feelers);
  cmt_peer_stop(test_node_peer(&f->other), CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(0, pex_peers(&f->a));
  assert_int_equal(1, pex_status(&f->a).visits_left);
  assert_int_equal(0, pex_status(&f->a).visits_silent);
}

/* ---- what a program counts ---- */

typedef struct counted {
  unsigned dialed, failed, sent;
  size_t bytes;
  uint64_t connect_ns, secret_ns, info_ns;
} counted;

static void on_dialed(void *arg, const cmt_dial_outcome *o) {
  counted *c = arg;

  c->dialed++;
  c->failed += o->why.err != CMT_OK;
  c->connect_ns = o->connect_ns;
  c->secret_ns = o->secret_ns;
  c->info_ns = o->info_ns;
}

static void on_sent(void *arg, uint8_t channel, cmt_bytes msg) {
  counted *c = arg;

  assert_int_equal(CMT_PEX_CHANNEL, channel);
  c->sent++;
  c->bytes += msg.len;
}

static void count_in(fixture *f, counted *c) {
  f->a.o.on_dialed = on_dialed;
  f->a.o.dialed_arg = c;
  f->a.o.on_sent = on_sent;
  f->a.o.sent_arg = c;
}

static void a_program_learns_of_dials_and_of_what_is_sent(void **state) {
  fixture *f = *state;
  counted c = {0};

  count_in(f, &c);
  begin_outbound(f);
  assert_int_equal(1, c.dialed);
  assert_int_equal(0, c.failed);
  assert_int_equal(1, c.sent);
  assert_int_equal(sizeof REQUEST - 1, c.bytes);
  SAY(f, REQUEST);
  assert_int_equal(1, f->answered);
  assert_int_equal(2, c.sent);
  assert_true(c.bytes > sizeof REQUEST - 1);
}

static void a_program_learns_of_feelers(void **state) {
  fixture *f = *state;
  counted c = {0};

  count_in(f, &c);
  f->other.options.external_address = "tcp://0.0.0.0:26656";
  begin_inbound(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(1, pex_status(&f->a).feelers);
  assert_int_equal(1, c.dialed);
  assert_int_equal(0, c.failed);
}

/* A persistent peer is dialed again and again. */
static void a_program_learns_of_each_attempt(void **state) {
  fixture *f = *state;
  counted c = {0};

  count_in(f, &c);
  test_node_start(&f->other);
  f->a.o.persistent_peers = f->other.addr;
  pex_node_start(&f->a);
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  assert_int_equal(1, c.dialed);
  assert_int_equal(0, c.failed);
  SAY(f, BAD_ENTRY);
  test_loop_advance(f->w.loop, CMT_SECONDS(8));
  assert_int_equal(1, pex_peers(&f->a));
  assert_int_equal(2, c.dialed);
}

static void a_program_learns_of_dials_that_fail(void **state) {
  fixture *f = *state;
  counted c = {0};

  count_in(f, &c);
  test_node_start(&f->other);
  pex_know(&f->a, "00000000000000000000000000000000000000aa@5.7.0.1:26656");
  pex_node_start(&f->a);
  test_loop_advance(f->w.loop, CMT_SECONDS(5));
  assert_true(c.dialed > 0);
  assert_int_equal(c.dialed, c.failed);
  assert_int_equal(c.failed, pex_status(&f->a).dials_failed);
}

/* ---- other parts of an exchange ---- */

/* An ordinary node has no visits, and its answers are nobody's business. */
static void a_node_has_no_visits(void **state) {
  fixture *f = *state;
  cmt_pex_status st;
  served s = {0};

  f->a.o.on_served = on_served;
  f->a.o.served_arg = &s;
  begin_inbound(f);
  SAY(f, REQUEST);
  assert_int_equal(1, f->answered);
  cmt_peer_stop(test_node_peer(&f->other), CMT_ECANCELED, 0);
  test_loop_advance(f->w.loop, CMT_SECONDS(2));
  st = pex_status(&f->a);
  assert_int_equal(0, st.visits_served + st.visits_empty + st.visits_silent +
                        st.visits_left);
  assert_int_equal(0, s.answers);
}

static void faults_and_fates_are_counted(void **state) {
  static const uint8_t list[] = "\x12\x12"
                                "\x0a\x10\x0a\x03"
                                "abc"
                                "\x12\x07"
                                "9.9.9.9"
                                "\x18\x01";
  fixture *f = *state;
  cmt_pex_status st;

  begin_outbound(f);
  say(f, list, sizeof list - 1);
  st = pex_status(&f->a);
  assert_int_equal(1, st.answers_received);
  assert_int_equal(1, st.fates[CMT_ADDRBOOK_FATE_INVALID]);
  assert_int_equal(1, st.fates[CMT_ADDRBOOK_FATE_ADDED]);
  SAY(f, EMPTY);
  st = pex_status(&f->a);
  assert_int_equal(1, st.answers_unsolicited);
  assert_int_equal(0, st.messages_malformed);
}

static int64_t height_of(const fixture *f, const cmt_peer *p) {
  cmt_addrbook_snapshot *s;
  cmt_addrbook_entry e = {.height = -1};
  bool found = false;

  assert_cmt(CMT_OK, cmt_pex_snapshot_new(f->a.pex, &s));
  for (size_t i = 0; !found && cmt_addrbook_snapshot_get(s, i, &e); i++) {
    found = cmt_node_id_equal(&e.addr.id, cmt_peer_id(p));
  }
  cmt_addrbook_snapshot_delete(s);
  return found ? e.height : -1;
}

static void a_message_of_another_reactor_tells_a_height(void **state) {
  static const uint8_t status[] = {0x2a, 4, 8, 38, 16, 1};
  static const uint8_t step[] = {0x0a, 4, 8, 51, 24, 1};
  static const uint8_t vote[] = {0x32, 0};
  fixture *f = *state;
  cmt_peer *p;

  begin_outbound(f);
  p = hold(f);
  assert_int_equal(0, height_of(f, p));
  cmt_pex_note(f->a.pex, p, 0x40, (cmt_bytes){status, sizeof status});
  assert_int_equal(38, height_of(f, p));
  cmt_pex_note(f->a.pex, p, 0x22, (cmt_bytes){vote, sizeof vote});
  assert_int_equal(38, height_of(f, p));
  cmt_pex_note(f->a.pex, p, 0x20, (cmt_bytes){step, sizeof step});
  assert_int_equal(50, height_of(f, p));
  cmt_peer_unref(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(a_request_is_answered_at_once),
    TEST(an_early_request_is_answered_later),
    TEST(too_many_requests_end_the_peer_without_a_ban),
    TEST(so_does_a_visitor_of_a_seed),
    TEST(what_nobody_asked_for_bans),
    TEST(an_answer_with_a_bad_entry_bans),
    TEST(a_malformed_message_ends_the_peer_without_a_ban),
    TEST(a_listed_peer_is_not_banned),
    TEST(one_question_has_one_answer),
    TEST(a_peer_is_asked_again_in_a_later_round),
    TEST(a_claim_counts_when_it_is_the_socket),
    TEST(any_other_claim_is_felt),
    TEST(a_seed_serves_once_and_closes),
    TEST(a_seed_closes_who_asks_nothing),
    TEST(a_seed_asks_whom_it_dials_and_leaves),
    TEST(a_visit_that_was_served_is_counted),
    TEST(a_visit_without_addresses_is_empty),
    TEST(a_visit_without_a_question_is_silent),
    TEST(a_visitor_may_leave),
    TEST(a_visitor_that_breaks_the_rules_is_not_silent),
    TEST(a_visitor_that_the_program_ends_is_not_silent),
    TEST(a_visitor_that_goes_when_it_was_felt_is_not_silent),
    TEST(a_program_learns_of_dials_and_of_what_is_sent),
    TEST(a_program_learns_of_feelers),
    TEST(a_program_learns_of_each_attempt),
    TEST(a_program_learns_of_dials_that_fail),
    TEST(a_node_has_no_visits),
    TEST(faults_and_fates_are_counted),
    TEST(a_message_of_another_reactor_tells_a_height),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
