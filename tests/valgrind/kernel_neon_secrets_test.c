/* SPDX-License-Identifier: Apache-2.0 */
#define cmt__aead_neon kernel

#include "crypto/arm/aead_neon.c"

#include "kernel_secrets.h"
