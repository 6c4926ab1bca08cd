/* SPDX-License-Identifier: Apache-2.0 */
/* confine_private.h - the parts of confine.h, one file each. */
#ifndef SLUICE_CONFINE_PRIVATE_H
#define SLUICE_CONFINE_PRIVATE_H

#include <linux/filter.h>
#include <stddef.h>
#include <sys/stat.h>
#include "confine.h"
#include "mounts.h"

enum view_kind {
	VIEW_READ_ONLY,	     /* the mount at PATH */
	VIEW_TREE_READ_ONLY, /* the directory or file PATH, which becomes a mount of its own */
	VIEW_HIDE,	     /* the mount at PATH is covered */
};

struct view_step {
	enum view_kind kind;
	char *path;
};

struct view {
	struct view_step *steps;
	size_t n_steps;
};

/* A directory that is passed on to the command, open since before there was another view: through
 * it the old mounts could be reached. */
struct passed_dir {
	int fd, flags;
	char *path;
	dev_t device;
	ino_t inode;
};

struct passed {
	struct passed_dir *dirs;
	size_t n_dirs;
};

struct confine {
	struct view view;
	struct passed passed;
	int domain_fd; /* a Landlock ruleset, -1: this kernel's does not help */
};

/* What is to be done about one mount, ROOT: for a command that runs as user 0. */
int confine_view_plan(struct view *v, bool root, const struct mount_entry *m);
int confine_view_prepare(struct view *v, bool root, struct error *err);
struct confine_failure confine_view_enter(const struct view *v);
void confine_view_done(struct view *v);

/* Closes what must not be passed on, and remembers the directories. */
int confine_passed_prepare(struct passed *p, struct error *err);
void confine_passed_reopen(const struct passed *p);
void confine_passed_done(struct passed *p);

/* The system calls that the command does not have, as a program of the kernel's. Made with sluice
 * itself, see confine_filter_make.c. */
extern const struct sock_fprog confine_filter;

/* The ruleset, or -1. */
int confine_domain_prepare(bool root);

#endif
