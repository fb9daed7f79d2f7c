/* SPDX-License-Identifier: Apache-2.0 */

/* Random numbers.  The entropy of the environment is a system call, so a key is
   drawn, and the numbers are its keystream of ChaCha20. */

#include "book_impl.h"

#include <sodium.h>

static void refill(cmt_addrbook *b) {
  static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = {0};
  uint8_t key[crypto_stream_chacha20_KEYBYTES];

  b->env.entropy(b->env.entropy_arg, key, sizeof key);
  crypto_stream_chacha20(b->random, sizeof b->random, nonce, key);
  b->random_left = sizeof b->random;
}

static uint32_t draw(cmt_addrbook *b) {
  if (b->random_left == 0) {
    refill(b);
  }
  b->random_left -= (uint32_t)sizeof(uint32_t);
  return cmt__load_le32(b->random + b->random_left);
}

/* The upper half of the product of |limit| and a number of 32 bits, which may
   not be one of the first of those that give the same result: without these
   all results have as many. */
static uint32_t random_below(cmt_addrbook *b, uint32_t limit) {
  uint64_t product = (uint64_t)draw(b) * limit;

  if ((uint32_t)product < limit) {
    uint32_t skip = (0 - limit) % limit;

    while ((uint32_t)product < skip) {
      product = (uint64_t)draw(b) * limit;
    }
  }
  return (uint32_t)(product >> 32);
}

uint64_t cmt__book_random(cmt_addrbook *b, uint64_t limit) {
  /* Numbers below this remainder would make small results more likely. */
  uint64_t skip, v;

  if (limit <= UINT32_MAX) {
    return random_below(b, (uint32_t)limit);
  }
  skip = (0 - limit) % limit;
  do {
    v = (uint64_t)draw(b) << 32;
    v |= draw(b);
  } while (v < skip);
  return v % limit;
}
