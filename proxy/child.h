/* SPDX-License-Identifier: Apache-2.0 */
/* child.h - starts the command in its cgroup, and passes signals on to it.
 *
 * The order matters: child_prepare() blocks the signals before any thread exists, and closes
 * sockets that were inherited, since no cgroup hook sees a socket that was made elsewhere. */
#ifndef SLUICE_CHILD_H
#define SLUICE_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>
#include "cgroup.h"
#include "sluice/error.h"

struct child {
	pid_t pid; /* 0: not started or already waited for */
	int signal_fd;
	sigset_t old_mask;
	struct sigaction old_sigchld;
	struct rlimit old_files;
	/* --user */
	bool change_user;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	int n_groups;
	int status; /* of waitpid(), once PID is 0 again */
};

int child_prepare(struct child *c, const char *user, struct error *err);
/* Returns 0; -ENOENT or -EACCES and others when the command could not be executed. */
int child_start(struct child *c, const struct cgroup *cgroup, char *const *argv, struct error *err);
/* Read what SIGNAL_FD has: pass signals on, reap. Returns true once the command has ended. */
bool child_on_signal(struct child *c);
/* The status to exit with when the command has ended: its own, or 128+n. */
int child_exit_status(const struct child *c);
void child_done(struct child *c);

#endif
