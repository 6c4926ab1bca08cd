/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of nodes, one for each directory that some pattern leads to or through. What is known of a
 * directory is found anew whenever its name is mentioned; events only say where to look, so that
 * none of them can be wrong. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cgroup.h"
#include "cgroup_pattern.h"
#include "cgroup_watch_private.h"

#define READ_MAX (64 * 1024)

/* Which patterns are about NAME in the directory PARENT: those that go on below, and whether one
 * ends there. Returns false if none is; no memory is -ENOMEM in *ERROR. */
static bool match(const struct node *parent, const char *name, struct node *ret, int *error)
{
	for (size_t i = 0; i < parent->n_rests; i++) {
		const struct rest *r = &parent->rests[i];
		const char *behind = r->text + 1 + cgroup_pattern_name(r->text);

		if (!cgroup_pattern_matches_name(r->text, name))
			continue;
		if (!*behind) {
			if (!ret->is_found || r->pattern < ret->found.pattern)
				ret->found.pattern = r->pattern;
			ret->is_found = true;
			continue;
		}
		if (!ret->rests)
			ret->rests = calloc(parent->n_rests, sizeof(*ret->rests));
		if (!ret->rests) {
			*error = -ENOMEM;
			return false;
		}
		ret->rests[ret->n_rests++] = (struct rest){ behind, r->pattern };
	}
	return ret->is_found || ret->n_rests;
}

static struct node *child_of(const struct node *parent, const char *name)
{
	struct node *n = parent->children;
	size_t skip = strlen(parent->path) + 1;

	while (n && strcmp(n->path + skip, name) != 0)
		n = n->next;
	return n;
}

static uint64_t id_of(int fd, const struct stat *st)
{
	const struct cgroup cg = { .fd = fd };
	uint64_t id = cgroup_id(&cg);

	return id ? id : st->st_ino;
}

static void list(struct cgroup_watch *w, struct node *n);

/* There is a directory NAME in PARENT, open as FD, which no node stands for yet. */
static void add(struct cgroup_watch *w, struct node *parent, const char *name, int fd,
		const struct stat *st)
{
	struct node *n = node_new(parent, name);
	int error = 0;

	if (!n || !match(parent, name, n, &error)) {
		if (!n || error)
			cgroup_watch_fail(w, -ENOMEM);
		if (n)
			node_free(n);
		return;
	}
	n->inode = st->st_ino;
	n->seen = true;
	n->next = parent->children;
	parent->children = n;
	if (n->is_found) {
		n->found.id = id_of(fd, st);
		n->found.path = n->path;
		node_watch(w, n, false);
		w->host->appeared(w->ctx, &n->found);
	}
	if (n->n_rests)
		list(w, n);
}

/* The directory NAME in PARENT, opened, and in *ST what it is; -ENOENT: there is none; or another
 * negative errno: who knows. */
static int open_child(const struct cgroup_watch *w, const struct node *parent, const char *name,
		      struct stat *st)
{
	char *path;
	int fd, r;

	if (asprintf(&path, "%s%s/%s", w->root, parent->path, name) < 0)
		return -ENOMEM;
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	free(path);
	if (r == -ENOTDIR || r == -ELOOP || r == -ENODEV)
		return -ENOENT;
	if (r == 0 && fstat(fd, st) < 0) {
		r = -errno;
		close(fd);
	}
	return r < 0 ? r : fd;
}

/* What has happened to NAME in PARENT? What cannot be looked at, for want of descriptors say, is as
 * it was. */
static void look(struct cgroup_watch *w, struct node *parent, const char *name)
{
	struct node *n = child_of(parent, name);
	struct stat st;
	int fd = open_child(w, parent, name, &st);

	if (fd < 0 && fd != -ENOENT) {
		cgroup_watch_fail(w, fd);
		if (n)
			n->seen = true;
		return;
	}
	if (n && (fd < 0 || n->inode != st.st_ino)) {
		node_drop(w, n);
		n = NULL;
	}
	if (n) {
		n->seen = true;
		if (n->is_found)
			node_watch(w, n, false); /* there may have been none left */
	} else if (fd >= 0) {
		add(w, parent, name, fd, &st);
	}
	if (fd >= 0)
		close(fd);
}

static void drop_unseen(struct cgroup_watch *w, const struct node *n)
{
	for (struct node *c = n->children, *next; c; c = next) {
		next = c->next;
		if (!c->seen)
			node_drop(w, c);
	}
}

/* Look at the directory of N as a whole. */
static void list(struct cgroup_watch *w, struct node *n)
{
	char *path;
	struct dirent *e;
	DIR *dir;

	node_watch(w, n, true);
	if (asprintf(&path, "%s%s", w->root, n->path) < 0) {
		cgroup_watch_fail(w, -ENOMEM);
		return;
	}
	dir = opendir(path);
	if (!dir && errno != ENOENT)
		cgroup_watch_fail(w, -errno);
	free(path);
	if (!dir) /* its parent will tell that it has gone */
		return;
	for (struct node *c = n->children; c; c = c->next)
		c->seen = false;
	do {
		errno = 0;
		e = readdir(dir);
		if (e && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN) &&
		    strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			look(w, n, e->d_name);
	} while (e);
	if (errno)
		cgroup_watch_fail(w, -errno);
	else
		drop_unseen(w, n);
	closedir(dir);
}

static void scan(struct cgroup_watch *w, struct node *n)
{
	if (n->n_rests)
		list(w, n);
	for (struct node *c = n->children; c; c = c->next)
		scan(w, c);
}

int cgroup_watch_scan(struct cgroup_watch *w)
{
	w->error = 0;
	scan(w, w->top);
	return w->error;
}

/* ---- news ---- */

static void on_event(struct cgroup_watch *w, const struct inotify_event *e)
{
	struct node *n;

	if (e->mask & IN_Q_OVERFLOW) {
		scan(w, w->top);
		return;
	}
	if (e->mask & IN_IGNORED) /* its parent tells */
		return;
	n = node_of_watch(w, true, e->wd);
	if (n && e->len)
		look(w, n, e->name);
	n = node_of_watch(w, false, e->wd);
	if (n && (e->mask & IN_MODIFY))
		w->host->changed(w->ctx, &n->found);
}

int cgroup_watch_read(struct cgroup_watch *w)
{
	union {
		struct inotify_event event;
		char bytes[READ_MAX];
	} *buf = malloc(sizeof(*buf));
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	w->error = 0;
	while ((n = read(w->inotify, buf, sizeof(*buf))) > 0) {
		const struct inotify_event *e;

		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const struct inotify_event *)(const void *)(buf->bytes + at);
			on_event(w, e);
		}
	}
	free(buf);
	return w->error;
}

/* ---- open, close, ask ---- */

static void free_patterns(char **patterns, size_t n)
{
	for (size_t i = 0; patterns && i < n; i++)
		free(patterns[i]);
	free(patterns);
}

/* The tree's root, with copies of all patterns to go on below it. */
static struct node *make_top(const char *root, const char *const *patterns, size_t n,
			     char ***copies)
{
	struct node *top = node_new(NULL, NULL);
	char **to = calloc(n + 1, sizeof(*to));
	size_t i = 0;

	if (top)
		top->rests = calloc(n + 1, sizeof(*top->rests));
	if (!top || !to || !top->rests)
		goto fail;
	for (; i < n; i++) {
		to[i] = strdup(cgroup_pattern_within(patterns[i], root));
		if (!to[i])
			goto fail;
		top->rests[i] = (struct rest){ to[i], i };
	}
	top->n_rests = n;
	*copies = to;
	return top;
fail:
	free_patterns(to, i);
	if (top)
		node_free(top);
	return NULL;
}

static void drop_all(struct cgroup_watch *w)
{
	if (w->top)
		node_drop_tree(w, w->top, false);
	free_patterns(w->patterns, w->n);
}

int cgroup_watch_set(struct cgroup_watch *w, const char *const *patterns, size_t n)
{
	char **copies;
	struct node *top = make_top(w->root, patterns, n, &copies);

	if (!top)
		return -ENOMEM;
	drop_all(w);
	w->top = top;
	w->patterns = copies;
	w->n = n;
	return 0;
}

int cgroup_watch_open(const char *root, const char *const *patterns, size_t n,
		      const struct cgroup_watch_host *host, void *ctx, struct cgroup_watch **ret)
{
	struct cgroup_watch *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	if (!w)
		return r;
	w->host = host;
	w->ctx = ctx;
	w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->inotify < 0)
		r = -errno;
	w->root = strdup(root);
	if (w->inotify >= 0 && w->root)
		r = cgroup_watch_set(w, patterns, n);
	if (r < 0)
		cgroup_watch_close(w);
	else
		*ret = w;
	return r;
}

void cgroup_watch_close(struct cgroup_watch *w)
{
	if (!w)
		return;
	drop_all(w);
	free(w->root);
	if (w->inotify >= 0)
		close(w->inotify);
	free(w);
}

int cgroup_watch_fd(const struct cgroup_watch *w)
{
	return w->inotify;
}

static void each(struct node *n, void (*fn)(void *ctx, struct cgroup_found *found), void *ctx)
{
	if (n->is_found)
		fn(ctx, &n->found);
	for (struct node *c = n->children; c; c = c->next)
		each(c, fn, ctx);
}

void cgroup_watch_each(struct cgroup_watch *w, void (*fn)(void *ctx, struct cgroup_found *found),
		       void *ctx)
{
	each(w->top, fn, ctx);
}

size_t cgroup_watch_count(const struct cgroup_watch *w)
{
	return w->n_watches;
}
