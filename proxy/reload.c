/* SPDX-License-Identifier: Apache-2.0 */
#include "reload.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "reload_say.h"
#include "run.h"

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

static void load(void *ctx)
{
	struct run *r = ctx;
	struct reload *l = &r->reload;

	l->result = check_files(l);
	if (l->result == 0)
		l->result = policy_source_load(l->source, r->policy, &l->next, &l->diag);
	l->differs = l->result == 0 && !policy_same_text(l->next, r->policy);
	if (l->differs)
		l->result = prepare(r);
}

static void drop_load(struct run *r)
{
	struct reload *l = &r->reload;

	rollout_plan_done(&l->plan);
	l->next = policy_unref(l->next);
	diag_done(&l->diag);
	l->err.text[0] = '\0';
}

/* ---- putting it in force ---- */

static void finish(struct run *r)
{
	drop_load(r);
	r->reload.rolling = false;
	follow_idle(&r->reload.files);
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

static void loaded(void *ctx, int error)
{
	struct run *r = ctx;
	struct reload *l = &r->reload;

	if (error < 0) {
		error_set(&l->err, "cannot start a thread to load the policy: %s",
			  uv_strerror(error));
		l->result = error;
	}
	if (l->result == 0 && l->differs && policy_l4_table(l->next)->ingress_enforced)
		l->result = steer_prepare_ingress(r->steer, &l->err);
	/* What is lacking may come back without a change of any file. */
	l->files.short_of = l->result < 0 && l->result != -EINVAL;
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
	l->rolling = true;
	rollout_begin(&l->rollout, &l->plan);
}

/* ---- noticing ---- */

static int watch_files(void *ctx, struct watch *watch)
{
	struct run *r = ctx;
	struct reload *l = &r->reload;
	const struct run_options *o = l->source->options;
	int code = -EMFILE;

	if (watch)
		code = watch_set(watch, o->policies, o->n_policies, o->secrets);
	return l->guarded && (code == -EPERM || !watch) ? 1 : code;
}

static void unfollowed(void *ctx)
{
	reload_say_unfollowed(ctx);
}

static const struct follow_host follower = {
	.watch = watch_files,
	.refused = unfollowed,
	.load = load,
	.loaded = loaded,
};

int reload_init(struct run *r, const struct policy_source *source)
{
	const struct run_options *o = source->options;
	struct reload *l = &r->reload;
	size_t pipes = 0;
	int code;

	*l = (struct reload){ .source = source };
	for (size_t i = 0; i < o->n_policies; i++)
		pipes += !can_be_read_again(o->policies[i]);
	if (pipes > 0 && pipes < o->n_policies)
		fprintf(stderr, "sluice: changes of the policy will not be followed, since not all "
				"of it is in files\n");
	if (o->n_policies == 0 || pipes > 0)
		return 0;
	code = follow_init(&l->files, &follower, r);
	if (code < 0)
		return code;
	l->on = true;
	follow_watch(&l->files);
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
	if (l->files.watch)
		watch_guard(l->files.watch, &l->guard);
	/* So far it has not looked at anybody, and what has changed meanwhile is no news any more.
	 */
	if (follow_watch(&l->files) <= 0)
		follow_now(&l->files);
}

void reload_begin(struct run *r)
{
	struct reload *l = &r->reload;

	if (!reload_is_on(l))
		return;
	rollout_init(&l->rollout, &r->crew, r->steer, &r->loop, &host, r);
	l->rollout.audit = r->options->audit;
	follow_begin(&l->files, &r->loop);
	guard(r);
}

void reload_end(struct run *r)
{
	struct reload *l = &r->reload;

	if (!l->files.begun || l->files.closing)
		return;
	follow_end(&l->files);
	rollout_end(&l->rollout);
	if (!l->rolling)
		drop_load(r); /* as long as there are workers */
}

void reload_done(struct run *r)
{
	struct reload *l = &r->reload;

	rollout_done(&l->rollout);
	drop_load(r);
	free(l->last_errors);
	follow_done(&l->files);
}
