/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LINK_IMPL_H
#define CMT__LINK_IMPL_H

/* A link from the inside, for the three files that make it up: link.c has its
   states, events and turns, link_gate.c what it does for its gate, link_write.c
   what it writes. */

#include "link.h"

enum { CMT__RUN_MAX = 256 }; /* Frames of the longest run. */

/* How long reading may go on when nothing more can be written. */
#define CMT__GIVE_UP_NS CMT_SECONDS(1)

/* Ends the connection with |err| at once; the event of it is to be drained. */
void cmt__link_stop_conn(cmt__link *l, cmt_err err);
/* Reads unless the owner or a limit is against it, and no more at once than the
   limits allow. */
void cmt__link_reading(cmt__link *l);

void cmt__link_take_intake(cmt__link *l);
/* Does what other threads, and callbacks, asked for. */
void cmt__link_control(cmt__link *l);
void cmt__link_credit(cmt__link *l);

/* Asks the socket now and then how it does, and follows its rate. */
void cmt__link_sample(cmt__link *l);
/* Seals a run and writes it, if it is time. */
void cmt__link_write(cmt__link *l);
/* Goes on with what a short write left. */
void cmt__link_write_rest(cmt__link *l);
void cmt__link_free_rest(cmt__link *l);
/* Our part of a handshake that we refuse goes out if the socket takes it.
   False: it does not. */
bool cmt__link_farewell(cmt__link *l);

#endif
