/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes, and the watches of each: one on its names, and one on the file that tells of processes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include "cgroup_watch_private.h"

#define ON_NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

void cgroup_watch_fail(struct cgroup_watch *w, int error)
{
	if (w->error == 0)
		w->error = error;
}

/* ---- watches ---- */

static struct node **chain_of(struct node *n, bool names)
{
	return names ? &n->names_chain : &n->events_chain;
}

static int *wd_of(struct node *n, bool names)
{
	return names ? &n->names_wd : &n->events_wd;
}

static struct node **bucket_of(struct cgroup_watch *w, bool names, int wd)
{
	return &(names ? w->by_names : w->by_events)[(unsigned)wd % CGROUP_WATCH_BUCKETS];
}

struct node *node_of_watch(struct cgroup_watch *w, bool names, int wd)
{
	struct node *n = *bucket_of(w, names, wd);

	while (n && *wd_of(n, names) != wd)
		n = *chain_of(n, names);
	return n;
}

void node_watch(struct cgroup_watch *w, struct node *n, bool names)
{
	struct node **bucket;
	char *path;
	int wd;

	if (*wd_of(n, names) >= 0)
		return;
	if (asprintf(&path, "%s%s%s", w->root, n->path, names ? "" : "/cgroup.events") < 0) {
		cgroup_watch_fail(w, -ENOMEM);
		return;
	}
	wd = inotify_add_watch(w->inotify, path, names ? ON_NAMES : IN_MODIFY);
	free(path);
	/* One that has just gone is told of in its parent; in a plain tree there is no such file.
	 */
	if (wd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ENODEV)
		cgroup_watch_fail(w, -errno);
	/* Two nodes of one watch: the directory was removed and made again by the same name. The
	 * old node is about to go. */
	if (wd < 0 || node_of_watch(w, names, wd))
		return;
	bucket = bucket_of(w, names, wd);
	*wd_of(n, names) = wd;
	*chain_of(n, names) = *bucket;
	*bucket = n;
	w->n_watches++;
}

static void remove_watch(struct cgroup_watch *w, struct node *n, bool names)
{
	int *wd = wd_of(n, names);
	struct node **at;

	if (*wd < 0)
		return;
	for (at = bucket_of(w, names, *wd); *at != n;)
		at = chain_of(*at, names);
	*at = *chain_of(n, names);
	inotify_rm_watch(w->inotify, *wd); /* the kernel may have done so */
	*wd = -1;
	w->n_watches--;
}

/* ---- nodes ---- */

void node_free(struct node *n)
{
	free(n->path);
	free(n->rests);
	free(n);
}

void node_drop_tree(struct cgroup_watch *w, struct node *n, bool tell)
{
	struct node *child;

	while ((child = n->children)) {
		n->children = child->next;
		node_drop_tree(w, child, tell);
	}
	remove_watch(w, n, true);
	remove_watch(w, n, false);
	if (n->is_found && tell)
		w->host->vanished(w->ctx, &n->found);
	node_free(n);
}

void node_drop(struct cgroup_watch *w, struct node *n)
{
	struct node **at = &n->parent->children;

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	node_drop_tree(w, n, true);
}

struct node *node_new(struct node *parent, const char *name)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->names_wd = n->events_wd = -1;
	if (!parent)
		n->path = strdup("");
	else if (asprintf(&n->path, "%s/%s", parent->path, name) < 0)
		n->path = NULL;
	if (!n->path) {
		free(n);
		return NULL;
	}
	n->parent = parent;
	return n;
}
