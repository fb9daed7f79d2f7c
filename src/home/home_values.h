/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__HOME_VALUES_H
#define CMT__HOME_VALUES_H

/* Values as CometBFT takes them: a quoted number is a number, 1 is true, 100 is
   a duration of as many nanoseconds.  docs/PROTOCOL.md 14.3. */

#include "home_keys.h"
#include "toml.h"

/* A value as it was given. */
typedef struct cmt__home_given {
  cmt__toml_kind kind; /* What does not come from a file is a string. */
  cmt_bytes text;      /* A NUL follows it. */
  int64_t integer;
  bool flag;
} cmt__home_given;

/* Reads |given| as a value of |key|; of a text the value points into |given|,
   or to a constant.  False: |f| tells what is allowed. */
bool cmt__home_value_read(const cmt__home_key *key,
                          const cmt__home_given *given, cmt__home_value *out,
                          cmt__home_fault *f);

/* Writes how |given| looks, for a mistake. */
void cmt__home_given_show(const cmt__home_given *given, char *out, size_t cap);

#endif
