/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WRITER_H
#define CLI_WRITER_H

/* The reactor of the roles files and echo, on a thread of its own: it hashes
   and writes, so that the loop does neither.  Over 8 MiB of data of one sender
   that wait, and of all over twice that, the senders are not read. */

#include <cometp2p/reactor.h>

enum {
  /* Memory of what waits of a sender: that of a message can be twice its
     length. */
  CLI_WRITER_BYTES = 16 << 20,
  /* Messages of one peer on one channel that wait: a window of data in the
     usual pieces has 64.  Each of them can become a line of output after the
     peer was paused. */
  CLI_WRITER_MESSAGES = 256,
};

/* The functions of the reactor; |self| is the cli_node.  A peer's session is
   made and ended by the node. */
cmt_err cli_writer_receive(void *self, cmt_peer *p, uint8_t channel,
                           cmt_buf *msg);
/* Drops what a peer that is gone left unfinished. */
void cli_writer_remove_peer(void *self, cmt_peer *p, cmt_err reason);

#endif
