/* SPDX-License-Identifier: Apache-2.0 */

/* Node infos: their encoding, what is valid in one, and when two fit.
   docs/PROTOCOL.md section 3.  A decoded one points into the bytes that it
   came from. */

#include "node_info.h"

#include <stdio.h>

#include "net_addr.h"

enum {
  FIELD_PROTOCOL = 1,
  FIELD_ID = 2,
  FIELD_LISTEN_ADDR = 3,
  FIELD_NETWORK = 4,
  FIELD_VERSION = 5,
  FIELD_CHANNELS = 6,
  FIELD_MONIKER = 7,
  FIELD_OTHER = 8,

  PROTOCOL_P2P = 1,
  PROTOCOL_BLOCK = 2,
  PROTOCOL_APP = 3,

  OTHER_TX_INDEX = 1,
  OTHER_RPC_ADDRESS = 2,

  QUOTE_SIZE = 90, /* Two of them and their sentence fit a reason. */
};

static size_t protocol_size(const cmt_node_info *i) {
  return cmt__uint_size(PROTOCOL_P2P, i->protocol_p2p) +
         cmt__uint_size(PROTOCOL_BLOCK, i->protocol_block) +
         cmt__uint_size(PROTOCOL_APP, i->protocol_app);
}

static size_t other_size(const cmt_node_info *i) {
  return cmt__bytes_size(OTHER_TX_INDEX, i->tx_index) +
         cmt__bytes_size(OTHER_RPC_ADDRESS, i->rpc_address);
}

/* An embedded message of |size| bytes, which is written when empty too; both
   numbers take one byte of tag. */
static size_t embedded_size(size_t size) {
  return 1 + cmt__varint_size(size) + size;
}

size_t cmt__node_info_size(const cmt_node_info *i) {
  return embedded_size(protocol_size(i)) + cmt__bytes_size(FIELD_ID, i->id) +
         cmt__bytes_size(FIELD_LISTEN_ADDR, i->listen_addr) +
         cmt__bytes_size(FIELD_NETWORK, i->network) +
         cmt__bytes_size(FIELD_VERSION, i->version) +
         cmt__bytes_size(FIELD_CHANNELS, i->channels) +
         cmt__bytes_size(FIELD_MONIKER, i->moniker) +
         embedded_size(other_size(i));
}

void cmt__node_info_encode(const cmt_node_info *i, cmt__writer *w) {
  cmt__write_tag(w, FIELD_PROTOCOL, CMT__WIRE_BYTES);
  cmt__write_varint(w, protocol_size(i));
  cmt__write_uint(w, PROTOCOL_P2P, i->protocol_p2p);
  cmt__write_uint(w, PROTOCOL_BLOCK, i->protocol_block);
  cmt__write_uint(w, PROTOCOL_APP, i->protocol_app);
  cmt__write_bytes(w, FIELD_ID, i->id);
  cmt__write_bytes(w, FIELD_LISTEN_ADDR, i->listen_addr);
  cmt__write_bytes(w, FIELD_NETWORK, i->network);
  cmt__write_bytes(w, FIELD_VERSION, i->version);
  cmt__write_bytes(w, FIELD_CHANNELS, i->channels);
  cmt__write_bytes(w, FIELD_MONIKER, i->moniker);
  cmt__write_tag(w, FIELD_OTHER, CMT__WIRE_BYTES);
  cmt__write_varint(w, other_size(i));
  cmt__write_bytes(w, OTHER_TX_INDEX, i->tx_index);
  cmt__write_bytes(w, OTHER_RPC_ADDRESS, i->rpc_address);
}

static bool take_bytes(const cmt__field *f, cmt_bytes *out) {
  *out = f->bytes;
  return f->type == CMT__WIRE_BYTES;
}

static bool take_uint(const cmt__field *f, uint64_t *out) {
  *out = f->value;
  return f->type == CMT__WIRE_VARINT;
}

static bool protocol_field(const cmt__field *f, cmt_node_info *out) {
  switch (f->number) {
  case PROTOCOL_P2P:
    return take_uint(f, &out->protocol_p2p);
  case PROTOCOL_BLOCK:
    return take_uint(f, &out->protocol_block);
  case PROTOCOL_APP:
    return take_uint(f, &out->protocol_app);
  default:
    return true;
  }
}

static bool other_field(const cmt__field *f, cmt_node_info *out) {
  switch (f->number) {
  case OTHER_TX_INDEX:
    return take_bytes(f, &out->tx_index);
  case OTHER_RPC_ADDRESS:
    return take_bytes(f, &out->rpc_address);
  default:
    return true;
  }
}

typedef bool field_fn(const cmt__field *f, cmt_node_info *out);

/* Hands each field of the message |in| to |take|. */
static bool decode_fields(cmt_bytes in, field_fn *take, cmt_node_info *out) {
  cmt__reader r = cmt__reader_of(in);
  cmt__field f;

  while (cmt__read_field(&r, &f)) {
    if (!take(&f, out)) {
      return false;
    }
  }
  return !r.failed;
}

static bool embedded_field(const cmt__field *f, field_fn *take,
                           cmt_node_info *out) {
  return f->type == CMT__WIRE_BYTES && decode_fields(f->bytes, take, out);
}

static bool info_field(const cmt__field *f, cmt_node_info *out) {
  switch (f->number) {
  case FIELD_PROTOCOL:
    return embedded_field(f, protocol_field, out);
  case FIELD_ID:
    return take_bytes(f, &out->id);
  case FIELD_LISTEN_ADDR:
    return take_bytes(f, &out->listen_addr);
  case FIELD_NETWORK:
    return take_bytes(f, &out->network);
  case FIELD_VERSION:
    return take_bytes(f, &out->version);
  case FIELD_CHANNELS:
    return take_bytes(f, &out->channels);
  case FIELD_MONIKER:
    return take_bytes(f, &out->moniker);
  case FIELD_OTHER:
    return embedded_field(f, other_field, out);
  default:
    return true;
  }
}

bool cmt__node_info_decode(cmt_bytes in, cmt_node_info *out) {
  *out = (cmt_node_info){0};
  return decode_fields(in, info_field, out);
}

cmt_node_info *cmt__node_info_clone(const cmt_env *env,
                                    const cmt_node_info *i) {
  const cmt_bytes *from[] = {&i->id,       &i->listen_addr, &i->network,
                             &i->version,  &i->channels,    &i->moniker,
                             &i->tx_index, &i->rpc_address};
  cmt_node_info *copy;
  uint8_t *at;
  size_t len = sizeof *copy;

  for (size_t f = 0; f < CMT__COUNT(from); f++) {
    len += from[f]->len;
  }
  copy = cmt__alloc(env, len);
  if (copy == NULL) {
    return NULL;
  }
  *copy = *i;
  at = (uint8_t *)(copy + 1);
  cmt_bytes *to[] = {&copy->id,       &copy->listen_addr, &copy->network,
                     &copy->version,  &copy->channels,    &copy->moniker,
                     &copy->tx_index, &copy->rpc_address};
  for (size_t f = 0; f < CMT__COUNT(to); f++) {
    if (from[f]->len > 0) {
      memcpy(at, from[f]->base, from[f]->len);
    }
    to[f]->base = at;
    at += from[f]->len;
  }
  return copy;
}

static bool bytes_equal(cmt_bytes a, cmt_bytes b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}

static cmt_err invalid(cmt_why *why, const char *field, cmt_bytes found,
                       const char *rule) {
  char quoted[QUOTE_SIZE];

  if (found.len == 0) {
    return cmt__why(why, CMT_ENODEINFO, CMT_STAGE_NODE_INFO, "%s is empty; %s",
                    field, rule);
  }
  return cmt__why(why, CMT_ENODEINFO, CMT_STAGE_NODE_INFO, "%s is '%s'; %s",
                  field, cmt__quote(found, quoted, sizeof quoted), rule);
}

/* Printable ASCII with at least one character that is no space. */
static bool is_text(cmt_bytes b) {
  bool solid = false;

  for (size_t i = 0; i < b.len; i++) {
    if (b.base[i] < 32 || b.base[i] > 126) {
      return false;
    }
    solid = solid || b.base[i] != ' ';
  }
  return solid;
}

static cmt_err check_optional_text(cmt_why *why, const char *field,
                                   cmt_bytes b) {
  if (b.len == 0 || is_text(b)) {
    return CMT_OK;
  }
  return invalid(why, field, b,
                 "allowed is nothing, or printable ASCII characters, "
                 "not only spaces");
}

static cmt_err check_address(const cmt_node_info *i, cmt_why *why) {
  cmt_net_addr ignored;
  cmt_node_id id;
  const char *fault;

  if (!cmt__node_id_read(i->id, &id)) {
    return invalid(why, "id", i->id, "allowed is 40 hex digits");
  }
  fault = cmt__net_addr_read(i->listen_addr, CMT_ADDR_NO_ID, &ignored);
  if (fault == NULL) {
    return CMT_OK;
  }
  return invalid(why, "listen_addr", i->listen_addr, fault);
}

static cmt_err check_channels(cmt_bytes channels, cmt_why *why) {
  bool seen[256] = {false};

  if (channels.len > CMT_NODE_INFO_CHANNELS_MAX) {
    return cmt__why(why, CMT_ENODEINFO, CMT_STAGE_NODE_INFO,
                    "channels has %zu entries; allowed is at most %d",
                    channels.len, CMT_NODE_INFO_CHANNELS_MAX);
  }
  for (size_t i = 0; i < channels.len; i++) {
    if (seen[channels.base[i]]) {
      return cmt__why(why, CMT_ENODEINFO, CMT_STAGE_NODE_INFO,
                      "channels has 0x%02x twice; allowed is once",
                      channels.base[i]);
    }
    seen[channels.base[i]] = true;
  }
  return CMT_OK;
}

static cmt_err check_tx_index(cmt_bytes b, cmt_why *why) {
  if (b.len == 0 || bytes_equal(b, cmt_bytes_of("on")) ||
      bytes_equal(b, cmt_bytes_of("off"))) {
    return CMT_OK;
  }
  return invalid(why, "tx_index", b, "allowed is nothing, 'on' or 'off'");
}

/* Fields whose length is not 0 have bytes. */
static cmt_err check_bytes(const cmt_node_info *i, cmt_why *why) {
  const struct {
    const char *name;
    cmt_bytes bytes;
  } fields[] = {
    {"id", i->id},
    {"listen_addr", i->listen_addr},
    {"network", i->network},
    {"version", i->version},
    {"channels", i->channels},
    {"moniker", i->moniker},
    {"tx_index", i->tx_index},
    {"rpc_address", i->rpc_address},
  };

  for (size_t f = 0; f < CMT__COUNT(fields); f++) {
    if (fields[f].bytes.base == NULL && fields[f].bytes.len > 0) {
      return cmt__why(why, CMT_EINVAL, CMT_STAGE_NODE_INFO,
                      "%s: its length is %zu and its base is NULL",
                      fields[f].name, fields[f].bytes.len);
    }
  }
  return CMT_OK;
}

cmt_err cmt_node_info_validate(const cmt_node_info *i, cmt_why *why) {
  cmt_err err;

  if (i == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_NODE_INFO,
                    "the node info is NULL");
  }
  err = check_bytes(i, why);
  if (err == CMT_OK) {
    err = check_address(i, why);
  }

  if (err == CMT_OK) {
    err = check_optional_text(why, "version", i->version);
  }
  if (err == CMT_OK) {
    err = check_channels(i->channels, why);
  }
  if (err == CMT_OK && !is_text(i->moniker)) {
    err = invalid(why, "moniker", i->moniker,
                  "allowed is 1 or more printable ASCII characters, "
                  "not only spaces");
  }
  if (err == CMT_OK) {
    err = check_tx_index(i->tx_index, why);
  }
  if (err == CMT_OK) {
    err = check_optional_text(why, "rpc_address", i->rpc_address);
  }
  return err;
}

static bool have_common_channel(cmt_bytes a, cmt_bytes b) {
  for (size_t i = 0; i < a.len; i++) {
    if (cmt__bytes_have(b, a.base[i])) {
      return true;
    }
  }
  return false;
}

/* Channels as hex, "none" when there are none. */
static const char *channels_text(cmt_bytes channels, char *out, size_t cap) {
  size_t at = 0;

  snprintf(out, cap, "none");
  for (size_t i = 0; i < channels.len && at + 2 < cap; i++) {
    at += (size_t)snprintf(out + at, cap - at, "%02x", channels.base[i]);
  }
  return out;
}

cmt_err cmt_node_info_compatible(const cmt_node_info *theirs,
                                 const cmt_node_info *ours, cmt_why *why) {
  char their_text[QUOTE_SIZE], our_text[QUOTE_SIZE];

  if (theirs == NULL || ours == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_NODE_INFO,
                    "the node info is NULL");
  }
  if (check_bytes(theirs, why) != CMT_OK || check_bytes(ours, why) != CMT_OK) {
    return CMT_EINVAL;
  }
  if (theirs->protocol_block != ours->protocol_block) {
    return cmt__why(why, CMT_EINCOMPATIBLE, CMT_STAGE_NODE_INFO,
                    "block version differs: theirs %llu, ours %llu",
                    (unsigned long long)theirs->protocol_block,
                    (unsigned long long)ours->protocol_block);
  }
  if (!bytes_equal(theirs->network, ours->network)) {
    return cmt__why(why, CMT_ENETWORK, CMT_STAGE_NODE_INFO,
                    "network differs: theirs '%s', ours '%s'",
                    cmt__quote(theirs->network, their_text, QUOTE_SIZE),
                    cmt__quote(ours->network, our_text, QUOTE_SIZE));
  }
  if (ours->channels.len > 0 &&
      !have_common_channel(ours->channels, theirs->channels)) {
    return cmt__why(why, CMT_EINCOMPATIBLE, CMT_STAGE_NODE_INFO,
                    "no common channel: theirs %s, ours %s",
                    channels_text(theirs->channels, their_text, QUOTE_SIZE),
                    channels_text(ours->channels, our_text, QUOTE_SIZE));
  }
  return CMT_OK;
}
