/* SPDX-License-Identifier: Apache-2.0 */

/* Addresses ID@host:port, parsed as docs/PROTOCOL.md 1.3 defines.  A host
   name stays a name: nothing is resolved here. */

#include "net_addr.h"

#include <cometp2p/node_info.h>
#include <stdio.h>

enum { ID_TEXT = 40, PORT_MAX = 65535 };

/* Where |c| first stands in |text|; its length when it does not. */
static size_t find_first(cmt_bytes text, char c) {
  const uint8_t *at = text.len > 0 ? memchr(text.base, c, text.len) : NULL;

  return at != NULL ? (size_t)(at - text.base) : text.len;
}

static size_t find_last(cmt_bytes text, char c) {
  const uint8_t *at = text.len > 0 ? memrchr(text.base, c, text.len) : NULL;

  return at != NULL ? (size_t)(at - text.base) : text.len;
}

static bool holds(cmt_bytes text, char c) {
  return find_first(text, c) < text.len;
}

static cmt_bytes part(cmt_bytes text, size_t from, size_t to) {
  return (cmt_bytes){.base = text.len > 0 ? text.base + from : NULL,
                     .len = to - from};
}

/* Where "://" first stands in |text|; its length when it does not. */
static size_t find_scheme_end(cmt_bytes text) {
  const uint8_t *at =
    text.len > 0 ? memmem(text.base, text.len, "://", 3) : NULL;

  return at != NULL ? (size_t)(at - text.base) : text.len;
}

/* Drops a scheme, and what follows a second "://" as the reference does. */
static const char *drop_scheme(cmt_bytes *text) {
  size_t end = find_scheme_end(*text);
  cmt_bytes scheme;

  if (end == text->len) {
    return NULL;
  }
  scheme = part(*text, 0, end);
  *text = part(*text, end + 3, text->len);
  text->len = find_scheme_end(*text);
  if (holds(scheme, '@') && !holds(*text, '@')) {
    return "the id stands before the scheme, it belongs behind it";
  }
  return NULL;
}

static const char *read_port(cmt_bytes text, uint16_t *out) {
  unsigned value = 0;

  for (size_t i = 0; i < text.len; i++) {
    if (text.base[i] < '0' || text.base[i] > '9') {
      return "the port has other characters than digits";
    }
    value = 10 * value + (unsigned)(text.base[i] - '0');
    if (value > PORT_MAX) {
      return "the port is over 65535";
    }
  }
  *out = (uint16_t)value;
  return text.len > 0 ? NULL : "the port is empty";
}

static const char *read_host(cmt_bytes text, char *out, size_t cap) {
  if (text.len == 0) {
    return "the host is empty";
  }
  if (text.len >= cap) {
    return "the host is longer than 255 bytes";
  }
  if (cmt__ip_canonical(text, out, cap)) {
    return NULL;
  }
  for (size_t i = 0; i < text.len; i++) {
    if (text.base[i] <= 32 || text.base[i] > 126 || text.base[i] == '/') {
      return "the host has a character that no host name has";
    }
    if (text.base[i] == ':') {
      return "the host is no IPv6 address";
    }
    if (text.base[i] == '*') {
      return "'*' stands for all addresses, on which one can only listen";
    }
  }
  memcpy(out, text.base, text.len);
  out[text.len] = '\0';
  return NULL;
}

/* Splits "[host]:port". */
static const char *split_bracketed(cmt_bytes text, cmt_bytes *host,
                                   cmt_bytes *port) {
  size_t end = find_first(text, ']');

  if (end == text.len) {
    return "a bracket is not closed";
  }
  if (end + 1 == text.len || text.base[end + 1] != ':') {
    return "the port is missing";
  }
  *host = part(text, 1, end);
  *port = part(text, end + 2, text.len);
  return NULL;
}

static const char *split_plain(cmt_bytes text, cmt_bytes *host,
                               cmt_bytes *port) {
  size_t colon = find_last(text, ':');

  if (colon == text.len) {
    return "the port is missing";
  }
  *host = part(text, 0, colon);
  *port = part(text, colon + 1, text.len);
  if (holds(*host, ':')) {
    return "an IPv6 address needs brackets";
  }
  return NULL;
}

/* "" and "*" before the port to listen on. */
static bool is_every_address(cmt_bytes host, unsigned flags) {
  return (flags & CMT_ADDR_LISTEN) != 0 &&
         (host.len == 0 || (host.len == 1 && host.base[0] == '*'));
}

static const char *read_host_port(cmt_bytes text, unsigned flags,
                                  cmt_net_addr *out) {
  bool bracketed = text.len > 0 && text.base[0] == '[';
  cmt_bytes host = {0}, port = {0};
  const char *fault = bracketed ? split_bracketed(text, &host, &port)
                                : split_plain(text, &host, &port);

  if (fault != NULL) {
    return fault;
  }
  if (holds(host, '[') || holds(host, ']')) {
    return "a bracket stands in the wrong place";
  }
  if (!bracketed && is_every_address(host, flags)) {
    host = cmt_bytes_of("::");
  }
  fault = read_host(host, out->host, sizeof out->host);
  return fault != NULL ? fault : read_port(port, &out->port);
}

/* Takes "ID@" off the front of |text|, as far as |flags| want one. */
static const char *take_id(cmt_bytes *text, unsigned flags, cmt_node_id *out) {
  size_t mark = find_first(*text, '@');
  cmt_bytes id;

  if (mark == text->len) {
    return flags != 0 ? NULL : "the id is missing, as in ID@HOST:PORT";
  }
  if ((flags & (CMT_ADDR_NO_ID | CMT_ADDR_LISTEN)) != 0) {
    return "there is an id where none belongs";
  }
  id = part(*text, 0, mark);
  *text = part(*text, mark + 1, text->len);
  if (holds(*text, '@')) {
    return "there is more than one '@'";
  }
  return cmt__node_id_read(id, out) ? NULL : "the id is not 40 hex digits";
}

static char small_letter(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool cmt__node_id_read(cmt_bytes text, cmt_node_id *out) {
  cmt_node_id id = {.text = ""};

  if (text.len != ID_TEXT) {
    return false;
  }
  for (size_t i = 0; i < ID_TEXT; i++) {
    char c = small_letter((char)text.base[i]);

    if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) {
      return false;
    }
    id.text[i] = c;
  }
  *out = id;
  return true;
}

int cmt__node_id_compare(const cmt_node_id *a, const cmt_node_id *b) {
  size_t i = 0;

  while (i < ID_TEXT && a->text[i] != '\0' &&
         small_letter(a->text[i]) == small_letter(b->text[i])) {
    i++;
  }
  return i == ID_TEXT ? 0 : small_letter(a->text[i]) - small_letter(b->text[i]);
}

bool cmt_node_id_equal(const cmt_node_id *a, const cmt_node_id *b) {
  return cmt__node_id_compare(a, b) == 0;
}

void cmt__node_id_write(const cmt_node_id *id, cmt_node_id *out) {
  size_t i = 0;

  for (; i < ID_TEXT && id->text[i] != '\0'; i++) {
    out->text[i] = small_letter(id->text[i]);
  }
  out->text[i] = '\0';
}

const char *cmt__net_addr_read(cmt_bytes text, unsigned flags,
                               cmt_net_addr *out) {
  cmt_net_addr found = {0};
  const char *fault = drop_scheme(&text);

  if (fault == NULL) {
    fault = take_id(&text, flags, &found.id);
  }
  if (fault == NULL) {
    fault = read_host_port(text, flags, &found);
  }
  if (fault == NULL) {
    *out = found;
  }
  return fault;
}

void cmt__net_addr_drop_zone(cmt_net_addr *a) {
  char *zone = strchr(a->host, '%');

  if (zone != NULL) {
    *zone = '\0';
  }
}

cmt_err cmt_net_addr_parse(const char *text, unsigned flags, cmt_net_addr *out,
                           cmt_why *why) {
  cmt_bytes bytes = cmt_bytes_of(text);
  const char *fault;
  char quoted[160];

  if (text == NULL || out == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "%s is NULL",
                    text == NULL ? "the address" : "out");
  }
  if ((flags & ~(unsigned)(CMT_ADDR_ID_OPTIONAL | CMT_ADDR_NO_ID |
                           CMT_ADDR_LISTEN)) != 0) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "address: flags are 0x%x, which nobody knows", flags);
  }
  fault = cmt__net_addr_read(bytes, flags, out);
  if (fault == NULL) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "address '%s': %s",
                  cmt__quote(bytes, quoted, sizeof quoted), fault);
}

cmt_err cmt_net_addr_format(const cmt_net_addr *a, char *out, size_t cap) {
  bool brackets;
  cmt_node_id id;
  int len;

  if (a == NULL || (out == NULL && cap > 0)) {
    return CMT_EINVAL;
  }
  brackets = strchr(a->host, ':') != NULL;
  cmt__node_id_write(&a->id, &id);
  len =
    snprintf(out, cap, "%s%s%s%s%s:%u", id.text, id.text[0] != '\0' ? "@" : "",
             brackets ? "[" : "", a->host, brackets ? "]" : "", a->port);
  if (len >= 0 && (size_t)len < cap) {
    return CMT_OK;
  }
  if (cap > 0) {
    out[0] = '\0';
  }
  return CMT_EINVAL;
}
