/* SPDX-License-Identifier: Apache-2.0 */

/* Random numbers from the entropy of the environment, which is drawn ahead. */

#include "book_impl.h"

/* |len| random bytes, at most eight, as a number. */
static uint64_t draw(cmt_addrbook *b, size_t len) {
  uint64_t v = 0;

  if (b->random_left < len) {
    b->env.entropy(b->env.entropy_arg, b->random, sizeof b->random);
    b->random_left = sizeof b->random;
  }
  b->random_left -= len;
  for (size_t i = 0; i < len; i++) {
    v = v << 8 | b->random[b->random_left + i];
  }
  return v;
}

uint64_t cmt__book_random(cmt_addrbook *b, uint64_t limit) {
  /* Most limits are small; entropy of the system costs more than this. */
  size_t len = limit <= UINT16_MAX ? sizeof(uint32_t) : sizeof(uint64_t);
  uint64_t most = UINT64_MAX >> 8 * (sizeof(uint64_t) - len), v;
  /* Numbers below this remainder would make small results more likely. */
  uint64_t skip = (most - limit + 1) % limit;

  do {
    v = draw(b, len);
  } while (v < skip);
  return v % limit;
}
