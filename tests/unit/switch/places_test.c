/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers by which handshakes give way: each part of the places, just as
   much as it is and one more; and what limits count as an address. */

#include "hostile.h"

#include "switch/places.h"

#include <stdio.h>
#include <stdlib.h>

enum { COMERS_MAX = 32, HANDSHAKES = 64 };

/* |count| come from |from|, which may have their number, silent or with a
   key. */
typedef struct group {
  const char *from;
  int count;
  bool key;
} group;

typedef struct row {
  uint32_t places;
  group groups[2];
  int ended; /* Who gives way to one more. */
} row;

typedef struct fixture {
  test_world w;
  test_node at;
  hostile list[COMERS_MAX];
  int count;
} fixture;

static void come(fixture *f, const char *from, int number, bool key) {
  hostile *h = &f->list[f->count++];
  char source[64];

  *h = (hostile){.mute = !key};
  snprintf(source, sizeof source, from, number);
  test_loop_set_source(f->w.loop, source);
  hostile_dial(h, f->w.loop, f->at.addr);
  /* The answer to a key does not arrive. */
  test_loop_conn(f->w.loop, test_loop_conn_count(f->w.loop) - 1)
    ->dir[TEST_ACCEPTOR]
    .stalled = key;
  test_loop_run_until_idle(f->w.loop);
}

static fixture *fixture_new(uint32_t places) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->w);
  test_node_init(&f->at, &f->w);
  f->at.options.handshakes_max = places;
  f->at.options.ip6_prefix_len = 128;
  test_node_start(&f->at);
  return f;
}

static void fixture_delete(fixture *f) {
  for (int i = 0; i < f->count; i++) {
    hostile_fini(&f->list[i]);
  }
  test_node_fini(&f->at);
  test_world_fini(&f->w);
  free(f);
}

static bool is_open(const fixture *f, int number) {
  return test_loop_conn(f->w.loop, (size_t)number)->open[TEST_ACCEPTOR];
}

static void come_all(fixture *f, const row *r) {
  for (size_t g = 0; g < CMT__COUNT(r->groups); g++) {
    for (int i = 0; i < r->groups[g].count; i++) {
      come(f, r->groups[g].from, i + 1, r->groups[g].key);
    }
  }
}

static void check_ended(const fixture *f, const row *r) {
  for (int i = 0; i < f->count; i++) {
    if (is_open(f, i) == (i == r->ended)) {
      fail_msg("number %d of %u and \"%s\" %s", i, r->places, r->groups[0].from,
               i == r->ended ? "stays" : "gives way");
    }
  }
}

static void check(const row *r) {
  fixture *f = fixture_new(r->places);

  come_all(f, r);
  come(f, "10.99.99.99", 0, false);
  check_ended(f, r);
  fixture_delete(f);
}

static void a_part_of_the_places_gives_way_when_it_is_exceeded(void **state) {
  static const row rows[] = {
    /* An eighth of them for an address; else it is the oldest of all. */
    {16, {{"10.0.1.%d", 14, false}, {"10.0.1.200", 2, false}}, 0},
    {15, {{"10.0.1.%d", 13, false}, {"10.0.1.200", 2, false}}, 13},
    {24, {{"10.0.1.%d", 21, false}, {"10.0.1.200", 3, false}}, 0},
    {23, {{"10.0.1.%d", 20, false}, {"10.0.1.200", 3, false}}, 20},
    /* And for a network, of 24 bits or of 64. */
    {16, {{"10.0.%d.1", 14, false}, {"10.9.9.%d", 2, false}}, 0},
    {15, {{"10.0.%d.1", 13, false}, {"10.9.9.%d", 2, false}}, 13},
    {16,
     {{"2001:db8:0:%x::1", 14, false}, {"2001:db8::%x00:0:0:1", 2, false}},
     0},
    {15,
     {{"2001:db8:0:%x::1", 13, false}, {"2001:db8::%x00:0:0:1", 2, false}},
     13},
    /* A quarter of them for those that are silent; else the first key. */
    {8, {{"10.0.%d.1", 2, false}, {"10.1.%d.1", 6, true}}, 2},
    {8, {{"10.0.%d.1", 3, false}, {"10.1.%d.1", 5, true}}, 0},
    {7, {{"10.0.%d.1", 1, false}, {"10.1.%d.1", 6, true}}, 1},
    {7, {{"10.0.%d.1", 2, false}, {"10.1.%d.1", 5, true}}, 0},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    check(&rows[i]);
  }
}

/* A crowd that sends keys is silent until they are read, and a friend whose key
   is on its way is silent for longer. */
static void what_is_fresh_counts_among_no_kind(void **state) {
  static const row rows[] = {
    {16, {{"10.0.%d.1", 2, false}, {"10.1.%d.1", 11, true}}, 2},
    {16, {{"10.0.%d.1", 4, false}, {"10.1.%d.1", 9, true}}, 4},
    {16, {{"10.0.%d.1", 5, false}, {"10.1.%d.1", 8, true}}, 0},
    /* No kind has more than its part. */
    {16, {{"10.0.%d.1", 4, false}, {"10.1.%d.1", 4, true}}, 0},
  };
  cmt__link link = {.conn = NULL};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    fixture *f = fixture_new(rows[i].places);
    cmt__places *ps = &f->at.sw->places;
    cmt__place fresh[16] = {{.link = NULL}};
    size_t count = 0;

    come_all(f, &rows[i]);
    while (ps->pool.count < rows[i].places) {
      cmt__ip ip = {.bytes = {[0] = 0x20, [1] = (uint8_t)count}};

      cmt__place_accept(ps, &fresh[count++], &link, &ip, NULL);
    }
    cmt__place_accept(ps, &fresh[count++], &link, &fresh[0].address, NULL);
    check_ended(f, &rows[i]);
    while (count > 0) {
      cmt__place_leave(ps, &fresh[--count]);
    }
    fixture_delete(f);
  }
}

/* The iteration of the accept and a whole one: rounds go on as long as that and
   no longer, for each that comes. */
static void who_comes_is_fresh_for_two_iterations(void **state) {
  test_loop *loop = test_loop_new(NULL);
  cmt_switch_options o;
  cmt__places ps = {.options = &o};
  cmt__link link = {.conn = NULL};
  cmt__place list[3] = {{.link = NULL}};
  cmt__ip ip = {.bytes = {[15] = 1}};
  uint32_t rounds = 0;

  (void)state;
  cmt_switch_options_init(&o);
  cmt__places_start(&ps, test_loop_base(loop));
  for (size_t i = 0; i < CMT__COUNT(list); i++) {
    cmt__place_accept(&ps, &list[i], &link, &ip, NULL);
    for (uint32_t k = 1; k <= 4; k++) {
      test_loop_step(loop);
      assert_int_equal(rounds + cmt__min(k, 2), ps.round);
    }
    rounds += 2;
  }
  for (size_t i = 0; i < CMT__COUNT(list); i++) {
    cmt__place_leave(&ps, &list[i]);
  }
  cmt__places_stop(&ps);
  cmt__loop_delete(test_loop_base(loop));
}

static void an_eighth_is_accepted_in_an_iteration(void **state) {
  static const uint32_t rows[][2] = {
    {1, 1},    {8, 1},    {15, 1},   {16, 2},   {23, 2},    {24, 3},
    {127, 15}, {128, 16}, {135, 16}, {136, 16}, {1000, 16}, {CMT_NO_LIMIT, 16},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt_switch_options o = {.handshakes_max = rows[i][0]};

    assert_int_equal(rows[i][1], cmt__places_accepts(&o));
  }
}

/* ---- a descriptor for a newcomer ---- */

static cmt__places *cut_in;
static cmt__place *cut;

static void on_cut(cmt__place *p) {
  cut = p;
  cmt__place_leave(cut_in, p);
}

static void what_has_ended_gives_its_descriptor(void **state) {
  cmt__place parting = {0}, refused[2] = {{0}};
  cmt_switch_options o;
  cmt__places ps = {.options = &o, .on_cut = on_cut};

  (void)state;
  cmt_switch_options_init(&o);
  cut_in = &ps;
  cmt__place_linger(&ps, &parting, true);
  cmt__place_linger(&ps, &refused[0], false);
  cmt__place_linger(&ps, &refused[1], false);
  assert_int_equal(CMT__SHORT_GIVEN, cmt__places_give_descriptor(&ps));
  assert_ptr_equal(&refused[0], cut);
  assert_int_equal(CMT__SHORT_GIVEN, cmt__places_give_descriptor(&ps));
  assert_ptr_equal(&refused[1], cut);
  /* The last words of a peer. */
  assert_int_equal(CMT__SHORT_GIVEN, cmt__places_give_descriptor(&ps));
  assert_ptr_equal(&parting, cut);
  assert_int_equal(CMT__SHORT_NONE, cmt__places_give_descriptor(&ps));
}

/* An eighth gives way in an iteration, one at least, and a key comes last. */
static void handshakes_give_their_descriptors_by_and_by(void **state) {
  fixture *f = fixture_new(HANDSHAKES);
  cmt__places *ps = &f->at.sw->places;

  (void)state;
  come(f, "10.0.%d.1", 0, true);
  for (int i = 1; i < 17; i++) {
    come(f, "10.0.%d.1", i, false);
  }
  assert_int_equal(CMT__SHORT_GIVEN, cmt__places_give_descriptor(ps));
  assert_int_equal(CMT__SHORT_GIVEN, cmt__places_give_descriptor(ps));
  assert_int_equal(CMT__SHORT_WAIT, cmt__places_give_descriptor(ps));
  assert_false(is_open(f, 1) || is_open(f, 2));
  for (int left = 15; left > 0; left--) {
    assert_true(is_open(f, 0));
    test_loop_run_until_idle(f->w.loop);
    assert_int_equal(CMT__SHORT_GIVEN, cmt__places_give_descriptor(ps));
  }
  assert_false(is_open(f, 0));
  assert_int_equal(CMT__SHORT_NONE, cmt__places_give_descriptor(ps));
  fixture_delete(f);
}

static cmt__remote remote(const char *host) {
  cmt_net_addr at = {.port = 1};

  snprintf(at.host, sizeof at.host, "%s", host);
  return cmt__remote_of(&at);
}

/* Each host of a link counts alone, and so does this one. */
static void an_address_is_as_long_as_its_length(void **state) {
  static const struct {
    uint32_t prefix_len;
    const char *host, *other; /* Whether they are one address, */
    bool same;
    const char *text; /* and how |host| is reported. */
  } rows[] = {
    {64, "10.0.0.1", "10.0.0.0", false, "10.0.0.1"},
    {64, "10.0.0.1", "10.0.0.1", true, "10.0.0.1"},
    {64, "2001:db8::1", "2001:db8::ffff:0:0:1", true, "the /64 of 2001:db8::1"},
    {64, "2001:db8::1", "2001:db8:0:1::1", false, "the /64 of 2001:db8::1"},
    {127, "2001:db8::3", "2001:db8::2", true, "the /127 of 2001:db8::3"},
    {127, "2001:db8::3", "2001:db8::1", false, "the /127 of 2001:db8::3"},
    {128, "2001:db8::3", "2001:db8::2", false, "2001:db8::3"},
    {64, "fe80::1", "fe80::2", false, "fe80::1"},
    {64, "::1", "::2", false, "::1"},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt_switch_options o = {.ip6_prefix_len = rows[i].prefix_len};
    cmt__remote a = remote(rows[i].host), b = remote(rows[i].other);
    char text[CMT__ADDRESS_TEXT_SIZE];

    assert_int_equal(rows[i].same, cmt__same_address(&o, &a, &b));
    assert_string_equal(rows[i].text,
                        cmt__address_text(&o, &a, text, sizeof text));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_part_of_the_places_gives_way_when_it_is_exceeded),
    cmocka_unit_test(what_is_fresh_counts_among_no_kind),
    cmocka_unit_test(who_comes_is_fresh_for_two_iterations),
    cmocka_unit_test(an_eighth_is_accepted_in_an_iteration),
    cmocka_unit_test(what_has_ended_gives_its_descriptor),
    cmocka_unit_test(handshakes_give_their_descriptors_by_and_by),
    cmocka_unit_test(an_address_is_as_long_as_its_length),
  };

  return cmocka_run_group_tests_name("places", tests, NULL, NULL);
}
