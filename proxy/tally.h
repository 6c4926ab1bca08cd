/* SPDX-License-Identifier: Apache-2.0 */
/* tally.h - what workers have counted while they run, in all and workload by workload. */
#ifndef SLUICE_TALLY_H
#define SLUICE_TALLY_H

#include <stddef.h>
#include "metrics.h"
#include "rule_counts.h"

struct workload_tally {
	uint64_t workload;
	struct metrics metrics;
	struct rule_counts denials;
};

/* Zero it before first use. */
struct tally {
	struct workload_tally *workloads; /* in no order */
	size_t n, room;
	size_t next;	    /* where the next one to be added probably is */
	struct metrics all; /* with those of no workload, and of those that have gone */
};

/* Add to what is counted of WORKLOAD. Returns 0 or -ENOMEM. */
int tally_add_workload(struct tally *t, uint64_t workload, const struct metrics *m,
		       const struct rule_counts *denials);
/* All of T. Returns 0 or -ENOMEM: then SUM has a part of it. */
int tally_add(struct tally *sum, const struct tally *t);
/* What is counted of WORKLOAD, or NULL: nothing. */
const struct workload_tally *tally_find(const struct tally *t, uint64_t workload);
void tally_done(struct tally *t);

#endif
