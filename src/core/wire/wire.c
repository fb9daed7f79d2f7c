/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

extern const cmt__wire cmt__wire_cometbft, cmt__wire_legacy;

/* One row for each profile. */
static const cmt__wire *const profiles[] = {
  [CMT_WIRE_COMETBFT] = &cmt__wire_cometbft,
  [CMT_WIRE_LEGACY] = &cmt__wire_legacy,
};

const cmt__wire *cmt__wire_of(cmt_wire wire) {
  return (size_t)wire < CMT__COUNT(profiles) ? profiles[wire] : NULL;
}

bool cmt__wire_is_foreign(const cmt__wire *wire, uint8_t first) {
  for (size_t i = 0; i < CMT__COUNT(profiles); i++) {
    if (profiles[i] != wire && profiles[i]->opens(first)) {
      return true;
    }
  }
  return false;
}
