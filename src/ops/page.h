/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PAGE_H
#define CMT__PAGE_H

/* A page of metrics as it is written, in the text format of Prometheus. */

#include "base/base.h"

typedef struct cmt__page {
  const cmt_env *env;
  char *text;
  size_t len, cap;
  bool failed; /* No memory: what follows is dropped. */
} cmt__page;

typedef struct cmt__pair {
  const char *name, *value;
} cmt__pair;

enum { CMT__PAIRS_MAX = 4 };

/* The two lines before the first series of a family. */
void cmt__page_family(cmt__page *p, const char *prefix, const char *name,
                      const char *help, const char *type);
/* What a series is called.  The pairs, at most CMT__PAIRS_MAX, come in any
   order, and those without a name are left out. */
typedef struct cmt__series {
  const char *prefix, *name, *suffix;
  const cmt__pair *pairs;
  size_t count;
  uint64_t unit; /* Values are divided by it. */
} cmt__series;

void cmt__page_series(cmt__page *p, const cmt__series *s, uint64_t value);
/* |value| / |unit| as Prometheus writes it: no zeros at the end. */
void cmt__page_number(char *out, size_t cap, uint64_t value, uint64_t unit);
void cmt__page_fini(cmt__page *p);

#endif
