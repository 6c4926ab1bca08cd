/* SPDX-License-Identifier: Apache-2.0 */
/* One path, behind SERVER_STEPS bytes. Invariants: the first reading is the path itself; no reading
 * twice; each begins with a slash and keeps the query; the readings are closed: those of a reading
 * are among them; and where all stay below the first segment, so does every server (path_server.h)
 * whose steps the first bytes of the input choose. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "path.h"
#include "path_server.h"

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

/* Whether PATH is the first segment of FIRST, with its slash, and something below it. */
static bool below(struct span path, struct span first)
{
	return path.len >= first.len && !memcmp(path.ptr, first.ptr, first.len);
}

/* What the policy relies on: where all readings stay below the first segment, every server does.
 * That segment is a plain word, since servers may decode it to something else. */
static void check_servers(struct span path, const struct path_scratch *s, ssize_t n,
			  const uint8_t steps[SERVER_STEPS])
{
	size_t len = path.len - query_of(path).len;
	char *slash = len ? memchr(path.ptr + 1, '/', len - 1) : NULL, *text;
	struct span first;

	if (!slash || slash == path.ptr + 1)
		return;
	for (const char *at = path.ptr + 1; at < slash; at++)
		if (*at < 'a' || *at > 'z')
			return;
	first = (struct span){ path.ptr, (size_t)(slash - path.ptr) + 1 };
	for (ssize_t i = 0; i < n; i++)
		if (!below(s->readings[i], first))
			return;
	text = malloc(len + 2);
	require(text, "memory");
	memcpy(text, path.ptr, len);
	text[len] = '\0';
	path_server(text, steps);
	len = strlen(text);
	text[len++] = '/'; /* "/static" is below "/static/" here */
	require(below((struct span){ text, len }, first), "a server escapes");
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct path_scratch scratch;
	struct span path;
	char *copy;
	ssize_t n;

	if (size < SERVER_STEPS)
		return 0;
	path.len = size - SERVER_STEPS;
	copy = calloc(1, size);
	require(copy, "memory");
	memcpy(copy, data + SERVER_STEPS, path.len);
	path.ptr = copy;
	n = path_readings(path, &scratch);
	require(n > 0 || n == -EPROTO, "an error other than EPROTO");
	if (n > 0) {
		check_each(path, &scratch, n);
		check_closed(&scratch, n);
		check_servers(path, &scratch, n, data);
	}
	free(copy);
	return 0;
}
