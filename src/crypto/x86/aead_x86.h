/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__AEAD_X86_H
#define CMT__AEAD_X86_H

#include "crypto/aead.h"

/* Frame kernels with eight and with sixteen blocks of keystream at a time. */
extern const struct cmt_aead cmt__aead_avx2;
extern const struct cmt_aead cmt__aead_avx512;

#endif
