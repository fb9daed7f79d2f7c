/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SENDER_H
#define CLI_SENDER_H

/* The sending side of the role files: a thread that offers, reads, hashes and
   sends one file after the other.  docs/FILES.md. */

#include "files.h"
#include "cli/ui/options.h"

#include <sys/types.h>

typedef struct cli_sender cli_sender;

typedef struct cli_sender_options {
  cli_io *io;
  const cmt_env *env;
  char **paths;
  size_t path_count;
  const cmt_channel *channel;
} cli_sender_options;

/* Where it stands, for a bar and a summary. */
typedef struct cli_sender_status {
  char name[1024]; /* Escaped; of the file under way, "" between two. */
  uint64_t acked, size;
  uint64_t begin_ns;
  uint64_t files, bytes; /* Confirmed so far. */
  size_t failures;
  bool finished;
} cli_sender_status;

/* Borrows what |o| points to. */
cli_sender *cli_sender_new(const cli_sender_options *o);

/* Starts the thread, which sends to |p|.  False: no thread. */
bool cli_sender_start(cli_sender *s, cmt_peer *p);

/* An answer of the receiver; from the loop. */
void cli_sender_answer(cli_sender *s, const cli_file_message *m);

/* No answer will come any more, because of |why|; the thread ends soon. */
void cli_sender_stop(cli_sender *s, const cmt_why *why);

void cli_sender_get_status(cli_sender *s, cli_sender_status *out);

/* Waits for the thread, if it was started; NULL is fine. */
void cli_sender_join(cli_sender *s);

/* After the thread was joined; NULL is fine. */
void cli_sender_delete(cli_sender *s);

/* Why a file of |mode| cannot be sent; NULL: it is a regular file. */
const char *cli_file_fault(mode_t mode);

/* The last component of |path|. */
const char *cli_file_base(const char *path);

#endif
