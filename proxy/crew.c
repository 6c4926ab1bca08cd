/* SPDX-License-Identifier: Apache-2.0 */
#include "crew.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "worker_netns.h"

int crew_open(struct crew *c, const struct crew_options *o, struct error *err)
{
	int r = 0;

	*c = (struct crew){ .shared.limits = o->limits,
			    .shared.max_workloads = o->max_workloads,
			    .shared.max_netns = o->max_netns };
	c->workers = calloc(o->n_workers, sizeof(*c->workers));
	if (!c->workers) {
		error_set(err, "out of memory");
		return -ENOMEM;
	}
	for (unsigned i = 0; r == 0 && i < o->n_workers; i++) {
		struct worker *w = &c->workers[c->n++];

		r = worker_init(w, &c->shared, o->log ? access_log_writer(o->log, i) : NULL, err);
		if (o->fixed)
			w->exchanges.kept.max = 0; /* nobody will ask again */
		if (r == 0 && o->audit)
			worker_set_audit(w);
	}
	return r;
}

int crew_listen(struct crew *c, struct steer *steer, struct error *err)
{
	uint16_t ports[2] = { 0, 0 };
	int r = 0;

	for (unsigned i = 0; r == 0 && i < c->n; i++)
		r = worker_listen(&c->workers[i], steer, ports, err);
	return r;
}

/* On failure nothing is left. */
static int make_lists(const struct crew *c, struct worker_changes *lists[], crew_append append,
		      void *ctx)
{
	int r = 0;

	for (unsigned i = 0; i < c->n; i++)
		lists[i] = NULL;
	for (unsigned i = 0; r == 0 && i < c->n; i++) {
		lists[i] = worker_changes_new();
		r = lists[i] ? append(lists[i], i, ctx) : -ENOMEM;
	}
	for (unsigned i = 0; r < 0 && i < c->n; i++)
		worker_changes_free(lists[i]);
	return r;
}

int crew_tell(struct crew *c, crew_append append, void *ctx, uint32_t *serial)
{
	struct worker_changes *lists[WORKER_MAX];
	int r = make_lists(c, lists, append, ctx);

	if (r == 0)
		*serial = crew_post(c, lists);
	return r;
}

struct netns_to_add {
	struct netns *netns;
	struct steer *steer;
	struct error *err;
	uint16_t ports[2];
};

static int make_add_netns(struct worker_changes *list, unsigned i, void *ctx)
{
	struct netns_to_add *add = ctx;
	struct worker_netns *wn = NULL;
	int r = worker_netns_new(add->netns, add->steer, add->ports, &wn, add->err);

	(void)i;
	if (r == 0)
		r = worker_changes_add_netns(list, &wn);
	worker_netns_free(wn);
	return r;
}

int crew_add_netns(struct crew *c, struct steer *steer, struct netns *netns, struct error *err)
{
	struct netns_to_add add = { .netns = netns, .steer = steer, .err = err };
	uint32_t serial;
	int r = crew_tell(c, make_add_netns, &add, &serial);

	if (r < 0 && !err->text[0])
		error_set(err, "out of memory");
	return r;
}

static int make_remove_netns(struct worker_changes *list, unsigned i, void *ctx)
{
	(void)i;
	return worker_changes_remove_netns(list, *(uint32_t *)ctx);
}

int crew_remove_netns(struct crew *c, uint32_t number, uint32_t *serial)
{
	return crew_tell(c, make_remove_netns, &number, serial);
}

int crew_start(struct crew *c, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < c->n; i++) {
		struct worker *w = &c->workers[i];

		/* What was posted before is in force. */
		atomic_store(&w->taken, c->serial);
		atomic_store(&w->swept, c->serial);
		r = worker_start(w, err);
	}
	c->started = r == 0;
	return r;
}

uint32_t crew_post(struct crew *c, struct worker_changes *const lists[])
{
	if (++c->serial == 0) /* which says that nobody waits */
		c->serial++;
	for (unsigned i = 0; i < c->n; i++) {
		if (c->started)
			worker_post(&c->workers[i], lists[i], c->serial);
		else
			worker_apply(&c->workers[i], lists[i]);
	}
	return c->serial;
}

/* Serials go round. */
static bool has_come(uint32_t serial, uint32_t at)
{
	return at - serial < UINT32_MAX / 2;
}

bool crew_reached(const struct crew *c, uint32_t serial, bool swept)
{
	for (unsigned i = 0; c->started && i < c->n; i++) {
		const struct worker *w = &c->workers[i];

		if (!has_come(serial, atomic_load(swept ? &w->swept : &w->taken)))
			return false;
	}
	return true;
}

unsigned crew_take_ended(struct crew *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n; i++)
		n += atomic_exchange(&c->workers[i].ended, 0);
	return n;
}

/* --- questions --- */

struct crew_ask {
	struct crew_ask *next;
	void (*on_answer)(void *ctx, const struct tally *tally);
	void *ctx;
	unsigned n;
	struct worker_question questions[];
};

static int add_up(const struct crew_ask *a, struct tally *sum)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < a->n; i++) {
		r = a->questions[i].result;
		if (r == 0)
			r = tally_add(sum, &a->questions[i].tally);
	}
	return r;
}

static bool is_answered(const struct crew_ask *a)
{
	for (unsigned i = 0; i < a->n; i++)
		if (!atomic_load(&a->questions[i].answered))
			return false;
	return true;
}

static void answer(struct crew_ask *a)
{
	struct tally sum = { 0 };
	int r = is_answered(a) ? add_up(a, &sum) : -ECANCELED;

	a->on_answer(a->ctx, r == 0 ? &sum : NULL);
	tally_done(&sum);
	for (unsigned i = 0; i < a->n; i++)
		tally_done(&a->questions[i].tally);
	free(a);
}

/* Those that are answered; with ALL the others, too. Whoever is answered may ask again. */
static void answer_some(struct crew *c, bool all)
{
	struct crew_ask **at = &c->asks, *a;

	while ((a = *at)) {
		if (!all && !is_answered(a)) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		answer(a);
		at = &c->asks;
	}
}

static int make_ask(struct worker_changes *list, unsigned i, void *ctx)
{
	struct crew_ask *a = ctx;

	return worker_changes_ask(list, &a->questions[i]);
}

int crew_ask(struct crew *c, void (*on_answer)(void *ctx, const struct tally *tally), void *ctx)
{
	struct worker_changes *lists[WORKER_MAX];
	struct crew_ask *a;

	assert(c->begun);
	if (c->stopping)
		return -ECANCELED;
	a = calloc(1, sizeof(*a) + c->n * sizeof(a->questions[0]));
	if (!a || make_lists(c, lists, make_ask, a) < 0) {
		free(a);
		return -ENOMEM;
	}
	a->on_answer = on_answer;
	a->ctx = ctx;
	a->n = c->n;
	a->next = c->asks;
	c->asks = a;
	for (unsigned i = 0; i < c->n; i++)
		worker_post(&c->workers[i], lists[i], 0);
	return 0;
}

/* --- on the main thread's loop --- */

static void on_progress(uv_async_t *async)
{
	struct crew *c = async->data;

	answer_some(c, false);
	for (struct crew_watch *watch = c->watches; watch; watch = watch->next)
		watch->on_progress(watch->ctx);
}

void crew_begin(struct crew *c, uv_loop_t *loop)
{
	if (uv_async_init(loop, &c->progress, on_progress) < 0)
		abort(); /* a fresh handle */
	c->progress.data = c;
	uv_unref((uv_handle_t *)&c->progress); /* stays for the workers until they have ended */
	c->begun = true;
	/* They read it when they are given something, which happens afterwards. */
	for (unsigned i = 0; i < c->n; i++)
		c->workers[i].progress = &c->progress;
}

void crew_watch(struct crew *c, struct crew_watch *watch)
{
	watch->next = c->watches;
	c->watches = watch;
}

static void finish(struct worker *w, struct metrics *sum, struct denials *denials)
{
	if (!w->initialized)
		return;
	worker_sum_up(w, sum);
	worker_merge_denials(w, denials);
	worker_done(w);
}

void crew_wind_up(struct crew *c)
{
	c->stopping = true;
	for (unsigned i = 0; i < c->n; i++)
		if (c->workers[i].started)
			worker_stop(&c->workers[i]);
}

void crew_hurry(struct crew *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->workers[i].started)
			worker_hurry(&c->workers[i]);
}

bool crew_is_over(const struct crew *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->workers[i].started && !atomic_load(&c->workers[i].over))
			return false;
	return true;
}

void crew_stop(struct crew *c, struct metrics *sum, struct denials *denials)
{
	crew_wind_up(c);
	for (unsigned i = 0; i < c->n; i++)
		worker_join(&c->workers[i]);
	answer_some(c, true);
	for (unsigned i = 0; i < c->n; i++)
		finish(&c->workers[i], sum, denials);
	free(c->workers);
	c->workers = NULL;
	c->n = 0;
}

void crew_end(struct crew *c)
{
	if (c->begun)
		uv_close((uv_handle_t *)&c->progress, NULL);
	c->begun = false;
}
