/* SPDX-License-Identifier: Apache-2.0 */

/* Where the value of each key comes from: what the program sets, else a
   variable of the environment, else the file, else the default.
   docs/PROTOCOL.md 14.2. */

#include "home_impl.h"

#include "base/sized.h"

#include <unistd.h>

#include "home_checks.h"

enum { VARIABLE_SIZE = 128 };

static cmt__home_given given_of(const char *text) {
  return (cmt__home_given){.kind = CMT__TOML_STRING,
                           .text = cmt_bytes_of(text)};
}

/* A copy of |text|, since nothing of the options is kept. */
static void take_text(cmt__home_reading *r, cmt__home_key_id id,
                      cmt__home_origin origin, const char *text) {
  const char *kept = cmt__home_keep(r->h, "%s", text);

  r->no_memory = r->no_memory || kept == NULL;
  r->sources[id] = (cmt__home_source){
    .origin = origin, .given = given_of(kept != NULL ? kept : "")};
}

/* Keeps |name| for the messages about the value of |id|; NULL: it has none. */
static void take_name(cmt__home_reading *r, cmt__home_key_id id,
                      const char *name) {
  if (name != NULL) {
    r->sources[id].name = cmt__home_keep(r->h, "%s", name);
    r->no_memory = r->no_memory || r->sources[id].name == NULL;
  }
}

/* ---- the default ---- */

void cmt__home_host(char *out, size_t cap) {
  cmt__home_value v = {.text = out};
  cmt__home_fault f;

  if (gethostname(out, cap) != 0) {
    out[0] = '\0';
  }
  out[cap - 1] = '\0';
  if (!cmt__home_check_moniker(&v, &f)) {
    snprintf(out, cap, "anonymous");
  }
}

static void from_default(cmt__home_reading *r, cmt__home_key_id id) {
  const cmt__home_key *key = &cmt__home_keys[id];
  const char *standard = key->standard;
  char host[256];

  if (r->h->flat && key->tenderseed != NULL) {
    standard = key->tenderseed;
  }
  if (id == CMT__HOME_MONIKER) {
    cmt__home_host(host, sizeof host);
    take_text(r, id, CMT__HOME_DEFAULT, host);
    return;
  }
  r->sources[id].origin = CMT__HOME_DEFAULT;
  r->sources[id].given = given_of(standard != NULL ? standard : "");
}

/* ---- the file ---- */

/* The node of the key |name|, whose sections are separated by dots. */
static const cmt__toml_node *node_of(const cmt__toml *t, const char *name) {
  const cmt__toml_node *n = &t->nodes[0];

  while (n != NULL && *name != '\0') {
    size_t len = strcspn(name, ".");

    if (n->kind != CMT__TOML_TABLE) {
      return NULL;
    }
    n = cmt__home_child(t, n,
                        (cmt_bytes){.base = (const uint8_t *)name, .len = len});
    name += len;
    name += *name == '.';
  }
  return n;
}

static void from_file(cmt__home_reading *r, cmt__home_key_id id) {
  const cmt__home_key *key = &cmt__home_keys[id];
  const char *name = r->h->flat ? key->flat : key->name;
  const cmt__toml_node *n;

  if (r->h->config == NULL || name == NULL ||
      (id == CMT__HOME_CHAIN_ID && !r->h->flat)) {
    return;
  }
  n = node_of(r->h->config, name);
  if (n == NULL) {
    return;
  }
  r->sources[id] = (cmt__home_source){
    .origin = CMT__HOME_FILE,
    .line = n->line,
    .given = {.kind = n->kind,
              .text = n->text,
              .integer = n->integer,
              .flag = n->flag},
  };
}

/* ---- the environment ---- */

/* The value of the variable |name|; NULL: it has none, or an empty one. */
static const char *variable(const cmt_home_options *o, const char *name) {
  size_t len = strlen(name);

  for (size_t i = 0; o->environment != NULL && o->environment[i] != NULL; i++) {
    const char *one = o->environment[i];

    if (strncmp(one, name, len) == 0 && one[len] == '=') {
      return one[len + 1] != '\0' ? one + len + 1 : NULL;
    }
  }
  return NULL;
}

/* The name of a key in the environment, behind |front|. */
static void variable_name(const char *front, const char *key, char *out,
                          size_t cap) {
  size_t len = (size_t)snprintf(out, cap, "%s", front);

  for (; *key != '\0' && len < cap - 1; key++) {
    out[len++] = (char)(*key == '.' || *key == '-'   ? '_'
                        : *key >= 'a' && *key <= 'z' ? *key - 'a' + 'A'
                                                     : *key);
  }
  out[len < cap ? len : cap - 1] = '\0';
}

/* What the names of a daemon's variables begin with; |prefix| may be its own
   name, as in Go. */
static void front_of(const char *prefix, char *out, size_t cap) {
  variable_name("", prefix, out, cap - 1);
  memcpy(out + strlen(out), "_", sizeof "_");
}

/* The variables of a key, of which the first that is set counts: that of the
   daemon, and those of CometBFT, where the one without an underscore wins. */
static void from_environment(cmt__home_reading *r, cmt__home_key_id id) {
  const char *prefix = r->options->env_prefix;
  const char *key = cmt__home_keys[id].name;
  char names[3][VARIABLE_SIZE], front[VARIABLE_SIZE / 2];

  if (id == CMT__HOME_CHAIN_ID) {
    return;
  }
  names[0][0] = '\0';
  if (prefix != NULL) {
    front_of(prefix, front, sizeof front);
    variable_name(front, key, names[0], sizeof names[0]);
  }
  variable_name("CMT", key, names[1], sizeof names[1]);
  variable_name("CMT_", key, names[2], sizeof names[2]);
  for (size_t i = 0; i < CMT__COUNT(names); i++) {
    const char *value =
      names[i][0] != '\0' ? variable(r->options, names[i]) : NULL;

    if (value != NULL) {
      take_text(r, id, CMT__HOME_VARIABLE, value);
      take_name(r, id, names[i]);
      return;
    }
  }
}

/* A name of [p2p] or [instrumentation] that no key has is most likely
   misspelled. */
static bool is_misspelled(const char *one, const char *front) {
  static const char *const sections[] = {"P2P_", "INSTRUMENTATION_"};
  static const char *const known[] = {"P2P_LIBP2P_", "P2P_TEST_", "P2P_UPNP="};
  char name[VARIABLE_SIZE];
  bool of_section = false;

  if (strncmp(one, front, strlen(front)) != 0) {
    return false;
  }
  one += strlen(front);
  for (size_t i = 0; i < CMT__COUNT(sections); i++) {
    of_section =
      of_section || strncmp(one, sections[i], strlen(sections[i])) == 0;
  }
  for (size_t i = 0; i < CMT__COUNT(known); i++) {
    of_section = of_section && strncmp(one, known[i], strlen(known[i])) != 0;
  }
  for (size_t id = 0; id < CMT__HOME_KEY_COUNT && of_section; id++) {
    size_t len;

    variable_name("", cmt__home_keys[id].name, name, sizeof name);
    len = strlen(name);
    of_section = strncmp(one, name, len) != 0 || one[len] != '=';
  }
  return of_section;
}

static void warn_variables(const cmt__home_reading *r) {
  const cmt_home_options *o = r->options;
  char front[VARIABLE_SIZE / 2], name[VARIABLE_SIZE];

  front_of(o->env_prefix != NULL ? o->env_prefix : "CMT", front, sizeof front);
  for (size_t i = 0; o->environment != NULL && o->environment[i] != NULL; i++) {
    const char *one = o->environment[i];

    if (is_misspelled(one, "CMT_") || is_misspelled(one, front)) {
      cmt_bytes shown = {.base = (const uint8_t *)one,
                         .len = strcspn(one, "=")};

      cmt__home_warn(r->h, "variable %s is not known and has no effect",
                     cmt__quote(shown, name, sizeof name));
    }
  }
}

/* ---- the program ---- */

static void from_program(cmt__home_reading *r) {
  const cmt_home_options *o = r->options;
  char shown[80];

  for (size_t i = 0; i < o->value_count; i++) {
    const cmt_home_value *v = &o->values[i];
    bool found = false;

    for (size_t id = 0; id < CMT__HOME_KEY_COUNT && v->key != NULL; id++) {
      if (strcmp(cmt__home_keys[id].name, v->key) == 0) {
        take_text(r, (cmt__home_key_id)id, CMT__HOME_OVERRIDE,
                  v->value != NULL ? v->value : "");
        take_name(r, (cmt__home_key_id)id, v->name);
        found = true;
      }
    }
    if (!cmt__reserved_are_zero(v->reserved, CMT__COUNT(v->reserved))) {
      cmt__home_mistake(r, "--%s: a reserved word is set",
                        cmt__quote(cmt_bytes_of(v->key), shown, sizeof shown));
    } else if (!found) {
      cmt__home_mistake(r, "--%s is no key of config.toml that is read",
                        cmt__quote(cmt_bytes_of(v->key), shown, sizeof shown));
    }
  }
}

void cmt__home_find_sources(cmt__home_reading *r) {
  for (cmt__home_key_id id = 0; id < CMT__HOME_KEY_COUNT; id++) {
    from_default(r, id);
    from_file(r, id);
    from_environment(r, id);
  }
  from_program(r);
  warn_variables(r);
}

void cmt__home_read_values(cmt__home_reading *r) {
  cmt__home_fault f;

  for (cmt__home_key_id id = 0; id < CMT__HOME_KEY_COUNT; id++) {
    const cmt__home_source *source = &r->sources[id];
    bool absent =
      id == CMT__HOME_CHAIN_ID && source->origin != CMT__HOME_OVERRIDE &&
      source->given.kind == CMT__TOML_STRING && source->given.text.len == 0;

    r->h->values[id] = (cmt__home_value){.text = ""};
    if (!absent && !cmt__home_value_read(&cmt__home_keys[id], &source->given,
                                         &r->h->values[id], &f)) {
      cmt__home_refuse(r, id, &f);
    }
  }
}
