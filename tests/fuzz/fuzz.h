/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_FUZZ_H
#define CMT_FUZZ_H

/* What the fuzz targets have in common.  A target is one
   LLVMFuzzerTestOneInput(), which draws what it does from its input and ends
   the process when an invariant is broken.  Without libFuzzer the same target
   is linked with replay.c, which runs the kept corpus. */

#include "base/base.h"

#define FUZZ_CHECK(cond)                                                       \
  ((cond) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #cond))

_Noreturn void fuzz_fail(const char *file, int line, const char *what);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The rest of an input.  What is drawn behind its end is 0. */
typedef struct fuzz_input {
  const uint8_t *at;
  size_t left;
} fuzz_input;

uint8_t fuzz_byte(fuzz_input *in);
uint32_t fuzz_u16(fuzz_input *in);
/* At most |len| bytes, fewer at the end. */
cmt_bytes fuzz_take(fuzz_input *in, size_t len);

/* A copy in memory of exactly its length, which free() frees. */
uint8_t *fuzz_copy(cmt_bytes b);

/* An environment that counts what is allocated and can fail an allocation.  Its
   entropy is |entropy|, 32 bytes over and over. */
typedef struct fuzz_env {
  cmt_env env;
  size_t allocs, live, live_bytes;
  size_t fail_at; /* The allocation that fails, from 0; SIZE_MAX: none. */
  bool failed;    /* One did. */
  uint8_t entropy[32];
} fuzz_env;

/* |e| must not move. */
void fuzz_env_init(fuzz_env *e);
/* Everything was freed. */
void fuzz_env_fini(fuzz_env *e);

/* Copies, and sets a tag of zeros, which it also expects. */
extern const struct cmt_aead fuzz_null_aead;

bool fuzz_same(cmt_bytes a, cmt_bytes b);

/* |why| holds an error of |err| and one printable line. */
void fuzz_check_why(const cmt_why *why, cmt_err err);

#endif
