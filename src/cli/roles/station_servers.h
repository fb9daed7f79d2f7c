/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_STATION_SERVERS_H
#define CLI_STATION_SERVERS_H

/* The servers of the pages of a station, which cli_station_serve() runs. */

#include "station.h"

/* Starts those that the home and the options ask for.  False: |why| has the
   reason in its text; stop them in both cases. */
bool cli_station_start_servers(cli_station *s, cmt_why *why);
void cli_station_stop_servers(cli_station *s);

#endif
