/* SPDX-License-Identifier: Apache-2.0 */

/* Which habits a world has, and when each of them is tried. */

#include "check.h"

#include <stdlib.h>

#include "loop_parts.h"

enum { ONE_IN = 3, LABEL = 16 };

const char *sim_habit_text(sim_habit h) {
  static const char *const texts[] = {
#define X(name, text) text,
    SIM_HABIT_MAP(X)
#undef X
  };

  return texts[h];
}

void sim_habits_init(sim *s) {
  for (size_t h = 0; h < SIM_HABITS; h++) {
    s->habit_rng[h] = sim_rng_of(s->seed, LABEL + h);
    s->has_habit[h] =
      sim_one_in(&s->habit_rng[h], ONE_IN) && !s->without->habit[h];
  }
  sim_admission_init(s);
  sim_events_init(s);
  sim_calls_init(s);
}

void sim_habits_act(sim *s) {
  sim_admission_act(s);
  sim_calls_act(s);
  if (s->has_habit[SIM_CANCELS] && sim_one_in(&s->habit_rng[SIM_CANCELS], 4)) {
    sim_dial_cancel_any(s);
  }
  if (s->has_habit[SIM_FORGETS] && sim_one_in(&s->habit_rng[SIM_FORGETS], 3)) {
    sim_dial_forget(s);
  }
}

void sim_habits_calm(sim *s) { sim_admission_calm(s); }

void sim_habits_up(sim_node *n) {
  n->habits.ban_count = 0;
  n->habits.evicted_ns = 0;
  n->habits.is_listed = n->options.unconditional_count > 0;
}

void sim_habits_down(sim_node *n) {
  sim_habits *h = &n->habits;

  sim_events_drain(n);
  check_calls_over(n);
  while (h->dialed != NULL) {
    sim_dialed *d = h->dialed;

    h->dialed = d->next;
    check_dial_over(d);
    free(d);
  }
  for (sim_question *q = h->questions; q != NULL; q = q->next) {
    q->request.sw = NULL;
  }
}

void sim_habits_fini(sim_node *n) {
  while (n->habits.questions != NULL) {
    sim_question *q = n->habits.questions;

    n->habits.questions = q->next;
    free(q);
  }
}
