/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics that are reported.  Each value is an atomic counter of its own, so no
   thread ever waits, and a page may see one of two that belong together. */

#include "metrics_impl.h"

#include "base/sized.h"

#include <stdio.h>
#include <string.h>

/* ---- making ---- */

void cmt_metrics_options_init_sized(cmt_metrics_options *o, size_t size) {
  const cmt_metrics_options defaults = {.name_space = "cometbft"};

  cmt__sized_write(o, size, &defaults, sizeof defaults);
}

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static cmt_err options_check(const cmt_metrics_options *o, cmt_why *why) {
  bool good = o->name_space[0] == '\0' || is_letter(o->name_space[0]);
  char quoted[48];

  for (const char *c = o->name_space; *c != '\0'; c++) {
    good = good && (is_letter(*c) || (*c >= '0' && *c <= '9'));
  }
  if (!good) {
    return cmt__why(
      why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
      "name_space is '%s', allowed are letters, digits and '_', of which the "
      "first is no digit",
      cmt__quote(cmt_bytes_of(o->name_space), quoted, sizeof quoted));
  }
  if (o->chain_id == NULL || o->chain_id[0] == '\0') {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "chain_id is not set");
  }
  return CMT_OK;
}

static cmt_err options_read(const cmt_metrics_options *o,
                            cmt_metrics_options *full, cmt_why *why) {
  cmt_err err;

  cmt_metrics_options_init(full);
  err = cmt__sized_read(full, sizeof *full, o, "options", why);
  if (err == CMT_OK && full->name_space == NULL) {
    full->name_space = "cometbft";
  }
  return err == CMT_OK ? options_check(full, why) : err;
}

static size_t values_place(size_t first[CMT__METRICS]) {
  size_t count = 0;

  for (unsigned i = 0; i < CMT__METRICS; i++) {
    const cmt__family *f = &cmt__families[i];

    first[i] = count;
    count += (size_t)cmt__family_series(f) * cmt__family_values(f);
  }
  return count;
}

static char *text_join(const cmt_env *env, const char *a, const char *b) {
  size_t size = strlen(a) + strlen(b) + 1;
  char *text = cmt__alloc(env, size);

  if (text != NULL) {
    snprintf(text, size, "%s%s", a, b);
  }
  return text;
}

static cmt_err metrics_make(const cmt_metrics_options *o, const cmt_env *env,
                            cmt_metrics **out) {
  size_t first[CMT__METRICS];
  size_t count = values_place(first);
  cmt_metrics *m = cmt__alloc_zero(env, sizeof *m + count * sizeof(cmt__value));

  if (m == NULL) {
    return CMT_ENOMEM;
  }
  m->env = *env;
  m->sw = o->sw;
  m->any_network = o->any_network;
  m->per_peer = o->per_peer;
  memcpy(m->first, first, sizeof first);
  m->name_space =
    text_join(env, o->name_space, o->name_space[0] != '\0' ? "_p2p_" : "p2p_");
  m->chain_id = text_join(env, o->chain_id, "");
  if (m->name_space == NULL || m->chain_id == NULL) {
    cmt_metrics_delete(m);
    return CMT_ENOMEM;
  }
  *out = m;
  return CMT_OK;
}

cmt_err cmt_metrics_new(const cmt_metrics_options *o, cmt_metrics **out,
                        cmt_why *why) {
  cmt_metrics_options full;
  cmt_env env;
  cmt_err err = cmt__out_clear(out, why);

  if (err == CMT_OK) {
    err = options_read(o, &full, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  err = cmt__env_copy(full.env, &env);
  if (err == CMT_OK) {
    err = metrics_make(&full, &env, out);
  }
  return cmt__why_plain(why, err, CMT_STAGE_TRANSPORT);
}

void cmt_metrics_delete(cmt_metrics *m) {
  cmt_env env;

  if (m == NULL) {
    return;
  }
  env = m->env;
  cmt__free(&env, m->name_space);
  cmt__free(&env, m->chain_id);
  cmt__free(&env, m);
}

/* ---- what happens ---- */

/* The values of the series |at|; NULL: the family has none there. */
static cmt__value *series(cmt_metrics *m, unsigned metric, unsigned at) {
  const cmt__family *f = &cmt__families[metric];

  if (m == NULL || at >= cmt__family_series(f)) {
    return NULL;
  }
  return &m->values[m->first[metric] + (size_t)at * cmt__family_values(f)];
}

static void add(cmt__value *v, uint64_t value) {
  atomic_fetch_add_explicit(&v->value, value, memory_order_relaxed);
  atomic_store_explicit(&v->seen, true, memory_order_relaxed);
}

static void add_at(cmt_metrics *m, unsigned metric, unsigned at,
                   uint64_t value) {
  cmt__value *v = series(m, metric, at);

  if (v != NULL) {
    add(v, value);
  }
}

/* Counts a value of a histogram in its bucket alone; the page sums up. */
static void observe(cmt_metrics *m, unsigned metric, unsigned at,
                    uint64_t value) {
  const cmt__family *f = &cmt__families[metric];
  cmt__value *v = series(m, metric, at);
  unsigned bucket = 0;

  if (v == NULL) {
    return;
  }
  while (bucket < f->bucket_count && value > f->buckets[bucket]) {
    bucket++;
  }
  add(&v[bucket], 1);
  add(&v[f->bucket_count + 1], value);
}

static bool is_of_type(cmt_metric metric, cmt__family_type type) {
  return (unsigned)metric < CMT_METRICS && cmt__families[metric].type == type;
}

void cmt_metrics_add(cmt_metrics *m, cmt_metric metric, unsigned at,
                     uint64_t value) {
  if (is_of_type(metric, CMT__COUNTER)) {
    add_at(m, metric, at, value);
  }
}

void cmt_metrics_set(cmt_metrics *m, cmt_metric metric, unsigned at,
                     uint64_t value) {
  cmt__value *v = is_of_type(metric, CMT__GAUGE) ? series(m, metric, at) : NULL;

  if (v != NULL) {
    atomic_store_explicit(&v->value, value, memory_order_relaxed);
    atomic_store_explicit(&v->seen, true, memory_order_relaxed);
  }
}

void cmt_metrics_observe(cmt_metrics *m, cmt_metric metric, unsigned at,
                         uint64_t value) {
  if (is_of_type(metric, CMT__HISTOGRAM)) {
    observe(m, metric, at, value);
  }
}

static void connection(cmt_metrics *m, bool outbound, const cmt_why *why) {
  unsigned outcomes = cmt__families[CMT__METRIC_CONNECTIONS].labels[1].count;

  add_at(m, CMT__METRIC_CONNECTIONS,
         (outbound ? outcomes : 0) + cmt__outcome_of(why), 1);
}

void cmt_metrics_rejected(cmt_metrics *m, const cmt_rejection *r) {
  connection(m, r->outbound, &r->why);
}

void cmt_metrics_added(cmt_metrics *m, const cmt_peer *p) {
  const cmt_why why = {.err = CMT_OK, .stage = CMT_STAGE_UP};

  connection(m, cmt_peer_is_outbound(p), &why);
}

void cmt_metrics_dialed(cmt_metrics *m, const cmt_dial_outcome *o) {
  const uint64_t times[] = {o->connect_ns, o->secret_ns, o->info_ns};

  for (unsigned i = 0; i < CMT__COUNT(times); i++) {
    if (times[i] > 0) {
      observe(m, CMT__METRIC_HANDSHAKE_SECONDS, i, times[i]);
    }
  }
  if (o->why.err == CMT_OK && o->why.stage == CMT_STAGE_NODE_INFO) {
    connection(m, true, &o->why); /* It becomes no peer, which counts itself. */
  }
}

void cmt_metrics_message(cmt_metrics *m, uint8_t channel, cmt_bytes msg,
                         bool sent) {
  add_at(m, sent ? CMT__METRIC_MESSAGES_SENT : CMT__METRIC_MESSAGES_RECEIVED,
         cmt__message_type(channel, msg), msg.len);
}

/* ---- the page ---- */

/* The labels of the series |at|, besides the chain. */
static void pairs_of(const cmt__family *f, unsigned at, cmt__pair pairs[2]) {
  unsigned second = f->labels[1].count > 0 ? f->labels[1].count : 1;
  const unsigned values[2] = {at / second, at % second};

  for (unsigned i = 0; i < 2; i++) {
    const cmt__label *l = &f->labels[i];

    pairs[i] = l->count > 0 ? (cmt__pair){l->name, l->values[values[i]]}
                            : (cmt__pair){NULL, NULL};
  }
}

static uint64_t read_value(const cmt__value *v) {
  return atomic_load_explicit(&v->value, memory_order_relaxed);
}

/* |pairs| has room for the bound of a bucket at its end. */
static void page_histogram(cmt__page *p, const cmt__family *f,
                           const cmt__value *v, cmt__series s,
                           cmt__pair pairs[CMT__PAIRS_MAX]) {
  uint64_t count = 0, unit = s.unit;
  char bound[48];

  s.suffix = "_bucket";
  s.unit = 1;
  for (unsigned i = 0; i <= f->bucket_count; i++) {
    if (i < f->bucket_count) {
      cmt__page_number(bound, sizeof bound, f->buckets[i], unit);
    } else {
      snprintf(bound, sizeof bound, "+Inf");
    }
    count += read_value(&v[i]);
    pairs[CMT__PAIRS_MAX - 1] = (cmt__pair){"le", bound};
    cmt__page_series(p, &s, count);
  }
  pairs[CMT__PAIRS_MAX - 1].name = NULL;
  s.suffix = "_count";
  cmt__page_series(p, &s, count);
  s.suffix = "_sum";
  s.unit = unit;
  cmt__page_series(p, &s, read_value(&v[f->bucket_count + 1]));
}

static bool was_seen(const cmt__family *f, const cmt__value *v) {
  unsigned last =
    cmt__family_values(f) - 1; /* The sum, if it is a histogram. */

  return atomic_load_explicit(&v[last].seen, memory_order_relaxed);
}

/* The series of |m|; the first of all brings the lines of the family. */
static void page_series(cmt__page *p, cmt_metrics *m, unsigned metric,
                        bool *begun) {
  static const char *const types[] = {"gauge", "counter", "histogram"};
  const cmt__family *f = &cmt__families[metric];
  const char *prefix = cmt__metrics_prefix(m, f->comets);

  for (unsigned at = 0; at < cmt__family_series(f); at++) {
    const cmt__value *v = series(m, metric, at);
    cmt__pair pairs[CMT__PAIRS_MAX] = {{"chain_id", m->chain_id}};
    const cmt__series named = {.prefix = prefix,
                               .name = f->name,
                               .suffix = "",
                               .pairs = pairs,
                               .count = CMT__PAIRS_MAX,
                               .unit = f->unit};

    if (!was_seen(f, v)) {
      continue;
    }
    if (!*begun) {
      cmt__page_family(p, prefix, f->name, f->help, types[f->type]);
      *begun = true;
    }
    pairs_of(f, at, &pairs[1]);
    if (f->type == CMT__HISTOGRAM) {
      page_histogram(p, f, v, named, pairs);
    } else {
      cmt__page_series(p, &named, read_value(v));
    }
  }
}

static bool begins_family(cmt_metrics *const *list, size_t at, bool comets) {
  for (size_t i = 0; i < at; i++) {
    if (cmt__metrics_share(list[i], list[at], comets)) {
      return false;
    }
  }
  return true;
}

static void page_family(cmt__page *p, cmt_metrics *const *list, size_t count,
                        unsigned metric) {
  bool comets = cmt__families[metric].comets;

  for (size_t first = 0; first < count; first++) {
    bool begun = false;

    for (size_t i = first; begins_family(list, first, comets) && i < count;
         i++) {
      if (cmt__metrics_share(list[first], list[i], comets)) {
        page_series(p, list[i], metric, &begun);
      }
    }
  }
}

static cmt_err page_take(const cmt__page *p, cmt_buf **out) {
  *out = p->failed ? NULL : cmt_buf_new(p->env, p->len);
  if (*out == NULL) {
    return CMT_ENOMEM;
  }
  memcpy(cmt_buf_data(*out), p->text, p->len);
  return CMT_OK;
}

cmt_err cmt_metrics_page(cmt_metrics *const *list, size_t count,
                         cmt_buf **out) {
  cmt__page p = {.text = NULL};
  cmt_err err;

  if (out == NULL || list == NULL || count == 0) {
    return CMT_EINVAL;
  }
  for (size_t i = 0; i < count; i++) {
    if (list[i] == NULL) {
      return CMT_EINVAL;
    }
  }
  p.env = &list[0]->env;
  for (unsigned i = 0; i < CMT__METRICS; i++) {
    page_family(&p, list, count, i);
  }
  cmt__metrics_page_switches(&p, list, count);
  cmt__metrics_page_process(&p);
  err = page_take(&p, out);
  cmt__page_fini(&p);
  return err;
}
