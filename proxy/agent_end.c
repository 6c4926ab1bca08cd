/* SPDX-License-Identifier: Apache-2.0 */
/* Signals, and the end.
 *
 * Workloads live on when the agent ends, so the order matters: first the workers accept no more and
 * deliver what is in flight, while all policies stay in force and what has to be read is refused;
 * only when nobody is carried any more the programs are detached. Or they are not: then the end is
 * as closed as one by SIGKILL, until the next agent takes over. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "agent_parts.h"
#include "notify.h"
#include "stats.h"

int agent_take_signals(struct agent *a, struct error *err)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGHUP);
	a->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	sigaddset(&mask, SIGPIPE); /* EPIPE is enough */
	if (a->signal_fd < 0 || sigprocmask(SIG_BLOCK, &mask, NULL) < 0) {
		error_set(err, "signalfd: %s", strerror(errno));
		return -errno;
	}
	return 0;
}

static void stop_timer(struct agent *a, uv_timer_t *timer)
{
	(void)a;
	uv_timer_stop(timer);
}

static void close_timer(struct agent *a, uv_timer_t *timer)
{
	(void)a;
	uv_close((uv_handle_t *)timer, NULL);
}

/* What the kernel refuses is still told, and routes are followed: everything else stays as it is.
 */
static void begin_to_end(struct agent *a, bool stays)
{
	a->ending = true;
	a->stays = stays && !a->plan->config->audit; /* where nothing is pinned */
	notify_send("STOPPING=1");
	agent_each_timer(a, stop_timer);
	uv_poll_stop(&a->cgroup_news);
	agent_status_close(a);
	agent_pods_end(a);
	crew_wind_up(&a->crew);
	agent_reload_end(a); /* last: it may wait for a load */
}

void agent_on_signals(uv_poll_t *handle, int status, int events)
{
	struct agent *a = handle->data;
	struct signalfd_siginfo info;

	(void)status;
	(void)events;
	while (read(a->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (a->ending && info.ssi_signo != SIGHUP)
			crew_hurry(&a->crew);
		else if (a->ending)
			continue;
		else if (info.ssi_signo == SIGHUP)
			agent_reload_now(a);
		else
			begin_to_end(a, info.ssi_signo == SIGUSR2);
	}
}

void agent_end_progress(struct agent *a)
{
	if (crew_is_over(&a->crew))
		uv_stop(&a->loop);
}

/* ---- undoing ---- */

/* Whatever is left of the loop; libuv calls nothing back that is not closed. */
static void close_handles(struct agent *a)
{
	uv_handle_t *const handles[] = {
		(uv_handle_t *)&a->signals,
		(uv_handle_t *)&a->events,
		(uv_handle_t *)&a->route_changes,
		(uv_handle_t *)&a->cgroup_news,
	};

	a->ending = true;
	if (a->loop_made)
		agent_each_timer(a, close_timer);
	for (size_t i = 0; a->looping && i < sizeof(handles) / sizeof(*handles); i++)
		uv_close(handles[i], NULL);
}

static void close_log(struct agent *a)
{
	uint64_t lost = access_log_close(a->log);

	if (lost > 0)
		fprintf(stderr, "sluice: %llu records could not be written to the log\n",
			(unsigned long long)lost);
	denials_print(&a->reporter.denials, stderr);
	denials_done(&a->reporter.denials);
}

static void remove_state(struct agent *a)
{
	int r = a->state_made ? agent_state_remove(&a->state) : 0;

	if (r < 0)
		fprintf(stderr,
			"sluice: could not remove everything of this agent: %s; `sluice cleanup` "
			"will\n",
			strerror(-r));
}

/* What holds the workloads is what the kernel keeps for the pins: nothing of it may be undone, and
 * whatever the process has is gone with it. */
static _Noreturn void leave_closed(struct agent *a)
{
	close_log(a);
	fflush(NULL);
	_exit(0);
}

void agent_close(struct agent *a)
{
	struct metrics sum = { 0 };

	close_handles(a);
	agent_status_close(a);
	crew_stop(&a->crew, &sum, &a->reporter.denials);
	agent_pods_end(a);
	agent_reload_end(a);
	crew_end(&a->crew);
	if (a->steer)
		steer_read_events(a->steer, agent_on_event, a);
	stats_write(a->steer, &sum);
	if (a->stays)
		leave_closed(a);
	agent_points_close(a); /* whoever connects from now on is not sluice's any more */
	agent_netns_close(a);
	if (a->loop_made)
		uv_run(&a->loop, UV_RUN_DEFAULT);
	agent_reload_done(a);
	agent_pods_done(a);
	close_log(a);
	agent_workloads_close(a);
	routes_close(a->routes);
	steer_close(a->steer);
	remove_state(a);
	if (a->loop_made)
		uv_loop_close(&a->loop);
	if (a->signal_fd >= 0)
		close(a->signal_fd);
	agent_plan_free(a->plan);
}
