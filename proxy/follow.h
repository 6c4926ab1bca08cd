/* SPDX-License-Identifier: Apache-2.0 */
/* follow.h - follows files: notices that they may have changed, waits until they have settled, and
 * has them loaded on a thread of their own.
 *
 * One load at a time; what changes meanwhile is loaded afterwards. Somebody who uses all of the
 * user's watches must not keep a policy from being changed: then the files are loaded from time to
 * time. */
#ifndef SLUICE_FOLLOW_H
#define SLUICE_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "watch.h"

#define FOLLOW_SETTLED_MS   20	 /* after a change that is complete */
#define FOLLOW_UNSETTLED_MS 500	 /* after one that goes on: a file that is being written */
#define FOLLOW_LATEST_MS    1000 /* but not later than this after the first one */
#define FOLLOW_BLIND_MS	    2000 /* how often files are loaded that cannot be watched */

struct follow_host {
	/* Watch the files as they are now; W is NULL when there are no more of them. Returns 0, a
	 * negative errno where less is watched, or 1: they are not to be loaded. */
	int (*watch)(void *ctx, struct watch *w);
	void (*refused)(void *ctx);	      /* there is a change, and the host said 1 */
	void (*begin)(void *ctx);	      /* a load is about to begin; may be NULL */
	void (*load)(void *ctx);	      /* on a thread of its own */
	void (*loaded)(void *ctx, int error); /* on the loop; ERROR: there was no thread for it */
};

/* Embedded by its owner; zeroed, or initialized. */
struct follow {
	const struct follow_host *host;
	void *ctx;
	uv_loop_t *loop;
	struct watch *watch;
	bool busy;     /* until follow_idle() */
	bool changed;  /* again, since it is busy */
	bool touched;  /* since the last load began: of the files, or somebody asks for it */
	bool whole;    /* the load that goes on is because of that */
	bool short_of; /* of something, so that it is to be tried again without a change */
	bool blind;    /* not everything is watched */
	bool said_blind, begun, closing, has_loader;
	uint64_t latest_ms; /* when what has changed is loaded at the latest; 0: nothing has */
	uv_poll_t news;
	uv_timer_t settle;
	uv_async_t done;
	uv_thread_t loader;
};

/* Returns 0 or -ENOMEM. */
int follow_init(struct follow *f, const struct follow_host *host, void *ctx);
/* Watch the files, before they are read. Returns what the host did. */
int follow_watch(struct follow *f);
void follow_begin(struct follow *f, uv_loop_t *loop);
/* Load them, or again when that is over which goes on. */
void follow_now(struct follow *f);
/* The same for another reason than the files: unless there is news of them WHOLE is false. */
void follow_otherwise(struct follow *f);
/* What was loaded has been dealt with. */
void follow_idle(struct follow *f);
/* Close the handles; waits for a load that goes on, of which nobody is told. */
void follow_end(struct follow *f);
void follow_done(struct follow *f);

#endif
