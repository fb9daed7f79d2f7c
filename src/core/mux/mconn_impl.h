/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__MCONN_IMPL_H
#define CMT__MCONN_IMPL_H

/* A multiplexer from the inside, for the files that make it up: mconn.c has its
   life, its time and its status, mconn_send.c and mconn_recv.c the bytes,
   mconn_options.c checks its options, and mconn_limits.c computes when messages
   may go and when to read. */

#include "mconn.h"

#include "core/wire/parser.h"

/* Pongs within a pong timeout in which nothing is read. */
enum { CMT__UNASKED = 3 };

struct cmt_mconn {
  cmt__channels channels;
  cmt_bytes in;
  cmt_err end_err; /* CMT_OK until it has ended. */
  bool end_reported;
  bool begun;        /* A byte came. */
  bool foreign;      /* The end came at a packet of another profile. */
  uint8_t first;     /* The first byte, until its packet is there; 0 then. */
  bool stuck;        /* The end came since nothing was taken. */
  bool paused;       /* The caller does not read. */
  bool standby;      /* No pings of our own go out. */
  bool limited;      /* The caller should not read, for a limit. */
  bool recv_limited; /* Receiving has a limit, of whatever kind. */
  /* When messages may go, and urgent ones before the limits of the others, as
     far as this connection alone is concerned; see cmt__mconn_send_note(). */
  uint64_t send_at_ns, urgent_at_ns;
  cmt__rate *send, *recv; /* NULL: no limit. */
  /* When this connection may draw on the limits that it shares. */
  uint64_t shared_send_ns, shared_recv_ns;
  cmt_buf *lent; /* The message of the last event. */
  cmt__ping ping;
  cmt__packet_parser parser;
  const char *end_text; /* Static. */
  uint64_t stopped_ns;  /* When |paused| or |limited| began. */
  uint64_t resumed_ns;  /* When both were last over. */
  uint64_t pong_ns;     /* When the next unsolicited pong goes out. */
  uint64_t read_at_ns;  /* When |limited| is over. */
  cmt__rate flood;
};

/* Latches the caller's instant and returns it; one before the last one counts
   as that. */
static inline uint64_t cmt__mconn_latch(cmt_mconn *m, uint64_t now_ns) {
  m->channels.now_ns = cmt__latest(m->channels.now_ns, now_ns);
  return m->channels.now_ns;
}

static inline bool cmt__mconn_has_ended(const cmt_mconn *m) {
  return m->end_err != CMT_OK;
}

/* Bytes of the longest packet that goes out, all included. */
static inline size_t cmt__mconn_packet_max(const cmt_mconn *m) {
  return m->channels.wire->msg_size(0xff, true, m->channels.payload_max);
}

/* Ends the multiplexer, unless it has ended before; |text| is static. */
void cmt__mconn_end(cmt_mconn *m, cmt_err err, const char *text);
/* Does so with the text of the error. */
void cmt__mconn_fail(cmt_mconn *m, cmt_err err);

/* Copies |o| to |full|, with the defaults in place of what is 0; CMT_EINVAL for
   a size or a field that this library does not know. */
CMT_NODISCARD cmt_err cmt__mconn_options_read(const cmt_mconn_options *o,
                                              cmt_mconn_options *full,
                                              cmt_why *why);
/* Most bytes of unfinished messages; the default depends on the channels. */
size_t cmt__mconn_recv_bytes_max(const cmt_mconn_options *o,
                                 const cmt_conn_group *group);
/* Bytes of a multiplexer and of those of its parts that not every one needs,
   which lie behind it. */
size_t cmt__mconn_size(const cmt_mconn_options *o);

/* Fills all limits. */
void cmt__mconn_limits_start(cmt_mconn *m);

/* Computes when messages may go: after something was charged, and when a
   channel has got its first message or has lost its last one. */
void cmt__mconn_send_note(cmt_mconn *m);
/* When messages may go as far as the limits are concerned; CMT_NEVER: there are
   none.  Nothing is computed anew. */
static inline uint64_t cmt__mconn_send_ns(const cmt_mconn *m) {
  const cmt__channels *cs = &m->channels;
  uint64_t urgent_ns = m->urgent_at_ns;

  if (cs->urgent_ready == 0) {
    return m->send_at_ns;
  }
  if (cs->quota != NULL) { /* Others charge its bucket, too. */
    urgent_ns = cmt__max64(urgent_ns, cmt__quota_urgent_ns(cs->quota));
  }
  return cmt__min64(m->send_at_ns, urgent_ns);
}
/* Bytes of messages that may be cut now; what is over it by less than a packet
   is repaid. */
uint64_t cmt__mconn_send_left(cmt_mconn *m);
void cmt__mconn_send_charge(cmt_mconn *m, size_t len);

/* Notes whether the caller does not read by choice, and whether it should not,
   for a limit.  Time in which nothing is read is none in which the other side
   is late. */
void cmt__mconn_reading(cmt_mconn *m, bool paused, bool limited);
void cmt__mconn_recv_charge(cmt_mconn *m, size_t len);
/* Stops reading when a limit is used up; called once the input is. */
void cmt__mconn_recv_throttle(cmt_mconn *m);

#endif
