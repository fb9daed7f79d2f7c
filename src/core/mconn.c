/* SPDX-License-Identifier: Apache-2.0 */
/* The multiplexer.

   Design notes.  Results are polled: recv only notes where the input lies, and
   next_event parses as far as the next event, so nothing is queued and a
   caller that stops asking holds no more than its own input.  Nothing calls
   back, so nothing can re-enter.  Each entry latches the caller's instant; an
   instant that runs backwards is a bug of the caller, and no peer can cause
   it.  The first failure is final.

   A ping has three states.  It is due, then filled into the output, then its
   last byte is taken by whoever writes the output.  Only then the wait for the
   pong begins, so that time in our own queues is not held against the peer.
   Nor is time in which the caller does not read: the wait begins anew when it
   goes on.  While one ping is under way no other is sent. */

#include "mconn.h"

#include "outbuf.h"

enum { RUN_MAX = 1 << 18 }; /* Bytes of one output, but for longer packets. */

typedef enum ping_state {
  PING_IDLE,
  PING_DUE,
  PING_FILLED,
  PING_TAKEN
} ping_state;

struct cmt_mconn {
  cmt__channels channels;
  cmt__packet_parser parser;
  cmt_bytes in;
  cmt_buf *lent; /* Of the last event. */
  cmt_err failed;
  bool pong_owed;
  bool paused; /* The caller does not read. */
  ping_state ping;
  uint64_t now_ns, ping_interval_ns, pong_timeout_ns;
  uint64_t ping_at_ns;       /* When the interval is over. */
  uint64_t taken_ns;         /* When the ping under way was taken. */
  uint64_t wait_ns;          /* When the wait for its pong began. */
  uint64_t ping_end, filled; /* Places in the output since the start. */
  uint64_t pings_sent, consumed;
  cmt__outbuf out;
};

void cmt_mconn_options_init_sized(cmt_mconn_options *o, size_t size) {
  cmt_mconn_options defaults = {
    .size = sizeof defaults,
    .ping_interval_ns = CMT_SECONDS(60),
    .pong_timeout_ns = CMT_SECONDS(45),
    .send_packet_payload_max = CMT_PACKET_PAYLOAD_SEND,
    .recv_packet_payload_max = CMT_PACKET_PAYLOAD_RECV,
  };

  CMT_ASSERT(NULL, size == sizeof *o);
  *o = defaults;
}

static cmt_err payload_check(const char *name, uint32_t found, cmt_why *why) {
  if (found >= 1 && found <= CMT_PACKET_PAYLOAD_MAX) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "%s is %u, allowed is 1 to %d", name, found,
                  CMT_PACKET_PAYLOAD_MAX);
}

static cmt_err options_check(const cmt_mconn_options *o, cmt_why *why) {
  cmt_err err;

  if (o->size != sizeof *o) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "options of an unknown size: use the init macro");
  }
  err =
    payload_check("send_packet_payload_max", o->send_packet_payload_max, why);
  if (err == CMT_OK) {
    err =
      payload_check("recv_packet_payload_max", o->recv_packet_payload_max, why);
  }
  if (err == CMT_OK && (o->ping_interval_ns == 0 || o->pong_timeout_ns == 0 ||
                        o->pong_timeout_ns >= o->ping_interval_ns)) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                   "the pong timeout must be shorter than the ping interval, "
                   "and neither may be 0");
  }
  return err;
}

static size_t recv_bytes_default(const cmt__channels *cs) {
  size_t largest = 0;

  for (size_t i = 0; i < cs->count; i++) {
    largest = cmt__max(largest, cs->list[i].desc.recv_message_max);
  }
  return largest + (1 << 20);
}

cmt_err cmt_mconn_new(const cmt_mconn_options *o, uint64_t now_ns,
                      cmt_mconn **out, cmt_why *why) {
  cmt_env env;
  cmt_mconn *m;
  cmt_err err = options_check(o, why);

  if (err != CMT_OK) {
    return err;
  }
  err = cmt__env_copy(o->env, &env);
  if (err != CMT_OK) {
    return cmt__why(why, err, CMT_STAGE_TRANSPORT, "env: %s",
                    cmt_err_text(err));
  }
  m = cmt__alloc_zero(&env, sizeof *m);
  if (m == NULL) {
    return cmt__why(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT, "%s",
                    cmt_err_text(CMT_ENOMEM));
  }
  err =
    cmt__channels_init(&m->channels, &env, o->channels, o->channel_count, why);
  if (err != CMT_OK) {
    cmt__free(&env, m);
    return err;
  }
  m->channels.payload_max = o->send_packet_payload_max;
  m->channels.recv_held_max =
    o->recv_bytes_max ? o->recv_bytes_max : recv_bytes_default(&m->channels);
  cmt__packet_parser_init(&m->parser, o->recv_packet_payload_max);
  m->ping_interval_ns = o->ping_interval_ns;
  m->pong_timeout_ns = o->pong_timeout_ns;
  cmt__mconn_start(m, now_ns);
  *out = m;
  return CMT_OK;
}

void cmt_mconn_delete(cmt_mconn *m) {
  cmt_env env;

  if (m == NULL) {
    return;
  }
  env = m->channels.env;
  cmt_buf_unref(m->lent);
  cmt__packet_parser_fini(&m->parser, &env);
  cmt__channels_fini(&m->channels);
  cmt__free(&env, m->out.base);
  cmt__free(&env, m);
}

/* ---- time ---- */

static void mconn_enter(cmt_mconn *m, uint64_t now_ns) {
  CMT_ASSERT(&m->channels.env, now_ns >= m->now_ns);
  m->now_ns = now_ns;
}

static cmt_err mconn_fail(cmt_mconn *m, cmt_err err) {
  if (m->failed == CMT_OK) {
    m->failed = err;
  }
  return m->failed;
}

void cmt__mconn_start(cmt_mconn *m, uint64_t now_ns) {
  mconn_enter(m, now_ns);
  m->ping_at_ns = cmt__after(now_ns, m->ping_interval_ns);
  m->channels.decay_at_ns = now_ns + CMT_SECONDS(2);
}

static uint64_t pong_deadline(const cmt_mconn *m) {
  return m->ping == PING_TAKEN && !m->paused
           ? cmt__after(m->wait_ns, m->pong_timeout_ns)
           : CMT_NEVER;
}

uint64_t cmt_mconn_deadline(const cmt_mconn *m) {
  return m->failed != CMT_OK ? CMT_NEVER
                             : cmt__min64(m->ping_at_ns, pong_deadline(m));
}

cmt_err cmt_mconn_tick(cmt_mconn *m, uint64_t now_ns) {
  mconn_enter(m, now_ns);
  if (m->failed != CMT_OK) {
    return m->failed;
  }
  if (now_ns >= pong_deadline(m)) {
    return mconn_fail(m, CMT_EPONG);
  }
  if (now_ns >= m->ping_at_ns) {
    m->ping_at_ns = cmt__after(now_ns, m->ping_interval_ns);
    if (m->ping == PING_IDLE) {
      m->ping = PING_DUE;
    }
  }
  return CMT_OK;
}

void cmt__mconn_pause(cmt_mconn *m, bool on, uint64_t now_ns) {
  mconn_enter(m, now_ns);
  if (m->paused && !on) {
    m->wait_ns = now_ns;
  }
  m->paused = on;
}

cmt_err cmt_mconn_ping(cmt_mconn *m) {
  if (m->failed != CMT_OK) {
    return m->failed;
  }
  if (m->ping != PING_IDLE) {
    return CMT_EAGAIN;
  }
  m->ping = PING_DUE;
  return CMT_OK;
}

/* ---- sending ---- */

cmt_err cmt_mconn_try_send(cmt_mconn *m, uint8_t channel, cmt_buf *msg) {
  return m->failed != CMT_OK ? m->failed
                             : cmt__channel_queue(&m->channels, channel, msg);
}

bool cmt__mconn_has_channel(const cmt_mconn *m, uint8_t channel) {
  return m->channels.index[channel] < m->channels.count;
}

bool cmt__mconn_wants_write(const cmt_mconn *m, bool *urgent) {
  *urgent = m->pong_owed || m->ping == PING_DUE;
  return m->failed == CMT_OK && (*urgent || m->channels.ready > 0);
}

size_t cmt__mconn_packet_max(const cmt_mconn *m) {
  return cmt__packet_msg_size(0xff, true, m->channels.payload_max);
}

void cmt__mconn_fill(cmt_mconn *m, cmt__run *r, uint64_t now_ns) {
  size_t before = r->len;

  mconn_enter(m, now_ns);
  if (m->failed != CMT_OK) {
    return;
  }
  cmt__channels_decay(&m->channels, now_ns);
  if (m->pong_owed) {
    cmt__packet_write_pong(r);
    m->pong_owed = false;
  }
  if (m->ping == PING_DUE) {
    cmt__packet_write_ping(r);
    m->ping = PING_FILLED;
    m->ping_end = m->filled + (r->len - before);
    m->pings_sent++;
  }
  cmt__channels_fill(&m->channels, r);
  m->filled += r->len - before;
}

void cmt__mconn_taken(cmt_mconn *m, uint64_t total, uint64_t now_ns) {
  mconn_enter(m, now_ns);
  if (m->ping == PING_FILLED && total >= m->ping_end) {
    m->ping = PING_TAKEN;
    m->taken_ns = now_ns;
    m->wait_ns = now_ns;
  }
}

uint64_t cmt__mconn_filled(const cmt_mconn *m) { return m->filled; }

cmt_bytes cmt_mconn_output(cmt_mconn *m, size_t max, uint64_t now_ns) {
  bool urgent;

  mconn_enter(m, now_ns);
  if (m->out.begin == m->out.end && cmt__mconn_wants_write(m, &urgent)) {
    /* A packet is never cut in two runs, so there is room for one and for a
       pong and a ping before it. */
    size_t cap = cmt__max(cmt__min(max, RUN_MAX),
                          cmt__mconn_packet_max(m) + 2 * CMT__PACKET_PING_SIZE);
    cmt__run r;

    if (!cmt__outbuf_reserve(&m->out, &m->channels.env, cap)) {
      (void)mconn_fail(m, CMT_ENOMEM);
      return (cmt_bytes){.base = NULL};
    }
    r = cmt__run_plain(m->out.base, cap);
    cmt__mconn_fill(m, &r, now_ns);
    m->out.begin = 0;
    m->out.end = r.len;
  }
  return cmt__outbuf_lend(&m->out, max);
}

void cmt_mconn_consume(cmt_mconn *m, size_t len, uint64_t now_ns) {
  CMT_ASSERT(&m->channels.env, len <= m->out.end - m->out.begin);
  m->out.begin += len;
  m->consumed += len;
  cmt__mconn_taken(m, m->consumed, now_ns);
}

/* ---- receiving ---- */

cmt_err cmt_mconn_recv(cmt_mconn *m, const uint8_t *data, size_t len,
                       uint64_t now_ns) {
  mconn_enter(m, now_ns);
  if (m->failed != CMT_OK) {
    return m->failed;
  }
  if (m->in.len > 0) {
    return CMT_EINVAL;
  }
  m->in = (cmt_bytes){.base = data, .len = len};
  return CMT_OK;
}

bool cmt__mconn_has_input(const cmt_mconn *m) { return m->in.len > 0; }

/* Acts on one packet; true: |*out| is an event. */
static bool packet_event(cmt_mconn *m, const cmt__packet *k,
                         cmt_mconn_event *out) {
  cmt_err err;

  if (k->kind == CMT__PACKET_PING) {
    m->pong_owed = true;
    return false;
  }
  if (k->kind == CMT__PACKET_PONG) {
    if (m->ping != PING_TAKEN) {
      return false; /* Unasked: fine, and no news. */
    }
    m->ping = PING_IDLE;
    *out = (cmt_mconn_event){.kind = CMT_MCONN_PONG,
                             .rtt_ns = m->now_ns - m->taken_ns};
    return true;
  }
  err = cmt__channel_take(&m->channels, k, &m->lent);
  if (err != CMT_OK) {
    (void)mconn_fail(m, err);
    return false;
  }
  *out = (cmt_mconn_event){
    .kind = CMT_MCONN_MESSAGE, .channel = k->channel, .msg = m->lent};
  return m->lent != NULL;
}

cmt_err cmt_mconn_next_event(cmt_mconn *m, cmt_mconn_event *out) {
  cmt__packet k;

  cmt_buf_unref(m->lent);
  m->lent = NULL;
  while (m->failed == CMT_OK) {
    cmt_err err = cmt__packet_next(&m->parser, &m->channels.env, &m->in, &k);

    if (err == CMT_EAGAIN) {
      return err;
    }
    if (err != CMT_OK) {
      return mconn_fail(m, err);
    }
    if (packet_event(m, &k, out)) {
      return CMT_OK;
    }
  }
  return m->failed;
}

/* ---- status ---- */

size_t cmt_mconn_get_status(const cmt_mconn *m, cmt_channel_status *out,
                            size_t cap) {
  for (size_t i = 0; i < m->channels.count && i < cap; i++) {
    cmt__channel_get_status(&m->channels.list[i], &out[i]);
  }
  return m->channels.count;
}

bool cmt__mconn_take_credits(cmt_mconn *m, cmt__credits *out) {
  bool any = false;

  for (size_t i = 0; i < m->channels.count; i++) {
    out->messages[i] = m->channels.list[i].cut_messages;
    m->channels.list[i].cut_messages = 0;
    any = any || out->messages[i] > 0;
  }
  out->bytes = m->channels.cut_bytes;
  m->channels.cut_bytes = 0;
  return any;
}

uint64_t cmt__mconn_copied(const cmt_mconn *m) { return m->parser.copied; }

uint64_t cmt__mconn_pings_sent(const cmt_mconn *m) { return m->pings_sent; }
