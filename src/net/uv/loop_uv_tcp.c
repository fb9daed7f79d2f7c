/* SPDX-License-Identifier: Apache-2.0 */

/* Connections of the production loop: our own non-blocking sockets under poll
   handles, so that every system call is one that we chose.

   |armed| is what the poll handle waits for, wanted() what we need.  They may
   differ in one direction only: what is armed without need stays so until it
   fires once, because arming costs system calls and a flood needs the same
   again at once.  A callback may close its own tcp: the memory stays until
   libuv has released the handle, and |closed| is checked after each call. */

#include "loop_uv.h"
#include "loop_uv_impl.h"

#include "sys/tcp_kernel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { KEEPALIVE_S = 15 };

typedef struct tcp_uv {
  cmt__tcp base;
  int fd;
  int armed; /* Events that |poll| waits for. */
  bool connecting, reading, ended, closed;
  bool want_write; /* A write was short: on_writable is owed. */
  bool room; /* This iteration's poll saw room, and no write used it up. */
  cmt_err write_err; /* Why the first write that failed did, */
  int write_error;   /* and its errno. */
  const cmt__tcp_callbacks *cbs;
  void *arg;
  cmt__task outcome; /* Reports the outcome of a connect() that did not need to
                        wait, */
  int connect_error; /* whose errno this is. */
  cmt__sockaddr remote;
  uv_poll_t poll;
} tcp_uv;

static tcp_uv *tcp_of(cmt__tcp *t) { return (tcp_uv *)t; }

/* The error of a connection for an errno. */
static cmt_err err_of_errno(int error) {
  switch (error) {
  case 0:
    return CMT_OK;
  case ECONNREFUSED:
    return CMT_EREFUSED;
  case EHOSTUNREACH:
  case ENETUNREACH:
  case EADDRNOTAVAIL:
  case ETIMEDOUT:
    return CMT_EUNREACH;
  case ECONNRESET:
  case EPIPE:
    return CMT_ERESET;
  default:
    return CMT_EIO;
  }
}

size_t cmt__loop_uv_tcp_bytes(void) { return sizeof(tcp_uv); }

static int wanted(const tcp_uv *t) {
  bool write = t->connecting || t->want_write;

  return (t->reading ? UV_READABLE : 0) | (write ? UV_WRITABLE : 0);
}

static void on_poll(uv_poll_t *poll, int status, int events);

/* Makes |armed| exactly what is wanted. */
static void arm_exactly(tcp_uv *t) {
  int events = wanted(t);
  int error = events == 0 ? uv_poll_stop(&t->poll)
                          : uv_poll_start(&t->poll, events, on_poll);

  CMT_ASSERT(&t->base.loop->env, error == 0);
  t->armed = events;
}

static void arm(tcp_uv *t) {
  if ((wanted(t) & ~t->armed) != 0) {
    arm_exactly(t);
  }
}

static void set_options(int fd) {
  static const struct {
    int level, name, value;
  } options[] = {
    {IPPROTO_TCP, TCP_NODELAY, 1},
    {SOL_SOCKET, SO_KEEPALIVE, 1},
    {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S},
    {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, CMT__UNSENT_FIRST},
  };

  for (size_t i = 0; i < CMT__COUNT(options); i++) {
    (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                     sizeof options[i].value);
  }
}

static int socket_error(int fd) {
  int error = 0;
  socklen_t len = sizeof error;

  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error
                                                                 : errno;
}

/* Connecting to a free port of this machine, the kernel may pick that very
   port as ours, and the socket is then connected to itself. */
static bool is_self_connected(int fd) {
  cmt__sockaddr ends[2];
  cmt_net_addr local, remote;
  socklen_t len[2] = {sizeof ends[0], sizeof ends[1]};

  if (getsockname(fd, &ends[0].any, &len[0]) != 0 ||
      getpeername(fd, &ends[1].any, &len[1]) != 0) {
    return false;
  }
  cmt__uv_net_addr(&ends[0].any, &local);
  cmt__uv_net_addr(&ends[1].any, &remote);
  return local.port == remote.port && strcmp(local.host, remote.host) == 0;
}

static void finish_connect(tcp_uv *t, int error) {
  t->connecting = false;
  if (error == 0 && is_self_connected(t->fd)) {
    error = ECONNREFUSED;
  }
  if (error != 0) {
    t->ended = true;
    t->reading = false;
  }
  t->base.loop->error = error;
  t->cbs->on_connect(t->arg, err_of_errno(error));
}

/* |error| is the errno behind |err|, or 0. */
static void end_reading(tcp_uv *t, cmt_err err, int error) {
  t->reading = false;
  t->ended = true;
  t->base.loop->error = error;
  t->cbs->on_end(t->arg, err);
}

/* The kernel reports a reset once.  When a write got it, reading sees only an
   end, and reports what the write saw. */
static void read_zero(tcp_uv *t) {
  end_reading(t, t->write_err != CMT_OK ? t->write_err : CMT_EEOF,
              t->write_error);
}

/* A read of less than the buffer emptied the socket; another read would only
   return EAGAIN.  An end or an error that comes after it makes the next poll
   return at once. */
static void read_iteration(tcp_uv *t) {
  uint8_t *buffer = ((cmt__loop_uv *)t->base.loop)->read_buffer;
  size_t left = CMT__READ_ITERATION_MAX;

  while (!t->closed && t->reading && left > 0) {
    size_t room = cmt__tcp_read_room(&t->base, left);
    ssize_t n = recv(t->fd, buffer, room, 0);

    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return;
    }
    if (n < 0) {
      end_reading(t, err_of_errno(errno), errno);
      return;
    }
    if (n == 0) {
      read_zero(t);
      return;
    }
    left -= (size_t)n;
    t->cbs->on_read(t->arg, buffer, (size_t)n);
    if ((size_t)n < room) {
      return;
    }
  }
}

static void serve(tcp_uv *t, int events) {
  if (t->connecting) {
    finish_connect(t, socket_error(t->fd));
  } else {
    t->room = t->want_write && (events & UV_WRITABLE) != 0;
    if ((events & UV_READABLE) != 0) {
      read_iteration(t);
    }
    if (!t->closed && t->room) {
      t->want_write = false;
      t->room = false;
      t->cbs->on_writable(t->arg);
    }
  }
  if (t->closed) {
    return;
  }
  if ((events & t->armed & ~wanted(t)) != 0) {
    arm_exactly(t);
  } else {
    arm(t);
  }
}

/* libuv reports POLLERR as an error status, and has stopped the handle. */
static void on_poll(uv_poll_t *poll, int status, int events) {
  tcp_uv *t = poll->data;

  if (status < 0) {
    t->armed = 0;
    events = UV_READABLE | UV_WRITABLE;
  }
  cmt__uv_enter(t->base.loop);
  serve(t, events);
  cmt__uv_leave(t->base.loop);
}

static void on_outcome(cmt__task *task) {
  tcp_uv *t = (tcp_uv *)((char *)task - offsetof(tcp_uv, outcome));

  finish_connect(t, t->connect_error);
  if (!t->closed) {
    arm(t);
  }
}

/* Puts |t| under a poll handle of |l|.  False: it cannot be polled there, and
   is gone. */
static bool attach(cmt__loop *l, tcp_uv *t) {
  int error = uv_poll_init(((cmt__loop_uv *)l)->uv, &t->poll, t->fd);

  if (error != 0) {
    l->error = -error;
    close(t->fd);
    cmt__free(&l->env, t);
    return false;
  }
  cmt__uv_hold(l, 1);
  t->base.loop = l;
  t->poll.data = t;
  t->armed = 0;
  return true;
}

cmt__tcp *cmt__uv_tcp_new(cmt__loop *l, int fd, const cmt__sockaddr *remote) {
  tcp_uv *t = cmt__alloc_zero(&l->env, sizeof *t);

  if (t == NULL) {
    close(fd);
    return NULL;
  }
  t->fd = fd;
  t->remote = *remote;
  t->outcome.cb = on_outcome;
  if (!attach(l, t)) {
    return NULL;
  }
  set_options(fd);
  return &t->base;
}

cmt_err cmt__uv_connect(cmt__loop *l, const cmt_net_addr *to,
                        const cmt__tcp_callbacks *cbs, void *arg,
                        cmt__tcp **out) {
  cmt__sockaddr remote;
  socklen_t len;
  tcp_uv *t;
  int fd, error = cmt__uv_sockaddr(to, &remote, &len);

  l->error = error;
  if (error != 0) {
    return error == ENODEV ? CMT_EUNREACH : CMT_EINVAL;
  }
  fd =
    socket(remote.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    l->error = errno;
    return CMT_EIO;
  }
  t = (tcp_uv *)cmt__uv_tcp_new(l, fd, &remote);
  if (t == NULL) {
    return CMT_ENOMEM;
  }
  t->cbs = cbs;
  t->arg = arg;
  error = connect(fd, &remote.any, len) == 0 ? 0 : errno;
  /* After EINTR, too, the connection is made in the background. */
  if (error == EINPROGRESS || error == EINTR) {
    t->connecting = true;
    arm(t);
  } else {
    t->connect_error = error;
    cmt__loop_defer(l, &t->outcome);
  }
  *out = &t->base;
  return CMT_OK;
}

void cmt__uv_tcp_start(cmt__tcp *base, const cmt__tcp_callbacks *cbs,
                       void *arg) {
  tcp_uv *t = tcp_of(base);

  t->cbs = cbs;
  t->arg = arg;
}

void cmt__uv_tcp_read(cmt__tcp *base, bool on) {
  tcp_uv *t = tcp_of(base);

  t->reading = on && !t->ended;
  if (t->reading) {
    arm(t);
  }
}

static cmt_err write_failed(tcp_uv *t, int error) {
  cmt_err err = err_of_errno(error);

  /* EPIPE after the peer's EOF does not make that EOF a reset. */
  if (t->write_err == CMT_OK && error != EPIPE) {
    t->write_err = err;
    t->write_error = error;
  }
  t->base.loop->error = error;
  return err;
}

cmt_err cmt__uv_tcp_write(cmt__tcp *base, const uint8_t *data, size_t len,
                          size_t *written) {
  tcp_uv *t = tcp_of(base);
  ssize_t n;

  CMT_ASSERT(&base->loop->env, !t->connecting && !t->closed);
  *written = 0;
  if (len == 0) {
    return CMT_OK;
  }
  do {
    n = send(t->fd, data, len, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
    return write_failed(t, errno);
  }
  *written = n < 0 ? 0 : (size_t)n;
  if (*written < len) {
    t->want_write = true;
    t->room = false;
    arm(t);
  }
  return CMT_OK;
}

void cmt__uv_tcp_shutdown(cmt__tcp *base) {
  (void)shutdown(tcp_of(base)->fd, SHUT_WR);
}

void cmt__uv_tcp_remote(const cmt__tcp *base, cmt_net_addr *out) {
  cmt__uv_net_addr(&((const tcp_uv *)base)->remote.any, out);
}

bool cmt__uv_tcp_info(const cmt__tcp *base, cmt__tcp_info *out) {
  return cmt__tcp_kernel_info(((const tcp_uv *)base)->fd, out);
}

void cmt__uv_tcp_unsent_max(cmt__tcp *base, size_t max) {
  cmt__tcp_kernel_unsent_max(tcp_of(base)->fd, max);
}

/* Looks at the receive queue; an end or an error is none of it. */
size_t cmt__uv_tcp_unread(const cmt__tcp *base) {
  int unread = 0;

  return ioctl(((const tcp_uv *)base)->fd, FIONREAD, &unread) == 0 && unread > 0
           ? (size_t)unread
           : 0;
}

void cmt__uv_tcp_give_up(cmt__tcp *base, uint64_t after_ns) {
  uint64_t ms =
    after_ns / CMT_MILLISECONDS(1) + (after_ns % CMT_MILLISECONDS(1) != 0);

  cmt__tcp_kernel_user_timeout(tcp_of(base)->fd,
                               ms > INT32_MAX ? 0 : (unsigned)ms);
}

void cmt__uv_tcp_congestion(cmt__tcp *base, const char *name) {
  (void)cmt__tcp_kernel_congestion(tcp_of(base)->fd, name);
}

static void on_closed(uv_handle_t *handle) {
  tcp_uv *t = handle->data;
  cmt__loop *l = t->base.loop;

  cmt__free(&l->env, t);
  cmt__uv_let_go(l);
}

void cmt__uv_tcp_close(cmt__tcp *base) {
  tcp_uv *t = tcp_of(base);

  CMT_ASSERT(&base->loop->env, !t->closed);
  t->closed = true;
  cmt__loop_defer_cancel(base->loop, &t->outcome);
  uv_close((uv_handle_t *)&t->poll, on_closed);
  close(t->fd);
}

/* The handle is free to be used on another loop, which may do so at once. */
static void on_detached(uv_handle_t *handle) {
  tcp_uv *t = handle->data;
  cmt__loop *l = t->base.loop;

  cmt__uv_enter(l);
  t->cbs->on_detached(t->arg);
  cmt__uv_leave(l);
  cmt__uv_let_go(l);
}

void cmt__uv_tcp_detach(cmt__tcp *base) {
  tcp_uv *t = tcp_of(base);

  CMT_ASSERT(&base->loop->env, !t->connecting && !t->closed);
  t->room = false;
  uv_close((uv_handle_t *)&t->poll, on_detached);
}

cmt_err cmt__uv_tcp_attach(cmt__tcp *base, cmt__loop *l) {
  tcp_uv *t = tcp_of(base);

  if (!attach(l, t)) {
    return CMT_EIO;
  }
  arm(t);
  return CMT_OK;
}
