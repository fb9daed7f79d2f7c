/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_FAULTS_H
#define CLI_FAULTS_H

/* What is wrong with folders of --homes, as it was logged, so that each fault
   is logged once and a home is not read again until something has changed. */

#include "cli/ui/cli.h"

typedef struct cli_fault {
  char *dir, *text;
  uint64_t stamp; /* As its files were before they were read. */
  unsigned looks; /* Since then. */
  bool twin;      /* Another home has its chain, until the end. */
} cli_fault;

typedef struct cli_faults {
  cli_fault *list;
  size_t count;
} cli_faults;

/* Differs when a file of the home |dir| has come, gone or changed; |config| is
   one more of them, or NULL. */
uint64_t cli_faults_stamp(const char *dir, const char *config);
/* Notes the fault of |dir|, whose stamp was taken before it was read.  False:
   that was its last one already. */
bool cli_faults_note(cli_faults *f, const char *dir, uint64_t stamp,
                     const cmt_why *why);
/* The folder has a fault, and its stamp is still the same.  One whose fault may
   lie elsewhere is to be tried again at times, which is false then. */
bool cli_faults_hold(cli_faults *f, const char *dir, uint64_t stamp);
void cli_faults_fini(cli_faults *f);

#endif
