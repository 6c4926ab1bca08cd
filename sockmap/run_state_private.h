/* SPDX-License-Identifier: Apache-2.0 */
/* run_state_private.h - what making, removing and cleaning up share; nobody else includes it. */
#ifndef SLUICE_RUN_STATE_PRIVATE_H
#define SLUICE_RUN_STATE_PRIVATE_H

#include <dirent.h>
#include <stdbool.h>
#include "run_state.h"

#define RUN_CGROUP_PREFIX "sluice-" /* before the id */

/* Whoever makes, removes or cleans up holds this: nobody sees a file that is not locked yet.
 * Returns a descriptor to be closed. */
int run_state_lock(void);
/* "PID-NUMBER", see run_state_name(). */
bool run_state_is_id(const char *text);
/* Is this the name of a run's file? */
bool run_state_is_file(const struct dirent *e);
/* Is there one of a run, or of an agent? */
bool run_state_any(void);

/* A new id, and what is called by it: a file in the run directory, and a directory for pins. PREFIX
 * stands in front of all of them. */
int run_state_name(const char *prefix, char id[RUN_STATE_ID_MAX], char file[RUN_STATE_FILE_MAX],
		   char pin_dir[RUN_STATE_PINS_MAX], struct error *err);
/* Make FILE with TEXT in it, locked as long as the descriptor is open that is returned. */
int run_state_make_file(const char *file, const char *text);

/* The files of the dead: which they are, and what is done with each, which is open as FD. */
struct run_state_files {
	bool (*is_one)(const struct dirent *e);
	int (*clean)(void *ctx, const char *name, const char *file, int fd);
	const char *whose; /* for messages: in front of the path */
};
/* All of them, under the lock; one that cannot be cleaned up does not keep the others. Mounts of
 * ours go with the last file. Returns 0, or a negative errno with a sentence in ERR. */
int run_state_clean(const struct run_state_files *files, void *ctx, struct error *err);

/* Call FN for each directory, in any mounted bpffs, that can have the pins of ID; PIN_DIR is asked
 * first, if it is called so. */
int run_state_each_pins(const char *id, const char *pin_dir, int (*fn)(void *ctx, const char *dir),
			void *ctx);

#endif
