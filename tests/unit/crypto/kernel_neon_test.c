/* SPDX-License-Identifier: Apache-2.0 */
#define cmt__aead_neon kernel

#include "crypto/arm/aead_neon.c"

#include "kernel_user.h"

int main(void) { return test_kernel(true, "NEON"); }
