/* SPDX-License-Identifier: Apache-2.0 */
/* Removes what killed runs left.
 *
 * Only what is certain counts: a cgroup is gone when the kernel says so of its id. That its path,
 * or the directory of the pins, is not there means nothing, since both mean something only in the
 * mount namespace of the run that was killed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "mounts.h"
#include "pins.h"
#include "run_state_private.h"

#define FILE_TEXT_MAX (CGROUP_PATH_MAX + 512 + 32)

/* What is known of a dead run. */
struct remains {
	const char *id;			   /* the name of its file */
	char cgroup_path[CGROUP_PATH_MAX]; /* "": not known */
	char pin_dir[512];		   /* "": not known */
	uint64_t cgroup_id;		   /* 0: not known */
	uint64_t removed_id;		   /* of the cgroup that we have just removed */
	char held_path[CGROUP_PATH_MAX];
};

/* ---- its file ---- */

static bool ends_with(const char *text, const char *before, const char *end)
{
	size_t len = strlen(text), a = strlen(before), b = strlen(end);

	return len >= a + b && memcmp(text + len - b, end, b) == 0 &&
	       memcmp(text + len - b - a, before, a) == 0;
}

/* What is not a whole line, or names what cannot be this run's, is not known: the file was cut
 * short, or somebody else wrote it. */
static void parse_file(char *text, struct remains *ret)
{
	char *lines[3] = { NULL };

	for (size_t i = 0; i < 3; i++) {
		char *end = strchr(text, '\n');

		if (!end)
			break;
		*end = '\0';
		lines[i] = text;
		text = end + 1;
	}
	if (lines[0] && strlen(lines[0]) < sizeof(ret->cgroup_path) &&
	    ends_with(lines[0], "/" RUN_CGROUP_PREFIX, ret->id))
		memcpy(ret->cgroup_path, lines[0], strlen(lines[0]) + 1);
	if (lines[1] && strlen(lines[1]) < sizeof(ret->pin_dir) &&
	    ends_with(lines[1], "/" PINS_BELOW "/", ret->id))
		memcpy(ret->pin_dir, lines[1], strlen(lines[1]) + 1);
	if (lines[2])
		ret->cgroup_id = strtoull(lines[2], NULL, 10);
}

static int read_file(int fd, struct remains *ret)
{
	char *text = malloc(FILE_TEXT_MAX);
	ssize_t n;

	if (!text)
		return -ENOMEM;
	n = pread(fd, text, FILE_TEXT_MAX - 1, 0);
	if (n >= 0) {
		text[n] = '\0';
		parse_file(text, ret);
	}
	free(text);
	return n < 0 ? -EIO : 0;
}

/* ---- its cgroup ---- */

static int remove_cgroup(struct remains *rest, struct cgroup *cg)
{
	uint64_t id = cgroup_id(cg);
	int r = cgroup_remove(cg);

	if (r == 0)
		rest->removed_id = id;
	else if (r == -EBUSY)
		memcpy(rest->held_path, cg->path, sizeof(rest->held_path));
	cgroup_done(cg);
	return r;
}

static int remove_by_path(struct remains *rest)
{
	struct cgroup cg = { .fd = -1 };
	int r;

	if (!rest->cgroup_path[0])
		return 0;
	r = cgroup_open(&cg, rest->cgroup_path, NULL);
	if (r == 0)
		return remove_cgroup(rest, &cg);
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

/* By its name: an id from a file that somebody else has written must not cost others their cgroups.
 */
static bool is_of_run(const struct cgroup *cg, const struct remains *rest)
{
	return ends_with(cg->path, "/" RUN_CGROUP_PREFIX, rest->id);
}

/* One that cannot be looked at is taken for a living one. */
static int remove_by_id(void *ctx, uint64_t id)
{
	struct remains *rest = ctx;
	struct cgroup cg = { .fd = -1 };
	int r;

	if (!id || id == rest->removed_id)
		return 0;
	r = cgroup_open_id(&cg, id);
	if (r == 0 && is_of_run(&cg, rest))
		return remove_cgroup(rest, &cg);
	if (r == 0)
		r = cgroup_populated(&cg) == 1 ? -EBUSY : -ENOENT;
	cgroup_done(&cg);
	if (r == -ENOENT)
		return 0;
	memcpy(rest->held_path, rest->cgroup_path, sizeof(rest->held_path));
	return -EBUSY;
}

/* ---- its pins ---- */

struct in_pins {
	const char *id;
	int (*fn)(void *ctx, const char *dir);
	void *ctx;
};

static int on_mount(void *ctx, const struct mount_entry *m)
{
	const struct in_pins *in = ctx;
	char dir[sizeof(m->point) + 64];

	if (strcmp(m->type, "bpf") != 0)
		return 0;
	snprintf(dir, sizeof(dir), "%s/" PINS_BELOW "/%s", m->point, in->id);
	return in->fn(in->ctx, dir);
}

int run_state_each_pins(const char *id, const char *pin_dir, int (*fn)(void *ctx, const char *dir),
			void *ctx)
{
	struct in_pins in = { id, fn, ctx };
	int r = ends_with(pin_dir, "/" PINS_BELOW "/", id) ? fn(ctx, pin_dir) : 0;

	return r == 0 ? mounts_each(on_mount, &in) : r;
}

static int each_pin_dir(struct remains *rest, int (*fn)(void *rest, const char *dir))
{
	return run_state_each_pins(rest->id, rest->pin_dir, fn, rest);
}

static int remove_pinned_cgroups(void *rest, const char *dir)
{
	return pins_each_cgroup(dir, remove_by_id, rest);
}

static int remove_pins(void *rest, const char *dir)
{
	(void)rest;
	return pins_remove(dir);
}

/* ---- all of it ---- */

static int clean_dead(const char *file, struct remains *rest, int fd)
{
	int r = read_file(fd, rest);

	if (r == 0)
		r = remove_by_path(rest);
	if (r == 0)
		r = remove_by_id(rest, rest->cgroup_id);
	if (r == 0)
		r = each_pin_dir(rest, remove_pinned_cgroups);
	/* Now nobody is left whom the links could hold. */
	if (r == 0)
		r = each_pin_dir(rest, remove_pins);
	if (r == 0 && unlink(file) < 0)
		r = -errno;
	return r;
}

static int clean_and_count(const char *name, const char *file, int fd,
			   struct cleanup_report *report)
{
	struct remains *rest = calloc(1, sizeof(*rest));
	int r;

	if (!rest)
		return -ENOMEM;
	rest->id = name;
	r = clean_dead(file, rest, fd);
	if (r == 0) {
		report->removed++;
	} else if (r == -EBUSY) {
		report->held++;
		memcpy(report->held_path, rest->held_path, sizeof(report->held_path));
		r = 0;
	}
	free(rest);
	return r;
}

static int clean_one(void *ctx, const char *name, const char *file, int fd)
{
	struct cleanup_report *report = ctx;

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return clean_and_count(name, file, fd, report);
	if (errno != EWOULDBLOCK)
		return -errno;
	report->alive++;
	return 0;
}

int run_state_cleanup(struct cleanup_report *report, struct error *err)
{
	const struct run_state_files files = { run_state_is_file, clean_one, "the run " };

	memset(report, 0, sizeof(*report));
	return run_state_clean(&files, report, err);
}
