/* SPDX-License-Identifier: Apache-2.0 */

/* To be preloaded into the command: one allocation inside jansson fails, the
   one with the number in CMT_STARVE, from 0, and so do all after it.  At a
   regular end of the process it writes how many there were to the file
   CMT_STARVE_COUNT.

   The functions that a program gives to jansson are put into one of ours, so
   that what fails is the allocation under them, as it would. */

#include <dlfcn.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* Functions of the C library, by names that nobody else defines. */
extern void *__libc_malloc(size_t len);
extern void *__libc_calloc(size_t count, size_t len);
extern void *__libc_realloc(void *p, size_t len);

EXPORT void *malloc(size_t len);
EXPORT void *calloc(size_t count, size_t len);
EXPORT void *realloc(void *p, size_t len);

static void *(*given)(size_t len) = malloc;
static _Thread_local bool inside;
static atomic_size_t allocs;
static size_t fail_at = SIZE_MAX;

static bool fails(void) {
  return inside && atomic_fetch_add(&allocs, 1) >= fail_at;
}

void *malloc(size_t len) { return fails() ? NULL : __libc_malloc(len); }

void *calloc(size_t count, size_t len) {
  return fails() ? NULL : __libc_calloc(count, len);
}

void *realloc(void *p, size_t len) {
  return fails() ? NULL : __libc_realloc(p, len);
}

static void *alloc_inside(size_t len) {
  void *p;

  inside = true;
  p = given(len);
  inside = false;
  return p;
}

EXPORT void json_set_alloc_funcs(json_malloc_t alloc, json_free_t release) {
  void (*next)(json_malloc_t, json_free_t);

  *(void **)&next = dlsym(RTLD_NEXT, "json_set_alloc_funcs");
  given = alloc;
  next(alloc_inside, release);
}

__attribute__((constructor)) static void begin(void) {
  const char *text = getenv("CMT_STARVE");

  if (text != NULL) {
    fail_at = (size_t)strtoull(text, NULL, 10);
  }
  json_set_alloc_funcs(malloc, free);
}

__attribute__((destructor)) static void end(void) {
  const char *path = getenv("CMT_STARVE_COUNT");
  int fd = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

  if (fd >= 0) {
    dprintf(fd, "%zu\n", (size_t)allocs);
    close(fd);
  }
}
