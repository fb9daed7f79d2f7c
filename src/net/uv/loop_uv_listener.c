/* SPDX-License-Identifier: Apache-2.0 */

/* Listeners of the production loop.  libuv's own closes connections unseen when
   descriptors run out; this one accepts under a poll handle and keeps a
   descriptor in reserve, with which it accepts, closes and counts waiting
   connections.  Whatever accept4() returns, the listener goes on.  It pauses
   only where nothing can be accepted now and the poll would return at once: for
   lack of memory, or when every accept4() of an iteration failed. */

#include "loop_uv_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

enum { REST_MS = 100 };

typedef struct listener_uv {
  cmt__listener base;
  uv_poll_t poll;
  uv_timer_t rest;
  int fd, reserve; /* |reserve| is -1 while it could not be opened. */
  int handles;     /* Handles that libuv has not closed yet. */
  cmt__accept_cb cb;
  void *arg;
  _Atomic uint64_t dropped;
  bool closed;
} listener_uv;

static void on_poll(uv_poll_t *poll, int status, int events);

static void on_rested(uv_timer_t *timer) {
  listener_uv *ls = timer->data;

  uv_poll_start(&ls->poll, UV_READABLE, on_poll);
}

static void rest(listener_uv *ls) {
  uv_poll_stop(&ls->poll);
  uv_timer_start(&ls->rest, on_rested, REST_MS, 0);
}

static int open_reserve(void) {
  return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int accept_one(const listener_uv *ls, cmt__sockaddr *remote) {
  socklen_t len = sizeof *remote;
  int fd;

  do {
    fd = accept4(ls->fd, &remote->any, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

/* False when there is nothing more to drop now. */
static bool drop_one(listener_uv *ls) {
  cmt__sockaddr remote;
  int fd;

  if (ls->reserve < 0) {
    ls->reserve = open_reserve();
  }
  if (ls->reserve < 0) {
    rest(ls);
    return false;
  }
  close(ls->reserve);
  fd = accept_one(ls, &remote);
  if (fd >= 0) {
    ls->dropped++; /* Before the other side can see it. */
    close(fd);
  }
  ls->reserve = open_reserve();
  return fd >= 0;
}

/* False when nothing more can be accepted now. */
static bool find_one(listener_uv *ls) {
  switch (ls->base.on_short != NULL ? ls->base.on_short(ls->arg)
                                    : CMT__SHORT_NONE) {
  case CMT__SHORT_GIVEN:
    return true;
  case CMT__SHORT_WAIT:
    return false;
  case CMT__SHORT_NONE:
    break;
  }
  return drop_one(ls);
}

static void deliver(listener_uv *ls, int fd, const cmt__sockaddr *remote) {
  cmt__tcp *t = cmt__uv_tcp_new(ls->base.loop, fd, remote);

  if (t == NULL) {
    ls->dropped++;
  } else {
    ls->cb(ls->arg, t);
  }
}

/* True when accepting goes on in this iteration after accept4() returned
 * |error|.
 */
static bool survive(listener_uv *ls, int error) {
  switch (error) {
  case EAGAIN:
    return false;
  case EMFILE:
  case ENFILE:
    return find_one(ls);
  case ENOBUFS:
  case ENOMEM:
    rest(ls);
    return false;
  default: /* Errors of one connection, not of the listener. */
    return true;
  }
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  listener_uv *ls = poll->data;
  unsigned failed = 0, room = cmt__listener_room(&ls->base);

  (void)events;
  cmt__uv_enter(ls->base.loop);
  while (room > 0 && failed < CMT__ACCEPTS_MAX && !ls->closed) {
    cmt__sockaddr remote;
    int fd = accept_one(ls, &remote);

    if (fd >= 0) {
      deliver(ls, fd, &remote);
      room--;
    } else if (!survive(ls, errno)) {
      break;
    } else {
      failed++;
    }
  }
  /* libuv stops the handle when the status is an error. */
  if ((status < 0 || failed == CMT__ACCEPTS_MAX) && !ls->closed) {
    rest(ls);
  }
  cmt__uv_leave(ls->base.loop);
}

static cmt_err refuse(const cmt_net_addr *at, cmt_err err, const char *reason,
                      cmt_why *why) {
  cmt_net_addr shown = *at;
  char text[CMT_NET_ADDR_TEXT_SIZE];

  shown.id.text[0] = '\0';
  if (cmt_net_addr_format(&shown, text, sizeof text) != CMT_OK) {
    text[0] = '\0';
  }
  return cmt__why(why, err, CMT_STAGE_TRANSPORT, "cannot listen on %s: %s",
                  text, reason);
}

static cmt_err refuse_errno(const cmt_net_addr *at, int error, cmt_why *why) {
  char text[100];

  return refuse(at, CMT_EIO, cmt__loop_fault(CMT_EIO, error, text, sizeof text),
                why);
}

/* A socket that listens, or -1 with errno. */
static int open_socket(const cmt__sockaddr *at, socklen_t len) {
  int fd =
    socket(at->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int on = 1, off = 0, error;

  if (fd < 0) {
    return -1;
  }
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  /* The default is net.ipv6.bindv6only of the system. */
  if (at->any.sa_family == AF_INET6) {
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (bind(fd, &at->any, len) != 0 || listen(fd, SOMAXCONN) != 0) {
    error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

static bool is_every_address(const cmt__sockaddr *at) {
  return at->any.sa_family == AF_INET6 &&
         IN6_IS_ADDR_UNSPECIFIED(&at->in6.sin6_addr);
}

/* As open_socket().  Without IPv6 in the system all addresses are those of
   IPv4. */
static int open_listening(const cmt__sockaddr *at, socklen_t len) {
  int fd = open_socket(at, len);

  if (fd < 0 && is_every_address(at) &&
      (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
    cmt__sockaddr v4 = {.in = {.sin_family = AF_INET}};

    v4.in.sin_port = at->in6.sin6_port;
    fd = open_socket(&v4, sizeof v4.in);
  }
  return fd;
}

static listener_uv *listener_new(cmt__loop *l, int fd) {
  listener_uv *ls = cmt__alloc_zero(&l->env, sizeof *ls);
  uv_loop_t *uv = ((cmt__loop_uv *)l)->uv;

  if (ls == NULL) {
    return NULL;
  }
  if (uv_poll_init(uv, &ls->poll, fd) != 0) {
    cmt__free(&l->env, ls);
    return NULL;
  }
  uv_timer_init(uv, &ls->rest);
  ls->base.loop = l;
  ls->poll.data = ls;
  ls->rest.data = ls;
  ls->handles = 2;
  cmt__uv_hold(l, 2);
  ls->fd = fd;
  ls->reserve = open_reserve();
  return ls;
}

cmt_err cmt__uv_listen(cmt__loop *l, const cmt_net_addr *at, cmt__accept_cb cb,
                       void *arg, cmt__listener **out, cmt_why *why) {
  cmt__sockaddr local;
  socklen_t len;
  listener_uv *ls;
  int fd, error = cmt__uv_sockaddr(at, &local, &len);

  if (error == EINVAL) {
    return refuse(at, CMT_EINVAL, "the host is not an IP address", why);
  }
  fd = error == 0 ? open_listening(&local, len) : -1;
  if (fd < 0) {
    return refuse_errno(at, error != 0 ? error : errno, why);
  }
  ls = listener_new(l, fd);
  if (ls == NULL) {
    close(fd);
    return refuse(at, CMT_ENOMEM, cmt_err_text(CMT_ENOMEM), why);
  }
  ls->cb = cb;
  ls->arg = arg;
  uv_poll_start(&ls->poll, UV_READABLE, on_poll);
  *out = &ls->base;
  return CMT_OK;
}

void cmt__uv_listener_addr(const cmt__listener *base, cmt_net_addr *out) {
  const listener_uv *ls = (const listener_uv *)base;
  cmt__sockaddr local = {.any = {.sa_family = AF_UNSPEC}};
  socklen_t len = sizeof local;

  (void)getsockname(ls->fd, &local.any, &len);
  cmt__uv_net_addr(&local.any, out);
}

uint64_t cmt__uv_listener_dropped(const cmt__listener *base) {
  return ((const listener_uv *)base)->dropped;
}

static void on_closed(uv_handle_t *handle) {
  listener_uv *ls = handle->data;
  cmt__loop *l = ls->base.loop;

  if (--ls->handles == 0) {
    cmt__free(&l->env, ls);
  }
  cmt__uv_let_go(l);
}

void cmt__uv_listener_close(cmt__listener *base) {
  listener_uv *ls = (listener_uv *)base;

  CMT_ASSERT(&base->loop->env, !ls->closed);
  ls->closed = true;
  uv_close((uv_handle_t *)&ls->poll, on_closed);
  uv_close((uv_handle_t *)&ls->rest, on_closed);
  close(ls->fd);
  if (ls->reserve >= 0) {
    close(ls->reserve);
  }
}
