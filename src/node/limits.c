/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of a switch.  Sessions are counted from the accept or the dial to
   the last byte, so that one that only waits for the other side to read counts
   too. */

#include "limits.h"

#include "session.h"

#include <stdio.h>

static cmt_err rate_check(const char *name, uint64_t found, cmt_why *why) {
  if (found <= CMT_RATE_MAX) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "%s is %llu, allowed is 0 to %llu bytes per second", name,
                  (unsigned long long)found, (unsigned long long)CMT_RATE_MAX);
}

cmt_err cmt__limits_check(const cmt_switch_options *o, cmt_why *why) {
  cmt_err err = rate_check("send_rate_total", o->send_rate_total, why);

  if (err == CMT_OK) {
    err = rate_check("recv_rate_total", o->recv_rate_total, why);
  }
  if (err == CMT_OK && o->handshakes_max == 0) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                   "handshakes_max is 0: there would never be a peer");
  }
  if (err == CMT_OK && o->recv_bytes_total_max == 0) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                   "recv_bytes_total_max is 0: no message could be received");
  }
  return err;
}

static void budget_lock(void *arg) { cmt__lock(arg); }

static void budget_unlock(void *arg) { cmt__unlock(arg); }

void cmt__limits_start(cmt_switch *s) {
  const cmt_switch_options *o = &s->setup.options;
  uint64_t now_ns = cmt__loop_now(s->loop);

  cmt__budget_init(&s->budget, o->recv_bytes_total_max);
  s->budget.threads = o->loops;
  s->budget.lock = budget_lock;
  s->budget.unlock = budget_unlock;
  s->budget.lock_arg = &s->lock;
  cmt__budget_limit(&s->budget, o->send_rate_total, o->recv_rate_total, now_ns);
}

/* A limit that may be reached. */
typedef struct limit {
  const char *what, *host; /* |host| NULL: of all. */
  size_t found;
  uint64_t max;
  uint64_t *counter; /* Of the status. */
} limit;

static cmt_err limit_check(cmt_switch *s, const limit *l, cmt_why *why) {
  if (l->found < l->max) {
    return CMT_OK;
  }
  cmt__switch_count(s, l->counter);
  return cmt__why(why, CMT_ELIMIT, CMT_STAGE_FILTER,
                  "%s%s%.64s are at their limit of %llu", l->what,
                  l->host != NULL ? " from " : "",
                  l->host != NULL ? l->host : "", (unsigned long long)l->max);
}

/* The first of |list| that is reached. */
static cmt_err limits_check(cmt_switch *s, const limit *list, size_t count,
                            cmt_why *why) {
  cmt_err err = CMT_OK;

  for (size_t i = 0; i < count && err == CMT_OK; i++) {
    err = limit_check(s, &list[i], why);
  }
  return err;
}

static uint64_t or_none(uint32_t max) { return max != 0 ? max : UINT64_MAX; }

static cmt_err inbound_check(cmt_switch *s, const char *host, cmt_why *why) {
  const cmt_switch_options *o = &s->setup.options;
  size_t all, same_host;

  cmt__peer_set_inbound(&s->peers, host, &all, &same_host);
  return limits_check(
    s,
    (const limit[]){
      {"inbound peers", NULL, all, o->inbound_peers_max,
       &s->status.over_inbound_peers_max},
      {"inbound peers", host, same_host, or_none(o->inbound_peers_per_ip_max),
       &s->status.over_inbound_peers_per_ip_max},
    },
    2, why);
}

static cmt_err outbound_check(cmt_switch *s, cmt_why *why) {
  const cmt_switch_options *o = &s->setup.options;
  size_t all = cmt__peer_set_snapshot(&s->peers, NULL, 0);
  size_t inbound, same_host;

  cmt__peer_set_inbound(&s->peers, "", &inbound, &same_host);
  return limit_check(s,
                     &(limit){"outbound peers", NULL, all - inbound,
                              o->outbound_peers_max,
                              &s->status.over_outbound_peers_max},
                     why);
}

/* Inbound handshakes in flight with |host|. */
static size_t handshakes_from(const cmt_switch *s, const char *host) {
  size_t count = 0;

  for (const cmt__session *x = s->sessions; x != NULL; x = x->next) {
    count += x->pending && !x->outbound && strcmp(x->remote.host, host) == 0;
  }
  return count;
}

size_t cmt__limits_connections(const cmt_switch *s) {
  const cmt_switch_options *o = &s->setup.options;

  return (size_t)o->inbound_peers_max + o->outbound_peers_max +
         2 * (size_t)o->handshakes_max;
}

static cmt_err handshake_check(cmt_switch *s, const char *host, cmt_why *why) {
  const cmt_switch_options *o = &s->setup.options;
  uint64_t per_ip = or_none(host != NULL ? o->handshakes_per_ip_max : 0);

  return limits_check(
    s,
    (const limit[]){
      {"handshakes in flight", NULL, s->handshakes, o->handshakes_max,
       &s->status.over_handshakes_max},
      {"handshakes in flight", host,
       per_ip != UINT64_MAX ? handshakes_from(s, host) : 0, per_ip,
       &s->status.over_handshakes_per_ip_max},
      {"connections, with those that are closing,", NULL, s->session_count,
       cmt__limits_connections(s), &s->status.over_connections_max},
    },
    3, why);
}

cmt_err cmt__limits_accept(cmt_switch *s, const char *host, cmt_why *why) {
  cmt_err err = inbound_check(s, host, why);

  return err == CMT_OK ? handshake_check(s, host, why) : err;
}

cmt_err cmt__limits_dial(cmt_switch *s, cmt_why *why) {
  cmt_err err = outbound_check(s, why);

  return err == CMT_OK ? handshake_check(s, NULL, why) : err;
}

cmt_err cmt__limits_admit(cmt_switch *s, bool outbound, const char *host,
                          cmt_why *why) {
  return outbound ? outbound_check(s, why) : inbound_check(s, host, why);
}

/* ---- status ---- */

void cmt__limits_status(cmt_switch *s, cmt_switch_status *out) {
  const cmt__budget *b = &s->budget;

  out->recv_held_bytes = atomic_load_explicit(&b->held, memory_order_relaxed);
  out->send_waits = atomic_load_explicit(&b->send_waits, memory_order_relaxed);
  out->recv_pauses =
    atomic_load_explicit(&b->recv_pauses, memory_order_relaxed);
  out->send_queued_bytes = cmt__peer_set_queued(&s->peers);
}
