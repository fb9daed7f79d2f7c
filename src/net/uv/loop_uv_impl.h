/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LOOP_UV_IMPL_H
#define CMT__LOOP_UV_IMPL_H

/* What the files of the production loop share.  Each object begins with its
   base of loop.h, so that the two convert into each other by a cast. */

#include "net/loop.h"
#include "sys/spin.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <uv.h>

typedef struct cmt__loop_uv {
  cmt__loop base;
  uv_loop_t *uv; /* |own|, or the caller's. */
  uv_loop_t own;
  uv_prepare_t prepare; /* Begins each iteration. */
  uv_check_t check;     /* Ends it. */
  uv_idle_t idle;       /* Active while the loop must not block. */
  uv_timer_t timer;     /* Wakes the loop for the earliest timer, no more. */
  uint64_t timer_ns;    /* The instant that |timer| is set to. */
  uv_async_t async;     /* Wakes the loop for posts and for the stop. */
  uv_mutex_t mutex;     /* Over the FIFO of posts. */
  cmt__post *posts, *posts_last;
  atomic_uint posted;             /* How many were queued so far, */
  unsigned taken;                 /* and when they were last taken. */
  atomic_bool wakes;              /* The next post must wake the loop. */
  struct cmt__resolver *resolver; /* NULL before the first name. */
  struct cmt__costly_threads *costly_threads; /* NULL before the first call. */
  atomic_bool stop;
  uint64_t posted_ns; /* When posts came last; 0: long ago. */
  cmt__spin spin;
  bool running;
  uint8_t *read_buffer; /* CMT__READ_MAX bytes, shared by all tcps. */
  /* On the caller's loop, which cannot be run until nothing is left: */
  void (*inside)(bool is_inside);
  size_t handles;        /* Handles and requests that libuv has not released. */
  bool closing, deleted; /* |on_closed| reports the former, once. */
  void (*on_closed)(void *arg);
  void *on_closed_arg;
} cmt__loop_uv;

typedef union cmt__sockaddr {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
} cmt__sockaddr;

/* Around every callback of libuv that may call what is above; the former
   latches the present instant. */
void cmt__uv_enter(cmt__loop *l);
void cmt__uv_leave(cmt__loop *l);

/* libuv has |count| more handles or requests of ours, or has released one.  The
   loop may be freed by the latter. */
void cmt__uv_hold(cmt__loop *l, size_t count);
void cmt__uv_let_go(cmt__loop *l);

/* 0, or an errno: EINVAL when the host of |a| is no IP literal, ENODEV when its
   zone is no interface of this machine. */
int cmt__uv_sockaddr(const cmt_net_addr *a, cmt__sockaddr *out, socklen_t *len);
/* The canonical address; IPv4 inside IPv6 becomes IPv4.  A scope becomes a
   zone: the name of its interface, or else its number. */
void cmt__uv_net_addr(const struct sockaddr *sa, cmt_net_addr *out);

/* Makes a tcp of the connected or connecting socket |fd|; NULL: it was
   closed. */
cmt__tcp *cmt__uv_tcp_new(cmt__loop *l, int fd, const cmt__sockaddr *remote);

cmt_err cmt__uv_listen(cmt__loop *l, const cmt_net_addr *at, cmt__accept_cb cb,
                       void *arg, cmt__listener **out, cmt_why *why);
void cmt__uv_listener_addr(const cmt__listener *ls, cmt_net_addr *out);
uint64_t cmt__uv_listener_dropped(const cmt__listener *ls);
void cmt__uv_listener_close(cmt__listener *ls);

cmt_err cmt__uv_connect(cmt__loop *l, const cmt_net_addr *to,
                        const cmt__tcp_callbacks *cbs, void *arg,
                        cmt__tcp **out);
void cmt__uv_tcp_start(cmt__tcp *t, const cmt__tcp_callbacks *cbs, void *arg);
void cmt__uv_tcp_read(cmt__tcp *t, bool on);
cmt_err cmt__uv_tcp_write(cmt__tcp *t, const uint8_t *data, size_t len,
                          size_t *written);
void cmt__uv_tcp_shutdown(cmt__tcp *t);
void cmt__uv_tcp_remote(const cmt__tcp *t, cmt_net_addr *out);
void cmt__uv_tcp_close(cmt__tcp *t);
bool cmt__uv_tcp_info(const cmt__tcp *t, cmt__tcp_info *out);
void cmt__uv_tcp_unsent_max(cmt__tcp *t, size_t max);
size_t cmt__uv_tcp_unread(const cmt__tcp *t);
void cmt__uv_tcp_give_up(cmt__tcp *t, uint64_t after_ns);
void cmt__uv_tcp_congestion(cmt__tcp *t, const char *name);
void cmt__uv_tcp_detach(cmt__tcp *t);
cmt_err cmt__uv_tcp_attach(cmt__tcp *t, cmt__loop *l);

cmt_err cmt__uv_resolve(cmt__loop *l, const char *host, uint16_t port,
                        cmt__resolve_cb cb, void *arg, cmt__resolve **out);
void cmt__uv_resolve_cancel(cmt__resolve *r);

#endif
