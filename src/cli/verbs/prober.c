/* SPDX-License-Identifier: Apache-2.0 */
/* Each iteration hands what was read to the connection, takes its events,
   writes its output and waits for the socket, a deadline or a signal.  A ping
   follows the pong before it by PING_GAP, or in the legacy profile by half the
   interval. */

#include "prober.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

enum { READ_SIZE = 65536, PING_GAP_MS = 200, CONNECT_MS = 3000, PONG_S = 10 };

typedef struct drive {
  const cli_prober *p;
  cli_probe_result *r;
  int fd;
  uint64_t begin_ns;
  uint64_t ping_at_ns; /* CMT_NEVER: not now. */
  /* In the legacy profile a message answers a ping too, and nobody waits for
     the pong but we: until then. */
  uint64_t give_up_ns;
  bool ended, writing;
  int error; /* Why reading failed, or 0. */
  uint8_t data[READ_SIZE];
  size_t out_at, out_len; /* The part of |out| that is still to go. */
  uint8_t out[CMT_CONN_WRITE_ROOM];
} drive;

static void set_why(cli_probe_result *r, cmt_err err, cmt_stage stage,
                    const char *text) {
  r->why = (cmt_why){.err = err, .stage = stage};
  snprintf(r->why.text, sizeof r->why.text, "%s", text);
}

static cmt_err err_of_errno(int e) {
  switch (e) {
  case EINTR:
    return CMT_ECANCELED;
  case ECONNREFUSED:
    return CMT_EREFUSED;
  case ETIMEDOUT:
    return CMT_EDIAL;
  case ENETUNREACH:
  case EHOSTUNREACH:
    return CMT_EUNREACH;
  case ECONNRESET:
  case EPIPE:
    return CMT_ERESET;
  default:
    return CMT_EIO;
  }
}

/* Waits until the socket is connected; 0, or an errno.  It is looked at once
   more after the time, since the command may have been stopped meanwhile. */
static int connect_wait(const cli_prober *p, int fd) {
  uint64_t until_ns = cli_now_ns() + CMT_MILLISECONDS(CONNECT_MS);
  socklen_t len = sizeof(int);
  short ready = 0;
  int err = 0;

  for (bool over = false; ready == 0;) {
    uint64_t now_ns = cli_now_ns();

    if (p->io->wait.interrupted) {
      return EINTR;
    }
    if (over) {
      return ETIMEDOUT;
    }
    over = now_ns >= until_ns;
    cli_waiter_wait_fd(&p->io->wait, over ? 0 : until_ns - now_ns, fd, POLLOUT,
                       &ready);
  }
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 ? err : errno;
}

/* A connected socket, or -1 and errno. */
static int connect_one(const cli_prober *p, const cli_address *a) {
  int fd =
    socket(a->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int one = 1, err = 0;

  if (fd < 0) {
    return -1;
  }
  if (connect(fd, (const struct sockaddr *)&a->storage, a->len) != 0) {
    err = errno == EINPROGRESS ? connect_wait(p, fd) : errno;
  }
  if (err != 0) {
    close(fd);
    errno = err;
    return -1;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

/* What went wrong, in the words that a node uses, which are those of the system
   where ours say less. */
static const char *fault_text(cmt_err err, int error, char *out, size_t cap) {
  if (err == CMT_EIO) {
    snprintf(out, cap, "%s", strerror(error));
  } else if (err == CMT_EUNREACH) {
    snprintf(out, cap, "%s (%s)", cmt_err_text(err), strerror(error));
  } else {
    snprintf(out, cap, "%s",
             err == CMT_EREFUSED ? "connection refused" : cmt_err_text(err));
  }
  return out;
}

static bool drive_connect(drive *d, const cli_address *a) {
  char fault[100], text[256];
  cmt_err err;

  snprintf(d->r->remote, sizeof d->r->remote, "%s", a->text);
  d->fd = connect_one(d->p, a);
  if (d->fd >= 0) {
    return true;
  }
  err = err_of_errno(errno);
  snprintf(text, sizeof text, "cannot connect to %.120s: %s", a->text,
           fault_text(err, errno, fault, sizeof fault));
  set_why(d->r, err, CMT_STAGE_TRANSPORT,
          err == CMT_ECANCELED ? "interrupted" : text);
  return false;
}

cmt_node_info cli_prober_node_info(const cli_prober *p, uint8_t *channels) {
  for (size_t i = 0; i < p->claim->channel_count; i++) {
    channels[i] = p->claim->channels[i].id;
  }
  return (cmt_node_info){
    .protocol_p2p = 8,
    .protocol_block = p->claim->block,
    .listen_addr = cmt_bytes_of("tcp://0.0.0.0:0"),
    .network = cmt_bytes_of(p->claim->network),
    .version = cmt_bytes_of(cmt_version()),
    .channels = {channels, p->claim->channel_count},
    .moniker = cmt_bytes_of(p->o->moniker),
  };
}

static uint64_t pong_timeout(const cli_options *o) {
  return o->pong_timeout_ns == 0 ? CMT_SECONDS(PONG_S) : o->pong_timeout_ns;
}

/* A legacy node leaves pings that are too close without an answer. */
static uint64_t ping_gap(const cli_options *o) {
  if (o->wire == CMT_WIRE_COMETBFT) {
    return CMT_MILLISECONDS(PING_GAP_MS);
  }
  return o->ping_interval_ns == 0 ? CMT_SECONDS(30) : o->ping_interval_ns / 2;
}

static bool drive_conn(drive *d) {
  const cli_options *o = d->p->o;
  uint8_t channels[CMT_CHANNELS_MAX];
  cmt_node_info info = cli_prober_node_info(d->p, channels);
  cmt_conn_options c;

  cmt_conn_options_init(&c);
  c.env = d->p->env;
  c.key = d->p->key;
  c.node_info = &info;
  c.expect_id = d->p->expect_id;
  c.any_network = true;
  c.channels = d->p->claim->channel_count > 0 ? d->p->claim->channels : NULL;
  c.channel_count = d->p->claim->channel_count;
  c.ping_interval_ns =
    o->ping_interval_ns == 0 ? CMT_NEVER : o->ping_interval_ns;
  c.wire = o->wire;
  c.send_rate = o->send_rate;
  c.recv_rate = o->recv_rate;
  c.pong_timeout_ns = pong_timeout(o);
  if (o->packet_payload != 0) {
    c.send_packet_payload_max = o->packet_payload;
  }
  if (o->packet_payload > c.recv_packet_payload_max) {
    c.recv_packet_payload_max = o->packet_payload;
  }
  return cmt_conn_new(&c, d->begin_ns, &d->r->conn, &d->r->why) == CMT_OK;
}

/* The next ping, or the end when there were enough. */
static void drive_next_ping(drive *d, uint64_t at_ns) {
  if (d->r->rtt_count == d->p->o->pings) {
    d->r->ok = true;
    d->ended = true;
  }
  d->ping_at_ns = at_ns;
}

static void drive_up(drive *d) {
  uint64_t now_ns = cli_now_ns();

  d->r->up = true;
  d->r->handshake_ns = now_ns - d->begin_ns;
  drive_next_ping(d, now_ns);
}

static void drive_pong(drive *d, uint64_t rtt_ns) {
  d->r->rtt_ns[d->r->rtt_count++] = rtt_ns;
  d->give_up_ns = CMT_NEVER;
  drive_next_ping(d, cli_now_ns() + ping_gap(d->p->o));
}

static void drive_event(drive *d, const cmt_conn_event *e) {
  char text[100];

  switch (e->kind) {
  case CMT_CONN_NODE_INFO:
    d->r->id = e->id;
    d->r->node_info = e->node_info;
    if (d->p->learn) {
      d->r->handshake_ns = cli_now_ns() - d->begin_ns;
      d->r->ok = d->ended = true;
    }
    break;
  case CMT_CONN_UP:
    drive_up(d);
    break;
  case CMT_CONN_PONG:
    if (d->ping_at_ns == CMT_NEVER) {
      drive_pong(d, e->rtt_ns);
    }
    break;
  case CMT_CONN_END:
    d->r->id = e->id;
    cmt_conn_get_why(d->r->conn, &d->r->why);
    if (d->error != 0 && err_of_errno(d->error) == e->err) {
      set_why(d->r, e->err, d->r->why.stage,
              fault_text(e->err, d->error, text, sizeof text));
    }
    d->ended = true;
    break;
  case CMT_CONN_MESSAGE:
    break;
  }
}

static void drive_events(drive *d) {
  cmt_conn_event e;

  while (!d->ended && cmt_conn_next_event(d->r->conn, &e)) {
    drive_event(d, &e);
  }
}

static void drive_read(drive *d) {
  ssize_t n = read(d->fd, d->data, sizeof d->data);
  uint64_t now_ns = cli_now_ns();

  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (n > 0) {
    if (cmt_conn_recv(d->r->conn, d->data, (size_t)n, now_ns) != CMT_OK) {
      d->ended = true;
    }
  } else {
    d->error = n == 0 ? 0 : errno;
    cmt_conn_stop(d->r->conn, n == 0 ? CMT_EEOF : err_of_errno(d->error), 0,
                  now_ns);
  }
  drive_events(d);
}

/* False: there is nothing to write. */
static bool drive_seal(drive *d, uint64_t now_ns) {
  d->out_at = 0;
  d->out_len = cmt_conn_write(d->r->conn, d->out, sizeof d->out, now_ns);
  return d->out_len > 0;
}

/* A write that fails is told by the next read, after what was received.  The
   instant is that before the write: on one machine the answer can be there
   before the call returns, and a round trip would seem to take no time. */
static void drive_write(drive *d) {
  uint64_t now_ns = cli_now_ns();

  d->writing = false;
  while (d->out_at < d->out_len || drive_seal(d, now_ns)) {
    ssize_t n = write(d->fd, d->out + d->out_at, d->out_len - d->out_at);

    if (n <= 0) {
      d->writing = n < 0 && errno == EAGAIN;
      return;
    }
    d->out_at += (size_t)n;
    cmt_conn_consume(d->r->conn, (size_t)n, now_ns);
    now_ns = cli_now_ns();
  }
}

/* What lies in the socket when a deadline is over may have come in time. */
static void drive_catch_up(drive *d) {
  uint64_t now_ns = cli_now_ns();
  int unread = 0;

  if ((now_ns < cmt_conn_deadline(d->r->conn) && now_ns < d->give_up_ns) ||
      ioctl(d->fd, FIONREAD, &unread) != 0) {
    return;
  }
  while (unread > 0 && !d->ended && cmt_conn_wants_read(d->r->conn)) {
    drive_read(d);
    unread -= READ_SIZE;
  }
}

static void drive_tick(drive *d) {
  uint64_t now_ns = cli_now_ns();

  cmt_conn_tick(d->r->conn, now_ns);
  if (d->r->up && now_ns >= d->ping_at_ns &&
      cmt_conn_ping(d->r->conn, now_ns) == CMT_OK) {
    d->ping_at_ns = CMT_NEVER;
    if (d->p->o->wire == CMT_WIRE_LEGACY) {
      d->give_up_ns = now_ns + pong_timeout(d->p->o);
    }
  }
  if (now_ns >= d->give_up_ns) {
    cmt_conn_stop(d->r->conn, CMT_EPONG, 0, now_ns);
  }
  drive_events(d);
}

static void drive_turn(drive *d) {
  uint64_t until_ns = cmt_conn_deadline(d->r->conn);
  uint64_t now_ns = cli_now_ns();
  short wanted = cmt_conn_wants_read(d->r->conn) ? POLLIN : 0, ready;

  if (d->r->up && d->ping_at_ns < until_ns) {
    until_ns = d->ping_at_ns;
  }
  if (d->give_up_ns < until_ns) {
    until_ns = d->give_up_ns;
  }
  if (until_ns != CMT_NEVER) {
    until_ns = until_ns > now_ns ? until_ns - now_ns : 0;
  }
  cli_waiter_wait_fd(&d->p->io->wait, until_ns, d->fd,
                     (short)(d->writing ? wanted | POLLOUT : wanted), &ready);
  if (d->p->io->wait.interrupted) {
    set_why(d->r, CMT_ECANCELED, CMT_STAGE_UP, "interrupted");
    d->ended = true;
  } else if ((ready & ~POLLOUT) != 0) {
    drive_read(d);
  }
}

/* One connection with one address. */
static void probe_address(const cli_prober *p, const cli_address *address,
                          cli_probe_result *r) {
  drive *d = cli_alloc(1, sizeof *d);

  *r = (cli_probe_result){0};
  r->rtt_ns = cli_alloc(p->o->pings, sizeof *r->rtt_ns);
  d->p = p;
  d->r = r;
  d->ping_at_ns = CMT_NEVER;
  d->give_up_ns = CMT_NEVER;
  if (drive_connect(d, address)) {
    d->begin_ns = cli_now_ns();
    if (drive_conn(d)) {
      while (!d->ended) {
        drive_catch_up(d);
        drive_tick(d);
        drive_write(d);
        if (!d->ended) {
          drive_turn(d);
        }
      }
      drive_write(d); /* What is still owed after a failure. */
    }
    close(d->fd);
  }
  free(d);
}

/* Whether the node that was meant is there, whatever became of it. */
static bool is_found(const cli_prober *p, const cli_probe_result *r) {
  return r->id != NULL &&
         (p->expect_id == NULL || cmt_node_id_equal(p->expect_id, r->id));
}

/* An interruption, then what came further, then what the other side is to blame
   for; of equals the last. */
static bool is_more_telling(const cmt_why *why, const cmt_why *before) {
  bool theirs = cmt_err_class_of(why->err) == CMT_CLASS_PEER;
  bool theirs_before = cmt_err_class_of(before->err) == CMT_CLASS_PEER;

  if (why->err == CMT_ECANCELED) {
    return true;
  }
  return why->stage != before->stage ? why->stage > before->stage
                                     : theirs || !theirs_before;
}

/* Keeps one of the failures |r| and |other|, in |r|. */
static void keep_one(cli_probe_result *r, cli_probe_result *other) {
  if (is_more_telling(&other->why, &r->why)) {
    cli_probe_result_fini(r);
    *r = *other;
  } else {
    cli_probe_result_fini(other);
  }
}

void cli_prober_run(cli_prober *p, const cli_address *addresses, size_t count,
                    cli_probe_result *r) {
  size_t first = p->first;

  probe_address(p, &addresses[first], r);
  for (size_t i = 1; i <= count; i++) {
    cli_probe_result next;

    if (r->ok || is_found(p, r)) {
      return;
    }
    if (i == count || p->io->wait.interrupted) {
      break;
    }
    p->first = (first + i) % count;
    probe_address(p, &addresses[p->first], &next);
    if (next.ok || is_found(p, &next)) {
      cli_probe_result_fini(r);
      *r = next;
    } else {
      keep_one(r, &next);
    }
  }
}

void cli_probe_result_fini(cli_probe_result *r) {
  cmt_conn_delete(r->conn);
  free(r->rtt_ns);
  *r = (cli_probe_result){0};
}
