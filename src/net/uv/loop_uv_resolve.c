/* SPDX-License-Identifier: Apache-2.0 */

/* Names of the production loop.  What needs no lookup has its outcome at the
   end of the iteration; a name is asked of the resolver, which the loop gets
   with its first one. */

#include "loop_uv_impl.h"

#include <errno.h>
#include <netdb.h>

#include "core/conn/net_addr.h"

#include <cometp2p/node_info.h>

#include "net/resolver.h"

enum { NAME_MAX_LEN = 255 };

typedef struct resolve_uv {
  cmt__resolve base;
  cmt__question question;
  cmt__task outcome; /* For what needs no lookup. */
  cmt__resolve_cb cb;
  void *arg;
  uint16_t port;
  char literal[64]; /* Empty: it is an impossible name. */
} resolve_uv;

/* The addresses of an answer. */
typedef struct answer {
  size_t count;
  cmt_net_addr addrs[CMT__RESOLVE_MAX];
} answer;

static void add_address(answer *to, const struct sockaddr *sa, uint16_t port) {
  cmt_net_addr a;

  cmt__uv_net_addr(sa, &a);
  a.port = port;
  if (a.host[0] == '\0' || to->count == CMT__RESOLVE_MAX) {
    return;
  }
  for (size_t i = 0; i < to->count; i++) {
    if (strcmp(to->addrs[i].host, a.host) == 0) {
      return;
    }
  }
  to->addrs[to->count++] = a;
}

/* When there are more addresses than are reported, each has the same chance. */
static size_t draw_first(const cmt_env *env, const struct addrinfo *list) {
  size_t count = 0;
  uint64_t drawn;

  for (; list != NULL; list = list->ai_next) {
    count++;
  }
  if (count <= CMT__RESOLVE_MAX) {
    return 0;
  }
  env->entropy(env->entropy_arg, &drawn, sizeof drawn);
  return (size_t)(drawn % count);
}

static void add_addresses(answer *to, const cmt_env *env,
                          const struct addrinfo *list, uint16_t port) {
  size_t first = draw_first(env, list), i = 0;

  for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
    if (i++ >= first) {
      add_address(to, a->ai_addr, port);
    }
  }
  i = 0;
  for (const struct addrinfo *a = list; a != NULL && i++ < first;
       a = a->ai_next) {
    add_address(to, a->ai_addr, port);
  }
}

/* Reports the outcome after |r| is freed. */
static void finish(resolve_uv *r, cmt_err err, const answer *found) {
  cmt__resolve_cb cb = r->cb;
  void *arg = r->arg;

  cmt__free(&r->base.loop->env, r);
  cb(arg, err, found->addrs, found->count);
}

/* The number of an interface becomes its name, so that one address has one
   text; a connect reports a zone that is none. */
static void name_zone(cmt_net_addr *a) {
  cmt__sockaddr sa;
  socklen_t len;

  if (cmt__uv_sockaddr(a, &sa, &len) == 0) {
    cmt__uv_net_addr(&sa.any, a);
  }
}

static void on_outcome(cmt__task *task) {
  resolve_uv *r = (resolve_uv *)((char *)task - offsetof(resolve_uv, outcome));
  answer found = {.count = 0};

  r->base.loop->error = 0;
  if (r->literal[0] != '\0') {
    found.count = 1;
    found.addrs[0].port = r->port;
    memcpy(found.addrs[0].host, r->literal, sizeof r->literal);
    name_zone(&found.addrs[0]);
  }
  finish(r, found.count > 0 ? CMT_OK : CMT_ERESOLVE, &found);
}

static void on_answer(cmt__question *q, int error,
                      const struct addrinfo *list) {
  resolve_uv *r = (resolve_uv *)((char *)q - offsetof(resolve_uv, question));
  answer found = {.count = 0};

  r->base.loop->error = error;
  add_addresses(&found, &r->base.loop->env, list, r->port);
  finish(r,
         error == EAI_MEMORY ? CMT_ENOMEM
         : found.count == 0  ? CMT_ERESOLVE
                             : CMT_OK,
         &found);
}

static cmt_err ask(resolve_uv *r, const char *host) {
  cmt__loop_uv *l = (cmt__loop_uv *)r->base.loop;
  cmt_err err;

  if (l->resolver == NULL) {
    l->resolver = cmt__resolver_new(&l->base);
  }
  if (l->resolver == NULL) {
    return CMT_ENOMEM;
  }
  err = cmt__resolver_ask(l->resolver, host, &r->question);
  if (err != CMT_OK) {
    l->base.error = err == CMT_EIO ? errno : 0;
  }
  return err;
}

static cmt_err start(resolve_uv *r, const char *host) {
  bool is_literal =
    cmt__ip_canonical(cmt_bytes_of(host), r->literal, sizeof r->literal);

  if (!is_literal && strlen(host) <= NAME_MAX_LEN) {
    return ask(r, host);
  }
  cmt__loop_defer(r->base.loop, &r->outcome);
  return CMT_OK;
}

cmt_err cmt__uv_resolve(cmt__loop *l, const char *host, uint16_t port,
                        cmt__resolve_cb cb, void *arg, cmt__resolve **out) {
  resolve_uv *r = cmt__alloc_zero(&l->env, sizeof *r);
  cmt_err err;

  if (r == NULL) {
    return CMT_ENOMEM;
  }
  r->base.loop = l;
  r->question.cb = on_answer;
  r->outcome.cb = on_outcome;
  r->port = port;
  r->cb = cb;
  r->arg = arg;
  err = start(r, host);
  if (err != CMT_OK) {
    cmt__free(&l->env, r);
    return err;
  }
  *out = &r->base;
  return CMT_OK;
}

void cmt__uv_resolve_cancel(cmt__resolve *base) {
  resolve_uv *r = (resolve_uv *)base;

  if (r->question.lookup != NULL) {
    cmt__resolver_leave(((cmt__loop_uv *)base->loop)->resolver, &r->question);
  } else {
    cmt__loop_defer_cancel(base->loop, &r->outcome);
  }
  cmt__free(&base->loop->env, r);
}
