/* SPDX-License-Identifier: Apache-2.0 */

/* The chain id of a home. */

#include "home_impl.h"

#include "base/sized.h"

#include <errno.h>

#include "home_checks.h"

/* The file of a daemon of the SDK. */
#define CLIENT_FILE "config/client.toml"

static cmt_err fail(cmt_why *why, cmt_err err, const char *file,
                    const char *fault) {
  char quoted[100];

  return cmt__why(why, err, CMT_STAGE_TRANSPORT, "file '%s': %s",
                  cmt__quote(cmt_bytes_of(file), quoted, sizeof quoted), fault);
}

/* Takes the chain-id of the client.toml |t| of a daemon of the SDK, which may
   have none yet. */
static cmt_err take_client(cmt_home *h, const char *path, const cmt__toml *t,
                           cmt_why *why) {
  const cmt__toml_node *n =
    cmt__home_child(t, &t->nodes[0], cmt_bytes_of("chain-id"));
  cmt__home_value v = {.text = ""};
  cmt__home_fault f;

  if (n != NULL && n->kind == CMT__TOML_STRING) {
    v.text = (const char *)n->text.base;
  }
  if (n != NULL &&
      (n->kind != CMT__TOML_STRING || strlen(v.text) != n->text.len ||
       (v.text[0] != '\0' && !cmt__home_check_chain_id(&v, &f)))) {
    return fail(why, CMT_EINVAL, path,
                "chain-id is none, allowed are 1 to 50 printable ASCII "
                "characters in quotes");
  }
  snprintf(h->chain_id, sizeof h->chain_id, "%s", v.text);
  return CMT_OK;
}

cmt_err cmt__home_read_client(cmt_home *h, cmt_why *why) {
  const char *path = cmt__home_path(h, CLIENT_FILE);
  cmt__toml_fault fault;
  cmt__toml *t;
  uint8_t *text;
  size_t len = 0;
  cmt_err err;

  if (path == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  err = cmt__home_read_file(&h->env, path, &text, &len, why);
  if (err != CMT_OK) {
    return err;
  }
  err =
    cmt__toml_parse(&h->env, (cmt_bytes){.base = text, .len = len}, &t, &fault);
  cmt__free(&h->env, text);
  if (err == CMT_EINVAL) {
    return fail(why, err, path, fault.text);
  }
  if (err != CMT_OK) {
    return cmt__why_plain(why, err, CMT_STAGE_TRANSPORT);
  }
  err = take_client(h, path, t, why);
  cmt__toml_delete(t);
  return err;
}

static cmt_err read_chain_id(cmt_home *h, cmt_why *why) {
  const char *path = cmt__home_path(h, CLIENT_FILE);
  cmt_why client;
  cmt_err err =
    cmt__genesis_read(&h->env, h->settings.genesis_file, h->chain_id, why);

  if (err != CMT_EIO || errno != ENOENT) {
    return err;
  }
  if (path == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  if (cmt__home_read_client(h, &client) == CMT_OK) {
    return h->chain_id[0] != '\0'
             ? CMT_OK
             : fail(why, CMT_EINVAL, path,
                    "has no chain-id, and there is no genesis.json");
  }
  /* What lacks is the genesis, unless there is the other file. */
  if (client.err != CMT_EIO && why != NULL) {
    *why = client;
  }
  return client.err != CMT_EIO ? client.err : err;
}

cmt_err cmt_home_load_chain_id(cmt_home *h, const char **out, cmt_why *why) {
  const char *given;
  cmt_err err = cmt__out_clear(out, why);

  if (err == CMT_OK && h == NULL) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "the home is NULL");
  }
  if (err != CMT_OK) {
    return err;
  }
  given = h->values[CMT__HOME_CHAIN_ID].text;
  if (h->chain_id[0] == '\0') {
    if (given[0] != '\0') {
      snprintf(h->chain_id, sizeof h->chain_id, "%s", given);
    } else {
      err = read_chain_id(h, why);
    }
  }
  if (err == CMT_OK) {
    *out = h->chain_id;
  } else {
    h->chain_id[0] = '\0';
  }
  return err;
}
