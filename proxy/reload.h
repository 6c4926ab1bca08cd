/* SPDX-License-Identifier: Apache-2.0 */
/* reload.h - changes the policy of a run while it goes on.
 *
 * On the main thread's loop. One change at a time, in this order:
 *   LOADING  on a thread of its own everything is made that takes long or can fail: the policy, the
 *            kernel's table, what each worker needs. With any error nothing has changed.
 *   ROLLING  it is put in force, see rollout.h.
 * What changes on the way is loaded afterwards. */
#ifndef SLUICE_RELOAD_H
#define SLUICE_RELOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "diag.h"
#include "policy_source.h"
#include "rollout.h"
#include "sluice/error.h"
#include "follow.h"

struct run;

/* Embedded in a run; what is being loaded is the loading thread's meanwhile. */
struct reload {
	const struct policy_source *source;
	struct follow files;
	bool on;
	bool guarded; /* nothing is followed that the command's user could write */
	struct watch_guard guard;
	bool said_unlisted; /* that connections cannot be listed */
	bool said_unguarded;
	bool said_helpless; /* that this kernel cannot end connections */
	char *last_errors;  /* printed for the text that is in the files now */

	int result; /* of the load */
	struct policy *next;
	bool differs; /* from the one in force */
	bool rolling; /* it is being put in force */
	struct rollout_plan plan;
	struct rollout rollout;
	unsigned ended; /* connections */
	struct diag diag;
	struct error err;
};

/* Begin to follow the files of SOURCE, before they are read for the first time. Where there is
 * nothing to follow, or nothing that could be read again (a pipe), reloading stays off. Returns 0
 * or -ENOMEM; reload_done() is due in either case. */
int reload_init(struct run *r, const struct policy_source *source);
bool reload_is_on(const struct reload *l);
/* Whether a change can ever be put in force. Known once the command's user is. */
bool reload_may_follow(const struct run *r);
/* The loop of R runs, its workers have been started. */
void reload_begin(struct run *r);
/* Close the handles; waits for a load that goes on. */
void reload_end(struct run *r);
/* Free what is left, whatever was reached. */
void reload_done(struct run *r);

#endif
