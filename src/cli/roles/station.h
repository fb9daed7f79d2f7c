/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_STATION_H
#define CLI_STATION_H

/* What node and seed run: one switch with one id and one port, the chains on
   it, and the pages about them.  The first chain is that of the switch; its
   home has the key and the addresses. */

#include "chain.h"
#include "faults.h"
#include "http.h"
#include "places.h"

#include <pthread.h>

typedef struct cli_station {
  const cli_options *options;
  cli_io *io;
  cli_log log;
  cmt_env env;
  bool seed;
  cmt_switch *sw;
  cmt_node_key *key;
  cmt_reactor reactors[2];
  cmt_timer timer;
  pthread_mutex_t lock; /* Guards the list, which only grows. */
  cli_chain **chains;
  size_t chain_count;
  cli_chain *first;
  cli_deny deny;     /* Who is kept out; of the thread that serves pages. */
  cli_faults faults; /* Used by that thread alone. */
  size_t tick_at;    /* Which chain may save next. */
  uint64_t trim_ns;  /* When freed memory goes back to the system; 0: never. */
  uint32_t inbound_max; /* All chains have so many places together. */
  bool shared;          /* There are several chains, or others may come. */
  cli_places places;    /* Only the loop uses them, and what follows. */
  uint64_t lines_ns;    /* The second whose rejections were logged, */
  unsigned lines;       /* and how many. */
  cli_http *metrics_server, *pages_server;
  int servers_fd; /* Readable when either has something to do. */
} cli_station;

/* Opens the chains of |dirs| and starts.  A folder of --homes that cannot be
   served is skipped with a line of the log, unless no other is left.  False: a
   line was printed; call cli_station_close() in both cases. */
bool cli_station_open(cli_station *s, const cli_options *o, cli_io *io,
                      char *const *dirs, size_t count);
/* Adds the chain of one more home while it runs, or logs why it cannot. */
void cli_station_add(cli_station *s, const char *dir);
/* Logs what is wrong with a folder unless that was its last fault; NULL: it is
   well again. */
void cli_station_fault(cli_station *s, const char *dir, const char *text);
/* Looks at the homes that are served, whose files may have changed or be gone.
   With another chain in it the folder is none that is served any more; the
   chain that it had stays, without the files. */
void cli_station_review(cli_station *s);
/* The home |dir| needs no look: it is served, or it has a fault and its files
   are as they were; one whose fault may lie elsewhere is tried again at times.
 */
bool cli_station_knows(cli_station *s, const char *dir);
/* Reads the list of --deny, if there is one, and drops who is on it from the
   books.  False: |why| has the reason in its text. */
bool cli_station_deny(cli_station *s, cmt_why *why);
/* Drops from the books once more who is kept out, such as a node whose dial had
   just succeeded when it was banned. */
bool cli_station_forget(cli_station *s, cmt_why *why);
/* Serves pages on this thread for |timeout_ns|, or until a signal comes, which
   is true then. */
bool cli_station_serve(cli_station *s, uint64_t timeout_ns);
/* Ends all, and saves the books; returns |code|, or CLI_FAILED when one could
   not be saved. */
int cli_station_close(cli_station *s, int code);

#endif
