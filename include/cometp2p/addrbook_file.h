/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_ADDRBOOK_FILE_H
#define CMT_ADDRBOOK_FILE_H

/* The file of an address book, addrbook.json, in the form of CometBFT: nodes of
   either kind load what the other wrote.  What it cannot hold - proofs, several
   addresses of an id, reliability, bans, anchors, the key of the hash - lies
   beside it in addrbook.cometp2p.json, which may be deleted at any time.  One
   thread at a time may use a file and its book.  docs/PROTOCOL.md 7.7,
   docs/guide/addrbook.md.

   CometBFT does not read the book when pex is false: then make no such object,
   and the file stays as it is. */

#include <cometp2p/addrbook.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cmt_addrbook_file cmt_addrbook_file;

/** Loads the book from |path|, or makes an empty one where there is no file.
    Both keys of |o| (may be NULL) are replaced by those of the files.  A file
    that is broken is renamed to "*.broken" with a warning, and what it had up
    to that place is kept.  JSON of something else is refused.

    Returns CMT_OK; CMT_EINVAL: an option, the file; CMT_EIO: it is unreadable;
    CMT_ENOMEM.  |why| (may be NULL) names the file and the reason. */
CMT_API CMT_NODISCARD cmt_err
cmt_addrbook_file_open(const char *path, const cmt_addrbook_options *o,
                       uint64_t now_ns, cmt_addrbook_file **out, cmt_why *why);
/** Waits for a save under way, and frees |f| with its book.  It does not save:
    see cmt_addrbook_file_save().  NULL is fine. */
CMT_API void cmt_addrbook_file_close(cmt_addrbook_file *f);

/** The book of |f|. */
CMT_API cmt_addrbook *cmt_addrbook_file_book(cmt_addrbook_file *f);

/** Whether the book should be saved now: two minutes after the last time if it
    has changed since, or at once after many additions.  A program with peer
    exchange (pex.h) calls this and cmt_addrbook_file_save_begin() in a timer of
    its switch, which has one loop; there, or under a lock that the timer takes,
    it calls cmt_pex_set_private() and cmt_pex_anchors(), which change the
    book. */
CMT_API bool cmt_addrbook_file_is_due(const cmt_addrbook_file *f,
                                      uint64_t now_ns);

/** Begins to save the book as it is now, on a thread that ends with that; this
    call takes a millisecond or two at most.  Failures are logged, the status
    has the last one, and the next save is due two minutes later.

    Returns CMT_OK; CMT_EBUSY: a save is under way; CMT_ENOMEM; CMT_EIO: no
    thread. */
CMT_API CMT_NODISCARD cmt_err cmt_addrbook_file_save_begin(cmt_addrbook_file *f,
                                                           uint64_t now_ns);

/** Waits for the end of a save under way.  Returns its result, or that of the
    last one; |why| (may be NULL) has the reason. */
CMT_API cmt_err cmt_addrbook_file_wait(cmt_addrbook_file *f, cmt_why *why);

/** Waits, and then saves the book on this thread, as at stop.

    Returns CMT_OK; CMT_EIO: |why| (may be NULL) names the file and the reason,
    and the file is what it was; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_addrbook_file_save(cmt_addrbook_file *f,
                                                     uint64_t now_ns,
                                                     cmt_why *why);

typedef struct cmt_addrbook_file_status {
  size_t size;
  size_t loaded;     /**< Entries that the file had when it was opened. */
  size_t skipped;    /**< Entries of it that can be no node's. */
  uint64_t saves;    /**< Saves that succeeded. */
  uint64_t failures; /**< Saves that failed. */
  uint64_t saved_ns; /**< When the last save began that succeeded. */
  uint64_t took_ns;  /**< How long it took, on its thread. */
  cmt_why last;      /**< The result of the last save. */
  bool saving;       /**< A save is under way. */
} cmt_addrbook_file_status;

/** Fills in the cmt_addrbook_file_status |out|. */
#define cmt_addrbook_file_get_status(f, out)                                   \
  cmt_addrbook_file_get_status_sized((f), (out), sizeof *(out))
/** See cmt_addrbook_file_get_status(). */
CMT_API void cmt_addrbook_file_get_status_sized(const cmt_addrbook_file *f,
                                                cmt_addrbook_file_status *out,
                                                size_t size);

#ifdef __cplusplus
}
#endif
#endif
