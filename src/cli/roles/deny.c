/* SPDX-License-Identifier: Apache-2.0 */

#include "deny.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 256 };

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

static bool add(cli_deny *d, const char *subject) {
  size_t size = (d->count + 1) * sizeof *d->list;

  if (d->count == CMT_BANS_MAX / 2) {
    return false;
  }
  d->list = cli_realloc(d->list, size);
  memcpy(d->list[d->count++], subject, strlen(subject) + 1);
  return true;
}

/* Whether the library takes it as a subject: a switch that does not run is not
   needed to find that out. */
static bool is_subject(cmt_switch *sw, const char *subject, cmt_why *why) {
  return cmt_switch_unban(sw, subject, why) != CMT_EINVAL &&
         strlen(subject) < CMT_BAN_TEXT_SIZE;
}

static bool read_all(cli_deny *d, const char *path, FILE *file,
                     cmt_switch *sw) {
  char line[LINE_MAX_BYTES];

  for (unsigned number = 1; fgets(line, sizeof line, file) != NULL; number++) {
    char *subject = line_trim(line);
    cmt_why why;

    if (*subject == '\0') {
      continue;
    }
    if (!is_subject(sw, subject, &why)) {
      cli_fail("%s:%u: %s", path, number, why.text);
      return false;
    }
    if (!add(d, subject)) {
      cli_fail("%s:%u: there are more than %d lines", path, number,
               CMT_BANS_MAX / 2);
      return false;
    }
  }
  return true;
}

static void ban_all(const cli_deny *d, cmt_switch *sw) {
  for (size_t i = 0; i < d->count; i++) {
    cmt_ban ban;

    cmt_ban_init(&ban);
    ban.duration_ns = CMT_NEVER;
    snprintf(ban.subject, sizeof ban.subject, "%s", d->list[i]);
    cmt_ignore(cmt_switch_ban(sw, &ban, NULL));
  }
}

bool cli_deny_load(cli_deny *d, const char *path, cmt_switch *sw) {
  cli_deny fresh = {NULL, 0};
  FILE *file = fopen(path, "re");
  bool well;

  if (file == NULL) {
    cli_fail("%s: %s", path, strerror(errno));
    return false;
  }
  well = read_all(&fresh, path, file, sw);
  (void)fclose(file);
  if (!well) {
    ban_all(d, sw);
    cli_deny_fini(&fresh);
    return false;
  }
  for (size_t i = 0; i < d->count; i++) {
    cmt_ignore(cmt_switch_unban(sw, d->list[i], NULL));
  }
  cli_deny_fini(d);
  *d = fresh;
  ban_all(d, sw);
  return true;
}

void cli_deny_fini(cli_deny *d) {
  free(d->list);
  *d = (cli_deny){NULL, 0};
}
