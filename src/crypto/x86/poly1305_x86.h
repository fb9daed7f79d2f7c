/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__POLY1305_X86_H
#define CMT__POLY1305_X86_H

/* A block of Poly1305 in additions with carry, as compilers make fewer of sums
   of 128 bits. */

#include "crypto/lanes/poly1305_words.h"

#include <immintrin.h>

/* A sum with a carry in and out.  Compilers keep a variable of its own in a
   register, and an element of an array, as the callers have it, in memory. */
CMT__LANES_INLINE unsigned char add_carry(unsigned char carry, cmt__word a,
                                          cmt__word b, cmt__word *out) {
  cmt__word sum;

  carry = _addcarry_u64(carry, a, b, &sum);
  *out = sum;
  return carry;
}

/* Adds a number of two words to |to|. */
CMT__LANES_INLINE void add_words(cmt__word to[2], cmt__word low,
                                 cmt__word high) {
  const unsigned char carry = add_carry(0, to[0], low, &to[0]);

  (void)add_carry(carry, to[1], high, &to[1]);
}

CMT__LANES_INLINE void word_product(cmt__word to[2], cmt__word a, cmt__word b) {
  const cmt__u128 product = (cmt__u128)a * b;

  to[0] = (cmt__word)product;
  to[1] = (cmt__word)(product >> 64);
}

CMT__LANES_INLINE void add_word_product(cmt__word to[2], cmt__word a,
                                        cmt__word b) {
  cmt__word product[2];

  word_product(product, a, b);
  add_words(to, product[0], product[1]);
}

/* Takes sixteen bytes: sum = (sum + bytes + 2^128) * r, less a multiple of the
   modulus 2^130 - 5.  The last word of the sum is at most 4.

   The sum with the bytes is |a|, whose last word is at most 6.  A product with
   r[1] that stands at 2^128 is one of r[1] / 4 at 2^130, which is |folded| at
   2^0.  Clamped, r[0] and r[1] are below 2^60, so that no sum of products
   overflows. */
CMT__LANES_INLINE void poly_absorb(const cmt__poly *p, cmt__word sum[3],
                                   cmt__word low, cmt__word high) {
  cmt__word a[3], d[2], e[2], over;
  unsigned char carry;

  carry = add_carry(0, sum[0], low, &a[0]);
  carry = add_carry(carry, sum[1], high, &a[1]);
  (void)add_carry(carry, sum[2], 1, &a[2]);
  /* |d| stands at 2^0, |e| at 2^64. */
  word_product(d, a[0], p->r[0]);
  add_word_product(d, a[1], p->folded);
  word_product(e, a[0], p->r[1]);
  add_word_product(e, a[1], p->r[0]);
  add_words(e, d[1], 0);
  add_words(e, a[2] * p->folded, a[2] * p->r[0]);
  /* What stands at 2^130 comes back five times. */
  over = (e[1] & ~UINT64_C(3)) + (e[1] >> 2);
  carry = add_carry(0, d[0], over, &sum[0]);
  carry = add_carry(carry, e[0], 0, &sum[1]);
  (void)add_carry(carry, e[1] & 3, 0, &sum[2]);
}

#endif
