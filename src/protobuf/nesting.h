/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__NESTING_H
#define CMT__NESTING_H

/* How deep messages lie inside each other, before they are unpacked. */

#include <cometp2p/buf.h>
#include <protobuf-c/protobuf-c.h>

typedef enum cmt__nesting {
  CMT__NESTING_FINE,
  CMT__NESTING_TOO_DEEP, /* Over |depth_max| messages. */
  CMT__NESTING_MALFORMED,
} cmt__nesting;

cmt__nesting cmt__nesting_check(cmt_bytes packed,
                                const ProtobufCMessageDescriptor *type,
                                unsigned depth_max);

#endif
