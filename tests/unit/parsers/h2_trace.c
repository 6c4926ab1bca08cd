/* SPDX-License-Identifier: Apache-2.0 */
#include "h2_trace.h"
#include <stdarg.h>
#include <stdlib.h>
#include "sluice/array.h"
#include "trace.h"

static struct h2_head head;

__attribute__((format(printf, 2, 3))) static void note(struct h2_trace *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	trace_add(t->text, sizeof(t->text), &t->len, format, ap);
	va_end(ap);
}

/* Rules on headers see it, whether it was sent or not. */
static void check_host(const struct request *req)
{
	size_t n = 0;

	for (size_t i = 0; i < req->n_headers; i++)
		if (span_eq(req->headers[i].name, SPAN_LITERAL("host"))) {
			REQUIRE(span_eq_nocase(req->headers[i].value, req->authority));
			n++;
		}
	REQUIRE(n == 1);
}

static void note_request(struct h2_trace *t)
{
	const struct request *req = &head.req;
	const char *reason = NULL;

	if (h2_read_request(&head, &reason) < 0) {
		REQUIRE(reason);
		note(t, "?%s", reason);
		return;
	}
	note(t, "%.*s %.*s %.*s +%zu", (int)req->method.len, req->method.ptr,
	     (int)req->authority.len, req->authority.ptr, (int)req->path.len, req->path.ptr,
	     req->n_headers - 1);
	check_host(req);
	if (head.has_length)
		note(t, " length %llu", (unsigned long long)head.content_length);
	if (head.grpc)
		note(t, head.grpc == GRPC_CALL ? " grpc" : " web");
	for (size_t i = 0; i < req->n_headers; i++)
		if (span_eq(req->headers[i].name, SPAN_LITERAL("cookie")))
			note(t, " %.*s", (int)req->headers[i].value.len, req->headers[i].value.ptr);
}

/* Blocks without any pseudo-header are read as trailers, those with a status as responses. */
static void note_block(struct h2_trace *t)
{
	const char *reason = NULL;

	note(t, "HEADERS %u ", t->parser.frame.stream);
	if (h2_find(&head, ":status"))
		note(t, "status %u", h2_status(&head));
	else if (head.n_fields > 0 && head.fields[0].name.ptr[0] == ':')
		note_request(t);
	else if (h2_read_trailers(&head, &reason) < 0)
		note(t, "?%s", reason);
	else
		note(t, "trailers +%zu", head.n_fields);
	if (head.has_priority)
		note(t, " priority");
}

static void note_event(struct h2_trace *t, enum h2_event event)
{
	static const char *const types[] = { "DATA", "HEADERS", "PRIORITY", "RST",    "SETTINGS",
					     "PUSH", "PING",	"GOAWAY",   "WINDOW", "CONT" };
	const struct h2_frame *f = &t->parser.frame;

	if (event == H2_PAYLOAD)
		return;
	if (t->len > 0)
		note(t, "|");
	if (event == H2_HELLO) {
		note(t, "PRI");
	} else if (event == H2_HEADERS) {
		note_block(t);
	} else {
		if (f->type < ARRAY_SIZE(types))
			note(t, "%s", types[f->type]);
		else
			note(t, "X%02x", f->type);
		if (f->stream)
			note(t, " %u", f->stream);
		if (event == H2_BEGIN)
			note(t, " %u/%u", f->type == NGHTTP2_DATA ? f->data : f->length, f->length);
	}
}

/* Returns what is left of LEN bytes. */
static size_t feed(struct h2_trace *t, const char *buf, size_t len)
{
	enum h2_event event = H2_FRAME;
	size_t at = 0;

	while (event != H2_MORE) {
		ssize_t n = h2_feed(&t->parser, buf + at, len - at, &head, &event);

		if (n < 0) {
			note(t, "|!%u %s", t->parser.error, t->parser.reason);
			REQUIRE(h2_feed(&t->parser, buf + at, len - at, &head, &event) == n);
			return SIZE_MAX;
		}
		REQUIRE((size_t)n <= len - at && (n > 0) == (event != H2_MORE));
		at += (size_t)n;
		t->released += (size_t)n;
		if (event != H2_MORE)
			note_event(t, event);
	}
	return len - at;
}

void h2_trace_all(struct h2_trace *t, enum h2_kind kind, const char *buf, size_t len, size_t at,
		  size_t step)
{
	size_t end = 0, begin = 0;

	t->len = t->released = 0;
	t->text[0] = '\0';
	REQUIRE(h2_init(&t->parser, kind) == 0);
	while (end < len) {
		size_t before = end, left;
		char *copy;

		end = step && len - end > step ? end + step : len;
		if (at > before && at < end)
			end = at;
		copy = malloc(end - begin);
		REQUIRE(copy);
		memcpy(copy, buf + begin, end - begin);
		left = feed(t, copy, end - begin);
		free(copy);
		if (left == SIZE_MAX)
			break;
		begin = end - left;
	}
	h2_done(&t->parser);
}
