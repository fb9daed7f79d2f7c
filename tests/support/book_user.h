/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_BOOK_USER_H
#define CMT_BOOK_USER_H

/* Address books for tests: entropy from a seed, addresses by number, and a
   check that everything in a book agrees. */

#include "pex/book_impl.h"
#include "test.h"

#define BOOK_T0 (CMT_SECONDS(1700000000)) /* An instant of 2023. */

typedef struct book_user {
  test_env env;
  cmt_addrbook *b;
} book_user;

/* A book with fixed keys. */
void book_user_init(book_user *u, uint64_t seed);
void book_user_init_lenient(book_user *u, uint64_t seed);
/* Checks the book, deletes it, and checks that no memory is left. */
void book_user_fini(book_user *u);

/* Parses "ID@HOST:PORT". */
cmt_net_addr book_addr(const char *text);
/* The node |n| at the host 5.N.N.N, or at |host|. */
cmt_net_addr book_node(uint32_t n);
cmt_net_addr book_node_at(uint32_t n, const char *host, uint16_t port);
/* Adds |a| as reported by |src|, which must work. */
void book_add(book_user *u, const cmt_net_addr *a, const cmt_net_addr *src,
              uint64_t now_ns);
/* A handshake of ours with |a|, which makes it an old entry if |good|. */
void book_reach(book_user *u, const cmt_net_addr *a, bool good,
                uint64_t now_ns);
cmt_addrbook_status book_status(const book_user *u);
cmt_addrbook_entry book_entry(const book_user *u, const cmt_net_addr *a);

/* Every invariant of the book. */
void book_check(const cmt_addrbook *b);

#endif
