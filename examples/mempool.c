/* SPDX-License-Identifier: Apache-2.0 */

/* A monitor of a chain: the length and the hash of each transaction that a node
   gossips, until SIGINT or SIGTERM.  When the connection ends it dials again.

     mempool ID@HOST:PORT CHAIN_ID

   CometBFT shows ID by "show-node-id", and both in what /status of its RPC
   answers. */

#include <cometp2p/cometp2p.h>
#include <cometp2p/protobuf.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>

#include <consensus.pb-c.h>
#include <mempool.pb-c.h>

enum { STATE = 0x20, TXS = 0x30 };

static const cmt_channel channels[] = {
  {.id = STATE, .priority = 6, .recv_message_max = 1 << 20},
  {.id = TXS, .priority = 5},
};
static const cmt_protobuf_type types[] = {
  {.channel = STATE, .type = &cometbft__consensus__message__descriptor},
  {.channel = TXS, .type = &cometbft__mempool__message__descriptor},
};

/* A node keeps a transaction from peers that are more than a height behind it,
   and counts among them those that do not state their height.  We state a
   height far ahead: for a peer at its own height or below it would look for
   blocks and votes to send. */
static void add_peer(void *self, cmt_peer *p) {
  Cometbft__Consensus__NewRoundStep step =
    COMETBFT__CONSENSUS__NEW_ROUND_STEP__INIT;
  Cometbft__Consensus__Message msg = COMETBFT__CONSENSUS__MESSAGE__INIT;

  (void)self;
  step.height = INT64_C(1) << 40;
  step.step = 1;
  msg.sum_case = COMETBFT__CONSENSUS__MESSAGE__SUM_NEW_ROUND_STEP;
  msg.new_round_step = &step;
  fprintf(stderr, "mempool: %s is here\n", cmt_peer_id(p)->text);
  /* It is the first message, so there is room for it. */
  cmt_ignore(cmt_peer_try_send_message(p, STATE, &msg.base));
}

static void print_tx(ProtobufCBinaryData tx) {
  uint8_t hash[crypto_hash_sha256_BYTES];

  crypto_hash_sha256(hash, tx.data, tx.len);
  printf("%8zu ", tx.len);
  for (size_t i = 0; i < sizeof hash; i++) {
    printf("%02X", hash[i]);
  }
  printf("\n");
  fflush(stdout);
}

/* A message without any member of its union is one too. */
static cmt_err receive(void *self, cmt_peer *p, uint8_t channel,
                       const ProtobufCMessage *msg, cmt_buf *packed) {
  const Cometbft__Mempool__Message *m = (const Cometbft__Mempool__Message *)msg;

  (void)self;
  (void)p;
  (void)packed;
  if (channel == TXS && m->sum_case == COMETBFT__MEMPOOL__MESSAGE__SUM_TXS) {
    for (size_t i = 0; i < m->txs->n_txs; i++) {
      print_tx(m->txs->txs[i]);
    }
  }
  return CMT_OK;
}

static void remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  (void)self;
  fprintf(stderr, "mempool: %s is gone: %s\n", cmt_peer_id(p)->text,
          cmt_err_text(reason));
}

static cmt_switch *start(const cmt_protobuf_reactor *typed,
                         const char *network) {
  cmt_switch_options o;
  cmt_reactor reactor;
  cmt_switch *sw;
  cmt_env env;
  cmt_why why;

  if (cmt_env_init(&env) != CMT_OK) {
    return NULL;
  }
  env.log = cmt_log_stderr; /* Also reports why there is no peer. */
  cmt_switch_options_init(&o);
  o.env = &env;
  o.network = network;
  o.moniker = "mempool";
  o.reactors = &reactor;
  o.reactor_count = 1;
  if (cmt_protobuf_reactor_wrap(typed, &reactor, &why) != CMT_OK ||
      cmt_switch_new(&o, &sw, &why) != CMT_OK) {
    fprintf(stderr, "mempool: %s\n", why.text);
    return NULL;
  }
  if (cmt_switch_start(sw, &why) != CMT_OK) {
    fprintf(stderr, "mempool: %s\n", why.text);
    cmt_ignore(cmt_switch_delete(sw));
    return NULL;
  }
  return sw;
}

int main(int argc, char **argv) {
  cmt_protobuf_reactor typed;
  cmt_switch *sw;
  cmt_why why;
  sigset_t set;
  int which;

  if (argc != 3) {
    fprintf(stderr, "usage: mempool ID@HOST:PORT CHAIN_ID\n");
    return 2;
  }
  /* Blocked from the start, or one that comes early would end us at once. */
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  cmt_protobuf_reactor_init(&typed);
  typed.base = (cmt_reactor){.name = "mempool",
                             .channels = channels,
                             .channel_count = 2,
                             .delivery = CMT_DELIVER_WORKERS,
                             .add_peer = add_peer,
                             .remove_peer = remove_peer};
  typed.types = types;
  typed.type_count = 2;
  typed.receive = receive;
  if (sodium_init() < 0 || (sw = start(&typed, argv[2])) == NULL) {
    return 1;
  }
  if (cmt_switch_dial(sw, argv[1], CMT_DIAL_PERSISTENT, &why) != CMT_OK) {
    fprintf(stderr, "mempool: %s\n", why.text);
    cmt_ignore(cmt_switch_delete(sw));
    return 2;
  }
  sigwait(&set, &which);
  return cmt_switch_delete(sw) == CMT_OK ? 0 : 1;
}
