/* SPDX-License-Identifier: Apache-2.0 */
/* One path. Invariants: the first reading is the path itself; no reading twice; each begins with a
 * slash and keeps the query; the readings are closed: those of a reading are among them; and a
 * plain resolver, written apart from the parser, finds its result among them. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static bool among(struct span text, const struct path_scratch *s, ssize_t n)
{
	for (ssize_t i = 0; i < n; i++)
		if (span_eq(text, s->readings[i]))
			return true;
	return false;
}

static struct span query_of(struct span path)
{
	const char *mark = path.len ? memchr(path.ptr, '?', path.len) : NULL;

	if (!mark)
		return (struct span){ NULL, 0 };
	return (struct span){ mark, path.len - (size_t)(mark - path.ptr) };
}

static void check_each(struct span path, const struct path_scratch *s, ssize_t n)
{
	struct span query = query_of(path);

	require(n >= 1 && n <= PATH_READINGS_MAX, "the number of readings");
	require(s->readings[0].ptr == path.ptr && s->readings[0].len == path.len,
		"the first reading is not the path");
	for (ssize_t i = 0; i < n; i++) {
		struct span r = s->readings[i];

		require(r.len <= path.len, "a reading is longer than the path");
		require(n == 1 || r.ptr[0] == '/', "a reading does not begin with a slash");
		require(!among(r, s, i), "a reading twice");
		require(span_eq(query_of(r), query), "a reading with another query");
	}
}

static void check_closed(const struct path_scratch *s, ssize_t n)
{
	static struct path_scratch again;

	for (ssize_t i = 1; i < n; i++) {
		ssize_t m = path_readings(s->readings[i], &again);

		require(m >= 1 && m <= n, "a reading that is no path");
		for (ssize_t k = 0; k < m; k++)
			require(among(again.readings[k], s, n), "the readings are not closed");
	}
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As a careless server does it: decode all there is, take both slashes for one, drop parameters,
 * merge slashes, then resolve. Only what is safe to compare: without escapes of other bytes. */
static bool careless(struct span path, char *out, size_t *len)
{
	char *decoded = malloc(path.len + 2), *to = decoded, *result = out;
	bool comparable = true;

	require(decoded, "memory");
	for (size_t i = 0; i < path.len; i++) {
		int c = (unsigned char)path.ptr[i];

		if (c == '%' && i + 2 < path.len) {
			c = hex(path.ptr[i + 1]) * 16 + hex(path.ptr[i + 2]);
			i += 2;
			comparable = comparable && (c == '.' || c == '/' || c == '\\' || c == 'a');
		}
		if (c == ';')
			comparable = false;
		*to++ = (char)(c == '\\' ? '/' : c);
	}
	*to++ = '/'; /* a slash at the end, so that each segment has one */
	for (char *at = decoded + 1; comparable && at < to;) {
		char *slash = memchr(at, '/', (size_t)(to - at));
		size_t n = (size_t)(slash - at);

		if (n == 2 && !memcmp(at, "..", 2)) {
			while (result > out && *--result != '/')
				;
		} else if (n && !(n == 1 && *at == '.')) {
			*result++ = '/';
			memcpy(result, at, n);
			result += n;
		}
		at = slash + 1;
	}
	free(decoded);
	*len = (size_t)(result - out);
	return comparable;
}

/* With or without a slash at the end, as the path has one or not. */
static void check_careless(struct span path, const struct path_scratch *s, ssize_t n)
{
	struct span part = { path.ptr, path.len - query_of(path).len };
	char *out = calloc(1, path.len + 2);
	bool found = false;
	size_t len;

	require(out, "memory");
	if (part.len && part.ptr[0] == '/' && careless(part, out, &len)) {
		for (ssize_t i = 0; i < n && !found; i++) {
			struct span r = s->readings[i];

			r.len -= query_of(r).len;
			if (r.len == len + 1 && r.ptr[len] == '/')
				r.len--;
			found = span_eq(r, (struct span){ out, len });
		}
		require(found, "a careless server's reading is missing");
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct path_scratch scratch;
	char *copy = malloc(size ? size : 1);
	struct span path = { copy, size };
	ssize_t n;

	require(copy, "memory");
	if (size)
		memcpy(copy, data, size);
	n = path_readings(path, &scratch);
	require(n > 0 || n == -EPROTO, "an error other than EPROTO");
	if (n > 0) {
		check_each(path, &scratch, n);
		check_closed(&scratch, n);
		check_careless(path, &scratch, n);
	}
	free(copy);
	return 0;
}
