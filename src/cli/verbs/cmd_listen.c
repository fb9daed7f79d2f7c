/* SPDX-License-Identifier: Apache-2.0 */
/* listen: a node that runs until a signal ends it.  Everything happens in
   callbacks; the main thread only waits. */

#include "cli/ui/events.h"
#include "cli/roles/node.h"
#include "resolve.h"

#include <stdio.h>

enum { FLUSH_MS = 300, RESOLVE_S = 10 };

static bool dial_all(cli_node *n) {
  const cli_options *o = n->options;

  for (size_t i = 0; i < o->dial_count; i++) {
    cmt_why why;
    cmt_err err =
      cmt_switch_dial(n->sw, o->dials[i], CMT_DIAL_PERSISTENT, &why);

    if (err != CMT_OK) {
      cli_io_error(n->io, "--dial %s: %s", o->dials[i], why.text);
    }
    if (err != CMT_OK && err != CMT_EDUPLICATE) { /* One of both is enough. */
      return false;
    }
  }
  return true;
}

static int listen_serve(cli_node *n) {
  cmt_net_addr laddr;

  if (cmt_switch_get_laddr(n->sw, &laddr) != CMT_OK) {
    return CLI_FAILED;
  }
  cmt_switch_get_id(n->sw, &laddr.id);
  cli_event_ready(n->io, &laddr);
  if (!dial_all(n)) {
    return CLI_FAILED;
  }
  while (!n->io->wait.interrupted && !cli_output_is_broken(n->io->out)) {
    uint64_t due_ns = cli_node_report_rejections(n, false);
    uint64_t now_ns = cli_now_ns();

    if (due_ns != CMT_NEVER) {
      due_ns = due_ns > now_ns ? due_ns - now_ns : 0;
    }
    cli_waiter_wait(&n->io->wait, due_ns);
  }
  return CLI_OK;
}

/* The switch listens on an IP literal; a name such as localhost is fine here,
   and its first address counts.  "*" has become "::" by then, which the
   system's resolver would take for loopback. */
static bool resolve_laddr(cli_options *o, cli_io *io, cli_address *out) {
  cli_address list[CLI_ADDRESSES_MAX];
  cmt_net_addr addr;
  cmt_why why;

  if (cmt_net_addr_parse(o->laddr, CMT_ADDR_LISTEN, &addr, &why) != CMT_OK ||
      cli_resolve(&addr, &io->wait, CMT_SECONDS(RESOLVE_S), list, &why) == 0) {
    if (!io->wait.interrupted) {
      cli_io_error(io, "--laddr: %s", why.text);
    }
    return false;
  }
  *out = list[0];
  o->laddr = out->text;
  return true;
}

static int listen_run(cli_options *o, cli_io *io) {
  cli_address laddr;
  cli_node n;
  int code = CLI_FAILED;

  io->serves = true;
  if (!resolve_laddr(o, io, &laddr)) {
    return io->wait.interrupted ? CLI_OK : CLI_FAILED;
  }
  if (cli_node_open(&n, o, io, NULL)) {
    code = listen_serve(&n);
  }
  cli_node_close(&n, CMT_MILLISECONDS(FLUSH_MS), code);
  return code;
}

int cli_listen(const cli_verb *verb, int argc, char **argv) {
  cli_options o;
  cli_io io;
  int code = cli_options_parse(&o, verb, argc, argv);

  if (code != -1) {
    return code;
  }
  if (o.laddr == NULL) {
    code = cli_options_usage(&o, "--laddr is missing");
  } else if (o.arg_count > 0) {
    code = cli_options_usage(&o, "it has no arguments but options");
  } else if (o.out_dir == NULL && (o.quota != 0 || o.dotfiles)) {
    code = cli_options_usage(&o, "--quota and --allow-dotfiles need --out");
  } else if (!cli_io_open(&io, o.json, o.log_level)) {
    code = CLI_FAILED;
  } else {
    code = cli_io_close(&io, listen_run(&o, &io));
  }
  cli_options_fini(&o);
  return code;
}
