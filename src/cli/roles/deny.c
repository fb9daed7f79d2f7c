/* SPDX-License-Identifier: Apache-2.0 */

/* The whole file is parsed before the switch hears of any line, so that a file
   that cannot be used changes nothing, and a line that stays is banned all the
   time. */

#include "deny.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = CMT_BANS_MAX / 2 };

/* ---- subjects ---- */

static bool has(const cli_deny *d, const cmt_ban *one) {
  for (size_t i = 0; i < d->count; i++) {
    if (strcmp(d->list[i].subject, one->subject) == 0) {
      return true;
    }
  }
  return false;
}

/* ---- the file ---- */

/* The subject of a line, without blanks and comment; "": it has none. */
static char *line_trim(char *line) {
  char *end;

  line[strcspn(line, "#\r\n")] = '\0';
  while (isspace((unsigned char)*line)) {
    line++;
  }
  end = line + strlen(line);
  while (end > line && isspace((unsigned char)end[-1])) {
    *--end = '\0';
  }
  return line;
}

/* Adds the subject of a line, if it has one.  False: |fault| says what is
   wrong. */
static bool line_add(cli_deny *d, char *line, cmt_why *fault) {
  const char *subject = line_trim(line);
  cmt_ban one;

  if (*subject == '\0') {
    return true;
  }
  cmt_ban_init(&one);
  one.duration_ns = CMT_NEVER;
  if (cmt_ban_set_subject(&one, subject, fault) != CMT_OK) {
    return false;
  }
  if (d->count == LINES_MAX) {
    snprintf(fault->text, sizeof fault->text, "there are more than %d lines",
             LINES_MAX);
    return false;
  }
  d->list = cli_realloc(d->list, (d->count + 1) * sizeof *d->list);
  d->list[d->count++] = one;
  return true;
}

static bool read_all(cli_deny *d, const char *path, FILE *file, cmt_why *why) {
  cmt_why fault;
  char *line = NULL;
  size_t cap = 0;
  unsigned number = 0;
  bool well = true;

  while (well && getline(&line, &cap, file) >= 0) {
    number++;
    well = line_add(d, line, &fault);
  }
  if (!well) {
    snprintf(why->text, sizeof why->text, "%s:%u: %.192s", path, number,
             fault.text);
  } else if (!feof(file)) {
    snprintf(why->text, sizeof why->text, "%s: %s", path, strerror(errno));
    well = false;
  }
  free(line);
  return well;
}

static bool file_read(cli_deny *d, const char *path, cmt_why *why) {
  FILE *file = fopen(path, "re");
  bool well;

  if (file == NULL) {
    snprintf(why->text, sizeof why->text, "%s: %s", path, strerror(errno));
    return false;
  }
  well = read_all(d, path, file, why);
  (void)fclose(file);
  return well;
}

/* ---- bans ---- */

/* Ends the bans of the first |count| that |kept| has not. */
static void unban(const cli_deny *d, size_t count, const cli_deny *kept,
                  cmt_switch *sw) {
  for (size_t i = 0; i < count; i++) {
    if (!has(kept, &d->list[i])) {
      cmt_ignore(cmt_switch_unban(sw, d->list[i].subject, NULL));
    }
  }
}

/* Bans all of |fresh| while |d| is banned; false: only |d| is. */
static bool ban_new(const cli_deny *fresh, const cli_deny *d, cmt_switch *sw,
                    cmt_why *why) {
  for (size_t i = 0; i < fresh->count; i++) {
    if (cmt_switch_ban(sw, &fresh->list[i], why) != CMT_OK) {
      unban(fresh, i, d, sw);
      return false;
    }
  }
  return true;
}

bool cli_deny_load(cli_deny *d, const char *path, cmt_switch *sw,
                   cmt_why *why) {
  cli_deny fresh = {NULL, 0};

  if (!file_read(&fresh, path, why) || !ban_new(&fresh, d, sw, why)) {
    cli_deny_fini(&fresh);
    return false;
  }
  unban(d, d->count, &fresh, sw);
  cli_deny_fini(d);
  *d = fresh;
  return true;
}

void cli_deny_fini(cli_deny *d) {
  free(d->list);
  *d = (cli_deny){NULL, 0};
}
