/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include "h1_trace.h"
#include "trace.h"

__attribute__((format(printf, 2, 3))) static void say(struct h1_trace *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	trace_add(t->text, sizeof(t->text), &t->len, format, ap);
	va_end(ap);
}

static void say_span(struct h1_trace *t, struct span s)
{
	int n = s.len < 200 ? (int)s.len : 200;

	say(t, " %.*s", n, s.len ? s.ptr : "");
}

static void say_head(struct h1_trace *t, const struct h1_head *h, bool request)
{
	say(t, "[");
	if (request) {
		say(t, "%.*s", (int)h->req.method.len, h->req.method.ptr);
		say_span(t, h->req.path);
		say_span(t, h->req.authority);
	} else {
		say(t, "%u", h->status);
	}
	if (h->version != 11)
		say(t, " v=%u", h->version);
	if (h->has_length)
		say(t, " len=%llu", (unsigned long long)h->content_length);
	say(t, "%s%s%s%s%s%s%s]", h->chunked ? " chunked" : "", h->until_close ? " rest" : "",
	    h->keep_alive ? "" : " close", h->expect_continue ? " expect" : "",
	    h->upgrade == H1_UPGRADE_WEBSOCKET ? " websocket" : "",
	    h->upgrade == H1_UPGRADE_OTHER ? " upgrade" : "", h->connect ? " connect" : "");
}

void h1_trace_begin(struct h1_trace *t, enum h1_kind kind, bool answers_head, bool answers_connect)
{
	h1_init(&t->parser, kind);
	t->answers_head = answers_head;
	t->answers_connect = answers_connect;
	t->released = t->body = t->len = 0;
	t->text[0] = '\0';
	REQUIRE(h1_idle(&t->parser));
}

static void end_body(struct h1_trace *t)
{
	if (t->body)
		say(t, "+%zu", t->body);
	t->body = 0;
}

static void note(struct h1_trace *t, const char *bytes, size_t offered, ssize_t n,
		 enum h1_event event)
{
	const struct request *req = &t->head.req;

	REQUIRE(n >= 0 && (size_t)n <= offered);
	t->released += (size_t)n;
	switch (event) {
	case H1_MORE:
		REQUIRE(n == 0);
		break;
	case H1_HEAD:
		REQUIRE(n > 0 && req->headers == t->head.fields);
		REQUIRE(req->n_headers <= H1_FIELDS_MAX && !req->n_readings);
		for (size_t i = 0; i < req->n_headers; i++)
			REQUIRE(req->headers[i].value.ptr + req->headers[i].value.len <= bytes + n);
		say_head(t, &t->head, t->parser.kind == H1_REQUEST);
		break;
	case H1_BODY:
		REQUIRE(n > 0);
		t->body += (size_t)n;
		break;
	case H1_END:
		t->body += (size_t)n;
		end_body(t);
		say(t, ".");
		REQUIRE(h1_idle(&t->parser));
		break;
	default:
		REQUIRE(false);
	}
}

bool h1_trace_feed(struct h1_trace *t, const char *buf, size_t n, size_t *used)
{
	enum h1_event event = H1_HEAD;
	size_t quiet = 0;

	while (event != H1_MORE) {
		size_t offered = n - *used;
		char *copy = malloc(offered ? offered : 1);
		ssize_t r;

		REQUIRE(copy);
		memcpy(copy, buf + *used, offered);
		if (t->parser.kind == H1_RESPONSE && h1_idle(&t->parser))
			h1_expect(&t->parser, t->answers_head, t->answers_connect);
		r = h1_feed(&t->parser, offered ? copy : NULL, offered, &t->head, &event);
		if (r >= 0)
			note(t, copy, offered, r, event);
		free(copy);
		if (r < 0) {
			end_body(t);
			say(t, "!%zd", r);
			REQUIRE(r == -EPROTO || r == -EMSGSIZE);
			REQUIRE(h1_reason(&t->parser)[0]);
			REQUIRE(h1_feed(&t->parser, buf, n, &t->head, &event) == r);
			return false;
		}
		*used += (size_t)r;
		quiet = r ? 0 : quiet + 1;
		REQUIRE(quiet < 4); /* events without bytes come to an end */
	}
	REQUIRE(*used == n || !h1_idle(&t->parser));
	return true;
}

void h1_trace_end(struct h1_trace *t)
{
	end_body(t);
	say(t, h1_finish(&t->parser) == 0 ? "$" : "$!");
}

void h1_trace_all(struct h1_trace *t, enum h1_kind kind, unsigned expect, const char *buf,
		  size_t len, size_t cut, size_t step)
{
	size_t used = 0, n = cut && cut < len ? cut : len;

	if (step && step < n && !cut)
		n = step;
	h1_trace_begin(t, kind, expect & ANSWERS_HEAD, expect & ANSWERS_CONNECT);
	for (;;) {
		if (!h1_trace_feed(t, buf, n, &used))
			return;
		if (n == len)
			break;
		n = step && len - n > step ? n + step : len;
	}
	h1_trace_end(t);
}
