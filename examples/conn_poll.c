/* SPDX-License-Identifier: Apache-2.0 */

/* One connection over a plain poll() loop, without a switch, a thread or a
   library that does I/O: a guest in the chat of chat.c.

     conn_poll ID@HOST:PORT

   Each line of the standard input goes to the node, each message of it to the
   standard output.  The lines "/pause" and "/resume" stop and go on reading
   from the node.  Input waits while the node has no room; its end ends the
   program, once all is sent. */

#include <cometp2p/conn.h>
#include <cometp2p/net_addr.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHAT = 0x51 };

static const cmt_channel channels[] = {{.id = CHAT, .priority = 1}};

typedef struct program {
  cmt_conn *c;
  int fd;
  bool up, typed_all, ended;
  cmt_err end;
  char typed[4000]; /* Input that is not sent yet. */
  size_t typed_len;
  uint8_t in[65536], out[CMT_CONN_WRITE_ROOM];
  size_t out_at, out_len; /* The part of |out| that is still to go. */
} program;

static uint64_t now(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return CMT_SECONDS((uint64_t)t.tv_sec) + (uint64_t)t.tv_nsec;
}

static void say(const char *text) {
  puts(text);
  fflush(stdout);
}

/* ---- what comes ---- */

static void on_event(program *x, const cmt_conn_event *e) {
  char text[4000];
  cmt_why why;

  switch (e->kind) {
  case CMT_CONN_UP:
    x->up = true;
    printf("connected with %s\n", e->id->text);
    break;
  case CMT_CONN_MESSAGE:
    cmt_text_escape(cmt_buf_bytes(e->msg), text, sizeof text);
    printf("%.8s: %s\n", e->id->text, text);
    break;
  case CMT_CONN_END:
    x->ended = true;
    x->end = e->err;
    cmt_conn_get_why(x->c, &why);
    printf("ended: %s\n", why.text);
    break;
  case CMT_CONN_NODE_INFO:
  case CMT_CONN_PONG:
    break;
  }
  fflush(stdout);
}

static void take_events(program *x) {
  cmt_conn_event e;

  while (cmt_conn_next_event(x->c, &e)) {
    on_event(x, &e);
  }
}

/* The end may be there as soon as this returns. */
static void stop(program *x, cmt_err reason, uint64_t flush_ns) {
  cmt_conn_stop(x->c, reason, flush_ns, now());
  take_events(x);
}

static void read_some(program *x) {
  ssize_t n = recv(x->fd, x->in, sizeof x->in, 0);

  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (n > 0 && cmt_conn_recv(x->c, x->in, (size_t)n, now()) == CMT_OK) {
    take_events(x);
  } else {
    stop(x, n == 0 ? CMT_EEOF : CMT_ERESET, 0);
  }
}

/* ---- what goes ---- */

/* New bytes are written only when the socket has accepted all before, so that
   the order of what waits is chosen as late as possible. */
static bool has_output(program *x) {
  if (x->out_at == x->out_len) {
    x->out_at = 0;
    x->out_len = cmt_conn_write(x->c, x->out, sizeof x->out, now());
  }
  return x->out_len > 0;
}

static void write_out(program *x) {
  while (has_output(x)) {
    ssize_t n =
      send(x->fd, x->out + x->out_at, x->out_len - x->out_at, MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      return;
    }
    if (n < 0) {
      stop(x, CMT_ERESET, 0);
      return;
    }
    x->out_at += (size_t)n;
    cmt_conn_consume(x->c, (size_t)n, now());
  }
}

/* False: it waits for room. */
static bool send_line(program *x, const char *line, size_t len) {
  cmt_buf *msg;

  if (cmt_conn_room(x->c, CHAT) == 0) {
    return false;
  }
  msg = cmt_buf_copy(NULL, line, len);
  if (msg == NULL || cmt_conn_try_send(x->c, CHAT, msg, now()) != CMT_OK) {
    cmt_buf_unref(msg);
    say("a line is lost");
  }
  return true;
}

static bool is_line(const char *line, size_t len, const char *text) {
  return len == strlen(text) && memcmp(line, text, len) == 0;
}

static bool take_line(program *x, const char *line, size_t len) {
  if (is_line(line, len, "/pause")) {
    cmt_conn_pause(x->c, now());
    say("paused");
    return true;
  }
  if (is_line(line, len, "/resume")) {
    cmt_conn_resume(x->c, now());
    say("resumed");
    return true;
  }
  return send_line(x, line, len);
}

static bool has_line(const program *x) {
  return memchr(x->typed, '\n', x->typed_len) != NULL;
}

/* All whole lines, as far as there is room.  Once there are none left, and no
   more will come, it ends. */
static void take_lines(program *x) {
  char *end;

  while (x->up && !x->ended &&
         (end = memchr(x->typed, '\n', x->typed_len)) != NULL) {
    size_t len = (size_t)(end - x->typed);

    if (!take_line(x, x->typed, len)) {
      return;
    }
    x->typed_len -= len + 1;
    memmove(x->typed, end + 1, x->typed_len);
  }
  if (x->up && !x->ended && x->typed_all) {
    stop(x, CMT_ECANCELED, CMT_SECONDS(2));
  }
}

/* The last line may have no end, and one that is too long is cut. */
static void read_typed(program *x) {
  ssize_t n =
    read(0, x->typed + x->typed_len, sizeof x->typed - 1 - x->typed_len);

  x->typed_all = n <= 0;
  x->typed_len += n > 0 ? (size_t)n : 0;
  if (!has_line(x) && (x->typed_len == sizeof x->typed - 1 ||
                       (x->typed_all && x->typed_len > 0))) {
    x->typed[x->typed_len++] = '\n';
  }
}

/* ---- the loop ---- */

static int wait_ms(uint64_t until_ns, uint64_t now_ns) {
  if (until_ns == CMT_NEVER) {
    return -1;
  }
  return until_ns <= now_ns
           ? 0
           : (int)((until_ns - now_ns) / CMT_MILLISECONDS(1) % 3600000 + 1);
}

static void wait_for_more(program *x) {
  bool reads = cmt_conn_wants_read(x->c), waits = has_line(x);
  bool types = !x->typed_all && !waits;
  /* What was just written made room for the line. */
  bool goes_on = waits && cmt_conn_room(x->c, CHAT) > 0;
  uint64_t until_ns = goes_on ? 0 : cmt_conn_deadline(x->c);
  short in = reads ? POLLIN : 0, out = x->out_at < x->out_len ? POLLOUT : 0;
  struct pollfd fds[] = {{.fd = x->fd, .events = (short)(in | out)},
                         {.fd = types ? 0 : -1, .events = POLLIN}};

  if (poll(fds, 2, wait_ms(until_ns, now())) < 0) {
    return;
  }
  if (reads && (fds[0].revents & ~POLLOUT) != 0) {
    read_some(x);
  } else if ((fds[0].revents & (POLLERR | POLLHUP)) != 0) {
    stop(x, CMT_ERESET, 0); /* While paused nothing else would report it. */
  }
  if (fds[1].revents != 0) {
    read_typed(x);
  }
}

static void run(program *x) {
  while (!x->ended) {
    uint64_t now_ns = now();

    take_lines(x);
    if (now_ns >= cmt_conn_deadline(x->c)) {
      if (cmt_conn_wants_read(x->c)) {
        read_some(x); /* It may have come in time. */
      }
      cmt_conn_tick(x->c, now_ns);
      take_events(x);
    }
    write_out(x);
    if (!x->ended) {
      wait_for_more(x);
    }
  }
}

/* ---- the start ---- */

static int dial(const cmt_net_addr *at) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
  char port[8];
  int fd = -1;

  snprintf(port, sizeof port, "%u", at->port);
  if (getaddrinfo(at->host, port, &hints, &list) != 0) {
    return -1;
  }
  for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
    fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd >= 0 && (connect(fd, a->ai_addr, a->ai_addrlen) != 0 ||
                    fcntl(fd, F_SETFL, O_NONBLOCK) != 0)) {
      close(fd);
      fd = -1;
    }
  }
  freeaddrinfo(list);
  return fd;
}

static cmt_err make(program *x, const cmt_net_addr *at, cmt_why *why) {
  const cmt_node_info info = {.protocol_p2p = 8,
                              .protocol_block = 11, /* As the switch. */
                              .network = cmt_bytes_of("my-net"),
                              .version = cmt_bytes_of("1"),
                              .moniker = cmt_bytes_of("guest")};
  cmt_conn_options o;
  cmt_node_key *key;
  cmt_err err = cmt_node_key_generate(NULL, &key);

  if (err != CMT_OK) {
    snprintf(why->text, sizeof why->text, "%s", cmt_err_text(err));
    return err;
  }
  cmt_conn_options_init(&o);
  o.key = key;
  o.node_info = &info;
  o.expect_id = at->id.text[0] != '\0' ? &at->id : NULL;
  o.channels = channels;
  o.channel_count = 1;
  err = cmt_conn_new(&o, now(), &x->c, why);
  cmt_node_key_delete(key); /* The connection has its own. */
  return err;
}

int main(int argc, char **argv) {
  static program x;
  cmt_net_addr at;
  cmt_why why;

  if (argc != 2) {
    fprintf(stderr, "usage: conn_poll ID@HOST:PORT\n");
    return 2;
  }
  if (cmt_net_addr_parse(argv[1], CMT_ADDR_ID_OPTIONAL, &at, &why) != CMT_OK) {
    fprintf(stderr, "conn_poll: %s\n", why.text);
    return 2;
  }
  x.fd = dial(&at);
  if (x.fd < 0) {
    fprintf(stderr, "conn_poll: cannot connect to %s\n", argv[1]);
    return 1;
  }
  if (make(&x, &at, &why) != CMT_OK) {
    fprintf(stderr, "conn_poll: %s\n", why.text);
    return 1;
  }
  run(&x);
  cmt_conn_delete(x.c);
  close(x.fd);
  return x.end == CMT_ECANCELED ? 0 : 1;
}
