/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__HOME_KEYS_H
#define CMT__HOME_KEYS_H

/* The keys of config.toml: one row for each that is read, with its default and
   what is allowed, and the names of all others that any release knows.
   docs/PROTOCOL.md 4.10 and 14. */

#include "base/base.h"

/* How a value is read and checked. */
typedef enum cmt__home_kind {
  CMT__HOME_TEXT,
  CMT__HOME_FLAG,
  CMT__HOME_NUMBER,
  CMT__HOME_DURATION,
} cmt__home_kind;

typedef enum cmt__home_key_id {
  CMT__HOME_MONIKER,
  CMT__HOME_LOG_LEVEL,
  CMT__HOME_LOG_FORMAT,
  CMT__HOME_GENESIS_FILE,
  CMT__HOME_NODE_KEY_FILE,
  CMT__HOME_FILTER_PEERS,
  CMT__HOME_LADDR,
  CMT__HOME_EXTERNAL_ADDRESS,
  CMT__HOME_SEEDS,
  CMT__HOME_PERSISTENT_PEERS,
  CMT__HOME_ADDR_BOOK_FILE,
  CMT__HOME_ADDR_BOOK_STRICT,
  CMT__HOME_INBOUND,
  CMT__HOME_OUTBOUND,
  CMT__HOME_UNCONDITIONAL,
  CMT__HOME_DIAL_PERIOD,
  CMT__HOME_FLUSH_THROTTLE,
  CMT__HOME_PACKET_PAYLOAD,
  CMT__HOME_SEND_RATE,
  CMT__HOME_RECV_RATE,
  CMT__HOME_PEX,
  CMT__HOME_SEED_MODE,
  CMT__HOME_SEED_MIN_HEIGHT,
  CMT__HOME_SEED_VERSION,
  CMT__HOME_PRIVATE,
  CMT__HOME_DUPLICATE_IP,
  CMT__HOME_HANDSHAKE_TIMEOUT,
  CMT__HOME_DIAL_TIMEOUT,
  CMT__HOME_LIBP2P,
  CMT__HOME_PROMETHEUS,
  CMT__HOME_PROMETHEUS_ADDR,
  CMT__HOME_PROMETHEUS_CONNECTIONS,
  CMT__HOME_NAMESPACE,
  CMT__HOME_RPC_LADDR,
  CMT__HOME_INDEXER,
  CMT__HOME_CHAIN_ID,
  CMT__HOME_KEY_COUNT,
} cmt__home_key_id;

typedef struct cmt__home_value {
  const char *text;
  bool flag;
  uint64_t number; /* Nanoseconds, for a duration. */
} cmt__home_value;

/* What is wrong with a value, for its mistake. */
typedef struct cmt__home_fault {
  char found[100]; /* The part of a list that is wrong; "": all of it. */
  char allowed[120];
} cmt__home_fault;

typedef struct cmt__home_key {
  const char *name; /* With its section, as in "p2p.laddr". */
  const char *flat; /* In a file of tenderseed; NULL: it has none. */
  cmt__home_kind kind;
  const char *standard;   /* The default, as in the file. */
  const char *tenderseed; /* Its default there; NULL: the same. */
  uint64_t max;           /* The largest number. */
  const char *allowed;    /* NULL: that of the kind. */
  /* Checks a value; NULL: the kind is enough. */
  bool (*check)(const cmt__home_value *v, cmt__home_fault *f);
} cmt__home_key;

extern const cmt__home_key cmt__home_keys[CMT__HOME_KEY_COUNT];

/* The key of that name, in any case; NULL: it is not read.  |flat|: of a file
   of tenderseed. */
const cmt__home_key *cmt__home_key_find(cmt_bytes section, cmt_bytes name,
                                        bool flat);

/* A key that some release has, and that means nothing here. */
bool cmt__home_key_is_known(cmt_bytes section, cmt_bytes name);

/* A section of any release. */
bool cmt__home_section_is_known(cmt_bytes name);

/* Writes the known name that is nearest to |name| of |section|; "": none is
   near. */
void cmt__home_key_nearest(cmt_bytes section, cmt_bytes name, bool flat,
                           char *out, size_t cap);

/* Equal but for the case of ASCII letters. */
bool cmt__home_same(cmt_bytes a, cmt_bytes b);

#endif
