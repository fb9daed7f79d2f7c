/* SPDX-License-Identifier: Apache-2.0 */

/* Probes.  Each has a switch of its own, which takes any network and listens
   nowhere.  It dials once, and its filter copies the node info and refuses the
   peer, so nothing follows the handshake.  All callbacks are on the loop of
   that switch, and the first of them that has an answer reports it. */

#include "base/sized.h"
#include "core/conn/node_info.h"
#include "dial.h"
#include "reactor/delivery.h"
#include "sys/cond.h"

#include <cometp2p/probe.h>

#include <stdatomic.h>
#include <stdio.h>

#define TIMEOUT_DEFAULT CMT_SECONDS(10)
#define BLOCK_DEFAULT 11
#define NAME_DEFAULT "cometp2p"

/* A result and what it has its memory from. */
typedef struct result_box {
  cmt_probe_result result;
  cmt_env env;
  cmt_node_info *node_info; /* NULL: there is none. */
} result_box;

struct cmt_prober {
  cmt_env env;
  cmt_switch *sw;
  cmt_net_addr addr;
  uint64_t timeout_ns;
  cmt_timer timer;
  void (*on_done)(void *arg, cmt_probe_result *r);
  void *arg;
  atomic_bool deleted;
  result_box *box; /* NULL: the result was delivered. */
};

/* ---- results ---- */

static result_box *box_new(const cmt_env *env, const char *dialed) {
  result_box *b = cmt__alloc_zero(env, sizeof *b);

  if (b != NULL) {
    b->env = *env;
    b->result.size = sizeof b->result;
    snprintf(b->result.remote, sizeof b->result.remote, "%s", dialed);
  }
  return b;
}

void cmt_probe_result_delete(cmt_probe_result *r) {
  result_box *b = (result_box *)r;

  if (b != NULL) {
    cmt_env env = b->env;

    cmt__free(&env, b->node_info);
    cmt__free(&env, b);
  }
}

/* ---- on the loop ---- */

static void report(cmt_prober *p, const cmt_why *why) {
  result_box *b = p->box;

  if (b == NULL || atomic_load(&p->deleted)) {
    return;
  }
  p->box = NULL;
  if (b->node_info == NULL) {
    b->result.why = *why;
  }
  p->on_done(p->arg, &b->result);
}

/* Keeps what a filter is asked about; without memory nothing is kept. */
static cmt_verdict on_newcomer(void *arg, const cmt_newcomer *who,
                               const cmt_admission *request) {
  cmt_prober *p = arg;
  result_box *b = p->box;

  (void)request;
  if (b != NULL) {
    b->node_info = cmt__node_info_clone(&b->env, who->node_info);
  }
  if (b != NULL && b->node_info != NULL) {
    b->result.why = (cmt_why){.err = CMT_OK, .stage = CMT_STAGE_NODE_INFO};
    b->result.node_info = *b->node_info;
  }
  return CMT_REFUSE;
}

static void on_outcome(void *arg, cmt_dial *dial, const cmt_dial_outcome *o) {
  cmt_prober *p = arg;
  result_box *b = p->box;
  cmt_why why = o->why;

  (void)dial;
  if (b != NULL) {
    snprintf(b->result.remote, sizeof b->result.remote, "%s", o->remote);
    b->result.id = o->id != NULL ? *o->id : b->result.id;
  }
  if (why.err == CMT_EFILTER) {
    cmt__why_plain(&why, CMT_ENOMEM, CMT_STAGE_NODE_INFO);
  }
  report(p, &why);
}

static void on_timer(void *arg, cmt_err status) {
  cmt_prober *p = arg;
  cmt_why why;

  cmt__why(&why, CMT_ETIMEDOUT, CMT_STAGE_TRANSPORT,
           "no node info within %llu ms",
           (unsigned long long)(p->timeout_ns / CMT_MILLISECONDS(1)));
  if (status == CMT_OK) {
    report(p, &why);
  }
}

/* ---- beginning and end ---- */

void cmt_probe_options_init_sized(cmt_probe_options *o, size_t size) {
  const cmt_probe_options full = {.protocol_block = BLOCK_DEFAULT,
                                  .timeout_ns = TIMEOUT_DEFAULT};

  cmt__sized_write(o, size, &full, sizeof full);
}

static cmt_err options_take(const cmt_probe_options *given,
                            cmt_probe_options *out, cmt_why *why) {
  cmt_probe_options d = {.network = NAME_DEFAULT, .moniker = NAME_DEFAULT};
  cmt_err err = CMT_OK;

  cmt_probe_options_init(out);
  d.protocol_block = out->protocol_block;
  d.timeout_ns = out->timeout_ns;
  if (given != NULL) {
    err = cmt__sized_read(out, sizeof *out, given, "options", why);
  }
  cmt__or_default(out, &d, network);
  cmt__or_default(out, &d, moniker);
  cmt__or_default(out, &d, protocol_block);
  cmt__or_default(out, &d, timeout_ns);
  return err;
}

static cmt_err switch_begin(cmt_prober *p, const cmt_probe_options *o,
                            cmt_why *why) {
  cmt_switch_options so;
  cmt_dial_options d;
  cmt_err err;

  cmt_switch_options_init(&so);
  so.env = &p->env;
  so.key = o->key;
  so.network = o->network;
  so.moniker = o->moniker;
  so.protocol_block = o->protocol_block;
  so.wire = o->wire;
  so.any_network = true;
  so.inbound_peers_max = CMT_NO_PEERS;
  so.filter_peer = on_newcomer;
  so.filter_arg = p;
  err = cmt_switch_new(&so, &p->sw, why);
  if (err != CMT_OK) {
    return err;
  }
  cmt_dial_options_init(&d);
  d.on_outcome = on_outcome;
  d.arg = p;
  err = cmt__switch_dial_at(p->sw, &p->addr, &d, NULL, why);
  if (err == CMT_OK) {
    p->timer = (cmt_timer){.cb = on_timer, .arg = p};
    err = cmt_switch_timer(p->sw, &p->timer, p->timeout_ns);
  }
  return err == CMT_OK ? cmt_switch_start(p->sw, why) : err;
}

static cmt_err prober_begin(cmt_prober *p, const cmt_probe_options *o,
                            const char *addr, cmt_why *why) {
  char dialed[CMT_NET_ADDR_TEXT_SIZE] = "";
  cmt_err err = cmt_net_addr_parse(addr, CMT_ADDR_ID_OPTIONAL, &p->addr, why);

  if (err == CMT_OK) {
    err = cmt_net_addr_format(&p->addr, dialed, sizeof dialed);
  }
  if (err != CMT_OK) {
    return err;
  }
  p->box = box_new(&p->env, dialed);
  if (p->box == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  p->timeout_ns = o->timeout_ns;
  return switch_begin(p, o, why);
}

cmt_err cmt_prober_new(const cmt_probe_options *o, const char *addr,
                       cmt_prober **out, cmt_why *why,
                       void (*on_done)(void *arg, cmt_probe_result *r),
                       void *arg) {
  cmt_probe_options full;
  cmt_prober *p;
  cmt_env env;
  cmt_err err = cmt__out_clear(out, why);

  if (err == CMT_OK && on_done == NULL) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "on_done is NULL");
  }
  if (err == CMT_OK) {
    err = options_take(o, &full, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  err = cmt__env_copy(full.env, &env);
  if (err != CMT_OK) {
    return cmt__why_plain(why, err, CMT_STAGE_TRANSPORT);
  }
  p = cmt__alloc_zero(&env, sizeof *p);
  if (p == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  p->env = env;
  p->on_done = on_done;
  p->arg = arg;
  err = prober_begin(p, &full, addr, why);
  if (err != CMT_OK) {
    cmt_prober_delete(p);
    return err;
  }
  *out = p;
  return CMT_OK;
}

void cmt_prober_delete(cmt_prober *p) {
  cmt_env env;

  if (p == NULL) {
    return;
  }
  env = p->env;
  atomic_store(&p->deleted, true);
  CMT_REQUIRE(&env, cmt_switch_close(p->sw, 0) == CMT_OK,
              "cmt_prober_delete: on a thread where a reactor or on_done is "
              "called");
  cmt_probe_result_delete(p->box != NULL ? &p->box->result : NULL);
  cmt__free(&env, p);
}

/* ---- waiting ---- */

typedef struct waiter {
  pthread_mutex_t lock;
  pthread_cond_t done;
  cmt_probe_result *result;
} waiter;

static void waiter_on_done(void *arg, cmt_probe_result *r) {
  waiter *w = arg;

  cmt__lock(&w->lock);
  w->result = r;
  pthread_cond_broadcast(&w->done);
  cmt__unlock(&w->lock);
}

static bool waiter_init(waiter *w) {
  w->result = NULL;
  if (pthread_mutex_init(&w->lock, NULL) != 0) {
    return false;
  }
  if (!cmt__cond_init(&w->done)) {
    pthread_mutex_destroy(&w->lock);
    return false;
  }
  return true;
}

static void waiter_fini(waiter *w) {
  pthread_cond_destroy(&w->done);
  pthread_mutex_destroy(&w->lock);
}

static void waiter_wait(waiter *w) {
  cmt__lock(&w->lock);
  while (w->result == NULL) {
    pthread_cond_wait(&w->done, &w->lock);
  }
  cmt__unlock(&w->lock);
}

cmt_err cmt_probe(const cmt_probe_options *o, const char *addr,
                  cmt_probe_result **out, cmt_why *why) {
  cmt_prober *p;
  waiter w;
  cmt_err err = cmt__out_clear(out, why);

  if (err == CMT_OK && (cmt__thread_is_loop() || cmt__thread_is_worker())) {
    err = cmt__why_plain(why, CMT_EDEADLK, CMT_STAGE_TRANSPORT);
  }
  if (err == CMT_OK && !waiter_init(&w)) {
    err = cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  if (err != CMT_OK) {
    return err;
  }
  err = cmt_prober_new(o, addr, &p, why, waiter_on_done, &w);
  if (err == CMT_OK) {
    waiter_wait(&w);
    cmt_prober_delete(p);
    *out = w.result;
    err = w.result->why.err;
    if (why != NULL) {
      *why = w.result->why;
    }
  }
  waiter_fini(&w);
  return err;
}
