/* SPDX-License-Identifier: Apache-2.0 */
#include "pinned.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "mounts.h"
#include "pins.h"
#include "run_state_private.h"

#define PLACES_MAX 32 /* those beyond may be told of more than once */

struct survey {
	int (*on_pinned)(void *ctx, const struct pinned *p);
	void *ctx;
	/* Directories that were looked into: mounts lie on top of each other, and are mounted
	 * again. */
	struct {
		dev_t dev;
		ino_t ino;
	} places[PLACES_MAX];
	unsigned n_places;
};

static bool is_name(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static unsigned count_pins(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	unsigned n = 0;

	if (!dir)
		return 0;
	while ((e = readdir(dir)))
		n += is_name(e->d_name);
	closedir(dir);
	return n;
}

/* Only who lives has the lock of its file. */
static bool has_owner(const char *id)
{
	char file[RUN_STATE_FILE_MAX + 256];
	bool locked;
	int fd;

	snprintf(file, sizeof(file), MOUNTS_RUN_DIR "/%s", id);
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	locked = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	close(fd);
	return locked;
}

static bool is_known(struct survey *s, DIR *dir)
{
	struct stat st;

	if (fstat(dirfd(dir), &st) < 0)
		return false;
	for (unsigned i = 0; i < s->n_places; i++)
		if (s->places[i].dev == st.st_dev && s->places[i].ino == st.st_ino)
			return true;
	if (s->n_places < PLACES_MAX) {
		s->places[s->n_places].dev = st.st_dev;
		s->places[s->n_places++].ino = st.st_ino;
	}
	return false;
}

static int survey_dir(struct survey *s, const char *path)
{
	char at[4096 + sizeof("/" PINS_BELOW) + 256];
	struct dirent *e;
	bool known;
	int r = 0;
	DIR *dir = opendir(path);

	if (!dir)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	known = is_known(s, dir);
	while (r == 0 && !known && (e = readdir(dir))) {
		struct pinned p = { .dir = at };

		if (!is_name(e->d_name))
			continue;
		snprintf(at, sizeof(at), "%s/%s", path, e->d_name);
		p.alive = has_owner(e->d_name);
		p.n = count_pins(at);
		r = s->on_pinned(s->ctx, &p);
	}
	closedir(dir);
	return r;
}

static int on_mount(void *ctx, const struct mount_entry *m)
{
	char path[sizeof(m->point) + sizeof("/" PINS_BELOW)];

	if (strcmp(m->type, "bpf") != 0)
		return 0;
	snprintf(path, sizeof(path), "%s/" PINS_BELOW, m->point);
	return survey_dir(ctx, path);
}

int pinned_each(int (*on_pinned)(void *ctx, const struct pinned *p), void *ctx)
{
	struct survey s = { .on_pinned = on_pinned, .ctx = ctx };
	int lock = run_state_lock(), r;

	if (lock < 0)
		return lock;
	r = mounts_each(on_mount, &s);
	close(lock);
	return r;
}
