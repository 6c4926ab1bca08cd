/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h - one thread, one event loop, its own listeners and connections; shares nothing on the
 * data path.
 *
 * Made and freed by the main thread; between worker_start() and worker_join() everything in it
 * belongs to its thread. What changes reaches it as a whole (worker_changes.h): worker_post()
 * leaves it in a mailbox and wakes it; TAKEN and SWEPT tell how far it is. */
#ifndef SLUICE_WORKER_H
#define SLUICE_WORKER_H

#include <stdatomic.h>
#include <uv.h>
#include "buffer.h"
#include "exchange.h"
#include "h1.h"
#include "h1_edit.h"
#include "h1_relay.h"
#include "h2_relay.h"
#include "limit.h"
#include "metrics.h"
#include "path.h"
#include "poller.h"
#include "report.h"
#include "turns.h"
#include "worker_netns.h"
#include "workload.h"
#include "sluice/error.h"

#define WORKER_READ_SIZE    (64 * 1024)	 /* what is left of it unused fits BUFFER_MAX */
#define WORKER_BULK_SIZE    (512 * 1024) /* the same with what is sure to be used before it */
#define WORKER_TICK_MS	    1000
#define WORKER_STOP_TICK_MS 20	 /* while stopping */
#define WORKER_MAX	    64	 /* not more than STEER_INBOUND_MAX */
#define WORKER_DESCRIPTORS  1024 /* of those that its loop watches, the highest */

struct conn;
struct judge_scratch;
struct worker_changes;

/* What all workers of a process share: the limits, and the one number that is bounded for all of
 * them together. */
struct worker_shared {
	struct limits limits;
	uint32_t max_workloads;	       /* at a time; 0 is 1 */
	uint32_t max_netns;	       /* with the host's; 0 is 1 */
	_Atomic(uint64_t) connections; /* open, and those about to be */
};

struct worker {
	uv_loop_t loop;	      /* timers and wake-ups; run by the poller */
	struct poller poller; /* listeners and connections */
	uv_thread_t thread;
	uv_async_t wake;
	uv_timer_t tick;
	struct worker_netns **netns; /* by number, as many as there may be; NULL: not known */
	struct conn *netns_next;     /* the next one of which the namespace may be gone */
	bool netns_sweeping;
	struct steer *steer; /* from worker_listen() on */
	struct worker_shared *shared;
	struct workload_table workloads;
	struct workload *sweeping; /* whose connections are being held to a change */
	struct workload *gone;	   /* removed; some have connections yet */
	struct path_scratch paths;
	struct judge_scratch *judge; /* of all workloads that were judged since it was made anew */
	uint64_t judge_round;	     /* from 1; raised whenever it is lost */
	struct buffer_pool buffers;
	struct exchange_pool exchanges;
	struct h1_relay_env relay_env;
	struct conn *conns; /* those of a workload next to each other */
	uv_idle_t sweep;
	struct turns turns;
	struct metrics metrics;
	struct reporter reporter; /* of what is no known workload's */
	struct endpoint_names *names;
	uint64_t stop_at_ms; /* 0: not stopping */
	_Atomic(struct worker_changes *) mailbox;
	uint32_t serial;	 /* of the last list of changes, 0: none came yet */
	uv_async_t *progress;	 /* of the main thread, told when one of these has grown */
	_Atomic(uint32_t) taken; /* serial of the changes that are in force */
	_Atomic(uint32_t) swept; /* serial of those to which every connection is held */
	_Atomic(uint32_t) ended; /* connections that ended because of a change */
	atomic_bool stop, hurry;
	atomic_bool over; /* its thread is about to end */
	bool initialized, started;
	struct h1_head head;
	struct h2_relay_env h2_env;
	char scratch[WORKER_BULK_SIZE];
	char edited[H1_EDIT_MAX]; /* a head that a rule changes, while it is sent */
};

/* LOG may be NULL. SHARED outlives the worker. Nothing that others could see is made yet, and no
 * workload is known. */
int worker_init(struct worker *w, struct worker_shared *shared, struct log_writer *log,
		struct error *err);
/* Before worker_start(): pass everything, and record what would have been denied. */
void worker_set_audit(struct worker *w);
/* Open the listeners in the host's namespace; PORTS has a port per family (IPv4, IPv6), 0: let the
 * kernel pick one and store it. A family that the host does not have is left out (port stays 0). */
int worker_listen(struct worker *w, struct steer *steer, uint16_t ports[2], struct error *err);
int worker_start(struct worker *w, struct error *err);
/* Any thread: accept no more, finish what is in flight, end. */
void worker_stop(struct worker *w);
/* The same, after worker_stop(): end at once. */
void worker_hurry(struct worker *w);
void worker_join(struct worker *w);
/* After worker_join(): add what it denied, by workload, and what it denied in the name of those
 * that are gone. */
void worker_merge_denials(const struct worker *w, struct denials *into);
/* After worker_join(), or if it was never started. Accepts a worker whose worker_init() failed or
 * that is zeroed. */
void worker_done(struct worker *w);

/* For its thread, or after worker_join(): add what it has counted to SUM. */
void worker_sum_up(const struct worker *w, struct metrics *sum);
/* For its thread: ask for one more connection, and give one back. */
bool worker_admit(struct worker *w);
void worker_release(struct worker *w);
uint32_t worker_max_netns(const struct worker *w);

#endif
