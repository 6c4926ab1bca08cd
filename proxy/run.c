/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "loop.h"
#include "rollout.h"
#include "stats.h"

/* It has labels, and no name but the command itself. */
static int open_info(struct run *r, struct error *err)
{
	struct workload_names names = { .labels = r->options->labels,
					.n_labels = r->options->n_labels };
	int code = workload_info_new(&names, &r->info, err);

	r->reporter.who = r->info;
	return code;
}

static int open_log(struct run *r, struct error *err)
{
	int code = 0;

	if (r->options->log)
		code = access_log_open(r->options->log, r->options->workers + 1,
				       r->options->limits.log_queue, &r->log, err);
	if (r->log)
		r->reporter.log = access_log_writer(r->log, r->options->workers);
	return code;
}

/* Everything that may end the process for want of memory comes before anything that has to be
 * removed. */
static int open_loops(struct run *r, struct error *err)
{
	struct crew_options options = {
		.n_workers = r->options->workers,
		.max_workloads = 1,
		.limits = r->options->limits,
		.audit = r->options->audit,
		.fixed = !reload_may_follow(r),
		.log = r->log,
	};
	int code = loop_open(&r->loop, RUN_DESCRIPTORS_MAX);

	if (code < 0) {
		error_set(err, "cannot make an event loop: %s", uv_strerror(code));
		return code;
	}
	r->loop_made = true;
	return crew_open(&r->crew, &options, err);
}

static int give_policy(struct run *r, struct error *err)
{
	struct rollout_plan plan;
	int code = rollout_plan_init(&plan, r->crew.n);

	if (code < 0)
		error_set(err, "out of memory for the policy");
	else
		code = rollout_plan_set(&plan, r->workload, r->policy, r->info, err);
	if (code == 0)
		code = rollout_at_once(&plan, &r->crew, r->steer, err);
	rollout_plan_done(&plan);
	return code;
}

static int open_steering(struct run *r, struct error *err)
{
	struct steer_options options = { .max_flows = (uint32_t)r->options->limits.connects,
					 .audit = r->options->audit };
	int code = steer_open(&options, &r->steer, err);

	if (code < 0)
		return code;
	code = steer_add_workload(r->steer, cgroup_id(&r->state.cgroup), 0, &r->workload, err);
	if (code == 0)
		code = give_policy(r, err);
	if (code == 0)
		code = crew_listen(&r->crew, r->steer, err);
	if (code < 0)
		return code;
	code = routes_open(r->steer, 0, -1, &r->routes, err);
	if (code < 0)
		return code;
	code = steer_attach(r->steer, r->state.cgroup.fd, r->state.pin_dir, err);
	if (code == 0 && policy_l4_table(r->policy)->ingress_enforced)
		code = steer_prepare_ingress(r->steer, err);
	return code;
}

/* What killed runs left goes first. That some of it has to stay is no reason not to start. */
static void clean_up(void)
{
	struct cleanup_report report = { 0 };
	struct error err = { 0 };

	if (run_state_cleanup(&report, &err) < 0)
		fprintf(stderr, "sluice: of a killed run something stays: %s\n", err.text);
}

int run_open(struct run *r, const struct run_options *o, struct policy *policy, struct error *err)
{
	int code;

	*r = (struct run){ .options = o, .policy = policy, .reload = r->reload };
	r->child.signal_fd = -1;
	confine_self();
	/* Before signals are blocked: a FIFO without a reader makes this wait. */
	code = open_log(r, err);
	if (code == 0)
		code = child_prepare(&r->child, o->user, err);
	if (code == 0)
		code = open_info(r, err);
	if (code < 0)
		return code;
	clean_up();
	code = open_loops(r, err);
	if (code == 0)
		code = run_state_make(&r->state, err);
	if (code < 0)
		return code;
	r->state_made = true;
	code = open_steering(r, err);
	return code < 0 ? code : crew_start(&r->crew, err);
}

/* --- the main thread's loop: signals, refusals, routes, the end --- */

static void on_steer_event(void *ctx, const struct steer_event *e)
{
	struct run *r = ctx;

	report_event(&r->reporter, e);
}

static void on_events(uv_poll_t *handle, int status, int events)
{
	struct run *r = handle->data;

	(void)status;
	(void)events;
	steer_read_events(r->steer, on_steer_event, r);
}

static void update_routes(struct run *r);

static void on_route_retry(uv_timer_t *timer)
{
	update_routes(timer->data);
}

/* A mirror that could not be brought up to date is tried again, whether or not anything changes. */
static void update_routes(struct run *r)
{
	if (routes_update(r->routes) < 0)
		uv_timer_start(&r->route_retry, on_route_retry, RUN_ROUTES_RETRY_MS, 0);
}

static void on_route_change(uv_poll_t *handle, int status, int events)
{
	struct run *r = handle->data;

	(void)status;
	(void)events;
	update_routes(r);
}

static void close_loop(struct run *r)
{
	reload_end(r);
	uv_close((uv_handle_t *)&r->signals, NULL);
	uv_close((uv_handle_t *)&r->events, NULL);
	uv_close((uv_handle_t *)&r->route_changes, NULL);
	uv_close((uv_handle_t *)&r->timer, NULL);
	uv_close((uv_handle_t *)&r->route_retry, NULL);
}

/* A cgroup that somebody has removed is empty as well. */
static bool is_empty(const struct cgroup *cg)
{
	int populated = cgroup_populated(cg);

	return populated == 0 || populated == -ENOENT || populated == -ENODEV;
}

/* The command has ended; what it left is asked to, then made to. */
static void on_timer(uv_timer_t *timer)
{
	struct run *r = timer->data;

	if (is_empty(&r->state.cgroup)) {
		close_loop(r);
		return;
	}
	if (!r->kill_at_ms) {
		r->kill_at_ms = uv_now(&r->loop) + r->options->limits.term_time;
		cgroup_signal(&r->state.cgroup, SIGTERM);
		cgroup_signal(&r->state.cgroup, SIGCONT); /* stopped ones would not notice */
	} else if (uv_now(&r->loop) >= r->kill_at_ms) {
		cgroup_signal(&r->state.cgroup, SIGKILL);
	}
}

static void on_signals(uv_poll_t *handle, int status, int events)
{
	struct run *r = handle->data;

	(void)status;
	(void)events;
	if (child_on_signal(&r->child) && !uv_is_active((uv_handle_t *)&r->timer))
		uv_timer_start(&r->timer, on_timer, 0, RUN_POLL_MS);
}

static void watch(struct run *r, uv_poll_t *handle, int fd, uv_poll_cb on_readable)
{
	if (uv_poll_init(&r->loop, handle, fd) < 0 ||
	    uv_poll_start(handle, UV_READABLE, on_readable) < 0)
		abort(); /* a good descriptor and a fresh handle */
	handle->data = r;
}

int run_loop(struct run *r, struct error *err)
{
	int code = r->options->no_confine ? 0 : child_confine(&r->child, err);

	if (code == 0)
		code = child_start(&r->child, &r->state.cgroup, r->options->command, err);
	if (code < 0)
		return code;
	watch(r, &r->signals, r->child.signal_fd, on_signals);
	watch(r, &r->events, steer_events_fd(r->steer), on_events);
	watch(r, &r->route_changes, routes_fd(r->routes), on_route_change);
	uv_timer_init(&r->loop, &r->timer);
	r->timer.data = r;
	uv_timer_init(&r->loop, &r->route_retry);
	r->route_retry.data = r;
	crew_begin(&r->crew, &r->loop);
	reload_begin(r);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	return 0;
}

/* --- the end --- */

void run_close(struct run *r)
{
	struct metrics sum = { 0 };
	uint64_t lost;

	crew_stop(&r->crew, &sum, &r->reporter.denials);
	reload_end(r);
	crew_end(&r->crew);
	if (r->loop_made)
		uv_run(&r->loop, UV_RUN_DEFAULT);
	reload_done(r);
	if (r->steer)
		steer_read_events(r->steer, on_steer_event, r);
	stats_write(r->steer, &sum);
	lost = access_log_close(r->log);
	if (lost > 0)
		fprintf(stderr, "sluice: %llu records could not be written to the log\n",
			(unsigned long long)lost);
	denials_print(&r->reporter.denials, stderr);
	denials_done(&r->reporter.denials);
	routes_close(r->routes);
	steer_close(r->steer);
	if (r->state_made) {
		int code = run_state_remove(&r->state);

		if (code < 0)
			fprintf(stderr,
				"sluice: could not remove everything of this run: %s; `sluice "
				"cleanup` will\n",
				strerror(-code));
	}
	if (r->loop_made)
		uv_loop_close(&r->loop);
	child_done(&r->child);
	workload_info_unref(r->info);
	policy_unref(r->policy);
}
