/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_HELD_USER_H
#define CMT_TEST_HELD_USER_H

/* Three nodes, two of which are the same one for the third. */

#include "node.h"

/* |b| has the larger id.  |c| has the key of |a|: what dials as |c| looks like
   |a| once more. */
typedef struct standby_user {
  test_world w;
  test_node a, b, c;
  cmt_node_key *small, *large;
} standby_user;

int standby_setup(void **state);
int standby_teardown(void **state);
void standby_run_until_idle(standby_user *f);
void standby_advance_ms(standby_user *f, uint64_t ms);
uint64_t standby_handshakes(test_node *n); /* In flight. */

/* Nothing arrives on |conn| any more, nor that it ends. */
void standby_go_silent(standby_user *f, size_t conn, bool on);
/* A is the peer of B, for so long that a second connection needs not wait. */
void standby_first_is_there(standby_user *f);
/* And C has dialed as A once more. */
void standby_second_dials(standby_user *f);

#endif
