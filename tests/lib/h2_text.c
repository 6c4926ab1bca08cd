/* SPDX-License-Identifier: Apache-2.0 */
#include "h2_text.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "require.h"
#include "sluice/array.h"

static const char *const types[] = { "DATA", "HEADERS", "PRIORITY", "RST",    "SETTINGS",
				     "PUSH", "PING",	"GOAWAY",   "WINDOW", "CONT" };

static const struct {
	char letter;
	uint8_t bit;
} flags[] = { { 'e', 1 }, { 'a', 1 }, { 'h', 4 }, { 'p', 8 }, { 'r', 0x20 } };

/* --- text to frames --- */

static void add_byte(struct bytes *to, unsigned byte)
{
	uint8_t b = (uint8_t)byte;

	bytes_add(to, &b, 1);
}

static void add_number(struct bytes *to, uint32_t n, unsigned bytes)
{
	while (bytes-- > 0)
		add_byte(to, n >> (8 * bytes));
}

static void add_integer(struct bytes *to, unsigned opcode, unsigned bits, size_t n)
{
	size_t mask = (1u << bits) - 1;

	if (n < mask) {
		add_byte(to, opcode | (unsigned)n);
		return;
	}
	add_byte(to, opcode | (unsigned)mask);
	for (n -= mask; n >= 128; n /= 128)
		add_byte(to, 128 | n % 128);
	add_byte(to, (unsigned)n);
}

static unsigned hex_at(const char *at)
{
	char text[3] = { at[0], at[1], 0 };
	char *end;
	unsigned long n = strtoul(text, &end, 16);

	REQUIRE(*end == '\0');
	return (unsigned)n;
}

/* LEN bytes of text with its braces expanded. */
static void add_text(struct bytes *to, const char *at, size_t len)
{
	const char *end = at + len;

	while (at < end) {
		const char *close = *at == '{' ? memchr(at, '}', (size_t)(end - at)) : NULL;
		const char *star;

		if (!close) {
			bytes_add(to, at++, 1);
			continue;
		}
		star = memchr(at, '*', (size_t)(close - at));
		if (star) {
			for (long n = strtol(at + 1, NULL, 10); n > 0; n--)
				bytes_add(to, star + 1, (size_t)(close - star - 1));
		} else {
			add_byte(to, hex_at(at + 1));
		}
		at = close + 1;
	}
}

static void add_string(struct bytes *to, const char *at, size_t len)
{
	struct bytes text = { 0 };

	add_text(&text, at, len);
	add_integer(to, 0, 7, text.len);
	if (text.len > 0)
		bytes_add(to, text.data, text.len);
	bytes_free(&text);
}

static void add_field(struct bytes *to, unsigned opcode, unsigned bits, const char *at, size_t len)
{
	const char *equals = memchr(at, '=', len);

	REQUIRE(equals);
	add_integer(to, opcode, bits, 0);
	add_string(to, at, (size_t)(equals - at));
	add_string(to, equals + 1, len - (size_t)(equals + 1 - at));
}

/* Returns the length that the item wants the header to have, or -1. */
static long add_item(struct bytes *to, const char *at, size_t len)
{
	char *after;

	switch (*at) {
	case '+':
		add_field(to, 0x40, 6, at + 1, len - 1);
		break;
	case '!':
		add_field(to, 0x10, 4, at + 1, len - 1);
		break;
	case '#':
		add_integer(to, 0x80, 7, strtoul(at + 1, NULL, 10));
		break;
	case '^':
		add_integer(to, 0x20, 5, strtoul(at + 1, NULL, 10));
		break;
	case '@':
		add_number(to, (uint32_t)strtoul(at + 1, &after, 10), 2);
		add_number(to, (uint32_t)strtoul(after + 1, NULL, 10), 4);
		break;
	case '%':
		add_number(to, (uint32_t)strtoul(at + 1, NULL, 10), 4);
		break;
	case '$':
		for (size_t i = 1; i + 1 < len; i += 2)
			add_byte(to, hex_at(at + i));
		break;
	case '"':
		add_text(to, at + 1, len - 1);
		break;
	case '*':
		for (long n = strtol(at + 1, NULL, 10); n > 0; n--)
			add_byte(to, 'x');
		break;
	case '~':
		return strtol(at + 1, NULL, 10);
	default:
		add_field(to, 0, 4, at, len);
	}
	return -1;
}

static unsigned type_of(const char *name, size_t len)
{
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		if (strlen(types[i]) == len && memcmp(types[i], name, len) == 0)
			return i;
	REQUIRE(len == 3 && name[0] == 'X');
	return hex_at(name + 1);
}

static unsigned flags_of(const char *at, size_t len)
{
	unsigned bits = 0;

	for (size_t n = 0; n < len; n++)
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
			if (flags[i].letter == at[n])
				bits |= flags[i].bit;
	return bits;
}

static size_t word_len(const char *at, const char *end)
{
	const char *blank = memchr(at, ' ', (size_t)(end - at));

	return (size_t)((blank ? blank : end) - at);
}

static void compile_line(const char *at, const char *end, uint32_t stream, struct bytes *to)
{
	struct bytes body = { 0 };
	const char *word[3];
	size_t lens[3];
	long length = -1;

	for (int i = 0; i < 3; i++) {
		word[i] = at;
		lens[i] = word_len(at, end);
		at += lens[i] + (at + lens[i] < end);
	}
	while (at < end) {
		const char *bar = memchr(at, '|', (size_t)(end - at));
		size_t len = (size_t)((bar ? bar : end) - at);
		long wanted = len ? add_item(&body, at, len) : -1;

		if (wanted >= 0)
			length = wanted;
		at += len + (bar != NULL);
	}
	add_number(to, length >= 0 ? (uint32_t)length : (uint32_t)body.len, 3);
	add_byte(to, type_of(word[0], lens[0]));
	add_byte(to, flags_of(word[2], lens[2]));
	add_number(to, *word[1] == '$' ? stream : (uint32_t)strtoul(word[1], NULL, 10), 4);
	if (body.len > 0)
		bytes_add(to, body.data, body.len);
	bytes_free(&body);
}

void h2_text_compile(const char *text, uint32_t stream, struct bytes *to)
{
	while (*text) {
		const char *end = strchr(text, '\n');

		REQUIRE(end);
		if (end - text == 3 && memcmp(text, "PRI", 3) == 0)
			bytes_add(to, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
		else if (end > text)
			compile_line(text, end, stream, to);
		text = end + 1;
	}
}

/* --- frames to text --- */

static void say(struct h2_reader *r, const char *text)
{
	bytes_add(&r->lines, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void sayf(struct h2_reader *r, const char *format, ...)
{
	char buf[128];
	va_list ap;

	va_start(ap, format);
	vsnprintf(buf, sizeof(buf), format, ap); /* NOLINT(clang-analyzer-valist.Uninitialized) */
	va_end(ap);
	say(r, buf);
}

static uint32_t number_at(const char *at, unsigned bytes)
{
	uint32_t n = 0;

	while (bytes-- > 0)
		n = n << 8 | (uint8_t)*at++;
	return n;
}

static void say_begin(struct h2_reader *r, const char *frame)
{
	unsigned type = (uint8_t)frame[3], bits = (uint8_t)frame[4];

	if (type < ARRAY_SIZE(types))
		say(r, types[type]);
	else
		sayf(r, "X%02x", type);
	sayf(r, " %u ", number_at(frame + 5, 4) & 0x7fffffff);
	if (!bits)
		say(r, "-");
	if (bits & 1)
		say(r, type == NGHTTP2_SETTINGS || type == NGHTTP2_PING ? "a" : "e");
	for (size_t i = 2; i < ARRAY_SIZE(flags); i++)
		if (bits & flags[i].bit)
			sayf(r, "%c", flags[i].letter);
}

static void say_text(struct h2_reader *r, const char *mark, const uint8_t *text, size_t len)
{
	if (len > 100) {
		sayf(r, "%s{%zu*%c}", mark, len, text[0]);
		return;
	}
	say(r, mark);
	for (size_t i = 0; i < len; i++)
		sayf(r, isprint(text[i]) && !strchr("|{}", text[i]) ? "%c" : "{%02x}", text[i]);
}

/* The fields of a whole header block. */
static void say_block(struct h2_reader *r, const char *block, size_t len)
{
	const uint8_t *at = (const uint8_t *)block;
	const char *mark = " ";
	int done = 0;

	while (!(done & NGHTTP2_HD_INFLATE_FINAL)) {
		nghttp2_nv nv;
		ssize_t n = nghttp2_hd_inflate_hd2(r->inflater, &nv, &done, at, len, 1);

		if (n < 0) {
			say(r, "?undecodable");
			r->faults++;
			return;
		}
		at += n;
		len -= (size_t)n;
		if (!(done & NGHTTP2_HD_INFLATE_EMIT))
			continue;
		say(r, mark);
		say_text(r, nv.flags & NGHTTP2_NV_FLAG_NO_INDEX ? "!" : "", nv.name, nv.namelen);
		say_text(r, "=", nv.value, nv.valuelen);
		mark = "|";
	}
	nghttp2_hd_inflate_end_headers(r->inflater);
}

static void say_payload(struct h2_reader *r, unsigned type, const char *at, size_t len)
{
	switch (type) {
	case NGHTTP2_SETTINGS:
		for (size_t i = 0; i + 6 <= len; i += 6)
			sayf(r, "%c@%u:%u", i ? '|' : ' ', number_at(at + i, 2),
			     number_at(at + i + 2, 4));
		break;
	case NGHTTP2_RST_STREAM:
	case NGHTTP2_WINDOW_UPDATE:
	case NGHTTP2_GOAWAY:
		for (size_t i = 0; i + 4 <= len && i < 8; i += 4)
			sayf(r, "%c%%%u", i ? '|' : ' ', number_at(at + i, 4));
		break;
	default:
		if (len > 0)
			say_text(r, " \"", (const uint8_t *)at, len);
	}
}

/* The HPACK bytes of a HEADERS frame within its payload. */
static void find_block(unsigned bits, const char **at, size_t *len)
{
	size_t pad = 0;

	if (bits & 8) {
		pad = (uint8_t) * *at;
		(*at)++;
		(*len)--;
	}
	if (bits & 0x20) {
		*at += 5;
		*len -= 5;
	}
	REQUIRE(pad <= *len);
	*len -= pad;
}

/* A HEADERS frame at AT with its CONTINUATION frames; returns their length, 0: not whole yet. */
static size_t read_block(struct h2_reader *r, const char *at, size_t left)
{
	struct bytes block = { 0 };
	size_t used = 0;
	bool end = false;

	while (!end) {
		size_t len = left - used >= 9 ? number_at(at + used, 3) : SIZE_MAX;
		const char *payload = at + used + 9;

		if (len == SIZE_MAX || left - used - 9 < len) {
			bytes_free(&block);
			return 0;
		}
		end = (uint8_t)at[used + 4] & 4;
		if (used > 0 && (uint8_t)at[used + 3] != NGHTTP2_CONTINUATION)
			r->faults++;
		used += 9 + len;
		if (payload - at == 9)
			find_block((uint8_t)at[4], &payload, &len);
		bytes_add(&block, payload, len);
	}
	say_begin(r, at);
	say_block(r, block.data, block.len);
	say(r, "\n");
	bytes_free(&block);
	return used;
}

static size_t read_frame(struct h2_reader *r, const char *at, size_t left)
{
	size_t len;

	if (left >= 24 && memcmp(at, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24) == 0) {
		say(r, "PRI\n");
		return 24;
	}
	if (left < 9 || (left < 24 && memcmp(at, "PRI ", 4) == 0))
		return 0;
	if ((uint8_t)at[3] == NGHTTP2_HEADERS)
		return read_block(r, at, left);
	len = number_at(at, 3);
	if (left - 9 < len)
		return 0;
	say_begin(r, at);
	say_payload(r, (uint8_t)at[3], at + 9, len);
	say(r, "\n");
	return 9 + len;
}

void h2_reader_begin(struct h2_reader *r)
{
	*r = (struct h2_reader){ 0 };
	REQUIRE(nghttp2_hd_inflate_new(&r->inflater) == 0);
	/* Whoever sends decides on the size of the table. */
	REQUIRE(nghttp2_hd_inflate_change_table_size(r->inflater, 65536) == 0);
	bytes_add(&r->lines, "", 0);
}

void h2_reader_done(struct h2_reader *r)
{
	nghttp2_hd_inflate_del(r->inflater);
	bytes_free(&r->rest);
	bytes_free(&r->lines);
}

void h2_reader_feed(struct h2_reader *r, const void *bytes, size_t len)
{
	size_t at = 0, n;

	bytes_add(&r->rest, bytes, len);
	while ((n = read_frame(r, r->rest.data + at, r->rest.len - at)) > 0)
		at += n;
	memmove(r->rest.data, r->rest.data + at, r->rest.len - at);
	r->rest.len -= at;
}

const char *h2_reader_text(struct h2_reader *r)
{
	return r->lines.data;
}
