/* SPDX-License-Identifier: Apache-2.0 */
/* span.h - a borrowed piece of bytes: a pointer and a length, not NUL-terminated.
 *
 * A span owns nothing. It is valid as long as the buffer that it points into; whoever hands out a
 * span says how long that is. An empty span may have a NULL pointer. */
#ifndef SLUICE_SPAN_H
#define SLUICE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *ptr;
	size_t len;
};

#define SPAN_LITERAL(s) ((struct span){ (s), sizeof(s) - 1 })

static inline struct span span_of(const char *text)
{
	return (struct span){ text, strlen(text) };
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII only, whatever the locale is: the callers compare header names and tokens. */
static inline unsigned char ascii_lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static inline bool span_eq_nocase(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
			return false;
	return true;
}

#endif
