/* SPDX-License-Identifier: Apache-2.0 */
#include "conn.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "leg.h"
#include "sluice/array.h"
#include "steer.h"
#include "upstream.h"
#include "worker.h"

#define TO(s) (1u << CONN_##s)
static const unsigned next_states[CONN_STATE_MAX] = {
	[CONN_CONNECT] = TO(RELAY) | TO(DRAIN) | TO(CLOSING),
	[CONN_RELAY] = TO(DRAIN) | TO(CLOSING),
	[CONN_DRAIN] = TO(CLOSING),
	[CONN_CLOSING] = 0,
};

void conn_move(struct conn *c, enum conn_state to)
{
	assert(next_states[c->state] & (1u << to));
	c->state = (uint8_t)to;
}

static struct side *side_of(struct conn *c, enum relay_side which)
{
	return which == RELAY_DOWN ? &c->down : &c->up;
}

static struct side *other_side(struct conn *c, enum relay_side which)
{
	return which == RELAY_DOWN ? &c->up : &c->down;
}

static void on_side_closed(struct polled *polled)
{
	struct conn *c = polled->owner;
	struct worker *w = c->worker;

	assert(c->open_sides > 0);
	side_release(polled == &c->down.polled ? &c->down : &c->up, &w->buffers);
	if (--c->open_sides > 0)
		return;
	conn_relays_done(c);
	leg_forget(w->steer, &c->flow);
	if (w->netns_next == c)
		w->netns_next = c->next;
	workload_remove_conn(&w->conns, c);
	worker_netns_leave(w->netns[c->flow.netns], w);
	w->metrics.open--;
	c->workload->metrics.open--;
	worker_release(w);
	free(c);
}

void conn_close(struct conn *c, enum close_reason why)
{
	struct worker *w = c->worker;
	bool reset = why != CLOSE_DONE;

	if (c->state == CONN_CLOSING)
		return;
	h1_relay_lost(&c->relay);
	if (c->state == CONN_DRAIN) {
		why = c->why; /* the first reason wins; the answer must not be lost by a reset */
		reset = false;
	}
	c->why = (uint8_t)why;
	conn_move(c, CONN_CLOSING);
	CONN_COUNT(c, closed[why]);
	report_close(&c->workload->reporter, &c->flow, why);
	side_close(&c->down, &w->poller, reset, on_side_closed);
	side_close(&c->up, &w->poller, reset, on_side_closed);
}

/* --- what the relay calls --- */

static void host_send(void *ctx, enum relay_side to, const char *buf, size_t len)
{
	struct conn *c = ctx;
	int r;

	if (c->state == CONN_CLOSING || len == 0)
		return;
	r = side_send(side_of(c, to), &c->worker->buffers, buf, len);
	if (r == -ENOBUFS)
		conn_close(c, CLOSE_OOM);
	else if (r < 0 && to == RELAY_DOWN)
		conn_close(c, CLOSE_CLIENT_RESET);
	/* A server may answer and reset while it is still written to: what it sent is read first,
	 * and the reset is found there (side.broken). */
}

static bool host_congested(void *ctx, enum relay_side to)
{
	return side_congested(side_of(ctx, to));
}

static void host_answered(void *ctx, const struct exchange *x, unsigned status)
{
	struct conn *c = ctx;

	report_response(&c->workload->reporter, &c->flow, x, status);
}

static void host_refused(void *ctx, unsigned status, const char *why)
{
	struct conn *c = ctx;

	CONN_COUNT(c, requests_refused);
	report_refused(&c->workload->reporter, &c->flow, status, why);
}

static void host_audited(void *ctx, enum close_reason why)
{
	struct conn *c = ctx;

	report_audited(&c->workload->reporter, &c->flow, why);
}

static void host_finish(void *ctx, enum relay_side to)
{
	side_of(ctx, to)->finish = true;
}

static void host_end(void *ctx, enum close_reason why, bool reset)
{
	struct conn *c = ctx;
	struct worker *w = c->worker;
	uint64_t now = uv_now(&w->loop);

	if (c->state == CONN_CLOSING)
		return;
	conn_move(c, CONN_DRAIN);
	c->why = (uint8_t)why;
	side_close(&c->up, &w->poller, reset, on_side_closed);
	c->down.finish = true;
	c->deadline_ms = now + w->shared->limits.drain_idle;
	c->drain_until_ms = now + w->shared->limits.drain_time;
}

static void host_close(void *ctx, enum close_reason why)
{
	conn_close(ctx, why);
}

const struct relay_host conn_relay_host = {
	.send = host_send,
	.congested = host_congested,
	.judge = conn_judge,
	.answered = host_answered,
	.refused = host_refused,
	.audited = host_audited,
	.finish = host_finish,
	.end = host_end,
	.close = host_close,
	.http2 = conn_h2_begin,
};

/* --- progress --- */

/* Offer the relay what waits in a side's buffer, and its end. Returns whether anything moved. */
static bool pump(struct conn *c, enum relay_side from)
{
	struct side *s = side_of(c, from);
	struct buffer_pool *pool = &c->worker->buffers;
	size_t used = 0;

	if (s->in && !side_congested(other_side(c, from))) {
		used = conn_feed(c, from, s->in->data + s->in->start, buffer_len(s->in));
		if (c->state == CONN_CLOSING)
			return false;
		if (used > 0)
			side_used(s, pool, used);
	}
	if (used > 0 || !s->eof || s->eof_passed)
		return used > 0;
	if (s->in &&
	    (side_congested(other_side(c, from)) || !conn_wants(c, from, buffer_len(s->in))))
		return false; /* it is not for want of bytes that these were not used */
	if (s->in) {
		conn_rest(c, from, s->in->data + s->in->start, buffer_len(s->in));
		side_used(s, pool, buffer_len(s->in));
		if (c->state == CONN_CLOSING)
			return false;
	}
	s->eof_passed = true;
	conn_eof(c, from);
	return true;
}

static void on_connected(struct conn *c)
{
	struct address local;

	conn_move(c, CONN_RELAY);
	/* What getsockname() answers to the application; on loopback it is true already. */
	if (!address_is_loopback(&c->flow.destination) && !c->flow.source.family &&
	    upstream_local(c->up.fd, &local) == 0)
		steer_set_local(c->worker->steer, &c->flow, &local);
}

/* Buffers are short. An answer that bytes of the client wait for gives some back; anything else has
 * to wait. */
static bool frees_buffers(const struct conn *c, enum relay_side from)
{
	return from == RELAY_UP && c->down.in;
}

static uint32_t events_for(struct conn *c, enum relay_side which)
{
	const struct side *s = side_of(c, which);
	uint32_t events = 0;

	if (!s->eof && !(c->starved && !frees_buffers(c, which)) &&
	    !side_congested(other_side(c, which)) &&
	    conn_wants(c, which, s->in ? buffer_len(s->in) : 0))
		events |= EPOLLIN;
	if (s->out || s->connecting)
		events |= EPOLLOUT;
	return events;
}

/* A client is slow only while we read what it sends. For want of buffers the time goes on: it is
 * heads that never become whole which may hold them. */
static void time_head(struct conn *c)
{
	uint32_t round;
	bool waits = conn_waits_for_rest(c, &round);

	if (c->state == CONN_DRAIN || (waits && c->starved && c->deadline_ms))
		return;
	if (!waits || !(events_for(c, RELAY_DOWN) & EPOLLIN)) {
		c->deadline_ms = 0;
	} else if (!c->deadline_ms || c->heads_timed != round) {
		c->heads_timed = round;
		c->deadline_ms = uv_now(&c->worker->loop) + c->worker->shared->limits.head_time;
	}
}

/* Nothing more comes or goes: what is not half-closed yet is by closing it. */
static bool ended(const struct side *s)
{
	return s->eof_passed && (s->finished || (s->finish && !s->out));
}

static bool both_ended(const struct conn *c)
{
	return c->state == CONN_RELAY && ended(&c->down) && ended(&c->up);
}

/* Half-close what has been sent completely. Returns false when the connection is closed. */
static bool pass_ends(struct conn *c)
{
	struct buffer_pool *pool = &c->worker->buffers;

	if (both_ended(c)) {
		conn_close(c, CLOSE_DONE);
		return false;
	}
	if (c->down.finish && !c->down.finished && side_flush(&c->down, pool) < 0)
		conn_close(c, CLOSE_CLIENT_RESET);
	if (c->up.fd >= 0 && c->up.finish && !c->up.finished)
		side_flush(&c->up, pool);
	if (c->state == CONN_DRAIN && c->down.eof && c->down.finished)
		conn_close(c, (enum close_reason)c->why);
	else if (both_ended(c))
		conn_close(c, CLOSE_DONE);
	return c->state != CONN_CLOSING;
}

void conn_step(struct conn *c)
{
	if (!conn_hold(c))
		return;
	if (c->state == CONN_CONNECT && !c->up.connecting)
		on_connected(c);
	while (c->state != CONN_CLOSING && (pump(c, RELAY_DOWN) || pump(c, RELAY_UP)))
		;
	conn_h2_step(c);
	if (c->state == CONN_CLOSING || !pass_ends(c))
		return;
	time_head(c);
	if (c->worker->stop_at_ms || c->left_behind)
		conn_wind_up(c);
	if (c->state == CONN_CLOSING)
		return;
	side_arm(&c->down, &c->worker->poller, events_for(c, RELAY_DOWN));
	side_arm(&c->up, &c->worker->poller, events_for(c, RELAY_UP));
}

/* --- events --- */

static void on_reset(struct conn *c, enum relay_side from)
{
	conn_close(c, from == RELAY_DOWN ? CLOSE_CLIENT_RESET : CLOSE_UPSTREAM_RESET);
}

/* In a body or a tunnel more is read at once: what may be left over stays as little as ever. */
static size_t read_size(struct conn *c, enum relay_side from)
{
	const size_t more = WORKER_BULK_SIZE - WORKER_READ_SIZE;
	uint64_t sure = h1_relay_sure(&c->relay, from);

	if (sure == 0 || !buffer_pool_ample(&c->worker->buffers, WORKER_BULK_SIZE))
		return WORKER_READ_SIZE;
	return WORKER_READ_SIZE + (sure < more ? (size_t)sure : more);
}

static void on_readable(struct conn *c, enum relay_side from)
{
	struct worker *w = c->worker;
	struct side *s = side_of(c, from);
	bool direct = !s->in;
	size_t used;
	ssize_t n;

	if (buffer_pool_low(&w->buffers) && !frees_buffers(c, from)) {
		c->starved = true;
		CONN_COUNT(c, buffers_short);
		return;
	}
	n = side_read(s, &w->buffers, w->scratch, read_size(c, from));
	if (n == -EAGAIN)
		return;
	if (n == -ENOBUFS || n == -ENOMEM) {
		conn_close(c, CLOSE_OOM);
		return;
	}
	if (n < 0 || (n == 0 && s->broken)) {
		on_reset(c, from);
		return;
	}
	if (c->state == CONN_DRAIN)
		c->deadline_ms = uv_now(&w->loop) + w->shared->limits.drain_idle;
	c->moved_ms = uv_now(&w->loop);
	if (n == 0 || !direct)
		return;
	used = conn_feed(c, from, w->scratch, (size_t)n);
	if (s->fd >= 0 && used < (size_t)n &&
	    side_keep(s, &w->buffers, w->scratch + used, (size_t)n - used) < 0)
		conn_close(c, CLOSE_OOM);
}

static void on_writable(struct conn *c, enum relay_side to)
{
	struct side *s = side_of(c, to);
	int r;

	if (s->connecting) {
		r = upstream_result(s->fd);
		if (r < 0 || s->broken) { /* a send() may have taken the error */
			conn_close(c, CLOSE_UPSTREAM_REFUSED);
			return;
		}
		s->connecting = false;
	}
	c->moved_ms = uv_now(&c->worker->loop);
	r = side_flush(s, &c->worker->buffers);
	if (r < 0 && to == RELAY_DOWN)
		conn_close(c, CLOSE_CLIENT_RESET);
}

/* The socket has an error. What can still be read comes first. */
static void on_error(struct conn *c, enum relay_side which)
{
	struct side *s = side_of(c, which);

	if (s->connecting)
		conn_close(c, CLOSE_UPSTREAM_REFUSED);
	else if (events_for(c, which) & EPOLLIN)
		on_readable(c, which);
	else
		on_reset(c, which);
}

static void on_event(struct polled *polled, uint32_t events)
{
	struct conn *c = polled->owner;
	enum relay_side which = polled == &c->down.polled ? RELAY_DOWN : RELAY_UP;

	if (!conn_hold(c))
		return;
	if (events & EPOLLERR) {
		on_error(c, which);
	} else {
		if (events & EPOLLOUT)
			on_writable(c, which);
		if ((events & EPOLLIN) && c->state != CONN_CLOSING)
			on_readable(c, which);
	}
	if (c->state != CONN_CLOSING)
		conn_step(c);
}

void conn_tick(struct conn *c, uint64_t now_ms)
{
	if (!conn_hold(c))
		return;
	if (c->state == CONN_DRAIN && (now_ms >= c->deadline_ms || now_ms >= c->drain_until_ms)) {
		conn_close(c, (enum close_reason)c->why);
		return;
	}
	if (c->left_behind && now_ms >= c->workload->gone_until_ms) {
		conn_close(c, CLOSE_NO_WORKLOAD);
		return;
	}
	if (c->deadline_ms && now_ms >= c->deadline_ms)
		conn_rest_timeout(c);
	c->starved = false;
	conn_h2_tick(c);
	if (c->state != CONN_CLOSING)
		conn_step(c);
}

void conn_wind_up(struct conn *c)
{
	const struct side *gone = c->flow.ingress ? &c->up : &c->down;

	if (gone->eof_passed && !other_side(c, gone == &c->up ? RELAY_UP : RELAY_DOWN)->out &&
	    !c->up.connecting && c->state == CONN_RELAY)
		conn_close(c, CLOSE_DONE);
}

/* --- begin --- */

static int open_up(struct conn *c)
{
	const struct netns *netns = c->worker->netns[c->flow.netns]->netns;
	int stands, r,
		fd = c->flow.ingress ? leg_connect(c->worker->steer, netns, &c->flow)
				     : upstream_connect(netns, &c->flow);

	if (fd < 0)
		return fd;
	stands = upstream_stands(fd, &c->flow);
	if (stands < 0) {
		close(fd);
		return stands;
	}
	c->up.connecting = stands == 0;
	r = side_open(&c->up, &c->worker->poller, fd, events_for(c, RELAY_UP), on_event, c);
	if (r < 0)
		return r;
	c->open_sides++;
	return 0;
}

int conn_open(struct worker *w, struct workload *wl, int fd, const struct flow *flow)
{
	struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		side_reset(fd);
		return -ENOMEM;
	}
	c->worker = w;
	c->workload = wl;
	c->moved_ms = uv_now(&w->loop);
	c->flow = *flow;
	c->up.fd = -1;
	h1_relay_init(&c->relay, &w->relay_env, c);
	r = side_open(&c->down, &w->poller, fd, EPOLLIN, on_event, c);
	if (r < 0) {
		free(c);
		return r;
	}
	c->open_sides++;
	workload_add_conn(wl, &w->conns, c);
	worker_netns_enter(w->netns[flow->netns]);
	CONN_COUNT(c, opened);
	CONN_COUNT(c, open);
	if (!conn_hold(c))
		return 0;
	r = open_up(c);
	if (r < 0)
		conn_close(c, upstream_close_reason(r));
	else
		conn_step(c);
	return 0;
}
