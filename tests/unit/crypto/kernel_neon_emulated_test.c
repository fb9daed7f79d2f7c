/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel for NEON in plain C: its source finds arm_neon.h in
   tests/support/neon. */
#define cmt__aead_neon kernel
#define FRAMES 1000 /* Valgrind runs this, too. */
#define BIT_STEP 37

#include "crypto/arm/aead_neon.c"

#include "kernel_user.h"

int main(void) { return test_kernel(true, "nothing"); }
