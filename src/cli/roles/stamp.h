/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_STAMP_H
#define CLI_STAMP_H

/* A number that differs when one of some files has come, gone or changed. */

#include <stdbool.h>
#include <stdint.h>

/* The stamp of the files so far and |path|, which need not exist; the first
   |stamp| is 0.  |attributes|: a new mode, owner or link is a change as well.
 */
uint64_t cli_stamp_add(uint64_t stamp, const char *path, bool attributes);

#endif
