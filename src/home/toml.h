/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__TOML_H
#define CMT__TOML_H

/* A strict reader of TOML 1.0.  It keeps what mistakes in a configuration need:
   the line of each key, the text of each number as it is written, and the case
   of names.  docs/FILES.md states why it is our own. */

#include "base/base.h"

enum {
  CMT__TOML_SIZE_MAX = 1024 * 1024, /* Bytes of a file. */
  CMT__TOML_NODES_MAX = 16 * 1024,  /* Keys, tables and elements of a file. */
  CMT__TOML_PARTS_MAX = 16,         /* Names in a dotted key. */
  CMT__TOML_DEPTH_MAX = 32,         /* Arrays and inline tables in another. */
};

typedef enum cmt__toml_kind {
  CMT__TOML_STRING,
  CMT__TOML_INTEGER,
  CMT__TOML_FLOAT,
  CMT__TOML_BOOL,
  CMT__TOML_TIME, /* A date, a time, or both. */
  CMT__TOML_ARRAY,
  CMT__TOML_TABLE,
} cmt__toml_kind;

/* How a table or an array came to be, which decides what may be added. */
typedef enum cmt__toml_origin {
  CMT__TOML_IMPLIED, /* A header named a table inside of it. */
  CMT__TOML_HEADER,  /* [name], or an element of [[name]]. */
  CMT__TOML_DOTTED,  /* The front of a dotted key. */
  CMT__TOML_INLINE,  /* { ... } or [ ... ]: complete. */
  CMT__TOML_LIST,    /* The array of [[name]]. */
} cmt__toml_origin;

typedef struct cmt__toml_node {
  cmt_bytes name; /* Empty for an element of an array; a NUL follows it. */
  cmt_bytes text; /* The content of a string, or another scalar as it is
                     written; a NUL follows it. */
  cmt__toml_kind kind;
  cmt__toml_origin origin;
  uint32_t line;              /* Where its key stands, from 1. */
  uint32_t first, last, next; /* Children and sibling; 0: none. */
  int64_t integer;
  bool flag;
} cmt__toml_node;

/* A file; node 0 is its root table. */
typedef struct cmt__toml {
  cmt_env env;
  cmt__toml_node *nodes;
  size_t count, cap;
  char *texts;
  size_t texts_len, texts_cap;
} cmt__toml;

/* The first fault of a file, one printable line. */
typedef struct cmt__toml_fault {
  uint32_t line;
  char text[160];
} cmt__toml_fault;

/* Reads the whole of |text|, which is not kept.  CMT_EINVAL: |fault| states the
   line and what is wrong there; CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__toml_parse(const cmt_env *env, cmt_bytes text,
                                      cmt__toml **out, cmt__toml_fault *fault);
void cmt__toml_delete(cmt__toml *t); /* NULL is fine. */

/* The first child of |n|, and the sibling after |n|; NULL: none. */
const cmt__toml_node *cmt__toml_first(const cmt__toml *t,
                                      const cmt__toml_node *n);
const cmt__toml_node *cmt__toml_next(const cmt__toml *t,
                                     const cmt__toml_node *n);

#endif
