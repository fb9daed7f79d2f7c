/* SPDX-License-Identifier: Apache-2.0 */

/* What a started node of CometBFT took from file, environment and flags, and
   what it refused: tests/vectors/config.json. */

#include "home_user.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "home/home_keys.h"

static const char *const releases[] = {
  "config.v0.34.35.toml", "config.v0.38.25.toml", "config.v0.40.0.toml",
  "config.v1.0.1.toml"};

static void default_files_give_no_warning(void **state) {
  test_home *t = *state;

  for (size_t i = 0; i < CMT__COUNT(releases); i++) {
    char *text = test_sample(releases[i]);
    const cmt_home_settings *s = test_home_opens(t, text);

    assert_string_equal("tcp://0.0.0.0:26656", s->laddr);
    assert_int_equal(40, s->max_num_inbound_peers);
    assert_int_equal(10, s->max_num_outbound_peers);
    assert_int_equal(5120000, s->send_rate);
    assert_true(s->pex && s->addr_book_strict && !s->seed_mode);
    assert_string_equal("cometbft", s->metrics_namespace);
    free(text);
  }
}

/* ---- the keys ---- */

static const char *text_of(const json_t *value, char *out, size_t cap) {
  if (json_is_object(value)) { /* By version; the newest. */
    return text_of(json_object_get(value, "v1.0.1"), out, cap);
  }
  if (json_is_string(value)) {
    return json_string_value(value);
  }
  if (json_is_integer(value)) {
    snprintf(out, cap, "%lld", (long long)json_integer_value(value));
  } else {
    snprintf(out, cap, "%s", json_is_true(value) ? "true" : "false");
  }
  return out;
}

static const cmt__home_key *key_of(const char *name) {
  const char *dot = strrchr(name, '.');
  cmt_bytes section = {.base = (const uint8_t *)name,
                       .len = dot != NULL ? (size_t)(dot - name) : 0};

  return cmt__home_key_find(section, cmt_bytes_of(dot != NULL ? dot + 1 : name),
                            false);
}

static void each_key_is_read_or_known(void **state) {
  json_t *root = test_vectors("config.json"), *row;
  size_t i, read = 0, ignored = 0;
  char text[40];

  (void)state;
  json_array_foreach(json_object_get(root, "keys"), i, row) {
    const char *name = test_str(row, "key");
    const cmt__home_key *key = key_of(name);

    if (key == NULL) {
      /* The version of the program, UPnP, and another network stack. */
      assert_true(strcmp(name, "version") == 0 ||
                  strcmp(name, "p2p.upnp") == 0 ||
                  strncmp(name, "p2p.libp2p.", 11) == 0);
      ignored++;
      continue;
    }
    if (strcmp(name, "moniker") != 0) {
      assert_string_equal(
        text_of(json_object_get(row, "default"), text, sizeof text),
        key->standard);
    }
    read++;
  }
  test_used("keys", read, ignored,
            json_array_size(json_object_get(root, "keys")));
  json_decref(root);
}

/* ---- the cases ---- */

/* Replaces the last line that begins with |line|. */
static char *with_line(const char *text, const char *line,
                       const char *becomes) {
  size_t len = strlen(line), size = strlen(text) + strlen(becomes) + 1;
  const char *found = NULL, *rest;
  char *out = calloc(1, size);

  for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
    at += *at == '\n';
    if (strncmp(at, line, len) == 0 &&
        (at[len] == ' ' || at[len] == '\n' || at[len] == '\0')) {
      found = at;
    }
  }
  assert_non_null(found);
  rest = strchr(found, '\n');
  snprintf(out, size, "%.*s%s%s", (int)(found - text), text, becomes, rest);
  return out;
}

/* The file of a case, which begins as a node of the tests had it. */
static char *file_of(const json_t *given) {
  char *text = test_sample("config.v0.38.25.toml"), *next;
  const json_t *edit, *append = json_object_get(given, "append");
  size_t i;

  next = with_line(text, "moniker", "moniker = \"file\"");
  free(text);
  text = next;
  json_array_foreach(json_object_get(given, "file"), i, edit) {
    next = with_line(text, test_str(edit, "line"), test_str(edit, "becomes"));
    free(text);
    text = next;
  }
  if (append != NULL) {
    size_t size = strlen(text) + json_string_length(append) + 1;

    text = realloc(text, size);
    assert_non_null(text);
    memcpy(text + strlen(text), json_string_value(append),
           json_string_length(append) + 1);
  }
  return text;
}

enum { GIVEN_MAX = 8 };

/* The environment and the flags of a case. */
typedef struct given_values {
  char texts[GIVEN_MAX][256];
  const char *environment[GIVEN_MAX];
  cmt_home_value values[GIVEN_MAX / 2];
  size_t value_count;
} given_values;

static void take_environment(given_values *g, const json_t *given) {
  json_t *env = json_object_get(given, "env"), *value;
  const char *name;
  size_t count = 0;

  json_object_foreach(env, name, value) {
    snprintf(g->texts[count], sizeof g->texts[count], "%s=%s", name,
             json_string_value(value));
    g->environment[count] = g->texts[count];
    count++;
  }
}

/* "--key value" and "--key=value". */
static void take_flags(given_values *g, const json_t *given) {
  json_t *flag;
  size_t i;
  bool waits = false;

  json_array_foreach(json_object_get(given, "flags"), i, flag) {
    char *text = g->texts[i];
    char *equal;

    snprintf(text, sizeof g->texts[i], "%s", json_string_value(flag));
    if (waits) {
      g->values[g->value_count++].value = text;
      waits = false;
      continue;
    }
    equal = strchr(text, '=');
    g->values[g->value_count].key = text + 2;
    waits = equal == NULL;
    if (equal != NULL) {
      *equal = '\0';
      g->values[g->value_count++].value = equal + 1;
    }
  }
}

/* The outcome, of the newest release where they differ. */
static const json_t *outcome_of(const json_t *row) {
  const json_t *outcome = json_object_get(row, "outcome");
  const json_t *differs = json_object_get(outcome, "differs_by_version");

  if (differs == NULL) {
    return outcome;
  }
  return json_object_get(json_array_get(differs, json_array_size(differs) - 1),
                         "outcome");
}

static void check_text(const char *what, const char *expected,
                       const cmt_home_settings *s) {
  char host[256] = "";
  const char *found = NULL;

  if (strcmp(what, "moniker") == 0) {
    assert_int_equal(0, gethostname(host, sizeof host));
    found = s->moniker;
    expected = strcmp(expected, "HOSTNAME") == 0 ? host : expected;
  } else if (strcmp(what, "listen_addr") == 0) {
    found = s->external_address[0] != '\0' ? s->external_address : s->laddr;
    /* The ports of the tests' node were drawn. */
    expected = strcmp(expected, "tcp://127.0.0.1:P") == 0
                 ? "tcp://0.0.0.0:26656"
                 : expected;
  } else if (strcmp(what, "rpc_address") == 0) {
    found = s->rpc_laddr;
    expected = "tcp://127.0.0.1:26657";
  } else if (strcmp(what, "tx_index") == 0) {
    found = s->tx_index ? "on" : "off";
  } else if (strcmp(what, "channels") == 0) {
    found = s->pex ? "40202122233038606100" : "402021222330386061";
  }
  assert_string_equal(expected, found);
}

static void check_case(test_home *t, const json_t *row) {
  const json_t *given = json_object_get(row, "given"), *value;
  const json_t *outcome = outcome_of(row);
  char *text = file_of(given);
  given_values g = {.value_count = 0};
  const char *what;
  cmt_err err;

  take_environment(&g, given);
  take_flags(&g, given);
  t->options.environment = g.environment;
  t->options.values = g.values;
  t->options.value_count = g.value_count;
  err = test_home_open_with(t, text);
  free(text);
  if (json_is_false(json_object_get(outcome, "starts"))) {
    assert_cmt(CMT_EINVAL, err);
    return;
  }
  assert_cmt(CMT_OK, err);
  json_object_foreach((json_t *)(uintptr_t)outcome, what, value) {
    check_text(what, json_string_value(value), cmt_home_get_settings(t->h));
  }
}

/* Cases of other tests: the choice of the home (tests/e2e/init_test.py), where
   its files lie (home_test.c). */
static const char *const elsewhere[] = {
  "CMTHOME only",
  "CMT_HOME only",
  "TMHOME only",
  "default home",
  "HOME/config.toml and HOME/config/config.toml",
  "HOME/config.toml only",
  "config.toml absent",
};

/* Ours resolves no name before it dials, so a name without an address is no
   reason to refuse the home. */
static const char *const intended[] = {
  "external_address name unknown",
  "seeds unknown name, empty book",
};

static bool is_one_of(const char *name, const char *const *list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(name, list[i]) == 0) {
      return true;
    }
  }
  return false;
}

static void cases_end_as_with_a_node(void **state) {
  json_t *root = test_vectors("config.json"), *row;
  const json_t *cases = json_object_get(root, "cases");
  size_t i, used = 0, left = 0;

  json_array_foreach(cases, i, row) {
    const char *name = test_str(row, "case");

    if (is_one_of(name, elsewhere, CMT__COUNT(elsewhere)) ||
        is_one_of(name, intended, CMT__COUNT(intended))) {
      left++;
      continue;
    }
    check_case(*state, row);
    used++;
  }
  test_used("cases", used, left, json_array_size(cases));
  json_decref(root);
}

static void log_levels_are_those_of_the_newest_release(void **state) {
  test_home *t = *state;
  json_t *root = test_vectors("config.json"), *value;
  const char *level;

  json_object_foreach(json_object_get(root, "log_level"), level, value) {
    cmt_home_value set = {.key = "log_level", .value = level};
    bool refused =
      json_is_string(value) && strcmp(json_string_value(value), "refused") == 0;

    t->options.values = &set;
    t->options.value_count = 1;
    assert_cmt(refused ? CMT_EINVAL : CMT_OK, test_home_open(t));
  }
  json_decref(root);
}

#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, test_home_setup, test_home_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(default_files_give_no_warning),
    cmocka_unit_test(each_key_is_read_or_known),
    TEST(cases_end_as_with_a_node),
    TEST(log_levels_are_those_of_the_newest_release),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
