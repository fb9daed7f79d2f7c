/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_NODE_H
#define CLI_NODE_H

/* The node under listen and send: a switch with a reactor for each kind of
   role.  Files and echoes take time and have a thread of their own (writer.h);
   lines are handled on the loop, so that no file delays them. */

#include "files.h"
#include "cli/ui/options.h"
#include "cli/ui/rejections.h"
#include "store.h"
#include "writer.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct cli_node cli_node;

/* What the command keeps of a peer, and with it.  Waiting answers hold
   references. */
typedef struct cli_session {
  cli_node *node;
  cmt_peer *peer;
  char id[41];
  bool added;                                       /* peer_added was
                                                       printed. */
  struct cli_receiver *receivers[CMT_CHANNELS_MAX]; /* The writer's. */
  uint64_t progress_ns[CMT_CHANNELS_MAX];           /* The writer's. */
  pthread_mutex_t lock;                             /* Guards what follows. */
  unsigned refs;
  unsigned reactors; /* How many reactors have the peer. */
  size_t waiting;    /* Answers without room; the peer is paused meanwhile. */
} cli_session;

/* Hooks for the verb send; each may be NULL.  |removed| comes last for a peer,
   on the loop or on the writer's thread. */
typedef struct cli_node_hooks {
  void *arg;
  bool quiet; /* Print peers only in JSON: there is one, and it is known. */
  void (*added)(void *arg, cli_session *s);
  void (*removed)(void *arg, cli_session *s, const cmt_why *why);
  void (*rejected)(void *arg, const cmt_rejection *r);
  void (*file_answer)(void *arg, const cli_file_message *m);
  void (*receipt)(void *arg, uint64_t seq, cmt_peer *p);
} cli_node_hooks;

struct cli_node {
  const cli_options *options;
  cli_io *io;
  cli_node_hooks hooks;
  cmt_env env;
  cmt_node_key *key; /* NULL: the switch's own. */
  cmt_switch *sw;
  atomic_bool sw_ended;
  cli_rejections rejections; /* Rejections of strangers. */
  cli_store store;           /* The folder of --out. */
  uint8_t index[256];        /* Where each channel id stands in the options. */
};

/* Makes and starts the node.  False: an error was printed; call
   cli_node_close() in both cases.  |hooks| (may be NULL) is copied. */
bool cli_node_open(cli_node *n, const cli_options *o, cli_io *io,
                   const cli_node_hooks *hooks);

/* Ends every peer, flushing for |flush_ns| at most, and frees.  When the switch
   has not ended a second after that, the process ends here with |code|. */
void cli_node_close(cli_node *n, uint64_t flush_ns, int code);

/* Prints the count of rejections of a second that is over; |all|: of every one.
   Returns when to call it again; CMT_NEVER: at a wake-up. */
uint64_t cli_node_report_rejections(cli_node *n, bool all);

/* The environment of the command: a log that goes to standard error. */
bool cli_env_init(cmt_env *env, cli_io *io);

/* Loads --key; |*out| is NULL without one.  False: an error was printed. */
bool cli_load_key(const cli_options *o, cli_io *io, const cmt_env *env,
                  cmt_node_key **out);

/* What the command keeps of a peer, from its init_peer to its last remove_peer.
 */
cli_session *cli_session_of(const cmt_peer *p);
/* Called in remove_peer of each reactor: the last one prints that the peer is
   gone. */
void cli_session_leave(cli_session *s);

/* Sends |msg|, which moves, in order, whenever there is room; reading from the
   peer pauses while an answer waits.  From any thread. */
void cli_session_answer(cli_session *s, uint8_t channel, cmt_buf *msg);

#endif
