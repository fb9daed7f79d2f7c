/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_NET_ADDR_H
#define CMT_NET_ADDR_H

/* Net addresses, ID@host:port.  Parsing never resolves: a host name stays a
   name.  docs/PROTOCOL.md 1.1 and 1.3.  Every function may be called from any
   thread. */

#include <cometp2p/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A node id: the 40 hex digits of 20 bytes, and a NUL.  An empty text is no
    id.  This library writes lower case and accepts upper case; compare with
    cmt_node_id_equal(). */
typedef struct cmt_node_id {
  char text[41];
} cmt_node_id;

/** Whether |a| and |b| are the same 20 bytes, whatever the case of their
    letters.  Two empty ids are equal. */
CMT_API bool cmt_node_id_equal(const cmt_node_id *a, const cmt_node_id *b);

typedef struct cmt_net_addr {
  cmt_node_id id;
  /** A canonical IP literal without brackets, or a name.  An IPv6 literal may
      have a zone, which is the name or the number of an interface of this
      machine, as in "fe80::1%eth0". */
  char host[256];
  uint16_t port; /**< 0 to 65,535. */
} cmt_net_addr;

enum {
  CMT_ADDR_ID_OPTIONAL = 1, /**< "host:port" is accepted too. */
  CMT_ADDR_NO_ID = 2,       /**< Only "host:port"; an id is an error. */
  /** An address to listen on: "host:port" without an id, and "*:port" or
      ":port" for all addresses of this machine, which gives the host "::". */
  CMT_ADDR_LISTEN = 4,
};

/** Parses |text|, "ID@host:port", after dropping a scheme such as "tcp://".
    IPv6 stands in brackets.  IP literals become canonical (::ffff:1.2.3.4
    becomes 1.2.3.4); other printable ASCII of at most 255 bytes is a host name.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) names the text and its
    fault, or an unknown flag, and |out| is unchanged. */
CMT_API CMT_NODISCARD cmt_err cmt_net_addr_parse(const char *text,
                                                 unsigned flags,
                                                 cmt_net_addr *out,
                                                 cmt_why *why);

/** Longest text of an address with its final NUL: id, '@', brackets, host, ':'
    and port. */
#define CMT_NET_ADDR_TEXT_SIZE 306

/**
 * Writes "ID@host:port" to |out|, or "host:port" when the id is empty; IPv6
 * gets its brackets, the id lower case.
 *
 * Returns    CMT_OK; CMT_EINVAL: |cap| is too small, |out| is then empty.
 */
CMT_API CMT_NODISCARD cmt_err cmt_net_addr_format(const cmt_net_addr *a,
                                                  char *out, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
