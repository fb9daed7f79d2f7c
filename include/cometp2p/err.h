/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_ERR_H
#define CMT_ERR_H

/* Errors: one enum, a class for each value that states whom to blame, and one
   line of text for a person.  Nothing here allocates or keeps state; every
   function may be called from any thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define CMT_API __attribute__((visibility("default")))
#define CMT_NODISCARD __attribute__((warn_unused_result))
#else
#define CMT_API
#define CMT_NODISCARD
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* CMT_ERR_MAP yields the enum, cmt_err_name(), cmt_err_text() and
   cmt_err_class_of(), so that none of them can fall behind the others.
   Columns: name, value, class, text.  These headers define no macro that does
   not begin with CMT_ or cmt_, and undefine none of the including program. */
#define CMT_ERR_MAP(X)                                                         \
  X(CMT_OK, 0, OK, "success")                                                  \
  X(CMT_EAGAIN, -1, RETRY, "no room in the queue now")                         \
  X(CMT_ETIMEDOUT, -2, RETRY, "the caller's deadline passed first")            \
  X(CMT_EBUSY, -3, RETRY, "a callback is running")                             \
  X(CMT_EINVAL, -20, CALLER, "argument out of its documented range")           \
  X(CMT_ECLOSED, -21, CALLER, "object is closing or closed")                   \
  X(CMT_ETOOBIG, -22, CALLER, "message exceeds the channel's send limit")      \
  X(CMT_ENOCHANNEL, -23, CALLER, "we have no such channel")                    \
  X(CMT_EPEERCHANNEL, -24, CALLER, "the peer does not have this channel")      \
  X(CMT_EDEADLK, -25, CALLER, "the call would wait for its own thread")        \
  X(CMT_EEXIST, -26, CALLER, "already exists")                                 \
  X(CMT_ESELF, -27, CALLER, "the other side is this node itself")              \
  X(CMT_ECANCELED, -28, CALLER, "stopped by the application")                  \
  X(CMT_EALREADY, -29, CALLER, "too late: the operation has completed")        \
  X(CMT_ENOMEM, -40, LOCAL, "allocation failed")                               \
  X(CMT_ENOBUFS, -41, LOCAL, "receive memory limit reached")                   \
  X(CMT_EIO, -42, LOCAL, "a call of the operating system failed")              \
  X(CMT_ELIMIT, -43, LOCAL, "a limit of this node is reached")                 \
  X(CMT_ENONCE, -44, LOCAL, "the connection's frame counter is used up")       \
  X(CMT_EREACTOR, -45, LOCAL, "a reactor refused the peer or the message")     \
  X(CMT_ESTALLED, -46, LOCAL, "reading was stopped for too long")              \
  X(CMT_EBANNED, -47, LOCAL, "this node has banned the other side")            \
  X(CMT_EFILTER, -48, LOCAL, "a filter refused the other side")                \
  X(CMT_EEVICTED, -49, LOCAL, "a newcomer replaced the peer")                  \
  X(CMT_EEOF, -60, LINK, "the peer closed the connection")                     \
  X(CMT_EPONG, -61, LINK, "no pong within the timeout")                        \
  X(CMT_ERESET, -62, LINK, "the connection was reset")                         \
  X(CMT_EREFUSED, -63, LINK, "the connection was refused")                     \
  X(CMT_EUNREACH, -64, LINK, "the address cannot be reached")                  \
  X(CMT_ERESOLVE, -65, LINK, "the host name has no address")                   \
  X(CMT_EDIAL, -66, LINK, "no connection within the dial timeout")             \
  X(CMT_EHANDSHAKE, -67, LINK, "the handshake did not finish in time")         \
  X(CMT_EDUPLICATE, -68, LINK, "a connection with this node id exists")        \
  X(CMT_EPARTIAL, -69, LINK, "a message was not completed in time")            \
  X(CMT_EPROTO, -80, PEER, "malformed or unexpected bytes")                    \
  X(CMT_EMSGSIZE, -81, PEER, "received message exceeds the channel's limit")   \
  X(CMT_EAUTH, -82, PEER, "authentication failed")                             \
  X(CMT_EUNKNOWNCHANNEL, -83, PEER, "packet on a channel that we lack")        \
  X(CMT_EINCOMPATIBLE, -84, PEER, "the peer's node info does not fit ours")    \
  X(CMT_EWRONGID, -85, PEER, "the node's id is not the one that was dialed")   \
  X(CMT_ENODEINFO, -86, PEER, "the peer's node info is invalid")               \
  X(CMT_EFLOOD, -87, PEER, "too many useless packets")                         \
  X(CMT_ENETWORK, -88, PEER, "the peer is of another network")

/** The result of every call that can fail: CMT_OK or a negative value.  A later
    library may return values that are not here. */
typedef enum cmt_err {
#define CMT_X_(name_, value_, class_, text_) name_ = value_,
  CMT_ERR_MAP(CMT_X_)
#undef CMT_X_
} cmt_err;

/** Whom to blame, and so what to do. */
typedef enum cmt_err_class {
  CMT_CLASS_OK,
  CMT_CLASS_RETRY,  /**< Nobody: try again later. */
  CMT_CLASS_CALLER, /**< This program: a wrong argument or call. */
  CMT_CLASS_LOCAL,  /**< This machine: memory, disk, a limit of ours. */
  CMT_CLASS_LINK,   /**< The network or a node gone silent: redial, no ban. */
  CMT_CLASS_PEER,   /**< The other side broke the protocol. */
} cmt_err_class;

/** How far a connection had come when it ended. */
typedef enum cmt_stage {
  CMT_STAGE_TRANSPORT,         /**< Resolve, connect, accept. */
  CMT_STAGE_SECRET_CONNECTION, /**< Up to the comparison with the dialed id. */
  CMT_STAGE_NODE_INFO,         /**< Exchange of node infos and their checks. */
  CMT_STAGE_FILTER,            /**< Duplicate ids and every cap. */
  CMT_STAGE_UP,                /**< The connection was in use. */
} cmt_stage;

/** An error with its place and one line a person can act on.  |text| is
    printable ASCII without line breaks; whatever a peer sent is escaped. */
typedef struct cmt_why {
  cmt_err err;
  cmt_stage stage;
  char text[256];
} cmt_why;

/**
 * The identifier of |e|, such as "CMT_EAGAIN".
 *
 * Returns    a static string; "CMT_E?" for a value that is not of cmt_err.
 */
CMT_API const char *cmt_err_name(cmt_err e);

/** Ignores a result on purpose, where the compiler would warn, such as for a
    message that may be dropped: cmt_ignore(cmt_peer_try_send_bytes(p, 1, "hi",
    2)); */
static inline void cmt_ignore(cmt_err e) { (void)e; }

/** One short static line for |e|, without a full stop. */
CMT_API const char *cmt_err_text(cmt_err e);

/** The class of |e|; CMT_CLASS_CALLER for a value that is not of cmt_err. */
CMT_API cmt_err_class cmt_err_class_of(cmt_err e);

/** "ok", "retry", "caller", "local", "link" or "peer". */
CMT_API const char *cmt_err_class_name(cmt_err_class c);

/** "transport", "secret_connection", "node_info", "filter" or "up". */
CMT_API const char *cmt_stage_name(cmt_stage s);

/** Every instant and duration of this library is a uint64_t of nanoseconds. */
#define CMT_SECONDS(n) ((uint64_t)(n)*UINT64_C(1000000000))
#define CMT_MILLISECONDS(n) ((uint64_t)(n)*UINT64_C(1000000))
/** An instant that never comes. */
#define CMT_NEVER UINT64_MAX

#ifdef __cplusplus
}
#endif
#endif
