/* SPDX-License-Identifier: Apache-2.0 */
/* Net addresses: whatever parses has one text, and that text parses to the
   same address. */

#include "fuzz.h"

#include <stdlib.h>

#include "core/conn/net_addr.h"
#include "core/conn/node_info.h"

static void check_round(const cmt_net_addr *a) {
  char text[CMT_NET_ADDR_TEXT_SIZE], again[CMT_NET_ADDR_TEXT_SIZE];
  unsigned flags = a->id.text[0] != '\0' ? 0 : CMT_ADDR_NO_ID;
  cmt_net_addr back = {.port = 1};
  size_t len;

  FUZZ_CHECK(cmt_net_addr_format(a, text, sizeof text) == CMT_OK);
  len = strlen(text);
  FUZZ_CHECK(cmt_net_addr_parse(text, flags, &back, NULL) == CMT_OK);
  FUZZ_CHECK(strcmp(back.id.text, a->id.text) == 0);
  FUZZ_CHECK(strcmp(back.host, a->host) == 0 && back.port == a->port);
  FUZZ_CHECK(cmt_net_addr_format(&back, again, len + 1) == CMT_OK);
  FUZZ_CHECK(strcmp(text, again) == 0);
  FUZZ_CHECK(cmt_net_addr_format(&back, again, len) == CMT_EINVAL);
  FUZZ_CHECK(again[0] == '\0');
}

/* What is accepted has the form that the header states. */
static void check_shape(const cmt_net_addr *a, unsigned flags) {
  size_t id = strlen(a->id.text), host = strlen(a->host);
  char canonical[256];

  FUZZ_CHECK(id == 40 || (id == 0 && flags != 0));
  FUZZ_CHECK((flags & (CMT_ADDR_NO_ID | CMT_ADDR_LISTEN)) == 0 || id == 0);
  FUZZ_CHECK(host >= 1 && host <= 255);
  for (size_t i = 0; i < id; i++) { /* In small letters. */
    FUZZ_CHECK(strchr("0123456789abcdef", a->id.text[i]) != NULL);
  }
  for (size_t i = 0; i < host; i++) {
    FUZZ_CHECK(a->host[i] > 32 && a->host[i] <= 126);
    FUZZ_CHECK(strchr("@/[]*", a->host[i]) == NULL);
  }
  if (cmt__ip_canonical(cmt_bytes_of(a->host), canonical, sizeof canonical)) {
    FUZZ_CHECK(strcmp(canonical, a->host) == 0);
  } else {
    FUZZ_CHECK(strchr(a->host, ':') == NULL);
  }
}

static void check_parse(const char *text, unsigned flags) {
  size_t len = strlen(text);
  uint8_t *bytes = fuzz_copy((cmt_bytes){(const uint8_t *)text, len});
  cmt_net_addr a = {.port = 77}, b = {.port = 77};
  const char *fault =
    cmt__net_addr_read((cmt_bytes){.base = bytes, .len = len}, flags, &a);
  cmt_why why;
  cmt_err err = cmt_net_addr_parse(text, flags, &b, &why);

  FUZZ_CHECK(err == (fault == NULL ? CMT_OK : CMT_EINVAL));
  FUZZ_CHECK(memcmp(&a, &b, sizeof a) == 0);
  if (err != CMT_OK) {
    fuzz_check_why(&why, err);
    FUZZ_CHECK(a.port == 77 && a.host[0] == '\0');
  } else {
    check_shape(&a, flags);
    check_round(&a);
  }
  free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const unsigned flags[] = {0, CMT_ADDR_ID_OPTIONAL, CMT_ADDR_NO_ID,
                                   CMT_ADDR_LISTEN};
  char *text = malloc(size + 1);

  FUZZ_CHECK(text != NULL);
  if (size > 0) {
    memcpy(text, data, size);
  }
  text[size] = '\0';
  for (size_t i = 0; i < CMT__COUNT(flags); i++) {
    check_parse(text, flags[i]);
  }
  free(text);
  return 0;
}
