/* SPDX-License-Identifier: Apache-2.0 */
/* agent_plan.h - a configuration of the agent and the pods of the node, with the policy of each of
 * them: what is in force, or is about to be.
 *
 * Made by any thread; immutable. A policy that says the same as the one that its entry has in the
 * plan before is that one, so that whoever puts a plan in force sees by the pointers what changes.
 */
#ifndef SLUICE_AGENT_PLAN_H
#define SLUICE_AGENT_PLAN_H

#include <time.h>
#include "agent_config.h"
#include "endpoint_names.h"
#include "pod.h"
#include "policy_set.h"
#include "workload_info.h"

struct agent_rule {
	struct policy *policy;
	struct workload_info *info;
};

struct plan_set;

struct agent_plan {
	struct agent_config *config;
	struct plan_set *set; /* a load's, which takes compiled expressions from it */
	struct policy_set_stats stats;
	struct pod_list *pods;	     /* NULL: none are wanted, or known */
	struct agent_entry *entries; /* the configuration's, then a pod each, then the unknown */
	size_t n_entries;
	struct agent_rule *rules;     /* by entry */
	struct endpoint_names *names; /* of peers and pods */
	const char **patterns;	      /* of all cgroups that entries stand for */
	size_t n_patterns;
	struct timespec loaded; /* CLOCK_REALTIME */
	uint64_t digest;	/* of all that was read: texts, names, secrets */
};

/* Read the configuration PATH and all that it names, for PODS (NULL: none). BEFORE, which may be
 * NULL, is only read; no other load may go on with it. Returns 0, or a negative errno with what is
 * wrong in DIAG. */
int agent_plan_load(const char *path, struct pod_list *pods, const struct agent_plan *before,
		    struct agent_plan **ret, struct diag *diag);
/* The same files, as they were read for BEFORE, for other pods. */
int agent_plan_renew(const struct agent_plan *before, struct pod_list *pods,
		     struct agent_plan **ret, struct diag *diag);
void agent_plan_free(struct agent_plan *p); /* accepts NULL */

/* The entry for the cgroup PATH of the tree mounted at ROOT, or -1. */
long agent_plan_entry(const struct agent_plan *p, const char *root, const char *path);
/* Do both stand for the same cgroups? */
bool agent_plan_same_cgroups(const struct agent_plan *a, const struct agent_plan *b);

/* How many entries are selected by no policy, and how many policies and HTTP rules there are for
 * all of them, those that are the same counted once. */
struct agent_plan_sums {
	size_t unselected, policies, rules;
};
void agent_plan_sum_up(const struct agent_plan *p, struct agent_plan_sums *ret);

#endif
