/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__HOME_IMPL_H
#define CMT__HOME_IMPL_H

/* A home, and how it is read. */

#include "home_values.h"

#include <cometp2p/home.h>

#include "genesis.h"

/* What a name in the environment has before the key, at most. */
enum { CMT__HOME_PREFIX_MAX = 60 };

/* A text that lives as long as its home. */
typedef struct cmt__home_text {
  struct cmt__home_text *next;
  char text[];
} cmt__home_text;

struct cmt_home {
  cmt_env env;
  const char *dir;
  cmt__toml *config; /* NULL: there is no file. */
  const char *config_file;
  bool flat; /* A file of tenderseed. */
  cmt__home_value values[CMT__HOME_KEY_COUNT];
  cmt__home_text *texts;
  cmt_net_addr *seeds, *persistent_peers;
  cmt_node_id *unconditional, *private;
  char chain_id[CMT__CHAIN_ID_SIZE];      /* Empty until it was loaded. */
  char announced[CMT_NET_ADDR_TEXT_SIZE]; /* See home_switch.c. */
  char listened[CMT_NET_ADDR_TEXT_SIZE];
  cmt_home_settings settings;
};

/* Where the value of a key comes from. */
typedef enum cmt__home_origin {
  CMT__HOME_DEFAULT,
  CMT__HOME_FILE,
  CMT__HOME_VARIABLE,
  CMT__HOME_OVERRIDE, /* |values| of the options. */
} cmt__home_origin;

typedef struct cmt__home_source {
  cmt__home_origin origin;
  const char *name; /* The variable, or what the program calls its value;
                       NULL: as its key. */
  uint32_t line;    /* In the file. */
  cmt__home_given given;
} cmt__home_source;

/* The reading of a home. */
typedef struct cmt__home_reading {
  cmt_home *h;
  const cmt_home_options *options;
  cmt_why *why;
  size_t mistakes; /* The first is in |why|, the others are logged. */
  bool no_memory;
  cmt__home_source sources[CMT__HOME_KEY_COUNT];
} cmt__home_reading;

/* A home without a value yet; NULL: the allocation failed. */
cmt_home *cmt__home_new(const cmt_env *env, const char *dir);

/* Copies the environment of options whose folder is |dir|. */
CMT_NODISCARD cmt_err cmt__home_check_options(const cmt_env *env,
                                              const char *dir, cmt_env *out,
                                              cmt_why *why);

/* Formats a text that lives as long as |h|; NULL: the allocation failed. */
const char *cmt__home_keep(cmt_home *h, const char *format, ...)
  __attribute__((format(printf, 2, 3)));

/* The path of |name| in the home. */
const char *cmt__home_path(cmt_home *h, const char *name);

/* Reads the file |path| of at most CMT__TOML_SIZE_MAX bytes; |*text| is freed
   by cmt__free().  CMT_EIO with errno ENOENT: there is none. */
CMT_NODISCARD cmt_err cmt__home_read_file(const cmt_env *env, const char *path,
                                          uint8_t **text, size_t *len,
                                          cmt_why *why);

/* Loads the chain id of client.toml, which may be empty.  CMT_EIO: the file
   cannot be read, or there is none. */
CMT_NODISCARD cmt_err cmt__home_read_client(cmt_home *h, cmt_why *why);

/* Adds a mistake, which begins with its place. */
void cmt__home_mistake(cmt__home_reading *r, const char *format, ...)
  __attribute__((format(printf, 2, 3)));
void cmt__home_warn(const cmt_home *h, const char *format, ...)
  __attribute__((format(printf, 2, 3)));

/* Writes where the value of |id| stands, as the beginning of a line. */
void cmt__home_place(const cmt__home_reading *r, cmt__home_key_id id, char *out,
                     size_t cap);

/* Adds the mistake that the value of |id| is not allowed. */
void cmt__home_refuse(cmt__home_reading *r, cmt__home_key_id id,
                      const cmt__home_fault *f);

/* The default moniker: the name of this host, or what CometBFT takes without
   one. */
void cmt__home_host(char *out, size_t cap);

/* The steps of the reading, in order. */
void cmt__home_read_config(cmt__home_reading *r);
void cmt__home_check_names(cmt__home_reading *r);
void cmt__home_find_sources(cmt__home_reading *r);
void cmt__home_read_values(cmt__home_reading *r);
void cmt__home_read_lists(cmt__home_reading *r);

/* The child |name| of |n|, in any case; NULL: there is none. */
const cmt__toml_node *cmt__home_child(const cmt__toml *t,
                                      const cmt__toml_node *n, cmt_bytes name);

#endif
