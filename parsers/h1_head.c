/* SPDX-License-Identifier: Apache-2.0 */
/* h1_head.c - lines: where a head ends, its start line, its field lines. What the fields mean is
 * h1_fields.c. */
#include <errno.h>
#include <string.h>
#include "sluice/array.h"
#include "h1_grammar.h"

/* The new bytes of an incomplete section, from FROM on: nothing that can never become valid. The
 * byte before FROM may be a CR that waited for its LF. */
static int check_text(const char *buf, size_t from, size_t len, const char **reason)
{
	for (size_t i = from ? from - 1 : 0; i < len; i++) {
		if (h1_is(buf[i], H1_VALUE) || buf[i] == '\n')
			continue;
		if (buf[i] == '\r' && (i + 1 == len || buf[i + 1] == '\n'))
			continue;
		*reason = buf[i] == '\r' ? "a bare CR" : "a control character";
		return -EPROTO;
	}
	return 0;
}

static size_t size_max(const struct h1_limits *limits)
{
	return limits->head_size && limits->head_size < H1_HEAD_MAX ? limits->head_size
								    : H1_HEAD_MAX;
}

ssize_t h1_section_end(const char *buf, size_t len, const struct h1_limits *limits,
		       uint32_t *scanned, const char **reason)
{
	size_t most = size_max(limits), limit = len < most ? len : most, at = *scanned;
	const char *lf;

	while (at < limit && (lf = memchr(buf + at, '\n', limit - at))) {
		at = (size_t)(lf - buf) + 1;
		if (at < 2 || buf[at - 2] != '\r') {
			*reason = "a bare LF";
			return -EPROTO;
		}
		if (at == 2 || buf[at - 3] == '\n')
			return (ssize_t)at;
	}
	if (check_text(buf, *scanned, limit, reason) < 0)
		return -EPROTO;
	*scanned = (uint32_t)limit;
	if (len >= most) {
		*reason = "a head or trailer section over the limit";
		return -EMSGSIZE;
	}
	return 0;
}

static const char *bad_name(const char *name, const char *at)
{
	if (*at == ' ' || *at == '\t')
		return at == name ? "a folded field line" : "a blank before the colon";
	if (*at == ':')
		return "an empty field name";
	return "a byte in a field name that is not allowed";
}

const char *h1_field_line(const char *at, struct header *ret, const char **reason)
{
	const char *name = at, *value, *end;

	while (h1_is(*at, H1_TOKEN))
		at++;
	if (*at != ':' || at == name) {
		*reason = bad_name(name, at);
		return NULL;
	}
	ret->name = (struct span){ name, (size_t)(at - name) };
	at++;
	while (*at == ' ' || *at == '\t')
		at++;
	value = at;
	while (h1_is(*at, H1_VALUE))
		at++;
	if (at[0] != '\r' || at[1] != '\n') {
		*reason = at[0] == '\r' ? "a bare CR" : "a control character in a field value";
		return NULL;
	}
	end = at;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	ret->value = (struct span){ value, (size_t)(end - value) };
	return at + 2;
}

/* All field lines from AT to the empty line that ends the section at END. */
static int read_fields(const char *at, const char *end, struct h1_head *head,
		       struct h1_facts *facts, const char **reason)
{
	size_t n = 0;
	int r;

	while (at < end - 2) {
		if (n == h1_fields_max(&head->limits)) {
			*reason = "too many header fields";
			return -EMSGSIZE;
		}
		at = h1_field_line(at, &head->fields[n], reason);
		if (!at)
			return -EPROTO;
		r = h1_note_field(facts, &head->fields[n], reason);
		if (r < 0)
			return r;
		n++;
	}
	head->req.headers = head->fields;
	head->req.n_headers = n;
	return 0;
}

/* llhttp's own list of methods for HTTP, so that both know the same. PRI is not one of them. */
static int find_method(struct span name)
{
#define METHOD(number, symbol, text) { number, sizeof(#text) - 1, #text },
	static const struct {
		uint8_t number, len;
		char name[14];
	} methods[] = { HTTP_METHOD_MAP(METHOD) };
#undef METHOD

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (methods[i].len == name.len && !memcmp(methods[i].name, name.ptr, name.len))
			return methods[i].number;
	return -1;
}

/* "HTTP/1.0" or "HTTP/1.1" at AT: 10 or 11, else 0. */
static uint8_t read_version(const char *at, const char *end)
{
	if (end - at < 8 || memcmp(at, "HTTP/1.", 7) != 0)
		return 0;
	if (at[7] == '0')
		return 10;
	return at[7] == '1' ? 11 : 0;
}

static const char *bad_target(const char *target, const char *at)
{
	if (*at == ' ')
		return "blanks doubled in the request line";
	if (*at == '#')
		return "a fragment in the target";
	if (*at == '\r' && at[1] != '\n')
		return "a bare CR";
	if (*at == '\r')
		return at == target ? "no target" : "no version";
	return "a byte in the target that is not allowed";
}

/* "method SP target SP version CRLF", with single blanks. Returns the begin of the next line. */
static const char *request_line(const char *at, const char *end, struct h1_head *head,
				struct span *target, const char **reason)
{
	const char *begin = at;

	while (h1_is(*at, H1_TOKEN))
		at++;
	head->req.method = (struct span){ begin, (size_t)(at - begin) };
	if (at == begin || *at != ' ') {
		*reason = "no method";
		return NULL;
	}
	begin = ++at;
	while (h1_is(*at, H1_TARGET))
		at++;
	*target = (struct span){ begin, (size_t)(at - begin) };
	if (at == begin || *at != ' ') {
		*reason = bad_target(begin, at);
		return NULL;
	}
	at++;
	head->version = read_version(at, end);
	if (!head->version || memcmp(at + 8, "\r\n", 2) != 0) {
		*reason = *at == ' ' ? "blanks doubled in the request line"
				     : "a version other than HTTP/1.0 and HTTP/1.1";
		return NULL;
	}
	return at + 10;
}

/* "http://authority/path?query": the only schemes there are, in any case. */
static int absolute_form(struct h1_head *head, struct span target, const char **reason)
{
	const char *at, *end = target.ptr + target.len;

	if (target.len > 7 && strncasecmp(target.ptr, "http://", 7) == 0)
		at = target.ptr + 7;
	else if (target.len > 8 && strncasecmp(target.ptr, "https://", 8) == 0)
		at = target.ptr + 8;
	else {
		*reason = "a target that is neither a path nor an http URL";
		return -EPROTO;
	}
	head->req.authority.ptr = at;
	while (at < end && *at != '/' && *at != '?')
		at++;
	head->req.authority.len = (size_t)(at - head->req.authority.ptr);
	if (!h1_authority_valid(head->req.authority, false)) {
		*reason = "an invalid authority in the target";
		return -EPROTO;
	}
	if (at < end && *at == '?') {
		/* Servers put the missing slash before it or refuse it. */
		*reason = "a query without a path in the target";
		return -EPROTO;
	}
	head->req.path = at < end ? (struct span){ at, (size_t)(end - at) } : SPAN_LITERAL("/");
	return 0;
}

/* The four forms of RFC 9112, section 3.2, told apart by method and first byte. */
static int read_target(struct h1_head *head, struct span target, uint8_t method,
		       const char **reason)
{
	if (method == HTTP_CONNECT) {
		head->connect = true;
		head->req.authority = target;
		head->req.path = SPAN_LITERAL("");
		if (h1_authority_valid(target, true))
			return 0;
		*reason = "CONNECT with a target other than host:port";
		return -EPROTO;
	}
	head->req.path = target;
	if (target.ptr[0] == '/')
		return 0;
	if (target.len == 1 && target.ptr[0] == '*') {
		if (method == HTTP_OPTIONS)
			return 0;
		*reason = "the target * with a method other than OPTIONS";
		return -EPROTO;
	}
	return absolute_form(head, target, reason);
}

/* Everything but the array of fields, which is large and has its own count. */
static void begin_head(struct h1_head *head, const char *buf, size_t len)
{
	head->raw = (struct span){ buf, len };
	head->version = 0;
	head->status = 0;
	head->keep_alive = head->chunked = head->has_length = head->until_close = false;
	head->expect_continue = head->connect = head->head = false;
	head->upgrade = H1_UPGRADE_NONE;
	head->content_length = 0;
	head->req = (struct request){ .headers = head->fields };
}

int h1_request_head(const char *buf, size_t len, struct h1_head *head, uint8_t *method,
		    const char **reason)
{
	struct h1_facts facts = { .close = false };
	const char *end = buf + len, *at;
	struct span target;
	int r;

	begin_head(head, buf, len);
	at = request_line(buf, end, head, &target, reason);
	if (!at)
		return -EPROTO;
	r = find_method(head->req.method);
	if (r < 0) {
		*reason = "an unknown method";
		return -EPROTO;
	}
	*method = (uint8_t)r;
	head->head = r == HTTP_HEAD;
	r = read_target(head, target, *method, reason);
	if (r < 0)
		return r;
	r = read_fields(at, end, head, &facts, reason);
	if (r < 0)
		return r;
	return h1_request_facts(&facts, head, reason);
}

/* "version SP 3DIGIT [SP reason] CRLF". Returns the begin of the next line. */
static const char *status_line(const char *at, const char *end, struct h1_head *head,
			       const char **reason)
{
	head->version = read_version(at, end);
	if (!head->version || at[8] != ' ') {
		*reason = "a version other than HTTP/1.0 and HTTP/1.1";
		return NULL;
	}
	at += 9;
	for (int i = 0; i < 3; i++, at++) {
		if (!h1_is(*at, H1_DIGIT)) {
			*reason = "a status that is not three digits";
			return NULL;
		}
		head->status = (uint16_t)(head->status * 10 + (*at - '0'));
	}
	if (head->status < 100 || (*at != ' ' && *at != '\r')) {
		*reason = "a status that is not three digits";
		return NULL;
	}
	while (h1_is(*at, H1_VALUE))
		at++;
	if (at[0] != '\r' || at[1] != '\n') {
		*reason = "a control character in the status line";
		return NULL;
	}
	return at + 2;
}

int h1_response_head(const char *buf, size_t len, struct h1_head *head, bool answers_head,
		     bool answers_connect, const char **reason)
{
	struct h1_facts facts = { .close = false };
	const char *end = buf + len, *at;
	int r;

	begin_head(head, buf, len);
	at = status_line(buf, end, head, reason);
	if (!at)
		return -EPROTO;
	r = read_fields(at, end, head, &facts, reason);
	if (r < 0)
		return r;
	return h1_response_facts(&facts, head, answers_head, answers_connect, reason);
}
