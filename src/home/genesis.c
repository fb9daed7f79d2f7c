/* SPDX-License-Identifier: Apache-2.0 */

/* The scan of a genesis.json.  The members of its object are read strictly; of
   what lies in them, the brackets and the strings, since all that has to be
   known is where they end. */

#include "genesis.h"

#include "node_key_json.h"

static bool fail(cmt__genesis *g, const char *fault) {
  g->state = CMT__GENESIS_FAILED;
  snprintf(g->fault, sizeof g->fault, "is not JSON: %s at byte %llu", fault,
           (unsigned long long)g->offset);
  return false;
}

static bool is_space(uint8_t c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* ---- brackets ---- */

static bool open_bracket(cmt__genesis *g, bool object) {
  uint8_t bit = (uint8_t)(1U << g->depth % 8);

  if (g->depth == CMT__GENESIS_DEPTH_MAX) {
    return fail(g, "brackets lie in each other too deep");
  }
  g->is_object[g->depth / 8] &= (uint8_t)~bit;
  if (object) {
    g->is_object[g->depth / 8] |= bit;
  }
  g->depth++;
  g->state = CMT__GENESIS_INSIDE;
  return true;
}

static bool close_bracket(cmt__genesis *g, bool object) {
  bool opened =
    (g->is_object[(g->depth - 1) / 8] >> (g->depth - 1) % 8 & 1) != 0;

  if (opened != object) {
    return fail(g, "the wrong closing bracket");
  }
  if (--g->depth == 1) {
    g->state = CMT__GENESIS_COMMA;
  }
  return true;
}

/* ---- texts ---- */

static void text_begin(cmt__genesis *g, cmt__genesis_state state) {
  g->state = state;
  g->escaped = false;
  g->text_len = 0;
}

/* Adds a byte of a string that is kept; false: it ended. */
static bool text_add(cmt__genesis *g, uint8_t c) {
  if (c == '"' && !g->escaped) {
    return false;
  }
  g->escaped = c == '\\' && !g->escaped;
  if (g->text_len < sizeof g->text) {
    g->text[g->text_len] = (char)c;
  }
  g->text_len += g->text_len <= sizeof g->text;
  return true;
}

/* The string that was kept, without escapes; false: it is too long, or has an
   escape that is none. */
static bool text_plain(const cmt__genesis *g, char *out, size_t cap) {
  cmt__key_string text = {.base = (const uint8_t *)g->text, .len = g->text_len};
  size_t len;

  if (g->text_len > sizeof g->text) {
    return false;
  }
  len = cmt__key_json_text(text, out, cap);
  return len < cap && len == strlen(out);
}

static bool is_printable(const char *text) {
  for (; *text != '\0'; text++) {
    if (*text < ' ' || *text > '~') {
      return false;
    }
  }
  return true;
}

static void refuse(cmt__genesis *g, const char *found) {
  g->state = CMT__GENESIS_FAILED;
  snprintf(g->fault, sizeof g->fault,
           "chain_id is %s, allowed is a text of 1 to %d characters", found,
           CMT__CHAIN_ID_MAX);
}

static void take_chain_id(cmt__genesis *g) {
  g->state = CMT__GENESIS_FOUND;
  if (!text_plain(g, g->chain_id, sizeof g->chain_id)) {
    refuse(g, "longer or malformed");
  } else if (g->chain_id[0] == '\0') {
    refuse(g, "empty");
  } else if (!is_printable(g->chain_id)) {
    refuse(g, "not printable ASCII");
  }
}

static void take_key(cmt__genesis *g) {
  char key[sizeof "chain_id"];

  g->wanted = text_plain(g, key, sizeof key) && strcmp(key, "chain_id") == 0;
  g->state = CMT__GENESIS_COLON;
}

/* ---- steps ---- */

static bool begin_value(cmt__genesis *g, uint8_t c) {
  if (g->wanted && c != '"') {
    refuse(g, "no text");
    return false;
  }
  if (c == '"') {
    text_begin(g, CMT__GENESIS_STRING);
  } else if (c == '{' || c == '[') {
    return open_bracket(g, c == '{');
  } else if (memchr("-0123456789tfn", c, 14) != NULL) {
    g->state = CMT__GENESIS_WORD;
  } else {
    return fail(g, "no value");
  }
  return true;
}

/* The byte |c| of the outermost object, or of what is around it. */
static bool outer_step(cmt__genesis *g, uint8_t c) {
  switch (g->state) {
  case CMT__GENESIS_BEGIN:
    if (c != '{') {
      return fail(g, "no object");
    }
    open_bracket(g, true);
    g->state = CMT__GENESIS_FIRST;
    return true;
  case CMT__GENESIS_FIRST:
  case CMT__GENESIS_NEXT:
    if (c == '"') {
      text_begin(g, CMT__GENESIS_KEY);
      return true;
    }
    return c == '}' && g->state == CMT__GENESIS_FIRST ? false
                                                      : fail(g, "no key");
  case CMT__GENESIS_COLON:
    g->state = CMT__GENESIS_VALUE;
    return c == ':' || fail(g, "no colon behind a key");
  case CMT__GENESIS_VALUE:
    return begin_value(g, c);
  case CMT__GENESIS_COMMA:
    g->state = CMT__GENESIS_NEXT;
    return c == ',' || (c != '}' && fail(g, "no comma behind a value"));
  case CMT__GENESIS_KEY:
  case CMT__GENESIS_STRING:
  case CMT__GENESIS_WORD:
  case CMT__GENESIS_INSIDE:
  case CMT__GENESIS_IN_STRING:
  case CMT__GENESIS_FOUND:
  case CMT__GENESIS_FAILED:
    break;
  }
  return false;
}

/* Bytes of which a scan inside of an array or an object has to know. */
static const bool is_bracket[256] = {
  ['"'] = true, ['['] = true, [']'] = true, ['{'] = true, ['}'] = true};

/* How many backslashes stand before |at|, from |from| on. */
static size_t backslashes_before(const uint8_t *from, const uint8_t *at) {
  size_t count = 0;

  while (at > from && at[-1] == '\\') {
    at--;
    count++;
  }
  return count;
}

/* A string inside of an array or an object, up to its end: a quote with an even
   number of backslashes before it. */
static const uint8_t *skip_string(cmt__genesis *g, const uint8_t *at,
                                  const uint8_t *end) {
  while (at < end) {
    const uint8_t *from = at, *quote;
    size_t left = (size_t)(end - at);

    if (g->escaped) {
      from++;
      left--;
    }
    quote = left > 0 ? memchr(from, '"', left) : NULL;
    at = quote != NULL ? quote : end;
    g->escaped = backslashes_before(from, at) % 2 == 1;
    if (quote != NULL && !g->escaped) {
      g->state = CMT__GENESIS_INSIDE;
      return quote + 1;
    }
  }
  return at;
}

/* The bracket at |at| of a piece that began at |from|. */
static void bracket(cmt__genesis *g, const uint8_t *from, const uint8_t *at) {
  uint64_t begin = g->offset;

  g->offset += (uint64_t)(at - from); /* Where a fault would be. */
  if ((*at == '[' || *at == '{') ? open_bracket(g, *at == '{')
                                 : close_bracket(g, *at == '}')) {
    g->offset = begin;
  }
}

/* What lies in an array or an object, up to its end. */
static const uint8_t *skip_inside(cmt__genesis *g, const uint8_t *from,
                                  const uint8_t *end) {
  const uint8_t *at = from;

  while (at < end) {
    if (g->state == CMT__GENESIS_IN_STRING) {
      at = skip_string(g, at, end);
      continue;
    }
    while (at < end && !is_bracket[*at]) {
      at++;
    }
    if (at == end) {
      break;
    }
    if (*at == '"') {
      g->state = CMT__GENESIS_IN_STRING;
    } else {
      bracket(g, from, at);
    }
    at++;
    if (g->state != CMT__GENESIS_INSIDE && g->state != CMT__GENESIS_IN_STRING) {
      break;
    }
  }
  return at;
}

/* A string of the outermost object. */
static const uint8_t *read_string(cmt__genesis *g, const uint8_t *at,
                                  const uint8_t *end) {
  while (at < end) {
    if (text_add(g, *at++)) {
      continue;
    }
    if (g->state == CMT__GENESIS_KEY) {
      take_key(g);
    } else if (g->wanted) {
      take_chain_id(g);
    } else {
      g->state = CMT__GENESIS_COMMA;
    }
    break;
  }
  return at;
}

/* Steps over one thing that begins at |at|; NULL: the scan is over. */
static const uint8_t *step(cmt__genesis *g, const uint8_t *at,
                           const uint8_t *end) {
  switch (g->state) {
  case CMT__GENESIS_KEY:
  case CMT__GENESIS_STRING:
    return read_string(g, at, end);
  case CMT__GENESIS_INSIDE:
  case CMT__GENESIS_IN_STRING:
    return skip_inside(g, at, end);
  case CMT__GENESIS_WORD:
    if (*at == ',' || *at == '}' || is_space(*at)) {
      g->state = CMT__GENESIS_COMMA;
      return at;
    }
    return at + 1;
  case CMT__GENESIS_FOUND:
  case CMT__GENESIS_FAILED:
    return NULL;
  case CMT__GENESIS_BEGIN:
  case CMT__GENESIS_FIRST:
  case CMT__GENESIS_NEXT:
  case CMT__GENESIS_COLON:
  case CMT__GENESIS_VALUE:
  case CMT__GENESIS_COMMA:
    break;
  }
  return is_space(*at) || outer_step(g, *at) ? at + 1 : NULL;
}

static bool is_over(const cmt__genesis *g) {
  return g->state == CMT__GENESIS_FOUND || g->state == CMT__GENESIS_FAILED;
}

/* The object ended without a chain id. */
static void lack(cmt__genesis *g) {
  g->state = CMT__GENESIS_FAILED;
  snprintf(g->fault, sizeof g->fault, "has no chain_id");
}

bool cmt__genesis_feed(cmt__genesis *g, cmt_bytes piece) {
  const uint8_t *at = piece.base, *next;
  const uint8_t *end = piece.len > 0 ? at + piece.len : at;

  while (at < end && !is_over(g)) {
    next = step(g, at, end);
    if (next == NULL && !is_over(g)) {
      lack(g);
    }
    if (next == NULL || g->state == CMT__GENESIS_FAILED) {
      return false;
    }
    g->offset += (uint64_t)(next - at);
    at = next;
  }
  return !is_over(g);
}

bool cmt__genesis_end(cmt__genesis *g) {
  if (!is_over(g)) {
    fail(g, "it ends early");
  }
  return g->state == CMT__GENESIS_FOUND;
}
