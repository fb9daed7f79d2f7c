/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a daemon: every line of real nodes is taken apart and written
   again. */

#include "test.h"

#include "cli/ui/log.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS_MAX = 16 };

typedef struct parts {
  struct timespec now;
  char message[256], module[32];
  cmt_log_level level;
  char texts[PAIRS_MAX][2][1024];
  cli_log_pair pairs[PAIRS_MAX];
  size_t count;
} parts;

static cmt_log_level level_of(char letter) {
  return letter == 'E'   ? CMT_LOG_ERROR
         : letter == 'W' ? CMT_LOG_WARN
         : letter == 'I' ? CMT_LOG_INFO
                         : CMT_LOG_DEBUG;
}

static time_t seconds_of(const char *text, char between) {
  struct tm t = {0};
  char format[] = "%Y-%m-%d|%H:%M:%S";

  format[8] = between;
  assert_non_null(strptime(text, format, &t));
  return timegm(&t);
}

static void add(parts *p, const char *key, const char *text, int64_t number) {
  assert_true(p->count < PAIRS_MAX);
  snprintf(p->texts[p->count][0], sizeof p->texts[0][0], "%s", key);
  if (text != NULL) {
    snprintf(p->texts[p->count][1], sizeof p->texts[0][1], "%s", text);
  }
  p->pairs[p->count] =
    (cli_log_pair){.key = p->texts[p->count][0],
                   .text = text != NULL ? p->texts[p->count][1] : NULL,
                   .number = number};
  p->count++;
}

/* Reads the value at |at| into |out|; returns what follows it. */
static const char *value_read(const char *at, char *out) {
  if (*at != '"') {
    while (*at != ' ' && *at != '\0') {
      *out++ = *at++;
    }
  } else {
    for (at++; *at != '"'; at++) {
      at += *at == '\\';
      *out++ = *at;
    }
    at++;
  }
  *out = '\0';
  return *at == ' ' ? at + 1 : at;
}

static void plain_read(const char *line, parts *p) {
  static const char module[] = " module=";
  const char *end = strstr(line, module), *begin = strchr(line, ']') + 2;
  char value[1024];

  memset(p, 0, sizeof *p);
  p->level = level_of(line[0]);
  p->now.tv_sec = seconds_of(line + 2, '|');
  p->now.tv_nsec =
    strtol(line + strlen("I[2006-01-02|15:04:05."), NULL, 10) * 1000000;
  snprintf(p->message, sizeof p->message, "%.*s", (int)(end - begin), begin);
  for (size_t len = strlen(p->message); p->message[len - 1] == ' '; len--) {
    p->message[len - 1] = '\0';
  }
  end = value_read(end + strlen(module), p->module);
  while (*end != '\0') {
    char key[128];
    size_t len = strcspn(end, "=");

    snprintf(key, sizeof key, "%.*s", (int)len, end);
    end = value_read(end + len + 1, value);
    add(p, key, value, 0);
  }
}

static void assert_written(const char *line, const parts *p, bool json) {
  const cli_log_record r = {
    .level = p->level,
    .module = p->module,
    .message = p->message,
    .pairs = p->pairs,
    .count = p->count,
  };
  char *text = cli_log_format(json, &p->now, &r);

  assert_string_equal(line, text);
  free(text);
}

/* False: a value is neither a text nor a number, which ours never are. */
static bool json_read(const char *line, parts *p) {
  json_t *all = json_loads(line, 0, NULL), *value;
  const char *key, *ts = test_str(all, "ts");
  bool plain = strlen(ts) == strlen("2006-01-02T15:04:05.123456789Z");

  memset(p, 0, sizeof *p);
  p->level = level_of(test_str(all, "level")[0] == 'e' ? 'E' : 'I');
  snprintf(p->message, sizeof p->message, "%s", test_str(all, "_msg"));
  snprintf(p->module, sizeof p->module, "%s", test_str(all, "module"));
  p->now.tv_sec = seconds_of(ts, 'T');
  p->now.tv_nsec = strtol(ts + strlen("2006-01-02T15:04:05."), NULL, 10);
  json_object_foreach(all, key, value) {
    if (strcmp(key, "level") == 0 || strcmp(key, "_msg") == 0 ||
        strcmp(key, "module") == 0 || strcmp(key, "ts") == 0) {
      continue;
    }
    plain = plain && (json_is_string(value) || json_is_integer(value));
    add(p, key, json_string_value(value), json_integer_value(value));
  }
  json_decref(all);
  return plain;
}

static void lines_of_real_nodes_are_written_again(void **state) {
  json_t *root = test_vectors("samples/log_lines.json"), *lines;
  size_t plain = 0, json = 0;
  const char *name;

  (void)state;
  json_object_foreach(root, name, lines) {
    for (size_t i = 0; i < json_array_size(lines); i++) {
      const char *line = json_string_value(json_array_get(lines, i));
      parts p;

      if (strstr(name, "plain") != NULL) {
        plain_read(line, &p);
        assert_written(line, &p, false);
        plain++;
      } else if (json_read(line, &p)) {
        assert_written(line, &p, true);
        json++;
      }
    }
  }
  json_decref(root);
  assert_int_equal(61, plain);
  assert_in_range(json, 30, 61);
}

static void breaks_in_values_stay_on_the_line(void **state) {
  parts p;

  (void)state;
  plain_read("I[2026-11-28|03:53:01.064] m                                     "
             "       module=p2p ",
             &p);
  add(&p, "a", "1\n2\t\"", 0);
  assert_written("I[2026-11-28|03:53:01.064] m                                 "
                 "           module=p2p a=\"1\\n2\\t\\\"\"",
                 &p, false);
}

/* ---- levels ---- */

static void shown(const char *levels, const char *module, int most) {
  char fault[CLI_LOG_FAULT_SIZE];
  cli_log_levels l;

  assert_true(cli_log_levels_parse(levels, &l, fault));
  for (int level = CMT_LOG_ERROR; level <= CMT_LOG_DEBUG; level++) {
    assert_int_equal(level <= most,
                     cli_log_levels_show(&l, (cmt_log_level)level, module));
  }
}

static void each_module_has_its_level(void **state) {
  (void)state;
  shown("info", "p2p", CMT_LOG_INFO);
  shown("none", "p2p", CLI_LOG_NONE);
  shown("debug", "pex", CMT_LOG_DEBUG);
  shown("p2p:debug,*:error", "p2p", CMT_LOG_DEBUG);
  shown("p2p:debug,*:error", "pex", CMT_LOG_ERROR);
  shown("*:warn,p2p:none", "p2p", CLI_LOG_NONE);
  shown("*:warn,p2p:none", "pex", CMT_LOG_WARN);
  shown("p2p:error", "pex", CMT_LOG_INFO);
}

/* The modules of CometBFT, and of programs on it, are none of ours. */
static void only_misspelled_modules_of_ours_are_named(void **state) {
  static const struct {
    const char *module, *meant;
  } rows[] = {
    {"p2p", NULL},
    {"pex", NULL},
    {"main", NULL},
    {"home", NULL},
    {"node_key", NULL},
    {"consensus", NULL},
    {"consnsus", NULL},
    {"state", NULL},
    {"mempool", NULL},
    {"rpc", NULL},
    {"rpc-server", NULL},
    {"evidence", NULL},
    {"blocksync", NULL},
    {"statesync", NULL},
    {"blockchain", NULL},
    {"proxy", NULL},
    {"abci-client", NULL},
    {"privval", NULL},
    {"events", NULL},
    {"txindex", NULL},
    {"node", NULL},
    {"light", NULL},
    {"server", NULL},
    {"crypto", NULL},
    {"db", NULL},
    {"x", NULL},
    {"dex", NULL},
    {"pow", NULL},
    {"P2P", "p2p"},
    {"pp2", "p2p"},
    {"p2pp", "p2p"},
    {"p2", "p2p"},
    {"pxe", "pex"},
    {"pexx", "pex"},
    {"mian", "main"},
    {"mains", "main"},
    {"mein", "main"},
    {"Main", "main"},
    {"hom", "home"},
    {"nodekey", "node_key"},
    {"node-key", "node_key"},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    const char *meant = cli_log_module_meant(rows[i].module);

    assert_string_equal(rows[i].meant != NULL ? rows[i].meant : "none",
                        meant != NULL ? meant : "none");
  }
}

static void wrong_levels_are_named(void **state) {
  static const struct {
    const char *text, *fault;
  } rows[] = {
    {"INFO", "INFO"}, {"bogus", "bogus"},
    {"*:info,", ""},  {"info,p2p:debug", "info"},
    {"p2p:", "p2p:"}, {":info", ":info"},
    {"", ""},         {"p2p:loud", "p2p:loud"},
  };
  char fault[CLI_LOG_FAULT_SIZE], expected[64];
  cli_log_levels l;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_false(cli_log_levels_parse(rows[i].text, &l, fault));
    snprintf(expected, sizeof expected, "'%s' is no level: expected debug",
             rows[i].fault);
    assert_memory_equal(expected, fault, strlen(expected));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(lines_of_real_nodes_are_written_again),
    cmocka_unit_test(breaks_in_values_stay_on_the_line),
    cmocka_unit_test(each_module_has_its_level),
    cmocka_unit_test(only_misspelled_modules_of_ours_are_named),
    cmocka_unit_test(wrong_levels_are_named),
  };

  assert_int_equal(0, setenv("TZ", "UTC", 1));
  return cmocka_run_group_tests(tests, NULL, NULL);
}
