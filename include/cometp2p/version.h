/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_VERSION_H
#define CMT_VERSION_H

/* What was built, and with what. */

#include <cometp2p/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A library that this one runs on. */
typedef struct cmt_library {
  const char *name;    /**< Static, such as "libsodium". */
  const char *version; /**< Static, as the library itself reports it. */
} cmt_library;

/** The version of this library, such as "0.1.0". */
CMT_API const char *cmt_version(void);

/**
 * Writes up to |cap| of the libraries in use to |out|.
 *
 * Returns    how many there are, which may be more than |cap|.
 * Context    any thread.
 */
CMT_API size_t cmt_libraries(cmt_library *out, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
