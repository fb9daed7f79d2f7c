/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SESSION_H
#define CMT_SESSION_H

/* A session between this library and another node, as a list of steps:

     {"at": NS, "in": HEX}          bytes of the other side arrive
     {"at": NS, "out": HEX}         our bytes are accepted by the network
     {"at": NS, "send": ID, "size": N, "fill": BYTE}
                                    a message is queued
     {"at": NS, "ping": true}       a ping is queued
     {"at": NS, "event": TEXT}      what the connection reported
   The recorder writes them, the replay compares them. */

#include <cometp2p/conn.h>
#include <jansson.h>

enum { SESSION_TEXT = 256 };

/* The channels of every session. */
extern const cmt_channel session_channels[3];

/* What makes a session repeatable: the ephemeral key and the node key. */
typedef struct session_keys {
  cmt_env env; /* Its entropy is |ephemeral|. */
  uint8_t ephemeral[32];
  cmt_node_key *key;
} session_keys;

/* From the seed of the node key and the ephemeral key, in hex. */
bool session_keys_init(session_keys *k, const char *seed_hex,
                       const char *ephemeral_hex);
void session_keys_fini(session_keys *k);

/* Our side at 0. */
cmt_err session_conn_new(const session_keys *k, cmt_conn **out, cmt_why *why);

/* One line that describes |e|. */
void session_event_text(const cmt_conn *c, const cmt_conn_event *e,
                        char out[SESSION_TEXT]);

cmt_buf *session_message(size_t size, uint8_t fill);

#endif
