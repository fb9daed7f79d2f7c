/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__IP_H
#define CMT__IP_H

/* IP addresses and their texts. */

#include "base.h"

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
/* The first |bits| of |ip|, and zeros; 128 and more are all of it. */
cmt__ip cmt__ip_prefix(const cmt__ip *ip, unsigned bits);

#endif
