/* SPDX-License-Identifier: Apache-2.0 */
/* stats.h - counters at the end of a run or an agent, for tests and for whoever wants to know. */
#ifndef SLUICE_STATS_H
#define SLUICE_STATS_H

#include "metrics.h"

struct steer;

/* Write SUM and the kernel's counters to the file that SLUICE_STATS names, if it does. S may be
 * NULL: nothing was started. */
void stats_write(const struct steer *s, const struct metrics *sum);

#endif
