/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HOME_H
#define CLI_HOME_H

/* The home directory of a verb. */

#include "options.h"

/* The folder of --home, else of the variable CMTHOME, else of TMHOME with a
   warning, else ~/.cometbft.  NULL: a line was printed. */
const char *cli_home_dir(cli_options *o);

/* Opens the home |dir| with the environment of the process. */
CMT_NODISCARD cmt_err cli_home_open(const cli_options *o, const cmt_env *env,
                                    const char *dir, cmt_home **out,
                                    cmt_why *why);

/* When opening the home |dir| failed for lack of files, and none of a home is
   there, |why| says that, and how to make one. */
void cli_home_explain(const char *dir, cmt_why *why);

/* The system's environment of a verb that runs and ends: lines of the log up to
   |o->log_level| go to standard error. */
CMT_NODISCARD cmt_err cli_home_env(cli_options *o, cmt_env *env, cmt_why *why);

/* Prints the id of |key|, which |file| has; the exit code.  The key never
   reaches a stream. */
int cli_home_print_id(const cli_options *o, const cmt_node_key *key,
                      const char *file);

#endif
