/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_BUF_H
#define CMT_BUF_H

/* A message: reference-counted bytes, immutable once shared.  One buffer may
   wait in the queues of any number of peers.  Every function may be called from
   any thread. */

#include <cometp2p/env.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Borrowed bytes; |base| may be NULL when |len| is 0. */
typedef struct cmt_bytes {
  const uint8_t *base;
  size_t len;
} cmt_bytes;

typedef struct cmt_buf cmt_buf;

/** A buffer of |len| uninitialised bytes, 0 included, with one reference, which
    the caller owns.  Fill cmt_buf_data() before the first cmt_buf_ref() or
    send.

    Returns NULL when the allocation fails, or |env| was not filled by
    cmt_env_init(). */
CMT_API cmt_buf *cmt_buf_new(const cmt_env *env, size_t len);

/** cmt_buf_new() with a copy of the |len| bytes at |data|; NULL also when
    |data| is NULL and |len| is not 0. */
CMT_API cmt_buf *cmt_buf_copy(const cmt_env *env, const void *data, size_t len);

/** A buffer around memory of the application, which is not copied and must not
    change until |release|(|arg|).  The release runs once, without a lock of the
    library, on the thread that drops the last reference, which is often a loop:
    it must not block. docs/guide/conventions.md.

    Returns as cmt_buf_copy(); |release| is not called for NULL. */
CMT_API cmt_buf *cmt_buf_adopt(const cmt_env *env, cmt_bytes bytes,
                               void (*release)(void *arg), void *arg);

/** The bytes for writing; only while the caller holds the only reference, and
    not of an adopted buffer (NULL). */
CMT_API uint8_t *cmt_buf_data(cmt_buf *b);

/** The bytes for reading; valid as long as the caller's reference. */
CMT_API cmt_bytes cmt_buf_bytes(const cmt_buf *b);

/** Adds a reference; returns |b|.  A call without any reference left panics
    (env.h), if the memory still shows it. */
CMT_API cmt_buf *cmt_buf_ref(cmt_buf *b);

/** Drops a reference; the last one frees the buffer.  NULL is fine.  One call
    too many panics, if the memory still shows it. */
CMT_API void cmt_buf_unref(cmt_buf *b);

/** The bytes of a C string without its NUL; NULL gives none. */
CMT_API cmt_bytes cmt_bytes_of(const char *text);
/** Whether |a| and |b| are the same bytes, such as a member of a node info and
    cmt_bytes_of() a text. */
CMT_API bool cmt_bytes_equal(cmt_bytes a, cmt_bytes b);

/**
 * Writes |in| as printable ASCII to |out|: bytes 32 to 126 unchanged except the
 * backslash, which is doubled; all others as \xhh.
 *
 * Use it for bytes of a peer before a terminal or a log shows them.
 *
 * Returns    the length of the whole text without the final NUL, as
 *            snprintf; a result >= |cap| was cut, never inside an escape.
 */
CMT_API size_t cmt_text_escape(cmt_bytes in, char *out, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
