/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of peer exchange: whatever decodes yields addresses that are written
   and read again as the same ones, with bounded work. */

#include "fuzz.h"

#include <stdlib.h>

#include "pex/pex_msg.h"

enum { ADDRS_MAX = CMT__PEX_ADDRS_MAX + 1 };

static size_t collect(cmt__pex_addrs list, cmt_net_addr *out) {
  size_t count = 0;

  while (cmt__pex_next(&list, &out[count])) {
    FUZZ_CHECK(strlen(out[count].id.text) == 40);
    FUZZ_CHECK(out[count].host[0] != '\0');
    count++;
    FUZZ_CHECK(count < ADDRS_MAX);
  }
  FUZZ_CHECK(list.looked_at <= CMT__PEX_ADDRS_MAX);
  return count;
}

/* The book has no entry of an id of zeros. */
static size_t read_all(cmt_net_addr *addrs, size_t count,
                       const cmt__book_addr **out) {
  static cmt__book_addr read[ADDRS_MAX];
  size_t kept = 0;

  for (size_t i = 0; i < count; i++) {
    if (cmt__book_addr_read(&addrs[i], false, &read[kept]) == CMT_OK) {
      out[kept] = &read[kept];
      addrs[kept++] = addrs[i];
    } else {
      FUZZ_CHECK(strspn(addrs[i].id.text, "0") == 40);
    }
  }
  return kept;
}

static void check_again(cmt_net_addr *addrs, size_t count) {
  static const cmt__book_addr *each[ADDRS_MAX];
  static cmt_net_addr back[ADDRS_MAX];
  cmt__pex_addrs list;
  cmt_buf *b;
  const char *fault;

  count = read_all(addrs, count, each);
  b = cmt__pex_new_addrs(NULL, each, count);
  FUZZ_CHECK(b != NULL);
  FUZZ_CHECK(cmt__pex_read(cmt_buf_bytes(b), &list, &fault) == CMT__PEX_ADDRS);
  FUZZ_CHECK(collect(list, back) == count);
  for (size_t i = 0; i < count; i++) {
    FUZZ_CHECK(cmt_node_id_equal(&addrs[i].id, &back[i].id));
    FUZZ_CHECK(strcmp(addrs[i].host, back[i].host) == 0);
    FUZZ_CHECK(addrs[i].port == back[i].port);
  }
  cmt_buf_unref(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static cmt_net_addr addrs[ADDRS_MAX];
  uint8_t *copy = fuzz_copy((cmt_bytes){.base = data, .len = size});
  const char *fault = NULL;
  cmt__pex_addrs list;
  cmt__pex_kind kind =
    cmt__pex_read((cmt_bytes){.base = copy, .len = size}, &list, &fault);

  FUZZ_CHECK(kind == CMT__PEX_REQUEST || kind == CMT__PEX_ADDRS ||
             fault != NULL);
  if (kind == CMT__PEX_ADDRS) {
    check_again(addrs, collect(list, addrs));
  }
  free(copy);
  return 0;
}
