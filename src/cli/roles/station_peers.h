/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_STATION_PEERS_H
#define CLI_STATION_PEERS_H

/* The peers of a station: which chain each is of, who may come, and what is
   counted and logged of them. */

#include "station.h"

/* Sets the reactors in |o|, and who may come. */
void cli_station_set_peers(cli_station *s, cmt_switch_options *o);

#endif
