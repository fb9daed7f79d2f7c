/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_FRAMES_H
#define CMT_TEST_FRAMES_H

/* Batches of frames for the tests of frame kernels: drawn, broken, compared. */

#include "crypto/aead.h"

#include <cometp2p/secret_conn.h>

enum { FRAMES_MAX = 40, FRAME_BITS = 8 * CMT_FRAME_SLOT };

typedef struct frames {
  cmt__aead_job jobs[FRAMES_MAX];
  uint8_t keys[FRAMES_MAX][CMT__AEAD_KEY];
  uint8_t slots[FRAMES_MAX][CMT_FRAME_SLOT];
} frames;

/* xorshift64*: the same numbers each time. */
uint64_t frames_random(uint64_t *state);

/* |count| jobs with plain bytes, and one key or one for each.  Keys and plain
   bytes are all zero, all ones or random. */
void frames_draw(frames *f, size_t count, uint64_t *state);

/* Copies the jobs, with memory of their own. */
void frames_copy(frames *to, const frames *from);

/* Fails the test when a byte or a verdict differs. */
void frames_assert_same(const frames *a, const frames *b, size_t count,
                        const char *what);

/* Seals, breaks some, and opens |wanted| frames or a few more in batches of 0
   to FRAMES_MAX, with |kernel| and with libsodium: what comes out is the
   same. */
void frames_compare(const struct cmt_aead *kernel, size_t wanted);

#endif
