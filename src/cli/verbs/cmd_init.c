/* SPDX-License-Identifier: Apache-2.0 */
/* init: makes what a home lacks, and tells what it is. */

#include "cli/ui/home.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SHOWN = 4096 };

/* The files of the home, as they are made or found. */
typedef struct init_files {
  json_t *made, *found;
} init_files;

static json_t *path_text(const char *path) {
  char shown[PATH_SHOWN];

  cmt_text_escape(cmt_bytes_of(path), shown, sizeof shown);
  return json_string(shown);
}

static void on_file(void *arg, const char *path, bool made) {
  init_files *files = arg;

  json_array_append_new(made ? files->made : files->found, path_text(path));
}

static void print_files(FILE *to, const char *what, const json_t *files) {
  const json_t *path;
  size_t i;

  json_array_foreach(files, i, path) {
    fprintf(to, "%-8s %s\n", what, json_string_value(path));
  }
}

static int print_home(const cli_options *o, const init_files *files,
                      const char *id, const char *network) {
  cli_page page;
  json_t *line;

  cli_page_open(&page);
  if (o->json) {
    line =
      json_pack("{s:s, s:s, s:s, s:O, s:O}", "event", "home", "id", id,
                "network", network, "made", files->made, "found", files->found);
    json_dumpf(line, page.file, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(line);
    fputc('\n', page.file);
  } else {
    print_files(page.file, "made", files->made);
    print_files(page.file, "found", files->found);
    fprintf(page.file, "%-8s %s\n%-8s %s\n", "id", id, "network", network);
  }
  return cli_page_write(&page, STDOUT_FILENO);
}

/* False: the home |dir| is of another network than --chain-id asks for. */
static bool has_network(const cli_options *o, const cli_options *plain,
                        const cmt_env *env, const char *dir) {
  cmt_env quiet = *env;
  const char *network;
  bool has = true;
  cmt_home *h;
  cmt_why why;

  quiet.log = NULL; /* It is opened again. */
  if (o->chain_id == NULL ||
      cli_home_open(plain, &quiet, dir, &h, &why) != CMT_OK) {
    return true;
  }
  if (cmt_home_load_chain_id(h, &network, NULL) == CMT_OK &&
      strcmp(o->chain_id, network) != 0) {
    cli_fail("--chain-id '%s': the home has the network '%s'", o->chain_id,
             network);
    has = false;
  }
  cmt_home_delete(h);
  return has;
}

/* Loads the id and the network of the home |h| and prints all of it. */
static int tell(const cli_options *o, cmt_home *h, const init_files *files,
                cmt_why *why) {
  const char *network;
  cmt_node_key *key;
  cmt_node_id id;
  cmt_err err = cmt_home_load_chain_id(h, &network, why);

  if (err == CMT_OK) {
    err = cmt_home_load_key(h, &key, why);
  }
  if (err != CMT_OK) {
    return cli_fail("%s", why->text);
  }
  cmt_node_key_get_id(key, &id);
  cmt_node_key_delete(key);
  return print_home(o, files, id.text, network);
}

static int make(const cli_options *o, const cmt_env *env, const char *dir,
                init_files *files) {
  cli_options plain = *o; /* What the files say, without --chain-id. */
  cmt_home_init_options options;
  cmt_home *h;
  cmt_why why;
  cmt_err err;
  int code;

  cmt_home_init_options_init(&options);
  options.env = env;
  options.dir = dir;
  options.chain_id = o->chain_id;
  options.moniker = o->moniker_given ? o->moniker : NULL;
  options.seeds = o->seeds;
  options.environment = (const char *const *)environ;
  options.env_prefix = o->env_prefix;
  options.on_file = on_file;
  options.arg = files;
  plain.chain_id = NULL;
  if (!has_network(o, &plain, env, dir)) {
    return CLI_FAILED;
  }
  err = cmt_home_init(&options, &why);
  if (err == CMT_OK) {
    err = cli_home_open(&plain, env, dir, &h, &why);
  }
  if (err != CMT_OK) {
    return cli_fail("%s", why.text);
  }
  code = tell(o, h, files, &why);
  cmt_home_delete(h);
  return code;
}

static int init_run(cli_options *o) {
  init_files files;
  const char *dir;
  cmt_env env;
  cmt_why why;
  int code = CLI_FAILED;

  if (o->arg_count > 0) {
    return cli_options_usage(o, "it takes no arguments");
  }
  if (cli_home_env(o, &env, &why) != CMT_OK) {
    return cli_fail("%s", why.text);
  }
  files = (init_files){.made = json_array(), .found = json_array()};
  dir = cli_home_dir(o);
  if (dir != NULL) {
    code = make(o, &env, dir, &files);
  }
  json_decref(files.made);
  json_decref(files.found);
  return code;
}

int cli_init(const cli_verb *verb, int argc, char **argv) {
  cli_options o;
  int code = cli_options_parse(&o, verb, argc, argv);

  if (code == -1) {
    code = init_run(&o);
    cli_options_fini(&o);
  }
  return code;
}
