/* SPDX-License-Identifier: Apache-2.0 */
/* A piece of UTF-8 ends before a byte that begins a character, so that pieces
   are valid where the whole is, and only there. */

#include "pieces.h"

#include "cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1024, CHARACTER = 4 };

static cmt_bytes take(cmt_bytes *text, size_t len) {
  cmt_bytes piece = {text->base, len};

  text->base += len;
  text->len -= len;
  return piece;
}

static cmt_bytes take_any(cmt_bytes *text) {
  return take(text, text->len < PIECE ? text->len : PIECE);
}

static cmt_bytes take_utf8(cmt_bytes *text) {
  size_t len = PIECE;

  if (text->len <= PIECE) {
    return take(text, text->len);
  }
  while (len > PIECE - CHARACTER && (text->base[len] & 0xc0) == 0x80) {
    len--;
  }
  return take(text, len);
}

static json_t *json_piece(cmt_bytes piece) {
  return json_stringn((const char *)piece.base, piece.len);
}

static bool is_utf8(cmt_bytes text) {
  while (text.len > 0) {
    json_t *piece = json_piece(take_utf8(&text));

    if (piece == NULL) {
      return false;
    }
    json_decref(piece);
  }
  return true;
}

/* Adds what is between the quotes of |piece|, which it releases. */
static void put_json(cli_output *o, json_t *piece) {
  char *text = piece == NULL
                 ? NULL
                 : json_dumps(piece, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
  size_t len = text == NULL ? 0 : strlen(text);

  if (len > 2) {
    cli_output_piece(o, text + 1, len - 2);
  }
  free(text);
  json_decref(piece);
}

static size_t escape_piece(cmt_bytes *text, char out[4 * PIECE + 1]) {
  cmt_text_escape(take_any(text), out, 4 * PIECE + 1);
  return strlen(out);
}

void cli_put_escaped(cli_output *o, cmt_bytes text) {
  char shown[4 * PIECE + 1];

  while (text.len > 0) {
    size_t len = escape_piece(&text, shown);

    cli_output_piece(o, shown, len);
  }
}

void cli_put_json_text(cli_output *o, cmt_bytes text) {
  bool utf8 = is_utf8(text);
  char shown[4 * PIECE + 1];

  cli_output_piece(o, "\"", 1);
  while (text.len > 0) {
    if (utf8) {
      put_json(o, json_piece(take_utf8(&text)));
    } else {
      size_t len = escape_piece(&text, shown);

      put_json(o, json_stringn(shown, len));
    }
  }
  cli_output_piece(o, "\"", 1);
}
