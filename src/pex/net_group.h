/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__NET_GROUP_H
#define CMT__NET_GROUP_H

/* Classes of IP addresses and the groups of the address book.
   docs/PROTOCOL.md 1.4 and 1.5. */

#include "base/ip.h"

enum { CMT__GROUP_SIZE = CMT__IP_TEXT_SIZE };

/* Whether a node can have the address at all. */
bool cmt__ip_is_valid(const cmt__ip *ip);
/* Whether the address can be reached from the internet. */
bool cmt__ip_is_routable(const cmt__ip *ip);
/* The text of the group of |ip|; |has_id|: the address has a valid id. */
void cmt__ip_group(const cmt__ip *ip, bool strict, bool has_id,
                   char out[CMT__GROUP_SIZE]);

#endif
