/* SPDX-License-Identifier: Apache-2.0 */

/* Instants, in the calendar of Gregory at all times, as Go counts. */

#include "rfc3339.h"

enum {
  ERA_YEARS = 400,
  ERA_DAYS = 146097,
  EPOCH_DAYS = 719468, /* From the first of March of the year 0 to 1970. */
  DAY_S = 86400,
  NS_DIGITS = 9,
};

#define NS_PER_S INT64_C(1000000000)

/* Days from 1970 to a date; years begin in March, so that leap days are their
   last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day) {
  int64_t y = month <= 2 ? year - 1 : year, era, of_era;
  int64_t from_march = month > 2 ? month - 3 : month + 9;

  era = (y >= 0 ? y : y - (ERA_YEARS - 1)) / ERA_YEARS;
  of_era = y - era * ERA_YEARS;
  return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 +
         (153 * from_march + 2) / 5 + day - 1 - EPOCH_DAYS;
}

static void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day) {
  int64_t z = days + EPOCH_DAYS, era = z / ERA_DAYS, of_era = z % ERA_DAYS;
  int64_t years =
    (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * years + years / 4 - years / 100);
  int64_t from_march = (5 * of_year + 2) / 153;

  *day = of_year - (153 * from_march + 2) / 5 + 1;
  *month = from_march < 10 ? from_march + 3 : from_march - 9;
  *year = years + era * ERA_YEARS + (*month <= 2);
}

static bool skip(cmt_bytes *text, char wanted) {
  if (text->len == 0 || text->base[0] != wanted) {
    return false;
  }
  text->base++;
  text->len--;
  return true;
}

/* |count| decimal digits, with a value up to |max|. */
static bool take(cmt_bytes *text, size_t count, int64_t max, int64_t *out) {
  *out = 0;
  if (text->len < count) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    if (text->base[i] < '0' || text->base[i] > '9') {
      return false;
    }
    *out = 10 * *out + (text->base[i] - '0');
  }
  text->base += count;
  text->len -= count;
  return *out <= max;
}

/* Digits behind the point, of which the first nine count. */
static bool take_fraction(cmt_bytes *text, int64_t *ns) {
  int64_t unit = NS_PER_S;
  size_t count = 0;

  *ns = 0;
  if (!skip(text, '.')) {
    return true;
  }
  for (; text->len > 0 && text->base[0] >= '0' && text->base[0] <= '9';
       count++) {
    unit /= 10;
    *ns += (text->base[0] - '0') * unit;
    text->base++;
    text->len--;
  }
  return count > 0;
}

/* Seconds east of Greenwich, to the end of the text. */
static bool take_zone(cmt_bytes *text, int64_t *east_s) {
  bool east = skip(text, '+');
  int64_t hours, minutes;

  *east_s = 0;
  if (!east && skip(text, 'Z')) {
    return text->len == 0;
  }
  if ((!east && !skip(text, '-')) || !take(text, 2, 24, &hours) ||
      !skip(text, ':') || !take(text, 2, 59, &minutes)) {
    return false;
  }
  *east_s = (hours * 60 + minutes) * (east ? 60 : -60);
  return text->len == 0;
}

bool cmt__time_read(cmt_bytes text, uint64_t *out) {
  int64_t year, month, day, hour, minute, second, ns, east_s, s;

  if (!take(&text, 4, 9999, &year) || !skip(&text, '-') ||
      !take(&text, 2, 12, &month) || !skip(&text, '-') ||
      !take(&text, 2, 31, &day) || !skip(&text, 'T') ||
      !take(&text, 2, 23, &hour) || !skip(&text, ':') ||
      !take(&text, 2, 59, &minute) || !skip(&text, ':') ||
      !take(&text, 2, 59, &second) || !take_fraction(&text, &ns) ||
      !take_zone(&text, &east_s) || month == 0 || day == 0) {
    return false;
  }
  s = days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second -
      east_s;
  if (s < 0) {
    *out = 0;
  } else if ((uint64_t)s >= UINT64_MAX / NS_PER_S) {
    *out = CMT_NEVER - 1;
  } else {
    *out = (uint64_t)s * NS_PER_S + (uint64_t)ns;
  }
  return true;
}

void cmt__time_write(uint64_t ns, char out[CMT__TIME_TEXT_SIZE]) {
  int64_t s = (int64_t)(ns / NS_PER_S), rest = s % DAY_S, year, month, day;
  char fraction[sizeof ".123456789"] = "";
  size_t len;

  if (ns == 0) {
    snprintf(out, CMT__TIME_TEXT_SIZE, "0001-01-01T00:00:00Z");
    return;
  }
  if (ns % NS_PER_S != 0) {
    snprintf(fraction, sizeof fraction, ".%09u", (unsigned)(ns % NS_PER_S));
    for (len = 1 + NS_DIGITS; fraction[len - 1] == '0'; len--) {
      fraction[len - 1] = '\0';
    }
  }
  date_of(s / DAY_S, &year, &month, &day);
  snprintf(out, CMT__TIME_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d%sZ",
           (int)year, (int)month, (int)day, (int)(rest / 3600),
           (int)(rest / 60 % 60), (int)(rest % 60), fraction);
}
