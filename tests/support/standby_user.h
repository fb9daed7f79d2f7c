/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_HELD_USER_H
#define CMT_TEST_HELD_USER_H

/* Three nodes, two of which are the same one for the third. */

#include "node.h"

/* |b| has the larger id.  |c| has the key of |a|: what dials as |c| looks like
   |a| once more. */
typedef struct held_user {
  test_world w;
  test_node a, b, c;
  cmt_node_key *small, *large;
} held_user;

int held_setup(void **state);
int held_teardown(void **state);
void held_settle(held_user *f);
void held_advance_ms(held_user *f, uint64_t ms);
uint64_t held_handshakes(test_node *n); /* In flight. */

/* Nothing arrives on |conn| any more, nor that it ends. */
void held_go_silent(held_user *f, size_t conn, bool on);
/* A is the peer of B, for so long that a second connection needs not wait. */
void held_first_is_there(held_user *f);
/* And C has dialed as A once more. */
void held_second_dials(held_user *f);

#endif
