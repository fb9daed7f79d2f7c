/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_REACTOR_H
#define CMT_REACTOR_H

/* A reactor: the part of an application that owns some channels.  One struct
   of functions; each may be NULL.

   For one peer the order is init_peer of each reactor, then add_peer of each,
   then receive any number of times, then remove_peer of each.  Each reactor
   whose init_peer returned CMT_OK (or is NULL) sees exactly one remove_peer,
   with or without an add_peer before.  The switch lists a peer from the last
   init_peer until the last remove_peer returned.

   All of these but start run on the switch's loop and must not block; use
   cmt_peer_pause() to slow a sender down. */

#include <cometp2p/peer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cmt_switch cmt_switch;

typedef struct cmt_reactor {
  const char *name; /**< Not NULL; of no other reactor of the switch. */
  /** Each id belongs to one reactor of a switch; at most CMT_CHANNELS_MAX over
      all.  Copied by cmt_switch_new(). */
  const cmt_channel *channels;
  size_t channel_count;
  void *self; /**< Passed to each function. */
  /** In cmt_switch_start(), on its thread; an error ends the start. */
  cmt_err (*start)(void *self, cmt_switch *sw);
  /** Before any traffic; an error refuses the peer with that reason. */
  cmt_err (*init_peer)(void *self, cmt_peer *p);
  void (*add_peer)(void *self, cmt_peer *p);
  /** A complete message on a channel of this reactor, maybe empty.  |msg| is
      lent; cmt_buf_ref() keeps it.  An error ends the peer with that
      reason. */
  cmt_err (*receive)(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg);
  /** cmt_peer_get_why() has the reason in full. */
  void (*remove_peer)(void *self, cmt_peer *p, cmt_err reason);
  /** After the last remove_peer, once for each start that returned CMT_OK. */
  void (*stop)(void *self);
} cmt_reactor;

#ifdef __cplusplus
}
#endif
#endif
