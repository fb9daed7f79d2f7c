/* SPDX-License-Identifier: Apache-2.0 */
#include "node.h"

#include "peer/peer_data.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct fixture {
  test_env env;
  cmt__peer_data data;
  int values[17]; /* How often each was destroyed. */
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_env_init(&f->env);
  assert_cmt(CMT_OK, cmt__peer_data_init(&f->data, &f->env.env));
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  cmt__peer_data_fini(&f->data);
  test_env_fini(&f->env);
  free(f);
  return 0;
}

static void destroy(void *value) { ++*(int *)value; }

static void a_value_is_found_by_its_key(void **state) {
  fixture *f = *state;
  cmt__peer_data *d = &f->data;
  int *a = &f->values[0], *b = &f->values[1];

  assert_null(cmt__peer_data_get(d, "a"));
  assert_cmt(CMT_OK, cmt__peer_data_set(d, "a", a, NULL));
  assert_cmt(CMT_OK, cmt__peer_data_set(d, "ab", b, NULL));
  assert_ptr_equal(a, cmt__peer_data_get(d, "a"));
  assert_ptr_equal(b, cmt__peer_data_get(d, "ab"));
  assert_null(cmt__peer_data_get(d, "abc"));
  assert_null(cmt__peer_data_get(d, ""));
}

static void a_replaced_value_is_destroyed_once(void **state) {
  fixture *f = *state;
  cmt__peer_data *d = &f->data;
  int *a = &f->values[0], *b = &f->values[1];

  assert_cmt(CMT_OK, cmt__peer_data_set(d, "key", a, destroy));
  assert_cmt(CMT_OK, cmt__peer_data_set(d, "key", b, destroy));
  assert_int_equal(1, *a);
  assert_int_equal(0, *b);
  assert_ptr_equal(b, cmt__peer_data_get(d, "key"));
  assert_cmt(CMT_OK, cmt__peer_data_set(d, "key", NULL, destroy));
  assert_int_equal(1, *a);
  assert_int_equal(1, *b);
  assert_null(cmt__peer_data_get(d, "key"));
  assert_cmt(CMT_OK, cmt__peer_data_set(d, "key", NULL, destroy));
}

static void keys_have_1_to_63_bytes(void **state) {
  fixture *f = *state;
  cmt__peer_data *d = &f->data;
  char key[CMT_PEER_KEY_MAX + 2];
  int *a = &f->values[0];

  memset(key, 'k', sizeof key);
  key[64] = '\0';
  assert_cmt(CMT_EINVAL, cmt__peer_data_set(d, key, a, destroy));
  assert_cmt(CMT_EINVAL, cmt__peer_data_set(d, "", a, destroy));
  assert_int_equal(0, *a);
  key[63] = '\0';
  assert_cmt(CMT_OK, cmt__peer_data_set(d, key, a, destroy));
  assert_ptr_equal(a, cmt__peer_data_get(d, key));
}

static void a_peer_has_16_keys(void **state) {
  fixture *f = *state;
  cmt__peer_data *d = &f->data;
  int *values = f->values;
  char key[16];

  for (int i = 0; i < 16; i++) {
    snprintf(key, sizeof key, "%d", i);
    assert_cmt(CMT_OK, cmt__peer_data_set(d, key, &values[i], destroy));
  }
  assert_cmt(CMT_ELIMIT, cmt__peer_data_set(d, "16", &values[16], destroy));
  assert_int_equal(0, values[16]);
  assert_cmt(CMT_OK, cmt__peer_data_set(d, "7", &values[16], destroy));
  assert_int_equal(1, values[7]);
  assert_cmt(CMT_OK, cmt__peer_data_set(d, "3", NULL, NULL));
  assert_cmt(CMT_OK, cmt__peer_data_set(d, "16", &values[7], NULL));
}

static void without_memory_the_old_value_stays(void **state) {
  fixture *f = *state;
  int *a = &f->values[0], *b = &f->values[1];

  assert_cmt(CMT_OK, cmt__peer_data_set(&f->data, "key", a, destroy));
  f->env.fail_at = f->env.allocs;
  assert_cmt(CMT_ENOMEM, cmt__peer_data_set(&f->data, "key", b, destroy));
  assert_ptr_equal(a, cmt__peer_data_get(&f->data, "key"));
  assert_int_equal(0, *a + *b);
  /* Removing needs none. */
  f->env.fail_at = f->env.allocs;
  assert_cmt(CMT_OK, cmt__peer_data_set(&f->data, "key", NULL, NULL));
  assert_int_equal(1, *a);
}

/* Many threads on the same keys: each value is destroyed exactly once. */

enum { THREADS = 4, ROUNDS = 2000 };

typedef struct counted {
  atomic_uint *destroyed;
} counted;

typedef struct setter {
  cmt__peer_data *data;
  atomic_uint *destroyed;
  unsigned set;
} setter;

static void counted_destroy(void *value) {
  counted *c = value;

  atomic_fetch_add(c->destroyed, 1);
  free(c);
}

static void *setter_run(void *arg) {
  static const char *const keys[] = {"one", "two", "three"};
  setter *s = arg;

  for (int i = 0; i < ROUNDS; i++) {
    const char *key = keys[i % 3];
    counted *c = malloc(sizeof *c);

    if (c == NULL) {
      return NULL;
    }
    c->destroyed = s->destroyed;
    if (cmt__peer_data_set(s->data, key, c, counted_destroy) == CMT_OK) {
      s->set++;
    } else {
      free(c);
    }
    (void)cmt__peer_data_get(s->data, keys[(i + 1) % 3]);
  }
  return NULL;
}

static void threads_may_set_and_get_at_one_time(void **state) {
  cmt__peer_data data;
  pthread_t threads[THREADS];
  setter setters[THREADS];
  atomic_uint destroyed;
  unsigned set = 0;

  (void)state; /* Whose environment counts without a lock. */
  atomic_init(&destroyed, 0);
  assert_cmt(CMT_OK, cmt__peer_data_init(&data, NULL));
  for (int i = 0; i < THREADS; i++) {
    setters[i] = (setter){.data = &data, .destroyed = &destroyed};
    assert_int_equal(
      0, pthread_create(&threads[i], NULL, setter_run, &setters[i]));
  }
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(0, pthread_join(threads[i], NULL));
    set += setters[i].set;
  }
  assert_int_equal(THREADS * ROUNDS, set);
  assert_int_equal(set - data.count, atomic_load(&destroyed));
  cmt__peer_data_fini(&data);
  assert_int_equal(set, atomic_load(&destroyed));
}

/* ---- with a peer ---- */

static int destroyed_total;
static char seen[64];

static void destroy_text(void *value) {
  destroyed_total++;
  free(value);
}

static void set_text(test_part *part, cmt_peer *p) {
  char *text = strdup("of the peer");

  (void)part;
  assert_cmt(CMT_OK, cmt_peer_set_value(p, "note", text, destroy_text));
}

static void get_text(test_part *part, cmt_peer *p) {
  (void)part;
  assert_int_equal(0, destroyed_total);
  snprintf(seen, sizeof seen, "%s", (char *)cmt_peer_value(p, "note"));
}

static void a_value_lives_as_long_as_its_peer(void **state) {
  test_trio *t = *state;
  cmt_peer *p;

  destroyed_total = 0;
  t->a.parts[0].on_init = set_text;
  t->a.parts[0].on_remove = get_text;
  test_pair(&t->w, &t->a, &t->b);
  p = cmt_peer_ref(test_node_peer(&t->a));
  assert_string_equal("of the peer", cmt_peer_value(p, "note"));
  cmt_peer_stop(p, CMT_ECANCELED, 0);
  test_loop_run_until_idle(t->w.loop);
  assert_string_equal("remove chat CMT_ECANCELED\n", test_node_log(&t->a));
  assert_string_equal("of the peer", seen);
  assert_string_equal("of the peer", cmt_peer_value(p, "note"));
  assert_int_equal(0, destroyed_total);
  /* It may still be set. */
  assert_cmt(CMT_OK, cmt_peer_set_value(p, "late", strdup("x"), destroy_text));
  cmt_peer_unref(p);
  assert_int_equal(2, destroyed_total);
}

static void a_refused_peer_destroys_its_values(void **state) {
  test_trio *t = *state;

  destroyed_total = 0;
  t->a.parts[0].on_init = set_text;
  t->a.parts[0].init_err = CMT_EREACTOR;
  test_node_start(&t->a);
  test_node_start(&t->b);
  test_node_dial(&t->a, t->b.addr, 0);
  assert_int_equal(1, destroyed_total);
}

/* ---- explanations ---- */

static void explain(test_part *part, cmt_peer *p, uint8_t channel,
                    cmt_buf *msg) {
  (void)channel;
  (void)msg;
  assert_cmt(CMT_ELIMIT, cmt_peer_explain(p, CMT_ELIMIT, NULL));
  part->receive_err = cmt_peer_explain(p, CMT_EPROTO, "height 7 came\ntwice");
  assert_cmt(CMT_EREACTOR, cmt_peer_explain(p, CMT_EREACTOR, "second"));
}

static void an_explanation_replaces_the_general_text(void **state) {
  test_trio *t = *state;
  cmt_peer *p;
  cmt_why why;

  t->b.parts[0].on_receive = explain;
  test_pair(&t->w, &t->a, &t->b);
  p = cmt_peer_ref(test_node_peer(&t->b));
  assert_cmt(CMT_OK, test_node_send(&t->a, TEST_CHAT, "hello"));
  test_loop_run_until_idle(t->w.loop);
  cmt_peer_get_why(p, &why);
  assert_cmt(CMT_EPROTO, why.err);
  assert_int_equal(CMT_STAGE_UP, why.stage);
  assert_string_equal("height 7 came\\x0atwice", why.text);
  cmt_peer_unref(p);
}

static void explain_init(test_part *part, cmt_peer *p) {
  part->init_err = cmt_peer_explain(p, CMT_EREACTOR, "not on the guest list");
}

static void an_explanation_is_reported_of_a_refused_peer(void **state) {
  test_trio *t = *state;

  t->a.parts[0].on_init = explain_init;
  test_node_start(&t->a);
  test_node_start(&t->b);
  test_node_dial(&t->a, t->b.addr, 0);
  assert_string_equal("init chat\nrejected outbound filter CMT_EREACTOR\n",
                      test_node_log(&t->a));
  assert_string_equal("not on the guest list", t->a.why.text);
}

static void an_explanation_is_not_reported_of_another_end(void **state) {
  test_trio *t = *state;
  cmt_peer *p;
  cmt_why why;

  test_pair(&t->w, &t->a, &t->b);
  p = cmt_peer_ref(test_node_peer(&t->a));
  assert_cmt(CMT_EPROTO, cmt_peer_explain(p, CMT_EPROTO, "wrong height"));
  cmt_peer_get_why(p, &why);
  assert_cmt(CMT_OK, why.err);
  assert_string_equal("", why.text);
  cmt_peer_stop(p, CMT_ECANCELED, 0);
  test_loop_run_until_idle(t->w.loop);
  cmt_peer_get_why(p, &why);
  assert_cmt(CMT_ECANCELED, why.err);
  assert_null(strstr(why.text, "height"));
  cmt_peer_unref(p);
}

static void a_long_explanation_is_cut(void **state) {
  test_trio *t = *state;
  char text[1000];
  cmt_peer *p;
  cmt_why why;

  memset(text, '\x01', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  test_pair(&t->w, &t->a, &t->b);
  p = cmt_peer_ref(test_node_peer(&t->a));
  cmt_peer_stop(p, cmt_peer_explain(p, CMT_EPROTO, text), 0);
  test_loop_run_until_idle(t->w.loop);
  cmt_peer_get_why(p, &why);
  assert_int_equal(255, strlen(why.text));
  assert_string_equal("\\x01...", why.text + 255 - 7);
  cmt_peer_unref(p);
}

static void a_peer_and_its_switch_have_their_environment(void **state) {
  test_trio *t = *state;

  test_pair(&t->w, &t->a, &t->b);
  assert_ptr_equal(&t->w.env, cmt_switch_env(t->a.sw)->alloc_arg);
  assert_ptr_equal(&t->w.env, cmt_peer_env(test_node_peer(&t->a))->alloc_arg);
}

#define ALONE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TRIO(f)                                                                \
  cmocka_unit_test_setup_teardown(f, test_trio_setup, test_trio_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    ALONE(a_value_is_found_by_its_key),
    ALONE(a_replaced_value_is_destroyed_once),
    ALONE(keys_have_1_to_63_bytes),
    ALONE(a_peer_has_16_keys),
    ALONE(without_memory_the_old_value_stays),
    ALONE(threads_may_set_and_get_at_one_time),
    TRIO(a_value_lives_as_long_as_its_peer),
    TRIO(a_refused_peer_destroys_its_values),
    TRIO(an_explanation_replaces_the_general_text),
    TRIO(an_explanation_is_reported_of_a_refused_peer),
    TRIO(an_explanation_is_not_reported_of_another_end),
    TRIO(a_long_explanation_is_cut),
    TRIO(a_peer_and_its_switch_have_their_environment),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
