/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel for AVX-512 in plain C: its source finds immintrin.h in
   tests/support/avx512. */
#define cmt__aead_avx512 kernel
#define BIT_STEP 37 /* Valgrind runs this, too. */

#include "crypto/x86/aead_avx512.c"

#include "kernel_user.h"

int main(void) { return test_kernel(true, "nothing"); }
