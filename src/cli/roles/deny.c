/* SPDX-License-Identifier: Apache-2.0 */

/* The whole file is parsed before the switch hears of any line, so that a file
   that cannot be used changes nothing, and a line that stays is banned all the
   time.  Subjects are those of cmt_switch_ban(). */

#include "deny.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = CMT_BANS_MAX / 2, V4_AT = 12, V4_BITS = 96, IP_BITS = 128 };

/* ---- subjects ---- */

static bool id_read(const char *text, uint8_t out[CLI_DENY_BYTES]) {
  if (strlen(text) != (size_t)2 * CLI_DENY_BYTES ||
      strspn(text, "0123456789abcdefABCDEF") != strlen(text)) {
    return false;
  }
  for (size_t i = 0; i < CLI_DENY_BYTES; i++) {
    const char hex[] = {text[2 * i], text[2 * i + 1], '\0'};

    out[i] = (uint8_t)strtoul(hex, NULL, 16);
  }
  return true;
}

static bool ip_read(const char *host, uint8_t out[CLI_DENY_BYTES]) {
  static const uint8_t mapped[V4_AT] = {[10] = 0xff, [11] = 0xff};
  char bare[INET6_ADDRSTRLEN];
  size_t len = strcspn(host, "%");

  if (len >= sizeof bare) {
    return false;
  }
  memcpy(bare, host, len);
  bare[len] = '\0';
  memcpy(out, mapped, sizeof mapped);
  return (host[len] == '\0' && inet_pton(AF_INET, bare, out + V4_AT) == 1) ||
         inet_pton(AF_INET6, bare, out) == 1;
}

static bool ip_is_v4(const uint8_t *ip) {
  static const uint8_t mapped[V4_AT] = {[10] = 0xff, [11] = 0xff};

  return memcmp(ip, mapped, sizeof mapped) == 0;
}

/* Up to three decimal digits without leading zeros. */
static bool bits_read(const char *text, unsigned *out) {
  size_t len = strspn(text, "0123456789");

  *out = (unsigned)strtoul(text, NULL, 10);
  return len > 0 && len <= 3 && text[len] == '\0' &&
         (len == 1 || text[0] != '0');
}

static void host_bits_clear(cli_denied *d) {
  for (unsigned i = d->bits; i < IP_BITS; i++) {
    d->bytes[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
  }
}

/* An address or a range; the length of a prefix is that of the form in which
   the address is written. */
static bool range_read(const char *text, cli_denied *out) {
  char host[CMT_BAN_TEXT_SIZE];
  size_t len = strcspn(text, "/");
  unsigned bits = IP_BITS;

  memcpy(host, text, len);
  host[len] = '\0';
  if (!ip_read(host, out->bytes)) {
    return false;
  }
  if (text[len] == '/') {
    if (!bits_read(text + len + 1, &bits)) {
      return false;
    }
    bits += strchr(host, ':') == NULL ? V4_BITS : 0;
  }
  out->bits = (uint8_t)bits;
  if (bits <= IP_BITS) {
    host_bits_clear(out);
  }
  return bits <= IP_BITS;
}

static bool subject_read(const char *text, cli_denied *out) {
  *out = (cli_denied){.bits = CLI_DENY_ID};
  if (strlen(text) >= sizeof out->text) {
    return false;
  }
  snprintf(out->text, sizeof out->text, "%s", text);
  return id_read(text, out->bytes) || range_read(text, out);
}

static bool equal(const cli_denied *a, const cli_denied *b) {
  return a->bits == b->bits && memcmp(a->bytes, b->bytes, CLI_DENY_BYTES) == 0;
}

static bool has(const cli_deny *d, const cli_denied *one) {
  for (size_t i = 0; i < d->count; i++) {
    if (equal(&d->list[i], one)) {
      return true;
    }
  }
  return false;
}

/* No range of IPv6 covers IPv4 but those of mapped addresses. */
static bool covers(const cli_denied *d, const uint8_t *ip) {
  unsigned whole = d->bits / 8, rest = d->bits % 8;

  if (d->bits == CLI_DENY_ID || (ip_is_v4(ip) && d->bits < V4_BITS)) {
    return false;
  }
  return memcmp(d->bytes, ip, whole) == 0 &&
         (rest == 0 || (d->bytes[whole] ^ ip[whole]) >> (8 - rest) == 0);
}

bool cli_deny_covers(const cli_deny *d, const cmt_net_addr *a) {
  cli_denied id = {.bits = CLI_DENY_ID};
  uint8_t ip[CLI_DENY_BYTES] = {0};
  bool has_id = id_read(a->id.text, id.bytes);
  bool has_ip = ip_read(a->host, ip);

  for (size_t i = 0; i < d->count; i++) {
    if ((has_id && equal(&d->list[i], &id)) ||
        (has_ip && covers(&d->list[i], ip))) {
      return true;
    }
  }
  return false;
}

/* ---- the file ---- */

/* The subject of a line, without blanks and comment; "": it has none. */
static char *line_trim(char *line) {
  char *end;

  line[strcspn(line, "#\r\n")] = '\0';
  while (isspace((unsigned char)*line)) {
    line++;
  }
  end = line + strlen(line);
  while (end > line && isspace((unsigned char)end[-1])) {
    *--end = '\0';
  }
  return line;
}

/* Adds the subject of a line, if it has one.  False: |fault|, of |cap| bytes,
   says what is wrong. */
static bool line_add(cli_deny *d, char *line, char *fault, size_t cap) {
  const char *subject = line_trim(line);
  cli_denied one;

  if (*subject == '\0') {
    return true;
  }
  if (!subject_read(subject, &one)) {
    snprintf(fault, cap,
             "subject is \"%.64s\", allowed are a node id, an IP address, and "
             "a range such as 10.0.0.0/8",
             subject);
    return false;
  }
  if (d->count == LINES_MAX) {
    snprintf(fault, cap, "there are more than %d lines", LINES_MAX);
    return false;
  }
  d->list = cli_realloc(d->list, (d->count + 1) * sizeof *d->list);
  d->list[d->count++] = one;
  return true;
}

static bool read_all(cli_deny *d, const char *path, FILE *file, cmt_why *why) {
  char fault[192];
  char *line = NULL;
  size_t cap = 0;
  unsigned number = 0;
  bool well = true;

  while (well && getline(&line, &cap, file) >= 0) {
    number++;
    well = line_add(d, line, fault, sizeof fault);
  }
  if (!well) {
    snprintf(why->text, sizeof why->text, "%s:%u: %s", path, number, fault);
  } else if (!feof(file)) {
    snprintf(why->text, sizeof why->text, "%s: %s", path, strerror(errno));
    well = false;
  }
  free(line);
  return well;
}

static bool file_read(cli_deny *d, const char *path, cmt_why *why) {
  FILE *file = fopen(path, "re");
  bool well;

  if (file == NULL) {
    snprintf(why->text, sizeof why->text, "%s: %s", path, strerror(errno));
    return false;
  }
  well = read_all(d, path, file, why);
  (void)fclose(file);
  return well;
}

/* ---- bans ---- */

/* Ends the bans of the first |count| that |kept| has not. */
static void unban(const cli_deny *d, size_t count, const cli_deny *kept,
                  cmt_switch *sw) {
  for (size_t i = 0; i < count; i++) {
    if (!has(kept, &d->list[i])) {
      cmt_ignore(cmt_switch_unban(sw, d->list[i].text, NULL));
    }
  }
}

/* Bans all of |fresh| while |d| is banned; false: only |d| is. */
static bool ban_new(const cli_deny *fresh, const cli_deny *d, cmt_switch *sw,
                    cmt_why *why) {
  for (size_t i = 0; i < fresh->count; i++) {
    cmt_ban ban;

    cmt_ban_init(&ban);
    ban.duration_ns = CMT_NEVER;
    snprintf(ban.subject, sizeof ban.subject, "%s", fresh->list[i].text);
    if (cmt_switch_ban(sw, &ban, why) != CMT_OK) {
      unban(fresh, i, d, sw);
      return false;
    }
  }
  return true;
}

bool cli_deny_load(cli_deny *d, const char *path, cmt_switch *sw,
                   cmt_why *why) {
  cli_deny fresh = {NULL, 0};

  if (!file_read(&fresh, path, why) || !ban_new(&fresh, d, sw, why)) {
    cli_deny_fini(&fresh);
    return false;
  }
  unban(d, d->count, &fresh, sw);
  cli_deny_fini(d);
  *d = fresh;
  return true;
}

void cli_deny_fini(cli_deny *d) {
  free(d->list);
  *d = (cli_deny){NULL, 0};
}
