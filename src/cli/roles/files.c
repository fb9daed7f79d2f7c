/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding and decoding of the messages of files and lines.  Every field has a
   fixed width and stands in little-endian order; the last one has what is left.
   A decoder accepts exactly what an encoder writes. */

#include "files.h"

#include <string.h>

enum {
  FILE_HEADER = 5, /* Type and id. */
  HASH_SIZE = 32,
};

static const char temporary_prefix[] = ".cometp2p-";

static void put_le(uint8_t *out, uint64_t value, size_t len) {
  for (size_t i = 0; i < len; i++) {
    out[i] = (uint8_t)(value >> (8 * i));
  }
}

static uint64_t get_le(const uint8_t *in, size_t len) {
  uint64_t value = 0;

  for (size_t i = 0; i < len; i++) {
    value |= (uint64_t)in[i] << (8 * i);
  }
  return value;
}

/* The width of the number or code behind the id, and the limits of the bytes
   after it. */
static bool file_shape(unsigned type, size_t *number_len, size_t *min,
                       size_t *max) {
  *min = *max = *number_len = 0;
  switch (type) {
  case CLI_FILE_OFFER:
    *number_len = 8;
    /* A bad name is refused, not malformed. */
    *max = SIZE_MAX;
    return true;
  case CLI_FILE_DATA:
    *number_len = 8;
    *min = 1;
    *max = CLI_FILE_CHUNK;
    return true;
  case CLI_FILE_END:
    *min = *max = HASH_SIZE;
    return true;
  case CLI_FILE_ACK:
    *number_len = 8;
    return true;
  case CLI_FILE_DONE:
    return true;
  case CLI_FILE_REFUSED:
    *number_len = 1;
    *max = CLI_FILE_TEXT_MAX;
    return true;
  default:
    return false;
  }
}

bool cli_file_decode(cmt_bytes in, cli_file_message *out) {
  size_t number_len, min, max, left;

  if (in.len < FILE_HEADER ||
      !file_shape(in.base[0], &number_len, &min, &max) ||
      in.len < FILE_HEADER + number_len) {
    return false;
  }
  left = in.len - FILE_HEADER - number_len;
  if (left < min || left > max) {
    return false;
  }
  *out = (cli_file_message){
    .type = (cli_file_type)in.base[0],
    .id = (uint32_t)get_le(in.base + 1, 4),
    .bytes = {.base = in.base + FILE_HEADER + number_len, .len = left},
  };
  if (number_len == 1) {
    out->code = in.base[FILE_HEADER];
  } else {
    out->number = get_le(in.base + FILE_HEADER, number_len);
  }
  return true;
}

cmt_buf *cli_file_encode(const cmt_env *env, const cli_file_message *m) {
  size_t number_len, min, max;
  cmt_buf *out;
  uint8_t *at;

  file_shape(m->type, &number_len, &min, &max);
  out = cmt_buf_new(env, FILE_HEADER + number_len + m->bytes.len);
  if (out == NULL) {
    return NULL;
  }
  at = cmt_buf_data(out);
  at[0] = (uint8_t)m->type;
  put_le(at + 1, m->id, 4);
  put_le(at + FILE_HEADER, number_len == 1 ? m->code : m->number, number_len);
  if (m->bytes.len > 0) {
    memcpy(at + FILE_HEADER + number_len, m->bytes.base, m->bytes.len);
  }
  return out;
}

void cli_file_data_header(uint8_t *out, uint32_t id, uint64_t offset) {
  out[0] = CLI_FILE_DATA;
  put_le(out + 1, id, 4);
  put_le(out + FILE_HEADER, offset, 8);
}

cmt_err cli_refusal_err(uint8_t code) {
  switch (code) {
#define X(name, value, err, text)                                              \
  case value:                                                                  \
    return err;
    CLI_REFUSAL_MAP(X)
#undef X
  default:
    return CMT_EREACTOR;
  }
}

const char *cli_refusal_text(uint8_t code) {
  switch (code) {
#define X(name, value, err, text)                                              \
  case value:                                                                  \
    return text;
    CLI_REFUSAL_MAP(X)
#undef X
  default:
    return "refused";
  }
}

static bool name_is(cmt_bytes name, const char *text) {
  return name.len == strlen(text) && memcmp(name.base, text, name.len) == 0;
}

bool cli_file_name_is_fine(cmt_bytes name) {
  size_t prefix = sizeof temporary_prefix - 1;

  if (name.len == 0 || name.len > CLI_FILE_NAME_MAX) {
    return false;
  }
  if (memchr(name.base, '/', name.len) != NULL ||
      memchr(name.base, '\0', name.len) != NULL) {
    return false;
  }
  if (name.len >= prefix && memcmp(name.base, temporary_prefix, prefix) == 0) {
    return false;
  }
  return !name_is(name, ".") && !name_is(name, "..");
}

bool cli_line_decode(cmt_bytes in, cli_line_message *out) {
  if (in.len < CLI_LINE_HEADER ||
      (in.base[0] != CLI_LINE_TEXT && in.base[0] != CLI_LINE_RECEIPT) ||
      (in.base[0] == CLI_LINE_RECEIPT && in.len != CLI_LINE_HEADER)) {
    return false;
  }
  *out = (cli_line_message){
    .type = (cli_line_type)in.base[0],
    .seq = get_le(in.base + 1, 8),
    .text = {.base = in.base + CLI_LINE_HEADER,
             .len = in.len - CLI_LINE_HEADER},
  };
  return true;
}

cmt_buf *cli_line_encode(const cmt_env *env, const cli_line_message *m) {
  cmt_buf *out = cmt_buf_new(env, CLI_LINE_HEADER + m->text.len);
  uint8_t *at;

  if (out == NULL) {
    return NULL;
  }
  at = cmt_buf_data(out);
  at[0] = (uint8_t)m->type;
  put_le(at + 1, m->seq, 8);
  if (m->text.len > 0) {
    memcpy(at + CLI_LINE_HEADER, m->text.base, m->text.len);
  }
  return out;
}
