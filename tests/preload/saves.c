/* SPDX-License-Identifier: Apache-2.0 */

/* To be preloaded into the command: what happens to the saves of its address
   book.  Every call that writes one of the book's files is counted, from 0:
   open() for writing, fchmod(), write(), fsync(), rename(), and the open() and
   fsync() of the folder.

     CMT_SAVES_FAIL=FIRST:COUNT:ERRNO  so many calls fail from that one on; a
                                       write() puts half of its bytes first
     CMT_SAVES_KILL=AT:SIGNAL          the process gets the signal at that
                                       call, after half of the bytes of a
                                       write()
     CMT_SAVES_AFTER=US:SIGNAL         or so many microseconds after call 0
     CMT_SAVES_SKIP=N                  the first N saves are let alone
     CMT_SAVES_RUSH=1                  the time of day runs 1,000 times as
                                       fast, so that saves are due each second
     CMT_SAVES_COUNT=FILE              at a regular end the file has the count
                                       of calls and of those that failed

   A save begins with an open() of a temporary name of addrbook.json.  Whatever
   is dialed on another machine refuses, so that a book may have any addresses.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { RUSH = 1000, FDS_MAX = 1024 };

EXPORT int open(const char *path, int flags, ...);
EXPORT int open64(const char *path, int flags, ...);
EXPORT int fchmod(int fd, mode_t mode);
EXPORT ssize_t write(int fd, const void *data, size_t len);
EXPORT int fsync(int fd);
EXPORT int rename(const char *from, const char *to);
EXPORT int close(int fd);
EXPORT int connect(int fd, const struct sockaddr *to, socklen_t len);
EXPORT int clock_gettime(clockid_t id, struct timespec *out);

static unsigned long fail_first = -1UL, fail_count, kill_at = -1UL, skip;
static int fail_errno, kill_signal, after_signal;
static unsigned long after_us = -1UL;
static bool rushes;
static struct timespec begun;
static atomic_ulong calls, failed, saves, first_us, last_us;
static atomic_bool is_ours[FDS_MAX]; /* Descriptors of the book's files. */

static void find_next(void *out, const char *name) {
  *(void **)out = dlsym(RTLD_NEXT, name);
  if (*(void **)out == NULL) {
    abort();
  }
}

#define NEXT(name)                                                             \
  static _Atomic(__typeof__(&name)) found;                                     \
  __typeof__(&name) next = found;                                              \
  if (next == NULL) {                                                          \
    find_next(&next, #name);                                                   \
    found = next;                                                              \
  }

static void die(int signal) {
  kill(getpid(), signal);
  if (signal == SIGKILL) {
    pause();
  }
}

static void *die_later(void *arg) {
  struct timespec t = {.tv_sec = (time_t)(after_us / 1000000),
                       .tv_nsec = (long)(after_us % 1000000) * 1000};

  (void)arg;
  nanosleep(&t, NULL);
  die(after_signal);
  return NULL;
}

static void begin_timer(void) {
  sigset_t all, before;
  pthread_t thread;

  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  if (pthread_create(&thread, NULL, die_later, NULL) == 0) {
    pthread_detach(thread);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static unsigned long monotonic_us(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (unsigned long)t.tv_sec * 1000000 + (unsigned long)t.tv_nsec / 1000;
}

/* Counts a call; true: it fails, with errno.  |*dies|: the signal is due. */
static bool count(bool *dies) {
  unsigned long at;

  *dies = false;
  if (saves <= skip) {
    return false;
  }
  at = atomic_fetch_add(&calls, 1);
  last_us = monotonic_us();
  if (at == 0) {
    first_us = last_us;
  }
  if (at == 0 && after_us != -1UL) {
    begin_timer();
  }
  *dies = at == kill_at;
  if (at < fail_first || at - fail_first >= fail_count) {
    return false;
  }
  atomic_fetch_add(&failed, 1);
  errno = fail_errno;
  return true;
}

/* For calls without bytes. */
static bool count_plain(void) {
  bool dies;
  bool fails = count(&dies);
  int error = errno;

  if (dies) {
    die(kill_signal);
  }
  errno = error;
  return fails;
}

static bool is_book(const char *path) {
  const char *name = strrchr(path, '/');

  return strstr(name != NULL ? name : path, "addrbook") != NULL;
}

static bool is_ours_now(int fd) {
  return fd >= 0 && fd < FDS_MAX && is_ours[fd];
}

typedef int (*open_function)(const char *path, int flags, ...);

/* The folder is opened for its fsync() alone; the book is read before. */
static int open_by(open_function next, const char *path, int flags,
                   mode_t mode) {
  bool writes = (flags & O_ACCMODE) == O_WRONLY && is_book(path);
  bool ours = writes || ((flags & O_DIRECTORY) != 0 && saves > 0);
  int fd;

  if (writes && strstr(path, ".addrbook.json-") != NULL) {
    atomic_fetch_add(&saves, 1);
  }
  if (ours && count_plain()) {
    return -1;
  }
  fd = next(path, flags, mode);
  if (fd >= 0 && fd < FDS_MAX) {
    is_ours[fd] = ours;
  }
  return fd;
}

static mode_t mode_of(int flags, va_list args) {
  return (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
  va_list args;
  mode_t mode;

  NEXT(open)
  va_start(args, flags);
  mode = mode_of(flags, args);
  va_end(args);
  return open_by(next, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list args;
  mode_t mode;

  NEXT(open64)
  va_start(args, flags);
  mode = mode_of(flags, args);
  va_end(args);
  return open_by(next, path, flags, mode);
}

int fchmod(int fd, mode_t mode) {
  NEXT(fchmod)
  return is_ours_now(fd) && count_plain() ? -1 : next(fd, mode);
}

ssize_t write(int fd, const void *data, size_t len) {
  bool fails, dies;
  ssize_t put = 0;
  int error;

  NEXT(write)
  if (!is_ours_now(fd)) {
    return next(fd, data, len);
  }
  fails = count(&dies);
  error = errno;
  if (fails || dies) {
    put = next(fd, data, len / 2);
  }
  if (dies) {
    die(kill_signal);
    return put;
  }
  errno = error;
  return fails ? -1 : next(fd, data, len);
}

int fsync(int fd) {
  NEXT(fsync)
  return is_ours_now(fd) && count_plain() ? -1 : next(fd);
}

int close(int fd) {
  NEXT(close)
  if (fd >= 0 && fd < FDS_MAX) {
    is_ours[fd] = false;
  }
  return next(fd);
}

int rename(const char *from, const char *to) {
  NEXT(rename)
  return is_book(to) && count_plain() ? -1 : next(from, to);
}

static bool is_near(const struct sockaddr *to) {
  struct sockaddr_in in;
  struct sockaddr_in6 in6;

  if (to->sa_family == AF_INET) {
    memcpy(&in, to, sizeof in);
    return ntohl(in.sin_addr.s_addr) >> 24 == 127;
  }
  memcpy(&in6, to,
         to->sa_family == AF_INET6 ? sizeof in6 : sizeof in6.sin6_family);
  return to->sa_family != AF_INET6 || IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

int connect(int fd, const struct sockaddr *to, socklen_t len) {
  NEXT(connect)
  if (!is_near(to)) {
    errno = ECONNREFUSED;
    return -1;
  }
  return next(fd, to, len);
}

int clock_gettime(clockid_t id, struct timespec *out) {
  int got;
  uint64_t ns;

  NEXT(clock_gettime)
  got = next(id, out);
  if (got != 0 || id != CLOCK_REALTIME || !rushes) {
    return got;
  }
  ns = (uint64_t)(out->tv_sec - begun.tv_sec) * 1000000000u +
       (uint64_t)out->tv_nsec - (uint64_t)begun.tv_nsec;
  ns = ns * RUSH + (uint64_t)begun.tv_nsec;
  out->tv_sec = begun.tv_sec + (time_t)(ns / 1000000000u);
  out->tv_nsec = (long)(ns % 1000000000u);
  return 0;
}

/* The |i|th number of a text with colons between them. */
static unsigned long number(const char *text, unsigned i) {
  while (i > 0 && text != NULL) {
    text = strchr(text, ':');
    text += text != NULL;
    i--;
  }
  return text != NULL ? strtoul(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void) {
  const char *fail = getenv("CMT_SAVES_FAIL"), *at = getenv("CMT_SAVES_KILL"),
             *after = getenv("CMT_SAVES_AFTER"),
             *saved = getenv("CMT_SAVES_SKIP");

  clock_gettime(CLOCK_REALTIME, &begun);
  rushes = getenv("CMT_SAVES_RUSH") != NULL;
  skip = number(saved, 0);
  if (fail != NULL) {
    fail_first = number(fail, 0);
    fail_count = number(fail, 1);
    fail_errno = (int)number(fail, 2);
  }
  if (at != NULL) {
    kill_at = number(at, 0);
    kill_signal = (int)number(at, 1);
  }
  if (after != NULL) {
    after_us = number(after, 0);
    after_signal = (int)number(after, 1);
  }
}

__attribute__((destructor)) static void end(void) {
  const char *path = getenv("CMT_SAVES_COUNT");
  FILE *f = path != NULL ? fopen(path, "w") : NULL;

  if (f != NULL) {
    fprintf(f, "%lu %lu %lu\n", (unsigned long)calls, (unsigned long)failed,
            last_us - first_us);
    fclose(f);
  }
}
