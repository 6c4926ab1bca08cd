/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "policy.h"
#include "steer.h"

#define FIRST_ROOM 8

#define TO(s) (1u << ROLLOUT_##s)
static const unsigned next_states[ROLLOUT_STATE_MAX] = {
	[ROLLOUT_IDLE] = TO(TAKING),
	[ROLLOUT_TAKING] = TO(SWEEPING),
	[ROLLOUT_SWEEPING] = TO(IDLE),
};

static void move(struct rollout *r, enum rollout_state to)
{
	assert(next_states[r->state] & (1u << to));
	r->state = to;
}

/* --- making a plan --- */

int rollout_plan_init(struct rollout_plan *p, unsigned n_workers)
{
	*p = (struct rollout_plan){ .n_workers = n_workers };
	for (unsigned i = 0; i < n_workers; i++) {
		p->lists[i] = worker_changes_new();
		if (!p->lists[i])
			return -ENOMEM;
	}
	return 0;
}

static struct rollout_item *make_item(struct rollout_plan *p)
{
	size_t room = p->room ? 2 * p->room : FIRST_ROOM;
	struct rollout_item *items;

	if (p->n_items == p->room) {
		items = realloc(p->items, room * sizeof(*items));
		if (!items)
			return NULL;
		p->items = items;
		p->room = room;
	}
	return &p->items[p->n_items];
}

static int find_table(const struct rollout_plan *p, const struct policy *policy)
{
	for (size_t i = p->n_items; i > 0; i--)
		if (p->items[i - 1].policy == policy)
			return p->items[i - 1].table;
	return -1;
}

static int tell_workers(struct rollout_plan *p, uint64_t workload, struct policy *policy,
			struct workload_info *info)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < p->n_workers; i++)
		r = worker_changes_set_policy(p->lists[i], workload, policy, info);
	return r;
}

int rollout_plan_set(struct rollout_plan *p, uint64_t workload, struct policy *policy,
		     struct workload_info *info, struct error *err)
{
	struct rollout_item *item = make_item(p);
	int table = find_table(p, policy);
	bool shared = table >= 0;

	if (!item || tell_workers(p, workload, policy, info) < 0) {
		error_set(err, "out of memory for the policy");
		return -ENOMEM;
	}
	if (!shared)
		table = steer_build_table(policy_l4_table(policy), err);
	if (table < 0)
		return table;
	*item = (struct rollout_item){
		.workload = workload, .policy = policy_ref(policy), .table = table, .shared = shared
	};
	p->n_items++;
	return 0;
}

int rollout_plan_remove(struct rollout_plan *p, uint64_t workload)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < p->n_workers; i++)
		r = worker_changes_remove_workload(p->lists[i], workload);
	return r;
}

void rollout_plan_done(struct rollout_plan *p)
{
	for (unsigned i = 0; i < p->n_workers; i++)
		worker_changes_free(p->lists[i]);
	for (size_t i = 0; i < p->n_items; i++) {
		if (!p->items[i].shared)
			close(p->items[i].table);
		policy_unref(p->items[i].policy);
	}
	free(p->items);
	*p = (struct rollout_plan){ 0 };
}

/* --- rolling it out --- */

static void on_again(uv_timer_t *timer);

static void on_swept(void *ctx, const struct swept *e)
{
	struct rollout *r = ctx;

	if (e->result == 0)
		r->ended++;
	if (r->host->swept)
		r->host->swept(r->ctx, e);
}

static void sweep(struct rollout *r)
{
	int code = r->audit ? 0 : steer_sweep(r->steer, on_swept, r);

	if (code == 0)
		return;
	if (r->host->unlisted)
		r->host->unlisted(r->ctx, code);
	uv_timer_start(&r->again, on_again, ROLLOUT_AGAIN_MS, 0);
}

static bool switch_one(struct rollout *r, const struct rollout_item *item)
{
	struct error err = { "" };

	if (steer_switch_table(r->steer, item->workload, item->table, policy_l4_table(item->policy),
			       &err) == 0)
		return true;
	if (!r->said_behind && r->host->behind)
		r->host->behind(r->ctx, item->workload, err.text);
	r->said_behind = true;
	uv_timer_start(&r->again, on_again, ROLLOUT_AGAIN_MS, 0);
	return false;
}

/* The kernel takes some milliseconds for each: between two slices the loop does what else there is.
 */
static bool switch_tables(struct rollout *r)
{
	uint64_t until = uv_hrtime() + ROLLOUT_SLICE_NS;

	while (r->switched < r->plan.n_items && switch_one(r, &r->plan.items[r->switched])) {
		r->switched++;
		if (r->switched < r->plan.n_items && uv_hrtime() >= until) {
			uv_timer_start(&r->again, on_again, 1, 0); /* 0 would be this turn */
			break;
		}
	}
	return r->switched == r->plan.n_items;
}

static void finish(struct rollout *r)
{
	unsigned ended = r->ended + crew_take_ended(r->crew);

	rollout_plan_done(&r->plan);
	move(r, ROLLOUT_IDLE);
	r->host->done(r->ctx, ended);
}

static void step(struct rollout *r)
{
	if (r->state == ROLLOUT_TAKING && crew_reached(r->crew, r->serial, false) &&
	    switch_tables(r)) {
		move(r, ROLLOUT_SWEEPING);
		if (r->host->in_force)
			r->host->in_force(r->ctx);
		uv_timer_start(&r->again, on_again, ROLLOUT_AGAIN_MS, 0);
		sweep(r);
	}
	if (r->state == ROLLOUT_SWEEPING && crew_reached(r->crew, r->serial, true))
		finish(r);
}

static void on_progress(void *ctx)
{
	step(ctx);
}

static void on_again(uv_timer_t *timer)
{
	struct rollout *r = timer->data;

	if (r->state == ROLLOUT_TAKING)
		step(r);
	else
		sweep(r);
}

int rollout_at_once(struct rollout_plan *p, struct crew *crew, struct steer *steer,
		    struct error *err)
{
	int code = 0;

	assert(!crew->started);
	crew_post(crew, p->lists);
	for (unsigned i = 0; i < p->n_workers; i++)
		p->lists[i] = NULL;
	for (size_t i = 0; code == 0 && i < p->n_items; i++)
		code = steer_switch_table(steer, p->items[i].workload, p->items[i].table,
					  policy_l4_table(p->items[i].policy), err);
	rollout_plan_done(p);
	return code;
}

void rollout_init(struct rollout *r, struct crew *crew, struct steer *steer, uv_loop_t *loop,
		  const struct rollout_host *host, void *ctx)
{
	*r = (struct rollout){ .crew = crew, .steer = steer, .host = host, .ctx = ctx };
	uv_timer_init(loop, &r->again);
	r->again.data = r;
	r->watch = (struct crew_watch){ .on_progress = on_progress, .ctx = r };
	crew_watch(crew, &r->watch);
}

void rollout_begin(struct rollout *r, struct rollout_plan *plan)
{
	assert(r->crew->started);
	move(r, ROLLOUT_TAKING);
	r->plan = *plan;
	*plan = (struct rollout_plan){ 0 };
	r->switched = 0;
	r->ended = 0;
	r->said_behind = false;
	r->serial = crew_post(r->crew, r->plan.lists);
	for (unsigned i = 0; i < r->plan.n_workers; i++)
		r->plan.lists[i] = NULL;
}

void rollout_end(struct rollout *r)
{
	if (!r->crew || r->ending)
		return;
	r->ending = true;
	uv_close((uv_handle_t *)&r->again, NULL);
}

void rollout_done(struct rollout *r)
{
	rollout_plan_done(&r->plan);
}
