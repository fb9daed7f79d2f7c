/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__REACTOR_LIST_H
#define CMT__REACTOR_LIST_H

/* The reactors of a switch: checked copies of what the application gave, with
   the channels of each.  They start in their order and stop in the opposite
   one.  Zeroed, the list is empty. */

#include "callback_timer.h"

#include <cometp2p/reactor.h>

typedef struct cmt__reactor_list {
  cmt_reactor *list;
  size_t count;
  size_t started; /* The first so many have started, and have not stopped. */
  cmt_channel
    channels[CMT_CHANNELS_MAX]; /* All channels, with their defaults. */
  uint8_t channel_ids[CMT_CHANNELS_MAX]; /* In the same order. */
  size_t channel_count;
  const cmt_reactor *owners[256]; /* By channel id; NULL: nobody's. */
} cmt__reactor_list;

/* Copies and checks |count| reactors; their names stay the caller's.
   CMT_EINVAL: |why| names what is wrong; CMT_ENOMEM.  cmt__reactor_list_fini()
   follows either way. */
CMT_NODISCARD cmt_err cmt__reactor_list_init(cmt__reactor_list *rs,
                                             const cmt_env *env,
                                             const cmt_reactor *reactors,
                                             size_t count, cmt_why *why);
void cmt__reactor_list_fini(cmt__reactor_list *rs, const cmt_env *env);

/* Calls start of each until one fails, whose error is returned. */
CMT_NODISCARD cmt_err cmt__reactor_list_start(cmt__reactor_list *rs,
                                              cmt_switch *s, cmt_why *why);
/* Calls stop of each that has started, the last one first. */
void cmt__reactor_list_stop(cmt__reactor_list *rs, cmt__callback_timer *timer);

/* Calls init_peer of each until one refuses |p|.  Returns how many reactors
   know the peer; |why|->err is why it was refused, or CMT_OK. */
size_t cmt__reactor_list_init_peer(const cmt__reactor_list *rs,
                                   cmt__callback_timer *timer, cmt_peer *p,
                                   cmt_why *why);

#endif
