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
#include "watch.h"

#define RELOAD_SETTLED_MS   20	 /* after a change that is complete */
#define RELOAD_UNSETTLED_MS 500	 /* after one that goes on: a file that is being written */
#define RELOAD_BLIND_MS	    2000 /* how often files are read that cannot be watched */
#define RELOAD_LATEST_MS    1000 /* but not later than this after the first one */

struct run;

enum reload_state { RELOAD_IDLE, RELOAD_LOADING, RELOAD_ROLLING, RELOAD_STATE_MAX };

/* Embedded in a run; what is being loaded is the loading thread's while it is LOADING. */
struct reload {
	const struct policy_source *source;
	struct watch *watch; /* NULL: there are no more of them */
	enum reload_state state;
	bool on, begun, closing;
	bool guarded;	/* nothing is followed that the command's user could write */
	bool unguarded; /* that user could write what is watched now */
	struct watch_guard guard;
	bool blind;	    /* not everything is watched */
	bool short_of;	    /* something, so that the last load could not be done */
	bool changed;	    /* again, since it began */
	bool said_unlisted; /* that connections cannot be listed */
	bool said_unguarded;
	bool said_blind;    /* that something cannot be watched */
	bool said_helpless; /* that this kernel cannot end connections */
	uint64_t latest_ms; /* when what has changed is loaded at the latest; 0: nothing has */
	uv_poll_t news;
	uv_timer_t settle;
	uv_async_t loaded;
	uv_thread_t loader; /* while LOADING, unless there was none to be had */
	bool has_loader;
	char *last_errors; /* printed for the text that is in the files now */

	int result; /* of the load */
	struct policy *next;
	bool differs; /* from the one in force */
	struct rollout_plan plan;
	struct rollout rollout;
	unsigned ended; /* connections */
	struct diag diag;
	struct error err;
};

/* Begin to follow the files of SOURCE, before they are read for the first time. Where there is
 * nothing to follow, or nothing that could be read again (a pipe), reloading stays off. Returns 0
 * or -ENOMEM; reload_done() is due in either case. */
int reload_init(struct reload *l, const struct policy_source *source);
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
