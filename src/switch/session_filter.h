/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SESSION_FILTER_H
#define CMT__SESSION_FILTER_H

/* What the application decides about newcomers: filter_addr before the
   handshake of an accepted connection, filter_peer after every handshake.  Only
   loop 0 calls these. */

#include "session.h"

/* CMT_OK: |s| may go on; CMT_EAGAIN: an answer comes later, and then |s| goes
   on or is refused by itself; CMT_EFILTER or CMT_ENOMEM: refused for
   |why|. */
CMT_NODISCARD cmt_err cmt__filter_address(cmt__session *s, cmt_why *why);
/* As cmt__filter_address(), inside of on_up, for which the link is suspended;
   nothing more is read then. */
CMT_NODISCARD cmt_err cmt__filter_peer(cmt__session *s,
                                       const cmt_conn_event *ev, cmt_why *why);
/* The outcome of |s| is known: an answer changes nothing any more. */
void cmt__filter_end(cmt__session *s);
/* Acts on the answers that have come. */
void cmt__filter_answers(cmt_switch *sw);

#endif
