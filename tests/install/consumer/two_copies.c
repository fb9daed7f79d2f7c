/* SPDX-License-Identifier: Apache-2.0 */

/* A program of libcometp2p with a plugin of libcometp2p-core, which makes a
   handshake: prints which library each of them calls. */

#include <cometp2p/switch.h>

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const void *plugin_copy(void);
const void *program_copy(void);
int plugin_main(void);

/* Prints the name of the library that |p| lies in. */
static void library_print(const void *p, const char *end) {
  Dl_info info;
  const char *name = "?";

  if (dladdr(p, &info) != 0) {
    name = strrchr(info.dli_fname, '/');
    name = name != NULL ? name + 1 : info.dli_fname;
  }
  printf("%.*s%s", (int)(strstr(name, ".so") - name) + 3, name, end);
}

int main(void) {
  cmt_node_key *key;
  cmt_err err = cmt_node_key_generate(NULL, &key);

  if (err == CMT_OK) {
    cmt_node_key_delete(key);
  }
  printf("%s\n", cmt_err_name(err));
  fflush(stdout);
  if (plugin_main() != 0) {
    return 1;
  }
  library_print(program_copy(), " ");
  library_print(plugin_copy(), "\n");
  return 0;
}
