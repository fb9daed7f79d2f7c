/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__BOOK_FILE_READ_H
#define CMT__BOOK_FILE_READ_H

/* The reading of both files of an address book, for book_file_read.c and
   book_file_side.c. */

#include "book_file.h"
#include "json.h"

enum {
  CMT__BOOK_NUMBERS = 2,       /* Each window has so many. */
  CMT__BOOK_BUCKETS_READ = 16, /* So many of an entry; the rest is ignored. */
};

/* An address as far as it was read. */
typedef struct cmt__book_addr_found {
  cmt__book_addr addr;
  bool has_id, has_ip, has_port;
} cmt__book_addr_found;

/* The reading of a text, with the entry under way. */
typedef struct cmt__book_reader {
  cmt_addrbook *b;
  cmt__book_read *found;
  cmt_err err;
  uint64_t now_ns;
  cmt__book_entry e;
  cmt__book_addr_found addr, src;
  int64_t buckets[CMT__BOOK_BUCKETS_READ];
  size_t bucket_count;
  int64_t numbers[CMT_ADDRBOOK_WINDOWS * CMT__BOOK_NUMBERS];
  size_t number_count;
  cmt__book_addr_found other;
  cmt__book_place others[CMT_ADDRBOOK_OTHERS_MAX];
  cmt__book_ban ban;
  cmt_net_addr anchors[CMT_ADDRBOOK_ANCHORS_MAX];
  size_t anchor_count;
  bool is_book, has_more; /* Members of a book, and others. */
} cmt__book_reader;

/* Each value returns false for malformed JSON alone. */

/* A string; |out| has no base when it is another value. */
bool cmt__book_json_string(cmt__json *c, cmt_bytes *out);
/* An integer from |min| to |max|; |*valid| is false for anything else. */
bool cmt__book_json_int(cmt__json *c, int64_t min, int64_t max, int64_t *out,
                        bool *valid);
/* An instant; what is none leaves |*out| as it is. */
bool cmt__book_json_time(cmt__json *c, uint64_t *out);
/* An "id", "ip" or "port"; |*known|: it was one. */
bool cmt__book_json_addr_part(cmt__json *c, const char *small,
                              cmt__book_addr_found *a, bool *known);
bool cmt__book_json_addr(cmt__json *c, cmt__book_addr_found *out);

/* Nothing of the next entry was read yet. */
void cmt__book_entry_begin(cmt__book_reader *r);
/* Reads the object |text|, and notes where it is malformed.  What follows the
   first value does not count. */
CMT_NODISCARD cmt_err cmt__book_text_read(cmt_bytes text, cmt__book_reader *r,
                                          bool (*member)(cmt__json *,
                                                         const char *, void *));

#endif
