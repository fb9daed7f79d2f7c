/* SPDX-License-Identifier: Apache-2.0 */
/* HKDF-SHA256 out of libsodium's HMAC: extract to one key, then expand it block
   by block, each keyed by it and fed with the block before. */

#include "hkdf.h"

enum { BLOCK = crypto_auth_hmacsha256_BYTES, BLOCKS_MAX = 255 };

/* libsodium takes no NULL, not even for an empty key. */
static void hmac_init(cmt__hkdf *h, cmt_bytes key) {
  static const uint8_t empty;

  (void)crypto_auth_hmacsha256_init(&h->hmac, key.len > 0 ? key.base : &empty,
                                    key.len);
}

static void hmac_update(cmt__hkdf *h, cmt_bytes data) {
  (void)crypto_auth_hmacsha256_update(&h->hmac, data.base, data.len);
}

static void expand(cmt__hkdf *h, uint8_t *out, size_t len) {
  cmt_bytes before = {.base = h->block, .len = 0};

  for (uint8_t number = 1; len > 0; number++) {
    size_t n = cmt__min(BLOCK, len);

    hmac_init(h, (cmt_bytes){.base = h->prk, .len = BLOCK});
    hmac_update(h, before);
    hmac_update(h, h->info);
    hmac_update(h, (cmt_bytes){.base = &number, .len = 1});
    (void)crypto_auth_hmacsha256_final(&h->hmac, h->block);
    before.len = BLOCK;
    memcpy(out, h->block, n);
    out += n;
    len -= n;
  }
}

bool cmt__hkdf_sha256(cmt__hkdf *h, uint8_t *out, size_t len) {
  if (len > (size_t)BLOCK * BLOCKS_MAX) {
    return false;
  }
  hmac_init(h, h->salt);
  hmac_update(h, h->ikm);
  (void)crypto_auth_hmacsha256_final(&h->hmac, h->prk);
  expand(h, out, len);
  sodium_memzero(h, sizeof *h);
  return true;
}
