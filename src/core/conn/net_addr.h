/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__NET_ADDR_H
#define CMT__NET_ADDR_H

/* Net addresses in bytes that need no final NUL. */

#include "base/ip.h"

#include <cometp2p/net_addr.h>

/* cmt_net_addr_parse() on bytes.  Returns NULL, or a static text that states
   what is wrong with them; |out| is unchanged then. */
const char *cmt__net_addr_read(cmt_bytes text, unsigned flags,
                               cmt_net_addr *out);

/* Reads 40 hex digits of either case, and writes them in small letters.  False
   when |text| is something else; |out| is unchanged then. */
bool cmt__node_id_read(cmt_bytes text, cmt_node_id *out);
/* Negative, 0 or positive as |a| comes before, is or comes after |b|, in
   letters of either case. */
int cmt__node_id_compare(const cmt_node_id *a, const cmt_node_id *b);
/* Copies an id that an application made, in small letters and with a NUL. */
void cmt__node_id_write(const cmt_node_id *id, cmt_node_id *out);

/* Leaves out the zone of an IPv6 host: it means something on this machine
   alone. */
void cmt__net_addr_drop_zone(cmt_net_addr *a);

#endif
