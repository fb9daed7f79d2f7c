/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CONN_H
#define CMT__CONN_H

/* What a link uses of a connection besides the public calls: the config that
   connections share, input that is kept, and the credits of what was cut. */

#include "core/mux/channel.h"

#include <cometp2p/conn.h>

/* All that can be wrong with options whose channels are those of |config|;
   CMT_EINVAL, and |why| names the option. */
CMT_NODISCARD cmt_err cmt__conn_options_check(const cmt_conn_options *o,
                                              const cmt__conn_config *config,
                                              cmt_why *why);

/* Makes one from checked options, with the environment and the channels of
   |config|, of which it takes a reference.  Its last event has no |why|, and
   cmt__conn_why() tells it.  CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__conn_new(const cmt_conn_options *o,
                                    cmt__conn_config *config, uint64_t now_ns,
                                    cmt_conn **out);
void cmt__conn_why(const cmt_conn *c, cmt_why *out);

/* Their node info, which is the caller's to free from then on: later events
   have none.  The connection is up. */
cmt_node_info *cmt__conn_take_info(cmt_conn *c);

/* The last status of its channels, and |rest|, as cmt__channels_retire().  It
   has ended, or is refused: no message goes either way any more. */
cmt__channel_last *cmt__conn_retire(cmt_conn *c, cmt__channels_rest *rest);

/* Makes the connection draw on |b|, the quota of the switch, which must outlive
   it.  When the connection held most of the memory for unfinished messages and
   has lost it, |on_gave_way|(|arg|) is called under the lock of |b|, on any
   thread, and the next cmt_conn_next_event() yields CMT_CONN_END. */
void cmt__conn_attach_quota(cmt_conn *c, cmt__quota *b,
                            void (*on_gave_way)(void *arg), void *arg);
/* The connection has ended and gives its part of the quota back; on_gave_way is
   not called any more. */
void cmt__conn_detach_quota(cmt_conn *c);

/* As cmt_conn_tick(); |excused|: nobody is called late, since what came may not
   have been read. */
void cmt__conn_tick(cmt_conn *c, uint64_t now_ns, bool excused);
/* When the other side is late with what it has to send: its part of the
   handshake, a pong, the rest of a message. */
uint64_t cmt__conn_late_ns(const cmt_conn *c);
/* When it is late with taking what we send. */
uint64_t cmt__conn_stuck_ns(const cmt_conn *c);
/* True when it said, since it last took something, that it does not read by
   choice. */
bool cmt__conn_is_excused(const cmt_conn *c);
/* Tells that it has taken some of it after all. */
void cmt__conn_moved(cmt_conn *c, uint64_t now_ns);

/* Bytes that the caller should read at most, at least 1, when it reads.  Before
   the connection is up they are few, since cmt__conn_keep() may have to copy
   them. */
enum { CMT__HANDSHAKE_READ_MAX = 8192 };
size_t cmt__conn_read_max(cmt_conn *c);

/* Most bytes that one made with |o| takes, without messages: once it is up, and
   in its handshake. */
size_t cmt__conn_memory(const cmt_conn_options *o);
size_t cmt__conn_handshake_memory(const cmt_conn_options *o);

/* Copies what is left of the bytes of the last cmt_conn_recv(), so that they
   may go before the events of them are taken, and puts |len| bytes more behind
   them.  The connection is up.  CMT_ENOMEM: nothing changed. */
CMT_NODISCARD cmt_err cmt__conn_keep(cmt_conn *c, const uint8_t *data,
                                     size_t len);

/* True while bytes of the last cmt_conn_recv() are not used up and were not
   kept: the caller's memory must stay. */
bool cmt__conn_borrows(const cmt_conn *c);

/* Our node info, if it did not go out yet, waits until |at_ns|, and all that
   comes after it waits too. */
void cmt__conn_delay_info(cmt_conn *c, uint64_t at_ns);

/* Bit i: the other side has the channel at i.  The connection is up. */
uint16_t cmt__conn_theirs(const cmt_conn *c);

/* As cmt_conn_try_send() of |msg|, which cmt__channel_refuses() lets pass, on
   the channel at |at|. */
CMT_NODISCARD cmt_err cmt__conn_queue(cmt_conn *c, size_t at, cmt_buf *msg);

/* Latches the caller's instant, for messages that are about to be queued. */
void cmt__conn_latch(cmt_conn *c, uint64_t now_ns);

/* Fills in |id| and |node_info| of an event. */
void cmt__conn_whose(const cmt_conn *c, cmt_conn_event *out);

/* True when bytes are left whose events were not taken. */
bool cmt__conn_has_input(const cmt_conn *c);

/* True when it has ended: CMT_CONN_END is the next event, or was the last. */
bool cmt__conn_has_ended(const cmt_conn *c);

/* How far the other side has come in the handshake. */
typedef enum cmt__conn_progress {
  CMT__CONN_SILENT,        /* Its key has not arrived whole, or was wrong. */
  CMT__CONN_KEYED,         /* Its key has arrived, */
  CMT__CONN_AUTHENTICATED, /* and so has its signature. */
  CMT__CONN_PROGRESS_COUNT
} cmt__conn_progress;
cmt__conn_progress cmt__conn_progress_of(const cmt_conn *c);

/* False: none. */
bool cmt__conn_take_credits(cmt_conn *c, cmt__credits *out);

/* Bytes of payload that the packet parser copied anywhere but into a message,
   since the start. */
uint64_t cmt__conn_copied(const cmt_conn *c);

/* Pings written since the connection was up. */
uint64_t cmt__conn_pings_sent(const cmt_conn *c);

#endif
