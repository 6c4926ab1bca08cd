/* SPDX-License-Identifier: Apache-2.0 */
/* How changes reach a worker, and how the worker holds its connections to them.
 *
 * From the moment in which a policy is taken no event of a connection is handled before the
 * connection is held to it. The sweep is for those that have no events, in slices, so that the
 * others do not wait. */
#include "worker_changes.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "conn.h"
#include "worker.h"

#define SWEEP_SLICE_NS 2000000 /* how long the loop may be kept from everything else */
#define SWEEP_BATCH    16      /* connections between two looks at the clock */

enum change_kind {
	CHANGE_SET_POLICY,
	CHANGE_REMOVE_WORKLOAD,
	CHANGE_ADD_NETNS,
	CHANGE_REMOVE_NETNS,
	CHANGE_SET_NAMES,
	CHANGE_ASK,
};

struct change {
	struct change *next;
	enum change_kind kind;
	uint64_t id;		    /* of the workload, or number of the namespace */
	struct workload *workload;  /* as it is to be; NULL: it has been taken out */
	struct worker_netns *netns; /* the same */
	struct endpoint_names *names;
	struct worker_question *question;
};

struct worker_changes {
	struct change *first, **end;
	uint32_t serial;
	struct worker_changes *next; /* in the mailbox: the one before */
};

/* --- making them --- */

struct worker_changes *worker_changes_new(void)
{
	struct worker_changes *changes = calloc(1, sizeof(*changes));

	if (changes)
		changes->end = &changes->first;
	return changes;
}

static void free_change(struct change *change)
{
	workload_free(change->workload);
	worker_netns_free(change->netns);
	endpoint_names_unref(change->names);
	free(change);
}

void worker_changes_free(struct worker_changes *changes)
{
	struct change *next;

	if (!changes)
		return;
	for (struct change *change = changes->first; change; change = next) {
		next = change->next;
		free_change(change);
	}
	free(changes);
}

static struct change *append(struct worker_changes *changes, enum change_kind kind, uint64_t id)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change)
		return NULL;
	change->kind = kind;
	change->id = id;
	*changes->end = change;
	changes->end = &change->next;
	return change;
}

int worker_changes_set_policy(struct worker_changes *changes, uint64_t workload,
			      struct policy *policy, struct workload_info *info)
{
	struct workload *wl = workload_new(workload, policy, info);
	struct change *change = wl ? append(changes, CHANGE_SET_POLICY, workload) : NULL;

	if (!change) {
		workload_free(wl);
		return -ENOMEM;
	}
	change->workload = wl;
	return 0;
}

int worker_changes_remove_workload(struct worker_changes *changes, uint64_t workload)
{
	return append(changes, CHANGE_REMOVE_WORKLOAD, workload) ? 0 : -ENOMEM;
}

int worker_changes_add_netns(struct worker_changes *changes, struct worker_netns **wn)
{
	struct change *change = append(changes, CHANGE_ADD_NETNS, (*wn)->number);

	if (!change)
		return -ENOMEM;
	change->netns = *wn;
	*wn = NULL;
	return 0;
}

int worker_changes_remove_netns(struct worker_changes *changes, uint32_t number)
{
	return append(changes, CHANGE_REMOVE_NETNS, number) ? 0 : -ENOMEM;
}

int worker_changes_set_names(struct worker_changes *changes, struct endpoint_names *names)
{
	struct change *change = append(changes, CHANGE_SET_NAMES, 0);

	if (!change)
		return -ENOMEM;
	change->names = endpoint_names_ref(names);
	return 0;
}

int worker_changes_ask(struct worker_changes *changes, struct worker_question *q)
{
	struct change *change = append(changes, CHANGE_ASK, 0);

	if (!change)
		return -ENOMEM;
	change->question = q;
	return 0;
}

/* --- holding connections to them --- */

static void tell(struct worker *w)
{
	if (w->progress)
		uv_async_send(w->progress);
}

/* Connections that are being closed are gone at the end of the turn. */
static bool is_ending(const struct workload *wl)
{
	for (struct conn *c = wl->conns; c; c = workload_next_conn(c))
		if (!c->left_behind)
			return true;
	return false;
}

bool worker_reap_workloads(struct worker *w)
{
	struct workload **at = &w->gone, *wl;
	bool ending = false;

	while ((wl = *at)) {
		if (wl->conns) {
			ending = ending || is_ending(wl);
			at = &wl->next;
			continue;
		}
		*at = wl->next;
		workload_merge_denials(wl, &w->reporter.denials);
		workload_free(wl);
	}
	return ending;
}

/* A workload that is gone has been swept when its connections are. */
static void swept_one(struct worker *w)
{
	struct workload *wl = w->sweeping;

	w->sweeping = wl->next;
	wl->sweeping = false;
	if (!wl->gone)
		return;
	wl->next = w->gone;
	w->gone = wl;
}

static void sweep_some(struct worker *w)
{
	for (int i = 0; i < SWEEP_BATCH && w->sweeping; i++) {
		struct workload *wl = w->sweeping;
		struct conn *c = wl->sweep_next;

		if (!c) {
			swept_one(w);
			continue;
		}
		wl->sweep_next = workload_next_conn(c);
		if (wl->gone)
			conn_leave_behind(c);
		else
			conn_hold(c);
	}
}

static bool netns_gone(const struct worker *w, const struct conn *c)
{
	return w->netns[c->flow.netns]->gone;
}

static void sweep_netns(struct worker *w)
{
	for (int i = 0; i < SWEEP_BATCH && w->netns_next; i++) {
		struct conn *c = w->netns_next;

		w->netns_next = c->next;
		if (netns_gone(w, c))
			conn_cast_off(c);
	}
	w->netns_sweeping = w->netns_next != NULL;
}

/* Returns whether there are others that are gone. */
static bool reap_netns(struct worker *w)
{
	bool others = false;

	for (uint32_t i = 0; i < worker_max_netns(w); i++) {
		struct worker_netns *wn = w->netns[i];

		if (!wn || !wn->gone)
			continue;
		if (!worker_netns_over(wn)) {
			others = true;
			continue;
		}
		worker_netns_free(wn);
		w->netns[i] = NULL;
	}
	return others;
}

static void on_sweep(uv_idle_t *idle)
{
	struct worker *w = idle->data;
	uint64_t until = uv_hrtime() + SWEEP_SLICE_NS;

	do {
		sweep_some(w);
		sweep_netns(w);
	} while ((w->sweeping || w->netns_sweeping) && uv_hrtime() < until);
	if (w->sweeping || w->netns_sweeping)
		return;
	/* Sockets are closed at the end of the turn. */
	if (reap_netns(w) || (worker_reap_workloads(w) && !w->relay_env.audit))
		return;
	uv_idle_stop(idle);
	atomic_store(&w->swept, w->serial);
	tell(w);
}

/* --- carrying them out --- */

static void sweep(struct worker *w, struct workload *wl)
{
	wl->sweep_next = wl->conns;
	if (wl->sweeping)
		return;
	wl->sweeping = true;
	wl->next = w->sweeping;
	w->sweeping = wl;
}

/* In audit nothing is ended: the connections go on under the policy that they have. */
static void remove_workload(struct worker *w, struct workload **place)
{
	struct workload *wl = *place;

	*place = NULL;
	wl->gone = true;
	wl->gone_until_ms = uv_now(&w->loop) + w->shared->limits.wind_up;
	if (!w->relay_env.audit)
		wl->policy_generation++;
	sweep(w, wl);
	if (w->relay_env.audit)
		wl->sweep_next = NULL;
}

static void set_policy(struct worker *w, struct change *change)
{
	struct workload **place = workload_place(&w->workloads, change->id), *wl = *place;

	if (wl && wl->id == change->id) {
		workload_replace(wl, change->workload);
		sweep(w, wl);
		return;
	}
	if (wl) /* whoever had the slot before */
		remove_workload(w, place);
	wl = *place = change->workload;
	change->workload = NULL;
	wl->reporter.log = w->reporter.log;
	wl->reporter.kept = w->reporter.kept;
	wl->reporter.names = w->reporter.names;
	wl->reporter.audit = w->reporter.audit;
}

/* If that number is not free, nobody accepts there: what has to be read is refused. */
static void add_netns(struct worker *w, struct change *change)
{
	if (change->id >= worker_max_netns(w) || w->netns[change->id])
		return;
	w->netns[change->id] = change->netns;
	worker_netns_start(change->netns, w);
	change->netns = NULL;
}

static void remove_netns(struct worker *w, uint64_t number)
{
	if (number == 0 || number >= worker_max_netns(w) || !w->netns[number])
		return;
	worker_netns_close(w->netns[number]); /* who was accepted at last is swept as well */
	w->netns[number]->gone = true;
	w->netns_next = w->conns;
	w->netns_sweeping = true;
}

static void carry_out(struct worker *w, struct change *change)
{
	struct workload **place;

	switch (change->kind) {
	case CHANGE_SET_POLICY:
		set_policy(w, change);
		break;
	case CHANGE_REMOVE_WORKLOAD:
		place = workload_place(&w->workloads, change->id);
		if (*place && (*place)->id == change->id)
			remove_workload(w, place);
		break;
	case CHANGE_ADD_NETNS:
		add_netns(w, change);
		break;
	case CHANGE_REMOVE_NETNS:
		remove_netns(w, change->id);
		break;
	case CHANGE_SET_NAMES:
		endpoint_names_unref(w->names);
		w->names = change->names;
		change->names = NULL;
		break;
	case CHANGE_ASK:
		worker_answer(w, change->question);
		break;
	}
}

void worker_apply(struct worker *w, struct worker_changes *changes)
{
	for (struct change *change = changes->first; change; change = change->next)
		carry_out(w, change);
	worker_changes_free(changes);
}

void worker_post(struct worker *w, struct worker_changes *changes, uint32_t serial)
{
	changes->serial = serial;
	changes->next = atomic_load(&w->mailbox);
	while (!atomic_compare_exchange_weak(&w->mailbox, &changes->next, changes))
		;
	uv_async_send(&w->wake);
}

/* The last one first: turn them round. */
static struct worker_changes *take_mail(struct worker *w)
{
	struct worker_changes *mail = atomic_exchange(&w->mailbox, NULL), *ret = NULL, *next;

	for (; mail; mail = next) {
		next = mail->next;
		mail->next = ret;
		ret = mail;
	}
	return ret;
}

void worker_take_changes(struct worker *w)
{
	struct worker_changes *mail = take_mail(w), *next;

	if (!mail)
		return;
	for (; mail; mail = next) {
		next = mail->next;
		if (mail->serial)
			w->serial = mail->serial;
		worker_apply(w, mail);
	}
	uv_idle_start(&w->sweep, on_sweep);
	atomic_store(&w->taken, w->serial);
	tell(w);
}

void worker_drop_changes(struct worker *w)
{
	struct worker_changes *mail = take_mail(w), *next;

	for (; mail; mail = next) {
		next = mail->next;
		worker_changes_free(mail);
	}
	while (w->sweeping)
		swept_one(w);
	worker_reap_workloads(w);
}
