/* SPDX-License-Identifier: Apache-2.0 */
/* run_state.h - what one `sluice run` leaves in the file system while it lives, and its removal.
 *
 * A run owns a file /run/sluice/<id> (locked with flock() while the process lives; its text is the
 * path of the cgroup, the directory of the pins, and the id of the cgroup, a line each), a cgroup
 * "sluice-<id>" and a directory <bpffs>/sluice/<id> with its pins. The file is made first and
 * removed last, so it is there as long as anything else is. The cgroup of a dead run goes before
 * its pins: while a process can be in it, it is held. Whoever gets the lock of a file knows that
 * its owner is dead, and may remove what it left once the cgroup is empty, which is asked of the
 * cgroups that the file and the pinned links name by id: a path that is not there proves nothing.
 * Only root can read or write any of it. */
#ifndef SLUICE_RUN_STATE_H
#define SLUICE_RUN_STATE_H

#include "cgroup.h"
#include "sluice/error.h"

#define RUN_STATE_ID_MAX   32
#define RUN_STATE_FILE_MAX 256
#define RUN_STATE_PINS_MAX 512

struct run_state {
	char id[RUN_STATE_ID_MAX];
	int lock_fd;
	char file[RUN_STATE_FILE_MAX];
	char pin_dir[RUN_STATE_PINS_MAX];
	struct cgroup cgroup;
};

/* Make the file, the lock, the cgroup and the name of the pin directory. */
int run_state_make(struct run_state *r, struct error *err);
/* Undo all of it. The cgroup must be empty (-EBUSY otherwise), the links closed before. */
int run_state_remove(struct run_state *r);

struct cleanup_report {
	unsigned removed; /* dead runs whose rest was removed */
	unsigned held;	/* dead runs whose cgroup has processes, or cannot be asked: left closed */
	unsigned alive; /* runs that are still going on */
	/* The cgroup of one that is held, for the message; as /proc/PID/cgroup has it where it is
	 * not mounted here. */
	char held_path[CGROUP_PATH_MAX];
};
/* Remove what dead runs left. Returns 0, or a negative errno when something could not be
 * removed. */
int run_state_cleanup(struct cleanup_report *report, struct error *err);

#endif
