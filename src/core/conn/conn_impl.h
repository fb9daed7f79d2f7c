/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CONN_IMPL_H
#define CMT__CONN_IMPL_H

/* A connection from the inside, for the four files that make it up: conn.c
   makes and ends it, conn_options.c checks its options, conn_recv.c has the way
   in, conn_send.c the way out. */

#include "conn.h"
#include "base/delimited.h"
#include "base/foreign.h"

#include "core/mux/mconn.h"
#include "node_info.h"

#include <cometp2p/secret_conn.h>

typedef enum cmt__conn_state {
  CMT__CONN_SECRET, /* Keys and signatures. */
  CMT__CONN_INFO,   /* Waiting for the node info. */
  CMT__CONN_CHECK,  /* It was reported, and is to be checked. */
  CMT__CONN_UP,
} cmt__conn_state;

enum { CMT__INFO_FIRST = 512 }; /* Bytes of their node info at first. */

/* What is needed until the connection is up. */
typedef struct cmt__conn_handshake {
  bool any_network, expects;
  cmt_node_id expect;
  cmt_node_info *ours;
  uint64_t timeout_ns;
  cmt__delimited in;                 /* Their node info. */
  uint8_t first[CMT__FOREIGN_BYTES]; /* What they sent first of all. */
  size_t first_len;
  bool info_sent;
  uint64_t info_at_ns;    /* Ours waits until then, */
  uint64_t info_wait_ns;  /* and for theirs so long, from when they are */
  uint64_t info_until_ns; /* authenticated until then. */
  char end_text[sizeof((cmt_why *)0)->text]; /* Describes an end before it is
                                                up. */
} cmt__conn_handshake;

struct cmt_conn {
  cmt_conn_group *group;
  cmt_secret_conn *secret;
  cmt_mconn *mconn;
  cmt__conn_handshake *shake; /* NULL once up. */
  cmt__conn_state state;
  cmt_err end_err;       /* Why it ended. */
  uint16_t theirs_have;  /* Bit i: they have channel i of |group|. */
  uint16_t standby_room; /* Bytes that may still be read on standby. */
  uint16_t batch_unused; /* Bytes of frames before the last part of the batch
                            that have no data. */
  bool ended, end_reported, stopping;
  bool parted; /* The parting ping was written; see conn_send.c. */
  bool batch_is_mconn;
  bool borrows;    /* The input, if there is any, is the caller's memory. */
  bool paused;     /* The caller does not read. */
  bool standby;    /* The end is the only event. */
  bool up_again;   /* Standby is over: CMT_CONN_UP comes again. */
  cmt_bytes chunk; /* Decrypted bytes not yet used. */
  uint64_t now_ns;
  /* The batch under way, and where it begins in the multiplexer's stream. */
  size_t batch_len, batch_taken;
  uint64_t batch_from;
  uint64_t flush_at_ns, handshake_at_ns; /* Deadlines. */
  cmt_node_key *key;                     /* A reference of ours. */
  cmt_node_info *theirs;                 /* NULL again when it was taken. */
  cmt_err stop_reason;
  cmt_stage end_stage;
  /* Static, or that of |shake|; NULL: it is that of the part that ended. */
  const char *end_text;
};

/* Our node info, with what follows from key and channels filled in. */
typedef struct cmt__conn_ours {
  cmt_node_info info;
  cmt_node_id id;
  uint8_t channels[CMT_CHANNELS_MAX];
} cmt__conn_ours;

/* Copies |o| to |full|, with the defaults in place of what is 0; CMT_EINVAL for
   a size or a field that this library does not know. */
CMT_NODISCARD cmt_err cmt__conn_options_read(const cmt_conn_options *o,
                                             cmt_conn_options *full,
                                             cmt_why *why);
/* All that can be wrong with our node info, |node_info| of the options. */
CMT_NODISCARD cmt_err cmt__conn_node_info_check(const cmt_conn_options *o,
                                                cmt_why *why);
/* All that can be wrong with the options besides those of the multiplexer. */
CMT_NODISCARD cmt_err cmt__conn_options_check_own(const cmt_conn_options *o,
                                                  cmt_why *why);
/* The options of the multiplexer of a connection. */
cmt_mconn_options cmt__conn_mconn_options(const cmt_conn_options *o);
/* Fills in |out|, which borrows from |o| and points into itself. */
void cmt__conn_ours_fill(const cmt_conn_options *o, cmt__conn_ours *out);

/* Latches the caller's instant and returns it; one before the last one counts
   as that. */
static inline uint64_t cmt__conn_enter(cmt_conn *c, uint64_t now_ns) {
  c->now_ns = cmt__latest(c->now_ns, now_ns);
  return c->now_ns;
}

static inline bool cmt__conn_batch_done(const cmt_conn *c) {
  return c->batch_taken == c->batch_len;
}

/* The first end is the reason, and a graceful stop comes before whatever ends
   it early.  Once the connection is up |text| is static. */
void cmt__conn_end(cmt_conn *c, cmt_err err, const char *text);
/* Ends the connection with the text of the error itself. */
void cmt__conn_fail(cmt_conn *c, cmt_err err);
/* Ends the connection as its secret connection or its multiplexer has ended. */
void cmt__conn_part_ended(cmt_conn *c);
/* True when nothing is left to be sent, now or later, but for a batch under
   way. */
bool cmt__conn_is_drained(const cmt_conn *c);
/* Ends a graceful stop when nothing is left to be written. */
void cmt__conn_update(cmt_conn *c);
void cmt__conn_handshake_free(cmt_conn *c);
/* When our node info may go out.  It need not wait for theirs once that was
   checked, since the owner of the connection has chosen the answer then. */
static inline uint64_t cmt__conn_info_due(const cmt_conn *c) {
  bool theirs = c->state == CMT__CONN_UP || c->ended;

  return theirs ? c->shake->info_at_ns
                : cmt__latest(c->shake->info_at_ns, c->shake->info_until_ns);
}
/* True when our node info is not sent, and is not to be sent yet. */
static inline bool cmt__conn_info_waits(const cmt_conn *c) {
  return c->shake != NULL && !c->shake->info_sent &&
         c->now_ns < cmt__conn_info_due(c);
}

#endif
