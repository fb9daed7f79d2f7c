/* SPDX-License-Identifier: Apache-2.0 */
/* Greets each peer and prints what it receives, until Enter: hello [ADDRESS] */
#include <cometp2p/cometp2p.h>
#include <stdio.h>

static void add_peer(void *self, cmt_peer *p) {
  cmt_ignore(cmt_peer_try_send_bytes(p, 0x51, self, 5));
}

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  char text[200];

  (void)self;
  cmt_text_escape(cmt_buf_bytes(msg), text, sizeof text);
  printf("%.8s on channel %#x: %s\n", cmt_peer_id(p)->text, channel, text);
  return CMT_OK;
}

int main(int argc, char **argv) {
  const cmt_channel channels[] = {{.id = 0x51}};
  const cmt_reactor reactors[] = {CMT_REACTOR("talk", channels, .self = "hello",
                                              .add_peer = add_peer,
                                              .receive = receive)};
  const cmt_switch_options o = /* Nodes of other networks are refused. */
    CMT_SWITCH_OPTIONS("my-net", reactors, .laddr = "127.0.0.1:0");
  char address[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *sw;

  if (cmt_switch_open(&o, &sw, NULL) != CMT_OK ||
      cmt_switch_get_laddr_text(sw, address, sizeof address) != CMT_OK ||
      (argc > 1 && cmt_switch_dial(sw, argv[1], 0, NULL) != CMT_OK)) {
    return 1;
  }
  printf("listening at %s\n", address);
  (void)getchar();
  return cmt_switch_close(sw, CMT_SECONDS(2)) == CMT_OK ? 0 : 1;
}
