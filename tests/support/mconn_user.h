/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_MCONN_USER_H
#define CMT_TEST_MCONN_USER_H

/* A multiplexer under test, with packets and events as text. */

#include "core/mux/mconn.h"
#include "parsed.h"

/* 0x30: priority 5, three may wait.  0x31: priority 1, one may wait, at most
   5000 bytes.
   0xff: priority 10, a hundred may wait, at most 100000 bytes. */
enum { MCONN_USER_CHANNELS = 3 };
extern const cmt_channel mconn_user_channels[MCONN_USER_CHANNELS];

typedef struct mconn_user {
  test_env t;
  cmt_mconn *m;
  parsed sent; /* By the last mconn_user_sent(). */
} mconn_user;

/* A multiplexer that started at instant 0. */
mconn_user *mconn_user_new(void);
void mconn_user_delete(mconn_user *f);
void mconn_user_options(mconn_user *f, cmt_mconn_options *o);

/* Queues a message of |len| bytes; what is refused is dropped. */
cmt_err mconn_user_queue(mconn_user *f, uint8_t channel, size_t len);

/* Reads one batch of at most |max| bytes; its length. */
size_t mconn_user_sent(mconn_user *f, size_t max, uint64_t now_ns);

/* The packets of that batch as words: "ping", "pong", "30.5!". */
void assert_sent(mconn_user *f, const char *expected);

/* Gives |hex|.  An event is "31.3" for a message, "pong:" with the nanoseconds,
   or the name of the error that ends it. */
void assert_given(mconn_user *f, const char *hex, uint64_t now_ns,
                  const char *events);

#endif
