/* SPDX-License-Identifier: Apache-2.0 */
/* rollout.h - puts policies in force, for one workload or for many at once.
 *
 * First a plan is made, in any thread: what takes long or can fail. Then it is rolled out on the
 * main thread's loop, without anything that could fail for good:
 *   TAKING   every worker has been handed the plan. Still in force in the kernel: the old tables.
 *   SWEEPING all workers have taken it; the kernel's tables are switched, one workload after the
 *            other and in slices, and the connections that sluice does not carry and that the new
 * tables would not leave alone are ended. Waits for the workers, who hold their connections to it.
 * So no worker judges by an older policy than the kernel's table is. If a switch fails, workers
 * judge by the new policy, connect() and what is left alone by the old table, and it is tried again
 * until it succeeds. One plan at a time. */
#ifndef SLUICE_ROLLOUT_H
#define SLUICE_ROLLOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>
#include "crew.h"
#include "sweep.h"

#define ROLLOUT_AGAIN_MS 1000	  /* a switch that failed; a second sweep, see sweep.h */
#define ROLLOUT_SLICE_NS 20000000 /* of switching, in which the loop does nothing else */

/* A workload whose table is to be switched. */
struct rollout_item {
	uint64_t workload;
	struct policy *policy;
	int table;
	bool shared; /* TABLE is an earlier one's, who has the same policy */
};

/* Zeroed: a plan that was never begun. */
struct rollout_plan {
	unsigned n_workers;
	struct worker_changes *lists[WORKER_MAX];
	struct rollout_item *items;
	size_t n_items, room;
};

/* Returns 0 or -ENOMEM; in either case rollout_plan_done() is due, as after all that fails below.
 */
int rollout_plan_init(struct rollout_plan *p, unsigned n_workers);
/* WORKLOAD is to be held to POLICY and called as INFO says (NULL: it has no name), of which
 * references are taken. Workloads with the same policy share a table in the kernel. Returns 0, or a
 * negative errno with a sentence in ERR. */
int rollout_plan_set(struct rollout_plan *p, uint64_t workload, struct policy *policy,
		     struct workload_info *info, struct error *err);
/* The workers forget WORKLOAD, which the steering has forgotten before. Returns 0 or -ENOMEM. */
int rollout_plan_remove(struct rollout_plan *p, uint64_t workload);
/* Also one that was handed over: then there is nothing left in it. */
void rollout_plan_done(struct rollout_plan *p);
/* Before the workers start, when nothing is in force yet: a failure is one for good. Takes over
 * what is in P. */
int rollout_at_once(struct rollout_plan *p, struct crew *crew, struct steer *steer,
		    struct error *err);

/* Who is told. All but DONE may be NULL. */
struct rollout_host {
	void (*in_force)(void *ctx); /* all tables have been switched */
	/* That of WORKLOAD could not be, and will be tried again: once for a plan. */
	void (*behind)(void *ctx, uint64_t workload, const char *why);
	/* Of the sweep: what it found, and that not all could be listed. */
	void (*swept)(void *ctx, const struct swept *e);
	void (*unlisted)(void *ctx, int error);
	/* Everything is held to the plan; so many connections were ended because of it. The next
	 * plan may be begun. */
	void (*done)(void *ctx, unsigned ended);
};

enum rollout_state { ROLLOUT_IDLE, ROLLOUT_TAKING, ROLLOUT_SWEEPING, ROLLOUT_STATE_MAX };

struct rollout {
	enum rollout_state state;
	struct crew *crew;
	struct steer *steer;
	const struct rollout_host *host;
	void *ctx;
	bool audit; /* nothing is refused, so nothing is ended */
	struct rollout_plan plan;
	size_t switched; /* of its items */
	uint32_t serial;
	unsigned ended;
	bool said_behind, ending;
	struct crew_watch watch;
	uv_timer_t again;
};

/* LOOP is the one that CREW was begun with. */
void rollout_init(struct rollout *r, struct crew *crew, struct steer *steer, uv_loop_t *loop,
		  const struct rollout_host *host, void *ctx);
/* In state IDLE. Takes over what is in PLAN. */
void rollout_begin(struct rollout *r, struct rollout_plan *plan);
/* Nothing may be begun any more; LOOP has to be run afterwards. */
void rollout_end(struct rollout *r);
/* After rollout_end(). Accepts a zeroed one. */
void rollout_done(struct rollout *r);

#endif
