/* SPDX-License-Identifier: Apache-2.0 */
/* A genesis.json in pieces: where it is cut changes nothing, and a chain id has
   1 to 50 printable characters. */

#include "fuzz.h"

#include <stdlib.h>

#include "home/genesis.h"

/* Scans |text| in pieces of |len| bytes, each in memory of its own. */
static void scan(cmt__genesis *g, cmt_bytes text, size_t len) {
  bool more = true;

  *g = (cmt__genesis){.state = CMT__GENESIS_BEGIN};
  for (size_t at = 0; at < text.len && more; at += len) {
    size_t piece = cmt__min(len, text.len - at);
    uint8_t *copy =
      fuzz_copy((cmt_bytes){.base = text.base + at, .len = piece});

    more = cmt__genesis_feed(g, (cmt_bytes){.base = copy, .len = piece});
    FUZZ_CHECK(more == (g->state != CMT__GENESIS_FOUND &&
                        g->state != CMT__GENESIS_FAILED));
    free(copy);
  }
  FUZZ_CHECK(cmt__genesis_end(g) == (g->state == CMT__GENESIS_FOUND));
}

static void check(const cmt__genesis *g) {
  size_t len = strlen(g->chain_id);

  if (g->state == CMT__GENESIS_FAILED) {
    FUZZ_CHECK(g->fault[0] != '\0');
    return;
  }
  FUZZ_CHECK(g->state == CMT__GENESIS_FOUND);
  FUZZ_CHECK(len >= 1 && len <= CMT__CHAIN_ID_MAX);
  for (size_t i = 0; i < len; i++) {
    FUZZ_CHECK(g->chain_id[i] >= ' ' && g->chain_id[i] <= '~');
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_input in = {.at = data, .left = size};
  size_t piece = 1 + (size_t)fuzz_byte(&in);
  cmt_bytes text = fuzz_take(&in, in.left);
  cmt__genesis whole, cut;

  scan(&whole, text, text.len > 0 ? text.len : 1);
  scan(&cut, text, piece);
  check(&whole);
  FUZZ_CHECK(whole.state == cut.state);
  FUZZ_CHECK(strcmp(whole.fault, cut.fault) == 0);
  FUZZ_CHECK(strcmp(whole.chain_id, cut.chain_id) == 0);
  return 0;
}
