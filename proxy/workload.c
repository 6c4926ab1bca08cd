/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "conn.h"
#include "policy.h"

struct workload *workload_new(uint64_t id, struct policy *policy, struct workload_info *info)
{
	struct workload *wl = calloc(1, sizeof(*wl));

	if (!wl)
		return NULL;
	wl->id = id;
	wl->policy = policy_ref(policy);
	wl->info = workload_info_ref(info);
	wl->reporter.who = info;
	wl->policy_generation = 1;
	return wl;
}

void workload_free(struct workload *wl)
{
	if (!wl)
		return;
	assert(!wl->conns);
	policy_unref(wl->policy);
	rule_counts_done(&wl->denied_by);
	workload_info_unref(wl->info);
	denials_done(&wl->reporter.denials);
	free(wl);
}

void workload_replace(struct workload *wl, struct workload *from)
{
	struct policy *policy = wl->policy;
	struct workload_info *info = wl->info;

	wl->policy = from->policy;
	wl->judge_round = 0;
	wl->policy_generation++;
	from->policy = policy;
	wl->info = from->info;
	wl->reporter.who = wl->info;
	from->info = info;
}

void workload_merge_denials(const struct workload *wl, struct denials *into)
{
	denials_merge(into, &wl->reporter.denials, wl->info ? wl->info->line : "");
}

void workload_add_conn(struct workload *wl, struct conn **all, struct conn *c)
{
	struct conn *behind = wl->conns ? wl->conns : *all;

	c->next = behind;
	c->prev = behind ? behind->prev : NULL;
	if (behind)
		behind->prev = c;
	if (c->prev)
		c->prev->next = c;
	else
		*all = c;
	wl->conns = c;
}

struct conn *workload_next_conn(const struct conn *c)
{
	return c->next && c->next->workload == c->workload ? c->next : NULL;
}

void workload_remove_conn(struct conn **all, struct conn *c)
{
	struct workload *wl = c->workload;

	if (wl->conns == c)
		wl->conns = workload_next_conn(c);
	if (wl->sweep_next == c)
		wl->sweep_next = workload_next_conn(c);
	if (c->prev)
		c->prev->next = c->next;
	else
		*all = c->next;
	if (c->next)
		c->next->prev = c->prev;
}

int workload_table_init(struct workload_table *t, uint32_t n)
{
	t->slots = calloc(n, sizeof(struct workload *));
	t->n = t->slots ? n : 0;
	return t->slots ? 0 : -ENOMEM;
}

void workload_table_done(struct workload_table *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		workload_free(t->slots[i]);
	free(t->slots);
	*t = (struct workload_table){ 0 };
}

struct workload **workload_place(const struct workload_table *t, uint64_t id)
{
	return &t->slots[(uint32_t)id % t->n];
}

struct workload *workload_find(const struct workload_table *t, uint64_t id)
{
	struct workload *wl = *workload_place(t, id);

	return wl && wl->id == id ? wl : NULL;
}
