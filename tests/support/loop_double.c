/* SPDX-License-Identifier: Apache-2.0 */

/* The loop double: posts, names and virtual time. */

#include "loop_double_impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/conn/net_addr.h"

enum {
  STILL_MAX = 1000000
}; /* Iterations in one instant: it will never end. */

typedef struct resolve {
  cmt__resolve base;
  cmt__task outcome;
  cmt__resolve_cb cb;
  void *arg;
  cmt_err err;
  size_t count;
  cmt_net_addr addrs[CMT__RESOLVE_MAX];
} resolve;

void *test_more(void *items, size_t count, size_t item) {
  void *p = test_resize(items, count * item);

  memset((uint8_t *)p + (count - 1) * item, 0, item);
  return p;
}

static void add_ip(resolve *r, const char *ip, size_t len, uint16_t port) {
  cmt_net_addr a = {.port = port};

  if (cmt__ip_canonical((cmt_bytes){.base = (const uint8_t *)ip, .len = len},
                        a.host, sizeof a.host) &&
      r->count < CMT__RESOLVE_MAX) {
    r->addrs[r->count++] = a;
  }
}

static void add_ips(resolve *r, const char *ips, uint16_t port) {
  while (*ips != '\0') {
    size_t len = strcspn(ips, ",");

    add_ip(r, ips, len, port);
    ips += len + (ips[len] == ',');
  }
}

static void look_up(test_loop *l, resolve *r, const char *name, uint16_t port) {
  l->resolves++;
  for (size_t i = 0; i < l->host_count; i++) {
    if (strcmp(l->hosts[i].name, name) == 0) {
      add_ips(r, l->hosts[i].ips, port);
    }
  }
}

static void on_resolved(cmt__task *task) {
  resolve *r = (resolve *)((char *)task - offsetof(resolve, outcome));

  r->err =
    test_loop_fault(test_loop_of(r->base.loop), TEST_CALL_ON_RESOLVED, 0);
  if (r->err != CMT_OK) {
    r->count = 0;
  } else if (r->count == 0) {
    r->err = CMT_ERESOLVE;
  }
  r->cb(r->arg, r->err, r->addrs, r->count);
  cmt__free(&r->base.loop->env, r);
}

static cmt_err loop_resolve(cmt__loop *base, const char *name, uint16_t port,
                            cmt__resolve_cb cb, void *arg, cmt__resolve **out) {
  cmt_err err = test_loop_fault(test_loop_of(base), TEST_CALL_RESOLVE, 0);
  resolve *r;

  if (err != CMT_OK) {
    return err;
  }
  r = cmt__alloc_zero(&base->env, sizeof *r);
  if (r == NULL) {
    return CMT_ENOMEM;
  }
  r->base.loop = base;
  r->outcome.cb = on_resolved;
  r->cb = cb;
  r->arg = arg;
  if (test_is_literal(name)) {
    add_ip(r, name, strlen(name), port);
  } else {
    look_up(test_loop_of(base), r, name, port);
  }
  if (test_is_literal(name) || !test_loop_of(base)->names_wait) {
    cmt__loop_defer(base, &r->outcome);
  }
  *out = &r->base;
  return CMT_OK;
}

static void resolve_cancel(cmt__resolve *base) {
  cmt__loop_defer_cancel(base->loop, &((resolve *)base)->outcome);
  cmt__free(&base->loop->env, base);
}

static void loop_post(cmt__loop *base, cmt__post *p) {
  test_posts_add(&test_loop_own(base)->posts, p);
}

/* ---- threads beside the loop ---- */

static bool loop_costly(cmt__loop *base, cmt__costly *c, unsigned threads) {
  test_loop *l = test_loop_own(base);

  if (l->first->threads == 0) {
    return false;
  }
  assert_in_range(l->first->threads, 1, threads);
  c->next = NULL;
  *l->costly_last = c;
  l->costly_last = &c->next;
  return true;
}

static bool has_call(const test_loop *l) {
  return l->costly != NULL && !l->first->holds_calls;
}

static void call_run(test_loop *l) {
  cmt__costly *c = l->costly;

  if (!has_call(l)) {
    return;
  }
  l->costly = c->next;
  if (l->costly == NULL) {
    l->costly_last = &l->costly;
  }
  c->next = NULL;
  c->run(c);
  cmt__costly_return(c);
}

void test_loop_set_threads(test_loop *first, size_t count) {
  first->threads = count;
}

void test_loop_hold_calls(test_loop *first, bool on) {
  first->holds_calls = on;
}

size_t test_loop_calls_held(const test_loop *l) {
  size_t count = 0;

  for (const cmt__costly *c = l->costly; c != NULL; c = c->next) {
    count++;
  }
  return count;
}

static bool one_is_busy(test_loop *l) {
  return has_call(l) || test_posts_any(&l->posts) ||
         l->base.tasks.next != &l->base.tasks ||
         cmt__loop_next_timer(&l->base) <= l->base.now_ns ||
         test_net_is_ready(l);
}

static bool is_busy(test_loop *first) {
  for (test_loop *l = first; l != NULL; l = l->beside) {
    if (one_is_busy(l)) {
      return true;
    }
  }
  return false;
}

void test_loop_step_one(test_loop *l) {
  l->base.polled_ns = l->base.now_ns;
  call_run(l);
  test_posts_run(&l->posts);
  test_net_run(l);
  cmt__loop_run_timers(&l->base);
  (void)cmt__loop_run_tasks(&l->base);
  test_net_free_closed(l);
}

void test_loop_draw(test_loop *first, uint64_t seed) {
  first->drawn = seed | 1;
}

static unsigned draw(test_loop *first, unsigned below) {
  first->drawn = first->drawn * 6364136223846793005u + 1442695040888963406u;
  return (unsigned)(first->drawn >> 33) % below;
}

/* One iteration of a loop that is drawn; the others follow in a later step. */
static void step_drawn(test_loop *first) {
  unsigned count = 0, chosen;
  test_loop *l = first;

  for (test_loop *x = first; x != NULL; x = x->beside) {
    count++;
  }
  for (chosen = draw(first, count); chosen > 0; chosen--) {
    l = l->beside;
  }
  test_loop_step_one(l);
}

void test_loop_step(test_loop *first) {
  if (first->drawn != 0) {
    step_drawn(first);
    return;
  }
  for (test_loop *l = first; l != NULL; l = l->beside) {
    test_loop_step_one(l);
  }
}

static void jump(test_loop *first, uint64_t now_ns) {
  for (test_loop *l = first; l != NULL; l = l->beside) {
    cmt__loop_catch_up(&l->base, now_ns);
  }
}

void test_loop_pass(test_loop *l, uint64_t ns) {
  jump(l, cmt__after(l->base.now_ns, ns));
}

/* The earliest timer of all. */
static uint64_t next_timer(const test_loop *first) {
  uint64_t at_ns = CMT_NEVER;

  for (const test_loop *l = first; l != NULL; l = l->beside) {
    at_ns = cmt__min64(at_ns, cmt__loop_next_timer(&l->base));
  }
  return at_ns;
}

void test_loop_run_until_idle(test_loop *l) {
  for (size_t turns = 0; is_busy(l); turns++) {
    if (turns == STILL_MAX) {
      fail_msg("the loop does not come to rest");
    }
    test_loop_step(l);
  }
}

void test_loop_advance(test_loop *l, uint64_t ns) {
  uint64_t end_ns = cmt__after(l->base.now_ns, ns);

  test_loop_run_until_idle(l);
  while (next_timer(l) <= end_ns) {
    jump(l, next_timer(l));
    test_loop_run_until_idle(l);
  }
  jump(l, end_ns);
}

void test_loop_run_until(test_loop *l, bool (*done)(void *arg), void *arg,
                         uint64_t limit_ns) {
  uint64_t end_ns = cmt__after(l->base.now_ns, limit_ns);
  size_t turns = 0;

  while (!done(arg)) {
    uint64_t next_ns = next_timer(l);

    if (turns++ == STILL_MAX) {
      fail_msg("the loop does not come to rest");
    } else if (is_busy(l)) {
      test_loop_step(l);
    } else if (next_ns == CMT_NEVER) {
      fail_msg("nothing is left to do");
    } else if (next_ns > end_ns) {
      fail_msg("the limit passed");
    } else {
      turns = 0;
      jump(l, next_ns);
    }
  }
}

static bool take_stop(test_loop *l) {
  bool stop;

  pthread_mutex_lock(&l->posts.mutex);
  stop = l->stop;
  l->stop = false;
  pthread_mutex_unlock(&l->posts.mutex);
  return stop;
}

/* Ends also when nothing is left that could ever happen. */
static void loop_run(cmt__loop *base) {
  test_loop *l = test_loop_own(base);

  for (;;) {
    test_loop_step(l);
    if (take_stop(l)) {
      return;
    }
    if (!is_busy(l)) {
      if (cmt__loop_next_timer(base) == CMT_NEVER) {
        return;
      }
      jump(l, cmt__loop_next_timer(base));
    }
  }
}

static void loop_stop(cmt__loop *base) {
  test_loop *l = test_loop_own(base);

  pthread_mutex_lock(&l->posts.mutex);
  l->stop = true;
  pthread_mutex_unlock(&l->posts.mutex);
}

static void loop_rearm(cmt__loop *base) { (void)base; }

static void loop_delete(cmt__loop *base) {
  test_loop *l = test_loop_own(base);
  test_loop **at = &l->first->beside;

  test_net_free_closed(l);
  assert_null(l->costly);
  if (l == l->first) {
    assert_null(l->beside);
    test_net_fini(l);
  } else {
    while (*at != l) {
      at = &(*at)->beside;
    }
    *at = l->beside;
  }
  free(l->hosts);
  test_posts_fini(&l->posts);
  cmt__loop_fini(base);
  free(l);
}

test_loop *test_loop_new(const cmt_env *env) {
  test_loop *l = calloc(1, sizeof *l);

  assert_non_null(l);
  l->first = l;
  l->ops = (cmt__loop_ops){.run = loop_run,
                           .stop = loop_stop,
                           .post = loop_post,
                           .rearm = loop_rearm,
                           .costly = loop_costly,
                           .resolve = loop_resolve,
                           .resolve_cancel = resolve_cancel,
                           .delete = loop_delete};
  test_net_ops(&l->ops);
  assert_cmt(CMT_OK, cmt__loop_init(&l->base, &l->ops, env));
  test_posts_init(&l->posts);
  l->costly_last = &l->costly;
  l->base.now_ns = CMT_SECONDS(1000);
  l->defaults = (test_dir){.cap = SIZE_MAX, .read_max = CMT__READ_MAX};
  l->next_port = 40000;
  l->next_listen_port = 20000;
  test_loop_set_source(l, "127.0.0.1");
  return l;
}

test_loop *test_loop_new_beside(test_loop *first) {
  test_loop *l = test_loop_new(&first->base.env), **at = &first->beside;

  while (*at != NULL) {
    at = &(*at)->beside;
  }
  *at = l;
  l->first = first;
  cmt__loop_catch_up(&l->base, first->base.now_ns);
  return l;
}

cmt__loop *test_loop_base(test_loop *l) { return &l->base; }

void test_loop_set_host(test_loop *l, const char *name, const char *ips) {
  size_t i = 0;

  while (i < l->host_count && strcmp(l->hosts[i].name, name) != 0) {
    i++;
  }
  if (i == l->host_count) {
    l->hosts = test_more(l->hosts, ++l->host_count, sizeof *l->hosts);
    snprintf(l->hosts[i].name, sizeof l->hosts[i].name, "%s", name);
  }
  snprintf(l->hosts[i].ips, sizeof l->hosts[i].ips, "%s", ips ? ips : "");
}

size_t test_loop_calls(const test_loop *l, test_call call) {
  return l->calls[call];
}

void test_loop_fail(test_loop *l, test_call call, size_t at, cmt_err err) {
  l->fault.call = call;
  l->fault.at = at;
  l->fault.err = err;
}

void test_loop_on_fault(test_loop *l, void (*on_fault)(void *arg, int side),
                        void *arg) {
  l->fault.on_fault = on_fault;
  l->fault.arg = arg;
}

cmt_err test_loop_fault(test_loop *l, test_call call, int side) {
  const net_fault *f = &l->fault;

  if (l->calls[call]++ != f->at || call != f->call || f->err == CMT_OK) {
    return CMT_OK;
  }
  if (f->on_fault != NULL) {
    f->on_fault(f->arg, side);
  }
  return f->err;
}

size_t test_loop_resolves(const test_loop *l) { return l->resolves; }

void test_loop_names_wait(test_loop *l) { l->names_wait = true; }
