/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__RESOLVER_H
#define CMT__RESOLVER_H

/* Host names to addresses, on threads of our own.  Everything here belongs to
   the thread of the loop. */

#include "loop.h"

struct addrinfo;

typedef struct cmt__resolver cmt__resolver;
typedef struct cmt__lookup cmt__lookup;

/* A question, embedded in who asks it, zeroed but for |cb| at first. */
typedef struct cmt__question {
  cmt__lookup *lookup; /* NULL: it was answered, or left. */
  struct cmt__question *next;
  /* |error| is 0 or one of getaddrinfo(); |list| is lent for the call. */
  void (*cb)(struct cmt__question *q, int error, const struct addrinfo *list);
} cmt__question;

enum {
  /* Lookups under way at one time, each on a thread: */
  CMT__LOOKUPS_FAST = 16, /* of names that are not known to be slow, */
  CMT__LOOKUPS_SLOW = 16, /* of those that are, when one more begins, */
  CMT__LOOKUPS_MAX = 64,  /* and of all. */
  CMT__SLOW_NAMES = 128,  /* How many of these names are remembered. */
};

/* NULL: no memory. */
cmt__resolver *cmt__resolver_new(cmt__loop *l);
/* Every question was answered or left.  Waits for no lookup: what is still
   under way frees itself when the system returns it.  NULL is fine. */
void cmt__resolver_close(cmt__resolver *r);

/* Asks for |host|, of at most 255 bytes.  CMT_OK: |q| is answered once, unless
   it is left before; CMT_ENOMEM; CMT_EIO with an errno: no thread can be
   started. */
CMT_NODISCARD cmt_err cmt__resolver_ask(cmt__resolver *r, const char *host,
                                        cmt__question *q);
/* |q| is no longer of interest. */
void cmt__resolver_leave(cmt__resolver *r, cmt__question *q);

#endif
