/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_FUZZ_SIDE_H
#define CMT_FUZZ_SIDE_H

/* A whole connection under test with everything that is known of it: what it
   may still report, what it has to send, what memory it may use. */

#include "core/conn/conn.h"
#include "core/conn/node_info.h"
#include "script.h"
#include "wire.h"

enum { SIDE_CHANNELS = 4, SIDE_MESSAGES = 512, SIDE_RUN = 64 * 1044 };

/* 0x00: 100 bytes; 0x31: 5,000, three may wait; 0x80: 20,000; 0xff: 70,000,
   eight may wait. */
extern const cmt_channel side_channels[SIDE_CHANNELS];

typedef struct side_options {
  const uint8_t *ephemeral; /* 32 bytes. */
  size_t key;               /* Number for fuzz_node_key(). */
  const struct cmt_aead *aead;
  const cmt_node_id *expect_id; /* NULL: any. */
  bool any_network;
  bool greedy; /* Seals long batches, whatever is asked for. */
  cmt_wire wire;
  uint64_t send_rate, recv_rate;
  cmt__quota *quota; /* NULL: it has nothing in common with others. */
  uint32_t send_payload_max, recv_payload_max;
  uint64_t ping_interval_ns, pong_timeout_ns;
  size_t fail_at; /* The allocation that fails; SIZE_MAX: none. */
} side_options;

typedef struct fuzz_side {
  side_options o;
  fuzz_env e;
  cmt_conn *c; /* NULL: making it failed for lack of memory. */
  uint64_t now_ns;
  uint8_t *lent; /* Input that the connection may still read. */

  /* Events. */
  bool info, up, end;
  cmt_why why;
  uint64_t pongs;
  cmt_buf *kept; /* The last message. */

  bool on_standby, was_on_standby; /* By side_hold(). */
  bool activated;                  /* CMT_CONN_UP is to come once more. */

  /* Messages: the lengths accepted for sending, and how many came. */
  uint32_t sent[SIDE_CHANNELS][SIDE_MESSAGES];
  size_t sent_count[SIDE_CHANNELS], recv_count[SIDE_CHANNELS];
  const struct fuzz_side *other; /* Whose messages arrive; NULL: not known. */

  /* Stops. */
  bool stopping;
  cmt_err stop_reason;

  /* Output. */
  uint8_t *slots; /* The batch under way. */
  size_t run_at, batch_len;
  fuzz_wire wire; /* Only with the null AEAD. */
  size_t wire_count[SIDE_CHANNELS], wire_offset[SIDE_CHANNELS];
} fuzz_side;

void side_init(fuzz_side *s, const side_options *o, uint64_t now_ns);
/* Deletes the connection; nothing may be left. */
void side_fini(fuzz_side *s);

/* Gives |data|, unless it has ended or bytes before are not used up. */
bool side_recv(fuzz_side *s, cmt_bytes data);
/* Polls at most |max| events; false: there are more. */
bool side_events(fuzz_side *s, size_t max);

/* As long as |on|, polls the events up to CMT_CONN_UP and then none; true: that
   is where it stands, and its input is kept. */
bool side_hold(fuzz_side *s, bool on);
/* Puts |data| behind what is kept. */
void side_keep(fuzz_side *s, cmt_bytes data);

/* At most |max| bytes to write, lent until the next call. */
cmt_bytes side_output(fuzz_side *s, size_t max);
void side_consume(fuzz_side *s, size_t len);

void side_send(fuzz_side *s, size_t channel, size_t len);
void side_ping(fuzz_side *s);
void side_tick(fuzz_side *s, uint64_t now_ns);
/* Pauses its reading, or resumes it. */
void side_pause(fuzz_side *s, bool on);
void side_stop(fuzz_side *s, cmt_err reason, uint64_t flush_ns);

/* Checks what is true between any two calls. */
void side_check(fuzz_side *s);

/* Messages accepted that are not cut to their end. */
bool side_has_queued(const fuzz_side *s);

/* Byte |i| of message |k| of a channel. */
static inline uint8_t side_byte(size_t channel, size_t k, size_t i) {
  return (uint8_t)(i * 31 + k * 7 + channel);
}

#endif
