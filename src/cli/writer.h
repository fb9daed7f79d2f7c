/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WRITER_H
#define CLI_WRITER_H

/* The thread that hashes and writes files, so that the loop does neither.  It
   takes messages in their order; a peer whose messages wait over 8 MiB is
   paused until half of them are done. */

#include <cometp2p/peer.h>

struct cli_session;
typedef struct cli_writer cli_writer;

typedef enum cli_job {
  CLI_JOB_FILE, /* A message of the role files. */
  CLI_JOB_ECHO, /* A message that was echoed: hash it and tell. */
  CLI_JOB_GONE, /* The peer is gone: drop what it left unfinished. */
} cli_job;

/* NULL: no thread. */
cli_writer *cli_writer_new(void);

/* References to |s| and |msg| (may be NULL) are taken. */
void cli_writer_put(cli_writer *w, cli_job job, struct cli_session *s,
                    uint8_t channel, cmt_buf *msg);

/* Finishes what waits, but writes no more of it to files when |hurry|; ends
   the thread and frees.  NULL is fine. */
void cli_writer_delete(cli_writer *w, bool hurry);

#endif
