/* SPDX-License-Identifier: Apache-2.0 */

/* MyReactor of the legacy document (docs/LEGACY.md): it prints the strings that
   it receives on its channel; and the document's loop that sends a random
   message to all outbound connections.

     my_reactor [ID@HOST:PORT]...

   Each line of the standard input runs that loop once. */

#include <cometp2p/cometp2p.h>
#include <stdio.h>
#include <string.h>

enum { MY_CHANNEL_ID = 0x30, PEERS_MAX = 64 };

static const cmt_channel my_channels[] = {
  {.id = MY_CHANNEL_ID, .priority = 1},
};

static cmt_err my_receive(void *self, cmt_peer *peer, uint8_t channel,
                          cmt_buf *msg) {
  char text[4000];

  (void)self;
  (void)peer;
  (void)channel;
  cmt_text_escape(cmt_buf_bytes(msg), text, sizeof text);
  printf("received: %s\n", text);
  fflush(stdout);
  return CMT_OK;
}

static void my_add_peer(void *self, cmt_peer *peer) {
  (void)self;
  printf("peer: %s %s\n", cmt_peer_is_outbound(peer) ? "outbound" : "inbound",
         cmt_peer_id(peer)->text);
  fflush(stdout);
}

static const cmt_reactor my_reactor = {
  .name = "my_reactor",
  .channels = my_channels,
  .channel_count = 1,
  .add_peer = my_add_peer,
  .receive = my_receive,
};

/* Sends a random message to all outbound connections. */
static void send_to_outbound(cmt_switch *sw) {
  static const char message[] = "Here's a random message";
  cmt_peer *peers[PEERS_MAX];
  size_t count = cmt_switch_peers(sw, peers, PEERS_MAX);

  for (size_t i = 0; i < count && i < PEERS_MAX; i++) {
    if (cmt_peer_is_outbound(peers[i])) {
      cmt_err err = cmt_peer_send_bytes(peers[i], MY_CHANNEL_ID, message,
                                        strlen(message), CMT_SEND_TIMEOUT);
      printf("sent: %s\n", cmt_err_text(err));
    }
    cmt_peer_unref(peers[i]);
  }
  fflush(stdout);
}

int main(int argc, char **argv) {
  char line[16], text[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch_options o;
  cmt_net_addr at;
  cmt_switch *sw;
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
  o.reactors = &my_reactor;
  o.reactor_count = 1;
  if (cmt_switch_new(&o, &sw, &why) != CMT_OK ||
      cmt_switch_start(sw, &why) != CMT_OK) {
    fprintf(stderr, "my_reactor: %s\n", why.text);
    return 1;
  }
  if (cmt_switch_get_laddr(sw, &at) == CMT_OK &&
      cmt_net_addr_format(&at, text, sizeof text) == CMT_OK) {
    printf("address: %s\n", text);
    fflush(stdout);
  }
  for (int i = 1; i < argc; i++) {
    if (cmt_switch_dial(sw, argv[i], CMT_DIAL_PERSISTENT, &why) != CMT_OK) {
      fprintf(stderr, "my_reactor: %s\n", why.text);
    }
  }
  while (fgets(line, sizeof line, stdin) != NULL) {
    send_to_outbound(sw);
  }
  cmt_switch_stop(sw, CMT_SECONDS(2));
  return cmt_switch_delete(sw) == CMT_OK ? 0 : 1;
}
