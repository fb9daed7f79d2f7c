/* SPDX-License-Identifier: Apache-2.0 */
/* The file node_key.json.  The first byte of the input draws the allocation
   that fails, the rest is the file, which lies in memory. */

#include "fuzz.h"

#include <sodium.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crypto/node_key.h"

static void memory_file(cmt_bytes text, int *fd, char *path, size_t cap) {
  *fd = memfd_create("node_key.json", MFD_CLOEXEC);
  FUZZ_CHECK(*fd >= 0);
  FUZZ_CHECK(write(*fd, text.base, text.len) == (ssize_t)text.len);
  snprintf(path, cap, "/proc/self/fd/%d", *fd);
}

/* The key is whole: its id is that of its public half, and it signs. */
static void check_key(const cmt_node_key *key) {
  static const uint8_t text[32] = "thirty-two bytes of any message";
  const uint8_t *public_key = cmt__node_key_public(key);
  uint8_t sig[crypto_sign_BYTES];
  cmt_node_id id, again;

  cmt_node_key_get_id(key, &id);
  cmt__node_id_of(public_key, &again);
  FUZZ_CHECK(strlen(id.text) == 40 && strcmp(id.text, again.text) == 0);
  cmt__node_key_sign(key, text, sig);
  FUZZ_CHECK(crypto_sign_verify_detached(sig, text, sizeof text, public_key) ==
             0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_input in = {.at = data, .left = size};
  cmt_node_key *key = NULL;
  char path[64];
  fuzz_env e;
  cmt_why why;
  cmt_err err;
  int fd;

  fuzz_env_init(&e);
  e.fail_at = fuzz_byte(&in) == 1 ? 0 : SIZE_MAX;
  memory_file(fuzz_take(&in, in.left), &fd, path, sizeof path);
  err = cmt_node_key_load(&e.env, path, &key, &why);
  FUZZ_CHECK(err == CMT_OK || err == CMT_EINVAL ||
             (err == CMT_ENOMEM && e.failed));
  FUZZ_CHECK((key != NULL) == (err == CMT_OK));
  if (err == CMT_OK) {
    check_key(key);
  } else {
    fuzz_check_why(&why, err);
  }
  cmt_node_key_delete(key);
  fuzz_env_fini(&e);
  close(fd);
  return 0;
}
