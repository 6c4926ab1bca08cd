// SPDX-License-Identifier: Apache-2.0
#include "quoted.h"

#include <errno.h>
#include <stdbool.h>

/* How long the scalar is in the file, without its closing quote; LEN where there is none. */
static size_t find_end(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\'')
			continue;
		if (i + 1 == len || text[i + 1] != '\'')
			return i;
		i++;
	}
	return len;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static size_t line_break(const char *text, size_t len)
{
	if (len > 1 && text[0] == '\r' && text[1] == '\n')
		return 2;
	return len > 0 && (text[0] == '\n' || text[0] == '\r') ? 1 : 0;
}

/* At a line break: pass over it, empty lines and indentation. *EMPTY: how many lines were empty. */
static size_t skip_breaks(const char *text, size_t len, size_t *empty)
{
	size_t at = 0, n;

	*empty = 0;
	for (size_t breaks = 0; (n = line_break(text + at, len - at)) > 0; breaks++) {
		*empty = breaks;
		at += n;
		while (at < len && is_blank(text[at]))
			at++;
	}
	return at;
}

int quoted_read(struct arena *mem, const char *text, size_t len, struct span *ret)
{
	size_t end = find_end(text, len), at = 0, n = 0;
	char *out;

	if (end == len)
		return -EINVAL;
	out = arena_alloc(mem, end + 1); /* it only gets shorter */
	if (!out)
		return -ENOMEM;
	while (at < end) {
		size_t empty;

		if (line_break(text + at, end - at) == 0) {
			out[n++] = text[at];
			at += text[at] == '\'' ? 2 : 1;
			continue;
		}
		while (n > 0 && is_blank(out[n - 1]))
			n--;
		at += skip_breaks(text + at, end - at, &empty);
		if (empty == 0)
			out[n++] = ' ';
		for (; empty > 0; empty--)
			out[n++] = '\n';
	}
	out[n] = 0;
	*ret = (struct span){ out, n };
	return 0;
}
