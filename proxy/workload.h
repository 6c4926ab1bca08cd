/* SPDX-License-Identifier: Apache-2.0 */
/* workload.h - what one worker knows of one workload: its policy, what judging by it needs, and the
 * connections that are held to it.
 *
 * Made by whoever posts it (worker_changes.h), then its worker's alone, which finds it by its id in
 * a table. A connection points to its workload, which lives as long as any of them does. */
#ifndef SLUICE_WORKLOAD_H
#define SLUICE_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include "metrics.h"
#include "rule_counts.h"
#include "report.h"

struct conn;
struct policy;

struct workload {
	uint64_t id;
	struct policy *policy;
	uint64_t judge_round; /* if it is that of the worker, whose scratch is good for POLICY */
	struct workload_info *info; /* NULL: it has no name */
	struct reporter reporter;   /* of what happens in its name */
	uint32_t policy_generation; /* raised with every new policy, from 1, and when it is gone */
	bool gone;		    /* it was removed; its connections end */
	uint64_t gone_until_ms;	    /* when the last of its connections ends at the latest */
	bool sweeping;		    /* it stands among those that are being swept */
	struct conn *conns; /* the first; all of them stand next to each other in the worker's list
			     */
	struct conn *sweep_next; /* the next one to be held to the newest policy */
	struct metrics metrics;	 /* its share of the worker's */
	struct rule_counts denied_by;
	struct workload *next; /* of those that are swept, or that are gone */
};

/* Takes references of POLICY and INFO (which may be NULL). NULL when out of memory. */
struct workload *workload_new(uint64_t id, struct policy *policy, struct workload_info *info);
void workload_free(struct workload *wl); /* no connections are left; accepts NULL */
/* WL is judged by the policy of FROM, and called as it, from now on; FROM gets what was before. */
void workload_replace(struct workload *wl, struct workload *from);

/* Add what was denied, with the name of the workload. */
void workload_merge_denials(const struct workload *wl, struct denials *into);

/* Put C, which is the workload's already, into the list *ALL of the worker. */
void workload_add_conn(struct workload *wl, struct conn **all, struct conn *c);
void workload_remove_conn(struct conn **all, struct conn *c);
/* The next connection of the same workload, or NULL. */
struct conn *workload_next_conn(const struct conn *c);

/* By id: an index, and then the whole id has to be the same. Of two workloads whose lower halves
 * are the same (sockmap's slot, which is given again) only one is in it. */
struct workload_table {
	struct workload **slots;
	uint32_t n;
};

/* For N workloads at a time. Returns 0 or -ENOMEM. */
int workload_table_init(struct workload_table *t, uint32_t n);
void workload_table_done(struct workload_table *t); /* frees those in it; accepts a zeroed one */
/* Where a workload with this id stands, or would: somebody else may be there. */
struct workload **workload_place(const struct workload_table *t, uint64_t id);
/* NULL: there is none, and nothing may be done in its name. */
struct workload *workload_find(const struct workload_table *t, uint64_t id);

#endif
