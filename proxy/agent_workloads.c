/* SPDX-License-Identifier: Apache-2.0 */
/* Workloads as they come and go with their cgroups.
 *
 * One that comes is told to the workers first, and is held in the kernel as soon as all of them
 * know it: so that no connection is steered to a worker who would have to reset it. What it
 * connected meanwhile is then held to its table like everything that is older than a policy. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent_parts.h"
#include "cgroup_pattern.h"

struct agent_workload *agent_find(const struct agent *a, uint64_t workload)
{
	struct agent_workload *w = a->workloads;

	while (w && w->id != workload)
		w = w->next;
	return w;
}

static struct agent_workload *find_cgroup(const struct agent *a, uint64_t id)
{
	struct agent_workload *w = a->workloads;

	while (w && (w->cgroup_id != id || w->state >= AGENT_WORKLOAD_GONE))
		w = w->next;
	return w;
}

unsigned agent_entry_flags(const struct agent_entry *e)
{
	return (e->hold_loopback ? STEER_WORKLOAD_LOOPBACK : 0) |
	       (e->hold_host ? STEER_WORKLOAD_HOST_HELD : 0);
}

long agent_workload_entry(const struct agent *a, const struct agent_plan *plan,
			  const struct agent_workload *w)
{
	return agent_plan_entry(plan, a->tree, w->path);
}

static const struct agent_entry *entry_of(const struct agent *a, size_t i)
{
	return &a->plan->entries[i];
}

/* ---- coming ---- */

static int append_policy(struct worker_changes *list, unsigned i, void *ctx)
{
	const struct agent_workload *w = ctx;

	(void)i;
	return worker_changes_set_policy(list, w->id, w->rule.policy, w->rule.info);
}

static void free_workload(struct agent_workload *w)
{
	policy_unref(w->rule.policy);
	workload_info_unref(w->rule.info);
	free(w->stays);
	free(w->foreign);
	free(w->path);
	free(w);
}

static struct agent_workload *make_workload(const struct agent *a, const struct cgroup_found *f,
					    size_t entry)
{
	const struct agent_rule *rule = &a->plan->rules[entry];
	struct agent_workload *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->path = strdup(f->path);
	w->cgroup_id = f->id;
	w->entry = entry;
	w->flags = agent_entry_flags(entry_of(a, entry));
	w->rule.policy = policy_ref(rule->policy);
	w->rule.info = workload_info_ref(rule->info);
	if (w->path)
		return w;
	free_workload(w);
	return NULL;
}

static int add(struct agent *a, const struct cgroup_found *f, size_t entry,
	       struct agent_workload **ret, struct error *err)
{
	struct agent_workload *w = make_workload(a, f, entry);
	int r = 0;

	if (!w) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	if (a->attached)
		r = agent_points_cover(a, a->plan->patterns[f->pattern], f->path, err);
	if (r == 0)
		r = steer_add_workload(a->steer, w->cgroup_id, w->flags, &w->id, err);
	if (r < 0)
		goto fail;
	r = crew_tell(&a->crew, append_policy, w, &w->serial);
	if (r < 0) {
		error_set(err, "out of memory");
		steer_remove_workload(a->steer, w->id);
		goto fail;
	}
	w->next = a->workloads;
	a->workloads = w;
	a->n_workloads++;
	*ret = w;
	return 0;
fail:
	free_workload(w);
	return r;
}

static bool is_populated(const struct agent *a, const struct agent_workload *w)
{
	struct cgroup cg = { .fd = agent_open_cgroup(a, w->path) };
	bool populated = cg.fd >= 0 && cgroup_populated(&cg) == 1;

	cgroup_done(&cg);
	return populated;
}

static void look_inside(struct agent *a, struct agent_workload *w)
{
	bool was = w->populated;

	w->populated = is_populated(a, w);
	if (!w->populated)
		return;
	agent_window_seen(a, w);
	agent_netns_visit_soon(a, w);
	if (!was)
		agent_sweep_soon(a); /* they may have brought sockets along */
}

/* Whoever holds the holder would wait for himself. */
static bool is_own(struct agent *a, const struct cgroup_found *f, const struct agent_entry *e)
{
	if (!cgroup_path_is_within(a->own, f->path))
		return false;
	if (!a->said_own && e->kind == AGENT_CONFIGURED) /* it may well be a pod itself */
		fprintf(stderr,
			"sluice: %s is sluice's own cgroup: it is no workload, though \"%s\" "
			"stands for it\n",
			f->path, e->pattern);
	a->said_own = true;
	return true;
}

/* It waits for its removal, and can be added again afterwards. If that fails nobody waits for it.
 */
static bool is_going(const struct agent *a, uint64_t id)
{
	const struct agent_workload *w = a->workloads;

	while (w && (w->cgroup_id != id || w->state != AGENT_WORKLOAD_GONE || w->stuck))
		w = w->next;
	return w;
}

static void take(struct agent *a, struct cgroup_found *f)
{
	long entry = agent_plan_entry(a->plan, a->tree, f->path);
	struct agent_workload *w;
	struct error err = { "" };

	if (entry < 0 || is_own(a, f, entry_of(a, (size_t)entry)) || is_going(a, f->id))
		return;
	if (add(a, f, (size_t)entry, &w, &err) < 0) {
		agent_workload_unheld(a, (size_t)entry, f->path, err.text);
		return;
	}
	f->data = w;
	w->found = f;
	w->fresh = a->pods.begun;
	look_inside(a, w);
	agent_workloads_progress(a);
	if (entry_of(a, w->entry)->kind == AGENT_UNKNOWN_POD)
		agent_pods_hurry(a);
}

/* Known already, when other patterns have found it. */
static void on_appeared(void *ctx, struct cgroup_found *f)
{
	struct agent *a = ctx;
	struct agent_workload *w = find_cgroup(a, f->id);

	if (a->unfollowed)
		return; /* it was found by another plan */
	if (!w) {
		take(a, f);
		return;
	}
	f->data = w;
	w->found = f;
	if (!w->populated) /* whoever told was not listened to for a moment */
		look_inside(a, w);
}

static void let_go(struct agent_workload *w)
{
	if (w->found)
		w->found->data = NULL;
	w->found = NULL;
	w->state = AGENT_WORKLOAD_GONE;
}

static void on_vanished(void *ctx, struct cgroup_found *f)
{
	struct agent *a = ctx;

	if (!f->data)
		return;
	let_go(f->data);
	agent_workloads_settle(a);
}

static void on_changed(void *ctx, struct cgroup_found *f)
{
	struct agent *a = ctx;

	if (f->data)
		look_inside(a, f->data);
}

static const struct cgroup_watch_host host = {
	.appeared = on_appeared,
	.vanished = on_vanished,
	.changed = on_changed,
};

/* ---- going ---- */

static int append_removal(struct worker_changes *list, unsigned i, void *ctx)
{
	const struct agent_workload *w = ctx;

	(void)i;
	return worker_changes_remove_workload(list, w->id);
}

/* First nobody is steered in its name any more, then nobody is carried. */
static bool forget(struct agent *a, struct agent_workload *w)
{
	uint32_t serial;

	agent_netns_leave(a, w);
	if (w->state == AGENT_WORKLOAD_GONE) {
		if (steer_remove_workload(a->steer, w->id) < 0)
			return false;
		w->state = AGENT_WORKLOAD_FORGOTTEN;
	}
	return crew_tell(&a->crew, append_removal, w, &serial) == 0;
}

static void remove_gone(struct agent *a)
{
	struct agent_workload **at = &a->workloads, *w;

	if (agent_reload_is_taking(a)) /* and will be done afterwards */
		return;
	while ((w = *at)) {
		if (w->state < AGENT_WORKLOAD_GONE) {
			at = &w->next;
		} else if (agent_workloads_late(a)) {
			return;
		} else if (forget(a, w)) {
			agent_sweep_soon(a); /* sockets may outlive it */
			*at = w->next;
			a->n_workloads--;
			free_workload(w);
		} else {
			w->stuck = true;
			agent_retry(a);
			at = &w->next;
		}
	}
}

static void take_rest(void *ctx, struct cgroup_found *f)
{
	struct agent *a = ctx;

	if (!a->unfollowed && !f->data && !find_cgroup(a, f->id))
		take(a, f);
}

void agent_workloads_settle(struct agent *a)
{
	remove_gone(a);
	a->unheld = false;
	cgroup_watch_each(a->cgroups, take_rest, a);
	agent_workloads_progress(a);
	if (!a->unheld)
		a->said_unheld = false;
}

/* Without watches everything is looked at every second. */
static void scan(struct agent *a)
{
	int r = cgroup_watch_scan(a->cgroups);

	if (r == 0)
		return;
	if (!a->said_blind)
		fprintf(stderr,
			"sluice: the cgroups below %s cannot all be watched (%s), so they are "
			"looked at every second\n",
			a->tree, r == -ENOSPC ? "fs.inotify.max_user_watches" : strerror(-r));
	a->said_blind = true;
	agent_retry(a);
}

void agent_workloads_scan(struct agent *a)
{
	if (a->unfollowed)
		agent_workloads_follow(a, NULL);
	else
		scan(a);
	for (struct agent_workload *w = a->workloads; w; w = w->next) {
		/* One that only pauses would have to wait for its namespace again. */
		if (w->populated || w->was_populated)
			agent_netns_visit(a, w, true);
		w->was_populated = w->populated;
	}
	agent_workloads_settle(a);
}

/* ---- which ---- */

int agent_workloads_open(struct agent *a, struct error *err)
{
	int r = cgroup_watch_open(a->tree, a->plan->patterns, a->plan->n_patterns, &host, a,
				  &a->cgroups);

	if (r < 0)
		error_set(err, "cannot follow the cgroups below %s: %s%s", a->tree, strerror(-r),
			  r == -EMFILE ? " (fs.inotify.max_user_instances)" : "");
	else
		scan(a);
	return r;
}

/* Entries of the plan in force, not of the one before. */
static void renumber(struct agent *a)
{
	for (struct agent_workload *w = a->workloads; w; w = w->next) {
		long i = agent_workload_entry(a, a->plan, w);

		if (i >= 0)
			w->entry = (size_t)i;
		else if (w->state < AGENT_WORKLOAD_GONE)
			let_go(w);
		if (w->state == AGENT_WORKLOAD_HELD)
			agent_window_held(a, w);
	}
}

void agent_workloads_follow(struct agent *a, const struct agent_plan *before)
{
	renumber(a);
	agent_workloads_take_flags(a);
	if (before && !a->unfollowed && agent_plan_same_cgroups(before, a->plan))
		return;
	a->unfollowed = cgroup_watch_set(a->cgroups, a->plan->patterns, a->plan->n_patterns) < 0;
	if (a->unfollowed) {
		agent_retry(a);
		return;
	}
	for (struct agent_workload *w = a->workloads; w; w = w->next)
		w->found = NULL;
	scan(a);
	for (struct agent_workload *w = a->workloads; w; w = w->next)
		if (!w->found && w->state < AGENT_WORKLOAD_GONE)
			let_go(w);
	agent_workloads_settle(a);
}

void agent_workloads_close(struct agent *a)
{
	cgroup_watch_close(a->cgroups);
	a->cgroups = NULL;
	while (a->workloads) {
		struct agent_workload *w = a->workloads;

		a->workloads = w->next;
		free_workload(w);
	}
	agent_workloads_drop_table(a);
}
