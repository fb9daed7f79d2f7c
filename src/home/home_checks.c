/* SPDX-License-Identifier: Apache-2.0 */

/* The checks of texts: names, levels, addresses, lists. */

#include "home_checks.h"

#include "base/ip.h"
#include "core/conn/net_addr.h"

#include "genesis.h"

#include <cometp2p/addrbook.h>
#include <cometp2p/node_info.h>
#include <cometp2p/pex.h>
#include <cometp2p/switch.h>

static bool allow(cmt__home_fault *f, const char *what) {
  snprintf(f->allowed, sizeof f->allowed, "%s", what);
  return false;
}

/* As allow(), for the item |found| of a list. */
static bool allow_item(cmt__home_fault *f, cmt_bytes found, const char *what) {
  cmt__quote(found, f->found, sizeof f->found);
  return allow(f, what);
}

bool cmt__home_check_moniker(const cmt__home_value *v, cmt__home_fault *f) {
  cmt_node_info info = {
    .id = cmt_bytes_of("0000000000000000000000000000000000000000"),
    .listen_addr = cmt_bytes_of("tcp://0.0.0.0:0"),
    .moniker = cmt_bytes_of(v->text),
  };

  /* All other nodes refuse a node with another moniker. */
  return (v->text[0] != '\0' &&
          cmt_node_info_validate(&info, NULL) == CMT_OK) ||
         allow(f, "1 or more printable ASCII characters, not only spaces");
}

static bool is_level(cmt_bytes text) {
  static const char *const levels[] = {"debug", "info", "warn", "error",
                                       "none"};

  for (size_t i = 0; i < CMT__COUNT(levels); i++) {
    if (text.len == strlen(levels[i]) &&
        memcmp(text.base, levels[i], text.len) == 0) {
      return true;
    }
  }
  return false;
}

/* "MODULE:LEVEL". */
static bool is_module_level(cmt_bytes item) {
  const uint8_t *colon = item.len > 0 ? memchr(item.base, ':', item.len) : NULL;
  size_t before;

  if (colon == NULL || colon == item.base) {
    return false;
  }
  before = (size_t)(colon - item.base) + 1;
  return is_level((cmt_bytes){.base = colon + 1, .len = item.len - before});
}

bool cmt__home_check_level(const cmt__home_value *v, cmt__home_fault *f) {
  cmt_bytes rest = cmt_bytes_of(v->text);

  if (is_level(rest)) {
    return true;
  }
  for (;;) {
    const uint8_t *comma =
      rest.len > 0 ? memchr(rest.base, ',', rest.len) : NULL;
    size_t len = comma != NULL ? (size_t)(comma - rest.base) : rest.len;

    if (!is_module_level((cmt_bytes){.base = rest.base, .len = len})) {
      return allow(f, "debug, info, warn, error or none, or a list such as "
                      "p2p:debug,*:error");
    }
    if (comma == NULL) {
      return true;
    }
    rest.base += len + 1;
    rest.len -= len + 1;
  }
}

bool cmt__home_check_format(const cmt__home_value *v, cmt__home_fault *f) {
  return strcmp(v->text, "plain") == 0 || strcmp(v->text, "json") == 0 ||
         allow(f, "plain or json");
}

bool cmt__home_check_path(const cmt__home_value *v, cmt__home_fault *f) {
  return v->text[0] != '\0' || allow(f, "a path");
}

bool cmt__home_check_payload(const cmt__home_value *v, cmt__home_fault *f) {
  (void)f;
  return v->number >= CMT_PACKET_PAYLOAD_MIN;
}

bool cmt__home_check_libp2p(const cmt__home_value *v, cmt__home_fault *f) {
  return !v->flag || allow(f, "false: cometp2p speaks CometBFT's own protocol, "
                              "and not that of libp2p");
}

/* ---- addresses ---- */

bool cmt__home_check_laddr(const cmt__home_value *v, cmt__home_fault *f) {
  cmt_net_addr addr;
  char canonical[sizeof addr.host];
  const char *fault =
    cmt__net_addr_read(cmt_bytes_of(v->text), CMT_ADDR_NO_ID, &addr);

  if (fault == NULL && !cmt__ip_canonical(cmt_bytes_of(addr.host), canonical,
                                          sizeof canonical)) {
    fault = "the host is a name";
  }
  if (fault != NULL) {
    snprintf(f->allowed, sizeof f->allowed,
             "tcp://IP:PORT, and all addresses are 0.0.0.0 (%s)", fault);
  }
  return fault == NULL;
}

bool cmt__home_check_external(const cmt__home_value *v, cmt__home_fault *f) {
  cmt_net_addr addr;
  const char *fault =
    v->text[0] == '\0'
      ? NULL
      : cmt__net_addr_read(cmt_bytes_of(v->text), CMT_ADDR_NO_ID, &addr);

  if (fault != NULL) {
    snprintf(f->allowed, sizeof f->allowed, "HOST:PORT, or nothing (%s)",
             fault);
  }
  return fault == NULL;
}

bool cmt__home_check_metrics_addr(const cmt__home_value *v,
                                  cmt__home_fault *f) {
  cmt_net_addr addr;
  const char *fault =
    v->text[0] == '\0'
      ? NULL
      : cmt__net_addr_read(cmt_bytes_of(v->text), CMT_ADDR_LISTEN, &addr);

  if (fault != NULL) {
    snprintf(f->allowed, sizeof f->allowed, ":PORT or IP:PORT (%s)", fault);
  }
  return fault == NULL;
}

static bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool cmt__home_check_namespace(const cmt__home_value *v, cmt__home_fault *f) {
  for (const char *at = v->text; *at != '\0'; at++) {
    if (!is_name_char(*at) && (at == v->text || *at < '0' || *at > '9')) {
      return allow(f, "letters, digits and underscores, no digit in front");
    }
  }
  return true;
}

/* What the book keeps of a version, less the NUL. */
bool cmt__home_check_version(const cmt__home_value *v, cmt__home_fault *f) {
  return strlen(v->text) < CMT_ADDRBOOK_VERSION_SIZE ||
         allow(f, "up to 23 bytes, what the version begins with");
}

bool cmt__home_check_chain_id(const cmt__home_value *v, cmt__home_fault *f) {
  size_t len = strlen(v->text);

  for (const char *at = v->text; *at != '\0'; at++) {
    if (*at < ' ' || *at > '~') {
      len = 0;
    }
  }
  return (len > 0 && len <= CMT__CHAIN_ID_MAX) ||
         allow(f, "1 to 50 printable ASCII characters");
}

/* ---- lists ---- */

bool cmt__home_item(cmt_bytes *rest, cmt_bytes *item) {
  while (rest->len > 0) {
    const uint8_t *comma = memchr(rest->base, ',', rest->len);
    size_t len = comma != NULL ? (size_t)(comma - rest->base) : rest->len;
    size_t step = cmt__min(len + 1, rest->len);

    *item = (cmt_bytes){.base = rest->base, .len = len};
    rest->base += step;
    rest->len -= step;
    while (item->len > 0 && item->base[0] == ' ') {
      item->base++;
      item->len--;
    }
    while (item->len > 0 && item->base[item->len - 1] == ' ') {
      item->len--;
    }
    if (item->len > 0) {
      return true;
    }
  }
  return false;
}

bool cmt__home_read_id(cmt_bytes text, cmt_node_id *out) {
  char whole[64];
  cmt_net_addr addr;

  /* An id is what stands before an address. */
  if (text.len != sizeof out->text - 1) {
    return false;
  }
  snprintf(whole, sizeof whole, "%.40s@127.0.0.1:1", (const char *)text.base);
  if (cmt__net_addr_read(cmt_bytes_of(whole), 0, &addr) != NULL) {
    return false;
  }
  *out = addr.id;
  return true;
}

bool cmt__home_check_addresses(const cmt__home_value *v, cmt__home_fault *f) {
  cmt_bytes rest = cmt_bytes_of(v->text), item;
  cmt_net_addr addr;

  while (cmt__home_item(&rest, &item)) {
    const char *fault = cmt__net_addr_read(item, 0, &addr);
    char what[sizeof f->allowed];

    if (fault != NULL) {
      snprintf(what, sizeof what, "ID@HOST:PORT, more with commas (%s)", fault);
      return allow_item(f, item, what);
    }
  }
  return true;
}

bool cmt__home_check_length(const char *text, size_t most, const char *kind,
                            cmt__home_fault *f) {
  cmt_bytes rest = cmt_bytes_of(text), item;
  char what[sizeof f->allowed];
  size_t count = 0;

  while (cmt__home_item(&rest, &item)) {
    if (++count > most) {
      snprintf(what, sizeof what, "at most %zu %s", most, kind);
      return allow_item(f, item, what);
    }
  }
  return true;
}

bool cmt__home_check_seeds(const cmt__home_value *v, cmt__home_fault *f) {
  return cmt__home_check_addresses(v, f) &&
         cmt__home_check_length(v->text, CMT_PEX_SEEDS_MAX, "addresses", f);
}

bool cmt__home_check_ids(const cmt__home_value *v, cmt__home_fault *f) {
  cmt_bytes rest = cmt_bytes_of(v->text), item;
  cmt_node_id id;
  size_t count = 0;

  while (cmt__home_item(&rest, &item)) {
    if (!cmt__home_read_id(item, &id)) {
      return allow_item(f, item, "an id of 40 hex digits, more with commas");
    }
    if (++count > CMT_UNCONDITIONAL_MAX) {
      return allow_item(f, item, "at most 256 ids");
    }
  }
  return true;
}
