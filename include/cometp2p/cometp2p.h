/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_COMETP2P_H
#define CMT_COMETP2P_H

/* All public headers of cometp2p, the peer-to-peer stack of CometBFT in C. */

#include <cometp2p/addrbook.h>
#include <cometp2p/addrbook_file.h>
#include <cometp2p/admission.h>
#include <cometp2p/buf.h>
#include <cometp2p/conn.h>
#include <cometp2p/conn_group.h>
#include <cometp2p/dial.h>
#include <cometp2p/env.h>
#include <cometp2p/err.h>
#include <cometp2p/home.h>
#include <cometp2p/mconn.h>
#include <cometp2p/metrics.h>
#include <cometp2p/net_addr.h>
#include <cometp2p/network.h>
#include <cometp2p/node_info.h>
#include <cometp2p/node_key.h>
#include <cometp2p/peer.h>
#include <cometp2p/pex.h>
#include <cometp2p/probe.h>
#include <cometp2p/reactor.h>
#include <cometp2p/secret_conn.h>
#include <cometp2p/switch.h>
#include <cometp2p/timer.h>
#include <cometp2p/uv.h>
#include <cometp2p/version.h>

#endif
