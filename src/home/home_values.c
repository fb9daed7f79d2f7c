/* SPDX-License-Identifier: Apache-2.0 */

/* The reading of values by kind. */

#include "home_values.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

enum { NUMBER_SIZE = 80 };

static bool allow(cmt__home_fault *f, const char *what) {
  snprintf(f->allowed, sizeof f->allowed, "%s", what);
  return false;
}

/* Whether the text of |given| ends where its string ends. */
static bool is_whole(const cmt__home_given *given) {
  return strlen((const char *)given->text.base) == given->text.len;
}

/* ---- numbers ---- */

/* The base that the beginning of a number states, and its digits. */
static int base_of(const char **digits) {
  static const struct {
    const char *front;
    int base;
  } bases[] = {{"0x", 16}, {"0X", 16}, {"0o", 8}, {"0O", 8},
               {"0b", 2},  {"0B", 2},  {"0", 8}};

  for (size_t i = 0; i < CMT__COUNT(bases); i++) {
    size_t len = strlen(bases[i].front);

    if (strncmp(*digits, bases[i].front, len) == 0 && (*digits)[len] != '\0') {
      *digits += len;
      return bases[i].base;
    }
  }
  return 10;
}

/* Drops underscores between digits; false: |text| is too long. */
static bool without_underscores(const char *text, char out[NUMBER_SIZE]) {
  size_t len = 0;

  for (; *text != '\0'; text++) {
    if (*text == '_' && len > 0 && text[1] != '\0' && text[1] != '_') {
      continue;
    }
    if (len == NUMBER_SIZE - 1) {
      return false;
    }
    out[len++] = *text;
  }
  out[len] = '\0';
  return true;
}

/* A number in a string, as Go reads it; "" is 0. */
static bool number_of_text(const char *text, int64_t *out) {
  char plain[NUMBER_SIZE];
  const char *digits = plain;
  bool negative;
  char *end;
  int base;

  *out = 0;
  if (*text == '\0') {
    return true;
  }
  if (!without_underscores(text, plain)) {
    return false;
  }
  negative = *digits == '-';
  digits += *digits == '-' || *digits == '+';
  base = base_of(&digits);
  /* strtoll() would skip blanks, a second sign and a second 0x. */
  if (!isalnum((unsigned char)*digits) ||
      (base == 16 && tolower((unsigned char)digits[1]) == 'x')) {
    return false;
  }
  errno = 0;
  *out = strtoll(digits, &end, base);
  *out = negative ? -*out : *out;
  return errno == 0 && *end == '\0';
}

/* The digits of a float before its point, which is cut off. */
static bool number_of_float(const char *text, int64_t *out) {
  char plain[NUMBER_SIZE];
  double value;

  if (!without_underscores(text, plain)) {
    return false;
  }
  value = strtod(plain, NULL);
  if (!(value > -9e18 && value < 9e18)) {
    return false;
  }
  *out = (int64_t)value;
  return true;
}

static bool number_read(const cmt__home_given *given, int64_t *out) {
  switch (given->kind) {
  case CMT__TOML_INTEGER:
    *out = given->integer;
    return true;
  case CMT__TOML_BOOL:
    *out = given->flag ? 1 : 0;
    return true;
  case CMT__TOML_FLOAT:
    return number_of_float((const char *)given->text.base, out);
  case CMT__TOML_STRING:
    return is_whole(given) &&
           number_of_text((const char *)given->text.base, out);
  case CMT__TOML_TIME:
  case CMT__TOML_ARRAY:
  case CMT__TOML_TABLE:
    break;
  }
  return false;
}

static bool number_take(const cmt__home_key *key, const cmt__home_given *given,
                        cmt__home_value *out, cmt__home_fault *f) {
  int64_t number;

  if (number_read(given, &number) && number >= 0 &&
      (uint64_t)number <= key->max) {
    out->number = (uint64_t)number;
    return true;
  }
  snprintf(f->allowed, sizeof f->allowed, "a number from 0 to %llu",
           (unsigned long long)key->max);
  return false;
}

/* ---- booleans ---- */

static bool flag_of_text(const char *text, bool *out) {
  static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
  static const char *const no[] = {"0",     "f",     "F", "false",
                                   "FALSE", "False", ""};

  *out = false;
  for (size_t i = 0; i < CMT__COUNT(yes); i++) {
    if (strcmp(text, yes[i]) == 0) {
      *out = true;
      return true;
    }
  }
  for (size_t i = 0; i < CMT__COUNT(no); i++) {
    if (strcmp(text, no[i]) == 0) {
      return true;
    }
  }
  return false;
}

static bool flag_take(const cmt__home_given *given, cmt__home_value *out,
                      cmt__home_fault *f) {
  if (given->kind == CMT__TOML_BOOL) {
    out->flag = given->flag;
    return true;
  }
  if (given->kind == CMT__TOML_INTEGER &&
      (given->integer == 0 || given->integer == 1)) {
    out->flag = given->integer == 1;
    return true;
  }
  return (given->kind == CMT__TOML_STRING && is_whole(given) &&
          flag_of_text((const char *)given->text.base, &out->flag)) ||
         allow(f, "true or false");
}

/* ---- durations ---- */

/* The nanoseconds of the unit at |*at|, which is stepped over; 0: none. */
static uint64_t take_unit(const char **at) {
  static const struct {
    const char *name;
    uint64_t ns;
  } units[] = {{"ns", 1},
               {"us", 1000},
               {"\xc2\xb5s", 1000}, /* The micro sign, and the Greek letter. */
               {"\xce\xbcs", 1000},
               {"ms", 1000000},
               {"s", UINT64_C(1000000000)},
               {"m", UINT64_C(60000000000)},
               {"h", UINT64_C(3600000000000)}};

  for (size_t i = 0; i < CMT__COUNT(units); i++) {
    size_t len = strlen(units[i].name);

    if (strncmp(*at, units[i].name, len) == 0) {
      *at += len;
      return units[i].ns;
    }
  }
  return 0;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* A number of a duration: the digits before its point, and those behind it as
   billionths. */
typedef struct decimal {
  uint64_t whole, billionths;
  bool any;
} decimal;

static bool take_decimal(const char **at, decimal *out) {
  uint64_t place = 100000000;

  *out = (decimal){.any = false};
  for (; is_digit(**at); ++*at) {
    if (out->whole > INT64_MAX / 10) {
      return false;
    }
    out->whole = out->whole * 10 + (uint64_t)(**at - '0');
    out->any = true;
  }
  if (**at == '.') {
    for (++*at; is_digit(**at); ++*at, place /= 10) {
      out->billionths += place * (uint64_t)(**at - '0');
      out->any = true;
    }
  }
  return out->any;
}

/* A duration of Go, such as "1h2m3.5s"; false: |text| is none, or negative. */
static bool duration_of_text(const char *text, uint64_t *out_ns) {
  decimal d;

  *out_ns = 0;
  text += *text == '+';
  if (strcmp(text, "0") == 0) {
    return true;
  }
  do {
    uint64_t unit;

    if (!take_decimal(&text, &d)) {
      return false;
    }
    unit = take_unit(&text);
    if (unit == 0 || d.whole > INT64_MAX / unit) {
      return false;
    }
    /* All units but the nanosecond, of which there are no parts, are thousands
       of it: so the product has 63 bits at most. */
    *out_ns += d.whole * unit + d.billionths * (unit / 1000) / 1000000;
    if (*out_ns > INT64_MAX) {
      return false;
    }
  } while (*text != '\0');
  return true;
}

static bool duration_take(const cmt__home_given *given, cmt__home_value *out,
                          cmt__home_fault *f) {
  int64_t number;

  if (given->kind == CMT__TOML_STRING
        ? (is_whole(given) &&
           duration_of_text((const char *)given->text.base, &out->number))
        : (number_read(given, &number) && number >= 0)) {
    if (given->kind != CMT__TOML_STRING) {
      out->number = (uint64_t)number;
    }
    return true;
  }
  return allow(f, "a duration of 0 or more, such as 100ms, 10s or 1h30m");
}

/* ---- texts ---- */

static bool text_take(const cmt__home_given *given, cmt__home_value *out,
                      cmt__home_fault *f) {
  switch (given->kind) {
  case CMT__TOML_BOOL:
    out->text = given->flag ? "1" : "0";
    return true;
  case CMT__TOML_STRING:
  case CMT__TOML_INTEGER:
  case CMT__TOML_FLOAT:
    out->text = (const char *)given->text.base;
    return is_whole(given) || allow(f, "a text without the character 0");
  case CMT__TOML_TIME:
  case CMT__TOML_ARRAY:
  case CMT__TOML_TABLE:
    break;
  }
  return allow(f, "a text in quotes");
}

bool cmt__home_value_read(const cmt__home_key *key,
                          const cmt__home_given *given, cmt__home_value *out,
                          cmt__home_fault *f) {
  bool taken = false;

  *out = (cmt__home_value){.text = ""};
  *f = (cmt__home_fault){.found = ""};
  switch (key->kind) {
  case CMT__HOME_TEXT:
    taken = text_take(given, out, f);
    break;
  case CMT__HOME_FLAG:
    taken = flag_take(given, out, f);
    break;
  case CMT__HOME_NUMBER:
    taken = number_take(key, given, out, f);
    break;
  case CMT__HOME_DURATION:
    taken = duration_take(given, out, f);
    break;
  }
  taken = taken && (key->check == NULL || key->check(out, f));
  if (!taken && key->allowed != NULL) {
    snprintf(f->allowed, sizeof f->allowed, "%s", key->allowed);
  }
  return taken;
}

void cmt__home_given_show(const cmt__home_given *given, char *out, size_t cap) {
  char text[80];

  switch (given->kind) {
  case CMT__TOML_STRING:
    snprintf(out, cap, "'%s'", cmt__quote(given->text, text, sizeof text));
    break;
  case CMT__TOML_ARRAY:
    snprintf(out, cap, "a list");
    break;
  case CMT__TOML_TABLE:
    snprintf(out, cap, "a table");
    break;
  case CMT__TOML_INTEGER:
  case CMT__TOML_FLOAT:
  case CMT__TOML_BOOL:
  case CMT__TOML_TIME:
    snprintf(out, cap, "%s", cmt__quote(given->text, text, sizeof text));
    break;
  }
}
