// SPDX-License-Identifier: Apache-2.0
/* Sorting the expressions of a matcher into buckets. The order within a bucket follows from the
 * expressions alone, so that a reload finds the same set again wherever its rules have moved. */
#include "matcher.h"

#include <errno.h>
#include <stdlib.h>

struct item {
	struct span prefix;
	const char *expression;
	uint32_t id;
};

/* Buckets whose prefixes begin with each other, the shortest first, while the sorted items are gone
 * through; and the items of the bucket to which each belongs. */
struct sorter {
	struct matcher *m;
	struct arena *keep;
	struct automata *automata;
	struct item *items;
	size_t *bucket_of; /* the index of the item that opened its bucket */
	const char **texts;
	size_t n;
};

static int compare_items(const void *left, const void *right)
{
	const struct item *a = left, *b = right;
	size_t n = a->prefix.len < b->prefix.len ? a->prefix.len : b->prefix.len;
	int r = n ? memcmp(a->prefix.ptr, b->prefix.ptr, n) : 0;

	if (r == 0)
		r = (a->prefix.len > b->prefix.len) - (a->prefix.len < b->prefix.len);
	return r ? r : strcmp(a->expression, b->expression);
}

static bool begins_with(struct span text, struct span prefix)
{
	return text.len >= prefix.len &&
	       (prefix.len == 0 || memcmp(text.ptr, prefix.ptr, prefix.len) == 0);
}

/* The items are sorted, so that a prefix comes right before all that begins with it. */
static void choose_buckets(struct sorter *s)
{
	size_t open[MATCHER_DEPTH_MAX], depth = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct span prefix = s->items[i].prefix;

		while (depth && !begins_with(prefix, s->items[open[depth - 1]].prefix))
			depth--;
		if (depth == 0 || (depth < MATCHER_DEPTH_MAX &&
				   !span_eq(prefix, s->items[open[depth - 1]].prefix)))
			open[depth++] = i;
		s->bucket_of[i] = open[depth - 1];
	}
}

/* The items of the bucket that FIRST opened: their expressions go to TEXTS, and their ids, unless
 * it is NULL, to IDS. Returns how many. */
static size_t collect(struct sorter *s, size_t first, uint32_t *ids)
{
	struct span prefix = s->items[first].prefix;
	size_t n = 0;

	for (size_t i = first; i < s->n && begins_with(s->items[i].prefix, prefix); i++) {
		if (s->bucket_of[i] != first)
			continue;
		s->texts[n] = s->items[i].expression;
		if (ids)
			ids[n] = s->items[i].id;
		n++;
	}
	return n;
}

static int add_bucket(struct sorter *s, size_t first, const char **why)
{
	struct matcher_bucket **list, *b = arena_alloc(s->keep, sizeof(*b));
	struct matcher_entry *e;

	if (!b)
		return -ENOMEM;
	b->n = collect(s, first, NULL);
	b->ids = arena_alloc(s->keep, b->n * sizeof(*b->ids));
	if (!b->ids)
		return -ENOMEM;
	collect(s, first, b->ids);
	list = arena_extend(s->keep, s->m->buckets, s->m->n_buckets, sizeof(b));
	e = matcher_prefix_entry(s->m, s->keep, s->items[first].prefix);
	if (!list || !e)
		return -ENOMEM;
	e->bucket = b;
	s->m->buckets = list;
	list[s->m->n_buckets] = b;
	return automata_get(s->automata, s->texts, b->n, true, &b->automaton, why);
}

static int fill(struct sorter *s, const char **why)
{
	int r = 0;

	for (size_t i = 1; i <= s->m->n; i++) {
		const struct pattern *p = s->m->patterns[i];

		if (!p->expression)
			continue;
		s->items[s->n++] = (struct item){ p->prefix, p->expression, (uint32_t)i };
	}
	/* A few are scanned together faster than apart. */
	for (size_t i = 0; s->n <= MATCHER_FEW && i < s->n; i++)
		s->items[i].prefix = SPAN_LITERAL("");
	qsort(s->items, s->n, sizeof(*s->items), compare_items);
	choose_buckets(s);
	for (size_t i = 0; r == 0 && i < s->n; i++) {
		if (s->bucket_of[i] != i)
			continue;
		r = add_bucket(s, i, why);
		if (r == 0)
			s->m->n_buckets++;
	}
	return r;
}

int matcher_fill_buckets(struct matcher *m, struct arena *keep, struct automata *automata,
			 const char **why)
{
	struct sorter s = { .m = m, .keep = keep, .automata = automata };
	int r = -ENOMEM;

	s.items = calloc(m->n + 1, sizeof(*s.items));
	s.bucket_of = calloc(m->n + 1, sizeof(*s.bucket_of));
	s.texts = calloc(m->n + 1, sizeof(*s.texts));
	if (s.items && s.bucket_of && s.texts)
		r = fill(&s, why);
	free(s.items);
	free(s.bucket_of);
	free(s.texts);
	return r;
}
