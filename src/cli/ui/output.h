/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

/* A stream that a thread of its own writes, so that a slow reader delays no
   other thread.  Lines are written whole, in order, at once.  On a terminal one
   status line may stand below them.

   What waits is bounded by its causes: a line that a peer causes counts against
   that peer, which is paused while it has too much waiting (backlog.h); lines
   that no peer causes are refused over CLI_OUTPUT_FULL, and the caller counts
   them. */

#include "wait.h"

#include <cometp2p/peer.h>

enum {
  CLI_OUTPUT_MARK = 1 << 20,   /* Peers over their floor are paused over it. */
  CLI_OUTPUT_FLOOR = 16 << 10, /* Bytes of one peer that do not pause it. */
  CLI_OUTPUT_FULL = 4 << 20,   /* Bytes of lines that belong to no peer. */
};

typedef struct cli_output cli_output;

enum { CLI_OUTPUT_GATHER_MS = 5 };

/* A writer of |fd|, which wakes |wait| when the stream breaks, and when it is
   drained after a call below has reported that lines wait.  Lines that follow a
   write within CLI_OUTPUT_GATHER_MS are written together, but for a terminal.
   NULL: no thread. */
cli_output *cli_output_new(int fd, const cli_waiter *wait);

/* Adds |len| bytes of |text| and a line break.  |p| is the peer that causes the
   line; NULL: it is the verb's own, of which there are few. */
void cli_output_line(cli_output *o, const char *text, size_t len, cmt_peer *p);

/* Adds a line in pieces, between which nothing else is added: begin, any number
   of pieces, end. */
void cli_output_begin(cli_output *o, cmt_peer *p);
void cli_output_piece(cli_output *o, const char *text, size_t len);
void cli_output_end(cli_output *o);

/* |p| is gone, and so what waits of it belongs to no peer. */
void cli_output_leave(cli_output *o, const cmt_peer *p);

/* A line that strangers cause as often as they like.  False: it was not added,
   since too much waits that belongs to no peer. */
bool cli_output_extra(cli_output *o, const char *text, size_t len);

/* Lines that belong to no peer would be refused. */
bool cli_output_is_full(cli_output *o);

/* More than CLI_OUTPUT_MARK waits. */
bool cli_output_is_slow(cli_output *o);

/* Waits while that is so, for a thread that could add without end; returns at
   once when the stream is broken, or after cli_output_hurry(). */
void cli_output_wait(cli_output *o);

/* Ends every present and future cli_output_wait(). */
void cli_output_hurry(cli_output *o);

/* Bytes that wait or are being written. */
size_t cli_output_waiting(cli_output *o);

/* Shows |text| below the lines until the next call; "" removes it. */
void cli_output_status(cli_output *o, const char *text);

/* The stream cannot be written; what is added is discarded from then on. */
bool cli_output_is_broken(cli_output *o);

/* The errno of that; 0: it can.  EPIPE: its reader closed it. */
int cli_output_fault(cli_output *o);
bool cli_output_is_terminal(const cli_output *o);

/* Everything added has been written or discarded. */
bool cli_output_is_drained(cli_output *o);

/* The stream takes more without a reader that goes on. */
bool cli_output_has_room(const cli_output *o);

/* Ends the thread and frees.  Only when drained. */
void cli_output_delete(cli_output *o);

#endif
