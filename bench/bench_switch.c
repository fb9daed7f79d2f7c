/* SPDX-License-Identifier: Apache-2.0 */
/* Two switches on one libuv loop, with a connection over loopback between them:
   what a message costs from cmt_peer_try_send() to receive(), without the
   kernel. The instructions compare two builds, where seconds do not:

     valgrind --tool=callgrind bench_switch SIZE COUNT

   with two values of COUNT; the difference is without the handshake. */

#include "bench.h"

#include <cometp2p/uv.h>

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { SIZE_DEFAULT = 1024, COUNT_DEFAULT = 100000 };

typedef struct bench {
  uv_loop_t loop;
  uv_prepare_t prepare;
  cmt_switch *to, *from;
  cmt_peer *peer; /* What |from| sends to. */
  cmt_buf *msg;
  uint64_t count, sent, received;
} bench;

static void fail(const char *what, const char *text) {
  fprintf(stderr, "bench_switch: %s: %s\n", what, text);
  exit(1);
}

/* In each iteration of the loop the send queue is filled. */
static void on_prepare(uv_prepare_t *prepare) {
  bench *b = prepare->data;
  cmt_err err = CMT_OK;

  while (b->peer != NULL && b->sent < b->count && err == CMT_OK) {
    err = cmt_peer_try_send(b->peer, BENCH_CHANNEL, cmt_buf_ref(b->msg));
    b->sent += err == CMT_OK;
    if (err != CMT_OK) {
      cmt_buf_unref(b->msg);
    }
  }
  if (err != CMT_OK && err != CMT_EAGAIN) {
    fail("send", cmt_err_name(err));
  }
}

static void add_peer(void *self, cmt_peer *p) {
  bench *b = self;

  b->peer = cmt_peer_ref(p);
}

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  bench *b = self;

  (void)p;
  (void)channel;
  (void)msg;
  if (++b->received == b->count) {
    uv_close((uv_handle_t *)&b->prepare, NULL);
    cmt_switch_stop(b->from, CMT_SECONDS(1));
    cmt_switch_stop(b->to, CMT_SECONDS(1));
  }
  return CMT_OK;
}

static cmt_switch *start(bench *b, const cmt_reactor *r, const char *laddr) {
  cmt_switch_options o;
  cmt_switch *sw;
  cmt_why why;

  cmt_switch_options_init(&o);
  o.network = "bench";
  o.laddr = laddr;
  o.reactors = r;
  o.reactor_count = 1;
  o.queue_delay_target_ns =
    CMT_NO_DELAY_TARGET; /* Batches do not depend on the rate. */
  if (cmt_switch_new(&o, &sw, &why) != CMT_OK ||
      cmt_switch_run_on(sw, &b->loop, &why) != CMT_OK) {
    fail("start", why.text);
  }
  return sw;
}

static void start_both(bench *b) {
  const cmt_channel channel = {
    .id = BENCH_CHANNEL, .priority = 1, .send_queue = 100};
  cmt_reactor to = {.name = "to",
                    .channels = &channel,
                    .channel_count = 1,
                    .self = b,
                    .receive = receive};
  cmt_reactor from = to;
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt_net_addr at;

  from.name = "from";
  from.add_peer = add_peer;
  b->to = start(b, &to, "127.0.0.1:0");
  b->from = start(b, &from, NULL);
  if (cmt_switch_get_laddr(b->to, &at) != CMT_OK ||
      cmt_net_addr_format(&at, text, sizeof text) != CMT_OK ||
      cmt_switch_dial(b->from, text, 0, NULL) != CMT_OK) {
    fail("dial", "refused");
  }
}

static uint64_t number(int argc, char **argv, int i, uint64_t otherwise) {
  return argc > i ? strtoull(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
  static bench b;
  size_t size = number(argc, argv, 1, SIZE_DEFAULT);
  uint64_t begin_ns;

  b.count = number(argc, argv, 2, COUNT_DEFAULT);
  b.msg = cmt_buf_new(NULL, size);
  uv_loop_init(&b.loop);
  start_both(&b);
  uv_prepare_init(&b.loop, &b.prepare);
  b.prepare.data = &b;
  uv_prepare_start(&b.prepare, on_prepare);
  begin_ns = bench_now_ns();
  uv_run(&b.loop, UV_RUN_DEFAULT);
  printf("%llu of %llu messages of %zu bytes in %.3f s\n",
         (unsigned long long)b.received, (unsigned long long)b.count, size,
         (double)(bench_now_ns() - begin_ns) / 1e9);
  cmt_peer_unref(b.peer);
  cmt_buf_unref(b.msg);
  return b.received == b.count && cmt_switch_delete(b.from) == CMT_OK &&
             cmt_switch_delete(b.to) == CMT_OK && uv_loop_close(&b.loop) == 0
           ? 0
           : 1;
}
