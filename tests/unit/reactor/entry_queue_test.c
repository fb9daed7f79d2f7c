/* SPDX-License-Identifier: Apache-2.0 */
/* A queue of entries beside a model of it: what is pushed comes out in order,
   whatever the ring does meanwhile. */

#include "reactor/entry_queue.h"
#include "test.h"

enum { STEPS = 20000 };

static void entries_come_out_in_their_order(void **state) {
  cmt__entry_queue q = {.list = NULL};
  uint64_t seed = 7, in = 0, out = 0;
  test_env env;

  (void)state;
  test_env_init(&env);
  for (int i = 0; i < STEPS; i++) {
    bool grows = i / 500 % 2 == 0;

    if (q.count == 0 || test_draw(&seed) % 8 < (grows ? 6 : 2)) {
      const cmt__entry entry = {.cost = in++};

      assert_cmt(CMT_OK, cmt__entry_queue_push(&q, &env.env, &entry));
    } else {
      assert_true(cmt__entry_queue_at(&q, q.count - 1)->cost == in - 1);
      assert_true(cmt__entry_queue_pop(&q, &env.env).cost == out++);
    }
    assert_true(q.count == in - out);
  }
  assert_true(out > STEPS / 4);
  cmt__entry_queue_fini(&q, &env.env);
  test_env_fini(&env); /* It has nothing left. */
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(entries_come_out_in_their_order),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
