/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake's two messages and its secrets.  docs/PROTOCOL.md 2.1 to 2.5.
   Nothing here keeps state, and every secret stays in the caller's memory. */

#include "secret_conn.h"

#include <sodium.h>

#include "base/bytes.h"

_Static_assert(CMT__SECRET_SIGNATURE_SIZE == crypto_sign_BYTES, "signature");

enum {
  KEY_VALUE = 1,
  AUTH_PUB_KEY = 1,
  AUTH_SIG = 2,
  ED25519 = 1,
  /* The highest member of PublicKey's oneof in any release. */
  LAST_MEMBER = 5,
};

static cmt_bytes key_bytes(const uint8_t key[CMT__SECRET_KEY]) {
  return (cmt_bytes){.base = key, .len = CMT__SECRET_KEY};
}

void cmt__secret_derive(cmt__secret_work *w, bool least, uint8_t recv_key[32],
                        uint8_t send_key[32]) {
  static const char info[] =
    "TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN";
  bool made;

  w->hkdf = (cmt__hkdf){
    .ikm = key_bytes(w->dh),
    .info = {.base = (const uint8_t *)info, .len = sizeof info - 1},
  };
  made = cmt__hkdf_sha256(&w->hkdf, w->okm, sizeof w->okm);
  (void)made; /* It refuses only lengths far above this one. */
  memcpy(least ? recv_key : send_key, w->okm, CMT__SECRET_KEY);
  memcpy(least ? send_key : recv_key, w->okm + CMT__SECRET_KEY,
         CMT__SECRET_KEY);
  sodium_memzero(w->okm, sizeof w->okm);
}

void cmt__secret_challenge(cmt__secret_work *w, const uint8_t lower[32],
                           const uint8_t upper[32]) {
  cmt__merlin *m = &w->transcript;

  cmt__merlin_init(m, "TENDERMINT_SECRET_CONNECTION_TRANSCRIPT_HASH");
  cmt__merlin_append(m, "EPHEMERAL_LOWER_PUBLIC_KEY", key_bytes(lower));
  cmt__merlin_append(m, "EPHEMERAL_UPPER_PUBLIC_KEY", key_bytes(upper));
  cmt__merlin_append(m, "DH_SECRET", key_bytes(w->dh));
  cmt__merlin_challenge(m, "SECRET_CONNECTION_MAC", w->challenge,
                        CMT__SECRET_KEY);
  sodium_memzero(m, sizeof *m);
}

void cmt__secret_write_key(const uint8_t public_key[32],
                           uint8_t out[CMT__SECRET_KEY_MSG]) {
  static const uint8_t header[] = {0x22, 0x0a, 0x20};

  memcpy(out, header, sizeof header);
  memcpy(out + sizeof header, public_key, CMT__SECRET_KEY);
}

cmt_err cmt__secret_read_key(cmt_bytes message, uint8_t public_key[32]) {
  cmt__reader r = cmt__reader_of(message);
  cmt__field f;

  memset(public_key, 0, CMT__SECRET_KEY);
  while (cmt__read_field(&r, &f)) {
    if (f.number != KEY_VALUE) {
      continue;
    }
    if (f.type != CMT__WIRE_BYTES) {
      return CMT_EPROTO;
    }
    memset(public_key, 0, CMT__SECRET_KEY);
    if (f.bytes.len > 0) {
      memcpy(public_key, f.bytes.base, cmt__min(f.bytes.len, CMT__SECRET_KEY));
    }
  }
  return r.failed ? CMT_EPROTO : CMT_OK;
}

void cmt__secret_write_auth(const cmt_node_key *key,
                            const uint8_t challenge[32],
                            uint8_t out[CMT__SECRET_AUTH_MSG]) {
  static const uint8_t key_header[] = {0x66, 0x0a, 0x22, 0x0a, 0x20};
  static const uint8_t sig_header[] = {0x12, 0x40};

  memcpy(out, key_header, sizeof key_header);
  out += sizeof key_header;
  memcpy(out, cmt__node_key_public(key), CMT__NODE_KEY_PUBLIC);
  out += CMT__NODE_KEY_PUBLIC;
  memcpy(out, sig_header, sizeof sig_header);
  cmt__node_key_sign(key, challenge, out + sizeof sig_header);
}

/* The content of a second message; its bytes lie in the message. */
typedef struct auth_message {
  uint64_t member; /* The field of the key's oneof that came last; 0: none. */
  cmt_bytes key, sig;
} auth_message;

/* A repeated pub_key is merged into the one before, as CometBFT does; members
   that no release has are unknown fields. */
static bool auth_read_pub_key(cmt_bytes message, auth_message *out) {
  cmt__reader r = cmt__reader_of(message);
  cmt__field f;

  while (cmt__read_field(&r, &f)) {
    if (f.number > LAST_MEMBER) {
      continue;
    }
    if (f.type != CMT__WIRE_BYTES) {
      return false;
    }
    out->member = f.number;
    out->key = f.bytes;
  }
  return !r.failed;
}

static bool auth_read(cmt_bytes message, auth_message *out) {
  cmt__reader r = cmt__reader_of(message);
  cmt__field f;

  while (cmt__read_field(&r, &f)) {
    if (f.number != AUTH_PUB_KEY && f.number != AUTH_SIG) {
      continue;
    }
    if (f.type != CMT__WIRE_BYTES) {
      return false;
    }
    if (f.number == AUTH_SIG) {
      out->sig = f.bytes;
    } else if (!auth_read_pub_key(f.bytes, out)) {
      return false;
    }
  }
  return !r.failed;
}

cmt_err cmt__secret_parse_auth(cmt_bytes message, cmt__secret_auth *out) {
  auth_message auth = {0};

  if (!auth_read(message, &auth)) {
    return CMT_EPROTO;
  }
  if (auth.member != ED25519 || auth.key.len != sizeof out->key ||
      auth.sig.len != sizeof out->sig) {
    return CMT_EAUTH;
  }
  memcpy(out->key, auth.key.base, sizeof out->key);
  memcpy(out->sig, auth.sig.base, sizeof out->sig);
  return CMT_OK;
}

cmt_err cmt__secret_verify_auth(const cmt__secret_auth *auth,
                                const uint8_t challenge[32]) {
  return crypto_sign_verify_detached(auth->sig, challenge, CMT__SECRET_KEY,
                                     auth->key) == 0
           ? CMT_OK
           : CMT_EAUTH;
}

cmt_err cmt__secret_read_auth(cmt_bytes message, const uint8_t challenge[32],
                              uint8_t public_key[32]) {
  cmt__secret_auth auth;
  cmt_err err = cmt__secret_parse_auth(message, &auth);

  if (err == CMT_OK) {
    err = cmt__secret_verify_auth(&auth, challenge);
  }
  if (err == CMT_OK) {
    memcpy(public_key, auth.key, sizeof auth.key);
  }
  return err;
}
