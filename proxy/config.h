/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - the file that --config names: what may stand in it, and what it means. */
#ifndef SLUICE_CONFIG_H
#define SLUICE_CONFIG_H

#include "limit.h"

/* Read PATH and change the limits that it names. Prints what is wrong, all of it, each error with
 * its place, and returns a negative errno; the limits are then of no use. Whether
 * they fit each other is for limits_check(), when options have changed them as well. */
int config_read(const char *path, struct limits *limits);

#endif
