/* SPDX-License-Identifier: Apache-2.0 */

#include "log.h"

#include "go_json.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MESSAGE_WIDTH = 44 };

/* ---- levels ---- */

static const struct {
  const char *name;
  int level;
} names[] = {
  {"debug", CMT_LOG_DEBUG}, {"info", CMT_LOG_INFO}, {"warn", CMT_LOG_WARN},
  {"error", CMT_LOG_ERROR}, {"none", CLI_LOG_NONE},
};

static bool level_read(const char *text, size_t len, int *out) {
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strlen(names[i].name) == len && memcmp(names[i].name, text, len) == 0) {
      *out = names[i].level;
      return true;
    }
  }
  return false;
}

static bool refuse(char *fault, const char *text, size_t len) {
  snprintf(fault, CLI_LOG_FAULT_SIZE,
           "'%.*s' is no level: expected debug, info, warn, error or none, or "
           "module:level with commas between and *:level for the rest",
           (int)(len < 40 ? len : 40), text);
  return false;
}

static bool item_read(const char *text, size_t len, cli_log_levels *out) {
  const char *colon = memchr(text, ':', len);
  size_t name = colon != NULL ? (size_t)(colon - text) : 0;
  int level;

  if (name == 0 || name >= CLI_LOG_MODULE_SIZE ||
      !level_read(colon + 1, len - name - 1, &level)) {
    return false;
  }
  if (name == 1 && text[0] == '*') {
    out->rest = level;
    return true;
  }
  if (out->count == CLI_LOG_MODULES_MAX) {
    return false;
  }
  memcpy(out->of[out->count].module, text, name);
  out->of[out->count].module[name] = '\0';
  out->of[out->count++].level = level;
  return true;
}

/* The rest of a list is at info unless it says otherwise. */
bool cli_log_levels_parse(const char *text, cli_log_levels *out, char *fault) {
  memset(out, 0, sizeof *out);
  out->rest = CMT_LOG_INFO;
  if (level_read(text, strlen(text), &out->rest)) {
    return true;
  }
  while (true) {
    size_t len = strcspn(text, ",");

    if (!item_read(text, len, out)) {
      return refuse(fault, text, len);
    }
    if (text[len] == '\0') {
      return true;
    }
    text += len + 1;
  }
}

bool cli_log_levels_show(const cli_log_levels *l, cmt_log_level level,
                         const char *module) {
  int most = l->rest;

  for (size_t i = 0; i < l->count; i++) {
    if (strcmp(l->of[i].module, module) == 0) {
      most = l->of[i].level;
    }
  }
  return (int)level <= most;
}

/* ---- modules ---- */

/* |a| and |b| differ by a letter that was added, left out, or changed with its
   neighbour, or by their case; in a name of three letters another letter may
   well be another name. */
static bool is_misspelled(const char *a, const char *b) {
  size_t len = strlen(a), front = 0, back = 0, rest, other;

  while (a[front] != '\0' && a[front] == b[front]) {
    front++;
  }
  while (back < len - front && back < strlen(b) - front &&
         a[len - 1 - back] == b[strlen(b) - 1 - back]) {
    back++;
  }
  rest = len - front - back;
  other = strlen(b) - front - back;
  return rest + other == 1 || (rest == 1 && other == 1 && len > 3) ||
         (rest == 2 && other == 2 && a[front] == b[front + 1] &&
          a[front + 1] == b[front]) ||
         (rest + other > 0 && strcasecmp(a, b) == 0);
}

const char *cli_log_module_meant(const char *module) {
  static const char *const ours[] = {"p2p", "pex", "main", "home", "node_key"};
  const char *meant = NULL;

  for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
    if (strcmp(ours[i], module) == 0) {
      return NULL;
    }
    if (is_misspelled(module, ours[i])) {
      meant = ours[i];
    }
  }
  return meant;
}

/* ---- lines ---- */

static void plain_value(FILE *to, const cli_log_pair *p) {
  if (p->text == NULL) {
    fprintf(to, "%lld", (long long)p->number);
    return;
  }
  if (strpbrk(p->text, " =\"\n\t") == NULL) {
    fputs(p->text, to);
    return;
  }
  fputc('"', to);
  for (const char *c = p->text; *c != '\0'; c++) {
    if (*c == '"' || *c == '\\') {
      fputc('\\', to);
    }
    if (*c == '\n' || *c == '\t') {
      fputs(*c == '\n' ? "\\n" : "\\t", to);
    } else {
      fputc(*c, to);
    }
  }
  fputc('"', to);
}

static char *format_plain(const struct timespec *now, const cli_log_record *r) {
  static const char letters[] = {[CMT_LOG_ERROR] = 'E',
                                 [CMT_LOG_WARN] = 'W',
                                 [CMT_LOG_INFO] = 'I',
                                 [CMT_LOG_DEBUG] = 'D'};
  char *text = NULL;
  size_t len = 0;
  FILE *file = open_memstream(&text, &len);
  struct tm t;

  if (file == NULL) {
    return NULL;
  }
  localtime_r(&now->tv_sec, &t);
  fprintf(file, "%c[%04d-%02d-%02d|%02d:%02d:%02d.%03ld] %-*s module=%s ",
          letters[r->level], t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
          t.tm_hour, t.tm_min, t.tm_sec, now->tv_nsec / 1000000, MESSAGE_WIDTH,
          r->message, r->module);
  for (size_t i = 0; i < r->count; i++) {
    fprintf(file, "%s%s=", i > 0 ? " " : "", r->pairs[i].key);
    plain_value(file, &r->pairs[i]);
  }
  if (fclose(file) != 0) {
    free(text);
    return NULL;
  }
  return text;
}

static char *format_json(const struct timespec *now, const cli_log_record *r) {
  static const char *const levels[] = {
    [CMT_LOG_ERROR] = "error",
    [CMT_LOG_WARN] = "warn",
    [CMT_LOG_INFO] = "info",
    [CMT_LOG_DEBUG] = "debug",
  };
  char ts[48];
  struct tm t;
  json_t *all;

  gmtime_r(&now->tv_sec, &t);
  snprintf(ts, sizeof ts, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ",
           t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min,
           t.tm_sec, now->tv_nsec);
  all = json_pack("{s:s, s:s, s:s, s:s}", "_msg", r->message, "level",
                  levels[r->level], "module", r->module, "ts", ts);
  for (size_t i = 0; i < r->count; i++) {
    const cli_log_pair *p = &r->pairs[i];

    json_object_set_new(all, p->key,
                        p->text != NULL ? json_string(p->text)
                                        : json_integer(p->number));
  }
  return cli_go_json(all, JSON_SORT_KEYS);
}

char *cli_log_format(bool json, const struct timespec *now,
                     const cli_log_record *r) {
  return json ? format_json(now, r) : format_plain(now, r);
}

void cli_log_write(const cli_log *l, const cli_log_record *r) {
  struct timespec now;
  char *text;

  if (!cli_log_levels_show(&l->levels, r->level, r->module)) {
    return;
  }
  clock_gettime(CLOCK_REALTIME, &now);
  text = cli_log_format(l->json, &now, r);
  if (text != NULL) {
    cli_output_line(l->out, text, strlen(text), NULL);
    free(text);
  }
}

/* The switch is "p2p" in CometBFT. */
void cli_log_hook(void *arg, cmt_log_level level, const char *module,
                  const char *line) {
  cli_log_write(arg, &(cli_log_record){
                       .level = level,
                       .module = strcmp(module, "switch") == 0 ? "p2p" : module,
                       .message = line,
                     });
}
