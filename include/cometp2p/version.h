/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_VERSION_H
#define CMT_VERSION_H

/* The versions of this library and of the libraries that it uses. */

#include <cometp2p/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of these headers.  Until 1.0 a new minor version may break the
   ABI, and a new patch version does not. */
#define CMT_VERSION_MAJOR 0
#define CMT_VERSION_MINOR 2
#define CMT_VERSION_PATCH 0

/** The version as one number that grows with the version, such as 0x000200. */
#define CMT_VERSION_NUMBER                                                     \
  ((CMT_VERSION_MAJOR << 16) | (CMT_VERSION_MINOR << 8) | CMT_VERSION_PATCH)

/** A library that this one runs on. */
typedef struct cmt_library {
  const char *name;    /**< Static, such as "libsodium". */
  const char *version; /**< Static, as the library itself reports it. */
} cmt_library;

/** The version of this library, such as "0.2.0". */
CMT_API const char *cmt_version(void);

/** The version of the library that is loaded, to compare with that of the
    headers, CMT_VERSION_NUMBER. */
CMT_API uint32_t cmt_version_number(void);

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
