/* SPDX-License-Identifier: Apache-2.0 */

/* The names of what --without switches off.  A switch stops only what it names:
   all else is drawn as before, up to the instant at which it would have come
   in. */

#include "sim.h"

#include <ctype.h>

enum { NAME_MAX_LEN = 64 };

typedef struct named {
  char name[NAME_MAX_LEN];
  bool *off;
} named;

/* "SMALL_BUFFER" or "small buffer" as "small-buffer". */
static void write_name(char out[NAME_MAX_LEN], const char *before,
                       const char *text) {
  size_t len = (size_t)snprintf(out, NAME_MAX_LEN, "%s", before);

  for (; *text != '\0' && len < NAME_MAX_LEN - 1; text++) {
    out[len++] =
      *text == ' ' || *text == '_' ? '-' : (char)tolower((unsigned char)*text);
  }
  out[len] = '\0';
}

/* The |i|th name; false: there are no more. */
static bool name_at(sim_without *w, size_t i, named *out) {
  static const char *const crowds[] = {
#define X(name, on, text) #name,
    SIM_CROWD_MAP(X)
#undef X
  };
  static const char *const broken[] = {
#define X(name, text) #name,
    SIM_BROKEN_MAP(X)
#undef X
  };

  static const char *const enemies[] = {
#define X(name, err, text) #name,
    SIM_HOSTILE_MAP(X)
#undef X
  };

  static const char *const habits[] = {
#define X(name, text) #name,
    SIM_HABIT_MAP(X)
#undef X
  };

  if (i < SIM_FAULTS) {
    write_name(out->name, "", sim_fault_name((sim_fault)i));
    out->off = &w->fault[i];
    return true;
  }
  i -= SIM_FAULTS;
  if (i < SIM_CROWD_KINDS) {
    write_name(out->name, "crowd-", crowds[i]);
    out->off = &w->crowd[i];
    return true;
  }
  i -= SIM_CROWD_KINDS;
  if (i < SIM_BROKEN_KINDS) {
    write_name(out->name, "broken-", broken[i]);
    out->off = &w->broken[i];
    return true;
  }
  i -= SIM_BROKEN_KINDS;
  if (i < SIM_HOSTILE_KINDS) {
    write_name(out->name, "hostile-", enemies[i]);
    out->off = &w->hostile[i];
    return true;
  }
  i -= SIM_HOSTILE_KINDS;
  if (i < SIM_HABITS) {
    write_name(out->name, "habit-", habits[i]);
    out->off = &w->habit[i];
    return true;
  }
  return false;
}

/* A group stands for all of its kinds. */
static bool is_named(const char *name, const char *wanted) {
  static const char *const groups[] = {"crowd", "broken", "hostile", "habit"};
  size_t len = strlen(wanted);
  bool group = false;

  for (size_t i = 0; i < CMT__COUNT(groups); i++) {
    group = group || strcmp(wanted, groups[i]) == 0;
  }
  return strncmp(name, wanted, len) == 0 &&
         (name[len] == '\0' || (group && name[len] == '-'));
}

bool sim_without_add(sim_without *w, const char *wanted) {
  bool found = false;
  named n;

  for (size_t i = 0; name_at(w, i, &n); i++) {
    if (is_named(n.name, wanted)) {
      *n.off = true;
      found = true;
    }
  }
  return found;
}

void sim_without_list(FILE *out, const sim_without *set) {
  sim_without w = {.fault = {false}};
  const char *between = "";
  named n;

  if (set != NULL) {
    w = *set;
  }
  for (size_t i = 0; name_at(&w, i, &n); i++) {
    if (set == NULL || *n.off) {
      fprintf(out, "%s%s", between, n.name);
      between = ", ";
    }
  }
}
