/* SPDX-License-Identifier: Apache-2.0 */

/* IP literals, read and written by hand, as the functions of the system
   depend on its version.  IPv4 has four decimal bytes without leading zeros;
   IPv6 is written by RFC 5952, in hex throughout.  docs/PROTOCOL.md
   1.3. */

#include "ip.h"

#include <stdio.h>

enum {
  IP4_SIZE = 4,
  IP6_SIZE = 16,
  IP6_GROUPS = 8,
  NO_GAP = IP6_GROUPS + 1,
};

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

/* The value of a hex digit; false for any other byte. */
static bool hex_read(uint8_t c, unsigned *value) {
  static const char digits[] = "0123456789abcdef";
  const char *found =
    memchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c, strlen(digits));

  *value = found != NULL ? (unsigned)(found - digits) : 0;
  return found != NULL;
}

/* Reads one decimal byte at |*at| and moves behind it. */
static bool ip4_read_byte(cmt_bytes text, size_t *at, uint8_t *out) {
  size_t start = *at;
  unsigned value = 0;

  while (*at < text.len && is_digit(text.base[*at])) {
    value = 10 * value + (unsigned)(text.base[*at] - '0');
    (*at)++;
    if (value > 255) {
      return false;
    }
  }
  if (*at == start || (*at > start + 1 && text.base[start] == '0')) {
    return false;
  }
  *out = (uint8_t)value;
  return true;
}

static bool ip4_read(cmt_bytes text, uint8_t out[IP4_SIZE]) {
  size_t at = 0;

  for (int i = 0; i < IP4_SIZE; i++) {
    if (i > 0 && (at >= text.len || text.base[at++] != '.')) {
      return false;
    }
    if (!ip4_read_byte(text, &at, &out[i])) {
      return false;
    }
  }
  return at == text.len;
}

/* Reads one group of one to four hex digits at |*at| and moves behind it. */
static bool ip6_read_group(cmt_bytes text, size_t *at, uint16_t *out) {
  size_t start = *at;
  unsigned value = 0, digit;

  while (*at < text.len && hex_read(text.base[*at], &digit)) {
    value = value << 4 | digit;
    (*at)++;
    if (*at - start > 4) {
      return false;
    }
  }
  *out = (uint16_t)value;
  return *at > start;
}

static cmt_bytes bytes_from(cmt_bytes text, size_t at) {
  return (cmt_bytes){.base = text.base + at, .len = text.len - at};
}

/* What has been read of an IPv6 literal. */
typedef struct ip6_parts {
  uint16_t groups[IP6_GROUPS];
  size_t count;
  size_t gap; /* Groups before "::"; NO_GAP when there is none. */
} ip6_parts;

/* Skips ":" or "::" between two groups.  A second "::" and a colon at the end
   of the text are not skipped, and so cause a failure as the next group. */
static void ip6_skip_colon(cmt_bytes text, size_t *at, ip6_parts *parts) {
  if (text.base[*at] != ':' || *at + 1 == text.len) {
    return;
  }
  (*at)++;
  if (text.base[*at] == ':' && parts->gap == NO_GAP) {
    parts->gap = parts->count;
    (*at)++;
  }
}

/* Reads groups and their colons to the end of |text|; the last two groups may
   be an IPv4 literal. */
static bool ip6_read_parts(cmt_bytes text, size_t at, ip6_parts *parts) {
  uint8_t v4[IP4_SIZE];

  while (at < text.len) {
    if (parts->count + 2 <= IP6_GROUPS && ip4_read(bytes_from(text, at), v4)) {
      parts->groups[parts->count++] = (uint16_t)(v4[0] << 8 | v4[1]);
      parts->groups[parts->count++] = (uint16_t)(v4[2] << 8 | v4[3]);
      return true;
    }
    if (parts->count == IP6_GROUPS ||
        !ip6_read_group(text, &at, &parts->groups[parts->count])) {
      return false;
    }
    parts->count++;
    if (at < text.len) {
      ip6_skip_colon(text, &at, parts);
    }
  }
  return true;
}

static bool ip6_read(cmt_bytes text, uint16_t out[IP6_GROUPS]) {
  ip6_parts parts = {.gap = NO_GAP};
  size_t at = 0, tail;

  if (text.len >= 2 && memcmp(text.base, "::", 2) == 0) {
    parts.gap = 0;
    at = 2;
  }
  if (!ip6_read_parts(text, at, &parts)) {
    return false;
  }
  if (parts.gap == NO_GAP) {
    memcpy(out, parts.groups, sizeof parts.groups);
    return parts.count == IP6_GROUPS;
  }
  if (parts.count == IP6_GROUPS) {
    return false; /* "::" stands for one group at least. */
  }
  tail = parts.count - parts.gap;
  memset(out, 0, IP6_GROUPS * sizeof *out);
  memcpy(out, parts.groups, parts.gap * sizeof *out);
  memcpy(out + IP6_GROUPS - tail, parts.groups + parts.gap, tail * sizeof *out);
  return true;
}

/* Finds the first of the longest runs of two or more zero groups. */
static void ip6_find_gap(const uint16_t groups[IP6_GROUPS], size_t *start,
                         size_t *len) {
  size_t run = 0;

  *start = IP6_GROUPS;
  *len = 1;
  for (size_t i = 0; i < IP6_GROUPS; i++) {
    run = groups[i] == 0 ? run + 1 : 0;
    if (run > *len) {
      *len = run;
      *start = i + 1 - run;
    }
  }
}

static void ip6_write(const uint16_t groups[IP6_GROUPS],
                      char out[CMT__IP_TEXT_SIZE]) {
  size_t gap, gap_len, at = 0;

  ip6_find_gap(groups, &gap, &gap_len);
  for (size_t i = 0; i < IP6_GROUPS; i++) {
    if (i == gap) {
      at += (size_t)snprintf(out + at, CMT__IP_TEXT_SIZE - at, "::");
      i += gap_len - 1;
      continue;
    }
    at += (size_t)snprintf(out + at, CMT__IP_TEXT_SIZE - at, "%s%x",
                           i == 0 || i == gap + gap_len ? "" : ":", groups[i]);
  }
}

/* An answer of a seed has 250 addresses, for which printf takes too long. */
static void ip4_write(const uint8_t v4[IP4_SIZE], char *out) {
  for (int i = 0; i < IP4_SIZE; i++) {
    unsigned value = v4[i];

    if (value >= 100) {
      *out++ = (char)('0' + value / 100);
    }
    if (value >= 10) {
      *out++ = (char)('0' + value / 10 % 10);
    }
    *out++ = (char)('0' + value % 10);
    *out++ = i + 1 < IP4_SIZE ? '.' : '\0';
  }
}

void cmt__ip_write(const cmt__ip *ip, char out[CMT__IP_TEXT_SIZE]) {
  const uint8_t *v4 = ip->bytes + IP6_SIZE - IP4_SIZE;
  uint16_t groups[IP6_GROUPS];

  if (cmt__ip_is_v4(ip)) {
    ip4_write(v4, out);
    return;
  }
  for (size_t i = 0; i < IP6_GROUPS; i++) {
    groups[i] = (uint16_t)(ip->bytes[2 * i] << 8 | ip->bytes[2 * i + 1]);
  }
  ip6_write(groups, out);
}

/* A zone is the name or the number of an interface: printable, and without
   characters that separate the parts of an address. */
static bool zone_is_fine(cmt_bytes zone) {
  for (size_t i = 0; i < zone.len; i++) {
    if (zone.base[i] <= 32 || zone.base[i] > 126 ||
        strchr("@/[]%", zone.base[i]) != NULL) {
      return false;
    }
  }
  return zone.len > 0 && zone.len < CMT__ZONE_SIZE;
}

/* Finds the zone behind the '%' of |text|; false: it has none. */
static bool zone_find(cmt_bytes text, cmt_bytes *zone) {
  const uint8_t *mark = text.len > 0 ? memchr(text.base, '%', text.len) : NULL;

  *zone = mark != NULL ? bytes_from(text, (size_t)(mark - text.base) + 1)
                       : (cmt_bytes){0};
  return mark != NULL;
}

bool cmt__ip_canonical(cmt_bytes text, char *out, size_t cap) {
  char plain[CMT__IP_TEXT_SIZE];
  cmt_bytes zone;
  bool zoned = zone_find(text, &zone);
  cmt__ip ip;

  if ((zoned && !zone_is_fine(zone)) || !cmt__ip_read(text, &ip)) {
    return false;
  }
  cmt__ip_write(&ip, plain);
  if (strlen(plain) + zoned + zone.len >= cap) {
    return false;
  }
  zone.len += zoned; /* With its mark, at the end of the text. */
  snprintf(out, cap, "%s%.*s", plain, (int)zone.len,
           (const char *)text.base + (text.len - zone.len));
  return true;
}

/* Reads a literal that has no zone. */
static bool ip_read(cmt_bytes text, cmt__ip *out) {
  static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  uint16_t groups[IP6_GROUPS];
  uint8_t v4[IP4_SIZE];

  if (ip4_read(text, v4)) {
    memcpy(out->bytes, mapped, sizeof mapped);
    memcpy(out->bytes + sizeof mapped, v4, sizeof v4);
    return true;
  }
  if (!ip6_read(text, groups)) {
    return false;
  }
  for (size_t i = 0; i < IP6_GROUPS; i++) {
    out->bytes[2 * i] = (uint8_t)(groups[i] >> 8);
    out->bytes[2 * i + 1] = (uint8_t)groups[i];
  }
  return true;
}

bool cmt__ip_read(cmt_bytes text, cmt__ip *out) {
  cmt_bytes zone;
  bool zoned = zone_find(text, &zone);
  cmt__ip ip;

  text.len -= zone.len + zoned;
  if (!ip_read(text, &ip) || (zoned && cmt__ip_is_v4(&ip))) {
    return false; /* IPv4 has no zones. */
  }
  *out = ip;
  return true;
}

bool cmt__ip_equal(const cmt__ip *a, const cmt__ip *b) {
  return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool cmt__ip_is_v4(const cmt__ip *ip) {
  static const uint8_t prefix[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

  return memcmp(ip->bytes, prefix, sizeof prefix) == 0;
}

bool cmt__ip_is_loopback(const cmt__ip *ip) {
  static const uint8_t one[IP6_SIZE] = {[IP6_SIZE - 1] = 1};

  return cmt__ip_is_v4(ip) ? ip->bytes[IP6_SIZE - IP4_SIZE] == 127
                           : memcmp(ip->bytes, one, sizeof one) == 0;
}

bool cmt__ip_is_link_local(const cmt__ip *ip) {
  return ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

cmt__ip cmt__ip_prefix(const cmt__ip *ip, unsigned bits) {
  cmt__ip out = {{0}};
  unsigned whole = bits / 8;

  if (whole >= IP6_SIZE) {
    return *ip;
  }
  memcpy(out.bytes, ip->bytes, whole);
  if (bits % 8 != 0) {
    out.bytes[whole] =
      (uint8_t)(ip->bytes[whole] & (0xff00u >> bits % 8 & 0xff));
  }
  return out;
}
