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

enum pass { PASS_WAITING, PASS_STILL, PASS_TRICKLING, PASS_MAX };

static bool is_due(const struct conn *c, enum pass pass)
{
	const struct worker *w = c->worker;

	if (c->state == CONN_CLOSING || (!holds(&c->down) && !holds(&c->up)))
		return false;
	if (pass == PASS_TRICKLING)
		return c->short_ticks >= SHED_TRICKLE_TICKS;
	if (uv_now(&w->loop) - c->moved_ms < w->shared->limits.stall_time)
		return false;
	return pass == PASS_STILL || waits_for_peer(c);
}

/* Whoever had buffers all the time since the last tick. */
static void count_ticks(struct worker *w)
{
	for (struct conn *c = w->conns; c; c = c->next) {
		if (c->down.emptied || c->up.emptied || (!holds(&c->down) && !holds(&c->up)))
			c->short_ticks = 0;
		else if (c->short_ticks < SHED_TRICKLE_TICKS)
			c->short_ticks++;
		c->down.emptied = c->up.emptied = false;
	}
}

void shed_stalled(struct worker *w)
{
	struct buffer_pool *pool = &w->buffers;
	struct conn *next;

	if (!buffer_pool_low(pool))
		return;
	count_ticks(w);
	for (enum pass pass = 0; pass < PASS_MAX; pass++)
		for (struct conn *c = w->conns; c && !enough(pool); c = next) {
			next = c->next;
			if (!is_due(c, pass))
				continue;
			conn_close(c, CLOSE_STALLED);
			/* Nobody reads from them now, and others wait. */
			side_release(&c->down, pool);
			side_release(&c->up, pool);
		}
}
