/* SPDX-License-Identifier: Apache-2.0 */

/* Options and lists of peer exchange: what is refused, and how. */

#include "pex_world.h"

#include <stddef.h>

#define ID "10ba682c8ad13513971e8b56881aab8bd702bb80"

typedef struct fixture {
  test_env env;
  cmt_addrbook *book;
  cmt_pex_options o;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  cmt_addrbook_options b;

  assert_non_null(f);
  test_env_init(&f->env);
  cmt_addrbook_options_init(&b);
  b.env = &f->env.env;
  assert_cmt(CMT_OK, cmt_addrbook_new(&b, &f->book, NULL));
  cmt_pex_options_init(&f->o);
  f->o.env = &f->env.env;
  f->o.book = f->book;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  cmt_addrbook_delete(f->book);
  test_env_fini(&f->env);
  free(f);
  return 0;
}

static void assert_refused(const cmt_pex_options *o, cmt_err err,
                           const char *text) {
  cmt_pex *p = NULL;
  cmt_why why = {.text = ""};

  assert_cmt(err, cmt_pex_new(o, &p, &why));
  assert_null(p);
  assert_string_equal(text, why.text);
}

static void each_option_has_its_range(void **state) {
  fixture *f = *state;
  cmt_pex_options o = f->o;
  char network[64];

  o.book = NULL;
  assert_refused(&o, CMT_EINVAL, "book is not set");
  o = f->o;
  memset(network, 'n', 51);
  network[51] = '\0';
  o.network = network;
  assert_refused(&o, CMT_EINVAL, "network has 51 bytes, allowed is up to 50");
  o = f->o;
  o.outbound_max = 65536;
  assert_refused(&o, CMT_EINVAL,
                 "outbound_max is 65536, allowed is 1 to 65535");
  o = f->o;
  o.dials_max = 65;
  assert_refused(&o, CMT_EINVAL, "dials_max is 65, allowed is 1 to 64");
  o = f->o;
  o.asks_max = 65;
  assert_refused(&o, CMT_EINVAL, "asks_max is 65, allowed is 1 to 64");
  o = f->o;
  o.period_ns = 1;
  assert_refused(&o, CMT_EINVAL,
                 "period_ns is 1, allowed is 1000000000 to 86400000000000");
  o = f->o;
  o.feeler_ns = 1;
  assert_refused(
    &o, CMT_EINVAL,
    "feeler_ns is 1, allowed is 1000000000 to 18446744073709551615");
  o = f->o;
  o.rotate_ns = 1;
  assert_refused(
    &o, CMT_EINVAL,
    "rotate_ns is 1, allowed is 1000000000 to 18446744073709551615");
  o = f->o;
  o.anchor_count = 1;
  assert_refused(&o, CMT_EINVAL, "anchor_count is set and anchors is not");
  o = f->o;
  o.serve_height_min = -1;
  assert_refused(&o, CMT_EINVAL,
                 "serve_height_min is -1, allowed is 0 or more");
  o = f->o;
  o.serve_version = "0.38.25-0123456789abcdef";
  assert_refused(&o, CMT_EINVAL,
                 "serve_version has 24 bytes, allowed is up to 23");
  o = f->o;
  memset(&o.seed, 0xab, sizeof o.seed);
  assert_refused(&o, CMT_EINVAL,
                 "seed is neither true nor false: use the init macro");
}

static void a_list_names_its_wrong_address(void **state) {
  fixture *f = *state;
  cmt_why why;
  cmt_pex *p;
  char *text = malloc(257 * 60);

  assert_non_null(text);
  f->o.seeds = ID "@5.1.0.1:26656, " ID "@5.1.0.1";
  assert_cmt(CMT_EINVAL, cmt_pex_new(&f->o, &p, &why));
  assert_non_null(strstr(why.text, "the port is missing"));
  f->o.seeds = NULL;
  f->o.persistent_peers = "5.1.0.1:1";
  assert_cmt(CMT_EINVAL, cmt_pex_new(&f->o, &p, &why));
  f->o.persistent_peers = NULL;
  memset(text, 'x', 400);
  text[400] = '\0';
  f->o.seeds = text;
  assert_refused(&f->o, CMT_EINVAL, "seeds: an address has over 305 bytes");
  for (size_t i = 0, len = 0; i < 65; i++) {
    len += (size_t)snprintf(text + len, 60, ID "@5.1.0.1:1,");
  }
  assert_refused(&f->o, CMT_ELIMIT, "seeds has more than 64 addresses");
  f->o.seeds = NULL;
  for (size_t i = 0, len = 0; i < 257; i++) {
    len += (size_t)snprintf(text + len, 60, ID "@5.1.0.1:1,");
  }
  f->o.persistent_peers = text;
  assert_refused(&f->o, CMT_ELIMIT,
                 "persistent_peers has more than 256 addresses");
  free(text);
}

static void lists_may_be_empty(void **state) {
  fixture *f = *state;
  cmt_pex_status st;
  cmt_pex *p;

  f->o.seeds = " ,\t, ";
  f->o.persistent_peers = "";
  assert_cmt(CMT_OK, cmt_pex_new(&f->o, &p, NULL));
  assert_cmt(CMT_OK, cmt_pex_set_seeds(p, ID "@5.1.0.1:1", NULL));
  assert_cmt(CMT_OK, cmt_pex_set_persistent_peers(p, NULL, NULL));
  cmt_pex_get_status(p, &st);
  assert_int_equal(sizeof st, st.size);
  assert_int_equal(0, st.peers);
  cmt_pex_delete(p);
}

/* What the last start left stays until there are others. */
static void anchors_are_kept_before_the_start(void **state) {
  cmt_net_addr anchors[6] = {{.id.text = ID, .host = "5.1.0.1", .port = 1}};
  fixture *f = *state;
  cmt_net_addr got[4];
  cmt_pex *p;

  f->o.anchors = anchors;
  f->o.anchor_count = 1;
  assert_cmt(CMT_OK, cmt_pex_new(&f->o, &p, NULL));
  assert_int_equal(1, cmt_pex_anchors(p, got, 4));
  assert_string_equal("5.1.0.1", got[0].host);
  cmt_pex_delete(p);
  f->o.anchor_count = 6; /* Four of them are taken. */
  assert_cmt(CMT_OK, cmt_pex_new(&f->o, &p, NULL));
  assert_int_equal(4, cmt_pex_anchors(p, got, 4));
  cmt_pex_delete(p);
}

static void the_book_is_reached_through_it(void **state) {
  fixture *f = *state;
  cmt_net_addr a = {.id.text = ID, .host = "5.1.0.1", .port = 1};
  cmt_addrbook_snapshot *s;
  cmt_pex *p;

  assert_cmt(CMT_OK, cmt_addrbook_add(f->book, &a, &a, CMT_SECONDS(1)));
  assert_cmt(CMT_OK, cmt_pex_new(&f->o, &p, NULL));
  assert_cmt(CMT_OK, cmt_pex_snapshot_new(p, &s));
  assert_int_equal(1, cmt_addrbook_snapshot_count(s));
  cmt_addrbook_snapshot_delete(s);
  assert_cmt(CMT_OK, cmt_pex_set_private(p, &a.id, 1));
  assert_false(cmt_addrbook_has(f->book, &a.id));
  cmt_pex_delete(p);
}

static void without_memory_nothing_is_left(void **state) {
  fixture *f = *state;
  cmt_err err = CMT_ENOMEM;
  cmt_pex *p;

  f->o.seeds = ID "@5.1.0.1:1";
  f->o.persistent_peers = ID "@5.1.0.1:1";
  for (size_t i = 0; err != CMT_OK; i++) {
    assert_true(i < 20);
    f->env.fail_at = f->env.allocs + i;
    err = cmt_pex_new(&f->o, &p, NULL);
    assert_true(err == CMT_OK || (err == CMT_ENOMEM && p == NULL));
  }
  f->env.fail_at = SIZE_MAX;
  cmt_pex_delete(p);
  cmt_pex_delete(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(each_option_has_its_range),
    TEST(a_list_names_its_wrong_address),
    TEST(lists_may_be_empty),
    TEST(anchors_are_kept_before_the_start),
    TEST(the_book_is_reached_through_it),
    TEST(without_memory_nothing_is_left),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
