/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PEX_MSG_H
#define CMT__PEX_MSG_H

/* Messages of peer exchange, channel 0x00.  docs/PROTOCOL.md 7.1 and 7.3. */

#include <cometp2p/buf.h>
#include <cometp2p/net_addr.h>

#include "book_impl.h"

enum {
  CMT__PEX_CHANNEL = 0x00,
  CMT__PEX_MESSAGE_MAX = 64000, /* Bytes that a receiver takes. */
  CMT__PEX_ADDRS_MAX = 250,     /* Entries that a list of ours has, and those of
                                   a peer's list that we look at. */
};

typedef enum cmt__pex_kind {
  CMT__PEX_MALFORMED, /* It does not decode: ends the connection. */
  CMT__PEX_BAD_ENTRY, /* An entry is no address: also bans the sender. */
  CMT__PEX_REQUEST,
  CMT__PEX_ADDRS,
} cmt__pex_kind;

/* The entries of a list that were not read yet. */
typedef struct cmt__pex_addrs {
  cmt_bytes rest;
  unsigned looked_at;
} cmt__pex_addrs;

/* Decodes |msg|, with all of its entries; |out| has them for CMT__PEX_ADDRS,
   and lives as long as |msg|.  |*fault| states what is wrong with one of the
   first two kinds. */
cmt__pex_kind cmt__pex_read(cmt_bytes msg, cmt__pex_addrs *out,
                            const char **fault);

/* The next entry with a valid id, in the form that a net address has.  False at
   the end, and behind CMT__PEX_ADDRS_MAX entries, valid or not. */
bool cmt__pex_next(cmt__pex_addrs *list, cmt_net_addr *out);

/* Whether |text| is an IP literal without a zone; |out| gets its canonical
   form. */
bool cmt__pex_ip(cmt_bytes text, cmt_net_addr *out);

/* A buffer with a request. */
cmt_buf *cmt__pex_new_request(const cmt_env *env);
/* A buffer with the list of |count| addresses; those without an id, and those
   behind CMT__PEX_ADDRS_MAX, are left out.  NULL: no memory. */
cmt_buf *cmt__pex_new_addrs(const cmt_env *env,
                            const cmt__book_addr *const *addrs, size_t count);

#endif
