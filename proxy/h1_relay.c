/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of exchanges, the states and the ends of a relay. What a client's bytes do is in
 * h1_relay_request.c, what a server's do in h1_relay_response.c. */
#include "h1_relay_impl.h"
#include <assert.h>
#include "detect.h"
#include "h1_answer.h"

#define TO(s) (1u << H1_RELAY_##s)
static const unsigned next_states[H1_RELAY_STATE_MAX] = {
	[H1_RELAY_HTTP] = TO(HELD) | TO(RAW) | TO(BLIND) | TO(LAST) | TO(ENDED) | TO(CLOSED),
	[H1_RELAY_HELD] = TO(HTTP) | TO(TUNNEL) | TO(RAW) | TO(BLIND) | TO(CLOSED),
	[H1_RELAY_TUNNEL] = TO(CLOSED),
	[H1_RELAY_RAW] = TO(BLIND) | TO(ENDED) | TO(CLOSED),
	[H1_RELAY_BLIND] = TO(CLOSED),
	[H1_RELAY_LAST] = TO(RAW) | TO(ENDED) | TO(CLOSED),
	[H1_RELAY_ENDED] = TO(CLOSED),
	[H1_RELAY_CLOSED] = 0,
};

void relay_move(struct h1_relay *r, enum h1_relay_state to)
{
	assert(next_states[r->state] & (1u << to));
	r->state = (uint8_t)to;
}

void relay_close(struct h1_relay *r, enum close_reason why)
{
	if (r->state == H1_RELAY_CLOSED || relay_audited(r, why))
		return;
	relay_move(r, H1_RELAY_CLOSED);
	r->env->host->close(r->ctx, why);
}

void relay_end(struct h1_relay *r, enum close_reason why)
{
	if (relay_audited(r, why))
		return;
	relay_move(r, H1_RELAY_ENDED);
	r->env->host->end(r->ctx, why, r->cut_short);
}

void relay_push(struct h1_relay *r, struct exchange *x)
{
	if (r->last)
		r->last->next = x;
	else
		r->first = x;
	r->last = x;
	r->n_exchanges++;
}

/* X is answered, but bytes of it still pass. */
static void carry(struct h1_relay *r, struct exchange *x)
{
	kept_request_unref(&r->env->exchanges->kept, r->carried);
	r->carried = x->kept;
	x->kept = NULL;
	r->carries = true;
}

void relay_carry_no_more(struct h1_relay *r)
{
	kept_request_unref(&r->env->exchanges->kept, r->carried);
	r->carried = NULL;
	r->carries = false;
}

void relay_pop(struct h1_relay *r)
{
	struct exchange *x = r->first;

	if (!x->answer && (r->tunnels || (r->current == x && r->in_request)))
		carry(r, x);

	r->first = x->next;
	if (!r->first)
		r->last = NULL;
	r->n_exchanges--;
	if (r->current == x)
		r->current = NULL;
	exchange_put(r->env->exchanges, x);
}

static enum close_reason reason_for(unsigned status)
{
	switch (status) {
	case 403:
		return CLOSE_DENIED;
	case 408:
		return CLOSE_HEAD_TOO_SLOW;
	case 431:
		return CLOSE_HEAD_TOO_LARGE;
	default:
		return CLOSE_MALFORMED;
	}
}

void relay_answer(struct h1_relay *r)
{
	while (r->first && r->first->answer) {
		enum close_reason why = reason_for(r->first->answer);
		bool close = r->first->close;
		char buf[H1_ANSWER_MAX];

		if (r->server_ended) {
			/* The client has been told that nothing more comes. */
			relay_close(r, why);
			return;
		}
		relay_send(r, RELAY_DOWN, buf, h1_answer_write(r->first, buf));
		relay_pop(r);
		if (close) {
			relay_end(r, why);
			return;
		}
	}
}

/* The body of a request broke the grammar. If the request was passed on, the server waits for the
 * rest: it is reset, and we answer in its place as long as it has not begun to. */
static void reject_body(struct h1_relay *r, unsigned status)
{
	if (!r->discarding) {
		r->cut_short = true;
		if (!r->current || r->current != r->first || r->current->response_begun) {
			relay_close(r, reason_for(status));
			return;
		}
		r->current->answer = (uint16_t)status;
	}
	if (!r->current) {
		relay_end(r, reason_for(status)); /* denied and answered long ago */
		return;
	}
	r->current->close = true;
	relay_move(r, H1_RELAY_LAST);
	relay_answer(r);
}

void relay_reject(struct h1_relay *r, unsigned status, const char *why)
{
	struct exchange *x;

	r->env->host->refused(r->ctx, status, why);
	if (relay_go_blind(r))
		return;
	if (r->state != H1_RELAY_HTTP) {
		/* RAW: an answer of ours would be lost in the middle of the server's. */
		r->cut_short = true;
		relay_close(r, reason_for(status));
		return;
	}
	if (r->in_request) {
		reject_body(r, status);
		return;
	}
	x = exchange_get(r->env->exchanges);
	if (!x) {
		relay_close(r, CLOSE_OOM);
		return;
	}
	x->answer = (uint16_t)status;
	x->version = 11;
	x->close = true;
	relay_push(r, x);
	relay_move(r, H1_RELAY_LAST);
	relay_answer(r);
}

void h1_relay_env_init(struct h1_relay_env *env, const struct relay_host *host,
		       struct exchange_pool *exchanges, struct h1_head *head,
		       const struct limits *limits)
{
	head->limits = (struct h1_limits){ .head_size = (uint32_t)limits->head_size,
					   .fields = (uint32_t)limits->head_fields };
	*env = (struct h1_relay_env){
		.host = host, .exchanges = exchanges, .head = head, .limits = limits
	};
}

void h1_relay_init(struct h1_relay *r, const struct h1_relay_env *env, void *ctx)
{
	*r = (struct h1_relay){ .env = env, .ctx = ctx, .state = H1_RELAY_HTTP };
	h1_init(&r->req, H1_REQUEST);
	h1_init(&r->res, H1_RESPONSE);
}

void h1_relay_done(struct h1_relay *r)
{
	r->tunnels = r->in_request = false;
	while (r->first)
		relay_pop(r);
	relay_carry_no_more(r);
}

bool h1_relay_in_flight(const struct h1_relay *r,
			bool (*fn)(void *ctx, const struct kept_request *k), void *ctx)
{
	if (r->carries && !fn(ctx, r->carried))
		return false;
	for (const struct exchange *x = r->first; x; x = x->next)
		if (!x->answer && !fn(ctx, x->kept))
			return false;
	return true;
}

/* What the client sent waits for an answer, and the server has ended: none will come. */
static bool waits_in_vain(const struct h1_relay *r)
{
	if (!r->server_ended || r->in_request)
		return false;
	return r->state == H1_RELAY_HELD || r->n_exchanges >= r->env->limits->pipeline;
}

size_t relay_read(struct h1_relay *r, enum relay_side from, const char *buf, size_t len)
{
	bool down = from == RELAY_DOWN;

	if (down)
		r->blocked = false;
	if (len == 0)
		return 0;
	if (down && waits_in_vain(r)) {
		relay_audited(r, CLOSE_UNFOLLOWED);
		return len;
	}
	if (!down && !r->detected && detect_http2_greeting(buf, len))
		return 0; /* until it is known what the client speaks */
	switch ((enum h1_relay_state)r->state) {
	case H1_RELAY_HTTP:
	case H1_RELAY_RAW:
		if (down)
			return relay_read_requests(r, buf, len);
		return relay_read_responses(r, buf, len);
	case H1_RELAY_HELD:
		if (down) {
			r->blocked = true;
			return 0;
		}
		return relay_read_responses(r, buf, len);
	case H1_RELAY_TUNNEL:
		relay_send(r, down ? RELAY_UP : RELAY_DOWN, buf, len);
		return len;
	case H1_RELAY_LAST:
		return down ? len : relay_read_responses(r, buf, len);
	case H1_RELAY_BLIND:
	case H1_RELAY_ENDED:
	case H1_RELAY_CLOSED:
	case H1_RELAY_STATE_MAX:
		break;
	}
	return len;
}

size_t h1_relay_feed(struct h1_relay *r, enum relay_side from, const char *buf, size_t len)
{
	return r->env->audit ? relay_feed_audit(r, from, buf, len) : relay_read(r, from, buf, len);
}

bool h1_relay_wants(const struct h1_relay *r, enum relay_side from, size_t unused)
{
	if (from == RELAY_DOWN)
		return r->env->audit || !(r->blocked && unused > 0);
	return r->state < H1_RELAY_ENDED && (r->env->audit || r->detected || unused == 0);
}

uint64_t h1_relay_sure(const struct h1_relay *r, enum relay_side from)
{
	if (r->env->audit)
		return 0; /* a copy is kept of what cannot be read yet */
	if (r->state == H1_RELAY_TUNNEL)
		return UINT64_MAX;
	if (from == RELAY_UP) {
		if (r->state == H1_RELAY_RAW)
			return UINT64_MAX;
		return r->state < H1_RELAY_ENDED && r->in_response ? h1_body_left(&r->res) : 0;
	}
	if (r->state != H1_RELAY_HTTP || !r->in_request || r->discarding || r->body_stale)
		return 0;
	return h1_body_left(&r->req);
}

static void client_ended(struct h1_relay *r)
{
	r->head_incomplete = false; /* it never will be whole */
	if (r->state < H1_RELAY_ENDED)
		r->env->host->finish(r->ctx, RELAY_UP);
}

static void server_ended(struct h1_relay *r)
{
	r->server_ended = true;
	if (r->state >= H1_RELAY_ENDED)
		return;
	if (r->in_response && r->first && h1_finish(&r->res) == 0) {
		relay_pop(r);
		r->in_response = false;
	}
	if (r->state == H1_RELAY_LAST) {
		relay_end(r, r->last ? reason_for(r->last->answer) : CLOSE_DONE);
		return;
	}
	r->env->host->finish(r->ctx, RELAY_DOWN);
}

void h1_relay_rest(struct h1_relay *r, enum relay_side from, const char *buf, size_t len)
{
	r->ahead[from] = 0;
	if (from == RELAY_DOWN && r->blocked && relay_audited(r, CLOSE_UNFOLLOWED))
		return;
	if (from == RELAY_DOWN || !r->first || r->state >= H1_RELAY_ENDED)
		return;
	relay_go_raw(r);
	relay_send(r, RELAY_DOWN, buf, len);
}

void h1_relay_eof(struct h1_relay *r, enum relay_side from)
{
	if (from == RELAY_DOWN)
		client_ended(r);
	else
		server_ended(r);
}

void h1_relay_head_timeout(struct h1_relay *r)
{
	if (r->head_incomplete && (r->state == H1_RELAY_HTTP || r->state == H1_RELAY_RAW)) {
		r->head_incomplete = false;
		relay_reject(r, 408, "the request head was not complete in time");
	}
}
