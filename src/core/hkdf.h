/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__HKDF_H
#define CMT__HKDF_H

/* HKDF-SHA256 (RFC 5869), which libsodium has from 1.0.19 on only. */

#include "base.h"

/* Fills |out| with |len| bytes; false, and nothing is written, when |len| is
   above the 8,160 bytes that the construction can give. */
CMT_NODISCARD bool cmt__hkdf_sha256(cmt_bytes ikm, cmt_bytes salt,
                                    cmt_bytes info, uint8_t *out, size_t len);

#endif
