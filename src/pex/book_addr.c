/* SPDX-License-Identifier: Apache-2.0 */

/* Addresses and ids between their texts and bytes. */

#include "book_impl.h"

#include <stdlib.h>

/* The value of a hex digit of either case, or 16. */
static unsigned hex_value(uint8_t c) {
  unsigned digit = c - (unsigned)'0', letter = (c | 0x20u) - (unsigned)'a';

  return digit < 10 ? digit : letter < 6 ? 10 + letter : 16;
}

bool cmt__book_id_parse(cmt_bytes text, uint8_t out[BOOK_ID]) {
  unsigned any = 0;

  if (text.len != 2 * BOOK_ID) {
    return false;
  }
  for (size_t i = 0; i < BOOK_ID; i++) {
    unsigned high = hex_value(text.base[2 * i]);
    unsigned low = hex_value(text.base[2 * i + 1]);

    if (high > 15 || low > 15) {
      return false;
    }
    out[i] = (uint8_t)(high << 4 | low);
    any |= out[i];
  }
  return any != 0;
}

bool cmt__book_id_read(const cmt_node_id *in, uint8_t out[BOOK_ID]) {
  return in != NULL && cmt__book_id_parse(
                         (cmt_bytes){.base = (const uint8_t *)in->text,
                                     .len = strnlen(in->text, sizeof in->text)},
                         out);
}

/* Compilers make one store of it, which they do not of a loop. */
static void put_digits(char out[8], uint64_t v) {
  out[0] = (char)v;
  out[1] = (char)(v >> 8);
  out[2] = (char)(v >> 16);
  out[3] = (char)(v >> 24);
  out[4] = (char)(v >> 32);
  out[5] = (char)(v >> 40);
  out[6] = (char)(v >> 48);
  out[7] = (char)(v >> 56);
}

/* Four bytes at once: a half of each in a byte of its own, then its digit. */
void cmt__book_id_digits(const uint8_t id[BOOK_ID], char out[2 * BOOK_ID]) {
  _Static_assert(BOOK_ID % 4 == 0, "steps of four bytes");
  for (size_t i = 0; i < BOOK_ID; i += 4) {
    uint64_t v = cmt__load_le32(id + i), letters;

    v = (v | v << 16) & UINT64_C(0x0000ffff0000ffff);
    v = (v | v << 8) & UINT64_C(0x00ff00ff00ff00ff);
    v = (v >> 4 | v << 8) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    letters = (v + UINT64_C(0x0606060606060606)) >> 4;
    letters &= UINT64_C(0x0101010101010101);
    v += UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
    put_digits(out + 2 * i, v);
  }
}

void cmt__book_id_write(const uint8_t id[BOOK_ID], cmt_node_id *out) {
  cmt__book_id_digits(id, out->text);
  out->text[2 * BOOK_ID] = '\0';
}

cmt_err cmt__book_addr_read(const cmt_net_addr *in, bool id_optional,
                            cmt__book_addr *out) {
  cmt_bytes host;

  *out = (cmt__book_addr){.at.port = 0};
  if (in == NULL) {
    return CMT_EINVAL;
  }
  out->at.port = in->port;
  if (!(id_optional && in->id.text[0] == '\0') &&
      !cmt__book_id_read(&in->id, out->id)) {
    return CMT_EINVAL;
  }
  host = (cmt_bytes){.base = (const uint8_t *)in->host,
                     .len = strnlen(in->host, sizeof in->host)};
  /* A zone means something on this machine alone. */
  if (cmt__bytes_have(host, '%') || !cmt__ip_read(host, &out->at.ip)) {
    return CMT_EINVAL;
  }
  return CMT_OK;
}

void cmt__book_addr_write(const cmt__book_addr *in, cmt_net_addr *out) {
  static const uint8_t none[BOOK_ID] = {0};

  out->id.text[0] = '\0';
  if (memcmp(in->id, none, sizeof none) != 0) {
    cmt__book_id_write(in->id, &out->id);
  }
  cmt__ip_write(&in->at.ip, out->host);
  out->port = in->at.port;
}

bool cmt__book_place_equal(const cmt__book_place *a, const cmt__book_place *b) {
  return a->port == b->port && cmt__ip_equal(&a->ip, &b->ip);
}

static int compare(const void *a, const void *b) {
  return memcmp(a, b, BOOK_ID);
}

cmt_err cmt__book_ids_copy(const cmt_env *env, const cmt_node_id *ids,
                           size_t count, cmt__book_ids *out) {
  *out = (cmt__book_ids){.count = 0};
  if (count == 0) {
    return CMT_OK;
  }
  if (ids == NULL || count > CMT_ADDRBOOK_IDS_MAX) {
    return CMT_EINVAL;
  }
  out->list = cmt__alloc(env, count * sizeof *out->list);
  if (out->list == NULL) {
    return CMT_ENOMEM;
  }
  for (; out->count < count; out->count++) {
    if (!cmt__book_id_read(&ids[out->count], out->list[out->count])) {
      cmt__free(env, out->list);
      *out = (cmt__book_ids){.count = 0};
      return CMT_EINVAL;
    }
  }
  qsort(out->list, count, sizeof *out->list, compare);
  return CMT_OK;
}

bool cmt__book_ids_have(const cmt__book_ids *ids, const uint8_t id[BOOK_ID]) {
  return ids->count > 0 &&
         bsearch(id, ids->list, ids->count, sizeof *ids->list, compare) != NULL;
}
