/* SPDX-License-Identifier: Apache-2.0 */
#include "side.h"

#include "core/conn/conn_impl.h"

#include <stdlib.h>

#include <cometp2p/secret_conn.h>

enum {
  REASSEMBLY_MAX = 70000 + (1 << 20), /* The default of |recv_bytes_max|. */
  KEPT_MAX = 1 << 19,
  TICKS_MAX = 3,
  RINGS_MAX = 1024, /* Lengths of the queues. */
};

const cmt_channel side_channels[SIDE_CHANNELS] = {
  {.id = 0x00, .priority = 1, .send_queue = 1, .recv_message_max = 100},
  {.id = 0x31,
   .priority = 5,
   .traffic = CMT_TRAFFIC_URGENT,
   .send_queue = 3,
   .recv_message_max = 5000},
  {.id = 0x80, .priority = 65535, .send_queue = 1, .recv_message_max = 20000},
  {.id = 0xff, .priority = 10, .send_queue = 8, .recv_message_max = 70000},
};

static size_t channel_index(uint8_t id) {
  size_t i = 0;

  while (i < SIDE_CHANNELS && side_channels[i].id != id) {
    i++;
  }
  FUZZ_CHECK(i < SIDE_CHANNELS);
  return i;
}

/* ---- what it writes ---- */

/* What is written of a channel are its messages, in order and whole. */
static void side_part(void *arg, uint8_t id, bool eof, cmt_bytes data) {
  fuzz_side *s = arg;
  size_t c = channel_index(id), k = s->wire_count[c];

  FUZZ_CHECK(s->up && k < s->sent_count[c]);
  for (size_t i = 0; i < data.len; i++) {
    FUZZ_CHECK(data.base[i] == side_byte(c, k, s->wire_offset[c] + i));
  }
  s->wire_offset[c] += data.len;
  FUZZ_CHECK(s->wire_offset[c] <= s->sent[c][k]);
  if (eof) {
    FUZZ_CHECK(s->wire_offset[c] == s->sent[c][k]);
    s->wire_offset[c] = 0;
    s->wire_count[c]++;
  }
}

/* ---- making ---- */

static cmt_conn_options conn_options(fuzz_side *s) {
  static cmt_node_info info;
  cmt_conn_options o;

  info = (cmt_node_info){
    .protocol_p2p = 8,
    .protocol_block = 11,
    .listen_addr = cmt_bytes_of("tcp://127.0.0.1:26656"),
    .network = cmt_bytes_of("fuzz"),
    .version = cmt_bytes_of("0.38.25"),
    .moniker = cmt_bytes_of("side"),
  };
  cmt_conn_options_init(&o);
  o.env = &s->e.env;
  o.key = fuzz_node_key(s->o.key);
  o.node_info = &info;
  o.expect_id = s->o.expect_id;
  o.any_network = s->o.any_network;
  o.channels = side_channels;
  o.channel_count = SIDE_CHANNELS;
  o.ping_interval_ns = s->o.ping_interval_ns;
  o.pong_timeout_ns = s->o.pong_timeout_ns;
  o.send_packet_payload_max = s->o.send_payload_max;
  o.recv_packet_payload_max = s->o.recv_payload_max;
  o.wire = s->o.wire;
  o.send_rate = s->o.send_rate;
  o.recv_rate = s->o.recv_rate;
  return o;
}

void side_init(fuzz_side *s, const side_options *o, uint64_t now_ns) {
  cmt_conn_options options;
  cmt_err err;
  cmt_why why;

  memset(s, 0, sizeof *s);
  s->o = *o;
  s->now_ns = now_ns;
  s->wire.payload_max = o->send_payload_max;
  s->wire.legacy = o->wire == CMT_WIRE_LEGACY;
  s->wire.part = side_part;
  s->wire.arg = s;
  fuzz_env_init(&s->e);
  s->e.env.aead = o->aead;
  s->e.fail_at = o->fail_at;
  memcpy(s->e.entropy, o->ephemeral, sizeof s->e.entropy);
  options = conn_options(s);
  err = cmt_conn_new(&options, now_ns, &s->c, &why);
  FUZZ_CHECK(err == CMT_OK || (err == CMT_ENOMEM && s->e.failed));
  FUZZ_CHECK((s->c != NULL) == (err == CMT_OK));
  fuzz_check_why(&why, err);
  if (o->quota != NULL && s->c != NULL) {
    cmt__mconn_attach_quota(s->c->mconn, o->quota, NULL, NULL);
  }
  if (s->c != NULL) {
    s->slots = malloc(cmt__max(SIDE_RUN, cmt_conn_write_min(s->c)));
    FUZZ_CHECK(s->slots != NULL);
  }
}

void side_fini(fuzz_side *s) {
  cmt_conn_delete(s->c);
  cmt_buf_unref(s->kept);
  free(s->lent);
  free(s->slots);
  fuzz_env_fini(&s->e);
}

/* ---- the way in ---- */

bool side_recv(fuzz_side *s, cmt_bytes data) {
  uint8_t *copy;
  cmt_err err;

  if (s->c == NULL) {
    return false;
  }
  copy = fuzz_copy(data);
  err = cmt_conn_recv(s->c, copy, data.len, s->now_ns);
  if (err == CMT_OK) {
    free(s->lent);
    s->lent = copy;
    return true;
  }
  free(copy);
  FUZZ_CHECK(err == CMT_EINVAL || err == CMT_ECLOSED);
  FUZZ_CHECK(err == CMT_ECLOSED || s->lent != NULL);
  return false;
}

static bool end_is_due(const fuzz_side *s, cmt_err err) {
  if (s->stopping && err == s->stop_reason) {
    return true;
  }
  if (err == CMT_EHANDSHAKE) {
    return !s->up;
  }
  if (err == CMT_EPONG || err == CMT_EMSGSIZE || err == CMT_EUNKNOWNCHANNEL ||
      err == CMT_EPARTIAL) {
    return s->up;
  }
  if (err == CMT_ENOMEM) {
    return s->e.failed;
  }
  if (err == CMT_ENOBUFS) {
    return s->up && s->o.quota != NULL;
  }
  if (err == CMT_EWRONGID) {
    return !s->info && s->o.expect_id != NULL;
  }
  if (err == CMT_ESELF || err == CMT_ENODEINFO || err == CMT_EINCOMPATIBLE ||
      err == CMT_ENETWORK) {
    return s->info && !s->up;
  }
  /* Frames without data may be too many at any time. */
  return err == CMT_EPROTO || err == CMT_EAUTH || err == CMT_EFLOOD;
}

static void event_message(fuzz_side *s, const cmt_conn_event *e) {
  cmt_bytes got = cmt_buf_bytes(e->msg);
  size_t c = channel_index(e->channel), k = s->recv_count[c]++;

  FUZZ_CHECK(s->up && got.len <= side_channels[c].recv_message_max);
  cmt_buf_unref(s->kept);
  s->kept = cmt_buf_ref(e->msg);
  if (s->other == NULL) {
    return;
  }
  FUZZ_CHECK(k < s->other->sent_count[c]);
  FUZZ_CHECK(got.len == s->other->sent[c][k]);
  for (size_t i = 0; i < got.len; i++) {
    FUZZ_CHECK(got.base[i] == side_byte(c, k, i));
  }
}

static void event_check(fuzz_side *s, const cmt_conn_event *e) {
  FUZZ_CHECK(!s->end); /* It was the last one. */
  FUZZ_CHECK(e->kind == CMT_CONN_END ||
             (e->id != NULL && e->node_info != NULL));
  switch (e->kind) {
  case CMT_CONN_NODE_INFO:
    FUZZ_CHECK(!s->info);
    s->info = true;
    break;
  case CMT_CONN_UP:
    FUZZ_CHECK(s->info && (!s->up || s->activated));
    s->activated = false;
    FUZZ_CHECK(cmt_node_info_validate(e->node_info, NULL) == CMT_OK);
    FUZZ_CHECK(fuzz_same(e->node_info->id, cmt_bytes_of(e->id->text)));
    s->up = true;
    break;
  case CMT_CONN_MESSAGE:
    event_message(s, e);
    break;
  case CMT_CONN_PONG:
    FUZZ_CHECK(s->up && e->rtt_ns <= s->now_ns);
    FUZZ_CHECK(++s->pongs <= cmt_conn_pings_sent(s->c));
    break;
  case CMT_CONN_END:
    s->end = true;
    cmt_conn_get_why(s->c, &s->why);
    fuzz_check_why(&s->why, e->err);
    FUZZ_CHECK(end_is_due(s, e->err));
    FUZZ_CHECK((s->why.stage == CMT_STAGE_UP) == s->up);
    break;
  }
}

bool side_events(fuzz_side *s, size_t max) {
  cmt_conn_event e;

  if (s->c == NULL) {
    return true;
  }
  for (size_t i = 0; i < max; i++) {
    if (!cmt_conn_next_event(s->c, &e)) {
      FUZZ_CHECK(!cmt_conn_next_event(s->c, &e));
      free(s->lent);
      s->lent = NULL;
      return true;
    }
    event_check(s, &e);
  }
  return false;
}

bool side_hold(fuzz_side *s, bool on) {
  bool up = s->up;

  if (s->c == NULL || s->end || (s->was_on_standby && !s->on_standby)) {
    return false;
  }
  if (s->on_standby) {
    s->on_standby = on && !cmt_conn_has_ended(s->c);
    if (!s->on_standby) {
      s->activated = !cmt_conn_has_ended(s->c);
      cmt_conn_activate(s->c, s->now_ns);
    }
    return s->on_standby;
  }
  if (!on || up) {
    return false;
  }
  while (!s->up && !side_events(s, 1)) {
  }
  if (s->up && !cmt_conn_has_ended(s->c)) {
    cmt_err err = cmt_conn_standby(s->c, s->now_ns);

    FUZZ_CHECK(err == CMT_OK || (err == CMT_ENOMEM && s->e.failed));
    s->was_on_standby = true;
    s->on_standby = err == CMT_OK;
    if (s->on_standby) { /* What was lent may go once it is kept. */
      free(s->lent);
      s->lent = NULL;
    }
  }
  return s->on_standby;
}

void side_keep(fuzz_side *s, cmt_bytes data) {
  uint8_t *copy = fuzz_copy(data);
  cmt_err err = cmt_conn_recv(s->c, copy, data.len, s->now_ns);

  free(copy);
  FUZZ_CHECK(err == CMT_OK || (err == CMT_ECLOSED && s->e.failed));
}

/* ---- the way out ---- */

/* Seals the next batch when the last one was consumed. */
static void seal(fuzz_side *s, size_t max) {
  size_t cap = s->o.greedy ? SIDE_RUN : cmt__min(max, SIDE_RUN);
  bool wants = cmt_conn_wants_write(s->c, s->now_ns, NULL);

  cap = cmt__max(cap, cmt_conn_write_min(s->c));
  if (s->run_at == s->batch_len) {
    s->run_at = 0;
    s->batch_len = cmt_conn_write(s->c, s->slots, cap, s->now_ns);
    FUZZ_CHECK(s->batch_len <= cap);
    FUZZ_CHECK((s->batch_len > 0) == wants || s->e.failed ||
               cmt_conn_has_ended(s->c));
  } else {
    FUZZ_CHECK(cmt_conn_write(s->c, s->slots, cap, s->now_ns) == 0);
  }
}

cmt_bytes side_output(fuzz_side *s, size_t max) {
  if (s->c == NULL) {
    return (cmt_bytes){0};
  }
  seal(s, max);
  return (cmt_bytes){.base = s->slots + s->run_at,
                     .len = cmt__min(s->batch_len - s->run_at, max)};
}

void side_consume(fuzz_side *s, size_t len) {
  cmt_credits credits;
  cmt_bytes out = side_output(s, len);

  if (s->c == NULL || out.len == 0) {
    return;
  }
  if (s->o.aead == &fuzz_null_aead) {
    wire_take(&s->wire, out);
    /* One more shows a node of the other profile what we speak. */
    FUZZ_CHECK(s->wire.pings <=
               cmt_conn_pings_sent(s->c) + cmt_conn_has_ended(s->c));
  }
  s->run_at += out.len;
  cmt_conn_consume(s->c, out.len, s->now_ns);
  if (cmt_conn_take_credits(s->c, &credits)) {
    FUZZ_CHECK(s->up);
  }
}

void side_send(fuzz_side *s, size_t channel, size_t len) {
  const cmt_channel *c = &side_channels[channel];
  size_t k = s->sent_count[channel];
  uint32_t room;
  cmt_buf *msg;
  cmt_err err;

  if (s->c == NULL || k == SIDE_MESSAGES) {
    return;
  }
  msg = cmt_buf_new(NULL, len);
  FUZZ_CHECK(msg != NULL);
  for (size_t i = 0; i < len; i++) {
    cmt_buf_data(msg)[i] = side_byte(channel, k, i);
  }
  room = cmt_conn_room(s->c, c->id);
  err = cmt_conn_try_send(s->c, c->id, msg, s->now_ns);
  FUZZ_CHECK(err != CMT_OK || cmt_conn_room(s->c, c->id) == room - 1);
  FUZZ_CHECK(err != CMT_EAGAIN || room == 0);
  if (err == CMT_OK) {
    FUZZ_CHECK(room > 0);
    FUZZ_CHECK(s->up && !s->end && !s->stopping && len <= c->recv_message_max);
    s->sent[channel][k] = (uint32_t)len;
    s->sent_count[channel]++;
    return;
  }
  cmt_buf_unref(msg);
  FUZZ_CHECK(err == CMT_EAGAIN || err == CMT_EPEERCHANNEL ||
             (err == CMT_ECLOSED &&
              (!s->up || s->stopping || cmt_conn_has_ended(s->c))) ||
             (err == CMT_ETOOBIG && len > c->recv_message_max) ||
             (err == CMT_ENOMEM && s->e.failed));
}

void side_ping(fuzz_side *s) {
  cmt_err err;

  if (s->c != NULL) {
    err = cmt_conn_ping(s->c, s->now_ns);
    FUZZ_CHECK(err == CMT_OK || err == CMT_EAGAIN || err == CMT_ECLOSED);
    FUZZ_CHECK(err != CMT_OK || (s->up && !s->end));
  }
}

/* ---- time and ends ---- */

void side_tick(fuzz_side *s, uint64_t now_ns) {
  s->now_ns = now_ns;
  if (s->c == NULL) {
    return;
  }
  /* Whatever was due is done after a call or two: events may make something due
     that was not before, but not for ever. */
  for (size_t i = 0; i < TICKS_MAX; i++) {
    cmt_conn_tick(s->c, now_ns);
    (void)side_events(s, SIZE_MAX);
    if (cmt_conn_deadline(s->c) > now_ns) {
      return;
    }
  }
  fuzz_fail(__FILE__, __LINE__, "the deadline stays");
}

void side_pause(fuzz_side *s, bool on) {
  if (s->c != NULL) {
    if (on) {
      cmt_conn_pause(s->c, s->now_ns);
    } else {
      cmt_conn_resume(s->c, s->now_ns);
    }
    FUZZ_CHECK(cmt_conn_read_max(s->c) > 0);
  }
}

void side_stop(fuzz_side *s, cmt_err reason, uint64_t flush_ns) {
  if (s->c == NULL) {
    return;
  }
  if (!s->stopping) {
    s->stop_reason = reason;
  }
  s->stopping = true;
  cmt_conn_stop(s->c, reason, flush_ns, s->now_ns);
}

/* ---- invariants ---- */

bool side_has_queued(const fuzz_side *s) {
  cmt_channel_status status[SIDE_CHANNELS];
  size_t count =
    s->c != NULL ? cmt_conn_get_status(s->c, status, SIDE_CHANNELS) : 0;

  for (size_t i = 0; i < count; i++) {
    if (status[i].queued_messages > 0) {
      return true;
    }
  }
  return false;
}

static void status_check(const fuzz_side *s) {
  cmt_channel_status status[SIDE_CHANNELS];
  size_t count = cmt_conn_get_status(s->c, status, SIDE_CHANNELS);

  FUZZ_CHECK(count == 0 || count == SIDE_CHANNELS);
  for (size_t i = 0; i < count; i++) {
    FUZZ_CHECK(status[i].id == side_channels[i].id);
    FUZZ_CHECK(status[i].queued_messages <= side_channels[i].send_queue + 1);
    FUZZ_CHECK(status[i].sent_messages + status[i].queued_messages ==
               s->sent_count[i]);
    FUZZ_CHECK(status[i].recv_messages == s->recv_count[i]);
  }
}

/* The most memory that a connection uses as the library states it, and besides
   that the messages under reassembly, which the options bound, the last one and
   input that is kept. */
static size_t memory_max(fuzz_side *s) {
  cmt_conn_options o = conn_options(s);
  size_t own = s->up && s->wire.stage == WIRE_PACKETS
                 ? cmt__conn_memory(&o)
                 : cmt__conn_handshake_memory(&o);

  own = s->o.aead == &fuzz_null_aead ? own : cmt__conn_handshake_memory(&o);
  return own + REASSEMBLY_MAX +
         (s->kept != NULL ? cmt_buf_bytes(s->kept).len : 0) +
         (s->was_on_standby ? KEPT_MAX : 0) + RINGS_MAX;
}

void side_check(fuzz_side *s) {
  if (s->c == NULL) {
    FUZZ_CHECK(s->e.live == 0);
    return;
  }
  status_check(s);
  FUZZ_CHECK(s->e.live_bytes <= memory_max(s));
  if (s->end) {
    FUZZ_CHECK(cmt_conn_deadline(s->c) == CMT_NEVER);
    FUZZ_CHECK(cmt_conn_room(s->c, 0x31) == 0);
    FUZZ_CHECK(cmt_conn_ping(s->c, s->now_ns) == CMT_ECLOSED);
    FUZZ_CHECK(!cmt_conn_wants_read(s->c));
    FUZZ_CHECK(!s->up || s->stopping || s->why.err == CMT_EPROTO ||
               !cmt_conn_wants_write(s->c, s->now_ns, NULL));
  }
}
