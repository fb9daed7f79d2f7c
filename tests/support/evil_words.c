/* SPDX-License-Identifier: Apache-2.0 */
#include "evil_words.h"

#include <sodium.h>
#include <stdlib.h>

/* The order of the group, little endian. */
static const uint8_t group_order[32] = {
  0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
  0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
  0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10,
};

void evil_words_init(evil_words *w, const secret_peer *p,
                     const cmt_node_key *our_key) {
  uint8_t seed[32], secret[64];

  memset(w, 0, sizeof *w);
  memset(seed, 0x33, sizeof seed);
  w->p = p;
  memcpy(w->bad_sig, p->signature, 64);
  w->bad_sig[17] ^= 4;
  memcpy(w->sig_plus, p->signature, 64);
  sodium_add(w->sig_plus + 32, group_order, sizeof group_order);
  crypto_sign_seed_keypair(w->other, secret, seed);
  memcpy(w->ours, cmt__node_key_public(our_key), 32);
  cmt__node_key_sign(our_key, p->challenge, w->our_sig);
}

/* The bytes that |word| names; none when it is hex. */
static cmt_bytes word_named(const evil_words *w, const char *word) {
  const struct {
    const char *name;
    cmt_bytes bytes;
  } table[] = {
    {"key", {w->p->eph_public, 32}}, {"pub", {w->p->identity_public, 32}},
    {"sig", {w->p->signature, 64}},  {"badsig", {w->bad_sig, 64}},
    {"sigplus", {w->sig_plus, 64}},  {"other", {w->other, 32}},
    {"ours", {w->ours, 32}},         {"oursig", {w->our_sig, 64}},
    {"zero", {w->zero, 32}},
  };
  size_t len = strcspn(word, ":");

  for (size_t i = 0; i < CMT__COUNT(table); i++) {
    if (strlen(table[i].name) == len &&
        strncmp(table[i].name, word, len) == 0) {
      size_t n = word[len] == ':' ? strtoul(word + len + 1, NULL, 10)
                                  : table[i].bytes.len;
      return (cmt_bytes){.base = table[i].bytes.base, .len = n};
    }
  }
  return (cmt_bytes){.base = NULL};
}

size_t evil_words_expand(const evil_words *w, const char *message, uint8_t *out,
                         size_t cap) {
  size_t len = 0;
  char word[256];

  while (*message != '\0') {
    size_t n = strcspn(message, " ");
    cmt_bytes bytes;
    uint8_t *hex = NULL;

    assert_true(n < sizeof word);
    memcpy(word, message, n);
    word[n] = '\0';
    message += n + (message[n] == ' ');
    bytes = word_named(w, word);
    if (bytes.base == NULL) {
      hex = test_unhex(word, &bytes.len);
      bytes.base = hex;
    }
    assert_true(len + bytes.len <= cap);
    memcpy(out + len, bytes.base, bytes.len);
    len += bytes.len;
    free(hex);
  }
  return len;
}
