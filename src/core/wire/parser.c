/* SPDX-License-Identifier: Apache-2.0 */
/* The parser never looks at a byte twice unless a header was cut by the end of
   the input: then at most 24 bytes are kept.  Data goes from the input to the
   caller without a stop.  Only packets in an unusual, legal form are gathered
   whole before they are decoded. */

#include "parser.h"

void cmt__packet_parser_init(cmt__packet_parser *p, const cmt__wire *wire,
                             size_t payload_max) {
  *p = (cmt__packet_parser){.wire = wire, .limit = wire->limit(payload_max)};
}

void cmt__packet_parser_fini(cmt__packet_parser *p, const cmt_env *env) {
  cmt__free(env, p->scratch);
  p->scratch = NULL;
}

/* One byte over the limit is right only for the ids that cost one more. */
static bool packet_fits(const cmt__packet *k, size_t body, size_t limit) {
  return body <= limit || (k->kind == CMT__PACKET_MSG && k->channel >= 0x80);
}

static void bytes_skip(cmt_bytes *in, size_t n) {
  in->base += n;
  in->len -= n;
}

/* Gives out the part of the msg packet's data that is here. */
static cmt_err data_next(cmt__packet_parser *p, cmt_bytes *in,
                         cmt__packet *out) {
  size_t n = cmt__min(p->data_left, in->len);

  if (n == 0 && p->data_left > 0) {
    return CMT_EAGAIN;
  }
  p->data_left -= n;
  *out = p->msg;
  out->data = (cmt_bytes){.base = in->base, .len = n};
  out->last = p->data_left == 0;
  p->msg.first = false;
  p->in_data = !out->last;
  bytes_skip(in, n);
  return CMT_OK;
}

/* Begins to gather a packet of |h->body| bytes.  |head| is what was read of it
   so far, with the prefix. */
static cmt_err gather_start(cmt__packet_parser *p, const cmt_env *env,
                            const cmt__header *h, cmt_bytes head) {
  if (p->scratch == NULL) {
    p->scratch = cmt__alloc(env, p->limit + 1);
    if (p->scratch == NULL) {
      return CMT_ENOMEM;
    }
  }
  p->scratch_need = h->body;
  p->scratch_len = cmt__min(head.len - h->size, h->body);
  memcpy(p->scratch, head.base + h->size, p->scratch_len);
  return CMT_OK;
}

static cmt_err gather_next(cmt__packet_parser *p, cmt_bytes *in,
                           cmt__packet *out) {
  size_t n = cmt__min(p->scratch_need - p->scratch_len, in->len);
  cmt_err err;

  if (n > 0) {
    memcpy(p->scratch + p->scratch_len, in->base, n);
    p->copied += n;
    p->scratch_len += n;
    bytes_skip(in, n);
  }
  if (p->scratch_len < p->scratch_need) {
    return CMT_EAGAIN;
  }
  err = p->wire->decode((cmt_bytes){.base = p->scratch, .len = p->scratch_len},
                        out);
  if (err == CMT_OK && !packet_fits(out, p->scratch_need, p->limit)) {
    err = CMT_EPROTO;
  }
  p->scratch_need = 0;
  return err;
}

/* Acts on a header of |head|, whose first |kept| bytes were taken from the
   input before. */
static cmt_err header_done(cmt__packet_parser *p, cmt__header_kind kind,
                           const cmt__header *h, size_t kept, cmt_bytes *in) {
  p->header_len = 0;
  if (kind == CMT__HEADER_BAD || kind == CMT__HEADER_UNKNOWN ||
      (kind == CMT__HEADER_PACKET &&
       !packet_fits(&h->packet, h->body, p->limit))) {
    return CMT_EPROTO;
  }
  bytes_skip(in, h->size - kept);
  p->msg = h->packet;
  p->data_left = h->packet.total;
  p->in_data = h->packet.kind == CMT__PACKET_MSG;
  return CMT_OK;
}

/* Reads a header, from the input alone or with the bytes kept before it. */
static cmt_err header_next(cmt__packet_parser *p, const cmt_env *env,
                           cmt_bytes *in) {
  size_t kept = p->header_len;
  size_t n = cmt__min(sizeof p->header - kept, in->len);
  cmt_bytes head = *in;
  cmt__header_kind kind;
  cmt__header h;

  if (kept > 0) {
    memcpy(p->header + kept, in->base, n);
    head = (cmt_bytes){.base = p->header, .len = kept + n};
  }
  kind = p->wire->header(head, p->limit, &h);
  if (kind == CMT__HEADER_MORE) {
    /* Fewer than 24 bytes are here, or 24 would have been enough. */
    if (kept == 0) {
      memcpy(p->header, in->base, n);
    }
    p->copied += n;
    p->header_len = (uint8_t)(kept + n);
    bytes_skip(in, in->len);
    return CMT_EAGAIN;
  }
  if (kind != CMT__HEADER_GENERAL) {
    p->copied += kept > 0 && kind == CMT__HEADER_PACKET ? h.size - kept : 0;
    p->unknown = kind == CMT__HEADER_UNKNOWN ? head.base[0] : 0;
    return header_done(p, kind, &h, kept, in);
  }
  /* Only what is kept counts as read: the input still has the rest. */
  if (kept < h.size) {
    bytes_skip(in, h.size - kept);
    head.len = h.size;
  } else {
    head.len = kept;
  }
  p->copied += head.len;
  p->header_len = 0;
  return gather_start(p, env, &h, head);
}

cmt_err cmt__packet_next(cmt__packet_parser *p, const cmt_env *env,
                         cmt_bytes *in, cmt__packet *out) {
  while (true) {
    cmt_err err;

    if (p->in_data) {
      return data_next(p, in, out);
    }
    if (p->scratch_need > 0) {
      return gather_next(p, in, out);
    }
    if (in->len == 0) {
      return CMT_EAGAIN;
    }
    err = header_next(p, env, in);
    if (err != CMT_OK) {
      return err;
    }
    if (p->scratch_need == 0 && !p->in_data) {
      *out = p->msg; /* A ping or a pong. */
      return CMT_OK;
    }
  }
}
