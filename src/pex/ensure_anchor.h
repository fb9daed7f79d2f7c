/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__ENSURE_ANCHOR_H
#define CMT__ENSURE_ANCHOR_H

/* Anchors: outbound peers that are dialed first after a restart.  A seed, which
   keeps no peers, has none. */

#include "ensure.h"

/* Remembers those of now, also in the book, if there are |least|. */
void cmt__ensure_keep_anchors(cmt__ensure *e, size_t least);

#endif
