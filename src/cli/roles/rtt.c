/* SPDX-License-Identifier: Apache-2.0 */
/* Slot 128 k + m holds the values from (128 + m) 2^(k-1) on, and the first 128
   slots those below 128 ns exactly. */

#include "rtt.h"

enum { STEPS = 128, STEP_BITS = 7 };

static size_t slot_of(uint64_t value) {
  unsigned top = STEP_BITS;
  size_t slot;

  if (value < STEPS) {
    return (size_t)value;
  }
  while (value >> top > 1) {
    top++;
  }
  slot = (size_t)STEPS * (top - STEP_BITS + 1) +
         (size_t)(value >> (top - STEP_BITS)) - STEPS;
  return slot < CLI_RTT_SLOTS ? slot : CLI_RTT_SLOTS - 1;
}

static uint64_t value_of(size_t slot) {
  size_t octave = slot / STEPS;

  if (octave == 0) {
    return slot;
  }
  return (uint64_t)(STEPS + slot % STEPS) << (octave - 1);
}

void cli_rtt_add(cli_rtt *r, uint64_t rtt_ns) {
  r->count++;
  r->last_ns = rtt_ns;
  r->slots[slot_of(rtt_ns)]++;
}

uint64_t cli_rtt_percentile(const cli_rtt *r, unsigned percent) {
  uint64_t wanted = (r->count * percent + 99) / 100;
  uint64_t seen = 0;

  if (r->count == 0) {
    return 0;
  }
  for (size_t i = 0; i < CLI_RTT_SLOTS; i++) {
    seen += r->slots[i];
    if (seen >= wanted && seen > 0) {
      return value_of(i);
    }
  }
  return r->last_ns;
}
