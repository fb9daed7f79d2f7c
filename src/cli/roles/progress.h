/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

/* How a transfer goes: one bar on a terminal, or a JSON line, at most ten
   times a second.  The rate is that of the last seconds. */

#include "cli/ui/events.h"
#include "liner.h"
#include "sender.h"

enum {
  CLI_PROGRESS_SAMPLES = 32,
  CLI_PROGRESS_SIZE = 256, /* The longest line for a terminal. */
};

typedef struct cli_progress {
  cli_io *io;
  const char *id;
  char name[1024]; /* The file that the samples belong to. */
  uint64_t next_ns;
  struct {
    uint64_t at_ns, bytes;
  } samples[CLI_PROGRESS_SAMPLES];
  size_t count; /* The number of samples. */
} cli_progress;

/* Shows |files| and |lines|, either of which may be NULL, if it is time. */
void cli_progress_show(cli_progress *p, const cli_sender_status *files,
                       const cli_liner_status *lines);

/* The line for |width| columns, into CLI_PROGRESS_SIZE bytes; numbers go before
   the bar, and the bar before the name.  Returns its length.  |e| or |lines|
   may be NULL. */
int cli_progress_line(const cli_file_event *e, const cli_liner_status *lines,
                      size_t width, char *out);

/* Removes the bar. */
void cli_progress_clear(cli_progress *p);

#endif
