/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_PRELOAD_CALLS_H
#define CMT_PRELOAD_CALLS_H

/* System calls of the whole process, of libuv too, counted and made to fail.
   The functions lie in the test's executable, which the dynamic linker asks
   first; each hands on to the next of its name, that of a sanitizer or of the C
   library.

   Besides, the clocks of the process may be made to jump: as soon as every loop
   waits, nothing has arrived for a while and no socket has bytes that are on
   their way, it is the time of the earliest timer. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum pre_call {
  PRE_RECV,
  PRE_SEND,
  PRE_ACCEPT,
  PRE_CONNECT,
  PRE_SOCKET,
  PRE_BIND,
  PRE_LISTEN,
  PRE_SO_ERROR, /* getsockopt() for the outcome of a connect. */
  PRE_OPTION,   /* setsockopt(). */
  PRE_SHUTDOWN,
  PRE_EPOLL_WAIT,  /* And epoll_pwait(). */
  PRE_EPOLL_ADD,   /* By which libuv asks whether a descriptor can be polled. */
  PRE_EPOLL_NEW,   /* epoll_create1(). */
  PRE_EVENT_NEW,   /* eventfd(). */
  PRE_EVENT_READ,  /* read() of what that gave, */
  PRE_EVENT_WRITE, /* and write(). */
  PRE_THREAD,      /* pthread_create(). */
  PRE_RESOLVE,     /* getaddrinfo(): the error is one of its own. */
  PRE_CALL_COUNT
} pre_call;

typedef enum pre_effect {
  PRE_INSTEAD,  /* Nothing is called. */
  PRE_AFTER,    /* It is called all the same, and what it gave is lost. */
  PRE_SHORT,    /* A byte at most is read or written; no error. */
  PRE_END,      /* The end of the stream is read; no error. */
  PRE_SPURIOUS, /* Everything is reported as ready; no error. */
} pre_effect;

typedef struct pre_plan {
  pre_call call;
  size_t at;    /* The first that fails, from 0, */
  size_t times; /* and how many do. */
  pre_effect effect;
  int error; /* The errno. */
} pre_plan;

extern const char *const pre_call_names[PRE_CALL_COUNT];

/* "send 7 fails 3 times: EAGAIN", cut to fit; returns |out|. */
const char *pre_plan_text(const pre_plan *p, char *out, size_t cap);
/* For a program that cannot go on: prints why and the plan, and ends it with
   exit code 3.  Any thread. */
_Noreturn void pre_die(const char *what, const char *file, int line);
#define PRE_CHECK(cond) ((cond) ? (void)0 : pre_die(#cond, __FILE__, __LINE__))
/* Dies when the test has not come back within |seconds|; 0: it has. */
void pre_watch(unsigned seconds);

/* Counts from 0 again.  |plan| NULL: nothing fails. */
void pre_begin(const pre_plan *plan);
/* As it was before: nothing is counted and time passes as it does. */
void pre_end(void);

size_t pre_calls(pre_call call); /* So far, */
size_t pre_faults(void);         /* and how many failed. */

/* |hook| is called just before a call fails, on the thread that makes it. */
void pre_on_fault(void (*hook)(void *arg), void *arg);

/* Lets the clocks jump when this many loops wait and no name is being resolved;
   0: they do not. */
void pre_warp(size_t loops);
/* CLOCK_MONOTONIC as everybody sees it, in nanoseconds. */
uint64_t pre_now(void);

#endif
