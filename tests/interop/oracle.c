/* SPDX-License-Identifier: Apache-2.0 */
/* Our verdicts on the kept inputs of the fuzz targets, for the comparison with
   CometBFT's own: one case in a JSON object a line.  The driver is oracle.py.

   interop_oracle CORPUS, the folder with one folder a target. */

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cometp2p/mconn.h>

#include "base/bytes.h"
#include "core/conn/node_info.h"
#include "packet_input.h"
#include "script.h"

/* What follows a first message, so that one that is right is followed by more
   than any that is allowed could announce. */
enum { TAIL = 8 * CMT_FRAME_SLOT };

typedef struct buffer {
  uint8_t *base;
  size_t len;
} buffer;

typedef json_t *(*judge_fn)(cmt_bytes input);

static json_t *hex(cmt_bytes b) {
  char *text = malloc(2 * b.len + 1);
  json_t *out;

  FUZZ_CHECK(text != NULL);
  sodium_bin2hex(text, 2 * b.len + 1, b.base, b.len);
  out = json_string(text);
  free(text);
  return out;
}

/* ---- node infos ---- */

static void add_number(json_t *fields, const char *name, uint64_t v) {
  char text[24];

  snprintf(text, sizeof text, "%llu", (unsigned long long)v);
  json_object_set_new(fields, name, json_string(text));
}

static json_t *info_fields(const cmt_node_info *i) {
  json_t *fields = json_object();

  add_number(fields, "p2p", i->protocol_p2p);
  add_number(fields, "block", i->protocol_block);
  add_number(fields, "app", i->protocol_app);
  json_object_set_new(fields, "id", hex(i->id));
  json_object_set_new(fields, "listen_addr", hex(i->listen_addr));
  json_object_set_new(fields, "network", hex(i->network));
  json_object_set_new(fields, "version", hex(i->version));
  json_object_set_new(fields, "channels", hex(i->channels));
  json_object_set_new(fields, "moniker", hex(i->moniker));
  json_object_set_new(fields, "tx_index", hex(i->tx_index));
  json_object_set_new(fields, "rpc_address", hex(i->rpc_address));
  return fields;
}

static json_t *judge_node_info(cmt_bytes input) {
  json_t *out =
    json_pack("{s:s, s:o}", "kind", "node_info", "stream", hex(input));
  const char *verdict = "malformed";
  cmt_node_info info;
  cmt_why why;

  if (cmt__node_info_decode(input, &info)) {
    verdict = "valid";
    if (cmt_node_info_validate(&info, &why) != CMT_OK) {
      verdict = "invalid";
      json_object_set_new(out, "text", json_string(why.text));
    }
    json_object_set_new(out, "fields", info_fields(&info));
  }
  json_object_set_new(out, "verdict", json_string(verdict));
  return out;
}

/* ---- handshakes ---- */

/* Feeds the whole stream; returns what it ends with, or CMT_OK. */
static cmt_err secret_feed(cmt_secret_conn *s, uint8_t *bytes, size_t len) {
  cmt_err err = cmt_secret_conn_recv(s, bytes, len);
  cmt_secret_conn_event e;

  while (err == CMT_OK && cmt_secret_conn_next_event(s, &e)) {
    err = e.err;
  }
  return err;
}

/* What the message under test announces. */
static json_t *announced(cmt_bytes stream) {
  uint64_t len = 0;

  if (cmt__read_prefix(stream.base, stream.len, &len) < 0) {
    len = UINT64_MAX;
  }
  return json_integer((json_int_t)cmt__min64(len, INT32_MAX));
}

static const char *auth_verdict(cmt_secret_conn *s, bool second, cmt_err err) {
  if (second && cmt_secret_conn_id(s) != NULL) {
    return "up";
  }
  /* With the keys our signature goes out, in a frame after our key. */
  if (!second && cmt_secret_conn_output(s).len > CMT__SECRET_KEY_MSG) {
    return "keys";
  }
  return err == CMT_OK ? "end of stream" : "refused";
}

static json_t *judge_auth(cmt_bytes input) {
  bool second = fuzz_auth_is_second(input.base, input.len);
  const fuzz_script *script =
    fuzz_script_of(fuzz_auth_least(input.base, input.len));
  uint8_t *stream = calloc(1, FUZZ_AUTH_STREAM + TAIL);
  cmt_secret_conn *s = NULL;
  fuzz_env e;
  size_t len;
  json_t *out;
  cmt_err err;

  FUZZ_CHECK(stream != NULL);
  len = fuzz_auth_stream(input.base, input.len, &cmt__aead_libsodium, stream,
                         FUZZ_AUTH_STREAM);
  len += second ? 0 : TAIL;
  out = json_pack("{s:s, s:o, s:o}", "kind",
                  second ? "second message" : "first message", "ephemeral",
                  hex((cmt_bytes){script->our_ephemeral, 32}), "stream",
                  hex((cmt_bytes){stream, len}));
  fuzz_env_init(&e);
  memcpy(e.entropy, script->our_ephemeral, sizeof e.entropy);
  FUZZ_CHECK(cmt_secret_conn_new(&e.env, fuzz_node_key(0), &s) == CMT_OK);
  err = secret_feed(s, stream, len);
  json_object_set_new(
    out, "announced",
    announced((cmt_bytes){input.base + 1, input.len > 0 ? input.len - 1 : 0}));
  json_object_set_new(out, "verdict",
                      json_string(auth_verdict(s, second, err)));
  json_object_set_new(out, "text", json_string(cmt_err_text(err)));
  if (second && cmt_secret_conn_id(s) != NULL) {
    json_object_set_new(out, "out",
                        json_pack("[s]", cmt_secret_conn_id(s)->text));
  }
  cmt_secret_conn_delete(s);
  fuzz_env_fini(&e);
  free(stream);
  return out;
}

/* ---- packets ---- */

static json_t *message_text(uint8_t channel, cmt_bytes b) {
  uint8_t sum[crypto_hash_sha256_BYTES];
  char digest[2 * sizeof sum + 1], text[128];

  crypto_hash_sha256(sum, b.base, b.len);
  sodium_bin2hex(digest, sizeof digest, sum, sizeof sum);
  snprintf(text, sizeof text, "%02x %zu %s", channel, b.len, digest);
  return json_string(text);
}

static json_t *channels_json(void) {
  json_t *list = json_array();

  for (size_t i = 0; i < PACKET_INPUT_CHANNELS; i++) {
    const cmt_channel *c = &packet_input_channels[i];

    json_array_append_new(list, json_pack("{s:i, s:i}", "id", c->id, "max",
                                          (int)c->recv_message_max));
  }
  return list;
}

/* Returns what it ends with; CMT_OK: it goes on. */
static cmt_err mconn_feed(cmt_mconn *m, cmt_bytes stream, json_t *messages) {
  cmt_err err = cmt_mconn_recv(m, stream.base, stream.len, 0);
  cmt_mconn_event e;

  while (err == CMT_OK && cmt_mconn_next_event(m, &e)) {
    err = e.err;
    if (e.kind == CMT_MCONN_MESSAGE) {
      json_array_append_new(messages,
                            message_text(e.channel, cmt_buf_bytes(e.msg)));
    }
  }
  return err;
}

static json_t *judge_packets(cmt_bytes input) {
  packet_input in = packet_input_of(input.base, input.len);
  json_t *messages = json_array(), *out;
  cmt_mconn_options o;
  cmt_mconn *m = NULL;
  cmt_err err;

  cmt_mconn_options_init(&o);
  o.channels = packet_input_channels;
  o.channel_count = PACKET_INPUT_CHANNELS;
  o.recv_packet_payload_max = in.payload_max;
  FUZZ_CHECK(cmt_mconn_new(&o, 0, &m, NULL) == CMT_OK);
  err = mconn_feed(m, in.stream, messages);
  out = json_pack("{s:s, s:o, s:i, s:o, s:o, s:s, s:s}", "kind", "packets",
                  "stream", hex(in.stream), "payload", (int)in.payload_max,
                  "channels", channels_json(), "out", messages, "verdict",
                  err == CMT_OK ? "end of stream" : "refused", "text",
                  cmt_err_name(err));
  cmt_mconn_delete(m);
  return out;
}

/* ---- the corpora ---- */

static int is_input(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

static buffer file_read(int folder, const char *name) {
  int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
  struct stat st;
  buffer out;

  FUZZ_CHECK(fd >= 0 && fstat(fd, &st) == 0);
  out =
    (buffer){.base = malloc((size_t)st.st_size + 1), .len = (size_t)st.st_size};
  FUZZ_CHECK(out.base != NULL);
  FUZZ_CHECK(read(fd, out.base, out.len) == st.st_size);
  close(fd);
  return out;
}

static void folder_judge(const char *corpus, const char *target,
                         judge_fn verdict) {
  struct dirent **list;
  char path[1024];
  int count, folder;

  snprintf(path, sizeof path, "%s/%s", corpus, target);
  count = scandir(path, &list, is_input, alphasort);
  folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  FUZZ_CHECK(count > 0 && folder >= 0);
  for (int i = 0; i < count; i++) {
    buffer b = file_read(folder, list[i]->d_name);
    json_t *out = verdict((cmt_bytes){.base = b.base, .len = b.len});

    json_object_set_new(out, "name", json_string(list[i]->d_name));
    json_dumpf(out, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(out);
    free(b.base);
    free(list[i]);
  }
  free(list);
  close(folder);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: interop_oracle CORPUS\n");
    return 2;
  }
  FUZZ_CHECK(sodium_init() >= 0);
  folder_judge(argv[1], "node_info", judge_node_info);
  folder_judge(argv[1], "auth", judge_auth);
  folder_judge(argv[1], "packet", judge_packets);
  return 0;
}
