/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__AEAD_ARM_H
#define CMT__AEAD_ARM_H

#include "crypto/aead.h"

/* A frame kernel with four blocks of keystream at a time. */
extern const struct cmt_aead cmt__aead_neon;

#endif
