/* SPDX-License-Identifier: Apache-2.0 */
/* The streams, the states and the ends of a relay. What leaves: h2_relay_out.c; what a client's
 * frames do: h2_relay_client.c; a server's: h2_relay_server.c. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "h2_relay_impl.h"

static void release_kept(void *kept, void *request)
{
	kept_request_unref(kept, request);
}

int h2_relay_init(struct h2_relay *r, struct h2_relay_env *env, void *ctx)
{
	int e;

	*r = (struct h2_relay){ .env = env,
				.ctx = ctx,
				.table = NGHTTP2_DEFAULT_HEADER_TABLE_SIZE,
				.table_min = UINT32_MAX,
				.streams = { .kept = env->kept } };
	e = h2_init(&r->ends[RELAY_DOWN].in, H2_CLIENT);
	if (e == 0)
		e = h2_init(&r->ends[RELAY_UP].in, H2_SERVER);
	if (e < 0)
		h2_relay_done(r);
	r->ends[RELAY_DOWN].in.known.release = release_kept;
	r->ends[RELAY_DOWN].in.known.ctx = env->kept;
	return e;
}

void h2_relay_done(struct h2_relay *r)
{
	for (struct h2_stream *s = NULL; (s = h2_streams_next(&r->streams, s));) {
		if (!s->reported)
			r->env->h2->over(r->ctx, s, NGHTTP2_CANCEL);
	}
	h2_streams_done(&r->streams);
	for (int i = 0; i < 2; i++) {
		h2_done(&r->ends[i].in);
		free(r->ends[i].notes);
		r->ends[i].notes = NULL;
	}
}

/* --- streams --- */

void h2_over(struct h2_relay *r, struct h2_stream *s, uint32_t reset)
{
	assert(!s->killed);
	if (!s->reported)
		r->env->h2->over(r->ctx, s, reset);
	h2_streams_remove(&r->streams, s);
}

void h2_kill(struct h2_relay *r, struct h2_stream *s, uint32_t code)
{
	uint32_t down = code;

	/* gRPC makes PERMISSION_DENIED of this one, and CANCELLED of CANCEL. */
	if (code == NGHTTP2_CANCEL && s->grpc == GRPC_CALL)
		down = NGHTTP2_INADEQUATE_SECURITY;
	assert(!s->killed);
	if (!s->reported)
		r->env->h2->over(r->ctx, s, down);
	s->reported = s->killed = true;
	if (r->killed_last)
		r->killed_last->killed_next = s;
	else
		r->killed_first = s;
	r->killed_last = s;
	r->n_killed++;
	h2_note(r, RELAY_DOWN, (struct h2_note){ .stream = s->id, .code = down });
	h2_note(r, RELAY_UP, (struct h2_note){ .stream = s->id, .code = code });
}

/* What was on its way when they were reset has come by now. */
static void forget_killed(struct h2_relay *r)
{
	while (r->n_killed > H2_KILLED_MAX) {
		struct h2_stream *s = r->killed_first;

		r->killed_first = s->killed_next;
		if (!r->killed_first)
			r->killed_last = NULL;
		r->n_killed--;
		h2_streams_remove(&r->streams, s);
	}
}

void h2_relay_rejudge(struct h2_relay *r)
{
	struct h2_stream *s = NULL;

	h2_known_forget(&r->ends[RELAY_DOWN].in.known); /* they were allowed by another policy */
	while (r->state == H2_RELAY_OPEN && (s = h2_streams_next(&r->streams, s)))
		if (!s->killed && !r->env->h2->still_allowed(r->ctx, s))
			h2_kill(r, s, NGHTTP2_CANCEL);
	h2_relay_step(r);
}

/* --- ends --- */

void h2_close(struct h2_relay *r, enum close_reason why)
{
	if (r->state == H2_RELAY_CLOSED)
		return;
	if (r->env->audit) {
		r->env->host->audited(r->ctx, why);
		h2_go_blind(r);
		return;
	}
	r->state = H2_RELAY_CLOSED;
	r->env->host->close(r->ctx, why);
}

static enum close_reason reason_for(enum relay_side by, uint32_t code)
{
	if (by == RELAY_UP)
		return CLOSE_HTTP2_SERVER;
	return code == NGHTTP2_ENHANCE_YOUR_CALM ? CLOSE_HTTP2_LIMIT : CLOSE_HTTP2;
}

void h2_fail(struct h2_relay *r, enum relay_side by, uint32_t code, const char *why,
	     struct h2_run *run)
{
	if (r->state != H2_RELAY_OPEN)
		return;
	if (run)
		h2_run_flush(r, run);
	r->env->h2->broken(r->ctx, reason_for(by, code), why);
	if (r->env->audit) {
		h2_go_blind(r);
		return;
	}
	if (!r->ends[RELAY_UP].greeted) {
		h2_close(r, reason_for(by, code)); /* nothing can be said yet */
		return;
	}
	h2_say(r, RELAY_DOWN);
	h2_say_goaway(r, code);
	if (r->state != H2_RELAY_OPEN)
		return;
	r->state = H2_RELAY_ENDED;
	r->env->host->end(r->ctx, reason_for(by, code), true);
}

void h2_give_back(struct h2_relay *r, enum relay_side from, struct h2_run *run)
{
	struct h2_end *end = &r->ends[from];

	if (r->env->audit)
		return; /* it has gone on */
	if (end->in.frame.length > INT32_MAX - end->credit) {
		h2_fail(r, from, NGHTTP2_FLOW_CONTROL_ERROR, "more DATA than any window has", run);
		return;
	}
	end->credit += end->in.frame.length;
}

void h2_count_swallowed(struct h2_relay *r, struct h2_run *run)
{
	if (!r->env->audit && ++r->swallowed > H2_SWALLOWED_PER_TICK)
		h2_fail(r, RELAY_DOWN, NGHTTP2_ENHANCE_YOUR_CALM,
			"too many frames on streams that are not open", run);
}

void h2_on_settings(struct h2_relay *r, const char *bytes, size_t len, struct h2_run *run)
{
	const char *why = NULL;
	int e = h2_pass_settings(r, run, bytes, len, &why);

	if (e < 0)
		h2_fail(r, h2_other(run->to),
			e == -EMSGSIZE ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR, why,
			run);
}

void h2_relay_eof(struct h2_relay *r, enum relay_side from)
{
	enum relay_side to = h2_other(from);

	if (r->state > H2_RELAY_BLIND)
		return;
	if (from == RELAY_DOWN)
		r->head_incomplete = false; /* it never will be whole */
	h2_say(r, to);
	if (r->ends[to].finished || r->state > H2_RELAY_BLIND)
		return;
	r->ends[to].finished = true;
	r->env->host->finish(r->ctx, to);
}

void h2_relay_head_timeout(struct h2_relay *r)
{
	if (!r->head_incomplete || r->state != H2_RELAY_OPEN)
		return;
	r->head_incomplete = false;
	h2_fail(r, RELAY_DOWN, NGHTTP2_ENHANCE_YOUR_CALM, "a frame that was not complete in time",
		NULL);
}

void h2_relay_tick(struct h2_relay *r)
{
	r->swallowed = 0;
	h2_relay_step(r);
}

/* --- progress --- */

void h2_relay_step(struct h2_relay *r)
{
	if (r->state != H2_RELAY_OPEN)
		return;
	h2_say(r, RELAY_DOWN);
	h2_say(r, RELAY_UP);
	forget_killed(r);
}

void h2_relay_resume(struct h2_relay *r)
{
	r->paused = false;
	r->decoded = 0;
}

/* What is known was not decoded. In audit nothing waits. */
static void count_decoded(struct h2_relay *r)
{
	r->decoded += r->env->head.known ? 0 : (uint32_t)r->env->head.text_len;
	r->paused = r->decoded >= H2_TURN_MAX && !r->env->audit;
}

bool h2_relay_wants(const struct h2_relay *r, enum relay_side from, size_t unused)
{
	if (r->paused && unused > 0)
		return false;
	if (from == RELAY_DOWN)
		return !(r->blocked && unused > 0);
	return r->state <= H2_RELAY_BLIND;
}

/* A header block comes next. What is written anew can be much longer than what was read, and each
 * request can cost an answer: what waits must stay little. */
static bool must_wait(struct h2_relay *r, enum relay_side from, const char *buf, size_t len)
{
	const struct relay_host *host = r->env->host;
	struct h2_end *client = &r->ends[RELAY_DOWN];

	if (r->env->audit || r->ends[from].in.left > 0 || len < H2_FRAME_HEADER_LEN ||
	    buf[3] != NGHTTP2_HEADERS)
		return false;
	if (host->congested(r->ctx, h2_other(from)))
		return true;
	if (from == RELAY_UP)
		return false;
	if (client->n_notes >= H2_NOTES_MAX)
		h2_say(r, RELAY_DOWN);
	return client->n_notes >= H2_NOTES_MAX || host->congested(r->ctx, RELAY_DOWN);
}

/* Returns the number of bytes used. */
static size_t read_events(struct h2_relay *r, const char *buf, size_t len, struct h2_run *run)
{
	enum relay_side from = h2_other(run->to);
	struct h2 *in = &r->ends[from].in;
	size_t at = 0;

	while (r->state == H2_RELAY_OPEN && !r->paused) {
		enum h2_event event;
		ssize_t n;

		if (must_wait(r, from, buf + at, len - at)) {
			r->blocked |= from == RELAY_DOWN;
			break;
		}
		n = h2_feed(in, buf + at, len - at, &r->env->head, &event);
		if (n == -ENOMEM) {
			h2_close(r, CLOSE_OOM);
			break;
		}
		if (n < 0) {
			h2_fail(r, from, in->error, in->reason, run);
			break;
		}
		if (event == H2_MORE)
			break;
		if (event == H2_BEGIN)
			r->ends[from].passing = false;
		r->events += from == RELAY_DOWN;
		if (from == RELAY_DOWN)
			h2_on_client(r, event, buf + at, (size_t)n, run);
		else
			h2_on_server(r, event, buf + at, (size_t)n, run);
		at += (size_t)n;
		if (event == H2_HEADERS)
			count_decoded(r);
	}
	return at;
}

size_t h2_read(struct h2_relay *r, enum relay_side from, const char *buf, size_t len)
{
	struct h2_run run = { .to = h2_other(from) };
	size_t used;

	if (r->state != H2_RELAY_OPEN)
		return len;
	r->env->head.binary = r->binary;
	if (from == RELAY_DOWN)
		r->blocked = r->head_incomplete = false;
	used = read_events(r, buf, len, &run);
	h2_run_flush(r, &run);
	h2_relay_step(r);
	if (r->state != H2_RELAY_OPEN)
		return len; /* nobody will use the rest */
	if (from == RELAY_DOWN)
		r->head_incomplete = used < len && !r->blocked && !r->paused;
	return used;
}

size_t h2_relay_feed(struct h2_relay *r, enum relay_side from, const char *buf, size_t len)
{
	return r->env->audit ? h2_feed_audit(r, from, buf, len) : h2_read(r, from, buf, len);
}
