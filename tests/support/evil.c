/* SPDX-License-Identifier: Apache-2.0 */
#include "evil.h"

#include <sodium.h>
#include <stdlib.h>

/* A peer whose ephemeral key ends in a zero byte, so that 31 bytes of it are
   the same key, on each side of the connection's. */
static secret_peer peers[2];

static void peers_find(void) {
  uint8_t secret[32] = {0x77}, identity[32];
  bool found[2] = {false, false};
  secret_peer ours;

  memset(identity, 0x22, sizeof identity);
  secret_peer_init(&ours, secret_eph_high, identity);
  for (uint32_t i = 0; !found[0] || !found[1]; i++) {
    secret_peer p;
    bool least;

    cmt__store_le32(secret + 4, i);
    secret_peer_init(&p, secret, identity);
    least = memcmp(ours.eph_public, p.eph_public, 32) < 0;
    if (p.eph_public[31] == 0 && !found[least]) {
      peers[least] = p;
      found[least] = true;
    }
  }
}

void evil_peer_init(secret_peer *p, bool least) {
  if (peers[0].eph_secret[0] == 0) {
    peers_find();
  }
  *p = peers[least];
}

void evil_init(conn_peer *f, bool least) {
  conn_peer_init(f, least);
  memcpy(f->eph_secret, secret_eph_high, 32);
  evil_peer_init(&f->peer, least);
}

void evil_row_done(const char *part, bool least, const char *name,
                   const char *got, const char *expected) {
  const char *role = least ? "least" : "not least";

  if (strcmp(got, expected) != 0) {
    fail_msg("%s, %s: %s: '%s' instead of '%s'", part, role, name, got,
             expected);
  }
  printf("# %s, %s: %s: %s\n", part, role, name,
         strcmp(got, "info up") == 0 ? "CMT_OK" : got);
}

void evil_wait(conn_peer *f) {
  conn_peer_tick(f, CMT_SECONDS(3) - 1);
  assert_cmt(CMT_OK, f->why.err);
  conn_peer_tick(f, CMT_SECONDS(3));
}

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
