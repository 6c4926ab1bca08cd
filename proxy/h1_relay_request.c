/* SPDX-License-Identifier: Apache-2.0 */
/* What a client's bytes do: requests are read, judged, and passed on or discarded. */
#include "h1_relay_impl.h"
#include <errno.h>
#include "detect.h"

/* Do the first bytes belong to HTTP/1? False: not known yet, or refused. */
static bool detected(struct h1_relay *r, const char *buf, size_t len)
{
	switch (detect_protocol(buf, len)) {
	case DETECT_HTTP1:
		r->detected = true;
		return true;
	case DETECT_MORE:
		r->head_incomplete = true;
		break;
	case DETECT_TLS:
		relay_close(r, CLOSE_TLS);
		break;
	case DETECT_HTTP2:
		if (r->env->host->http2(r->ctx))
			relay_move(r, H1_RELAY_CLOSED);
		else
			relay_close(r, CLOSE_OOM);
		break;
	case DETECT_UNKNOWN:
		relay_close(r, CLOSE_NOT_HTTP);
		break;
	}
	return false;
}

/* Each request can cost an answer, of ours or of the server, and those that wait must stay few. Nor
 * may heads that grow make more wait for the server than was read. In audit none of them is ours.
 */
static bool must_wait(const struct h1_relay *r)
{
	const struct relay_host *host = r->env->host;

	return r->n_exchanges >= r->env->limits->pipeline ||
	       (!r->env->audit &&
		(host->congested(r->ctx, RELAY_DOWN) || host->congested(r->ctx, RELAY_UP)));
}

/* The next bytes would begin a request (or go on with one that is not passed on). May they be read?
 */
static bool may_go_on(struct h1_relay *r, size_t left, struct relay_run *run)
{
	bool stale = r->in_request && r->body_stale;

	if (stale || (r->state == H1_RELAY_RAW && (!r->in_request || r->discarding))) {
		if (left > 0) {
			relay_run_flush(r, RELAY_UP, run);
			relay_end(r, stale ? CLOSE_STALE_BODY : CLOSE_UNREAD_RESPONSE);
		}
		return false;
	}
	if (!r->in_request && must_wait(r)) {
		r->blocked = left > 0;
		return false;
	}
	return true;
}

/* Is the connection worth keeping after this denial? Not when a long or announced body would have
 * to be read for it, or when the client may already speak another protocol. */
static bool denial_ends(const struct h1_relay *r, const struct h1_head *head)
{
	return !head->keep_alive || head->expect_continue || head->connect ||
	       (head->has_length && head->content_length > r->env->limits->denied_body);
}

static void deny(struct h1_relay *r, struct exchange *x, unsigned status, bool close)
{
	x->answer = (uint16_t)status;
	x->close = close;
	r->discarding = true;
	r->denied_body = 0;
	relay_push(r, x);
	if (close)
		relay_move(r, H1_RELAY_LAST);
	relay_answer(r);
}

/* As it came, or with another head. */
static void forward(struct h1_relay *r, const char *bytes, size_t len, struct span edited,
		    struct relay_run *run)
{
	r->forwarded = true;
	if (edited.len == 0) {
		relay_run_add(run, bytes, len);
		return;
	}
	relay_run_flush(r, RELAY_UP, run);
	relay_send(r, RELAY_UP, edited.ptr, edited.len);
}

static enum judged judge(struct h1_relay *r, struct h1_head *head, struct exchange *x,
			 struct span *edited)
{
	enum judged verdict = r->env->host->judge(r->ctx, head, x, edited);

	if (!r->env->audit || verdict == JUDGED_CLOSE)
		return verdict;
	/* The host has recorded what it is, and it passes as it came. */
	*edited = (struct span){ 0 };
	return JUDGED_ALLOW;
}

static void on_head(struct h1_relay *r, const char *bytes, size_t len, struct relay_run *run)
{
	struct h1_head *head = r->env->head;
	struct exchange *x = exchange_get(r->env->exchanges);
	struct span edited = { 0 };

	if (!x) {
		relay_close(r, CLOSE_OOM);
		return;
	}
	x->version = head->version;
	x->upgrade = (uint8_t)head->upgrade;
	x->head = head->head;
	x->connect = head->connect;
	x->expect = head->expect_continue;
	r->heads++;
	r->in_request = true;
	r->discarding = r->body_begun = r->body_stale = false;
	r->current = x;
	switch (judge(r, head, x, &edited)) {
	case JUDGED_ALLOW:
		relay_push(r, x);
		forward(r, bytes, len, edited, run);
		return;
	case JUDGED_DENY:
		relay_run_flush(r, RELAY_UP, run);
		deny(r, x, 403, denial_ends(r, head));
		return;
	case JUDGED_MALFORMED:
		relay_run_flush(r, RELAY_UP, run);
		deny(r, x, 400, true);
		return;
	case JUDGED_TOO_LARGE:
		relay_run_flush(r, RELAY_UP, run);
		deny(r, x, 431, true);
		return;
	case JUDGED_CLOSE:
		r->current = NULL;
		exchange_put(r->env->exchanges, x);
		relay_move(r, H1_RELAY_CLOSED);
		return;
	}
}

/* Some of a denied request's body was read. Too much of it: end. */
static void on_denied_body(struct h1_relay *r, size_t len)
{
	r->denied_body += len;
	if (r->denied_body <= r->env->limits->denied_body)
		return;
	if (r->current) {
		r->current->close = true; /* its answer still waits for its turn */
		relay_move(r, H1_RELAY_LAST);
	} else {
		relay_end(r, CLOSE_DENIED);
	}
}

static void on_end(struct h1_relay *r)
{
	struct exchange *x = r->current;

	r->in_request = false;
	r->current = NULL;
	relay_carry_no_more(r);
	if (!r->discarding && x && (x->connect || x->upgrade != H1_UPGRADE_NONE) &&
	    r->state == H1_RELAY_HTTP)
		relay_move(r, H1_RELAY_HELD);
	r->discarding = false;
}

static void on_body(struct h1_relay *r, const char *bytes, size_t len, struct relay_run *run)
{
	if (r->discarding) {
		on_denied_body(r, len);
		return;
	}
	if (len > 0) {
		r->body_begun = true;
		relay_run_add(run, bytes, len);
	}
}

size_t relay_read_requests(struct h1_relay *r, const char *buf, size_t len)
{
	struct relay_run run = { 0 };
	size_t at = 0;

	r->head_incomplete = false;
	if (!r->detected && !detected(r, buf, len))
		return 0;
	while ((r->state == H1_RELAY_HTTP || r->state == H1_RELAY_RAW) &&
	       may_go_on(r, len - at, &run)) {
		enum h1_event event;
		ssize_t n = h1_feed(&r->req, buf + at, len - at, r->env->head, &event);

		if (n < 0) {
			relay_run_flush(r, RELAY_UP, &run);
			relay_reject(r, n == -EMSGSIZE ? 431 : 400, h1_reason(&r->req));
			return len;
		}
		if (event == H1_MORE) {
			r->head_incomplete = !r->in_request && at < len;
			break;
		}
		if (event == H1_HEAD)
			on_head(r, buf + at, (size_t)n, &run);
		else
			on_body(r, buf + at, (size_t)n, &run);
		if (event == H1_END)
			on_end(r);
		at += (size_t)n;
	}
	relay_run_flush(r, RELAY_UP, &run);
	/* Nobody will use the rest, and it must not fill the buffer of whoever reads. */
	return r->state >= H1_RELAY_LAST ? len : at;
}
