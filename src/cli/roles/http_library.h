/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HTTP_LIBRARY_H
#define CLI_HTTP_LIBRARY_H

/* libmicrohttpd, loaded by the first server: it brings GnuTLS and what that
   needs, 2.4 MiB of memory, which a process without pages does without. */

#include <cometp2p/err.h>

#include <microhttpd.h>

#define CLI_HTTP_LIBRARY(X)                                                    \
  X(add_response_header)                                                       \
  X(create_response_from_buffer)                                               \
  X(create_response_from_callback)                                             \
  X(destroy_response)                                                          \
  X(get_daemon_info)                                                           \
  X(get_timeout)                                                               \
  X(lookup_connection_value)                                                   \
  X(queue_response)                                                            \
  X(run)                                                                       \
  X(start_daemon)                                                              \
  X(stop_daemon)

/* Its functions, without "MHD_". */
typedef struct cli_http_library {
#define CLI_HTTP_FIELD(name) __typeof__(MHD_##name) *name;
  CLI_HTTP_LIBRARY(CLI_HTTP_FIELD)
#undef CLI_HTTP_FIELD
} cli_http_library;

/* Every call returns one object; NULL: |why| says why it cannot be loaded.
   For one thread at a time. */
const cli_http_library *cli_http_library_load(cmt_why *why);

#endif
