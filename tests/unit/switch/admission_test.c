/* SPDX-License-Identifier: Apache-2.0 */

/* Who gets a place when strangers want all of them, in virtual time: crowds
   that connect at a rate and fall silent at each point of the handshake, from
   one address and from many.  Friends come in, own dials go out. */

#include "hostile.h"
#include "strangers.h"

#include <stdio.h>
#include <stdlib.h>

#define S(n) CMT_SECONDS(n)
#define MS(n) CMT_MILLISECONDS(n)

enum { FRIENDS = 20, TOGETHER = 8, CROWD_MAX = 6000 };

typedef struct fixture {
  test_world w;
  test_node at; /* Where they all go. */
  test_node friends[FRIENDS];
  strangers crowd;
  uint64_t most; /* Handshakes that a filter saw. */
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->w);
  test_node_init(&f->at, &f->w);
  for (int i = 0; i < FRIENDS; i++) {
    test_node_init(&f->friends[i], &f->w);
  }
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  if (f->crowd.list != NULL) {
    strangers_fini(&f->crowd);
  }
  for (int i = 0; i < FRIENDS; i++) {
    if (f->friends[i].sw != NULL) {
      test_node_fini(&f->friends[i]);
    }
  }
  test_node_fini(&f->at);
  test_world_fini(&f->w);
  free(f);
  return 0;
}

static cmt_switch_status status_of(const test_node *n) {
  cmt_switch_status status;

  cmt_switch_get_status(n->sw, &status);
  return status;
}

/* The log of a rejected crowd is long. */
static void no_dial_was_rejected(test_node *n) {
  assert_null(strstr(test_node_log(n), "rejected outbound"));
}

static void pass_ms(fixture *f, unsigned ms) {
  for (unsigned i = 0; i < ms; i++) {
    strangers_come(&f->crowd);
    test_loop_advance(f->w.loop, MS(1));
    no_dial_was_rejected(&f->at);
  }
}

static void crowd_begins(fixture *f, strangers_send say, strangers_from from,
                         uint32_t a_second) {
  f->crowd.say = say;
  f->crowd.from = from;
  f->crowd.a_second = a_second;
  strangers_init(&f->crowd, f->w.loop, f->at.addr, CROWD_MAX);
}

static void friend_source(fixture *f, int i) {
  char source[32];

  snprintf(source, sizeof source, "10.1.%d.1", i);
  test_loop_set_source(f->w.loop, source);
}

static void friend_dials(fixture *f, int i) {
  test_node_start(&f->friends[i]);
  friend_source(f, i);
  test_node_dial(&f->friends[i], f->at.addr, 0);
}

/* ---- crowds ---- */

typedef struct row {
  strangers_send say;
  strangers_from from;
  uint32_t a_second;
} row;

/* Most friends come one by one, the others at once and from one address. */
static void friends_meet(fixture *f) {
  pass_ms(f, 100);
  for (int i = 0; i < FRIENDS - TOGETHER; i++) {
    friend_dials(f, i);
    pass_ms(f, 10);
  }
  for (int i = FRIENDS - TOGETHER; i < FRIENDS; i++) {
    test_node_start(&f->friends[i]);
    friend_source(f, 99);
    assert_cmt(CMT_OK, cmt_switch_dial(f->friends[i].sw, f->at.addr, 0, NULL));
    test_loop_step(f->w.loop);
  }
  pass_ms(f, 50);
  assert_int_equal(FRIENDS, status_of(&f->at).inbound_peers);
}

static void own_dials_go_out(fixture *f) {
  uint64_t dialed = status_of(&f->at).dialed;

  for (int i = 0; i < 2; i++) {
    test_node_fini(&f->friends[i]);
    test_node_init(&f->friends[i], &f->w);
    test_node_start(&f->friends[i]);
    assert_cmt(CMT_OK, cmt_switch_dial(f->at.sw, f->friends[i].addr,
                                       i == 0 ? CMT_DIAL_PERSISTENT : 0, NULL));
    pass_ms(f, 20);
  }
  assert_int_equal(2, status_of(&f->at).dialed - dialed);
  assert_int_equal(2, status_of(&f->at).outbound_peers);
  assert_int_equal(FRIENDS - 2, status_of(&f->at).inbound_peers);
}

static void check_crowd(const row *r) {
  fixture *f;
  void *state;
  cmt_switch_status status;

  (void)setup(&state);
  f = state;
  f->at.options.handshakes_per_ip_max = CMT_NO_LIMIT;
  test_node_start(&f->at);
  crowd_begins(f, r->say, r->from, r->a_second);
  friends_meet(f);
  own_dials_go_out(f);
  status = status_of(&f->at);
  assert_true(f->crowd.count > (size_t)r->a_second / 5);
  assert_int_equal(f->crowd.count + FRIENDS, status.accepted);
  assert_true(f->at.sw->places.pool.count <= 64);
  assert_int_equal(status.rejected, status.over_handshakes_max);
  assert_int_equal(status.rejected, test_reason(f->at.sw, CMT_ELIMIT).rejected);
  if (r->a_second >= 3000) {
    assert_int_equal(64, strangers_left(&f->crowd));
    assert_true(status.over_handshakes_max > 0);
  }
  (void)teardown(&state);
}

static void check_crowds(strangers_send say) {
  for (int from = STRANGERS_ONE_ADDRESS; from <= STRANGERS_ANYWHERE_V6;
       from++) {
    check_crowd(&(row){say, (strangers_from)from, 300});
    check_crowd(&(row){say, (strangers_from)from, 3000});
  }
}

static void silent_strangers_keep_nobody_out(void **state) {
  (void)state;
  check_crowds(STRANGERS_NOTHING);
}

static void half_keys_keep_nobody_out(void **state) {
  (void)state;
  check_crowds(STRANGERS_HALF_A_KEY);
}

static void whole_keys_keep_nobody_out(void **state) {
  (void)state;
  check_crowds(STRANGERS_A_KEY);
}

/* ---- who gives way ---- */

static void come(fixture *f, hostile *h, const char *from) {
  test_loop_set_source(f->w.loop, from);
  hostile_dial(h, f->w.loop, f->at.addr);
  test_loop_run_until_idle(f->w.loop);
}

/* A connection whose key has arrived, and that does not read our answer. */
static void come_with_key(fixture *f, hostile *h, const char *from) {
  test_loop_set_source(f->w.loop, from);
  test_loop_defaults(f->w.loop)->stalled = false;
  hostile_dial(h, f->w.loop, f->at.addr);
  test_loop_conn(f->w.loop, test_loop_conn_count(f->w.loop) - 1)
    ->dir[TEST_ACCEPTOR]
    .stalled = true;
  test_loop_run_until_idle(f->w.loop);
}

static void leave_all(hostile *list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    hostile_fini(&list[i]);
  }
}

/* |list| has ended just where |ended| has an x. */
static void assert_ended(const hostile *list, const char *ended) {
  char found[16] = "";

  for (size_t i = 0; i < strlen(ended); i++) {
    found[i] = list[i].ended ? 'x' : '.';
  }
  assert_string_equal(ended, found);
}

static bool is_open(fixture *f, size_t conn) {
  return test_loop_conn(f->w.loop, conn)->open[TEST_ACCEPTOR];
}

static void the_oldest_of_the_largest_network_goes(void **state) {
  fixture *f = *state;
  hostile h[8];

  for (int i = 0; i < 8; i++) {
    h[i] = (hostile){.mute = true};
  }
  f->at.options.handshakes_max = 5;
  test_node_start(&f->at);
  come(f, &h[0], "10.0.9.1");
  come(f, &h[1], "10.0.1.1");
  come(f, &h[2], "10.0.1.2");
  come(f, &h[3], "10.0.1.2");
  come(f, &h[4], "10.0.8.1");
  assert_ended(h, ".....");
  come(f, &h[5], "10.0.7.1");
  assert_ended(h, "..x..."); /* The network with the most, its address. */
  come(f, &h[6], "10.0.6.1");
  assert_ended(h, ".xx....");
  come(f, &h[7], "10.0.5.1");
  assert_ended(h, "xxx....."); /* All are alike, and it is the oldest. */
  assert_int_equal(3, status_of(&f->at).over_handshakes_max);
  leave_all(h, 8);
}

/* What the status says when the filter is asked about a newcomer. */
static cmt_verdict count_then_admit(void *arg, const cmt_newcomer *who,
                                    const cmt_admission *request) {
  fixture *f = arg;
  uint64_t now = status_of(&f->at).handshakes;

  (void)who;
  (void)request;
  f->most = now > f->most ? now : f->most;
  return CMT_ADMIT;
}

static void a_newcomer_without_a_place_is_not_counted(void **state) {
  fixture *f = *state;
  hostile h[6];

  f->at.options.handshakes_max = 4;
  f->at.options.filter_addr = count_then_admit;
  f->at.options.filter_arg = f;
  test_node_start(&f->at);
  for (int i = 0; i < 6; i++) {
    h[i] = (hostile){.mute = true};
    come(f, &h[i], "127.0.0.1");
    assert_int_equal(i < 4 ? i + 1 : 4, status_of(&f->at).handshakes);
  }
  assert_int_equal(4, f->most);
  assert_int_equal(2, status_of(&f->at).over_handshakes_max);
  leave_all(h, 6);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(0, status_of(&f->at).handshakes);
}

/* An eighth of the places is nobody's fault: 13 come from |others| and then 3
   from |crowd|, which has one place more than that. */
static void check_part(fixture *f, const char *others, const char *crowd) {
  hostile h[18] = {{.tcp = NULL}};
  char from[32];

  for (int i = 0; i < 18; i++) {
    h[i] = (hostile){.mute = true};
  }
  f->at.options.handshakes_max = 16;
  test_node_start(&f->at);
  for (int i = 0; i < 18; i++) {
    snprintf(from, sizeof from, i >= 13 && i < 16 ? crowd : others, i + 1);
    come(f, &h[i], from);
    assert_int_equal(i >= 16, h[13].ended);
    assert_int_equal(i >= 17, h[0].ended);
  }
  assert_int_equal(2, status_of(&f->at).over_handshakes_max);
  leave_all(h, 18);
}

static void an_address_has_an_eighth_of_the_places(void **state) {
  check_part(*state, "10.0.1.%d", "10.0.1.200");
}

static void a_network_has_an_eighth_of_the_places(void **state) {
  check_part(*state, "10.0.%d.1", "10.9.9.%d");
}

static void a_key_that_has_arrived_keeps_the_place(void **state) {
  fixture *f = *state;
  hostile h[6] = {{.tcp = NULL},  {.mute = true}, {.mute = true},
                  {.mute = true}, {.mute = true}, {.mute = true}};

  f->at.options.handshakes_max = 4;
  test_node_start(&f->at);
  come_with_key(f, &h[0], "10.0.1.1");
  come(f, &h[1], "10.0.2.1");
  come(f, &h[2], "10.0.3.1");
  come(f, &h[3], "10.0.4.1");
  come(f, &h[4], "10.0.5.1");
  come(f, &h[5], "10.0.6.1");
  assert_ended(h + 1, "xx...");
  assert_true(is_open(f, 0));
  leave_all(h, 6);
}

/* A crowd of keys cannot displace one whose key is on its way. */
static void a_key_on_its_way_has_a_floor(void **state) {
  fixture *f = *state;
  hostile h[7] = {{.mute = true}};

  f->at.options.handshakes_max = 4;
  test_node_start(&f->at);
  come(f, &h[0], "10.0.1.1");
  for (int i = 1; i < 7; i++) {
    char from[32];

    snprintf(from, sizeof from, "10.0.%d.1", 10 + i);
    h[i] = (hostile){.tcp = NULL};
    come_with_key(f, &h[i], from);
  }
  assert_true(is_open(f, 0));
  assert_false(is_open(f, 1));
  assert_false(is_open(f, 2));
  assert_false(is_open(f, 3));
  assert_true(is_open(f, 4) && is_open(f, 5) && is_open(f, 6));
  leave_all(h, 7);
}

/* Strangers that prove an id and send nothing after that have their part of the
   places, and no more. */
static void whole_signatures_keep_nobody_out(void **state) {
  fixture *f = *state;
  hostile h[40] = {{.tcp = NULL}};

  f->at.options.handshakes_max = 8;
  f->at.options.handshakes_per_ip_max = CMT_NO_LIMIT;
  test_node_start(&f->at);
  for (int i = 0; i < 40; i++) {
    h[i] = (hostile){.hold = 1};
    come(f, &h[i], "10.66.0.1");
    assert_true(h[i].up);
    if (i % 2 != 0) {
      friend_dials(f, i / 2);
      assert_int_equal(i / 2 + 1, status_of(&f->at).inbound_peers);
    }
    (void)test_node_log(&f->at);
  }
  assert_int_equal(7, f->at.sw->places.pool.count); /* A friend had one. */
  assert_true(is_open(f, test_loop_conn_count(f->w.loop) - 2));
  leave_all(h, 40);
}

/* ---- addresses ---- */

/* Makes |count| silent connections from |from|, in which a number replaces the
   star; returns how many of them are left. */
static size_t left_of(fixture *f, const char *from, int count) {
  hostile h[20];
  size_t left = 0;

  assert_in_range(count, 1, 20);
  for (int i = 0; i < count; i++) {
    char source[64];
    const char *mark = strchr(from, '*');

    snprintf(source, sizeof source, "%.*s%d%s",
             mark == NULL ? (int)strlen(from) : (int)(mark - from), from, i + 1,
             mark == NULL ? "" : mark + 1);
    h[i] = (hostile){.mute = true};
    come(f, &h[i], mark == NULL ? from : source);
  }
  for (int i = 0; i < count; i++) {
    left += !h[i].ended;
  }
  leave_all(h, (size_t)count);
  test_loop_run_until_idle(f->w.loop);
  (void)test_node_log(&f->at);
  return left;
}

static void an_address_has_eight_handshakes(void **state) {
  fixture *f = *state;

  test_node_start(&f->at);
  assert_int_equal(8, left_of(f, "10.0.0.1", 20));
  assert_int_equal(20, left_of(f, "10.0.0.*", 20));
  assert_int_equal(8, left_of(f, "2001:db8::*", 20));
  assert_int_equal(8, left_of(f, "2001:db8::*:2:3:4", 20));
  assert_int_equal(20, left_of(f, "2001:db8:0:*::1", 20));
  assert_int_equal(20, left_of(f, "fe80::*", 20));
  assert_int_equal(20, left_of(f, "127.0.0.1", 20));
  assert_int_equal(20, left_of(f, "127.9.0.1", 20));
  assert_int_equal(20, left_of(f, "::1", 20));
  assert_int_equal(8, left_of(f, "::2", 20));
}

static void the_length_of_an_address_is_an_option(void **state) {
  fixture *f = *state;

  f->at.options.ip6_prefix_len = 128;
  test_node_start(&f->at);
  assert_int_equal(20, left_of(f, "2001:db8::*", 20));
  assert_int_equal(8, left_of(f, "2001:db8::1", 20));
  test_node_fini(&f->at);
  f->at.options.ip6_prefix_len = 47;
  test_node_start(&f->at);
  assert_int_equal(8, left_of(f, "2001:db8:0:*::1", 20));
  assert_int_equal(8, left_of(f, "2001:db8:1:*::1", 20));
  assert_int_equal(20, left_of(f, "2001:db8:*0::1", 20));
  assert_int_equal(20, left_of(f, "10.0.0.*", 20));
}

static void without_a_limit_an_address_may_have_all(void **state) {
  fixture *f = *state;

  f->at.options.handshakes_max = CMT_NO_LIMIT;
  f->at.options.handshakes_per_ip_max = CMT_NO_LIMIT;
  f->at.options.dials_max = CMT_NO_LIMIT;
  f->at.options.inbound_peers_per_ip_max = CMT_NO_LIMIT;
  test_node_start(&f->at);
  assert_int_equal(20, left_of(f, "10.0.0.1", 20));
  assert_true(cmt_switch_memory_max(f->at.sw) > UINT32_MAX);
}

/* A zero in any of these options is its default. */
static void zeros_are_the_defaults(void **state) {
  fixture *f = *state;

  f->at.options.handshakes_max = 0;
  f->at.options.handshakes_per_ip_max = 0;
  f->at.options.dials_max = 0;
  f->at.options.ip6_prefix_len = 0;
  test_node_start(&f->at);
  assert_int_equal(64, f->at.sw->setup.options.handshakes_max);
  assert_int_equal(64, f->at.sw->setup.options.dials_max);
  assert_int_equal(64, f->at.sw->setup.options.ip6_prefix_len);
  assert_int_equal(8, left_of(f, "10.0.0.1", 20));
  assert_int_equal(8, left_of(f, "2001:db8::*", 20));
}

static void the_reason_names_the_address(void **state) {
  fixture *f = *state;
  hostile h[2] = {{.mute = true}, {.mute = true}};

  f->at.options.handshakes_per_ip_max = 1;
  test_node_start(&f->at);
  come(f, &h[0], "2001:db8::1");
  come(f, &h[1], "2001:db8::2");
  assert_string_equal("handshakes in flight from the /64 of 2001:db8::1 are at "
                      "their limit of 1, and this one gave way to a newer one",
                      f->at.why.text);
  assert_int_equal(1, status_of(&f->at).over_handshakes_per_ip_max);
  leave_all(h, 2);
}

/* A friend has the address of a crowd. */
static void a_friend_behind_the_address_of_a_crowd(void **state) {
  fixture *f = *state;

  test_node_start(&f->at);
  crowd_begins(f, STRANGERS_NOTHING, STRANGERS_ONE_ADDRESS, 3000);
  pass_ms(f, 50);
  for (int i = 0; i < FRIENDS; i++) {
    test_node_start(&f->friends[i]);
    test_loop_set_source(f->w.loop, "10.66.0.1");
    test_node_dial(&f->friends[i], f->at.addr, 0);
    pass_ms(f, 5);
  }
  assert_int_equal(FRIENDS, status_of(&f->at).inbound_peers);
  assert_int_equal(8, strangers_left(&f->crowd));
}

/* Peers of one /64 count as one address, too. */
static void peers_of_one_v6_network(void **state) {
  fixture *f = *state;

  f->at.options.inbound_peers_per_ip_max = 2;
  test_node_start(&f->at);
  for (int i = 0; i < 4; i++) {
    char source[64];

    test_node_start(&f->friends[i]);
    snprintf(source, sizeof source, "2001:db8::%d", i + 1);
    test_loop_set_source(f->w.loop, i < 3 ? source : "2001:db8:0:1::1");
    test_node_dial(&f->friends[i], f->at.addr, 0);
  }
  assert_int_equal(3, status_of(&f->at).inbound_peers);
  assert_int_equal(1, status_of(&f->at).over_inbound_peers_per_ip_max);
  assert_string_equal(
    "inbound peers from the /64 of 2001:db8::3 are at their limit of 2",
    f->at.why.text);
}

/* ---- dials ---- */

static void dials_have_places_of_their_own(void **state) {
  fixture *f = *state;
  hostile h[2] = {{.mute = true}, {.mute = true}};

  f->at.options.handshakes_max = 1;
  test_node_start(&f->at);
  come(f, &h[0], "10.0.1.1");
  for (int i = 0; i < 4; i++) {
    test_node_start(&f->friends[i]);
    assert_cmt(CMT_OK,
               cmt_switch_dial(f->at.sw, f->friends[i].addr,
                               i % 2 == 0 ? CMT_DIAL_PERSISTENT : 0, NULL));
  }
  test_loop_run_until_idle(f->w.loop);
  no_dial_was_rejected(&f->at);
  assert_int_equal(4, status_of(&f->at).outbound_peers);
  assert_false(h[0].ended);
  /* Nor does a dial that hangs take the place of a stranger. */
  test_loop_set_connect(f->w.loop, "10.2.0.1:1", CMT_EAGAIN);
  assert_cmt(CMT_OK,
             cmt_switch_dial(
               f->at.sw, "00112233445566778899aabbccddeeff00112233@10.2.0.1:1",
               0, NULL));
  come(f, &h[1], "10.0.2.1");
  assert_true(h[0].ended && !h[1].ended);
  assert_int_equal(2, status_of(&f->at).handshakes);
  leave_all(h, 2);
}

static void dials_under_way_have_a_bound(void **state) {
  fixture *f = *state;
  char addr[80];

  f->at.options.dials_max = 2;
  test_node_start(&f->at);
  for (int i = 0; i < 6; i++) {
    snprintf(addr, sizeof addr, "10.2.0.%d:1", i);
    test_loop_set_connect(f->w.loop, addr, CMT_EAGAIN);
    snprintf(addr, sizeof addr,
             "%02x112233445566778899aabbccddeeff00112233@10.2.0.%d:1", i, i);
    test_node_dial(&f->at, addr, i < 3 ? CMT_DIAL_PERSISTENT : 0);
  }
  assert_int_equal(5, status_of(&f->at).handshakes);
  assert_int_equal(1, status_of(&f->at).over_dials_max);
  assert_string_equal("dials under way are at their limit of 2",
                      f->at.why.text);
  assert_string_equal("rejected outbound filter CMT_ELIMIT\n",
                      test_node_log(&f->at));
  test_loop_advance(f->w.loop, S(3)); /* They take too long. */
  (void)test_node_log(&f->at);
  test_node_start(&f->friends[0]);
  test_node_dial(&f->at, f->friends[0].addr, 0);
  assert_int_equal(1, status_of(&f->at).outbound_peers);
}

/* A slow friend has the place that is kept for its address, whatever keys the
   crowd sends. */
static void persistent_addresses_keep_a_place(void **state) {
  fixture *f = *state;
  test_conn *conn;
  char addr[CMT_NET_ADDR_TEXT_SIZE];

  test_node_start(&f->at);
  test_node_start(&f->friends[0]);
  snprintf(addr, sizeof addr, "%.40s@10.1.0.1:9", f->friends[0].addr);
  test_node_dial(&f->at, addr, CMT_DIAL_PERSISTENT); /* It is not there. */
  (void)test_node_log(&f->at);
  crowd_begins(f, STRANGERS_A_KEY, STRANGERS_ANYWHERE, 3000);
  pass_ms(f, 50);
  test_loop_set_source(f->w.loop, "10.1.0.1");
  assert_cmt(CMT_OK, cmt_switch_dial(f->friends[0].sw, f->at.addr, 0, NULL));
  conn = test_loop_conn(f->w.loop, test_loop_conn_count(f->w.loop));
  assert_null(conn);
  test_loop_step(f->w.loop);
  conn = test_loop_conn(f->w.loop, test_loop_conn_count(f->w.loop) - 1);
  assert_string_equal("10.1.0.1", conn->from.host);
  conn->dir[TEST_DIALER].stalled = true;
  pass_ms(f, 500); /* The crowd has had all places many times. */
  assert_true(conn->open[TEST_ACCEPTOR]);
  conn->dir[TEST_DIALER].stalled = false;
  pass_ms(f, 5);
  assert_int_equal(1, status_of(&f->at).inbound_peers);
  /* The place is free again, for one at a time. */
  assert_int_equal(0, status_of(&f->friends[0]).rejected);
}

/* A persistent dial that finds ourselves ends, and what was in its place needs
   one of the pool. */
static void a_place_of_a_dial_to_ourselves(void **state) {
  fixture *f = *state;
  hostile h[2] = {{.mute = true}, {.mute = true}};

  f->at.options.handshakes_max = 1;
  test_node_start(&f->at);
  come(f, &h[0], "10.0.0.1");
  assert_cmt(CMT_OK,
             cmt_switch_dial(f->at.sw, f->at.addr, CMT_DIAL_PERSISTENT, NULL));
  test_loop_step(f->w.loop);
  come(f, &h[1], "127.0.0.1");
  assert_int_equal(1, status_of(&f->at).handshakes);
  assert_int_equal(1, f->at.sw->places.pool.count);
  assert_int_equal(0, status_of(&f->at).outbound_peers);
  assert_int_equal(1, h[0].ended + h[1].ended);
  leave_all(h, 2);
}

/* The node came by itself from an address that its dial does not have, and goes
   on having a place there, however often the dial fails elsewhere. */
static void a_place_where_the_node_came_from(void **state) {
  fixture *f = *state;
  hostile h[2] = {{.mute = true}, {.mute = true}};
  char addr[CMT_NET_ADDR_TEXT_SIZE];

  f->at.options.handshakes_max = 1;
  test_node_start(&f->at);
  test_node_start(&f->friends[2]);
  snprintf(addr, sizeof addr, "%.40s@10.9.0.1:9", f->friends[2].addr);
  test_node_dial(&f->at, addr, CMT_DIAL_PERSISTENT); /* It is not there. */
  friend_source(f, 2);
  test_node_dial(&f->friends[2], f->at.addr, 0);
  assert_int_equal(1, status_of(&f->at).inbound_peers);
  test_node_fini(&f->friends[2]);
  test_loop_advance(f->w.loop, CMT_SECONDS(20));
  assert_int_equal(0, status_of(&f->at).inbound_peers);
  assert_true(status_of(&f->at).dialed > 2);
  come(f, &h[0], "10.1.2.1");
  come(f, &h[1], "10.0.0.1");
  assert_ended(h, "..");
  leave_all(h, 2);
}

/* A stop ends the dial, and what is in its place. */
static void a_place_that_is_kept_no_more(void **state) {
  fixture *f = *state;
  hostile h[3] = {{.mute = true}, {.mute = true}, {.mute = true}};

  f->at.options.handshakes_max = 1;
  test_node_start(&f->at);
  assert_cmt(CMT_OK,
             cmt_switch_dial(
               f->at.sw, "00112233445566778899aabbccddeeff00112233@10.1.0.1:9",
               CMT_DIAL_PERSISTENT, NULL));
  test_loop_run_until_idle(f->w.loop);
  come(f, &h[0], "10.1.0.1");
  come(f, &h[1], "10.0.0.1");
  assert_ended(h, "..");
  come(f, &h[2], "10.1.0.1");
  assert_ended(h, ".x.");
  cmt_switch_stop(f->at.sw, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_ended(h, "xxx");
  leave_all(h, 3);
}

/* Strangers have all places of inbound peers, and the node that we dial for
   ever comes by itself.  It takes the place that our dial would have. */
static void a_persistent_node_has_the_place_of_its_dial(void **state) {
  fixture *f = *state;
  char addr[CMT_NET_ADDR_TEXT_SIZE];

  f->at.options.inbound_peers_max = 2;
  f->at.options.inbound_peers_per_ip_max = 1;
  f->at.options.outbound_peers_max = 1;
  test_node_start(&f->at);
  friend_dials(f, 0);
  friend_dials(f, 1);
  test_node_start(&f->friends[2]);
  snprintf(addr, sizeof addr, "%.40s@10.1.0.1:9", f->friends[2].addr);
  test_node_dial(&f->at, addr, CMT_DIAL_PERSISTENT); /* It is not there. */
  (void)test_node_log(&f->at);
  friend_source(f, 1); /* Its address is full, too. */
  test_node_dial(&f->friends[2], f->at.addr, 0);
  assert_string_equal("init chat\nadd chat inbound\n", test_node_log(&f->at));
  assert_int_equal(3, status_of(&f->at).inbound_peers);
  assert_int_equal(0, status_of(&f->at).over_inbound_peers_max);
  /* The place is occupied now. */
  friend_dials(f, 3);
  assert_string_equal("inbound peers are at their limit of 2", f->at.why.text);
  test_node_start(&f->friends[4]);
  test_node_dial(&f->at, f->friends[4].addr, 0);
  assert_string_equal("outbound peers are at their limit of 1", f->at.why.text);
}

/* ---- a full node ---- */

enum { FULL = 3 };

/* Friends are all the peers that it accepts. */
static void fill_up(fixture *f, const cmt_node_key *key) {
  f->at.options.inbound_peers_max = FULL;
  test_node_start(&f->at);
  f->friends[0].options.key = key;
  for (int i = 0; i < FULL; i++) {
    friend_dials(f, i);
  }
  assert_int_equal(FULL, status_of(&f->at).inbound_peers);
  test_loop_advance(f->w.loop, MS(200));
  (void)test_node_log(&f->at);
}

static void go_silent(fixture *f, size_t conn, bool on) {
  test_conn *c = test_loop_conn(f->w.loop, conn);

  c->dir[TEST_DIALER].stalled = on;
  c->dir[TEST_ACCEPTOR].stalled = on;
}

/* A stranger with an id of its own every ten milliseconds, and all are refused
   after their handshake. */
static void strangers_knock(fixture *f, unsigned ms) {
  for (unsigned i = 0; i < ms / 10; i++) {
    hostile h = {.deaf = i % 2 == 0};

    come(f, &h, "10.77.0.1");
    assert_true(h.up);
    assert_int_equal(FULL, cmt_switch_peers(f->at.sw, NULL, 0));
    test_loop_advance(f->w.loop, MS(10));
    (void)test_node_log(&f->at);
    hostile_fini(&h);
  }
}

static void back_at_a_full_node(void **state, const char *from) {
  fixture *f = *state;
  cmt_node_key *key;
  test_node *again = &f->friends[FULL];

  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &key));
  fill_up(f, key);
  go_silent(f, 0, true); /* Its host has lost power. */
  again->options.key = key;
  test_node_start(again);
  test_loop_set_source(f->w.loop, from);
  test_node_dial(again, f->at.addr, 0);
  assert_string_equal("", test_node_log(&f->at));
  assert_cmt(CMT_OK, test_node_send(again, TEST_CHAT, "back"));
  strangers_knock(f, 2900);
  (void)test_node_log(&f->at);
  test_loop_advance(f->w.loop, MS(99));
  assert_string_equal("", test_node_log(&f->at));
  test_loop_advance(f->w.loop, MS(1));
  assert_string_equal("remove chat CMT_EDUPLICATE\n"
                      "init chat\nadd chat inbound\nreceive chat 51 back\n",
                      test_node_log(&f->at));
  assert_int_equal(FULL, status_of(&f->at).inbound_peers);
  strangers_knock(f, 100);
  go_silent(f, 0, false);
  for (int i = 0; i <= FULL; i++) {
    test_node_fini(&f->friends[i]);
  }
  test_node_fini(&f->at);
  test_node_start(&f->at);
  cmt_node_key_delete(key);
}

static void a_restarted_friend_of_a_full_node(void **state) {
  back_at_a_full_node(state, "10.1.0.1");
}

static void a_restarted_friend_with_another_address(void **state) {
  back_at_a_full_node(state, "10.200.0.1");
}

/* With a limit for each address, the old place is good for the new
   connection. */
static void a_restarted_friend_of_a_full_address(void **state) {
  fixture *f = *state;

  f->at.options.inbound_peers_per_ip_max = 1;
  back_at_a_full_node(state, "10.1.0.1");
}

/* The node had dialed the friend, and the friend comes by itself. */
static void a_restarted_friend_that_was_dialed(void **state) {
  fixture *f = *state;
  cmt_node_key *key;
  test_node *first = &f->friends[FULL], *again = &f->friends[FULL + 1];

  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &key));
  f->at.options.outbound_peers_max = 1;
  first->options.key = again->options.key = key;
  fill_up(f, NULL);
  test_node_start(first);
  test_node_dial(&f->at, first->addr, CMT_DIAL_PERSISTENT);
  test_loop_advance(f->w.loop, MS(200));
  (void)test_node_log(&f->at);
  go_silent(f, test_loop_conn_count(f->w.loop) - 1, true);
  test_node_start(again);
  test_node_dial(again, f->at.addr, 0);
  test_loop_advance(f->w.loop, S(3));
  assert_string_equal("remove chat CMT_EDUPLICATE\n"
                      "init chat\nadd chat inbound\n",
                      test_node_log(&f->at));
  assert_int_equal(FULL + 1, status_of(&f->at).inbound_peers);
  /* Its place is still that of an outbound peer, and it is not dialed. */
  test_loop_advance(f->w.loop, S(20));
  assert_string_equal("", test_node_log(&f->at));
  friend_dials(f, FULL + 2);
  assert_string_equal("inbound peers are at their limit of 3", f->at.why.text);
  test_node_start(&f->friends[FULL + 3]);
  test_node_dial(&f->at, f->friends[FULL + 3].addr, 0);
  assert_string_equal("outbound peers are at their limit of 1", f->at.why.text);
  go_silent(f, FULL, false);
  test_node_fini(first);
  test_node_fini(again);
  cmt_node_key_delete(key);
}

/* Nobody collects places of an address with connections that take those of
   others. */
static void a_second_connection_needs_room_at_its_address(void **state) {
  fixture *f = *state;
  cmt_node_key *key;
  test_node *again = &f->friends[FULL];

  f->at.options.inbound_peers_per_ip_max = 1;
  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &key));
  fill_up(f, key);
  again->options.key = key;
  test_node_start(again);
  test_loop_set_source(f->w.loop,
                       "10.1.1.1"); /* The address of another friend. */
  test_node_dial(again, f->at.addr, 0);
  assert_string_equal("rejected inbound filter CMT_ELIMIT\n",
                      test_node_log(&f->at));
  assert_string_equal("inbound peers from 10.1.1.1 are at their limit of 1",
                      f->at.why.text);
  test_node_fini(&f->friends[0]);
  test_node_fini(again);
  test_node_fini(&f->at);
  test_node_start(&f->at);
  cmt_node_key_delete(key);
}

/* The first ends in the same instant in which others ask for its place. */
static void the_place_of_the_first_is_kept(void **state) {
  fixture *f = *state;
  cmt_node_key *key;
  test_node *again = &f->friends[FULL];

  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &key));
  fill_up(f, key);
  again->options.key = key;
  test_node_start(again);
  test_node_dial(again, f->at.addr, 0);
  for (int i = FULL + 1; i < FRIENDS; i++) {
    test_node_start(&f->friends[i]);
    assert_cmt(CMT_OK, cmt_switch_dial(f->friends[i].sw, f->at.addr, 0, NULL));
  }
  for (int i = 0; i < 3; i++) {
    test_loop_step(f->w.loop);
  }
  test_conn_cut(test_loop_conn(f->w.loop, 0));
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(FULL, status_of(&f->at).inbound_peers);
  assert_int_equal(1, cmt_switch_peers(again->sw, NULL, 0));
  (void)test_node_log(&f->at);
  test_node_fini(&f->friends[0]);
  test_node_fini(again);
  test_node_fini(&f->at);
  test_node_start(&f->at);
  cmt_node_key_delete(key);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(silent_strangers_keep_nobody_out),
    cmocka_unit_test(half_keys_keep_nobody_out),
    cmocka_unit_test(whole_keys_keep_nobody_out),
    TEST(the_oldest_of_the_largest_network_goes),
    TEST(a_newcomer_without_a_place_is_not_counted),
    TEST(an_address_has_an_eighth_of_the_places),
    TEST(a_network_has_an_eighth_of_the_places),
    TEST(a_key_that_has_arrived_keeps_the_place),
    TEST(a_key_on_its_way_has_a_floor),
    TEST(whole_signatures_keep_nobody_out),
    TEST(an_address_has_eight_handshakes),
    TEST(the_length_of_an_address_is_an_option),
    TEST(without_a_limit_an_address_may_have_all),
    TEST(zeros_are_the_defaults),
    TEST(the_reason_names_the_address),
    TEST(a_friend_behind_the_address_of_a_crowd),
    TEST(peers_of_one_v6_network),
    TEST(dials_have_places_of_their_own),
    TEST(dials_under_way_have_a_bound),
    TEST(persistent_addresses_keep_a_place),
    TEST(a_place_where_the_node_came_from),
    TEST(a_place_of_a_dial_to_ourselves),
    TEST(a_place_that_is_kept_no_more),
    TEST(a_persistent_node_has_the_place_of_its_dial),
    TEST(a_restarted_friend_of_a_full_node),
    TEST(a_restarted_friend_with_another_address),
    TEST(a_restarted_friend_of_a_full_address),
    TEST(a_restarted_friend_that_was_dialed),
    TEST(a_second_connection_needs_room_at_its_address),
    TEST(the_place_of_the_first_is_kept),
  };
#undef TEST

  return cmocka_run_group_tests_name("admission", tests, NULL, NULL);
}
