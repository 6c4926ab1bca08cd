/* SPDX-License-Identifier: Apache-2.0 */
/* Where the programs are attached: few directories, above all cgroups that can become workloads, so
 * that one more workload is an entry of a map and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent_parts.h"
#include "cgroup_pattern.h"

int agent_open_cgroup(const struct agent *a, const char *path)
{
	char *full;
	int fd;

	if (asprintf(&full, "%s%s", a->tree, path) < 0)
		return -ENOMEM;
	fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	free(full);
	return fd;
}

static bool exists(const struct agent *a, const char *path)
{
	int fd = agent_open_cgroup(a, path);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void go_up(char *path)
{
	*strrchr(path, '/') = '\0';
}

/* The deepest directory that is there already and above whatever PATTERN can stand for. Not the
 * workload itself, since it comes and goes: unless the tree's root were the only other choice. */
static char *choose(const struct agent *a, const char *pattern)
{
	size_t len = cgroup_pattern_literal(pattern);
	char *path = strndup(pattern, len);

	if (!path)
		return NULL;
	if (!pattern[len] && strrchr(path, '/') > path)
		go_up(path);
	while (path[0] && !exists(a, path))
		go_up(path);
	return path;
}

/* ---- one of them ---- */

static struct agent_point *point_above(const struct agent *a, const char *path)
{
	struct agent_point *p = a->points;

	while (p && !cgroup_path_is_within(path, p->path))
		p = p->next;
	return p;
}

/* Is the directory of that name still the one that we are attached to? If that cannot be told it
 * is: to detach would let go of everybody. */
static bool is_alive(const struct agent *a, const struct agent_point *p)
{
	struct cgroup cg = { .fd = agent_open_cgroup(a, p->path) };
	bool gone = cg.fd == -ENOENT || cg.fd == -ENOTDIR || cg.fd == -ENODEV;

	if (cg.fd >= 0)
		gone = cgroup_id(&cg) != p->id;
	cgroup_done(&cg);
	return !gone;
}

static void drop(struct agent *a, struct agent_point *p)
{
	struct agent_point **at = &a->points;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	steer_detach(a->steer, p->fd);
	close(p->fd);
	free(p->path);
	free(p);
}

/* What is below the new one is held by it. */
static void drop_below(struct agent *a, const struct agent_point *above)
{
	for (struct agent_point *p = a->points, *next; p; p = next) {
		next = p->next;
		if (p != above && cgroup_path_is_within(p->path, above->path))
			drop(a, p);
	}
}

static int attach(struct agent *a, const char *path, struct error *err)
{
	struct agent_point *p = calloc(1, sizeof(*p));
	struct cgroup cg;
	int r = -ENOMEM;

	if (!p || !(p->path = strdup(path))) {
		error_set(err, "out of memory");
		free(p);
		return r;
	}
	p->wanted = p->needed = true;
	cg.fd = p->fd = agent_open_cgroup(a, path);
	p->id = p->fd < 0 ? 0 : cgroup_id(&cg);
	if (!p->id) {
		r = p->fd < 0 ? p->fd : -EIO;
		error_set(err, "cannot open the cgroup %s%s: %s", a->tree, path, strerror(-r));
	} else {
		r = steer_attach(a->steer, p->fd, a->state.pin_dir, err);
	}
	if (r < 0) {
		if (p->fd >= 0)
			close(p->fd);
		free(p->path);
		free(p);
		return r;
	}
	p->next = a->points;
	a->points = p;
	drop_below(a, p);
	if (a->attached) /* else it is done for all of them at once */
		agent_adopt(a);
	return 0;
}

/* ---- all of them ---- */

static int cover(struct agent *a, const char *pattern, struct error *err)
{
	char *path = choose(a, cgroup_pattern_within(pattern, a->tree));
	struct agent_point *p;
	int r = 0;

	if (!path) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	p = point_above(a, path);
	if (p && !is_alive(a, p)) {
		drop(a, p);
		p = NULL;
	}
	if (p)
		p->wanted = p->needed = true;
	else
		r = attach(a, path, err);
	free(path);
	return r;
}

/* Nobody is let go of before everything that the plan needs is there. What can be had is had
 * whatever else fails. */
int agent_points_attach(struct agent *a, struct error *err)
{
	const struct agent_plan *plan = a->plan;
	int r = 0;

	for (struct agent_point *p = a->points; p; p = p->next)
		p->needed = false;
	for (size_t i = 0; i < plan->n_patterns; i++) {
		struct error other = { "" };
		int one = cover(a, plan->patterns[i], r < 0 ? &other : err);

		if (r == 0)
			r = one;
	}
	for (struct agent_point *p = a->points; r == 0 && p; p = p->next)
		p->wanted = p->needed;
	return r;
}

void agent_points_attach_again(struct agent *a)
{
	struct error err = { "" };

	a->unattached = agent_points_attach(a, &err) < 0;
	agent_netns_let_in(a);
	if (!a->unattached)
		return;
	if (!a->said_unattached)
		fprintf(stderr, "sluice: %s; it is tried again every second\n", err.text);
	a->said_unattached = true;
	agent_retry(a);
}

int agent_points_cover(struct agent *a, const char *pattern, const char *path, struct error *err)
{
	const struct agent_point *p = point_above(a, path);

	if (p && is_alive(a, p))
		return 0;
	return cover(a, pattern, err);
}

void agent_points_tidy(struct agent *a)
{
	for (struct agent_point *p = a->points, *next; p; p = next) {
		next = p->next;
		if (!p->wanted || !is_alive(a, p))
			drop(a, p);
	}
}

void agent_points_close(struct agent *a)
{
	while (a->points)
		drop(a, a->points);
}
