/* SPDX-License-Identifier: Apache-2.0 */

/* What stands for the cryptography in nine seeds of ten: frames that are not
   encrypted and have a checksum for a tag, and key agreement and signatures
   that anybody could forge.  They cost little, and still detect a changed byte,
   a wrong key, and a counter that was used twice or left out.  The library is
   the same in all seeds: the frames come through the environment, and the
   linker puts the four other functions in the place of those of libsodium. */

#include "sim.h"

#include "crypto/aead.h"
#include "wrapped_sodium.h"

#include <cometp2p/secret_conn.h>

enum { KEY = 32, SIG = 64, LANES = 4 };

static bool is_real;

const struct cmt_aead *sim_crypto_use(bool real) {
  is_real = real;
  return real ? &cmt__aead_libsodium : &sim_aead;
}

/* ---- a checksum ---- */

static uint64_t word_at(const uint8_t *p) {
  uint64_t x;

  memcpy(&x, p, sizeof x);
  return x;
}

/* |len| is a multiple of 4; four lanes, since each step waits for the last. */
static uint64_t checksum(uint64_t label, const uint8_t *p, size_t len) {
  uint64_t lane[LANES] = {label, label + 1, label + 2, label + 3};
  uint32_t half = 0;

  for (; len >= sizeof(uint64_t) * LANES; len -= sizeof(uint64_t) * LANES) {
    for (size_t i = 0; i < LANES; i++, p += sizeof(uint64_t)) {
      lane[i] = (lane[i] ^ word_at(p)) * UINT64_C(0x9e3779b97f4a7c15);
      lane[i] ^= lane[i] >> 29;
    }
  }
  for (; len >= sizeof half; len -= sizeof half, p += sizeof half) {
    memcpy(&half, p, sizeof half);
    lane[0] = sim_mix(lane[0] ^ half);
  }
  return sim_mix(sim_mix(sim_mix(lane[0]) ^ lane[1]) ^
                 sim_mix(sim_mix(lane[2]) ^ lane[3]));
}

static void put_words(uint64_t x, uint8_t *out, size_t len) {
  for (size_t i = 0; i < len; i += sizeof x) {
    uint64_t word = sim_mix(x + i);

    memcpy(out + i, &word, sizeof word);
  }
}

/* ---- frames ---- */

static void make_tag(const cmt__aead_job *j, uint8_t tag[CMT__AEAD_TAG]) {
  uint64_t key = checksum(j->counter, j->key, CMT__AEAD_KEY);

  put_words(checksum(key, j->slot, CMT_FRAME_PLAIN), tag, CMT__AEAD_TAG);
}

static void sum_seal(cmt__aead_job *jobs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    make_tag(&jobs[i], jobs[i].slot + CMT_FRAME_PLAIN);
  }
}

static void sum_open(cmt__aead_job *jobs, size_t count) {
  uint8_t tag[CMT__AEAD_TAG];

  for (size_t i = 0; i < count; i++) {
    make_tag(&jobs[i], tag);
    jobs[i].ok = memcmp(jobs[i].slot + CMT_FRAME_PLAIN, tag, sizeof tag) == 0;
  }
}

const struct cmt_aead sim_aead = {
  .name = "checksum", .seal = sum_seal, .open = sum_open};

/* ---- the handshake ---- */

static void public_of(const uint8_t *secret, uint8_t out[KEY]) {
  put_words(checksum(1, secret, KEY), out, KEY);
}

void __wrap_cmt__x25519_base(uint8_t *out, const uint8_t *secret) {
  if (is_real) {
    __real_cmt__x25519_base(out, secret);
  } else {
    public_of(secret, out);
  }
}

/* Both sides have both public keys. */
int __wrap_crypto_scalarmult_curve25519(uint8_t *out, const uint8_t *secret,
                                        const uint8_t *theirs) {
  uint8_t both[KEY];

  if (is_real) {
    return __real_crypto_scalarmult_curve25519(out, secret, theirs);
  }
  public_of(secret, both);
  for (size_t i = 0; i < KEY; i++) {
    both[i] ^= theirs[i];
  }
  put_words(checksum(2, both, KEY), out, KEY);
  return 0;
}

/* The public key is the second half of the secret one. */
int __wrap_crypto_sign_detached(uint8_t *sig, unsigned long long *sig_len,
                                const uint8_t *msg, unsigned long long len,
                                const uint8_t *secret) {
  if (is_real) {
    return __real_crypto_sign_detached(sig, sig_len, msg, len, secret);
  }
  put_words(checksum(checksum(3, secret + KEY, KEY), msg, len), sig, SIG);
  return 0;
}

int __wrap_crypto_sign_verify_detached(const uint8_t *sig, const uint8_t *msg,
                                       unsigned long long len,
                                       const uint8_t *key) {
  uint8_t right[SIG];

  if (is_real) {
    return __real_crypto_sign_verify_detached(sig, msg, len, key);
  }
  put_words(checksum(checksum(3, key, KEY), msg, len), right, SIG);
  return memcmp(sig, right, SIG) == 0 ? 0 : -1;
}
