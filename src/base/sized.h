/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SIZED_H
#define CMT__SIZED_H

/* Structs of the application that begin with their size, which is that of the
   header that it was compiled with.  The library reads the size before anything
   else.  Fields that a smaller struct lacks have their defaults.  A larger
   struct may not set a field that this library does not know.  A size that no
   version of the struct can have is refused.

   Structs that never grow have reserved words instead. */

#include "base.h"

/* True when a struct that has |size| bytes in this version may have |given|
   bytes in another version. */
bool cmt__size_is_known(size_t given, size_t size);

/* The offset at which |given| sets a field that a struct of |size| bytes does
   not have; 0: none. */
size_t cmt__sized_unknown(const void *given, size_t size);

/* True when no reserved word is set. */
bool cmt__reserved_are_zero(const uint64_t *words, size_t count);

/* Fills |full|, of |size| bytes, which has the defaults, with what |given|
   sets; the size in it is |size| then.  CMT_EINVAL: |given| is NULL or not such
   a struct, and |why| calls it |name|. */
CMT_NODISCARD cmt_err cmt__sized_read(void *full, size_t size,
                                      const void *given, const char *name,
                                      cmt_why *why);

/* Writes as much of |full|, of |size| bytes, as the struct |out| of |out_size|
   bytes has room for, zeroes the rest of it, and sets its size.  A size that no
   struct of ours can have leaves only a size of 0, which is refused later. */
void cmt__sized_convert(void *out, size_t out_size, const void *full,
                        size_t size);

/* As cmt__sized_convert(), which a caller with our own header does not need. */
static inline void cmt__sized_write(void *out, size_t out_size,
                                    const void *full, size_t size) {
  if (out != NULL && out_size == size) {
    memcpy(out, full, size);
    memcpy(out, &size, sizeof size);
  } else {
    cmt__sized_convert(out, out_size, full, size);
  }
}

/* Sets |*out|, where a constructor puts a pointer, to NULL; CMT_EINVAL: |out|
   is NULL itself. */
#define cmt__out_clear(out, why)                                               \
  ((out) != NULL                                                               \
     ? (*(out) = NULL, CMT_OK)                                                 \
     : cmt__why((why), CMT_EINVAL, CMT_STAGE_TRANSPORT, "out: NULL"))

/* A field of the options |o| that is 0 gets what it has in |defaults|. */
#define cmt__or_default(o, defaults, field)                                    \
  ((o)->field = (o)->field ? (o)->field : (defaults)->field)

/* A flag that holds neither true nor false was never set. */
static inline bool cmt__is_bool(const bool *flag) {
  uint8_t byte;

  memcpy(&byte, flag, sizeof byte);
  return byte <= 1;
}

#endif
