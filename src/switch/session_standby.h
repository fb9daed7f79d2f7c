/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SESSION_STANDBY_H
#define CMT__SESSION_STANDBY_H

/* The second connection of a node id, which waits for what becomes of the
   first.  Of the loop alone. */

#include "state.h"

/* How long both live before one of them goes, and how long the first has for
   the answer to a ping. */
#define CMT__STANDBY_NS CMT_SECONDS(1)
#define CMT__STANDBY_PING_NS CMT_SECONDS(3)

/* The part of a session, zeroed at first. */
typedef struct cmt__standby {
  const cmt_node_id *id; /* The id of the other side; NULL: it is no standby. */
  cmt__timer timer;
  uint64_t since_ns;
  uint64_t signs; /* Signs of life of the first until then. */
  bool late;      /* The last look came late, and did not count. */
  /* When the first is gone: */
  bool has_place;      /* Its place is kept for this one, */
  bool outbound_place; /* among the outbound peers or not, */
  bool same_address;   /* and both come from one address. */
} cmt__standby;

/* The other side of |s| has proved that it is |id|, and was not told our node
   info.  Of two connections with an id the second completes later by this much:
   the switch of CometBFT, when two complete at once, refuses one of them, but
   then may take the other out of its set too and leave it open
   (cometbft issue 6076). */
#define CMT__STAGGER_NS CMT_MILLISECONDS(100)
void cmt__standby_stagger(cmt__session *s, const cmt_node_id *id);
/* Another session than |s| is held for |id|, or waits to become its peer. */
bool cmt__standby_exists(const cmt__session *s, const cmt_node_id *id);
/* Inside of on_up: holds |s| while the peer |id| exists.  An error: it is
   refused with |why|. */
CMT_NODISCARD cmt_err cmt__standby_begin(cmt__session *s, const cmt_node_id *id,
                                         cmt_why *why);
/* The outcome of |s|, held or not, is known. */
void cmt__standby_end(cmt__session *s);
/* The peer |gone| is off the list; what is held takes its place. */
void cmt__standby_promote(cmt_switch *sw, const cmt_peer *gone);

#endif
