/* SPDX-License-Identifier: Apache-2.0 */
/* What a seed does, and for whom, with nodes of bench_world.h:

     bench_visits crowd --count N           answers for all nodes, and tells of
                                            the first N; until its input ends
     bench_visits book --path FILE --port P --count N
                                            writes an address book of N nodes
                                            that were all reached just now, half
                                            of them in old buckets
     bench_visits visit --addr A --network C --port P --first I --count N
                        --seconds S --pid PROCESS [--visitors V]
                                            N visits at a time by the V nodes
                                            from I on, at least one for each of
                                            the N
     bench_visits silent --addr A --count N --senders K
                                            N connections from K addresses that
                                            say nothing; until its input ends

   A visit is a connection of a node that asks for addresses: it begins before
   the SYN and ends with the FIN of the seed.  |PROCESS| is the seed, whose
   processor time is reported. */

#include "bench_crowd.h"
#include "bench_world.h"

#include "pex/pex_msg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  READ = 65536,
  READY = 64,
  NAMED = 30,      /* Addresses in an answer of the crowd. */
  VISITORS = 4096, /* Nodes that take turns. */
  AT_A_TIME_MAX = 1024,
  VISITS_MAX = 1 << 20,
  CROWD_MAX = 4000, /* Connections. */
};

static _Noreturn void die(const char *what, const char *text) {
  fprintf(stderr, "bench_visits: %s: %s\n", what, text);
  exit(1);
}

static _Noreturn void die_errno(const char *what) {
  die(what, strerror(errno));
}

static uint64_t utc_ns(void) {
  struct timespec t;

  clock_gettime(CLOCK_REALTIME, &t);
  return CMT_SECONDS((uint64_t)t.tv_sec) + (uint64_t)t.tv_nsec;
}

static void *zeroed(size_t count, size_t size) {
  void *p = calloc(count, size);

  if (p == NULL) {
    die("start", "no memory");
  }
  return p;
}

static void watch(int epoll, int fd, void *arg) {
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = arg};

  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
    die_errno("epoll");
  }
}

static int new_epoll(void) {
  int epoll = epoll_create1(0);

  if (epoll < 0) {
    die_errno("epoll");
  }
  return epoll;
}

/* ---- a book ---- */

/* Whatever the book takes: a bucket may be full. */
static void book_add(cmt_addrbook *b, uint32_t node, uint16_t port,
                     uint64_t now_ns) {
  cmt_net_addr addr, src;
  cmt_addrbook_proof p;

  bench_world_addr(node, port, &addr);
  bench_world_addr(node * 7 + 3, port, &src);
  if (cmt_addrbook_add(b, &addr, &src, now_ns) != CMT_OK) {
    return;
  }
  cmt_addrbook_proof_init(&p);
  p.addr = &addr;
  p.version = "0.40.0";
  p.height = 1000;
  if (cmt_addrbook_proved(b, &p, now_ns) == CMT_OK && node % 2 == 0) {
    cmt_addrbook_good(b, &addr.id, now_ns);
  }
}

static int run_book(const bench_args *a) {
  cmt_addrbook_status status = {.entries = 0};
  const uint64_t now_ns = utc_ns();
  cmt_addrbook_options o;
  cmt_addrbook_file *f;
  cmt_why why;

  cmt_addrbook_options_init(&o);
  o.allow_unroutable = true;
  if (a->path == NULL ||
      cmt_addrbook_file_open(a->path, &o, now_ns, &f, &why) != CMT_OK) {
    die("book", a->path == NULL ? "no path" : why.text);
  }
  for (uint32_t i = 0; status.entries < a->count && i < BENCH_WORLD_MAX; i++) {
    book_add(cmt_addrbook_file_book(f), i, (uint16_t)a->port, now_ns);
    cmt_addrbook_get_status(cmt_addrbook_file_book(f), &status);
  }
  if (cmt_addrbook_file_save(f, now_ns, &why) != CMT_OK) {
    die("book", why.text);
  }
  printf("{\"event\":\"result\",\"role\":\"book\",\"entries\":%zu,\"old\":%zu,"
         "\"proven\":%zu}\n",
         status.entries, status.old_entries, status.proven);
  cmt_addrbook_file_close(f);
  return status.entries == a->count ? 0 : 1;
}

/* ---- the crowd ---- */

typedef struct member {
  cmt_conn *conn;
  int fd;
} member;

typedef struct crowd {
  int epoll, listener;
  uint16_t port;
  uint32_t named; /* Nodes that its answers name. */
  uint32_t next;
} crowd;

/* On all addresses of loopback, and on no other interface. */
static int listen_everywhere(uint16_t *port) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_ANY)};
  socklen_t len = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) != 0 ||
      bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
      listen(fd, SOMAXCONN) != 0 ||
      getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
    die_errno("listen");
  }
  *port = ntohs(at.sin_port);
  return fd;
}

/* As the node whose address was dialed. */
static void crowd_accept(crowd *c) {
  struct sockaddr_in at;
  socklen_t len = sizeof at;
  int fd = accept4(c->listener, NULL, NULL, SOCK_NONBLOCK);
  bench_world_self self = {.network = "any", .port = c->port};
  cmt_node_key *key;
  member *m;

  if (fd < 0) {
    return; /* It has left already. */
  }
  if (getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
    die_errno("accept");
  }
  m = zeroed(1, sizeof *m);
  self.key = key = bench_world_key(bench_world_node(at.sin_addr));
  *m = (member){bench_world_conn(&self, true), fd};
  cmt_node_key_delete(key); /* The connection has a reference of its own. */
  watch(c->epoll, fd, m);
}

static bool crowd_answer(crowd *c, const member *m) {
  static cmt__book_addr addrs[NAMED];
  static const cmt__book_addr *each[NAMED];
  cmt_buf *msg;

  for (size_t i = 0; i < NAMED && i < c->named; i++) {
    cmt_net_addr addr;

    bench_world_addr(c->next++ % c->named, c->port, &addr);
    if (cmt__book_addr_read(&addr, false, &addrs[i]) != CMT_OK) {
      die("answer", addr.host);
    }
    each[i] = &addrs[i];
  }
  msg = cmt__pex_new_addrs(bench_crowd_env(), each,
                           c->named < NAMED ? c->named : NAMED);
  if (msg == NULL) {
    die("answer", "no memory");
  }
  if (cmt_conn_try_send(m->conn, CMT_PEX_CHANNEL, msg, bench_now_ns()) !=
      CMT_OK) {
    cmt_buf_unref(msg);
    return false;
  }
  return true;
}

static bool is_request(const cmt_conn_event *ev) {
  cmt__pex_addrs list;
  const char *fault;

  return ev->channel == CMT_PEX_CHANNEL &&
         cmt__pex_read(cmt_buf_bytes(ev->msg), &list, &fault) ==
           CMT__PEX_REQUEST;
}

/* Reads once; false: this connection is over. */
static bool member_serve(crowd *c, const member *m) {
  static uint8_t bytes[READ];
  ssize_t n = read(m->fd, bytes, sizeof bytes);
  bool lives = true;
  cmt_conn_event ev;

  if (n <= 0 ||
      cmt_conn_recv(m->conn, bytes, (size_t)n, bench_now_ns()) != CMT_OK) {
    return false;
  }
  while (lives && cmt_conn_next_event(m->conn, &ev)) {
    if (ev.kind == CMT_CONN_NODE_INFO) {
      bench_world_answer(m->conn, ev.node_info, c->port);
    } else if (ev.kind == CMT_CONN_MESSAGE && is_request(&ev)) {
      lives = crowd_answer(c, m);
    }
    lives = lives && ev.kind != CMT_CONN_END;
  }
  return lives && bench_world_write(m->conn, m->fd);
}

static void member_free(member *m) {
  cmt_conn_delete(m->conn);
  close(m->fd);
  free(m);
}

static int run_crowd(const bench_args *a) {
  crowd c = {.epoll = new_epoll(), .named = (uint32_t)a->count};
  struct epoll_event ready[READY];
  bool input = true;
  char text[64];

  bench_descriptors(CROWD_MAX);
  c.listener = listen_everywhere(&c.port);
  watch(c.epoll, c.listener, &c);
  watch(c.epoll, STDIN_FILENO, NULL);
  snprintf(text, sizeof text, "127.0.0.1:%u", c.port);
  bench_emit_ready("", text);
  while (input) {
    int count = epoll_wait(c.epoll, ready, READY, -1);

    for (int i = 0; i < count; i++) {
      if (ready[i].data.ptr == NULL) {
        input = read(STDIN_FILENO, text, sizeof text) > 0;
      } else if (ready[i].data.ptr == &c) {
        crowd_accept(&c);
      } else if (!member_serve(&c, ready[i].data.ptr)) {
        member_free(ready[i].data.ptr);
      }
    }
  }
  printf("{\"event\":\"result\",\"role\":\"crowd\"}\n");
  return 0;
}

/* ---- dials ---- */

/* A connection to |addr| from the address of |node|. */
static int dial_from(uint32_t node, const char *addr) {
  struct sockaddr_in from = {.sin_family = AF_INET,
                             .sin_addr = bench_world_host(node)};
  struct sockaddr_in to = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  cmt_net_addr at;
  cmt_why why;

  if (cmt_net_addr_parse(addr, CMT_ADDR_ID_OPTIONAL, &at, &why) != CMT_OK) {
    die("dial", why.text);
  }
  to.sin_port = htons(at.port);
  if (fd < 0 || inet_pton(AF_INET, at.host, &to.sin_addr) != 1 ||
      setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) !=
        0 ||
      bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
      connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
    die_errno("dial");
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

/* ---- visits ---- */

typedef struct visit {
  cmt_conn *conn;
  int fd;
  uint64_t begun_ns;
  size_t addresses;
  bool answered;
} visit;

typedef struct tour {
  const bench_args *a;
  int epoll;
  cmt_node_key *keys[VISITORS];
  uint32_t next, visitors;
  visit visits[AT_A_TIME_MAX];
  uint64_t times_ns[VISITS_MAX];
  size_t done;    /* With an answer and its end, */
  size_t refused; /* and ended without an answer. */
  size_t addresses, least;
} tour;

static void visit_begin(tour *t, visit *v) {
  const uint32_t at = t->next++ % t->visitors;
  const bench_world_self self = {
    .key = t->keys[at], .network = t->a->network, .port = (uint16_t)t->a->port};

  *v = (visit){.begun_ns = bench_now_ns()};
  v->fd = dial_from((uint32_t)t->a->first + at, t->a->addr);
  v->conn = bench_world_conn(&self, false);
  watch(t->epoll, v->fd, v);
  cmt_ignore(bench_world_write(v->conn, v->fd)); /* The read shows an end. */
}

static void visit_ask(const visit *v) {
  cmt_buf *msg = cmt__pex_new_request(bench_crowd_env());

  if (msg == NULL) {
    die("visit", "no memory");
  }
  if (cmt_conn_try_send(v->conn, CMT_PEX_CHANNEL, msg, bench_now_ns()) !=
      CMT_OK) {
    die("visit", "the seed has no channel for addresses");
  }
}

static void visit_take(visit *v, const cmt_conn_event *ev) {
  cmt__pex_addrs list;
  cmt_net_addr addr;
  const char *fault;

  if (ev->channel != CMT_PEX_CHANNEL ||
      cmt__pex_read(cmt_buf_bytes(ev->msg), &list, &fault) != CMT__PEX_ADDRS) {
    return;
  }
  v->answered = true;
  while (cmt__pex_next(&list, &addr)) {
    v->addresses++;
  }
}

/* Reads once; false: the seed has ended the visit. */
static bool visit_read(visit *v) {
  static uint8_t bytes[READ];
  ssize_t n = read(v->fd, bytes, sizeof bytes);
  cmt_conn_event ev;

  if (n <= 0 ||
      cmt_conn_recv(v->conn, bytes, (size_t)n, bench_now_ns()) != CMT_OK) {
    return false;
  }
  while (cmt_conn_next_event(v->conn, &ev)) {
    if (ev.kind == CMT_CONN_UP) {
      visit_ask(v);
    } else if (ev.kind == CMT_CONN_MESSAGE) {
      visit_take(v, &ev);
    } else if (ev.kind == CMT_CONN_END) {
      return false;
    }
  }
  return bench_world_write(v->conn, v->fd);
}

static void visit_end(tour *t, const visit *v) {
  if (v->answered && t->done < VISITS_MAX) {
    t->times_ns[t->done++] = bench_now_ns() - v->begun_ns;
    t->addresses += v->addresses;
    t->least =
      t->done == 1 || v->addresses < t->least ? v->addresses : t->least;
  } else {
    t->refused++;
  }
  cmt_conn_delete(v->conn);
  close(v->fd);
}

static double process_seconds(const bench_args *a) {
  struct timespec t;
  clockid_t id;

  if (a->pid == 0) {
    return 0;
  }
  if (clock_getcpuclockid((pid_t)a->pid, &id) != 0 ||
      clock_gettime(id, &t) != 0) {
    die("visit", "there is no such process");
  }
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void tour_run(tour *t) {
  const uint64_t until_ns = bench_now_ns() + (uint64_t)(t->a->seconds * 1e9);
  struct epoll_event ready[READY];

  for (size_t i = 0; i < t->a->count; i++) {
    visit_begin(t, &t->visits[i]);
  }
  while (bench_now_ns() < until_ns || t->done + t->refused < t->a->count) {
    int count = epoll_wait(t->epoll, ready, READY, -1);

    for (int i = 0; i < count; i++) {
      visit *v = ready[i].data.ptr;

      if (!visit_read(v)) {
        visit_end(t, v);
        visit_begin(t, v);
      }
    }
  }
}

static int run_visit(const bench_args *a) {
  static tour t;
  uint64_t begun_ns;
  double cpu;

  if (a->addr == NULL || a->network == NULL || a->count > AT_A_TIME_MAX) {
    die("visit", "no address, no network, or too many at a time");
  }
  t.a = a;
  t.epoll = new_epoll();
  t.visitors = a->visitors > 0 && a->visitors < VISITORS ? (uint32_t)a->visitors
                                                         : VISITORS;
  bench_descriptors(a->count);
  for (uint32_t i = 0; i < t.visitors; i++) {
    t.keys[i] = bench_world_key((uint32_t)a->first + i);
  }
  cpu = process_seconds(a);
  begun_ns = bench_now_ns();
  tour_run(&t);
  printf("{\"event\":\"result\",\"role\":\"visit\",\"visits\":%zu,"
         "\"refused\":%zu,\"addresses\":%.1f,\"addresses_least\":%zu,"
         "\"seconds\":%.6f,\"process_seconds\":%.6f",
         t.done, t.refused,
         (double)t.addresses / (double)(t.done > 0 ? t.done : 1), t.least,
         (double)(bench_now_ns() - begun_ns) / 1e9, process_seconds(a) - cpu);
  bench_print_times(t.times_ns, t.done);
  printf("}\n");
  return 0;
}

/* ---- strangers ---- */

static int run_silent(const bench_args *a) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  size_t open = 0;
  char byte;
  int *fds;

  if (a->addr == NULL) {
    die("silent", "no address");
  }
  bench_descriptors(a->count);
  fds = zeroed(a->count, sizeof *fds);
  for (size_t i = 0; i < a->count; i++) {
    fds[i] = dial_from((uint32_t)(a->first + i % a->senders), a->addr);
  }
  bench_emit_ready("", a->addr);
  while (poll(&input, 1, -1) > 0 && read(STDIN_FILENO, &byte, 1) > 0) {
  }
  for (size_t i = 0; i < a->count; i++) {
    open += recv(fds[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }
  printf("{\"event\":\"result\",\"role\":\"silent\",\"open\":%zu}\n", open);
  free(fds);
  return 0;
}

int main(int argc, char **argv) {
  static const bench_verb verbs[] = {{"crowd", run_crowd},
                                     {"book", run_book},
                                     {"visit", run_visit},
                                     {"silent", run_silent}};

  return bench_main(argc, argv, verbs, sizeof verbs / sizeof *verbs);
}
