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
  bool has_place; /* Its place is kept for this one, */
  cmt__peer_place place;
  bool same_address; /* and both come from one address. */
} cmt__standby;

/* Delays our node info on |s|, whose other side has proved that it is |id|,
   while another connection with the id is in its handshake: a CometBFT node
   that completes both at once may drop the good one from its set and leave it
   open (cometbft issue 6076). */
#define CMT__STAGGER_NS CMT_MILLISECONDS(100)
void cmt__standby_stagger(cmt__session *s, const cmt_node_id *id);
/* Returns whether another session than |s| is on standby for |id|, or is about
   to become its peer. */
bool cmt__standby_exists(const cmt__session *s, const cmt_node_id *id);
/* Puts |s| on standby while the peer |id| exists; called inside of on_up.  An
   error: |s| is refused with |why|. */
CMT_NODISCARD cmt_err cmt__standby_begin(cmt__session *s, const cmt_node_id *id,
                                         cmt_why *why);
/* The outcome of |s|, on standby or not, is known. */
void cmt__standby_end(cmt__session *s);
/* The peer |gone| was removed from the list; its standby becomes the peer. */
void cmt__standby_promote(cmt_switch *sw, const cmt_peer *gone);

#endif
