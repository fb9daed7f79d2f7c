/* SPDX-License-Identifier: Apache-2.0 */
/* The memory ends where a page does, so that it is aligned as its length is. */

#include "secret_memory.h"

#include <sodium.h>

void *cmt__secret_memory_alloc(void *arg, size_t len, bool *locked) {
  void *p = sodium_malloc(len);

  (void)arg;
  /* libsodium has tried to lock the pages, and does not report the result. */
  *locked = p != NULL && sodium_mlock(p, len) == 0;
  return p;
}

void cmt__secret_memory_free(void *arg, void *p, size_t len) {
  (void)arg;
  (void)len;
  sodium_free(p);
}

void cmt__secret_memory_protect(void *arg, void *p, size_t len, bool on) {
  int failed = on ? sodium_mprotect_readonly(p) : sodium_mprotect_readwrite(p);

  (void)arg;
  (void)len;
  (void)failed; /* A failure is ignored: the protection only guards against
                   bugs. */
}
