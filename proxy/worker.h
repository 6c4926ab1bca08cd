/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h - one thread, one event loop, its own listeners and connections; shares nothing on the
 * data path.
 *
 * Made and freed by the main thread; between worker_start() and worker_join() everything in it
 * belongs to its thread. A new policy reaches it as a whole: worker_set_policy() leaves it in a
 * mailbox and wakes it; TAKEN and SWEPT tell how far it is. */
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
#include "listener.h"
#include "metrics.h"
#include "path.h"
#include "policy.h"
#include "poller.h"
#include "report.h"
#include "turns.h"
#include "sluice/error.h"

#define WORKER_READ_SIZE    (64 * 1024)	 /* what is left of it unused fits BUFFER_MAX */
#define WORKER_BULK_SIZE    (512 * 1024) /* the same with what is sure to be used before it */
#define WORKER_TICK_MS	    1000
#define WORKER_STOP_TICK_MS 20 /* while stopping */
#define WORKER_MAX	    64 /* not more than STEER_INBOUND_MAX */
#define WORKER_LISTENERS    4
#define WORKER_DESCRIPTORS  1024 /* of those that its loop watches, the highest */

struct conn;

/* What all workers of a run share: the limits, and the one number that is bounded for all of them
 * together. */
struct worker_shared {
	struct limits limits;
	_Atomic(uint64_t) connections; /* open, and those about to be */
};

struct worker {
	uv_loop_t loop;	      /* timers and wake-ups; run by the poller */
	struct poller poller; /* listeners and connections */
	uv_thread_t thread;
	uv_async_t wake;
	uv_timer_t tick;
	struct listener listeners[WORKER_LISTENERS]; /* IPv4, IPv6; for ingress the same */
	struct steer *steer;			     /* from worker_listen() on */
	struct worker_shared *shared;
	struct policy *policy;
	uint32_t policy_generation; /* raised with every new policy, from 1 */
	uint32_t policy_serial;	    /* as worker_policy_new() was told, 0: the first one */
	struct judge_scratch *judge;
	struct path_scratch paths;
	struct buffer_pool buffers;
	struct exchange_pool exchanges;
	struct h1_relay_env relay_env;
	struct conn *conns;
	struct conn *sweep_next; /* the next one to be held to the newest policy */
	uv_idle_t sweep;
	struct turns turns;
	struct metrics metrics;
	struct reporter reporter;
	uint64_t stop_at_ms; /* 0: not stopping */
	_Atomic(struct worker_policy *) mailbox;
	uv_async_t *progress;	 /* of the main thread, told when one of these has grown */
	_Atomic(uint32_t) taken; /* serial of the policy by which everything is judged */
	_Atomic(uint32_t) swept; /* serial of the policy to which every connection is held */
	_Atomic(uint32_t) ended; /* connections that ended because of a new policy */
	atomic_bool stop;
	bool initialized, started;
	struct h1_head head;
	struct h2_relay_env h2_env;
	char scratch[WORKER_BULK_SIZE];
	char edited[H1_EDIT_MAX]; /* a head that a rule changes, while it is sent */
};

/* A policy and what one worker needs to judge by it. */
struct worker_policy {
	struct policy *policy;
	struct judge_scratch *judge;
	uint32_t serial;
};

/* Any thread. Takes a reference of POLICY. NULL when out of memory. */
struct worker_policy *worker_policy_new(struct policy *policy, uint32_t serial);
void worker_policy_free(struct worker_policy *p); /* accepts NULL */

/* POLICY is taken a reference of. LOG may be NULL. SHARED outlives the worker. Nothing that others
 * could see is made yet. */
int worker_init(struct worker *w, struct worker_shared *shared, struct policy *policy,
		struct log_writer *log, const char *labels, struct error *err);
/* Before worker_start(): pass everything, and record what would have been denied. */
void worker_set_audit(struct worker *w);
/* Open the listeners; PORTS has a port per family (IPv4, IPv6), 0: let the kernel pick one and
 * store it. A family that the host does not have is left out (port stays 0). */
int worker_listen(struct worker *w, struct steer *steer, uint16_t ports[2], struct error *err);
int worker_start(struct worker *w, struct error *err);
/* Any thread. The worker takes P over, and cannot fail. */
void worker_set_policy(struct worker *w, struct worker_policy *p);
/* Any thread: accept no more, finish what is in flight, end. */
void worker_stop(struct worker *w);
void worker_join(struct worker *w);
/* After worker_join(), or if it was never started. Accepts a worker whose worker_init() failed or
 * that is zeroed. */
void worker_done(struct worker *w);

/* For its thread: ask for one more connection, and give one back. */
bool worker_admit(struct worker *w);
void worker_release(struct worker *w);

/* Private to worker*.c. */
void worker_take_policy(struct worker *w);

#endif
