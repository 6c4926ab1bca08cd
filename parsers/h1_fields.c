/* SPDX-License-Identifier: Apache-2.0 */
/* h1_fields.c - what the fields of a head say about framing and routing. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "h1_grammar.h"

static int refuse(const char **reason, const char *why)
{
	*reason = why;
	return -EPROTO;
}

static bool is(struct span text, const char *literal)
{
	return span_eq_nocase(text, span_of(literal));
}

static struct span trim(struct span text)
{
	while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
		text.ptr++;
		text.len--;
	}
	while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
		text.len--;
	return text;
}

/* One element of Connection. It names fields that the next proxy takes out; one that names a
 * framing field would change where that proxy sees the message end. */
static int note_connection(struct h1_facts *f, struct span token, const char **reason)
{
	for (size_t i = 0; i < token.len; i++)
		if (!h1_is(token.ptr[i], H1_TOKEN))
			return refuse(reason, "a Connection field that is not a list of tokens");
	if (is(token, "close"))
		f->close = true;
	else if (is(token, "keep-alive"))
		f->keep_alive = true;
	else if (is(token, "upgrade"))
		f->upgrade_token = true;
	else if (is(token, "content-length") || is(token, "transfer-encoding") || is(token, "host"))
		return refuse(reason, "a Connection field that names a framing field");
	return 0;
}

static int note_connection_list(struct h1_facts *f, struct span list, const char **reason)
{
	while (list.len) {
		const char *comma = memchr(list.ptr, ',', list.len);
		size_t n = comma ? (size_t)(comma - list.ptr) : list.len;
		int r = note_connection(f, trim((struct span){ list.ptr, n }), reason);

		if (r < 0)
			return r;
		n += comma != NULL;
		list.ptr += n;
		list.len -= n;
	}
	return 0;
}

/* Digits only, no leading zero (some read octal), at most 2^63-1. */
static int note_length(struct h1_facts *f, struct span value, const char **reason)
{
	uint64_t n = 0;

	if (f->n_length++)
		return refuse(reason, "two Content-Length fields");
	if (!value.len)
		return refuse(reason, "an empty Content-Length");
	if (value.len > 1 && value.ptr[0] == '0')
		return refuse(reason, "a Content-Length with leading zeros");
	for (size_t i = 0; i < value.len; i++) {
		if (!h1_is(value.ptr[i], H1_DIGIT))
			return refuse(reason, "a Content-Length that is not a number");
		if (n > (INT64_MAX - 9) / 10 && (n > INT64_MAX / 10 || value.ptr[i] > '7'))
			return refuse(reason, "a Content-Length that is too large");
		n = n * 10 + (uint64_t)(value.ptr[i] - '0');
	}
	f->content_length = n;
	return 0;
}

static void note_once(uint8_t *count, struct span *where, struct span value)
{
	if (*count < 2)
		(*count)++;
	*where = value;
}

int h1_note_field(struct h1_facts *f, const struct header *h, const char **reason)
{
	struct span name = h->name;

	switch (name.len) {
	case 4:
		if (is(name, "host"))
			note_once(&f->n_host, &f->host, h->value);
		break;
	case 6:
		if (is(name, "expect"))
			note_once(&f->n_expect, &f->expect, h->value);
		break;
	case 7:
		if (is(name, "upgrade"))
			note_once(&f->n_upgrade, &f->upgrade, h->value);
		break;
	case 10:
		if (is(name, "connection"))
			return note_connection_list(f, h->value, reason);
		break;
	case 14:
		if (is(name, "content-length"))
			return note_length(f, h->value, reason);
		if (is(name, "content_length"))
			return refuse(reason, "a Content_Length field");
		break;
	case 17:
		if (is(name, "transfer-encoding"))
			note_once(&f->n_coding, &f->coding, h->value);
		if (is(name, "transfer_encoding"))
			return refuse(reason, "a Transfer_Encoding field");
		break;
	default:
		break;
	}
	return 0;
}

/* ":" and one to five digits up to 65535; nothing at all unless NEEDED. */
static bool port_valid(const char *at, const char *end, bool needed)
{
	unsigned port = 0;

	if (at == end)
		return !needed;
	if (*at != ':' || end - at < 2 || end - at > 6)
		return false;
	while (++at < end) {
		if (!h1_is(*at, H1_DIGIT))
			return false;
		port = port * 10 + (unsigned)(*at - '0');
	}
	return port <= 65535;
}

/* "[address]" or "[address%zone]" from AT. Returns what follows it, or NULL. */
static const char *ipv6_end(const char *at, const char *end)
{
	const char *close = memchr(at, ']', (size_t)(end - at)), *zone;
	unsigned char ip[16];
	char text[INET6_ADDRSTRLEN];

	if (!close)
		return NULL;
	at++;
	zone = memchr(at, '%', (size_t)(close - at));
	if (zone && zone + 1 == close)
		return NULL;
	for (const char *c = zone ? zone + 1 : close; c < close; c++)
		if (!h1_is(*c, H1_NAME) && *c != '%')
			return NULL;
	if (!zone)
		zone = close;
	if ((size_t)(zone - at) >= sizeof(text))
		return NULL;
	memcpy(text, at, (size_t)(zone - at));
	text[zone - at] = '\0';
	return inet_pton(AF_INET6, text, ip) == 1 ? close + 1 : NULL;
}

bool h1_authority_valid(struct span authority, bool needs_port)
{
	const char *at = authority.ptr, *end = at + authority.len;

	if (!authority.len)
		return false;
	if (*at == '[')
		at = ipv6_end(at, end);
	else
		while (at < end && h1_is(*at, H1_NAME))
			at++;
	if (!at || at == authority.ptr)
		return false;
	return port_valid(at, end, needs_port);
}

/* Content-Length and Transfer-Encoding, alike in requests and responses. */
static int copy_framing(const struct h1_facts *f, struct h1_head *head, const char **reason)
{
	if (f->n_coding) {
		if (f->n_length)
			return refuse(reason, "both Content-Length and Transfer-Encoding");
		if (f->n_coding > 1)
			return refuse(reason, "two Transfer-Encoding fields");
		if (!is(f->coding, "chunked"))
			return refuse(reason, "a Transfer-Encoding other than chunked");
		if (head->version == 10)
			return refuse(reason, "Transfer-Encoding in HTTP/1.0");
		head->chunked = true;
	}
	head->has_length = f->n_length != 0;
	head->content_length = f->content_length;
	return 0;
}

static void copy_connection(const struct h1_facts *f, struct h1_head *head)
{
	head->keep_alive = !f->close && (head->version == 11 || f->keep_alive);
	if (!f->n_upgrade)
		return;
	/* Without the Connection token it should be ignored; not every server does. */
	head->upgrade = H1_UPGRADE_OTHER;
	if (f->upgrade_token && head->version == 11 && f->n_upgrade == 1 &&
	    is(f->upgrade, "websocket"))
		head->upgrade = H1_UPGRADE_WEBSOCKET;
}

static int check_authority(const struct h1_facts *f, struct h1_head *head, const char **reason)
{
	if (f->n_host > 1)
		return refuse(reason, "two Host fields");
	if (!f->n_host)
		return head->version == 11 ? refuse(reason, "no Host field") : 0;
	if (!h1_authority_valid(f->host, false))
		return refuse(reason, "an invalid Host");
	if (!head->req.authority.len)
		head->req.authority = f->host;
	else if (!span_eq_nocase(head->req.authority, f->host))
		return refuse(reason, "a target whose authority differs from Host");
	return 0;
}

/* RFC 9110, sections 9.3.1, 9.3.2, 9.3.8: content in these has no meaning, and may be refused as
 * the smuggling attempt that it can be: servers that never read it take it for the next request. */
static bool is_without_content(struct span method)
{
	return span_eq(method, SPAN_LITERAL("GET")) || span_eq(method, SPAN_LITERAL("HEAD")) ||
	       span_eq(method, SPAN_LITERAL("TRACE"));
}

int h1_request_facts(const struct h1_facts *f, struct h1_head *head, const char **reason)
{
	int r = check_authority(f, head, reason);

	if (r < 0)
		return r;
	r = copy_framing(f, head, reason);
	if (r < 0)
		return r;
	if (head->connect && (head->chunked || head->has_length))
		return refuse(reason, "CONNECT with a body");
	if (is_without_content(head->req.method) &&
	    (head->chunked || (head->has_length && head->content_length > 0)))
		return refuse(reason, "a body in a request whose method has none");
	copy_connection(f, head);
	if (f->n_expect) {
		if (f->n_expect > 1 || !is(f->expect, "100-continue"))
			return refuse(reason, "an expectation other than 100-continue");
		/* RFC 9110, section 10.1.1: ignored in HTTP/1.0. */
		head->expect_continue = head->version == 11;
	}
	return 0;
}

bool h1_response_bodiless(uint16_t status, bool answers_head, bool answers_connect)
{
	return answers_head || status < 200 || status == 204 || status == 304 ||
	       (answers_connect && status < 300);
}

int h1_response_facts(const struct h1_facts *f, struct h1_head *head, bool answers_head,
		      bool answers_connect, const char **reason)
{
	int r = copy_framing(f, head, reason);

	if (r < 0)
		return r;
	copy_connection(f, head);
	if (!h1_response_bodiless(head->status, answers_head, answers_connect)) {
		head->until_close = !head->chunked && !head->has_length;
		head->keep_alive = head->keep_alive && !head->until_close;
		return 0;
	}
	/* HEAD and 304 tell what GET would; elsewhere some clients would read the announced body.
	 */
	if (!answers_head && head->status != 304 && (head->chunked || head->content_length))
		return refuse(reason, "a body announced where none can be");
	return 0;
}
