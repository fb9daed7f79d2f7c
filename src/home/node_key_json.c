/* SPDX-License-Identifier: Apache-2.0 */

/* A strict reader of JSON (RFC 8259) that copies nothing: it skips values, and
   records where strings lie.  Each level of nesting is a recursive call, so the
   depth is limited. */

#include "node_key_json.h"

enum {
  DEPTH_MAX = 64,
  NAME_SIZE = sizeof "priv_key", /* The longest that is looked for. */
};

typedef struct cursor {
  const uint8_t *at, *end;
  unsigned depth;
} cursor;

/* A function for the members of an object. */
typedef bool (*member_fn)(cursor *c, const char *name, cmt__key_members *out);

static bool walk_value(cursor *c);

static void skip_space(cursor *c) {
  while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' ||
                            *c->at == '\r')) {
    c->at++;
  }
}

/* The next byte that is no space; -1 at the end. */
static int peek(cursor *c) {
  skip_space(c);
  return c->at < c->end ? *c->at : -1;
}

static bool accept_char(cursor *c, char wanted) {
  if (peek(c) != wanted) {
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

/* Skips a UTF-8 character of a string, which has at least one byte. */
static bool walk_char(cursor *c) {
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

static bool walk_string(cursor *c, cmt__key_string *out) {
  const uint8_t *begin;

  if (!accept_char(c, '"')) {
    return false;
  }
  begin = c->at;
  while (c->at < c->end && *c->at != '"') {
    if (skip(&c->at, c->end, '\\') ? read_escape(&c->at, c->end) == 0
                                   : !walk_char(c)) {
      return false;
    }
  }
  *out = (cmt__key_string){.base = begin, .len = (size_t)(c->at - begin)};
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

size_t cmt__key_json_text(cmt__key_string s, char *out, size_t cap) {
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

static bool walk_digits(cursor *c) {
  const uint8_t *begin = c->at;

  while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
    c->at++;
  }
  return c->at > begin;
}

static bool next_is(const cursor *c, const char *any) {
  return c->at < c->end && *c->at != '\0' && strchr(any, *c->at) != NULL;
}

static bool walk_number(cursor *c) {
  if (next_is(c, "-")) {
    c->at++;
  }
  if (next_is(c, "0")) {
    c->at++;
  } else if (!walk_digits(c)) {
    return false;
  }
  if (next_is(c, ".")) {
    c->at++;
    if (!walk_digits(c)) {
      return false;
    }
  }
  if (next_is(c, "eE")) {
    c->at++;
    if (next_is(c, "+-")) {
      c->at++;
    }
    return walk_digits(c);
  }
  return true;
}

static bool walk_word(cursor *c, const char *word) {
  for (; *word != '\0'; word++) {
    if (!skip(&c->at, c->end, *word)) {
      return false;
    }
  }
  return true;
}

static bool walk_array(cursor *c) {
  if (!accept_char(c, '[') || ++c->depth > DEPTH_MAX) {
    return false;
  }
  if (peek(c) != ']') {
    do {
      if (!walk_value(c)) {
        return false;
      }
    } while (accept_char(c, ','));
  }
  c->depth--;
  return accept_char(c, ']');
}

static bool walk_object(cursor *c, member_fn member, cmt__key_members *out) {
  if (!accept_char(c, '{') || ++c->depth > DEPTH_MAX) {
    return false;
  }
  if (peek(c) != '}') {
    do {
      cmt__key_string key;
      char name[NAME_SIZE];
      const char *known = name;

      if (!walk_string(c, &key) || !accept_char(c, ':')) {
        return false;
      }
      /* No longer name is of interest. */
      if (cmt__key_json_text(key, name, sizeof name) >= sizeof name) {
        known = "";
      }
      if (!member(c, known, out)) {
        return false;
      }
    } while (accept_char(c, ','));
  }
  c->depth--;
  return accept_char(c, '}');
}

static bool any_member(cursor *c, const char *name, cmt__key_members *out) {
  (void)name;
  (void)out;
  return walk_value(c);
}

static bool walk_value(cursor *c) {
  cmt__key_string ignored;

  switch (peek(c)) {
  case '{':
    return walk_object(c, any_member, NULL);
  case '[':
    return walk_array(c);
  case '"':
    return walk_string(c, &ignored);
  case 't':
    return walk_word(c, "true");
  case 'f':
    return walk_word(c, "false");
  case 'n':
    return walk_word(c, "null");
  default:
    return walk_number(c);
  }
}

/* ---- the members of a key file ---- */

static bool key_member(cursor *c, const char *name, cmt__key_members *out) {
  cmt__key_string ignored, *into = &ignored;

  if (strcmp(name, "type") == 0) {
    into = &out->type;
  } else if (strcmp(name, "value") == 0) {
    into = &out->value;
  } else if (strcmp(name, "data") == 0) {
    into = &out->data;
  }
  *into = (cmt__key_string){0};
  return peek(c) == '"' ? walk_string(c, into) : walk_value(c);
}

static bool root_member(cursor *c, const char *name, cmt__key_members *out) {
  if (strcmp(name, "priv_key") == 0) {
    *out = (cmt__key_members){.has_pub_key = out->has_pub_key};
    return peek(c) == '{' ? walk_object(c, key_member, out) : walk_value(c);
  }
  out->has_pub_key = out->has_pub_key || strcmp(name, "pub_key") == 0;
  return walk_value(c);
}

bool cmt__key_json_read(cmt_bytes text, cmt__key_members *out) {
  cursor c = {.at = text.base, .end = text.base + text.len};
  bool read;

  *out = (cmt__key_members){.has_pub_key = false};
  read = peek(&c) == '{' ? walk_object(&c, root_member, out)
                         : peek(&c) == '[' && walk_array(&c);
  return read && peek(&c) == -1;
}
