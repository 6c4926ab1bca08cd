/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - counters of one worker. Written by its thread only, summed up by the main thread when
 * the workers have ended. */
#ifndef SLUICE_METRICS_H
#define SLUICE_METRICS_H

#include <stdint.h>
#include <stdio.h>
#include "sluice/close_reason.h"

struct metrics {
	uint64_t opened; /* connections accepted and found steered */
	uint64_t open;
	uint64_t requests_allowed;
	uint64_t requests_denied;
	uint64_t requests_refused; /* malformed, too large, too slow */
	uint64_t buffers_in_use;
	uint64_t buffers_short; /* how often reading had to wait for some */
	uint64_t closed[CLOSE_REASON_MAX];
};

const char *close_reason_name(enum close_reason why); /* "client_reset" */
const char *close_reason_text(enum close_reason why); /* "the client reset the connection" */

void metrics_add(struct metrics *sum, const struct metrics *m);

/* Call FN with the name and the value of each. */
void metrics_each(const struct metrics *m, void (*fn)(void *ctx, const char *name, uint64_t value),
		  void *ctx);

/* One JSON object: {"conn.opened":1,...,"close.done":1,...}; FLOWS_OPEN and EVENTS_LOST come from
 * the kernel. */
void metrics_print(const struct metrics *m, uint64_t flows_open, uint64_t events_lost, FILE *to);

#endif
