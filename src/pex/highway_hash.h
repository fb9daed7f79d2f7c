/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__HIGHWAY_HASH_H
#define CMT__HIGHWAY_HASH_H

/* HighwayHash-64 (J. Alakuijala, B. Cox, J. Wassenberg, 2016), the keyed hash
   that CometBFT places addresses with.  No packaged C library has it. */

#include <stddef.h>
#include <stdint.h>

enum { CMT__HIGHWAY_KEY_SIZE = 32 };

/* The 64-bit sum of |len| bytes, the same on every platform. */
uint64_t cmt__highway_hash(const uint8_t key[CMT__HIGHWAY_KEY_SIZE],
                           const void *data, size_t len);

#endif
