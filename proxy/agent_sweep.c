/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets and connections that are older than what they are held to: made known, and ended where
 * the policy does not leave them alone. */
#include <stdio.h>
#include <string.h>
#include "agent_parts.h"
#include "agent_say.h"

static int adopt_each(struct agent *a, struct error *err)
{
	struct steer_adopted *found = &a->older.found;
	int r = a->adopted ? 0 : steer_adopt(a->steer, 0, found, err);

	a->adopted |= r == 0;
	for (struct agent_netns *n = a->netns; r == 0 && n; n = n->next) {
		if (n->leaving || n->adopted)
			continue;
		r = steer_adopt(a->steer, n->netns->number, found, err);
		n->adopted = r == 0;
	}
	return r;
}

static void adopt(struct agent *a)
{
	struct steer_adopted before = a->older.found, *found = &a->older.found;
	struct error err = { "" };
	int r = adopt_each(a, &err);

	a->unadopted = r < 0;
	if (found->listeners != before.listeners || found->connections != before.connections)
		a->older.said = false;
	if (r == 0)
		return;
	if (!a->said_unadopted)
		fprintf(stderr,
			"sluice: sockets that are older than sluice cannot all be found: %s; "
			"nothing passes on those that the policy does not leave alone\n",
			err.text[0] ? err.text : strerror(-r));
	a->said_unadopted = true;
}

void agent_adopt(struct agent *a)
{
	a->adopted = false;
	for (struct agent_netns *n = a->netns; n; n = n->next)
		n->adopted = false;
	adopt(a);
}

static void on_swept(void *ctx, const struct swept *e)
{
	struct agent *a = ctx;

	a->older.ended += e->result == 0;
	agent_on_swept(a, e);
}

static bool sweep(struct agent *a)
{
	int r;

	if (a->unadopted)
		adopt(a);
	r = a->plan->config->audit ? 0 : steer_sweep(a->steer, on_swept, a);
	if (r < 0)
		agent_on_unlisted(a, r);
	/* That goes through all descriptors of the host; the last sweep is late enough. */
	if (uv_now(&a->loop) - a->looked_ms >= AGENT_RETRY_MS)
		agent_foreign_look(a);
	return r == 0 && !a->unadopted;
}

static void on_sweep(uv_timer_t *timer)
{
	struct agent *a = timer->data;

	a->swept_ms = uv_now(&a->loop);
	a->sweeps--;
	if (!sweep(a))
		a->sweeps = 1;
	/* Once more, for a connect() that was between its hook and its SYN. */
	if (a->sweeps > 0)
		uv_timer_start(timer, on_sweep, AGENT_RETRY_MS, 0);
	else
		agent_say_older(a);
}

/* Workloads that come together share a sweep, which looks at all connections of the host. */
void agent_sweep_soon(struct agent *a)
{
	uint64_t now = uv_now(&a->loop), at = a->swept_ms + AGENT_SWEEP_MS;

	if (a->ending)
		return;
	a->sweeps = 2;
	uv_timer_start(&a->sweep, on_sweep, at > now ? at - now : 0, 0);
}
