/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "steer.h"

void stats_write(const struct steer *s, const struct metrics *sum)
{
	const char *path = getenv("SLUICE_STATS");
	struct steer_counters counters = { 0 };
	FILE *to;

	if (!path || !s)
		return;
	to = fopen(path, "we");
	if (!to) {
		fprintf(stderr, "sluice: %s: %s\n", path, strerror(errno));
		return;
	}
	steer_counters(s, &counters);
	metrics_print(sum, counters.flows_open, counters.events_lost, to);
	fclose(to);
}
