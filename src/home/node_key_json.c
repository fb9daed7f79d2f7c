/* SPDX-License-Identifier: Apache-2.0 */

/* The members of a key file. */

#include "node_key_json.h"

static bool key_member(cmt__json *c, const char *name, void *arg) {
  cmt__key_members *out = arg;
  cmt__key_string ignored, *into = &ignored;

  if (strcmp(name, "type") == 0) {
    into = &out->type;
  } else if (strcmp(name, "value") == 0) {
    into = &out->value;
  } else if (strcmp(name, "data") == 0) {
    into = &out->data;
  }
  *into = (cmt__key_string){0};
  return cmt__json_peek(c) == '"' ? cmt__json_string(c, into)
                                  : cmt__json_skip(c);
}

static bool root_member(cmt__json *c, const char *name, void *arg) {
  cmt__key_members *out = arg;
  if (strcmp(name, "priv_key") == 0) {
    *out = (cmt__key_members){.has_pub_key = out->has_pub_key};
    return cmt__json_peek(c) == '{' ? cmt__json_object(c, key_member, out)
                                    : cmt__json_skip(c);
  }
  out->has_pub_key = out->has_pub_key || strcmp(name, "pub_key") == 0;
  return cmt__json_skip(c);
}

bool cmt__key_json_read(cmt_bytes text, cmt__key_members *out) {
  cmt__json c = cmt__json_begin(text);
  bool read;

  *out = (cmt__key_members){.has_pub_key = false};
  read = cmt__json_peek(&c) == '{'
           ? cmt__json_object(&c, root_member, out)
           : cmt__json_peek(&c) == '[' && cmt__json_skip(&c);
  return read && cmt__json_peek(&c) == -1;
}

size_t cmt__key_json_text(cmt__key_string s, char *out, size_t cap) {
  return cmt__json_text(s, out, cap);
}
