/* SPDX-License-Identifier: Apache-2.0 */
/* Values and names in config.toml.  The first byte of the input draws what the
   value is in the file, the rest is its text, which every key gets, and a name
   that nobody knows. */

#include "fuzz.h"

#include <stdlib.h>

#include "home/home_checks.h"
#include "home/home_values.h"

static bool is_line(const char *text) {
  for (; *text != '\0'; text++) {
    if (*text < ' ' || *text > '~') {
      return false;
    }
  }
  return true;
}

static void check_key(const cmt__home_key *key, const cmt__home_given *given) {
  cmt__home_value v;
  cmt__home_fault f;

  if (!cmt__home_value_read(key, given, &v, &f)) {
    FUZZ_CHECK(f.allowed[0] != '\0' && is_line(f.allowed) && is_line(f.found));
    return;
  }
  FUZZ_CHECK(v.text != NULL);
  FUZZ_CHECK(key->kind != CMT__HOME_NUMBER || v.number <= key->max);
  FUZZ_CHECK(key->kind != CMT__HOME_DURATION || v.number <= INT64_MAX);
  FUZZ_CHECK(key->check != cmt__home_check_moniker || is_line(v.text));
}

/* The items have no blanks around them and are in order. */
static void check_items(cmt_bytes text) {
  cmt_bytes rest = text, item;
  const uint8_t *at = text.base;
  cmt_node_id id;

  while (cmt__home_item(&rest, &item)) {
    FUZZ_CHECK(item.len > 0 && item.base >= at);
    FUZZ_CHECK(item.base[0] != ' ' && item.base[item.len - 1] != ' ');
    FUZZ_CHECK(memchr(item.base, ',', item.len) == NULL);
    at = item.base + item.len;
    FUZZ_CHECK(at <= text.base + text.len);
    if (cmt__home_read_id(item, &id)) {
      FUZZ_CHECK(item.len == 40 && strlen(id.text) == 40);
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const sections[] = {"", "p2p", "instrumentation"};
  fuzz_input in = {.at = data, .left = size};
  unsigned drawn = fuzz_byte(&in);
  cmt_bytes text = fuzz_take(&in, in.left);
  char *copy = calloc(1, text.len + 1), shown[120];
  cmt__home_given given = {.kind = (cmt__toml_kind)(drawn % 7),
                           .flag = drawn >= 128};

  FUZZ_CHECK(copy != NULL);
  if (text.len > 0) {
    memcpy(copy, text.base, text.len);
  }
  given.text = (cmt_bytes){.base = (const uint8_t *)copy, .len = text.len};
  given.integer = strtoll(copy, NULL, 10);
  for (size_t i = 0; i < CMT__HOME_KEY_COUNT; i++) {
    check_key(&cmt__home_keys[i], &given);
  }
  cmt__home_given_show(&given, shown, sizeof shown);
  FUZZ_CHECK(is_line(shown));
  check_items(given.text);
  for (size_t i = 0; i < CMT__COUNT(sections); i++) {
    cmt__home_key_nearest(cmt_bytes_of(sections[i]), given.text, drawn & 1,
                          shown, sizeof shown);
    FUZZ_CHECK(is_line(shown));
  }
  free(copy);
  return 0;
}
