/* SPDX-License-Identifier: Apache-2.0 */
/* Which home a verb works on, what overrides its file, and its key. */

#include "home.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The value of a variable; NULL: it has none, or an empty one. */
static const char *variable(const char *name) {
  const char *value = getenv(name);

  return value != NULL && value[0] != '\0' ? value : NULL;
}

/* ~/.cometbft. */
static const char *default_dir(cli_options *o) {
  static const char name[] = "/.cometbft";
  const char *user = variable("HOME");
  size_t size;

  if (user == NULL) {
    cli_fail("neither --home nor one of the variables CMTHOME and HOME says "
             "where the home is");
    return NULL;
  }
  size = strlen(user) + sizeof name;
  free(o->default_home);
  o->default_home = cli_alloc(1, size);
  snprintf(o->default_home, size, "%s%s", user, name);
  return o->default_home;
}

const char *cli_home_dir(cli_options *o) {
  if (o->home != NULL) {
    return o->home;
  }
  if (variable("CMTHOME") != NULL) {
    return variable("CMTHOME");
  }
  if (variable("TMHOME") != NULL) {
    cli_fail("the variable TMHOME is deprecated: use CMTHOME or --home");
    return variable("TMHOME");
  }
  return default_dir(o);
}

cmt_err cli_home_open(const cli_options *o, const cmt_env *env, const char *dir,
                      cmt_home **out, cmt_why *why) {
  cmt_home_value *values = cli_alloc(o->value_count + 1, sizeof *values);
  cmt_home_options options;
  cmt_err err;

  cmt_home_options_init(&options);
  options.env = env;
  options.dir = dir;
  options.environment = (const char *const *)environ;
  options.env_prefix = o->env_prefix;
  options.config_file = o->config;
  memcpy(values, o->values, o->value_count * sizeof *values);
  options.values = values;
  options.value_count = o->value_count;
  if (o->chain_id != NULL) {
    values[options.value_count++] = (cmt_home_value){
      .key = "chain_id", .value = o->chain_id, .name = "--chain-id"};
  }
  err = cmt_home_open(&options, out, why);
  free(values);
  return err;
}

/* None of the files that every home has a part of. */
static bool is_bare(const char *dir) {
  static const char *const files[] = {"config.toml", "config/config.toml",
                                      "config/genesis.json",
                                      "config/node_key.json"};
  char path[4096];
  struct stat at;

  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    int len = snprintf(path, sizeof path, "%s/%s", dir, files[i]);

    if (len < 0 || (size_t)len >= sizeof path || stat(path, &at) == 0 ||
        (errno != ENOENT && errno != ENOTDIR)) {
      return false;
    }
  }
  return true;
}

/* A command to be copied has all of the path, or a word in its place. */
void cli_home_explain(const char *dir, cmt_why *why) {
  char shown[81];
  bool whole = strlen(dir) < sizeof shown;
  bool plain = strspn(dir, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
                           "XYZ0123456789_-./") == strlen(dir);

  if (why->err != CMT_EIO || !is_bare(dir)) {
    return;
  }
  cmt_text_escape(cmt_bytes_of(dir), shown, sizeof shown);
  snprintf(why->text, sizeof why->text,
           "'%s' is no home of a node: cometp2p init --home %s makes one",
           shown, whole && plain ? dir : "DIR");
}

static void log_line(void *arg, cmt_log_level level, const char *module,
                     const char *line) {
  const cli_options *o = arg;

  (void)module;
  if (level <= o->log_level) {
    cli_fail("%s", line);
  }
}

cmt_err cli_home_env(cli_options *o, cmt_env *env, cmt_why *why) {
  cmt_err err = cli_env_system(env, why);

  env->log = log_line;
  env->log_arg = o;
  return err;
}

int cli_home_print_id(const cli_options *o, const cmt_node_key *key,
                      const char *file) {
  cmt_node_id id;
  cli_page page;
  json_t *line;

  cmt_node_key_get_id(key, &id);
  cli_page_open(&page);
  if (!o->json) {
    fprintf(page.file, "%s\n", id.text);
  } else {
    char shown[4096];

    cmt_text_escape(cmt_bytes_of(file), shown, sizeof shown);
    line = json_pack("{s:s, s:s, s:s}", "event", "key", "id", id.text, "file",
                     shown);
    json_dumpf(line, page.file, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(line);
    fputc('\n', page.file);
  }
  return cli_page_write(&page, STDOUT_FILENO);
}
