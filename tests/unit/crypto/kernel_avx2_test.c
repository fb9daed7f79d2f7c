/* SPDX-License-Identifier: Apache-2.0 */
#define cmt__aead_avx2 kernel

#include "crypto/x86/aead_avx2.c"

#include "kernel_user.h"

int main(void) { return test_kernel(avx2_runs_here(), "AVX2"); }
