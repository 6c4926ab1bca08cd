/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup.h - finds the cgroup2 tree and makes, empties and removes a cgroup of our own in it. */
#ifndef SLUICE_CGROUP_H
#define SLUICE_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "sluice/error.h"

#define CGROUP_PATH_MAX 4096

struct cgroup {
	int fd; /* the directory, O_CLOEXEC; -1: none */
	char path[CGROUP_PATH_MAX];
};

/* Make a cgroup NAME below the calling process's own cgroup2 group, so that limits set on the
 * caller still apply. cgroup2 is found in mountinfo, wherever it is; where it is not mounted at
 * all, a private view is mounted below /run/sluice. */
int cgroup_make(struct cgroup *cg, const char *name, struct error *err);
/* The path that cgroup_make() would use. */
int cgroup_plan(char path[CGROUP_PATH_MAX], const char *name, struct error *err);
/* Where the whole tree is mounted, perhaps read-only, and the path of the calling process's own
 * group within it. */
int cgroup_tree(char root[CGROUP_PATH_MAX], struct error *err);
int cgroup_own(char path[CGROUP_PATH_MAX], struct error *err);
/* Open an existing one by its path. */
int cgroup_open(struct cgroup *cg, const char *path, struct error *err);
/* The number by which the kernel names it, in every mount namespace and never again for another; 0
 * when it cannot be read. */
uint64_t cgroup_id(const struct cgroup *cg);
/* Open one by its id, wherever it is mounted, or not at all; its path is then the one within the
 * whole tree. -ENOENT: there is no such cgroup any more; no other error says so. */
int cgroup_open_id(struct cgroup *cg, uint64_t id);
/* Move the calling process in. Async-signal-safe: for a child between fork() and exec(). */
int cgroup_enter(const struct cgroup *cg);
/* 1: processes live in it or below it, 0: none, or a negative errno. */
int cgroup_populated(const struct cgroup *cg);
/* Call FN with each process in it and below it that can be named from here. Returns 0 or a negative
 * errno. */
int cgroup_each_pid(const struct cgroup *cg, void (*fn)(void *ctx, pid_t pid), void *ctx);
/* Send SIGNAL to every process in it and below it. SIGKILL uses cgroup.kill where the kernel has
 * it. */
int cgroup_signal(const struct cgroup *cg, int signal);
/* Remove it and what is below it; -EBUSY while it is populated. */
int cgroup_remove(struct cgroup *cg);
/* Close the descriptor only. */
void cgroup_done(struct cgroup *cg);

#endif
