/* SPDX-License-Identifier: Apache-2.0 */

/* The simulated loops: which of them has the next iteration, and what time it
   is.  When a loop has something to do is kept until something of it changes,
   so that a step looks neither at every socket nor at every loop. */

#include "loop_sim_impl.h"

#include <stdarg.h>
#include <stdlib.h>

#define START_NS CMT_SECONDS(1000)
#define BUSY_MAX_NS CMT_MILLISECONDS(300)
#define STOPPED_MAX_NS CMT_SECONDS(8)
#define SLOW_RESOLVE_NS CMT_SECONDS(4)
#define CALL_MIN_NS UINT64_C(15000)

const char *sim_fault_name(sim_fault f) {
  static const char *const names[] = {
#define X(name, text) text,
    SIM_FAULT_MAP(X)
#undef X
  };

  return names[f];
}

bool sim_fault_now(sim_net *net, sim_fault f) {
  bool now = sim_chance(&net->rng, net->weather.odds[f]) && !net->off[f];

  net->fired[f] += now;
  return now;
}

void sim_fault_fired(sim_net *net, sim_fault f) { net->fired[f]++; }

void sim_loop_stale(sim_loop *l) {
  sim_net *net = l->net;

  if (!net->is_stale[l->place]) {
    net->is_stale[l->place] = true;
    net->stale[net->stale_count++] = (uint16_t)l->place;
  }
}

/* Each host has a /24 of its own; with SIM_WIDE also a /16, until all
   of 5.0.0.0 are used. */
void sim_host_ip(unsigned host, char out[16]) {
#ifdef SIM_WIDE
  snprintf(out, 16, "5.%u.%u.1", host % 256, host / 256 % 256);
#else
  snprintf(out, 16, "10.0.%u.1", host % 256);
#endif
}

/* ---- names ---- */

static void add_host(sim_resolve *r, unsigned host, uint16_t port) {
  cmt_net_addr *a = &r->addrs[r->count++];

  *a = (cmt_net_addr){.port = port};
  sim_host_ip(host, a->host);
}

/* "nK.sim" is host K; "twoK.sim" is an address that nobody has, then host K;
   no other name exists. */
static void look_up(sim_resolve *r, const char *name, uint16_t port) {
  char *end;
  bool two = strncmp(name, "two", 3) == 0;
  unsigned long host = strtoul(name + (two ? 3 : 1), &end, 10);

  if (test_is_literal(name)) {
    r->count = 1;
    r->addrs[0] = (cmt_net_addr){.port = port};
    snprintf(r->addrs[0].host, sizeof r->addrs[0].host, "%s", name);
  } else if (strcmp(end, ".sim") == 0 && host < SIM_HOSTS_MAX) {
    if (two) {
      add_host(r, 200, port);
    }
    add_host(r, (unsigned)host, port);
  }
}

static cmt_err loop_resolve(cmt__loop *base, const char *name, uint16_t port,
                            cmt__resolve_cb cb, void *arg, cmt__resolve **out) {
  sim_loop *l = sim_loop_of(base);
  sim_net *net = l->net;
  sim_resolve *r = cmt__alloc_zero(&base->env, sizeof *r);

  if (r == NULL) {
    return CMT_ENOMEM;
  }
  r->base.loop = base;
  r->cb = cb;
  r->arg = arg;
  r->due_ns = net->now_ns + sim_below(&net->rng, CMT_MILLISECONDS(1));
  if (!test_is_literal(name) && sim_fault_now(net, SIM_SLOW_RESOLVE)) {
    r->due_ns += sim_below(&net->rng, SLOW_RESOLVE_NS);
  }
  if (test_is_literal(name) || !sim_fault_now(net, SIM_RESOLVE_FAILS)) {
    look_up(r, name, port);
  }
  r->next = l->resolves;
  l->resolves = r;
  l->started++;
  sim_loop_stale(l);
  *out = &r->base;
  return CMT_OK;
}

static void resolve_cancel(cmt__resolve *base) {
  sim_loop *l = sim_loop_of(base->loop);
  sim_resolve **at = &l->resolves;

  while (&(*at)->base != base) {
    at = &(*at)->next;
  }
  *at = (*at)->next;
  cmt__free(&l->base.env, base);
}

static void resolves_run(sim_loop *l) {
  sim_resolve **at = &l->resolves;

  while (*at != NULL) {
    sim_resolve *r = *at;

    if (r->due_ns > l->net->now_ns) {
      at = &r->next;
      continue;
    }
    *at = r->next;
    r->cb(r->arg, r->count > 0 ? CMT_OK : CMT_ERESOLVE, r->addrs, r->count);
    cmt__free(&l->base.env, r);
    at = &l->resolves; /* The call may have changed the list. */
  }
}

/* ---- posts ---- */

static void loop_post(cmt__loop *base, cmt__post *p) {
  sim_loop *l = sim_loop_of(base);

  test_posts_add(&l->posts, p);
  sim_loop_stale(l);
}

/* ---- threads beside the loop ---- */

static bool loop_costly(cmt__loop *base, cmt__costly *c, unsigned threads) {
  sim_loop *l = sim_loop_of(base);
  sim_call *call = test_resize(NULL, sizeof *call);

  (void)threads;
  *call = (sim_call){
    .costly = c,
    .due_ns =
      l->net->now_ns + sim_spread(&l->net->rng, CALL_MIN_NS, SIM_THREAD_MAX_NS),
    .next = l->calls,
  };
  l->calls = call;
  sim_loop_stale(l);
  return true;
}

/* Ends the calls of its threads that are due. */
static void calls_run(sim_loop *l) {
  sim_call **at = &l->calls;

  while (*at != NULL) {
    sim_call *call = *at;

    if (call->due_ns > l->net->now_ns) {
      at = &call->next;
      continue;
    }
    *at = call->next;
    call->costly->run(call->costly);
    cmt__costly_return(call->costly);
    free(call);
  }
}

void sim_loop_computes(cmt__loop *l, uint64_t max_ns) {
  sim_loop_of(l)->call_max_ns = max_ns;
}

/* ---- iterations ---- */

/* When |l| has something to do, on the clock of the network. */
static uint64_t find_ready(sim_loop *l) {
  uint64_t timer_ns = cmt__loop_next_timer(&l->base);
  uint64_t ready_ns = CMT_NEVER;

  if (test_posts_any(&l->posts) || l->base.tasks.next != &l->base.tasks) {
    return 0;
  }
  if (timer_ns != CMT_NEVER) {
    ready_ns = timer_ns > l->offset_ns ? timer_ns - l->offset_ns : 0;
  }
  for (const sim_resolve *r = l->resolves; r != NULL; r = r->next) {
    ready_ns = cmt__min64(ready_ns, r->due_ns);
  }
  for (const sim_call *c = l->calls; c != NULL; c = c->next) {
    ready_ns = cmt__min64(ready_ns, c->due_ns);
  }
  return cmt__min64(ready_ns, sim_ends_ready_ns(l));
}

static void ready_set(sim_net *net, size_t place, uint64_t at_ns) {
  size_t at = SIM_PLACES + place;

  net->ready_ns[at] = at_ns;
  while (at > 1) {
    at /= 2;
    net->ready_ns[at] =
      cmt__min64(net->ready_ns[2 * at], net->ready_ns[2 * at + 1]);
  }
}

/* Finds anew when stale loops have something to do. */
static void ready_refresh(sim_net *net) {
  for (size_t i = 0; i < net->stale_count; i++) {
    size_t place = net->stale[i];
    sim_loop *l = net->loops[place];

    net->is_stale[place] = false;
    ready_set(net, place,
              l != NULL ? sim_later(find_ready(l), l->busy_ns) : CMT_NEVER);
  }
  net->stale_count = 0;
}

/* The places of the loops that have something to do now, in their order. */
static size_t ready_collect(sim_net *net) {
  size_t count = 0, at = 1;

  while (at != 0) {
    if (net->ready_ns[at] <= net->now_ns) {
      if (at < SIM_PLACES) {
        at *= 2;
        continue;
      }
      net->ready[count++] = (uint16_t)(at - SIM_PLACES);
    }
    while (at % 2 == 1) {
      at /= 2;
    }
    at += at > 0;
  }
  return count;
}

void sim_loop_busy(sim_loop *l, uint64_t busy_ns, const char *how) {
  uint64_t end_ns = l->net->now_ns + busy_ns;
  uint64_t from_ns = sim_later(l->busy_ns, l->net->now_ns);

  if (end_ns <= from_ns) {
    return;
  }
  l->busy_total_ns += end_ns - from_ns;
  l->busy_ns = end_ns;
  sim_loop_stale(l);
  sim_trace(l->net, "n%u is %s for %llu us", l->host, how,
            (unsigned long long)busy_ns / 1000);
}

/* The process of the node is stopped; the kernel below it is not. */
static void stop_all(sim_loop *l) {
  sim_loop **of_host = sim_loops_of(l->net, l->host);
  uint64_t busy_ns =
    sim_spread(&l->net->rng, CMT_MILLISECONDS(300), STOPPED_MAX_NS);

  for (size_t i = 0; i < SIM_LOOPS_MAX; i++) {
    if (of_host[i] != NULL) {
      sim_loop_busy(of_host[i], busy_ns, "stopped");
    }
  }
}

/* Posts and sockets come in any order, timers after what had come when they
   were due, and tasks last. */
static void task(sim_loop *l) {
  unsigned first = (unsigned)sim_below(&l->net->rng, 2);
  bool computes;

  l->net->running = l;
  l->base.now_ns = l->net->now_ns + l->offset_ns;
  l->base.polled_ns = l->base.now_ns;
  calls_run(l);
  for (unsigned i = 0; i < 2; i++) {
    if ((first + i) % 2 == 0) {
      test_posts_run(&l->posts);
    } else {
      sim_ends_run(l);
      resolves_run(l);
    }
  }
  cmt__loop_run_timers(&l->base);
  computes = l->base.costly.next != &l->base.costly;
  (void)cmt__loop_run_tasks(&l->base);
  sim_ends_free_closed(l);
  sim_loop_stale(l);
  l->net->running = NULL;
  if (computes && l->call_max_ns > 0) {
    sim_loop_busy(l, sim_spread(&l->net->rng, CALL_MIN_NS, l->call_max_ns),
                  "computing");
  }
  if (sim_fault_now(l->net, SIM_BUSY)) {
    sim_loop_busy(l, sim_spread(&l->net->rng, 1000, BUSY_MAX_NS), "busy");
  }
  if (sim_fault_now(l->net, SIM_STOPPED)) {
    stop_all(l);
  }
}

bool sim_net_step(sim_net *net, uint64_t until_ns) {
  uint64_t next_ns;
  size_t count;

  sim_net_arrive(net);
  ready_refresh(net);
  count = ready_collect(net);
  if (count > 0) {
    task(net->loops[net->ready[sim_below(&net->rng, count)]]);
    return true;
  }
  next_ns = cmt__min64(sim_net_next_arrival(net), net->ready_ns[1]);
  if (next_ns <= until_ns) {
    net->now_ns = next_ns;
    return true;
  }
  net->now_ns = until_ns > net->now_ns ? until_ns : net->now_ns;
  return false;
}

/* ---- loops ---- */

static void loop_rearm(cmt__loop *base) { sim_loop_stale(sim_loop_of(base)); }

/* Whoever has the network runs all loops. */
static void loop_run(cmt__loop *base) {
  cmt__panic(&base->env, __FILE__, __LINE__, "sim_net_step() runs it");
}

static void loop_stop(cmt__loop *base) { (void)base; }

const char *sim_loop_left(cmt__loop *base) {
  sim_loop *l = sim_loop_of(base);

  sim_ends_free_closed(l);
  return l->ends != NULL                    ? "a socket is open"
         : l->listeners != NULL             ? "a listener is open"
         : l->resolves != NULL              ? "a resolve is under way"
         : l->calls != NULL                 ? "a thread has a call"
         : base->heap_count > 0             ? "a timer is set"
         : base->reserved > 0               ? "room for timers is reserved"
         : test_posts_any(&l->posts)        ? "a post is queued"
         : base->tasks.next != &base->tasks ? "a task is due"
                                            : NULL;
}

static void loop_delete(cmt__loop *base) {
  sim_loop *l = sim_loop_of(base);

  sim_ends_free_closed(l);
  CMT_ASSERT(&base->env, sim_loop_left(base) == NULL);
  l->net->loops[l->place] = NULL;
  sim_loop_stale(l);
  test_posts_fini(&l->posts);
  cmt__loop_fini(base);
  free(l);
}

cmt__loop *sim_loop_new(sim_net *net, unsigned host, const cmt_env *env) {
  static cmt__loop_ops ops = {.run = loop_run,
                              .stop = loop_stop,
                              .post = loop_post,
                              .rearm = loop_rearm,
                              .costly = loop_costly,
                              .resolve = loop_resolve,
                              .resolve_cancel = resolve_cancel,
                              .delete = loop_delete};
  sim_loop *l = test_resize(NULL, sizeof *l);
  sim_loop **of_host = sim_loops_of(net, host);
  size_t index = 0;

  while (index < SIM_LOOPS_MAX && of_host[index] != NULL) {
    index++;
  }
  CMT_ASSERT(env, host < SIM_HOSTS_MAX && index < SIM_LOOPS_MAX);
  sim_net_ops(&ops);
  memset(l, 0, sizeof *l);
  CMT_ASSERT(env, cmt__loop_init(&l->base, &ops, env) == CMT_OK);
  l->net = net;
  l->host = host;
  l->place = (size_t)(&of_host[index] - net->loops);
  if (index == 0) {
    net->offset_ns[host] = sim_below(&net->rng, CMT_SECONDS(100000));
  }
  l->offset_ns = net->offset_ns[host];
  l->base.now_ns = net->now_ns + l->offset_ns;
  test_posts_init(&l->posts);
  of_host[index] = l;
  sim_loop_stale(l);
  return &l->base;
}

uint64_t sim_loop_accepts(const cmt__loop *l) {
  return sim_loop_of(l)->accepts;
}

uint64_t sim_loop_resolves(const cmt__loop *l) {
  return sim_loop_of(l)->started;
}

uint64_t sim_loop_busy_until(const cmt__loop *l) {
  return sim_loop_of(l)->busy_ns;
}

uint64_t sim_loop_busy_ns(const cmt__loop *base) {
  const sim_loop *l = sim_loop_of(base);

  return l->busy_total_ns - cmt__since(l->busy_ns, l->net->now_ns);
}

/* ---- the network as a whole ---- */

sim_net *sim_net_new(uint64_t seed) {
  sim_net *net = test_resize(NULL, sizeof *net);

  memset(net, 0, sizeof *net);
  net->rng = sim_rng_of(seed, 1);
  net->now_ns = START_NS;
  net->next_port = 40000;
  for (size_t i = 0; i < CMT__COUNT(net->ready_ns); i++) {
    net->ready_ns[i] = CMT_NEVER;
  }
  return net;
}

void sim_net_delete(sim_net *net) {
  for (size_t i = 0; i < SIM_LOOPS_ALL; i++) {
    CMT_ASSERT(NULL, net->loops[i] == NULL);
  }
  sim_wires_free(net);
  free(net);
}

void sim_net_without(sim_net *net, const bool off[SIM_FAULTS]) {
  memcpy(net->off, off, sizeof net->off);
}

void sim_net_weather(sim_net *net, const sim_weather *w) { net->weather = *w; }

uint64_t sim_net_now(const sim_net *net) { return net->now_ns; }

const uint64_t *sim_net_fired(const sim_net *net) { return net->fired; }

sim_moves sim_net_moves(const sim_net *net) { return net->moves; }

const cmt__loop *sim_net_running(const sim_net *net) {
  return net->running != NULL ? &net->running->base : NULL;
}

void sim_net_other_thread(sim_net *net, void (*run)(void *arg), void *arg) {
  net->other_thread = run;
  net->other_arg = arg;
}

void sim_net_on_write(sim_net *net,
                      void (*wrote)(sim_conn *c, int side, size_t len)) {
  net->wrote = wrote;
}

bool sim_net_other_runs(const sim_net *net) { return net->inside; }

void sim_net_trace(sim_net *net, bool on) { net->traced = on; }

void sim_trace(sim_net *net, const char *fmt, ...) {
  uint64_t us = (net->now_ns - START_NS) / 1000;
  va_list args;

  if (!net->traced) {
    return;
  }
  printf("%4llu.%06llu  ", (unsigned long long)us / 1000000,
         (unsigned long long)us % 1000000);
  va_start(args, fmt);
  vprintf(fmt, args);
  va_end(args);
  printf("\n");
}

void sim_note(sim_net *net, uint64_t value) {
  net->digest = sim_mix(net->digest ^ sim_mix(value ^ net->now_ns));
}

uint64_t sim_net_digest(const sim_net *net) { return net->digest; }
