/* SPDX-License-Identifier: Apache-2.0 */

/* The version of this library and of those below it. */

#include <cometp2p/version.h>

#include <sodium.h>
#include <uv.h>

#define TEXT(major, minor, patch) #major "." #minor "." #patch
#define TEXT_OF(major, minor, patch) TEXT(major, minor, patch)

const char *cmt_version(void) {
  return TEXT_OF(CMT_VERSION_MAJOR, CMT_VERSION_MINOR, CMT_VERSION_PATCH);
}

uint32_t cmt_version_number(void) { return CMT_VERSION_NUMBER; }

size_t cmt_libraries(cmt_library *out, size_t cap) {
  const cmt_library all[] = {
    {.name = "libsodium", .version = sodium_version_string()},
    {.name = "libuv", .version = uv_version_string()},
  };
  const size_t count = sizeof all / sizeof all[0];

  for (size_t i = 0; out != NULL && i < count && i < cap; i++) {
    out[i] = all[i];
  }
  return count;
}
