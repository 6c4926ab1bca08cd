/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup_watch.h - the cgroups that patterns stand for (cgroup_pattern.h), as they come and go.
 *
 * Watches, by inotify, the directories in which names that matter can appear, each from before it
 * is read, so that nothing is missed between; and of every cgroup that was found the file that
 * tells whether processes live in it. What inotify does not tell (an overflow, no watches left, a
 * cgroup made in another view of the tree) is found by cgroup_watch_scan(), which may be called at
 * any time. One thread. Callbacks may not free the watch. */
#ifndef SLUICE_CGROUP_WATCH_H
#define SLUICE_CGROUP_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A cgroup that is there; valid until it has vanished. */
struct cgroup_found {
	uint64_t id;	  /* cgroup_id() */
	const char *path; /* from the root of the tree, with a slash in front */
	size_t pattern;	  /* the first one that stands for it */
	void *data;	  /* the caller's, NULL at first */
};

struct cgroup_watch_host {
	void (*appeared)(void *ctx, struct cgroup_found *found);
	/* It is no longer there, or its name is another cgroup's now. */
	void (*vanished)(void *ctx, struct cgroup_found *found);
	/* Processes have come into it, or the last one has left; ask it. May come too often. */
	void (*changed)(void *ctx, struct cgroup_found *found);
};

struct cgroup_watch;

/* ROOT is the directory where the tree is mounted. PATTERNS are copied; one may also begin with
 * ROOT. Nothing is found before the first cgroup_watch_scan(). Returns 0 or a negative errno. */
int cgroup_watch_open(const char *root, const char *const *patterns, size_t n,
		      const struct cgroup_watch_host *host, void *ctx, struct cgroup_watch **ret);
/* Other patterns, as if it were opened anew: nothing is told of those that were found, and
 * everything will be of those that the next scan finds. Returns 0, or -ENOMEM and nothing has
 * changed. */
int cgroup_watch_set(struct cgroup_watch *w, const char *const *patterns, size_t n);
/* Nothing is told any more. Accepts NULL. */
void cgroup_watch_close(struct cgroup_watch *w);

/* Readable when there is news, for cgroup_watch_read(). */
int cgroup_watch_fd(const struct cgroup_watch *w);
/* Returns as cgroup_watch_scan(). */
int cgroup_watch_read(struct cgroup_watch *w);

/* Look at everything. Returns 0, or the negative errno with which something could not be watched
 * or looked at: then call it again after a while, until it succeeds. */
int cgroup_watch_scan(struct cgroup_watch *w);

/* Call FN for each one that is there. */
void cgroup_watch_each(struct cgroup_watch *w, void (*fn)(void *ctx, struct cgroup_found *found),
		       void *ctx);

/* For tests: how many directories and files are watched. */
size_t cgroup_watch_count(const struct cgroup_watch *w);

#endif
