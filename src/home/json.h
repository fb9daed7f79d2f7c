/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__JSON_H
#define CMT__JSON_H

/* Reads JSON where it lies: nothing is copied and nothing is allocated.  So no
   text of a secret is left anywhere, and a book of 20,000 addresses is read in
   a fraction of the time that jansson needs to build its values. */

#include "base/base.h"

enum { CMT__JSON_NAME_SIZE = 24 }; /* Longer names of members are "". */

typedef struct cmt__json {
  const uint8_t *at, *end;
  unsigned depth;
} cmt__json;

cmt__json cmt__json_begin(cmt_bytes text);

/* The next byte that is no space; -1 at the end. */
int cmt__json_peek(cmt__json *c);

/* Each of these moves behind what it reads; false: it is malformed, and the
   position is where that was found. */
bool cmt__json_skip(cmt__json *c); /* Any value. */
/* The content of a string, with its escapes. */
bool cmt__json_string(cmt__json *c, cmt_bytes *out);
/* The text of a number. */
bool cmt__json_number(cmt__json *c, cmt_bytes *out);
/* Calls |member| at the value of each member of an object, which it has to move
   behind, or |item| at each of an array; both return false to end the
   reading. */
bool cmt__json_object(cmt__json *c,
                      bool (*member)(cmt__json *c, const char *name, void *arg),
                      void *arg);
bool cmt__json_array(cmt__json *c, bool (*item)(cmt__json *c, void *arg),
                     void *arg);

/* Writes |s| without its escapes to |out|, cut to |cap| - 1 bytes and with a
   NUL; returns its whole length. */
size_t cmt__json_text(cmt_bytes s, char *out, size_t cap);

/* The integer that |number| is; false: it is none, or too large. */
bool cmt__json_to_int(cmt_bytes number, int64_t *out);

#endif
