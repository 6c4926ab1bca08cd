/* SPDX-License-Identifier: Apache-2.0 */
/* conn_relay.c - which relay reads a connection, and what the relay of HTTP/2 calls. */
#include <stdlib.h>
#include <string.h>
#include "conn.h"
#include "worker.h"

void conn_h2_hold(struct conn *c)
{
	struct conn_h2 *h2 = c->h2;

	if (!h2 || h2->policy_generation == c->workload->policy_generation)
		return;
	h2->policy_generation = c->workload->policy_generation;
	h2_relay_rejudge(&h2->relay);
}

/* The relay of HTTP/2 takes over. In audit the client may have an answer to the greeting that waits
 * to be read. */
static void take_over(struct conn *c)
{
	struct side *up = &c->up;
	size_t used;

	memcpy(c->h2->relay.ahead, c->relay.ahead, sizeof(c->relay.ahead));
	if (!c->worker->h2_env.audit || !up->in)
		return;
	used = h2_relay_feed(&c->h2->relay, RELAY_UP, up->in->data + up->in->start,
			     buffer_len(up->in));
	side_used(up, &c->worker->buffers, used);
}

size_t conn_feed(struct conn *c, enum relay_side from, const char *buf, size_t len)
{
	if (!c->h2) {
		size_t used = h1_relay_feed(&c->relay, from, buf, len);

		if (!c->h2 || c->state == CONN_CLOSING)
			return used;
		take_over(c);
	}
	conn_h2_hold(c); /* before any frame is read */
	return c->state == CONN_CLOSING ? len : h2_relay_feed(&c->h2->relay, from, buf, len);
}

void conn_rest(struct conn *c, enum relay_side from, const char *buf, size_t len)
{
	/* A part of a frame says nothing to anybody. */
	if (!c->h2)
		h1_relay_rest(&c->relay, from, buf, len);
}

void conn_eof(struct conn *c, enum relay_side from)
{
	if (c->h2)
		h2_relay_eof(&c->h2->relay, from);
	else
		h1_relay_eof(&c->relay, from);
}

bool conn_wants(const struct conn *c, enum relay_side from, size_t unused)
{
	return c->h2 ? h2_relay_wants(&c->h2->relay, from, unused)
		     : h1_relay_wants(&c->relay, from, unused);
}

bool conn_waits_for_rest(const struct conn *c, uint32_t *round)
{
	*round = c->h2 ? c->h2->relay.events : c->relay.heads;
	return c->h2 ? c->h2->relay.head_incomplete : c->relay.head_incomplete;
}

void conn_rest_timeout(struct conn *c)
{
	if (c->h2)
		h2_relay_head_timeout(&c->h2->relay);
	else
		h1_relay_head_timeout(&c->relay);
}

bool conn_h2_begin(void *ctx)
{
	struct conn *c = ctx;
	struct worker *w = c->worker;
	struct conn_h2 *h2 = malloc(sizeof(*h2));

	if (!h2 || h2_relay_init(&h2->relay, &w->h2_env, c) < 0) {
		free(h2);
		return false;
	}
	h2->policy_generation = c->workload->policy_generation;
	c->h2 = h2;
	return true;
}

void conn_h2_step(struct conn *c)
{
	if (!c->h2 || c->state == CONN_CLOSING || c->state == CONN_DRAIN)
		return;
	conn_h2_hold(c);
	if (c->state == CONN_CLOSING)
		return;
	h2_relay_step(&c->h2->relay);
	if (c->h2->relay.paused)
		turns_wait(&c->worker->turns, c);
}

void conn_h2_turn(struct conn *c)
{
	h2_relay_resume(&c->h2->relay);
	conn_step(c);
}

void conn_h2_tick(struct conn *c)
{
	if (c->h2 && c->state != CONN_CLOSING && c->state != CONN_DRAIN)
		h2_relay_tick(&c->h2->relay);
}

void conn_relays_done(struct conn *c)
{
	turns_forget(&c->worker->turns, c);
	h1_relay_done(&c->relay);
	if (c->h2)
		h2_relay_done(&c->h2->relay);
	free(c->h2);
}

/* --- what the relay calls --- */

static void host_answered(void *ctx, const struct h2_stream *s)
{
	struct conn *c = ctx;

	report_response(&c->workload->reporter, &c->flow, &s->x, s->status);
}

/* Of ordinary requests the answer has said it all. */
static void host_over(void *ctx, const struct h2_stream *s, uint32_t reset)
{
	struct conn *c = ctx;

	if (s->grpc == GRPC_CALL || s->tunnel || reset)
		report_stream_end(&c->workload->reporter, &c->flow, &s->x, s->grpc_status, reset);
}

static void host_refused(void *ctx, unsigned status, const char *why)
{
	conn_relay_host.refused(ctx, status, why);
}

static void host_broken(void *ctx, enum close_reason close, const char *why)
{
	struct conn *c = ctx;

	report_broken(&c->workload->reporter, &c->flow, close, why);
}

static void host_passed_again(void *ctx, uint32_t stream)
{
	struct conn *c = ctx;

	CONN_COUNT(c, requests_allowed);
}

const struct h2_relay_host conn_h2_host = {
	.judge = conn_h2_judge,
	.passed_again = host_passed_again,
	.still_allowed = conn_h2_still_allowed,
	.answered = host_answered,
	.over = host_over,
	.refused = host_refused,
	.broken = host_broken,
};
