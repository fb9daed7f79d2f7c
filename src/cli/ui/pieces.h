/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PIECES_H
#define CLI_PIECES_H

/* Text of a peer on its way to the output, escaped a piece at a time: six times
   its length, as JSON may need, is never in memory besides the output's own. */

#include "output.h"

#include <cometp2p/buf.h>

/* Adds |text| to the line that is being added, as cmt_text_escape() writes
   it. */
void cli_put_escaped(cli_output *o, cmt_bytes text);

/* Adds |text| as a JSON string with its quotes, in ASCII: as it is when it is
   UTF-8, escaped as above when not. */
void cli_put_json_text(cli_output *o, cmt_bytes text);

#endif
