/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEROP_PEER_H
#define INTEROP_PEER_H

/* The counterpart of peer/, the Go node: the same flags, commands, roles and
   events on the public headers of this library, so that the driver can put
   either on either side. */

#include <cometp2p/switch.h>
#include <jansson.h>

enum {
  SIZES_MAX = 64,            /* Entries of -sizes. */
  SIZE_MAX_BYTES = 32 << 20, /* Longest message that this program makes. */
  FLOOD_HEADER = 8,          /* Number of a flood message, little endian. */
};

typedef enum role { ROLE_DISCARD, ROLE_ECHO, ROLE_SEND, ROLE_FLOOD } role;

typedef struct options {
  const char *laddr; /* NULL: do not listen. */
  const char *dial, *network, *moniker, *key_file;
  role role;
  cmt_channel channels[CMT_CHANNELS_MAX];
  size_t channel_count;
  size_t sizes[SIZES_MAX];
  size_t size_count;
  uint64_t count; /* How often to go through the sizes. */
  bool await_echo, quiet, verbose;
  uint64_t flood_ns;
  size_t flood_size;
  uint64_t ping_interval_ns, pong_timeout_ns, flush_throttle_ns;
  uint64_t sleep_ns; /* How long the first message is in the reactor, which is
                        on a thread of its own then. */
  uint32_t packet_payload_max;
} options;

extern options opts;

/* interop_options.c */

/** Parses the command line into |opts|; exits with 2 and a line on an error. */
void options_parse(int argc, char **argv);
/** A channel id in hex, with or without 0x. */
bool channel_parse(const char *text, uint8_t *out);
bool number_parse(const char *text, uint64_t max, uint64_t *out);

/* interop_events.c */

/** Writes |event| with |name| on one line and drops the reference. */
void emit(const char *name, json_t *event);
/** |bytes| as a JSON string, escaped as for a terminal. */
json_t *json_text(cmt_bytes bytes);
/** The error's name in lower case without CMT_E. */
json_t *json_reason(cmt_err err);
json_t *json_node_info(const cmt_node_info *info);
void emit_message(const char *name, const cmt_peer *p, uint8_t channel,
                  cmt_bytes data, json_t *more);
/** Content of message |k| on |channel|: byte i is i*31 + k*7 + channel. */
void pattern_fill(uint8_t *out, size_t len, uint64_t k, uint8_t channel);
bool pattern_equal(const uint8_t *data, size_t len, uint64_t k,
                   uint8_t channel);

/* interop_role.c */

extern const cmt_reactor interop_reactor;
/** Queues |msg|, waiting as long as the peer lives.  Consumes the reference. */
cmt_err send_patiently(cmt_peer *p, uint8_t channel, cmt_buf *msg,
                       uint64_t *refused);
/** Waits until no thread of a role runs; the peers must be gone. */
void roles_join(void);

/* interop_flood.c: what one channel of one peer did in a flood. */

typedef struct flood_channel {
  uint64_t sent, received, sent_bytes, received_bytes;
  uint64_t lost, wrong, refused;
  bool end_sent, end_received;
} flood_channel;

/** Fills the channel with numbered messages for the time of the options, then
    sends the end.  Only |f|->refused changes meanwhile; the rest is for the
    caller to read afterwards. */
bool flood_send(cmt_peer *p, uint8_t channel, flood_channel *f);
/** Compares one received message with its number. */
void flood_receive(flood_channel *f, uint8_t channel, cmt_bytes data);

#endif
