/* SPDX-License-Identifier: Apache-2.0 */
/* HKDF-SHA256 out of libsodium's HMAC: extract to one key, then expand it block
   by block, each keyed by it and fed with the block before. */

#include "hkdf.h"

#include <sodium.h>

enum { BLOCK = crypto_auth_hmacsha256_BYTES, BLOCKS_MAX = 255 };

typedef crypto_auth_hmacsha256_state hmac_state;

/* libsodium takes no NULL, not even for an empty key. */
static void hmac_init(hmac_state *h, cmt_bytes key) {
  static const uint8_t empty;

  (void)crypto_auth_hmacsha256_init(h, key.len > 0 ? key.base : &empty,
                                    key.len);
}

static void hmac_update(hmac_state *h, cmt_bytes data) {
  (void)crypto_auth_hmacsha256_update(h, data.base, data.len);
}

static void hmac_final(hmac_state *h, uint8_t out[BLOCK]) {
  (void)crypto_auth_hmacsha256_final(h, out);
  sodium_memzero(h, sizeof *h);
}

static void expand(cmt_bytes prk, cmt_bytes info, uint8_t *out, size_t len) {
  uint8_t block[BLOCK];
  cmt_bytes before = {.base = block, .len = 0};
  hmac_state h;

  for (size_t at = 0, number = 1; at < len; at += BLOCK, number++) {
    uint8_t byte = (uint8_t)number;

    hmac_init(&h, prk);
    hmac_update(&h, before);
    hmac_update(&h, info);
    hmac_update(&h, (cmt_bytes){.base = &byte, .len = 1});
    hmac_final(&h, block);
    before.len = BLOCK;
    memcpy(out + at, block, cmt__min(BLOCK, len - at));
  }
  sodium_memzero(block, sizeof block);
}

bool cmt__hkdf_sha256(cmt_bytes ikm, cmt_bytes salt, cmt_bytes info,
                      uint8_t *out, size_t len) {
  uint8_t prk[BLOCK];
  hmac_state h;

  if (len > (size_t)BLOCK * BLOCKS_MAX) {
    return false;
  }
  hmac_init(&h, salt);
  hmac_update(&h, ikm);
  hmac_final(&h, prk);
  expand((cmt_bytes){.base = prk, .len = sizeof prk}, info, out, len);
  sodium_memzero(prk, sizeof prk);
  return true;
}
