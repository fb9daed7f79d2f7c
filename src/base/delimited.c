/* SPDX-License-Identifier: Apache-2.0 */
#include "delimited.h"

#include <string.h>

#include "bytes.h"

/* Takes the next byte of the length. */
static cmt_err prefix_push(cmt__delimited *d, uint8_t byte) {
  uint64_t length = 0;
  int used;

  d->prefix[d->prefix_len++] = byte;
  used = cmt__read_prefix(d->prefix, d->prefix_len, &length);
  if (used == 0) {
    return CMT_OK;
  }
  if (used < 0 || length > d->max) {
    return CMT_EPROTO;
  }
  d->has_length = true;
  d->length = (size_t)length;
  return CMT_OK;
}

static bool reserve(cmt__delimited *d, const cmt_env *env, size_t len) {
  while (d->cap < len) {
    void *items = d->base;

    if (!cmt__grow(env, &items, &d->cap, 1, d->first)) {
      return false;
    }
    d->base = items;
  }
  return true;
}

cmt_err cmt__delimited_take(cmt__delimited *d, const cmt_env *env,
                            cmt_bytes *in) {
  size_t n;

  while (!d->has_length) {
    cmt_err err;

    if (in->len == 0) {
      return CMT_EAGAIN;
    }
    err = prefix_push(d, in->base[0]);
    if (err != CMT_OK) {
      return err;
    }
    in->base++;
    in->len--;
  }
  n = cmt__min(in->len, d->length - d->len);
  if (n > 0) {
    if (!reserve(d, env, d->len + n)) {
      return CMT_ENOMEM;
    }
    memcpy(d->base + d->len, in->base, n);
    d->len += n;
    in->base += n;
    in->len -= n;
  }
  return d->len == d->length ? CMT_OK : CMT_EAGAIN;
}

void cmt__delimited_next(cmt__delimited *d) {
  d->prefix_len = 0;
  d->has_length = false;
  d->length = 0;
  d->len = 0;
}

void cmt__delimited_fini(cmt__delimited *d, const cmt_env *env) {
  cmt__free(env, d->base);
  d->base = NULL;
  d->cap = 0;
  d->len = 0;
}
