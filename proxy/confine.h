/* SPDX-License-Identifier: Apache-2.0 */
/* confine.h - what keeps a command in its cgroup: docs/security.md says which part holds what.
 *
 * The hooks hold sockets that are made in the cgroup, so a command must not get out of it, not take
 * the hooks off, not make sockets that no hook sees, and not borrow those of others. Everything
 * that allocates or can be wrong is done by confine_prepare(), before fork(); the child only makes
 * system calls, in two steps: confine_view() while it may do everything, confine_powers() last
 * before exec(), as the user that the command will be. */
#ifndef SLUICE_CONFINE_H
#define SLUICE_CONFINE_H

#include <stdbool.h>
#include "sluice/error.h"

struct confine;

/* What failed in the child. WHAT is valid in the parent as well: it was made before fork(). */
struct confine_failure {
	int code;	  /* a positive errno; 0: nothing */
	const char *what; /* NULL: not confinement */
};

/* ROOT: the command will run as user 0. */
int confine_prepare(bool root, struct confine **ret, struct error *err);
/* A mount namespace of its own with cgroupfs read-only; bounded capabilities. Call it in the
 * cgroup, with all capabilities. Async-signal-safe. */
struct confine_failure confine_view(const struct confine *c);
/* What is left: capabilities, no_new_privs, the Landlock domain, the filter. Async-signal-safe. */
struct confine_failure confine_powers(const struct confine *c);
void confine_free(struct confine *c); /* accepts NULL */

/* sluice's own memory holds requests and their credentials: nobody but root reads it, and no core
 * of it is written. exec() undoes this for the command. */
void confine_self(void);

#endif
