/* SPDX-License-Identifier: Apache-2.0 */
/* h1_chunk.c - chunk-size lines and trailer sections (RFC 9112, section 7.1). */
#include <errno.h>
#include <string.h>
#include "sluice/array.h"
#include "sluice/hex.h"
#include "h1_grammar.h"

static const char *skip_token(const char *at)
{
	while (h1_is(*at, H1_TOKEN))
		at++;
	return at;
}

/* A quoted string without backslashes and obs-text: llhttp knows neither escape there. Returns
 * what follows it, or NULL. */
static const char *skip_quoted(const char *at)
{
	for (at++; *at != '"'; at++)
		if (!h1_is(*at, H1_VALUE) || *at == '\\' || (*at & 0x80))
			return NULL;
	return at + 1;
}

/* *( ";" token [ "=" ( token / quoted-string ) ] ), without blanks. Returns what follows. */
static const char *skip_extensions(const char *at)
{
	while (at && *at == ';') {
		const char *begin = ++at;

		at = skip_token(at);
		if (at == begin)
			return NULL;
		if (*at != '=')
			continue;
		begin = ++at;
		at = *at == '"' ? skip_quoted(at) : skip_token(at);
		if (at == begin)
			return NULL;
	}
	return at;
}

/* The line is complete: its CRLF stops every scan. */
static int read_line(const char *line, const char *end, uint64_t *size, size_t *digits,
		     const char **reason)
{
	const char *at = line;
	uint64_t n = 0;

	while (h1_is(*at, H1_HEXDIGIT) && at - line < 17)
		n = n << 4 | (unsigned)hex_value(*at++);
	if (at == line || at - line > 16) {
		*reason = "a chunk size that is not 1 to 16 hexadecimal digits";
		return -EPROTO;
	}
	if (n > INT64_MAX) {
		*reason = "a chunk size that is too large";
		return -EPROTO;
	}
	*digits = (size_t)(at - line);
	*size = n;
	at = skip_extensions(at);
	if (at != end - 2) {
		*reason = "a malformed chunk extension";
		return -EPROTO;
	}
	return 0;
}

ssize_t h1_chunk_line(const char *buf, size_t len, uint32_t *scanned, uint64_t *size,
		      size_t *digits, const char **reason)
{
	size_t limit = len < H1_CHUNK_LINE_MAX ? len : H1_CHUNK_LINE_MAX;
	size_t from = *scanned <= limit ? *scanned : 0;
	const char *lf = memchr(buf + from, '\n', limit - from);
	int r;

	if (!h1_is(buf[0], H1_HEXDIGIT)) {
		*reason = "a chunk size that is not 1 to 16 hexadecimal digits";
		return -EPROTO;
	}
	if (!lf) {
		*scanned = (uint32_t)limit;
		if (len < H1_CHUNK_LINE_MAX)
			return 0;
		*reason = "a chunk-size line over the limit";
		return -EMSGSIZE;
	}
	if (lf[-1] != '\r') {
		*reason = "a bare LF";
		return -EPROTO;
	}
	r = read_line(buf, lf + 1, size, digits, reason);
	return r < 0 ? r : lf + 1 - buf;
}

/* What a recipient might merge into the head, and must not (RFC 9110, section 6.5.1): framing,
 * routing, what the connection does next, who asks, and how the content is to be read. */
bool h1_trailer_forbids(struct span name)
{
	static const struct span names[] = {
		SPAN_LITERAL("content-length"),
		SPAN_LITERAL("transfer-encoding"),
		SPAN_LITERAL("content_length"),
		SPAN_LITERAL("transfer_encoding"),
		SPAN_LITERAL("host"),
		SPAN_LITERAL("connection"),
		SPAN_LITERAL("proxy-connection"),
		SPAN_LITERAL("keep-alive"),
		SPAN_LITERAL("upgrade"),
		SPAN_LITERAL("trailer"),
		SPAN_LITERAL("te"),
		SPAN_LITERAL("expect"),
		SPAN_LITERAL("max-forwards"),
		SPAN_LITERAL("authorization"),
		SPAN_LITERAL("proxy-authenticate"),
		SPAN_LITERAL("proxy-authorization"),
		SPAN_LITERAL("www-authenticate"),
		SPAN_LITERAL("cookie"),
		SPAN_LITERAL("set-cookie"),
		SPAN_LITERAL("content-encoding"),
		SPAN_LITERAL("content-type"),
		SPAN_LITERAL("content-range"),
		SPAN_LITERAL("range"),
		SPAN_LITERAL("location"),
		SPAN_LITERAL("forwarded"),
		SPAN_LITERAL("x-forwarded-for"),
		SPAN_LITERAL("x-forwarded-host"),
		SPAN_LITERAL("x-forwarded-proto"),
		SPAN_LITERAL("x-original-url"),
		SPAN_LITERAL("x-rewrite-url"),
		SPAN_LITERAL("x-http-method-override"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (span_eq_nocase(name, names[i]))
			return true;
	return false;
}

int h1_trailer(const char *buf, size_t len, const struct h1_limits *limits, const char **reason)
{
	const char *at = buf, *end = buf + len;
	struct header field;

	for (size_t n = 0; at < end - 2; n++) {
		if (n == h1_fields_max(limits)) {
			*reason = "too many trailer fields";
			return -EMSGSIZE;
		}
		at = h1_field_line(at, &field, reason);
		if (!at)
			return -EPROTO;
		if (h1_trailer_forbids(field.name)) {
			*reason = "a field in a trailer that belongs in the head";
			return -EPROTO;
		}
	}
	return 0;
}
