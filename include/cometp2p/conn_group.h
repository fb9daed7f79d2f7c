/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_CONN_GROUP_H
#define CMT_CONN_GROUP_H

/* A group of connections of one node: they share channels, memory for keys, and
   limits of all together.  A connection without a group has its own; its keys
   then lie in pages of their own, four mappings of the 65,530 that Linux allows
   a process by default, and eight during the handshake. */

#include <cometp2p/mconn.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Fill with cmt_conn_group_options_init(). */
typedef struct cmt_conn_group_options {
  size_t size;
  const cmt_env *env;          /**< NULL: the defaults.  Copied. */
  const cmt_channel *channels; /**< Copied. */
  size_t channel_count;        /**< 0 to CMT_CHANNELS_MAX. */
  /** Bytes under reassembly: the floor of each connection, default 0, and what
      all of them may have above their floors, default no limit.  When the
      latter is used up, the connection that has most of it ends with
      CMT_ENOBUFS; those whose messages make no progress end first. */
  size_t recv_bytes_floor, recv_bytes_total_max;
  /** Bytes per second of all connections, at most CMT_RATE_MAX; 0: no limit. */
  uint64_t send_rate_total, recv_rate_total;
  /** How many threads the connections live on, default 1.  More than one needs
      |lock| and |unlock| of a mutex that outlives the connections; under it
      only the memory hooks and |wake| of a connection are called. */
  unsigned threads;
  void (*lock)(void *arg);
  void (*unlock)(void *arg);
  void *lock_arg;
} cmt_conn_group_options;

#define cmt_conn_group_options_init(o)                                         \
  cmt_conn_group_options_init_sized((o), sizeof *(o))
CMT_API void cmt_conn_group_options_init_sized(cmt_conn_group_options *o,
                                               size_t size);

/**
 * A group whose limits are full at |now_ns|.
 *
 * Returns    CMT_OK; CMT_EINVAL: |why| (may be NULL) names the option;
 *            CMT_ENOMEM; CMT_EIO: no default environment.
 * Ownership  the caller deletes |*out|; |o| is not kept.
 */
CMT_API CMT_NODISCARD cmt_err
cmt_conn_group_new(const cmt_conn_group_options *o, uint64_t now_ns,
                   cmt_conn_group **out, cmt_why *why);

/** Frees |g|; its connections keep what they need of it.  Any thread; NULL is
    fine. */
CMT_API void cmt_conn_group_delete(cmt_conn_group *g);

#ifdef __cplusplus
}
#endif
#endif
