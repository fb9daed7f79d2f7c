/* SPDX-License-Identifier: Apache-2.0 */
/* A node that sends what its input asks for and prints what it receives, for
   tests that need a peer which keeps the encryption and breaks everything above
   it. Channels 0x40, 0x50, 0x60 and 0x61.

     raw_peer ID@HOST:PORT     dials
     raw_peer                  listens, and prints "ready ID@HOST:PORT"

   Input lines: "send CHANNEL HEX".  The end of input closes the connection.
   Output lines: "up", "recv CHANNEL HEX", "gone REASON", "rejected REASON".
   While nobody reads the output, nothing is received either. */

#include <cometp2p/cometp2p.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cmt_channel channels[] = {
  {.id = 0x40, .priority = 1, .send_queue = 8},
  {.id = 0x50, .priority = 10, .send_queue = 8},
  {.id = 0x60, .priority = 1, .send_queue = 8},
  {.id = 0x61, .priority = 1, .send_queue = 8},
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static cmt_peer *peer;

static void add_peer(void *self, cmt_peer *p) {
  (void)self;
  puts("up");
  fflush(stdout);
  pthread_mutex_lock(&lock);
  if (peer == NULL) {
    peer = cmt_peer_ref(p);
    pthread_cond_signal(&changed);
  }
  pthread_mutex_unlock(&lock);
}

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  cmt_bytes bytes = cmt_buf_bytes(msg);

  (void)self, (void)p;
  printf("recv %u ", channel);
  for (size_t i = 0; i < bytes.len; i++) {
    printf("%02x", bytes.base[i]);
  }
  puts("");
  fflush(stdout);
  return CMT_OK;
}

static void remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  (void)self, (void)p;
  printf("gone %s\n", cmt_err_name(reason));
  fflush(stdout);
}

static void rejected(void *arg, const cmt_rejection *r) {
  (void)arg;
  printf("rejected %s\n", cmt_err_name(r->why.err));
  fflush(stdout);
}

static uint8_t hex_digit(char c) {
  return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void send_hex(unsigned channel, const char *hex) {
  size_t len = strlen(hex) / 2;
  cmt_buf *msg = cmt_buf_new(NULL, len);
  uint8_t *at = msg == NULL ? NULL : cmt_buf_data(msg);

  if (at == NULL) {
    exit(1);
  }
  for (size_t i = 0; i < len; i++) {
    at[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
  }
  if (cmt_peer_send(peer, (uint8_t)channel, msg, CMT_NEVER) != CMT_OK) {
    cmt_buf_unref(msg);
  }
}

static void run(void) {
  char *line = NULL;
  size_t cap = 0;

  pthread_mutex_lock(&lock);
  while (peer == NULL) {
    pthread_cond_wait(&changed, &lock);
  }
  pthread_mutex_unlock(&lock);
  while (getline(&line, &cap, stdin) > 0) {
    char *hex = strrchr(line, ' ');

    line[strcspn(line, "\n")] = '\0';
    if (hex != NULL) {
      send_hex((unsigned)strtoul(line + strlen("send "), NULL, 10), hex + 1);
    }
  }
  free(line);
}

int main(int argc, char **argv) {
  static const cmt_reactor reactor = {
    .name = "raw",
    .channels = channels,
    .channel_count = sizeof channels / sizeof *channels,
    .add_peer = add_peer,
    .receive = receive,
    .remove_peer = remove_peer,
  };
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch_options o;
  cmt_net_addr addr;
  cmt_switch *sw;
  cmt_why why;

  cmt_switch_options_init(&o);
  o.network = "cometp2p";
  o.laddr = argc > 1 ? NULL : "127.0.0.1:0";
  o.reactors = &reactor;
  o.reactor_count = 1;
  o.on_rejected = rejected;
  if (cmt_switch_new(&o, &sw, &why) != CMT_OK ||
      cmt_switch_start(sw, &why) != CMT_OK) {
    fprintf(stderr, "raw_peer: %s\n", why.text);
    return 1;
  }
  if (argc > 1 && cmt_switch_dial(sw, argv[1], 0, NULL) != CMT_OK) {
    return 1;
  }
  if (argc == 1 && cmt_switch_get_laddr(sw, &addr) == CMT_OK &&
      cmt_net_addr_format(&addr, text, sizeof text) == CMT_OK) {
    printf("ready %s\n", text);
    fflush(stdout);
  }
  run();
  cmt_peer_unref(peer);
  return cmt_switch_delete(sw) == CMT_OK ? 0 : 1;
}
