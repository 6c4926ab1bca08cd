/* SPDX-License-Identifier: Apache-2.0 */
/* run.h - one `sluice run`: everything that is made for one command, in the order in which it is
 * made.
 *
 * run_open() makes: the event loops, the state and the cgroup, the programs with the policy's
 * tables, the workers' listeners, the mirror of the routes, and only then attaches; run_loop()
 * starts the command and returns when it and everything it left behind have ended; run_close()
 * undoes all in reverse, whatever was reached. */
#ifndef SLUICE_RUN_H
#define SLUICE_RUN_H

#include "access_log.h"
#include "child.h"
#include "crew.h"
#include "policy.h"
#include "reload.h"
#include "routes.h"
#include "run_options.h"
#include "run_state.h"
#include "steer.h"

#define RUN_DESCRIPTORS_MAX 1024 /* of those that the main thread watches, the highest */
#define RUN_ROUTES_RETRY_MS 1000
#define RUN_POLL_MS	    10 /* how often it is asked whether they have gone */

struct run {
	const struct run_options *options;
	struct policy *policy; /* in force */
	struct reload reload;
	struct child child;
	struct run_state state;
	bool state_made;
	struct steer *steer;
	uint64_t workload; /* of it */
	struct routes *routes;
	struct access_log *log;
	struct crew crew;
	struct reporter reporter; /* for what the kernel refused */
	struct workload_info *info;
	uv_loop_t loop;
	uv_poll_t signals, events, route_changes;
	uv_timer_t timer, route_retry;
	uint64_t kill_at_ms;
	bool loop_made;
};

/* R->reload was initialized before POLICY was loaded. POLICY's reference is taken over. */
int run_open(struct run *r, const struct run_options *o, struct policy *policy, struct error *err);
/* Returns 0 when the command has run and ended, or the negative errno with which it could not be
 * executed. */
int run_loop(struct run *r, struct error *err);
/* Prints what was denied, detaches and removes. Accepts what a failed run_open() left. */
void run_close(struct run *r);

#endif
