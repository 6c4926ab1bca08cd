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
static int watch_files(struct agent *a)
{
	const struct agent_config *c = a->plan ? a->plan->config : NULL;
	size_t n = c ? c->n_policies : 0;
	const char **files = calloc(n + 1, sizeof(*files));
	int r;

	if (!files)
		return -ENOMEM;
	files[0] = a->config_path;
	for (size_t i = 0; i < n; i++)
		files[i + 1] = c->policies[i];
	r = watch_set(a->reload.watch, files, n + 1, c ? c->secrets : NULL);
	free(files);
	return r;
}

static void set_watch(struct agent *a)
{
	struct agent_reload *l = &a->reload;
	int r = l->watch ? watch_files(a) : -EMFILE;

	l->blind = r < 0;
	if (l->blind && !l->said_blind)
		reload_say_blind(r, AGENT_BLIND_MS / 1000);
	l->said_blind |= l->blind;
}

int agent_reload_init(struct agent *a, struct error *err)
{
	struct agent_reload *l = &a->reload;

	l->watch = watch_new();
	if (l->watch || errno != ENOMEM)
		return 0;
	error_set(err, "out of memory");
	return -ENOMEM;
}

/* ---- loading ---- */

static void load(struct agent *a)
{
	struct agent_reload *l = &a->reload;

	l->result = agent_plan_load(a->config_path, a->plan, &l->next, &l->diag);
}

static void loader_main(void *arg)
{
	struct agent *a = arg;

	load(a);
	uv_async_send(&a->reload.loaded);
}

static void start_load(struct agent *a);
static void on_settled(uv_timer_t *timer);

static void finish(struct agent *a)
{
	struct agent_reload *l = &a->reload;

	agent_plan_free(l->next);
	l->next = NULL;
	diag_done(&l->diag);
	l->err.text[0] = '\0';
	l->state = AGENT_IDLE;
	if (l->closing)
		return;
	agent_workloads_settle(a);
	if (l->changed)
		start_load(a);
	else if ((l->blind || l->short_of) && !uv_is_active((uv_handle_t *)&l->settle))
		uv_timer_start(&l->settle, on_settled, AGENT_BLIND_MS, 0);
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

static void put_in_force(struct agent *a)
{
	struct agent_reload *l = &a->reload;
	struct agent_plan *before = a->plan;

	if (!l->next)
		return;
	a->plan = l->next;
	a->revision++;
	l->next = NULL;
	agent_points_attach_again(a);
	agent_workloads_follow(a, before);
	agent_points_tidy(a);
	agent_plan_free(before);
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
	struct rollout_plan plan = { 0 };
	struct error err = { "" };
	int r;

	if (l->closing) {
		finish(a);
		return;
	}
	r = make_rollout(a, a->plan, &plan, &err);
	if (r == 0 && plan.n_items > 0) {
		take_rules(a, a->plan);
		rollout_begin(&l->rollout, &plan);
		return;
	}
	rollout_plan_done(&plan);
	l->unrolled = r < 0;
	l->short_of |= l->unrolled;
	if (r < 0) {
		agent_say_failed(a, err.text);
	} else {
		agent_say_changed(a);
	}
	finish(a);
}

static void begin(struct agent *a)
{
	struct agent_reload *l = &a->reload;
	struct rollout_plan plan = { 0 };
	int r = make_rollout(a, l->next, &plan, &l->err);

	if (r < 0) {
		rollout_plan_done(&plan);
		l->short_of = true;
		agent_say_failed(a, l->err.text);
		finish(a);
		return;
	}
	agent_say_fixed(agent_config_fixed(a->plan->config, l->next->config));
	l->state = AGENT_ROLLING;
	l->ended = 0;
	take_rules(a, l->next);
	if (plan.n_items > 0) {
		rollout_begin(&l->rollout, &plan);
		return;
	}
	rollout_plan_done(&plan);
	put_in_force(a);
	roll_on(a);
}

static void take_loaded(struct agent *a)
{
	struct agent_reload *l = &a->reload;

	/* What is lacking may come back without a change of any file. */
	l->short_of = l->result < 0 && l->result != -EINVAL;
	if (l->result < 0) {
		agent_say_failed(a, l->err.text[0] ? l->err.text : NULL);
		finish(a);
		return;
	}
	free(l->last_errors);
	l->last_errors = NULL;
	if (l->next->digest == a->plan->digest && !l->unrolled)
		finish(a); /* it says what is in force */
	else
		begin(a);
}

static void join_loader(struct agent_reload *l)
{
	if (l->has_loader)
		uv_thread_join(&l->loader);
	l->has_loader = false;
}

static void on_loaded(uv_async_t *async)
{
	struct agent *a = async->data;

	if (!a->reload.has_loader) /* it was waited for already */
		return;
	join_loader(&a->reload);
	take_loaded(a);
}

/* ---- noticing ---- */

static void start_load(struct agent *a)
{
	struct agent_reload *l = &a->reload;
	int r;

	l->changed = false;
	l->latest_ms = 0;
	set_watch(a);
	l->state = AGENT_LOADING;
	r = uv_thread_create(&l->loader, loader_main, a);
	l->has_loader = r == 0;
	if (r == 0)
		return;
	error_set(&l->err, "cannot start a thread to load the policy: %s", uv_strerror(r));
	l->result = r;
	take_loaded(a);
}

void agent_reload_now(struct agent *a)
{
	if (a->reload.state == AGENT_IDLE)
		start_load(a);
	else
		a->reload.changed = true;
}

static void on_settled(uv_timer_t *timer)
{
	agent_reload_now(timer->data);
}

static void on_news(uv_poll_t *handle, int status, int events)
{
	struct agent *a = handle->data;
	struct agent_reload *l = &a->reload;
	enum watch_news news = watch_read(l->watch);
	uint64_t now = uv_now(&a->loop), at;

	(void)status;
	(void)events;
	if (news == WATCH_NOTHING)
		return;
	if (!l->latest_ms)
		l->latest_ms = now + AGENT_LATEST_MS;
	at = now + (news == WATCH_SETTLED ? AGENT_SETTLED_MS : AGENT_UNSETTLED_MS);
	if (at > l->latest_ms)
		at = l->latest_ms;
	uv_timer_start(&l->settle, on_settled, at > now ? at - now : 0, 0);
}

void agent_reload_begin(struct agent *a)
{
	struct agent_reload *l = &a->reload;

	if (uv_async_init(&a->loop, &l->loaded, on_loaded) < 0 ||
	    (l->watch && (uv_poll_init(&a->loop, &l->news, watch_fd(l->watch)) < 0 ||
			  uv_poll_start(&l->news, UV_READABLE, on_news) < 0)))
		abort(); /* a good descriptor and fresh handles */
	uv_timer_init(&a->loop, &l->settle);
	l->loaded.data = l->news.data = l->settle.data = a;
	rollout_init(&l->rollout, &a->crew, a->steer, &a->loop, &host, a);
	l->rollout.audit = a->plan->config->audit;
	l->begun = true;
	/* What the configuration names was not watched when it was read first. */
	start_load(a);
}

void agent_reload_end(struct agent *a)
{
	struct agent_reload *l = &a->reload;

	if (!l->begun || l->closing)
		return;
	l->closing = true;
	if (l->watch)
		uv_close((uv_handle_t *)&l->news, NULL);
	uv_close((uv_handle_t *)&l->settle, NULL);
	uv_close((uv_handle_t *)&l->loaded, NULL);
	join_loader(l);
	rollout_end(&l->rollout);
}

void agent_reload_done(struct agent *a)
{
	struct agent_reload *l = &a->reload;

	rollout_done(&l->rollout);
	agent_plan_free(l->next);
	diag_done(&l->diag);
	free(l->last_errors);
	watch_free(l->watch);
}
