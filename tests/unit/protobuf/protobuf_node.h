/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_PROTOBUF_NODE_H
#define CMT_PROTOBUF_NODE_H

/* Two nodes on a loop double, the second of which has typed channels and writes
   down what comes. */

#include "node.h"

#include <cometp2p/protobuf.h>

#include <mempool.pb-c.h>
#include <pex.pb-c.h>
#include <shapes.pb-c.h>
#include <stdio.h>
#include <stdlib.h>

enum { PEX = 0x00, MEMPOOL = 0x30, RAW = 0x31, SHAPE = 0x32, TEXT_SIZE = 4096 };

static const cmt_channel channels[] = {
  {.id = PEX, .priority = 1},
  {.id = MEMPOOL, .priority = 1, .recv_message_max = 200000},
  {.id = RAW, .priority = 1},
  {.id = SHAPE, .priority = 1},
};

static cmt_protobuf_type types[] = {
  {PEX, &cometbft__pex__message__descriptor},
  {MEMPOOL, &cometbft__mempool__message__descriptor},
  {SHAPE, &shapes__lists__descriptor},
};

typedef struct fixture {
  test_trio *trio;
  test_world *w;
  test_node *a, *b;
  cmt_protobuf_type types[3];
  cmt_protobuf_reactor typed;
  cmt_reactor wrapped;
  bool copies; /* Messages are packed again and compared. */
  cmt_err receive_err;
  char log[TEXT_SIZE];
} fixture;

static inline void note(fixture *f, const char *text) {
  size_t len = strlen(f->log);

  assert_true(len + strlen(text) + 2 < sizeof f->log);
  snprintf(f->log + len, sizeof f->log - len, "%s\n", text);
}

static inline void assert_log(fixture *f, const char *expected) {
  assert_string_equal(expected, f->log);
  f->log[0] = '\0';
}

/* ---- the reactor of the second node ---- */

static inline cmt_err on_start(void *self, cmt_switch *sw) {
  (void)sw;
  note(self, "start");
  return CMT_OK;
}

static inline cmt_err on_init(void *self, cmt_peer *p) {
  (void)p;
  note(self, "init");
  return CMT_OK;
}

static inline void on_add(void *self, cmt_peer *p) {
  (void)p;
  note(self, "add");
}

static inline void on_remove(void *self, cmt_peer *p, cmt_err reason) {
  cmt_why why;

  cmt_peer_get_why(p, &why);
  note(self, cmt_err_name(reason));
  note(self, cmt_err_class_name(cmt_err_class_of(reason)));
  note(self, why.text);
}

static inline void on_stop(void *self) { note(self, "stop"); }

static inline cmt_err on_raw(void *self, cmt_peer *p, uint8_t channel,
                             cmt_buf *msg) {
  char text[64];

  (void)p;
  snprintf(text, sizeof text, "raw %02x %zu", channel, cmt_buf_bytes(msg).len);
  note(self, text);
  return CMT_OK;
}

static inline void describe(const ProtobufCMessage *msg, char *out,
                            size_t size) {
  if (msg->descriptor == &cometbft__mempool__message__descriptor) {
    const Cometbft__Mempool__Message *m =
      (const Cometbft__Mempool__Message *)msg;

    snprintf(out, size, "txs %zu", m->txs != NULL ? m->txs->n_txs : 0);
  } else if (msg->descriptor == &cometbft__pex__message__descriptor) {
    const Cometbft__Pex__Message *m = (const Cometbft__Pex__Message *)msg;

    snprintf(out, size, "pex %d", (int)m->sum_case);
  } else {
    snprintf(out, size, "%s", msg->descriptor->short_name);
  }
}

static inline cmt_err on_typed(void *self, cmt_peer *p, uint8_t channel,
                               const ProtobufCMessage *msg, cmt_buf *packed) {
  fixture *f = self;
  char what[64], text[96];

  (void)p;
  if (f->copies) {
    cmt_buf *again = NULL;

    assert_cmt(CMT_OK, cmt_protobuf_pack(NULL, msg, &again));
    assert_int_equal(cmt_buf_bytes(packed).len, cmt_buf_bytes(again).len);
    assert_memory_equal(cmt_buf_bytes(packed).base, cmt_buf_bytes(again).base,
                        cmt_buf_bytes(again).len);
    cmt_buf_unref(again);
  }
  describe(msg, what, sizeof what);
  snprintf(text, sizeof text, "typed %02x %s", channel, what);
  note(f, text);
  return f->receive_err;
}

static inline void node_b_start(fixture *f) {
  test_node *b = f->b;
  cmt_net_addr at;

  assert_cmt(CMT_OK, cmt_protobuf_reactor_wrap(&f->typed, &f->wrapped, NULL));
  b->options.reactors = &f->wrapped;
  b->options.reactor_count = 1;
  assert_cmt(CMT_OK, test_world_switch(f->w, &b->options, &b->sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(b->sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_get_laddr(b->sw, &at));
  assert_cmt(CMT_OK, cmt_net_addr_format(&at, b->addr, sizeof b->addr));
}

static inline int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  assert_int_equal(0, test_trio_setup((void **)&f->trio));
  f->w = &f->trio->w;
  f->a = &f->trio->a;
  f->b = &f->trio->b;
  f->a->parts[0].channel_count = 0;
  for (size_t i = 0; i < CMT__COUNT(channels); i++) {
    test_part_channel(&f->a->parts[0], channels[i]);
  }
  memcpy(f->types, types, sizeof types);
  cmt_protobuf_reactor_init(&f->typed);
  f->typed.base = (cmt_reactor){.name = "typed",
                                .channels = channels,
                                .channel_count = CMT__COUNT(channels),
                                .self = f,
                                .start = on_start,
                                .init_peer = on_init,
                                .add_peer = on_add,
                                .receive = on_raw,
                                .remove_peer = on_remove,
                                .stop = on_stop};
  f->typed.types = f->types;
  f->typed.type_count = CMT__COUNT(f->types);
  f->typed.receive = on_typed;
  *state = f;
  return 0;
}

static inline int teardown(void **state) {
  fixture *f = *state;
  int result = test_trio_teardown((void **)&f->trio);

  free(f);
  return result;
}

/* The first node's peer, which is the second node. */
static inline cmt_peer *connect_nodes(fixture *f) {
  node_b_start(f);
  test_node_start(f->a);
  test_node_dial(f->a, f->b->addr, 0);
  assert_log(f, "start\ninit\nadd\n");
  return test_node_peer(f->a);
}

static inline void run_until_idle(fixture *f) {
  test_loop_run_until_idle(f->w->loop);
}

#endif
