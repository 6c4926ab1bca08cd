/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets that processes of workloads have from elsewhere: by socket activation, or since
 * they were moved into the workload with their sockets. A socket belongs to the cgroup in which it
 * was made, so what comes to these is not held to the policy, which has to be said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent_parts.h"
#include "text.h"

static struct agent_foreign *find(const struct agent_workload *w, const struct steer_foreign *f)
{
	for (size_t i = 0; i < w->n_foreign; i++) {
		struct agent_foreign *known = &w->foreign[i];

		if (known->found.netns_cookie == f->netns_cookie &&
		    address_same(&known->found.at, &f->at))
			return known;
	}
	return NULL;
}

static void say(struct agent *a, const struct agent_workload *w, const struct steer_foreign *f)
{
	char buf[512];
	struct text t = TEXT_INIT(buf);

	text_add_address(&t, &f->at);
	text_addf(&t, " of process %u (", f->pid);
	text_add_escaped(&t, (struct span){ f->command, strlen(f->command) });
	text_add(&t, ")");
	fprintf(stderr,
		"sluice: the workload %s in %s listens at %.*s by a socket that was made in "
		"another cgroup: what comes to it is not held to the policy\n",
		a->plan->config->entries[w->entry].name, w->path, (int)t.len, t.buf);
	a->reporter.who = w->rule.info;
	report_foreign(&a->reporter, f);
}

/* Many processes of a server hold the same socket: the first that is found stands for them. */
static void on_foreign(void *ctx, const struct steer_foreign *f)
{
	struct agent *a = ctx;
	struct agent_workload *w = agent_find(a, f->workload);
	struct agent_foreign *known = w ? find(w, f) : NULL, *more;

	if (!w || w->state >= AGENT_WORKLOAD_GONE)
		return;
	if (known && !known->seen)
		known->found = *f;
	if (!known) {
		more = realloc(w->foreign, (w->n_foreign + 1) * sizeof(*more));
		if (!more)
			return; /* it is looked for again */
		w->foreign = more;
		known = &more[w->n_foreign++];
		known->found = *f;
		say(a, w, f);
	}
	known->seen = true;
}

static void forget_others(struct agent_workload *w)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n_foreign; i++)
		if (w->foreign[i].seen)
			w->foreign[kept++] = w->foreign[i];
	w->n_foreign = kept;
}

void agent_foreign_look(struct agent *a)
{
	int r;

	a->looked_ms = uv_now(&a->loop);
	for (struct agent_workload *w = a->workloads; w; w = w->next)
		for (size_t i = 0; i < w->n_foreign; i++)
			w->foreign[i].seen = false;
	r = steer_each_foreign(a->steer, on_foreign, a);
	if (r == 0) {
		for (struct agent_workload *w = a->workloads; w; w = w->next)
			forget_others(w);
	} else if (!a->said_unlooked) {
		fprintf(stderr,
			"sluice: the kernel does not list who holds which sockets: %s; those that "
			"a "
			"workload got from elsewhere are not reported\n",
			strerror(-r));
		a->said_unlooked = true;
	}
}
