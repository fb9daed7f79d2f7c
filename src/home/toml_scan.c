/* SPDX-License-Identifier: Apache-2.0 */

/* Blanks, comments, names and strings of TOML.  What is kept is never longer
   than what it was written as, so that memory for the length of the file is
   enough for all of it. */

#include "toml_scan.h"

#include <stdarg.h>

bool cmt__toml_fail(cmt__toml_scan *s, const char *format, ...) {
  va_list args;

  if (s->fault->line == 0) {
    s->fault->line = s->line;
    va_start(args, format);
    vsnprintf(s->fault->text, sizeof s->fault->text, format, args);
    va_end(args);
    cmt__line_clean(s->fault->text);
  }
  return false;
}

void cmt__toml_keep(cmt__toml_scan *s, const void *data, size_t len) {
  cmt__toml *t = s->doc;

  CMT_ASSERT(&t->env, len <= t->texts_cap - t->texts_len);
  memcpy(t->texts + t->texts_len, data, len);
  t->texts_len += len;
}

cmt_bytes cmt__toml_kept(cmt__toml_scan *s, size_t begin) {
  cmt_bytes kept = {.base = (const uint8_t *)s->doc->texts + begin,
                    .len = s->doc->texts_len - begin};

  cmt__toml_keep(s, "", 1);
  return kept;
}

/* ---- characters ---- */

/* How many bytes the character here has; 0: it is no character of UTF-8. */
static size_t char_len(const cmt__toml_scan *s) {
  /* By length, the least character that needs so many bytes. */
  static const uint32_t least[] = {[2] = 0x80, [3] = 0x800, [4] = 0x10000};
  const uint8_t *at = s->at;
  size_t len = *at < 0x80             ? 1
               : (*at & 0xe0) == 0xc0 ? 2
               : (*at & 0xf0) == 0xe0 ? 3
               : (*at & 0xf8) == 0xf0 ? 4
                                      : 0;
  uint32_t code;

  if (len < 2 || len > (size_t)(s->end - at)) {
    return len == 1 ? 1 : 0;
  }
  code = *at & (0x7fU >> len);
  for (size_t i = 1; i < len; i++) {
    if ((at[i] & 0xc0) != 0x80) {
      return 0;
    }
    code = code << 6 | (at[i] & 0x3fU);
  }
  return code < least[len] || code > 0x10ffff ||
             (code >= 0xd800 && code <= 0xdfff)
           ? 0
           : len;
}

/* The length of the character here, which may stand in a string or a comment;
   0: it may not. */
static size_t plain_char(cmt__toml_scan *s) {
  size_t len = char_len(s);

  if (len == 0) {
    cmt__toml_fail(s, "the byte 0x%02x is not UTF-8", *s->at);
  } else if ((*s->at < 0x20 && *s->at != '\t') || *s->at == 0x7f) {
    cmt__toml_fail(s, "the control character 0x%02x is not allowed here",
                   *s->at);
    len = 0;
  }
  return len;
}

/* Steps over the end of a line; false: there is none. */
static bool newline(cmt__toml_scan *s) {
  if (s->end - s->at >= 2 && s->at[0] == '\r' && s->at[1] == '\n') {
    s->at++;
  }
  if (!cmt__toml_accept(s, '\n')) {
    return false;
  }
  s->line++;
  return true;
}

void cmt__toml_blanks(cmt__toml_scan *s) {
  while (s->at < s->end && (*s->at == ' ' || *s->at == '\t')) {
    s->at++;
  }
}

static bool at_newline(const cmt__toml_scan *s) {
  return cmt__toml_peek(s) == '\n' ||
         (s->end - s->at >= 2 && s->at[0] == '\r' && s->at[1] == '\n');
}

static bool comment(cmt__toml_scan *s) {
  if (!cmt__toml_accept(s, '#')) {
    return true;
  }
  while (s->at < s->end && !at_newline(s)) {
    size_t len = plain_char(s);

    if (len == 0) {
      return false;
    }
    s->at += len;
  }
  return true;
}

bool cmt__toml_line_end(cmt__toml_scan *s) {
  const uint8_t *at;
  char found[40];

  cmt__toml_blanks(s);
  if (!comment(s)) {
    return false;
  }
  if (s->at == s->end || newline(s)) {
    return true;
  }
  for (at = s->at; at < s->end && at - s->at < 8 && *at != '\n'; at++) {
  }
  return cmt__toml_fail(
    s, "'%s' where the line should end",
    cmt__quote((cmt_bytes){.base = s->at, .len = (size_t)(at - s->at)}, found,
               sizeof found));
}

bool cmt__toml_space(cmt__toml_scan *s) {
  do {
    cmt__toml_blanks(s);
    if (!comment(s)) {
      return false;
    }
  } while (newline(s));
  return true;
}

/* ---- strings ---- */

/* The value of |count| hex digits here; -1: there are fewer. */
static int64_t hex_digits(cmt__toml_scan *s, int count) {
  static const char digits[] = "0123456789abcdefABCDEF";
  int64_t value = 0;

  for (int i = 0; i < count; i++, s->at++) {
    const char *found =
      s->at < s->end ? memchr(digits, *s->at, strlen(digits)) : NULL;
    int digit;

    if (found == NULL) {
      return -1;
    }
    digit = (int)(found - digits);
    value = value << 4 | (digit < 16 ? digit : digit - 6);
  }
  return value;
}

static void keep_utf8(cmt__toml_scan *s, uint32_t code) {
  uint8_t out[4];
  size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const uint8_t heads[] = {[1] = 0, [2] = 0xc0, [3] = 0xe0, [4] = 0xf0};

  for (size_t i = len; i-- > 1; code >>= 6) {
    out[i] = (uint8_t)(0x80 | (code & 0x3f));
  }
  out[0] = (uint8_t)(heads[len] | code);
  cmt__toml_keep(s, out, len);
}

/* Reads what stands behind a backslash. */
static bool escape(cmt__toml_scan *s) {
  static const char names[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
  int name = cmt__toml_peek(s);
  const char *known = name > 0 ? strchr(names, name) : NULL;
  int64_t code;

  if (known != NULL) {
    s->at++;
    cmt__toml_keep(s, &values[known - names], 1);
    return true;
  }
  if (name != 'u' && name != 'U') {
    return cmt__toml_fail(s, "a backslash in a string must be followed by one "
                             "of b t n f r \" \\ u U");
  }
  s->at++;
  code = hex_digits(s, name == 'u' ? 4 : 8);
  if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    return cmt__toml_fail(s,
                          "\\%c in a string is not followed by the %d hex "
                          "digits of a character",
                          name, name == 'u' ? 4 : 8);
  }
  keep_utf8(s, (uint32_t)code);
  return true;
}

/* A backslash at the end of a line drops the space up to the next text; false:
   this is none, and nothing was read. */
static bool line_continues(cmt__toml_scan *s) {
  const uint8_t *begin = s->at;

  cmt__toml_blanks(s);
  if (!at_newline(s)) {
    s->at = begin;
    return false;
  }
  do {
    cmt__toml_blanks(s);
  } while (newline(s));
  return true;
}

/* How many of the byte |quote| stand here, at most |max|. */
static size_t quotes(const cmt__toml_scan *s, char quote, size_t max) {
  size_t count = 0;

  while (count < max && count < (size_t)(s->end - s->at) &&
         s->at[count] == (uint8_t)quote) {
    count++;
  }
  return count;
}

static bool keep_char(cmt__toml_scan *s) {
  size_t len = plain_char(s);

  if (len > 0) {
    cmt__toml_keep(s, s->at, len);
    s->at += len;
  }
  return len > 0;
}

static bool one_line_string(cmt__toml_scan *s, char quote) {
  while (!cmt__toml_accept(s, quote)) {
    if (s->at == s->end || at_newline(s)) {
      return cmt__toml_fail(s, "the string has no closing %c", quote);
    }
    if (quote == '"' && cmt__toml_accept(s, '\\')) {
      if (!escape(s)) {
        return false;
      }
    } else if (!keep_char(s)) {
      return false;
    }
  }
  return true;
}

/* Quotes in a long string; false: they ended it, or there are too many. */
static bool long_quotes(cmt__toml_scan *s, char quote, bool *ended) {
  size_t count = quotes(s, quote, 6);

  if (count == 6) {
    return cmt__toml_fail(s, "a string has six %c in a row", quote);
  }
  s->at += count;
  *ended = count >= 3;
  for (size_t kept = *ended ? count - 3 : count; kept > 0; kept--) {
    cmt__toml_keep(s, &quote, 1);
  }
  return true;
}

static bool long_string(cmt__toml_scan *s, char quote) {
  uint32_t begin = s->line;
  bool ended = false;

  (void)newline(s);
  while (!ended) {
    if (s->at == s->end) {
      s->line = begin;
      return cmt__toml_fail(s, "the string has no closing %c%c%c", quote, quote,
                            quote);
    }
    if (*s->at == (uint8_t)quote) {
      if (!long_quotes(s, quote, &ended)) {
        return false;
      }
    } else if (quote == '"' && cmt__toml_accept(s, '\\')) {
      if (!line_continues(s) && !escape(s)) {
        return false;
      }
    } else if (newline(s)) {
      cmt__toml_keep(s, "\n", 1);
    } else if (!keep_char(s)) {
      return false;
    }
  }
  return true;
}

bool cmt__toml_read_string(cmt__toml_scan *s, cmt_bytes *out) {
  char quote = (char)*s->at;
  size_t begin = s->doc->texts_len;
  bool read;

  if (quotes(s, quote, 3) == 3) {
    s->at += 3;
    read = long_string(s, quote);
  } else {
    s->at++;
    read = one_line_string(s, quote);
  }
  if (read) {
    *out = cmt__toml_kept(s, begin);
  }
  return read;
}

/* ---- keys ---- */

static bool is_bare(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool read_name(cmt__toml_scan *s, cmt_bytes *out) {
  const uint8_t *begin = s->at;
  size_t kept = s->doc->texts_len;
  char found[24];

  if (cmt__toml_peek(s) == '"' || cmt__toml_peek(s) == '\'') {
    if (quotes(s, (char)*s->at, 3) == 3) {
      return cmt__toml_fail(s, "a key cannot be a string of several lines");
    }
    return cmt__toml_read_string(s, out);
  }
  while (is_bare(cmt__toml_peek(s))) {
    s->at++;
  }
  if (s->at == begin) {
    cmt_bytes here = {.base = s->at, .len = s->at < s->end ? 1 : 0};

    return cmt__toml_fail(s, "expected a key, found '%s'",
                          here.len == 0 || at_newline(s)
                            ? "the end of the line"
                            : cmt__quote(here, found, sizeof found));
  }
  cmt__toml_keep(s, begin, (size_t)(s->at - begin));
  *out = cmt__toml_kept(s, kept);
  return true;
}

bool cmt__toml_read_key(cmt__toml_scan *s, cmt__toml_key *out) {
  out->count = 0;
  do {
    if (out->count == CMT__TOML_PARTS_MAX) {
      return cmt__toml_fail(s, "a key has more than %d names",
                            CMT__TOML_PARTS_MAX);
    }
    cmt__toml_blanks(s);
    if (!read_name(s, &out->parts[out->count])) {
      return false;
    }
    out->count++;
    cmt__toml_blanks(s);
  } while (cmt__toml_accept(s, '.'));
  return true;
}
