/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SIM_HOSTILE_H
#define CMT_SIM_HOSTILE_H

/* One node that proves who it is and then breaks the protocol. */

#include "sim_crowd.h"

#include "hostile.h"

/* What it does, and what it ends with. */
#define SIM_HOSTILE_MAP(X)                                                     \
  X(UNKNOWN_CHANNEL, CMT_EUNKNOWNCHANNEL, "sends on a channel of nobody")      \
  X(TOO_LONG, CMT_EMSGSIZE, "sends a message that is too long")                \
  X(GARBAGE, CMT_EPROTO, "sends what is no packet")                            \
  X(BAD_SEAL, CMT_EAUTH, "spoils what it has sealed")                          \
  X(EMPTY_FLOOD, CMT_EFLOOD, "sends a flood of empty packets")                 \
  X(PING_FLOOD, CMT_EFLOOD, "sends a flood of pings")                          \
  X(PONG_FLOOD, CMT_EFLOOD, "sends a flood of pongs")                          \
  X(FEW_PONGS, CMT_EPONG, "sends a few pongs that nobody asked for")           \
  X(MUTE, CMT_EPONG, "answers nothing")                                        \
  X(PARTIAL, CMT_EPARTIAL, "never ends a message")                             \
  X(HANGS_UP, CMT_EEOF, "hangs up in the middle of a message")                 \
  X(OTHER_NETWORK, CMT_ENETWORK, "states that it is of another network")       \
  X(OTHER_ID, CMT_EAUTH, "states that it is an honest node")

typedef enum sim_hostile_kind {
#define X(name, err, text) SIM_HOSTILE_##name,
  SIM_HOSTILE_MAP(X)
#undef X
    SIM_HOSTILE_KINDS
} sim_hostile_kind;

typedef struct sim_hostile {
  struct sim *sim;
  sim_rng rng, entropy;
  test_env env;
  sim_hostile_kind kind;
  struct sim_node *at; /* Where it goes; NULL: there is none. */
  cmt__loop *loop;
  hostile peer;
  cmt_node_id id;
  bool did, did_once; /* What is wrong, on this connection, on any. */
  bool trial;         /* Nothing else is wrong. */
  cmt_err end;        /* How its last connection ended, */
  cmt_err refusal;    /* or its last handshake. */
} sim_hostile;

const char *sim_hostile_text(sim_hostile_kind k);
/* Draws whether there is one; after the crowd and the minority. */
void sim_hostile_init(struct sim *s);
void sim_hostile_fini(struct sim *s);
/* |id| is that of no honest node: of the crowd, or of this one. */
bool sim_is_stranger(const struct sim *s, const cmt_node_id *id);
/* It may do something, while there are faults. */
void sim_hostile_act(struct sim *s);
/* It hangs up. */
void sim_hostile_leave(struct sim *s);
/* It does what is wrong, and nothing else is. */
void sim_hostile_try(struct sim *s);
/* |r| is what it is to end with. */
bool sim_hostile_explains(const struct sim_node *n, const cmt_rejection *r);

#endif
