/* SPDX-License-Identifier: Apache-2.0 */

/* Messages of CometBFT whose code the CMake package had generated: each packs
   to the bytes of PROTOCOL.md. */

#include <blocksync.pb-c.h>
#include <consensus.pb-c.h>
#include <stdio.h>
#include <string.h>

static int packs_to(const ProtobufCMessage *msg, const char *bytes,
                    size_t len) {
  uint8_t out[64];

  return protobuf_c_message_get_packed_size(msg) == len &&
         protobuf_c_message_pack(msg, out) == len &&
         memcmp(out, bytes, len) == 0;
}

int main(void) {
  Cometbft__Consensus__NewRoundStep step =
    COMETBFT__CONSENSUS__NEW_ROUND_STEP__INIT;
  Cometbft__Consensus__Message consensus = COMETBFT__CONSENSUS__MESSAGE__INIT;
  Cometbft__Blocksync__StatusResponse status =
    COMETBFT__BLOCKSYNC__STATUS_RESPONSE__INIT;
  Cometbft__Blocksync__Message blocksync = COMETBFT__BLOCKSYNC__MESSAGE__INIT;

  step.height = 21;
  step.step = 1;
  consensus.sum_case = COMETBFT__CONSENSUS__MESSAGE__SUM_NEW_ROUND_STEP;
  consensus.new_round_step = &step;
  status.height = 7;
  status.base_height = 1;
  blocksync.sum_case = COMETBFT__BLOCKSYNC__MESSAGE__SUM_STATUS_RESPONSE;
  blocksync.status_response = &status;
  if (!packs_to(&consensus.base, "\x0a\x04\x08\x15\x18\x01", 6) ||
      !packs_to(&blocksync.base, "\x2a\x04\x08\x07\x10\x01", 6)) {
    return 1;
  }
  printf("CMT_OK\n");
  return 0;
}
