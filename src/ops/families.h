/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__FAMILIES_H
#define CMT__FAMILIES_H

/* The families of metrics that count what is reported.  A family has a series
   for each value of its one or two labels, and a histogram one for each of its
   buckets besides.  What a page asks the switch for is in metrics_switch.c. */

#include <cometp2p/metrics.h>

/* Families that only the functions of metrics.h add to, behind the public
   ones. */
enum {
  CMT__METRIC_CONNECTIONS = CMT_METRICS,
  CMT__METRIC_HANDSHAKE_SECONDS,
  CMT__METRIC_MESSAGES_RECEIVED, /* Bytes by type, under CometBFT's name, */
  CMT__METRIC_MESSAGES_SENT,     /* and so here. */
  CMT__METRICS
};

typedef enum cmt__family_type {
  CMT__GAUGE,
  CMT__COUNTER,
  CMT__HISTOGRAM,
} cmt__family_type;

/* A label and the values that it can have. */
typedef struct cmt__label {
  const char *name;
  const char *const *values;
  unsigned count; /* 0: the family does not have it. */
} cmt__label;

typedef struct cmt__family {
  const char *name;
  const char *help;
  cmt__family_type type;
  bool comets;             /* The name follows "NAMESPACE_p2p_". */
  uint64_t unit;           /* A value is divided by it on the page. */
  cmt__label labels[2];    /* Their names are in order. */
  const uint64_t *buckets; /* Upper bounds of a histogram, rising. */
  unsigned bucket_count;
} cmt__family;

extern const cmt__family cmt__families[CMT__METRICS];

/* How many series |f| has, and how many values each has: those of a histogram
   are its buckets, +Inf and the sum. */
unsigned cmt__family_series(const cmt__family *f);
unsigned cmt__family_values(const cmt__family *f);

/* Outcomes of dials and accepts, values of a label. */
unsigned cmt__outcome_of(const cmt_why *why);
/* The value of the label for a message; its last one stands for all others. */
unsigned cmt__message_type(uint8_t channel, cmt_bytes msg);

#endif
