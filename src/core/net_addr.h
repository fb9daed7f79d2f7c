/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__NET_ADDR_H
#define CMT__NET_ADDR_H

/* Net addresses in bytes that need no final NUL. */

#include "base.h"

#include <cometp2p/net_addr.h>

/* cmt_net_addr_parse() on bytes.  Returns NULL, or a static text that says
   what is wrong with them; |out| is unchanged then. */
const char *cmt__net_addr_read(cmt_bytes text, unsigned flags,
                               cmt_net_addr *out);

/* Reads 40 hex digits of either case, and writes them in small letters.  False
   when |text| is something else; |out| is unchanged then. */
bool cmt__node_id_read(cmt_bytes text, cmt_node_id *out);
/* Copies an id that an application made, in small letters and with a NUL. */
void cmt__node_id_write(const cmt_node_id *id, cmt_node_id *out);

/* Leaves out the zone of an IPv6 host: it means something on this machine
   alone. */
void cmt__net_addr_drop_zone(cmt_net_addr *a);

/* Brings an IP literal to its canonical text.  False when |text| is none;
   |out| is unchanged then. */
bool cmt__ip_canonical(cmt_bytes text, char *out, size_t cap);

/* An IP address, IPv4 as ::ffff:a.b.c.d. */
typedef struct cmt__ip {
  uint8_t bytes[16];
} cmt__ip;

enum {
  CMT__IP_TEXT_SIZE = 40, /* Eight groups of four digits, seven colons, NUL. */
  CMT__ZONE_SIZE = 16,    /* No name of an interface is longer, with its NUL. */
};

/* Writes the canonical text of |ip|. */
void cmt__ip_write(const cmt__ip *ip, char out[CMT__IP_TEXT_SIZE]);
/* Reads an IP literal, whose zone is left out.  False when |text| is none;
   |out| is unchanged then. */
bool cmt__ip_read(cmt_bytes text, cmt__ip *out);
bool cmt__ip_equal(const cmt__ip *a, const cmt__ip *b);
bool cmt__ip_is_v4(const cmt__ip *ip);
/* 127.0.0.0/8 or ::1. */
bool cmt__ip_is_loopback(const cmt__ip *ip);
/* An address of IPv6 that means something on one link alone: fe80::/10. */
bool cmt__ip_is_link_local(const cmt__ip *ip);
/* The first |bits| of |ip|, at most all 128, and zeros. */
cmt__ip cmt__ip_prefix(const cmt__ip *ip, unsigned bits);

#endif
