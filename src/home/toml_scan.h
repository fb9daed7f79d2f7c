/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__TOML_SCAN_H
#define CMT__TOML_SCAN_H

/* The bytes of a TOML file: blanks, comments, names, strings, numbers.  Each
   function that fails has set the fault, of which the first one stays. */

#include "toml.h"

typedef struct cmt__toml_scan {
  const uint8_t *at, *end;
  uint32_t line;
  unsigned depth;
  cmt__toml *doc;
  cmt__toml_fault *fault;
} cmt__toml_scan;

typedef struct cmt__toml_key {
  cmt_bytes parts[CMT__TOML_PARTS_MAX];
  size_t count;
} cmt__toml_key;

/* Returns false. */
bool cmt__toml_fail(cmt__toml_scan *s, const char *format, ...)
  __attribute__((format(printf, 2, 3)));

/* The byte here; -1 at the end. */
static inline int cmt__toml_peek(const cmt__toml_scan *s) {
  return s->at < s->end ? *s->at : -1;
}

/* Steps over |byte| when it is here. */
static inline bool cmt__toml_accept(cmt__toml_scan *s, char byte) {
  if (s->at == s->end || *s->at != (uint8_t)byte) {
    return false;
  }
  s->at++;
  return true;
}

void cmt__toml_blanks(cmt__toml_scan *s); /* Blanks and tabs. */
/* Steps over blanks, a comment, and the end of a line or of the file; anything
   else is a fault. */
bool cmt__toml_line_end(cmt__toml_scan *s);
/* Steps over any number of blanks, comments and line ends. */
bool cmt__toml_space(cmt__toml_scan *s);

/* Reads a dotted key and the blanks behind it. */
bool cmt__toml_read_key(cmt__toml_scan *s, cmt__toml_key *out);
/* Reads a string of any of the four forms, which begins here. */
bool cmt__toml_read_string(cmt__toml_scan *s, cmt_bytes *out);
/* Reads a boolean, a number, a date or a time into |n|. */
bool cmt__toml_read_scalar(cmt__toml_scan *s, cmt__toml_node *n);

/* Appends to the text that is being kept, and ends it. */
void cmt__toml_keep(cmt__toml_scan *s, const void *data, size_t len);
cmt_bytes cmt__toml_kept(cmt__toml_scan *s, size_t begin);

#endif
