/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a reactor: their defaults and their ranges. */

#include "reactor/reactor_options.h"
#include "test.h"

static void what_is_zero_has_its_default(void **state) {
  cmt_reactor r = {.name = "test"};

  (void)state;
  assert_cmt(CMT_OK, cmt__reactor_options_fill(&r, NULL));
  assert_int_equal(CMT_DELIVER_INLINE, r.delivery);
  assert_int_equal(1, r.threads);
  assert_int_equal(128 << 20, r.recv_queue_bytes_total);
}

static void what_is_set_stays(void **state) {
  cmt_reactor r = {.name = "test",
                   .delivery = CMT_DELIVER_WORKERS,
                   .threads = CMT_THREADS_MAX,
                   .recv_queue_bytes_total = 1};

  (void)state;
  assert_cmt(CMT_OK, cmt__reactor_options_fill(&r, NULL));
  assert_int_equal(CMT_DELIVER_WORKERS, r.delivery);
  assert_int_equal(CMT_THREADS_MAX, r.threads);
  assert_int_equal(1, r.recv_queue_bytes_total);
}

static void what_is_out_of_its_range_is_refused_by_name(void **state) {
  static const struct {
    cmt_reactor reactor;
    const char *text;
  } rows[] = {
    {{.name = "a", .delivery = (cmt_delivery)3},
     "reactor a: delivery is 3, allowed is 0 to 2"},
    {{.name = "b", .threads = 257},
     "reactor b: threads is 257, allowed is 0 to 256"},
  };

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    cmt_reactor r = rows[i].reactor;
    cmt_why why;

    assert_cmt(CMT_EINVAL, cmt__reactor_options_fill(&r, &why));
    assert_string_equal(rows[i].text, why.text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_zero_has_its_default),
    cmocka_unit_test(what_is_set_stays),
    cmocka_unit_test(what_is_out_of_its_range_is_refused_by_name),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
