/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the families, and which value of a label something has.  Names,
   types and labels of CometBFT: docs/PROTOCOL.md 8. */

#include "families.h"

#include "base/base.h"

#include <string.h>

#define VALUES(array) .values = (array), .count = CMT__COUNT(array)

static const char *const directions[] = {"inbound", "outbound"};
static const char *const stages[] = {"connect", "secret", "node_info"};
static const char *const buckets_of_book[] = {"new", "old"};
static const char *const saves[] = {"saved", "failed"};
static const char *const pex_events[] = {
  [CMT_METRIC_PEX_ASKED] = "asked",
  [CMT_METRIC_PEX_ANSWERED] = "answered",
  [CMT_METRIC_PEX_WAS_ASKED] = "was_asked",
  [CMT_METRIC_PEX_HELD] = "held",
  [CMT_METRIC_PEX_DROPPED] = "dropped",
  [CMT_METRIC_PEX_HAS_ANSWERED] = "has_answered",
  [CMT_METRIC_PEX_UNSOLICITED] = "unsolicited",
  [CMT_METRIC_PEX_MALFORMED] = "malformed",
  [CMT_METRIC_PEX_FLOOD] = "flood",
};
static const char *const fates[] = {
  [CMT_METRIC_FATE_ADDED] = "added",
  [CMT_METRIC_FATE_KNOWN] = "known",
  [CMT_METRIC_FATE_INVALID] = "invalid",
  [CMT_METRIC_FATE_UNROUTABLE] = "unroutable",
  [CMT_METRIC_FATE_PRIVATE] = "private",
  [CMT_METRIC_FATE_BANNED] = "banned",
  [CMT_METRIC_FATE_FULL] = "full",
  [CMT_METRIC_FATE_IGNORED] = "ignored",
  [CMT_METRIC_FATE_SELF] = "self",
  [CMT_METRIC_FATE_WRONG_NETWORK] = "wrong_network",
  [CMT_METRIC_FATE_WRONG_ID] = "wrong_id",
  [CMT_METRIC_FATE_PROMOTED] = "promoted",
  [CMT_METRIC_FATE_DEMOTED] = "demoted",
  [CMT_METRIC_FATE_REPLACED] = "replaced",
};
static const char *const visits[] = {
  [CMT_METRIC_VISIT_SERVED] = "served",
  [CMT_METRIC_VISIT_EMPTY] = "empty",
  [CMT_METRIC_VISIT_SILENT] = "silent",
  [CMT_METRIC_VISIT_LEFT] = "left",
};

/* ---- outcomes ---- */

/* The first row that fits; a stage of -1 fits any.  The names are those of
   docs/PROTOCOL.md 6.8 where it has one. */
static const struct {
  const char *name;
  cmt_err err;
  int stage;
} outcomes[] = {
  {"felt", CMT_OK, CMT_STAGE_NODE_INFO},
  {"peer", CMT_OK, -1},
  {"dns", CMT_ERESOLVE, -1},
  {"refused", CMT_EREFUSED, -1},
  {"unreachable", CMT_EUNREACH, -1},
  {"connect_timeout", CMT_EDIAL, -1},
  {"silent", CMT_EHANDSHAKE, CMT_STAGE_SECRET_CONNECTION},
  {"info_timeout", CMT_EHANDSHAKE, -1},
  {"closed_first", CMT_EEOF, CMT_STAGE_SECRET_CONNECTION},
  {"closed_first", CMT_ERESET, CMT_STAGE_SECRET_CONNECTION},
  {"closed_after", CMT_EEOF, -1},
  {"closed_after", CMT_ERESET, -1},
  {"not_comet", CMT_EPROTO, CMT_STAGE_SECRET_CONNECTION},
  {"bad_info", CMT_EPROTO, -1},
  {"bad_info", CMT_ENODEINFO, -1},
  {"auth", CMT_EAUTH, -1},
  {"wrong_id", CMT_EWRONGID, -1},
  {"wrong_network", CMT_ENETWORK, -1},
  {"incompatible", CMT_EINCOMPATIBLE, -1},
  {"self", CMT_ESELF, -1},
  {"duplicate", CMT_EDUPLICATE, -1},
  {"limit", CMT_ELIMIT, -1},
  {"banned", CMT_EBANNED, -1},
  {"filter", CMT_EFILTER, -1},
  {"stopped", CMT_ECANCELED, -1},
};
/* Each name once, in the order of the rows; then what no row fits. */
static const char *const outcome_names[] = {
  "felt",         "peer",         "dns",
  "refused",      "unreachable",  "connect_timeout",
  "silent",       "info_timeout", "closed_first",
  "closed_after", "not_comet",    "bad_info",
  "auth",         "wrong_id",     "wrong_network",
  "incompatible", "self",         "duplicate",
  "limit",        "banned",       "filter",
  "stopped",      "other",
};

unsigned cmt__outcome_of(const cmt_why *why) {
  const char *name = "other";
  unsigned at = 0;

  for (size_t i = 0; i < CMT__COUNT(outcomes); i++) {
    if (outcomes[i].err == why->err &&
        (outcomes[i].stage < 0 || outcomes[i].stage == (int)why->stage)) {
      name = outcomes[i].name;
      break;
    }
  }
  while (at < CMT__COUNT(outcome_names) - 1 &&
         strcmp(outcome_names[at], name) != 0) {
    at++;
  }
  return at;
}

/* ---- types of messages ---- */

/* The type of a message is the field of its one-of; the names are those of
   v0.38 to v0.40. */
static const struct {
  uint8_t first, last; /* Channels. */
  uint8_t field;
  const char *name;
} types[] = {
  {0x00, 0x00, 1, "p2p_PexRequest"},
  {0x00, 0x00, 2, "p2p_PexAddrs"},
  {0x20, 0x23, 1, "consensus_NewRoundStep"},
  {0x20, 0x23, 2, "consensus_NewValidBlock"},
  {0x20, 0x23, 3, "consensus_Proposal"},
  {0x20, 0x23, 4, "consensus_ProposalPOL"},
  {0x20, 0x23, 5, "consensus_BlockPart"},
  {0x20, 0x23, 6, "consensus_Vote"},
  {0x20, 0x23, 7, "consensus_HasVote"},
  {0x20, 0x23, 8, "consensus_VoteSetMaj23"},
  {0x20, 0x23, 9, "consensus_VoteSetBits"},
  {0x20, 0x23, 10, "consensus_HasProposalBlockPart"},
  {0x30, 0x30, 1, "mempool_Txs"},
  {0x38, 0x38, 1, "types_EvidenceList"},
  {0x40, 0x40, 1, "blocksync_BlockRequest"},
  {0x40, 0x40, 2, "blocksync_NoBlockResponse"},
  {0x40, 0x40, 3, "blocksync_BlockResponse"},
  {0x40, 0x40, 4, "blocksync_StatusRequest"},
  {0x40, 0x40, 5, "blocksync_StatusResponse"},
  {0x60, 0x61, 1, "statesync_SnapshotsRequest"},
  {0x60, 0x61, 2, "statesync_SnapshotsResponse"},
  {0x60, 0x61, 3, "statesync_ChunkRequest"},
  {0x60, 0x61, 4, "statesync_ChunkResponse"},
};
static const char *const type_names[CMT__COUNT(types) + 1] = {
  "p2p_PexRequest",
  "p2p_PexAddrs",
  "consensus_NewRoundStep",
  "consensus_NewValidBlock",
  "consensus_Proposal",
  "consensus_ProposalPOL",
  "consensus_BlockPart",
  "consensus_Vote",
  "consensus_HasVote",
  "consensus_VoteSetMaj23",
  "consensus_VoteSetBits",
  "consensus_HasProposalBlockPart",
  "mempool_Txs",
  "types_EvidenceList",
  "blocksync_BlockRequest",
  "blocksync_NoBlockResponse",
  "blocksync_BlockResponse",
  "blocksync_StatusRequest",
  "blocksync_StatusResponse",
  "statesync_SnapshotsRequest",
  "statesync_SnapshotsResponse",
  "statesync_ChunkRequest",
  "statesync_ChunkResponse",
  "other",
};

unsigned cmt__message_type(uint8_t channel, cmt_bytes msg) {
  unsigned field = msg.len > 0 ? msg.base[0] >> 3 : 0;
  unsigned at = 0;

  while (at < CMT__COUNT(types) &&
         (channel < types[at].first || channel > types[at].last ||
          field != types[at].field)) {
    at++;
  }
  return at;
}

/* ---- the table ---- */

/* CometBFT's, in nanoseconds. */
static const uint64_t seconds[] = {
  5000000,   10000000,   25000000,   50000000,   100000000,  250000000,
  500000000, 1000000000, 2500000000, 5000000000, 10000000000};
static const uint64_t ages[] = {60000000000,   120000000000, 300000000000,
                                600000000000,  900000000000, 1200000000000,
                                1500000000000, 1800000000000};

const cmt__family cmt__families[CMT__METRICS] = {
  [CMT_METRIC_BOOK_ENTRIES] = {"addrbook_entries",
                               "Addresses of the book by their bucket.",
                               CMT__GAUGE, .unit = 1,
                               .labels = {{"bucket", VALUES(buckets_of_book)}}},
  [CMT_METRIC_BOOK_PROVEN] = {"addrbook_proven",
                              "Addresses that a handshake of ours reached.",
                              CMT__GAUGE, .unit = 1},
  [CMT_METRIC_BOOK_BANS] = {"addrbook_bans",
                            "Ids and addresses that the book keeps out.",
                            CMT__GAUGE, .unit = 1},
  [CMT_METRIC_BOOK_SAVES] = {"addrbook_saves_total",
                             "How often the file of the book was written.",
                             CMT__COUNTER, .unit = 1,
                             .labels = {{"outcome", VALUES(saves)}}},
  [CMT_METRIC_PEX_EVENTS] = {"pex_events_total",
                             "Requests and answers of peer exchange.",
                             CMT__COUNTER, .unit = 1,
                             .labels = {{"event", VALUES(pex_events)}}},
  [CMT_METRIC_PEX_ADDRESSES] = {"pex_addresses_total",
                                "Addresses by what became of them, when they "
                                "were reported and later.",
                                CMT__COUNTER, .unit = 1,
                                .labels = {{"fate", VALUES(fates)}}},
  [CMT_METRIC_SEED_VISITS] = {"seed_visits_total",
                              "Visits of the seed by how they ended.",
                              CMT__COUNTER, .unit = 1,
                              .labels = {{"outcome", VALUES(visits)}}},
  [CMT_METRIC_SEED_SERVED] = {"seed_addresses_served_total",
                              "Addresses in answers of the seed.", CMT__COUNTER,
                              .unit = 1},
  [CMT_METRIC_SEED_PROOF_AGE] =
    {"seed_proof_age_seconds",
     "How long ago an address was reached when the seed served it.",
     CMT__HISTOGRAM, .unit = 1000000000, .buckets = ages,
     .bucket_count = CMT__COUNT(ages)},
  [CMT_METRIC_SEED_VERIFIED] =
    {"seed_verified_ratio",
     "Share of the book that was reached in the last 30 minutes.", CMT__GAUGE,
     .unit = 1000},
  [CMT__METRIC_CONNECTIONS] =
    {"connections_total", "Dials and accepted connections by their outcome.",
     CMT__COUNTER, .unit = 1,
     .labels = {{"direction", VALUES(directions)},
                {"outcome", VALUES(outcome_names)}}},
  [CMT__METRIC_HANDSHAKE_SECONDS] = {"handshake_seconds",
                                     "Time of the parts of a dial.",
                                     CMT__HISTOGRAM, .unit = 1000000000,
                                     .labels = {{"stage", VALUES(stages)}},
                                     .buckets = seconds,
                                     .bucket_count = CMT__COUNT(seconds)},
  [CMT__METRIC_MESSAGES_RECEIVED] =
    {"message_receive_bytes_total",
     "Number of bytes of each message type received.", CMT__COUNTER,
     .comets = true, .unit = 1,
     .labels = {{"message_type", VALUES(type_names)}}},
  [CMT__METRIC_MESSAGES_SENT] = {"message_send_bytes_total",
                                 "Number of bytes of each message type sent.",
                                 CMT__COUNTER, .comets = true, .unit = 1,
                                 .labels = {{"message_type",
                                             VALUES(type_names)}}},
};

static unsigned values_of(const cmt__label *label) {
  return label->count > 0 ? label->count : 1;
}

unsigned cmt__family_series(const cmt__family *f) {
  return values_of(&f->labels[0]) * values_of(&f->labels[1]);
}

unsigned cmt__family_values(const cmt__family *f) {
  return f->type == CMT__HISTOGRAM ? f->bucket_count + 2 : 1;
}
