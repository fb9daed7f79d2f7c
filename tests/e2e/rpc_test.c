/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of CometBFT's RPC: the same members, in the same order, of the same
   types as in the answers of real nodes. */

#include "node.h"

#include "cli/roles/rpc.h"

#include <jansson.h>
#include <stdlib.h>

static const cmt_channel channels[] = {
  {.id = TEST_CHAT, .priority = 1, .send_queue = 1}};

typedef struct fixture {
  test_trio *t;
  cli_rpc r;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  void *trio;

  assert_non_null(f);
  if (test_trio_setup(&trio) != 0) {
    return -1;
  }
  f->t = trio;
  test_node_start(&f->t->a);
  f->t->b.options.moniker = "<b> & co";
  test_node_start(&f->t->b);
  test_node_dial(&f->t->a, f->t->b.addr, 0);
  f->r = (cli_rpc){
    .sw = f->t->a.sw,
    .network = "test-net",
    .moniker = "a",
    .version = "0.2.0",
    .listen_addr = "tcp://1.2.3.4:26656",
    .external = "tcp://1.2.3.4:26656",
    .channels = channels,
    .channel_count = 1,
  };
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  void *trio = f->t;

  free(f);
  return test_trio_teardown(&trio);
}

/* The text of the answer to a request; the caller frees it. */
static char *ask(const fixture *f, const char *path, const char *body) {
  const cli_http_request q = {
    .path = path,
    .query = "",
    .body = {.base = (const uint8_t *)body, .len = strlen(body)}};
  cli_http_answer a = cli_rpc_answer(&f->r, &q);
  char *text;

  if (a.body == NULL) {
    assert_int_equal(404, a.status);
    return NULL;
  }
  assert_int_equal(200, a.status);
  assert_string_equal("application/json", a.type);
  text = strndup((const char *)cmt_buf_bytes(a.body).base,
                 cmt_buf_bytes(a.body).len);
  cmt_buf_unref(a.body);
  assert_non_null(text);
  return text;
}

static json_t *parsed(char *text) {
  json_t *root = json_loads(text, 0, NULL);

  assert_non_null(root);
  free(text);
  return root;
}

/* A text is a number, a time, hexadecimal digits, or anything. */
static char class_of(const char *text) {
  if (text[0] != '\0' && strspn(text, "0123456789") == strlen(text)) {
    return '0';
  }
  return strlen(text) >= 20 && text[10] == 'T' && text[strlen(text) - 1] == 'Z'
           ? 't'
           : 'x';
}

static void assert_same_form(const json_t *expected, const json_t *found,
                             const char *key);

static void assert_same_members(const json_t *expected, const json_t *found) {
  void *a = json_object_iter((json_t *)(uintptr_t)expected);
  void *b = json_object_iter((json_t *)(uintptr_t)found);

  while (a != NULL && b != NULL) {
    assert_string_equal(json_object_iter_key(a), json_object_iter_key(b));
    assert_same_form(json_object_iter_value(a), json_object_iter_value(b),
                     json_object_iter_key(a));
    a = json_object_iter_next((json_t *)(uintptr_t)expected, a);
    b = json_object_iter_next((json_t *)(uintptr_t)found, b);
  }
  assert_null(a);
  assert_null(b);
}

static void assert_same_form(const json_t *expected, const json_t *found,
                             const char *key) {
  if (strcmp(key, "validator_info") == 0) {
    return; /* We are none. */
  }
  if (json_is_boolean(expected) && json_is_boolean(found)) {
    return;
  }
  if (json_typeof(expected) != json_typeof(found)) {
    fail_msg("%s has another type", key);
  }
  if (json_is_object(expected)) {
    assert_same_members(expected, found);
  } else if (json_is_array(expected)) {
    assert_true(json_array_size(found) > 0);
    assert_same_form(json_array_get(expected, 0), json_array_get(found, 0),
                     key);
  } else if (json_is_string(expected) &&
             class_of(json_string_value(expected)) == '0') {
    assert_int_equal('0', class_of(json_string_value(found)));
  } else if (json_is_string(expected) &&
             class_of(json_string_value(expected)) == 't') {
    assert_int_equal('t', class_of(json_string_value(found)));
  }
}

static void sample_check(const fixture *f, const char *path,
                         const char *sample) {
  json_t *expected = test_vectors(sample), *found = parsed(ask(f, path, ""));

  assert_same_form(expected, found, path);
  json_decref(expected);
  json_decref(found);
}

static void net_info_has_the_form_of_all_releases(void **state) {
  const fixture *f = *state;

  sample_check(f, "/net_info", "samples/net_info.v0.34.35.json");
  sample_check(f, "/net_info", "samples/net_info.v0.38.25.json");
  sample_check(f, "/net_info", "samples/net_info.v0.40.0.json");
  sample_check(f, "/net_info", "samples/net_info.v1.0.1.json");
}

static void status_has_that_of_a_fresh_node(void **state) {
  const fixture *f = *state;

  sample_check(f, "/status", "samples/status_fresh.v0.38.25.json");
}

static void peers_are_those_of_the_network(void **state) {
  fixture *f = *state;
  char *text = ask(f, "/net_info", "");

  assert_non_null(strstr(text, "\"n_peers\":\"1\""));
  assert_non_null(strstr(text, "\"moniker\":\"\\u003cb\\u003e \\u0026 co\""));
  assert_non_null(strstr(text, "\"is_outbound\":true"));
  assert_non_null(strstr(text, "\"remote_ip\":\"127.0.0.1\""));
  assert_non_null(strstr(text, "Listener(@tcp://1.2.3.4:26656)"));
  free(text);
  f->r.network = "another";
  text = ask(f, "/net_info", "");
  assert_non_null(strstr(text, "\"n_peers\":\"0\",\"peers\":[]"));
  free(text);
  f->r.all = true;
  text = ask(f, "/net_info", "");
  assert_non_null(strstr(text, "\"n_peers\":\"1\""));
  free(text);
}

static void posts_have_their_id(void **state) {
  static const struct {
    const char *body, *answer;
  } rows[] = {
    {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"health\",\"params\":{}}",
     "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}"},
    {"{\"id\":\"x\",\"method\":\"health\"}",
     "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{}}"},
    {"{\"id\":\"x\",\"method\":\"none\"}",
     "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"code\":-32601,\"message\":"
     "\"Method not found\"}}"},
    {"{\"id\":[1],\"method\":3}",
     "{\"jsonrpc\":\"2.0\",\"id\":-1,\"error\":{\"code\":-32601,\"message\":"
     "\"Method not found\"}}"},
    {"[",
     "{\"jsonrpc\":\"2.0\",\"id\":-1,\"error\":{\"code\":-32700,\"message\":"
     "\"Parse error. Invalid JSON\"}}"},
  };
  const fixture *f = *state;

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    char *text = ask(f, "/", rows[i].body);

    assert_string_equal(rows[i].answer, text);
    free(text);
  }
}

static void gets_have_minus_one(void **state) {
  const fixture *f = *state;
  char *text = ask(f, "/health", "");

  assert_string_equal("{\"jsonrpc\":\"2.0\",\"id\":-1,\"result\":{}}", text);
  free(text);
  assert_null(ask(f, "/none", ""));
  assert_null(ask(f, "/", ""));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(net_info_has_the_form_of_all_releases),
    TEST(status_has_that_of_a_fresh_node),
    TEST(peers_are_those_of_the_network),
    TEST(posts_have_their_id),
    TEST(gets_have_minus_one),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
