/* SPDX-License-Identifier: Apache-2.0 */

/* Messages of peer exchange, decoded as the reference does: unknown fields are
   skipped, the last member of the oneof counts, and each entry is checked
   before the first is used.  A list is read twice where it lies, so that it
   needs no memory. */

#include "pex_msg.h"

#include "base/ip.h"

#include <stdio.h>
#include <string.h>

#include "msg_reader.h"

enum {
  MESSAGE_REQUEST = 1,
  MESSAGE_ADDRS = 2,
  ADDRS_ENTRY = 1,
  ENTRY_ID = 1,
  ENTRY_IP = 2,
  ENTRY_PORT = 3,
  IP4_TEXT_MAX = 15,
  IP_TEXT_MAX = 45, /* Six groups of hex digits and an IPv4 address. */
  ID_TEXT = 2 * BOOK_ID,
  PORT_MAX = 65535,
  /* Three fields with a byte each, the sizes of two, and what they have. */
  ENTRY_SIZE_MAX = 3 + 2 + ID_TEXT + CMT__IP_TEXT_SIZE + 3,
};

/* ---- addresses ---- */

static bool is_of(cmt_bytes text, const char *allowed) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.base[i] == '\0' || strchr(allowed, text.base[i]) == NULL) {
      return false;
    }
  }
  return true;
}

/* Four decimal bytes without leading zeros, |text| of digits and dots. */
static bool is_ip4(const char *text) {
  for (int i = 0; i < 4; i++) {
    size_t digits = strspn(text, "0123456789");
    unsigned value = 0;

    for (size_t k = 0; k < digits && k < 4; k++) {
      value = 10 * value + (unsigned)(text[k] - '0');
    }
    if (digits == 0 || digits > 3 || (digits > 1 && text[0] == '0') ||
        value > 255 || text[digits] != (i < 3 ? '.' : '\0')) {
      return false;
    }
    text += digits + 1;
  }
  return true;
}

/* Nearly all addresses of nodes are IPv4 as everybody writes it, for which the
   parser of what people write takes too long. */
static bool read_plain_ip4(cmt_bytes text, cmt__ip *out) {
  return text.len > 0 && text.len <= IP4_TEXT_MAX &&
         memchr(text.base, ':', text.len) == NULL && cmt__ip_read(text, out);
}

bool cmt__pex_ip(cmt_bytes text, cmt_net_addr *out) {
  char ip[IP_TEXT_MAX + 1], dialed[IP_TEXT_MAX + 6];
  cmt_net_addr a;
  cmt__ip plain;
  bool v6;

  if (read_plain_ip4(text, &plain)) {
    cmt__ip_write(&plain, out->host);
    return true;
  }
  if (text.len == 0 || text.len > IP_TEXT_MAX ||
      !is_of(text, "0123456789abcdefABCDEF:.")) {
    return false;
  }
  memcpy(ip, text.base, text.len);
  ip[text.len] = '\0';
  v6 = strchr(ip, ':') != NULL;
  if (!v6 && !is_ip4(ip)) {
    return false;
  }
  snprintf(dialed, sizeof dialed, v6 ? "[%s]:0" : "%s:0", ip);
  if (cmt_net_addr_parse(dialed, CMT_ADDR_NO_ID, &a, NULL) != CMT_OK) {
    return false;
  }
  memcpy(out->host, a.host, sizeof out->host);
  return true;
}

/* The id in lower case; empty when |text| is none. */
static void read_id(cmt_bytes text, cmt_node_id *out) {
  *out = (cmt_node_id){.text = ""};
  if (text.len != ID_TEXT || !is_of(text, "0123456789abcdefABCDEF")) {
    return;
  }
  for (size_t i = 0; i < ID_TEXT; i++) {
    char c = (char)text.base[i];

    out->text[i] = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
  }
}

/* NULL, or what is wrong.  |*decodes|: the entry is a message at all. */
static const char *read_entry(cmt_bytes entry, cmt_net_addr *out,
                              bool *decodes) {
  static const unsigned types[] = {CMT__MSG_BYTES, CMT__MSG_BYTES,
                                   CMT__MSG_VARINT};
  cmt_bytes id = {0}, ip = {0};
  uint32_t port = 0;
  cmt__msg_member f;

  *decodes = false;
  while (entry.len > 0) {
    if (!cmt__msg_known(&entry, types, ENTRY_PORT, &f)) {
      return "an entry does not decode";
    }
    if (f.number == ENTRY_ID) {
      id = f.bytes;
    } else if (f.number == ENTRY_IP) {
      ip = f.bytes;
    } else if (f.number == ENTRY_PORT) {
      port = (uint32_t)f.value; /* The upper half is dropped. */
    }
  }
  *decodes = true;
  if (!cmt__pex_ip(ip, out)) {
    return "an entry has no IP address";
  }
  if (port > PORT_MAX) {
    return "an entry has a port over 65535";
  }
  read_id(id, &out->id);
  out->port = (uint16_t)port;
  return NULL;
}

/* ---- messages ---- */

/* Decodes all entries of |list|, so that no other kind of failure comes before
   that of a message that does not decode. */
static cmt__pex_kind check_entries(cmt_bytes list, const char **fault) {
  static const unsigned types[] = {CMT__MSG_BYTES};
  cmt__pex_kind kind = CMT__PEX_ADDRS;
  cmt__msg_member f;

  while (list.len > 0) {
    cmt_net_addr addr;
    const char *wrong = NULL;
    bool decodes = true;

    if (!cmt__msg_known(&list, types, ADDRS_ENTRY, &f)) {
      *fault = "the list does not decode";
      return CMT__PEX_MALFORMED;
    }
    if (f.number == ADDRS_ENTRY) {
      wrong = read_entry(f.bytes, &addr, &decodes);
    }
    if (!decodes) {
      *fault = wrong;
      return CMT__PEX_MALFORMED;
    }
    if (wrong != NULL) {
      *fault = wrong;
      kind = CMT__PEX_BAD_ENTRY;
    }
  }
  return kind;
}

/* Whether the content of a request decodes: it has no fields that are known. */
static bool check_request(cmt_bytes request) {
  cmt__msg_member f;

  while (request.len > 0) {
    if (!cmt__msg_field(&request, &f)) {
      return false;
    }
  }
  return true;
}

/* A list that a later member replaces must decode, and its entries may be
   anything. */
cmt__pex_kind cmt__pex_read(cmt_bytes msg, cmt__pex_addrs *out,
                            const char **fault) {
  static const unsigned types[] = {CMT__MSG_BYTES, CMT__MSG_BYTES};
  cmt__pex_kind kind = CMT__PEX_MALFORMED;
  cmt__msg_member f;

  *fault = "the message has neither a request nor a list";
  if (msg.len > CMT__PEX_MESSAGE_MAX) {
    *fault = "the message has more than 64000 bytes";
    return CMT__PEX_MALFORMED;
  }
  while (msg.len > 0) {
    if (!cmt__msg_known(&msg, types, MESSAGE_ADDRS, &f)) {
      *fault = "the message does not decode";
      return CMT__PEX_MALFORMED;
    }
    if (f.number == MESSAGE_ADDRS) {
      kind = check_entries(f.bytes, fault);
      *out = (cmt__pex_addrs){.rest = f.bytes};
      if (kind == CMT__PEX_MALFORMED) {
        return kind;
      }
    } else if (f.number == MESSAGE_REQUEST) {
      if (!check_request(f.bytes)) {
        *fault = "the request does not decode";
        return CMT__PEX_MALFORMED;
      }
      kind = CMT__PEX_REQUEST;
    }
  }
  return kind;
}

bool cmt__pex_next(cmt__pex_addrs *list, cmt_net_addr *out) {
  cmt__msg_member f;
  bool decodes;

  while (list->looked_at < CMT__PEX_ADDRS_MAX && list->rest.len > 0 &&
         cmt__msg_field(&list->rest, &f)) {
    if (f.number != ADDRS_ENTRY) {
      continue;
    }
    list->looked_at++;
    if (read_entry(f.bytes, out, &decodes) == NULL && out->id.text[0] != '\0') {
      return true;
    }
  }
  return false;
}

/* ---- writing ---- */

static size_t varint_size(uint64_t v) {
  size_t size = 1;

  for (; v >= 0x80; v >>= 7) {
    size++;
  }
  return size;
}

static uint8_t *put_varint(uint8_t *at, uint64_t v) {
  for (; v >= 0x80; v >>= 7) {
    *at++ = (uint8_t)(v | 0x80);
  }
  *at++ = (uint8_t)v;
  return at;
}

/* A field of |len| bytes begins; they follow. */
static uint8_t *put_head(uint8_t *at, unsigned number, size_t len) {
  *at++ = (uint8_t)(number << 3 | CMT__MSG_BYTES);
  return put_varint(at, len);
}

/* Its size stands before an entry, in one byte, and is known behind it. */
static uint8_t *put_entry(uint8_t *at, const cmt__book_addr *a) {
  char ip[CMT__IP_TEXT_SIZE];
  uint8_t *size = at + 1;
  size_t len;

  _Static_assert(ENTRY_SIZE_MAX < 0x80, "one byte");
  at = put_head(at, ADDRS_ENTRY, 0);
  at = put_head(at, ENTRY_ID, ID_TEXT);
  cmt__book_id_digits(a->id, (char *)at);
  at += ID_TEXT;
  cmt__ip_write(&a->at.ip, ip);
  len = strlen(ip);
  at = put_head(at, ENTRY_IP, len);
  memcpy(at, ip, len);
  at += len;
  if (a->at.port != 0) {
    *at++ = ENTRY_PORT << 3 | CMT__MSG_VARINT;
    at = put_varint(at, a->at.port);
  }
  *size = (uint8_t)(at - size - 1);
  return at;
}

cmt_buf *cmt__pex_new_request(const cmt_env *env) {
  static const uint8_t request[] = {MESSAGE_REQUEST << 3 | CMT__MSG_BYTES, 0};

  return cmt_buf_copy(env, request, sizeof request);
}

static bool has_id(const cmt__book_addr *a) {
  static const uint8_t none[BOOK_ID] = {0};

  return memcmp(a->id, none, sizeof none) != 0;
}

cmt_buf *cmt__pex_new_addrs(const cmt_env *env,
                            const cmt__book_addr *const *addrs, size_t count) {
  uint8_t list[CMT__PEX_ADDRS_MAX * (2 + ENTRY_SIZE_MAX)], *end = list;
  size_t len;
  cmt_buf *b;

  count = count < CMT__PEX_ADDRS_MAX ? count : CMT__PEX_ADDRS_MAX;
  for (size_t i = 0; i < count; i++) {
    end = has_id(addrs[i]) ? put_entry(end, addrs[i]) : end;
  }
  len = (size_t)(end - list);
  b = cmt_buf_new(env, 1 + varint_size(len) + len);
  if (b != NULL) {
    memcpy(put_head(cmt_buf_data(b), MESSAGE_ADDRS, len), list, len);
  }
  return b;
}
