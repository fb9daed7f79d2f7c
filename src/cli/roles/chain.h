/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CHAIN_H
#define CLI_CHAIN_H

/* A chain of a node or a seed: a home, its book, and peer exchange over the
   switch that it shares with others. */

#include "cli/ui/home.h"
#include "cli/ui/log.h"
#include "deny.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct cli_chain {
  const cli_options *options;
  char *dir;        /* The home's, as it was given. */
  uint64_t stamp;   /* What the files of the home were when last looked at. */
  atomic_bool away; /* The home has another chain now, and files of that. */
  bool seed;
  unsigned ticks; /* Seconds that were counted. */
  cmt_home *home;
  const cmt_home_settings *settings;
  const char *network;
  /* While a thread reads the book without its exchange, as the loop does to
     count and to save it, or another one takes nodes out of it. */
  pthread_mutex_t book_lock;
  cmt_addrbook *book;      /* NULL: pex is off, and so is what follows. */
  cmt_addrbook_file *file; /* NULL also: the book is not stored. */
  cmt_pex *pex;
  cmt_reactor reactor; /* The functions of |pex|. */
  cmt_metrics *metrics;
  cmt_pex_status counted; /* What the metrics have. */
  cmt_addrbook_file_status saved;
} cli_chain;

typedef struct cli_chain_options {
  const cli_options *options;
  const cmt_env *env;
  const char *dir;
  bool seed;
} cli_chain_options;

/* Opens the home and reads which network it has, and nothing else of it.  NULL:
   |why| has the reason. */
cli_chain *cli_chain_open(const cli_chain_options *o, cmt_why *why);
/* Opens its book and its exchange. */
CMT_NODISCARD cmt_err cli_chain_load(cli_chain *c, const cmt_env *env,
                                     cmt_why *why);
/* The metrics, once there is a switch. */
CMT_NODISCARD cmt_err cli_chain_watch(cli_chain *c, const cmt_env *env,
                                      cmt_switch *sw, bool shared,
                                      cmt_why *why);
/* What the switch announces to nodes of the chain. */
CMT_NODISCARD cmt_err cli_chain_announce(const cli_chain *c, cmt_switch *sw,
                                         cmt_why *why);
/* Dials the persistent peers of a node without peer exchange, for ever. */
CMT_NODISCARD cmt_err cli_chain_dial(cli_chain *c, cmt_switch *sw,
                                     cmt_why *why);
/* Once a second, on the loop: counts, and saves the book when that is due.
   True: a save began. */
bool cli_chain_tick(cli_chain *c, const cli_log *log, bool may_save);
/* Peers that the book keeps out stay out of the switch too. */
void cli_chain_ban(const cli_chain *c, cmt_switch *sw);
/* The book drops the nodes that |d| covers, all of which is banned on |sw|, and
   takes none of its ids until the next call.  A node of a range may come back
   by hearsay, but no dial reaches it, so that it is not served. */
CMT_NODISCARD cmt_err cli_chain_forget(cli_chain *c, const cli_deny *d,
                                       cmt_switch *sw, cmt_why *why);
/* Saves the book, unless its home is away, and frees all; its switch is gone.
   False: the book could not be saved, and a line was printed. */
bool cli_chain_close(cli_chain *c);
/* The configuration, the genesis or the key of the home has been replaced or
   written since the last call, or since the chain was opened. */
bool cli_chain_changed(cli_chain *c);
/* Reads again which network its home has, without a line of the log.  The
   caller frees |*out|. */
CMT_NODISCARD cmt_err cli_chain_network(const cli_chain *c, const cmt_env *env,
                                        char **out, cmt_why *why);
/* Frees all of one that is not served, and leaves its files as they are. */
void cli_chain_drop(cli_chain *c);

/* Since 1970. */
uint64_t cli_utc_ns(void);

#endif
