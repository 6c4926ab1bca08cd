/* SPDX-License-Identifier: Apache-2.0 */
/* What a server's bytes do: responses are matched to the exchanges and passed on. */
#include "h1_relay_impl.h"

void relay_go_raw(struct h1_relay *r)
{
	r->env->host->answered(r->ctx, r->first, 0);
	if (r->state == H1_RELAY_LAST)
		r->discarding = r->in_request = true; /* whatever the client still sends ends it */
	relay_move(r, H1_RELAY_RAW);
}

static bool switches(const struct h1_relay *r, unsigned status)
{
	const struct exchange *x = r->first;

	if (r->state != H1_RELAY_HELD || x->next)
		return false; /* not the request that is waited for */
	if (status == 101)
		return x->upgrade == H1_UPGRADE_WEBSOCKET;
	return x->connect && status / 100 == 2;
}

/* Returns false when the head must not be passed on. */
static bool on_head(struct h1_relay *r, const struct h1_head *head, struct relay_run *run)
{
	struct exchange *x = r->first;

	r->tunnels = switches(r, head->status);
	if (head->status == 101 && !r->tunnels) {
		relay_run_flush(r, RELAY_DOWN, run);
		relay_close(r, CLOSE_BAD_UPGRADE);
		return false;
	}
	if (head->status < 200 && !r->tunnels) {
		if (head->status == 100 && r->current == x)
			r->body_begun = true;
		return true;
	}
	x->response_begun = true;
	r->in_response = true;
	/* The client may now keep its body to itself, and a server may take what follows for a new
	 * request (RFC 9110, section 10.1.1): nothing more of it is passed on. */
	if (r->current == x && x->expect && !r->body_begun) {
		r->body_stale = true;
		r->cut_short = true;
	}
	r->env->host->answered(r->ctx, x, head->status);
	return true;
}

static void on_end(struct h1_relay *r)
{
	if (!r->in_response)
		return; /* 1xx: the answer is still to come */
	r->in_response = false;
	r->expecting = false;
	relay_pop(r);
	if (r->tunnels) {
		relay_move(r, H1_RELAY_TUNNEL);
		return;
	}
	if (r->state == H1_RELAY_HELD && !r->first)
		relay_move(r, H1_RELAY_HTTP);
}

/* An answer to no request that we know of: the server has seen one that we have not, or gives the
 * connection up. It does not pass. */
static void unsolicited(struct h1_relay *r)
{
	if (r->forwarded)
		relay_end(r, CLOSE_UNSOLICITED);
	else
		relay_close(r, CLOSE_UNSOLICITED);
}

/* One event. Returns the bytes used, or -1: no event, stop reading. */
static ssize_t read_one(struct h1_relay *r, const char *buf, size_t len, struct relay_run *run)
{
	enum h1_event event;
	ssize_t n;

	if (!r->expecting) {
		h1_expect(&r->res, r->first->head, r->first->connect);
		r->expecting = true;
	}
	n = h1_feed(&r->res, buf, len, r->env->head, &event);
	if (n < 0) {
		relay_go_raw(r);
		return -1;
	}
	if (event == H1_MORE)
		return -1;
	if (event == H1_HEAD && !on_head(r, r->env->head, run))
		return -1;
	relay_run_add(run, buf, (size_t)n);
	if (event == H1_END) {
		on_end(r);
		if (r->first && r->first->answer) {
			/* Ours follows: what came before it leaves first. */
			relay_run_flush(r, RELAY_DOWN, run);
			relay_answer(r);
		}
	}
	return n;
}

size_t relay_read_responses(struct h1_relay *r, const char *buf, size_t len)
{
	struct relay_run run = { 0 };
	size_t at = 0;

	while (r->state == H1_RELAY_HTTP || r->state == H1_RELAY_HELD ||
	       r->state == H1_RELAY_LAST) {
		ssize_t n;

		if (!r->first) {
			if (at == len || relay_is_behind(r))
				break;
			relay_run_flush(r, RELAY_DOWN, &run);
			unsolicited(r);
			return len;
		}
		n = read_one(r, buf + at, len - at, &run);
		if (n < 0)
			break;
		at += (size_t)n;
	}
	relay_run_flush(r, RELAY_DOWN, &run);
	if (r->state != H1_RELAY_RAW)
		return at;
	relay_send(r, RELAY_DOWN, buf + at, len - at);
	return len;
}
