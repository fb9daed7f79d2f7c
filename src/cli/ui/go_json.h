/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_GO_JSON_H
#define CLI_GO_JSON_H

#include <jansson.h>

/* |all| as Go's encoder writes it, compact and with <, > and & as codes; drops
   the reference.  The caller frees the text; NULL: no memory. */
char *cli_go_json(json_t *all, size_t flags);

#endif
