/* SPDX-License-Identifier: Apache-2.0 */
/* path_server.h - a server that understands a path in its own way: any steps in any order. Written
 * apart from the parser, and simpler, so that both cannot err alike. */
#ifndef SLUICE_PATH_SERVER_H
#define SLUICE_PATH_SERVER_H

#include <stddef.h>
#include <stdint.h>

#define SERVER_STEPS 7

/* Change the NUL-terminated PATH, which begins with a slash, by one step for each of STEPS, then
 * resolve it. At most three steps of them decode everything: more is refused by the parser. */
void path_server(char *path, const uint8_t steps[SERVER_STEPS]);

#endif
