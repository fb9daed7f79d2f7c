/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__FOREIGN_H
#define CMT__FOREIGN_H

/* Other protocols that may answer on a port that was dialed by mistake,
   recognized by their first bytes. */

#include <cometp2p/err.h>

enum { CMT__FOREIGN_BYTES = 5 /* Enough for any of the protocols. */ };

/**
 * Looks at the first |len| bytes that the other side sent, all of them or
 * CMT__FOREIGN_BYTES.
 *
 * |*certain| is set when no first message of a handshake begins with these
 * bytes, so that it is useless to wait for more.
 *
 * Returns    one line for a person, static; NULL: no protocol of the table.
 */
const char *cmt__foreign(const uint8_t *first, size_t len, bool *certain);

#endif
