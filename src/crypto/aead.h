/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__AEAD_H
#define CMT__AEAD_H

/* ChaCha20-Poly1305 (RFC 8439) over frames, as a list of jobs.  Jobs of one
   list may belong to different connections, so that a kernel which works on
   many frames at a time finds enough of them.  docs/PROTOCOL.md 2.6. */

#include "base/base.h"

enum { CMT__AEAD_KEY = 32, CMT__AEAD_TAG = 16 };

typedef struct cmt__aead_job {
  const uint8_t *key; /* 32 bytes. */
  uint64_t counter;   /* The nonce: four zero bytes, then this, LE. */
  uint8_t *slot;      /* CMT_FRAME_SLOT bytes: plain and tag, in place. */
  bool ok;            /* Set by open: the tag is right. */
} cmt__aead_job;

struct cmt_aead {
  const char *name;
  bool (*runs_here)(void); /* This processor can; NULL: every one can. */
  void (*seal)(cmt__aead_job *jobs, size_t count);
  void (*open)(cmt__aead_job *jobs, size_t count);
};

/* The portable kernel. */
extern const struct cmt_aead cmt__aead_libsodium;

/* Seals and opens a frame whose bytes are known; false: do not use |aead|. */
bool cmt__aead_self_test(const struct cmt_aead *aead);

#endif
