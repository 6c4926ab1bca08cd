/* SPDX-License-Identifier: Apache-2.0 */
#include "reload.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "reload_say.h"
#include "run.h"

#define TO(s) (1u << RELOAD_##s)
static const unsigned next_states[RELOAD_STATE_MAX] = {
	[RELOAD_IDLE] = TO(LOADING),
	[RELOAD_LOADING] = TO(IDLE) | TO(ROLLING),
	[RELOAD_ROLLING] = TO(IDLE),
};

static void move(struct reload *l, enum reload_state to)
{
	assert(next_states[l->state] & (1u << to));
	l->state = to;
}

/* ---- loading, on a thread of its own ---- */

/* A file that is something else by now might never end. */
static bool can_be_read_again(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

static int check_files(struct reload *l)
{
	const struct run_options *o = l->source->options;

	for (size_t i = 0; i < o->n_policies; i++)
		if (!can_be_read_again(o->policies[i])) {
			diag_add(&l->diag, o->policies[i], 0, 0,
				 "is neither a file nor a directory");
			return -EINVAL;
		}
	return 0;
}

/* What the workers need, and the kernel. */
static int prepare(struct run *r)
{
	struct reload *l = &r->reload;

	if (rollout_plan_init(&l->plan, r->crew.n) < 0) {
		error_set(&l->err, "out of memory for the policy");
		return -ENOMEM;
	}
	return rollout_plan_set(&l->plan, r->workload, l->next, r->info, &l->err);
}

static void load(struct run *r)
{
	struct reload *l = &r->reload;

	l->result = check_files(l);
	if (l->result == 0)
		l->result = policy_source_load(l->source, r->policy, &l->next, &l->diag);
	l->differs = l->result == 0 && !policy_same_text(l->next, r->policy);
	if (l->differs)
		l->result = prepare(r);
}

static void loader_main(void *arg)
{
	struct run *r = arg;

	load(r);
	uv_async_send(&r->reload.loaded);
}

static void drop_load(struct run *r)
{
	struct reload *l = &r->reload;

	rollout_plan_done(&l->plan);
	l->next = policy_unref(l->next);
	diag_done(&l->diag);
	l->diag = (struct diag){ 0 };
}

/* ---- putting it in force ---- */

static void start_load(struct run *r);
static void on_settled(uv_timer_t *timer);

static void finish(struct run *r)
{
	struct reload *l = &r->reload;

	drop_load(r);
	move(l, RELOAD_IDLE);
	if (l->closing)
		return;
	if (l->changed)
		start_load(r);
	else if ((l->blind || l->short_of) && !uv_is_active((uv_handle_t *)&l->settle))
		uv_timer_start(&l->settle, on_settled, RELOAD_BLIND_MS, 0);
}

static void on_swept(void *ctx, const struct swept *e)
{
	struct run *r = ctx;
	struct reload *l = &r->reload;

	report_swept(&r->reporter, e);
	if (e->result == -EOPNOTSUPP && !l->said_helpless) {
		l->said_helpless = true;
		reload_say_helpless();
	}
}

static void on_unlisted(void *ctx, int error)
{
	struct run *r = ctx;
	struct reload *l = &r->reload;

	if (!l->said_unlisted)
		reload_say_unlisted(error);
	l->said_unlisted = true;
}

static void on_behind(void *ctx, uint64_t workload, const char *why)
{
	(void)ctx;
	(void)workload;
	fprintf(stderr,
		"sluice: %s; requests are judged by the new policy, connections by the one "
		"before, until that succeeds\n",
		why);
}

static void on_in_force(void *ctx)
{
	struct run *r = ctx;

	policy_unref(r->policy);
	r->policy = policy_ref(r->reload.next);
}

static void on_done(void *ctx, unsigned ended)
{
	struct run *r = ctx;

	r->reload.ended = ended;
	reload_say_changed(r);
	finish(r);
}

static const struct rollout_host host = {
	.in_force = on_in_force,
	.behind = on_behind,
	.swept = on_swept,
	.unlisted = on_unlisted,
	.done = on_done,
};

static void join_loader(struct reload *l)
{
	if (l->has_loader)
		uv_thread_join(&l->loader);
	l->has_loader = false;
}

static void take_loaded(struct run *r)
{
	struct reload *l = &r->reload;

	/* What is lacking may come back without a change of any file. */
	l->short_of = l->result < 0 && l->result != -EINVAL;
	if (l->result < 0) {
		reload_say_failed(r);
		finish(r);
		return;
	}
	free(l->last_errors);
	l->last_errors = NULL;
	if (!l->differs) { /* it says what is in force */
		finish(r);
		return;
	}
	move(l, RELOAD_ROLLING);
	rollout_begin(&l->rollout, &l->plan);
}

static void on_loaded(uv_async_t *async)
{
	struct run *r = async->data;

	if (!r->reload.has_loader) /* it was waited for already */
		return;
	join_loader(&r->reload);
	take_loaded(r);
}

/* ---- noticing ---- */

/* Somebody who uses all of the user's watches must not keep a policy from being changed: then the
 * files are read from time to time. */
static void set_watch(struct reload *l)
{
	const struct run_options *o = l->source->options;
	int r = -EMFILE;

	if (l->watch)
		r = watch_set(l->watch, o->policies, o->n_policies, o->secrets);
	l->unguarded = l->guarded && (r == -EPERM || !l->watch);
	l->blind = r < 0 && !l->unguarded;
	if (!l->blind || l->said_blind)
		return;
	l->said_blind = true;
	reload_say_blind(r, RELOAD_BLIND_MS / 1000);
}

static void start_load(struct run *r)
{
	struct reload *l = &r->reload;
	int code;

	l->changed = false;
	l->latest_ms = 0;
	l->err.text[0] = '\0';
	set_watch(l);
	if (l->unguarded) {
		reload_say_unfollowed(r);
		return;
	}
	move(l, RELOAD_LOADING);
	code = uv_thread_create(&l->loader, loader_main, r);
	l->has_loader = code == 0;
	if (code == 0)
		return;
	error_set(&l->err, "cannot start a thread to load the policy: %s", uv_strerror(code));
	l->result = code;
	take_loaded(r);
}

static void on_settled(uv_timer_t *timer)
{
	struct run *r = timer->data;

	if (r->reload.state == RELOAD_IDLE)
		start_load(r);
	else
		r->reload.changed = true;
}

static void on_news(uv_poll_t *handle, int status, int events)
{
	struct run *r = handle->data;
	struct reload *l = &r->reload;
	enum watch_news news = watch_read(l->watch);
	uint64_t now = uv_now(&r->loop), at;

	(void)status;
	(void)events;
	if (news == WATCH_NOTHING)
		return;
	if (!l->latest_ms)
		l->latest_ms = now + RELOAD_LATEST_MS;
	at = now + (news == WATCH_SETTLED ? RELOAD_SETTLED_MS : RELOAD_UNSETTLED_MS);
	if (at > l->latest_ms)
		at = l->latest_ms;
	uv_timer_start(&l->settle, on_settled, at > now ? at - now : 0, 0);
}

int reload_init(struct reload *l, const struct policy_source *source)
{
	const struct run_options *o = source->options;
	size_t pipes = 0;

	*l = (struct reload){ .source = source };
	for (size_t i = 0; i < o->n_policies; i++)
		pipes += !can_be_read_again(o->policies[i]);
	if (pipes > 0 && pipes < o->n_policies)
		fprintf(stderr, "sluice: changes of the policy will not be followed, since not all "
				"of it is in files\n");
	if (o->n_policies == 0 || pipes > 0)
		return 0;
	l->watch = watch_new();
	if (!l->watch && errno == ENOMEM)
		return -ENOMEM;
	l->on = true;
	set_watch(l);
	return 0;
}

bool reload_is_on(const struct reload *l)
{
	return l->on;
}

/* Changes are taken whoever may have made them: on demand, or where nothing is refused. */
static bool is_unguarded_by_choice(const struct run *r)
{
	return r->options->follow || r->options->audit;
}

bool reload_may_follow(const struct run *r)
{
	bool as_root = !r->child.change_user || r->child.uid == 0; /* who could write every file */

	return reload_is_on(&r->reload) && (is_unguarded_by_choice(r) || !as_root);
}

static void guard(struct run *r)
{
	const struct child *c = &r->child;
	struct reload *l = &r->reload;

	if (is_unguarded_by_choice(r))
		return;
	if (c->change_user)
		l->guard = (struct watch_guard){ c->uid, c->groups, (size_t)c->n_groups };
	l->guarded = true;
	if (l->watch)
		watch_guard(l->watch, &l->guard);
	set_watch(l); /* so far it has not looked at anybody */
	if (!l->unguarded)
		start_load(r); /* what has changed meanwhile is no news any more */
}

void reload_begin(struct run *r)
{
	struct reload *l = &r->reload;

	if (!reload_is_on(l))
		return;
	if (uv_async_init(&r->loop, &l->loaded, on_loaded) < 0 ||
	    (l->watch && (uv_poll_init(&r->loop, &l->news, watch_fd(l->watch)) < 0 ||
			  uv_poll_start(&l->news, UV_READABLE, on_news) < 0)))
		abort(); /* a good descriptor and fresh handles */
	uv_timer_init(&r->loop, &l->settle);
	l->loaded.data = l->news.data = l->settle.data = r;
	rollout_init(&l->rollout, &r->crew, r->steer, &r->loop, &host, r);
	l->rollout.audit = r->options->audit;
	if (l->blind)
		uv_timer_start(&l->settle, on_settled, RELOAD_BLIND_MS, 0);
	l->begun = true;
	guard(r);
}

void reload_end(struct run *r)
{
	struct reload *l = &r->reload;

	if (!l->begun || l->closing)
		return;
	l->closing = true;
	if (l->watch)
		uv_close((uv_handle_t *)&l->news, NULL);
	uv_close((uv_handle_t *)&l->settle, NULL);
	rollout_end(&l->rollout);
	uv_close((uv_handle_t *)&l->loaded, NULL);
	join_loader(l);
	if (l->state == RELOAD_LOADING)
		drop_load(r); /* as long as there are workers */
}

void reload_done(struct run *r)
{
	struct reload *l = &r->reload;

	rollout_done(&l->rollout);
	drop_load(r);
	free(l->last_errors);
	watch_free(l->watch);
}
