/* SPDX-License-Identifier: Apache-2.0 */
/* How a new policy reaches a worker, and how the worker holds its connections to it.
 *
 * From the moment in which the policy is taken no event of a connection is handled before the
 * connection is held to it. The sweep is for those that have no events, in slices, so that the
 * others do not wait. */
#include <assert.h>
#include <stdlib.h>
#include "conn.h"
#include "worker.h"

#define SWEEP_SLICE_NS 2000000 /* how long the loop may be kept from everything else */
#define SWEEP_BATCH    16      /* connections between two looks at the clock */

struct worker_policy *worker_policy_new(struct policy *policy, uint32_t serial)
{
	struct worker_policy *p = malloc(sizeof(*p));

	if (!p)
		return NULL;
	p->judge = judge_scratch_new(policy);
	if (!p->judge) {
		free(p);
		return NULL;
	}
	p->policy = policy_ref(policy);
	p->serial = serial;
	return p;
}

void worker_policy_free(struct worker_policy *p)
{
	if (!p)
		return;
	judge_scratch_free(p->judge);
	policy_unref(p->policy);
	free(p);
}

void worker_set_policy(struct worker *w, struct worker_policy *p)
{
	worker_policy_free(atomic_exchange(&w->mailbox, p));
	uv_async_send(&w->wake);
}

static void tell(struct worker *w)
{
	if (w->progress)
		uv_async_send(w->progress);
}

static void on_sweep(uv_idle_t *idle)
{
	struct worker *w = idle->data;
	uint64_t until = uv_hrtime() + SWEEP_SLICE_NS;

	do {
		for (int i = 0; i < SWEEP_BATCH && w->sweep_next; i++) {
			struct conn *c = w->sweep_next;

			w->sweep_next = c->next;
			conn_hold(c);
		}
	} while (w->sweep_next && uv_hrtime() < until);
	if (w->sweep_next)
		return;
	uv_idle_stop(idle);
	atomic_store(&w->swept, w->policy_serial);
	tell(w);
}

void worker_take_policy(struct worker *w)
{
	struct worker_policy *p = atomic_exchange(&w->mailbox, NULL), before;

	if (!p)
		return;
	before = (struct worker_policy){ .policy = w->policy, .judge = w->judge };
	w->judge = p->judge;
	w->policy = p->policy;
	w->policy_serial = p->serial;
	w->policy_generation++;
	*p = before;
	worker_policy_free(p);
	w->sweep_next = w->conns;
	uv_idle_start(&w->sweep, on_sweep);
	atomic_store(&w->taken, w->policy_serial);
	tell(w);
}
