/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "conn.h"
#include "loop.h"
#include "policy.h"
#include "shed.h"
#include "worker_changes.h"

static void close_listeners(struct worker *w)
{
	for (uint32_t i = 0; w->netns && i < worker_max_netns(w); i++)
		if (w->netns[i])
			worker_netns_close(w->netns[i]);
}

static void close_handles(struct worker *w)
{
	close_listeners(w);
	uv_close((uv_handle_t *)&w->tick, NULL);
	uv_close((uv_handle_t *)&w->sweep, NULL);
	turns_close(&w->turns);
	uv_close((uv_handle_t *)&w->wake, NULL);
}

static void on_tick(uv_timer_t *timer);

/* Stop accepting; what is in flight goes on until it is delivered or its time is up. */
static void begin_to_stop(struct worker *w)
{
	struct conn *next;

	w->stop_at_ms = uv_now(&w->loop) + w->shared->limits.wind_up;
	close_listeners(w);
	uv_timer_start(&w->tick, on_tick, WORKER_STOP_TICK_MS, WORKER_STOP_TICK_MS);
	for (struct conn *c = w->conns; c; c = next) {
		next = c->next;
		if (c->state != CONN_CLOSING)
			conn_step(c);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct worker *w = timer->data;
	uint64_t now = uv_now(&w->loop);
	bool out_of_time = w->stop_at_ms && now >= w->stop_at_ms;
	struct conn *next;

	for (uint32_t i = 0; i < worker_max_netns(w); i++)
		if (w->netns[i])
			worker_netns_tick(w->netns[i]);
	for (struct conn *c = w->conns; c; c = next) {
		next = c->next;
		if (out_of_time)
			conn_close(c, CLOSE_SHUTDOWN);
		else
			conn_tick(c, now);
	}
	shed_stalled(w);
	worker_reap_workloads(w);
	if (w->stop_at_ms && !w->conns && !uv_is_closing((uv_handle_t *)&w->wake))
		close_handles(w);
}

static void on_wake(uv_async_t *async)
{
	struct worker *w = async->data;

	worker_take_changes(w);
	if (atomic_load(&w->stop) && !w->stop_at_ms)
		begin_to_stop(w);
	if (atomic_load(&w->hurry) && w->stop_at_ms)
		w->stop_at_ms = 1; /* long ago */
}

int worker_init(struct worker *w, struct worker_shared *shared, struct log_writer *log,
		struct error *err)
{
	int r;

	memset(w, 0, sizeof(*w));
	w->shared = shared;
	w->reporter.log = log;
	w->reporter.kept = &w->exchanges.kept;
	w->reporter.names = &w->names;
	buffer_pool_init(&w->buffers, shared->limits.buffers);
	h1_relay_env_init(&w->relay_env, &conn_relay_host, &w->exchanges, &w->head,
			  &shared->limits);
	w->h2_env.host = &conn_relay_host;
	w->h2_env.h2 = &conn_h2_host;
	w->h2_env.kept = &w->exchanges.kept;
	r = loop_open(&w->loop, WORKER_DESCRIPTORS);
	if (r < 0)
		goto fail;
	r = poller_open(&w->poller, &w->loop);
	if (r < 0)
		goto fail_loop;
	r = uv_async_init(&w->loop, &w->wake, on_wake);
	if (r < 0)
		goto fail_poller;
	w->wake.data = w;
	uv_timer_init(&w->loop, &w->tick);
	w->tick.data = w;
	uv_timer_start(&w->tick, on_tick, WORKER_TICK_MS, WORKER_TICK_MS);
	uv_idle_init(&w->loop, &w->sweep);
	w->sweep.data = w;
	turns_init(&w->turns, &w->loop);
	w->exchanges.kept.max = KEPT_MAX;
	w->judge_round = 1;
	w->initialized = true;
	r = workload_table_init(&w->workloads, shared->max_workloads ? shared->max_workloads : 1);
	w->netns = calloc(worker_max_netns(w), sizeof(struct worker_netns *));
	if (r == 0 && w->netns)
		return 0;
	error_set(err, "out of memory");
	return -ENOMEM;
fail_poller:
	poller_close(&w->poller);
fail_loop:
	uv_loop_close(&w->loop);
fail:
	error_set(err, "cannot make an event loop: %s", uv_strerror(r));
	return r;
}

void worker_set_audit(struct worker *w)
{
	w->relay_env.audit = w->h2_env.audit = true;
	w->reporter.audit = true;
	for (uint32_t i = 0; i < w->workloads.n; i++)
		if (w->workloads.slots[i])
			w->workloads.slots[i]->reporter.audit = true;
}

uint32_t worker_max_netns(const struct worker *w)
{
	return w->shared->max_netns ? w->shared->max_netns : 1;
}

int worker_listen(struct worker *w, struct steer *steer, uint16_t ports[2], struct error *err)
{
	int r = worker_netns_new(NULL, steer, ports, &w->netns[0], err);

	w->steer = steer;
	if (r == 0)
		r = worker_netns_start(w->netns[0], w);
	if (r < 0 && !err->text[0])
		error_set(err, "cannot listen on loopback: %s", strerror(-r));
	return r;
}

bool worker_admit(struct worker *w)
{
	if (atomic_fetch_add(&w->shared->connections, 1) < w->shared->limits.connections)
		return true;
	worker_release(w);
	return false;
}

void worker_release(struct worker *w)
{
	atomic_fetch_sub(&w->shared->connections, 1);
}

void worker_sum_up(const struct worker *w, struct metrics *sum)
{
	struct metrics m = w->metrics;

	m.buffers_in_use = w->buffers.n_lent;
	metrics_add(sum, &m);
}

static void worker_main(void *arg)
{
	struct worker *w = arg;

	while (poller_turn(&w->poller, true))
		;
	atomic_store(&w->over, true);
	if (w->progress)
		uv_async_send(w->progress);
}

int worker_start(struct worker *w, struct error *err)
{
	sigset_t all, old;
	int r;

	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = uv_thread_create(&w->thread, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		error_set(err, "cannot start a thread: %s", uv_strerror(r));
	else
		w->started = true;
	return r;
}

void worker_stop(struct worker *w)
{
	atomic_store(&w->stop, true);
	uv_async_send(&w->wake);
}

void worker_hurry(struct worker *w)
{
	atomic_store(&w->hurry, true);
	uv_async_send(&w->wake);
}

void worker_join(struct worker *w)
{
	if (w->started)
		uv_thread_join(&w->thread);
	w->started = false;
}

static void merge_listed(const struct workload *wl, struct denials *into)
{
	for (; wl; wl = wl->next)
		if (wl->gone)
			workload_merge_denials(wl, into);
}

void worker_merge_denials(const struct worker *w, struct denials *into)
{
	denials_merge(into, &w->reporter.denials, "");
	for (uint32_t i = 0; i < w->workloads.n; i++)
		if (w->workloads.slots[i])
			workload_merge_denials(w->workloads.slots[i], into);
	merge_listed(w->sweeping, into);
	merge_listed(w->gone, into);
}

void worker_done(struct worker *w)
{
	if (!w->initialized)
		return;
	assert(!w->started);
	if (!uv_is_closing((uv_handle_t *)&w->wake))
		close_handles(w);
	while (poller_turn(&w->poller, true))
		;
	poller_close(&w->poller);
	uv_loop_close(&w->loop);
	buffer_pool_done(&w->buffers);
	exchange_pool_done(&w->exchanges);
	path_scratch_done(&w->paths);
	judge_scratch_free(w->judge);
	worker_drop_changes(w);
	workload_table_done(&w->workloads);
	for (uint32_t i = 0; w->netns && i < worker_max_netns(w); i++)
		worker_netns_free(w->netns[i]);
	free(w->netns);
	denials_done(&w->reporter.denials);
	endpoint_names_unref(w->names);
	w->names = NULL;
	w->initialized = false;
}
