/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_CONN_PEER_H
#define CMT_TEST_CONN_PEER_H

/* A connection under test and the node at its other end, which is driven by
   hand and checks nothing, so that it can send whatever a test wants. */

#include "core/conn/conn.h"
#include "core/conn/node_info.h"
#include "conn_output.h"
#include "secret_peer.h"

enum { CONN_PEER_TEXT_MAX = 2048, CONN_PEER_CHANNELS = 4 };

/* 0x00; 0x30: three may wait; 0x31: at most 5000 bytes; 0xff: at most 100000
   bytes.  The channels of the behaviour vectors. */
extern const cmt_channel conn_peer_channels[CONN_PEER_CHANNELS];

/* Network test-net, block 11, and the channels above; id left out. */
extern const cmt_node_info conn_peer_info;

typedef struct conn_peer {
  test_env t;
  uint8_t eph_secret[32]; /* The connection's secret. */
  cmt_node_key *key;      /* The connection's key: seed 32 x 11. */
  cmt_conn_options o;
  cmt_conn *c;
  conn_output out;  /* What it wrote, and is not consumed yet. */
  secret_peer peer; /* Seed 32 x 22. */
  uint64_t now_ns;
  bool echo;    /* Each message is sent back on its channel. */
  bool blind;   /* The peer cannot open frames: its keys are others. */
  bool stalled; /* The connection's output is not consumed by itself. */
  char events[CONN_PEER_TEXT_MAX]; /* What the connection gave out, as words. */
  cmt_why why;                     /* Why it ended. */
  secret_sink messages;            /* Their bytes, one after the other. */
  secret_sink wire;                /* What the connection sent. */
  size_t opened;                   /* How much of |wire| was opened. */
  secret_sink plain;               /* Its data after the signature. */
  size_t read;                     /* How much of |plain| was read. */
  uint32_t
    frame_len[64]; /* Lengths of its frames; the first is the signature's. */
  size_t frames;
} conn_peer;

/* |least|: the connection's ephemeral key is the lower one.  Options may be
   changed until conn_peer_start(), which makes the connection at 0. */
void conn_peer_init(conn_peer *f, bool least);
void conn_peer_start(conn_peer *f);
void conn_peer_fini(conn_peer *f);

/* At most |max| bytes of what the connection has to send, at |now_ns|. */
cmt_bytes conn_peer_output(conn_peer *f, size_t max, uint64_t now_ns);
void conn_peer_consume(conn_peer *f, size_t len, uint64_t now_ns);
/* Consumes all that the connection has to send. */
void conn_peer_take(conn_peer *f);

/* Gives the connection bytes, from memory of exactly their length, and notes
   its events.  Then consumes its output. */
void conn_peer_raw(conn_peer *f, cmt_bytes data);
/* As conn_peer_raw(), in pieces of |first| and then of |rest| bytes, while it
   lives. */
void conn_peer_raw_cut(conn_peer *f, cmt_bytes data, size_t first, size_t rest);

/* Sends |data| as one frame, or in as many as it takes. */
void conn_peer_frame(conn_peer *f, cmt_bytes data);
void conn_peer_send(conn_peer *f, cmt_bytes data);
void conn_peer_send_hex(conn_peer *f, const char *hex);

/* The steps of the handshake. */
void conn_peer_hello(conn_peer *f);
void conn_peer_auth(conn_peer *f);
void conn_peer_send_info(conn_peer *f);
/* All of them; the connection is up and its own node info read. */
void conn_peer_up(conn_peer *f);

/* Writes |i| with its length before it; the bytes that takes.  An empty id
   stands for the peer's. */
size_t conn_peer_write_info(const conn_peer *f, const cmt_node_info *i,
                            uint8_t *out, size_t cap);

/* Calls cmt_conn_tick() at |now_ns| and notes the events. */
void conn_peer_tick(conn_peer *f, uint64_t now_ns);
void conn_peer_stop(conn_peer *f, cmt_err reason, uint64_t flush_ns);

/* Compares the events since the last call.  Words: "info", "up", "31.3" for a
   message of 3 bytes, "pong", "CMT_EPROTO(up)" for the end and its stage. */
void assert_conn_events(conn_peer *f, const char *expected);

/* Compares the packets that the connection sent since the last call, as hex
   without their lengths, long ones cut. */
void assert_conn_sent(conn_peer *f, const char *expected);
/* The next of them; false: there is none. */
bool conn_peer_next_packet(conn_peer *f, cmt_bytes *body);

cmt_err conn_peer_queue(conn_peer *f, uint8_t channel, size_t len);

#endif
