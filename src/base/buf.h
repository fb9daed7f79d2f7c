/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__BUF_H
#define CMT__BUF_H

/* Buffers that grow into their capacity while a message is reassembled. */

#include "base.h"

/* A buffer without bytes that can hold |cap|; NULL when the allocation
   fails. */
cmt_buf *cmt__buf_new_cap(const cmt_env *env, size_t cap);

/* Overhead of a buffer in bytes, besides its capacity. */
size_t cmt__buf_header(void);

/* The capacity of |b| in bytes. */
size_t cmt__buf_cap(const cmt_buf *b);

/* |len| is at most the capacity. */
void cmt__buf_set_len(cmt_buf *b, size_t len);

/* As cmt_buf_ref() and cmt_buf_unref(), |count| times at once; one reference of
   the caller stays in any case. */
void cmt__buf_ref_many(cmt_buf *b, unsigned count);
void cmt__buf_unref_many(cmt_buf *b, unsigned count);

/* Puts |b| before |list|, a list of buffers that some thread releases later.
   False: it has other references, or its bytes are the application's. */
CMT_NODISCARD bool cmt__buf_link(cmt_buf *b, cmt_buf *list);
/* Releases all buffers of |list|; NULL: there are none. */
void cmt__buf_unref_list(cmt_buf *list);
/* Takes the first buffer out of |*list|; NULL: there is none. */
cmt_buf *cmt__buf_pop(cmt_buf **list);

/* Where the bytes of |b|, which is not an adopted one, begin. */
uint8_t *cmt__buf_base(cmt_buf *b);

#endif
