/* SPDX-License-Identifier: Apache-2.0 */
/* version: the versions of the command and its libraries. */

#include "cli/ui/options.h"

#include <jansson.h>
#include <unistd.h>

enum { LIBRARIES_MAX = 16 };

/* The libraries of cometp2p itself, and what the command has besides. */
static size_t libraries(cmt_library *out) {
  size_t count = cmt_libraries(out, LIBRARIES_MAX - 1);

  count = count < LIBRARIES_MAX - 1 ? count : LIBRARIES_MAX - 1;
  out[count] = (cmt_library){"jansson", jansson_version_str()};
  return count + 1;
}

static int print_json(const char *aead) {
  cmt_library libs[LIBRARIES_MAX];
  size_t count = libraries(libs);
  json_t *table = json_object();
  cli_page page;
  json_t *line;

  for (size_t i = 0; i < count; i++) {
    json_object_set_new(table, libs[i].name, json_string(libs[i].version));
  }
  line = json_pack("{s:s, s:s, s:[ss], s:s, s:o}", "event", "version",
                   "version", cmt_version(), "profiles", "cometbft", "legacy",
                   "aead", aead, "libraries", table);
  cli_page_open(&page);
  json_dumpf(line, page.file, JSON_COMPACT | JSON_ENSURE_ASCII);
  json_decref(line);
  fputc('\n', page.file);
  return cli_page_write(&page, STDOUT_FILENO);
}

static int print_text(const char *aead) {
  cmt_library libs[LIBRARIES_MAX];
  size_t count = libraries(libs);
  cli_page page;

  cli_page_open(&page);
  fprintf(page.file,
          "cometp2p %s\nprofiles: cometbft, legacy\naead: %s\nlibraries:",
          cmt_version(), aead);
  for (size_t i = 0; i < count; i++) {
    fprintf(page.file, "%s %s %s", i == 0 ? "" : ",", libs[i].name,
            libs[i].version);
  }
  fputc('\n', page.file);
  return cli_page_write(&page, STDOUT_FILENO);
}

int cli_version(const cli_verb *verb, int argc, char **argv) {
  cli_options o;
  int code = cli_options_parse(&o, verb, argc, argv);
  cmt_env env;
  cmt_why why;

  if (code != -1) {
    return code;
  }
  if (o.arg_count > 0) {
    code = cli_options_usage(&o, "it takes no arguments");
  } else if (cli_env_system(&env, &why) != CMT_OK) {
    code = cli_fail("%s", why.text);
  } else {
    code = (o.json ? print_json : print_text)(cmt_env_aead(&env));
  }
  cli_options_fini(&o);
  return code;
}
