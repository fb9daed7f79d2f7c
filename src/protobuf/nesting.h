/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__NESTING_H
#define CMT__NESTING_H

/* Limits how deep messages are nested, before they are unpacked. */

#include <cometp2p/buf.h>
#include <protobuf-c/protobuf-c.h>

typedef enum cmt__nesting {
  CMT__NESTING_FINE,
  CMT__NESTING_TOO_DEEP, /* True when they are nested deeper than
                            |depth_max|. */
  CMT__NESTING_MALFORMED,
} cmt__nesting;

cmt__nesting cmt__nesting_check(cmt_bytes packed,
                                const ProtobufCMessageDescriptor *type,
                                unsigned depth_max);

#endif
