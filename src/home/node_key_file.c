/* SPDX-License-Identifier: Apache-2.0 */

/* The file node_key.json.  docs/PROTOCOL.md 1.2.  All memory with the key's
   text is wiped before it is freed.  A file is always complete: it is written
   under a temporary name and then gets its own, without replacing another
   file. */

#include <cometp2p/node_key.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cometp2p/node_info.h>

#include "crypto/node_key.h"
#include "node_key_json.h"

#define TYPE_NAME "tendermint/PrivKeyEd25519"
#define FILE_HEAD "{\"priv_key\":{\"type\":\"" TYPE_NAME "\",\"value\":\""
#define FILE_TAIL "\"}}"
#define NO_MEMORY "not enough memory"

enum {
  FILE_MAX = 16 * 1024,
  /* The longest text of a secret or a type, in any spelling. */
  TEXT_SIZE = 512,
  TEMP_TRIES = 8,
  TEMP_MODE = S_IRUSR | S_IWUSR,
};

#define TEMP_FORMAT "%.*s.node_key-%016llx.tmp"
/* The longest name of a temporary file, without its folder. */
#define TEMP_NAME ".node_key-0123456789abcdef.tmp"

/* How a release wrote a key: its name of the type, the member with the
   secret, and whether that is hex or base64. */
typedef struct spelling {
  const char *type;
  const char *member;
  bool hex;
} spelling;

static const spelling spellings[] = {
  {.type = TYPE_NAME, .member = "value"},
  {.type = "954568A3288910", .member = "value"},
  {.type = "ed25519", .member = "data", .hex = true},
};

/* A file in work, for reasons that name it. */
typedef struct key_file {
  const cmt_env *env;
  const char *path;
  cmt_why *why;
  bool private; /* Other users must not be able to access it. */
  /* How they can, for a file with a key; or empty. */
  char warning[sizeof((cmt_why *)NULL)->text];
} key_file;

/* A fault that does not prevent the use of the key. */
static void file_warn(const key_file *f, const char *fault) {
  char quoted[150];

  cmt__log(f->env, CMT_LOG_WARN, "node_key", "key file '%s' %s",
           cmt__quote(cmt_bytes_of(f->path), quoted, sizeof quoted), fault);
}

static cmt_err file_fail(const key_file *f, cmt_err err, const char *fault) {
  char quoted[150];

  return cmt__why(f->why, err, CMT_STAGE_TRANSPORT, "key file '%s': %s",
                  cmt__quote(cmt_bytes_of(f->path), quoted, sizeof quoted),
                  fault);
}

/* As file_fail() for the |error| of a system call. */
static cmt_err file_fail_errno(const key_file *f, int error) {
  char text[sizeof f->why->text];

  return file_fail(f, error == ENOMEM ? CMT_ENOMEM : CMT_EIO,
                   strerror_r(error, text, sizeof text));
}

static void wiped_free(const cmt_env *env, void *p, size_t len) {
  sodium_memzero(p, len);
  cmt__free(env, p);
}

/* Reads to the end of |fd| or until |out| is full; -1 with errno set. */
static ssize_t read_all(int fd, uint8_t *out, size_t cap) {
  size_t len = 0;
  ssize_t got;

  while (len < cap) {
    got = read(fd, out + len, cap - len);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return -1;
    }
    if (got == 0) {
      break;
    }
    len += (size_t)got;
  }
  return (ssize_t)len;
}

/* The length of the folder in |path|, with its final slash. */
static size_t folder_len(const char *path) {
  const char *slash = strrchr(path, '/');

  return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

/* The folder of |path|, in |out|, which has room for |path|. */
static void folder_of(const char *path, char *out, size_t cap) {
  size_t len = folder_len(path);

  if (len == 0) {
    path = ".";
    len = strlen(path);
  }
  snprintf(out, cap, "%.*s", (int)len, path);
}

/* Checks whether other users may replace this file; |text| describes that.  The
   path is not too long, since it could be opened. */
static bool folder_is_open(const char *path, char *text, size_t cap) {
  char folder[PATH_MAX];
  struct stat st;

  folder_of(path, folder, sizeof folder);
  if (stat(folder, &st) != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 ||
      (st.st_mode & S_ISVTX) != 0) {
    return false;
  }
  snprintf(text, cap, "lies in a folder that others can write (mode %04o)",
           (unsigned)(st.st_mode & ALLPERMS));
  return true;
}

/* Describes in |text| how users other than its owner, us and root can access
   the file. */
static bool others_can(const key_file *f, const struct stat *st, char *text,
                       size_t cap) {
  bool read = (st->st_mode & (S_IRGRP | S_IROTH)) != 0;

  if (read || (st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    snprintf(text, cap, "can be %s by others than its owner (mode %04o)",
             read ? "read" : "written", (unsigned)(st->st_mode & ALLPERMS));
    return true;
  }
  if (st->st_uid != geteuid() && st->st_uid != 0) {
    snprintf(text, cap, "belongs to user %lu, who is neither us nor root",
             (unsigned long)st->st_uid);
    return true;
  }
  return folder_is_open(f->path, text, cap);
}

static cmt_err check_mode(key_file *f, const struct stat *st) {
  bool can = others_can(f, st, f->warning, sizeof f->warning);

  return can && f->private ? file_fail(f, CMT_EIO, f->warning) : CMT_OK;
}

/* A key file has to be a regular one. */
static cmt_err check_file(key_file *f, int fd) {
  struct stat st;

  if (fstat(fd, &st) != 0) {
    return file_fail_errno(f, errno);
  }
  if (S_ISDIR(st.st_mode)) {
    return file_fail(f, CMT_EIO, "is a directory");
  }
  if (!S_ISREG(st.st_mode)) {
    return file_fail(f, CMT_EIO, "is not a regular file");
  }
  return check_mode(f, &st);
}

/* Reads the file into |text|, FILE_MAX + 1 bytes. */
static cmt_err read_file(key_file *f, uint8_t *text, size_t *len) {
  /* Without O_NONBLOCK the open of a pipe would wait for its writer. */
  int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  ssize_t got;
  cmt_err err;

  if (fd < 0) {
    return file_fail_errno(f, errno);
  }
  err = check_file(f, fd);
  if (err != CMT_OK) {
    close(fd);
    return err;
  }
  got = read_all(fd, text, FILE_MAX + 1);
  err = got < 0 ? file_fail_errno(f, errno) : CMT_OK;
  close(fd);
  if (got > FILE_MAX) {
    return file_fail(f, CMT_EINVAL, "is larger than 16 KiB");
  }
  *len = got > 0 ? (size_t)got : 0;
  return err;
}

static const spelling *find_spelling(const char *type) {
  for (size_t i = 0; i < CMT__COUNT(spellings); i++) {
    if (strcmp(spellings[i].type, type) == 0) {
      return &spellings[i];
    }
  }
  return NULL;
}

/* Decodes all of |text| to exactly the bytes of a secret. */
static bool decode_secret(const spelling *s, const char *text, size_t text_len,
                          uint8_t out[CMT__NODE_KEY_SECRET]) {
  size_t len = 0;
  int failed;

  if (s->hex) {
    failed = sodium_hex2bin(out, CMT__NODE_KEY_SECRET, text, text_len, NULL,
                            &len, NULL);
  } else {
    failed =
      sodium_base642bin(out, CMT__NODE_KEY_SECRET, text, text_len, "\r\n", &len,
                        NULL, sodium_base64_VARIANT_ORIGINAL);
  }
  return failed == 0 && len == CMT__NODE_KEY_SECRET;
}

/* Decodes the string |member| of the file, whose text is wiped. */
static bool member_decode(const spelling *s, cmt__key_string member,
                          uint8_t out[CMT__NODE_KEY_SECRET]) {
  char text[TEXT_SIZE];
  size_t len;
  bool decoded;

  if (member.base == NULL) {
    return false;
  }
  len = cmt__key_json_text(member, text, sizeof text);
  decoded = len < sizeof text && decode_secret(s, text, len, out);
  sodium_memzero(text, sizeof text);
  return decoded;
}

static cmt_err read_secret(const key_file *f, const cmt__key_members *members,
                           uint8_t out[CMT__NODE_KEY_SECRET]) {
  char type[TEXT_SIZE], quoted[60], fault[sizeof f->why->text];
  const spelling *s;

  if (members->type.len == 0) {
    return file_fail(f, CMT_EINVAL, "has no priv_key with a type");
  }
  (void)cmt__key_json_text(members->type, type, sizeof type);
  s = find_spelling(type);
  if (s == NULL) {
    snprintf(fault, sizeof fault,
             "the type of its key is '%s'; a node key is Ed25519",
             cmt__quote(cmt_bytes_of(type), quoted, sizeof quoted));
    return file_fail(f, CMT_EINVAL, fault);
  }
  if (!member_decode(s, s->hex ? members->data : members->value, out)) {
    snprintf(fault, sizeof fault, "%s is not the %s of 64 bytes", s->member,
             s->hex ? "hex" : "base64");
    return file_fail(f, CMT_EINVAL, fault);
  }
  return CMT_OK;
}

/* Makes the key from the text of its file. */
static cmt_err parse_key(const key_file *f, const uint8_t *text, size_t len,
                         cmt_node_key **out) {
  uint8_t secret[CMT__NODE_KEY_SECRET];
  cmt__key_members members;
  cmt_err err;

  /* The message does not state where it is malformed, since that could quote
     the secret. */
  if (!cmt__key_json_read((cmt_bytes){.base = text, .len = len}, &members)) {
    return file_fail(f, CMT_EINVAL, "is not JSON");
  }
  err = read_secret(f, &members, secret);
  if (err == CMT_OK) {
    err = cmt__node_key_from_secret(f->env, secret, out);
    if (err == CMT_EINVAL) {
      file_fail(f, err, "the public half of its key is not that of the seed");
    } else if (err != CMT_OK) {
      file_fail(f, err, NO_MEMORY);
    }
  }
  sodium_memzero(secret, sizeof secret);
  if (err == CMT_OK && f->warning[0] != '\0') {
    file_warn(f, f->warning);
  }
  if (err == CMT_OK && members.has_pub_key) {
    file_warn(f, "looks like a validator's priv_validator_key.json: whoever "
                 "has the key of a validator signs its votes, so a node should "
                 "have a key of its own (cometp2p key gen)");
  }
  return err;
}

static cmt_err load_key(key_file *f, cmt_node_key **out) {
  cmt_env copy;
  uint8_t *text;
  size_t len = 0;
  cmt_err err;

  if (out != NULL) {
    *out = NULL;
  }
  if (out == NULL || f->path == NULL) {
    return cmt__why(f->why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "%s is NULL",
                    out == NULL ? "out" : "the path of the key file");
  }
  err = cmt__env_copy(f->env, &copy);
  if (err != CMT_OK) {
    return file_fail(f, err, "the environment is not usable");
  }
  f->env = &copy;
  text = cmt__alloc(&copy, FILE_MAX + 1);
  if (text == NULL) {
    return file_fail(f, CMT_ENOMEM, NO_MEMORY);
  }
  err = read_file(f, text, &len);
  if (err == CMT_OK) {
    err = parse_key(f, text, len, out);
  }
  wiped_free(&copy, text, FILE_MAX + 1);
  return err;
}

cmt_err cmt_node_key_load(const cmt_env *env, const char *path,
                          cmt_node_key **out, cmt_why *why) {
  key_file f = {.env = env, .path = path, .why = why};

  return load_key(&f, out);
}

cmt_err cmt_node_key_load_private(const cmt_env *env, const char *path,
                                  cmt_node_key **out, cmt_why *why) {
  key_file f = {.env = env, .path = path, .why = why, .private = true};

  return load_key(&f, out);
}

static bool write_all(int fd, const char *text, size_t len) {
  ssize_t put;

  while (len > 0) {
    put = write(fd, text, len);
    if (put < 0 && errno != EINTR) {
      return false;
    }
    if (put > 0) {
      text += put;
      len -= (size_t)put;
    }
  }
  return true;
}

/* Opens a new file beside |f|'s and leaves its name in |temp|. */
static int open_temp(const key_file *f, char *temp, size_t cap) {
  uint64_t number;
  int fd = -1;

  for (int i = 0; i < TEMP_TRIES && fd < 0; i++) {
    f->env->entropy(f->env->entropy_arg, &number, sizeof number);
    snprintf(temp, cap, TEMP_FORMAT, (int)folder_len(f->path), f->path,
             (unsigned long long)number);
    fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, TEMP_MODE);
    if (fd < 0 && errno != EEXIST) {
      break;
    }
  }
  return fd;
}

/* Writes the text of |key| to |fd|, down to the disk, and closes it. */
static bool fill_file(int fd, const cmt_node_key *key) {
  char base64[sodium_base64_ENCODED_LEN(CMT__NODE_KEY_SECRET,
                                        sodium_base64_VARIANT_ORIGINAL)];
  char text[sizeof FILE_HEAD + sizeof base64 + sizeof FILE_TAIL];
  int len, error;
  bool ok;

  sodium_bin2base64(base64, sizeof base64, key->secret, CMT__NODE_KEY_SECRET,
                    sodium_base64_VARIANT_ORIGINAL);
  len = snprintf(text, sizeof text, FILE_HEAD "%s" FILE_TAIL, base64);
  ok = fchmod(fd, TEMP_MODE) == 0 && write_all(fd, text, (size_t)len) &&
       fsync(fd) == 0;
  error = errno;
  sodium_memzero(base64, sizeof base64);
  sodium_memzero(text, sizeof text);
  if (close(fd) != 0 && ok) {
    return false;
  }
  errno = error;
  return ok;
}

/* Makes the new name last.  Some file systems refuse this on a folder; the
   file is whole all the same. */
static void sync_folder(const char *path, char *name, size_t cap) {
  int fd;

  folder_of(path, name, cap);
  fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    (void)fsync(fd);
    close(fd);
  }
}

/* Gives the file |temp| the name |path|, which nothing has: by a link, which
   never replaces anything, or by a rename that does not; some file systems have
   only one of them, or none.  There an empty file of ours reserves the name
   first.  Returns 0 or the error. */
static int name_file(const char *temp, const char *path) {
  int fd, error;

  if (link(temp, path) == 0) {
    return 0;
  }
  if (errno == EEXIST) {
    return EEXIST;
  }
  if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) == 0) {
    return 0;
  }
  if (errno == EEXIST) {
    return EEXIST;
  }
  fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, TEMP_MODE);
  if (fd < 0) {
    return errno;
  }
  close(fd);
  if (rename(temp, path) == 0) {
    return 0;
  }
  error = errno;
  unlink(path);
  return error;
}

static cmt_err save_file(const key_file *f, const cmt_node_key *key, char *temp,
                         size_t cap) {
  int fd = open_temp(f, temp, cap), error;
  cmt_err err = CMT_OK;

  if (fd < 0) {
    return file_fail_errno(f, errno);
  }
  error = fill_file(fd, key) ? name_file(temp, f->path) : errno;
  if (error != 0) {
    err = error == EEXIST ? file_fail(f, CMT_EEXIST, "already exists")
                          : file_fail_errno(f, error);
  }
  unlink(temp);
  if (err == CMT_OK) {
    sync_folder(f->path, temp, cap);
  }
  return err;
}

cmt_err cmt_node_key_save_new(const cmt_node_key *key, const char *path,
                              cmt_why *why) {
  key_file f = {.path = path, .why = why};
  struct stat st;
  size_t cap;
  char *temp;
  cmt_err err;

  if (key == NULL || path == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "%s is NULL",
                    key == NULL ? "the key" : "the path of the key file");
  }
  f.env = &key->env;
  cap = strlen(path) + sizeof TEMP_NAME;

  /* Checked only for a better reason than that of a folder without
     permission. */
  if (lstat(path, &st) == 0) {
    return file_fail(&f, CMT_EEXIST, "already exists");
  }
  temp = cmt__alloc(&key->env, cap);
  if (temp == NULL) {
    return file_fail(&f, CMT_ENOMEM, NO_MEMORY);
  }
  err = save_file(&f, key, temp, cap);
  cmt__free(&key->env, temp);
  return err;
}
