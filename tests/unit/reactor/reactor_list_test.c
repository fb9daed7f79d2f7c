/* SPDX-License-Identifier: Apache-2.0 */

/* The list of reactors: copies, channels, and the order of start and stop. */

#include "test.h"

#include "reactor/reactor_list.h"

#include <stdio.h>

enum { COUNT = 3 };

/* A reactor that writes its calls down. */
typedef struct part {
  struct fixture *f;
  const char *name;
  cmt_err start_err;
} part;

typedef struct fixture {
  test_env env;
  cmt__callback_timer timer;
  cmt__reactor_list list;
  part parts[COUNT];
  cmt_reactor reactors[COUNT];
  char log[200];
} fixture;

static void note(part *p, const char *what) {
  size_t len = strlen(p->f->log);

  snprintf(p->f->log + len, sizeof p->f->log - len, "%s %s\n", what, p->name);
}

static cmt_err on_start(void *self, cmt_switch *s) {
  part *p = self;

  (void)s;
  note(p, "start");
  return p->start_err;
}

static void on_stop(void *self) { note(self, "stop"); }

static const cmt_channel channels[COUNT][2] = {
  {{.id = 0x51, .priority = 1}, {.id = 0x50, .priority = 2}},
  {{.id = 0x10, .priority = 3}},
};
static const size_t channel_counts[COUNT] = {2, 1, 0};

static int setup(void **state) {
  static const char *const names[COUNT] = {"a", "b", "c"};
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_env_init(&f->env);
  f->timer.env = &f->env.env;
  for (size_t i = 0; i < COUNT; i++) {
    f->parts[i] = (part){.f = f, .name = names[i]};
    f->reactors[i] = (cmt_reactor){
      .name = names[i],
      .self = &f->parts[i],
      .channels = channel_counts[i] > 0 ? channels[i] : NULL,
      .channel_count = channel_counts[i],
      .start = on_start,
      .stop = on_stop,
    };
  }
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  cmt__reactor_list_fini(&f->list, &f->env.env);
  test_env_fini(&f->env);
  free(f);
  return 0;
}

static void init(fixture *f) {
  assert_cmt(CMT_OK, cmt__reactor_list_init(&f->list, &f->env.env, f->reactors,
                                            COUNT, NULL));
}

static void channels_are_in_the_order_of_the_reactors(void **state) {
  fixture *f = *state;

  init(f);
  memset(f->reactors, 0, sizeof f->reactors); /* The list has copies. */
  assert_int_equal(3, f->list.channel_count);
  assert_memory_equal("\x51\x50\x10", f->list.channel_ids, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(f->list.channel_ids[i], f->list.channels[i].id);
    assert_true(f->list.channels[i].send_queue > 0); /* The default. */
  }
  assert_ptr_equal(&f->list.list[0], f->list.owners[0x50]);
  assert_ptr_equal(&f->list.list[1], f->list.owners[0x10]);
  assert_null(f->list.owners[0x11]);
}

static void they_stop_in_the_opposite_order(void **state) {
  fixture *f = *state;

  init(f);
  assert_cmt(CMT_OK, cmt__reactor_list_start(&f->list, NULL, NULL));
  cmt__reactor_list_stop(&f->list, &f->timer);
  assert_string_equal("start a\nstart b\nstart c\nstop c\nstop b\nstop a\n",
                      f->log);
  cmt__reactor_list_stop(&f->list, &f->timer); /* None is left. */
  assert_null(strstr(strstr(f->log, "stop a") + 1, "stop"));
}

static void one_that_does_not_start_ends_the_start(void **state) {
  fixture *f = *state;
  cmt_why why;

  init(f);
  f->parts[1].start_err = CMT_EIO;
  assert_cmt(CMT_EIO, cmt__reactor_list_start(&f->list, NULL, &why));
  assert_non_null(strstr(why.text, "reactor b cannot start"));
  cmt__reactor_list_stop(&f->list, &f->timer);
  assert_string_equal("start a\nstart b\nstop a\n", f->log);
}

static void a_reactor_needs_neither_start_nor_stop(void **state) {
  fixture *f = *state;

  f->reactors[1].start = NULL;
  f->reactors[1].stop = NULL;
  init(f);
  assert_cmt(CMT_OK, cmt__reactor_list_start(&f->list, NULL, NULL));
  cmt__reactor_list_stop(&f->list, &f->timer);
  assert_string_equal("start a\nstart c\nstop c\nstop a\n", f->log);
}

static void without_memory_there_is_none(void **state) {
  fixture *f = *state;
  cmt_why why;

  f->env.fail_at = f->env.allocs;
  assert_cmt(CMT_ENOMEM, cmt__reactor_list_init(&f->list, &f->env.env,
                                                f->reactors, COUNT, &why));
  f->env.fail_at = SIZE_MAX;
  assert_cmt(CMT_ENOMEM, why.err);
  assert_int_equal(0, f->list.count);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(channels_are_in_the_order_of_the_reactors),
    TEST(they_stop_in_the_opposite_order),
    TEST(one_that_does_not_start_ends_the_start),
    TEST(a_reactor_needs_neither_start_nor_stop),
    TEST(without_memory_there_is_none),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
