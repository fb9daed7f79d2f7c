/* SPDX-License-Identifier: Apache-2.0 */

/* Booleans, numbers, dates and times of TOML, each recognised by its whole
   text. */

#include "toml_scan.h"

#include <errno.h>
#include <stdlib.h>

enum { SCALAR_MAX = 128 };

/* A text with a NUL at its end, read from the front. */
typedef const char *text;

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_digit_of(char c, int base) {
  return base == 16
           ? is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')
           : c >= '0' && c < '0' + base;
}

/* Digits with single underscores between them, one or more. */
static bool take_digits(text *t, int base) {
  if (!is_digit_of(**t, base)) {
    return false;
  }
  while (is_digit_of(**t, base) || (**t == '_' && is_digit_of((*t)[1], base))) {
    ++*t;
  }
  return true;
}

static bool take(text *t, char c) {
  if (**t != c) {
    return false;
  }
  ++*t;
  return true;
}

/* Exactly |count| digits; false: there are fewer. */
static bool take_number(text *t, int count, int *out) {
  *out = 0;
  for (int i = 0; i < count; i++, ++*t) {
    if (!is_digit(**t)) {
      return false;
    }
    *out = *out * 10 + (**t - '0');
  }
  return true;
}

/* ---- dates and times ---- */

static bool take_date(text *t) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int year, month, day, last;

  if (!take_number(t, 4, &year) || !take(t, '-') ||
      !take_number(t, 2, &month) || !take(t, '-') || !take_number(t, 2, &day) ||
      month < 1 || month > 12) {
    return false;
  }
  last = days[month - 1];
  if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) {
    last = 29;
  }
  return day >= 1 && day <= last;
}

static bool take_time(text *t) {
  int hour, minute, second;

  if (!take_number(t, 2, &hour) || !take(t, ':') ||
      !take_number(t, 2, &minute) || !take(t, ':') ||
      !take_number(t, 2, &second)) {
    return false;
  }
  if (take(t, '.')) {
    if (!is_digit(**t)) {
      return false;
    }
    while (is_digit(**t)) {
      ++*t;
    }
  }
  return hour <= 23 && minute <= 59 && second <= 59;
}

static bool take_offset(text *t) {
  int hour, minute;

  if (take(t, 'Z') || take(t, 'z')) {
    return true;
  }
  return (take(t, '+') || take(t, '-')) && take_number(t, 2, &hour) &&
         take(t, ':') && take_number(t, 2, &minute) && hour <= 23 &&
         minute <= 59;
}

static bool is_time(text t) {
  if (t[0] != '\0' && t[1] != '\0' && t[2] == ':') {
    return take_time(&t) && *t == '\0';
  }
  if (!take_date(&t)) {
    return false;
  }
  if (*t == '\0') {
    return true;
  }
  return (take(&t, 'T') || take(&t, 't') || take(&t, ' ')) && take_time(&t) &&
         (*t == '\0' || take_offset(&t)) && *t == '\0';
}

/* ---- numbers ---- */

static bool is_float(text t) {
  bool fraction, exponent;

  if (*t == '+' || *t == '-') {
    t++;
  }
  if (strcmp(t, "inf") == 0 || strcmp(t, "nan") == 0) {
    return true;
  }
  if (take(&t, '0')) {
    if (is_digit(*t) || *t == '_') {
      return false;
    }
  } else if (!take_digits(&t, 10)) {
    return false;
  }
  fraction = take(&t, '.');
  if (fraction && !take_digits(&t, 10)) {
    return false;
  }
  exponent = take(&t, 'e') || take(&t, 'E');
  if (exponent) {
    (void)(take(&t, '+') || take(&t, '-'));
    if (!take_digits(&t, 10)) {
      return false;
    }
  }
  return (fraction || exponent) && *t == '\0';
}

/* The base of the integer |t|; 0: it is none. */
static int integer_base(text t) {
  int base = t[0] != '0'   ? 10
             : t[1] == 'x' ? 16
             : t[1] == 'o' ? 8
             : t[1] == 'b' ? 2
                           : 10;

  if (base != 10) {
    t += 2;
  } else if (*t == '+' || *t == '-') {
    t++;
  }
  if (base == 10 && t[0] == '0' && t[1] != '\0') {
    return 0;
  }
  return take_digits(&t, base) && *t == '\0' ? base : 0;
}

/* Reads the integer |t| of |base|; false: it has more than 63 bits. */
static bool integer_value(text t, int base, int64_t *out) {
  char plain[SCALAR_MAX];
  size_t len = 0;
  long long value;

  for (t += base != 10 ? 2 : 0; *t != '\0'; t++) {
    if (*t != '_') {
      plain[len++] = *t;
    }
  }
  plain[len] = '\0';
  errno = 0;
  value = strtoll(plain, NULL, base);
  *out = value;
  return errno == 0;
}

/* ---- all of them ---- */

static bool ends_scalar(int c) {
  static const char ends[] = " \t\r\n,]}#";

  return c == -1 || memchr(ends, c, strlen(ends)) != NULL;
}

/* A blank may stand between a date and a time. */
static bool blank_in_date(const cmt__toml_scan *s, size_t len) {
  return len == 10 && s->at[-1] != ' ' && s->end - s->at >= 4 &&
         *s->at == ' ' && is_digit((char)s->at[1]) &&
         is_digit((char)s->at[2]) && s->at[3] == ':' && s->at[-3] == '-';
}

/* Reads up to where a scalar ends, into |out| with a NUL. */
static bool scalar_text(cmt__toml_scan *s, char out[SCALAR_MAX]) {
  size_t len = 0;

  while (!ends_scalar(cmt__toml_peek(s)) || blank_in_date(s, len)) {
    if (len == SCALAR_MAX - 1) {
      return cmt__toml_fail(s, "a value has more than %d characters",
                            SCALAR_MAX - 1);
    }
    out[len++] = (char)*s->at++;
  }
  out[len] = '\0';
  return true;
}

static bool classify(cmt__toml_scan *s, cmt__toml_node *n, const char *word) {
  int base = integer_base(word);
  char found[100];

  n->flag = strcmp(word, "true") == 0;
  if (n->flag || strcmp(word, "false") == 0) {
    n->kind = CMT__TOML_BOOL;
  } else if (base != 0) {
    n->kind = CMT__TOML_INTEGER;
    if (!integer_value(word, base, &n->integer)) {
      return cmt__toml_fail(s, "the number %.60s has more than 63 bits", word);
    }
  } else if (is_float(word)) {
    n->kind = CMT__TOML_FLOAT;
  } else if (is_time(word)) {
    n->kind = CMT__TOML_TIME;
  } else {
    return cmt__toml_fail(s, "'%s' is no value: text needs quotes",
                          cmt__quote(cmt_bytes_of(word), found, sizeof found));
  }
  return true;
}

bool cmt__toml_read_scalar(cmt__toml_scan *s, cmt__toml_node *n) {
  size_t begin = s->doc->texts_len;
  char word[SCALAR_MAX];

  if (!scalar_text(s, word)) {
    return false;
  }
  if (word[0] == '\0') {
    return cmt__toml_fail(s, "the value is missing");
  }
  if (!classify(s, n, word)) {
    return false;
  }
  cmt__toml_keep(s, word, strlen(word));
  n->text = cmt__toml_kept(s, begin);
  return true;
}
