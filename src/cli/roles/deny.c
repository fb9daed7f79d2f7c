/* SPDX-License-Identifier: Apache-2.0 */

/* The whole file is parsed before the switch hears of any line, so that a file
   that cannot be used changes nothing, and a line that stays is banned all the
   time. */

#include "deny.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINES_MAX = CMT_BANS_MAX / 2, FILE_MAX = 1 << 20 };

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

enum { FAULT_SIZE = 192, SHOWN_SIZE = 100 };

/* Adds the subject of a line, if it has one.  False: |fault| says what is
   wrong. */
static bool line_add(cli_deny *d, char *line, size_t len,
                     char fault[FAULT_SIZE]) {
  char shown[SHOWN_SIZE];
  const char *subject;
  cmt_ban one;

  if (strlen(line) != len) {
    snprintf(fault, FAULT_SIZE, "it has the character 0");
    return false;
  }
  subject = line_trim(line);
  if (*subject == '\0') {
    return true;
  }
  cmt_ban_init(&one);
  one.duration_ns = CMT_NEVER;
  if (cmt_ban_set_subject(&one, subject, NULL) != CMT_OK) {
    cmt_text_escape(cmt_bytes_of(subject), shown, sizeof shown);
    snprintf(fault, FAULT_SIZE,
             "'%s' is no node id, IP address, or range such as 10.0.0.0/8",
             shown);
    return false;
  }
  if (d->count == LINES_MAX) {
    snprintf(fault, FAULT_SIZE, "there are more than %d lines", LINES_MAX);
    return false;
  }
  d->list = cli_realloc(d->list, (d->count + 1) * sizeof *d->list);
  d->list[d->count++] = one;
  return true;
}

/* False: |why| says that the file is none to use. */
static bool fail(cmt_why *why, const char *path, const char *text) {
  snprintf(why->text, sizeof why->text, "--deny %s: %s", path, text);
  return false;
}

static bool read_all(cli_deny *d, const char *path, FILE *file, cmt_why *why) {
  char fault[FAULT_SIZE], *line = NULL;
  size_t cap = 0;
  unsigned number = 0;
  bool well = true;
  ssize_t len;

  while (well && (len = getline(&line, &cap, file)) >= 0) {
    number++;
    well = line_add(d, line, (size_t)len, fault);
  }
  if (!well) {
    snprintf(why->text, sizeof why->text, "%s:%u: %s", path, number, fault);
  } else if (!feof(file)) {
    well = fail(why, path, strerror(errno));
  }
  free(line);
  return well;
}

/* A pipe might never end, and keep the signals waiting. */
static bool is_usable(int fd, const char *path, cmt_why *why) {
  struct stat st;

  if (fstat(fd, &st) != 0) {
    return fail(why, path, strerror(errno));
  }
  if (!S_ISREG(st.st_mode)) {
    return fail(why, path,
                S_ISDIR(st.st_mode) ? strerror(EISDIR)
                                    : "is not a regular file");
  }
  return st.st_size <= FILE_MAX || fail(why, path, "is over 1 MiB");
}

static bool file_read(cli_deny *d, const char *path, cmt_why *why) {
  /* Without O_NONBLOCK the open of a pipe would wait for its writer. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  FILE *file;
  bool well;

  if (fd < 0) {
    return fail(why, path, strerror(errno));
  }
  if (!is_usable(fd, path, why)) {
    close(fd);
    return false;
  }
  file = fdopen(fd, "r");
  if (file == NULL) {
    well = fail(why, path, strerror(errno));
    close(fd);
    return well;
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
