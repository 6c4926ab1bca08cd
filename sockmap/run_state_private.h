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
/* Is this the name of a run's file? "PID-NUMBER", see run_state_make(). */
bool run_state_is_file(const struct dirent *e);
bool run_state_any(void);

#endif
