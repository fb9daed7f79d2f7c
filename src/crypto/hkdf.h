/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__HKDF_H
#define CMT__HKDF_H

/* HKDF-SHA256 (RFC 5869), which libsodium has from 1.0.19 on only. */

#include "base/base.h"

#include <sodium.h>

/* One computation: its input, and the working memory that contains all of its
   secrets. */
typedef struct cmt__hkdf {
  cmt_bytes ikm, salt, info;
  crypto_auth_hmacsha256_state hmac;
  uint8_t prk[crypto_auth_hmacsha256_BYTES];
  uint8_t block[crypto_auth_hmacsha256_BYTES];
} cmt__hkdf;

/* Fills |out| with |len| bytes and wipes what |h| worked with; false, and
   nothing is written, when |len| is above 8,160 bytes, the limit of the
   construction. */
CMT_NODISCARD bool cmt__hkdf_sha256(cmt__hkdf *h, uint8_t *out, size_t len);

#endif
