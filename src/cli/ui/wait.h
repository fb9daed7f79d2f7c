/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WAIT_H
#define CLI_WAIT_H

/* The one place where the main thread waits: for SIGINT, SIGTERM and SIGHUP,
   and for the other threads, which wake it. */

#include <stdbool.h>
#include <stdint.h>

typedef struct cli_waiter {
  int signal_fd, event_fd;
  bool interrupted; /* A signal came; it stays set. */
  int signal;       /* The first of them; 0: none. */
} cli_waiter;

/* Handles the signals and blocks them in this thread and all it starts.  A
   signal that is ignored already, as nohup and a shell's background jobs have
   it, stays ignored.  False: errno. */
bool cli_waiter_init(cli_waiter *w);
void cli_waiter_fini(cli_waiter *w);

/* Ends the present or next wait; from any thread. */
void cli_waiter_wake(const cli_waiter *w);

/* A signal that came was no end: the next one counts again. */
void cli_waiter_forget(cli_waiter *w);

/* Waits at most |timeout_ns|; true when a signal came in this wait. */
bool cli_waiter_wait(cli_waiter *w, uint64_t timeout_ns);

/* As cli_waiter_wait(), and for |events| of poll() on |fd|; |*ready| gets what
 * came.
 */
bool cli_waiter_wait_fd(cli_waiter *w, uint64_t timeout_ns, int fd,
                        short events, short *ready);

/* Ends the process by |w->signal|, as if it had not been handled, so that a
   shell sees the signal. */
void cli_waiter_die(const cli_waiter *w);

#endif
