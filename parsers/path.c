/* SPDX-License-Identifier: Apache-2.0 */
/* path.c - the closure of a path under the steps of path_steps.c: any step, in any order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "path.h"
#include "path_steps.h"

/* The readings found so far, by their path parts; the query stands behind each in the buffer. */
struct closure {
	struct path_scratch *scratch;
	struct span query;
	char *free; /* the unused rest of scratch->buf: room for one more reading at least */
	size_t n;
	size_t bytes; /* of all path parts */
	size_t path_len[PATH_READINGS_MAX];
	unsigned features[PATH_READINGS_MAX];
};

static bool known(const struct closure *c, const char *path, size_t len)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->path_len[i] == len && !memcmp(c->scratch->readings[i].ptr, path, len))
			return true;
	return false;
}

/* Keep the path of LEN bytes at c->free, unless it is known. */
static int keep(struct closure *c, size_t len)
{
	int features;

	if (known(c, c->free, len))
		return 0;
	c->bytes += len;
	if (c->n == PATH_READINGS_MAX || c->bytes > PATH_READINGS_BYTES)
		return -EPROTO;
	features = path_features((struct span){ c->free, len });
	if (features < 0)
		return features;
	if (c->query.len)
		memcpy(c->free + len, c->query.ptr, c->query.len);
	c->scratch->readings[c->n] = (struct span){ c->free, len + c->query.len };
	c->path_len[c->n] = len;
	c->features[c->n++] = (unsigned)features;
	c->free += len + c->query.len;
	return 0;
}

/* Every reading gets every step that may change it; new ones join the end of the list. */
static ssize_t close_over(struct closure *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct span path = { c->scratch->readings[i].ptr, c->path_len[i] };

		for (size_t s = 0; s < path_n_steps; s++) {
			int r;

			if (!(c->features[i] & path_steps[s].needs))
				continue;
			r = keep(c, path_steps[s].apply(path, c->free));
			if (r < 0)
				return r;
		}
	}
	return (ssize_t)c->n;
}

/* Room for all readings but the first and one that turns out to be known: none is longer than the
 * path itself. */
static int reserve(struct path_scratch *scratch, size_t len)
{
	size_t size = len * PATH_READINGS_MAX;
	char *buf;

	if (scratch->size >= size)
		return 0;
	buf = malloc(size);
	if (!buf)
		return -ENOMEM;
	free(scratch->buf);
	scratch->buf = buf;
	scratch->size = size;
	return 0;
}

ssize_t path_readings(struct span path, struct path_scratch *scratch)
{
	const char *mark;
	struct closure c;
	struct span part = path;
	int r;

	scratch->readings[0] = path;
	if (!path.len || (path.len == 1 && path.ptr[0] == '*'))
		return 1;
	if (path.ptr[0] != '/')
		return -EPROTO;
	mark = memchr(path.ptr, '?', path.len);
	if (mark)
		part.len = (size_t)(mark - path.ptr);
	r = path_features(part);
	if (r <= 0)
		return r < 0 ? r : 1;
	c.features[0] = (unsigned)r;
	if (part.len > PATH_READINGS_BYTES / 2)
		return -EPROTO; /* spares the memory: there will be a second one */
	r = reserve(scratch, path.len);
	if (r < 0)
		return r;
	c.scratch = scratch;
	c.query = (struct span){ part.ptr + part.len, path.len - part.len };
	c.free = scratch->buf;
	c.n = 1;
	c.bytes = part.len;
	c.path_len[0] = part.len;
	return close_over(&c);
}

void path_scratch_done(struct path_scratch *scratch)
{
	free(scratch->buf);
	*scratch = (struct path_scratch){ .buf = NULL };
}
