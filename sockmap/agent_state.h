/* SPDX-License-Identifier: Apache-2.0 */
/* agent_state.h - what one `sluice agent` leaves in the file system while it lives, and its
 * removal.
 *
 * An agent owns a state directory, of which it holds the lock while it lives: one agent for each.
 * It also owns a file /run/sluice/agent-<id> (locked in the same way; its text is the state
 * directory and the directory of the pins, a line each) and a directory <bpffs>/sluice/agent-<id>
 * with its pins. The file is there as long as the pins may be. What a killed agent leaves holds its
 * workloads, which belong to others and live on: so it goes only when the next agent of the same
 * state directory has taken over, or when somebody asks for it. */
#ifndef SLUICE_AGENT_STATE_H
#define SLUICE_AGENT_STATE_H

#include <dirent.h>
#include <stdbool.h>
#include "run_state.h"

#define AGENT_STATE_LOCK "lock" /* in the state directory */
#define AGENT_STATE_MAX	 96	/* bytes of its path, so that a socket can be in it */

struct agent_state {
	char id[RUN_STATE_ID_MAX];
	char dir[AGENT_STATE_MAX];
	char file[RUN_STATE_FILE_MAX];
	char pin_dir[RUN_STATE_PINS_MAX];
	int dir_fd, lock_fd, file_fd; /* -1: none */
};

/* Make the state directory DIR (its parents have to be there), lock it, make the file and the name
 * of the pin directory. -EBUSY: another agent has that directory. */
int agent_state_make(struct agent_state *s, const char *dir, struct error *err);
/* Undo all of it; the links were closed before. The state directory stays if others have put
 * something into it. Accepts one that agent_state_make() could not make. */
int agent_state_remove(struct agent_state *s);

struct agent_remains {
	unsigned removed; /* dead agents of which everything was removed */
	unsigned alive;	  /* agents that live, not counting S */
};
/* Remove what dead agents left: with S only those of its state directory, and not S itself; with
 * NULL all. Returns 0, or a negative errno when something could not be removed. */
int agent_state_cleanup(const struct agent_state *s, struct agent_remains *ret, struct error *err);

/* Is this the name of an agent's file? */
bool agent_state_is_file(const struct dirent *e);

#endif
