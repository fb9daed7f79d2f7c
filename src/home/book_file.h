/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__BOOK_FILE_H
#define CMT__BOOK_FILE_H

/* The texts of the two files of an address book. */

#include "pex/book_impl.h"
#include "temp_file.h"

/* What reading a text found. */
typedef struct cmt__book_read {
  size_t loaded, skipped;
  bool foreign;     /* It has other members, and none of a book. */
  size_t broken_at; /* The byte where the text is malformed; SIZE_MAX: it is
                       not. */
} cmt__book_read;

/* The keys in the texts, before anything else: that of addrbook.json, empty if
   there is none, and that of the hash; false: there is none. */
void cmt__book_file_key(cmt_bytes text, char out[BOOK_FILE_KEY]);
bool cmt__book_hash_key(cmt_bytes side, uint8_t out[CMT__HIGHWAY_KEY_SIZE]);

/* Puts the entries of addrbook.json back.  CMT_ENOMEM: some were. */
CMT_NODISCARD cmt_err cmt__book_main_read(cmt_addrbook *b, cmt_bytes text,
                                          cmt__book_read *out);
/* Adds what the file beside it has: to entries that the book has already, and
   bans that last longer than to |now_ns|. */
CMT_NODISCARD cmt_err cmt__book_side_read(cmt_addrbook *b, cmt_bytes side,
                                          uint64_t now_ns, cmt__book_read *out);

void cmt__book_main_write(const cmt_addrbook_snapshot *s, cmt__temp_file *out);
void cmt__book_side_write(const cmt_addrbook_snapshot *s, cmt__temp_file *out);

#endif
