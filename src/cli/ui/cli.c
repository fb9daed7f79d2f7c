/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of every verb.  Errors before the streams exist are written
   directly, later ones by the thread of standard error.  Nothing is written
   through stdio, which would drop what a non-blocking stream does not take. */

#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 2048 };

bool cli_io_open(cli_io *io, bool json, cmt_log_level level) {
  io->json = json;
  io->serves = false;
  atomic_init(&io->unlogged, 0);
  io->log_level = level;
  if (!cli_waiter_init(&io->wait)) {
    cli_fail("cannot wait for signals: %s", strerror(errno));
    return false;
  }
  io->out = cli_output_new(STDOUT_FILENO, &io->wait);
  io->err = cli_output_new(STDERR_FILENO, &io->wait);
  if (io->out == NULL || io->err == NULL) {
    cli_fail("cannot start a thread");
    return false;
  }
  return true;
}

/* Prints how many lines were suppressed, if there were any and there is
   room. */
static bool io_report_unlogged(cli_io *io) {
  uint64_t count = atomic_exchange(&io->unlogged, 0);
  char line[96], digits[32];

  if (count == 0) {
    return true;
  }
  cli_count_text(count, digits, sizeof digits);
  snprintf(line, sizeof line, "cometp2p: and %s more lines", digits);
  if (!cli_output_extra(io->err, line, strlen(line))) {
    atomic_fetch_add(&io->unlogged, count);
    return false;
  }
  return true;
}

/* Waits for the reader; after a signal until |until_ns| at most.  While there
   is room it is not the reader that is late, but our own thread. */
static bool io_drain(cli_io *io, cli_output *o, uint64_t until_ns) {
  while (!cli_output_is_drained(o)) {
    if (cli_waiter_wait(&io->wait, CMT_MILLISECONDS(50)) ||
        (io->wait.interrupted && cli_now_ns() >= until_ns &&
         !cli_output_has_room(o))) {
      return false;
    }
  }
  return true;
}

/* Both streams, in half a second after a signal; what io_drain() returned. */
static bool io_finish(cli_io *io, int *code) {
  uint64_t until_ns = cli_now_ns() + CMT_MILLISECONDS(500);
  bool drained;
  int fault;

  cli_output_status(io->out, "");
  drained = io_drain(io, io->out, until_ns);
  fault = cli_output_fault(io->out);
  if (fault != 0) {
    *code = CLI_FAILED;
  }
  if (fault != 0 && fault != EPIPE) {
    cli_io_error(io, "standard output: %s", strerror(fault));
  }
  drained = io_drain(io, io->err, until_ns) && drained;
  if (atomic_load(&io->unlogged) > 0) {
    (void)io_report_unlogged(io);
    drained = io_drain(io, io->err, until_ns) && drained;
  }
  return drained;
}

/* The parent process, such as a shell in a loop, must see that a signal ended
   the command before its work was done. */
static void io_pass_signal(const cli_io *io, bool finished, int code) {
  if (io->wait.interrupted && !io->serves && (!finished || code != CLI_OK)) {
    cli_waiter_die(&io->wait);
  }
}

/* A writer that hangs is left to the end of the process. */
int cli_io_close(cli_io *io, int code) {
  bool finished = io_finish(io, &code);

  io_pass_signal(io, finished, code);
  if (!finished) {
    _exit(code);
  }
  cli_output_delete(io->out);
  cli_output_delete(io->err);
  cli_waiter_fini(&io->wait);
  return code;
}

void cli_io_leave(cli_io *io, int code) {
  bool finished = io_finish(io, &code);

  io_pass_signal(io, finished, code);
  _exit(code);
}

static void io_line(cli_io *io, cmt_peer *p, const char *format, va_list args)
  __attribute__((format(printf, 3, 0)));

static void io_line(cli_io *io, cmt_peer *p, const char *format, va_list args) {
  char line[LINE_SIZE];
  int prefix = snprintf(line, sizeof line, "cometp2p: ");

  vsnprintf(line + prefix, sizeof line - (size_t)prefix, format, args);
  if (p != NULL) {
    cli_output_line(io->err, line, strlen(line), p);
  } else if (!io_report_unlogged(io) ||
             !cli_output_extra(io->err, line, strlen(line))) {
    atomic_fetch_add(&io->unlogged, 1);
  }
}

void cli_io_error(cli_io *io, const char *format, ...) {
  va_list args;

  va_start(args, format);
  io_line(io, NULL, format, args);
  va_end(args);
}

void cli_io_error_of(cli_io *io, cmt_peer *p, const char *format, ...) {
  va_list args;

  va_start(args, format);
  io_line(io, p, format, args);
  va_end(args);
}

void cli_complain(const char *format, ...) {
  char line[LINE_SIZE];
  va_list args;
  size_t len;

  va_start(args, format);
  vsnprintf(line, sizeof line - 1, format, args);
  va_end(args);
  len = strlen(line);
  line[len++] = '\n';
  /* A failure of standard error has nowhere to be reported. */
  (void)cli_write_all(STDERR_FILENO, line, len);
}

int cli_fail(const char *format, ...) {
  char text[LINE_SIZE];
  va_list args;

  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  cli_complain("cometp2p: %s", text);
  return CLI_FAILED;
}

/* Whether the write that failed is worth another try; waits until it is. */
static bool write_again(int fd) {
  struct pollfd polled = {.fd = fd, .events = POLLOUT};

  if (errno == EINTR) {
    return true;
  }
  if (errno != EAGAIN && errno != EWOULDBLOCK) {
    return false;
  }
  while (poll(&polled, 1, -1) < 0) {
    if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool cli_write_all(int fd, const void *data, size_t len) {
  const char *at = data;

  while (len > 0) {
    ssize_t n = write(fd, at, len);

    if (n < 0 && write_again(fd)) {
      continue;
    }
    if (n <= 0) {
      errno = n < 0 ? errno : EIO;
      return false;
    }
    at += n;
    len -= (size_t)n;
  }
  return true;
}

void cli_page_open(cli_page *p) {
  *p = (cli_page){0};
  p->file = open_memstream(&p->text, &p->len);
  if (p->file == NULL) {
    cli_fail("out of memory");
    _exit(CLI_FAILED);
  }
}

int cli_page_write(cli_page *p, int fd) {
  int code = CLI_OK;
  bool whole = ferror(p->file) == 0;

  if (fclose(p->file) != 0 || !whole) {
    code = cli_fail("out of memory");
  } else if (!cli_write_all(fd, p->text, p->len)) {
    code = errno == EPIPE ? CLI_FAILED
                          : cli_fail("standard output: %s", strerror(errno));
  }
  free(p->text);
  return code;
}

void *cli_realloc(void *p, size_t size) {
  void *out = realloc(p, size);

  if (out == NULL) {
    cli_fail("out of memory");
    _exit(CLI_FAILED);
  }
  return out;
}

void *cli_alloc(size_t count, size_t size) {
  void *out = calloc(count == 0 ? 1 : count, size);

  if (out == NULL) {
    cli_fail("out of memory");
    _exit(CLI_FAILED);
  }
  return out;
}

char *cli_copy(const char *text) {
  size_t size = strlen(text) + 1;

  return memcpy(cli_alloc(1, size), text, size);
}

uint64_t cli_now_ns(void) {
  static _Atomic uint64_t latest_ns;
  uint64_t latest = atomic_load(&latest_ns), now_ns;
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  now_ns = CMT_SECONDS(t.tv_sec) + (uint64_t)t.tv_nsec;
  while (now_ns > latest &&
         !atomic_compare_exchange_weak(&latest_ns, &latest, now_ns)) {
  }
  return now_ns > latest ? now_ns : latest;
}

void cli_reason(cmt_err e, char *out, size_t cap) {
  const char *name = cmt_err_name(e);
  size_t skip = strncmp(name, "CMT_E", 5) == 0 ? 5 : 0;
  size_t len = 0;

  for (name += skip; *name != '\0' && len + 1 < cap; name++) {
    out[len++] = (char)tolower((unsigned char)*name);
  }
  out[len] = '\0';
}

void cli_hash_text(const uint8_t *hash, char *out) {
  for (size_t i = 0; i < CLI_HASH_SIZE; i++) {
    snprintf(out + 2 * i, 3, "%02x", hash[i]);
  }
}

void cli_count_text(uint64_t count, char *out, size_t cap) {
  char digits[24];
  size_t len =
    (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
  size_t n = 0;

  for (size_t i = 0; i < len && n + 2 < cap; i++) {
    if (i > 0 && (len - i) % 3 == 0) {
      out[n++] = ',';
    }
    out[n++] = digits[i];
  }
  out[n] = '\0';
}

void cli_size_text(double bytes, char *out, size_t cap) {
  static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;

  if (bytes < 1024) {
    snprintf(out, cap, "%.0f bytes", bytes);
    return;
  }
  for (bytes /= 1024; bytes >= 1024 && unit < 3; unit++) {
    bytes /= 1024;
  }
  snprintf(out, cap, "%.1f %s", bytes, units[unit]);
}

cmt_err cli_env_system(cmt_env *env, cmt_why *why) {
  const char *aead = getenv("CMT_AEAD");
  cmt_err err = cmt_env_init(env);

  why->err = err;
  if (err != CMT_OK) {
    snprintf(why->text, sizeof why->text, "libsodium cannot start");
  } else if (aead != NULL && aead[0] != '\0') {
    err = cmt_env_set_aead(env, aead);
    why->err = err;
    if (err != CMT_OK) {
      char shown[80];

      cmt_text_escape(cmt_bytes_of(aead), shown, sizeof shown);
      snprintf(why->text, sizeof why->text,
               "CMT_AEAD is '%s': it is auto, libsodium, avx2, avx512 or neon, "
               "where this processor has it",
               shown);
    }
  }
  return err;
}
