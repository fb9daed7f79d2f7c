/* SPDX-License-Identifier: Apache-2.0 */

/* The network of the loop double.  A pipe holds the bytes in flight of one
   direction, and its end of file.  An end that is closed stays in memory until
   the iteration is over; it is out of its connection at once.  Whether
   something is to do is always read from the state, never remembered, so that a
   test may change any control between two iterations. */

#include "loop_double_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static uint8_t *pipe_put(net_pipe *p, test_dir *d, const uint8_t *data,
                         size_t len) {
  d->in_flight += len;
  return test_bytes_put(&p->bytes, data, len);
}

static void pipe_take(net_pipe *p, test_dir *d, uint8_t *out, size_t len) {
  test_bytes_take(&p->bytes, out, len);
  d->in_flight -= len;
}

static void pipe_clear(net_conn *c, int side) {
  test_bytes_clear(&c->pipes[side].bytes);
  c->pipes[side].eof = false;
  c->shown.dir[side].in_flight = 0;
}

static net_end *end_new(test_loop *l, net_conn *c, int side) {
  net_end *e = cmt__alloc_zero(&l->base.env, sizeof *e);

  if (e != NULL) {
    e->base.loop = &l->base;
    e->conn = c;
    e->side = side;
    c->ends[side] = e;
    c->shown.open[side] = true;
  }
  return e;
}

static void end_reset(net_end *e) {
  if (e != NULL) {
    e->reset = true;
  }
}

void test_conn_cut(test_conn *shown) {
  net_conn *c = (net_conn *)shown;

  for (int side = 0; side < 2; side++) {
    pipe_clear(c, side);
    end_reset(c->ends[side]);
  }
}

/* As a kernel does it: what the closing end has not read makes it a reset, and
   that may overtake what it sent last. */
static void tcp_close(cmt__tcp *t) {
  net_end *e = (net_end *)t;
  net_conn *c = e->conn;
  int other = 1 - e->side;
  test_loop *own;

  assert_true(!e->closed && !e->detached);
  e->closed = true;
  c->ends[e->side] = NULL;
  c->shown.open[e->side] = false;
  if (c->shown.dir[other].in_flight > 0) {
    pipe_clear(c, e->side);
    end_reset(c->ends[other]);
  } else if (c->ends[other] == NULL || !c->ends[other]->reset) {
    c->pipes[e->side].eof = true;
  }
  pipe_clear(c, other);
  own = test_loop_own(t->loop);
  e->next_closed = own->closed;
  own->closed = e;
}

static void on_let_go(cmt__task *task) {
  net_end *e = (net_end *)((char *)task - offsetof(net_end, let_go));

  e->cbs->on_detached(e->arg);
}

static void tcp_detach(cmt__tcp *t) {
  net_end *e = (net_end *)t;

  assert_true(!e->connecting && !e->closed && !e->detached);
  e->detached = true;
  e->let_go.cb = on_let_go;
  cmt__loop_defer(t->loop, &e->let_go);
}

/* As a kernel, it may have no memory for one more. */
static cmt_err tcp_attach(cmt__tcp *t, cmt__loop *l) {
  net_end *e = (net_end *)t;
  void *entry = cmt__alloc(&l->env, 1);

  assert_true(e->detached);
  e->detached = false;
  t->loop = l;
  if (entry == NULL) {
    tcp_close(t);
    return CMT_EIO;
  }
  cmt__free(&l->env, entry);
  return CMT_OK;
}

static void tcp_start(cmt__tcp *t, const cmt__tcp_callbacks *cbs, void *arg) {
  ((net_end *)t)->cbs = cbs;
  ((net_end *)t)->arg = arg;
}

static void tcp_read(cmt__tcp *t, bool on) {
  net_end *e = (net_end *)t;

  e->reading = on && !e->ended;
}

/* The first write to an end that is closed still succeeds, and is answered
   with a reset. */
static cmt_err tcp_write(cmt__tcp *t, const uint8_t *data, size_t len,
                         size_t *written) {
  net_end *e = (net_end *)t;
  test_loop *l = test_loop_of(t->loop);
  test_dir *d = &e->conn->shown.dir[e->side];
  net_pipe *p = &e->conn->pipes[e->side];
  uint8_t *tapped;

  assert_false(e->connecting || e->closed);
  *written = 0;
  if (len == 0) {
    return CMT_OK;
  }
  d->writes++;
  if (e->write_err == CMT_OK) {
    e->write_err = test_loop_fault(l, TEST_CALL_WRITE, e->side);
  }
  if (e->write_err != CMT_OK) {
    return e->write_err;
  }
  if (e->reset || e->shut) {
    return CMT_ERESET;
  }
  if (e->conn->ends[1 - e->side] == NULL) {
    e->reset = true;
    *written = len;
    return CMT_OK;
  }
  *written = d->cap > d->in_flight ? cmt__min(len, d->cap - d->in_flight) : 0;
  if (*written > 0) {
    tapped = pipe_put(p, d, data, *written);
    d->written += *written;
    if (l->tap != NULL) {
      l->tap(l->tap_arg, &e->conn->shown, e->side, tapped, *written);
    }
  }
  e->want_write |= *written < len;
  return CMT_OK;
}

static void tcp_shutdown(cmt__tcp *t) {
  net_end *e = (net_end *)t;

  e->shut = true;
  e->conn->pipes[e->side].eof = true;
}

static void tcp_remote(const cmt__tcp *t, cmt_net_addr *out) {
  const net_end *e = (const net_end *)t;

  *out = e->side == TEST_DIALER ? e->conn->shown.to : e->conn->shown.from;
}

static test_dir *own_dir(const cmt__tcp *t) {
  const net_end *e = (const net_end *)t;

  assert_false(e->closed);
  return &e->conn->shown.dir[e->side];
}

static bool tcp_info(const cmt__tcp *t, cmt__tcp_info *out) {
  test_dir *d = own_dir(t);

  d->asked++;
  *out = d->info;
  return d->knows;
}

static void tcp_unsent_max(cmt__tcp *t, size_t max) {
  test_dir *d = own_dir(t);

  d->unsent_max = max;
  d->unsent_changes++;
}

static size_t tcp_unread(const cmt__tcp *t) {
  const net_end *e = (const net_end *)t;
  const test_dir *d = &e->conn->shown.dir[1 - e->side];

  return d->stalled ? 0 : d->in_flight;
}

static void tcp_give_up(cmt__tcp *t, uint64_t after_ns) {
  own_dir(t)->give_up_ns = after_ns;
}

static void tcp_congestion(cmt__tcp *t, const char *name) {
  test_dir *d = own_dir(t);

  snprintf(d->congestion, sizeof d->congestion, "%s", name);
}

static int congestion_check(cmt__loop *base, const char *name) {
  int error = test_loop_of(base)->refuses_congestion;

  return strcmp(name, "reno") == 0 ? 0 : error != 0 ? error : ENOENT;
}

static cmt_err loop_connect(cmt__loop *base, const cmt_net_addr *to,
                            const cmt__tcp_callbacks *cbs, void *arg,
                            cmt__tcp **out) {
  test_loop *l = test_loop_of(base);
  cmt_err err;
  net_conn *c;
  net_end *e;

  if (!test_is_literal(to->host)) {
    return CMT_EINVAL;
  }
  err = test_loop_fault(l, TEST_CALL_CONNECT, TEST_DIALER);
  if (err != CMT_OK) {
    return err;
  }
  c = calloc(1, sizeof *c);
  assert_non_null(c);
  e = end_new(l, c, TEST_DIALER);
  if (e == NULL) {
    free(c);
    return CMT_ENOMEM;
  }
  c->shown.to = *to;
  c->shown.to.id.text[0] = '\0';
  c->shown.from.port = l->next_port++;
  memcpy(c->shown.from.host, l->source, sizeof l->source);
  c->shown.dir[0] = c->shown.dir[1] = l->defaults;
  l->conns = test_more(l->conns, l->conn_count + 1, sizeof *l->conns);
  l->conns[l->conn_count++] = c;
  e->connecting = true;
  e->cbs = cbs;
  e->arg = arg;
  *out = &e->base;
  return CMT_OK;
}

static bool is_at(const cmt_net_addr *listens, const cmt_net_addr *to) {
  return listens->port == to->port && (strcmp(listens->host, to->host) == 0 ||
                                       strcmp(listens->host, "0.0.0.0") == 0 ||
                                       strcmp(listens->host, "::") == 0);
}

static net_listener *find_listener(const test_loop *l, const cmt_net_addr *to) {
  for (net_listener *ls = l->listeners; ls != NULL; ls = ls->next) {
    if (!ls->closed && is_at(&ls->at, to)) {
      return ls;
    }
  }
  return NULL;
}

static void text_of(const cmt_net_addr *a, char *out) {
  assert_cmt(CMT_OK, cmt_net_addr_format(a, out, CMT_NET_ADDR_TEXT_SIZE));
}

static cmt_err rule_of(const test_loop *l, const net_conn *c) {
  char text[CMT_NET_ADDR_TEXT_SIZE];

  text_of(&c->shown.to, text);
  for (size_t i = 0; i < l->rule_count; i++) {
    if (strcmp(l->rules[i].at, text) == 0) {
      return l->rules[i].outcome;
    }
  }
  return CMT_OK;
}

static void finish_connect(test_loop *l, net_end *e) {
  net_conn *c = e->conn;
  cmt_err err = rule_of(l, c);
  net_listener *ls = find_listener(l, &c->shown.to);
  cmt_err fault = test_loop_fault(l, TEST_CALL_ON_CONNECT, TEST_DIALER);

  if (fault != CMT_OK) {
    err = fault;
  } else if (err == CMT_OK && ls == NULL) {
    err = CMT_EREFUSED;
  }
  if (err == CMT_OK && end_new(l, c, TEST_ACCEPTOR) == NULL) {
    ls->dropped++;
    c->pipes[TEST_ACCEPTOR].eof = true;
  } else if (err == CMT_OK) {
    c->waits = ls;
  }
  e->connecting = false;
  if (err != CMT_OK) {
    e->ended = true;
    e->reading = false;
  }
  e->cbs->on_connect(e->arg, err);
}

static void accept_one(test_loop *l, net_conn *c) {
  net_listener *ls = c->waits;
  net_end *e = c->ends[TEST_ACCEPTOR];

  if (ls->taken == cmt__listener_room(&ls->base)) {
    return;
  }
  ls->taken++;
  c->waits = NULL;
  if (l->exhausted > 0) {
    l->exhausted--;
    ls->dropped++;
    tcp_close(&e->base);
    return;
  }
  ls->cb(ls->arg, &e->base);
  if (!e->closed && e->cbs == NULL) {
    fail_msg("an accepted connection was neither started nor closed");
  }
}

static bool is_readable(const net_end *e) {
  const test_dir *d = &e->conn->shown.dir[1 - e->side];
  bool arrives = d->in_flight > 0 || e->conn->pipes[1 - e->side].eof;

  return e->reading && (e->reset || (arrives && !d->stalled));
}

static bool is_writable(const net_end *e) {
  const test_dir *d = &e->conn->shown.dir[e->side];

  return e->want_write && (e->reset || e->conn->ends[1 - e->side] == NULL ||
                           (d->in_flight <= d->cap / 2 && d->cap > 0));
}

/* |l| is the loop that asks. */
static bool end_is_ready(const test_loop *l, const net_end *e) {
  if (e == NULL || e->base.loop != &l->base || e->detached) {
    return false;
  }
  if (e->connecting) {
    return rule_of(l->first, e->conn) != CMT_EAGAIN;
  }
  return e->cbs != NULL && (is_readable(e) || is_writable(e));
}

static void end_reading(net_end *e, cmt_err err) {
  cmt_err fault =
    test_loop_fault(test_loop_of(e->base.loop), TEST_CALL_ON_END, e->side);

  e->reading = false;
  e->ended = true;
  e->cbs->on_end(e->arg, fault != CMT_OK ? fault : err);
}

/* Makes the calls that a loop makes on a socket, and counts them alike.  The
   bytes are spoilt after the call, which only lends them. */
static void read_iteration(test_loop *l, net_end *e) {
  test_dir *d = &e->conn->shown.dir[1 - e->side];
  net_pipe *p = &e->conn->pipes[1 - e->side];
  size_t left = CMT__READ_ITERATION_MAX;
  cmt_err fault;

  while (!e->closed && e->reading && left > 0) {
    size_t room = cmt__tcp_read_room(&e->base, left);
    size_t n =
      d->stalled ? 0 : cmt__min(room, cmt__min(d->read_max, d->in_flight));

    d->reads++;
    if (n == 0) {
      if (p->eof && !d->stalled && d->in_flight == 0) {
        end_reading(e, CMT_EEOF);
      } else if (e->reset) {
        end_reading(e, CMT_ERESET);
      }
      return;
    }
    fault = test_loop_fault(l->first, TEST_CALL_READ, e->side);
    if (fault != CMT_OK) {
      end_reading(e, fault);
      return;
    }
    pipe_take(p, d, l->buffer, n);
    d->read += n;
    left -= n;
    e->cbs->on_read(e->arg, l->buffer, n);
    memset(l->buffer, 0xdd, n);
    if (n < room) {
      return;
    }
  }
}

static void run_end(test_loop *l, net_end *e) {
  if (e->connecting) {
    finish_connect(l->first, e);
    return;
  }
  if (is_readable(e)) {
    read_iteration(l, e);
  }
  if (!e->closed && is_writable(e)) {
    e->want_write = false;
    e->cbs->on_writable(e->arg);
  }
}

/* What a callback makes now has its first iteration later. */
void test_net_run(test_loop *l) {
  test_loop *net = l->first;
  size_t count = net->conn_count;

  for (net_listener *ls = net->listeners; ls != NULL; ls = ls->next) {
    ls->taken = ls->base.loop == &l->base ? 0 : ls->taken;
  }
  for (size_t i = 0; i < count; i++) {
    net_conn *c = net->conns[i];

    if (c->waits != NULL) {
      if (c->waits->base.loop == &l->base) {
        accept_one(net, c);
      }
      continue;
    }
    for (int side = 0; side < 2; side++) {
      if (end_is_ready(l, c->ends[side])) {
        run_end(l, c->ends[side]);
      }
    }
  }
}

bool test_net_is_ready(const test_loop *l) {
  for (size_t i = 0; i < l->first->conn_count; i++) {
    const net_conn *c = l->first->conns[i];

    if ((c->waits != NULL && c->waits->base.loop == &l->base) ||
        end_is_ready(l, c->ends[0]) || end_is_ready(l, c->ends[1])) {
      return true;
    }
  }
  return false;
}

static cmt_err loop_listen(cmt__loop *base, const cmt_net_addr *at,
                           cmt__accept_cb cb, void *arg, cmt__listener **out,
                           cmt_why *why) {
  test_loop *l = test_loop_of(base);
  char text[CMT_NET_ADDR_TEXT_SIZE];
  net_listener *ls;
  cmt_err fault = test_loop_fault(l, TEST_CALL_LISTEN, TEST_ACCEPTOR);

  text_of(at, text);
  if (fault != CMT_OK) {
    return cmt__why(why, fault, CMT_STAGE_TRANSPORT, "cannot listen on %s: %s",
                    text, cmt_err_text(fault));
  }
  if (!test_is_literal(at->host)) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "cannot listen on %s: the host is not an IP address", text);
  }
  if (at->port != 0 && find_listener(l, at) != NULL) {
    return cmt__why(why, CMT_EIO, CMT_STAGE_TRANSPORT,
                    "cannot listen on %s: Address already in use", text);
  }
  ls = cmt__alloc_zero(&base->env, sizeof *ls);
  if (ls == NULL) {
    return cmt__why(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT,
                    "cannot listen on %s: %s", text, cmt_err_text(CMT_ENOMEM));
  }
  ls->base.loop = base;
  ls->at = *at;
  ls->at.port = at->port != 0 ? at->port : l->next_listen_port++;
  ls->cb = cb;
  ls->arg = arg;
  ls->next = l->listeners;
  l->listeners = ls;
  *out = &ls->base;
  return CMT_OK;
}

static void listener_addr(const cmt__listener *ls, cmt_net_addr *out) {
  *out = ((const net_listener *)ls)->at;
}

static uint64_t listener_dropped(const cmt__listener *ls) {
  return ((const net_listener *)ls)->dropped;
}

/* Connections that still wait for their accept are reset. */
static void listener_close(cmt__listener *base) {
  test_loop *l = test_loop_of(base->loop);
  net_listener *ls = (net_listener *)base;

  assert_false(ls->closed);
  ls->closed = true;
  for (size_t i = 0; i < l->conn_count; i++) {
    net_conn *c = l->conns[i];

    if (c->waits == ls) {
      c->waits = NULL;
      test_conn_cut(&c->shown);
      tcp_close(&c->ends[TEST_ACCEPTOR]->base);
      c->pipes[TEST_ACCEPTOR].eof = false;
    }
  }
}

void test_net_free_closed(test_loop *l) {
  while (l->closed != NULL) {
    net_end *e = l->closed;

    l->closed = e->next_closed;
    cmt__free(&l->base.env, e);
  }
  for (net_listener **at = &l->listeners; *at != NULL;) {
    net_listener *ls = *at;

    if (ls->closed) {
      *at = ls->next;
      cmt__free(&l->base.env, ls);
    } else {
      at = &ls->next;
    }
  }
}

void test_net_fini(test_loop *l) {
  test_net_free_closed(l);
  for (size_t i = 0; i < l->conn_count; i++) {
    net_conn *c = l->conns[i];

    assert_true(c->waits == NULL && c->ends[0] == NULL && c->ends[1] == NULL);
    pipe_clear(c, 0);
    pipe_clear(c, 1);
    free(c);
  }
  assert_null(l->listeners);
  free(l->conns);
  free(l->rules);
}

void test_net_ops(cmt__loop_ops *ops) {
  ops->listen = loop_listen;
  ops->listener_addr = listener_addr;
  ops->listener_dropped = listener_dropped;
  ops->listener_close = listener_close;
  ops->connect = loop_connect;
  ops->tcp_start = tcp_start;
  ops->tcp_read = tcp_read;
  ops->tcp_write = tcp_write;
  ops->tcp_shutdown = tcp_shutdown;
  ops->tcp_remote = tcp_remote;
  ops->tcp_info = tcp_info;
  ops->tcp_unsent_max = tcp_unsent_max;
  ops->tcp_unread = tcp_unread;
  ops->tcp_give_up = tcp_give_up;
  ops->tcp_congestion = tcp_congestion;
  ops->congestion_check = congestion_check;
  ops->tcp_close = tcp_close;
  ops->tcp_detach = tcp_detach;
  ops->tcp_attach = tcp_attach;
}

size_t test_loop_conn_count(const test_loop *l) { return l->conn_count; }

test_conn *test_loop_conn(test_loop *l, size_t index) {
  return index < l->conn_count ? &l->conns[index]->shown : NULL;
}

test_dir *test_loop_defaults(test_loop *l) { return &l->defaults; }

void test_loop_tap(test_loop *l, test_tap tap, void *arg) {
  l->tap = tap;
  l->tap_arg = arg;
}

void test_loop_set_connect(test_loop *l, const char *at, cmt_err outcome) {
  size_t i = 0;

  while (i < l->rule_count && strcmp(l->rules[i].at, at) != 0) {
    i++;
  }
  if (i == l->rule_count) {
    l->rules = test_more(l->rules, ++l->rule_count, sizeof *l->rules);
    snprintf(l->rules[i].at, sizeof l->rules[i].at, "%s", at);
  }
  l->rules[i].outcome = outcome;
}

void test_loop_set_source(test_loop *l, const char *ip) {
  assert_true(test_is_literal(ip));
  memset(l->source, 0, sizeof l->source);
  snprintf(l->source, sizeof l->source, "%s", ip);
}

void test_loop_refuse_congestion(test_loop *l, int error) {
  l->refuses_congestion = error;
}

void test_loop_exhaust(test_loop *l, size_t count) { l->exhausted = count; }
