/* SPDX-License-Identifier: Apache-2.0 */

/* The libraries below this one. */

#include <cometp2p/version.h>

#include <sodium.h>
#include <uv.h>

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
