/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_PUBLIC_KEY_OPS_H
#define CMT_TEST_PUBLIC_KEY_OPS_H

/* Counts the public-key operations of a handshake.  For one source of a test
   whose linker wraps them: it defines the wrappers. */

#include "wrapped_sodium.h"

#include <stddef.h>

static size_t public_key_ops;

int __wrap_crypto_scalarmult_curve25519(uint8_t *out, const uint8_t *secret,
                                        const uint8_t *theirs) {
  public_key_ops++;
  return __real_crypto_scalarmult_curve25519(out, secret, theirs);
}

void __wrap_cmt__x25519_base(uint8_t *out, const uint8_t *secret) {
  public_key_ops++;
  __real_cmt__x25519_base(out, secret);
}

int __wrap_crypto_sign_detached(uint8_t *sig, unsigned long long *sig_len,
                                const uint8_t *msg, unsigned long long len,
                                const uint8_t *secret) {
  public_key_ops++;
  return __real_crypto_sign_detached(sig, sig_len, msg, len, secret);
}

int __wrap_crypto_sign_verify_detached(const uint8_t *sig, const uint8_t *msg,
                                       unsigned long long len,
                                       const uint8_t *key) {
  public_key_ops++;
  return __real_crypto_sign_verify_detached(sig, msg, len, key);
}

#endif
