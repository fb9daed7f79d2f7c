/* SPDX-License-Identifier: Apache-2.0 */

/* The file of an address book: loading, and saving from a snapshot, here or on
   a thread that ends with the save. */

#include "book_file.h"

#include <cometp2p/addrbook_file.h>

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/sized.h"
#include "sys/thread.h"

#define SAVE_NS CMT_SECONDS(120)
#define SUFFIX ".json"
#define SIDE_SUFFIX ".cometp2p.json"
#define BROKEN_SUFFIX ".broken"
#define MODULE "addrbook"

enum {
  FILE_MAX = 64 * 1024 * 1024, /* A full book has 10 MB. */
  MANY_ADDED = CMT_ADDRBOOK_ANSWER_MAX,
  MAIN_MODE = 0644, /* As CometBFT's. */
  SIDE_MODE = 0600, /* It has the key of the hash. */
  QUOTED = 150,
};

struct cmt_addrbook_file {
  cmt_env env;
  cmt_addrbook *book;
  char *path, *side_path;
  size_t loaded, skipped;
  bool broken;                              /* A file had to be moved aside. */
  uint64_t due_revision, due_added, due_ns; /* At the last save. */
  uint64_t saves, failures, saved_ns, took_ns;
  cmt_why last;
  /* A save under way; the thread owns all but |running| until |done|. */
  bool running;
  pthread_t thread;
  atomic_bool done;
  cmt_addrbook_snapshot *snapshot;
  uint64_t begun_ns, job_took_ns;
  cmt_why result;
};

/* ---- reasons ---- */

static cmt_err fail(cmt_why *why, cmt_err err, const char *path,
                    const char *fault) {
  char quoted[QUOTED];

  return cmt__why(why, err, CMT_STAGE_TRANSPORT, "address book '%s': %s",
                  cmt__quote(cmt_bytes_of(path), quoted, sizeof quoted), fault);
}

static cmt_err fail_errno(cmt_why *why, const char *path, int error) {
  char text[128];

  return fail(why, error == ENOMEM ? CMT_ENOMEM : CMT_EIO, path,
              strerror_r(error, text, sizeof text));
}

/* ---- reading ---- */

/* The bytes of a file; |base| is NULL when there is none. */
typedef struct file_text {
  uint8_t *base;
  size_t len;
} file_text;

/* Reads |len| bytes or to the end.  Returns 0 or the error. */
static int read_all(int fd, uint8_t *out, size_t len, size_t *got) {
  *got = 0;
  while (*got < len) {
    ssize_t some = read(fd, out + *got, len - *got);

    if (some < 0 && errno != EINTR) {
      return errno;
    }
    if (some == 0) {
      break;
    }
    *got += some > 0 ? (size_t)some : 0;
  }
  return 0;
}

static cmt_err read_open(const cmt_env *env, const char *path, int fd,
                         file_text *out, cmt_why *why) {
  struct stat st;
  int error;

  if (fstat(fd, &st) != 0) {
    return fail_errno(why, path, errno);
  }
  if (!S_ISREG(st.st_mode)) {
    return fail(why, CMT_EIO, path, "is not a regular file");
  }
  if (st.st_size > FILE_MAX) {
    return fail(why, CMT_EIO, path, "is larger than 64 MiB");
  }
  out->base = cmt__alloc(env, (size_t)st.st_size + 1);
  if (out->base == NULL) {
    return fail_errno(why, path, ENOMEM);
  }
  error = read_all(fd, out->base, (size_t)st.st_size, &out->len);
  return error == 0 ? CMT_OK : fail_errno(why, path, error);
}

/* A file that does not exist has no text. */
static cmt_err read_file(const cmt_env *env, const char *path, file_text *out,
                         cmt_why *why) {
  /* Without O_NONBLOCK the open of a pipe would wait for its writer. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  cmt_err err;

  *out = (file_text){.len = 0};
  if (fd < 0) {
    return errno == ENOENT ? CMT_OK : fail_errno(why, path, errno);
  }
  err = read_open(env, path, fd, out, why);
  close(fd);
  if (err != CMT_OK) {
    cmt__free(env, out->base);
    out->base = NULL;
  }
  return err;
}

/* Renames a broken file, so that the next save does not replace it. */
static void move_aside(const cmt_addrbook_file *f, const char *path,
                       const cmt__book_read *found) {
  size_t cap = strlen(path) + sizeof BROKEN_SUFFIX;
  char quoted[QUOTED], *name = cmt__alloc(&f->env, cap);
  bool moved = false;

  if (name != NULL) {
    snprintf(name, cap, "%s" BROKEN_SUFFIX, path);
    moved = rename(path, name) == 0;
    cmt__free(&f->env, name);
  }
  cmt__log(&f->env, CMT_LOG_WARN, MODULE,
           "address book '%s' is no JSON from byte %zu on: %zu entries before "
           "that are kept, and the file %s",
           cmt__quote(cmt_bytes_of(path), quoted, sizeof quoted),
           found->broken_at, found->loaded,
           moved ? "has the suffix " BROKEN_SUFFIX " now"
                 : "cannot be renamed");
}

/* ---- loading ---- */

/* The texts of both files. */
typedef struct both_texts {
  file_text main, side;
} both_texts;

static cmt_err load_main(cmt_addrbook_file *f, const file_text *text,
                         cmt_why *why) {
  cmt__book_read found;
  char quoted[QUOTED];

  if (text->base == NULL) {
    return CMT_OK;
  }
  if (cmt__book_main_read(f->book,
                          (cmt_bytes){.base = text->base, .len = text->len},
                          &found) != CMT_OK) {
    return fail_errno(why, f->path, ENOMEM);
  }
  if (found.foreign) { /* A save would replace it. */
    return fail(why, CMT_EINVAL, f->path,
                "is the file of something else: it has neither addrs nor key");
  }
  f->loaded = found.loaded;
  f->skipped = found.skipped;
  if (found.broken_at != SIZE_MAX) {
    f->broken = true;
    move_aside(f, f->path, &found);
  }
  if (found.skipped > 0) {
    cmt__log(
      &f->env, CMT_LOG_WARN, MODULE,
      "address book '%s': %zu entries have no usable address or no room, "
      "and are left out",
      cmt__quote(cmt_bytes_of(f->path), quoted, sizeof quoted), found.skipped);
  }
  return CMT_OK;
}

static cmt_err load_side(cmt_addrbook_file *f, const file_text *text,
                         uint64_t now_ns, cmt_why *why) {
  cmt__book_read found;

  if (text->base == NULL) {
    return CMT_OK;
  }
  if (cmt__book_side_read(f->book,
                          (cmt_bytes){.base = text->base, .len = text->len},
                          now_ns, &found) != CMT_OK) {
    return fail_errno(why, f->side_path, ENOMEM);
  }
  if (found.broken_at != SIZE_MAX) {
    f->broken = true;
    move_aside(f, f->side_path, &found);
  }
  return CMT_OK;
}

/* Makes the book with the keys of the files. */
static cmt_err make_book(cmt_addrbook_file *f, const cmt_addrbook_options *o,
                         const both_texts *texts, cmt_why *why) {
  uint8_t hash_key[CMT__HIGHWAY_KEY_SIZE];
  char file_key[BOOK_FILE_KEY] = "";
  cmt_addrbook_options own;
  cmt_err err = CMT_OK;

  cmt_addrbook_options_init(&own);
  if (o != NULL) {
    err = cmt__sized_read(&own, sizeof own, o, "cmt_addrbook_options", why);
  }
  if (err != CMT_OK) {
    return err;
  }
  own.env = &f->env;
  own.hash_key = NULL;
  if (texts->main.base != NULL) {
    cmt__book_file_key(
      (cmt_bytes){.base = texts->main.base, .len = texts->main.len}, file_key);
  }
  own.file_key = file_key;
  if (texts->side.base != NULL &&
      cmt__book_hash_key(
        (cmt_bytes){.base = texts->side.base, .len = texts->side.len},
        hash_key)) {
    own.hash_key = hash_key;
  }
  err = cmt_addrbook_new(&own, &f->book, why);
  sodium_memzero(hash_key, sizeof hash_key);
  return err;
}

/* What stands in the files need not be saved again. */
static void note_saved(cmt_addrbook_file *f, uint64_t revision,
                       uint64_t now_ns) {
  cmt_addrbook_status status;

  cmt_addrbook_get_status(f->book, &status);
  f->due_revision = revision;
  f->due_added = status.added;
  f->due_ns = now_ns;
}

static cmt_err load(cmt_addrbook_file *f, const cmt_addrbook_options *o,
                    uint64_t now_ns, cmt_why *why) {
  both_texts texts = {.main.base = NULL};
  cmt_err err = read_file(&f->env, f->path, &texts.main, why);

  if (err == CMT_OK) {
    cmt_why unread;

    /* It may be gone at any time, for whatever reason. */
    if (read_file(&f->env, f->side_path, &texts.side, &unread) != CMT_OK) {
      cmt__log(&f->env, CMT_LOG_WARN, MODULE, "%s", unread.text);
    }
    err = make_book(f, o, &texts, why);
  }
  if (err == CMT_OK) {
    err = load_main(f, &texts.main, why);
  }
  if (err == CMT_OK) {
    err = load_side(f, &texts.side, now_ns, why);
  }
  cmt__free(&f->env, texts.main.base);
  cmt__free(&f->env, texts.side.base);
  return err;
}

/* Copies |path| and gives the other file its name. */
static bool set_paths(cmt_addrbook_file *f, const char *path) {
  size_t len = strlen(path), stem = len, cap = len + sizeof SIDE_SUFFIX;

  if (len > strlen(SUFFIX) &&
      strcmp(path + len - strlen(SUFFIX), SUFFIX) == 0) {
    stem -= strlen(SUFFIX);
  }
  f->path = cmt__alloc(&f->env, len + 1);
  f->side_path = cmt__alloc(&f->env, cap);
  if (f->path == NULL || f->side_path == NULL) {
    return false;
  }
  memcpy(f->path, path, len + 1);
  snprintf(f->side_path, cap, "%.*s" SIDE_SUFFIX, (int)stem, path);
  return true;
}

/* The environment of the options, or the default one. */
static cmt_err env_of(const cmt_addrbook_options *o, cmt_env *out,
                      cmt_why *why) {
  cmt_addrbook_options full = {.size = sizeof full};
  cmt_err err = CMT_OK;

  if (o != NULL) {
    err = cmt__sized_read(&full, sizeof full, o, "cmt_addrbook_options", why);
  }
  if (err != CMT_OK) {
    return err;
  }
  err = cmt__env_copy(full.env, out);
  return err == CMT_OK ? CMT_OK
                       : cmt__why(why, err, CMT_STAGE_TRANSPORT,
                                  "the environment is not usable");
}

cmt_err cmt_addrbook_file_open(const char *path, const cmt_addrbook_options *o,
                               uint64_t now_ns, cmt_addrbook_file **out,
                               cmt_why *why) {
  cmt_addrbook_file *f;
  cmt_env env;
  cmt_err err = cmt__out_clear(out, why);

  if (err == CMT_OK && (path == NULL || path[0] == '\0')) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                   "the path of the address book is empty");
  }
  if (err == CMT_OK) {
    err = env_of(o, &env, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  f = cmt__alloc_zero(&env, sizeof *f);
  if (f == NULL) {
    return fail_errno(why, path, ENOMEM);
  }
  f->env = env;
  err = set_paths(f, path) ? load(f, o, now_ns, why)
                           : fail_errno(why, path, ENOMEM);
  if (err != CMT_OK) {
    cmt_addrbook_file_close(f);
    return err;
  }
  note_saved(f, f->book->revision, now_ns);
  if (f->broken) { /* What was kept stands in no file now, and is due at once.
                    */
    f->due_revision = UINT64_MAX;
    f->due_ns = 0;
  }
  cmt__temp_file_sweep(f->path);
  cmt__temp_file_sweep(f->side_path);
  *out = f;
  return CMT_OK;
}

cmt_addrbook *cmt_addrbook_file_book(cmt_addrbook_file *f) { return f->book; }

/* ---- saving ---- */

/* Writes one file from the snapshot of |f|. */
static cmt_err write_file(const cmt_addrbook_file *f, const char *path,
                          mode_t mode, cmt_why *why) {
  cmt__temp_file *t = cmt__alloc(&f->env, sizeof *t);
  int error = ENOMEM;

  if (t != NULL) {
    error = cmt__temp_file_open(t, &f->env, path, mode);
  }
  if (error == 0) {
    if (path == f->path) {
      cmt__book_main_write(f->snapshot, t);
    } else {
      cmt__book_side_write(f->snapshot, t);
    }
    error = cmt__temp_file_replace(t, path);
  }
  cmt__free(&f->env, t);
  return error == 0 ? CMT_OK : fail_errno(why, path, error);
}

static uint64_t monotonic_ns(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Writes both files, that of CometBFT first. */
static void write_both(cmt_addrbook_file *f) {
  uint64_t begun_ns = monotonic_ns();

  f->result = (cmt_why){.err = CMT_OK};
  if (write_file(f, f->path, MAIN_MODE, &f->result) == CMT_OK) {
    (void)write_file(f, f->side_path, SIDE_MODE, &f->result);
  }
  cmt_addrbook_snapshot_delete(f->snapshot);
  f->snapshot = NULL;
  f->job_took_ns = monotonic_ns() - begun_ns;
}

static void *write_thread(void *arg) {
  cmt_addrbook_file *f = arg;

  write_both(f);
  atomic_store_explicit(&f->done, true, memory_order_release);
  return NULL;
}

/* Takes over the result of a save that has ended.  A failure is logged once,
   for as long as it stays the same. */
static void take_result(cmt_addrbook_file *f) {
  if (f->result.err == CMT_OK) {
    f->saves++;
    f->saved_ns = f->begun_ns;
    f->took_ns = f->job_took_ns;
  } else {
    f->failures++;
    f->due_revision = UINT64_MAX; /* It has to be saved again. */
    if (strcmp(f->last.text, f->result.text) != 0) {
      cmt__log(&f->env, CMT_LOG_ERROR, MODULE, "%s; the book stays in memory",
               f->result.text);
    }
  }
  f->last = f->result;
}

static void join(cmt_addrbook_file *f) {
  if (f->running) {
    pthread_join(f->thread, NULL);
    f->running = false;
    take_result(f);
  }
}

/* A save has ended whose result was not taken over yet. */
static bool has_ended(const cmt_addrbook_file *f) {
  return f->running && atomic_load_explicit(&f->done, memory_order_acquire);
}

static bool has_failed(const cmt_addrbook_file *f) {
  return has_ended(f) && f->result.err != CMT_OK;
}

/* What a failed save should have written is still to be saved. */
bool cmt_addrbook_file_is_due(const cmt_addrbook_file *f, uint64_t now_ns) {
  cmt_addrbook_status status;

  cmt_addrbook_get_status(f->book, &status);
  return (status.revision != f->due_revision || has_failed(f)) &&
         (now_ns < f->due_ns || now_ns - f->due_ns >= SAVE_NS ||
          status.added - f->due_added >= MANY_ADDED);
}

/* The copy that the next save writes. */
static cmt_err begin(cmt_addrbook_file *f, uint64_t now_ns) {
  cmt_err err = cmt_addrbook_snapshot_new(f->book, &f->snapshot);

  if (err == CMT_OK) {
    f->begun_ns = now_ns;
    note_saved(f, f->snapshot->revision, now_ns);
  }
  return err;
}

cmt_err cmt_addrbook_file_save_begin(cmt_addrbook_file *f, uint64_t now_ns) {
  cmt_err err;

  if (f == NULL) {
    return CMT_EINVAL;
  }
  if (f->running && !has_ended(f)) {
    return CMT_EBUSY;
  }
  join(f);
  err = begin(f, now_ns);
  if (err != CMT_OK) {
    return err;
  }
  atomic_store_explicit(&f->done, false, memory_order_relaxed);
  if (cmt__thread_try(&f->thread, write_thread, f) != 0) {
    cmt_addrbook_snapshot_delete(f->snapshot);
    f->snapshot = NULL;
    f->due_revision = UINT64_MAX;
    return CMT_EIO;
  }
  f->running = true;
  return CMT_OK;
}

/* What both that wait say of NULL. */
static cmt_err refuse_null(cmt_why *why) {
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "the address book is NULL");
}

cmt_err cmt_addrbook_file_wait(cmt_addrbook_file *f, cmt_why *why) {
  if (f == NULL) {
    return refuse_null(why);
  }
  join(f);
  if (why != NULL) {
    *why = f->last;
  }
  return f->last.err;
}

cmt_err cmt_addrbook_file_save(cmt_addrbook_file *f, uint64_t now_ns,
                               cmt_why *why) {
  cmt_err err;

  if (f == NULL) {
    return refuse_null(why);
  }
  join(f);
  err = begin(f, now_ns);
  if (err != CMT_OK) {
    return fail_errno(why, f->path, ENOMEM);
  }
  write_both(f);
  take_result(f);
  return cmt_addrbook_file_wait(f, why);
}

void cmt_addrbook_file_close(cmt_addrbook_file *f) {
  cmt_env env;

  if (f == NULL) {
    return;
  }
  join(f);
  env = f->env;
  cmt_addrbook_delete(f->book);
  cmt__free(&env, f->path);
  cmt__free(&env, f->side_path);
  cmt__free(&env, f);
}

void cmt_addrbook_file_get_status_sized(const cmt_addrbook_file *f,
                                        cmt_addrbook_file_status *out,
                                        size_t size) {
  bool ended = has_ended(f), failed = has_failed(f);
  const cmt_addrbook_file_status full = {
    .size = sizeof full,
    .loaded = f->loaded,
    .skipped = f->skipped,
    .saves = f->saves + (ended && !failed),
    .failures = f->failures + failed,
    .saved_ns = ended && !failed ? f->begun_ns : f->saved_ns,
    .took_ns = ended && !failed ? f->job_took_ns : f->took_ns,
    .last = ended ? f->result : f->last,
    .saving = f->running && !ended,
  };

  cmt__sized_write(out, size, &full, sizeof full);
}
