/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of the roles files and lines: a decoder accepts exactly what an
   encoder writes. */

#include "fuzz.h"

#include <stdlib.h>

#include "cli/roles/files.h"

static void check_file(cmt_bytes in, const cmt_env *env) {
  uint8_t header[CLI_FILE_DATA_HEADER];
  cli_file_message m;
  cmt_buf *b;

  if (!cli_file_decode(in, &m)) {
    return;
  }
  FUZZ_CHECK(m.bytes.len == 0 ||
             (m.bytes.base >= in.base &&
              m.bytes.base + m.bytes.len <= in.base + in.len));
  b = cli_file_encode(env, &m);
  FUZZ_CHECK(b != NULL && fuzz_same(cmt_buf_bytes(b), in));
  cmt_buf_unref(b);
  if (m.type == CLI_FILE_DATA) {
    FUZZ_CHECK(m.bytes.len >= 1 && m.bytes.len <= CLI_FILE_CHUNK);
    cli_file_data_header(header, m.id, m.number);
    FUZZ_CHECK(memcmp(header, in.base, sizeof header) == 0);
  } else if (m.type == CLI_FILE_REFUSED) {
    FUZZ_CHECK(cli_refusal_err(m.code) != CMT_OK);
    FUZZ_CHECK(cli_refusal_text(m.code)[0] != '\0');
  }
}

static void check_line(cmt_bytes in, const cmt_env *env) {
  cli_line_message m;
  cmt_buf *b;

  if (cli_line_decode(in, &m)) {
    b = cli_line_encode(env, &m);
    FUZZ_CHECK(b != NULL && fuzz_same(cmt_buf_bytes(b), in));
    cmt_buf_unref(b);
  }
}

/* A fine name stays inside its folder. */
static void check_name(cmt_bytes in) {
  if (!cli_file_name_is_fine(in)) {
    return;
  }
  FUZZ_CHECK(in.len >= 1 && in.len <= CLI_FILE_NAME_MAX);
  for (size_t i = 0; i < in.len; i++) {
    FUZZ_CHECK(in.base[i] != '/' && in.base[i] != '\0');
  }
  FUZZ_CHECK(in.base[0] != '.' || in.len > 2 ||
             (in.len == 2 && in.base[1] != '.'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy = fuzz_copy((cmt_bytes){data, size});
  cmt_bytes in = {.base = copy, .len = size};
  fuzz_env e;

  fuzz_env_init(&e);
  check_file(in, &e.env);
  check_line(in, &e.env);
  check_name(in);
  if (size > 0) {
    (void)cli_refusal_err(copy[0]);
    FUZZ_CHECK(cli_refusal_text(copy[0])[0] != '\0');
  }
  fuzz_env_fini(&e);
  free(copy);
  return 0;
}
