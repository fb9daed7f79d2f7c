/* SPDX-License-Identifier: Apache-2.0 */
#define cmt__aead_avx512 kernel

#include "crypto/x86/aead_avx512.c"

#include "kernel_user.h"

int main(void) { return test_kernel(avx512_runs_here(), "AVX-512 with IFMA"); }
