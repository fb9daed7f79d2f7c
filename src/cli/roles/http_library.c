/* SPDX-License-Identifier: Apache-2.0 */

#include "http_library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "libmicrohttpd.so.12"

static bool find(void *library, const char *name, void *out) {
  void *found = dlsym(library, name);

  _Static_assert(sizeof found == sizeof(void (*)(void)), "as POSIX demands");
  memcpy(out, &found, sizeof found);
  return found != NULL;
}

static bool find_all(void *library, cli_http_library *out) {
  bool all = true;

#define FIND(name) all = find(library, "MHD_" #name, &out->name) && all;
  CLI_HTTP_LIBRARY(FIND)
#undef FIND
  return all;
}

const cli_http_library *cli_http_library_load(cmt_why *why) {
  static cli_http_library loaded;
  static void *library;

  if (library == NULL) {
    library = dlopen(FILE_NAME, RTLD_NOW | RTLD_LOCAL);
  }
  if (library == NULL || !find_all(library, &loaded)) {
    *why = (cmt_why){.err = CMT_EIO};
    snprintf(why->text, sizeof why->text, "pages need %s: %s", FILE_NAME,
             dlerror());
    return NULL;
  }
  return &loaded;
}
