/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__RESOLVER_H
#define CMT__RESOLVER_H

/* Host names to addresses, on threads of our own.  Everything here belongs to
   the thread of the loop. */

#include "loop.h"

struct addrinfo;

typedef struct cmt__resolver cmt__resolver;
typedef struct cmt__lookup cmt__lookup;

/* A question, embedded in its owner, zeroed except for |cb| at first. */
typedef struct cmt__question {
  cmt__lookup *lookup; /* NULL: it was answered or cancelled. */
  struct cmt__question *next;
  /* |error| is 0 or one of getaddrinfo(); |list| is lent for the call. */
  void (*cb)(struct cmt__question *q, int error, const struct addrinfo *list);
} cmt__question;

enum {
  /* Lookups under way at one time, each on a thread: */
  CMT__LOOKUPS_FAST = 16, /* of names that are not known to be slow, */
  CMT__LOOKUPS_SLOW = 16, /* of names that are, when one more begins, */
  CMT__LOOKUPS_MAX = 64,  /* and of all. */
  CMT__SLOW_NAMES = 128,  /* How many slow names are remembered. */
};

/* NULL: no memory. */
cmt__resolver *cmt__resolver_new(cmt__loop *l);
/* Every question was answered or cancelled before.  Waits for no lookup: one
   that is still under way frees itself when the system returns.  NULL is
   fine. */
void cmt__resolver_close(cmt__resolver *r);

/* Asks for |host|, of at most 255 bytes.  CMT_OK: |q| is answered once, unless
   it is cancelled before; CMT_ENOMEM; CMT_EIO with an errno: no thread can be
   started. */
CMT_NODISCARD cmt_err cmt__resolver_ask(cmt__resolver *r, const char *host,
                                        cmt__question *q);
/* Cancels |q|. */
void cmt__resolver_leave(cmt__resolver *r, cmt__question *q);

#endif
