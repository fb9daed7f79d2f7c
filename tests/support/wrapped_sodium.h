/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_WRAPPED_SODIUM_H
#define CMT_TEST_WRAPPED_SODIUM_H

/* The public-key operations of a handshake, in programs whose linker wraps
   them: the library calls __wrap_NAME(), which the program defines, and
   __real_NAME() is libsodium's; the key pair is ours. */

#include <stdint.h>

int __real_crypto_scalarmult_curve25519(uint8_t *out, const uint8_t *secret,
                                        const uint8_t *theirs);
int __wrap_crypto_scalarmult_curve25519(uint8_t *out, const uint8_t *secret,
                                        const uint8_t *theirs);
void __real_cmt__x25519_base(uint8_t *out, const uint8_t *secret);
void __wrap_cmt__x25519_base(uint8_t *out, const uint8_t *secret);
int __real_crypto_sign_detached(uint8_t *sig, unsigned long long *sig_len,
                                const uint8_t *msg, unsigned long long len,
                                const uint8_t *secret);
int __wrap_crypto_sign_detached(uint8_t *sig, unsigned long long *sig_len,
                                const uint8_t *msg, unsigned long long len,
                                const uint8_t *secret);
int __real_crypto_sign_verify_detached(const uint8_t *sig, const uint8_t *msg,
                                       unsigned long long len,
                                       const uint8_t *key);
int __wrap_crypto_sign_verify_detached(const uint8_t *sig, const uint8_t *msg,
                                       unsigned long long len,
                                       const uint8_t *key);

#endif
