/* SPDX-License-Identifier: Apache-2.0 */

/* Where the processor has AVX, libsodium computes a public key of X25519 by the
   ladder of any point.  Its product on the Edwards curve, which signatures use,
   has tables of the base point and takes less than half of the time, in
   constant time as well.  The curves are two forms of one, and the public key
   is u = (1 + y) / (1 - y).  The product is as public as the key, so that no
   secret is in what is computed here.  docs/CRYPTO.md */

#include "x25519.h"

#include <sodium.h>

/* Small builds of libsodium lack the product. */
#if defined __SIZEOF_INT128__ && defined crypto_scalarmult_ed25519_BYTES

enum { LIMBS = 5, LIMB_BITS = 51 };

#define MASK ((UINT64_C(1) << LIMB_BITS) - 1)

__extension__ typedef unsigned __int128 wide;

/* A number modulo p = 2^255 - 19, in limbs of 51 bits and some more: at most
   2^52, as the functions below need them. */
typedef struct element {
  uint64_t limb[LIMBS];
} element;

static element element_read(const uint8_t in[32]) {
  return (element){{
    cmt__load_le64(in) & MASK,
    cmt__load_le64(in + 6) >> 3 & MASK,
    cmt__load_le64(in + 12) >> 6 & MASK,
    cmt__load_le64(in + 19) >> 1 & MASK,
    cmt__load_le64(in + 24) >> 12 & MASK,
  }};
}

/* Carries once around: 2^255 is 19. */
static element element_carry(element a) {
  uint64_t carry = 0;

  for (size_t i = 0; i < LIMBS; i++) {
    a.limb[i] += carry;
    carry = a.limb[i] >> LIMB_BITS;
    a.limb[i] &= MASK;
  }
  a.limb[0] += 19 * carry;
  return a;
}

/* Writes the number below p. */
static void element_write(element a, uint8_t out[32]) {
  uint64_t over = 19;

  a = element_carry(element_carry(a));
  for (size_t i = 0; i < LIMBS; i++) { /* 1 if a >= p, and else 0. */
    over = (a.limb[i] + over) >> LIMB_BITS;
  }
  a.limb[0] += 19 * over;
  for (size_t i = 0; i + 1 < LIMBS; i++) {
    a.limb[i + 1] += a.limb[i] >> LIMB_BITS;
    a.limb[i] &= MASK;
  }
  a.limb[LIMBS - 1] &= MASK;
  cmt__store_le64(out, a.limb[0] | a.limb[1] << 51);
  cmt__store_le64(out + 8, a.limb[1] >> 13 | a.limb[2] << 38);
  cmt__store_le64(out + 16, a.limb[2] >> 26 | a.limb[3] << 25);
  cmt__store_le64(out + 24, a.limb[3] >> 39 | a.limb[4] << 12);
}

/* The sums of products of limbs are below 2^111.  |r4|, without a factor 19, is
   below 2^107, so that its carry times 19 fits into 64 bits. */
static inline element reduce(wide r0, wide r1, wide r2, wide r3, wide r4) {
  element out;

  r1 += (uint64_t)(r0 >> LIMB_BITS);
  r2 += (uint64_t)(r1 >> LIMB_BITS);
  r3 += (uint64_t)(r2 >> LIMB_BITS);
  r4 += (uint64_t)(r3 >> LIMB_BITS);
  out =
    (element){{(uint64_t)r0 & MASK, (uint64_t)r1 & MASK, (uint64_t)r2 & MASK,
               (uint64_t)r3 & MASK, (uint64_t)r4 & MASK}};
  out.limb[0] += 19 * (uint64_t)(r4 >> LIMB_BITS);
  out.limb[1] += out.limb[0] >> LIMB_BITS;
  out.limb[0] &= MASK;
  return out;
}

static element multiply(element a, element b) {
  wide a0 = a.limb[0], a1 = a.limb[1], a2 = a.limb[2], a3 = a.limb[3],
       a4 = a.limb[4];
  const uint64_t *by = b.limb;
  uint64_t by1 = 19 * by[1], by2 = 19 * by[2], by3 = 19 * by[3],
           by4 = 19 * by[4];

  return reduce(a0 * by[0] + a1 * by4 + a2 * by3 + a3 * by2 + a4 * by1,
                a0 * by[1] + a1 * by[0] + a2 * by4 + a3 * by3 + a4 * by2,
                a0 * by[2] + a1 * by[1] + a2 * by[0] + a3 * by4 + a4 * by3,
                a0 * by[3] + a1 * by[2] + a2 * by[1] + a3 * by[0] + a4 * by4,
                a0 * by[4] + a1 * by[3] + a2 * by[2] + a3 * by[1] + a4 * by[0]);
}

/* The square of |a|, the square of that, and so on, |times|. */
static element square(element a, int times) {
  for (int i = 0; i < times; i++) {
    uint64_t a0 = a.limb[0], a1 = a.limb[1], a2 = a.limb[2], a3 = a.limb[3],
             a4 = a.limb[4];
    wide twice0 = 2 * a0, twice1 = 2 * a1, twice2 = 2 * a2, twice3 = 2 * a3;
    uint64_t by3 = 19 * a3, by4 = 19 * a4;

    a = reduce((wide)a0 * a0 + twice1 * by4 + twice2 * by3,
               twice0 * a1 + twice2 * by4 + (wide)a3 * by3,
               twice0 * a2 + (wide)a1 * a1 + twice3 * by4,
               twice0 * a3 + twice1 * a2 + (wide)a4 * by4,
               twice0 * a4 + twice1 * a3 + (wide)a2 * a2);
  }
  return a;
}

/* The inverse, a^(p-2).  Names say of what power: b10 is a^(2^10 - 1). */
static element invert(element a) {
  element a2 = square(a, 1);
  element a9 = multiply(square(a2, 2), a);
  element a11 = multiply(a9, a2);
  element b5 = multiply(square(a11, 1), a9);
  element b10 = multiply(square(b5, 5), b5);
  element b20 = multiply(square(b10, 10), b10);
  element b40 = multiply(square(b20, 20), b20);
  element b50 = multiply(square(b40, 10), b10);
  element b100 = multiply(square(b50, 50), b50);
  element b200 = multiply(square(b100, 100), b100);
  element b250 = multiply(square(b200, 50), b50);

  return multiply(square(b250, 5), a11);
}

void cmt__x25519_base(uint8_t out[32], const uint8_t secret[32]) {
  uint8_t product[crypto_scalarmult_ed25519_BYTES];
  element y, above, below;

  /* It clamps the secret, and reports one of zeros, which is a key, too. */
  (void)crypto_scalarmult_ed25519_base(product, secret);
  y = element_read(product); /* Without the sign of x. */
  above = y;
  above.limb[0] += 1;
  for (size_t i = 0; i < LIMBS; i++) { /* 1 - y + 2 p */
    below.limb[i] = 2 * MASK - y.limb[i];
  }
  below.limb[0] -= 2 * 18 - 1;
  element_write(multiply(above, invert(below)), out);
}

#else

void cmt__x25519_base(uint8_t out[32], const uint8_t secret[32]) {
  (void)crypto_scalarmult_curve25519_base(out, secret);
}

#endif
