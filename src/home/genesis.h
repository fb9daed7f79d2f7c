/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__GENESIS_H
#define CMT__GENESIS_H

/* The chain id of a genesis.json.  An export of a large chain has gigabytes,
   and where its keys are sorted, chain_id stands behind all of the state, so
   the file is scanned in pieces and nothing of it is kept.  docs/PROTOCOL.md
   14.6. */

#include "base/base.h"

enum {
  CMT__CHAIN_ID_MAX = 50, /* Bytes. */
  CMT__CHAIN_ID_SIZE = CMT__CHAIN_ID_MAX + 1,
  CMT__GENESIS_DEPTH_MAX = 1024,
  /* The chain id with each byte as six, and a key that is as long. */
  CMT__GENESIS_TEXT_MAX = 6 * CMT__CHAIN_ID_MAX,
};

typedef enum cmt__genesis_state {
  CMT__GENESIS_BEGIN,     /* Before the object. */
  CMT__GENESIS_FIRST,     /* At the first key, or the end of the object. */
  CMT__GENESIS_NEXT,      /* At a key. */
  CMT__GENESIS_KEY,       /* In a key. */
  CMT__GENESIS_COLON,     /* Behind a key. */
  CMT__GENESIS_VALUE,     /* Before a value. */
  CMT__GENESIS_STRING,    /* In a string that is a value. */
  CMT__GENESIS_WORD,      /* In a number or a word. */
  CMT__GENESIS_INSIDE,    /* In an array or an object. */
  CMT__GENESIS_IN_STRING, /* In a string inside of one. */
  CMT__GENESIS_COMMA,     /* Behind a value. */
  CMT__GENESIS_FOUND,     /* |chain_id| is set. */
  CMT__GENESIS_FAILED,    /* |fault| is set. */
} cmt__genesis_state;

/* Begins zeroed. */
typedef struct cmt__genesis {
  cmt__genesis_state state;
  unsigned depth;
  bool escaped; /* The byte before was a backslash. */
  bool wanted;  /* The value is that of chain_id. */
  uint8_t is_object[CMT__GENESIS_DEPTH_MAX / 8]; /* A bit for each depth. */
  char text[CMT__GENESIS_TEXT_MAX]; /* The key or the chain id, as it is
                                       written. */
  size_t text_len;                  /* More than |text| has: it is too long. */
  uint64_t offset;                  /* Where the next byte is. */
  char chain_id[CMT__CHAIN_ID_SIZE];
  char fault[120];
} cmt__genesis;

/* Scans the next piece of the file; false: no more is needed. */
bool cmt__genesis_feed(cmt__genesis *g, cmt_bytes piece);
/* The file has ended; false: there was no chain id, and |fault| is set. */
bool cmt__genesis_end(cmt__genesis *g);

/* Reads the chain id of the file |path|.  CMT_EINVAL: it has none; CMT_EIO,
   with errno ENOENT where there is no file; CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__genesis_read(const cmt_env *env, const char *path,
                                        char out[CMT__CHAIN_ID_SIZE],
                                        cmt_why *why);

#endif
