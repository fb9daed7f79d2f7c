/* SPDX-License-Identifier: Apache-2.0 */

/* A program that uses every struct of the public headers that may grow.
   growth_test.py compiles it with headers of one version and links it with a
   library of another one.  GROWN: the headers are the later ones, whose structs
   have a field |grown| that the library does not have. */

#define _DEFAULT_SOURCE /* mkdtemp() */
#include <cometp2p/cometp2p.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef WITH_PROTOBUF
#include <cometp2p/protobuf.h>
#endif

enum { CHAT = 0x51, BULK = 0x52, OTHER = 0x61 };

#define CHECK(cond)                                                            \
  ((cond)                                                                      \
     ? (void)0                                                                 \
     : (printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #cond), exit(1)))

#ifdef GROWN
/* A struct that the library filled in: what it does not have is 0. */
#define CHECK_FILLED(s) CHECK((s).size == sizeof(s) && (s).grown == 0)
/* A struct that is refused, since a field is set that the library lacks. */
#define CHECK_REFUSED(s, call)                                                 \
  do {                                                                         \
    (s).grown = 1;                                                             \
    CHECK((call) == CMT_EINVAL);                                               \
    (s).grown = 0;                                                             \
  } while (0)
#else
#define CHECK_FILLED(s) CHECK((s).size == sizeof(s))
#define CHECK_REFUSED(s, call) ((void)0)
#endif

/* Each struct is filled in by the library where something else was before. */
#define DIRTY(s) memset(&(s), 0xa5, sizeof(s))

static const cmt_channel channels[] = {
  {.id = CHAT, .priority = 1, .name = "chat"},
  {.id = BULK, .priority = 9, .recv_message_max = 1000},
};
static const cmt_channel others[] = {{.id = OTHER, .priority = 1}};

/* ---- environments ---- */

static size_t allocated;

static void *count_alloc(void *arg, size_t len) {
  (void)arg;
  allocated++;
  return malloc(len);
}

static void count_free(void *arg, void *p) {
  (void)arg;
  free(p);
}

static void env_init(cmt_env *env) {
  cmt_buf *b;

  DIRTY(*env);
  CHECK(cmt_env_init(env) == CMT_OK);
  CHECK_FILLED(*env);
  env->alloc = count_alloc;
  env->free = count_free;
  b = cmt_buf_copy(env, "x", 1);
  CHECK(b != NULL && allocated == 1);
  cmt_buf_unref(b);
#ifdef GROWN
  env->grown = 1;
  CHECK(cmt_buf_copy(env, "x", 1) == NULL);
  env->grown = 0;
#endif
}

/* ---- a secret connection alone ---- */

/* Gives |to| what |from| has to send; true: |to| is up with that. */
static bool secret_carry(cmt_secret_conn *from, cmt_secret_conn *to) {
  cmt_bytes out = cmt_secret_conn_output(from);
  cmt_secret_conn_event event;
  uint8_t bytes[4096];
  bool up = false;

  CHECK(out.len > 0 && out.len <= sizeof bytes);
  memcpy(bytes, out.base, out.len);
  cmt_secret_conn_consume(from, out.len);
  CHECK(cmt_secret_conn_recv(to, bytes, out.len) == CMT_OK);
  DIRTY(event);
  while (cmt_secret_conn_next_event(to, &event)) {
    CHECK_FILLED(event);
    CHECK(event.kind == CMT_SECRET_CONN_UP);
    up = true;
    DIRTY(event);
  }
  return up;
}

static void secret_check(const cmt_env *env) {
  cmt_secret_conn *from, *to;
  cmt_node_key *key;

  CHECK(cmt_node_key_generate(env, &key) == CMT_OK);
  CHECK(cmt_secret_conn_new(env, key, &from) == CMT_OK);
  CHECK(cmt_secret_conn_new(env, key, &to) == CMT_OK);
  CHECK(!secret_carry(from, to));
  CHECK(secret_carry(to, from));
  CHECK(secret_carry(from, to));
  cmt_secret_conn_delete(from);
  cmt_secret_conn_delete(to);
  cmt_node_key_delete(key);
}

/* ---- a multiplexer alone ---- */

static cmt_mconn *mconn_new(const cmt_env *env) {
  cmt_mconn_options o;
  cmt_mconn *m;

  DIRTY(o);
  cmt_mconn_options_init(&o);
  CHECK_FILLED(o);
  o.env = env;
  o.channels = channels;
  o.channel_count = 2;
  CHECK_REFUSED(o, cmt_mconn_new(&o, 0, &m, NULL));
  CHECK(cmt_mconn_new(&o, 0, &m, NULL) == CMT_OK);
  return m;
}

/* A multiplexer keeps what it needs of its group. */
static void group_check(const cmt_env *env) {
  cmt_conn_group_options o;
  cmt_mconn_options m;
  cmt_conn_group *group;
  cmt_mconn *mconn;

  DIRTY(o);
  cmt_conn_group_options_init(&o);
  CHECK_FILLED(o);
  o.env = env;
  o.channels = channels;
  o.channel_count = 2;
  o.recv_bytes_total_max = 1 << 20;
  CHECK_REFUSED(o, cmt_conn_group_new(&o, 0, &group, NULL));
  CHECK(cmt_conn_group_new(&o, 0, &group, NULL) == CMT_OK);
  DIRTY(m);
  cmt_mconn_options_init(&m);
  m.group = group;
  CHECK(cmt_mconn_new(&m, 0, &mconn, NULL) == CMT_OK);
  cmt_conn_group_delete(group);
  CHECK(cmt_mconn_get_status(mconn, NULL, 0) == 2);
  cmt_mconn_delete(mconn);
}

static void mconn_check(const cmt_env *env) {
  cmt_mconn *from = mconn_new(env), *to = mconn_new(env);
  cmt_buf *msg = cmt_buf_copy(env, "hello", 5);
  cmt_channel_status status[3];
  cmt_mconn_event event;
  uint8_t bytes[4096];
  size_t len;

  CHECK(cmt_mconn_write_min(from) <= sizeof bytes);
  CHECK(cmt_mconn_try_send(from, BULK, msg) == CMT_OK);
  len = cmt_mconn_write(from, bytes, sizeof bytes, 0);
  CHECK(cmt_mconn_recv(to, bytes, len, 0) == CMT_OK);
  DIRTY(event);
  CHECK(cmt_mconn_next_event(to, &event));
  CHECK_FILLED(event);
  CHECK(event.kind == CMT_MCONN_MESSAGE && event.channel == BULK);
  CHECK(cmt_buf_bytes(event.msg).len == 5);
  CHECK(!cmt_mconn_next_event(to, &event));
  cmt_mconn_consume(from, len, 0);
  DIRTY(status);
  CHECK(cmt_mconn_get_status(from, status, 3) == 2);
  CHECK(status[0].id == CHAT && status[0].sent_messages == 0);
  CHECK(status[1].id == BULK && status[1].sent_messages == 1);
  CHECK(status[2].id == 0xa5);
  cmt_mconn_delete(from);
  cmt_mconn_delete(to);
}

/* ---- two connections without I/O ---- */

typedef struct side {
  cmt_conn *conn;
  int ups, infos, messages;
  cmt_err end; /* CMT_OK: it has not ended. */
} side;

static void side_init(side *s, const cmt_env *env) {
  cmt_node_info info = {.moniker = cmt_bytes_of("side"),
                        .network = cmt_bytes_of("net"),
                        .version = cmt_bytes_of("1"),
                        .protocol_p2p = 8,
                        .protocol_block = 11};
  cmt_conn_options o;
  cmt_node_key *key;

  memset(s, 0, sizeof *s);
  CHECK(cmt_node_key_generate(env, &key) == CMT_OK);
  DIRTY(o);
  cmt_conn_options_init(&o);
  CHECK_FILLED(o);
  o.env = env;
  o.key = key;
  o.node_info = &info;
  o.channels = channels;
  o.channel_count = 2;
  CHECK_REFUSED(o, cmt_conn_new(&o, 0, &s->conn, NULL));
  CHECK(cmt_conn_new(&o, 0, &s->conn, NULL) == CMT_OK);
  cmt_node_key_delete(key);
}

static void side_events(side *s) {
  cmt_conn_event event;

  DIRTY(event);
  while (cmt_conn_next_event(s->conn, &event)) {
    CHECK_FILLED(event);
    s->infos += event.kind == CMT_CONN_NODE_INFO;
    s->ups += event.kind == CMT_CONN_UP;
    if (event.kind == CMT_CONN_MESSAGE) {
      CHECK(event.channel == CHAT && event.msg != NULL);
      CHECK(event.id != NULL && event.node_info != NULL && event.err == CMT_OK);
      s->messages++;
    } else if (event.kind == CMT_CONN_END) {
      s->end = event.err;
    }
    DIRTY(event);
  }
  CHECK_FILLED(event);
}

/* Moves the bytes of |from|; returns whether there were any. */
static bool side_pump(side *from, side *to) {
  static uint8_t bytes[CMT_CONN_WRITE_ROOM];
  size_t len = cmt_conn_write(from->conn, bytes, sizeof bytes, 0);

  if (len > 0) {
    CHECK(cmt_conn_recv(to->conn, bytes, len, 0) == CMT_OK);
    side_events(to);
    cmt_conn_consume(from->conn, len, 0);
  }
  return len > 0;
}

static void conn_check(const cmt_env *env) {
  side a, b;
  bool any = true;

  side_init(&a, env);
  side_init(&b, env);
  while (any) {
    any = side_pump(&a, &b);
    any = side_pump(&b, &a) || any;
  }
  CHECK(a.ups == 1 && b.ups == 1 && a.infos == 1 && b.infos == 1);
  CHECK(cmt_conn_try_send(a.conn, CHAT, cmt_buf_copy(env, "hi", 2), 0) ==
        CMT_OK);
  CHECK(side_pump(&a, &b));
  CHECK(b.messages == 1);
  cmt_conn_stop(a.conn, CMT_ECANCELED, 0, 0);
  side_events(&a);
  CHECK(a.end == CMT_ECANCELED);
  cmt_conn_delete(a.conn);
  cmt_conn_delete(b.conn);
}

/* ---- two switches ---- */

typedef struct node {
  cmt_switch *sw;
  cmt_mailbox *chat, *other;
  cmt_peer *peer; /* With a reference; NULL: none. */
  int questions, receives, inits;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
} node;

static cmt_verdict filter(void *arg, const cmt_newcomer *who,
                          const cmt_admission *request) {
  node *n = arg;

  CHECK(who->size > 0 && who->remote != NULL);
  CHECK(!who->outbound || who->id != NULL);
  CHECK((who->id == NULL) == (who->node_info == NULL));
  CHECK(request != NULL);
  n->questions++;
  return CMT_ADMIT;
}

static cmt_err on_init_peer(void *self, cmt_peer *p) {
  node *n = self;

  (void)p;
  n->inits++;
  return CMT_OK;
}

static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  (void)self;
  (void)p;
  (void)channel;
  (void)msg;
  return CMT_OK;
}

static void node_open(node *n, const cmt_env *env, const char *laddr) {
  const cmt_reactor reactors[] = {
    CMT_REACTOR("chat", channels, .delivery = CMT_DELIVER_MAILBOX, .self = n,
                .init_peer = on_init_peer),
    CMT_REACTOR("other", others, .delivery = CMT_DELIVER_INLINE, .self = n,
                .receive = on_receive),
  };
  cmt_switch_options o;
  cmt_why why;

  memset(n, 0, sizeof *n);
  DIRTY(o);
  cmt_switch_options_init(&o);
  CHECK_FILLED(o);
  o.env = env;
  o.network = "net";
  o.laddr = laddr;
  o.reactors = reactors;
  o.reactor_count = 2;
  o.filter_addr = filter;
  o.filter_peer = filter;
  o.filter_arg = n;
  o.event_reactor = "chat";
  CHECK_REFUSED(o, cmt_switch_new(&o, &n->sw, &why));
  if (cmt_switch_open(&o, &n->sw, &why) != CMT_OK) {
    printf("%s\n", why.text);
    exit(1);
  }
  n->chat = cmt_switch_mailbox(n->sw, "chat");
  CHECK(n->chat != NULL && cmt_switch_mailbox(n->sw, "other") == NULL);
  if (laddr != NULL) {
    CHECK(cmt_switch_get_laddr_text(n->sw, n->addr, sizeof n->addr) == CMT_OK);
  }
}

static void node_take(node *n, cmt_mailbox_event *ev) {
  DIRTY(*ev);
  CHECK(cmt_mailbox_next(n->chat, ev, CMT_SECONDS(20)) == CMT_OK);
  CHECK_FILLED(*ev);
}

static void node_done(node *n, cmt_mailbox_event *ev) {
  cmt_mailbox_done(n->chat, ev);
  CHECK(ev->msg == NULL && ev->peer == NULL);
}

/* Takes events until one of |kind|, and drops the others but for their peers.
   The caller does it. */
static void node_await(node *n, cmt_mailbox_event_kind kind,
                       cmt_mailbox_event *ev) {
  for (;;) {
    node_take(n, ev);
    if (ev->kind == CMT_EVENT_PEER_UP) {
      n->peer = cmt_peer_ref(ev->peer);
    }
    if (ev->kind == kind) {
      return;
    }
    node_done(n, ev);
  }
}

static void dials_check(node *from, const node *to) {
  cmt_mailbox_event ev;
  cmt_dial_status status, list[2];
  cmt_dial_options o;
  cmt_dial *d;

  DIRTY(o);
  cmt_dial_options_init(&o);
  CHECK_FILLED(o);
  o.persistent = true;
  o.arg = from;
  CHECK_REFUSED(o, cmt_switch_dial_new(from->sw, to->addr, &o, &d, NULL));
  CHECK(cmt_switch_dial_new(from->sw, to->addr, &o, &d, NULL) == CMT_OK);
  node_await(from, CMT_EVENT_OUTCOME, &ev);
  CHECK(ev.arg == from && ev.outcome->why.err == CMT_OK);
  CHECK(ev.outcome->attempt == 1 && ev.outcome->redials);
  node_done(from, &ev);
  DIRTY(status);
  cmt_dial_get_status(d, &status);
  CHECK_FILLED(status);
  CHECK(status.persistent && strcmp(status.addr, to->addr) == 0);
  DIRTY(list);
  CHECK(cmt_switch_dials(from->sw, list, 2) == 1);
  CHECK_FILLED(list[0]);
  CHECK(list[0].attempts == 1 &&
        list[1].failures == UINT64_C(0xa5a5a5a5a5a5a5a5));
  cmt_dial_cancel(d);
}

static void peers_meet(node *a, node *b) {
  cmt_mailbox_event ev;

  if (a->peer == NULL) {
    node_await(a, CMT_EVENT_PEER_UP, &ev);
    node_done(a, &ev);
  }
  if (b->peer == NULL) {
    node_await(b, CMT_EVENT_PEER_UP, &ev);
    node_done(b, &ev);
  }
  CHECK(a->inits == 1 && b->inits == 1);
  CHECK(b->questions == 2 && a->questions >= 1);
}

static void sends_check(node *a, node *b) {
  cmt_send_req req = CMT_SEND_REQ(CMT_SEND_TIMEOUT, NULL, &req);
  cmt_mailbox_event ev;
  cmt_broadcast counts;
  cmt_buf *msg = cmt_buf_copy(cmt_switch_env(a->sw), "async", 5);

  CHECK_FILLED(req);
  CHECK_REFUSED(req, cmt_peer_send_async(a->peer, CHAT, msg, &req));
  CHECK(cmt_peer_send_async(a->peer, CHAT, msg, &req) == CMT_OK);
  node_await(a, CMT_EVENT_SENT, &ev);
  CHECK(ev.arg == &req && ev.reason == CMT_OK);
  node_done(a, &ev);
  CHECK(cmt_peer_send_cancel(a->peer, &req) == CMT_EINVAL);
  DIRTY(counts);
  CHECK(cmt_switch_broadcast_bytes(a->sw, BULK, "all", 3, &counts) == CMT_OK);
  CHECK(counts.queued == 1 && counts.full + counts.no_channel == 0);
  node_await(b, CMT_EVENT_MESSAGE, &ev);
  CHECK(cmt_buf_bytes(ev.msg).len == 5 || cmt_buf_bytes(ev.msg).len == 3);
  node_done(b, &ev);
  node_await(b, CMT_EVENT_MESSAGE, &ev);
  node_done(b, &ev);
}

/* Two events at once: the elements of the array are as far from each other as
   this program expects. */
static void calls_check(node *n) {
  cmt_mailbox_event events[3];
  cmt_timer timers[2] = {{.arg = &timers[0]}, {.arg = &timers[1]}};
  cmt_post post = {.arg = &post};
  size_t count = 0;

  CHECK(cmt_switch_timer(n->sw, &timers[0], 0) == CMT_OK);
  CHECK(cmt_switch_timer(n->sw, &timers[1], 0) == CMT_OK);
  CHECK(cmt_switch_post(n->sw, &post) == CMT_OK);
  while (count < 3) {
    size_t got;

    DIRTY(events);
    got = cmt_mailbox_next_many(n->chat, events, 3, CMT_SECONDS(20));
    CHECK(got > 0);
    for (size_t i = 0; i < got; i++) {
      CHECK_FILLED(events[i]);
      CHECK(events[i].kind == CMT_EVENT_TIMER ||
            events[i].kind == CMT_EVENT_POST);
      CHECK(events[i].arg == &timers[0] || events[i].arg == &timers[1] ||
            events[i].arg == &post);
    }
    for (size_t i = 0; i < got; i++) {
      node_done(n, &events[i]);
    }
    count += got;
  }
}

static void status_check(node *n) {
  cmt_switch_status status;
  cmt_peer_status peer;

  DIRTY(status);
  cmt_switch_get_status(n->sw, &status);
  CHECK_FILLED(status);
  CHECK(status.added == 1 && status.outbound_peers == 1);
  CHECK(status.lost_events == 0);
  DIRTY(peer);
  cmt_peer_get_status(n->peer, &peer);
  CHECK_FILLED(peer);
  CHECK(peer.channel_count == 3);
  CHECK(peer.channels[0].id == CHAT && peer.channels[1].id == BULK &&
        peer.channels[2].id == OTHER);
  CHECK(cmt_switch_memory_max(n->sw) > 1000000);
}

/* A ban ends the peer, and refuses the next dial. */
static void bans_check(node *a, node *b) {
  cmt_reason_counts reasons[3];
  cmt_mailbox_event ev;
  cmt_ban ban, list[2];
  cmt_net_addr at = {.port = 1};

  DIRTY(ban);
  cmt_ban_init(&ban);
  CHECK_FILLED(ban);
  snprintf(ban.subject, sizeof ban.subject, "127.0.0.0/8");
  CHECK_REFUSED(ban, cmt_switch_ban(a->sw, &ban, NULL));
  CHECK(cmt_switch_ban(a->sw, &ban, NULL) == CMT_OK);
  CHECK(cmt_switch_ban(a->sw, &ban, NULL) == CMT_OK); /* Again. */
  snprintf(ban.subject, sizeof ban.subject, "::1");
  CHECK(cmt_switch_ban(a->sw, &ban, NULL) == CMT_OK);
  DIRTY(list);
  CHECK(cmt_switch_bans(a->sw, list, 2) == 2);
  for (int i = 0; i < 2; i++) {
    CHECK_FILLED(list[i]);
    CHECK(strcmp(list[i].subject, "127.0.0.0/8") == 0 ||
          strcmp(list[i].subject, "::1") == 0);
  }
  DIRTY(list);
  snprintf(at.host, sizeof at.host, "127.1.2.3");
  CHECK(cmt_switch_find_ban(a->sw, &at, &list[0]));
  CHECK_FILLED(list[0]);
  CHECK(strcmp(list[0].subject, "127.0.0.0/8") == 0);
  node_await(a, CMT_EVENT_PEER_GONE, &ev);
  CHECK(ev.reason == CMT_EBANNED);
  node_done(a, &ev);
  CHECK(cmt_switch_dial(a->sw, b->addr, 0, NULL) == CMT_OK);
  node_await(a, CMT_EVENT_REJECTED, &ev);
  CHECK(ev.rejection->outbound && ev.rejection->why.err == CMT_EBANNED);
  CHECK(strcmp(ev.rejection->dialed, b->addr) == 0);
  node_done(a, &ev);
  DIRTY(reasons);
  CHECK(cmt_switch_reasons(a->sw, reasons, 3) == 1);
  CHECK_FILLED(reasons[0]);
  CHECK(reasons[0].reason == CMT_EBANNED && reasons[0].rejected == 1 &&
        reasons[0].removed == 1);
  CHECK(reasons[1].rejected == UINT64_C(0xa5a5a5a5a5a5a5a5));
}

static void networks_check(node *n) {
  cmt_network net;

  DIRTY(net);
  cmt_network_init(&net);
  CHECK_FILLED(net);
  net.name = "other";
  CHECK_REFUSED(net, cmt_switch_set_network(n->sw, &net, NULL));
  CHECK(cmt_switch_set_network(n->sw, &net, NULL) == CMT_OK);
  CHECK(cmt_switch_remove_network(n->sw, "other"));
}

static void metrics_check(const cmt_env *env, node *n) {
  cmt_metrics_options o;
  cmt_metrics *m;
  cmt_buf *page;

  DIRTY(o);
  cmt_metrics_options_init(&o);
  CHECK_FILLED(o);
  o.env = env;
  o.chain_id = "net";
  o.sw = n->sw;
  CHECK_REFUSED(o, cmt_metrics_new(&o, &m, NULL));
  CHECK(cmt_metrics_new(&o, &m, NULL) == CMT_OK);
  CHECK(cmt_metrics_page(&m, 1, &page) == CMT_OK);
  cmt_buf_unref(page);
  cmt_metrics_delete(m);
}

static void probe_check(const cmt_env *env, const node *n) {
  cmt_probe_result *result;
  cmt_probe_options o;
  cmt_why why;

  DIRTY(o);
  cmt_probe_options_init(&o);
  CHECK_FILLED(o);
  o.env = env;
  CHECK_REFUSED(o, cmt_probe(&o, n->addr, &result, &why));
  CHECK(cmt_probe(&o, n->addr, &result, &why) == CMT_OK);
  CHECK(result->size > 0 && result->why.err == CMT_OK);
  CHECK(strstr(n->addr, result->id.text) == n->addr);
  CHECK(result->node_info.network.len == strlen("net"));
  cmt_probe_result_delete(result);
}

/* ---- homes ---- */

static void count_file(void *arg, const char *path, bool made) {
  CHECK(path != NULL && made);
  ++*(int *)arg;
}

static void home_init_check(const cmt_env *env, const char *dir) {
  cmt_home_init_options o;
  cmt_why why;
  int files = 0;

  DIRTY(o);
  cmt_home_init_options_init(&o);
  CHECK_FILLED(o);
  o.env = env;
  o.dir = dir;
  o.chain_id = "net";
  o.on_file = count_file;
  o.arg = &files;
  CHECK_REFUSED(o, cmt_home_init(&o, &why));
  CHECK(cmt_home_init(&o, &why) == CMT_OK);
  CHECK(files == 3);
}

static void home_remove(const char *dir) {
  static const char *const names[] = {"config/config.toml",
                                      "config/genesis.json",
                                      "config/node_key.json",
                                      "config",
                                      "data",
                                      ""};
  char path[300];

  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, names[i]);
    CHECK(remove(path) == 0);
  }
}

static void home_check(const cmt_env *env) {
  cmt_home_value value = {.key = "p2p.max_num_inbound_peers", .value = "7"};
  char dir[] = "/tmp/cometp2p-growth-XXXXXX";
  const cmt_home_settings *settings;
  cmt_switch_options options;
  const char *chain_id;
  cmt_home_options o;
  cmt_home *h;
  cmt_why why;

  CHECK(mkdtemp(dir) != NULL);
  home_init_check(env, dir);
  DIRTY(o);
  cmt_home_options_init(&o);
  CHECK_FILLED(o);
  o.env = env;
  o.dir = dir;
  o.values = &value;
  o.value_count = 1;
  CHECK_REFUSED(o, cmt_home_open(&o, &h, &why));
  CHECK_REFUSED(value, cmt_home_open(&o, &h, &why));
  CHECK(cmt_home_open(&o, &h, &why) == CMT_OK);
  settings = cmt_home_get_settings(h);
  CHECK(settings->size > 0 && settings->max_num_inbound_peers == 7);
  CHECK(cmt_home_load_chain_id(h, &chain_id, &why) == CMT_OK);
  cmt_switch_options_init(&options);
  cmt_home_set_switch(h, &options);
  CHECK_FILLED(options);
  CHECK(options.inbound_peers_max == 7 && options.network == chain_id);
  cmt_home_delete(h);
  home_remove(dir);
}

static void switch_check(const cmt_env *env) {
  node a, b;

  node_open(&a, env, NULL);
  node_open(&b, env, "127.0.0.1:0");
  dials_check(&a, &b);
  peers_meet(&a, &b);
  sends_check(&a, &b);
  calls_check(&a);
  status_check(&a);
  bans_check(&a, &b);
  networks_check(&a);
  metrics_check(env, &a);
  probe_check(env, &b);
  cmt_peer_unref(a.peer);
  cmt_peer_unref(b.peer);
  cmt_mailbox_close(a.chat);
  cmt_mailbox_close(b.chat);
  CHECK(cmt_switch_close(a.sw, 0) == CMT_OK);
  CHECK(cmt_switch_close(b.sw, 0) == CMT_OK);
}

/* ---- address book ---- */

static cmt_net_addr node_addr(const char *text) {
  cmt_net_addr a;

  CHECK(cmt_net_addr_parse(text, 0, &a, NULL) == CMT_OK);
  return a;
}

static void book_bans_check(cmt_addrbook *b, const cmt_net_addr *a) {
  cmt_addrbook_ban ban;

  DIRTY(ban);
  cmt_addrbook_ban_init(&ban);
  CHECK_FILLED(ban);
  ban.kind = CMT_ADDRBOOK_WRONG_ID;
  ban.addr = *a;
  ban.end_ns = CMT_SECONDS(9);
  CHECK_REFUSED(ban, cmt_addrbook_bar(b, &ban, 1));
  CHECK(cmt_addrbook_bar(b, &ban, 1) == CMT_OK);
  CHECK(cmt_addrbook_is_barred(b, a, 1));
}

static void snapshot_check(cmt_addrbook *b, const cmt_net_addr *a) {
  cmt_addrbook_snapshot *s;
  cmt_addrbook_entry e;
  cmt_addrbook_ban ban;

  CHECK(cmt_addrbook_snapshot_new(b, &s) == CMT_OK);
  DIRTY(e);
  CHECK(cmt_addrbook_snapshot_get(s, 0, &e));
  CHECK_FILLED(e);
  CHECK(strcmp(e.addr.host, "5.6.7.8") == 0 && e.other_count == 0);
  DIRTY(ban);
  CHECK(cmt_addrbook_snapshot_get_ban(s, 0, &ban));
  CHECK_FILLED(ban);
  CHECK(cmt_node_id_equal(&ban.addr.id, &a->id));
  cmt_addrbook_snapshot_delete(s);
  cmt_addrbook_remove(b, &e.addr.id);
  CHECK_REFUSED(e, cmt_addrbook_restore(b, &e));
  CHECK(cmt_addrbook_restore(b, &e) == CMT_OK);
  DIRTY(e);
  CHECK(!cmt_addrbook_get(b, &a->id, &e));
}

static void book_file_check(const cmt_env *env) {
  cmt_addrbook_file_status status;
  cmt_addrbook_options o;
  cmt_addrbook_file *f;

  cmt_addrbook_options_init(&o);
  o.env = env;
  CHECK_REFUSED(o,
                cmt_addrbook_file_open("no-such-book.json", &o, 1, &f, NULL));
  CHECK(cmt_addrbook_file_open("no-such-book.json", &o, 1, &f, NULL) == CMT_OK);
  DIRTY(status);
  cmt_addrbook_file_get_status(f, &status);
  CHECK_FILLED(status);
  CHECK(status.loaded == 0 && !status.saving);
  cmt_addrbook_file_close(f);
}

static void pex_check(const cmt_env *env, cmt_addrbook *b) {
  cmt_pex_options o;
  cmt_pex_status status;
  cmt_pex *p;

  DIRTY(o);
  cmt_pex_options_init(&o);
  CHECK_FILLED(o);
  o.env = env;
  o.book = b;
  CHECK_REFUSED(o, cmt_pex_new(&o, &p, NULL));
  CHECK(cmt_pex_new(&o, &p, NULL) == CMT_OK);
  DIRTY(status);
  cmt_pex_get_status(p, &status);
  CHECK_FILLED(status);
  CHECK(status.peers == 0 && !status.online);
  cmt_pex_delete(p);
}

static void book_check(const cmt_env *env) {
  cmt_net_addr a = node_addr("1111111111111111111111111111111111111111"
                             "@5.6.7.8:1");
  cmt_net_addr wrong = node_addr("2222222222222222222222222222222222222222"
                                 "@5.6.7.8:1");
  cmt_addrbook_options o;
  cmt_addrbook_proof p;
  cmt_addrbook_query q;
  cmt_addrbook_status status;
  cmt_addrbook *b;

  DIRTY(o);
  cmt_addrbook_options_init(&o);
  CHECK_FILLED(o);
  o.env = env;
  CHECK_REFUSED(o, cmt_addrbook_new(&o, &b, NULL));
  CHECK(cmt_addrbook_new(&o, &b, NULL) == CMT_OK);
  DIRTY(p);
  cmt_addrbook_proof_init(&p);
  CHECK_FILLED(p);
  p.addr = &a;
  CHECK_REFUSED(p, cmt_addrbook_proved(b, &p, 1));
  CHECK(cmt_addrbook_proved(b, &p, 1) == CMT_OK);
  book_bans_check(b, &wrong);
  snapshot_check(b, &wrong);
  DIRTY(q);
  cmt_addrbook_query_init(&q);
  CHECK_FILLED(q);
  CHECK(cmt_addrbook_select(b, &q, &a, 1, 1) == 1);
  DIRTY(status);
  cmt_addrbook_get_status(b, &status);
  CHECK_FILLED(status);
  CHECK(status.entries == 1 && status.bans == 1);
  pex_check(env, b);
  cmt_addrbook_delete(b);
}

/* ---- typed messages ---- */

#ifdef WITH_PROTOBUF
static cmt_err on_message(void *self, cmt_peer *p, uint8_t channel,
                          const struct ProtobufCMessage *msg, cmt_buf *packed) {
  (void)self;
  (void)p;
  (void)channel;
  (void)msg;
  (void)packed;
  return CMT_OK;
}

static void protobuf_check(void) {
  static const char any_type[64]; /* Nothing looks into it before a message. */
  const cmt_protobuf_type types[] = {
    {CHAT, (const void *)any_type},
    {BULK, (const void *)any_type},
  };
  cmt_protobuf_reactor r;
  struct {
    cmt_reactor reactor;
    uint64_t guard;
  } out;

  DIRTY(r);
  cmt_protobuf_reactor_init(&r);
  CHECK_FILLED(r);
  r.base =
    (cmt_reactor){.name = "typed", .channels = channels, .channel_count = 2};
  r.types = types;
  r.type_count = 2;
  r.receive = on_message;
  DIRTY(out);
  CHECK_REFUSED(r, cmt_protobuf_reactor_wrap(&r, &out.reactor, NULL));
  CHECK(cmt_protobuf_reactor_wrap(&r, &out.reactor, NULL) == CMT_OK);
  CHECK(strcmp(out.reactor.name, "typed") == 0);
  CHECK(out.reactor.self == &r && out.reactor.receive != NULL);
  CHECK(out.guard == UINT64_C(0xa5a5a5a5a5a5a5a5));
}
#else
static void protobuf_check(void) {}
#endif

/* ---- errors ---- */

#ifdef GROWN
/* The library does not know it. */
static void errors_check(void) {
  CHECK(strcmp(cmt_err_name(CMT_EGROWN), "CMT_E?") == 0);
  CHECK(cmt_err_class_of(CMT_EGROWN) == CMT_CLASS_CALLER);
}
#else
/* This program does not know the one at -99. */
static void errors_check(void) {
  CHECK(strcmp(cmt_err_name((cmt_err)-99), "CMT_EGROWN") == 0);
  CHECK(strcmp(cmt_err_name(CMT_EFLOOD), "CMT_EFLOOD") == 0);
}
#endif

int main(void) {
  cmt_library libraries[8];
  cmt_env env;

  CHECK(cmt_libraries(libraries, 8) >= 2);
  errors_check();
  env_init(&env);
  group_check(&env);
  secret_check(&env);
  mconn_check(&env);
  conn_check(&env);
  home_check(&env);
  switch_check(&env);
  book_check(&env);
  book_file_check(&env);
  protobuf_check();
  printf("all as it should be\n");
  return 0;
}
