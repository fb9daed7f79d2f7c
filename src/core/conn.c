/* SPDX-License-Identifier: Apache-2.0 */
/* One whole connection.

   Design notes.  A connection is a chain of stages, each with its own rule for
   the decrypted bytes: the secret connection consumes them itself, the node
   info gathers one delimited message, the multiplexer parses packets.  Results
   are polled, as in the layers below.  The first failure, or the first stop,
   is the reason; the event CMT_CONN_END tells it after all that came before.

   What is sent lies in runs.  A run is handshake bytes, or frames that were
   sealed together; the next one is made only when every byte of the last was
   consumed.  So what is sent next is chosen as late as possible, and the place
   in the stream that the other side can have seen is known. */

#include "conn.h"

#include "mconn.h"
#include "node_info.h"
#include "node_key.h"
#include "outbuf.h"

#include <cometp2p/secret_conn.h>

enum { INFO_PREFIX_MAX = 10, RUN_FRAMES_MAX = 256 };

typedef enum conn_state {
  CONN_SECRET, /* Keys and signatures. */
  CONN_INFO,   /* Waiting for the node info. */
  CONN_CHECK,  /* It was reported, and is to be checked. */
  CONN_UP,
} conn_state;

/* What is needed until the connection is up. */
typedef struct handshake {
  bool any_network, expects;
  cmt_node_id expect;
  cmt_node_info *ours;
  uint64_t timeout_ns;
  uint8_t *in; /* Their node info with its prefix. */
  size_t in_len, in_cap;
  bool info_sent;
} handshake;

struct cmt_conn {
  cmt_env env;
  const cmt_node_key *key;
  cmt_secret_conn *secret;
  cmt_mconn *mconn;
  handshake *shake; /* NULL once up. */
  cmt_node_info *theirs;
  conn_state state;
  bool ended, end_told, stopping;
  cmt_err stop_reason;
  cmt_bytes chunk; /* Decrypted bytes not yet used. */
  uint64_t now_ns;
  uint64_t handshake_at_ns, flush_at_ns; /* Deadlines. */
  /* The run under way, and where it stands in the multiplexer's stream. */
  size_t run_len, run_taken;
  uint64_t run_from;
  bool run_is_mconn;
  cmt__outbuf out;
  cmt_why why;
};

void cmt_conn_options_init_sized(cmt_conn_options *o, size_t size) {
  cmt_mconn_options m;

  CMT_ASSERT(NULL, size == sizeof *o);
  cmt_mconn_options_init(&m);
  *o = (cmt_conn_options){
    .size = sizeof *o,
    .handshake_timeout_ns = CMT_SECONDS(3),
    .ping_interval_ns = m.ping_interval_ns,
    .pong_timeout_ns = m.pong_timeout_ns,
    .send_packet_payload_max = m.send_packet_payload_max,
    .recv_packet_payload_max = m.recv_packet_payload_max,
  };
}

/* ---- making and deleting ---- */

static void handshake_free(cmt_conn *c) {
  if (c->shake == NULL) {
    return;
  }
  cmt__free(&c->env, c->shake->ours);
  cmt__free(&c->env, c->shake->in);
  cmt__free(&c->env, c->shake);
  c->shake = NULL;
}

void cmt_conn_delete(cmt_conn *c) {
  cmt_env env;

  if (c == NULL) {
    return;
  }
  env = c->env;
  handshake_free(c);
  cmt_secret_conn_delete(c->secret);
  cmt_mconn_delete(c->mconn);
  cmt__free(&env, c->theirs);
  cmt__free(&env, c->out.base);
  cmt__free(&env, c);
}

/* Our node info, with what follows from key and channels filled in. */
static cmt_err ours_new(const cmt_env *env, const cmt_conn_options *o,
                        cmt_node_info **out, cmt_why *why) {
  uint8_t ids[CMT_CHANNELS_MAX];
  cmt_node_info info = *o->node_info;
  cmt_node_id id;

  cmt_node_key_id(o->key, &id);
  if (info.id.len == 0) {
    info.id = cmt_bytes_of(id.text);
  }
  for (size_t i = 0; i < o->channel_count; i++) {
    ids[i] = o->channels[i].id;
  }
  if (info.channels.len == 0) {
    info.channels = (cmt_bytes){.base = ids, .len = o->channel_count};
  }
  if (cmt__node_info_size(&info) > CMT_NODE_INFO_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_NODE_INFO,
                    "our node info takes %zu bytes, allowed are %d",
                    cmt__node_info_size(&info), CMT_NODE_INFO_MAX);
  }
  *out = cmt__node_info_clone(env, &info);
  return *out != NULL ? CMT_OK : CMT_ENOMEM;
}

static cmt_err handshake_new(cmt_conn *c, const cmt_conn_options *o,
                             cmt_why *why) {
  c->shake = cmt__alloc_zero(&c->env, sizeof *c->shake);
  if (c->shake == NULL) {
    return CMT_ENOMEM;
  }
  c->shake->any_network = o->any_network;
  c->shake->timeout_ns = o->handshake_timeout_ns;
  if (o->expect_id != NULL) {
    c->shake->expects = true;
    c->shake->expect = *o->expect_id;
  }
  return ours_new(&c->env, o, &c->shake->ours, why);
}

static cmt_err parts_new(cmt_conn *c, const cmt_conn_options *o, cmt_why *why) {
  cmt_mconn_options m = {
    .size = sizeof m,
    .env = &c->env,
    .channels = o->channels,
    .channel_count = o->channel_count,
    .ping_interval_ns = o->ping_interval_ns,
    .pong_timeout_ns = o->pong_timeout_ns,
    .send_packet_payload_max = o->send_packet_payload_max,
    .recv_packet_payload_max = o->recv_packet_payload_max,
    .recv_bytes_max = o->recv_bytes_max,
  };
  cmt_err err = cmt_mconn_new(&m, c->now_ns, &c->mconn, why);

  if (err == CMT_OK) {
    err = handshake_new(c, o, why);
  }
  if (err == CMT_OK) {
    err = cmt_secret_conn_new(&c->env, o->key, &c->secret);
  }
  return err;
}

static cmt_err options_check(const cmt_conn_options *o, cmt_why *why) {
  const char *fault = NULL;

  if (o->size != sizeof *o) {
    fault = "options of an unknown size: use the init macro";
  } else if (o->key == NULL) {
    fault = "key is not set";
  } else if (o->node_info == NULL) {
    fault = "node_info is not set";
  } else if (o->handshake_timeout_ns == 0) {
    fault = "handshake_timeout_ns is 0, allowed is 1 and up";
  }
  return fault == NULL
           ? CMT_OK
           : cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "%s", fault);
}

cmt_err cmt_conn_new(const cmt_conn_options *o, uint64_t now_ns, cmt_conn **out,
                     cmt_why *why) {
  cmt_err err = options_check(o, why);
  cmt_conn *c = NULL;
  cmt_env env;

  if (err != CMT_OK) {
    return err;
  }
  cmt__why(why, CMT_OK, CMT_STAGE_TRANSPORT, "%s", cmt_err_text(CMT_OK));
  err = cmt__env_copy(o->env, &env);
  if (err == CMT_OK) {
    c = cmt__alloc_zero(&env, sizeof *c);
    err = c != NULL ? CMT_OK : CMT_ENOMEM;
  }
  if (err == CMT_OK) {
    c->env = env;
    c->key = o->key;
    c->now_ns = now_ns;
    c->flush_at_ns = CMT_NEVER;
    c->handshake_at_ns = cmt__after(now_ns, o->handshake_timeout_ns);
    err = parts_new(c, o, why);
  }
  if (err != CMT_OK) {
    cmt_conn_delete(c);
    if (why != NULL && why->err == CMT_OK) {
      cmt__why(why, err, CMT_STAGE_TRANSPORT, "%s", cmt_err_text(err));
    }
    return err;
  }
  *out = c;
  return CMT_OK;
}

/* ---- ends and time ---- */

static void conn_enter(cmt_conn *c, uint64_t now_ns) {
  CMT_ASSERT(&c->env, now_ns >= c->now_ns);
  c->now_ns = now_ns;
}

static cmt_stage conn_stage(const cmt_conn *c) {
  switch (c->state) {
  case CONN_SECRET:
    return CMT_STAGE_SECRET_CONNECTION;
  case CONN_INFO:
  case CONN_CHECK:
    return CMT_STAGE_NODE_INFO;
  case CONN_UP:
    break;
  }
  return CMT_STAGE_UP;
}

/* The first end is the reason, and a graceful stop comes before whatever ends
   it early. */
static void conn_end(cmt_conn *c, cmt_err err, const char *text) {
  if (c->stopping) {
    err = c->stop_reason;
    text = cmt_err_text(err);
  }
  if (!c->ended) {
    c->ended = true;
    cmt__why(&c->why, err, conn_stage(c), "%s", text);
  }
}

static void conn_fail(cmt_conn *c, cmt_err err) {
  conn_end(c, err, cmt_err_text(err));
}

static bool run_done(const cmt_conn *c) { return c->run_taken == c->run_len; }

/* A graceful stop is over when nothing is left to be written. */
static void conn_settle(cmt_conn *c) {
  bool urgent;

  if (c->stopping && !c->ended && run_done(c) &&
      !cmt__mconn_wants_write(c->mconn, &urgent)) {
    conn_fail(c, c->stop_reason);
  }
}

void cmt_conn_stop(cmt_conn *c, cmt_err reason, uint64_t flush_ns,
                   uint64_t now_ns) {
  conn_enter(c, now_ns);
  if (c->ended || (c->stopping && flush_ns > 0)) {
    return;
  }
  if (flush_ns == 0 || c->state != CONN_UP) {
    conn_fail(c, reason);
    return;
  }
  c->stopping = true;
  c->stop_reason = reason;
  c->flush_at_ns = cmt__after(now_ns, flush_ns);
  conn_settle(c);
}

uint64_t cmt_conn_deadline(const cmt_conn *c) {
  uint64_t at =
    c->state == CONN_UP ? cmt_mconn_deadline(c->mconn) : c->handshake_at_ns;

  if (c->ended) {
    return c->end_told ? CMT_NEVER : c->now_ns;
  }
  return cmt__min64(at, c->flush_at_ns);
}

void cmt_conn_tick(cmt_conn *c, uint64_t now_ns) {
  cmt_err err;

  conn_enter(c, now_ns);
  if (c->ended) {
    return;
  }
  if (c->state != CONN_UP) {
    if (now_ns >= c->handshake_at_ns) {
      conn_fail(c, CMT_EHANDSHAKE);
    }
    return;
  }
  err = cmt_mconn_tick(c->mconn, now_ns);
  if (err != CMT_OK) {
    conn_fail(c, err);
  } else if (now_ns >= c->flush_at_ns) {
    conn_fail(c, c->stop_reason);
  }
}

/* ---- receiving ---- */

cmt_err cmt_conn_recv(cmt_conn *c, uint8_t *data, size_t len, uint64_t now_ns) {
  cmt_err err;

  conn_enter(c, now_ns);
  if (c->ended) {
    return CMT_ECLOSED;
  }
  if (c->chunk.len > 0 || cmt__mconn_has_input(c->mconn)) {
    return CMT_EINVAL;
  }
  err = cmt_secret_conn_recv(c->secret, data, len);
  if (err != CMT_OK && err != CMT_EINVAL) {
    conn_fail(c, err);
    return CMT_ECLOSED;
  }
  return err;
}

/* The other side has proved its key. */
static void authenticated(cmt_conn *c) {
  const cmt_node_id *id = cmt_secret_conn_id(c->secret);
  char text[160];

  if (c->shake->expects && strcmp(id->text, c->shake->expect.text) != 0) {
    snprintf(text, sizeof text, "dialed node %s, found node %s",
             c->shake->expect.text, id->text);
    conn_end(c, CMT_EWRONGID, text);
    return;
  }
  c->state = CONN_INFO;
  c->handshake_at_ns = cmt__after(c->now_ns, c->shake->timeout_ns);
}

/* Asks the secret connection for more; false: there is none. */
static bool chunk_next(cmt_conn *c) {
  cmt_err err = cmt_secret_conn_next(c->secret, &c->chunk);

  if (err != CMT_OK) {
    c->chunk.len = 0;
  }
  if (c->state == CONN_SECRET &&
      cmt_secret_conn_get_state(c->secret) == CMT_SECRET_CONN_UP) {
    authenticated(c);
  }
  if (err != CMT_OK && err != CMT_EAGAIN) {
    conn_fail(c, err);
  }
  return err == CMT_OK && !c->ended;
}

/* Appends |n| bytes of the chunk to the node info. */
static bool info_take(cmt_conn *c, size_t n) {
  handshake *h = c->shake;

  while (h->in_cap - h->in_len < n) {
    void *items = h->in;

    if (!cmt__grow(&c->env, &items, &h->in_cap, 1, 512)) {
      conn_fail(c, CMT_ENOMEM);
      return false;
    }
    h->in = items;
  }
  memcpy(h->in + h->in_len, c->chunk.base, n);
  h->in_len += n;
  c->chunk.base += n;
  c->chunk.len -= n;
  return true;
}

/* Gathers the delimited node info; true when |*body| is it. */
static bool info_gather(cmt_conn *c, cmt_bytes *body) {
  handshake *h = c->shake;
  char text[96];
  uint64_t len;
  int prefix;

  while ((prefix = cmt__read_prefix(h->in, h->in_len, &len)) == 0) {
    if (c->chunk.len == 0 || !info_take(c, 1)) {
      return false;
    }
  }
  if (prefix < 0 || len > CMT_NODE_INFO_MAX) {
    snprintf(text, sizeof text,
             "node info announced with more than the allowed %d bytes",
             CMT_NODE_INFO_MAX);
    conn_end(c, CMT_EPROTO, text);
    return false;
  }
  len += (uint64_t)prefix;
  if (c->chunk.len > 0 && h->in_len < len &&
      !info_take(c, cmt__min(c->chunk.len, (size_t)len - h->in_len))) {
    return false;
  }
  *body =
    (cmt_bytes){.base = h->in + prefix, .len = h->in_len - (size_t)prefix};
  return h->in_len == len;
}

static bool info_event(cmt_conn *c, cmt_conn_event *out) {
  cmt_node_info info;
  cmt_bytes body;

  if (!info_gather(c, &body)) {
    return false;
  }
  if (!cmt__node_info_decode(body, &info)) {
    conn_end(c, CMT_EPROTO, "malformed node info");
    return false;
  }
  c->theirs = cmt__node_info_clone(&c->env, &info);
  if (c->theirs == NULL) {
    conn_fail(c, CMT_ENOMEM);
    return false;
  }
  c->state = CONN_CHECK;
  out->kind = CMT_CONN_NODE_INFO;
  return true;
}

/* The checks of docs/PROTOCOL.md 3.3, items 3 to 6, in their order. */
static cmt_err info_check(cmt_conn *c, cmt_why *why) {
  const cmt_node_id *id = cmt_secret_conn_id(c->secret);
  cmt_err err = cmt_node_info_validate(c->theirs, why);
  char quoted[64];
  cmt_node_id own;

  if (err != CMT_OK) {
    return err;
  }
  if (c->theirs->id.len != strlen(id->text) ||
      memcmp(c->theirs->id.base, id->text, c->theirs->id.len) != 0) {
    return cmt__why(why, CMT_EAUTH, CMT_STAGE_NODE_INFO,
                    "the node info says id %s, the key says %s",
                    cmt__quote(c->theirs->id, quoted, sizeof quoted), id->text);
  }
  cmt_node_key_id(c->key, &own);
  if (strcmp(own.text, id->text) == 0) {
    return cmt__why(why, CMT_ESELF, CMT_STAGE_NODE_INFO, "%s",
                    cmt_err_text(CMT_ESELF));
  }
  if (c->shake->any_network) {
    return CMT_OK;
  }
  return cmt_node_info_compatible(c->theirs, c->shake->ours, why);
}

/* Our own node info may still wait to be written, so the handshake's memory
   goes only with its last byte; see info_seal(). */
static bool check_event(cmt_conn *c, cmt_conn_event *out) {
  cmt_why why;
  cmt_err err = info_check(c, &why);

  if (err != CMT_OK) {
    conn_end(c, err, why.text);
    return false;
  }
  c->state = CONN_UP;
  cmt__mconn_start(c->mconn, c->now_ns);
  if (c->shake->info_sent) {
    handshake_free(c);
  }
  out->kind = CMT_CONN_UP;
  return true;
}

static bool mconn_event(cmt_conn *c, cmt_conn_event *out) {
  cmt_mconn_event e;
  cmt_err err = cmt_mconn_next_event(c->mconn, &e);

  if (err == CMT_EAGAIN) {
    return false;
  }
  if (err != CMT_OK) {
    conn_fail(c, err);
    return false;
  }
  out->kind = e.kind == CMT_MCONN_PONG ? CMT_CONN_PONG : CMT_CONN_MESSAGE;
  out->channel = e.channel;
  out->msg = e.msg;
  out->rtt_ns = e.rtt_ns;
  return true;
}

/* Hands the whole chunk to the multiplexer. */
static void chunk_feed(cmt_conn *c) {
  cmt_err err =
    cmt_mconn_recv(c->mconn, c->chunk.base, c->chunk.len, c->now_ns);

  c->chunk.len = 0;
  if (err != CMT_OK) {
    conn_fail(c, err);
  }
}

/* One step of the chain; true: |*out| is an event; |*more|: try again. */
static bool conn_step(cmt_conn *c, cmt_conn_event *out, bool *more) {
  bool have = false;

  *more = true;
  switch (c->state) {
  case CONN_SECRET:
    *more = chunk_next(c) || c->state != CONN_SECRET;
    return false;
  case CONN_INFO:
    have = info_event(c, out);
    break;
  case CONN_CHECK:
    return check_event(c, out);
  case CONN_UP:
    have = mconn_event(c, out);
    if (!have && !c->ended && c->chunk.len > 0) {
      chunk_feed(c);
      return false;
    }
    break;
  }
  if (!have && !c->ended) {
    *more = chunk_next(c);
  }
  return have;
}

static bool end_event(cmt_conn *c, cmt_conn_event *out) {
  if (!c->ended || c->end_told) {
    return false;
  }
  c->end_told = true;
  out->kind = CMT_CONN_END;
  out->why = &c->why;
  return true;
}

bool cmt_conn_next_event(cmt_conn *c, cmt_conn_event *out) {
  bool have = false, more = true;

  *out = (cmt_conn_event){.kind = CMT_CONN_END};
  while (!have && more && !c->ended) {
    have = conn_step(c, out, &more);
  }
  conn_settle(c);
  have = have || end_event(c, out);
  out->id = cmt_secret_conn_id(c->secret);
  out->node_info = c->theirs;
  return have;
}

/* ---- sending ---- */

cmt_err cmt_conn_try_send(cmt_conn *c, uint8_t channel, cmt_buf *msg) {
  if (c->state != CONN_UP || c->stopping || c->ended) {
    return CMT_ECLOSED;
  }
  if (cmt__mconn_has_channel(c->mconn, channel) &&
      memchr(c->theirs->channels.base, channel, c->theirs->channels.len) ==
        NULL) {
    return CMT_EPEERCHANNEL;
  }
  return cmt_mconn_try_send(c->mconn, channel, msg);
}

cmt_err cmt_conn_ping(cmt_conn *c) {
  return c->state != CONN_UP || c->ended ? CMT_ECLOSED
                                         : cmt_mconn_ping(c->mconn);
}

/* A handshake that we end for what the other side said: our own part still goes
   out, so that it fails for the same reason and not for an end of file. */
static bool farewell(const cmt_conn *c) {
  return c->state != CONN_UP &&
         (cmt_err_class_of(c->why.err) == CMT_CLASS_PEER ||
          c->why.err == CMT_ESELF);
}

static bool handshake_wants_write(const cmt_conn *c) {
  bool info =
    c->shake != NULL && !c->shake->info_sent && c->state != CONN_SECRET;

  return (!c->ended || farewell(c)) &&
         (info || cmt_secret_conn_output(c->secret).len > 0);
}

bool cmt__conn_wants_write(const cmt_conn *c, bool *urgent) {
  *urgent = true;
  if (handshake_wants_write(c)) {
    return true;
  }
  return c->state == CONN_UP && !c->ended &&
         cmt__mconn_wants_write(c->mconn, urgent);
}

size_t cmt__conn_seal_min(const cmt_conn *c) {
  size_t packets = cmt__mconn_packet_max(c->mconn) + 2 * CMT__PACKET_PING_SIZE;
  size_t most = cmt__max(packets, CMT_NODE_INFO_MAX + INFO_PREFIX_MAX);

  return (most + CMT_FRAME_DATA - 1) / CMT_FRAME_DATA * CMT_FRAME_SLOT;
}

/* Notes the run that was just made, of |len| bytes to write. */
static size_t run_begin(cmt_conn *c, size_t len) {
  c->run_len = len;
  c->run_taken = 0;
  return len;
}

static size_t run_seal(cmt_conn *c, uint8_t *slots, const cmt__run *r) {
  cmt_err err;

  if (r->len == 0) {
    return 0;
  }
  err = cmt_secret_conn_seal(c->secret, slots, r->len);
  if (err != CMT_OK) {
    conn_fail(c, err);
    return 0;
  }
  return run_begin(c, (r->len + CMT_FRAME_DATA - 1) / CMT_FRAME_DATA *
                        CMT_FRAME_SLOT);
}

/* Our node info in frames of its own. */
static size_t info_seal(cmt_conn *c, uint8_t *slots, cmt__run r) {
  size_t size = cmt__node_info_size(c->shake->ours);
  cmt__writer w;
  uint8_t *text = cmt__alloc(&c->env, size + INFO_PREFIX_MAX);

  if (text == NULL) {
    conn_fail(c, CMT_ENOMEM);
    return 0;
  }
  w = (cmt__writer){.at = text, .end = text + size + INFO_PREFIX_MAX};
  cmt__write_varint(&w, size);
  cmt__node_info_encode(c->shake->ours, &w);
  CMT_ASSERT(&c->env, !w.failed);
  cmt__run_write(&r, text, (size_t)(w.at - text));
  cmt__free(&c->env, text);
  c->shake->info_sent = true;
  if (c->state == CONN_UP) {
    handshake_free(c);
  }
  return run_seal(c, slots, &r);
}

size_t cmt__conn_seal(cmt_conn *c, uint8_t *slots, size_t cap,
                      uint64_t now_ns) {
  cmt_bytes shake;
  cmt__run r;

  conn_enter(c, now_ns);
  CMT_ASSERT(&c->env, run_done(c) && cap >= cmt__conn_seal_min(c));
  c->run_is_mconn = false;
  if (c->ended && !handshake_wants_write(c)) {
    return 0;
  }
  shake = cmt_secret_conn_output(c->secret);
  if (shake.len > 0) {
    CMT_ASSERT(&c->env, shake.len <= cap);
    memcpy(slots, shake.base, shake.len);
    cmt_secret_conn_consume(c->secret, shake.len);
    return run_begin(c, shake.len);
  }
  r = cmt__run_frames(slots, cap / CMT_FRAME_SLOT);
  if (c->shake != NULL && !c->shake->info_sent && c->state != CONN_SECRET) {
    return info_seal(c, slots, r);
  }
  if (c->state != CONN_UP) {
    return 0;
  }
  c->run_is_mconn = true;
  c->run_from = cmt__mconn_filled(c->mconn);
  cmt__mconn_fill(c->mconn, &r, now_ns);
  return run_seal(c, slots, &r);
}

void cmt_conn_consume(cmt_conn *c, size_t len, uint64_t now_ns) {
  conn_enter(c, now_ns);
  CMT_ASSERT(&c->env, len <= c->run_len - c->run_taken);
  c->run_taken += len;
  if (c->out.begin != c->out.end) {
    c->out.begin += len;
  }
  if (c->run_is_mconn) {
    /* Of a frame that is not whole the other side can read nothing. */
    uint64_t bytes = c->run_taken / CMT_FRAME_SLOT * CMT_FRAME_DATA;

    cmt__mconn_taken(
      c->mconn, cmt__min64(c->run_from + bytes, cmt__mconn_filled(c->mconn)),
      now_ns);
  }
  conn_settle(c);
}

cmt_bytes cmt_conn_output(cmt_conn *c, size_t max, uint64_t now_ns) {
  bool urgent;

  conn_enter(c, now_ns);
  if (c->out.begin == c->out.end && cmt__conn_wants_write(c, &urgent)) {
    size_t cap =
      cmt__min(max / CMT_FRAME_SLOT, RUN_FRAMES_MAX) * CMT_FRAME_SLOT;

    cap = cmt__max(cap, cmt__conn_seal_min(c));
    if (!cmt__outbuf_reserve(&c->out, &c->env, cap)) {
      conn_fail(c, CMT_ENOMEM);
      return (cmt_bytes){.base = NULL};
    }
    c->out.begin = 0;
    c->out.end = cmt__conn_seal(c, c->out.base, cap, now_ns);
  }
  /* After the end only the handshake still counts. */
  return c->ended && c->run_is_mconn ? (cmt_bytes){.base = NULL}
                                     : cmt__outbuf_lend(&c->out, max);
}

/* ---- status ---- */

size_t cmt_conn_get_status(const cmt_conn *c, cmt_channel_status *out,
                           size_t cap) {
  return c->state == CONN_UP ? cmt_mconn_get_status(c->mconn, out, cap) : 0;
}

bool cmt__conn_take_credits(cmt_conn *c, cmt__credits *out) {
  return cmt__mconn_take_credits(c->mconn, out);
}

uint64_t cmt__conn_copied(const cmt_conn *c) {
  return cmt__mconn_copied(c->mconn);
}

uint64_t cmt__conn_pings_sent(const cmt_conn *c) {
  return cmt__mconn_pings_sent(c->mconn);
}
