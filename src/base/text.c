/* SPDX-License-Identifier: Apache-2.0 */

/* Every text that the library makes for a person: escaped bytes and
   reasons.  Such a text is printable ASCII on one line, whatever went into
   it. */

#include "base.h"

#include <stdarg.h>
#include <stdio.h>

cmt_bytes cmt_bytes_of(const char *text) {
  if (text == NULL) {
    return (cmt_bytes){0};
  }
  return (cmt_bytes){.base = (const uint8_t *)text, .len = strlen(text)};
}

bool cmt_bytes_equal(cmt_bytes a, cmt_bytes b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}

/* Writes the escape of |byte| to |out| and returns its length, 1 to 4. */
static size_t escape_byte(uint8_t byte, char *out) {
  static const char digits[] = "0123456789abcdef";

  if (byte == '\\') {
    out[0] = '\\';
    out[1] = '\\';
    return 2;
  }
  if (byte >= 32 && byte <= 126) {
    out[0] = (char)byte;
    return 1;
  }
  out[0] = '\\';
  out[1] = 'x';
  out[2] = digits[byte >> 4];
  out[3] = digits[byte & 15];
  return 4;
}

size_t cmt_text_escape(cmt_bytes in, char *out, size_t cap) {
  size_t total = 0, written = 0, size;
  char piece[sizeof "\\xff"];

  cap = out != NULL ? cap : 0;
  in.len = in.base != NULL ? in.len : 0;
  for (size_t i = 0; i < in.len; i++) {
    size = escape_byte(in.base[i], piece);
    if (written == total && size < cap - written) {
      memcpy(out + written, piece, size);
      written += size;
    }
    total += size;
  }
  if (cap > 0) {
    out[written] = '\0';
  }
  return total;
}

const char *cmt__quote(cmt_bytes in, char *out, size_t cap) {
  static const char dots[] = "...";

  if (cmt_text_escape(in, out, cap) >= cap && cap > sizeof dots) {
    cmt_text_escape(in, out, cap - strlen(dots));
    memcpy(out + strlen(out), dots, sizeof dots);
  }
  return out;
}

void cmt__line_clean(char *text) {
  for (; *text != '\0'; text++) {
    if (*text < 32 || *text > 126) {
      *text = '?';
    }
  }
}

size_t cmt__line_end(char *text, size_t size, int len) {
  size_t end = cmt__min((size_t)len, size - 1);

  text[end - 1] = '\n';
  return end;
}

cmt_err cmt__why(cmt_why *why, cmt_err err, cmt_stage stage, const char *fmt,
                 ...) {
  va_list args;

  if (why == NULL) {
    return err;
  }
  why->err = err;
  why->stage = stage;
  va_start(args, fmt);
  vsnprintf(why->text, sizeof why->text, fmt, args);
  va_end(args);
  cmt__line_clean(why->text);
  return err;
}

cmt_err cmt__why_plain(cmt_why *why, cmt_err err, cmt_stage stage) {
  return cmt__why(why, err, stage, "%s", cmt_err_text(err));
}
