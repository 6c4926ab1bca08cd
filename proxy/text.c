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

void text_add(struct text *t, const char *s)
{
	add(t, s, strlen(s));
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

void text_add_json(struct text *t, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		char escape[8];

		if (c == '"' || c == '\\') {
			escape[0] = '\\';
			escape[1] = (char)c;
			add(t, escape, 2);
		} else if (c < 0x20 || c >= 0x7f) {
			snprintf(escape, sizeof(escape), "\\u%04x", c);
			add(t, escape, 6);
		} else {
			add(t, &s.ptr[i], 1);
		}
	}
}

void text_add_escaped(struct text *t, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		char escape[8];

		if (c < 0x20 || c >= 0x7f || c == '\\') {
			snprintf(escape, sizeof(escape), "\\x%02x", c);
			add(t, escape, 4);
		} else {
			add(t, &s.ptr[i], 1);
		}
	}
}

void text_add_ip(struct text *t, const struct address *a)
{
	char ip[INET6_ADDRSTRLEN] = "?";

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
	text_addf(t, a->family == AF_INET6 ? "]:%u" : ":%u", a->port);
}
