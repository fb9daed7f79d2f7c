/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_SECRET_PEER_H
#define CMT_TEST_SECRET_PEER_H

/* The other side of a secret connection, step by step and without any check,
   so that a test can be wrong at one chosen step. */

#include "core/secret/secret_conn.h"
#include "test.h"

/* One direction. */
typedef struct secret_half {
  uint8_t key[CMT__SECRET_KEY];
  uint64_t counter; /* The nonce of the next frame. */
} secret_half;

typedef struct secret_peer {
  uint8_t eph_secret[32], eph_public[32];
  uint8_t identity_secret[64], identity_public[32];
  uint8_t dh[32], challenge[32], signature[64]; /* Since _derive(). */
  secret_half send, recv;
} secret_peer;

void secret_peer_init(secret_peer *p, const uint8_t eph_secret[32],
                      const uint8_t identity_seed[32]);

/* The key of the other side is |theirs|. */
void secret_peer_derive(secret_peer *p, const uint8_t theirs[32]);

void secret_peer_write_key(const secret_peer *p, uint8_t out[35]);
void secret_peer_write_auth(const secret_peer *p, uint8_t out[103]);

/* Seals one frame; |announced| is the length in its header. */
void secret_peer_seal_as(secret_peer *p, cmt_bytes data, uint32_t announced,
                         uint8_t slot[CMT_FRAME_SLOT]);
void secret_peer_seal(secret_peer *p, cmt_bytes data,
                      uint8_t slot[CMT_FRAME_SLOT]);

/* Opens one frame in place; fails the test unless its tag is right, its length
   1 to 1024 and its padding zero. */
cmt_bytes secret_peer_open(secret_peer *p, uint8_t slot[CMT_FRAME_SLOT]);

/* Where decrypted bytes are gathered. */
typedef struct secret_sink {
  uint8_t *bytes;
  size_t len, cap;
} secret_sink;

/* Gives a copy of |data| to |s|, of exactly its length, and gathers what comes
   out; what |s| ends with, as its last event, or CMT_OK. */
cmt_err secret_feed(cmt_secret_conn *s, cmt_bytes data, secret_sink *sink);
void secret_sink_fini(secret_sink *sink);

/* Whether secret_conn_with() makes connections that defer their public-key
   operations.  Then it runs the first one, and secret_feed() the others, each
   after the bytes given were copied and overwritten. */
extern bool secret_conn_defers;

/* |test| once more, with that. */
#define SECRET_DEFERRED_TEST(test)                                             \
  { #test "_deferred", test, secret_conn_defer, secret_conn_do_not_defer, NULL }
int secret_conn_defer(void **state);
int secret_conn_do_not_defer(void **state);

/* A connection with the given ephemeral secret, and the key it signs with. */
cmt_secret_conn *secret_conn_with(test_env *t, const uint8_t eph_secret[32],
                                  const cmt_node_key *key);
cmt_node_key *secret_node_key(test_env *t, const uint8_t seed[32]);

/* The bytes of one side's whole handshake. */
enum { SECRET_HANDSHAKE = CMT__SECRET_KEY_MSG + CMT_FRAME_SLOT };

/* Ephemeral secrets of handshake.json: the public key of the first is the lower
   one. */
extern const uint8_t secret_eph_low[32], secret_eph_high[32];

/* Derives the peer's keys from what |s| has to send first. */
void secret_peer_meet(secret_peer *p, cmt_secret_conn *s);
void secret_peer_handshake(secret_peer *p, uint8_t out[SECRET_HANDSHAKE]);

/* The next event of |s| is its end, with |err|, and the last. */
void assert_secret_end(cmt_secret_conn *s, cmt_err err);

/* secret_feed() in pieces of |first| and then of |rest| bytes, until one ends
   |s|. */
cmt_err secret_feed_pieces(cmt_secret_conn *s, cmt_bytes data, size_t first,
                           size_t rest, secret_sink *sink);

/* A connection under test and the peer that talks to it. */
typedef struct secret_fixture {
  test_env t;
  cmt_node_key *key;
  cmt_secret_conn *s;
  secret_peer peer;
} secret_fixture;

/* |least|: the connection's ephemeral key is the lower one. */
void secret_fixture_init(secret_fixture *f, bool least);
/* Brings the connection up, with everything sent. */
void secret_fixture_up(secret_fixture *f);
void secret_fixture_fini(secret_fixture *f);

#endif
