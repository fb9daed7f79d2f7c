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

#endif
