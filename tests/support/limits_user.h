/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_LIMITS_USER_H
#define CMT_TEST_LIMITS_USER_H

/* Multiplexers with limits in virtual time, alone or several of one group, and
   what passed through them, to the byte and the nanosecond. */

#include "core/mux/mconn.h"
#include "test.h"

#define S(n) CMT_SECONDS(n)
#define MS(n) CMT_MILLISECONDS(n)

enum {
  LIMITS_PACKET_MAX = 1040, /* The longest one that these multiplexers send. */
  LIMITS_TRACE_MAX = 20000,
  LIMITS_STREAM = 65536,
  LIMITS_SHARERS = 4,
  LIMITS_FIRST = 0x40,
  LIMITS_SECOND = 0x41,
};

/* A multiplexer and what passed through it. */
typedef struct limits_user {
  test_env t;
  cmt_channel channels[2];
  cmt_mconn_options o;
  cmt_mconn *m;
  uint64_t now_ns;
  uint64_t at_ns[LIMITS_TRACE_MAX];
  size_t len[LIMITS_TRACE_MAX], count; /* What passed at once, and when. */
  uint64_t total;
  size_t messages; /* How many arrived. */
  uint64_t longest_pause_ns;
  uint8_t
    stream[LIMITS_STREAM]; /* Whole packets, to be given again and again. */
  size_t stream_len, stream_at;
} limits_user;

/* Options may be changed until limits_user_start(), which makes it at 0. */
limits_user *limits_user_new(void);
void limits_user_start(limits_user *u);
void limits_user_delete(limits_user *u);

/* What passed in any window is at most rate x window + |slack|. */
void assert_within(const limits_user *u, uint64_t rate, uint64_t slack);
void assert_about(uint64_t found, uint64_t expected, uint64_t less,
                  uint64_t more);

cmt_err limits_queue(limits_user *u, uint8_t channel, size_t len);
void limits_queue_all(limits_user *u, uint8_t channel, size_t len);
/* Consumes all that may go now, in batches of at most |max|. */
size_t limits_take(limits_user *u, size_t max);
/* |expected| is what it has ended with after that; CMT_OK: it has not. */
void limits_tick(limits_user *u, uint64_t now_ns, cmt_err expected);

/* Gives it bytes; |expected| is what it ends with, as its last event. */
void limits_give(limits_user *u, const uint8_t *data, size_t len,
                 cmt_err expected);
/* A packet of |len| bytes that ends its message or not. */
void limits_give_part(limits_user *u, uint8_t channel, size_t len, bool eof,
                      cmt_err expected);

/* Fills the stream with whole messages of |len| bytes on |channel|. */
void limits_stream(limits_user *u, uint8_t channel, size_t len);
/* Gives it the next |max| bytes of that. */
void limits_read(limits_user *u, size_t max);

/* Several of one group. */
typedef struct limits_crowd {
  cmt__quota quota;
  limits_user *users[LIMITS_SHARERS];
} limits_crowd;

void limits_crowd_init(limits_crowd *c, uint64_t send_rate, uint64_t recv_rate,
                       size_t reserved_max);
void limits_crowd_fini(limits_crowd *c);

#endif
