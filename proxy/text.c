/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

static void add(struct text *t, const char *s, size_t len)
{
	if (t->cut || len > t->size - t->len) {
		t->cut = true;
		return;
	}
	memcpy(t->buf + t->len, s, len);
	t->len += len;
}

void text_add_span(struct text *t, struct span s)
{
	if (s.len > 0)
		add(t, s.ptr, s.len);
}

/* The formatter of the C library takes most of the time in which a record is made. */
void text_add_number(struct text *t, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	add(t, digits + at, sizeof(digits) - at);
}

/* The last WIDTH digits, with zeros in front. */
static void add_digits(struct text *t, unsigned value, size_t width)
{
	char digits[10];

	for (size_t at = width; at > 0; value /= 10)
		digits[--at] = (char)('0' + value % 10);
	add(t, digits, width);
}

/* Years that begin in March end with the day that not all of them have. */
static void add_date(struct text *t, uint64_t days_since_1970)
{
	const unsigned era_days = 146097;	  /* of 400 years */
	uint64_t days = days_since_1970 + 719468; /* since the first of March of year 0 */
	unsigned day = (unsigned)(days % era_days);
	unsigned year = (day - day / 1460 + day / 36524 - day / (era_days - 1)) / 365;
	unsigned month;

	day -= 365 * year + year / 4 - year / 100;
	month = (5 * day + 2) / 153; /* from March: five months have 153 days, twice */
	day -= (153 * month + 2) / 5;
	year += (unsigned)(days / era_days * 400) + (month >= 10);
	month = month < 10 ? month + 3 : month - 9;
	add_digits(t, year, 4);
	add(t, "-", 1);
	add_digits(t, month, 2);
	add(t, "-", 1);
	add_digits(t, day + 1, 2);
}

void text_add_time(struct text *t, uint64_t seconds, unsigned nanoseconds)
{
	unsigned of_day = (unsigned)(seconds % 86400);

	add_date(t, seconds / 86400);
	add(t, "T", 1);
	add_digits(t, of_day / 3600, 2);
	add(t, ":", 1);
	add_digits(t, of_day / 60 % 60, 2);
	add(t, ":", 1);
	add_digits(t, of_day % 60, 2);
	add(t, ".", 1);
	add_digits(t, nanoseconds, 9);
	add(t, "Z", 1);
}

void text_addf(struct text *t, const char *format, ...)
{
	char piece[512];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(piece, sizeof(piece), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(piece))
		t->cut = true;
	else
		add(t, piece, (size_t)n);
}

enum escape { AS_IT_IS, BACKSLASH, CODE };

/* How a byte is written in JSON. */
static enum escape json_escape(unsigned char c)
{
	if (c == '"' || c == '\\')
		return BACKSLASH;
	return c < 0x20 || c >= 0x7f ? CODE : AS_IT_IS;
}

static enum escape terminal_escape(unsigned char c)
{
	return c < 0x20 || c >= 0x7f || c == '\\' ? CODE : AS_IT_IS;
}

/* What a buffer has no room for is cut off behind the last character that it has room for. */
static void add_run(struct text *t, const char *s, size_t len)
{
	size_t room = t->size - t->len;

	if (len <= room) {
		add(t, s, len);
		return;
	}
	add(t, s, t->cut ? 0 : room);
	t->cut = true;
}

/* Bytes that need no escape, which are most, go together. */
static inline void add_escaped(struct text *t, struct span s,
			       enum escape (*escape_of)(unsigned char), struct span code)
{
	static const char hex[] = "0123456789abcdef";
	for (size_t i = 0; i < s.len; i++) {
		size_t begin = i, len = 2;
		char escape[8] = { '\\' };
		unsigned char c;

		while (i < s.len && escape_of((unsigned char)s.ptr[i]) == AS_IT_IS)
			i++;
		add_run(t, s.ptr + begin, i - begin);
		if (i == s.len)
			return;
		c = (unsigned char)s.ptr[i];
		escape[1] = (char)c;
		if (escape_of(c) == CODE) {
			memcpy(escape, code.ptr, code.len);
			escape[code.len] = hex[c >> 4];
			escape[code.len + 1] = hex[c & 15];
			len = code.len + 2;
		}
		add(t, escape, len);
	}
}

void text_add_json(struct text *t, struct span s)
{
	add_escaped(t, s, json_escape, SPAN_LITERAL("\\u00"));
}

void text_add_escaped(struct text *t, struct span s)
{
	add_escaped(t, s, terminal_escape, SPAN_LITERAL("\\x"));
}

static void add_ip4(struct text *t, const uint8_t ip[static 4])
{
	for (int i = 0; i < 4; i++) {
		if (i > 0)
			add(t, ".", 1);
		text_add_number(t, ip[i]);
	}
}

void text_add_ip(struct text *t, const struct address *a)
{
	char ip[INET6_ADDRSTRLEN] = "?";

	if (a->family == AF_INET) {
		add_ip4(t, a->ip);
		return;
	}
	inet_ntop(a->family, a->ip, ip, sizeof(ip));
	text_add(t, ip);
	if (a->scope)
		text_addf(t, "%%%u", a->scope);
}

void text_add_address(struct text *t, const struct address *a)
{
	if (a->family == AF_INET6)
		text_add(t, "[");
	text_add_ip(t, a);
	text_add(t, a->family == AF_INET6 ? "]:" : ":");
	text_add_number(t, a->port);
}
