/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_H
#define CLI_H

/* What every part of the command shares: exit codes, the form of a verb, the
   streams, and the few helpers that have no better place.  The command stands
   on the public headers of the library alone. */

#include "output.h"
#include "wait.h"

#include <cometp2p/cometp2p.h>

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* Bits for the verbs that accept an option. */
enum {
  CLI_KEY = 1,
  CLI_LISTEN = 2,
  CLI_SEND = 4,
  CLI_PROBE = 8,
  CLI_VERSION = 16,
  CLI_INIT = 32,
  CLI_RUN_NODE = 64,
  CLI_SEED = 128,
  CLI_NODES = CLI_LISTEN | CLI_SEND | CLI_PROBE,
  CLI_DAEMONS = CLI_RUN_NODE | CLI_SEED,
  CLI_HOMES = CLI_INIT | CLI_DAEMONS, /* The verbs with a home. */
  CLI_ALL = CLI_NODES | CLI_HOMES | CLI_KEY | CLI_VERSION,
};

typedef struct cli_verb {
  const char *name;
  unsigned bit;
  int (*run)(const struct cli_verb *verb, int argc, char **argv);
  const char *usage; /* What follows the name. */
  const char *help;  /* The first line is in the list of verbs. */
} cli_verb;

int cli_key(const cli_verb *verb, int argc, char **argv);
int cli_init(const cli_verb *verb, int argc, char **argv);
int cli_run_node(const cli_verb *verb, int argc, char **argv);
int cli_seed(const cli_verb *verb, int argc, char **argv);
int cli_listen(const cli_verb *verb, int argc, char **argv);
int cli_send(const cli_verb *verb, int argc, char **argv);
int cli_probe(const cli_verb *verb, int argc, char **argv);
int cli_version(const cli_verb *verb, int argc, char **argv);

/* The streams and signals of a running verb. */
typedef struct cli_io {
  cli_waiter wait;
  cli_output *out, *err;
  bool json;
  bool serves; /* A signal is the way to end the verb, and no failure. */
  cmt_log_level log_level;
  atomic_uint_fast64_t unlogged; /* Suppressed lines of standard error. */
} cli_io;

/* Handles the ending signals and starts the writers.  Call it before any other
   thread exists.  False: an error was printed. */
bool cli_io_open(cli_io *io, bool json, cmt_log_level level);

/* Waits until all is written, or a signal ends the wait; returns |code|, or
   CLI_FAILED when standard output could not be written, which is reported
   unless its reader closed it.  A verb that failed and was interrupted ends by
   the signal here, unless it serves. */
int cli_io_close(cli_io *io, int code);

/* As above, and ends the process, whatever its other threads do. */
_Noreturn void cli_io_leave(cli_io *io, int code);

/* One line on standard error after "cometp2p: ".  When far too many wait they
   are counted, and the count is printed as soon as there is room. */
void cli_io_error(cli_io *io, const char *format, ...)
  __attribute__((format(printf, 2, 3)));

/* As cli_io_error(), for a line that the peer |p| causes, which is paused while
   nobody reads; NULL: no peer causes it. */
void cli_io_error_of(cli_io *io, cmt_peer *p, const char *format, ...)
  __attribute__((format(printf, 3, 4)));

/* As above without a running verb; returns CLI_FAILED. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line on standard error as it is, without a running verb. */
void cli_complain(const char *format, ...)
  __attribute__((format(printf, 1, 2)));

/* Writes all |len| bytes, however often |fd| accepts only a part.  Another
   program that shares a stream may have made it non-blocking: then this waits
   for room.  False: errno. */
bool cli_write_all(int fd, const void *data, size_t len);

/* The system's environment, with the frame kernel that the variable CMT_AEAD
   names.  Failures are explained in |why|. */
cmt_err cli_env_system(cmt_env *env, cmt_why *why);

/* What a verb without streams prints: it is gathered in |file| and written in
   one go. */
typedef struct cli_page {
  FILE *file;
  char *text;
  size_t len;
} cli_page;

void cli_page_open(cli_page *p);
/* Writes the page to |fd| and frees it.  Returns CLI_OK or CLI_FAILED; a
   failure is reported unless the reader closed the stream. */
int cli_page_write(cli_page *p, int fd);

/* Zeroed memory; ends the process when there is none. */
void *cli_alloc(size_t count, size_t size);
void *cli_realloc(void *p, size_t size);
char *cli_copy(const char *text);

/* The present instant, on any thread; it never steps back, whatever the clock
   of the system does. */
uint64_t cli_now_ns(void);

/* "CMT_EPROTO" as "proto". */
void cli_reason(cmt_err e, char *out, size_t cap);

/* The 64 hex digits of a hash and a NUL. */
enum { CLI_HASH_SIZE = 32, CLI_HASH_TEXT = 65 };
void cli_hash_text(const uint8_t *hash, char *out);

/* "16,998". */
void cli_count_text(uint64_t count, char *out, size_t cap);

/* "12.3 MiB", "812 bytes". */
void cli_size_text(double bytes, char *out, size_t cap);

#endif
