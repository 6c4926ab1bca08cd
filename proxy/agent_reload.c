/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration, the policies and the secrets, as they change: loaded as a whole on a thread of
 * its own, and put in force as a whole, or not at all.
 *
 * A plan is rolled out to the workloads that there are. One that has come meanwhile, by the plan
 * before, is brought up to date by another round; one that goes meanwhile waits until nothing is
 * being switched. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent_parts.h"
#include "agent_say.h"
#include "reload_say.h"

bool agent_reload_is_taking(const struct agent *a)
{
	return a->reload.rollout.state == ROLLOUT_TAKING;
}

/* ---- watching ---- */

/* The configuration itself, and what it named when it was read last. */
static int watch_files(void *ctx, struct watch *watch)
{
	struct agent *a = ctx;
	const struct agent_config *c = a->plan->config;
	size_t n = c->n_policies;
	const char **files = calloc(n + 1, sizeof(*files));
	int r;

	if (!files || !watch) {
		free(files);
		return files ? -EMFILE : -ENOMEM;
	}
	files[0] = a->config_path;
	for (size_t i = 0; i < n; i++)
		files[i + 1] = c->policies[i];
	r = watch_set(watch, files, n + 1, c->secrets);
	free(files);
	return r;
}

static void begin_load(void *ctx)
{
	struct agent *a = ctx;
	struct agent_reload *l = &a->reload;

	l->whole = l->files.whole;
	l->pods = pod_list_ref(a->pods.list);
}

static void load(void *ctx)
{
	struct agent *a = ctx;
	struct agent_reload *l = &a->reload;

	if (l->whole)
		l->result = agent_plan_load(a->config_path, l->pods, a->plan, &l->next, &l->diag);
	else
		l->result = agent_plan_renew(a->plan, l->pods, &l->next, &l->diag);
}

static void finish(struct agent *a)
{
	struct agent_reload *l = &a->reload;

	agent_plan_free(l->next);
	l->next = NULL;
	pod_list_unref(l->pods);
	l->pods = NULL;
	diag_done(&l->diag);
	if (!a->ending)
		agent_workloads_settle(a);
	follow_idle(&l->files);
}

/* ---- putting in force ---- */

/* What PLAN changes for those that are there: into what the workloads are to be held to, and TO. */
static int make_rollout(struct agent *a, const struct agent_plan *plan, struct rollout_plan *to,
			struct error *err)
{
	int r = rollout_plan_init(to, a->crew.n);

	if (r < 0)
		error_set(err, "out of memory for the policy");
	for (struct agent_workload *w = a->workloads; r == 0 && w; w = w->next) {
		long i = agent_workload_entry(a, plan, w);
		const struct agent_rule *rule = i < 0 ? NULL : &plan->rules[i];

		if (!rule || w->state >= AGENT_WORKLOAD_GONE ||
		    (rule->policy == w->rule.policy && rule->info == w->rule.info))
			continue;
		r = rollout_plan_set(to, w->id, rule->policy, rule->info, err);
	}
	return r;
}

/* It is known to succeed now. */
static void take_rules(struct agent *a, const struct agent_plan *plan)
{
	for (struct agent_workload *w = a->workloads; w; w = w->next) {
		long i = agent_workload_entry(a, plan, w);

		if (i < 0)
			continue;
		policy_unref(w->rule.policy);
		workload_info_unref(w->rule.info);
		w->rule.policy = policy_ref(plan->rules[i].policy);
		w->rule.info = workload_info_ref(plan->rules[i].info);
	}
}

/* Returns 1 when it goes on, 0 when there is nothing to be rolled out; or a negative errno with a
 * sentence in ERR, and nothing has changed. */
static int roll_out(struct agent *a, const struct agent_plan *plan, struct error *err)
{
	struct rollout_plan changes = { 0 };
	int r = make_rollout(a, plan, &changes, err);
	bool some = changes.n_items > 0;

	if (r == 0)
		take_rules(a, plan);
	if (r == 0 && some)
		rollout_begin(&a->reload.rollout, &changes);
	rollout_plan_done(&changes); /* nothing is left in what has begun */
	return r < 0 ? r : some;
}

static int append_names(struct worker_changes *list, unsigned worker, void *ctx)
{
	(void)worker;
	return worker_changes_set_names(list, ctx);
}

void agent_reload_names(struct agent *a)
{
	uint32_t serial;

	a->names = a->plan->names;
	a->unnamed = crew_tell(&a->crew, append_names, a->names, &serial) < 0;
	if (a->unnamed)
		agent_retry(a);
}

static void put_in_force(struct agent *a)
{
	struct agent_reload *l = &a->reload;
	struct agent_plan *before = a->plan;

	if (!l->next)
		return;
	a->plan = l->next;
	a->revision += l->whole;
	l->next = NULL;
	agent_reload_names(a);
	agent_points_attach_again(a);
	agent_workloads_follow(a, before);
	agent_points_tidy(a);
	agent_plan_free(before);
}

/* What was wrong with the files is so no more. */
static void forgive(struct agent_reload *l)
{
	if (!l->whole)
		return;
	free(l->last_errors);
	l->last_errors = NULL;
}

static void roll_on(struct agent *a);

static void on_in_force(void *ctx)
{
	put_in_force(ctx);
}

static void on_done(void *ctx, unsigned ended)
{
	struct agent *a = ctx;

	a->reload.ended += ended;
	roll_on(a);
}

static void on_behind(void *ctx, uint64_t workload, const char *why)
{
	agent_say_behind(agent_find(ctx, workload), why);
}

void agent_on_swept(void *ctx, const struct swept *e)
{
	struct agent *a = ctx;
	const struct agent_workload *w = agent_find(a, e->workload);

	a->reporter.who = w ? w->rule.info : NULL;
	report_swept(&a->reporter, e);
	if (e->result == -EOPNOTSUPP && !a->reload.said_helpless) {
		a->reload.said_helpless = true;
		reload_say_helpless();
	}
}

void agent_on_unlisted(void *ctx, int error)
{
	struct agent *a = ctx;

	if (!a->reload.said_unlisted)
		reload_say_unlisted(error);
	a->reload.said_unlisted = true;
}

static const struct rollout_host host = {
	.in_force = on_in_force,
	.behind = on_behind,
	.swept = agent_on_swept,
	.unlisted = agent_on_unlisted,
	.done = on_done,
};

/* Another round for those that came by the plan before. */
static void roll_on(struct agent *a)
{
	struct agent_reload *l = &a->reload;
	struct error err = { "" };
	int r;

	if (a->ending) {
		finish(a);
		return;
	}
	r = roll_out(a, a->plan, &err);
	if (r > 0)
		return;
	l->unrolled = r < 0;
	l->files.short_of |= l->unrolled;
	if (r < 0)
		agent_say_failed(a, err.text);
	else if (l->whole) /* that pods come and go is no news */
		agent_say_changed(a);
	finish(a);
}

static void begin(struct agent *a)
{
	struct agent_reload *l = &a->reload;
	struct error err = { "" };
	int r;

	/* Before tables ask for it, so that nothing is shut for a moment. What fails is said when
	 * it is in force. */
	agent_netns_prepare_ingress(a, l->next, &err);
	r = roll_out(a, l->next, &err);
	if (r < 0) {
		l->files.short_of = true;
		agent_say_failed(a, err.text);
		finish(a);
		return;
	}
	forgive(l);
	agent_say_fixed(agent_config_fixed(a->plan->config, l->next->config));
	l->ended = 0;
	if (r > 0)
		return;
	put_in_force(a);
	roll_on(a);
}

static void loaded(void *ctx, int error)
{
	struct agent *a = ctx;
	struct agent_reload *l = &a->reload;
	struct error err = { "" };

	if (error < 0) {
		l->result = error;
		error_set(&err, "cannot start a thread to load the policy: %s", uv_strerror(error));
	}
	/* What is lacking may come back without a change of any file. */
	if (l->whole || l->result < 0)
		l->files.short_of = l->result < 0 && l->result != -EINVAL;
	if (l->result < 0) {
		agent_say_failed(a, error < 0 ? err.text : NULL);
		finish(a);
		return;
	}
	if (l->next->digest != a->plan->digest || l->next->pods != a->plan->pods || l->unrolled) {
		begin(a);
		return;
	}
	forgive(l);
	finish(a); /* it says what is in force */
}

/* ---- from beginning to end ---- */

static const struct follow_host follower = {
	.watch = watch_files,
	.begin = begin_load,
	.load = load,
	.loaded = loaded,
};

int agent_reload_init(struct agent *a, struct error *err)
{
	int r = follow_init(&a->reload.files, &follower, a);

	if (r < 0)
		error_set(err, "out of memory");
	return r;
}

void agent_reload_now(struct agent *a)
{
	follow_now(&a->reload.files);
}

void agent_reload_pods(struct agent *a)
{
	follow_otherwise(&a->reload.files);
}

void agent_reload_begin(struct agent *a)
{
	struct agent_reload *l = &a->reload;

	rollout_init(&l->rollout, &a->crew, a->steer, &a->loop, &host, a);
	l->rollout.audit = a->plan->config->audit;
	follow_begin(&l->files, &a->loop);
	/* What the configuration names was not watched when it was read first. */
	follow_now(&l->files);
}

void agent_reload_end(struct agent *a)
{
	struct agent_reload *l = &a->reload;

	if (!l->files.begun || l->files.closing)
		return;
	follow_end(&l->files);
	rollout_end(&l->rollout);
}

void agent_reload_done(struct agent *a)
{
	struct agent_reload *l = &a->reload;

	rollout_done(&l->rollout);
	agent_plan_free(l->next);
	pod_list_unref(l->pods);
	diag_done(&l->diag);
	free(l->last_errors);
	follow_done(&l->files);
}
