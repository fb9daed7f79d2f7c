/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_REJECTIONS_H
#define CLI_REJECTIONS_H

/* Connections of strangers that became no peer, of which there can be thousands
   a second: a few of a second are printed one by one, the others are counted
   and reported in one line.  From any thread. */

#include "cli.h"

#include <pthread.h>

enum { CLI_REJECTIONS_A_SECOND = 5 };

typedef struct cli_rejections {
  pthread_mutex_t lock;
  uint64_t begin_ns; /* When the second began. */
  unsigned printed;  /* In it. */
  uint64_t more;     /* How many were not reported yet. */
} cli_rejections;

void cli_rejections_init(cli_rejections *r);
void cli_rejections_fini(cli_rejections *r);

/* One more at |now_ns|.  True: it is to be printed by itself, after the
   |*before| (0: none) that were counted in a second that is over.  False: it is
   counted. */
bool cli_rejections_add(cli_rejections *r, uint64_t now_ns, uint64_t *before);

/* |count| could not be printed at |now_ns|; they are due in a second. */
void cli_rejections_give_back(cli_rejections *r, uint64_t count,
                              uint64_t now_ns);

/* When the count should be reported; CMT_NEVER: there is none. */
uint64_t cli_rejections_due(cli_rejections *r);

/* How many to report at |now_ns|, from then on no longer counted; 0: none, or
   they are not due.  CMT_NEVER: they count as due. */
uint64_t cli_rejections_take(cli_rejections *r, uint64_t now_ns);

#endif
