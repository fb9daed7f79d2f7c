/* SPDX-License-Identifier: Apache-2.0 */

/* The file node_key.json.  docs/PROTOCOL.md 1.2.  All memory with the key's
   text is wiped before it is freed. */

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
#include "file_steps.h"
#include "new_file.h"
#include "node_key_json.h"

#define TYPE_NAME "tendermint/PrivKeyEd25519"
#define FILE_HEAD "{\"priv_key\":{\"type\":\"" TYPE_NAME "\",\"value\":\""
#define FILE_TAIL "\"}}"
#define NO_MEMORY "not enough memory"

enum {
  FILE_MAX = 16 * 1024,
  /* The longest text of a secret or a type, in any spelling. */
  TEXT_SIZE = 512,
};

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

/* Checks whether other users may replace this file; |text| describes that.  The
   path is not too long, since it could be opened. */
static bool folder_is_open(const char *path, char *text, size_t cap) {
  char folder[PATH_MAX];
  struct stat st;

  cmt__folder_of(path, folder, sizeof folder);
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

/* Writes the file of |key|. */
static cmt_err write_key(const key_file *f, const cmt_node_key *key,
                         int *error) {
  char base64[sodium_base64_ENCODED_LEN(CMT__NODE_KEY_SECRET,
                                        sodium_base64_VARIANT_ORIGINAL)];
  char text[sizeof FILE_HEAD + sizeof base64 + sizeof FILE_TAIL];
  cmt__new_file file = {
    .path = f->path, .kind = "node_key", .mode = S_IRUSR | S_IWUSR};
  cmt_err err;

  sodium_bin2base64(base64, sizeof base64, key->secret, CMT__NODE_KEY_SECRET,
                    sodium_base64_VARIANT_ORIGINAL);
  snprintf(text, sizeof text, FILE_HEAD "%s" FILE_TAIL, base64);
  file.text = cmt_bytes_of(text);
  err = cmt__new_file_write(f->env, &file, error);
  sodium_memzero(base64, sizeof base64);
  sodium_memzero(text, sizeof text);
  return err;
}

cmt_err cmt_node_key_save_new(const cmt_node_key *key, const char *path,
                              cmt_why *why) {
  key_file f = {.path = path, .why = why};
  struct stat st;
  cmt_err err;
  int error = 0;

  if (key == NULL || path == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "%s is NULL",
                    key == NULL ? "the key" : "the path of the key file");
  }
  f.env = &key->env;
  /* Checked only for a better reason than that of a folder without
     permission. */
  err = lstat(path, &st) == 0 ? CMT_EEXIST : write_key(&f, key, &error);
  if (err == CMT_EEXIST) {
    return file_fail(&f, err, "already exists");
  }
  return err == CMT_OK ? err
                       : (err == CMT_ENOMEM ? file_fail(&f, err, NO_MEMORY)
                                            : file_fail_errno(&f, error));
}
