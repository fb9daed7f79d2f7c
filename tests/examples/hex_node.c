/* SPDX-License-Identifier: Apache-2.0 */

/* A node with all channels of CometBFT that knows nothing of their messages:

     hex_node NETWORK [ID@HOST:PORT]

   It dials that node, or prints its own address and waits. It prints each
   message, and sends none by itself.  Commands, on its standard input: "CHANNEL
   MESSAGE", both in hex, sends to a peer, and "drop" ends it.  Events are JSON,
   one a line.  It ends at the end of its input. */

#include <cometp2p/switch.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 70000 };

static const cmt_channel channels[] = {
  {.id = 0x00, .priority = 1}, {.id = 0x20, .priority = 6},
  {.id = 0x21, .priority = 6}, {.id = 0x22, .priority = 6},
  {.id = 0x23, .priority = 1}, {.id = 0x30, .priority = 5},
  {.id = 0x38, .priority = 6}, {.id = 0x40, .priority = 5},
  {.id = 0x60, .priority = 5}, {.id = 0x61, .priority = 3},
};

static void emit(json_t *event) {
  if (event == NULL || json_dumpf(event, stdout, JSON_COMPACT) != 0) {
    abort();
  }
  putchar('\n');
  fflush(stdout);
  json_decref(event);
}

static void add_peer(void *self, cmt_peer *p) {
  (void)self;
  emit(json_pack("{s:s,s:s}", "event", "up", "id", cmt_peer_id(p)->text));
}

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  cmt_bytes bytes = cmt_buf_bytes(msg);
  char *hex = malloc(2 * bytes.len + 1);

  (void)self;
  (void)p;
  if (hex == NULL) {
    return CMT_ENOMEM;
  }
  sodium_bin2hex(hex, 2 * bytes.len + 1, bytes.base, bytes.len);
  emit(json_pack("{s:s,s:i,s:s}", "event", "message", "channel", channel,
                 "bytes", hex));
  free(hex);
  return CMT_OK;
}

static void remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  (void)self;
  (void)p;
  emit(json_pack("{s:s,s:s}", "event", "gone", "reason", cmt_err_text(reason)));
}

static void rejected(void *arg, const cmt_rejection *r) {
  (void)arg;
  emit(json_pack("{s:s,s:s}", "event", "gone", "reason", r->why.text));
}

static _Noreturn void die(const char *text) {
  fprintf(stderr, "hex_node: %s\n", text);
  exit(1);
}

static void send_line(cmt_peer *p, const char *line) {
  static uint8_t bytes[LINE_SIZE / 2];
  size_t len;
  char *hex;
  unsigned long channel = strtoul(line, &hex, 16);

  if (*hex != ' ' || channel > UINT8_MAX ||
      sodium_hex2bin(bytes, sizeof bytes, hex + 1, strlen(hex + 1), NULL, &len,
                     NULL) != 0) {
    die("not a channel and a message in hex");
  }
  cmt_ignore(
    cmt_peer_send_bytes(p, (uint8_t)channel, bytes, len, CMT_SEND_TIMEOUT));
}

static void commands(cmt_switch *sw) {
  static char line[LINE_SIZE];

  while (fgets(line, sizeof line, stdin) != NULL) {
    cmt_peer *p;

    line[strcspn(line, "\n")] = '\0';
    if (cmt_switch_peers(sw, &p, 1) == 0) {
      continue;
    }
    if (strcmp(line, "drop") == 0) {
      cmt_peer_stop(p, CMT_ECANCELED, 0);
    } else {
      send_line(p, line);
    }
    cmt_peer_unref(p);
  }
}

static void print_address(const cmt_switch *sw) {
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt_net_addr at;

  if (cmt_switch_get_laddr(sw, &at) != CMT_OK ||
      cmt_net_addr_format(&at, text, sizeof text) != CMT_OK) {
    die("no address");
  }
  emit(json_pack("{s:s,s:s}", "event", "ready", "address", text));
}

int main(int argc, char **argv) {
  const cmt_reactor reactor = {.name = "hex",
                               .channels = channels,
                               .channel_count =
                                 sizeof channels / sizeof channels[0],
                               .add_peer = add_peer,
                               .receive = receive,
                               .remove_peer = remove_peer};
  cmt_switch_options o;
  cmt_switch *sw;
  cmt_why why;

  if (argc != 2 && argc != 3) {
    fprintf(stderr, "usage: hex_node NETWORK [ID@HOST:PORT]\n");
    return 2;
  }
  cmt_switch_options_init(&o);
  o.network = argv[1];
  o.laddr = argc == 2 ? "127.0.0.1:0" : NULL;
  o.reactors = &reactor;
  o.reactor_count = 1;
  o.on_rejected = rejected;
  if (cmt_switch_new(&o, &sw, &why) != CMT_OK ||
      cmt_switch_start(sw, &why) != CMT_OK) {
    die(why.text);
  }
  if (argc == 2) {
    print_address(sw);
  } else if (cmt_switch_dial(sw, argv[2], 0, &why) != CMT_OK) {
    die(why.text);
  }
  commands(sw);
  return cmt_switch_delete(sw) == CMT_OK ? 0 : 1;
}
