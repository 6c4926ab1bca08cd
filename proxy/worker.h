/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h - one thread, one event loop, its own listeners and connections; shares nothing on the
 * data path.
 *
 * Made and freed by the main thread; between worker_start() and worker_join() everything in it
 * belongs to its thread. The policy snapshot reaches it as a whole: worker_set_policy() leaves it
 * in a mailbox and wakes it. */
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
#include "listener.h"
#include "metrics.h"
#include "path.h"
#include "policy.h"
#include "report.h"
#include "sluice/error.h"

#define WORKER_READ_SIZE       (64 * 1024)
#define WORKER_TICK_MS	       1000
#define WORKER_STOP_TICK_MS    20 /* while stopping */
#define WORKER_MAX	       64
#define WORKER_CONNECTIONS_MAX 65536 /* per worker */
#define WORKER_WIND_UP_MS                                                      \
	5000 /* how long what is in flight may take when the command has ended \
	      */

struct conn;

struct worker {
	uv_loop_t loop;
	uv_thread_t thread;
	uv_async_t wake;
	uv_timer_t tick;
	struct listener listeners[2]; /* IPv4, IPv6 */
	struct steer *steer;
	struct policy *policy;
	uint32_t policy_generation; /* raised with every new policy, from 1 */
	struct judge_scratch *judge;
	struct path_scratch paths;
	struct buffer_pool buffers;
	struct exchange_pool exchanges;
	struct h1_relay_env relay_env;
	struct conn *conns;
	struct metrics metrics;
	struct reporter reporter;
	uint64_t stop_at_ms; /* 0: not stopping */
	_Atomic(struct policy *) mailbox;
	atomic_bool stop;
	bool initialized, started;
	struct h1_head head;
	struct h2_relay_env h2_env;
	char scratch[WORKER_READ_SIZE];
	char edited[H1_EDIT_MAX]; /* a head that a rule changes, while it is sent */
};

/* POLICY is taken a reference of. LOG may be NULL. Listeners are opened by worker_listen(). */
int worker_init(struct worker *w, struct steer *steer, struct policy *policy,
		struct log_writer *log, const char *labels, struct error *err);
/* Open the listeners; PORTS has a port per family (IPv4, IPv6), 0: let the kernel pick one and
 * store it. A family that the host does not have is left out (port stays 0). */
int worker_listen(struct worker *w, uint16_t ports[2], struct error *err);
int worker_start(struct worker *w, struct error *err);
/* Any thread. The worker takes over the reference. */
void worker_set_policy(struct worker *w, struct policy *policy);
/* Any thread: accept no more, finish what is in flight, end. */
void worker_stop(struct worker *w);
void worker_join(struct worker *w);
/* After worker_join(), or if it was never started. Accepts a worker whose worker_init() failed or
 * that is zeroed. */
void worker_done(struct worker *w);

#endif
