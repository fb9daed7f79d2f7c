/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_FILES_H
#define CLI_FILES_H

/* The messages of the roles files and lines.  docs/FILES.md. */

#include <cometp2p/buf.h>

typedef enum cli_file_type {
  CLI_FILE_OFFER = 1,   /* id, number: size, bytes: name. */
  CLI_FILE_DATA = 2,    /* id, number: offset, bytes. */
  CLI_FILE_END = 3,     /* id, bytes: SHA-256. */
  CLI_FILE_ACK = 4,     /* id, number: bytes written; the first one is 0. */
  CLI_FILE_DONE = 5,    /* id. */
  CLI_FILE_REFUSED = 6, /* id, code, bytes: text. */
} cli_file_type;

enum {
  CLI_FILE_CHUNK = 65536,    /* Most data of one message. */
  CLI_FILE_DATA_HEADER = 13, /* Before them. */
  CLI_FILE_WINDOW = 4 << 20, /* Most data without an acknowledgement. */
  CLI_FILE_ACK_EVERY = 256 << 10,
  CLI_FILE_NAME_MAX = 255,
  CLI_FILE_TEXT_MAX = 200,
};

/* Why a file is refused: code, value on the wire, error, text. */
#define CLI_REFUSAL_MAP(X)                                                     \
  X(CLI_REFUSED_NO_FILES, 1, CMT_EREACTOR, "this node stores no files")        \
  X(CLI_REFUSED_NAME, 2, CMT_EINVAL, "the name is not a plain file name")      \
  X(CLI_REFUSED_EXISTS, 3, CMT_EEXIST, "something has this name already")      \
  X(CLI_REFUSED_SIZE, 4, CMT_EPROTO, "the data are not as long as offered")    \
  X(CLI_REFUSED_HASH, 5, CMT_EPROTO, "the hash does not match the data")       \
  X(CLI_REFUSED_IO, 6, CMT_EIO, "the file cannot be written")                  \
  X(CLI_REFUSED_BUSY, 7, CMT_EAGAIN, "another file is still under way")        \
  X(CLI_REFUSED_QUOTA, 8, CMT_ELIMIT, "it is over the quota for files")

typedef enum cli_refusal {
#define X(name, value, err, text) name = value,
  CLI_REFUSAL_MAP(X)
#undef X
} cli_refusal;

typedef struct cli_file_message {
  cli_file_type type;
  uint32_t id; /* Names the transfer; the sender counts up from 1. */
  uint64_t number;
  uint8_t code; /* A cli_refusal, if it is one that we know. */
  cmt_bytes bytes;
} cli_file_message;

/* |out->bytes| points into |in|.  False: malformed. */
bool cli_file_decode(cmt_bytes in, cli_file_message *out);

/* NULL when the allocation fails. */
cmt_buf *cli_file_encode(const cmt_env *env, const cli_file_message *m);

/* Writes the CLI_FILE_DATA_HEADER bytes before data. */
void cli_file_data_header(uint8_t *out, uint32_t id, uint64_t offset);

cmt_err cli_refusal_err(uint8_t code);
const char *cli_refusal_text(uint8_t code);

/* The name is one path component that we may create: 1 to 255 bytes, neither
   "." nor "..", without '/' and NUL, not the name of a temporary file. */
bool cli_file_name_is_fine(cmt_bytes name);

typedef enum cli_line_type {
  CLI_LINE_TEXT = 1,    /* Number and text. */
  CLI_LINE_RECEIPT = 2, /* Number. */
} cli_line_type;

enum {
  CLI_LINE_HEADER = 9,
  CLI_LINE_MAX = 65536, /* Bytes of its text. */
};

typedef struct cli_line_message {
  cli_line_type type;
  uint64_t seq;
  cmt_bytes text;
} cli_line_message;

bool cli_line_decode(cmt_bytes in, cli_line_message *out);
cmt_buf *cli_line_encode(const cmt_env *env, const cli_line_message *m);

#endif
