/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__METRICS_IMPL_H
#define CMT__METRICS_IMPL_H

/* A set of metrics from the inside. */

#include "families.h"
#include "page.h"

#include <stdatomic.h>
#include <string.h>

/* A value; a series appears on the page with its first one. */
typedef struct cmt__value {
  _Atomic uint64_t value;
  atomic_bool seen;
} cmt__value;

struct cmt_metrics {
  cmt_env env;
  cmt_switch *sw;
  bool any_network, per_peer;
  char *name_space; /* "NAMESPACE_p2p_" */
  char *chain_id;
  size_t first[CMT__METRICS]; /* Where the values of a family begin. */
  cmt__value values[];
};

/* Prefix of the names of a family. */
static inline const char *cmt__metrics_prefix(const cmt_metrics *m,
                                              bool comets) {
  return comets ? m->name_space : "cometp2p_";
}

/* Whether both have their series in one family: CometBFT's names have a name
   space, ours have none. */
static inline bool cmt__metrics_share(const cmt_metrics *a,
                                      const cmt_metrics *b, bool comets) {
  return !comets || strcmp(a->name_space, b->name_space) == 0;
}

/* The families that a page asks the switches for, and those of the process. */
void cmt__metrics_page_switches(cmt__page *p, cmt_metrics *const *list,
                                size_t count);
void cmt__metrics_page_process(cmt__page *p);

#endif
