/* SPDX-License-Identifier: Apache-2.0 */
#include "turns.h"
#include "conn.h"

static void on_idle(uv_idle_t *idle)
{
	struct turns *t = idle->data;
	struct conn *c = t->first;

	turns_forget(t, c);
	conn_h2_turn(c);
}

void turns_init(struct turns *t, uv_loop_t *loop)
{
	uv_idle_init(loop, &t->idle);
	t->idle.data = t;
}

void turns_close(struct turns *t)
{
	uv_close((uv_handle_t *)&t->idle, NULL);
}

void turns_wait(struct turns *t, struct conn *c)
{
	if (c->waits_for_turn)
		return;
	c->waits_for_turn = true;
	c->turn_next = NULL;
	if (t->last)
		t->last->turn_next = c;
	else
		t->first = c;
	t->last = c;
	uv_idle_start(&t->idle, on_idle);
}

void turns_forget(struct turns *t, struct conn *c)
{
	struct conn *before = NULL;

	if (!c->waits_for_turn)
		return;
	c->waits_for_turn = false;
	if (t->first != c)
		for (before = t->first; before->turn_next != c;)
			before = before->turn_next;
	if (before)
		before->turn_next = c->turn_next;
	else
		t->first = c->turn_next;
	if (t->last == c)
		t->last = before;
	if (!t->first)
		uv_idle_stop(&t->idle);
}
