/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent_parts.h"
#include "agent_say.h"
#include "loop.h"
#include "notify.h"

/* ---- what the parts share ---- */

static void on_retry(uv_timer_t *timer)
{
	struct agent *a = timer->data;

	if (routes_update(a->routes) < 0)
		agent_retry(a);
	if (a->unattached)
		agent_points_attach_again(a);
	if (a->unnamed)
		agent_reload_names(a);
	agent_netns_retry(a);
	agent_workloads_scan(a);
}

void agent_retry(struct agent *a)
{
	if (!a->ending && !uv_is_active((uv_handle_t *)&a->retry))
		uv_timer_start(&a->retry, on_retry, AGENT_RETRY_MS, 0);
}

/* ---- opening ---- */

static int open_log(struct agent *a, struct error *err)
{
	const struct agent_config *c = a->plan->config;
	int r = 0;

	if (c->log)
		r = access_log_open(c->log, c->workers + 1, c->limits.log_queue, &a->log, err);
	if (a->log)
		a->reporter.log = access_log_writer(a->log, c->workers);
	a->reporter.audit = c->audit;
	a->reporter.names = &a->names;
	return r;
}

void agent_each_timer(struct agent *a, void (*fn)(struct agent *a, uv_timer_t *timer))
{
	uv_timer_t *const timers[] = {
		&a->retry, &a->scan, &a->visit, &a->rest, &a->sweep, &a->more
	};

	for (size_t i = 0; i < sizeof(timers) / sizeof(*timers); i++)
		fn(a, timers[i]);
}

static void make_timer(struct agent *a, uv_timer_t *timer)
{
	uv_timer_init(&a->loop, timer);
	timer->data = a;
}

/* Everything that may end the process for want of memory comes before anything that has to be
 * removed. */
static int open_loops(struct agent *a, struct error *err)
{
	const struct agent_config *c = a->plan->config;
	struct crew_options options = {
		.n_workers = c->workers,
		.max_workloads = AGENT_WORKLOADS_MAX,
		.max_netns = AGENT_NETNS_MAX,
		.audit = c->audit,
		.log = a->log,
	};
	int r;

	r = agent_keep_descriptors(c, &options.limits, err);
	if (r < 0)
		return r;
	r = loop_open(&a->loop, AGENT_DESCRIPTORS_MAX);
	if (r < 0) {
		error_set(err, "cannot make an event loop: %s", uv_strerror(r));
		return r;
	}
	a->loop_made = true;
	agent_each_timer(a, make_timer);
	return crew_open(&a->crew, &options, err);
}

static int find_cgroups(struct agent *a, struct error *err)
{
	int r = cgroup_tree(a->tree, err);

	return r < 0 ? r : cgroup_own(a->own, err);
}

static int open_steering(struct agent *a, struct error *err)
{
	const struct agent_config *c = a->plan->config;
	const struct steer_options options = {
		.max_flows = (uint32_t)c->limits.connects,
		.max_workloads = AGENT_WORKLOADS_MAX,
		.max_netns = AGENT_NETNS_MAX,
		.audit = c->audit,
	};
	int r = steer_open(&options, &a->steer, err);

	if (r == 0)
		r = crew_listen(&a->crew, a->steer, err);
	if (r == 0)
		r = routes_open(a->steer, 0, -1, &a->routes, err);
	if (r == 0)
		r = agent_netns_open(a, err);
	if (r == 0)
		r = agent_workloads_open(a, err);
	if (r == 0)
		r = agent_points_attach(a, err);
	a->attached = r == 0;
	a->unadopted = true;
	return r;
}

/* Only now, when it is held by ourselves. That some of it has to stay is no reason not to go on. */
static void take_over(struct agent *a)
{
	struct agent_remains report = { 0 };
	struct error err = { "" };

	agent_adopt(a);
	if (agent_state_cleanup(&a->state, &report, &err) < 0)
		fprintf(stderr, "sluice: %s\n", err.text);
	else if (report.removed > 0)
		fprintf(stderr, "sluice: took over from the agent before\n");
	agent_netns_let_in(a); /* it may have had the last place for a program */
}

int agent_open(struct agent *a, const char *config_path, struct agent_plan *plan, struct error *err)
{
	int r;

	a->config_path = config_path;
	a->plan = plan;
	a->revision = 1;
	a->signal_fd = -1;
	clock_gettime(CLOCK_REALTIME, &a->started);
	/* Before signals are blocked: a FIFO without a reader makes this wait. */
	r = agent_reload_init(a, err);
	if (r == 0)
		r = open_log(a, err);
	if (r == 0)
		r = agent_take_signals(a, err);
	if (r == 0)
		r = open_loops(a, err);
	if (r == 0)
		r = agent_state_make(&a->state, plan->config->state_dir, err);
	if (r < 0)
		return r;
	a->state_made = true;
	r = agent_pods_open(a, err);
	if (r == 0)
		r = find_cgroups(a, err);
	if (r == 0)
		r = open_steering(a, err);
	if (r == 0)
		agent_reload_names(a);
	if (r == 0)
		r = crew_start(&a->crew, err);
	if (r == 0)
		r = agent_status_open(a, err);
	if (r == 0)
		take_over(a);
	return r;
}

/* ---- the main thread's loop ---- */

static bool is_about_netns(const struct agent *a, const struct steer_event *e)
{
	if (e->kind == STEER_NETNS_UNKNOWN)
		return true;
	if (e->kind != STEER_CONNECT_NO_LISTENER || !e->netns_cookie)
		return false;
	if (e->netns_cookie == steer_netns_cookie(a->steer, 0))
		return false;
	for (const struct agent_netns *n = a->netns; n; n = n->next)
		if (n->cookie == e->netns_cookie)
			return false;
	return true;
}

void agent_on_event(void *ctx, const struct steer_event *e)
{
	struct agent *a = ctx;
	const struct agent_workload *w = agent_find(a, e->workload);

	if (!a->ending && is_about_netns(a, e))
		agent_netns_unknown(a, e);
	if (e->kind >= STEER_EVENT_MAX)
		return;
	a->reporter.who = w ? w->rule.info : NULL;
	report_event(&a->reporter, e);
}

static void on_events(uv_poll_t *handle, int status, int events)
{
	struct agent *a = handle->data;

	(void)status;
	(void)events;
	steer_read_events(a->steer, agent_on_event, a);
}

static void on_route_change(uv_poll_t *handle, int status, int events)
{
	struct agent *a = handle->data;

	(void)status;
	(void)events;
	if (routes_update(a->routes) < 0)
		agent_retry(a);
}

static void on_cgroup_news(uv_poll_t *handle, int status, int events)
{
	struct agent *a = handle->data;

	(void)status;
	(void)events;
	if (cgroup_watch_read(a->cgroups) < 0)
		agent_retry(a);
}

static void on_scan(uv_timer_t *timer)
{
	struct agent *a = timer->data;

	agent_points_tidy(a);
	agent_netns_let_in(a);
	agent_workloads_scan(a);
	agent_foreign_look(a);
}

static void on_progress(void *ctx)
{
	struct agent *a = ctx;

	if (a->ending) {
		agent_end_progress(a);
		return;
	}
	agent_workloads_progress(a);
	agent_netns_progress(a);
}

static void watch(struct agent *a, uv_poll_t *handle, int fd, uv_poll_cb on_readable)
{
	if (uv_poll_init(&a->loop, handle, fd) < 0 ||
	    uv_poll_start(handle, UV_READABLE, on_readable) < 0)
		abort(); /* a good descriptor and a fresh handle */
	handle->data = a;
}

void agent_loop(struct agent *a)
{
	watch(a, &a->signals, a->signal_fd, agent_on_signals);
	watch(a, &a->events, steer_events_fd(a->steer), on_events);
	watch(a, &a->route_changes, routes_fd(a->routes), on_route_change);
	watch(a, &a->cgroup_news, cgroup_watch_fd(a->cgroups), on_cgroup_news);
	a->looping = true;
	crew_begin(&a->crew, &a->loop);
	a->progress = (struct crew_watch){ .on_progress = on_progress, .ctx = a };
	crew_watch(&a->crew, &a->progress);
	uv_timer_start(&a->scan, on_scan, AGENT_SCAN_MS, AGENT_SCAN_MS);
	agent_reload_begin(a);
	agent_pods_begin(a);
	agent_sweep_soon(a);
	agent_say_ready(a);
	notify_send("READY=1");
	uv_run(&a->loop, UV_RUN_DEFAULT);
}
