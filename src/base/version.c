/* SPDX-License-Identifier: Apache-2.0 */

/* The version of this library. */

#include <cometp2p/version.h>

#define TEXT(major, minor, patch) #major "." #minor "." #patch
#define TEXT_OF(major, minor, patch) TEXT(major, minor, patch)

const char *cmt_version(void) {
  return TEXT_OF(CMT_VERSION_MAJOR, CMT_VERSION_MINOR, CMT_VERSION_PATCH);
}

uint32_t cmt_version_number(void) { return CMT_VERSION_NUMBER; }
