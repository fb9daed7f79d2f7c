/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LOG_H
#define CLI_LOG_H

/* The log of a verb that works like a daemon, in CometBFT's two forms and with
   its levels for each module, on standard output.  docs/PROTOCOL.md 16. */

#include "cli.h"

#include <time.h>

enum {
  CLI_LOG_MODULES_MAX = 16, /* With a level of their own. */
  CLI_LOG_MODULE_SIZE = 32,
  CLI_LOG_NONE = -1, /* Silences a module; below every level. */
};

/* Levels as |log_level| of a configuration: one for all, or "module:level" with
   commas between, and "*:level" for the rest. */
typedef struct cli_log_levels {
  int rest; /* A cmt_log_level or CLI_LOG_NONE, here and below. */
  size_t count;
  struct {
    char module[CLI_LOG_MODULE_SIZE];
    int level;
  } of[CLI_LOG_MODULES_MAX];
} cli_log_levels;

/* False: |fault|, of CLI_LOG_FAULT_SIZE bytes, says what is wrong. */
enum { CLI_LOG_FAULT_SIZE = 160 };
bool cli_log_levels_parse(const char *text, cli_log_levels *out, char *fault);
bool cli_log_levels_show(const cli_log_levels *l, cmt_log_level level,
                         const char *module);

/* The module of ours that |module| is most likely a misspelling of; NULL: it is
   one, or any other, which CometBFT may have. */
const char *cli_log_module_meant(const char *module);

typedef struct cli_log {
  cli_log_levels levels;
  bool json;
  cli_output *out;
} cli_log;

/* A pair of a line; |text| NULL: |number|. */
typedef struct cli_log_pair {
  const char *key, *text;
  int64_t number;
} cli_log_pair;

typedef struct cli_log_record {
  cmt_log_level level;
  const char *module, *message;
  const cli_log_pair *pairs;
  size_t count;
} cli_log_record;

/* Writes a line as of now, unless its level is not shown. */
void cli_log_write(const cli_log *l, const cli_log_record *r);
/* cli_log_write() with one or more pairs. */
#define CLI_LOG(l, level_, module_, message_, ...)                             \
  cli_log_write((l), &(cli_log_record){                                        \
                       .level = (level_),                                      \
                       .module = (module_),                                    \
                       .message = (message_),                                  \
                       .pairs = (const cli_log_pair[]){__VA_ARGS__},           \
                       .count = sizeof((const cli_log_pair[]){__VA_ARGS__}) /  \
                                sizeof(cli_log_pair)})

/* The hook of an environment; |arg| is a cli_log. */
void cli_log_hook(void *arg, cmt_log_level level, const char *module,
                  const char *line);

/* The line at |now|, without its end; the caller frees it. */
char *cli_log_format(bool json, const struct timespec *now,
                     const cli_log_record *r);

#endif
