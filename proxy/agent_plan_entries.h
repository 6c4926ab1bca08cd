/* SPDX-License-Identifier: Apache-2.0 */
/* agent_plan_entries.h - who can become a workload by a plan, and what each is held to: for
 * agent_plan*.c. */
#ifndef SLUICE_AGENT_PLAN_ENTRIES_H
#define SLUICE_AGENT_PLAN_ENTRIES_H

#include "agent_plan.h"

/* Of its configuration and its pods. 0 or -ENOMEM. */
int agent_plan_make_entries(struct agent_plan *p, struct diag *diag);
/* A policy for each entry, made by SET; P's stats are those of SET. What says the same as in BEFORE
 * (or NULL) is that of BEFORE. Returns 0 or a negative errno. A pod for which no policy can be made
 * is refused everything, so that whoever may label a pod cannot keep others from changing. */
int agent_plan_make_rules(struct agent_plan *p, struct policy_set *set,
			  const struct agent_plan *before, struct diag *diag);

/* Of the configuration's peers, and of the pods by their rules' infos. 0 or -ENOMEM. */
int agent_plan_make_names(struct agent_plan *p, struct diag *diag);

#endif
