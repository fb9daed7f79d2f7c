/* SPDX-License-Identifier: Apache-2.0 */

/* Names of the production loop.  A name goes to getaddrinfo() on
   a thread of libuv, which cannot be interrupted: a cancelled resolve loses
   its callback at once and its memory when libuv returns it. */

#include "loop_uv_impl.h"

#include <netdb.h>

#include "core/net_addr.h"

#include <cometp2p/node_info.h>

typedef struct resolve_uv {
  cmt__resolve base;
  uv_getaddrinfo_t req;
  cmt__turn outcome;  /* For what needs no getaddrinfo(). */
  cmt__resolve_cb cb; /* NULL: cancelled. */
  void *arg;
  cmt_err err;
  uint16_t port;
  size_t count;
  cmt_net_addr addrs[CMT__RESOLVE_MAX];
} resolve_uv;

static void add_address(resolve_uv *r, const struct sockaddr *sa) {
  cmt_net_addr a;

  cmt__uv_net_addr(sa, &a);
  a.port = r->port;
  if (a.host[0] == '\0' || r->count == CMT__RESOLVE_MAX) {
    return;
  }
  for (size_t i = 0; i < r->count; i++) {
    if (strcmp(r->addrs[i].host, a.host) == 0) {
      return;
    }
  }
  r->addrs[r->count++] = a;
}

static void finish(resolve_uv *r) {
  if (r->cb != NULL) {
    r->cb(r->arg, r->err, r->addrs, r->count);
  }
  cmt__free(&r->base.loop->env, r);
}

static void on_outcome(cmt__turn *turn) {
  finish((resolve_uv *)((char *)turn - offsetof(resolve_uv, outcome)));
}

static void on_getaddrinfo(uv_getaddrinfo_t *req, int status,
                           struct addrinfo *list) {
  resolve_uv *r = req->data;
  cmt__loop *l = r->base.loop;

  for (struct addrinfo *a = list; a != NULL; a = a->ai_next) {
    add_address(r, a->ai_addr);
  }
  uv_freeaddrinfo(list);
  r->err = status == UV_EAI_MEMORY || status == UV_ENOMEM ? CMT_ENOMEM
           : r->count == 0                                ? CMT_ERESOLVE
                                                          : CMT_OK;
  cmt__uv_enter(l);
  finish(r);
  cmt__uv_leave(l);
  cmt__uv_let_go(l);
}

static void start(resolve_uv *r, const char *host) {
  cmt__loop *l = r->base.loop;
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  cmt_net_addr literal = {.port = r->port};
  int error = UV_EAI_NONAME;

  if (cmt__ip_canonical(cmt_bytes_of(host), literal.host,
                        sizeof literal.host)) {
    r->addrs[r->count++] = literal; /* Its zone is looked at by a connect. */
    cmt__loop_turn(l, &r->outcome);
    return;
  }
  if (strlen(host) < sizeof literal.host) {
    error = uv_getaddrinfo(((cmt__loop_uv *)l)->uv, &r->req, on_getaddrinfo,
                           host, NULL, &hints);
  }
  if (error == 0) {
    cmt__uv_hold(l, 1);
  } else {
    r->err = error == UV_ENOMEM ? CMT_ENOMEM : CMT_ERESOLVE;
    cmt__loop_turn(l, &r->outcome);
  }
}

cmt_err cmt__uv_resolve(cmt__loop *l, const char *host, uint16_t port,
                        cmt__resolve_cb cb, void *arg, cmt__resolve **out) {
  resolve_uv *r = cmt__alloc_zero(&l->env, sizeof *r);

  if (r == NULL) {
    return CMT_ENOMEM;
  }
  r->base.loop = l;
  r->req.data = r;
  r->outcome.cb = on_outcome;
  r->port = port;
  r->cb = cb;
  r->arg = arg;
  start(r, host);
  *out = &r->base;
  return CMT_OK;
}

void cmt__uv_resolve_cancel(cmt__resolve *base) {
  resolve_uv *r = (resolve_uv *)base;

  r->cb = NULL;
  if (r->outcome.next != NULL) {
    cmt__loop_turn_cancel(base->loop, &r->outcome);
    cmt__free(&base->loop->env, r);
  } else {
    (void)uv_cancel((uv_req_t *)&r->req);
  }
}
