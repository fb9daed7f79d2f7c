/* SPDX-License-Identifier: Apache-2.0 */

#include "go_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* These three occur inside of strings alone. */
static size_t copy_escaped(const char *text, char *out) {
  static const char special[] = "<>&";
  size_t len = 0;

  for (; *text != '\0'; text++) {
    if (strchr(special, *text) == NULL) {
      out[len++] = *text;
    } else {
      len += (size_t)snprintf(out + len, 7, "\\u%04x", (unsigned)*text);
    }
  }
  return len;
}

char *cli_go_json(json_t *all, size_t flags) {
  char *text = all != NULL ? json_dumps(all, JSON_COMPACT | flags) : NULL;
  char *out = text != NULL ? malloc(6 * strlen(text) + 1) : NULL;

  if (out != NULL) {
    out[copy_escaped(text, out)] = '\0';
  }
  free(text);
  json_decref(all);
  return out;
}
