/* SPDX-License-Identifier: Apache-2.0 */
/* key gen and key show: node key files.  A key never reaches a stream; only
   its id does. */

#include "cli/ui/home.h"

#include <string.h>

static int key_gen(const cli_options *o, const cmt_env *env, const char *file) {
  cmt_node_key *key;
  cmt_why why;
  int code;

  if (cmt_node_key_generate(env, &key) != CMT_OK) {
    return cli_fail("cannot make a key: out of memory");
  }
  if (cmt_node_key_save_new(key, file, &why) == CMT_OK) {
    code = cli_home_print_id(o, key, file);
  } else {
    code = cli_fail("%s", why.text);
  }
  cmt_node_key_delete(key);
  return code;
}

static int key_show(const cli_options *o, const cmt_env *env,
                    const char *file) {
  cmt_node_key *key;
  cmt_why why;
  int code;

  if (cli_options_key(o, env, file, &key, &why) != CMT_OK) {
    return cli_fail("%s", why.text);
  }
  code = cli_home_print_id(o, key, file);
  cmt_node_key_delete(key);
  return code;
}

static int key_run(cli_options *o) {
  const char *what = o->arg_count > 0 ? o->args[0] : "";
  const char *file = o->arg_count > 1 ? o->args[1] : "node_key.json";
  cmt_env env;
  cmt_why why;

  if (o->arg_count > 2) {
    return cli_options_usage(o, "it takes gen or show and one FILE");
  }
  if (cli_home_env(o, &env, &why) != CMT_OK) {
    return cli_fail("%s", why.text);
  }
  if (strcmp(what, "gen") == 0) {
    return key_gen(o, &env, file);
  }
  if (strcmp(what, "show") == 0) {
    return key_show(o, &env, file);
  }
  return cli_options_usage(o, "expected gen or show");
}

int cli_key(const cli_verb *verb, int argc, char **argv) {
  cli_options o;
  int code = cli_options_parse(&o, verb, argc, argv);

  if (code == -1) {
    code = key_run(&o);
    cli_options_fini(&o);
  }
  return code;
}
