/* SPDX-License-Identifier: Apache-2.0 */
/* A file is written under a temporary name in the directory, and gets its own
   name only when size and hash are right, by an operation that fails if
   something has the name.  No path of the peer is ever opened, and whatever
   goes wrong removes the temporary file. */

#include "receiver.h"

#include "cli/ui/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEMPORARY_SIZE = 48, SHOWN_SIZE = 4 * CLI_FILE_NAME_MAX + 1 };

struct cli_receiver {
  cli_store *store;
  cli_receiver_hooks hooks;
  uint32_t last_id; /* The last offer; late data of it are dropped. */
  bool open;        /* The rest belongs to the file of |last_id|. */
  int fd;
  uint64_t size, received, acked, begin_ns;
  uint64_t taken; /* Bytes that count against the quota. */
  crypto_hash_sha256_state hash;
  char name[CLI_FILE_NAME_MAX + 1];
  char shown[SHOWN_SIZE];
  char temporary[TEMPORARY_SIZE];
};

cli_receiver *cli_receiver_new(cli_store *store,
                               const cli_receiver_hooks *hooks) {
  cli_receiver *r = cli_alloc(1, sizeof *r);

  r->store = store;
  r->hooks = *hooks;
  r->fd = -1;
  return r;
}

void cli_receiver_set_hooks(cli_receiver *r, const cli_receiver_hooks *hooks) {
  r->hooks = *hooks;
}

static cli_incoming receiver_file(const cli_receiver *r) {
  return (cli_incoming){
    .name = r->shown,
    .size = r->size,
    .received = r->received,
    .begin_ns = r->begin_ns,
  };
}

static void receiver_drop(cli_receiver *r) {
  if (r->fd >= 0) {
    close(r->fd);
    r->fd = -1;
  }
  if (r->temporary[0] != '\0') {
    unlinkat(r->store->dir_fd, r->temporary, 0);
    r->temporary[0] = '\0';
  }
  if (r->open) {
    cli_store_release(r->store, r->taken);
    r->open = false;
  }
}

static void receiver_fail(cli_receiver *r, cmt_err err, const char *text) {
  cli_incoming file = receiver_file(r);

  receiver_drop(r);
  r->hooks.failed(r->hooks.arg, &file, err, text);
}

/* |detail| (may be NULL) adds to the code. */
static void receiver_refuse(cli_receiver *r, cli_refusal code,
                            const char *detail) {
  char text[CLI_FILE_TEXT_MAX];

  snprintf(text, sizeof text, "%s%s%s", cli_refusal_text((uint8_t)code),
           detail == NULL ? "" : ": ", detail == NULL ? "" : detail);
  r->hooks.reply(r->hooks.arg, &(cli_file_message){
                                 .type = CLI_FILE_REFUSED,
                                 .id = r->last_id,
                                 .code = (uint8_t)code,
                                 .bytes = cmt_bytes_of(text),
                               });
  receiver_fail(r, cli_refusal_err((uint8_t)code), text);
}

static void receiver_ack(cli_receiver *r) {
  r->acked = r->received;
  r->hooks.reply(r->hooks.arg, &(cli_file_message){
                                 .type = CLI_FILE_ACK,
                                 .id = r->last_id,
                                 .number = r->received,
                               });
}

static void refuse_busy(cli_receiver *r, uint32_t id) {
  r->hooks.reply(r->hooks.arg,
                 &(cli_file_message){
                   .type = CLI_FILE_REFUSED,
                   .id = id,
                   .code = CLI_REFUSED_BUSY,
                   .bytes = cmt_bytes_of(cli_refusal_text(CLI_REFUSED_BUSY)),
                 });
}

static void receiver_begin(cli_receiver *r, const cli_file_message *m,
                           uint64_t now_ns) {
  r->last_id = m->id;
  r->size = m->number;
  r->received = r->acked = r->taken = 0;
  r->begin_ns = now_ns;
  crypto_hash_sha256_init(&r->hash);
  cmt_text_escape(m->bytes, r->shown, sizeof r->shown);
}

static bool receiver_open(cli_receiver *r) {
  uint64_t random;

  for (int i = 0; i < 8 && r->fd < 0; i++) {
    randombytes_buf(&random, sizeof random);
    snprintf(r->temporary, sizeof r->temporary, ".cometp2p-%016llx.part",
             (unsigned long long)random);
    r->fd = openat(r->store->dir_fd, r->temporary,
                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (r->fd < 0 && errno != EEXIST) {
      break;
    }
  }
  if (r->fd < 0) {
    r->temporary[0] = '\0'; /* Not ours to remove. */
  }
  return r->fd >= 0;
}

/* Puts |detail| together; false: the offer is within what is left of the
   quota. */
static bool over_quota(cli_receiver *r, uint64_t size, char *detail,
                       size_t cap) {
  if (cli_store_begin(r->store, size)) {
    return false;
  }
  if (r->store->files_left == 0) {
    snprintf(detail, cap, "no more files are stored");
  } else {
    snprintf(detail, cap, "%llu bytes were offered, %llu are left",
             (unsigned long long)size,
             (unsigned long long)r->store->bytes_left);
  }
  return true;
}

/* Whether the name of an offer is accepted; it becomes that of the file. */
static bool take_name(cli_receiver *r, cmt_bytes name) {
  struct stat st;

  if (!cli_file_name_is_fine(name)) {
    receiver_refuse(r, CLI_REFUSED_NAME, NULL);
    return false;
  }
  if (name.base[0] == '.' && !r->store->dotfiles) {
    receiver_refuse(r, CLI_REFUSED_NAME, "it begins with a dot");
    return false;
  }
  memcpy(r->name, name.base, name.len);
  r->name[name.len] = '\0';
  /* An early check avoids useless transfers; the end checks it again. */
  if (fstatat(r->store->dir_fd, r->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
    receiver_refuse(r, CLI_REFUSED_EXISTS, NULL);
    return false;
  }
  return true;
}

static void take_offer(cli_receiver *r, const cli_file_message *m) {
  char detail[96];

  if (r->store->dir_fd < 0) {
    receiver_refuse(r, CLI_REFUSED_NO_FILES, NULL);
    return;
  }
  if (!take_name(r, m->bytes)) {
    return;
  }
  if (m->number > INT64_MAX) {
    receiver_refuse(r, CLI_REFUSED_IO, "too large");
    return;
  }
  if (over_quota(r, m->number, detail, sizeof detail)) {
    receiver_refuse(r, CLI_REFUSED_QUOTA, detail);
    return;
  }
  r->open = true;
  if (!receiver_open(r)) {
    receiver_refuse(r, CLI_REFUSED_IO, strerror(errno));
    return;
  }
  receiver_ack(r);
}

/* Others used up what was left of the quota at the offer. */
static void refuse_late(cli_receiver *r) {
  char detail[96];

  snprintf(detail, sizeof detail, "%llu of %llu bytes came, %llu are left",
           (unsigned long long)r->received, (unsigned long long)r->size,
           (unsigned long long)r->store->bytes_left);
  receiver_refuse(r, CLI_REFUSED_QUOTA, detail);
}

static cmt_err take_data(cli_receiver *r, const cli_file_message *m) {
  cli_incoming file;

  if (m->number != r->received) {
    return CMT_EPROTO;
  }
  if (m->bytes.len > r->size - r->received) {
    receiver_refuse(r, CLI_REFUSED_SIZE, "more came");
    return CMT_OK;
  }
  if (!cli_store_take(r->store, m->bytes.len)) {
    refuse_late(r);
    return CMT_OK;
  }
  r->taken += m->bytes.len;
  if (!cli_write_all(r->fd, m->bytes.base, m->bytes.len)) {
    receiver_refuse(r, CLI_REFUSED_IO, strerror(errno));
    return CMT_OK;
  }
  crypto_hash_sha256_update(&r->hash, m->bytes.base, m->bytes.len);
  r->received += m->bytes.len;
  if (r->received - r->acked >= CLI_FILE_ACK_EVERY || r->received == r->size) {
    receiver_ack(r);
  }
  file = receiver_file(r);
  r->hooks.progress(r->hooks.arg, &file);
  return CMT_OK;
}

/* An empty file of ours reserves the name, and is then replaced. */
static bool name_in_two_steps(const cli_receiver *r) {
  int dir = r->store->dir_fd, error;
  int fd = openat(dir, r->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

  if (fd < 0) {
    return false;
  }
  close(fd);
  if (renameat(dir, r->temporary, dir, r->name) == 0) {
    return true;
  }
  error = errno;
  unlinkat(dir, r->name, 0);
  errno = error;
  return false;
}

/* Gives the file its name unless something has it: by a rename that does not
   replace, by a link, or where the file system has neither, as exFAT and some
   of FUSE, in two steps.  False: errno. */
static bool receiver_name(const cli_receiver *r) {
  int dir = r->store->dir_fd;

  if (renameat2(dir, r->temporary, dir, r->name, RENAME_NOREPLACE) == 0) {
    return true;
  }
  if (errno == EEXIST) {
    return false;
  }
  if (linkat(dir, r->temporary, dir, r->name, 0) == 0) {
    unlinkat(dir, r->temporary, 0);
    return true;
  }
  return errno != EEXIST && name_in_two_steps(r);
}

static bool receiver_place(cli_receiver *r) {
  int fd = r->fd;

  r->fd = -1;
  if (close(fd) != 0) {
    return false; /* Some file systems report only here that it is not
                     stored. */
  }
  if (!receiver_name(r)) {
    return false;
  }
  r->temporary[0] = '\0';
  return true;
}

static void take_end(cli_receiver *r, const cli_file_message *m) {
  uint8_t hash[CLI_HASH_SIZE];
  cli_incoming file;

  crypto_hash_sha256_final(&r->hash, hash);
  if (r->received != r->size) {
    receiver_refuse(r, CLI_REFUSED_SIZE, "less came");
    return;
  }
  if (memcmp(hash, m->bytes.base, sizeof hash) != 0) {
    receiver_refuse(r, CLI_REFUSED_HASH, NULL);
    return;
  }
  if (!receiver_place(r)) {
    bool exists = errno == EEXIST;

    receiver_refuse(r, exists ? CLI_REFUSED_EXISTS : CLI_REFUSED_IO,
                    exists ? NULL : strerror(errno));
    return;
  }
  r->open = false;
  file = receiver_file(r);
  file.hash = hash;
  r->hooks.reply(r->hooks.arg, &(cli_file_message){
                                 .type = CLI_FILE_DONE,
                                 .id = r->last_id,
                               });
  r->hooks.done(r->hooks.arg, &file);
}

static cmt_err receiver_offer(cli_receiver *r, const cli_file_message *m,
                              uint64_t now_ns) {
  if (r->open) {
    refuse_busy(r, m->id);
    return CMT_OK;
  }
  if (m->id <= r->last_id) {
    return CMT_EPROTO;
  }
  receiver_begin(r, m, now_ns);
  take_offer(r, m);
  return CMT_OK;
}

cmt_err cli_receiver_feed(cli_receiver *r, const cli_file_message *m,
                          uint64_t now_ns) {
  if (m->type == CLI_FILE_OFFER) {
    return receiver_offer(r, m, now_ns);
  }
  if (m->type != CLI_FILE_DATA && m->type != CLI_FILE_END) {
    return CMT_EPROTO;
  }
  if (m->id != r->last_id || r->last_id == 0) {
    return CMT_EPROTO;
  }
  if (!r->open) {
    return CMT_OK; /* Sent before the sender heard that it was refused. */
  }
  if (m->type == CLI_FILE_DATA) {
    return take_data(r, m);
  }
  take_end(r, m);
  return CMT_OK;
}

void cli_receiver_delete(cli_receiver *r, cmt_err err, const char *text) {
  if (r == NULL) {
    return;
  }
  if (r->open) {
    receiver_fail(r, err, text);
  }
  free(r);
}
