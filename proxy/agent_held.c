/* SPDX-License-Identifier: Apache-2.0 */
/* Workloads as they begin to be held: as soon as the workers know their policies, by tables that
 * those of the same policy share. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "agent_parts.h"

#define NS_PER_MS 1000000

void agent_workload_unheld(struct agent *a, size_t entry, const char *path, const char *why)
{
	if (!a->said_unheld)
		fprintf(stderr,
			"sluice: the workload %s in %s cannot be held: %s; it is tried again every "
			"second\n",
			a->plan->entries[entry].name, path, why);
	a->said_unheld = a->unheld = true;
	agent_retry(a);
}

/* ---- in slices ---- */

static void on_more(uv_timer_t *timer)
{
	struct agent *a = timer->data;

	uv_update_time(&a->loop); /* a slice of its own, however long others took */
	agent_workloads_settle(a);
}

/* The kernel takes some milliseconds for each workload: between two slices the loop does what else
 * there is. Before there is a loop all is done at once. */
bool agent_workloads_late(struct agent *a)
{
	if (!a->looping || a->ending || uv_hrtime() / NS_PER_MS - uv_now(&a->loop) < AGENT_SLICE_MS)
		return false;
	if (!uv_is_active((uv_handle_t *)&a->more))
		uv_timer_start(&a->more, on_more, 1, 0); /* 0 would be this turn */
	return true;
}

/* ---- held ---- */

/* Of workloads that come together many have the same policy: they share its table. */
static int table_of(struct agent *a, struct policy *policy, struct error *err)
{
	int fd;

	if (a->table_policy == policy)
		return a->table;
	fd = steer_build_table(policy_l4_table(policy), err);
	if (fd < 0)
		return fd;
	agent_workloads_drop_table(a);
	a->table_policy = policy_ref(policy);
	a->table = fd;
	return fd;
}

void agent_workloads_drop_table(struct agent *a)
{
	if (a->table_policy)
		close(a->table);
	a->table_policy = policy_unref(a->table_policy);
}

static void hold(struct agent *a, struct agent_workload *w)
{
	struct error err = { "" };
	int r = table_of(a, w->rule.policy, &err);

	if (r >= 0)
		r = steer_switch_table(a->steer, w->id, r, policy_l4_table(w->rule.policy), &err);
	if (r < 0) {
		agent_workload_unheld(a, w->entry, w->path, err.text);
		return;
	}
	w->state = AGENT_WORKLOAD_HELD;
	agent_window_held(a, w);
	agent_sweep_soon(a);
}

/* What else the entries in force say, in place: whatever the workloads carry goes on. */
static void take_flags(struct agent *a)
{
	for (struct agent_workload *w = a->workloads; w; w = w->next) {
		unsigned flags;
		int r;

		if (w->state >= AGENT_WORKLOAD_GONE) /* whose entry may be another plan's */
			continue;
		flags = agent_entry_flags(&a->plan->entries[w->entry]);
		if (w->flags == flags)
			continue;
		r = steer_set_flags(a->steer, w->id, flags);
		if (r < 0) {
			agent_workload_unheld(a, w->entry, w->path, strerror(-r));
			continue;
		}
		w->flags = flags;
		a->unrenewed = true;
	}
}

void agent_workloads_take_flags(struct agent *a)
{
	take_flags(a);
	if (!a->unrenewed)
		return;
	a->unrenewed = steer_renew(a->steer) < 0;
	if (a->unrenewed)
		agent_retry(a);
	else
		agent_sweep_soon(a);
}

void agent_workloads_progress(struct agent *a)
{
	agent_workloads_take_flags(a);
	/* Their policy may be one that not every worker has yet. */
	if (agent_reload_is_taking(a) && !crew_reached(&a->crew, a->reload.rollout.serial, false))
		return;
	for (struct agent_workload *w = a->workloads; w; w = w->next) {
		if (w->state != AGENT_WORKLOAD_TOLD || !crew_reached(&a->crew, w->serial, false))
			continue;
		if (agent_workloads_late(a))
			return;
		hold(a, w);
	}
}
