/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SIM_CRAWL_H
#define CMT_SIM_CRAWL_H

/* A seed alone among nodes that report mostly dead addresses, and what it
   serves: the decisions and the book of the library in virtual time, with a
   network that has round trips, refusals and silence. */

#include <stdint.h>

enum {
  CRAWL_LIVING = 150,
  CRAWL_ALL = 1200,         /* Addresses of the first minutes. */
  CRAWL_REPORTED = 1250,    /* With churn: 88 % of them are dead. */
  CRAWL_KNOWN = 3,          /* Living nodes that the seed begins with. */
  CRAWL_CHURN_PERCENT = 30, /* Living ones that die each hour. */
  /* What the seed must reach: nodes after 180 s, served addresses in a thousand
     that answer a minute later, and how long a dead one is served. */
  CRAWL_PROVEN_MIN = 140,
  CRAWL_LIVING_PERMILLE = 950,
  CRAWL_DEAD_MAX_S = 600,
};

typedef struct crawl_end {
  unsigned proven;          /* 180 s after an empty start. */
  unsigned living_permille; /* Served ones that live a minute later. */
  unsigned dead_s;          /* The longest that a dead one is served. */
  unsigned served;          /* On average in an answer. */
  unsigned dials_per_s;     /* The most in a second. */
} crawl_end;

/* 180 s after an empty start, without churn. */
void crawl_start(uint64_t seed, crawl_end *out);
/* An hour of churn, after twenty minutes of it. */
void crawl_churn(uint64_t seed, crawl_end *out);

#endif
