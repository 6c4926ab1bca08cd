/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup_watch_private.h - what the tree of cgroup_watch.h is made of; nobody else includes it. */
#ifndef SLUICE_CGROUP_WATCH_PRIVATE_H
#define SLUICE_CGROUP_WATCH_PRIVATE_H

#include <sys/types.h>
#include "cgroup_watch.h"

#define CGROUP_WATCH_BUCKETS 1024

/* What is left of a pattern below a directory: "/name..." */
struct rest {
	const char *text;
	size_t pattern;
};

struct node {
	struct node *parent, *children, *next;
	char *path; /* from the root; "" is the root */
	ino_t inode;
	struct rest *rests; /* that go on below */
	size_t n_rests;
	bool is_found;
	struct cgroup_found found;
	int names_wd, events_wd; /* -1: none */
	struct node *names_chain, *events_chain;
	bool seen; /* in the listing that goes on */
};

struct cgroup_watch {
	int inotify;
	char *root;
	char **patterns;
	size_t n;
	const struct cgroup_watch_host *host;
	void *ctx;
	struct node *top;
	struct node *by_names[CGROUP_WATCH_BUCKETS], *by_events[CGROUP_WATCH_BUCKETS];
	size_t n_watches;
	int error; /* the first since the last scan began */
};

/* Something could not be done: the first error since the last scan began is kept. */
void cgroup_watch_fail(struct cgroup_watch *w, int error);

/* A child of PARENT, which does not know of it yet; PARENT NULL: the root of the tree. NULL when
 * out of memory. */
struct node *node_new(struct node *parent, const char *name);
void node_free(struct node *n); /* one that is not watched, and has no children */
/* N, which hangs nowhere any more, and what is below it are gone. Those below go first. */
void node_drop_tree(struct cgroup_watch *w, struct node *n, bool tell);
/* The same of one that hangs somewhere, and it is told. */
void node_drop(struct cgroup_watch *w, struct node *n);

/* Watch N for NAMES, or else whether processes live in it, unless it is watched already. */
void node_watch(struct cgroup_watch *w, struct node *n, bool names);
/* Whose watch it is, or NULL. */
struct node *node_of_watch(struct cgroup_watch *w, bool names, int wd);

#endif
