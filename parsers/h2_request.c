/* SPDX-License-Identifier: Apache-2.0 */
/* What the fields of a header block say: the request that is judged, trailers, a status. */
#include <errno.h>
#include <string.h>
#include "h1_grammar.h"
#include "h2.h"
#include "sluice/array.h"

static int refuse(const char **reason, const char *why)
{
	*reason = why;
	return -EPROTO;
}

static bool is(struct span text, const char *literal)
{
	return span_eq(text, span_of(literal));
}

static bool is_pseudo(const struct header *h)
{
	return h->name.len > 0 && h->name.ptr[0] == ':';
}

static bool is_binary(struct span name)
{
	static const struct span suffix = SPAN_LITERAL("-bin");

	return name.len > suffix.len &&
	       span_eq((struct span){ name.ptr + name.len - suffix.len, suffix.len }, suffix);
}

/* The characters of a name and a value, by nghttp2's own tables. */
static int check_characters(const struct h2_head *head, const struct header *h, const char **reason)
{
	if (!nghttp2_check_header_name((const uint8_t *)h->name.ptr, h->name.len))
		return refuse(reason, "a field name with characters that are not allowed");
	if (!(head->binary && is_binary(h->name)) &&
	    !nghttp2_check_header_value_rfc9113((const uint8_t *)h->value.ptr, h->value.len))
		return refuse(reason, "a field value with characters that are not allowed");
	return 0;
}

/* Fields that HTTP/2 does not have (RFC 9113, section 8.2.2). */
static int check_connection(const struct header *h, const char **reason)
{
	static const char *const names[] = {
		"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (is(h->name, names[i]))
			return refuse(reason, "a field of the connection");
	if (is(h->name, "te") && !span_eq_nocase(h->value, SPAN_LITERAL("trailers")))
		return refuse(reason, "a TE field that is not \"trailers\"");
	return 0;
}

/* Where the value of a pseudo-header goes, or NULL. */
static struct span *pseudo_place(struct h2_head *head, struct span name)
{
	if (is(name, ":method"))
		return &head->req.method;
	if (is(name, ":path"))
		return &head->req.path;
	if (is(name, ":authority"))
		return &head->req.authority;
	if (is(name, ":scheme"))
		return &head->scheme;
	if (is(name, ":protocol"))
		return &head->protocol;
	return NULL;
}

static int read_pseudo(struct h2_head *head, const char **reason)
{
	for (; head->n_pseudo < head->n_fields; head->n_pseudo++) {
		const struct header *h = &head->fields[head->n_pseudo];
		struct span *place;
		int r;

		if (!is_pseudo(h))
			break;
		place = pseudo_place(head, h->name);
		if (!place)
			return refuse(reason, "a pseudo-header that requests do not have");
		if (place->ptr)
			return refuse(reason, "a pseudo-header twice");
		r = check_characters(head, h, reason);
		if (r < 0)
			return r;
		if (h->value.len == 0)
			return refuse(reason, "an empty pseudo-header");
		*place = h->value;
	}
	return 0;
}

static bool all_in(struct span text, unsigned classes)
{
	for (size_t i = 0; i < text.len; i++)
		if (!h1_is(text.ptr[i], classes))
			return false;
	return true;
}

static int check_path(const struct h2_head *head, const char **reason)
{
	struct span path = head->req.path;

	if (is(path, "*"))
		return is(head->req.method, "OPTIONS")
			       ? 0
			       : refuse(reason, "\"*\" for another method than OPTIONS");
	if (path.ptr[0] != '/' || !all_in(path, H1_TARGET))
		return refuse(reason, "a path that does not begin with a slash, or has "
				      "characters that are not allowed");
	return 0;
}

static int check_target(struct h2_head *head, const char **reason)
{
	if (!head->req.method.ptr || !all_in(head->req.method, H1_TOKEN))
		return refuse(reason, "no method, or one that is not a token");
	head->connect = is(head->req.method, "CONNECT") && !head->protocol.ptr;
	if (head->connect) {
		if (head->scheme.ptr || head->req.path.ptr)
			return refuse(reason, "CONNECT with a scheme or a path");
		return 0;
	}
	if (head->protocol.ptr && !is(head->req.method, "CONNECT"))
		return refuse(reason, "a :protocol without CONNECT");
	if (!head->scheme.ptr || !head->req.path.ptr)
		return refuse(reason, "no scheme or no path");
	if (!is(head->scheme, "http") && !is(head->scheme, "https"))
		return refuse(reason, "a scheme that is neither http nor https");
	return check_path(head, reason);
}

static int check_authority(struct h2_head *head, const struct h1_facts *facts, const char **reason)
{
	if (facts->n_host > 1)
		return refuse(reason, "two Host fields");
	if (!head->req.authority.ptr) {
		if (!facts->n_host || head->connect)
			return refuse(reason, "no authority");
		head->req.authority = facts->host;
	} else if (facts->n_host && !span_eq_nocase(facts->host, head->req.authority)) {
		return refuse(reason, "a Host field that differs from :authority");
	}
	if (!h1_authority_valid(head->req.authority, head->connect))
		return refuse(reason, "an authority that is not a name or address with a port");
	return 0;
}

/* The cookies in one field, as they were before the client split them (section 8.2.3). */
static void join_cookies(struct h2_head *head, struct header *first)
{
	char *begin = head->text + head->text_len;
	bool many = false;

	for (size_t i = head->n_pseudo; i < head->n_fields; i++) {
		const struct header *h = &head->fields[i];

		if (!is(h->name, "cookie"))
			continue;
		if (many) {
			memcpy(head->text + head->text_len, "; ", 2);
			head->text_len += 2;
		}
		if (h->value.len > 0)
			memcpy(head->text + head->text_len, h->value.ptr, h->value.len);
		head->text_len += h->value.len;
		many = true;
	}
	first->value = (struct span){ begin, (size_t)(head->text + head->text_len - begin) };
}

static int read_field(struct h2_head *head, const struct header *h, struct h1_facts *facts,
		      const char **reason)
{
	int r;

	if (is_pseudo(h))
		return refuse(reason, "a pseudo-header behind a field");
	r = check_characters(head, h, reason);
	if (r == 0)
		r = check_connection(h, reason);
	if (r == 0)
		r = h1_note_field(facts, h, reason);
	if (r == 0 && is(h->name, "content-type"))
		head->grpc = grpc_kind_of(h->value);
	return r;
}

int h2_read_request(struct h2_head *head, const char **reason)
{
	struct h1_facts facts = { 0 };
	struct header *cookie = NULL;
	size_t n = 0;
	int r;

	head->req = (struct request){ .headers = head->headers };
	head->scheme = head->protocol = (struct span){ 0 };
	head->n_pseudo = 0;
	head->grpc = GRPC_NONE;
	head->connect = head->has_length = false;
	r = read_pseudo(head, reason);
	if (r < 0)
		return r;
	for (size_t i = head->n_pseudo; i < head->n_fields; i++) {
		const struct header *h = &head->fields[i];

		r = read_field(head, h, &facts, reason);
		if (r < 0)
			return r;
		if (is(h->name, "cookie")) {
			if (cookie)
				continue;
			cookie = &head->headers[n];
		}
		head->headers[n++] = *h;
	}
	if (cookie)
		join_cookies(head, cookie);
	head->req.n_headers = n;
	head->has_length = facts.n_length > 0;
	head->content_length = facts.content_length;
	r = check_target(head, reason);
	if (r == 0)
		r = check_authority(head, &facts, reason);
	/* To rules on headers the authority is Host, as in HTTP/1. There is room: a request has two
	 * pseudo-headers at least. */
	if (r == 0 && !facts.n_host)
		head->headers[head->req.n_headers++] =
			(struct header){ SPAN_LITERAL("host"), head->req.authority };
	return r;
}

int h2_read_trailers(const struct h2_head *head, const char **reason)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		const struct header *h = &head->fields[i];
		int r;

		if (is_pseudo(h))
			return refuse(reason, "a pseudo-header in trailers");
		r = check_characters(head, h, reason);
		if (r < 0)
			return r;
		if (h1_trailer_forbids(h->name))
			return refuse(reason, "a field in a trailer that belongs in the head");
	}
	return 0;
}

unsigned h2_status(const struct h2_head *head)
{
	const struct header *h = h2_find(head, ":status");

	if (!h || h->value.len != 3 || !all_in(h->value, H1_DIGIT) || h->value.ptr[0] < '1')
		return 0;
	return (unsigned)(h->value.ptr[0] - '0') * 100 + (unsigned)(h->value.ptr[1] - '0') * 10 +
	       (unsigned)(h->value.ptr[2] - '0');
}

const struct header *h2_find(const struct h2_head *head, const char *name)
{
	for (size_t i = 0; i < head->n_fields; i++)
		if (is(head->fields[i].name, name))
			return &head->fields[i];
	return NULL;
}
