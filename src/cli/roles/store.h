/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_STORE_H
#define CLI_STORE_H

/* The folder that files of all peers go to, and how much may still go there.
   One thread uses it, the writer's. */

#include <stdbool.h>
#include <stdint.h>

typedef struct cli_store {
  int dir_fd;          /* -1: there is none, and files are refused. */
  bool dotfiles;       /* Names that begin with a dot are accepted. */
  uint64_t bytes_left; /* What is left of the quota. */
  uint64_t files_left;
} cli_store;

/* No folder. */
void cli_store_init(cli_store *s);

/* Opens |dir|, which is made if it is missing, but not those above it.  |quota|
   is in bytes; 0: half of what is free in the folder now.  It accepts at most
   half as many files as the file system has room for, if that is known.  False:
   errno. */
bool cli_store_open(cli_store *s, const char *dir, uint64_t quota);
void cli_store_close(cli_store *s);

/* A file of |size| bytes begins; false: that is more than is left now. */
bool cli_store_begin(cli_store *s, uint64_t size);
/* Subtracts |len| bytes that came from the quota; false: it has not so many
   left. */
bool cli_store_take(cli_store *s, uint64_t len);
/* Returns the part of a file that was not stored, of which |taken| bytes
   came. */
void cli_store_release(cli_store *s, uint64_t taken);

#endif
