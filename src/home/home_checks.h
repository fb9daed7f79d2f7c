/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__HOME_CHECKS_H
#define CMT__HOME_CHECKS_H

/* What is allowed of texts in config.toml, beyond being texts.  False: |f|
   tells the part that is wrong and what is allowed. */

#include "home_keys.h"

#include <cometp2p/net_addr.h>

bool cmt__home_check_moniker(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_level(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_format(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_path(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_laddr(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_external(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_addresses(const cmt__home_value *v, cmt__home_fault *f);
/* Whether the list |text| has at most |most| items, which are |kind|; |f| shows
   the first that is too many. */
bool cmt__home_check_length(const char *text, size_t most, const char *kind,
                            cmt__home_fault *f);
bool cmt__home_check_seeds(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_ids(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_payload(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_metrics_addr(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_namespace(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_libp2p(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_version(const cmt__home_value *v, cmt__home_fault *f);
bool cmt__home_check_chain_id(const cmt__home_value *v, cmt__home_fault *f);

/* The next item of the list |*rest|, without the blanks around it; items are
   separated by commas, and empty ones are left out.  False: there is none. */
bool cmt__home_item(cmt_bytes *rest, cmt_bytes *item);
/* Reads a node id, in lower or upper case. */
bool cmt__home_read_id(cmt_bytes text, cmt_node_id *out);

#endif
