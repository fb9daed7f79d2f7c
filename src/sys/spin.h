/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SPIN_H
#define CMT__SPIN_H

/* To spin for some microseconds before a thread blocks: where two threads take
   turns on two processors, the wake-up of the one by the other takes longer
   than its turn.  Whoever waits spins only while that pays: when it spun in
   vain it blocks at once the next time, then the next three times, and so on.
   With a single processor it spins no second time.  A cmt__spin, zeroed at
   first, is what it has to remember. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
  CMT__SPIN_NS = 50000, /* As long as the wake-up of a thread may take. */
};

typedef struct cmt__spin {
  uint8_t skip;  /* How often to block at once from now on, */
  uint8_t skips; /* and how often since it last spun in vain. */
} cmt__spin;

/* Whether to spin this time. */
bool cmt__spin_is_due(cmt__spin *s);
/* |paid|: what it waited for came while it spun. */
void cmt__spin_note(cmt__spin *s, bool paid);
/* The end of a spin that begins now, after |max_ns| or CMT__SPIN_NS. */
uint64_t cmt__spin_end_ns(uint64_t max_ns);
/* Spins while |word| has |value|.  False: it still has it at |end_ns|. */
bool cmt__spin_while(const atomic_uint *word, unsigned value, uint64_t end_ns);

#endif
