/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_NODE_INFOS_H
#define CMT_TEST_NODE_INFOS_H

/* What the tests of node infos compare. */

#include "test.h"

#include "core/conn/node_info.h"

void assert_bytes(cmt_bytes expected, cmt_bytes found);
void assert_same_node_info(const cmt_node_info *a, const cmt_node_info *b);
/* |i| is encoded as |hex|. */
void assert_node_info_bytes(const char *hex, const cmt_node_info *i);

#endif
