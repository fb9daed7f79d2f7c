/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__POLY1305_WORDS_H
#define CMT__POLY1305_WORDS_H

/* Poly1305 (RFC 8439, section 2.5) on words of 64 bits, which are multiplied by
   the processor's integer units.  No branch and no address depends on a key or
   on what is absorbed.  How a block is absorbed differs between processors:
   poly_absorb() is in the kernel's own folder. */

#include "base/base.h"
#include "inline.h"

__extension__ typedef unsigned __int128 cmt__u128;
typedef unsigned long long cmt__word;

/* The one-time key. */
typedef struct cmt__poly {
  cmt__word r[2];
  cmt__word folded; /* 5/4 of r[1], for products that pass 2^130. */
  cmt__word pad[2];
} cmt__poly;

CMT__LANES_INLINE void poly_start(cmt__poly *p, const uint8_t key[32]) {
  p->r[0] = cmt__load_le64(key) & UINT64_C(0x0ffffffc0fffffff);
  p->r[1] = cmt__load_le64(key + 8) & UINT64_C(0x0ffffffc0ffffffc);
  p->folded = p->r[1] + (p->r[1] >> 2);
  p->pad[0] = cmt__load_le64(key + 16);
  p->pad[1] = cmt__load_le64(key + 24);
}

CMT__LANES_INLINE cmt__u128 two_words(cmt__word low, cmt__word high) {
  return (cmt__u128)high << 64 | low;
}

/* Adds |b|, and reports the carry; compilers make an addition with carry of
   it. */
CMT__LANES_INLINE cmt__word add_carrying(cmt__u128 *to, cmt__u128 b) {
  *to += b;
  return *to < b;
}

/* |sum| may be as large as 2^132; |pad| is the second half of the one-time
   key. */
CMT__LANES_INLINE void poly_tag(const cmt__word sum[3], const cmt__word pad[2],
                                uint8_t tag[16]) {
  cmt__u128 out = two_words(sum[0], sum[1]), less;
  cmt__word high = sum[2] & 3;

  /* Once around the modulus: now the sum is less than twice that. */
  high += add_carrying(&out, 5 * (sum[2] >> 2));
  /* The quotient is the carry out of 130 bits of the sum plus five. */
  less = out;
  high += add_carrying(&less, 5);
  out += 5 * (high >> 2);
  out += two_words(pad[0], pad[1]);
  cmt__store_le64(tag, (cmt__word)out);
  cmt__store_le64(tag + 8, (cmt__word)(out >> 64));
}

#endif
