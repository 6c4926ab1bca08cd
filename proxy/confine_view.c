/* SPDX-License-Identifier: Apache-2.0 */
/* The command's own view of the mounts. It differs from ours in this and in nothing else:
 * - every cgroup file system is read-only, so nobody moves to another cgroup;
 * - bpffs and /run/sluice are covered: to open a pinned link is enough to detach it;
 * - for root, whatever makes the kernel start a program of one's choice (core_pattern and the like)
 *   is read-only: that program would run outside.
 * What is mounted later outside appears inside as well, and never the other way round. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include "confine_private.h"
#include "sluice/array.h"

#define STEPS_AT_ONCE 16

/* What is done with a mount, by its type. */
static const struct {
	const char *type;
	enum view_kind kind;
	bool root_only;
} types[] = {
	{ "cgroup", VIEW_READ_ONLY, false },
	{ "cgroup2", VIEW_READ_ONLY, false },
	{ "bpf", VIEW_HIDE, false },
	{ "binfmt_misc", VIEW_READ_ONLY, true },
	{ "debugfs", VIEW_READ_ONLY, true },
	{ "tracefs", VIEW_READ_ONLY, true },
	{ "securityfs", VIEW_READ_ONLY, true },
	{ "configfs", VIEW_READ_ONLY, true },
};

/* Parts of a mount that are the kernel's switches. */
static const struct {
	const char *type, *part;
} switches[] = {
	{ "proc", "/sys" },
	{ "proc", "/sysrq-trigger" },
	{ "sysfs", "/kernel" },
};

static int add_step(struct view *v, enum view_kind kind, const char *point, const char *below)
{
	size_t size = strlen(point) + strlen(below) + 1;
	struct view_step *step, *steps;

	if (v->n_steps % STEPS_AT_ONCE == 0) {
		steps = realloc(v->steps, (v->n_steps + STEPS_AT_ONCE) * sizeof(*steps));
		if (!steps)
			return -ENOMEM;
		v->steps = steps;
	}
	step = &v->steps[v->n_steps];
	step->kind = kind;
	step->path = malloc(size);
	if (!step->path)
		return -ENOMEM;
	snprintf(step->path, size, "%s%s", point, below);
	v->n_steps++;
	return 0;
}

/* A bind mount can show a part of a file system: then its path begins below that part. */
static int add_switches(struct view *v, const struct mount_entry *m)
{
	size_t root = strcmp(m->root, "/") == 0 ? 0 : strlen(m->root);
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(switches); i++) {
		const char *part = switches[i].part;
		size_t len = strlen(part);

		if (strcmp(m->type, switches[i].type) != 0)
			continue;
		if (strncmp(m->root, part, root) == 0 && (part[root] == '/' || !part[root]))
			r = add_step(v, part[root] ? VIEW_TREE_READ_ONLY : VIEW_READ_ONLY, m->point,
				     part + root);
		else if (strncmp(m->root, part, len) == 0 && m->root[len] == '/')
			r = add_step(v, VIEW_READ_ONLY, m->point, "");
	}
	return r;
}

int confine_view_plan(struct view *v, bool root, const struct mount_entry *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(types); i++)
		if (strcmp(m->type, types[i].type) == 0 && (root || !types[i].root_only))
			r = add_step(v, types[i].kind, m->point, "");
	if (r == 0 && root)
		r = add_switches(v, m);
	return r;
}

struct plan {
	struct view *view;
	bool root;
};

static int on_mount(void *ctx, const struct mount_entry *m)
{
	struct plan *plan = ctx;

	return confine_view_plan(plan->view, plan->root, m);
}

int confine_view_prepare(struct view *v, bool root, struct error *err)
{
	struct plan plan = { v, root };
	int r = mounts_each(on_mount, &plan);

	/* Last: a view of the cgroups that is mounted in there is read-only by then. */
	if (r == 0)
		r = add_step(v, VIEW_HIDE, MOUNTS_RUN_DIR, "");
	if (r < 0)
		error_set(err, "cannot read the table of mounts: %s", strerror(-r));
	return r;
}

void confine_view_done(struct view *v)
{
	for (size_t i = 0; i < v->n_steps; i++)
		free(v->steps[i].path);
	free(v->steps);
}

/* ---- in the child ---- */

/* In a chroot "/" need not be a mount, and the mount around it cannot be named. setns() to the
 * namespace that we are in already leads to its real root, and from there we come back. */
static int make_slave_from_chroot(void)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	if (root < 0 || here < 0 || ns < 0 || setns(ns, CLONE_NEWNS) < 0)
		return -1;
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return -1;
	if (fchdir(root) < 0 || chroot(".") < 0 || fchdir(here) < 0)
		return -1;
	return 0; /* they are closed by exec() */
}

static int make_own_namespace(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		return -1;
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0)
		return 0;
	return errno == EINVAL ? make_slave_from_chroot() : -1;
}

static int make_read_only(const char *path, unsigned flags)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	return mount_setattr(AT_FDCWD, path, flags, &attr, sizeof(attr));
}

/* Private: what is mounted below it later, say by an automounter, would be writable. */
static int make_tree_read_only(const char *path)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE };

	if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0)
		return -1;
	return mount_setattr(AT_FDCWD, path, AT_RECURSIVE, &attr, sizeof(attr));
}

static int hide(const char *path)
{
	if (mount("none", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=0700,size=4k") == 0)
		return 0;
	/* A single pinned object can be a mount, too. */
	return errno == ENOTDIR ? mount("/dev/null", path, NULL, MS_BIND, NULL) : -1;
}

static int take_step(const struct view_step *step)
{
	switch (step->kind) {
	case VIEW_READ_ONLY:
		return make_read_only(step->path, 0);
	case VIEW_TREE_READ_ONLY:
		return make_tree_read_only(step->path);
	case VIEW_HIDE:
		return hide(step->path);
	}
	errno = EINVAL;
	return -1;
}

/* The table also shows mounts that later ones cover. Their paths lead nowhere, or to what is no
 * mount: nobody reaches them, the command neither. */
static bool is_covered(const struct view_step *step, int error)
{
	return error == ENOENT || error == ENOTDIR ||
	       (error == EINVAL && step->kind == VIEW_READ_ONLY);
}

/* A working directory can be below what was just covered. Found by its name it is as all else, or
 * it is not found, and left. */
static int find_working_directory(void)
{
	struct stat before, after;
	char path[PATH_MAX];

	if (!getcwd(path, sizeof(path)) || stat(".", &before) < 0)
		return 0; /* removed: it leads nowhere */
	if (chdir(path) == 0 && stat(".", &after) == 0 && before.st_dev == after.st_dev &&
	    before.st_ino == after.st_ino)
		return 0;
	return chdir("/");
}

struct confine_failure confine_view_enter(const struct view *v)
{
	if (make_own_namespace() < 0)
		return (struct confine_failure){ errno, "a mount namespace" };
	for (size_t i = 0; i < v->n_steps; i++)
		if (take_step(&v->steps[i]) < 0 && !is_covered(&v->steps[i], errno))
			return (struct confine_failure){ errno, v->steps[i].path };
	if (find_working_directory() < 0)
		return (struct confine_failure){ errno, "the working directory" };
	return (struct confine_failure){ 0 };
}
