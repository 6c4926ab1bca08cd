/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - the file that --config names: what may stand in it, and what it means. */
#ifndef SLUICE_CONFIG_H
#define SLUICE_CONFIG_H

#include <stdbool.h>
#include "agent_settings.h"
#include "limit.h"

/* Who else there is, as the file says. Zeroed: nobody has said anything. */
struct config_peers {
	bool known; /* it says who, even if that is nobody */
	struct policy_endpoint *items;
	size_t n;
	struct settings text; /* in these two it all lives */
	struct agent_settings settings;
};

/* Read PATH, change the limits that it names, and fill PEERS, for which config_peers_done() is due
 * in any case. Prints what is wrong, all of it, each error with its place, and returns a negative
 * errno; limits and peers are then of no use. Whether limits fit each other is for limits_check(),
 * when options have changed them as well. */
int config_read(const char *path, struct limits *limits, struct config_peers *peers);
void config_peers_done(struct config_peers *peers);

#endif
