/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__POLY1305_TAG_H
#define CMT__POLY1305_TAG_H

/* The end of Poly1305 (RFC 8439, section 2.5), the same for all kernels. */

#include "base/base.h"

__extension__ typedef unsigned __int128 cmt__u128;

/* |sum| is the accumulator in words of 64 bits, less than 2^132; |pad| is the
   second half of the one-time key.  No branch depends on either. */
static inline void poly1305_tag(const uint64_t sum[3], const uint8_t pad[16],
                                uint8_t tag[16]) {
  uint64_t low = sum[0], middle = sum[1], high = sum[2];
  cmt__u128 t;

  /* One partial reduction by the modulus, 2^130 - 5: the sum is now less than
     twice the modulus. */
  t = (cmt__u128)low + 5 * (high >> 2);
  low = (uint64_t)t;
  t = (t >> 64) + middle;
  middle = (uint64_t)t;
  high = (high & 3) + (uint64_t)(t >> 64);
  /* The quotient is the carry out of 130 bits of the sum plus five. */
  t = ((cmt__u128)low + 5) >> 64;
  t = (t + middle) >> 64;
  t = (cmt__u128)low + 5 * ((high + (uint64_t)t) >> 2);
  low = (uint64_t)t;
  middle += (uint64_t)(t >> 64);
  t = (cmt__u128)low + cmt__load_le64(pad);
  cmt__store_le64(tag, (uint64_t)t);
  cmt__store_le64(tag + 8,
                  middle + cmt__load_le64(pad + 8) + (uint64_t)(t >> 64));
}

#endif
