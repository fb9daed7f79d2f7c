/* SPDX-License-Identifier: Apache-2.0 */

/* The tables of a TOML file.  Whatever is defined twice is a fault, by the
   rules of TOML 1.0: a header opens a table once, a dotted key adds only to
   tables that dotted keys made, and what stands in braces
   or brackets is complete. */

#include "toml_scan.h"

enum { NODES_FIRST = 64, NAME_SHOWN = 60 };

static cmt__toml_node *node_at(cmt__toml *t, uint32_t index) {
  return &t->nodes[index];
}

const cmt__toml_node *cmt__toml_first(const cmt__toml *t,
                                      const cmt__toml_node *n) {
  return n->first != 0 ? &t->nodes[n->first] : NULL;
}

const cmt__toml_node *cmt__toml_next(const cmt__toml *t,
                                     const cmt__toml_node *n) {
  return n->next != 0 ? &t->nodes[n->next] : NULL;
}

/* ---- nodes ---- */

/* Adds a child to |parent|; 0: a fault, and without a text the memory is what
   lacks. */
static uint32_t node_add(cmt__toml_scan *s, uint32_t parent, cmt_bytes name) {
  cmt__toml *t = s->doc;
  uint32_t index = (uint32_t)t->count;
  void *items = t->nodes;

  if (t->count == CMT__TOML_NODES_MAX) {
    cmt__toml_fail(s, "there are more than %d keys and values",
                   CMT__TOML_NODES_MAX);
    return 0;
  }
  if (t->count == t->cap &&
      !cmt__grow(&t->env, &items, &t->cap, sizeof *t->nodes, NODES_FIRST)) {
    cmt__toml_fail(s, "%s", "");
    return 0;
  }
  t->nodes = items;
  t->nodes[t->count++] = (cmt__toml_node){.name = name, .line = s->line};
  if (node_at(t, parent)->last != 0) {
    node_at(t, node_at(t, parent)->last)->next = index;
  } else {
    node_at(t, parent)->first = index;
  }
  node_at(t, parent)->last = index;
  return index;
}

static uint32_t node_find(const cmt__toml *t, uint32_t parent, cmt_bytes name) {
  uint32_t at = t->nodes[parent].first;

  while (at != 0 &&
         (t->nodes[at].name.len != name.len ||
          memcmp(t->nodes[at].name.base, name.base, name.len) != 0)) {
    at = t->nodes[at].next;
  }
  return at;
}

static uint32_t table_add(cmt__toml_scan *s, uint32_t parent, cmt_bytes name,
                          cmt__toml_origin origin) {
  uint32_t index = node_add(s, parent, name);

  if (index != 0) {
    node_at(s->doc, index)->kind = CMT__TOML_TABLE;
    node_at(s->doc, index)->origin = origin;
  }
  return index;
}

static uint32_t defined_before(cmt__toml_scan *s, const cmt__toml_node *n) {
  char name[NAME_SHOWN];

  cmt__toml_fail(s, "'%s' is already defined, in line %u",
                 cmt__quote(n->name, name, sizeof name), n->line);
  return 0;
}

/* ---- headers ---- */

/* The table |name| of |parent| on the way to the table of a header. */
static uint32_t header_step(cmt__toml_scan *s, uint32_t parent,
                            cmt_bytes name) {
  uint32_t index = node_find(s->doc, parent, name);
  const cmt__toml_node *n;

  if (index == 0) {
    return table_add(s, parent, name, CMT__TOML_IMPLIED);
  }
  n = node_at(s->doc, index);
  if (n->kind == CMT__TOML_ARRAY && n->origin == CMT__TOML_LIST) {
    return n->last;
  }
  if (n->kind != CMT__TOML_TABLE || n->origin == CMT__TOML_INLINE) {
    return defined_before(s, n);
  }
  return index;
}

static uint32_t open_table(cmt__toml_scan *s, uint32_t parent, cmt_bytes name) {
  uint32_t index = node_find(s->doc, parent, name);
  cmt__toml_node *n;

  if (index == 0) {
    return table_add(s, parent, name, CMT__TOML_HEADER);
  }
  n = node_at(s->doc, index);
  if (n->kind != CMT__TOML_TABLE || n->origin != CMT__TOML_IMPLIED) {
    return defined_before(s, n);
  }
  n->origin = CMT__TOML_HEADER;
  n->line = s->line;
  return index;
}

static uint32_t open_element(cmt__toml_scan *s, uint32_t parent,
                             cmt_bytes name) {
  uint32_t list = node_find(s->doc, parent, name);

  if (list == 0) {
    list = node_add(s, parent, name);
    if (list == 0) {
      return 0;
    }
    node_at(s->doc, list)->kind = CMT__TOML_ARRAY;
    node_at(s->doc, list)->origin = CMT__TOML_LIST;
  }
  if (node_at(s->doc, list)->kind != CMT__TOML_ARRAY ||
      node_at(s->doc, list)->origin != CMT__TOML_LIST) {
    return defined_before(s, node_at(s->doc, list));
  }
  return table_add(s, list, (cmt_bytes){.len = 0}, CMT__TOML_HEADER);
}

/* Reads [name] or [[name]], and leaves the table that it opens in |*table|. */
static bool read_header(cmt__toml_scan *s, uint32_t *table) {
  bool element;
  cmt__toml_key key;
  uint32_t at = 0;

  s->at++;
  element = cmt__toml_accept(s, '[');
  if (!cmt__toml_read_key(s, &key)) {
    return false;
  }
  if (!cmt__toml_accept(s, ']') || (element && !cmt__toml_accept(s, ']'))) {
    return cmt__toml_fail(s, "the name of a table has no closing %s",
                          element ? "]]" : "]");
  }
  for (size_t i = 0; i + 1 < key.count; i++) {
    at = header_step(s, at, key.parts[i]);
    if (at == 0) {
      return false;
    }
  }
  *table = element ? open_element(s, at, key.parts[key.count - 1])
                   : open_table(s, at, key.parts[key.count - 1]);
  return *table != 0 && cmt__toml_line_end(s);
}

/* ---- keys and values ---- */

static bool read_pair(cmt__toml_scan *s, uint32_t table);
static bool read_value(cmt__toml_scan *s, uint32_t index);

/* The table |name| of |parent| on the way to the last name of a dotted key. */
static uint32_t dotted_step(cmt__toml_scan *s, uint32_t parent,
                            cmt_bytes name) {
  uint32_t index = node_find(s->doc, parent, name);
  cmt__toml_node *n;

  if (index == 0) {
    return table_add(s, parent, name, CMT__TOML_DOTTED);
  }
  n = node_at(s->doc, index);
  if (n->kind == CMT__TOML_TABLE && n->origin == CMT__TOML_IMPLIED) {
    n->origin = CMT__TOML_DOTTED;
    return index;
  }
  if (n->kind != CMT__TOML_TABLE || n->origin != CMT__TOML_DOTTED) {
    return defined_before(s, n);
  }
  return index;
}

static bool nest(cmt__toml_scan *s) {
  return ++s->depth <= CMT__TOML_DEPTH_MAX ||
         cmt__toml_fail(s, "values lie in each other more than %d deep",
                        CMT__TOML_DEPTH_MAX);
}

/* The list that begins in line |begin| goes to the end of the file. */
static bool list_unclosed(cmt__toml_scan *s, uint32_t begin) {
  s->line = begin;
  return cmt__toml_fail(s, "the list has no closing ]");
}

static bool read_array(cmt__toml_scan *s, uint32_t index) {
  uint32_t begin = s->line, element;

  s->at++;
  if (!nest(s) || !cmt__toml_space(s)) {
    return false;
  }
  while (!cmt__toml_accept(s, ']')) {
    if (s->at == s->end) {
      return list_unclosed(s, begin);
    }
    element = node_add(s, index, (cmt_bytes){.len = 0});
    if (element == 0 || !read_value(s, element) || !cmt__toml_space(s)) {
      return false;
    }
    if (!cmt__toml_accept(s, ',')) {
      if (cmt__toml_accept(s, ']')) {
        break;
      }
      return s->at == s->end ? list_unclosed(s, begin)
                             : cmt__toml_fail(s, "expected , or ] in a list");
    }
    if (!cmt__toml_space(s)) {
      return false;
    }
  }
  s->depth--;
  return true;
}

static bool read_inline(cmt__toml_scan *s, uint32_t index) {
  s->at++;
  cmt__toml_blanks(s);
  if (!nest(s)) {
    return false;
  }
  if (!cmt__toml_accept(s, '}')) {
    do {
      if (!read_pair(s, index)) {
        return false;
      }
      cmt__toml_blanks(s);
    } while (cmt__toml_accept(s, ','));
    if (!cmt__toml_accept(s, '}')) {
      return cmt__toml_fail(s,
                            "expected , or } in an inline table, on the same "
                            "line");
    }
  }
  s->depth--;
  return true;
}

static bool read_value(cmt__toml_scan *s, uint32_t index) {
  cmt__toml_node n = {.kind = CMT__TOML_STRING};
  int first = cmt__toml_peek(s);
  bool read;

  if (first == '[' || first == '{') {
    node_at(s->doc, index)->kind =
      first == '[' ? CMT__TOML_ARRAY : CMT__TOML_TABLE;
    node_at(s->doc, index)->origin = CMT__TOML_INLINE;
    return first == '[' ? read_array(s, index) : read_inline(s, index);
  }
  read = first == '"' || first == '\'' ? cmt__toml_read_string(s, &n.text)
                                       : cmt__toml_read_scalar(s, &n);
  if (read) {
    cmt__toml_node *to = node_at(s->doc, index);

    to->kind = n.kind;
    to->text = n.text;
    to->integer = n.integer;
    to->flag = n.flag;
  }
  return read;
}

/* Reads "key = value" into |table|. */
static bool read_pair(cmt__toml_scan *s, uint32_t table) {
  cmt__toml_key key;
  uint32_t index;
  cmt_bytes last;
  char name[NAME_SHOWN];

  if (!cmt__toml_read_key(s, &key)) {
    return false;
  }
  last = key.parts[key.count - 1];
  if (!cmt__toml_accept(s, '=')) {
    return cmt__toml_fail(s, "'%s' has no = behind it",
                          cmt__quote(last, name, sizeof name));
  }
  for (size_t i = 0; i + 1 < key.count; i++) {
    table = dotted_step(s, table, key.parts[i]);
    if (table == 0) {
      return false;
    }
  }
  index = node_find(s->doc, table, last);
  if (index != 0) {
    return defined_before(s, node_at(s->doc, index)) != 0;
  }
  index = node_add(s, table, last);
  cmt__toml_blanks(s);
  return index != 0 && read_value(s, index);
}

/* ---- files ---- */

static bool read_file(cmt__toml_scan *s) {
  uint32_t table = 0;

  while (cmt__toml_space(s) && s->at < s->end) {
    bool read = cmt__toml_peek(s) == '['
                  ? read_header(s, &table)
                  : read_pair(s, table) && cmt__toml_line_end(s);

    if (!read) {
      break;
    }
  }
  return s->fault->line == 0;
}

static cmt__toml *toml_new(const cmt_env *env, cmt_bytes text) {
  cmt__toml *t = cmt__alloc_zero(env, sizeof *t);

  if (t == NULL) {
    return NULL;
  }
  t->env = *env;
  t->texts_cap = text.len + 1;
  t->texts = cmt__alloc(env, t->texts_cap);
  t->cap = NODES_FIRST;
  t->nodes = cmt__alloc_zero(env, t->cap * sizeof *t->nodes);
  if (t->texts == NULL || t->nodes == NULL) {
    cmt__toml_delete(t);
    return NULL;
  }
  t->nodes[0] = (cmt__toml_node){
    .kind = CMT__TOML_TABLE, .origin = CMT__TOML_HEADER, .line = 1};
  t->count = 1;
  return t;
}

void cmt__toml_delete(cmt__toml *t) {
  cmt_env env;

  if (t == NULL) {
    return;
  }
  env = t->env;
  cmt__free(&env, t->nodes);
  cmt__free(&env, t->texts);
  cmt__free(&env, t);
}

cmt_err cmt__toml_parse(const cmt_env *env, cmt_bytes text, cmt__toml **out,
                        cmt__toml_fault *fault) {
  cmt__toml_scan s = {.at = text.base, .line = 1, .fault = fault};

  *out = NULL;
  *fault = (cmt__toml_fault){.line = 0};
  if (text.len > CMT__TOML_SIZE_MAX) {
    cmt__toml_fail(&s, "the file is larger than 1 MiB");
    return CMT_EINVAL;
  }
  s.doc = toml_new(env, text);
  if (s.doc == NULL) {
    return CMT_ENOMEM;
  }
  s.end = text.len > 0 ? text.base + text.len : text.base;
  if (text.len >= 3 && memcmp(text.base, "\xef\xbb\xbf", 3) == 0) {
    s.at += 3;
  }
  if (!read_file(&s)) {
    cmt__toml_delete(s.doc);
    return fault->text[0] == '\0' ? CMT_ENOMEM : CMT_EINVAL;
  }
  *out = s.doc;
  return CMT_OK;
}
