/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__NODE_KEY_JSON_H
#define CMT__NODE_KEY_JSON_H

/* Reads the JSON of a key file where it lies.  Nothing is copied and nothing is
   allocated, so the caller wipes one buffer and no text of a secret is left.
   docs/PROTOCOL.md 1.2. */

#include "json.h"

/* The content of a string, with its escapes; |base| is NULL: there is none. */
typedef cmt_bytes cmt__key_string;

/* The members of priv_key in a key file.  When a member occurs twice the last
   one counts. */
typedef struct cmt__key_members {
  cmt__key_string type, value, data;
  bool has_pub_key; /* Beside priv_key, as in the file of a validator. */
} cmt__key_members;

/* False: |text| is no JSON object or array. */
bool cmt__key_json_read(cmt_bytes text, cmt__key_members *out);

/* Writes |s| without its escapes to |out|, cut to |cap| - 1 bytes and with a
   NUL; returns its whole length. */
size_t cmt__key_json_text(cmt__key_string s, char *out, size_t cap);

#endif
