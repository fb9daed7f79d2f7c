/* SPDX-License-Identifier: Apache-2.0 */
/* The places for inbound peers of a seed. */

#include "test.h"

#include "cli/roles/places.h"

enum { MOST = 7 }; /* Half of it is four. */

static const char a, b; /* Two chains. */

static cli_place place(const void *chain, const char *group, const char *host) {
  cli_place out = {.chain = chain};

  snprintf(out.group, sizeof out.group, "%s", group);
  snprintf(out.host, sizeof out.host, "%s", host);
  return out;
}

static void take(cli_places *p, const void *chain, const char *group,
                 unsigned times) {
  const cli_place who = place(chain, group, "");

  for (unsigned i = 0; i < times; i++) {
    assert_true(cli_places_have(p, &who, MOST));
    cli_places_take(p, &who);
  }
}

static void leave(cli_places *p, const void *chain, const char *group) {
  const cli_place who = place(chain, group, "");

  cli_places_leave(p, &who);
}

static bool have(const cli_places *p, const void *chain, const char *group) {
  const cli_place who = place(chain, group, "");

  return cli_places_have(p, &who, MOST);
}

static void a_group_has_half_of_the_places(void **state) {
  cli_places p = {.rows = NULL};

  (void)state;
  take(&p, &a, "5.1.0.0", 4);
  assert_false(have(&p, &a, "5.1.0.0"));
  take(&p, &a, "5.2.0.0", 2);
  leave(&p, &a, "5.1.0.0");
  take(&p, &a, "5.1.0.0", 1);
  assert_false(have(&p, &a, "5.1.0.0"));
  cli_places_fini(&p);
}

static void a_chain_has_places_of_its_own(void **state) {
  cli_places p = {.rows = NULL};

  (void)state;
  take(&p, &a, "5.1.0.0", 4);
  take(&p, &a, "5.2.0.0", 3);
  assert_false(have(&p, &a, "5.3.0.0"));
  assert_int_equal(cli_places_count(&p, &a), 7);
  assert_int_equal(cli_places_count(&p, &b), 0);
  take(&p, &b, "5.1.0.0", 4);
  leave(&p, &a, "5.2.0.0");
  take(&p, &a, "5.3.0.0", 1);
  cli_places_fini(&p);
}

/* Such as this machine, or a node without a book. */
static void no_group_has_no_limit_of_its_own(void **state) {
  cli_places p = {.rows = NULL};

  (void)state;
  take(&p, &a, "", MOST);
  assert_false(have(&p, &a, ""));
  cli_places_fini(&p);
}

static void a_host_has_one_place_of_a_chain(void **state) {
  const cli_place one = place(&a, "5.1.0.0", "@5.1.0.1"),
                  other = place(&a, "5.1.0.0", "@5.1.0.2"),
                  of_b = place(&b, "5.1.0.0", "@5.1.0.1");
  cli_places p = {.rows = NULL};

  (void)state;
  cli_places_take(&p, &one);
  assert_false(cli_places_have(&p, &one, MOST));
  assert_true(cli_places_have(&p, &other, MOST));
  assert_true(cli_places_have(&p, &of_b, MOST));
  cli_places_leave(&p, &one);
  assert_true(cli_places_have(&p, &one, MOST));
  cli_places_fini(&p);
}

static void change(cli_places *p, unsigned number,
                   void (*by)(cli_places *, const cli_place *)) {
  char group[CMT_ADDRBOOK_GROUP_SIZE], host[CLI_PLACE_SIZE];
  cli_place who;

  snprintf(group, sizeof group, "%u.%u.0.0", number / 250, number % 250);
  snprintf(host, sizeof host, "@%u.%u.0.1", number / 250, number % 250);
  who = place(number % 3 == 0 ? &b : &a, group, host);
  by(p, &who);
}

/* In another order than they came, so that rows move. */
static void many_groups_are_counted(void **state) {
  enum { COUNT = 3000, STEP = 7 };
  cli_places p = {.rows = NULL};

  (void)state;
  for (unsigned i = 0; i < COUNT; i++) {
    change(&p, i, cli_places_take);
    change(&p, i, cli_places_take);
  }
  assert_int_equal(cli_places_count(&p, &a), 2 * COUNT / 3 * 2);
  assert_int_equal(cli_places_count(&p, &b), COUNT / 3 * 2);
  for (unsigned i = 0; i < 2 * COUNT; i++) {
    assert_int_equal(cli_places_count(&p, &a) + cli_places_count(&p, &b),
                     2 * COUNT - i);
    assert_true(p.count >= 2 * (COUNT - i / 2));
    change(&p, i / 2 * STEP % COUNT, cli_places_leave);
  }
  assert_int_equal(p.count, 0);
  cli_places_fini(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_group_has_half_of_the_places),
    cmocka_unit_test(a_chain_has_places_of_its_own),
    cmocka_unit_test(no_group_has_no_limit_of_its_own),
    cmocka_unit_test(a_host_has_one_place_of_a_chain),
    cmocka_unit_test(many_groups_are_counted),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
