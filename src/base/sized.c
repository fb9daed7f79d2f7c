/* SPDX-License-Identifier: Apache-2.0 */

/* Conversion of structs that begin with their size. */

#include "sized.h"

/* No struct grows by more from one release to a later one. */
enum { GROWTH_MAX = 4096 };

bool cmt__size_is_known(size_t given, size_t size) {
  return given > sizeof(size_t) && given % sizeof(size_t) == 0 &&
         given <= size + GROWTH_MAX;
}

size_t cmt__sized_unknown(const void *given, size_t size) {
  const uint8_t *bytes = given;
  size_t given_size;

  memcpy(&given_size, given, sizeof given_size);
  for (size_t i = size; i < given_size; i++) {
    if (bytes[i] != 0) {
      return i;
    }
  }
  return 0;
}

bool cmt__reserved_are_zero(const uint64_t *words, size_t count) {
  uint64_t any = 0;

  for (size_t i = 0; i < count; i++) {
    any |= words[i];
  }
  return any == 0;
}

cmt_err cmt__sized_read(void *full, size_t size, const void *given,
                        const char *name, cmt_why *why) {
  size_t given_size, at;

  if (given == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "%s: NULL instead of a struct", name);
  }
  memcpy(&given_size, given, sizeof given_size);
  if (!cmt__size_is_known(given_size, size)) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "%s of an unknown size: use the init macro", name);
  }
  at = cmt__sized_unknown(given, size);
  if (at > 0) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "%s: a field is set that this version of the library does "
                    "not have, at byte %zu of %zu",
                    name, at, given_size);
  }
  memcpy(full, given, cmt__min(given_size, size));
  memcpy(full, &size, sizeof size);
  return CMT_OK;
}

void cmt__sized_convert(void *out, size_t out_size, const void *full,
                        size_t size) {
  if (out == NULL || out_size < sizeof out_size) {
    return;
  }
  if (!cmt__size_is_known(out_size, size)) {
    out_size = 0;
    memcpy(out, &out_size, sizeof out_size);
    return;
  }
  memset(out, 0, out_size);
  memcpy(out, full, cmt__min(out_size, size));
  memcpy(out, &out_size, sizeof out_size);
}
