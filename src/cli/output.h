/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

/* A stream that a thread of its own writes, so that a reader who does not read
   holds up nobody else.  Lines leave whole, in order, at once.  On a terminal
   one status line may stand below them. */

#include "wait.h"

#include <cometp2p/peer.h>

typedef struct cli_output cli_output;

/* A writer of |fd|, which wakes |wait| when the stream breaks or is drained.
   NULL: no thread. */
cli_output *cli_output_new(int fd, const cli_waiter *wait);

/* Adds |len| bytes of |text| and a line break.  |p| (may be NULL) is the peer
   whose message this tells of: it is paused while too much waits. */
void cli_output_line(cli_output *o, const char *text, size_t len, cmt_peer *p);

/* A line that no peer can be paused for.  When far too much waits it is
   counted instead and false returned. */
bool cli_output_extra(cli_output *o, const char *text, size_t len);

/* So much waits that nothing new should be begun. */
bool cli_output_is_full(cli_output *o);

/* The lines that cli_output_extra() counted since the last call, once there is
   room again; else 0. */
size_t cli_output_take_lost(cli_output *o);

/* Shows |text| below the lines until the next call; "" removes it. */
void cli_output_status(cli_output *o, const char *text);

/* The stream cannot be written; what is added is discarded from then on. */
bool cli_output_is_broken(cli_output *o);

/* The errno of that; 0: it can.  EPIPE: its reader closed it. */
int cli_output_fault(cli_output *o);
bool cli_output_is_terminal(const cli_output *o);

/* Everything added has been written or discarded. */
bool cli_output_is_drained(cli_output *o);

/* Ends the thread and frees.  Only when drained. */
void cli_output_delete(cli_output *o);

#endif
