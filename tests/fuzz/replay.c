/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over the files of its kept corpus, in the order of their
   names, so that every input that was of use once is a test. */

#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A function of the sanitizers; without one it is not there. */
extern void __sanitizer_set_death_callback(void (*callback)(void))
  __attribute__((weak));

static const char *running;

static void death(void) {
  fprintf(stderr, "the input is %s\n", running != NULL ? running : "none");
}

static void death_by_signal(int number) {
  death();
  signal(number, SIG_DFL);
  raise(number);
}

static int is_input(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

static uint8_t *file_read(int folder, const char *name, size_t *len) {
  int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
  struct stat st;
  uint8_t *bytes;

  FUZZ_CHECK(fd >= 0 && fstat(fd, &st) == 0);
  *len = (size_t)st.st_size;
  bytes = malloc(*len);
  FUZZ_CHECK(bytes != NULL || *len == 0);
  FUZZ_CHECK(read(fd, bytes, *len) == st.st_size);
  close(fd);
  return bytes;
}

static void file_run(int folder, const char *name) {
  size_t len;
  uint8_t *bytes = file_read(folder, name, &len);

  running = name;
  (void)LLVMFuzzerTestOneInput(bytes, len);
  running = NULL;
  free(bytes);
}

/* replay FOLDER... */
int main(int argc, char **argv) {
  if (__sanitizer_set_death_callback != NULL) {
    __sanitizer_set_death_callback(death);
  }
  signal(SIGABRT, death_by_signal);
  printf("1..%d\n", argc - 1);
  for (int i = 1; i < argc; i++) {
    struct dirent **list;
    int count = scandir(argv[i], &list, is_input, alphasort);
    int folder = open(argv[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    FUZZ_CHECK(count > 0 && folder >= 0);
    for (int k = 0; k < count; k++) {
      file_run(folder, list[k]->d_name);
      free(list[k]);
    }
    free(list);
    close(folder);
    printf("ok %d - %d inputs hold every invariant\n", i, count);
  }
  return 0;
}
