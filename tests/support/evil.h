/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_EVIL_H
#define CMT_TEST_EVIL_H

/* A peer that is wrong at one chosen step of a whole connection. */

#include "conn_peer.h"

/* A peer whose ephemeral key ends in a zero byte, so that 31 bytes of it are
   the same key, for a connection whose own is secret_eph_high; |least|: the
   connection's is the lower one. */
void evil_peer_init(secret_peer *p, bool least);

/* conn_peer_init() with such a peer and such a connection. */
void evil_init(conn_peer *f, bool least);

/* Prints the line of a row, "# |part|, least: |name|: |got|", where CMT_OK
   stands for "info up"; fails when |got| is not what is |expected|. */
void evil_row_done(const char *part, bool least, const char *name,
                   const char *got, const char *expected);

/* Advances the time to the end of the first 3 s, within which nothing may have
   ended. */
void evil_wait(conn_peer *f);

/* Messages as texts of words: hex digits stand for themselves, a name for the
   bytes that a peer knows, "name:n" for the first n of these. */

typedef struct evil_words {
  const secret_peer *p; /* key, pub, sig */
  uint8_t zero[96];
  uint8_t bad_sig[64];  /* badsig: one bit is wrong. */
  uint8_t sig_plus[64]; /* sigplus: S + L, which names the same scalar. */
  uint8_t other[32];    /* other: an identity that signed nothing. */
  uint8_t ours[32];     /* ours: the identity of the connection. */
  uint8_t our_sig[64];  /* oursig: by it. */
} evil_words;

/* |p| has derived its keys; |our_key| is that of the connection. */
void evil_words_init(evil_words *w, const secret_peer *p,
                     const cmt_node_key *our_key);

/* Writes |message| to |out|; the bytes it takes. */
size_t evil_words_expand(const evil_words *w, const char *message, uint8_t *out,
                         size_t cap);

#endif
