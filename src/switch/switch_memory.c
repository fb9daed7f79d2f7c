/* SPDX-License-Identifier: Apache-2.0 */
/* The most bytes that a switch can hold: the sum of the bounds of everything it
   allocates.  The terms are those of cmt_switch_memory_max() in the header, one
   function for each.  What is not known here, such as the objects of
   libuv, has a generous constant. */

#include "base/buf.h"

#include "attempt.h"
#include "limits.h"
#include "loops.h"
#include "session.h"
#include "reactor/mailbox.h"

#include <cometp2p/secret_conn.h>

enum {
  LOOP_BYTES = 8192,     /* The loop and the listener. */
  LOOP_TCP_BYTES = 1024, /* What the loop has for a connection, */
  RESOLVE_BYTES = 1024,  /* and for a name that is being resolved. */
  TIMER_BYTES = 3 * 8,   /* A place in its heap, which grows by doubling. */
  KEY_BYTES = 256,       /* A value that is kept with a peer, with its key. */
  ITEM_FIRST = 4,        /* The first size of a send queue's intake. */
  INBOX_BYTES = 1024,    /* What a mailbox keeps of a peer. */
  SMALLEST_PACKET = 5,   /* An empty message on channel 0. */
};

typedef struct sums {
  size_t peers;        /* With those that are unconditional, */
  size_t extra;        /* which have a floor besides the totals. */
  size_t messages;     /* How many one peer may have queued. */
  uint64_t send_bytes; /* Their bytes, if all were of full length, */
  uint64_t send_one;   /* and of the longest. */
  uint64_t recv_bytes,
    recv_one; /* Bytes under reassembly, and of the longest. */
} sums;

static sums sums_of(cmt_switch *s) {
  const cmt__switch_setup *setup = &s->setup;
  sums n = {.extra = cmt__limits_extra(s)};

  n.peers = cmt__floors_peers(&setup->options) + n.extra;
  for (size_t i = 0; i < setup->reactors.channel_count; i++) {
    const cmt_channel *c = &setup->reactors.channels[i];
    uint64_t count = (uint64_t)c->send_queue + 1;

    n.messages += (size_t)count;
    n.send_bytes += count * c->send_message_max;
    n.send_one = cmt__max64(n.send_one, c->send_message_max);
    n.recv_bytes += c->recv_message_max;
    n.recv_one = cmt__max64(n.recv_one, c->recv_message_max);
  }
  return n;
}

static size_t text_bytes(const char *text) {
  return text != NULL ? strlen(text) + 1 : 0;
}

/* Any loop may once have had all peers. */
static uint64_t loop_bytes(const sums *n) {
  return sizeof(cmt__loop_thread) + LOOP_BYTES + CMT__SCRATCH + CMT__READ_MAX +
         n->peers * TIMER_BYTES;
}

/* Each dial may have an attempt under way, and keep a place for one more. */
static size_t dial_connections(const cmt_switch *s) {
  return 2 * atomic_load(&s->dials_allocated);
}

/* Connections that are not up, or were not when they were put on standby or
   refused. */
static size_t handshakes(const cmt_switch *s, const sums *n) {
  return (size_t)s->setup.options.handshakes_max + 1 + n->peers +
         dial_connections(s);
}

static uint64_t own_bytes(const cmt_switch *s, const sums *n) {
  const cmt__switch_setup *setup = &s->setup;

  return sizeof *s +
         cmt__conn_group_memory(setup->reactors.channel_count,
                                cmt__limits_connections(s, n->peers) +
                                  dial_connections(s),
                                handshakes(s, n) + cmt__loops_help_max(s)) +
         setup->options.loops * loop_bytes(n) +
         setup->reactors.count * sizeof *setup->reactors.list +
         text_bytes(setup->network) + text_bytes(setup->moniker) +
         text_bytes(setup->version) + text_bytes(setup->external_address) +
         text_bytes(setup->congestion) + cmt__bans_memory() +
         cmt__networks_memory() +
         atomic_load(&setup->unconditional_count) *
           sizeof *setup->unconditional +
         cmt__grow_max(n->peers, 8) * sizeof(cmt_peer *);
}

static uint64_t connection_bytes(void) {
  return sizeof(cmt__session) + sizeof(cmt__question) + LOOP_TCP_BYTES +
         CMT__SESSION_TIMERS * TIMER_BYTES;
}

/* Connections that are gone while an operation of theirs is elsewhere. */
static uint64_t help_bytes(const cmt_switch *s) {
  return cmt__loops_help_max(s) * (connection_bytes() + cmt__link_op_memory());
}

/* Its node info may wait for room in the socket.  One on standby keeps what was
   read with the other side's, and a little more; when that comes, its old
   memory is there as well. */
static uint64_t handshake_bytes(const cmt_conn_options *o) {
  return cmt__conn_handshake_memory(o) + cmt__link_op_memory() +
         2 * CMT__HANDSHAKE_READ_MAX + CMT_CONN_STANDBY_MAX +
         (CMT_NODE_INFO_MAX / CMT_FRAME_DATA + 2) * CMT_FRAME_SLOT;
}

/* A batch of frames may wait for room in the socket, and a read with the frame
   that it completes for the next iteration. */
static uint64_t peer_bytes(const cmt_switch *s, const sums *n,
                           const cmt_conn_options *o) {
  size_t items = 2 * cmt__grow_max(n->messages, ITEM_FIRST);

  return cmt__conn_memory(o) + sizeof(cmt_peer) + sizeof(cmt__link_migration) +
         sizeof(cmt__link_path) + 2 * sizeof(cmt_why) +
         s->setup.reactors.channel_count *
           (sizeof(uint32_t) + sizeof(cmt__send_queue_fifo)) +
         sizeof(cmt__pool_wait) + items * sizeof(cmt__send_queue_item) +
         CMT_PEER_KEYS_MAX * KEY_BYTES + sizeof(cmt__worth_tags) +
         CMT__SCRATCH + CMT__READ_MAX + CMT_FRAME_SLOT +
         n->messages * cmt__buf_header();
}

/* Queued messages, without their headers. */
static uint64_t send_bytes(const cmt_switch *s, const sums *n) {
  const cmt_switch_options *o = &s->setup.options;
  uint64_t each =
    cmt__min64(n->send_bytes, cmt__max64(n->send_one, o->send_bytes_max));

  return cmt__min64(n->peers * each, o->send_bytes_total_max +
                                       n->extra * s->setup.floors.send.floor);
}

/* While a message grows, its old memory is there as well; one that is complete
   counts no more, and is with its reactor.  On each loop there may be one.  One
   that is whole in its packet does not count, and each peer may have one. */
static uint64_t recv_bytes(const cmt_switch *s, const sums *n) {
  const cmt_switch_options *o = &s->setup.options;
  uint64_t each =
    o->recv_bytes_max != 0 ? o->recv_bytes_max : n->recv_one + (1 << 20);

  each = cmt__min64(each, n->recv_bytes);
  return cmt__min64(n->peers * each, o->recv_bytes_total_max +
                                       n->extra * s->setup.floors.recv.floor) +
         n->peers * (s->setup.reactors.channel_count * cmt__buf_header() +
                     cmt__min64(o->recv_packet_payload_max, n->recv_one)) +
         2 * o->loops * (n->recv_one + cmt__buf_header());
}

/* What waits for a reactor that is not called inline.  With the message that
   reaches a limit come those that were read with it. */
static uint64_t mailbox_bytes(const cmt_switch *s, const sums *n) {
  const uint64_t over = INBOX_BYTES +
                        CMT__READ_MAX / SMALLEST_PACKET * CMT__ENTRY_COST +
                        CMT__READ_MAX;
  uint64_t bytes = cmt__events_memory(&s->events);

  for (size_t i = 0; i < s->setup.reactors.count; i++) {
    const cmt_reactor *r = &s->setup.reactors.list[i];

    if (r->delivery != CMT_DELIVER_INLINE) {
      bytes += sizeof(cmt_mailbox) + n->peers * (over + n->recv_one) +
               cmt__mailbox_memory(r, n->peers);
    }
  }
  return bytes;
}

/* A connection that ends may still be there while the next is made. */
static uint64_t dial_bytes(cmt_switch *s) {
  return atomic_load(&s->dials_allocated) *
         (sizeof(cmt_dial) + cmt__attempt_memory() + RESOLVE_BYTES +
          CMT__DIAL_TIMERS * TIMER_BYTES + connection_bytes());
}

uint64_t cmt_switch_memory_max(cmt_switch *s) {
  sums n = sums_of(s);
  cmt_conn_options o;
  cmt_node_info info;

  cmt__setup_conn_options(&s->setup, &s->env, &info, &o);
  return own_bytes(s, &n) +
         (cmt__limits_connections(s, n.peers) + dial_connections(s)) *
           connection_bytes() +
         handshakes(s, &n) * handshake_bytes(&o) + help_bytes(s) +
         n.peers * peer_bytes(s, &n, &o) + send_bytes(s, &n) +
         recv_bytes(s, &n) + mailbox_bytes(s, &n) + dial_bytes(s);
}
