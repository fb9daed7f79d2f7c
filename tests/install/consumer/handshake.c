/* SPDX-License-Identifier: Apache-2.0 */

/* Two ends of the encrypted stream in one process: the core alone, without
   sockets, is all this program needs. */

#include <cometp2p/secret_conn.h>

#include <stdio.h>
#include <string.h>

typedef struct end {
  cmt_node_key *key;
  cmt_secret_conn *conn;
  bool up;
} end;

static cmt_err end_init(end *e) {
  cmt_err err = cmt_node_key_generate(NULL, &e->key);

  return err != CMT_OK ? err : cmt_secret_conn_new(NULL, e->key, &e->conn);
}

static void end_fini(end *e) {
  cmt_secret_conn_delete(e->conn);
  cmt_node_key_delete(e->key);
}

/* Carries what |from| has to send over to |to|. */
static cmt_err carry(end *from, end *to) {
  cmt_bytes out = cmt_secret_conn_output(from->conn);
  uint8_t wire[2 * CMT_FRAME_SLOT];
  size_t len = out.len < sizeof wire ? out.len : sizeof wire;
  cmt_secret_conn_event e;
  cmt_err err;

  if (len == 0) {
    return CMT_OK;
  }
  memcpy(wire, out.base, len);
  cmt_secret_conn_consume(from->conn, len);
  err = cmt_secret_conn_recv(to->conn, wire, len);
  while (err == CMT_OK && cmt_secret_conn_next_event(to->conn, &e)) {
    to->up = to->up || e.kind == CMT_SECRET_CONN_UP;
    err = e.err;
  }
  return err;
}

int main(void) {
  end left = {NULL, NULL, false}, right = {NULL, NULL, false};
  cmt_err err = end_init(&left);

  if (err == CMT_OK) {
    err = end_init(&right);
  }
  for (int turn = 0; turn < 2 && err == CMT_OK; turn++) {
    err = carry(&left, &right);
    if (err == CMT_OK) {
      err = carry(&right, &left);
    }
  }
  /* The answer to the last bytes of |right|. */
  if (err == CMT_OK) {
    err = carry(&left, &right);
  }
  if (err == CMT_OK && !(left.up && right.up)) {
    err = CMT_EHANDSHAKE;
  }
  printf("%s\n", cmt_err_name(err));
  end_fini(&left);
  end_fini(&right);
  return err == CMT_OK ? 0 : 1;
}
