/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_SECRET_CONN_EVIL_ROWS_H
#define CMT_TEST_SECRET_CONN_EVIL_ROWS_H

/* The messages of secret_conn_evil_test.c.  A message is a text of words: hex
   digits stand for themselves, a name for the bytes of the peer (key: its
   ephemeral key, pub: its identity, sig: its signature of the challenge),
   "name:n" for the first n of these. */

#include <cometp2p/err.h>

/* How the second message is put into frames. */
typedef enum framing {
  ONE_FRAME,
  BYTE_FRAMES,  /* One byte in each. */
  EMPTY_BEFORE, /* An empty frame, then the message. */
  EMPTY_INSIDE, /* Half of it, an empty frame, the other half. */
  BAD_TAG,
  WRONG_KEY,
  ANNOUNCE_1025, /* The frame's own length. */
  ANNOUNCE_MAX,
  CUT_FRAME, /* All but the last byte of the frame. */
  REFLECTED, /* The connection's own frame. */
  NO_FRAME,
} framing;

typedef struct evil_row {
  const char *name, *message;
  cmt_err expected; /* CMT_OK: the handshake completes; CMT_EAGAIN: waits. */
  framing framing;
  size_t rest;   /* Bytes that the connection gives after the message. */
  size_t empty;  /* Empty frames that it counts. */
  bool intended; /* CometBFT answers otherwise; see docs/PROTOCOL.md. */
} evil_row;

#define ROW(row_name, words, error)                                            \
  .name = row_name, .message = words, .expected = error
#define AUTH "66 0a22 0a20 pub 1240 sig"

static const evil_row clear_rows[] = {
  {ROW("the plain message", "22 0a20 key", CMT_OK)},
  {ROW("all-zero key", "22 0a20 zero", CMT_EAUTH)},
  {ROW("low-order key 1", "22 0a20 01 zero:31", CMT_EAUTH)},
  {ROW(
    "low-order key e0eb..b800",
    "22 0a20 e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    CMT_EAUTH)},
  {ROW(
    "low-order key 5f9c..1157",
    "22 0a20 5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    CMT_EAUTH)},
  {ROW(
    "low-order key p-1",
    "22 0a20 ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    CMT_EAUTH)},
  {ROW(
    "low-order key p",
    "22 0a20 edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    CMT_EAUTH)},
  {ROW(
    "low-order key p+1",
    "22 0a20 eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    CMT_EAUTH)},
  {ROW("low-order key 0 with bit 255", "22 0a20 zero:31 80", CMT_EAUTH)},
  {ROW("empty message", "00", CMT_EAUTH)},
  {ROW("empty value", "02 0a00", CMT_EAUTH)},
  {ROW("31-byte value", "21 0a1f key:31", CMT_OK)},
  {ROW("33-byte value", "23 0a21 key ff", CMT_OK)},
  {ROW("unknown extra varint", "24 1001 0a20 key", CMT_OK)},
  {ROW("unknown extra bytes", "25 0a20 key 120161", CMT_OK)},
  {ROW("unknown extra fixed64", "2b 0a20 key 190102030405060708", CMT_OK)},
  {ROW("unknown extra group", "26 0a20 key 13080114", CMT_OK)},
  {ROW("field twice", "44 0a20 zero 0a20 key", CMT_OK)},
  {ROW("overlong length varint", "a200 0a20 key", CMT_OK)},
  {ROW("length varint of ten bytes", "a2808080808080808000 0a20 key", CMT_OK)},
  {ROW("overlong varint inside", "24 0aa08000 key", CMT_OK)},
  {ROW("length 1048577", "818040", CMT_EPROTO)},
  {ROW("length 1048576", "808040", CMT_EPROTO), .intended = true},
  {ROW("length 4001", "a11f", CMT_EPROTO), .intended = true},
  {ROW("length 4000, then nothing", "a01f", CMT_EAGAIN)},
  {ROW("varint of eleven bytes", "8080808080808080808001", CMT_EPROTO)},
  {ROW("ten-byte varint of 2^63", "80808080808080808001", CMT_EPROTO)},
  {ROW("ten-byte varint of 2^64 - 1", "ffffffffffffffffff01", CMT_EPROTO)},
  {ROW("ten-byte varint of 2^64", "80808080808080808002", CMT_EPROTO)},
  {ROW("wrong wire type: varint", "02 0805", CMT_EPROTO)},
  {ROW("wrong wire type: fixed64", "09 090102030405060708", CMT_EPROTO)},
  {ROW("wrong wire type: fixed32", "05 0d01020304", CMT_EPROTO)},
  {ROW("wrong wire type: group", "02 0b0c", CMT_EPROTO)},
  {ROW("wrong wire type after the key", "24 0a20 key 0805", CMT_EPROTO)},
  {ROW("truncated field", "21 0a20 key:31", CMT_EPROTO)},
  {ROW("truncated tag", "23 0a20 key 92", CMT_EPROTO)},
  {ROW("field number 0", "24 0a20 key 0001", CMT_EPROTO)},
  {ROW("end of a group that never began", "23 0a20 key 14", CMT_EPROTO)},
  {ROW("silence", "", CMT_EAGAIN)},
  {ROW("partial message", "22 0a20 key:5", CMT_EAGAIN)},
};

static const evil_row sealed_rows[] = {
  {ROW("the plain message", AUTH, CMT_OK)},
  {ROW("bad tag", AUTH, CMT_EAUTH), .framing = BAD_TAG},
  {ROW("frame sealed with wrong key", AUTH, CMT_EAUTH), .framing = WRONG_KEY},
  {ROW("frame length 1025", AUTH, CMT_EPROTO), .framing = ANNOUNCE_1025},
  {ROW("frame length ffffffff", AUTH, CMT_EPROTO), .framing = ANNOUNCE_MAX},
  {ROW("own frame reflected", AUTH, CMT_EAUTH), .framing = REFLECTED},
  {ROW("length 1048577", "818040", CMT_EPROTO)},
  {ROW("length 1048576", "808040", CMT_EPROTO), .intended = true},
  {ROW("length 4001", "a11f", CMT_EPROTO), .intended = true},
  {ROW("length 4000, then nothing", "a01f", CMT_EAGAIN)},
  {ROW("varint of eleven bytes", "8080808080808080808001", CMT_EPROTO)},
  {ROW("empty message", "00", CMT_EAUTH)},
  {ROW("no key", "42 1240 sig", CMT_EAUTH)},
  {ROW("empty public key", "44 0a00 1240 sig", CMT_EAUTH)},
  {ROW("unknown oneof member 3, 96 bytes", "a601 0a62 1a60 zero:96 1240 sig",
       CMT_EAUTH)},
  {ROW("member 2 with the ed25519 key", "66 0a22 1220 pub 1240 sig",
       CMT_EAUTH)},
  {ROW("member 3 with the ed25519 key", "66 0a22 1a20 pub 1240 sig",
       CMT_EAUTH)},
  {ROW("unknown oneof member 6", "66 0a22 3220 pub 1240 sig", CMT_EAUTH)},
  {ROW("member 3 after the key", "69 0a25 0a20 pub 1a0161 1240 sig",
       CMT_EAUTH)},
  {ROW("the key after member 3", "69 0a25 1a0161 0a20 pub 1240 sig", CMT_OK)},
  {ROW("key of 31 bytes", "65 0a21 0a1f pub:31 1240 sig", CMT_EAUTH)},
  {ROW("key of 33 bytes", "67 0a23 0a21 pub 00 1240 sig", CMT_EAUTH)},
  {ROW("key of 0 bytes", "46 0a02 0a00 1240 sig", CMT_EAUTH)},
  {ROW("secp256k1 key", "67 0a23 1221 02 pub 1240 sig", CMT_EAUTH)},
  {ROW("bad signature", "66 0a22 0a20 pub 1240 badsig", CMT_EAUTH)},
  {ROW("signature by another key", "66 0a22 0a20 other 1240 sig", CMT_EAUTH)},
  {ROW("signature of 63 bytes", "65 0a22 0a20 pub 123f sig:63", CMT_EAUTH)},
  {ROW("signature of 65 bytes", "67 0a22 0a20 pub 1241 sig 00", CMT_EAUTH)},
  {ROW("signature of 0 bytes", "26 0a22 0a20 pub 1200", CMT_EAUTH)},
  {ROW("signature missing", "24 0a22 0a20 pub", CMT_EAUTH)},
  {ROW("signature with S + L", "66 0a22 0a20 pub 1240 sigplus", CMT_EAUTH)},
  {ROW("small-order identity", "66 0a22 0a20 01 zero:31 1240 01 zero:63",
       CMT_EAUTH),
   .intended = true},
  {ROW("non-canonical identity y = p+1",
       "66 0a22 0a20 "
       "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f "
       "1240 01 zero:63",
       CMT_EAUTH),
   .intended = true},
  {ROW("wrong wire type of the key", "44 0805 1240 sig", CMT_EPROTO)},
  {ROW("wrong wire type inside the key", "46 0a02 0805 1240 sig", CMT_EPROTO)},
  {ROW("wrong wire type of the signature", "26 0a22 0a20 pub 1005",
       CMT_EPROTO)},
  {ROW("truncated field", "65 0a22 0a20 pub 1240 sig:63", CMT_EPROTO)},
  {ROW("truncated field inside the key", "65 0a21 0a20 pub:31 1240 sig",
       CMT_EPROTO)},
  {ROW("unknown extra field", "68 0a22 0a20 pub 1240 sig 1801", CMT_OK)},
  {ROW("unknown extra field inside the key",
       "6a 0a26 0a20 pub 3a026162 1240 sig", CMT_OK)},
  {ROW("fields in the other order", "66 1240 sig 0a22 0a20 pub", CMT_OK)},
  {ROW("signature twice", "a801 0a22 0a20 pub 1240 badsig 1240 sig", CMT_OK)},
  {ROW("public key twice", "8a01 0a22 0a20 other 0a22 0a20 pub 1240 sig",
       CMT_OK)},
  {ROW("public key, then an empty one", "68 0a22 0a20 pub 0a00 1240 sig",
       CMT_OK)},
  {ROW("overlong length varint", "e600 0a22 0a20 pub 1240 sig", CMT_OK)},
  {ROW("one byte in each frame", AUTH, CMT_OK), .framing = BYTE_FRAMES},
  {ROW("more bytes in its frame", AUTH " 0102030405", CMT_OK), .rest = 5},
  {ROW("empty frame before the message", AUTH, CMT_OK), .framing = EMPTY_BEFORE,
   .empty = 1, .intended = true},
  {ROW("empty frame inside the message", AUTH, CMT_OK), .framing = EMPTY_INSIDE,
   .empty = 1},
  {ROW("the connection's own identity", "66 0a22 0a20 ours 1240 oursig",
       CMT_OK)},
  {ROW("silence", "", CMT_EAGAIN), .framing = NO_FRAME},
  {ROW("partial frame", AUTH, CMT_EAGAIN), .framing = CUT_FRAME},
  {ROW("partial message", "66 0a22 0a20 pub", CMT_EAGAIN)},
};

/* Keys whose secret the peer does not know: accepted at this step, and answered
   with a signature.  The first five are on old lists of low-order points, but
   with bit 255 masked they are none.  docs/PROTOCOL.md 2.2. */
static const evil_row accepted_rows[] = {
  {ROW(
    "key 4c9c..11d7",
    "22 0a20 4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
    CMT_OK)},
  {ROW(
    "key cdeb..b880",
    "22 0a20 cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
    CMT_OK)},
  {ROW(
    "key 2p-1",
    "22 0a20 d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    CMT_OK)},
  {ROW(
    "key 2p",
    "22 0a20 daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    CMT_OK)},
  {ROW(
    "key 2p+1",
    "22 0a20 dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    CMT_OK)},
  {ROW("field twice, a short one last", "25 0a20 key 0a0102", CMT_OK)},
};

#endif
