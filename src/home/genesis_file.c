/* SPDX-License-Identifier: Apache-2.0 */

/* The file genesis.json, read in pieces. */

#include "genesis.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_SIZE = 256 * 1024 };

/* A file that is being read, for reasons that name it. */
typedef struct genesis_file {
  const char *path;
  cmt_why *why;
} genesis_file;

static cmt_err file_fail(const genesis_file *f, cmt_err err,
                         const char *fault) {
  char quoted[100];

  return cmt__why(f->why, err, CMT_STAGE_TRANSPORT, "genesis file '%s': %s",
                  cmt__quote(cmt_bytes_of(f->path), quoted, sizeof quoted),
                  fault);
}

static cmt_err file_fail_errno(const genesis_file *f, int error) {
  char text[100];

  file_fail(f, CMT_EIO, strerror_r(error, text, sizeof text));
  errno = error;
  return CMT_EIO;
}

static cmt_err scan(const genesis_file *f, int fd, uint8_t *piece,
                    cmt__genesis *g) {
  ssize_t got;

  do {
    got = read(fd, piece, PIECE_SIZE);
    if (got < 0 && errno != EINTR) {
      return file_fail_errno(f, errno);
    }
  } while (got != 0 &&
           (got < 0 || cmt__genesis_feed(
                         g, (cmt_bytes){.base = piece, .len = (size_t)got})));
  return cmt__genesis_end(g) ? CMT_OK : file_fail(f, CMT_EINVAL, g->fault);
}

static cmt_err scan_regular(const genesis_file *f, int fd, uint8_t *piece,
                            cmt__genesis *g) {
  struct stat st;

  if (fstat(fd, &st) != 0) {
    return file_fail_errno(f, errno);
  }
  if (!S_ISREG(st.st_mode)) {
    errno = 0;
    return file_fail(f, CMT_EIO, "is not a regular file");
  }
  (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return scan(f, fd, piece, g);
}

cmt_err cmt__genesis_read(const cmt_env *env, const char *path,
                          char out[CMT__CHAIN_ID_SIZE], cmt_why *why) {
  genesis_file f = {.path = path, .why = why};
  cmt__genesis g = {.state = CMT__GENESIS_BEGIN};
  uint8_t *piece;
  cmt_err err;
  int fd;

  /* Without O_NONBLOCK the open of a pipe would wait for its writer. */
  fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return file_fail_errno(&f, errno);
  }
  piece = cmt__alloc(env, PIECE_SIZE);
  err = piece != NULL ? scan_regular(&f, fd, piece, &g)
                      : file_fail(&f, CMT_ENOMEM, "not enough memory");
  cmt__free(env, piece);
  close(fd);
  if (err == CMT_OK) {
    memcpy(out, g.chain_id, sizeof g.chain_id);
  }
  return err;
}
