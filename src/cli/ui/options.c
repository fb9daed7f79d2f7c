/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments of a verb: its options by their table, and what they mean
   together.  A bad value yields one line that names the option, what was found
   and what is allowed. */

#include "option_rows.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  OPTION_HELP = 256, /* What getopt() returns; all letters are less. */
  OPTION_FIRST,      /* The first row has it, the next one more. */
  USAGE_SIZE = 1024,
};

int cli_options_usage(const cli_options *o, const char *format, ...) {
  char line[USAGE_SIZE], end[64];
  size_t len = (size_t)snprintf(line, sizeof line, "%s: ", o->verb);
  va_list args;

  snprintf(end, sizeof end, " (see cometp2p %s --help)", o->verb);
  va_start(args, format);
  vsnprintf(line + len, sizeof line - len - strlen(end), format, args);
  va_end(args);
  memcpy(line + strlen(line), end, strlen(end) + 1);
  cli_complain("cometp2p %s", line);
  return CLI_USAGE;
}

static void print_row(FILE *to, const cli_option_row *row) {
  char left[40];
  const char *help = row->help;

  snprintf(left, sizeof left, "--%s %s", row->name,
           row->value == NULL ? "" : row->value);
  if (strlen(left) <= 26) {
    fprintf(to, "  %-26s ", left);
  } else { /* Its help begins below it. */
    fprintf(to, "  %s\n%29s", left, "");
  }
  for (; *help != '\0'; help++) {
    fputc(*help, to);
    if (*help == '\n') {
      fprintf(to, "%29s", "");
    }
  }
  fputc('\n', to);
}

int cli_options_help(const cli_verb *verb) {
  cli_page page;

  cli_page_open(&page);
  fprintf(page.file, "usage: cometp2p %s %s\n\n%s\n\noptions:\n", verb->name,
          verb->usage, verb->help);
  for (size_t i = 0; i < cli_option_row_count; i++) {
    if ((cli_option_rows[i].verbs & verb->bit) != 0) {
      print_row(page.file, &cli_option_rows[i]);
    }
  }
  fprintf(page.file, "  %-26s %s\n", "--help", "this text");
  return cli_page_write(&page, STDOUT_FILENO);
}

static void long_options(const cli_verb *verb, struct option *out) {
  size_t count = 0;

  for (size_t i = 0; i < cli_option_row_count; i++) {
    if ((cli_option_rows[i].verbs & verb->bit) != 0) {
      out[count++] = (struct option){
        .name = cli_option_rows[i].name,
        .has_arg =
          cli_option_rows[i].value == NULL ? no_argument : required_argument,
        .val = OPTION_FIRST + (int)i,
      };
    }
  }
  out[count++] = (struct option){.name = "help", .val = OPTION_HELP};
  out[count] = (struct option){0};
}

static int bad_value(const cli_options *o, const cli_option_row *row,
                     const char *value) {
  char shown[160];

  if (row->value == NULL) {
    return cli_options_usage(o, "--%s: %s", row->name, o->fault);
  }
  cmt_text_escape(cmt_bytes_of(value), shown, sizeof shown);
  return cli_options_usage(o, "--%s '%s': %s", row->name, shown, o->fault);
}

static int bad_option(const cli_options *o, int what, const char *word) {
  char shown[160], letter[] = {'-', (char)optopt, '\0'};

  /* The word of a letter is not known: more may follow in the same. */
  if (what == '?' && optopt != 0 && optopt < OPTION_HELP) {
    word = letter;
  }
  cmt_text_escape(cmt_bytes_of(word), shown, sizeof shown);
  return cli_options_usage(
    o, what == ':' ? "%s needs a value" : "unknown option '%s'", shown);
}

typedef int options_get(int argc, char *const *argv, const char *letters,
                        const struct option *longs, int *at);

static int parse_longs(cli_options *o, const cli_verb *verb, int argc,
                       char **argv, const struct option *longs) {
  /* tenderseed takes its options with one dash too. */
  options_get *get =
    (verb->bit & CLI_HOMES) != 0 ? getopt_long_only : getopt_long;
  const cli_option_row *row;
  int what;

  opterr = 0;
  optind = 1;
  while ((what = get(argc, argv, ":h", longs, NULL)) != -1) {
    if (what == OPTION_HELP || what == 'h') {
      return cli_options_help(verb);
    }
    if (what == ':' || what == '?') {
      return bad_option(o, what, argv[optind - 1]);
    }
    row = &cli_option_rows[what - OPTION_FIRST];
    if (!cli_option_set(o, row, optarg)) {
      return bad_value(o, row, optarg);
    }
  }
  o->args = argv + optind;
  o->arg_count = (size_t)(argc - optind);
  return -1;
}

static int parse_all(cli_options *o, const cli_verb *verb, int argc,
                     char **argv) {
  struct option *longs = cli_alloc(cli_option_row_count + 2, sizeof *longs);
  int code;

  long_options(verb, longs);
  code = parse_longs(o, verb, argc, argv, longs);
  free(longs);
  return code;
}

static int check_times(cli_options *o) {
  uint64_t interval_ns =
    o->ping_interval_ns == 0 ? CMT_SECONDS(60) : o->ping_interval_ns;

  if (o->pong_timeout_ns >= interval_ns) {
    return cli_options_usage(
      o,
      "--pong-timeout: %llu ms is not shorter than the ping interval of "
      "%llu ms",
      (unsigned long long)(o->pong_timeout_ns / CMT_MILLISECONDS(1)),
      (unsigned long long)(interval_ns / CMT_MILLISECONDS(1)));
  }
  if (o->ping_interval_ns != 0 && o->pong_timeout_ns == 0) {
    o->pong_timeout_ns =
      o->ping_interval_ns / 4 * 3 + o->ping_interval_ns % 4 * 3 / 4;
    /* An interval of one nanosecond has no shorter timeout but 0. */
    if (o->pong_timeout_ns == 0) {
      return cli_options_usage(o, "--ping-interval: it is too short");
    }
  }
  return -1;
}

/* The texts of our node info have to fit into one with the rest of it. */
static int check_texts(cli_options *o) {
  size_t len = strlen(o->moniker) + strlen(o->network);

  if (len > CLI_TEXTS_MAX) {
    return cli_options_usage(
      o, "--moniker and --network have %zu bytes together: at most %d", len,
      CLI_TEXTS_MAX);
  }
  return -1;
}

static void default_channels(cli_options *o) {
  o->channels_given = o->channel_count > 0;
  if (!o->channels_given) {
    cli_parse_channel(o, "0x40:1=files");
    cli_parse_channel(o, "0x50:10=lines");
  }
  for (size_t i = 0; i < o->channel_count; i++) {
    if (o->roles[i] == CLI_ROLE_NONE) {
      o->roles[i] =
        o->bare_role == CLI_ROLE_NONE ? CLI_ROLE_DISCARD : o->bare_role;
    }
  }
}

int cli_options_parse(cli_options *o, const cli_verb *verb, int argc,
                      char **argv) {
  int code;

  *o = (cli_options){
    .verb = verb->name,
    .network = "cometp2p",
    .moniker = "cometp2p",
    .log_level = CMT_LOG_WARN,
    .inbound_max = 40,
    .handshakes_per_ip_max = CLI_HANDSHAKES_PER_IP,
    .pings = 3,
  };
  o->dials = cli_alloc((size_t)argc, sizeof *o->dials);
  o->friends = cli_alloc((size_t)argc, sizeof *o->friends);
  o->homes = cli_alloc((size_t)argc, sizeof *o->homes);
  o->values = cli_alloc((size_t)argc, sizeof *o->values);
  code = parse_all(o, verb, argc, argv);
  if (code == -1) {
    code = check_times(o);
  }
  if (code == -1) {
    code = check_texts(o);
  }
  if (code != -1) {
    cli_options_fini(o);
    return code;
  }
  if (o->wire == CMT_WIRE_LEGACY && !o->pings_given) {
    o->pings = 1;
  }
  default_channels(o);
  return -1;
}

void cli_options_fini(cli_options *o) {
  free(o->dials);
  free(o->friends);
  free(o->default_home);
  free(o->homes);
  free(o->values);
  o->default_home = NULL;
  o->homes = NULL;
  o->values = NULL;
  o->dials = NULL;
  o->friends = NULL;
}

bool cli_options_allow(const cli_options *o, const cmt_node_id *id) {
  for (size_t i = 0; i < o->friend_count; i++) {
    if (cmt_node_id_equal(&o->friends[i], id)) {
      return true;
    }
  }
  return !o->friends_only;
}

cmt_err cli_options_key(const cli_options *o, const cmt_env *env,
                        const char *file, cmt_node_key **out, cmt_why *why) {
  return o->strict_key ? cmt_node_key_load_private(env, file, out, why)
                       : cmt_node_key_load(env, file, out, why);
}

size_t cli_options_find(const cli_options *o, cli_role role) {
  size_t i = 0;

  while (i < o->channel_count && o->roles[i] != role) {
    i++;
  }
  return i;
}
