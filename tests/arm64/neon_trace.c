/* SPDX-License-Identifier: Apache-2.0 */
/* Seals or opens frames with the kernel for NEON, for neon.py, which looks at
   the instructions:

     neon_trace seal|open KERNEL COUNT SEED
     neon_trace choice NAME

   Keys and plain bytes follow from the seed.  No frames: none is sealed or
   opened, but everything else is done.  A choice prints the kernel that an
   environment has for the name. */

#include "crypto/aead.h"
#include "sys/kernels.h"

#include <cometp2p/secret_conn.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 16 };

static uint8_t keys[FRAMES][CMT__AEAD_KEY];
static uint8_t slots[FRAMES][CMT_FRAME_SLOT];
static cmt__aead_job jobs[FRAMES];

static int choice(const char *name) {
  cmt_env env;

  if (cmt_env_init(&env) != CMT_OK || cmt_env_set_aead(&env, name) != CMT_OK) {
    return 1;
  }
  puts(cmt_env_aead(&env));
  return 0;
}

int main(int argc, char **argv) {
  const struct cmt_aead *kernel = NULL;
  unsigned char seed[randombytes_SEEDBYTES] = {0};
  size_t count;

  if (argc == 3 && strcmp(argv[1], "choice") == 0) {
    return choice(argv[2]);
  }
  if (argc != 5 || sodium_init() < 0) {
    return 2;
  }
  for (size_t i = 0; i < cmt__kernels_built_in.count; i++) {
    const struct cmt_aead *k = cmt__kernels_built_in.entries[i].aead;

    kernel = strcmp(argv[2], k->name) == 0 ? k : kernel;
  }
  count = strtoul(argv[3], NULL, 10);
  seed[0] = (unsigned char)strtoul(argv[4], NULL, 10);
  if (kernel == NULL || count > FRAMES) {
    return 2;
  }
  randombytes_buf_deterministic(keys, sizeof keys, seed);
  randombytes_buf_deterministic(slots, sizeof slots, seed);
  for (size_t i = 0; i < FRAMES; i++) {
    jobs[i] = (cmt__aead_job){.key = keys[i], .counter = i, .slot = slots[i]};
  }
  if (strcmp(argv[1], "seal") == 0) {
    kernel->seal(jobs, count);
    return 0;
  }
  cmt__aead_libsodium.seal(jobs, FRAMES);
  kernel->open(jobs, count);
  for (size_t i = 0; i < count; i++) {
    if (!jobs[i].ok) {
      return 1;
    }
  }
  return 0;
}
