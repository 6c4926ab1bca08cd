/* SPDX-License-Identifier: Apache-2.0 */
#include "h2_streams.h"
#include <assert.h>
#include <stdlib.h>

#define BUCKETS_MIN 16

/* Clients use every other number, in order. */
static struct h2_stream **bucket_of(const struct h2_streams *t, uint32_t id)
{
	return &t->buckets[(id >> 1) & (t->n_buckets - 1)];
}

static bool grow(struct h2_streams *t)
{
	struct h2_streams bigger = { .n_buckets = t->n_buckets ? 2 * t->n_buckets : BUCKETS_MIN };
	struct h2_stream *s, *next;

	if (t->n < t->n_buckets)
		return true;
	bigger.buckets = calloc(bigger.n_buckets, sizeof(struct h2_stream *));
	if (!bigger.buckets)
		return t->n_buckets > 0; /* crowded, but good */
	for (size_t i = 0; i < t->n_buckets; i++) {
		for (s = t->buckets[i]; s; s = next) {
			struct h2_stream **bucket = bucket_of(&bigger, s->id);

			next = s->next;
			s->next = *bucket;
			*bucket = s;
		}
	}
	free(t->buckets);
	t->buckets = bigger.buckets;
	t->n_buckets = bigger.n_buckets;
	return true;
}

struct h2_stream *h2_streams_add(struct h2_streams *t, uint32_t id)
{
	struct h2_stream *s, **bucket;

	if (!grow(t))
		return NULL;
	s = kept_malloc(t->kept, sizeof(*s));
	if (!s)
		return NULL;
	*s = (struct h2_stream){ .id = id, .grpc_status = -1 };
	bucket = bucket_of(t, id);
	s->next = *bucket;
	*bucket = s;
	t->n++;
	return s;
}

static void free_stream(struct h2_streams *t, struct h2_stream *s)
{
	kept_request_unref(t->kept, s->x.kept);
	kept_free(t->kept, s->x.record);
	kept_free(t->kept, s);
}

struct h2_stream *h2_streams_find(const struct h2_streams *t, uint32_t id)
{
	struct h2_stream *s = t->n_buckets ? *bucket_of(t, id) : NULL;

	while (s && s->id != id)
		s = s->next;
	return s;
}

void h2_streams_remove(struct h2_streams *t, struct h2_stream *s)
{
	struct h2_stream **at = bucket_of(t, s->id);

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	assert(t->n > 0);
	t->n--;
	free_stream(t, s);
}

struct h2_stream *h2_streams_next(const struct h2_streams *t, const struct h2_stream *s)
{
	size_t i = 0;

	if (s && s->next)
		return s->next;
	if (s)
		i = (size_t)(bucket_of(t, s->id) - t->buckets) + 1;
	for (; i < t->n_buckets; i++)
		if (t->buckets[i])
			return t->buckets[i];
	return NULL;
}

void h2_streams_done(struct h2_streams *t)
{
	struct h2_stream *s, *next;

	for (size_t i = 0; i < t->n_buckets; i++) {
		for (s = t->buckets[i]; s; s = next) {
			next = s->next;
			free_stream(t, s);
		}
	}
	free(t->buckets);
	*t = (struct h2_streams){ .kept = t->kept };
}
