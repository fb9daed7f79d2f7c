/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_NODE_KEY_H
#define CMT_NODE_KEY_H

/* The key that is a node's identity, and its file node_key.json.
   docs/PROTOCOL.md 1.1 and 1.2.  A key is immutable: any number of threads may
   use one at a time.  Its secret is locked where the system allows, stays out
   of core dumps and is wiped when the last who uses it lets go. */

#include <cometp2p/env.h>
#include <cometp2p/net_addr.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cmt_node_key cmt_node_key;

/**
 * A fresh Ed25519 key from the entropy of |env|.
 *
 * Returns    CMT_OK; CMT_EINVAL: |env| is none that cmt_env_init() filled;
 *            CMT_ENOMEM; CMT_EIO: |env| is NULL and the defaults cannot be
 *            had.
 * Ownership  the caller deletes |*out|.
 */
CMT_API CMT_NODISCARD cmt_err cmt_node_key_generate(const cmt_env *env,
                                                    cmt_node_key **out);

/**
 * Reads the key from the file |path| as CometBFT writes it.
 *
 * The three spellings of older releases load too.  A file of more than 16 KiB
 * is refused.  A file that others than its owner can read or write, that
 * belongs neither to us nor to root, or that lies in a folder that others can
 * write (without the sticky bit) loads, with a warning to the log of |env|; and
 * so does one that looks like a validator's priv_validator_key.json, whose key
 * signs votes and should not be that of a node.
 *
 * Returns    CMT_OK; CMT_EIO: the file cannot be read; CMT_EINVAL: it holds
 *            no Ed25519 node key, or one whose public half is not that of its
 *            seed; CMT_ENOMEM.  |why| (may be NULL) names file and fault.
 * Ownership  the caller deletes |*out|.
 */
CMT_API CMT_NODISCARD cmt_err cmt_node_key_load(const cmt_env *env,
                                                const char *path,
                                                cmt_node_key **out,
                                                cmt_why *why);

/**
 * The same, but a file that others can get at is refused: read, write, own, or
 * replace, as above.
 *
 * Returns    as cmt_node_key_load(); CMT_EIO: others can get at it.
 */
CMT_API CMT_NODISCARD cmt_err cmt_node_key_load_private(const cmt_env *env,
                                                        const char *path,
                                                        cmt_node_key **out,
                                                        cmt_why *why);

/**
 * Writes |key| to the new file |path|, mode 0600, in the bytes that CometBFT
 * writes.  The file appears whole or not at all, and replaces none; where the
 * file system has neither hard links nor such a rename, an empty file takes the
 * name for an instant.
 *
 * Returns    CMT_OK; CMT_EEXIST: something has this name, it is untouched;
 *            CMT_EIO: the file cannot be written; CMT_ENOMEM.  |why| (may be
 *            NULL) names file and fault.
 */
CMT_API CMT_NODISCARD cmt_err cmt_node_key_save_new(const cmt_node_key *key,
                                                    const char *path,
                                                    cmt_why *why);

/** The id of |key|: the first 20 bytes of the SHA-256 of its public half. */
CMT_API void cmt_node_key_id(const cmt_node_key *key, cmt_node_id *out);

/** Lets go of |key|; NULL is fine.  Switches and connections that were made
   with it have references of their own: it is wiped and freed with the last
   one, by the |free| of the environment that it was made with.  One call too
   many is a mistake that panics (env.h), if the memory still shows it. */
CMT_API void cmt_node_key_delete(cmt_node_key *key);

#ifdef __cplusplus
}
#endif
#endif
