/* SPDX-License-Identifier: Apache-2.0 */

#include "page.h"

#include <stdio.h>
#include <string.h>

enum { PAGE_FIRST = 16 << 10 };

static void page_add(cmt__page *p, const char *text, size_t len) {
  while (!p->failed && p->cap - p->len < len) {
    p->failed = !cmt__grow(p->env, (void **)&p->text, &p->cap, 1, PAGE_FIRST);
  }
  if (!p->failed) {
    memcpy(p->text + p->len, text, len);
    p->len += len;
  }
}

static void page_text(cmt__page *p, const char *text) {
  page_add(p, text, strlen(text));
}

/* The value of a label: backslash, quote and newline are escaped. */
static void page_value(cmt__page *p, const char *text) {
  for (; *text != '\0'; text++) {
    switch (*text) {
    case '\\':
      page_text(p, "\\\\");
      break;
    case '"':
      page_text(p, "\\\"");
      break;
    case '\n':
      page_text(p, "\\n");
      break;
    default:
      page_add(p, text, 1);
    }
  }
}

void cmt__page_family(cmt__page *p, const char *prefix, const char *name,
                      const char *help, const char *type) {
  const char *const parts[] = {"# HELP ", prefix, name, " ", help, "\n",
                               "# TYPE ", prefix, name, " ", type, "\n"};

  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    page_text(p, parts[i]);
  }
}

void cmt__page_number(char *out, size_t cap, uint64_t value, uint64_t unit) {
  int len = snprintf(out, cap, "%llu", (unsigned long long)(value / unit));
  uint64_t rest = value % unit;

  if (rest == 0 || len < 0 || (size_t)len + 2 >= cap) {
    return;
  }
  out[len++] = '.';
  while (rest > 0 && (size_t)len + 1 < cap) {
    unit /= 10;
    out[len++] = (char)('0' + rest / unit);
    rest %= unit;
  }
  out[len] = '\0';
}

/* Labels stand in the order of their bytes. */
static size_t pairs_sort(const cmt__series *s, cmt__pair *out) {
  size_t n = 0;

  for (size_t i = 0; i < s->count && n < CMT__PAIRS_MAX; i++) {
    size_t at = n;

    if (s->pairs[i].name == NULL) {
      continue;
    }
    while (at > 0 && strcmp(out[at - 1].name, s->pairs[i].name) > 0) {
      out[at] = out[at - 1];
      at--;
    }
    out[at] = s->pairs[i];
    n++;
  }
  return n;
}

void cmt__page_series(cmt__page *p, const cmt__series *s, uint64_t value) {
  cmt__pair sorted[CMT__PAIRS_MAX];
  size_t n = pairs_sort(s, sorted);
  char number[48];

  page_text(p, s->prefix);
  page_text(p, s->name);
  page_text(p, s->suffix);
  for (size_t i = 0; i < n; i++) {
    page_text(p, i == 0 ? "{" : ",");
    page_text(p, sorted[i].name);
    page_text(p, "=\"");
    page_value(p, sorted[i].value);
    page_text(p, "\"");
  }
  page_text(p, n > 0 ? "} " : " ");
  cmt__page_number(number, sizeof number, value, s->unit);
  page_text(p, number);
  page_text(p, "\n");
}

void cmt__page_fini(cmt__page *p) { cmt__free(p->env, p->text); }
