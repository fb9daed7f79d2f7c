/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPTION_ROWS_H
#define CLI_OPTION_ROWS_H

/* The table of all options. */

#include "options.h"

typedef struct cli_option_row {
  const char *name;
  const char *value; /* NULL: it has no value. */
  unsigned verbs;
  /* Reads the value; NULL: the value goes as it is to a field of the options,
     or, without one, it overrides the key of a home that is called like it. */
  bool (*set)(cli_options *o, const char *value);
  size_t text, flag; /* Where that field is; a text must not be empty. */
  const char *help;
} cli_option_row;

extern const cli_option_row cli_option_rows[];
extern const size_t cli_option_row_count;

/* Sets what the option says; false: |o->fault| states what is allowed. */
bool cli_option_set(cli_options *o, const cli_option_row *row,
                    const char *value);

#endif
