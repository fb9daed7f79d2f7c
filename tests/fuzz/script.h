/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_FUZZ_SCRIPT_H
#define CMT_FUZZ_SCRIPT_H

/* The node at the other end of a connection under test.  All keys are fixed, so
   that every byte of a right handshake is known beforehand and an input can
   hold a right signature. */

#include "core/secret/secret_conn.h"
#include "fuzz.h"

typedef struct fuzz_script {
  uint8_t our_ephemeral[32]; /* The entropy of the side under test. */
  uint8_t hello[CMT__SECRET_KEY_MSG], auth[CMT__SECRET_AUTH_MSG];
  uint8_t challenge[32];
  uint8_t send_key[32], recv_key[32]; /* The keys of the script. */
  cmt_node_id id;
} fuzz_script;

/* |least|: the ephemeral key of the side under test is the lower one. */
const fuzz_script *fuzz_script_of(bool least);

/* The node key of the side under test, 0, or of another side, 1 and 2. */
cmt_node_key *fuzz_node_key(size_t which);

/* The stream of an input of the target auth: its first byte chooses what it is,
   a first message (even) or a second one in frames after a right first one
   (odd), and the size of the frames.  |aead| seals them.  Returns its bytes, of
   at most |cap|, which FUZZ_AUTH_STREAM suffices for. */
size_t fuzz_auth_stream(const uint8_t *data, size_t size,
                        const struct cmt_aead *aead, uint8_t *out, size_t cap);
enum { FUZZ_AUTH_INPUT = 4200 };
#define FUZZ_AUTH_STREAM                                                       \
  ((size_t)CMT__SECRET_KEY_MSG + (size_t)FUZZ_AUTH_INPUT * CMT_FRAME_SLOT)

bool fuzz_auth_least(const uint8_t *data, size_t size);
bool fuzz_auth_is_second(const uint8_t *data, size_t size);

#endif
