/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

#include <sodium.h>

static cmt_node_key *key_make(uint8_t seed_byte) {
  uint8_t seed[32], secret[64], public_key[32];
  cmt_node_key *key = NULL;

  memset(seed, seed_byte, sizeof seed);
  FUZZ_CHECK(crypto_sign_seed_keypair(public_key, secret, seed) == 0);
  FUZZ_CHECK(cmt__node_key_from_secret(NULL, secret, &key) == CMT_OK);
  return key;
}

cmt_node_key *fuzz_node_key(size_t which) {
  static const uint8_t seeds[] = {0x11, 0x22, 0x33};
  static cmt_node_key *keys[CMT__COUNT(seeds)];

  if (keys[which] == NULL) {
    keys[which] = key_make(seeds[which]);
  }
  return keys[which];
}

/* 01 02 to 20, whose public key is below that of 21 22 to 40. */
static void ephemeral(bool low, uint8_t out[32]) {
  for (uint8_t i = 0; i < 32; i++) {
    out[i] = (uint8_t)(i + (low ? 0x01 : 0x21));
  }
}

static void script_make(fuzz_script *s, bool least) {
  uint8_t theirs[32], our_public[32], their_public[32];
  cmt__secret_work w;

  ephemeral(least, s->our_ephemeral);
  ephemeral(!least, theirs);
  crypto_scalarmult_curve25519_base(our_public, s->our_ephemeral);
  crypto_scalarmult_curve25519_base(their_public, theirs);
  FUZZ_CHECK((memcmp(our_public, their_public, 32) < 0) == least);
  FUZZ_CHECK(crypto_scalarmult_curve25519(w.dh, theirs, our_public) == 0);
  cmt__secret_challenge(&w, least ? our_public : their_public,
                        least ? their_public : our_public);
  memcpy(s->challenge, w.challenge, sizeof s->challenge);
  cmt__secret_derive(&w, !least, s->recv_key, s->send_key);
  cmt__secret_write_key(their_public, s->hello);
  cmt__secret_write_auth(fuzz_node_key(1), s->challenge, s->auth);
  cmt_node_key_get_id(fuzz_node_key(1), &s->id);
}

const fuzz_script *fuzz_script_of(bool least) {
  static fuzz_script scripts[2];
  fuzz_script *s = &scripts[least];

  if (s->id.text[0] == '\0') {
    script_make(s, least);
  }
  return s;
}

bool fuzz_auth_least(const uint8_t *data, size_t size) {
  return size > 0 && (data[0] & 2) != 0;
}

bool fuzz_auth_is_second(const uint8_t *data, size_t size) {
  return size > 0 && (data[0] & 1) != 0;
}

size_t fuzz_auth_stream(const uint8_t *data, size_t size,
                        const struct cmt_aead *aead, uint8_t *out, size_t cap) {
  const fuzz_script *s = fuzz_script_of(fuzz_auth_least(data, size));
  fuzz_input in = {.at = data, .left = size};
  size_t piece = 1 + (size_t)(fuzz_byte(&in) >> 2) * 16, len = 0;
  uint64_t counter = 0;

  if (!fuzz_auth_is_second(data, size)) {
    cmt_bytes raw = fuzz_take(&in, cap);

    memcpy(out, raw.base, raw.len);
    return raw.len;
  }
  memcpy(out, s->hello, sizeof s->hello);
  len = sizeof s->hello;
  while (in.left > 0) {
    cmt_bytes part = fuzz_take(&in, piece);
    uint8_t *slot = out + len;
    cmt__aead_job job = {
      .key = s->send_key, .counter = counter++, .slot = slot};

    FUZZ_CHECK(cap - len >= CMT_FRAME_SLOT);
    memset(slot, 0, CMT_FRAME_SLOT);
    cmt__store_le32(slot, (uint32_t)part.len);
    memcpy(slot + CMT_FRAME_HEADER, part.base, part.len);
    aead->seal(&job, 1);
    len += CMT_FRAME_SLOT;
  }
  return len;
}
