/* SPDX-License-Identifier: Apache-2.0 */

/* Random numbers from the entropy of the environment, which is drawn ahead. */

#include "book_impl.h"

static uint64_t draw(cmt_addrbook *b) {
  uint64_t v;

  if (b->random_left < sizeof v) {
    b->env.entropy(b->env.entropy_arg, b->random, sizeof b->random);
    b->random_left = sizeof b->random;
  }
  b->random_left -= sizeof v;
  return cmt__load_le64(b->random + b->random_left);
}

uint64_t cmt__book_random(cmt_addrbook *b, uint64_t limit) {
  /* Numbers below this remainder would make small results more likely. */
  uint64_t skip = (UINT64_MAX - limit + 1) % limit, v;

  do {
    v = draw(b);
  } while (v < skip);
  return v % limit;
}
