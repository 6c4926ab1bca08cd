/* SPDX-License-Identifier: Apache-2.0 */
/* How long a pod has had processes before it was held: from when the first of them began, as
 * /proc/PID/stat has it in steps of 10 ms, so that what is measured is never less than what was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "agent_parts.h"
#include "cgroup.h"

struct looking {
	uint64_t first_ms;
	unsigned processes;
};

static uint64_t boot_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Since the host was started; 0: it has ended. */
static uint64_t start_of(pid_t pid)
{
	char path[64], text[1024];
	const char *at;
	uint64_t ticks = 0;
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	at = strrchr(text, ')'); /* a name may have anything in it */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at)
		ticks = strtoull(at, NULL, 10);
	return ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

static void on_pid(void *ctx, pid_t pid)
{
	struct looking *l = ctx;
	uint64_t start = start_of(pid);

	l->processes++;
	if (start > 0 && (l->first_ms == 0 || start < l->first_ms))
		l->first_ms = start;
}

static struct looking look(struct agent *a, const struct agent_workload *w)
{
	struct looking l = { 0 };
	struct cgroup cg = { .fd = agent_open_cgroup(a, w->path) };

	if (cg.fd >= 0)
		cgroup_each_pid(&cg, on_pid, &l);
	cgroup_done(&cg);
	return l;
}

static bool is_pod(const struct agent *a, const struct agent_workload *w)
{
	return w->fresh && a->plan->entries[w->entry].kind != AGENT_CONFIGURED;
}

void agent_window_seen(struct agent *a, struct agent_workload *w)
{
	if (is_pod(a, w) && w->first_ms == 0 && !w->is_known)
		w->first_ms = look(a, w).first_ms;
}

static uint64_t count(struct agent_window *window, const struct agent_workload *w)
{
	uint64_t now = boot_ms(), ms = w->first_ms && now > w->first_ms ? now - w->first_ms : 0;

	window->pods++;
	window->first += w->first_ms == 0;
	window->sum_ms += ms;
	if (ms > window->max_ms)
		window->max_ms = ms;
	return ms;
}

void agent_window_held(struct agent *a, struct agent_workload *w)
{
	if (!is_pod(a, w) || w->is_known)
		return;
	agent_window_seen(a, w);
	if (!w->is_held)
		w->held_ms = count(&a->held, w);
	w->is_held = true;
	if (a->plan->entries[w->entry].kind != AGENT_POD)
		return;
	w->known_ms = count(&a->known, w);
	w->is_known = true;
	a->known_before_containers += look(a, w).processes <= 1; /* the sandbox's alone */
}
