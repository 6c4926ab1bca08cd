/* SPDX-License-Identifier: Apache-2.0 */
/* h1.c - the event machine: from head to body to end, with llhttp as the second reader.
 *
 * Every step first holds the bytes to the grammar of h1_grammar.h, then gives exactly those to
 * llhttp, and compares. llhttp begins anew at each head and is paused where the head ends; it goes
 * on only in a chunked body, since a length needs no second reader to count. */
#include <errno.h>
#include <string.h>
#include "h1_grammar.h"

enum state {
	IN_HEAD, /* between messages, or in an incomplete head */
	IN_LENGTH,
	IN_CHUNK_LINE,
	IN_CHUNK_DATA,
	IN_CHUNK_END, /* the CRLF after a chunk's data */
	IN_TRAILER,
	IN_REST, /* a body that lasts until close */
	AT_END,	 /* H1_END is due, without bytes */
	SWITCHED /* what follows is not HTTP */
};

static int pause_llhttp(llhttp_t *llhttp)
{
	return HPE_PAUSED;
}

static const llhttp_settings_t llhttp_settings = {
	.on_headers_complete = pause_llhttp,
	.on_message_complete = pause_llhttp,
};

void h1_init(struct h1 *p, enum h1_kind kind)
{
	memset(p, 0, sizeof(*p));
	p->kind = (uint8_t)kind;
	p->state = IN_HEAD;
}

void h1_expect(struct h1 *p, bool answers_head, bool answers_connect)
{
	p->answers_head = answers_head;
	p->answers_connect = answers_connect;
}

bool h1_idle(const struct h1 *p)
{
	return !p->error && ((p->state == IN_HEAD && !p->scanned) || p->state == SWITCHED);
}

uint64_t h1_body_left(const struct h1 *p)
{
	if (p->error)
		return 0;
	if (p->state == IN_REST)
		return UINT64_MAX;
	return p->state == IN_LENGTH || p->state == IN_CHUNK_DATA ? p->body_left : 0;
}

const char *h1_reason(const struct h1 *p)
{
	return p->reason ? p->reason : "";
}

static int fail(struct h1 *p, int error, const char *reason)
{
	p->error = (int16_t)error;
	p->reason = reason;
	return error;
}

static ssize_t end_message(struct h1 *p, size_t used, enum h1_event *ret)
{
	p->state = p->switching ? SWITCHED : IN_HEAD;
	if (!p->interim)
		p->answers_head = p->answers_connect = false;
	*ret = H1_END;
	return (ssize_t)used;
}

/* Let llhttp read the LEN bytes at BUF: it must stop after the last of them, and say WANT. */
static bool llhttp_agrees(struct h1 *p, const char *buf, size_t len, llhttp_errno_t want)
{
	llhttp_errno_t r = llhttp_execute(&p->llhttp, buf, len);

	return r == want && (r == HPE_OK || llhttp_get_error_pos(&p->llhttp) == buf + len);
}

/* Give the whole head to llhttp and compare what it says about framing. */
static int cross_check(struct h1 *p, const char *buf, size_t len, const struct h1_head *head,
		       uint8_t method)
{
	llhttp_t *l = &p->llhttp;

	llhttp_init(l, p->kind == H1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &llhttp_settings);
	if (!llhttp_agrees(p, buf, len, HPE_PAUSED))
		return fail(p, -EPROTO, "the two readings of the head differ");
	if (l->http_major != 1 || l->http_minor != head->version - 10)
		return fail(p, -EPROTO, "the two readings of the version differ");
	if (p->kind == H1_REQUEST ? l->method != method : l->status_code != head->status)
		return fail(p, -EPROTO, "the two readings of the start line differ");
	if (((l->flags & F_CHUNKED) != 0) != head->chunked ||
	    ((l->flags & F_TRANSFER_ENCODING) != 0) != head->chunked)
		return fail(p, -EPROTO, "the two readings of Transfer-Encoding differ");
	if (((l->flags & F_CONTENT_LENGTH) != 0) != head->has_length ||
	    (head->has_length && l->content_length != head->content_length))
		return fail(p, -EPROTO, "the two readings of Content-Length differ");
	if (p->kind == H1_RESPONSE &&
	    !h1_response_bodiless(head->status, p->answers_head, p->answers_connect) &&
	    (llhttp_message_needs_eof(l) != 0) != head->until_close)
		return fail(p, -EPROTO, "the two readings of the body's end differ");
	llhttp_resume(l);
	return 0;
}

/* What comes after HEAD. */
static void enter_body(struct h1 *p, const struct h1_head *head)
{
	bool bodiless = p->kind == H1_RESPONSE &&
			h1_response_bodiless(head->status, p->answers_head, p->answers_connect);

	p->interim = p->kind == H1_RESPONSE && head->status < 200 && head->status != 101;
	p->switching = p->kind == H1_RESPONSE &&
		       (head->status == 101 ||
			(p->answers_connect && head->status >= 200 && head->status < 300));
	p->body_left = head->content_length;
	if (bodiless)
		p->state = AT_END;
	else if (head->chunked)
		p->state = IN_CHUNK_LINE;
	else if (head->until_close)
		p->state = IN_REST;
	else
		p->state = head->content_length ? IN_LENGTH : AT_END;
}

/* False once the first line is whole and does not end like a request line: a client that speaks
 * something else may never send what would end a head. */
static bool begins_like_request(const char *buf, size_t len)
{
	static const char version[] = " HTTP/1.";
	const char *end = len ? memchr(buf, '\r', len) : NULL;

	return !end || ((size_t)(end - buf) >= sizeof(version) &&
			memcmp(end - sizeof(version), version, sizeof(version) - 1) == 0);
}

static ssize_t feed_head(struct h1 *p, const char *buf, size_t len, struct h1_head *head,
			 enum h1_event *ret)
{
	const char *reason = NULL;
	uint8_t method = 0;
	ssize_t n;
	int r;

	if (len && (buf[0] == '\r' || buf[0] == '\n'))
		return fail(p, -EPROTO, "an empty line before the start line");
	/* A server that speaks something else may never send what would end a head. */
	if (len && p->kind == H1_RESPONSE && memcmp(buf, "HTTP/1.", len < 7 ? len : 7) != 0)
		return fail(p, -EPROTO, "a version other than HTTP/1.0 and HTTP/1.1");
	n = h1_section_end(buf, len, &head->limits, &p->scanned, &reason);
	if (n < 0)
		return fail(p, (int)n, reason);
	if (n == 0) {
		if (p->kind == H1_REQUEST && !begins_like_request(buf, len))
			return fail(p, -EPROTO, "a first line that is no HTTP/1 request");
		*ret = H1_MORE;
		return 0;
	}
	p->scanned = 0;
	if (p->kind == H1_REQUEST)
		r = h1_request_head(buf, (size_t)n, head, &method, &reason);
	else
		r = h1_response_head(buf, (size_t)n, head, p->answers_head, p->answers_connect,
				     &reason);
	if (r < 0)
		return fail(p, r, reason);
	r = cross_check(p, buf, (size_t)n, head, method);
	if (r < 0)
		return r;
	enter_body(p, head);
	*ret = H1_HEAD;
	return n;
}

static ssize_t chunk_line(struct h1 *p, const char *buf, size_t len)
{
	const char *reason = NULL;
	size_t digits;
	uint64_t size;
	ssize_t n = h1_chunk_line(buf, len, &p->scanned, &size, &digits, &reason);

	if (n < 0)
		return fail(p, (int)n, reason);
	if (n == 0)
		return 0;
	/* Without the extensions, of which llhttp refuses more than the grammar does. */
	if (!llhttp_agrees(p, buf, digits, HPE_OK) || !llhttp_agrees(p, "\r\n", 2, HPE_OK) ||
	    p->llhttp.content_length != size)
		return fail(p, -EPROTO, "the two readings of a chunk size differ");
	p->scanned = 0;
	p->body_left = size;
	p->state = size ? IN_CHUNK_DATA : IN_TRAILER;
	return n;
}

static ssize_t chunk_data(struct h1 *p, const char *buf, size_t len)
{
	size_t n = len < p->body_left ? len : (size_t)p->body_left;

	if (!llhttp_agrees(p, buf, n, HPE_OK) || p->llhttp.content_length != p->body_left - n)
		return fail(p, -EPROTO, "the two readings of a chunk differ");
	p->body_left -= n;
	if (!p->body_left)
		p->state = IN_CHUNK_END;
	return (ssize_t)n;
}

static ssize_t chunk_end(struct h1 *p, const char *buf, size_t len)
{
	if (buf[0] != '\r' || (len > 1 && buf[1] != '\n'))
		return fail(p, -EPROTO, "no CRLF after a chunk");
	if (len < 2)
		return 0;
	if (!llhttp_agrees(p, buf, 2, HPE_OK))
		return fail(p, -EPROTO, "the two readings of a chunk's end differ");
	p->state = IN_CHUNK_LINE;
	return 2;
}

static ssize_t trailer(struct h1 *p, const char *buf, size_t len, const struct h1_limits *limits)
{
	const char *reason = NULL;
	ssize_t n = h1_section_end(buf, len, limits, &p->scanned, &reason);
	int r;

	if (n < 0)
		return fail(p, (int)n, reason);
	if (n == 0)
		return 0;
	r = h1_trailer(buf, (size_t)n, limits, &reason);
	if (r < 0)
		return fail(p, r, reason);
	if (!llhttp_agrees(p, buf, (size_t)n, HPE_PAUSED))
		return fail(p, -EPROTO, "the two readings of the message's end differ");
	p->scanned = 0;
	p->state = AT_END;
	return n;
}

/* As many whole pieces as BUF holds in one event. What was checked is released even if an error
 * follows it, so that the events do not depend on where the network cut. */
static ssize_t feed_chunked(struct h1 *p, const char *buf, size_t len,
			    const struct h1_limits *limits, enum h1_event *ret)
{
	size_t used = 0;
	ssize_t n = 0;

	while (used < len && p->state != AT_END) {
		const char *at = buf + used;
		size_t left = len - used;

		if (p->state == IN_CHUNK_LINE)
			n = chunk_line(p, at, left);
		else if (p->state == IN_CHUNK_DATA)
			n = chunk_data(p, at, left);
		else if (p->state == IN_CHUNK_END)
			n = chunk_end(p, at, left);
		else
			n = trailer(p, at, left, limits);
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	if (p->state == AT_END)
		return end_message(p, used, ret);
	if (n < 0 && !used)
		return n;
	*ret = used ? H1_BODY : H1_MORE;
	return (ssize_t)used;
}

static ssize_t feed_length(struct h1 *p, size_t len, enum h1_event *ret)
{
	size_t n = len < p->body_left ? len : (size_t)p->body_left;

	p->body_left -= n;
	if (!p->body_left)
		return end_message(p, n, ret);
	*ret = n ? H1_BODY : H1_MORE;
	return (ssize_t)n;
}

ssize_t h1_feed(struct h1 *p, const char *buf, size_t len, struct h1_head *head, enum h1_event *ret)
{
	if (p->error)
		return p->error;
	switch ((enum state)p->state) {
	case IN_HEAD:
		return feed_head(p, buf, len, head, ret);
	case IN_LENGTH:
		return feed_length(p, len, ret);
	case IN_REST:
		*ret = len ? H1_BODY : H1_MORE;
		return (ssize_t)len;
	case AT_END:
		return end_message(p, 0, ret);
	case SWITCHED:
		if (len)
			return fail(p, -EPROTO, "HTTP after a switch to another protocol");
		*ret = H1_MORE;
		return 0;
	case IN_CHUNK_LINE:
	case IN_CHUNK_DATA:
	case IN_CHUNK_END:
	case IN_TRAILER:
		break;
	}
	return feed_chunked(p, buf, len, &head->limits, ret);
}

int h1_finish(struct h1 *p)
{
	if (p->error)
		return p->error;
	if (h1_idle(p) || p->state == AT_END)
		return 0;
	if (p->state == IN_REST) {
		p->state = IN_HEAD;
		return 0;
	}
	return fail(p, -EPROTO, "the connection ended inside a message");
}
