/* SPDX-License-Identifier: Apache-2.0 */

/* Dials as the application sees them.  A dial is its switch's from the first to
   the last; the handle means no more than that the switch must not free it, so
   whoever cancels it leaves the rest to the loop. */

#include "base/mark.h"
#include "base/sized.h"
#include "core/conn/net_addr.h"
#include "dial.h"

enum { FACTOR_NONE = 100, FACTOR_MAX = 1000 };

#define DELAY_MIN CMT_MILLISECONDS(1)
#define DELAY_MAX CMT_SECONDS(366 * 86400)
#define RETRY_DELAY CMT_SECONDS(5)
#define RETRY_DELAY_MAX CMT_SECONDS(3600)
#define RETRY_JITTER CMT_SECONDS(3)

/* ---- options ---- */

void cmt_dial_options_init_sized(cmt_dial_options *o, size_t size) {
  const cmt_dial_options full = {
    .retry_delay_ns = RETRY_DELAY,
    .retry_jitter_ns = RETRY_JITTER,
    .retry_factor_percent = FACTOR_NONE,
  };

  cmt__sized_write(o, size, &full, sizeof full);
}

static cmt_err refuse(cmt_why *why, cmt_err err) {
  return cmt__why_plain(why, err, CMT_STAGE_TRANSPORT);
}

static cmt_err delay_check(const char *name, uint64_t found, uint64_t least,
                           cmt_why *why) {
  if (found >= least && found <= DELAY_MAX) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "%s is %llu, allowed is %llu to %llu ns", name,
                  (unsigned long long)found, (unsigned long long)least,
                  (unsigned long long)DELAY_MAX);
}

static void options_default(cmt_dial_options *o) {
  if (o->retry_delay_ns == 0) {
    o->retry_delay_ns = RETRY_DELAY;
  }
  if (o->retry_delay_max_ns == 0) {
    o->retry_delay_max_ns = cmt__max64(RETRY_DELAY_MAX, o->retry_delay_ns);
  }
  if (o->retry_jitter_ns == 0) {
    o->retry_jitter_ns = RETRY_JITTER;
  }
  if (o->retry_factor_percent == 0) {
    o->retry_factor_percent = FACTOR_NONE;
  }
}

static cmt_err options_check(const cmt_dial_options *o, cmt_why *why) {
  cmt_err err =
    delay_check("retry_delay_ns", o->retry_delay_ns, DELAY_MIN, why);

  if (err == CMT_OK) {
    err = delay_check("retry_delay_max_ns", o->retry_delay_max_ns,
                      o->retry_delay_ns, why);
  }
  if (err == CMT_OK && o->retry_jitter_ns != CMT_NO_JITTER) {
    err = delay_check("retry_jitter_ns", o->retry_jitter_ns, DELAY_MIN, why);
  }
  if (err == CMT_OK && (o->retry_factor_percent < FACTOR_NONE ||
                        o->retry_factor_percent > FACTOR_MAX)) {
    err =
      cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
               "retry_factor_percent is %lu, allowed is %d to %d",
               (unsigned long)o->retry_factor_percent, FACTOR_NONE, FACTOR_MAX);
  }
  return err;
}

static cmt_err options_take(const cmt_dial_options *o, cmt_dial_options *out,
                            cmt_why *why) {
  cmt_err err = CMT_OK;

  cmt_dial_options_init(out);
  if (o != NULL) {
    err = cmt__sized_read(out, sizeof *out, o, "options", why);
  }
  if (err == CMT_OK &&
      (!cmt__is_bool(&out->persistent) || !cmt__is_bool(&out->unconditional) ||
       !cmt__is_bool(&out->feeler))) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                   "persistent, unconditional or feeler is neither true nor "
                   "false: use the init macro");
  }
  if (err == CMT_OK && out->feeler && (out->persistent || out->unconditional)) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                   "feeler is set together with persistent or unconditional");
  }
  if (err != CMT_OK) {
    return err;
  }
  options_default(out);
  return options_check(out, why);
}

/* ---- beginning ---- */

static const cmt_dial *intent_in(const cmt_dial *list, bool queued,
                                 const cmt_node_id *id) {
  for (const cmt_dial *d = list; d != NULL;
       d = queued ? d->begin_next : d->next) {
    if (d->options.persistent && !d->cancelled && d->state != CMT_DIAL_ENDED &&
        cmt_node_id_equal(&d->addr.id, id)) {
      return d;
    }
  }
  return NULL;
}

/* Under the lock. */
static cmt_err enqueue(cmt_switch *s, cmt_dial *d, cmt_why *why) {
  const cmt_dial *other = NULL;

  if (s->stopping) {
    return cmt__why(why, CMT_ECLOSED, CMT_STAGE_TRANSPORT,
                    "the switch is stopping");
  }
  if (d->options.persistent) {
    other = intent_in(s->requests, true, &d->addr.id);
    other = other != NULL ? other : intent_in(s->dials, false, &d->addr.id);
  }
  if (other != NULL) {
    return cmt__why(why, CMT_EDUPLICATE, CMT_STAGE_TRANSPORT,
                    "a persistent dial of the node exists: %.180s",
                    other->text);
  }
  if (s->requests == NULL) {
    s->requests = d;
  } else {
    s->requests_last->begin_next = d;
  }
  s->requests_last = d;
  d->queued = true;
  cmt__switch_wake(s);
  return CMT_OK;
}

static cmt_err network_check(cmt_switch *s, const char *name, cmt_why *why) {
  cmt__network *x;
  char quoted[64];

  if (name == NULL || strcmp(name, s->setup.network) == 0) {
    return CMT_OK;
  }
  x = cmt__networks_find(&s->networks, cmt_bytes_of(name));
  cmt__network_unref(&s->networks, x);
  return x != NULL
           ? CMT_OK
           : cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                      "network: the switch has none with the name %s",
                      cmt__quote(cmt_bytes_of(name), quoted, sizeof quoted));
}

static cmt_err dial_make(cmt_switch *s, const cmt_net_addr *at,
                         const cmt_dial_options *o, cmt_dial **out,
                         cmt_why *why) {
  cmt_dial_options full;
  cmt_err err = options_take(o, &full, why);

  if (err == CMT_OK) {
    err = network_check(s, full.network, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  err = cmt__dial_new(s, at, &full, out);
  return err == CMT_OK ? err : refuse(why, err);
}

cmt_err cmt_switch_dial_new(cmt_switch *s, const char *addr,
                            const cmt_dial_options *o, cmt_dial **out,
                            cmt_why *why) {
  cmt_net_addr at;
  cmt_err err;

  if (out != NULL) {
    *out = NULL;
  }
  if (s == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "the switch is NULL");
  }
  err = cmt_net_addr_parse(addr, 0, &at, why);
  return err == CMT_OK ? cmt__switch_dial_at(s, &at, o, out, why) : err;
}

cmt_err cmt__switch_dial_at(cmt_switch *s, const cmt_net_addr *at,
                            const cmt_dial_options *o, cmt_dial **out,
                            cmt_why *why) {
  cmt_dial *d;
  cmt_err err = dial_make(s, at, o, &d, why);

  if (err != CMT_OK) {
    return err;
  }
  d->owned = out != NULL;
  if (out != NULL) {
    *out = d; /* Before the loop can call on_outcome. */
  }
  cmt__lock(&s->lock);
  err = enqueue(s, d, why);
  cmt__unlock(&s->lock);
  if (err != CMT_OK) {
    cmt__dial_free(d);
    if (out != NULL) {
      *out = NULL;
    }
  }
  return err;
}

cmt_err cmt_switch_dial(cmt_switch *s, const char *addr, unsigned flags,
                        cmt_why *why) {
  const unsigned known = CMT_DIAL_PERSISTENT | CMT_DIAL_UNCONDITIONAL;
  cmt_dial_options o;

  if ((flags & ~known) != 0) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "flags are 0x%x, allowed are 0x%x", flags, known);
  }
  cmt_dial_options_init(&o);
  o.persistent = (flags & CMT_DIAL_PERSISTENT) != 0;
  o.unconditional = (flags & CMT_DIAL_UNCONDITIONAL) != 0;
  return cmt_switch_dial_new(s, addr, &o, NULL, why);
}

/* ---- its end ---- */

static void unqueue(cmt_dial *d) {
  cmt_switch *s = d->sw;
  cmt_dial *before = NULL;

  for (cmt_dial *o = s->requests; o != d; o = o->begin_next) {
    before = o;
  }
  if (before != NULL) {
    before->begin_next = d->begin_next;
  } else {
    s->requests = d->begin_next;
  }
  if (s->requests_last == d) {
    s->requests_last = before;
  }
}

void cmt_dial_cancel(cmt_dial *d) {
  cmt_switch *s;
  uint64_t number;
  bool queued, over;

  if (d == NULL) {
    return;
  }
  s = d->sw;
  number = d->number;
  cmt__lock(&s->lock);
  d->cancelled = true;
  queued = d->queued;
  over = s->over;
  if (queued) {
    unqueue(d);
  } else if (!over) {
    d->cancel_next = s->cancels;
    s->cancels = d;
    cmt__switch_wake(s);
    while (s->calling == d && !pthread_equal(s->caller, pthread_self())) {
      pthread_cond_wait(&s->called_cond, &s->lock);
    }
  }
  cmt__unlock(&s->lock);
  cmt__events_forget(&s->events, number);
  if (queued) {
    cmt__dial_free(d);
  } else if (over) {
    cmt__dial_drop(d);
  }
}

/* A dial in |list| of which nobody has a handle, and which has not ended. */
static cmt_dial *unowned_in(cmt_dial *list, bool queued,
                            const cmt_node_id *id) {
  cmt_dial *d = list;

  while (d != NULL && (d->owned || d->cancelled || d->state == CMT_DIAL_ENDED ||
                       !cmt_node_id_equal(&d->addr.id, id))) {
    d = queued ? d->begin_next : d->next;
  }
  return d;
}

/* From now on whoever cancels has the handle, so that the loop does not free
   the dial, and the application hears of it no more. */
static cmt_dial *dial_adopt(cmt_switch *s, const cmt_node_id *id) {
  cmt_dial *d;

  cmt__lock(&s->lock);
  d = unowned_in(s->requests, true, id);
  d = d != NULL ? d : unowned_in(s->dials, false, id);
  if (d != NULL) {
    CMT__MARK(dial_cancelled_by_id);
    d->owned = true;
    d->cancelled = true;
  }
  cmt__unlock(&s->lock);
  return d;
}

size_t cmt_switch_dial_cancel(cmt_switch *s, const cmt_node_id *id) {
  size_t count = 0;
  cmt_node_id small;
  cmt_dial *d;

  if (s == NULL || id == NULL ||
      !cmt__node_id_read(cmt_bytes_of(id->text), &small)) {
    return 0;
  }
  while ((d = dial_adopt(s, &small)) != NULL) {
    cmt_dial_cancel(d);
    count++;
  }
  return count;
}

/* ---- what they are at ---- */

/* Under the lock. */
static cmt_dial_status status_of(const cmt_dial *d) {
  cmt_dial_status st = {
    .state = d->state,
    .persistent = d->options.persistent,
    .unconditional = d->options.unconditional,
    .attempts = d->attempts,
    .failures = d->failures,
    .next_ns = d->next_ns,
    .last = d->last,
    .id = d->addr.id,
  };

  memcpy(st.addr, d->text, sizeof st.addr);
  return st;
}

void cmt_dial_get_status_sized(cmt_dial *d, cmt_dial_status *out, size_t size) {
  cmt_dial_status full;

  cmt__lock(&d->sw->lock);
  full = status_of(d);
  cmt__unlock(&d->sw->lock);
  cmt__sized_write(out, size, &full, sizeof full);
}

/* The elements of the caller may have another size than ours. */
typedef struct status_array {
  uint8_t *at;
  size_t left, size, count;
} status_array;

static void array_add(status_array *a, const cmt_dial *d) {
  cmt_dial_status full;

  if (d->cancelled) {
    return;
  }
  a->count++;
  if (a->left > 0) {
    full = status_of(d);
    cmt__sized_write(a->at, a->size, &full, sizeof full);
    a->at += a->size;
    a->left--;
  }
}

size_t cmt_switch_dials_sized(cmt_switch *s, cmt_dial_status *out, size_t cap,
                              size_t size) {
  status_array a = {(uint8_t *)out, out != NULL ? cap : 0, size, 0};

  cmt__lock(&s->lock);
  for (const cmt_dial *d = s->dials; d != NULL; d = d->next) {
    array_add(&a, d);
  }
  for (const cmt_dial *d = s->requests; d != NULL; d = d->begin_next) {
    array_add(&a, d);
  }
  cmt__unlock(&s->lock);
  return a.count;
}
