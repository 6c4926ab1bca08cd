/* SPDX-License-Identifier: Apache-2.0 */
/* crew.h - all workers of the process, as the main thread sees them: made together, told of changes
 * together, asked together, ended together.
 *
 * Everything here is called by the main thread. Between crew_begin() and crew_end() the loop tells
 * when workers have got on: whoever waits for them registers a watch. */
#ifndef SLUICE_CREW_H
#define SLUICE_CREW_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "access_log.h"
#include "denials.h"
#include "limit.h"
#include "tally.h"
#include "worker.h"
#include "worker_changes.h"
#include "sluice/error.h"

struct netns;
struct steer;
struct crew_ask; /* somebody waits for the answer */

struct crew_options {
	unsigned n_workers;	/* at most WORKER_MAX */
	uint32_t max_workloads; /* as steer.h was told */
	uint32_t max_netns;	/* likewise */
	struct limits limits;
	bool audit;
	bool fixed;		/* policies never change: nothing is kept for judging again */
	struct access_log *log; /* with a writer for each worker, by its number; or NULL */
};

/* Somebody who is told when workers have got on. */
struct crew_watch {
	void (*on_progress)(void *ctx);
	void *ctx;
	struct crew_watch *next;
};

/* Embedded; zeroed, or filled by crew_open(). */
struct crew {
	struct worker_shared shared;
	struct worker *workers;
	unsigned n;
	uint32_t serial; /* of the last lists that were posted */
	bool started, begun, stopping;
	uv_async_t progress;
	struct crew_watch *watches;
	struct crew_ask *asks;
};

/* Writes into the list of worker I. Returns 0 or a negative errno. */
typedef int (*crew_append)(struct worker_changes *list, unsigned i, void *ctx);

/* Make the workers: nothing that others could see. Here memory may run out in libuv, which ends the
 * process: so call it before anything is made that has to be removed. */
int crew_open(struct crew *c, const struct crew_options *o, struct error *err);
/* Open the listeners of all workers, which share one port for each family. */
int crew_listen(struct crew *c, struct steer *steer, struct error *err);
/* The same in NETNS, which the steering knows already; crew_listen() comes first. On failure
 * nothing has happened. */
int crew_add_netns(struct crew *c, struct steer *steer, struct netns *netns, struct error *err);
/* Accept there no more; connections that are left there end. When crew_reached(*SERIAL, true) no
 * socket of ours is in it. Returns 0, or -ENOMEM: try again. */
int crew_remove_netns(struct crew *c, uint32_t number, uint32_t *serial);

/* Lists for all workers, LISTS[i] for worker i, which are taken over. Returns their serial. Before
 * crew_start() they are carried out at once. */
uint32_t crew_post(struct crew *c, struct worker_changes *const lists[]);
/* The same with lists into which APPEND writes. Returns 0, or what APPEND returned or -ENOMEM: then
 * nobody was told. */
int crew_tell(struct crew *c, crew_append append, void *ctx, uint32_t *serial);
/* Has every worker applied the lists SERIAL? With SWEPT: and held all its connections to them? */
bool crew_reached(const struct crew *c, uint32_t serial, bool swept);
/* How many connections have ended because of new policies since this was asked. */
unsigned crew_take_ended(struct crew *c);

/* Ask all workers what they have counted. ON_ANSWER gets the sum, which is freed afterwards, or
 * NULL: out of memory, or the workers end. Needs crew_begin(). Returns 0, -ENOMEM, or -ECANCELED
 * where they end. */
int crew_ask(struct crew *c, void (*on_answer)(void *ctx, const struct tally *tally), void *ctx);

/* The loop runs from now on. */
void crew_begin(struct crew *c, uv_loop_t *loop);
void crew_watch(struct crew *c, struct crew_watch *watch);
int crew_start(struct crew *c, struct error *err);

/* Accept no more and finish what is in flight: crew_is_over() when that is done, of which watches
 * are told. */
void crew_wind_up(struct crew *c);
/* What is still in flight ends now. */
void crew_hurry(struct crew *c);
bool crew_is_over(const struct crew *c);
/* The same without crew_wind_up(), waits for it, and ends; what was counted and denied is added up.
 * Whatever was reached. */
void crew_stop(struct crew *c, struct metrics *sum, struct denials *denials);
/* After crew_stop(): close the handle; LOOP has to be run afterwards. */
void crew_end(struct crew *c);

#endif
