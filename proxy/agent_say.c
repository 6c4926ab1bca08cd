/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_say.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent.h"
#include "reload_say.h"

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

void agent_say_nothing(const struct agent *a)
{
	struct agent_plan_sums sums;

	agent_plan_sum_up(a->plan, &sums);
	if (sums.unselected > 0)
		fprintf(stderr,
			"sluice: no policy selects %zu of the %zu workload%s of %s: nothing is "
			"enforced for %s\n",
			sums.unselected, a->plan->config->n_entries,
			plural(a->plan->config->n_entries), a->config_path,
			sums.unselected == 1 ? "it" : "them");
}

void agent_say_ready(const struct agent *a)
{
	if (a->plan->config->audit)
		fprintf(stderr, "sluice: audit: nothing is refused; what would have been is "
				"recorded\n");
	agent_say_nothing(a);
	fprintf(stderr, "sluice: the agent is ready: %zu workload%s\n", a->n_workloads,
		plural(a->n_workloads));
}

void agent_say_older(struct agent *a)
{
	const struct steer_adopted *found = &a->older.found;

	if (!a->older.said && found->listeners + found->connections > 0)
		fprintf(stderr,
			"sluice: older than the agent and known now: %llu listening socket%s, %llu "
			"connection%s; %llu had to end\n",
			(unsigned long long)found->listeners, plural(found->listeners),
			(unsigned long long)found->connections, plural(found->connections),
			(unsigned long long)a->older.ended);
	a->older.said = true;
}

void agent_say_failed(struct agent *a, const char *why)
{
	static const char stays[] = "what was in force before stays so";
	struct agent_reload *l = &a->reload;
	char *errors = why ? strdup(why) : reload_render(&l->diag);
	struct report_change change = { .error = errors ? errors : "out of memory" };

	if (errors && l->last_errors && strcmp(errors, l->last_errors) == 0) {
		free(errors);
		return;
	}
	if (why)
		fprintf(stderr, "sluice: %s; %s\n", why, stays);
	else
		fprintf(stderr, "%ssluice: the configuration or the policies have errors; %s\n",
			errors ? errors : "", stays);
	a->reporter.who = NULL;
	report_reload(&a->reporter, &change);
	free(l->last_errors);
	l->last_errors = errors;
}

void agent_say_changed(struct agent *a)
{
	struct agent_plan_sums sums;
	struct report_change change;

	agent_plan_sum_up(a->plan, &sums);
	change = (struct report_change){ .policies = (unsigned)sums.policies,
					 .rules = sums.rules,
					 .ended = a->reload.ended };
	fprintf(stderr,
		"sluice: reloaded: %u %s, %zu HTTP rule%s, %zu workload%s, %u connection%s "
		"ended\n",
		change.policies, change.policies == 1 ? "policy" : "policies", change.rules,
		plural(change.rules), a->n_workloads, plural(a->n_workloads), change.ended,
		plural(change.ended));
	agent_say_nothing(a);
	a->reporter.who = NULL;
	report_reload(&a->reporter, &change);
}

void agent_say_fixed(const char *setting)
{
	if (setting)
		fprintf(stderr,
			"sluice: \"%s\" of the configuration takes effect when the agent is "
			"started again\n",
			setting);
}

void agent_say_behind(const struct agent_workload *w, const char *why)
{
	fprintf(stderr,
		"sluice: %s: %s; its requests are judged by the new policy, its connections by "
		"the one before, until that succeeds\n",
		w ? w->path : "a workload", why);
}
