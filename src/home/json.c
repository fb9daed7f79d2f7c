/* SPDX-License-Identifier: Apache-2.0 */

/* A strict reader of JSON (RFC 8259) that copies nothing: it skips values, and
   records where strings lie.  Each level of nesting is a recursive call, so the
   depth is limited. */

#include "json.h"

enum { DEPTH_MAX = 64 };

cmt__json cmt__json_begin(cmt_bytes text) {
  return (cmt__json){.at = text.base,
                     .end = text.len > 0 ? text.base + text.len : text.base};
}

static void skip_space(cmt__json *c) {
  while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' ||
                            *c->at == '\r')) {
    c->at++;
  }
}

int cmt__json_peek(cmt__json *c) {
  skip_space(c);
  return c->at < c->end ? *c->at : -1;
}

static bool accept_char(cmt__json *c, char wanted) {
  if (cmt__json_peek(c) != wanted) {
    return false;
  }
  c->at++;
  return true;
}

/* ---- strings ---- */

static bool skip(const uint8_t **at, const uint8_t *end, char wanted) {
  if (*at == end || **at != wanted) {
    return false;
  }
  ++*at;
  return true;
}

/* The four digits behind \u; false: there are not four. */
static bool read_unit(const uint8_t **at, const uint8_t *end, uint32_t *unit) {
  static const char digits[] = "0123456789abcdefABCDEF";

  *unit = 0;
  for (int i = 0; i < 4; i++, ++*at) {
    const char *found = *at < end ? memchr(digits, **at, strlen(digits)) : NULL;
    uint32_t digit;

    if (found == NULL) {
      return false;
    }
    digit = (uint32_t)(found - digits);
    *unit = *unit << 4 | (digit < 16 ? digit : digit - 6);
  }
  return true;
}

/* True when |unit| is a surrogate: the first half of a pair, or the second
   one. */
static bool is_half(uint32_t unit, uint32_t first) {
  return (unit & 0xfc00) == first;
}

/* The character of the escape at |*at|, behind its backslash; 0: it is none, as
   is the character 0 itself, and half of a pair. */
static uint32_t read_escape(const uint8_t **at, const uint8_t *end) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  uint32_t high, low;

  if (!skip(at, end, 'u')) {
    const char *found = *at < end ? strchr(names, *(*at)++) : NULL;

    return found != NULL ? (uint32_t)values[found - names] : 0;
  }
  if (!read_unit(at, end, &high) || is_half(high, 0xdc00)) {
    return 0;
  }
  if (!is_half(high, 0xd800)) {
    return high;
  }
  if (!skip(at, end, '\\') || !skip(at, end, 'u') ||
      !read_unit(at, end, &low) || !is_half(low, 0xdc00)) {
    return 0;
  }
  return 0x10000 + ((high & 0x3ff) << 10 | (low & 0x3ff));
}

/* ASCII that stands for itself in a string. */
static bool is_plain(uint8_t c) {
  return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Skips a UTF-8 character of a string, which has at least one byte. */
static bool walk_char(cmt__json *c) {
  /* By length, the least character that needs so many bytes. */
  static const uint32_t least[] = {
    [1] = 0x20, [2] = 0x80, [3] = 0x800, [4] = 0x10000};
  const uint8_t *at = c->at;
  size_t len = *at < 0x80             ? 1
               : (*at & 0xe0) == 0xc0 ? 2
               : (*at & 0xf0) == 0xe0 ? 3
               : (*at & 0xf8) == 0xf0 ? 4
                                      : 0;
  uint32_t code = len == 1 ? *at : *at & (0x7fU >> len);

  for (size_t i = 1; i < len; i++) {
    if (at + i == c->end || (at[i] & 0xc0) != 0x80) {
      return false;
    }
    code = code << 6 | (at[i] & 0x3fU);
  }
  if (len == 0 || code < least[len] || code > 0x10ffff ||
      (code >= 0xd800 && code <= 0xdfff)) {
    return false;
  }
  c->at += len;
  return true;
}

bool cmt__json_string(cmt__json *c, cmt_bytes *out) {
  const uint8_t *begin;

  if (!accept_char(c, '"')) {
    return false;
  }
  begin = c->at;
  for (;;) {
    while (c->at < c->end && is_plain(*c->at)) {
      c->at++;
    }
    if (c->at == c->end || *c->at == '"') {
      break;
    }
    if (skip(&c->at, c->end, '\\') ? read_escape(&c->at, c->end) == 0
                                   : !walk_char(c)) {
      return false;
    }
  }
  *out = (cmt_bytes){.base = begin, .len = (size_t)(c->at - begin)};
  return skip(&c->at, c->end, '"');
}

/* Writes |code| as UTF-8; returns how many bytes it has. */
static size_t utf8_write(uint32_t code, uint8_t *out) {
  if (code < 0x80) {
    out[0] = (uint8_t)code;
    return 1;
  }
  if (code < 0x800) {
    out[0] = (uint8_t)(0xc0 | code >> 6);
    out[1] = (uint8_t)(0x80 | (code & 0x3f));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (uint8_t)(0xe0 | code >> 12);
    out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code & 0x3f));
    return 3;
  }
  out[0] = (uint8_t)(0xf0 | code >> 18);
  out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
  out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
  out[3] = (uint8_t)(0x80 | (code & 0x3f));
  return 4;
}

size_t cmt__json_text(cmt_bytes s, char *out, size_t cap) {
  const uint8_t *at = s.base, *end = at + s.len;
  size_t total = 0, written = 0;

  while (at < end) {
    uint8_t piece[sizeof(uint32_t)];
    size_t len = 1;

    if (*at == '\\') {
      at++;
      len = utf8_write(read_escape(&at, end), piece);
    } else {
      piece[0] = *at++;
    }
    if (written == total && len < cap - written) {
      memcpy(out + written, piece, len);
      written += len;
    }
    total += len;
  }
  out[written] = '\0';
  return total;
}

/* ---- the other values ---- */

static bool walk_digits(cmt__json *c) {
  const uint8_t *begin = c->at;

  while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
    c->at++;
  }
  return c->at > begin;
}

static bool next_is(const cmt__json *c, char one, char other) {
  return c->at < c->end && (*c->at == one || *c->at == other);
}

static bool walk_number(cmt__json *c) {
  if (next_is(c, '-', '-')) {
    c->at++;
  }
  if (next_is(c, '0', '0')) {
    c->at++;
  } else if (!walk_digits(c)) {
    return false;
  }
  if (next_is(c, '.', '.')) {
    c->at++;
    if (!walk_digits(c)) {
      return false;
    }
  }
  if (next_is(c, 'e', 'E')) {
    c->at++;
    if (next_is(c, '+', '-')) {
      c->at++;
    }
    return walk_digits(c);
  }
  return true;
}

bool cmt__json_number(cmt__json *c, cmt_bytes *out) {
  const uint8_t *begin;

  (void)cmt__json_peek(c);
  begin = c->at;
  if (!walk_number(c)) {
    return false;
  }
  *out = (cmt_bytes){.base = begin, .len = (size_t)(c->at - begin)};
  return true;
}

static bool walk_word(cmt__json *c, const char *word) {
  for (; *word != '\0'; word++) {
    if (!skip(&c->at, c->end, *word)) {
      return false;
    }
  }
  return true;
}

bool cmt__json_array(cmt__json *c, bool (*item)(cmt__json *c, void *arg),
                     void *arg) {
  if (!accept_char(c, '[') || ++c->depth > DEPTH_MAX) {
    return false;
  }
  if (cmt__json_peek(c) != ']') {
    do {
      if (!item(c, arg)) {
        return false;
      }
    } while (accept_char(c, ','));
  }
  c->depth--;
  return accept_char(c, ']');
}

bool cmt__json_object(cmt__json *c,
                      bool (*member)(cmt__json *c, const char *name, void *arg),
                      void *arg) {
  if (!accept_char(c, '{') || ++c->depth > DEPTH_MAX) {
    return false;
  }
  if (cmt__json_peek(c) != '}') {
    do {
      cmt_bytes key;
      char name[CMT__JSON_NAME_SIZE];
      const char *known = name;

      if (!cmt__json_string(c, &key) || !accept_char(c, ':')) {
        return false;
      }
      /* No longer name is of interest. */
      if (cmt__json_text(key, name, sizeof name) >= sizeof name) {
        known = "";
      }
      if (!member(c, known, arg)) {
        return false;
      }
    } while (accept_char(c, ','));
  }
  c->depth--;
  return accept_char(c, '}');
}

static bool any_member(cmt__json *c, const char *name, void *arg) {
  (void)name;
  (void)arg;
  return cmt__json_skip(c);
}

static bool any_item(cmt__json *c, void *arg) {
  (void)arg;
  return cmt__json_skip(c);
}

bool cmt__json_skip(cmt__json *c) {
  cmt_bytes ignored;

  switch (cmt__json_peek(c)) {
  case '{':
    return cmt__json_object(c, any_member, NULL);
  case '[':
    return cmt__json_array(c, any_item, NULL);
  case '"':
    return cmt__json_string(c, &ignored);
  case 't':
    return walk_word(c, "true");
  case 'f':
    return walk_word(c, "false");
  case 'n':
    return walk_word(c, "null");
  default:
    return cmt__json_number(c, &ignored);
  }
}

bool cmt__json_to_int(cmt_bytes number, int64_t *out) {
  bool minus = number.len > 0 && number.base[0] == '-';
  int64_t value = 0;

  for (size_t i = minus; i < number.len; i++) {
    int digit = number.base[i] - '0';

    if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10) {
      return false;
    }
    value = 10 * value + digit;
  }
  *out = minus ? -value : value;
  return number.len > minus;
}
