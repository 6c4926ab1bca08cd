/* SPDX-License-Identifier: Apache-2.0 */
#include "shed.h"
#include "conn.h"
#include "worker.h"

static bool holds(const struct side *s)
{
	return s->in || s->out;
}

/* It is not for want of buffers that its bytes do not move. */
static bool waits_for_peer(const struct conn *c)
{
	return c->down.out || c->up.out || (c->down.in && c->relay.blocked);
}

/* A quarter of all is free: others can go on until the next tick. */
static bool enough(const struct buffer_pool *p)
{
	return p->lent <= p->limit - p->limit / 4 && !buffer_pool_low(p);
}

void shed_stalled(struct worker *w)
{
	struct buffer_pool *pool = &w->buffers;
	uint64_t now = uv_now(&w->loop);
	struct conn *next;

	if (!buffer_pool_low(pool))
		return;
	for (int pass = 0; pass < 2; pass++)
		for (struct conn *c = w->conns; c && !enough(pool); c = next) {
			next = c->next;
			if (c->state == CONN_CLOSING || (!holds(&c->down) && !holds(&c->up)) ||
			    (pass == 0 && !waits_for_peer(c)) ||
			    now - c->moved_ms < w->shared->limits.stall_time)
				continue;
			conn_close(c, CLOSE_STALLED);
			/* Nobody reads from them now, and others wait. */
			side_release(&c->down, pool);
			side_release(&c->up, pool);
		}
}
