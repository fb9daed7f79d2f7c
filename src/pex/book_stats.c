/* SPDX-License-Identifier: Apache-2.0 */

/* How reliable a node is: shares of successful dials that fade with time, over
   five windows, with the thresholds of bitcoin-seeder. */

#include "book_impl.h"

#define LOG2_E 1.4426950408889634
#define LN_2 0.6931471805599453

enum {
  FADED = 64,    /* Powers of two after which nothing is left. */
  SERIES = 14,   /* Terms, for 15 digits. */
  FEW_TRIES = 3, /* With so few the last one decides. */
  LAST_WINDOW = CMT_ADDRBOOK_WINDOWS - 1,
};

typedef struct window_rule {
  double length_s;
  float share_min, count_min;
} window_rule;

static const window_rule rules[CMT_ADDRBOOK_WINDOWS] = {
  {2 * 3600.0, 0.85f, 2},   {8 * 3600.0, 0.70f, 4},    {86400.0, 0.55f, 8},
  {7 * 86400.0, 0.45f, 16}, {30 * 86400.0, 0.35f, 32},
};

/* exp(-x) for x >= 0, with the same result on every platform. */
static double decay(double x) {
  double powers = x * LOG2_E, out = 1, term = 1, rest;
  int whole;

  if (powers >= FADED) {
    return 0;
  }
  whole = (int)powers;
  rest = -(powers - whole) * LN_2;
  for (int i = 1; i <= SERIES; i++) {
    term *= rest / i;
    out += term;
  }
  return out / (double)(UINT64_C(1) << whole);
}

void cmt__book_count_dial(cmt__book_entry *e, bool good, uint64_t now_ns) {
  double age_s = (double)cmt__since(now_ns, e->tried_ns) / 1e9;

  for (size_t i = 0; i < CMT_ADDRBOOK_WINDOWS; i++) {
    cmt__book_window *w = &e->windows[i];
    double f = e->tried_ns != 0 ? decay(age_s / rules[i].length_s) : 0;

    w->count = (float)(w->count * f + 1);
    w->success = (float)(w->success * f + (good ? 1 - f : 0));
  }
  e->tried_ns = now_ns;
}

bool cmt__book_is_reliable(const cmt__book_entry *e) {
  if (e->tried_ns == 0) {
    return false;
  }
  if (e->windows[LAST_WINDOW].count <= FEW_TRIES) {
    return e->attempts == 0 && e->last_success_ns != 0;
  }
  for (size_t i = 0; i < CMT_ADDRBOOK_WINDOWS; i++) {
    if (e->windows[i].success > rules[i].share_min &&
        e->windows[i].count > rules[i].count_min) {
      return true;
    }
  }
  return false;
}
