/* SPDX-License-Identifier: Apache-2.0 */

/* The file config.toml of a home: where it lies, whether it is one of
   tenderseed, and which of its keys nobody knows. */

#include "home_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLACE_SHOWN = 100, LINE_SIZE = 512, NOT_REGULAR = -1 };

/* ---- lines for people ---- */

void cmt__home_mistake(cmt__home_reading *r, const char *format, ...) {
  char line[LINE_SIZE];
  va_list args;

  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (r->mistakes++ == 0) {
    cmt__why(r->why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "%s", line);
  } else {
    cmt__log(&r->h->env, CMT_LOG_ERROR, "home", "%s", line);
  }
}

void cmt__home_warn(const cmt_home *h, const char *format, ...) {
  char line[LINE_SIZE];
  va_list args;

  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  cmt__log(&h->env, CMT_LOG_WARN, "home", "%s", line);
}

/* The path of the file; of a long one its end, which differs. */
static const char *shown_file(const cmt_home *h, char *out, size_t cap) {
  size_t len = strlen(h->config_file);
  bool cut = len > cap / 2;

  if (!cut) {
    return cmt__quote(cmt_bytes_of(h->config_file), out, cap);
  }
  snprintf(out, cap, "...");
  cmt__quote(cmt_bytes_of(h->config_file + len - cap / 2), out + 3, cap - 3);
  return out;
}

static const char *name_in_file(const cmt_home *h, cmt__home_key_id id) {
  const cmt__home_key *key = &cmt__home_keys[id];

  return h->flat && key->flat != NULL ? key->flat : key->name;
}

void cmt__home_place(const cmt__home_reading *r, cmt__home_key_id id, char *out,
                     size_t cap) {
  const cmt__home_source *source = &r->sources[id];
  char file[PLACE_SHOWN];

  switch (source->origin) {
  case CMT__HOME_FILE:
    snprintf(out, cap, "%s:%u: %s", shown_file(r->h, file, sizeof file),
             source->line, name_in_file(r->h, id));
    break;
  case CMT__HOME_VARIABLE:
    snprintf(out, cap, "variable %s", source->name);
    break;
  case CMT__HOME_OVERRIDE:
  case CMT__HOME_DEFAULT:
    snprintf(out, cap, "%s%s", source->name == NULL ? "--" : "",
             source->name == NULL ? cmt__home_keys[id].name : source->name);
    break;
  }
}

void cmt__home_refuse(cmt__home_reading *r, cmt__home_key_id id,
                      const cmt__home_fault *f) {
  char place[200], found[120];

  cmt__home_place(r, id, place, sizeof place);
  if (f->found[0] != '\0') {
    cmt__home_mistake(r, "%s has '%s', allowed is %s", place, f->found,
                      f->allowed);
  } else {
    cmt__home_given_show(&r->sources[id].given, found, sizeof found);
    cmt__home_mistake(r, "%s is %s, allowed is %s", place, found, f->allowed);
  }
}

/* ---- files ---- */

static cmt_err file_fail(const char *path, int error, cmt_why *why) {
  char quoted[100], text[100];

  return cmt__why(why, CMT_EIO, CMT_STAGE_TRANSPORT, "file '%s': %s",
                  cmt__quote(cmt_bytes_of(path), quoted, sizeof quoted),
                  error == NOT_REGULAR ? "is not a regular file"
                                       : strerror_r(error, text, sizeof text));
}

/* Reads up to |cap| bytes; -1 with errno. */
static ssize_t read_all(int fd, uint8_t *out, size_t cap) {
  size_t len = 0;
  ssize_t got;

  while (len < cap) {
    got = read(fd, out + len, cap - len);
    if (got == 0 || (got < 0 && errno != EINTR)) {
      return got == 0 ? (ssize_t)len : -1;
    }
    len += got > 0 ? (size_t)got : 0;
  }
  return (ssize_t)len;
}

/* Reads the regular file that is open as |fd| to |text|; 0, the error of the
   system, or NOT_REGULAR. */
static int read_open(int fd, uint8_t *text, size_t *len) {
  struct stat st;
  ssize_t got;

  if (fstat(fd, &st) != 0) {
    return errno;
  }
  if (!S_ISREG(st.st_mode)) {
    return S_ISDIR(st.st_mode) ? EISDIR : NOT_REGULAR;
  }
  got = read_all(fd, text, CMT__TOML_SIZE_MAX + 1);
  *len = got > 0 ? (size_t)got : 0;
  return got < 0 ? errno : 0;
}

cmt_err cmt__home_read_file(const cmt_env *env, const char *path,
                            uint8_t **text, size_t *len, cmt_why *why) {
  /* Without O_NONBLOCK the open of a pipe would wait for its writer. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error = errno;

  *text = NULL;
  if (fd < 0) {
    (void)file_fail(path, error, why);
    errno = error;
    return CMT_EIO;
  }
  *text = cmt__alloc(env, CMT__TOML_SIZE_MAX + 1);
  error = *text != NULL ? read_open(fd, *text, len) : ENOMEM;
  close(fd);
  errno = 0;
  if (error == 0) {
    return CMT_OK;
  }
  if (*text == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  cmt__free(env, *text);
  return file_fail(path, error, why);
}

static void unreadable(cmt__home_reading *r, const cmt_why *why) {
  cmt__home_mistake(r, "%s", why->text);
  r->why->err = CMT_EIO;
}

/* Whether nothing is at |path|, by the errno of a call that has failed.  A link
   to a file that is gone, such as one of a disk that is not mounted, is there:
   the defaults would be another node. */
static bool is_absent(const char *path) {
  struct stat at;

  return (errno == ENOENT || errno == ENOTDIR) && lstat(path, &at) != 0;
}

/* Reads |path|; false: there is no such file. */
static bool read_config(cmt__home_reading *r, const char *path) {
  cmt__toml_fault fault;
  char file[PLACE_SHOWN];
  uint8_t *text;
  size_t len = 0;
  cmt_why why;
  cmt_err err;

  r->no_memory = r->no_memory || path == NULL;
  if (path == NULL) {
    return true;
  }
  err = cmt__home_read_file(&r->h->env, path, &text, &len, &why);
  if (err == CMT_EIO && is_absent(path)) {
    return false;
  }
  r->h->config_file = path;
  if (err == CMT_OK) {
    err = cmt__toml_parse(&r->h->env, (cmt_bytes){.base = text, .len = len},
                          &r->h->config, &fault);
    cmt__free(&r->h->env, text);
    if (err == CMT_EINVAL) {
      cmt__home_mistake(r, "%s:%u: %s", shown_file(r->h, file, sizeof file),
                        fault.line, fault.text);
    }
  } else if (err == CMT_EIO) {
    unreadable(r, &why);
  }
  r->no_memory = r->no_memory || err == CMT_ENOMEM;
  return true;
}

/* ---- names ---- */

static const cmt__toml_node *root_of(const cmt_home *h) {
  return h->config != NULL ? &h->config->nodes[0] : NULL;
}

const cmt__toml_node *cmt__home_child(const cmt__toml *t,
                                      const cmt__toml_node *n, cmt_bytes name) {
  const cmt__toml_node *child = cmt__toml_first(t, n);

  while (child != NULL && !cmt__home_same(child->name, name)) {
    child = cmt__toml_next(t, child);
  }
  return child;
}

/* A file of tenderseed has the keys of [p2p] outside of any section. */
static bool is_flat(const cmt_home *h) {
  static const char *const marks[] = {"laddr", "chain_id", "addr_book_file",
                                      "seeds"};
  const cmt__toml_node *root = root_of(h);

  if (root == NULL ||
      cmt__home_child(h->config, root, cmt_bytes_of("p2p")) != NULL) {
    return false;
  }
  for (size_t i = 0; i < CMT__COUNT(marks); i++) {
    if (cmt__home_child(h->config, root, cmt_bytes_of(marks[i])) != NULL) {
      return true;
    }
  }
  return false;
}

/* The file that was asked for has to be there. */
static void read_named(cmt__home_reading *r, const char *path) {
  cmt_why why;

  if (!read_config(r, path)) {
    cmt_ignore(file_fail(path, ENOENT, &why));
    unreadable(r, &why);
  }
}

void cmt__home_read_config(cmt__home_reading *r) {
  const char *named = r->options->config_file;

  if (named != NULL) {
    read_named(r, cmt__home_path(r->h, named));
  } else if (!read_config(r, cmt__home_path(r->h, "config.toml"))) {
    (void)read_config(r, cmt__home_path(r->h, "config/config.toml"));
  }
  r->h->flat = is_flat(r->h);
}

static void warn_unknown(const cmt_home *h, cmt_bytes section,
                         const cmt__toml_node *n) {
  char file[PLACE_SHOWN], name[80], near[80], hint[128] = "";

  cmt__home_key_nearest(section, n->name, h->flat, near, sizeof near);
  if (near[0] != '\0') {
    snprintf(hint, sizeof hint, "; did you mean %s?", near);
  }
  cmt__home_warn(h, "%s:%u: %.*s%s%s is not known and has no effect%s",
                 shown_file(h, file, sizeof file), n->line, (int)section.len,
                 section.len > 0 ? (const char *)section.base : "",
                 section.len > 0 ? "." : "",
                 cmt__quote(n->name, name, sizeof name), hint);
}

/* Two names that differ in the case of letters are one name. */
static void check_twice(cmt__home_reading *r, const cmt__toml_node *parent,
                        const cmt__toml_node *n) {
  const cmt__toml *t = r->h->config;
  const cmt__toml_node *first = cmt__home_child(t, parent, n->name);
  char file[PLACE_SHOWN], name[80];

  if (first != n) {
    cmt__home_mistake(r, "%s:%u: '%s' is already defined, in line %u",
                      shown_file(r->h, file, sizeof file), n->line,
                      cmt__quote(n->name, name, sizeof name), first->line);
  }
}

static void check_section(cmt__home_reading *r, const char *name,
                          const cmt__toml_node *table) {
  cmt_bytes section = cmt_bytes_of(name);
  const cmt__toml *t = r->h->config;
  const cmt__toml_node *n = cmt__toml_first(t, table);

  for (; n != NULL; n = cmt__toml_next(t, n)) {
    bool known = cmt__home_key_find(section, n->name, r->h->flat) != NULL ||
                 cmt__home_key_is_known(section, n->name) ||
                 (section.len == 0 && cmt__home_section_is_known(n->name));

    check_twice(r, table, n);
    if (!known) {
      warn_unknown(r->h, section, n);
    }
  }
}

void cmt__home_check_names(cmt__home_reading *r) {
  static const char *const sections[] = {"p2p", "instrumentation"};
  const cmt__toml_node *root = root_of(r->h);
  char file[PLACE_SHOWN];

  if (root == NULL) {
    return;
  }
  check_section(r, "", root);
  for (size_t i = 0; i < CMT__COUNT(sections); i++) {
    const cmt__toml_node *n =
      cmt__home_child(r->h->config, root, cmt_bytes_of(sections[i]));

    if (n != NULL && n->kind == CMT__TOML_TABLE) {
      check_section(r, sections[i], n);
    } else if (n != NULL) {
      cmt__home_mistake(
        r, "%s:%u: %s is %s, allowed is the table [%s]",
        shown_file(r->h, file, sizeof file), n->line, sections[i],
        n->kind == CMT__TOML_ARRAY ? "a list" : "a value", sections[i]);
    }
  }
}
