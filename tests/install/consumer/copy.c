/* SPDX-License-Identifier: Apache-2.0 */

/* The program and its plugin both have this file; COPY is another name in each.
 */

#include <cometp2p/err.h>

const void *COPY(void);

/* An address in the library whose core this object calls: that of a text. */
const void *COPY(void) { return cmt_err_name(CMT_OK); }
