/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__WIRE_H
#define CMT__WIRE_H

/* The registry of the wire profiles. */

#include "profile.h"

#include <cometp2p/mconn.h>

/* NULL: no profile. */
const cmt__wire *cmt__wire_of(cmt_wire wire);

/* True when a stream that |wire| refused at the byte |first|, which begins a
   packet, may be one of another profile. */
bool cmt__wire_is_foreign(const cmt__wire *wire, uint8_t first);

#endif
