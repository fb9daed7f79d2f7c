/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_RECEIVER_H
#define CLI_RECEIVER_H

/* The receiving side of the role files for one channel of one peer: messages
   that it receives, its answers, and the file that it writes.
   docs/FILES.md. */

#include "files.h"
#include "store.h"

#include <sodium.h>

typedef struct cli_receiver cli_receiver;

/* The file of an event; lent for the call. */
typedef struct cli_incoming {
  const char *name; /* Escaped. */
  uint64_t size, received;
  uint64_t begin_ns;
  const uint8_t *hash; /* CLI_HASH_SIZE bytes, when it is done. */
} cli_incoming;

typedef struct cli_receiver_hooks {
  void *arg;
  /* An answer for the peer. */
  void (*reply)(void *arg, const cli_file_message *m);
  /* More was written. */
  void (*progress)(void *arg, const cli_incoming *f);
  /* The file is in its place. */
  void (*done)(void *arg, const cli_incoming *f);
  /* The file was refused or the peer is gone; nothing of it is left. */
  void (*failed)(void *arg, const cli_incoming *f, cmt_err err,
                 const char *text);
} cli_receiver_hooks;

/* |store| is where files go; it must outlive the receiver. */
cli_receiver *cli_receiver_new(cli_store *store,
                               const cli_receiver_hooks *hooks);

/* Replaces the hooks, whose |arg| may live for one call only. */
void cli_receiver_set_hooks(cli_receiver *r, const cli_receiver_hooks *hooks);

/**
 * One message of the sender, at |now_ns|.
 *
 * Returns    CMT_OK, also for a file that is refused; CMT_EPROTO: a message
 *            that no sender sends, after which the peer should be ended.
 */
cmt_err cli_receiver_feed(cli_receiver *r, const cli_file_message *m,
                          uint64_t now_ns);

/* Drops the file under way, if any, because of |err|; then frees. */
void cli_receiver_delete(cli_receiver *r, cmt_err err, const char *text);

#endif
