/* SPDX-License-Identifier: Apache-2.0 */

/* A node inside a program that has a libuv loop of its own: there is no other
   thread, and the program's timer and signals stand on the same loop.

     run_on [ID@HOST:PORT]...

   The timer sends a beat to all peers ten times a second; SIGINT or SIGTERM
   ends the program. */

#include <cometp2p/cometp2p.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { BEATS = 0x52, PERIOD_MS = 100 };

static const cmt_channel channels[] = {{.id = BEATS, .priority = 1}};

typedef struct program {
  uv_loop_t loop;
  uv_timer_t timer;
  uv_signal_t signals[2];
  cmt_switch *sw;
  unsigned beats;
} program;

/* Callbacks of the switch come on the program's own thread. */
static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  program *x = self;
  char text[200];

  (void)channel;
  cmt_text_escape(cmt_buf_bytes(msg), text, sizeof text);
  printf("%.8s: %s; we are at %u\n", cmt_peer_id(p)->text, text, x->beats);
  fflush(stdout);
  return CMT_OK;
}

static void on_timer(uv_timer_t *timer) {
  program *x = timer->data;
  char text[32];

  x->beats++;
  snprintf(text, sizeof text, "beat %u", x->beats);
  /* Never blocks: a peer without room does without this beat. */
  cmt_switch_broadcast_bytes(x->sw, BEATS, text, strlen(text), NULL);
}

/* When the program's handles are closed and those of the switch, uv_run()
   returns. */
static void on_signal(uv_signal_t *handle, int signal_number) {
  program *x = handle->data;

  (void)signal_number;
  cmt_switch_stop(x->sw, CMT_SECONDS(2));
  if (!uv_is_closing((uv_handle_t *)&x->timer)) {
    uv_close((uv_handle_t *)&x->timer, NULL);
    uv_close((uv_handle_t *)&x->signals[0], NULL);
    uv_close((uv_handle_t *)&x->signals[1], NULL);
  }
}

static void start_handles(program *x) {
  static const int numbers[] = {SIGINT, SIGTERM};

  uv_timer_init(&x->loop, &x->timer);
  x->timer.data = x;
  uv_timer_start(&x->timer, on_timer, PERIOD_MS, PERIOD_MS);
  for (int i = 0; i < 2; i++) {
    uv_signal_init(&x->loop, &x->signals[i]);
    x->signals[i].data = x;
    uv_signal_start(&x->signals[i], on_signal, numbers[i]);
  }
}

static void print_address(const program *x) {
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt_net_addr at;

  if (cmt_switch_get_laddr(x->sw, &at) == CMT_OK &&
      cmt_net_addr_format(&at, text, sizeof text) == CMT_OK) {
    printf("address: %s\n", text);
    fflush(stdout);
  }
}

int main(int argc, char **argv) {
  static program x;
  const cmt_reactor beats = {.name = "beats",
                             .channels = channels,
                             .channel_count = 1,
                             .self = &x,
                             .receive = receive};
  cmt_switch_options o;
  cmt_env env;
  cmt_why why;

  if (cmt_env_init(&env) != CMT_OK) {
    return 1;
  }
  env.log = cmt_log_stderr; /* Errors, and what an end waits for. */
  cmt_switch_options_init(&o);
  o.env = &env;
  o.network = "my-net";
  o.laddr = "127.0.0.1:0";
  o.reactors = &beats;
  o.reactor_count = 1;
  if (uv_loop_init(&x.loop) != 0) {
    return 1;
  }
  if (cmt_switch_new(&o, &x.sw, &why) != CMT_OK ||
      cmt_switch_run_on(x.sw, &x.loop, &why) != CMT_OK) {
    fprintf(stderr, "run_on: %s\n", why.text);
    return 1;
  }
  print_address(&x);
  for (int i = 1; i < argc; i++) {
    if (cmt_switch_dial(x.sw, argv[i], CMT_DIAL_PERSISTENT, &why) != CMT_OK) {
      fprintf(stderr, "run_on: %s\n", why.text);
    }
  }
  start_handles(&x);
  uv_run(&x.loop, UV_RUN_DEFAULT);
  /* The switch has finished: nothing of it is left on the loop. */
  if (cmt_switch_delete(x.sw) != CMT_OK || uv_loop_close(&x.loop) != 0) {
    return 1;
  }
  printf("ended after %u beats\n", x.beats);
  return 0;
}
