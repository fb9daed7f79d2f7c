/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_NODE_KEY_H
#define CMT_NODE_KEY_H

/* The key that is a node's identity, and its file node_key.json.
   docs/PROTOCOL.md 1.1 and 1.2.  A key is immutable: any number of threads may
   use one at a time.  Its secret is locked in memory where the system allows
   it, stays out of core dumps, and is wiped with the last reference. */

#include <cometp2p/env.h>
#include <cometp2p/net_addr.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cmt_node_key cmt_node_key;

/**
 * A fresh Ed25519 key from the entropy of |env|.
 *
 * Returns    CMT_OK; CMT_EINVAL: |env| was not filled by cmt_env_init();
 *            CMT_ENOMEM; CMT_EIO: |env| is NULL and the defaults are not
 *            available.
 * Ownership  the caller deletes |*out|.
 */
CMT_API CMT_NODISCARD cmt_err cmt_node_key_generate(const cmt_env *env,
                                                    cmt_node_key **out);

/** Reads the key from the file |path|, of at most 16 KiB, as any release of
    CometBFT writes it; the caller deletes |*out|.  A file that other users can
    access, or that looks like a validator's key, is logged in |env| as a
    warning.

    Returns CMT_OK; CMT_EIO: it cannot be read; CMT_EINVAL: it contains no
    Ed25519 node key; CMT_ENOMEM.  |why| (may be NULL) names file and fault. */
CMT_API CMT_NODISCARD cmt_err cmt_node_key_load(const cmt_env *env,
                                                const char *path,
                                                cmt_node_key **out,
                                                cmt_why *why);

/** As cmt_node_key_load(), but refuses with CMT_EIO a file that other users can
    read, write or replace: one with rights for others, one that neither we nor
    root own, or one in a folder that others can write (without the sticky
    bit). */
CMT_API CMT_NODISCARD cmt_err cmt_node_key_load_private(const cmt_env *env,
                                                        const char *path,
                                                        cmt_node_key **out,
                                                        cmt_why *why);

/** Writes |key| to the new file |path|, mode 0600, byte for byte as CometBFT.
    The file appears whole or not at all, and replaces none.

    Returns CMT_OK; CMT_EEXIST: something has this name; CMT_EIO: the file
    cannot be written; CMT_ENOMEM.  |why| (may be NULL) names file and fault. */
CMT_API CMT_NODISCARD cmt_err cmt_node_key_save_new(const cmt_node_key *key,
                                                    const char *path,
                                                    cmt_why *why);

/** The id of |key|: the first 20 bytes of the SHA-256 of its public half. */
CMT_API void cmt_node_key_get_id(const cmt_node_key *key, cmt_node_id *out);

/** Drops the caller's reference to |key|; NULL is fine.  Switches and
    connections that were made with the key have references of their own: it is
    wiped and freed with the last one, by the |free| of its environment.  One
    call too many panics (env.h), if the memory still shows it. */
CMT_API void cmt_node_key_delete(cmt_node_key *key);

#ifdef __cplusplus
}
#endif
#endif
