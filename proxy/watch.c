/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX  40
#define TREE_DEPTH 4 /* the secrets' directory / namespace / name / key */

#define ON_NAMES \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)
#define ON_FILE (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

/* What matters of a watched inode. */
struct concern {
	int wd;
	char *name; /* in a directory, the only one; NULL: everything */
};

struct watch {
	int fd;
	struct concern *concerns;
	size_t n, size;
	const struct watch_guard *guard; /* NULL: nobody is looked at */
	bool unguarded;			 /* the guard's user could change what is watched */
	int error;			 /* the first, of the watch_set() that goes on */
};

struct watch *watch_new(void)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd >= 0)
		return w;
	free(w);
	return NULL;
}

static void forget(struct watch *w)
{
	for (size_t i = 0; i < w->n; i++) {
		inotify_rm_watch(w->fd, w->concerns[i].wd); /* several may share it */
		free(w->concerns[i].name);
	}
	w->n = 0;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	forget(w);
	free(w->concerns);
	close(w->fd);
	free(w);
}

void watch_guard(struct watch *w, const struct watch_guard *guard)
{
	w->guard = guard;
}

int watch_fd(const struct watch *w)
{
	return w->fd;
}

/* ---- what is to be watched ---- */

static void fail(struct watch *w, int error)
{
	if (w->error == 0)
		w->error = error;
}

/* Beside the masks that the same inode may have already. What is not there is no error: its coming
 * is noticed in the directory. */
static void concern(struct watch *w, const char *path, uint32_t mask, const char *name)
{
	int wd = inotify_add_watch(w->fd, path, mask | IN_MASK_ADD);
	char *copy = name ? strdup(name) : NULL;

	if (wd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
		fail(w, -errno);
	if (name && !copy)
		fail(w, -ENOMEM);
	if (w->n == w->size && wd >= 0) {
		size_t size = w->size ? w->size * 2 : 16;
		struct concern *more = realloc(w->concerns, size * sizeof(*more));

		if (more) {
			w->concerns = more;
			w->size = size;
		} else {
			fail(w, -ENOMEM);
			wd = -1;
		}
	}
	if (wd < 0 || (name && !copy)) {
		free(copy);
		return;
	}
	w->concerns[w->n++] = (struct concern){ wd, copy };
}

/* Where a path leads, on the way. */
struct way {
	char at[PATH_MAX];   /* a directory that was reached, without symlinks */
	char rest[PATH_MAX]; /* to go from there */
	unsigned links;
};

/* The next name of W->rest into NAME. False at the end. */
static bool next_name(struct way *w, char name[NAME_MAX + 1])
{
	size_t skip = strspn(w->rest, "/"), len = strcspn(w->rest + skip, "/");

	if (len == 0 || len > NAME_MAX)
		return false;
	memcpy(name, w->rest + skip, len);
	name[len] = '\0';
	memmove(w->rest, w->rest + skip + len, strlen(w->rest + skip + len) + 1);
	return true;
}

static bool append(char *path, const char *name)
{
	size_t len = strlen(path), more = strlen(name);

	if (len + 1 + more >= PATH_MAX)
		return false;
	if (len == 0 || path[len - 1] != '/')
		path[len++] = '/';
	memcpy(path + len, name, more + 1);
	return true;
}

/* TO has room for PATH_MAX bytes, which no path of ours exceeds. */
static void copy_path(char *to, const char *path)
{
	memcpy(to, path, strlen(path) + 1);
}

static void go_up(struct way *w)
{
	char *slash = strrchr(w->at, '/');

	slash[slash == w->at] = '\0';
}

/* The symlink at PATH takes the place of the name that led to it. */
static bool enter_link(struct way *w, const char *path)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	size_t rest = strlen(w->rest);

	if (len <= 0 || ++w->links > LINKS_MAX || (size_t)len + 1 + rest >= PATH_MAX)
		return false;
	if (target[0] == '/')
		copy_path(w->at, "/");
	memmove(w->rest + len + 1, w->rest, rest + 1);
	memcpy(w->rest, target, (size_t)len);
	w->rest[len] = '/';
	return true;
}

enum end { END_NOWHERE, END_FILE, END_DIRECTORY };

/* Watch all that decides where PATH leads; W->at is then where. */
static enum end follow(struct watch *watch, const char *path, struct way *w)
{
	char name[NAME_MAX + 1];

	w->links = 0;
	if (strlen(path) >= sizeof(w->rest))
		return END_NOWHERE;
	copy_path(w->rest, path);
	if (path[0] == '/')
		copy_path(w->at, "/");
	else if (!getcwd(w->at, sizeof(w->at)))
		return END_NOWHERE;
	while (next_name(w, name)) {
		bool is_last = !strchr(w->rest, '/') || !w->rest[strspn(w->rest, "/")];
		char full[PATH_MAX];
		struct stat st;

		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			go_up(w);
			continue;
		}
		concern(watch, w->at, ON_NAMES | IN_ONLYDIR | (is_last ? IN_CLOSE_WRITE : 0), name);
		copy_path(full, w->at);
		if (!append(full, name))
			return END_NOWHERE;
		watch->unguarded |= watch_guard_breaks(watch->guard, w->at, full);
		if (lstat(full, &st) < 0)
			return END_NOWHERE;
		if (S_ISLNK(st.st_mode)) {
			if (!enter_link(w, full))
				return END_NOWHERE;
			continue;
		}
		copy_path(w->at, full);
		if (!S_ISDIR(st.st_mode))
			return is_last ? END_FILE : END_NOWHERE;
	}
	return END_DIRECTORY;
}

static void watch_path(struct watch *w, const char *path, unsigned depth);

static void watch_entries(struct watch *w, const char *dir, unsigned depth)
{
	DIR *entries = opendir(dir);
	const struct dirent *entry;

	if (!entries)
		return;
	while ((entry = readdir(entries))) {
		char path[PATH_MAX];

		/* Hidden ones are not read, but by way of others. */
		if (entry->d_name[0] == '.')
			continue;
		copy_path(path, dir);
		if (append(path, entry->d_name))
			watch_path(w, path, depth);
	}
	closedir(entries);
}

/* DEPTH: how many levels of directories are looked into. */
static void watch_path(struct watch *w, const char *path, unsigned depth)
{
	struct way *way = malloc(sizeof(*way));

	if (!way) {
		fail(w, -ENOMEM);
		return;
	}
	switch (follow(w, path, way)) {
	case END_FILE:
		concern(w, way->at, ON_FILE, NULL);
		break;
	case END_DIRECTORY:
		if (depth == 0)
			break;
		w->unguarded |= watch_guard_adds(w->guard, way->at);
		concern(w, way->at, ON_NAMES | IN_CLOSE_WRITE | IN_ONLYDIR, NULL);
		watch_entries(w, way->at, depth - 1);
		break;
	case END_NOWHERE:
		break;
	}
	free(way);
}

/* What is waiting was before the files are read. */
static void drop_news(struct watch *w)
{
	char buf[4096];

	while (read(w->fd, buf, sizeof(buf)) > 0)
		;
}

int watch_set(struct watch *w, const char *const *files, size_t n, const char *tree)
{
	forget(w);
	drop_news(w);
	w->error = 0;
	w->unguarded = false;
	for (size_t i = 0; i < n; i++)
		watch_path(w, files[i], 1);
	if (tree)
		watch_path(w, tree, TREE_DEPTH);
	return w->unguarded ? -EPERM : w->error;
}

/* ---- news ---- */

static bool matters(const struct watch *w, const struct inotify_event *e)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->concerns[i].wd == e->wd && (e->len == 0 || !w->concerns[i].name ||
						   strcmp(w->concerns[i].name, e->name) == 0))
			return true;
	return false;
}

static enum watch_news read_event(const struct watch *w, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW)
		return WATCH_SETTLED;
	if ((e->mask & IN_IGNORED) || !matters(w, e))
		return WATCH_NOTHING;
	return e->mask & (IN_CREATE | IN_MODIFY) ? WATCH_UNSETTLED : WATCH_SETTLED;
}

enum watch_news watch_read(struct watch *w)
{
	enum watch_news news = WATCH_NOTHING;
	union {
		struct inotify_event event;
		char bytes[16 * 1024];
	} buf;
	ssize_t n;

	while ((n = read(w->fd, &buf, sizeof(buf))) > 0) {
		const struct inotify_event *e;

		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(*e) + e->len)) {
			enum watch_news one;

			e = (const struct inotify_event *)(const void *)(buf.bytes + at);
			one = read_event(w, e);
			if (one != WATCH_NOTHING)
				news = one; /* the last one counts */
		}
	}
	return news;
}
